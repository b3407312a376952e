"""The comment of a release: one comment, edited in place, true at every moment.

Every function here takes values and returns Markdown. All text from elsewhere goes through
:mod:`bot.report.markdown`; the finished body goes through :func:`bot.report.limits.fit` before it is sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import assert_never
from urllib.parse import quote, unquote

from bot.core.outcome import ReleaseReport, StepResult
from bot.report.headline import failed_step, headline, subline
from bot.report.markdown import address, cell, code, details, prose
from bot.report.provenance import provenance_lines
from bot.report.sections import checks_table, commits, first_errors, gantt, log_tails, services_table, steps_table
from bot.report.words import bar, clock, count, duration, listing, short

_MARKER = re.compile(r"<!-- slipway:v1 ([^<>\r\n]*) -->")
_UNDER_WAY = re.compile(r"<!-- slipway:v1 [^<>\r\n]*-->\r?\n### (?:🟡|🟠) ")  # the verdicts of a state that is running
# The titles of :mod:`bot.report.headline` at an end; a preview's have other words.
_OVER = re.compile(r"<!-- slipway:v1 [^<>\r\n]*-->\r?\n### (?:🟢|🔴|⚪) (?:`|\*\*|Deploying |Rolling )")
_NEARLY = 0.95  # a release that is not over never shows a full bar


def marker(command_id: str, *, environment: str = "", sha: str = "", told: int = 0) -> str:
    """Return the hidden first line by which the bot finds its own comment again.

    Values are percent-encoded, also a double hyphen, which an HTML comment may not hold. ``told``: the deployment of
    whose end a comment tells somebody, for a comment that is a mention and no report.
    """
    pairs = (("id", command_id), ("env", environment), ("sha", sha), ("told", str(told or "")))
    words = " ".join(f"{key}={quote(value, safe=':.').replace('--', '-%2D')}" for key, value in pairs if value)
    return f"<!-- slipway:v1 {words} -->"


def read_marker(body: str) -> dict[str, str]:
    """Return what a comment's hidden first line says (``id``, ``env``, ``sha``), nothing if it has none of ours."""
    found = _MARKER.match(body)
    pairs = (pair.partition("=") for pair in found[1].split()) if found else ()
    return {name: unquote(value) for name, _, value in pairs}


def under_way(body: str) -> bool:
    """Whether a comment says that a release is under way."""
    return bool(_UNDER_WAY.match(body))


def over(body: str) -> bool:
    """Whether a comment is the report of a release that has ended, or a mention of one."""
    return bool(_OVER.match(body)) or bool(read_marker(body).get("told"))


def release_comment(report: ReleaseReport, *, marker: str, block: str = "") -> str:
    """Return the comment of a release or rollback as it stands. ``block``: its signed block, ``""`` without a key."""
    return f"{marker}\n{paragraphs([release_body(report).rstrip(), block])}"


def release_body(report: ReleaseReport, *, log_lines: int = 40) -> str:
    """Return the visible part of the comment, with at most the last ``log_lines`` lines of each failed step's log."""
    match report.state:
        case "running":
            blocks = _running(report)
        case "released":
            blocks = _released(report)
        case "failed" | "cancelled":
            blocks = _not_released(report, log_lines)
        case _:
            assert_never(report.state)
    heading = f"{headline(report)}\n{subline(report)}".rstrip()
    return paragraphs([heading, *blocks, _footer(report)])


def paragraphs(blocks: Sequence[str]) -> str:
    """Join blocks of Markdown with an empty line between, leaving out empty ones."""
    return "\n\n".join(block for block in blocks if block) + "\n"


def next_line(entries: Sequence[str]) -> str:
    """Return what to type or do next, ``""`` if there is nothing.

    An entry is a command, a command after its case (``after a fix: /deploy staging``), or a sentence. The line never
    begins with a slash, so that no other bot takes it for a command.
    """
    return f"**Next:** {' · '.join(instruction(entry) for entry in entries)}" if entries else ""


def instruction(entry: str) -> str:
    """Return one entry of :func:`next_line`, its command as inline code."""
    if entry.startswith("/"):
        return code(entry)
    case, colon, command = entry.rpartition(": /")
    return f"{prose(case)}: {code('/' + command)}" if colon and "`" not in entry else prose(entry)


def _running(report: ReleaseReport) -> list[str]:
    return [
        _overridden(report),
        prose(report.sentence),
        steps_table(report),
        _notes(report),
        checks_table(report.steps),
        _progress(report),
        _behind(report),
        next_line(report.next),
        commits(report),
    ]


def _released(report: ReleaseReport) -> list[str]:
    early, late = _by_traffic(report.steps)
    return [
        _overridden(report),
        prose(report.sentence),
        _warnings(report),
        checks_table(late),
        _notes(report),
        _not_undone(report),
        _on_hold(report),
        _behind(report),
        next_line(report.next),
        _folded(f"{count(sum(len(step.checks) for step in early), 'check')} before traffic", [checks_table(early)]),
        _folded(
            "What serves",
            [services_table(report.services, tried=False), _artifact(report), provenance_lines(report.provenance)],
        ),
        commits(report),
        _folded("Timeline and steps", [steps_table(report), gantt(report)]),
    ]


