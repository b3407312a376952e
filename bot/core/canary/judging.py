"""The judgement at one look: worse, good enough, or not to be told yet.

Each metric gives two answers. Is the candidate worse by more than chance explains (a p-value)? By how much may it be
worse at most (a bound)? A small service is stopped by the first without waiting for certainty. A large one, where every
difference is beyond chance, is held to the second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import assert_never

from bot.core.canary.chance import fisher, mann_whitney, most_rise, reach
from bot.core.canary.planning import FEWEST_ERRORS, FEWEST_LATENCIES, needed_to_fail, needed_to_pass
from bot.core.canary.spending import level
from bot.core.canary.values import Analysis, Comparison, Finding, Look, Metric, Observed, Status, Verdict
from bot.core.canary.wording import about, sentence

_ONLY = Look()
_WORTH_IT = 0.5  # of the margin: what the difference itself must be, whatever its p-value


def judge(analysis: Analysis, *, candidate: Observed, baseline: Observed, look: Look = _ONLY) -> Verdict:
    """Judge a candidate against what served beside it, by all that was counted in this stage so far.

    One metric is enough to fail; all of them must pass. A pass counts when the stage's time is over; before, it only
    says how things stand.
    """
    findings = tuple(_find(metric, analysis, candidate, baseline, look) for metric in analysis.metrics)
    statuses = {finding.status for finding in findings}
    status: Status = "fail" if "fail" in statuses else "inconclusive" if "inconclusive" in statuses else "pass"
    said = "; ".join(finding.sentence for finding in findings if finding.status == status)
    if status != "inconclusive":
        return Verdict(status=status, sentence=said, more=0, findings=findings)
    more = max(finding.more for finding in findings)
    said = f"{said}: {about(more)} more requests to the candidate are needed"
    return Verdict(status=status, sentence=said, more=more, findings=findings)


def _find(metric: Metric, analysis: Analysis, candidate: Observed, baseline: Observed, look: Look) -> Finding:
    match metric:
        case "errors":
            numbers = _errors(candidate, baseline, analysis.power)
            margin, seen, before = analysis.error_rise, candidate.requests, baseline.requests
        case "latency":
            numbers = _latency(candidate.latency, baseline.latency, analysis.power)
            margin, seen, before = analysis.slowdown, sum(candidate.latency.values()), sum(baseline.latency.values())
        case _:
            assert_never(metric)
    chance = level(analysis, look)
    status = _status(numbers, margin, chance)
    more = 0
    if status == "inconclusive":
        share = (seen + 1.0) / (seen + before + 2.0)
        if numbers.worse >= _WORTH_IT * margin:  # it leans to worse
            enough = needed_to_fail(metric, analysis, baseline.error_rate, share, look)
        else:
            enough = needed_to_pass(metric, analysis, baseline.error_rate, share)
        # Where enough were seen already, the truth is near the margin, and takes about half as many again.
        more = max(enough - seen, seen // 2, 1)
    return Finding(
        metric=metric, status=status, numbers=numbers, level=chance, more=more, sentence=sentence(metric, numbers)
    )


def _status(numbers: Comparison, margin: float, chance: float) -> Status:
    """Return what one metric says.

    *Pass* comes first: what is shown to be below the margin is not worth stopping for, however far beyond chance it is.
    *Fail* is beyond chance, and at least half the margin. Half, because where a regression of the margin is only just
    seen, whatever is beyond chance is more than half of it anyway: the half costs a small service nothing, and keeps a
    few stray errors from stopping a large one.
    """
    if numbers.bound < margin:
        return "pass"
    beyond_chance = numbers.telling and numbers.p <= chance
    return "fail" if beyond_chance and numbers.worse >= _WORTH_IT * margin else "inconclusive"


def _errors(candidate: Observed, baseline: Observed, power: float) -> Comparison:
    """Compare the shares of requests that failed."""
    counts = (candidate.errors, candidate.requests, baseline.errors, baseline.requests)
    return Comparison(
        candidate=candidate.error_rate,
        baseline=baseline.error_rate,
        worse=candidate.error_rate - baseline.error_rate,
        bound=most_rise(*counts, certainty=power),
        p=fisher(*counts),
        telling=candidate.errors >= FEWEST_ERRORS,
    )


def _latency(candidate: Mapping[float, int], baseline: Mapping[float, int], power: float) -> Comparison:
    """Compare latencies by rank. Too few say nothing: no p-value, no bound."""
    medians = _median(candidate), _median(baseline)
    if min(sum(candidate.values()), sum(baseline.values())) < FEWEST_LATENCIES:
        return Comparison(candidate=medians[0], baseline=medians[1], worse=0.0, bound=math.inf, p=1.0, telling=False)
    ranks = mann_whitney(candidate, baseline)
    worse = ranks.slower - 0.5
    bound = worse + reach(1.0 - power) * ranks.deviation
    return Comparison(candidate=medians[0], baseline=medians[1], worse=worse, bound=bound, p=ranks.p, telling=True)


def _median(latency: Mapping[float, int]) -> float:
    """Return the upper bound of the bucket that the median is in, in seconds."""
    half = sum(latency.values()) / 2.0
    below = 0
    for bound in sorted(latency):
        below += latency[bound]
        if below and below >= half:
            return bound
    return math.nan
