from __future__ import annotations

import threading
from typing import Any

import pytest

from bot.core.checks import ExposureCheck, HttpCheck, JobCheck, ServingCheck
from bot.core.outcome import Reason
from bot.core.plan import Build, Plan, Restore, Rollout, RunJob, Shift, Step, Verify
from bot.core.serving import Serving
from bot.core.target import Absent, Broken, Diagnosis, Done, Exposure, Running, Traits
from bot.engine.execution import RESTORE_TIMEOUT, Execution
from bot.engine.progress import Progress, kind_of
from bot.engine.verification import Answer
from bot.errors import AuthError, ConflictError, ForbiddenError, UpstreamError

HEALTH = HttpCheck(name="/health/", url="/health/", service="worker", deadline=2.0)
PLAN = Plan(
    steps=(
        Build(timeout=60.0),
        RunJob(id="job", job="migrate", timeout=60.0, needs=("build",)),
        Rollout(id="roll-web", service="web", timeout=60.0, needs=("job",)),
        Rollout(id="roll-worker", service="worker", timeout=60.0, needs=("job",)),
        Verify(id="candidate", phase="candidate", checks=(HEALTH,), needs=("roll-web", "roll-worker")),
        Shift(id="shift", services=("web", "worker"), percent=100, timeout=60.0, needs=("candidate",)),
        Verify(id="live", phase="live", checks=(HEALTH,), needs=("shift",)),
    )
)


def well(*_: Any) -> Answer:
    return Answer(status=200, seconds=0.01)


def ill(*_: Any) -> Answer:
    return Answer(status=500, body=b"boom")


def run(target: Any, clock: Any, known: Any, plan: Plan = PLAN, probe: Any = well, **over: Any) -> Any:
    changes: list[Any] = []
    ended = Execution(plan, target, known, probe=probe, clock=clock, on_change=changes.append, **over).run()
    return ended, changes


def states(ended: Any) -> dict[str, str]:
    return {result.id: result.state for result in ended.results}


def applied(target: Any) -> list[str]:
    return [name for verb, name in target.calls if verb == "apply"]


def fault(status: int = 400, kind: type[UpstreamError] = UpstreamError) -> UpstreamError:
    return kind("The provider says no.", service="Cloud Run", operation="get", status=status)


# -- the graph --------------------------------------------------------------------------------------------------
def test_steps_run_in_the_order_of_their_needs(target: Any, clock: Any, known: Any) -> None:
    ended, changes = run(target, clock, known)
    assert (ended.reason, ended.failed, ended.restored, ended.cancelled) == (Reason.RELEASED, None, None, False)
    assert set(states(ended).values()) == {"done"}
    assert applied(target)[:2] == ["build", "job"]
    assert sorted(applied(target)[2:4]) == ["roll-web", "roll-worker"]
    assert applied(target)[4:] == ["shift"]
    assert ended.known.artifact.digest == "sha256:1"
    assert ended.known.handles["job"] == "op-job"
    assert ended.jobs == ("migrate",)
    assert changes[-1] == ended.results


def test_every_change_is_told_with_all_steps(target: Any, clock: Any, known: Any) -> None:
    _, changes = run(target, clock, known)
    assert all(len(results) == len(PLAN.steps) for results in changes)
    seen = [result.state for results in changes for result in results if result.id == "build"]
    assert list(dict.fromkeys(seen)) == ["running", "done"]


def test_independent_services_roll_out_at_the_same_time(target: Any, clock: Any, known: Any) -> None:
    barrier = threading.Barrier(2)  # breaks, and fails the step, unless both are under way at once

    def meet() -> None:
        barrier.wait(timeout=20.0)

    target.hooks["apply", "roll-web"] = target.hooks["apply", "roll-worker"] = meet
    ended, _ = run(target, clock, known)
    assert ended.reason is Reason.RELEASED


def test_an_empty_plan_is_done(target: Any, clock: Any, known: Any) -> None:
    ended, _ = run(target, clock, known, Plan(steps=()))
    assert (ended.reason, ended.results) == (Reason.RELEASED, ())


