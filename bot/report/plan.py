"""The comment of a dry run: what would change, as a diff that a person can read, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

from bot.core.changes import Change
from bot.core.outcome import PlanReport
from bot.report.comment import paragraphs
from bot.report.headline import difference
from bot.report.markdown import cell, code, fence, prose
from bot.report.sections import commit_list
from bot.report.words import count, duration, short

_WIDTH = 24  # characters in which the names of a diff stand under each other
_LONGEST = 100  # characters of a value that are shown


def plan_comment(report: PlanReport, *, marker: str) -> str:
    """Return what a release or rollback would do."""
    toward = "to" if report.verb == "deploy" else "back on"
    usual = f" · usually {duration(report.usual_seconds)}" if report.usual_seconds else ""
    heading = (
        f"{marker}\n### 📋 Dry run · {code(short(report.sha))} {toward} **{cell(report.environment)}**"
        f" · plan {code(report.fingerprint)}{usual}"
    )
    run = code(f"{report.again} --plan={report.fingerprint}")
    return paragraphs(
        [
            "\n".join(filter(None, [heading, _against(report)])),
            f"Nothing was changed. To run exactly this: {run}",
            _changes(report.changes),
            _migrations(report),
            _notes(report.notes),
            _steps(report.waves),
            commit_list(report.comparison),
        ]
    )


def _against(report: PlanReport) -> str:
    return difference(report.previous_sha, report.sha, report.comparison)


def _changes(changes: Sequence[Change]) -> str:
    """Return the changes as a diff, service by service."""
    if not changes:
        return "Nothing would change but the revisions."
    lines: list[str] = []
    for where in dict.fromkeys(change.where for change in changes):
        lines.append(f"  {where}")
        for change in changes:
            if change.where == where:
                lines += _lines(change)
    return fence("\n".join(lines), "diff")


def _lines(change: Change) -> list[str]:
    name = change.what.ljust(_WIDTH)
    gone = [f"-   {name} {_cut(change.before)}"] if change.before else []
    new = [f"+   {name} {_cut(change.after)}"] if change.after else []
    return gone + new


def _cut(value: str) -> str:
    line = " ".join(value.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _migrations(report: PlanReport) -> str:
    if not report.migrations:
        return ""
    names = ", ".join(map(code, report.migrations))
    return f"**{count(len(report.migrations), 'migration')}** among them: {names}. A way back does not undo them."


def _notes(notes: Sequence[str]) -> str:
    return "\n".join(f"- Left out: {prose(note, 200)}" for note in notes)


def _steps(waves: Sequence[Sequence[str]]) -> str:
    """Return the steps in their order; what stands on one line runs at the same time."""
    return "\n".join(f"{number}. {' · '.join(prose(title) for title in wave)}" for number, wave in enumerate(waves, 1))
