"""The answers to ``/verify``, ``/logs`` and ``/doctor``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.core.checks import CheckResult
from bot.core.outcome import StepResult
from bot.core.questions import Finding, LogLine
from bot.core.titles import place
from bot.report.comment import paragraphs
from bot.report.markdown import cell, code, details, fence, link, prose, row
from bot.report.sections import checks_table
from bot.report.words import clock, count, duration, short

_LINES = 60  # of all services together
_FEWEST = 10  # lines that each service may show all the same
_CHARACTERS = 40_000  # of all lines together: the comment holds all that is shown
_WIDTH = 300
_SIGNS = {True: "✅", False: "❌", None: "❔"}


# -- verify ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Verified:
    """What the checks of an environment found. ``sha`` is what should serve, ``""`` if that is not known."""

    environment: str
    sha: str
    checks: tuple[CheckResult, ...]
    notes: tuple[str, ...]
    now: float

    @property
    def well(self) -> bool:
        """Whether something serves, and everything is as expected."""
        return bool(self.checks) and all(check.passed for check in self.checks)


def verify_comment(found: Verified, *, marker: str) -> str:
    """Return the checks, what was expected beside what was found."""
    where = f"**{cell(found.environment)}**"
    failed = sum(not check.passed for check in found.checks)
    if not found.checks:
        title = f"❌ Nothing serves on {where}"
    elif failed:
        title = f"❌ {where} is not as expected: {failed} of {count(len(found.checks), 'check')} failed"
    elif found.sha:
        title = f"✅ {code(short(found.sha))} serves on {where} as expected"
    else:
        title = f"✅ {where} is as expected"
    step = StepResult(id="verify", kind="verify", title="Verify what serves", checks=found.checks)
    return paragraphs(
        [
            f"{marker}\n### {title}",
            checks_table([step]),
            "\n".join(f"- {prose(note)}" for note in found.notes),
            f"<sub>{clock(found.now)} UTC · nothing was changed</sub>",
        ]
    )


# -- logs -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Logged:
    """What the revisions of a service that serve have logged, masked, oldest first."""

    service: str
    revisions: tuple[str, ...] = ()
    link: str = ""
    lines: tuple[LogLine, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Logs:
    """What was asked for: ``since`` so many seconds ago. ``severity`` ``""``: lines there have none.

    ``shown`` is whether the lines may be shown where this is read.
    """

    environment: str
    since: float
    severity: str
    shown: bool
    services: tuple[Logged, ...]


def logs_comment(logs: Logs, *, marker: str) -> str:
    """Return the newest lines of each service, folded, with the way to all of them."""
    least = f", {cell(logs.severity)} and above" if logs.severity else ""
    heading = f"{marker}\n### Logs of **{cell(logs.environment)}** · last {duration(logs.since)}{least}"
    why = "Only links: everybody can read this repository." if not logs.shown else ""
    each = max(_FEWEST, _LINES // max(1, len(logs.services)))
    room = _CHARACTERS // max(1, len(logs.services))
    return paragraphs([heading, why, *(_service(one, logs, each, room) for one in logs.services)])


def _service(one: Logged, logs: Logs, limit: int, room: int) -> str:
    name = f"**{cell(place(one.service))}**"
    if not one.revisions:
        return f"{name}: nothing serves."
    head = f"{name} · {link('all of it', one.link)}"
    if not logs.shown:
        return head
    if not one.lines:
        others = logs.severity not in {"", "default"}
        return f"{head} · no such line{'; lines without a level: `--severity=default`' if others else ''}"
    lines = [text for line in one.lines for text in _texts(line)]
    lines = _bounded(lines[-limit:], room)
    folded = details(f"The newest {count(len(lines), 'line')} of {place(one.service)}", fence("\n".join(lines)))
    return f"{head}\n\n{folded}"


def _texts(line: LogLine) -> list[str]:
    """Return the lines of an entry, the first with its time and severity. A longer line loses its end."""
    words = [f"{line.at:%H:%M:%S}" if line.at else "", line.severity]
    first, *more = line.text.splitlines() or [""]
    texts = [" ".join(filter(None, [*words, first])), *(f"  {text}" for text in more)]
    return [text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…" for text in texts]


def _bounded(lines: Sequence[str], room: int) -> list[str]:
    """Return the last lines that have room."""
    kept: list[str] = []
    for line in reversed(lines):
        room -= len(line) + 1
        if room < 0:
            break
        kept.insert(0, line)
    return kept


# -- doctor ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Examination:
    """What was found, by where it was looked for."""

    parts: tuple[tuple[str, tuple[Finding, ...]], ...]

    @property
    def well(self) -> bool:
        """Whether nothing is amiss, as far as it could be told."""
        return not self.wrong

    @property
    def wrong(self) -> int:
        """How many things are amiss."""
        return sum(finding.well is False for _, findings in self.parts for finding in findings)


def doctor_comment(found: Examination, *, marker: str) -> str:
    """Return a table of everything that was looked at; what is amiss comes first in each part."""
    title = (
        f"❌ {count(found.wrong, 'thing')} to mend" if found.wrong else "✅ Everything is there that a release needs"
    )
    lines = [row("", "Where", "What", "Found", "What to do"), "|:-:|---|---|---|---|"]
    for where, findings in found.parts:
        for one in sorted(findings, key=lambda finding: finding.well is not False):
            todo = prose(one.todo, 200) if not one.well else ""
            lines.append(row(_SIGNS[one.well], cell(where, 60), prose(one.what, 120), prose(one.found, 200), todo))
    note = "The token and the login are those of the job that answers. Whether a token may write cannot be asked."
    return paragraphs([f"{marker}\n### {title}", "\n".join(lines), f"<sub>{note} Nothing was changed.</sub>"])
