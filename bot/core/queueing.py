"""Waiting in line for an environment: who is before whom, who is not wanted any more, and when it is told.

That one waits for the other is GitHub's doing (``concurrency`` of the workflow). What is written down says who waits: a
newer command of a pull request replaces its older one, ``/cancel`` takes it out, and its job finds that at its turn.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from bot.core.facts import QueueEntry
from bot.core.outcome import Reason, Refusal

KEPT = timedelta(days=1)  # what is written down longer has been forgotten by a run that died


def joined(
    entries: Iterable[QueueEntry],
    new: QueueEntry,
    *,
    now: datetime,
    older: Collection[str] = (),
    gone: Collection[str] = (),
) -> tuple[QueueEntry, ...]:
    """Return the line with one more at its end. ``older`` are dropped for it; ``gone`` and what is old is forgotten."""
    kept = [one for one in entries if one.id not in {new.id, *gone} and now - one.since < KEPT]
    return (*dropped(kept, older, "replaced", new.actor), new)


def replaced(
    entries: Iterable[QueueEntry], *, thread: int, command_id: str, services: Collection[str] = ()
) -> tuple[QueueEntry, ...]:
    """Return what waits, was said on the same thread before, and is of no service that the new one is not of.

    ``services``: those that the new one names, none for all.
    """
    return tuple(
        one
        for one in waiting(entries)
        if one.thread == thread and one.thread and one.id != command_id and _covers(services, one.services)
    )


def _covers(new: Collection[str], old: Collection[str]) -> bool:
    return not new or (bool(old) and set(old) <= set(new))


def waiting(entries: Iterable[QueueEntry]) -> tuple[QueueEntry, ...]:
    """Return what is still wanted."""
    return tuple(one for one in entries if not one.dropped)


def dropped(
    entries: Iterable[QueueEntry], ids: Collection[str], why: Literal["cancelled", "replaced"], actor: str
) -> tuple[QueueEntry, ...]:
    """Return the line with some marked as not wanted any more. They stay, for their jobs to find that."""
    return tuple(
        replace(one, dropped=why, dropped_by=actor) if one.id in ids and not one.dropped else one for one in entries
    )


def left(entries: Iterable[QueueEntry], command_id: str, run_id: int) -> tuple[QueueEntry, ...]:
    """Return the line without one whose turn it is in a run.

    One that was dropped stays if another run waits with it, to which the same event was delivered again.
    """
    return tuple(one for one in entries if one.id != command_id or (one.dropped and one.run_id != run_id))


def found(entries: Iterable[QueueEntry], command_id: str) -> QueueEntry | None:
    """Return what is written down of a command."""
    return next((one for one in entries if one.id == command_id), None)


def unwanted(entry: QueueEntry | None, environment: str, again: str, *, now: datetime, limit: float) -> Refusal | None:
    """Return why a release does not start at its turn, None if it does.

    ``again`` is the command, ``limit`` how many seconds it may have waited behind others. (One that nobody was before
    may have waited for the reviewers of a GitHub environment, who take their time.)
    """
    if entry is None:
        return None
    if entry.dropped:
        return dropped_refusal(entry, environment, again)
    waited = (now - entry.since).total_seconds()
    if not entry.ahead or waited <= limit:
        return None
    return Refusal(
        reason=Reason.WAITED_TOO_LONG,
        sentence=f"It waited in line for `{environment}` for {round(waited / 60)} minutes, and may for "
        f"{limit / 60:g} (`gates.queue_time`).",
        next=f"If it is still wanted: `{again}`",
    )


def dropped_refusal(entry: QueueEntry, environment: str, again: str) -> Refusal:
    """Return what is said of a release that was taken out of the line."""
    if entry.dropped == "replaced":
        return Refusal(
            reason=Reason.REPLACED,
            sentence=f"While it waited for `{environment}`, a newer command on this thread took its place.",
            next="See how that one goes",
        )
    return Refusal(
        reason=Reason.DEQUEUED,
        sentence=f"While it waited for `{environment}`, {entry.dropped_by} took it out of the line.",
        next=f"If it is still wanted: `{again}`",
    )
