from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.app import endings
from bot.core.checks import CheckResult
from bot.core.commands import Command
from bot.core.config_file import load
from bot.core.facts import Comparison
from bot.core.outcome import Reason, ReleaseReport, ServiceLine, StepResult
from bot.core.plan import Plan
from bot.core.resolve import Environment, resolve
from bot.core.serving import ServiceState, Serving, TrafficShare
from bot.core.target import Known, ReleaseId
from bot.engine.execution import Ended

BEFORE = Serving(services=(ServiceState(service="web"),))


def make_ended(**over: Any) -> Ended:
    release = ReleaseId(deployment_id=1, environment="staging", sha="4f9a1c2" + "0" * 33, actor="dana", tag="t")
    known = Known(release=release, before=over.pop("before", BEFORE))
    return Ended(plan=Plan(steps=()), results=(), known=known, reason=over.pop("reason", Reason.RELEASED), **over)


def make_failed(detail: str = "it broke") -> StepResult:
    return StepResult(id="x", kind="build", title="Build", state="failed", detail=detail)


def make_report(**over: Any) -> ReleaseReport:
    values: dict[str, Any] = {
        "verb": "deploy",
        "environment": "staging",
        "sha": "4f9a1c2" + "0" * 33,
        "actor": "dana",
        "state": "failed",
        "now": 1.0,
        "started": 0.0,
        "steps": (make_failed(),),
        "sentence": "it broke.",
        "services": (ServiceLine(service="web", before="web-1"),),
    }
    return ReleaseReport(**values | over)


@pytest.mark.parametrize("serving", [None, Serving()])
def test_what_could_not_be_asked_is_not_nothing(serving: Serving | None) -> None:
    lines = (ServiceLine(service="web", before="web-1"),)
    (line,) = endings.services(lines, make_ended(failed=make_failed(), restored=False), serving)
    assert (line.asked, line.now, line.healthy) == (serving is not None, "", False)


@pytest.mark.parametrize(("percent", "healthy"), [(60, True), (40, False), (100, False)])
def test_what_was_divided_before_is_well_when_it_is_so_again(percent: int, healthy: bool) -> None:
    def divided(percent: int) -> Serving:
        shares = (("web-1", percent), ("web-0", 100 - percent))
        traffic = tuple(TrafficShare(revision=revision, percent=share) for revision, share in shares)
        return Serving(services=(ServiceState(service="web", traffic=traffic),))

    lines = (ServiceLine(service="web", before="web-1"),)
    ended = make_ended(failed=make_failed(), restored=True, before=divided(60))
    (line,) = endings.services(lines, ended, divided(percent))
    assert line.healthy is healthy


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({}, ""),
        ({"failed": make_failed()}, "it broke."),
        ({"failed": make_failed("It broke!")}, "It broke!"),
        ({"failed": make_failed("")}, ""),
        ({"cancelled": True}, "The workflow run was stopped."),
    ],
)
def test_why_it_was_not_released(over: dict[str, Any], said: str) -> None:
    assert endings.cause(make_ended(**over)) == said


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"state": "released"}, "is live and verified."),
        ({"state": "released", "verb": "rollback"}, "serves again, verified."),
        ({}, "failed at “Build”: it broke — what served before still serves."),
        ({"restored": True}, "failed at “Build”: it broke — what served before still serves."),
        ({"restored": True, "exposed_seconds": 2.0}, "failed at “Build”: it broke — what served before is back."),
        ({"restored": False}, "failed at “Build”: it broke — RESTORING FAILED, look at once."),
        ({"services": (ServiceLine(service="web"),)}, "failed at “Build”: it broke — nothing served before."),
        ({"state": "cancelled"}, "was cancelled — what served before still serves."),
    ],
)
def test_how_it_ended_on_one_line(over: dict[str, Any], said: str) -> None:
    assert endings.told(make_report(**over)) == f"4f9a1c2 on staging {said}"


