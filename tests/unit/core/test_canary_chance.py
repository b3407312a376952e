"""Each function beside SciPy's, over seeded random cases; and what must hold for any counts."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bot.core.canary.chance import binomial, fisher, mann_whitney, most_rise, reach

SIZES = (0, 1, 2, 8, 40, 300, 2000, 10_000)


def tables(seed: int, number: int) -> Iterator[tuple[int, int, int, int]]:
    """Return errors and requests of two versions: of all sizes, with errors that are rare as often as not."""
    source = random.Random(seed)
    for _ in range(number):
        of, of_before = source.choice(SIZES), source.choice((*SIZES, 100_000))
        rare = source.random() < 0.5
        most, most_before = (min(each, 30) for each in (of, of_before)) if rare else (of, of_before)
        yield source.randint(0, most), of, source.randint(0, most_before), of_before


def values(source: random.Random, number: int, shift: float) -> list[float]:
    return [round(source.lognormvariate(shift, 0.8), source.choice((1, 1, 3))) for _ in range(number)]


def counts(sample: list[float]) -> dict[float, int]:
    return {value: sample.count(value) for value in sample}


def test_fisher_is_scipys() -> None:
    for bad, of, bad_before, of_before in tables(1, 600):
        table = [[bad, of - bad], [bad_before, of_before - bad_before]]
        expected = stats.fisher_exact(table, alternative="greater").pvalue
        assert fisher(bad, of, bad_before, of_before) == pytest.approx(expected, rel=1e-8, abs=1e-9), table


def test_fisher_in_the_far_tail() -> None:
    """What is hardest to explain must not end as 0, nor as more than it is."""
    assert fisher(200, 200, 10, 10_000) == pytest.approx(stats.hypergeom.sf(199, 10_200, 210, 200), rel=1e-9)
    assert 0.0 < fisher(100, 100, 0, 9_900) < 1e-200


def test_fisher_of_a_large_service() -> None:
    expected = stats.hypergeom.sf(5_299, 2_000_000, 105_300, 100_000)
    assert fisher(5_300, 100_000, 100_000, 1_900_000) == pytest.approx(expected, rel=1e-6)


def test_binomial_is_scipys() -> None:
    source = random.Random(2)
    for hits, of, *_ in tables(3, 600):
        share = source.choice((source.random(), source.random() ** 6))
        expected = stats.binom.sf(hits - 1, of, share)
        assert binomial(hits, of, share) == pytest.approx(expected, rel=1e-8, abs=1e-12), (hits, of, share)


@pytest.mark.parametrize(
    ("hits", "share", "expected"), [(0, 0.5, 1.0), (-1, 0.5, 1.0), (1, 0.0, 0.0), (3, 1.0, 1.0), (0, 0.0, 1.0)]
)
def test_binomial_without_chance(hits: int, share: float, expected: float) -> None:
    assert binomial(hits, 3, share) == expected


def test_mann_whitney_is_scipys() -> None:
    source = random.Random(4)
    for _ in range(300):
        here = values(source, source.randint(1, 60), source.choice((0.0, 0.4)))
        there = values(source, source.randint(1, 200), 0.0)
        if len({*here, *there}) == 1:
            continue
        expected = stats.mannwhitneyu(here, there, alternative="greater", method="asymptotic")
        ranks = mann_whitney(counts(here), counts(there))
        assert ranks.p == pytest.approx(expected.pvalue, abs=1e-9)
        assert ranks.slower == pytest.approx(expected.statistic / len(here) / len(there), abs=1e-12)


def test_the_deviation_is_scipys_too() -> None:
    """Brunner and Munzel's statistic is the distance from one half in these deviations."""
    source = random.Random(5)
    floors = 0
    for _ in range(100):
        here, there = values(source, 40, source.choice((0.0, 0.5, 2.0))), values(source, 90, 0.0)
        ranks = mann_whitney(counts(here), counts(there))
        seen = (ranks.slower - 0.5) / stats.brunnermunzel(there, here).statistic
        without_ties = math.sqrt((40 + 90 + 1) / (12 * 40 * 90))
        assert ranks.deviation == pytest.approx(max(seen, without_ties), rel=1e-9)
        floors += seen < without_ties
    assert 5 < floors < 95


