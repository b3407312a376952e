from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bot.core.plan import Build, Plan, Restore, Rollout, RunJob, Shift, Step, Verify
from bot.core.planning import plan_release, plan_rollback, title
from bot.core.resolve import Environment
from bot.core.serving import ServiceState, Serving
from bot.core.target import Known, ReleaseId, Traits

CLOUD_RUN = Traits(kind="cloud_run", separate_build=True, traffic_split=True, jobs=True)
HEROKU = Traits(kind="heroku", separate_build=False, traffic_split=False, jobs=False)
Make = Callable[..., Environment]


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
    to = Serving(services=(ServiceState(service="web"),))
    plan = plan_rollback(environment, to)
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
        (Shift(id="s", services=(), percent=100, timeout=1), "Shift 100 % of the traffic"),
    ],
)
def test_titles(step: Step, expected: str) -> None:
    assert title(step) == expected


def test_what_is_known_grows_by_copies() -> None:
    release = ReleaseId(deployment_id=35, environment="e", sha="s", actor="a", tag="t")
    known: Any = Known(release=release, before=Serving())
    more = known.with_handle("build", "b/1").with_handle("shift", "o/2")
    assert (known.handles, more.handles) == ({}, {"build": "b/1", "shift": "o/2"})
    assert release.key == "z"