# -- failure ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("step", "reason", "restored"),
    [
        ("build", Reason.BUILD_FAILED, None),
        ("job", Reason.JOB_FAILED, None),
        ("roll-web", Reason.ROLLOUT_FAILED, True),
        ("shift", Reason.SHIFT_FAILED, True),
    ],
)
def test_a_broken_step_ends_it_and_what_served_is_restored_if_it_was_touched(
    target: Any, clock: Any, known: Any, step: str, reason: Reason, restored: bool | None
) -> None:
    target.seen[step] = [Absent(), Broken(detail="it crashed", link="https://console.test")]
    target.diagnoses[step] = Diagnosis(error="no module named shop")
    ended, _ = run(target, clock, known)
    assert (ended.reason, ended.restored) == (reason, restored)
    assert (ended.failed.id, ended.failed.detail, ended.failed.link) == (step, "it crashed", "https://console.test")
    assert ended.failed.diagnosis.error == "no module named shop"
    assert states(ended)["live"] == "skipped"
    assert applied(target).count("undo") == (1 if restored else 0)


def test_one_service_that_fails_halts_the_other_and_both_are_restored_once(target: Any, clock: Any, known: Any) -> None:
    target.seen["roll-web"] = [Absent(), Running(handle="rev")]
    target.seen["roll-worker"] = [Absent(), Running(), Broken(detail="crashed")]
    failed = threading.Event()
    target.hooks["diagnose", "roll-worker"] = failed.set
    target.hooks["observe", "roll-web"] = lambda: (
        failed.wait(20.0) and None if target.count("observe", "roll-web") > 2 else None
    )
    ended, _ = run(target, clock, known)
    assert (ended.failed.id, ended.cancelled) == ("roll-worker", False)
    assert states(ended)["roll-web"] == "cancelled"
    assert target.count("cancel", "roll-web") == 1
    assert applied(target).count("undo") == 1
    assert ended.results[-1].id == "undo"
    assert ended.results[-1].state == "done"


def test_the_first_failure_is_the_one_that_is_told(target: Any, clock: Any, known: Any) -> None:
    barrier = threading.Barrier(2)
    for name in ("roll-web", "roll-worker"):
        target.seen[name] = [Broken(detail=name)]
        target.hooks["observe", name] = lambda: barrier.wait(timeout=20.0) and None
    ended, _ = run(target, clock, known)
    assert ended.failed.id in {"roll-web", "roll-worker"}
    assert ended.failed.detail == ended.failed.id
    assert states(ended)["roll-web"] == states(ended)["roll-worker"] == "failed"


def test_nothing_is_restored_where_the_plan_says_so(target: Any, clock: Any, known: Any) -> None:
    target.seen["shift"] = [Absent(), Broken()]
    ended, _ = run(target, clock, known, Plan(steps=PLAN.steps, undo=False))
    assert ended.restored is None
    assert "undo" not in applied(target)


def test_what_an_interrupted_run_left_is_restored_whatever_fails(target: Any, clock: Any, known: Any) -> None:
    target.seen["build"] = [Broken(detail="quota")]
    ended, _ = run(target, clock, known, touched=True)
    assert (ended.reason, ended.restored) == (Reason.BUILD_FAILED, True)
    assert applied(target) == ["undo"]


@pytest.mark.parametrize(
    ("end", "restored"), [(Broken(detail="slug too large"), None), (Running(), True), (fault(403), True)]
)
def test_without_a_separate_build_one_whose_end_is_not_known_may_be_released(
    target: Any, clock: Any, known: Any, end: Any, restored: bool | None
) -> None:
    target.traits = Traits(kind="heroku", separate_build=False, traffic_split=False, jobs=False)
    target.seen["build"] = [Absent(), end]
    ended, _ = run(target, clock, known)
    assert (ended.failed.id, ended.restored) == ("build", restored)


@pytest.mark.parametrize("end", [Broken(detail="stuck"), fault(403), RuntimeError("bug"), Running()])
def test_a_way_back_that_fails_is_told(target: Any, clock: Any, known: Any, end: Any) -> None:
    target.seen["shift"] = [Absent(), Broken(detail="no")]
    target.seen["undo"] = [end]
    ended, _ = run(target, clock, known)
    assert ended.restored is False
    assert ended.restore_detail
    assert ended.reason is Reason.SHIFT_FAILED
    assert states(ended)["undo"] == "failed"


