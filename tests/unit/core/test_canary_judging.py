"""Verdicts: sentences in tables, what each rule is for, and what must hold for any counts."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.canary import Analysis, Look, Observed, Verdict, judge, level, observed

ORDER = ("pass", "inconclusive", "fail")
ERRORS = Analysis(metrics=("errors",))
LATENCY = Analysis(metrics=("latency",))
FAST, SLOW = {0.1: 30, 0.2: 60, 0.4: 10}, {0.1: 10, 0.2: 50, 0.4: 40}


def errors(bad: int, of: int, bad_before: int, of_before: int, **over: Any) -> Verdict:
    return judge(
        over.pop("analysis", ERRORS),
        candidate=Observed(requests=of, errors=bad),
        baseline=Observed(requests=of_before, errors=bad_before),
        **over,
    )


def latency(candidate: dict[float, int], baseline: dict[float, int], **over: Any) -> Verdict:
    return judge(
        LATENCY,
        candidate=Observed(requests=sum(candidate.values()), latency=candidate),
        baseline=Observed(requests=sum(baseline.values()), latency=baseline),
        **over,
    )


def times(number: int, of: dict[float, int]) -> dict[float, int]:
    return {bound: number * count for bound, count in of.items()}


# -- sentences --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("counts", "status", "sentence"),
    [
        ((31, 1000, 40, 10_000), "fail", "errors 3.1 % against 0.4 % (p < 0.001)"),
        ((5, 60, 20, 5000), "fail", "errors 8.3 % against 0.4 % (p < 0.001)"),
        ((3, 60, 40, 5000), "fail", "errors 5 % against 0.8 % (p = 0.01)"),
        ((120, 120, 0, 4000), "fail", "errors 100 % against 0 % (p < 0.001)"),
        ((4, 1000, 50, 10_000), "pass", "errors 0.4 % against 0.5 % (p = 0.7)"),
        ((0, 161, 0, 1000), "pass", "errors 0 % against 0 % (p = 1)"),
        ((0, 1000, 1, 50_000), "pass", "errors 0 % against under 0.01 % (p = 1)"),
        (
            (1, 60, 20, 5000),
            "inconclusive",
            "errors 1.7 % against 0.4 % (p = 0.2): about 500 more requests to the candidate are needed",
        ),
        (
            (0, 0, 0, 0),
            "inconclusive",
            "errors 0 % against 0 % (p = 1): about 150 more requests to the candidate are needed",
        ),
    ],
)
def test_sentences_about_errors(counts: tuple[int, int, int, int], status: str, sentence: str) -> None:
    verdict = errors(*counts)
    assert (verdict.status, verdict.sentence) == (status, sentence)


@pytest.mark.parametrize(
    ("candidate", "baseline", "status", "sentence"),
    [
        (SLOW, times(9, FAST), "fail", "latency 200 ms for both, slower in 70 of 100 pairs (p < 0.001)"),
        ({0.1: 5, 0.2: 6}, {0.1: 60, 0.2: 30}, "inconclusive", "latency 200 ms against 100 ms, slower in 61 of 100 pairs (p = 0.08): about 48 more requests to the candidate are needed"),
        (FAST, times(9, FAST), "pass", "latency 200 ms for both, slower in 50 of 100 pairs (p = 0.5)"),
        ({1.25: 9}, {0.5: 90}, "fail", "latency 1.25 s against 500 ms, slower in 100 of 100 pairs (p < 0.001)"),
        ({math.inf: 9}, {60.0: 90}, "fail", "latency off the scale against 60 s, slower in 100 of 100 pairs (p < 0.001)"),
        (
            {0.2: 7},
            {0.1: 1000},
            "inconclusive",
            "too few answers to compare the latency: about 17 more requests to the candidate are needed",
        ),
        (
            {0.2: 6, 0.1: 9},
            {0.1: 60, 0.2: 30},
            "inconclusive",
            "latency 100 ms for both, slower in 53 of 100 pairs (p = 0.3): about 13 more requests to the candidate are needed",
        ),
    ],
)  # fmt: skip
def test_sentences_about_latency(
    candidate: dict[float, int], baseline: dict[float, int], status: str, sentence: str
) -> None:
    verdict = latency(candidate, baseline)
    assert (verdict.status, verdict.sentence) == (status, sentence)


def test_the_numbers_of_a_finding() -> None:
    [finding] = errors(31, 1000, 40, 10_000, look=Look(number=2, of=4)).findings
    assert (finding.metric, finding.status, finding.more) == ("errors", "fail", 0)
    assert (finding.numbers.candidate, finding.numbers.baseline) == (0.031, 0.004)
    assert finding.numbers.worse == pytest.approx(0.027)
    assert 0.027 < finding.numbers.bound < 0.034
    assert finding.level == pytest.approx(0.05 * 3 / 16)


@pytest.mark.parametrize(
    ("counts", "median"),
    [({0.1: 0, 0.2: 9}, 0.2), ({0.1: 5, 0.2: 5}, 0.1), ({0.1: 4, 0.2: 5}, 0.2), ({math.inf: 5, 0.1: 4}, math.inf)],
)
def test_medians_are_bounds_of_buckets(counts: dict[float, int], median: float) -> None:
    [finding] = latency(counts, {0.5: 1}).findings
    assert (finding.numbers.candidate, finding.numbers.baseline) == (median, 0.5)
    assert math.isnan(latency({}, {}).findings[0].numbers.candidate)


# -- all metrics together -----------------------------------------------------------------------------------------
BOTH: dict[str, tuple[int, dict[float, int]]] = {"good": (0, FAST), "bad": (20, SLOW), "few": (0, {0.1: 3})}


@pytest.mark.parametrize(
    ("rate", "speed", "status", "sentence"),
    [
        ("good", "good", "pass", "errors 0 % against 0.5 % (p = 1); latency 200 ms for both"),
        ("bad", "good", "fail", "errors 5 % against 0.5 % (p < 0.001)"),
        ("good", "bad", "fail", "latency 200 ms for both, slower in 70 of 100 pairs (p < 0.001)"),
        ("bad", "bad", "fail", "errors 5 % against 0.5 % (p < 0.001); latency 200 ms for both, slower in 70"),
        ("good", "few", "inconclusive", "too few answers to compare the latency: about"),
        ("bad", "few", "fail", "errors 5 % against 0.5 % (p < 0.001)"),
    ],
)
def test_one_metric_fails_and_all_must_pass(rate: str, speed: str, status: str, sentence: str) -> None:
    verdict = judge(
        Analysis(),
        candidate=Observed(requests=400, errors=BOTH[rate][0], latency=BOTH[speed][1]),
        baseline=Observed(requests=8000, errors=40, latency=times(9, FAST)),
    )
    assert verdict.status == status
    assert verdict.sentence.startswith(sentence)
    assert len(verdict.findings) == 2
    assert (verdict.more > 0) == (status == "inconclusive")


# -- what each rule is for ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(("risen", "status"), [(50_200, "pass"), (65_000, "pass"), (62_000, "pass"), (155_000, "fail")])
def test_a_large_service_is_held_to_the_margin(risen: int, status: str) -> None:
    """Ten million requests a side: +0.2 per mille of the rate is beyond chance already."""
    assert errors(risen, 10**7, 50_000, 10**7, look=Look(number=30, of=30)).status == status


def test_a_small_service_does_not_wait_for_certainty() -> None:
    verdict = errors(6, 40, 10, 2000, look=Look(number=2, of=30))
    assert verdict.status == "fail"
    assert verdict.findings[0].numbers.bound > 0.2


def test_two_errors_are_never_enough() -> None:
    beyond_chance = errors(2, 20, 0, 100_000)
    assert beyond_chance.findings[0].numbers.p < 1e-6
    assert beyond_chance.status == "inconclusive"
    assert errors(3, 20, 0, 100_000).status == "fail"


def test_what_is_beyond_chance_and_below_half_the_margin_does_not_fail() -> None:
    analysis = Analysis(metrics=("errors",), error_rise=0.05, confidence=0.7, power=0.99)
    verdict = errors(3, 130, 0, 1000, analysis=analysis)
    [finding] = verdict.findings
    assert finding.numbers.p < finding.level
    assert finding.numbers.worse < 0.025
    assert finding.numbers.bound > 0.05
    assert verdict.status == "inconclusive"


def test_an_early_look_wants_more() -> None:
    assert errors(4, 100, 50, 9900, look=Look(number=15, of=15)).status == "fail"
    assert errors(4, 100, 50, 9900, look=Look(number=1, of=15)).status == "inconclusive"


def test_a_look_after_the_last_fails_nothing() -> None:
    assert errors(100, 100, 0, 9900, look=Look(number=4, of=3)).status == "inconclusive"


def test_eight_latencies_on_each_side_are_the_fewest() -> None:
    assert latency({0.9: 7}, {0.1: 100}).status == "inconclusive"
    assert latency({0.9: 8}, {0.1: 100}).status == "fail"
    assert latency({0.9: 100}, {0.1: 7}).status == "inconclusive"


def test_near_the_margin_about_half_as_many_again_are_asked_for() -> None:
    verdict = errors(300, 20_000, 3200, 620_000)
    assert verdict.status == "fail"
    verdict = errors(300, 20_000, 3200, 620_000, look=Look(number=31, of=30))
    assert (verdict.status, verdict.more) == ("inconclusive", 10_000)


# -- spending -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("looks", [1, 2, 15, 400])
@pytest.mark.parametrize("services", [1, 3])
def test_the_looks_spend_the_whole_and_little_early(looks: int, services: int) -> None:
    analysis = Analysis(services=services)
    spent = [level(analysis, Look(number=number, of=looks)) for number in range(1, looks + 1)]
    assert sum(spent) * 2 * services == pytest.approx(0.05)
    assert spent == sorted(spent)
    assert level(analysis, Look(number=looks + 1, of=looks)) == 0.0
    if looks > 1:
        assert sum(spent[: looks // 2]) <= sum(spent) / 4 + 1e-12


# -- values -------------------------------------------------------------------------------------------------------
def test_two_stretches_add_up() -> None:
    one = Observed(requests=3, errors=1, latency={0.1: 2, math.inf: 1})
    other = Observed(requests=5, latency={0.1: 4, 0.2: 1})
    assert one + other == Observed(requests=8, errors=1, latency={0.1: 6, 0.2: 1, math.inf: 1})
    assert one + Observed() == one
    assert (one.error_rate, Observed().error_rate) == (1 / 3, 0.0)


def test_single_requests_are_counted_two_percent_apart() -> None:
    seen = observed([0.0, 0.1, 0.1001, 0.5, 30.0], errors=2)
    assert (seen.requests, seen.errors, len(seen.latency)) == (5, 2, 4)
    assert [bound / value for bound, value in zip(sorted(seen.latency)[1:], (0.1, 0.5, 30.0), strict=True)] == [
        pytest.approx(1.01, abs=0.0101)
    ] * 3
    assert observed([]) == Observed()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Observed(requests=-1),
        lambda: Observed(requests=1, errors=2),
        lambda: Observed(errors=-1),
        lambda: Observed(latency={0.1: -1}),
        lambda: Observed(latency={math.nan: 1}),
        lambda: Analysis(confidence=1.0),
        lambda: Analysis(confidence=0.05),
        lambda: Analysis(power=0.5),
        lambda: Analysis(error_rise=0.0),
        lambda: Analysis(slowdown=0.5),
        lambda: Analysis(metrics=()),
        lambda: Analysis(services=0),
        lambda: Look(number=0),
        lambda: Look(of=0),
    ],
)
def test_what_is_no_value(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"counts|counted|must|no look"):
        make()


# -- any counts ---------------------------------------------------------------------------------------------------
LATENCIES = st.dictionaries(
    st.sampled_from((0.0, 0.05, 0.1, 0.2, 0.4, 60.0, math.inf)), st.integers(0, 3000), max_size=7
)
LOOKS = st.builds(lambda of, number: Look(number=number, of=of), st.integers(1, 60), st.integers(1, 60))
ANALYSES = st.builds(
    Analysis,
    confidence=st.floats(0.51, 0.9999),
    power=st.floats(0.51, 0.9999),
    error_rise=st.floats(1e-4, 0.99),
    slowdown=st.floats(1e-3, 0.49),
    metrics=st.sampled_from((("errors",), ("latency",), ("errors", "latency"))),
    services=st.integers(1, 20),
)


@st.composite
def versions(draw: st.DrawFn) -> Observed:
    requests = draw(st.sampled_from((0, 1, 5, 300, 10**6)).flatmap(lambda most: st.integers(0, most)))
    return Observed(requests=requests, errors=draw(st.integers(0, requests)), latency=draw(LATENCIES))


@settings(deadline=None)
@given(ANALYSES, versions(), versions(), LOOKS)
def test_any_counts_have_a_verdict(analysis: Analysis, candidate: Observed, baseline: Observed, look: Look) -> None:
    verdict = judge(analysis, candidate=candidate, baseline=baseline, look=look)
    assert verdict.status in ORDER
    assert (verdict.more >= 1) == (verdict.status == "inconclusive")
    assert verdict.sentence
    for finding in verdict.findings:
        assert 0.0 <= finding.numbers.p <= 1.0
        assert finding.numbers.worse <= finding.numbers.bound + 1e-12


@settings(deadline=None)
@given(ANALYSES, versions(), versions(), LOOKS, st.integers(1, 50))
def test_more_errors_never_make_it_better(
    analysis: Analysis, candidate: Observed, baseline: Observed, look: Look, more: int
) -> None:
    worse = Observed(
        requests=candidate.requests,
        errors=min(candidate.requests, candidate.errors + more),
        latency=candidate.latency,
    )
    before, after = (judge(analysis, candidate=each, baseline=baseline, look=look) for each in (candidate, worse))
    assert ORDER.index(after.status) >= ORDER.index(before.status)


@settings(deadline=None)
@given(ANALYSES, versions(), LOOKS)
def test_what_shows_the_same_never_fails(analysis: Analysis, version: Observed, look: Look) -> None:
    assert judge(analysis, candidate=version, baseline=version, look=look).status != "fail"


@settings(deadline=None)
@given(ANALYSES, versions(), versions(), LOOKS)
def test_two_versions_are_not_both_worse(analysis: Analysis, one: Observed, other: Observed, look: Look) -> None:
    there, back = (
        judge(analysis, candidate=a, baseline=b, look=look).findings for a, b in ((one, other), (other, one))
    )
    for finding, reverse in zip(there, back, strict=True):
        assert {finding.status, reverse.status} != {"fail"}


def test_it_needs_nothing_but_the_standard_library() -> None:
    code = "import sys, bot; before = set(sys.modules); import bot.core.canary; print(*set(sys.modules) - before)"
    loaded = subprocess.check_output([sys.executable, "-I", "-c", code], text=True, timeout=60).split()
    assert "bot.core.canary.judging" in loaded
    assert {name.split(".")[0] for name in loaded} <= {"bot", *sys.stdlib_module_names}
