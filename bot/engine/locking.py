"""Holds an environment while a release runs: claimed atomically, reaped when its owner is gone."""

from __future__ import annotations

from bot.core.facts import Lock, LockRecord
from bot.core.ports import GitHub


def acquire(
    github: GitHub, record: LockRecord, *, seen: Lock | None, seen_alive: bool
) -> tuple[Lock | None, Lock | None]:
    """Claim an environment: ``(the lock, None)`` if it is ours now, else ``(None, who holds it)``.

    ``seen`` is the lock that the facts found, ``seen_alive`` whether its owner still runs. A dead owner's lock is
    deleted by compare and swap, so that of two who reap it only one claims. A lock of this very run and attempt is
    ours: an earlier claim whose reply was lost.
    """
    if seen is not None and seen.record is not None:
        if (seen.record.run_id, seen.record.run_attempt) == (record.run_id, record.run_attempt):
            return seen, None
        if not seen_alive:
            github.release_lock(seen)
    taken = github.take_lock(record)
    if taken is not None:
        return taken, None
    held = github.lock(record.environment)
    return None, held or Lock(environment=record.environment, oid="", record=None)
