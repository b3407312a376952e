"""What people put on environments: claims (``/lock``) and freezes, beside the hold that a rollback leaves."""

from __future__ import annotations

from datetime import datetime

from bot.core.config import duration_between
from bot.core.facts import Lock, LockRecord
from bot.core.outcome import Reason, Refusal

SHORTEST = 60.0  # seconds
LONGEST = 30 * 86_400.0


def over(mark: Lock | None, now: datetime) -> bool:
    """Whether a mark was for a time that has passed."""
    record = mark.record if mark is not None else None
    return record is not None and record.expires is not None and record.expires <= now


def belongs(record: LockRecord, *, actor: str, thread: int) -> bool:
    """Whether a claim is that of a thread, or of somebody who made it on none or speaks for it himself.

    ``thread``: the pull request where a command was said, 0 if it was said on none.
    """
    if record.pull_request and record.pull_request == thread:
        return True
    return not record.pull_request and record.actor.lower() == actor.lower()


def lasting(verb: str, text: str, default: float) -> float | Refusal:
    """Read ``--for``; returns seconds (0: without end)."""
    if not text:
        return default
    seconds = duration_between(text, SHORTEST, LONGEST)
    if seconds is not None:
        return seconds
    return Refusal(
        reason=Reason.BAD_ARGUMENTS,
        sentence=f"`--for={text}` is no time between one minute and thirty days.",
        next=f'`/{verb} … --for=4h --reason="…"`',
    )


def claimed(environment: str, claim: Lock) -> Refusal:
    """Return the refusal that names whose an environment is for now."""
    record = claim.record
    if record is None:
        return Refusal(
            reason=Reason.CLAIMED,
            sentence=f"`{environment}` is locked, and the lock's record cannot be read.",
            next=f"`/unlock {environment} --force` takes it away",
        )
    whose = f"for #{record.pull_request} by {record.actor}" if record.pull_request else f"by {record.actor}"
    return Refusal(
        reason=Reason.CLAIMED,
        sentence=f"`{environment}` is locked {whose}{until(record)}{_why(record)}.",
        next=f"Ask {record.actor}, or wait. Admins may `/unlock {environment} --force`",
    )


def frozen(environment: str, freeze: Lock) -> Refusal:
    """Return the refusal of whatever is no rollback."""
    record = freeze.record
    by = f" by {record.actor}{until(record)}{_why(record)}" if record else ""
    return Refusal(
        reason=Reason.FROZEN,
        sentence=f"`{environment}` is frozen{by}. Rollbacks are still possible.",
        next=f"Wait, or have it lifted: `/unfreeze {environment}`",
    )


def until(record: LockRecord) -> str:
    """Return when a mark is over, as a part of a sentence."""
    return f" until {record.expires:%Y-%m-%d %H:%M} UTC" if record.expires else ""


def _why(record: LockRecord) -> str:
    return f": {record.reason}" if record.reason else ""
