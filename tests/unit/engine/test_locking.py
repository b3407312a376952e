"""Locks for a moment: nobody is refused because of one, and nobody waits for ever."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.core.facts import Lock, LockRecord
from bot.engine import locking
from bot.engine.locking import acquire, acquire_for_a_moment, let_go, run_out
from bot.errors import UpstreamError


class Locks:
    """The part of GitHub that locks want. ``after``: who holds the environment until when, by the clock."""

    def __init__(self, clock: Any, *holders: tuple[LockRecord | None, float]) -> None:
        self.clock, self.holders = clock, list(holders)
        self.ours: Lock | None = None
        self.tries = 0
        self.released: list[Lock] = []

    def _held(self) -> Lock | None:
        while self.holders and self.clock.now() >= self.holders[0][1]:
            self.holders.pop(0)
        return Lock(environment="staging", oid="1", record=self.holders[0][0]) if self.holders else self.ours

    def lock(self, _environment: str) -> Lock | None:
        return self._held()

    def take_lock(self, wanted: LockRecord) -> Lock | None:
        self.tries += 1
        if self._held() is not None:
            return None
        self.ours = Lock(environment="staging", oid="ours", record=wanted)
        return self.ours

    def release_lock(self, seen: Lock) -> bool:
        self.released.append(seen)
        if self.holders:
            self.holders.pop(0)
        return True


def record(clock: Any, run: int = 5, *, expires: float | None = None) -> LockRecord:
    now = datetime.fromtimestamp(clock.now(), UTC)
    return LockRecord(
        environment="staging", run_id=run, run_attempt=1, actor="dana", pull_request=7, sha="a" * 40, since=now,
        expires=now + timedelta(seconds=expires) if expires is not None else None,
    )  # fmt: skip


def moment(locks: Locks, clock: Any, *, patience: float = 60.0, alive: bool = True) -> tuple[Lock | None, Lock | None]:
    github: Any = locks
    return acquire_for_a_moment(
        github, lambda: record(clock, expires=90.0), alive=lambda _: alive, clock=clock, patience=patience
    )


# -- a release meets a moment -------------------------------------------------------------------------------------------
def test_a_release_waits_for_a_moment_to_pass(clock: Any) -> None:
    github: Any = Locks(clock, (record(clock, 8, expires=300.0), clock.now() + 12.0))
    started = clock.now()
    got, held = acquire(github, record(clock), seen=None, seen_alive=True, clock=clock)
    assert got is not None
    assert held is None
    assert clock.now() - started == pytest.approx(12.0)
    assert github.released == []


def test_a_moment_that_has_run_out_is_taken_away(clock: Any) -> None:
    theirs = record(clock, 8, expires=30.0)
    github: Any = Locks(clock, (theirs, float("inf")))
    got, _ = acquire(github, record(clock), seen=None, seen_alive=True, clock=clock)
    assert got is not None
    assert [one.record for one in github.released] == [theirs]
    assert clock.waits == [1.0] * 30


def test_a_release_is_refused_by_a_release(clock: Any) -> None:
    theirs = record(clock, 8)
    github: Any = Locks(clock, (theirs, float("inf")))
    got, held = acquire(github, record(clock), seen=None, seen_alive=True, clock=clock)
    assert got is None
    assert held is not None
    assert held.record == theirs
    assert clock.waits == []


def test_moments_that_follow_each_other_do_not_keep_a_release_for_ever(clock: Any) -> None:
    github: Any = Locks(clock)
    github.take_lock = lambda _record: None
    github.lock = lambda _environment: Lock(environment="staging", oid="1", record=record(clock, 8, expires=60.0))
    started = clock.now()
    got, held = acquire(github, record(clock), seen=None, seen_alive=True, clock=clock)
    assert got is None
    assert held is not None
    assert locking.PATIENCE < clock.now() - started < locking.PATIENCE + 5.0


def test_a_release_that_is_stopped_waits_no_more(clock: Any) -> None:
    github: Any = Locks(clock, (record(clock, 8, expires=300.0), float("inf")))
    clock.stop_at = clock.now() + 3.0
    got, held = acquire(github, record(clock), seen=None, seen_alive=True, clock=clock)
    assert got is None
    assert held is not None
    assert len(clock.waits) == 3


# -- a moment meets whoever is there ----------------------------------------------------------------------------------
def test_a_moment_waits_for_a_release_to_end(clock: Any) -> None:
    locks = Locks(clock, (record(clock, 8), clock.now() + 42.0))
    got, held = moment(locks, clock)
    assert held is None
    assert got is not None
    assert got.record is not None
    # It runs out so long after it was had, not after it was first wanted.
    assert got.record.expires == got.record.since + timedelta(seconds=90)
    assert got.record.since.timestamp() == clock.now()


def test_but_not_for_ever(clock: Any) -> None:
    theirs = record(clock, 8)
    started = clock.now()
    got, held = moment(Locks(clock, (theirs, float("inf"))), clock, patience=33.0)
    assert got is None
    assert held is not None
    assert held.record == theirs
    assert clock.now() - started == pytest.approx(33.0)


def test_a_dead_owners_lock_is_taken_away_at_once(clock: Any) -> None:
    locks = Locks(clock, (record(clock, 8), float("inf")))
    got, _ = moment(locks, clock, alive=False)
    assert got is not None
    assert len(locks.released) == 1
    assert clock.waits == [0.0]


def test_an_unreadable_lock_is_waited_for_and_never_taken_away(clock: Any) -> None:
    locks = Locks(clock, (None, float("inf")))
    got, held = moment(locks, clock, alive=False, patience=10.0)
    assert got is None
    assert held is not None
    assert locks.released == []


def test_a_moment_that_is_stopped_waits_no_more(clock: Any) -> None:
    clock.stop_at = clock.now() + 5.0
    got, _ = moment(Locks(clock, (record(clock, 8), float("inf"))), clock)
    assert got is None
    assert clock.waits == [5.0]


def test_when_a_lock_runs_out(clock: Any) -> None:
    one = record(clock, expires=60.0)
    assert not run_out(one, clock.now() + 59.0)
    assert run_out(one, clock.now() + 60.0)
    assert not run_out(replace(one, expires=None), clock.now() + 9e9)


def test_a_lock_that_cannot_be_given_back_is_left(clock: Any) -> None:
    class Broken(Locks):
        def release_lock(self, seen: Lock) -> bool:
            super().release_lock(seen)
            raise UpstreamError("GitHub answered 502.", service="GitHub", operation="release", status=502)

    github: Any = Broken(clock)
    let_go(github, Lock(environment="staging", oid="1", record=None))
    assert len(github.released) == 1
