"""How many requests a judgement takes: said before a rollout begins, not after it has waited in vain."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import assert_never

from bot.core.canary.chance import most_rise, reach
from bot.core.canary.spending import level
from bot.core.canary.values import Analysis, Look, Metric

FEWEST_ERRORS = 3  # one or two may be a cold start, or a single client's
FEWEST_LATENCIES = 8  # on each side: with fewer, the test by ranks has no normal approximation
TYPICAL_ERROR_RATE = 0.005  # of a service whose own is not known

_ONLY = Look()


def needed(analysis: Analysis, *, error_rate: float, share: float) -> int:
    """Return how many requests to the candidate it takes to decide at all, for the metric that takes most.

    With so many, a candidate as good as what serves passes with the chance ``power``, and one that is worse by the
    margin is kept from passing with the same chance. ``error_rate`` is that of what serves, ``share`` the candidate's
    share of the traffic (0 and 1 excluded).
    """
    return max(needed_to_pass(metric, analysis, error_rate, share) for metric in analysis.metrics)


def needed_to_find(analysis: Analysis, *, error_rate: float, share: float, look: Look = _ONLY) -> int:
    """Return how many it takes until a regression of just the margin *fails* at a look with the chance ``power``.

    More than it takes to decide: what neither passes nor fails is found not to be good enough as well. What is worse
    than the margin fails much sooner. A look after the last counts as the last.
    """
    return max(needed_to_fail(metric, analysis, error_rate, share, look) for metric in analysis.metrics)


def needed_to_pass(metric: Metric, analysis: Analysis, error_rate: float, share: float) -> int:
    """Return what :func:`needed` returns, for one metric.

    Of the errors, it is the number at which a candidate that is as good, but unluckier than ``power`` allows for, just
    passes: within some percent of the exact number, and up to half too large where errors are rare beside the margin.
    """
    match metric:
        case "errors":
            odds, z = (1.0 - share) / share, reach(1.0 - analysis.power)

            def passes(requests: int) -> bool:
                luck = z * math.sqrt(error_rate * (1.0 - error_rate) * requests * (1.0 + 1.0 / odds))
                bad, baseline = min(error_rate * requests + luck, requests), requests * odds
                rise = most_rise(bad, requests, error_rate * baseline, baseline, certainty=analysis.power)
                return rise < analysis.error_rise

            return _fewest(passes)
        case "latency":
            return _by_rank(analysis, share, 1.0 - analysis.power)
        case _:
            assert_never(metric)


def needed_to_fail(metric: Metric, analysis: Analysis, error_rate: float, share: float, look: Look) -> int:
    """Return what :func:`needed_to_find` returns, for one metric."""
    chance = level(analysis, Look(number=min(look.number, look.of), of=look.of))
    match metric:
        case "errors":
            return _by_fisher(analysis, error_rate, share, chance)
        case "latency":
            return _by_rank(analysis, share, chance)
        case _:
            assert_never(metric)


def _by_rank(analysis: Analysis, share: float, chance: float) -> int:
    """Return the requests for the test by ranks (Noether 1987, JASA 82:645)."""
    apart = reach(chance) + reach(1.0 - analysis.power)
    return max(FEWEST_LATENCIES, math.ceil((apart / analysis.slowdown) ** 2 / 12.0 / (1.0 - share)))


def _by_fisher(analysis: Analysis, error_rate: float, share: float, chance: float) -> int:
    """Return the requests for Fisher's exact test.

    Errors are whole, and few of them lean to one side, so that an exact test wants more than the usual formula: by
    (1/2 + z squared / 3) / margin, fitted to the exact power. And the fewest errors that count must be there. The
    result is the exact one within a few percent, and up to half too large where what serves has hardly any errors.
    """
    rise, power, z = analysis.error_rise, analysis.power, reach(chance)
    curves = textbook(error_rate=error_rate, rise=rise, share=share, level=chance, power=power)
    expected = FEWEST_ERRORS + reach(1.0 - power) * math.sqrt(FEWEST_ERRORS)
    return math.ceil(max(curves + (0.5 + z * z / 3.0) / rise, expected / min(1.0, error_rate + rise)))


def textbook(*, error_rate: float, rise: float, share: float, level: float, power: float) -> float:
    """Return the requests to the candidate by the usual formula for two shares, in which counts need not be whole.

    Two bell curves, one for no rise and one for the rise, must lie so far apart that a limit between them leaves
    ``level`` of the first above it and ``power`` of the second. (Fleiss, Levin and Paik, Statistical Methods for Rates
    and Proportions, chapter 4: samples of different sizes, without the correction for continuity.)
    """
    risen, odds = min(1.0, error_rate + rise), (1.0 - share) / share
    mixed = share * risen + (1.0 - share) * error_rate
    none = math.sqrt(mixed * (1.0 - mixed) * (1.0 + 1.0 / odds))
    some = math.sqrt(risen * (1.0 - risen) + error_rate * (1.0 - error_rate) / odds)
    return ((reach(level) * none + reach(1.0 - power) * some) / rise) ** 2


def _fewest(enough: Callable[[int], bool]) -> int:
    """Return the smallest number that is enough, where all larger ones are."""
    low, high = 0, 1
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def decidable(
    analysis: Analysis,
    *,
    requests_per_second: float,
    percent: float,
    seconds: float,
    error_rate: float = TYPICAL_ERROR_RATE,
) -> bool:
    """Whether a stage of ``seconds`` with ``percent`` of a service's requests should decide in its time."""
    return seconds >= seconds_needed(
        analysis, requests_per_second=requests_per_second, percent=percent, error_rate=error_rate
    )


def seconds_needed(
    analysis: Analysis, *, requests_per_second: float, percent: float, error_rate: float = TYPICAL_ERROR_RATE
) -> float:
    """Return how long a stage must be to decide, in seconds; infinite without traffic or without a baseline beside."""
    if requests_per_second <= 0.0 or not 0.0 < percent < 100.0:
        return math.inf
    share = percent / 100.0
    return needed(analysis, error_rate=error_rate, share=share) / (requests_per_second * share)
