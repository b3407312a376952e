"""The answer to ``/lock``, ``/unlock``, ``/freeze`` and ``/unfreeze``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.core.facts import Lock, LockRecord, MarkKind
from bot.core.marks import until
from bot.report.comment import paragraphs
from bot.report.markdown import cell, code, prose
from bot.report.words import day_time

_NOUNS: Mapping[MarkKind, str] = {"hold": "hold", "claim": "lock", "freeze": "freeze"}
_AFTERWARDS: Mapping[MarkKind, tuple[str, str]] = {
    "hold": ("🔓", "pushes release it again"),
    "claim": ("🔓", "others may release to it again"),
    "freeze": ("🌤️", "it may be released to again"),
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happened to an environment's mark of a kind: it was ``put``, or ``lifted``, or there was none.

    ``stays``: somebody has put another there meanwhile.
    """

    environment: str
    kind: MarkKind
    put: Lock | None = None
    lifted: Lock | None = None
    stays: Lock | None = None


def marks_comment(changes: Sequence[Change], *, marker: str) -> str:
    """Return what was put on environments, or taken off."""
    lines = [_put(one) if one.put else _lifted(one) for one in changes]
    if len(lines) == 1:
        return paragraphs([f"{marker}\n{lines[0]}"])
    return paragraphs([marker, "\n".join(f"- {line}" for line in lines)])


def _put(change: Change) -> str:
    where, name = f"**{cell(change.environment)}**", change.environment
    record = change.put.record if change.put else None
    why = _why(record)
    if record is None:
        return where
    if change.kind == "freeze":
        lift = code(f"/unfreeze {name}")
        return f"🧊 {where} is frozen{until(record)}{why}. Rollbacks are still possible. Lift it: {lift}"
    whose = f"PR {record.pull_request}" if record.pull_request else prose(record.actor, 60)
    return f"🔒 {where} is kept for {whose}{until(record)}{why}. Give it free: {code(f'/unlock {name}')}"


def _lifted(change: Change) -> str:
    where = f"**{cell(change.environment)}**"
    if change.lifted is None:
        was = {"freeze": "not frozen"}.get(change.kind, "neither locked nor on hold")
        return f"{where} was {was}. Nothing was changed."
    if change.stays is not None:
        who = f" by {cell(change.stays.record.actor)}" if change.stays.record else ""
        return f"⚠️ There is a newer {_NOUNS[change.kind]} on {where}{who}: it stays. Look at {code('/status')}."
    record = change.lifted.record
    by = f" that {cell(record.actor)} left at {day_time(record.since.timestamp())} UTC" if record else ""
    icon, then = _AFTERWARDS[change.kind]
    return f"{icon} The {_NOUNS[change.kind]} on {where}{by}{_why(record)} is lifted: {then}."


def _why(record: LockRecord | None) -> str:
    return f" ({prose(record.reason, 120)})" if record is not None and record.reason else ""