@pytest.mark.parametrize(
    ("over", "verb", "said"),
    [
        ({}, "deploy", ("/rollback staging", "/status")),
        ({"way_back": False}, "deploy", ("/status",)),
        ({}, "rollback", ("/unlock staging", "/status")),
        ({"failed": make_failed(), "reason": Reason.BUILD_FAILED}, "deploy", ("after a fix: /deploy staging", "/status")),
        ({"failed": make_failed(), "reason": Reason.TIMED_OUT}, "deploy", ("/retry staging", "/status")),
        ({"failed": make_failed(), "reason": Reason.TIMED_OUT, "typed": False}, "deploy", ("/deploy staging", "/status")),
        (
            {"failed": make_failed(), "reason": Reason.VERIFICATION_FAILED}, "deploy",
            ("after a fix: /deploy staging", "if it was transient: /retry staging", "/status"),
        ),
        (
            {"failed": make_failed(), "reason": Reason.ROLLOUT_FAILED, "typed": False}, "deploy",
            ("after a fix: /deploy staging", "/status"),
        ),
        ({"cancelled": True, "reason": Reason.CANCELLED}, "deploy", ("/deploy staging", "/status")),
        ({"failed": make_failed(), "restored": False}, "deploy", ("/rollback staging", "/status")),
        ({"failed": make_failed(), "restored": False, "way_back": False}, "deploy", ("/status",)),
        ({"failed": make_failed()}, "rollback", ("/rollback staging", "/status")),
    ],
)  # fmt: skip
def test_what_to_type_next(over: dict[str, Any], verb: Any, said: tuple[str, ...]) -> None:
    how = {"way_back": over.pop("way_back", True), "typed": over.pop("typed", True)}
    command = Command(verb=verb, flags={"reason": "because"})
    assert endings.following(make_ended(**over), make_report(verb=verb), command, **how) == said


def test_a_retry_has_no_flags_so_it_is_not_offered_for_a_command_with_some() -> None:
    command = Command(verb="promote", flags={"from": "staging"})
    ended = make_ended(failed=make_failed(), reason=Reason.TIMED_OUT)
    assert endings.following(ended, make_report(), command, way_back=True)[0] == "/promote staging --from=staging"


@pytest.mark.parametrize(
    ("command", "reason", "said"),
    [
        (Command(verb="promote"), Reason.TIMED_OUT, "/promote staging"),
        (Command(verb="deploy", sha="4f9a1c2"), Reason.TIMED_OUT, "/deploy staging @4f9a1c2"),
        (Command(verb="deploy", sha="4f9a1c2"), Reason.BUILD_FAILED, "after a fix: /deploy staging"),
        (
            Command(verb="rollback", flags={"to": "12", "reason": "x y", "plan": "1f"}),
            Reason.TIMED_OUT,
            "/rollback staging --to=12",
        ),
    ],
)
def test_what_is_said_again_means_the_same(command: Command, reason: Reason, said: str) -> None:
    ended = make_ended(failed=make_failed(), reason=reason)
    report = make_report(verb="rollback" if command.verb == "rollback" else "deploy")
    assert endings.following(ended, report, command, way_back=True, typed=False) == (said, "/status")


# -- what is left behind ------------------------------------------------------------------------------------------
@pytest.fixture
def make_environment() -> Any:
    """Make an environment with the job migrate."""

    def make(compatible: Any = "expand-contract") -> Environment:
        text = (
            "version: 1\napp: shop\ntargets:\n  gcp:\n    type: cloud_run\n    project: p\n    region: r\n"
            f"    services: {{web: {{}}}}\n    jobs: {{migrate: {{when: release, compatible: {compatible}}}}}\n"
            "environments: {staging: {}}\n"
        )
        return resolve(load(text, file="s.yml"), "staging", repository="a/b", sha="0" * 40, variables={})

    return make


BREAKING = "it is `breaking`: the former release may not live with what it changed"
FILES = Comparison(ahead_by=1, behind_by=0, files=("shop/migrations/0002_b.py", "x.py", "shop/migrations/0001_a.py"))


@pytest.mark.parametrize(
    ("ended", "report", "compatible", "said"),
    [
        ({"jobs": ("migrate",)}, {}, "breaking", ()),
        (
            {"jobs": ("migrate",), "failed": make_failed()},
            {},
            "expand-contract",
            ("job `migrate` (what it changed in the database stays)",),
        ),
        (
            {"jobs": ("migrate",), "cancelled": True},
            {"comparison": FILES},
            "breaking",
            (f"job `migrate` with `0001_a`, `0002_b` ({BREAKING})",),
        ),
        ({}, {"verb": "rollback", "comparison": FILES}, "expand-contract", ("`0001_a`, `0002_b` (the database keeps what they did)",)),
        ({}, {"verb": "rollback"}, "expand-contract", ()),
    ],
)  # fmt: skip
def test_what_a_way_back_leaves_behind(
    make_environment: Any, ended: dict[str, Any], report: dict[str, Any], compatible: str, said: tuple[str, ...]
) -> None:
    assert endings.not_undone(make_ended(**ended), make_report(**report), make_environment(compatible)) == said


def test_what_the_log_showed_wants_a_look() -> None:
    check = CheckResult(name="x", passed=False, expected="as before", found="9 lines")
    watched = StepResult(id="watch", kind="watch", title="Watch the log", state="done", checks=(check,))
    other = replace(watched, id="verify", kind="verify")
    assert endings.warnings(replace(make_ended(), results=(watched, other))) == ("Watch the log: 9 lines",)
    assert endings.warnings(replace(make_ended(), results=(replace(watched, state="failed"),))) == ()
