"""What chance alone explains: the tests and bounds that a canary is judged by, from counts to a probability.

A *p-value* is how likely chance alone gives a difference at least as bad as the one seen, were the candidate as good as
what serves: 0.5 says nothing, 0.001 is hard to explain away. Everything here is one-sided, because a candidate that is
better is no reason to stop. Standard library only; the tests hold each function to SciPy's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist

_BELL = NormalDist()
_NEGLIGIBLE = 1e-18  # a term this small beside the sum is below a float's precision


def reach(chance: float) -> float:
    """Return how many standard deviations of a bell curve leave ``chance`` (0 and 1 excluded) beyond them."""
    return -_BELL.inv_cdf(chance)


def fisher(bad: int, of: int, bad_before: int, of_before: int) -> float:
    """Return Fisher's exact p-value that ``bad`` of ``of`` is a larger share than ``bad_before`` of ``of_before``.

    All errors of both versions are put in one hat, and ``of`` requests are drawn from it blindly: the chance that at
    least ``bad`` of them are errors. It holds for any counts, however small, and for errors that come in bursts as long
    as a burst meets both versions alike.
    """
    errors, others = bad + bad_before, of + of_before - bad - bad_before
    logarithm = _log_choose(errors, bad) + _log_choose(others, of - bad) - _log_choose(errors + others, of)
    return _upper_tail(
        bad,
        lowest=max(0, of - others),
        highest=min(of, errors),
        logarithm=logarithm,
        ratio=lambda k: (errors - k) * (of - k) / ((k + 1.0) * (others - of + k + 1.0)),
    )


def binomial(hits: int, of: int, share: float) -> float:
    """Return the chance of at least ``hits`` among ``of`` tries that each hit with the probability ``share``."""
    if hits <= 0 or share >= 1.0:
        return 1.0
    if share <= 0.0:
        return 0.0
    return _upper_tail(
        hits,
        lowest=0,
        highest=of,
        logarithm=_log_choose(of, hits) + hits * math.log(share) + (of - hits) * math.log1p(-share),
        ratio=lambda k: (of - k) / (k + 1.0) * share / (1.0 - share),
    )


def _upper_tail(start: int, *, lowest: int, highest: int, logarithm: float, ratio: Callable[[int], float]) -> float:
    """Return P(X >= start) of a distribution with one hump, on the whole numbers from ``lowest`` to ``highest``.

    ``logarithm`` is ln P(X = start), and ``ratio(k)`` is P(X = k+1) / P(X = k). Terms are summed away from the hump, so
    that they shrink from the first on: no overflow, and the sum ends when they no longer count.
    """
    if start <= lowest:
        return 1.0
    upwards = start >= highest or ratio(start) < 1.0
    term = total = 1.0 if upwards else 1.0 / ratio(start - 1)
    for k in range(start, highest) if upwards else range(start - 2, lowest - 1, -1):
        term = term * ratio(k) if upwards else term / ratio(k)
        total += term
        if term < total * _NEGLIGIBLE:
            break
    tail = math.exp(logarithm + math.log(total))
    return min(1.0, tail) if upwards else max(0.0, 1.0 - tail)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def most_rise(bad: float, of: float, bad_before: float, of_before: float, *, certainty: float) -> float:
    """Return how much larger the share ``bad / of`` may be in truth than ``bad_before / of_before``, at most.

    With the given ``certainty`` the true rise is below. Each share has a limit of its own; the two uncertainties add up
    like the sides of a right angle, because both shares are seldom off in the bad direction at once (Newcombe 1998,
    Statistics in Medicine 17:873, method 11). 1 when one of the two had no requests. Planning asks with counts that are
    not whole.
    """
    if not of or not of_before:
        return 1.0
    share, before = bad / of, bad_before / of_before
    up = _highest(bad, of, certainty) - share
    down = before - (1.0 - _highest(of_before - bad_before, of_before, certainty))
    return share - before + math.hypot(up, down)


def _highest(bad: float, of: float, certainty: float) -> float:
    """Return the highest true share that still fits ``bad`` of ``of``: Wilson's limit, corrected for whole numbers.

    It is close to the exact one (Clopper and Pearson's), and needs no search: no errors in 161 requests fit at most
    0.96 %, the exact limit is 1 %.
    """
    if bad >= of:
        return 1.0
    z, share = reach(1.0 - certainty), bad / of
    root = z * z + 2.0 - 1.0 / of + 4.0 * share * (of * (1.0 - share) - 1.0)
    return (2.0 * bad + z * z + 1.0 + z * math.sqrt(max(0.0, root))) / (2.0 * (of + z * z))


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """How two sets of latencies lie to each other.

    ``slower`` is how often a request to the candidate takes longer than one to the baseline, over all pairs, ties by
    half; ``deviation`` is how far chance moves that number (one standard deviation). ``p`` as in :func:`mann_whitney`.
    """

    p: float
    slower: float
    deviation: float


def mann_whitney(candidate: Mapping[float, int], baseline: Mapping[float, int]) -> Ranks:
    """Compare two latencies by rank: the Mann-Whitney test, one-sided, corrected for ties and for whole numbers.

    Ranks and not means, because a single request that hangs for a minute moves a mean as far as anything. Both maps
    count by value; values in one bucket tie. The normal approximation holds from about eight on each side; neither may
    be empty.
    """
    n, m = sum(candidate.values()), sum(baseline.values())
    ties, below, pairs = 0, 0, []
    for value in sorted({*candidate, *baseline}):
        here, there = candidate.get(value, 0), baseline.get(value, 0)
        pairs.append((here, there, below + there / 2.0))
        below += there
        ties += (here + there) ** 3 - (here + there)
    wins = sum(here * beaten for here, _, beaten in pairs)
    total = n + m
    variance = n * m / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)))
    away = wins - n * m / 2.0 - 0.5
    p = 0.5 * math.erfc(away / math.sqrt(2.0 * variance)) if variance > 0.0 else 1.0
    return Ranks(p=p, slower=wins / (n * m), deviation=_deviation(pairs, n, m, wins / (n * m)))


def _deviation(pairs: list[tuple[int, int, float]], n: int, m: int, slower: float) -> float:
    """Return the standard deviation of ``slower``, from how much single requests differ in it (DeLong's, 1988).

    Never below what it would be without ties: that everything fell in one bucket must not make us sure of anything.
    """
    above, mine, theirs = n, 0.0, 0.0
    for here, there, beaten in pairs:
        above -= here
        mine += here * (beaten / m - slower) ** 2
        theirs += there * ((above + here / 2.0) / n - slower) ** 2
    seen = mine / (n * max(1, n - 1)) + theirs / (m * max(1, m - 1))
    return math.sqrt(max(seen, (n + m + 1.0) / (12.0 * n * m)))