def test_the_way_back_has_the_time_that_the_longest_step_has(target: Any, clock: Any, known: Any) -> None:
    build = Build(timeout=RESTORE_TIMEOUT * 2)
    target.seen["undo"] = [Running()]
    target.seen["build"] = [Broken()]
    start = clock.now()
    run(target, clock, known, Plan(steps=(build,)), touched=True)
    assert clock.now() - start >= RESTORE_TIMEOUT * 2


@pytest.mark.parametrize(
    ("error", "reason", "detail"),
    [
        (fault(), Reason.ROLLOUT_FAILED, "The provider says no."),
        (fault(403, ForbiddenError), Reason.UPSTREAM_FORBIDDEN, "The provider says no."),
        (fault(409, ConflictError), Reason.CONFLICT, "The provider says no."),
        (AuthError("No token."), Reason.AUTH_FAILED, "No token."),
        (ValueError("s3cret"), Reason.INTERNAL_ERROR, "ValueError in the bot itself."),
    ],
)
def test_an_error_in_a_step_ends_it_and_is_restored(
    target: Any, clock: Any, known: Any, error: Exception, reason: Reason, detail: str
) -> None:
    target.replies["roll-web"] = [error]
    ended, _ = run(target, clock, known)
    assert (ended.reason, ended.failed.detail, ended.restored) == (reason, detail, True)


def test_what_was_refused_before_anything_was_begun_needs_no_way_back(target: Any, clock: Any, known: Any) -> None:
    for name in ("job", "roll-web", "shift"):
        target.calls.clear()
        target.seen = {name: [fault(403, ForbiddenError)]}
        (step,) = (step for step in PLAN.steps if step.id == name)
        ended, _ = run(target, clock, known, _alone(step))
        assert (ended.restored, ended.exposed_seconds, ended.jobs) == (None, 0.0, ())


def _alone(step: Step) -> Plan:
    match step:
        case RunJob():
            return Plan(steps=(RunJob(id=step.id, job=step.job, timeout=1.0),))
        case Rollout():
            return Plan(steps=(Rollout(id=step.id, service=step.service, timeout=1.0),))
        case _:
            return Plan(steps=(Shift(id=step.id, services=("web",), percent=100, timeout=1.0),))


@pytest.mark.parametrize("error", [fault(500), RuntimeError("bug")])
def test_logs_that_cannot_be_read_keep_nothing_from_being_restored(
    target: Any, clock: Any, known: Any, error: Exception
) -> None:
    target.seen["shift"] = [Absent(), Broken(detail="no")]
    target.diagnoses["shift"] = error
    ended, _ = run(target, clock, known)
    assert (ended.reason, ended.restored, ended.failed.diagnosis) == (Reason.SHIFT_FAILED, True, None)


def test_a_step_that_does_not_end_is_stopped_and_named(target: Any, clock: Any, known: Any) -> None:
    target.seen["job"] = [Absent(), Running(handle="exec-9")]
    ended, _ = run(target, clock, known)
    assert (ended.reason, ended.failed.id) == (Reason.TIMED_OUT, "job")
    assert ended.failed.detail.startswith("op-job did not end within") or "exec-9" in ended.failed.detail
    assert target.count("cancel", "job") == 1
    assert ended.jobs == ("migrate",)


# -- cancellation -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("step", "restored"), [("build", None), ("job", None), ("roll-web", True), ("shift", True)])
def test_a_wish_to_stop_cancels_what_runs_and_restores(
    target: Any, clock: Any, known: Any, step: str, restored: bool | None
) -> None:
    target.seen[step] = [Absent(), Running(handle="h")]
    target.hooks["apply", step] = clock.stop
    ended, _ = run(target, clock, known)
    assert (ended.cancelled, ended.reason, ended.failed, ended.restored) == (True, Reason.CANCELLED, None, restored)
    assert target.count("cancel", step) == 1
    assert states(ended)[step] == "cancelled"
    handles = [seen.handles.get(step) for verb, _, seen in target.known if verb == "cancel"]
    assert handles[0] == f"op-{step}" or step == "roll-web"


