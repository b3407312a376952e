"""Holds an environment while it is changed: claimed atomically, reaped when its owner is gone.

A release holds it until it has ended. A preview holds it for a moment, while one revision is made or a tag is taken
off: such a lock names when it runs out, and nobody is refused because of it. Whoever comes meanwhile waits.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from bot.core.facts import Lock, LockRecord
from bot.core.ports import GitHub
from bot.engine.clock import Clock
from bot.errors import SlipwayError

PATIENCE = 600.0  # seconds that a release waits for moments, which may follow each other
POLL = 1.0
RACES = 3  # how often a lock may go as we ask whose it is, and another one be there


def acquire(
    github: GitHub, record: LockRecord, *, seen: Lock | None, seen_alive: bool, clock: Clock
) -> tuple[Lock | None, Lock | None]:
    """Claim an environment: ``(the lock, None)`` if it is ours now, else ``(None, who holds it)``.

    ``seen`` is the lock that the facts found, ``seen_alive`` whether its owner still runs. A dead owner's lock is
    deleted by compare and swap, so that of two who reap it only one claims. A lock of this very run and attempt is
    ours: an earlier claim whose reply was lost. One that is held for a moment is waited for.
    """
    if seen is not None and seen.record is not None:
        if (seen.record.run_id, seen.record.run_attempt) == (record.run_id, record.run_attempt):
            return seen, None
        if not seen_alive:
            github.release_lock(seen)
    deadline, gone = clock.now() + PATIENCE, 0
    while True:
        taken = github.take_lock(record)
        if taken is not None:
            return taken, None
        held = github.lock(record.environment) or Lock(environment=record.environment, oid="", record=None)
        if not held.oid and gone < RACES:  # it went as we asked whose it is
            gone += 1
            continue
        if held.record is None or held.record.expires is None or clock.now() > deadline:
            return None, held
        if run_out(held.record, clock.now()):
            github.release_lock(held)
        elif clock.wait(POLL):
            return None, held


def acquire_for_a_moment(
    github: GitHub,
    record: Callable[[], LockRecord],
    *,
    alive: Callable[[LockRecord], bool],
    clock: Clock,
    patience: float,
) -> tuple[Lock | None, Lock | None]:
    """Claim an environment that a release may hold, waiting ``patience`` seconds at most; answers as :func:`acquire`.

    ``record`` makes the record anew for each try, for it names when the lock runs out. A lock whose owner is no longer
    ``alive`` is deleted by compare and swap.
    """
    deadline = clock.now() + patience
    while True:
        taken = github.take_lock(record())
        if taken is not None:
            return taken, None
        held = github.lock(record().environment)
        gone = (
            held is not None
            and held.record is not None
            and (run_out(held.record, clock.now()) or not alive(held.record))
        )
        if held is not None and gone:
            github.release_lock(held)
        now = clock.now()
        if now >= deadline or clock.wait(0.0 if gone else min(POLL * 5, deadline - now)):
            return None, held or Lock(environment=record().environment, oid="", record=None)


def run_out(record: LockRecord, now: float) -> bool:
    """Whether a lock was for a moment that is over."""
    return record.expires is not None and record.expires.timestamp() <= now


def let_go(github: GitHub, lock: Lock) -> None:
    """Give a lock back. One that cannot be given back is reaped: it runs out, or its run will be over."""
    with suppress(SlipwayError):
        github.release_lock(lock)
