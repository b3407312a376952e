from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bot.core.checks import HttpCheck, JobCheck, ServingCheck
from bot.core.config import Canary, Watch
from bot.core.plan import Analysis, Build, Plan, Restore, Rollout, RunJob, Shift, Step, Verify, WatchLog
from bot.core.planning import plan_release, plan_rollback
from bot.core.resolve import Environment
from bot.core.serving import Artifact, ServiceState, Serving
from bot.core.target import Known, ReleaseId, Traits
from bot.core.titles import title

CLOUD_RUN = Traits(kind="cloud_run", separate_build=True, traffic_split=True, jobs=True)
HEROKU = Traits(kind="heroku", separate_build=False, traffic_split=False, jobs=False)
Make = Callable[..., Environment]
CANARY = Canary(type="canary")


def graph(plan: Plan) -> dict[str, tuple[str, ...]]:
    return {step.id: step.needs for step in plan.steps}


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        (
            {},
            {
                "build": (),
                "rollout-web": ("build",),
                "rollout-worker": ("build",),
                "shift": ("rollout-web", "rollout-worker"),
                "verify-live": ("shift",),
            },
        ),
        (
            {"verify": "[{http: /}]", "jobs": "{a: {when: release}, skip: {}, b: {when: release}}"},
            {
                "build": (),
                "job-a": ("build",),
                "job-b": ("job-a",),
                "rollout-web": ("job-b",),
                "rollout-worker": ("job-b",),
                "verify-candidate": ("rollout-web", "rollout-worker"),
                "shift": ("verify-candidate",),
                "verify-live": ("shift",),
            },
        ),
    ],
)
def test_the_graph_on_cloud_run(
    make_environment: Make, over: dict[str, str], expected: dict[str, tuple[str, ...]]
) -> None:
    plan = plan_release(make_environment(**over), CLOUD_RUN)
    assert graph(plan) == expected
    assert plan.undo


def test_the_graph_on_heroku(make_environment: Make) -> None:
    plan = plan_release(make_environment("legacy"), HEROKU)
    assert graph(plan) == {"build": (), "rollout-app": ("build",), "verify-live": ("rollout-app",)}
    assert [getattr(step, "timeout", 0) for step in plan.steps] == [540.0, 480.0, 0]


def test_an_image_is_taken_instead_of_built(make_environment: Make) -> None:
    taken = Artifact(digest="sha256:1", reference="r/shop@sha256:1")
    environment = make_environment("production", production="promote_from: staging")
    (step, *_) = plan_release(environment, CLOUD_RUN, promoted=taken).steps
    assert step == Build(timeout=1200.0, promoted=taken, promoted_from="staging")
    assert title(step) == "Take the image of staging"
    assert title(plan_release(make_environment(), CLOUD_RUN).steps[0]) == "Build"


@pytest.mark.parametrize("name", ["staging", "legacy"])
@pytest.mark.parametrize("traits", [CLOUD_RUN, HEROKU])
def test_every_step_needs_steps_before_it_and_all_lead_to_the_end(
    make_environment: Make, name: str, traits: Traits
) -> None:
    plan = plan_release(make_environment(name, jobs="{m: {when: release}}", verify="[{http: /}]"), traits)
    seen: set[str] = set()
    for step in plan.steps:
        assert set(step.needs) <= seen
        assert step.id not in seen
        seen.add(step.id)
    needed = {need for step in plan.steps for need in step.needs}
    assert seen - needed == {"verify-live"}
    assert all(not isinstance(step, Shift) or traits.traffic_split for step in plan.steps)
    assert all(not isinstance(step, RunJob) or traits.jobs for step in plan.steps)


def test_what_the_steps_hold(make_environment: Make) -> None:
    environment = make_environment(
        top="build: {timeout: 3m}",
        target="rollout_timeout: 40s",
        jobs="{m: {when: release, timeout: 50s, max_retries: 2}}",
        verify="[{http: /}]",
    )
    build, job, rollout, _, candidate, shift, live = plan_release(environment, CLOUD_RUN).steps
    assert build == Build(timeout=180.0)
    assert job == RunJob(id="job-m", job="m", timeout=3 * 50.0 + 60.0, needs=("build",))
    assert rollout == Rollout(id="rollout-web", service="web", timeout=40.0, needs=("job-m",))
    assert isinstance(candidate, Verify)
    assert (candidate.phase, candidate.checks) == ("candidate", environment.candidate_checks)
    assert isinstance(shift, Shift)
    assert (shift.services, shift.percent, shift.timeout) == (("web", "worker"), 100, 40.0)
    assert isinstance(live, Verify)
    assert (live.phase, live.checks) == ("live", environment.live_checks)


