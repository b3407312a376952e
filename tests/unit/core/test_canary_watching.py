"""Error lines after a release against those before: SciPy beside it, and when somebody is got up."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bot.core.canary import rate_rose

HOUR, DAY, WEEK = 3600.0, 86_400.0, 604_800.0


def test_it_is_scipys_binomial_test() -> None:
    source = random.Random(1)
    for _ in range(300):
        new, old = source.randint(0, source.choice((3, 40, 3000))), source.randint(0, source.choice((3, 40, 30_000)))
        seconds, before, factor = source.uniform(60, DAY), source.uniform(60, WEEK), source.choice((1.0, 2.0, 5.0))
        share = factor * seconds / (factor * seconds + before)
        expected = stats.binomtest(new, new + old, share, alternative="greater").pvalue if new + old else 1.0
        assert rate_rose(new, seconds, old, before, factor=factor).p == pytest.approx(expected, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize(("new", "old"), [(12, 30), (40, 300), (5, 2), (200, 2000)])
def test_it_is_no_hastier_than_scipys_test_of_means(new: int, old: int) -> None:
    """That test takes the rates as they are and not the lines as given; it finds a rise a little sooner."""
    sooner = stats.poisson_means_test(new, HOUR, old, 12 * HOUR, alternative="greater").pvalue
    assert sooner < rate_rose(new, HOUR, old, 12 * HOUR, factor=1.0).p < 5 * sooner + 1e-9


@pytest.mark.parametrize(
    ("new", "seconds", "old", "before", "rose", "sentence"),
    [
        (0, HOUR, 0, DAY, False, "0 error lines in 60 min against 0 in 24 h (p = 1)"),
        (1, HOUR, 0, WEEK, False, "1 error line in 60 min against 0 in 7 d (p = 0.01)"),
        (4, HOUR, 0, WEEK, False, "4 error lines in 60 min against 0 in 7 d (p < 0.001)"),
        (5, HOUR, 0, WEEK, True, "5 error lines in 60 min against 0 in 7 d (p < 0.001)"),
        (12, 600, 30, DAY, True, "12 error lines in 10 min against 30 in 24 h (p < 0.001)"),
        (1200, HOUR, 24_000, DAY, False, "1,200 error lines in 60 min against 24,000 in 24 h (p = 1)"),
        (2300, HOUR, 24_000, DAY, True, "2,300 error lines in 60 min against 24,000 in 24 h (p < 0.001)"),
        (6, 45, 6, 300, False, "6 error lines in 45 s against 6 in 5 min (p = 0.04)"),
    ],
)
def test_when_somebody_is_got_up(new: int, seconds: float, old: int, before: float, rose: bool, sentence: str) -> None:
    rise = rate_rose(new, seconds, old, before)
    assert (rise.rose, rise.sentence) == (rose, sentence)
    assert (rise.new, rise.old) == (new / seconds, old / before)


def test_the_margins_are_the_callers() -> None:
    assert rate_rose(4, HOUR, 0, WEEK, fewest=4).rose
    assert not rate_rose(12, 600, 30, DAY, factor=60.0).rose
    rise = rate_rose(6, 45, 6, 300)
    assert rate_rose(6, 45, 6, 300, level=rise.p).rose
    assert not rate_rose(6, 45, 6, 300, level=rise.p * 0.999).rose


@pytest.mark.parametrize(
    ("new", "seconds", "old", "before"), [(-1, 1, 0, 1), (0, 0, 0, 1), (0, 1, -1, 1), (0, 1, 0, 0)]
)
def test_what_is_no_stretch_of_time(new: int, seconds: float, old: int, before: float) -> None:
    with pytest.raises(ValueError, match="stretch"):
        rate_rose(new, seconds, old, before)


COUNTS, SECONDS = st.integers(0, 10**6), st.floats(1e-3, 1e8)


@settings(deadline=None)
@given(COUNTS, SECONDS, COUNTS, SECONDS, st.integers(1, 100))
def test_more_lines_never_end_an_alarm(new: int, seconds: float, old: int, before: float, more: int) -> None:
    one, other = rate_rose(new, seconds, old, before), rate_rose(new + more, seconds, old, before)
    assert 0.0 <= other.p <= one.p + 1e-12 <= 1.0 + 1e-12
    assert one.rose <= other.rose
