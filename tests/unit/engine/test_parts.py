"""The small parts: clocks, reads at the same time, the live comment, locks."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.core.facts import Lock, LockRecord
from bot.engine.clock import RealClock, Unstoppable
from bot.engine.gathering import Gatherer
from bot.engine.gathering import known as given
from bot.engine.live_comment import LiveComment, usual_pause
from bot.engine.locking import acquire
from bot.errors import CancelledError, UpstreamError


# -- clocks ---------------------------------------------------------------------------------------------------------
def test_the_machines_clock_is_stopped_from_outside() -> None:
    clock = RealClock()
    assert clock.now() > 1_700_000_000
    assert not clock.stopping
    assert clock.wait(0.0) is False
    clock.sleep(0.0)
    clock.stop()
    assert clock.stopping
    assert clock.wait(3600.0) is True


def test_a_wait_inside_a_step_ends_with_the_run() -> None:
    clock = RealClock()
    clock.pause(0.0)
    clock.stop()
    with pytest.raises(CancelledError):
        clock.pause(3600.0)


def test_the_way_back_passes_on_the_time_but_no_wish_to_stop(clock: Any) -> None:
    clock.stop()
    steady = Unstoppable(clock)
    before = steady.now()
    assert steady.wait(2.0) is False
    steady.sleep(3.0)
    assert steady.now() == before + 5.0
    assert not steady.stopping


# -- reads ------------------------------------------------------------------------------------------------------------
def test_reads_run_at_the_same_time() -> None:
    barrier = threading.Barrier(3)
    gatherer = Gatherer()
    asked = [gatherer.ask(barrier.wait, 20.0) for _ in range(3)]
    assert sorted(future.result() for future in asked) == [0, 1, 2]
    gatherer.close()


def test_any_number_of_reads_may_wait_for_reads_of_their_own() -> None:
    gatherer, ready = Gatherer(), threading.Barrier(100)

    def read(number: int) -> int:
        ready.wait(20.0)  # all are under way before any of them asks
        return gatherer.ask(lambda: number).result(20.0)

    asked = [gatherer.ask(read, number) for number in range(100)]
    assert [future.result(20.0) for future in asked] == list(range(100))
    gatherer.close()


def test_a_read_is_asked_for_once_and_its_error_is_kept() -> None:
    calls: list[int] = []

    def read(number: int) -> int:
        calls.append(number)
        if number == 2:
            raise UpstreamError("No.", service="GitHub", operation="read")
        return number

    gatherer = Gatherer()
    assert gatherer.once(read, 1).result() == gatherer.once(read, 1).result() == 1
    for _ in range(2):
        with pytest.raises(UpstreamError):
            gatherer.once(read, 2).result()
    assert sorted(calls) == [1, 2]
    assert given(5).result() == 5
    gatherer.close()


# -- the live comment -------------------------------------------------------------------------------------------------
class Thread:
    """What is written, and events to wait for it."""

    def __init__(self, failures: int = 0) -> None:
        self.bodies: list[str] = []
        self.tries = 0
        self.failures = failures
        self.tried = threading.Semaphore(0)
        self.text = "one"

    def edit(self, body: str) -> None:
        self.tries += 1
        try:
            if self.tries <= self.failures:
                raise UpstreamError("502", service="GitHub", operation="edit", status=502)
            self.bodies.append(body)
        finally:
            self.tried.release()


def test_a_change_is_written_at_once_and_the_next_ones_are_held_back() -> None:
    thread = Thread()
    live = LiveComment(thread.edit, lambda: thread.text)
    live.start()
    live.changed()
    assert thread.tried.acquire(timeout=20.0)
    for number in range(50):
        thread.text = f"change {number}"
        live.changed()
    live.finish("last")
    assert thread.bodies == ["one", "last"]


def test_without_a_change_only_the_last_body_is_written() -> None:
    thread = Thread()
    live = LiveComment(thread.edit, lambda: thread.text)
    live.start()
    live.finish("last")
    assert thread.bodies == ["last"]


def test_what_is_there_already_is_not_written_again() -> None:
    thread = Thread()
    live = LiveComment(thread.edit, lambda: thread.text, written="last")
    live.finish("last")
    assert thread.bodies == []


def test_later_changes_are_written_when_their_time_comes() -> None:
    thread = Thread()
    live = LiveComment(thread.edit, lambda: thread.text, pause=lambda _: 0.0)
    live.start()
    for text in ("one", "two", "three"):
        thread.text = text
        live.changed()
        assert thread.tried.acquire(timeout=20.0)
    live.changed()  # nothing new: not written
    live.finish("last")
    assert thread.bodies == ["one", "two", "three", "last"]


def test_an_edit_that_fails_is_tried_again_without_a_change() -> None:
    thread = Thread(failures=2)
    live = LiveComment(thread.edit, lambda: thread.text, pause=lambda _: 0.0)
    live.start()
    live.changed()
    for _ in range(3):
        assert thread.tried.acquire(timeout=20.0)
    live.finish("last")
    assert thread.bodies == ["one", "last"]


def test_the_last_edit_tells_its_failure() -> None:
    thread = Thread(failures=9)
    live = LiveComment(thread.edit, lambda: thread.text)
    live.start()
    with pytest.raises(UpstreamError):
        live.finish("last")


@pytest.mark.parametrize(("running", "pause"), [(0.0, 2.0), (59.0, 2.0), (60.0, 10.0), (3600.0, 10.0)])
def test_a_release_that_takes_long_is_told_of_less_often(running: float, pause: float) -> None:
    assert usual_pause(running) == pause


def test_stopped_it_writes_no_more() -> None:
    thread = Thread()
    live = LiveComment(thread.edit, lambda: thread.text)
    live.start()
    live.stop()
    live.changed()
    live.stop()
    assert thread.bodies == []


# -- locks --------------------------------------------------------------------------------------------------------------
def record(run: int, attempt: int = 1) -> LockRecord:
    return LockRecord(
        environment="staging", run_id=run, run_attempt=attempt, actor="dana", pull_request=7, sha="a" * 40,
        since=datetime(2026, 3, 2, tzinfo=UTC),
    )  # fmt: skip


def lock(run: int, oid: str = "1", attempt: int = 1) -> Lock:
    return Lock(environment="staging", oid=oid, record=record(run, attempt))


class Locks:
    """The part of GitHub that locks want: a ref with compare and swap. ``faster`` takes it right before we do."""

    def __init__(self, held: Lock | None = None, faster: Lock | None = None) -> None:
        self.held, self.faster = held, faster
        self.released: list[Lock] = []

    def take_lock(self, wanted: LockRecord) -> Lock | None:
        self.held, self.faster = self.held or self.faster, None
        if self.held is not None:
            return None
        self.held = Lock(environment="staging", oid="new", record=wanted)
        return self.held

    def release_lock(self, seen: Lock) -> bool:
        self.released.append(seen)
        ours = self.held == seen
        self.held = None if ours else self.held
        return ours

    def lock(self, _environment: str) -> Lock | None:
        return self.held


MINE = record(5, 2)


@pytest.mark.parametrize(
    ("held", "faster", "seen", "alive", "ours", "whose", "released"),
    [
        (None, None, None, True, 5, None, 0),  # free
        (None, lock(8), None, True, None, 8, 0),  # somebody was faster
        (lock(8), None, lock(8), True, None, 8, 0),  # held
        (lock(8), None, lock(8), False, 5, None, 1),  # its owner is gone
        (lock(8), lock(9), lock(8), False, None, 9, 1),  # two reap it, one claims it
        (lock(9, "2"), None, lock(8), False, None, 9, 1),  # reaped and claimed before we came
        (None, None, lock(8), False, 5, None, 1),  # it ended in the meantime
        (lock(5, attempt=2), None, lock(5, attempt=2), False, 5, None, 0),  # ours: a lost reply
        (lock(5, attempt=1), None, lock(5, attempt=1), False, 5, None, 1),  # this run's earlier attempt
    ],
)
def test_a_lock_is_claimed_by_one(
    clock: Any, held: Any, faster: Any, seen: Any, alive: bool, ours: Any, whose: Any, released: int
) -> None:
    github: Any = Locks(held, faster)
    got, other = acquire(github, MINE, seen=seen, seen_alive=alive, clock=clock)
    assert (got.record.run_id if got and got.record else None) == ours
    assert (other.record.run_id if other and other.record else None) == whose
    assert len(github.released) == released


def test_an_unreadable_lock_is_never_reaped(clock: Any) -> None:
    unreadable = Lock(environment="staging", oid="1", record=None)
    github: Any = Locks(unreadable)
    assert acquire(github, MINE, seen=unreadable, seen_alive=True, clock=clock) == (None, unreadable)
    assert github.released == []


def test_a_lock_that_went_as_we_asked_whose_it_is_still_counts_as_held(clock: Any) -> None:
    class Gone(Locks):
        def take_lock(self, wanted: LockRecord) -> Lock | None:
            return None

    github: Any = Gone()
    got, other = acquire(github, MINE, seen=None, seen_alive=True, clock=clock)
    assert got is None
    assert other is not None
    assert other.record is None
