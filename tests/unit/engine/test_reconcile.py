from __future__ import annotations

from typing import Any

import pytest

from bot.core.plan import Build, Plan, Restore, Rollout, RunJob, Shift
from bot.core.serving import ServiceState, Serving
from bot.core.target import Absent, Broken, Done, Running
from bot.engine.reconcile import (
    APPLIES,
    FAILED_OBSERVATIONS,
    LAST_POLL,
    SETTLE,
    Reconciler,
    StepTimeoutError,
    slowest_poll,
)
from bot.errors import AuthError, CancelledError, ConflictError, ForbiddenError, SlipwayError, UpstreamError

STEP = Rollout(id="roll", service="web", timeout=60.0)
JOB = RunJob(id="job", job="migrate", timeout=60.0)


def fault(status: int = 503, kind: type[UpstreamError] = UpstreamError) -> UpstreamError:
    return kind(f"It answered {status}.", service="Cloud Run", operation="get", status=status)


def reconcile(target: Any, clock: Any, known: Any, step: Any = STEP, halted: Any = lambda: False) -> Any:
    progress: list[Running] = []
    made = Reconciler(target, clock, halted=halted, progress=progress.append)
    outcome = made.run(step, known)
    return outcome, progress


def test_what_is_absent_is_applied_once_and_awaited(target: Any, clock: Any, known: Any) -> None:
    outcome, progress = reconcile(target, clock, known)
    assert isinstance(outcome, Done)
    assert target.calls == [("observe", "roll"), ("apply", "roll"), ("observe", "roll"), ("observe", "roll")]
    assert [seen.handle for seen in progress] == ["op-roll", ""]


def test_what_is_there_is_not_applied(target: Any, clock: Any, known: Any) -> None:
    target.seen["roll"] = [Done(handle="r")]
    assert reconcile(target, clock, known)[0] == Done(handle="r")
    assert target.calls == [("observe", "roll")]
    assert clock.waits == []


def test_what_is_broken_is_not_applied_again(target: Any, clock: Any, known: Any) -> None:
    target.seen["roll"] = [Absent(), Broken(detail="crashed")]
    assert reconcile(target, clock, known)[0] == Broken(detail="crashed")
    assert target.count("apply", "roll") == 1


def test_an_execution_found_running_is_not_started_again(target: Any, clock: Any, known: Any) -> None:
    target.seen["job"] = [Running(handle="exec-1"), Running(handle="exec-1"), Done(handle="exec-1")]
    outcome, progress = reconcile(target, clock, known, JOB)
    assert outcome == Done(handle="exec-1")
    assert target.count("apply", "job") == 0
    assert len(progress) == 2


def test_applying_may_be_done_at_once(target: Any, clock: Any, known: Any) -> None:
    target.replies["roll"] = [Done(detail="was there")]
    assert reconcile(target, clock, known)[0] == Done(detail="was there")
    assert target.count("observe", "roll") == 1


def test_what_was_started_is_looked_at_by_its_handle(target: Any, clock: Any, known: Any) -> None:
    reconcile(target, clock, known)
    looks = [seen.handles.get("roll") for verb, _, seen in target.known if verb == "observe"]
    assert looks == [None, "op-roll", "op-roll"]


def test_a_handle_found_by_looking_is_kept(target: Any, clock: Any, known: Any) -> None:
    target.seen["roll"] = [Running(handle="found"), Done()]
    reconcile(target, clock, known)
    assert [seen.handles.get("roll") for _, _, seen in target.known] == [None, "found"]


# -- lost replies -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_after_a_lost_reply_it_is_looked_for_before_it_is_applied_again(
    target: Any, clock: Any, known: Any, status: int
) -> None:
    target.replies["roll"] = [fault(status)]
    target.seen["roll"] = [Absent(), Running(handle="taken"), Done()]
    assert reconcile(target, clock, known)[0] == Done()
    assert target.count("apply", "roll") == 1


def test_what_is_not_listed_at_once_is_not_applied_twice(target: Any, clock: Any, known: Any) -> None:
    """Lists are eventually consistent: for some seconds nothing there says nothing."""
    start = clock.now()
    target.seen["job"] = [Absent()]
    target.hooks["observe", "job"] = lambda: (
        target.seen.update(job=[Done()]) if clock.now() - start >= SETTLE - 0.8 else None
    )
    assert reconcile(target, clock, known, JOB)[0] == Done()
    assert target.count("apply", "job") == 1
    assert target.count("observe", "job") > 3


def test_what_is_still_absent_after_that_is_applied_again_but_not_for_ever(target: Any, clock: Any, known: Any) -> None:
    target.seen["job"] = [Absent()]
    with pytest.raises(StepTimeoutError):
        reconcile(target, clock, known, JOB)
    assert target.count("apply", "job") == APPLIES


def test_replies_that_keep_getting_lost_end_it(target: Any, clock: Any, known: Any) -> None:
    target.seen["roll"] = [Absent()]
    target.replies["roll"] = [fault(0)] * 9
    with pytest.raises(UpstreamError):
        reconcile(target, clock, known)
    assert target.count("apply", "roll") == APPLIES