def test_one_bucket_for_everything_is_no_evidence() -> None:
    ranks = mann_whitney({0.1: 10}, {0.1: 1000})
    assert (ranks.p, ranks.slower) == (1.0, 0.5)
    assert ranks.deviation == pytest.approx(math.sqrt(1011 / (12 * 10 * 1000)))
    assert mann_whitney({0.1: 1}, {0.1: 1}).p == 1.0


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from((0.1, 0.2, 0.4, math.inf)), st.integers(1, 9), min_size=1),
    st.dictionaries(st.sampled_from((0.1, 0.2, 0.4, math.inf)), st.integers(1, 9), min_size=1),
)
def test_exchanged_versions_change_places(one: dict[float, int], other: dict[float, int]) -> None:
    here, there = mann_whitney(one, other), mann_whitney(other, one)
    assert here.slower + there.slower == pytest.approx(1.0)
    assert here.deviation == pytest.approx(there.deviation)
    assert here.p + there.p >= 1.0 - 1e-12


def test_the_limit_of_a_share_is_wilsons() -> None:
    """Against a baseline so large that it adds nothing, the rise's bound is the limit of the one share."""
    for bad, of, *_ in tables(6, 300):
        if of:
            interval = stats.binomtest(bad, of).proportion_ci(confidence_level=0.6, method="wilsoncc")
            assert most_rise(bad, of, 0, 10**15, certainty=0.8) == pytest.approx(interval.high, abs=1e-9), (bad, of)


def test_the_limit_of_a_share_is_close_to_the_exact_one() -> None:
    for of in (20, 161, 1000):
        for bad in range(12):
            exact = stats.binomtest(bad, of).proportion_ci(confidence_level=0.6, method="exact").high
            assert 0.95 * exact < most_rise(bad, of, 0, 10**15, certainty=0.8) < 1.05 * exact
    assert most_rise(0, 161, 0, 10**15, certainty=0.8) == pytest.approx(0.0096, abs=5e-5)


@pytest.mark.parametrize(
    ("of", "of_before", "before", "rise"),
    [(200, 600, 0.005, 0.01), (150, 150, 0.02, 0.05), (1000, 19_000, 0.005, 0.01), (60, 1200, 0.1, 0.1)],
)
def test_the_true_rise_is_below_the_bound_as_often_as_promised(
    of: int, of_before: int, before: float, rise: float
) -> None:
    errors = range(int(stats.binom.isf(1e-7, of, before + rise)) + 1)
    errors_before = range(int(stats.binom.isf(1e-7, of_before, before)) + 1)
    chances = stats.binom.pmf(errors, of, before + rise)
    chances_before = stats.binom.pmf(errors_before, of_before, before)
    below = sum(
        chance * chance_before
        for bad, chance in zip(errors, chances, strict=True)
        for bad_before, chance_before in zip(errors_before, chances_before, strict=True)
        if most_rise(bad, of, bad_before, of_before, certainty=0.8) > rise
    )
    assert 0.785 < below < 0.93


@pytest.mark.parametrize(("of", "of_before"), [(0, 0), (0, 5), (5, 0)])
def test_without_requests_every_rise_is_possible(of: int, of_before: int) -> None:
    assert most_rise(0, of, 0, of_before, certainty=0.8) == 1.0


def test_reach_is_scipys() -> None:
    for chance in (0.5, 0.2, 0.05, 1e-3, 1e-9):
        assert reach(chance) == pytest.approx(stats.norm.isf(chance), abs=1e-9)


@st.composite
def any_counts(draw: st.DrawFn) -> tuple[int, int, int, int]:
    of, of_before = draw(st.integers(0, 10**6)), draw(st.integers(0, 10**6))
    return draw(st.integers(0, of)), of, draw(st.integers(0, of_before)), of_before


@settings(deadline=None)
@given(any_counts(), st.sampled_from((0.51, 0.8, 0.999)))
def test_any_counts_have_a_probability_and_a_bound(four: tuple[int, int, int, int], certainty: float) -> None:
    bad, of, bad_before, of_before = four
    assert 0.0 <= fisher(*four) <= 1.0
    assert 0.0 <= binomial(bad, of, 0.3) <= 1.0
    bound = most_rise(*four, certainty=certainty)
    assert bound >= (bad / of - bad_before / of_before if of and of_before else 0.0) - 1e-12
    assert bound <= 1.0 + 1e-9
