"""The parts of a release's report: steps, checks, services, what failed, what ships, the timeline."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.core.checks import CheckResult
from bot.core.facts import Comparison
from bot.core.outcome import ReleaseReport, ServiceLine, StepResult
from bot.core.titles import place
from bot.report.markdown import address, cell, code, code_link, details, fence, link, prose, row, tail
from bot.report.words import clock, count, duration, listing, short

STEP_SIGNS = {"waiting": "⬜", "running": "🔄", "done": "✅", "failed": "❌", "skipped": "⏭️", "cancelled": "⏹️"}
_COMMITS = 20
_DAY = 86_400
_SECTIONS = ("Prepare", "Roll out", "Live", "Restore")
_SECTION_OF = {
    "gates": 0,
    "build": 0,
    "run_job": 0,
    "verify": 0,
    "rollout": 1,
    "shift": 2,
    "analysis": 2,
    "watch": 2,
    "restore": 3,
}
# Words that begin another statement in mermaid's gantt grammar, which takes letters outside of ASCII for their end.
_GANTT_STATEMENT = re.compile(
    r"(?:gantt|section|title|click|call|href|dateformat|axisformat|tickinterval|excludes|includes|todaymarker|weekday"
    r"|weekend|topaxis|inclusiveenddates|acctitle|accdescr)\b",
    re.IGNORECASE | re.ASCII,
)


def steps_table(report: ReleaseReport) -> str:
    """Return the table of steps. Of a release that ended, what never began is said to be not reached."""
    if not report.steps:
        return ""
    lines = [row("", "Step", "Took", "Detail"), "|:-:|---|--:|---|"]
    for step in report.steps:
        missed = step.state == "waiting" and report.state != "running"
        detail = "not reached" if missed else prose(step.detail, 200)
        lines.append(row(STEP_SIGNS[step.state], link(step.title, step.link), took(step, report.now), detail))
    return "\n".join(lines)


def took(step: StepResult, now: float) -> str:
    """Return how long a step took, or has taken so far; ``""`` for one that never began."""
    return duration((step.ended or now) - step.started) if step.started else ""


def checks_table(steps: Sequence[StepResult], *, failed_only: bool = False) -> str:
    """Return what was found beside what was expected, ``""`` if there is nothing to show.

    The column that names the step is there only when checks of several steps are shown, and names each once.
    """
    found = [(step, check) for step in steps for check in step.checks if not (failed_only and check.passed)]
    if not found:
        return ""
    several = len({step.id for step, _ in found}) > 1
    heads = [*(["When"] if several else []), "Check", "Expected", "Found"]
    lines = [row("", *heads), "|:-:|" + "---|" * len(heads)]
    told = ""
    for step, check in found:
        sign, when = "✅" if check.passed else "❌", [cell(step.title) if step.id != told else ""] if several else []
        told = step.id
        lines.append(row(sign, *when, prose(check.name, 120), prose(check.expected, 160), _found(check)))
    return "\n".join(lines)


def _found(check: CheckResult) -> str:
    attempts = f"{count(check.attempts, 'attempt')}" if check.attempts > 1 else ""
    seconds = duration(check.seconds) if check.seconds >= 0.05 else ""
    return " · ".join(filter(None, [prose(check.found, 200), attempts, seconds]))


def services_table(services: Sequence[ServiceLine], *, tried: bool) -> str:
    """Return what serves now, service by service; with ``tried`` also what was tried there."""
    if not services:
        return ""
    heads = ["Service", *(["Tried"] if tried else ["Before"]), "Serving now"]
    lines = [row(*heads), "|---" * len(heads) + "|"]
    for line in services:
        other = line.tried if tried else line.before
        lines.append(row(code_link(place(line.service), line.url), code(other) or "—", serving_now(line)))
    return "\n".join(lines)


def serving_now(line: ServiceLine) -> str:
    """Return a service's sign, revision and share of the traffic."""
    sign = "✅" if line.healthy else "❌"
    if not line.asked:
        return "❔ could not be asked"
    if not line.now:
        return "nothing" if line.healthy else f"{sign} nothing"
    return f"{sign} {code(line.now)} {line.now_percent} %"