def _by_traffic(steps: Sequence[StepResult]) -> tuple[Sequence[StepResult], Sequence[StepResult]]:
    """Split the steps where the first traffic moves: what was checked before says less than what was checked after.

    Without any check after it, all of them count as such.
    """
    at = next((index for index, step in enumerate(steps) if step.kind == "shift"), 0)
    return (steps[:at], steps[at:]) if any(step.checks for step in steps[at:]) else ((), steps)


def _not_released(report: ReleaseReport, log_lines: int) -> list[str]:
    return [
        _callout(report),
        _overridden(report),
        services_table(report.services, tried=True),
        checks_table(report.steps, failed_only=True),
        *first_errors(report),
        _not_undone(report),
        _behind(report),
        next_line(report.next),
        *log_tails(report, log_lines),
        commits(report),
        _folded("Timeline and steps", [steps_table(report), _all_checks(report), gantt(report)]),
    ]


def _callout(report: ReleaseReport) -> str:
    """Return the box that says what happened, who saw it, and how the way back went."""
    bold = "**Not everything was brought back: look at what serves now.**" if report.restored is False else ""
    lines = [bold, prose(report.sentence), _exposure(report), prose(report.restore_detail)]
    kind = "NOTE" if report.state == "cancelled" and report.restored is not False else "CAUTION"
    text = " ".join(filter(None, lines))
    return f"> [!{kind}]\n> {text}" if text else ""


def _exposure(report: ReleaseReport) -> str:
    """Return how long users saw what failed. That nobody saw it is said only where that is certain."""
    if report.exposed_seconds > 0:
        return f"Users saw it for {duration(report.exposed_seconds)}{' so far' if report.restored is False else ''}."
    shifts = [step for step in report.steps if step.kind == "shift"]
    untouched = not any(step.started for step in shifts) if shifts else report.restored is None
    well = report.restored is not False and all(line.healthy for line in report.services)
    return "No user saw it." if report.verb == "deploy" and untouched and well else ""


def _progress(report: ReleaseReport) -> str:
    """Return the bar: by the usual time where one is known, else by steps, and how to stop."""
    elapsed = max(0.0, report.now - report.started)
    steps = len(report.steps)
    done = sum(step.state in {"done", "skipped"} for step in report.steps)
    if report.usual_seconds > 0:
        fraction = elapsed / report.usual_seconds
        words = f"{'longer than the usual' if fraction > 1 else 'usually'} {duration(report.usual_seconds)}"
    else:
        fraction = done / steps if steps else 0.0
        words = f"{done} of {count(steps, 'step')} done" if steps else "about to start"
    stop = f" · to stop: {code(f'/cancel {report.environment}')}, which brings back what served before"
    return f"{code(bar(min(fraction, _NEARLY)))} {words}{'' if failed_step(report) else stop}"


def _behind(report: ReleaseReport) -> str:
    if report.behind_by <= 0:
        return ""
    newer = f"{count(report.behind_by, 'newer commit')} {'is' if report.behind_by == 1 else 'are'}"
    return f"**Behind by {report.behind_by}:** {newer} on the branch and not in this release."


def _not_undone(report: ReleaseReport) -> str:
    return f"**Not undone:** {', '.join(prose(item, 200) for item in report.not_undone)}." if report.not_undone else ""


def _warnings(report: ReleaseReport) -> str:
    """Return the box of what wants a look although the release is live."""
    if not report.warnings:
        return ""
    back = f"To go back: {code(f'/rollback {report.environment}')}"
    return "\n".join(["> [!WARNING]", *(f"> {prose(warning)}" for warning in report.warnings), f"> {back}"])


def _overridden(report: ReleaseReport) -> str:
    """Return the box that tells, from the first moment on, that gates were overridden."""
    if not report.overridden:
        return ""
    issue = f" · [the issue]({address(report.issue_url)})" if report.issue_url else ""
    lines = [f"> [!WARNING]\n> **Break-glass**{issue}", *(f"> {prose(one)}" for one in report.overridden)]
    return "\n>\n".join(lines)


def _notes(report: ReleaseReport) -> str:
    return "\n".join(f"- Left out: {prose(note, 200)}" for note in report.notes)


def _on_hold(report: ReleaseReport) -> str:
    if not report.on_hold:
        return ""
    unlock = code(f"/unlock {report.environment}")
    return f"**On hold:** pushes do not release {cell(report.environment)} until {unlock}."


def _artifact(report: ReleaseReport) -> str:
    """Return what was released, where it was taken from, and what else is in it."""
    if not report.digest:
        return ""
    taken = f", taken from **{cell(report.promoted_from)}**" if report.promoted_from else ""
    others = [f"{code(name)} at {code(short(sha))}" for name, sha in report.sources.items()]
    joined = f", with {listing(others)}" if others else ""
    return f"Artifact: {code(report.digest)}{taken}{joined}"


def _all_checks(report: ReleaseReport) -> str:
    """Return every check of a release that failed, unless all of them failed: those are shown above already."""
    return checks_table(report.steps) if any(check.passed for step in report.steps for check in step.checks) else ""


def _folded(summary: str, blocks: Sequence[str]) -> str:
    body = "\n\n".join(filter(None, blocks))
    return details(summary, body) if body else ""


def _footer(report: ReleaseReport) -> str:
    number = f"deployment {report.deployment_id} · " if report.deployment_id else ""
    return f"<sub>{number}updated {clock(report.now)} UTC</sub>"