@pytest.mark.parametrize(
    "error", [fault(400), fault(403, ForbiddenError), fault(404), fault(409, ConflictError), AuthError("None.")]
)
def test_a_refusal_is_no_lost_reply(target: Any, clock: Any, known: Any, error: SlipwayError) -> None:
    target.replies["roll"] = [error]
    with pytest.raises(SlipwayError) as raised:
        reconcile(target, clock, known)
    assert raised.value is error
    assert target.count("apply", "roll") == 1


# -- failing looks ------------------------------------------------------------------------------------------------
def test_looks_that_fail_are_taken_again(target: Any, clock: Any, known: Any) -> None:
    target.seen["roll"] = [*[fault()] * (FAILED_OBSERVATIONS - 1), Running(), *[fault(429)] * 4, Done()]
    assert reconcile(target, clock, known)[0] == Done()
    assert target.count("apply", "roll") == 0  # not knowing is not absence


def test_looks_that_keep_failing_end_it(target: Any, clock: Any, known: Any) -> None:
    target.seen["roll"] = [fault()]
    with pytest.raises(UpstreamError):
        reconcile(target, clock, known)
    assert target.count("observe", "roll") == FAILED_OBSERVATIONS


@pytest.mark.parametrize("error", [fault(400), fault(403, ForbiddenError), fault(404), AuthError("None.")])
def test_a_look_that_is_refused_ends_it(target: Any, clock: Any, known: Any, error: SlipwayError) -> None:
    target.seen["roll"] = [error]
    with pytest.raises(SlipwayError) as raised:
        reconcile(target, clock, known)
    assert raised.value is error
    assert target.count("observe", "roll") == 1


# -- time and stopping ----------------------------------------------------------------------------------------------
def test_a_step_that_does_not_end_names_what_was_awaited(target: Any, clock: Any, known: Any) -> None:
    target.seen["roll"] = [Absent(), Running()]
    start = clock.now()
    with pytest.raises(StepTimeoutError, match=r"^op-roll did not end within 60 s\.$"):
        reconcile(target, clock, known)
    assert 60.0 <= clock.now() - start < 60.0 + 2 * LAST_POLL


def test_a_step_that_does_not_end_says_how_far_it_was_and_names_its_operations(
    target: Any, clock: Any, known: Any
) -> None:
    target.seen["roll"] = [Absent(), Running(detail="web: moving")]
    target.replies["roll"] = [Running(operations=("operations/1", "operations/2", "operations/3", "operations/4"))]
    with pytest.raises(StepTimeoutError) as raised:
        reconcile(target, clock, known)
    assert str(raised.value) == (
        "It did not end within 60 s: web: moving. Operations: operations/1, operations/2, operations/3 and 1 more."
    )


def test_without_a_handle_the_timeout_still_speaks(target: Any, clock: Any, known: Any) -> None:
    target.seen["roll"] = [Running()]
    with pytest.raises(StepTimeoutError, match=r"^It did not end"):
        reconcile(target, clock, known)


def test_polls_grow_to_a_bound(target: Any, clock: Any, known: Any) -> None:
    target.seen["roll"] = [Running()]
    with pytest.raises(StepTimeoutError):
        reconcile(target, clock, known)
    assert clock.waits[0] < clock.waits[1] < clock.waits[-1] == LAST_POLL
    assert sum(clock.waits) / len(clock.waits) <= 1.0


def test_a_wish_to_stop_is_seen_at_the_next_look(target: Any, clock: Any, known: Any) -> None:
    target.seen["roll"] = [Running()]
    clock.stop_at = clock.now() + 5.0
    with pytest.raises(CancelledError):
        reconcile(target, clock, known)
    assert clock.now() < 1_000_000.0 + 5.0 + LAST_POLL


def test_another_steps_failure_ends_it(target: Any, clock: Any, known: Any) -> None:
    target.seen["roll"] = [Running()]
    with pytest.raises(CancelledError):
        reconcile(target, clock, known, halted=lambda: target.count("observe", "roll") >= 3)
    assert target.count("observe", "roll") == 3


def test_nothing_is_applied_once_the_run_is_to_stop(target: Any, clock: Any, known: Any) -> None:
    clock.stop()
    with pytest.raises(CancelledError):
        reconcile(target, clock, known)
    assert target.calls == []


@pytest.mark.parametrize(
    ("step", "seconds"),
    [
        (Rollout(id="r1", service="s1", timeout=1.0), 2.0),
        (Shift(id="s", services=tuple(f"s{n}" for n in range(50)), percent=100, timeout=1.0), 2.0),
        (Shift(id="s", services=("s1",), percent=100, timeout=1.0), LAST_POLL),
        (
            Restore(id="b", to=Serving(services=tuple(ServiceState(service=f"s{n}") for n in range(30))), timeout=1.0),
            1.2,
        ),
        (Build(timeout=1.0), LAST_POLL),
    ],
)
def test_very_many_services_are_looked_at_less_often(step: Any, seconds: float) -> None:
    rollouts = tuple(Rollout(id=f"r{number}", service=f"s{number}", timeout=1.0) for number in range(50))
    assert slowest_poll(Plan(steps=rollouts), step) == seconds
