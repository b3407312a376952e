"""Stages and the watch afterwards: what is asked when, and what ends them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.core.canary import Observed
from bot.core.config import Canary, Watch
from bot.core.outcome import Reason
from bot.core.plan import Analysis, Plan, Shift, WatchLog
from bot.core.serving import ServiceState, Serving, TrafficShare
from bot.engine.comparing import LOG_BEFORE, Comparer
from bot.engine.execution import Execution
from bot.engine.verification import Answer
from bot.errors import CancelledError, ForbiddenError, UpstreamError

STRATEGY = Canary(
    type="canary",
    stages=(10,),
    stage_time=300.0,
    deadline=900.0,
    look_every=60.0,
    delay=120.0,
    metrics=("errors",),
)
GOOD = {"web-1": Observed(requests=90_000, errors=90), "web-2": Observed(requests=10_000, errors=10)}
BAD = {"web-1": Observed(requests=90_000, errors=90), "web-2": Observed(requests=10_000, errors=900)}
FEW = {"web-1": Observed(requests=90), "web-2": Observed(requests=10)}


@pytest.fixture
def began(known: Any) -> Any:
    return known.with_handle("rollout-web", "projects/p/web-2").with_handle("rollout-worker", "worker-2")


def analysis(**over: Any) -> Analysis:
    return Analysis(
        id="analysis-web-10", service="web", percent=10, strategy=STRATEGY.model_copy(update=over), stage=0, stages=1
    )


@pytest.fixture
def comparer(target: Any, clock: Any) -> Any:
    said: list[str] = []

    def make(probe: Any = None, halted: Any = lambda: False) -> Any:
        made = Comparer(target, clock, probe, halted=halted, progress=said.append)
        made.said = said  # type: ignore[attr-defined]  # for the tests to look at
        return made

    return make


# -- by users' requests -------------------------------------------------------------------------------------------
def test_a_good_candidate_is_watched_for_the_stages_time(target: Any, clock: Any, began: Any, comparer: Any) -> None:
    target.requests = [GOOD]
    started = clock.now()
    judged = comparer().analyse(analysis(), began)
    assert judged.status == "passed"
    assert clock.now() - started == 300.0
    # No look goes closer to the present than the measurements do, and none is wasted before there are any.
    assert target.asked == [(started, started + seen) for seen in (60.0, 120.0, 180.0)]
    (row,) = judged.checks
    assert (row.name, row.passed, row.service) == ("errors of web at 10 %", True, "web")
    assert row.expected == "less than 1 point above what serves"
    assert row.found.startswith("0.1 % against 0.1 %")
    assert judged.detail == "10,000 requests"


def test_a_bad_candidate_ends_the_stage_at_once(target: Any, clock: Any, began: Any, comparer: Any) -> None:
    target.requests = [BAD]
    started = clock.now()
    judged = comparer().analyse(analysis(), began)
    assert judged.status == "failed"
    assert clock.now() - started == 180.0
    assert not judged.checks[0].passed


@pytest.mark.parametrize(("undecided", "status"), [("fail", "undecided"), ("pass", "passed")])
def test_what_cannot_be_decided_is_held_until_the_deadline(
    target: Any, clock: Any, began: Any, comparer: Any, undecided: str, status: str
) -> None:
    target.requests = [FEW]
    started = clock.now()
    made = comparer()
    judged = made.analyse(analysis(undecided=undecided), began)
    assert judged.status == status
    assert clock.now() - started == 900.0
    assert "not decided" in judged.checks[0].found
    assert "more are needed" in judged.detail
    assert "10 requests so far" in made.said[-1]


def test_it_is_decided_as_soon_as_there_is_enough(target: Any, clock: Any, began: Any, comparer: Any) -> None:
    target.requests = [FEW, FEW, FEW, FEW, GOOD]
    started = clock.now()
    assert comparer().analyse(analysis(), began).status == "passed"
    assert clock.now() - started == 420.0


def test_measurements_that_cannot_be_read_for_the_moment_are_looked_at_again(
    target: Any, began: Any, comparer: Any
) -> None:
    fault = UpstreamError("502", service="Cloud Monitoring", operation="read", status=502)
    target.requests = [fault, fault, fault, GOOD]
    assert comparer().analyse(analysis(), began).status == "passed"


def test_measurements_that_never_come_decide_nothing(target: Any, began: Any, comparer: Any) -> None:
    target.requests = [UpstreamError("503", service="Cloud Monitoring", operation="read", status=503)]
    assert comparer().analyse(analysis(), began).status == "undecided"


def test_measurements_that_may_not_be_read_are_a_fault(target: Any, began: Any, comparer: Any) -> None:
    target.requests = [ForbiddenError("403", service="Cloud Monitoring", operation="read", status=403)]
    with pytest.raises(ForbiddenError):
        comparer().analyse(analysis(), began)


def test_all_that_served_before_is_the_baseline(target: Any, began: Any, comparer: Any) -> None:
    shares = (TrafficShare(revision="web-0", percent=50), TrafficShare(revision="web-1", percent=50))
    found = Serving(services=(ServiceState(service="web", traffic=shares),))
    target.requests = [
        {**BAD, "web-0": Observed(requests=90_000, errors=90), "stranger": Observed(requests=9, errors=9)}
    ]
    judged = comparer().analyse(analysis(), replace(began, before=found))
    assert "against 0.1 %" in judged.checks[0].found


def test_a_stage_ends_when_the_run_is_stopped_or_another_step_fails(
    target: Any, clock: Any, began: Any, comparer: Any
) -> None:
    target.requests = [FEW]
    clock.stop_at = clock.now() + 100.0
    with pytest.raises(CancelledError):
        comparer().analyse(analysis(), began)
    with pytest.raises(CancelledError):
        comparer(halted=lambda: True).analyse(analysis(), began)


# -- by probes ----------------------------------------------------------------------------------------------------
PROBES = {"source": "probes", "probe": "/buy", "probe_every": 0.5, "look_every": 30.0}


def test_both_versions_are_probed_alike(target: Any, clock: Any, began: Any, comparer: Any) -> None:
    asked: list[tuple[str, Any]] = []

    def probe(method: str, url: str, headers: Any, timeout: float) -> Answer:
        asked.append((url, headers))
        return Answer(status=200, seconds=0.05)

    judged = comparer(probe).analyse(analysis(**PROBES, metrics=("errors", "latency")), began)
    assert judged.status == "passed"
    urls = [url for url, _ in asked]
    assert urls.count("https://web-candidate.test/buy") == urls.count("https://web-baseline.test/buy") > 500
    assert asked[0][1] == {"Authorization": "Bearer t"}
    assert [row.name for row in judged.checks] == ["errors of web at 10 %", "latency of web at 10 %"]
    assert judged.checks[1].expected == "slower in less than 60 of 100 pairs"


@pytest.mark.parametrize("answer", [Answer(status=500), Answer(status=0, error="refused")])
def test_a_candidate_that_does_not_answer_fails(began: Any, comparer: Any, answer: Answer) -> None:
    def probe(_method: str, url: str, _headers: Any, _timeout: float) -> Answer:
        return answer if "candidate" in url else Answer(status=404, seconds=0.05)  # a refusal is an answer

    assert comparer(probe).analyse(analysis(**PROBES), began).status == "failed"


def test_a_service_that_cannot_be_reached_cannot_be_probed(target: Any, began: Any, comparer: Any) -> None:
    target.endpoints["web"] = ""
    with pytest.raises(UpstreamError, match="judge it by `source: monitoring`"):
        comparer(lambda *_: Answer(status=200)).analyse(analysis(**PROBES), began)


# -- after the release --------------------------------------------------------------------------------------------
WATCH = WatchLog(id="watch", services=("web", "worker"), watch=Watch(time=120.0))


def test_the_log_is_watched_for_its_time(target: Any, clock: Any, began: Any, comparer: Any) -> None:
    target.lines = {"web-1": [40], "web-2": [1]}
    started = clock.now()
    judged = comparer().watch(WATCH, began, began=started - 500.0)
    assert judged.status == "passed"
    assert clock.now() - started == 120.0
    assert target.asked[0] == (started - 500.0 - LOG_BEFORE, started - 500.0)
    assert target.asked[-1] == (started, started + 105.0)  # lines take a while to arrive
    assert [row.name for row in judged.checks] == ["error log of web", "error log of worker"]
    assert judged.checks[0].found.startswith("1 error line in 1.75 min against 40 in 60 min")


def test_more_errors_than_before_end_it_at_once(target: Any, clock: Any, began: Any, comparer: Any) -> None:
    target.lines = {"web-1": [2], "web-2": [0, 60]}
    started = clock.now()
    judged = comparer().watch(WATCH, began, began=started)
    assert judged.status == "failed"
    assert clock.now() - started == 60.0
    assert [row.passed for row in judged.checks] == [False, True]


def test_what_did_not_exist_before_has_nothing_to_be_held_against(
    target: Any, clock: Any, began: Any, comparer: Any
) -> None:
    found = Serving(services=(began.before.service("web"), ServiceState(service="worker", exists=False)))
    judged = comparer().watch(WATCH, replace(began, before=found), began=clock.now())
    assert [row.service for row in judged.checks] == ["web"]


UNREADABLE = ForbiddenError("Permission denied.", service="Cloud Logging", operation="list", status=403)


def test_a_log_that_cannot_be_read_for_a_while_is_read_later(
    target: Any, clock: Any, began: Any, comparer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.lines = {"web-1": [2], "web-2": [60]}
    read, started = target.error_lines, clock.now()

    def fails_at_first(*asked: Any) -> int:
        if clock.now() - started < 100:
            raise UpstreamError("503", service="Cloud Logging", operation="list", status=503)
        return int(read(*asked))

    monkeypatch.setattr(target, "error_lines", fails_at_first)
    judged = comparer().watch(WATCH, began, began=started)
    assert judged.status == "failed"
    assert [row.passed for row in judged.checks] == [False, True]


# -- in a plan ----------------------------------------------------------------------------------------------------
def run(target: Any, clock: Any, known: Any, *steps: Any) -> Any:
    shift = Shift(id="shift", services=("web",), percent=10, timeout=9.0)
    plan = Plan(steps=(shift, *steps))
    return Execution(plan, target, known, probe=None, clock=clock, on_change=lambda _: None).run()  # type: ignore[arg-type]  # nothing is probed


def after(step: Any) -> Any:
    return replace(step, needs=("shift",))


def test_a_worse_candidate_is_taken_back_and_its_own_log_says_why(target: Any, clock: Any, began: Any) -> None:
    target.requests = [BAD]
    ended = run(target, clock, began, after(analysis()))
    assert (ended.reason, ended.restored) == (Reason.CANARY_FAILED, True)
    assert ended.failed.detail.startswith("errors of web at 10 %: 9 % against 0.1 %")
    assert ended.exposed_seconds > 100


def test_an_undecided_stage_is_taken_back(target: Any, clock: Any, began: Any) -> None:
    target.requests = [FEW]
    ended = run(target, clock, began, after(analysis()))
    assert (ended.reason, ended.restored) == (Reason.CANARY_UNDECIDED, True)
    assert "it could not be decided in 900 s: 10 requests, about" in ended.failed.detail


def test_a_stage_that_passed_says_by_what(target: Any, clock: Any, began: Any) -> None:
    target.requests = [GOOD]
    ended = run(target, clock, began, after(analysis()))
    assert (ended.reason, ended.failed) == (Reason.RELEASED, None)
    assert ended.results[-1].detail == "10,000 requests"


@pytest.mark.parametrize(
    ("then", "reason", "restored"), [("rollback", Reason.WATCH_FAILED, True), ("suggest", Reason.RELEASED, None)]
)
def test_more_errors_mean_the_way_back_or_a_word(
    target: Any, clock: Any, began: Any, then: Any, reason: Reason, restored: bool | None
) -> None:
    target.lines = {"web-2": [99]}
    step = replace(WATCH, services=("web",), watch=Watch(time=60.0, then=then))
    ended = run(target, clock, began, after(step))
    assert (ended.reason, ended.restored) == (reason, restored)
    watched = next(result for result in ended.results if result.id == "watch")
    assert watched.state == ("done" if then == "suggest" else "failed")
    assert not watched.checks[0].passed


@pytest.mark.parametrize("then", ["rollback", "suggest"])
def test_a_log_that_cannot_be_read_takes_nothing_back_that_was_verified(
    target: Any, clock: Any, began: Any, monkeypatch: pytest.MonkeyPatch, then: Any
) -> None:
    def forbidden(*_: Any) -> int:
        raise UNREADABLE

    monkeypatch.setattr(target, "error_lines", forbidden)
    ended = run(target, clock, began, after(replace(WATCH, watch=Watch(time=120.0, then=then))))
    assert (ended.reason, ended.restored) == (Reason.RELEASED, None)
    watched = next(result for result in ended.results if result.id == "watch")
    assert (watched.state, watched.detail) == ("done", "the error log could not be read")
    assert [(row.name, row.passed) for row in watched.checks] == [("error log", False)]
    assert "Permission denied." in watched.checks[0].found
