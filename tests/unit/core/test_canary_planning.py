"""Requests that a judgement takes: the textbook's number, and that the judge itself keeps what is promised."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bot.core.canary import Analysis, Look, Observed, decidable, judge, needed, needed_to_find, seconds_needed
from bot.core.canary.planning import textbook

CASE = {"error_rate": 0.005, "rise": 0.015, "level": 0.05, "power": 0.8}
ERRORS = Analysis(metrics=("errors",))


@pytest.mark.parametrize(
    ("share", "rps", "requests", "hours"),
    [(0.01, 20, 248, 0.345), (0.01, 1, 248, 6.89), (0.25, 1, 399, 0.443)],
)
def test_the_textbooks_number(share: float, rps: float, requests: int, hours: float) -> None:
    """80 % power, one-sided 5 %, errors 0.5 % against 2 %: 21 minutes at 20 requests a second, 6.9 hours at one."""
    number = textbook(share=share, **CASE)
    assert round(number) == requests
    assert number / (rps * share) / 3600 == pytest.approx(hours, rel=0.01)


def test_an_exact_test_wants_more_than_the_textbook() -> None:
    """338 by exact power, which is 36 % more."""
    assert needed_to_find(Analysis(error_rise=0.015, metrics=("errors",)), error_rate=0.005, share=0.01) == 342


def chance(
    status: str, analysis: Analysis, requests: int, share: float, rates: tuple[float, float], look: Look
) -> float:
    """Return how often the judge says so, over all errors that either version may show."""
    of_before = round(requests * (1 - share) / share)
    cuts = 15
    total = 0.0
    for cut in range(cuts):
        baseline = Observed(
            requests=of_before, errors=int(stats.binom.ppf((cut + 0.5) / cuts, of_before, rates[0])) if rates[0] else 0
        )

        def says(bad: int, baseline: Observed = baseline) -> bool:
            candidate = Observed(requests=requests, errors=bad)
            return judge(analysis, candidate=candidate, baseline=baseline, look=look).status == status

        low, high = -1, requests + 1  # errors only ever make it worse: the two statuses change once each
        fails = status == "fail"
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if says(middle) == fails else (middle, high)
        total += stats.binom.sf(high - 1, requests, rates[1]) if fails else stats.binom.cdf(low, requests, rates[1])
    return total / cuts


RATES = [(rate, rise, share) for rate in (0.0005, 0.005, 0.02, 0.1) for rise in (0.01, 0.05) for share in (0.01, 0.25)]


@pytest.mark.parametrize("look", [Look(), Look(number=5, of=15), Look(number=15, of=15)])
@pytest.mark.parametrize(("rate", "rise", "share"), RATES)
def test_with_what_it_takes_the_margin_is_found(rate: float, rise: float, share: float, look: Look) -> None:
    analysis = Analysis(error_rise=rise, metrics=("errors",))
    requests = needed_to_find(analysis, error_rate=rate, share=share, look=look)
    assert chance("fail", analysis, requests, share, (rate, rate + rise), look) > 0.765
    if rate >= 0.005 and rise == 0.01:  # where it is no more than what it takes
        assert chance("fail", analysis, round(0.75 * requests), share, (rate, rate + rise), look) < 0.78


@pytest.mark.parametrize("power", [0.8, 0.95])
@pytest.mark.parametrize(("rate", "rise", "share"), [*RATES, (0.0, 0.01, 0.01), (0.0, 0.05, 0.25)])
def test_with_what_is_needed_good_ones_pass_and_others_do_not(
    rate: float, rise: float, share: float, power: float
) -> None:
    analysis = Analysis(error_rise=rise, power=power, metrics=("errors",))
    requests = needed(analysis, error_rate=rate, share=share)
    assert chance("pass", analysis, requests, share, (rate, rate), Look()) > power - 0.07
    assert chance("pass", analysis, requests, share, (rate, rate + rise), Look()) < 1.02 - power
    if rate >= 0.005 and rise == 0.01:
        assert chance("pass", analysis, round(0.75 * requests), share, (rate, rate), Look()) < power


def test_without_any_errors_before_it_is_on_the_safe_side() -> None:
    for look in (Look(), Look(number=15, of=15)):
        requests = needed_to_find(ERRORS, error_rate=0.0, share=0.05, look=look)
        assert 0.8 < chance("fail", ERRORS, requests, 0.05, (0.0, 0.01), look) < 0.99


@pytest.mark.parametrize(("share", "look"), [(0.01, Look()), (0.25, Look(number=10, of=15)), (0.5, Look())])
def test_latencies_are_planned_for_as_they_are_judged(share: float, look: Look) -> None:
    """Two normal latencies, one of them shifted until it is the slower in six of ten pairs."""
    analysis = Analysis(metrics=("latency",))
    shift = stats.norm.ppf(0.6) * math.sqrt(2)
    requests = needed_to_find(analysis, error_rate=0.0, share=share, look=look)
    assert 0.7 < played("fail", analysis, requests, share, shift, look) < 0.9
    requests = needed(analysis, error_rate=0.0, share=share)
    assert 0.7 < played("pass", analysis, requests, share, 0.0, look) < 0.9
    assert 0.1 < played("pass", analysis, requests, share, shift, look) < 0.3


def played(status: str, analysis: Analysis, requests: int, share: float, shift: float, look: Look) -> float:
    before = min(5000, round(requests * (1 - share) / share))
    hits, runs = 0, 200
    for seed in range(runs):
        sample = stats.norm.rvs(size=requests + before, random_state=seed).round(2)
        candidate, baseline = counted(sample[:requests] + shift), counted(sample[requests:])
        hits += judge(analysis, candidate=candidate, baseline=baseline, look=look).status == status
    return hits / runs


def counted(sample: Any) -> Observed:
    return Observed(requests=len(sample), latency=Counter(sample.tolist()))


def test_the_metric_that_takes_most_decides() -> None:
    def plan(**over: Any) -> tuple[int, int]:
        analysis = Analysis(services=2, **over)
        return needed(analysis, error_rate=0.005, share=0.05), needed_to_find(analysis, error_rate=0.005, share=0.05)

    errors, latency, both = plan(metrics=("errors",)), plan(metrics=("latency",)), plan()
    assert both[0] == errors[0] > latency[0]
    assert both[1] > errors[1] > latency[1]  # two metrics share the false alarms
    assert plan(slowdown=0.01) > both


def test_more_is_needed_for_a_smaller_margin_and_a_surer_answer() -> None:
    def plan(**over: Any) -> int:
        return needed(Analysis(**over), error_rate=0.005, share=0.05)

    assert plan(error_rise=0.005) > 2 * plan()
    assert plan(power=0.9) > plan()


def test_more_is_needed_to_find_something_at_an_earlier_look() -> None:
    def plan(number: int = 9, **over: Any) -> int:
        return needed_to_find(Analysis(**over), error_rate=0.005, share=0.05, look=Look(number=number, of=9))

    assert plan(confidence=0.99) > plan()
    assert plan(1) > plan(5) > plan(9)
    assert plan(10) == plan(9)  # it may fail nothing any more, and the plan was made for the ninth


def test_a_stage_that_is_long_enough_can_decide() -> None:
    stage: dict[str, Any] = {"requests_per_second": 20.0, "percent": 5, "error_rate": 0.02}
    seconds = seconds_needed(ERRORS, **stage)
    assert seconds == needed(ERRORS, error_rate=0.02, share=0.05)
    assert decidable(ERRORS, seconds=seconds, **stage)
    assert not decidable(ERRORS, seconds=seconds - 1, **stage)
    assert not decidable(ERRORS, seconds=seconds, **{**stage, "requests_per_second": 19.0})
    assert decidable(ERRORS, seconds=seconds / 2, requests_per_second=20.0, percent=5)  # few errors are usual


@pytest.mark.parametrize(("rps", "percent"), [(0.0, 5), (-1.0, 5), (5.0, 0), (5.0, 100)])
def test_without_traffic_or_baseline_no_stage_can(rps: float, percent: float) -> None:
    assert seconds_needed(ERRORS, requests_per_second=rps, percent=percent) == math.inf
    assert not decidable(ERRORS, requests_per_second=rps, percent=percent, seconds=10**9)


@settings(deadline=None)
@given(
    st.floats(0.0, 1.0),
    st.floats(1e-4, 0.9999),
    st.floats(1e-4, 0.99),
    st.floats(0.51, 0.9999),
    st.integers(1, 500),
)
def test_any_service_needs_a_number(rate: float, share: float, rise: float, sure: float, looks: int) -> None:
    analysis = Analysis(error_rise=rise, confidence=sure, power=sure)
    assert needed(analysis, error_rate=rate, share=share) >= 8
    assert needed_to_find(analysis, error_rate=rate, share=share, look=Look(number=1, of=looks)) >= 8