@pytest.mark.parametrize("error", [fault(404), RuntimeError("bug")])
def test_what_cannot_be_stopped_is_told_and_the_rest_restored(
    target: Any, clock: Any, known: Any, error: Exception
) -> None:
    target.seen["shift"] = [Absent(), Running()]
    target.hooks["apply", "shift"] = clock.stop
    target.cancelling = error
    ended, _ = run(target, clock, known)
    assert ended.restored is True
    result = next(item for item in ended.results if item.id == "shift")
    assert "could not be stopped" in result.detail


def test_nothing_is_started_once_it_is_to_stop(target: Any, clock: Any, known: Any) -> None:
    clock.stop()
    ended, _ = run(target, clock, known)
    assert (ended.cancelled, ended.restored) == (True, None)
    assert target.calls == []
    assert states(ended)["build"] == "cancelled"
    assert states(ended)["job"] == "skipped"


def test_a_wish_to_stop_ends_checks(target: Any, clock: Any, known: Any) -> None:
    clock.stop_at = clock.now() + 4.0
    slow = HttpCheck(name="/", url="/", service="web", deadline=100.0)
    plan = Plan(steps=(Verify(id="live", phase="live", checks=(slow,)),))
    ended, _ = run(target, clock, known, plan, probe=ill)
    assert (ended.cancelled, states(ended)["live"]) == (True, "cancelled")
    assert target.count("cancel", "live") == 0


@pytest.mark.parametrize("stops", [True, False])
def test_a_checks_job_is_stopped_with_it(target: Any, clock: Any, known: Any, stops: bool) -> None:
    check = JobCheck(name="job smoke", job="smoke", timeout=5.0)
    target.seen["check-smoke"] = [Absent(), Running()]
    if stops:
        target.hooks["apply", "check-smoke"] = clock.stop
    ended, _ = run(target, clock, known, Plan(steps=(Verify(id="live", phase="live", checks=(check,)),)))
    assert target.count("cancel", "check-smoke") == 1
    assert ended.cancelled is stops
    assert ended.jobs == ()
    if not stops:
        assert ended.reason is Reason.VERIFICATION_FAILED
        assert "did not end within 5 s" in ended.failed.detail


def test_a_job_that_cannot_be_stopped_is_no_matter_for_its_check(target: Any, clock: Any, known: Any) -> None:
    target.cancelling = fault(404)
    target.seen["check-smoke"] = [Absent(), Running()]
    check = JobCheck(name="job smoke", job="smoke", timeout=5.0)
    ended, _ = run(target, clock, known, Plan(steps=(Verify(id="live", phase="live", checks=(check,)),)))
    assert ended.reason is Reason.VERIFICATION_FAILED


# -- what users saw -----------------------------------------------------------------------------------------------
def test_users_saw_it_from_the_shift_to_the_end_of_the_way_back(target: Any, clock: Any, known: Any) -> None:
    def probe(_method: str, url: str, *_: Any) -> Answer:
        return well() if "candidate" in url else ill()

    shifted: list[float] = []
    target.hooks["apply", "shift"] = lambda: shifted.append(clock.now())
    ended, _ = run(target, clock, known, probe=probe)
    undo = next(item for item in ended.results if item.id == "undo")
    assert ended.reason is Reason.VERIFICATION_FAILED
    assert ended.exposed_seconds == pytest.approx(undo.ended - shifted[0])
    assert ended.exposed_seconds > 2.0


def test_nobody_saw_a_candidate(target: Any, clock: Any, known: Any) -> None:
    ended, _ = run(target, clock, known, probe=ill)
    assert (ended.failed.id, ended.restored, ended.exposed_seconds) == ("candidate", True, 0.0)


def test_without_a_split_users_see_it_once_it_is_rolled_out(target: Any, clock: Any, known: Any) -> None:
    target.traits = Traits(kind="heroku", separate_build=False, traffic_split=False, jobs=False)
    plan = Plan(
        steps=(
            Rollout(id="roll", service="web", timeout=9.0),
            Verify(id="live", phase="live", checks=(HEALTH,), needs=("roll",)),
        )
    )
    ended, _ = run(target, clock, known, plan, probe=ill)
    assert ended.exposed_seconds > 2.0