def test_a_rollback_restores_and_verifies(make_environment: Make) -> None:
    environment = make_environment()
    to = Serving(services=(ServiceState(service="web"), ServiceState(service="worker")))
    plan = plan_rollback(environment, to, "a" * 40)
    assert plan.steps == (
        Restore(id="restore", to=to, timeout=300.0),
        Verify(id="verify-live", phase="live", checks=environment.live_checks, needs=("restore",)),
    )
    assert plan.undo


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Build(), "Build"),
        (Restore(id="r", to=Serving(), timeout=1), "Restore the recorded release"),
        (RunJob(id="j", job="migrate", timeout=1), "Run migrate"),
        (Rollout(id="r", service="web", timeout=1), "Roll out web"),
        (Verify(id="v", phase="candidate", checks=()), "Verify before traffic"),
        (Verify(id="v", phase="live", checks=()), "Verify what serves"),
        (Rollout(id="r", service="web@eu", timeout=1), "Roll out web in eu"),
        (Verify(id="v@eu", phase="live", checks=()), "Verify what serves in eu"),
        (Shift(id="shift", services=("a", "b"), percent=100, timeout=1), "Shift 100 % of the traffic"),
        (Shift(id="shift@eu", services=("a@eu",), percent=100, timeout=1), "Shift 100 % of the traffic in eu"),
        (Shift(id="shift-5@eu", services=("a@eu",), percent=5, timeout=1), "Shift 5 % of the traffic of a in eu"),
        (Analysis(id="x", service="web@eu", percent=5, strategy=CANARY, stage=0, stages=1), "Compare web in eu at 5 %"),
        (WatchLog(id="w", services=("web",), watch=Watch()), "Watch the error log"),
    ],
)
def test_titles(step: Step, expected: str) -> None:
    assert title(step) == expected


def test_a_service_that_did_not_exist_then_is_not_verified(make_environment: Make) -> None:
    environment = make_environment(
        verify="[{http: /}, {http: /w, service: worker}, {http: 'https://x.test/'}, {iam: worker}, {job: m}]",
        jobs="{m: {}}",
    )
    to = Serving(services=(ServiceState(service="web"), ServiceState(service="worker", exists=False)))
    (_, verify) = plan_rollback(environment, to, "a" * 40).steps
    assert isinstance(verify, Verify)
    assert [(type(check), getattr(check, "service", None)) for check in verify.checks] == [
        (ServingCheck, None),
        (HttpCheck, "web"),
        (HttpCheck, ""),
        (JobCheck, None),
    ]
    assert verify.checks[0] == ServingCheck(name="serving", services=("web",))


def test_nothing_is_verified_where_nothing_is_brought_back(make_environment: Make) -> None:
    to = Serving(services=(ServiceState(service="web", exists=False),))
    assert [step.id for step in plan_rollback(make_environment(), to, "a" * 40).steps] == ["restore"]


# -- order, stages, regions ---------------------------------------------------------------------------------------
def steps_of(environment: Environment) -> dict[str, tuple[str, ...]]:
    return graph(plan_release(environment, CLOUD_RUN))


def test_jobs_wait_for_those_they_name(make_environment: Make) -> None:
    jobs = "{a: {when: release}, b: {when: release, after: []}, c: {when: release, after: [a, b]}, d: {when: after}}"
    steps = steps_of(make_environment(jobs=jobs))
    assert {name: steps[name] for name in ("job-a", "job-b", "job-c", "job-d", "rollout-web")} == {
        "job-a": ("build",),
        "job-b": ("build",),
        "job-c": ("job-a", "job-b"),
        "rollout-web": ("job-c",),
        "job-d": ("verify-live",),
    }
    plan = plan_release(make_environment(jobs=jobs), CLOUD_RUN)
    assert [step.job for step in plan.steps if isinstance(step, RunJob) and step.keeps] == ["d"]


@pytest.mark.parametrize(
    "over", [{"web": "{after: worker}"}, {"target": "order: [worker, web, verify]"}], ids=["after", "order"]
)
def test_a_service_waits_for_anothers_traffic(make_environment: Make, over: dict[str, str]) -> None:
    environment = make_environment(**over)
    shifts = [step for step in plan_release(environment, CLOUD_RUN).steps if isinstance(step, Shift)]
    assert [(step.id, step.services, step.needs) for step in shifts] == [
        ("shift-1-of-2", ("worker",), ("rollout-web", "rollout-worker")),
        ("shift-2-of-2", ("web",), ("shift-1-of-2",)),
    ]
    assert [title(step) for step in shifts] == [
        "Shift 100 % of the traffic of worker",
        "Shift 100 % of the traffic of web",
    ]