def first_errors(report: ReleaseReport) -> list[str]:
    """Return the first error line of each failed step, with the way to its logs. Steps with the same error share it."""
    blocks: list[str] = []
    for error, steps in _errors(report).items():
        logs = [link("logs", step.diagnosis.link) for step in steps if step.diagnosis and address(step.diagnosis.link)]
        titles = listing([f"*{cell(step.title)}*" for step in steps])
        if error:
            where = f" ({logs[0]})" if logs else ""
            blocks.append(f"**First error** in {titles}{where}:\n{fence(tail([error], 6))}")
        elif logs:
            blocks.append(f"{titles} {'has' if len(steps) == 1 else 'have'} {', '.join(logs)}.")
    return blocks


def log_tails(report: ReleaseReport, lines: int) -> list[str]:
    """Return the folded end of each failed step's log, at most ``lines`` lines of each.

    Of steps with the same first error, one log is enough: their other lines differ in times and numbers only.
    """
    shown = [step for error, steps in _errors(report).items() for step in (steps[:1] if error else steps)]
    return [
        details(
            f"Last {count(min(lines, len(diagnosis.tail)), 'line')} of {step.title}", fence(tail(diagnosis.tail, lines))
        )
        for step in shown
        if (diagnosis := step.diagnosis) is not None and diagnosis.tail
    ]


def _errors(report: ReleaseReport) -> dict[str, list[StepResult]]:
    """Return the failed steps by their first error, in the order of the steps."""
    found: dict[str, list[StepResult]] = {}
    for step in report.steps:
        if step.state == "failed" and step.diagnosis is not None:
            found.setdefault(step.diagnosis.error, []).append(step)
    return found


def commits(report: ReleaseReport) -> str:
    """Return the folded list of commits that are new, newest first, ``""`` when it is not known or empty."""
    return commit_list(report.comparison)


def commit_list(comparison: Comparison | None, *, where: str = " in this release") -> str:
    """Return the folded list of a comparison's commits, newest first. ``where`` ends its title."""
    if comparison is None or not comparison.commits:
        return ""
    newest = list(reversed(comparison.commits))[:_COMMITS]
    lines = [f"- {code_link(short(one.sha), one.url)} {cell(one.subject, 120)}{_by(one.author)}" for one in newest]
    more = max(comparison.ahead_by, len(comparison.commits)) - len(newest)
    if more > 0:
        lines.append(f"- and {count(more, 'earlier commit')}")
    return details(f"{count(comparison.ahead_by, 'commit')}{where}", "\n".join(lines))


def gantt(report: ReleaseReport) -> str:
    """Return the timeline as a mermaid gantt chart, ``""`` when no step has run.

    Times are offsets from the release's start, durations whole seconds of at least one: mermaid refuses less. A day is
    the most that ``HH:mm:ss`` can tell, so a longer release has no chart.
    """
    ran = [step for step in report.steps if step.started]
    if not ran or report.now - report.started >= _DAY:
        return ""
    lines = ["gantt", "    dateFormat HH:mm:ss", "    axisFormat %M:%S"]
    section = -1
    for step in ran:
        # Each section is there once and in this order (mermaid labels a second one of the same name wrongly); a
        # verification belongs to what went before it.
        later = max(section, _SECTION_OF[step.kind])
        if later != section:
            section = later
            lines.append(f"    section {_SECTIONS[section]}")
        offset = clock(max(0.0, step.started - report.started))
        seconds = max(1, round((step.ended or report.now) - step.started))
        state = "done" if step.state == "done" else "crit" if step.state == "failed" else "active"
        lines.append(f"    {_gantt_name(step.title)} :{state}, {offset}, {seconds}s")
    return fence("\n".join(lines), "mermaid")


def _gantt_name(title: str) -> str:
    """Return a title that mermaid reads as a task's name: letters, digits and blanks, no keyword first.

    Two percent signs would begin a comment.
    """
    plain = re.sub(r"%+", "%", re.sub(r"[^\w .()/%-]|_", " ", title))
    name = " ".join(plain.split())[:60] or "step"
    return f"step {name}" if _GANTT_STATEMENT.match(name) else name


def _by(author: str) -> str:
    return f" ({cell(author, 60)})" if author else ""