# -- verification -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("serves", "seen"), [(True, True), (False, False)])
def test_without_a_split_users_see_what_crashes_but_not_what_was_never_released(
    target: Any, clock: Any, known: Any, serves: bool, seen: bool
) -> None:
    target.traits = Traits(kind="heroku", separate_build=False, traffic_split=False, jobs=False)
    plan = Plan(steps=(Rollout(id="roll", service="app", timeout=60.0),))
    target.seen["roll"] = [Running(serves=serves), Running(serves=serves), Broken(detail="no", serves=serves)]
    ended, _ = run(target, clock, known, plan)
    assert (ended.restored, ended.exposed_seconds > 0) == (True, seen)


def test_checks_are_kept_and_counted(target: Any, clock: Any, known: Any) -> None:
    checks = (HEALTH, HttpCheck(name="/x", url="https://shop.test/x", deadline=1.0))
    plan = Plan(steps=(Verify(id="live", phase="live", checks=checks),))
    ended, _ = run(target, clock, known, plan)
    assert ended.results[0].detail == "2 of 2 checks passed"
    ended, _ = run(target, clock, known, plan, probe=ill)
    assert ended.failed.detail == "/health/: 500: boom (and 1 more)"
    assert [check.passed for check in ended.failed.checks] == [False, False]


@pytest.mark.parametrize(
    ("check", "asked"),
    [
        (HEALTH, ["roll-worker"]),
        (HttpCheck(name="x", url="https://shop.test/", deadline=1.0), ["roll-web", "roll-worker"]),
        (ExposureCheck(name="access", service="worker", public=False), ["roll-worker"]),
        (ServingCheck(name="serving", services=("worker",), deadline=1.0), ["roll-worker"]),
        (JobCheck(name="job smoke", job="smoke", timeout=5.0), ["check-smoke"]),
    ],
)
def test_a_failed_check_is_explained_by_what_it_looked_at(
    target: Any, clock: Any, known: Any, check: Any, asked: list[str]
) -> None:
    target.diagnoses["roll-worker"] = Diagnosis(error="worker's own words")
    target.exposures["worker"] = Exposure(public=True, ingress="all")
    target.seen["check-smoke"] = [Absent(), Broken()]
    steps = (*PLAN.steps[:4], Verify(id="live", phase="live", checks=(check,), needs=("roll-web", "roll-worker")))
    ended, _ = run(target, clock, known, Plan(steps=steps), probe=ill)
    assert [name for verb, name in target.calls if verb == "diagnose"] == asked
    assert ended.failed.diagnosis.error == ("worker's own words" if "roll-worker" in asked else "")


def test_a_rollback_expects_the_recorded_revision(target: Any, clock: Any, known: Any, make_state: Any) -> None:
    goal = Serving(services=(make_state("web", "web-1", "sha256:0"),))
    check = ServingCheck(name="serving", services=("web",), deadline=1.0)
    plan = Plan(
        steps=(
            Restore(id="restore", to=goal, timeout=60.0),
            Verify(id="live", phase="live", checks=(check,), needs=("restore",)),
        )
    )
    target.live = [goal]
    ended, _ = run(target, clock, known, plan)
    assert ended.reason is Reason.RELEASED
    target.live = [Serving(services=(make_state("web", "web-2", "sha256:0"),))]
    ended, _ = run(target, clock, known, plan)
    assert (ended.reason, ended.failed.diagnosis) == (Reason.VERIFICATION_FAILED, None)
    target.traits = Traits(kind="heroku", separate_build=False, traffic_split=False, jobs=False)
    ended, _ = run(target, clock, known, plan)  # there a release brought back has a new number
    assert ended.reason is Reason.RELEASED


