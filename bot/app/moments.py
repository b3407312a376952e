"""Holding an environment for a moment: a preview changes it while no release does, and never keeps one waiting long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from bot.app.context import Context
from bot.core.facts import Lock, LockRecord
from bot.core.outcome import Refusal
from bot.core.policy import locked
from bot.engine.locking import acquire_for_a_moment, let_go
from bot.errors import SlipwayError

LONG = 900.0  # seconds to wait for a release to end; a sweep comes again, and does not wait
SHORT = 30.0
_SPARE = 60.0  # seconds that a moment may take beside what it is for
NOBODY = "slipway"  # who holds an environment when nobody asked


class HeldError(SlipwayError):
    """Somebody else holds the environment, and did not let go in time."""

    reason = "locked"

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.sentence, hint=refusal.next)
        self.refusal = refusal


@contextmanager
def moment(
    context: Context, environment: str, *, sha: str, actor: str, number: int, takes: float, patience: float
) -> Iterator[None]:
    """Hold an environment while it is changed. ``takes``: seconds that the change may take at most.

    A release that comes meanwhile waits for that long. After it the lock may be taken away: what is still under way
    then changes tags alone, under an etag, beside whatever serves by then.

    Raises:
        HeldError: it was not to be had within ``patience`` seconds, or the run was asked to stop.
    """
    run, clock = context.settings.run, context.clock

    def record() -> LockRecord:
        since = datetime.fromtimestamp(clock.now(), UTC)
        return LockRecord(
            environment=environment,
            run_id=run.id,
            run_attempt=run.attempt,
            actor=actor or NOBODY,
            pull_request=number or None,
            sha=sha,
            since=since,
            reason="a preview",
            expires=since + timedelta(seconds=takes + _SPARE),
        )

    def alive(other: LockRecord) -> bool:
        return other.run_id != run.id and context.github.run_alive(other.run_id, other.run_attempt)

    ours, held = acquire_for_a_moment(context.github, record, alive=alive, clock=clock, patience=patience)
    if ours is None:
        raise HeldError(locked(environment, held or Lock(environment=environment, oid="", record=None)))
    try:
        yield
    finally:
        let_go(context.final, ours)
