from __future__ import annotations

from collections.abc import Callable

import pytest

from bot.core.config import AllAtOnce, Canary
from bot.core.outcome import Reason, Refusal
from bot.core.resolve import Environment
from bot.core.serving import ServiceState, Serving, TrafficShare
from bot.core.stages import Decidable, Rate, analysis_of, decidable, looks, staged

Make = Callable[..., Environment]
CANARY = "{strategy: {type: canary, stages: [1, 25], stage_time: 5m, deadline: 30m, metrics: [errors]%s}}"


def serving(*names: str) -> Serving:
    return Serving(
        services=tuple(ServiceState(service=name, traffic=(TrafficShare(revision="r", percent=100),)) for name in names)
    )


def strategies(found: Decidable | Refusal) -> list[object]:
    assert isinstance(found, Decidable)
    units = [unit for region in found.environment.regions for unit in region.units]
    return [unit.strategy.stages if isinstance(unit.strategy, Canary) else unit.strategy for unit in units]


def test_with_enough_traffic_every_stage_stays(make_environment: Make) -> None:
    environment = make_environment(web=CANARY % "")
    found = decidable(environment, {"web": Rate(requests=200.0, errors=0.001)}, serving("web", "worker"))
    assert strategies(found) == [(1, 25), None]
    assert isinstance(found, Decidable)
    assert found.notes == ()


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (Rate(requests=1.0, errors=0.005), "web at 1 %: 1 requests a second would need"),
        (Rate(requests=0.0), "web at 1 %: it takes no requests"),
    ],
)
def test_a_stage_that_cannot_be_decided_is_refused(make_environment: Make, rate: Rate, said: str) -> None:
    refusal = decidable(make_environment(web=CANARY % ""), {"web": rate}, serving("web"))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.TOO_LITTLE_TRAFFIC
    assert said in refusal.sentence
    assert "`source: probes`" in refusal.next


def test_or_it_is_left_out(make_environment: Make) -> None:
    environment = make_environment(web=CANARY % ", too_little_traffic: skip")
    found = decidable(environment, {"web": Rate(requests=8.0, errors=0.005)}, serving("web"))
    assert strategies(found) == [(25,), None]
    assert isinstance(found, Decidable)
    (note,) = found.notes
    assert note.startswith("web at 1 %: 8 requests a second would need")
    assert note.endswith("and there are 27 min")


def test_without_any_stage_left_all_of_the_traffic_moves_at_once(make_environment: Make) -> None:
    environment = make_environment(web=CANARY % ", too_little_traffic: skip")
    found = decidable(environment, {}, serving("web"))
    assert strategies(found) == [AllAtOnce(type="all-at-once"), None]
    assert isinstance(found, Decidable)
    assert len(found.notes) == 2


def test_probes_bring_traffic_of_their_own(make_environment: Make) -> None:
    often, seldom = ", source: probes, probe_every: 200ms", ", source: probes, probe_every: 1m"
    assert strategies(decidable(make_environment(web=CANARY % often), {}, serving("web"))) == [(1, 25), None]
    refusal = decidable(make_environment(web=CANARY % seldom), {}, serving("web"))
    assert isinstance(refusal, Refusal)
    assert "a probe every 60 s would need" in refusal.sentence


def test_a_first_release_has_no_stages(make_environment: Make) -> None:
    found = decidable(make_environment(web=CANARY % ""), {}, serving("worker"))
    assert strategies(found) == [AllAtOnce(type="all-at-once"), None]


def test_regions_are_judged_each_by_its_own_traffic(make_environment: Make) -> None:
    environment = make_environment(web=CANARY % "", staging="region: [a, b]")
    assert staged(environment) == ("web", "web@b")
    rates = {"web": Rate(requests=500.0), "web@b": Rate(requests=0.001)}
    refusal = decidable(environment, rates, serving("web", "web@b"))
    assert isinstance(refusal, Refusal)
    assert "web in b at 25 %" in refusal.sentence
    assert "web at" not in refusal.sentence


def test_only_what_is_judged_by_users_requests_needs_to_be_measured(make_environment: Make) -> None:
    assert staged(make_environment(web=CANARY % "", worker=CANARY % ", source: probes")) == ("web",)


def test_what_is_asked_of_the_judgement() -> None:
    strategy = Canary(type="canary", confidence=0.9, metrics=("errors",), deadline=100.0, look_every=30.0)
    analysis = analysis_of(strategy, judged=3)
    assert (analysis.confidence, analysis.metrics, analysis.services) == (0.9, ("errors",), 3)
    assert looks(strategy) == 4
