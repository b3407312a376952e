"""The answers to ``/history``, ``/diff`` and ``/changelog``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.core.changes import pull_requests
from bot.core.facts import Comparison
from bot.core.record import Entry, usual_seconds
from bot.core.titles import place
from bot.report.comment import paragraphs
from bot.report.headline import difference
from bot.report.markdown import cell, code, code_link, fence, prose, row
from bot.report.sections import commit_list
from bot.report.words import count, day_time, duration, listing, short

_SIGNS = {"success": "🟩", "failure": "🟥", "error": "🟥"}
_WEEK = 7 * 86_400.0  # seconds
_MINUTES_FROM = 120.0  # seconds of the longest release from which a chart is in minutes
_FEWEST = 3  # a chart of fewer bars tells nothing


@dataclass(frozen=True, kw_only=True)
class Past:
    """The releases of an environment, newest first. ``now``: seconds since the epoch."""

    environment: str
    entries: Sequence[Entry]
    shown: int
    now: float
    repository_url: str


@dataclass(frozen=True, kw_only=True)
class Difference:
    """From what serves (``before``, ``""``: nothing) to another commit."""

    environment: str
    before: str
    sha: str
    comparison: Comparison | None
    migrations: Sequence[str]
    repository_url: str


def history_comment(past: Past, *, marker: str) -> str:
    """Return the newest releases as a table, with how often they go well, and how long they take as a chart."""
    heading = f"{marker}\n### Releases of **{cell(past.environment)}**"
    shown = past.entries[: past.shown]
    if not shown:
        return paragraphs([heading, "There are none yet."])
    why = any(entry.record.reason for entry in shown)
    heads = ["", "When (UTC)", "Commit", "What", "By", "Took", *(["Why"] if why else [])]
    columns = f"|:-:|---|---|---|---|--:|{'---|' if why else ''}"
    lines = [row(*heads), columns, *[_line(entry, past, why=why) for entry in shown]]
    return paragraphs([heading, "\n".join(lines), _rates(past), chart(past)])


def _line(entry: Entry, past: Past, *, why: bool) -> str:
    record, made = entry.record, entry.deployment.created_at.timestamp()
    pull = f"PR {record.pull_request}" if record.pull_request else ""
    what = {"deploy": "released", "rollback": "rolled back to"}[record.verb]
    what += (
        f" to {listing([place(name) for name in record.services])} only"
        if record.verb == "deploy" and record.services
        else ""
    )
    commit = f"{past.repository_url}/commit/{record.sha}"
    source = f"from {record.promoted_from}" if record.promoted_from else ""
    return row(
        _SIGNS.get(entry.outcome, "⬜"),
        day_time(made),
        " ".join(
            filter(
                None,
                [code_link(short(record.sha), commit), cell(record.version, 40), cell(entry.deployment.subject, 60)],
            )
        ),
        cell(" · ".join(filter(None, [what, pull, source]))),
        cell(record.actor, 60),
        duration(_seconds(entry)) if _seconds(entry) else "",
        *([prose(record.reason, 80)] if why else []),
    )


def _seconds(entry: Entry) -> float:
    """Return how long a release took until it was verified, 0 for one that was not."""
    ended = entry.verified_at
    return (ended - entry.deployment.created_at).total_seconds() if ended is not None else 0.0


def _rates(past: Past) -> str:
    """Return how many went well, the usual time, and how often there is one."""
    ended = [entry for entry in past.entries if entry.finished]
    well = sum(entry.succeeded for entry in ended)
    usual = usual_seconds(past.entries)
    oldest = min((entry.deployment.created_at.timestamp() for entry in past.entries), default=past.now)
    weeks = max((past.now - oldest) / _WEEK, 1.0)
    words = [f"{well} of {len(ended)} went well" if ended else ""]
    words += [f"usually {duration(usual)}" if usual else "", f"{len(past.entries) / weeks:.1f} a week"]
    return " · ".join(filter(None, words))


def chart(past: Past) -> str:
    """Return a bar chart of how long each release took, oldest first; ``""`` with too few."""
    taken = [(short(entry.record.sha), _seconds(entry)) for entry in past.entries[: past.shown]]
    bars = [(name, seconds) for name, seconds in reversed(taken) if seconds > 0]
    if len(bars) < _FEWEST:
        return ""
    top = max(seconds for _, seconds in bars)
    unit, word, sign = (60.0, "Minutes", "min") if top >= _MINUTES_FROM else (1.0, "Seconds", "s")
    names = ", ".join(f'"{name}"' for name in _bar_names([name for name, _ in bars]))
    values = ", ".join(f"{seconds / unit:.1f}" for _, seconds in bars)
    return fence(
        "\n".join(
            [
                "xychart-beta",
                f'    title "{word} for each release"',
                f"    x-axis [{names}]",
                f'    y-axis "{sign}" 0 --> {max(top / unit * 1.2, 1.0):.1f}',
                f"    bar [{values}]",
            ]
        ),
        "mermaid",
    )


def _bar_names(shas: Sequence[str]) -> list[str]:
    """Return a name for each bar that mermaid reads as text. Bars of one name would be drawn over each other."""
    plain = [re.sub(r"[^0-9A-Za-z]", "", sha) or "?" for sha in shas]
    times = [plain[: index + 1].count(name) for index, name in enumerate(plain)]
    return [name if number == 1 else f"{name} ({number})" for name, number in zip(plain, times, strict=True)]


def difference_comment(found: Difference, *, marker: str, shipped: bool) -> str:
    """Return the commits between what serves and another commit. ``shipped``: they are live already."""
    where = f"**{cell(found.environment)}**"
    brings = "brought" if shipped else "would bring"
    title = f"What {code(short(found.sha))} {brings} to {where}"
    heading = f"{marker}\n### {title}"
    if not found.before:
        nothing = "Nothing was there before it." if shipped else "No release is recorded: all of it would be new."
        return paragraphs([heading, nothing])
    if found.before == found.sha:
        return paragraphs([heading, f"Nothing: {code(short(found.sha))} is what was released last."])
    known = "which was released before it" if shipped else "which was released last"
    return paragraphs(
        [
            "\n".join([heading, difference(found.before, found.sha, found.comparison, known=known)]),
            _behind(found),
            _pull_requests(found.comparison),
            _migrations(found.migrations),
            commit_list(found.comparison, where=" in this release" if shipped else ""),
        ]
    )


def _behind(found: Difference) -> str:
    behind = found.comparison.behind_by if found.comparison else 0
    if not behind:
        return ""
    return f"It lacks {count(behind, 'commit')} that {code(short(found.before))} has: those would be gone."


def _pull_requests(comparison: Comparison | None) -> str:
    """Return by which pull requests it came. Without links: those would be told in each of them."""
    numbers = pull_requests(one.subject for one in comparison.commits) if comparison else ()
    if not numbers:
        return ""
    return f"**{count(len(numbers), 'pull request')}**: {listing([f'PR {number}' for number in numbers])}."


def _migrations(names: Sequence[str]) -> str:
    if not names:
        return ""
    listed = ", ".join(map(code, names))
    return f"**{count(len(names), 'migration')}** among them: {listed}. A way back does not undo them."
