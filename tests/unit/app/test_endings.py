from __future__ import annotations

from typing import Any

import pytest

from bot.app import endings
from bot.core.outcome import Reason, ReleaseReport, ServiceLine, StepResult
from bot.core.plan import Plan
from bot.core.serving import ServiceState, Serving
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
        ({"before": Serving()}, "deploy", ("/status",)),
        ({}, "rollback", ("/unlock staging", "/status")),
        ({"failed": make_failed(), "reason": Reason.BUILD_FAILED}, "deploy", ("after a fix: /deploy staging", "/status")),
        ({"failed": make_failed(), "reason": Reason.TIMED_OUT}, "deploy", ("/deploy staging", "/status")),
        ({"cancelled": True, "reason": Reason.CANCELLED}, "deploy", ("/deploy staging", "/status")),
        ({"failed": make_failed(), "restored": False}, "deploy", ("/rollback staging", "/status")),
        ({"failed": make_failed()}, "rollback", ("/rollback staging", "/status")),
    ],
)  # fmt: skip
def test_what_to_type_next(over: dict[str, Any], verb: Any, said: tuple[str, ...]) -> None:
    assert endings.following(make_ended(**over), make_report(verb=verb), verb) == said


def test_what_was_promoted_is_promoted_again() -> None:
    ended = make_ended(failed=make_failed(), reason=Reason.TIMED_OUT)
    assert endings.following(ended, make_report(), "promote") == ("/promote staging", "/status")
