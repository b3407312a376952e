"""Whether a canary is worse than what serves: the statistics, from counts to a verdict.

Candidate and baseline are always compared over the same stretch of the same stage. Counts of different stages are never
added: the shares of the traffic differ, so a bad hour would weigh on one version more than on the other.

Standard library only. Why each rule is as it is: ``docs/explanation/canary.md``.
"""

from __future__ import annotations

from bot.core.canary.judging import judge
from bot.core.canary.planning import decidable, needed, needed_to_find, seconds_needed
from bot.core.canary.spending import level
from bot.core.canary.values import Analysis, Comparison, Finding, Look, Metric, Observed, Status, Verdict, observed
from bot.core.canary.watching import Rise, rate_rose

__all__ = [
    "Analysis",
    "Comparison",
    "Finding",
    "Look",
    "Metric",
    "Observed",
    "Rise",
    "Status",
    "Verdict",
    "decidable",
    "judge",
    "level",
    "needed",
    "needed_to_find",
    "observed",
    "rate_rose",
    "seconds_needed",
]