def test_a_check_that_cannot_be_asked_is_a_failed_verification(target: Any, clock: Any, known: Any) -> None:
    target.live = [fault(500)]
    check = ServingCheck(name="serving", services=("web",), deadline=1.0)
    ended, _ = run(target, clock, known, Plan(steps=(Verify(id="live", phase="live", checks=(check,)),)))
    assert (ended.reason, ended.failed.detail) == (Reason.VERIFICATION_FAILED, "The provider says no.")


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (Build(), "build"),
        (RunJob(id="j", job="j", timeout=1.0), "run_job"),
        (Rollout(id="r", service="web", timeout=1.0), "rollout"),
        (Verify(id="v", phase="live", checks=()), "verify"),
        (Shift(id="s", services=(), percent=10, timeout=1.0), "shift"),
        (Restore(id="u", to=Serving(), timeout=1.0), "restore"),
    ],
)
def test_each_step_has_a_word(step: Any, kind: str) -> None:
    assert kind_of(step) == kind


def test_done_at_once_is_done(target: Any, clock: Any, known: Any) -> None:
    for step in PLAN.steps:
        target.seen[step.id] = [Done(detail="was there")]
    ended, _ = run(target, clock, known)
    assert ended.reason is Reason.RELEASED
    assert applied(target) == []
    assert clock.waits == []


# -- a run that is stopped while a call hangs ---------------------------------------------------------------------
@pytest.fixture
def hang(clock: Any) -> Any:
    """Make a hook that hangs once the run is asked to stop, longer than anybody waits; it is let go in the end."""
    over = threading.Event()

    def hook() -> None:
        if not clock.stopping:
            clock.stop()
            while not over.wait(0.05):
                clock.sleep(1.0)

    yield hook
    over.set()


def test_a_call_that_hangs_does_not_keep_what_served_from_being_brought_back(
    target: Any, clock: Any, known: Any, hang: Any
) -> None:
    target.hooks["apply", "shift"] = hang
    ended, _ = run(target, clock, known)
    assert (ended.cancelled, ended.restored) == (True, True)
    assert states(ended) | {"undo": ""} == {
        "build": "done",
        "job": "done",
        "roll-web": "done",
        "roll-worker": "done",
        "candidate": "done",
        "shift": "cancelled",
        "live": "skipped",
        "undo": "",
    }
    assert ended.exposed_seconds > 0  # the traffic may have moved


def test_what_a_hanging_step_has_started_is_stopped(target: Any, clock: Any, known: Any, hang: Any) -> None:
    target.seen["job"] = [Absent(), Running(handle="execution")]
    target.hooks["apply", "job"] = hang
    ended, _ = run(target, clock, known)
    assert (ended.cancelled, ended.restored) == (True, None)
    assert ("cancel", "job") in target.calls


def test_news_of_a_step_that_was_given_up_come_too_late(known: Any) -> None:
    progress = Progress(PLAN.steps, known, lambda _: None)
    progress.give_up("shift")
    progress.update("shift", state="done")
    progress.update("nowhere", state="done")
    shift = progress.result("shift")
    assert shift is not None
    assert shift.state == "waiting"
    assert progress.result("nowhere") is None


# -- after the release --------------------------------------------------------------------------------------------
def test_a_job_after_the_release_that_fails_leaves_it_in_place(target: Any, clock: Any, known: Any) -> None:
    after = RunJob(id="after", job="contract", timeout=9.0, keeps=True, needs=("live",))
    target.seen["after"] = [Absent(), Broken(detail="no")]
    ended, _ = run(target, clock, known, Plan(steps=(*PLAN.steps, after)))
    assert (ended.failed.id, ended.reason, ended.restored) == ("after", Reason.JOB_FAILED, None)
    assert ("apply", "undo") not in target.calls


def test_users_come_before_logs(target: Any, clock: Any, known: Any) -> None:
    """The logs are read beside the way back: here they come only once it is over."""
    restored = threading.Event()
    target.hooks["observe", "undo"] = restored.set
    target.hooks["diagnose", "shift"] = lambda: restored.wait(20.0)
    target.diagnoses["shift"] = Diagnosis(error="late")
    target.seen["shift"] = [Absent(), Broken(detail="no")]
    ended, _ = run(target, clock, known)
    assert restored.is_set()
    assert (ended.restored, ended.failed.diagnosis) == (True, Diagnosis(error="late"))
