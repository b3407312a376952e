"""Releases of some services only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bot.core.checks import Check, ExposureCheck, HttpCheck, JobCheck, ServingCheck
from bot.core.outcome import Reason, Refusal
from bot.core.partial import left_alone, narrowed, services_named, unlike
from bot.core.plan import Rollout, Shift, Verify, WatchLog
from bot.core.planning import plan_release, plan_rollback
from bot.core.resolve import Environment
from bot.core.serving import ServiceState, Serving, TrafficShare
from bot.core.target import Traits

Make = Callable[..., Environment]
TRAITS = Traits(kind="cloud_run", separate_build=True, traffic_split=True, jobs=True)
CHECKS = """[
  {http: /healthz, json: {version: '{short_sha}'}},
  {http: 'https://shop.test/', contains: '{sha}'},
  {http: 'https://shop.test/up'},
  {http: 'https://shop.test/about', service: worker, headers: {X-Version: '{version}'}},
  {job: m},
  {iam: worker, no_public_invoker: true},
]"""


def names(checks: tuple[Check, ...]) -> list[str]:
    return [check.name for check in checks]


@pytest.mark.parametrize(
    ("wanted", "services", "left"),
    [
        ((), ("web", "worker"), ()),
        (("web",), ("web",), ("worker",)),
        (("worker", "worker"), ("worker",), ("web",)),
        (("worker", "web"), ("web", "worker"), ()),
        (("wbe",), ("web", "worker"), ()),  # the gate refuses it
    ],
)
def test_the_services_that_are_named(
    make_environment: Make, wanted: tuple[str, ...], services: tuple[str, ...], left: tuple[str, ...]
) -> None:
    environment = narrowed(make_environment(), wanted)
    assert (environment.services, environment.left) == (services, left)


def test_a_service_that_is_not_there_is_told_with_the_one_that_is_meant() -> None:
    refusal = services_named(("worker", "wbe"), ("web", "worker"), "staging", verb="deploy")
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.UNKNOWN_SERVICE
    assert refusal.sentence == "`staging` has no service `wbe`; there are `web` and `worker`."
    assert refusal.next == "`/deploy staging worker web`"


@pytest.mark.parametrize(
    ("wanted", "live"),
    [
        ("web", ["serving", "web /healthz", "https://shop.test/up", "job m"]),
        ("worker", ["serving", "https://shop.test/up", "https://shop.test/about", "job m", "access to worker"]),
    ],
)
def test_nothing_is_expected_of_the_other_services(make_environment: Make, wanted: str, live: list[str]) -> None:
    environment = narrowed(make_environment(jobs="{m: {}}", verify=CHECKS, version="1.2"), (wanted,))
    assert names(environment.live_checks) == live
    assert [check.services for check in environment.live_checks if isinstance(check, ServingCheck)] == [(wanted,)]


def test_what_is_released_is_looked_at_though_only_the_other_one_is_to_be(make_environment: Make) -> None:
    environment = narrowed(make_environment(verify="[{serving: [web]}]"), ("worker",))
    assert environment.live_checks == (ServingCheck(name="serving", services=("worker",)),)


def test_a_job_is_checked_in_the_first_region_that_is_released(make_environment: Make) -> None:
    environment = make_environment(
        staging="region: [a, b, r]", web="{regions: [b, r]}", jobs="{m: {}}", verify="[{job: m, when: candidate}]"
    )
    web = narrowed(environment, ("web",))
    assert [region.name for region in web.regions] == ["b", "r"]
    assert names(web.regions[0].candidate_checks) == ["job m"]
    assert web.regions[1].candidate_checks == ()
    one = narrowed(environment, ("web@r",))
    assert (one.services, one.left) == (("web@r",), ("worker", "web@b", "worker@b", "worker@r"))


def test_the_plan_builds_and_runs_jobs_as_always_and_moves_what_is_named(make_environment: Make) -> None:
    environment = make_environment(jobs="{m: {when: release}}", target="order: [worker, web]", staging="watch: 5m")
    plan = plan_release(narrowed(environment, ("web",)), TRAITS)
    assert [step.id for step in plan.steps] == [
        "build",
        "job-m",
        "rollout-web",
        *(step.id for step in plan.steps if isinstance(step, Verify) and step.phase == "candidate"),
        "shift",
        "verify-live",
        "watch",
    ]
    moved = [step.service for step in plan.steps if isinstance(step, Rollout)]
    moved += [name for step in plan.steps if isinstance(step, Shift | WatchLog) for name in step.services]
    assert set(moved) == {"web"}


SHA, OLD = "a" * 40, "b" * 40
MINE = "values: {mine: 'v-{sha}'}"


def serves(name: str, sha: str) -> ServiceState:
    return ServiceState(
        service=name,
        traffic=(TrafficShare(revision=name, percent=100),),
        labels={name: {"slipway-sha": sha} if sha else {}},
    )


@pytest.mark.parametrize(
    ("worker", "live"),
    [
        (
            SHA,
            [
                "serving",
                "web /healthz",
                "https://shop.test/",
                "https://shop.test/up",
                "https://shop.test/about",
                "access to worker",
            ],
        ),
        (OLD, ["serving", "web /healthz", "https://shop.test/up", "access to worker"]),
        (
            "",
            [
                "serving",
                "web /healthz",
                "https://shop.test/",
                "https://shop.test/up",
                "https://shop.test/about",
                "access to worker",
            ],
        ),
    ],
)
def test_a_rollback_to_two_commits_asks_no_service_for_the_others(
    make_environment: Make, worker: str, live: list[str]
) -> None:
    environment = make_environment(verify=CHECKS.replace("{job: m},", ""), version="1.2")
    _, verify = plan_rollback(environment, Serving(services=(serves("web", SHA), serves("worker", worker))), SHA).steps
    assert isinstance(verify, Verify)
    assert names(verify.checks) == live


@pytest.mark.parametrize(
    ("check", "kept"),
    [
        (HttpCheck(name="x", url="/", service="web", of_commit=True), True),
        (HttpCheck(name="x", url="/", service="worker", of_commit=True), False),
        (HttpCheck(name="x", url="/", service="worker"), True),
        (HttpCheck(name="x", url="https://x", of_commit=True), False),
        (ExposureCheck(name="x", service="worker"), True),
        (JobCheck(name="x", job="x", timeout=1.0), True),
    ],
)
def test_what_would_want_the_commit_of_another(check: Check, kept: bool) -> None:
    assert unlike((check,), ("worker",)) == ((check,) if kept else ())
    assert unlike((check,), ()) == (check,)


@pytest.mark.parametrize(
    ("check", "of_commit"),
    [
        ("{http: /, contains: '{short_sha}'}", True),
        ("{http: '/{sha}'}", True),
        ("{http: /, json: {a: {b: '{version}'}}}", True),
        ("{http: /, headers: {X: '{mine}'}}", True),
        ("{http: /, contains: '{env}'}", False),
    ],
)
def test_a_check_that_expects_the_commit(make_environment: Make, check: str, of_commit: bool) -> None:
    environment = make_environment(verify=f"[{check}]", version="1", staging=MINE, production=MINE)
    found = environment.live_checks[1]
    assert isinstance(found, HttpCheck)
    assert found.of_commit is of_commit


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ((), ()),
        (("worker",), ("`worker`, which stays as it is.",)),
        (("worker", "web@b"), ("`worker` and `web in b`, which stay as they are.",)),
    ],
)
def test_what_is_left_is_said(services: tuple[str, ...], said: tuple[str, ...]) -> None:
    assert left_alone(services) == said


def test_the_other_services_are_told_apart_by_their_traffic() -> None:
    both = Serving(services=(serves("web", SHA), serves("worker", OLD)))
    assert both.of(("worker",)) == Serving(services=(serves("worker", OLD),))
    assert replace(both.services[0]).sha == SHA