def test_what_after_says_goes_before_the_order(make_environment: Make) -> None:
    environment = make_environment(target="order: [worker, web]", web="{after: []}")
    assert [step for step in steps_of(environment) if step.startswith("shift")] == ["shift"]


@pytest.mark.parametrize("stages", ["[1, 10]", "[1, 10, 100]"])
def test_stages(make_environment: Make, stages: str) -> None:
    canary = f"strategy: {{type: canary, stages: {stages}}}"
    environment = make_environment(target=canary, worker="{strategy: all-at-once}")
    plan = plan_release(environment, CLOUD_RUN)
    assert steps_of(environment) == {
        "build": (),
        "rollout-web": ("build",),
        "rollout-worker": ("build",),
        "shift-1": ("rollout-web", "rollout-worker"),
        "analysis-web-1": ("shift-1",),
        "shift-10": ("analysis-web-1",),
        "analysis-web-10": ("shift-10",),
        "shift": ("analysis-web-10",),
        "verify-live": ("shift",),
    }
    since = {step.id: dict(step.since) for step in plan.steps if isinstance(step, Shift)}
    assert since == {"shift-1": {}, "shift-10": {"web": 1}, "shift": {"web": 10}}
    analyses = [(step.stage, step.stages, step.percent) for step in plan.steps if isinstance(step, Analysis)]
    assert analyses == [(0, 2, 1), (1, 2, 10)]


def test_services_with_stages_of_their_own(make_environment: Make) -> None:
    environment = make_environment(
        web="{strategy: {type: canary, stages: [5, 50]}}", worker="{strategy: {type: canary, stages: [20]}}"
    )
    steps = steps_of(environment)
    first = ("analysis-web-5", "analysis-worker-20")
    assert (steps["shift-5"], steps["shift-20"]) == (("rollout-web", "rollout-worker"),) * 2
    assert steps["shift-50"] == first
    assert steps["shift"] == ("analysis-web-50",)


def test_a_stage_of_one_service_that_was_anothers_first(make_environment: Make) -> None:
    environment = make_environment(
        web="{strategy: {type: canary, stages: [5, 25]}}", worker="{strategy: {type: canary, stages: [25, 50]}}"
    )
    steps = steps_of(environment)
    first = ("analysis-web-5", "analysis-worker-25")
    assert steps["analysis-worker-25"] == ("shift-25",)
    assert (steps["shift-25-stage-2"], steps["shift-50"]) == (first, first)
    assert steps["analysis-web-25"] == ("shift-25-stage-2",)
    assert steps["shift"] == ("analysis-web-25", "analysis-worker-50")


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ((("a", ()), ("a", ())), "two steps have the same id: a, a"),
        ((("a", ("b",)), ("b", ("a",))), "steps wait for each other: "),
        ((("a", ("b",)),), "steps wait for what is not in the plan: b"),
    ],
)
def test_a_plan_whose_steps_cannot_all_be_done_is_none(
    steps: tuple[tuple[str, tuple[str, ...]], ...], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        Plan(steps=tuple(Rollout(id=name, service="web", timeout=1.0, needs=needs) for name, needs in steps))


def test_the_first_region_is_verified_before_the_others_begin(make_environment: Make) -> None:
    environment = make_environment(
        target="watch: 10m",
        staging="region: [a, b, c]",
        worker="{regions: [a, c]}",
        verify="[{http: /}]",
    )
    steps = steps_of(environment)
    assert environment.services == ("web", "worker", "web@b", "web@c", "worker@c")
    assert steps["rollout-web"] == ("build",)
    assert {steps[name] for name in steps if name.startswith("rollout-") and "@" in name} == {("verify-live",)}
    assert steps["verify-candidate@c"] == ("rollout-web@c", "rollout-worker@c")
    assert steps["shift@b"] == ("verify-candidate@b",)
    assert steps["watch"] == ("verify-live@b", "verify-live@c")


def test_a_watch_is_for_targets_that_can_tell_versions_apart(make_environment: Make) -> None:
    environment = make_environment(target="watch: {time: 5m, then: rollback}")
    assert steps_of(environment)["watch"] == ("verify-live",)
    assert "watch" not in graph(plan_release(environment, HEROKU))


def test_what_is_known_grows_by_copies() -> None:
    release = ReleaseId(deployment_id=35, environment="e", sha="s", actor="a", tag="t")
    known: Any = Known(release=release, before=Serving())
    more = known.with_handle("build", "b/1").with_handle("shift", "o/2")
    assert (known.handles, more.handles) == ({}, {"build": "b/1", "shift": "o/2"})
    assert release.key == "z"
