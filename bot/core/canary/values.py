"""What a canary is judged by, and what comes of it: values only."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Metric = Literal["errors", "latency"]
Status = Literal["pass", "fail", "inconclusive"]

_GRID = (
    1.02  # the step between bounds of samples: 2 % apart is more than a user notices, and few bounds are quick to rank
)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """One version over a stretch of time.

    ``latency`` counts answers by the upper bound, in seconds, of the bucket they fell in; ``math.inf`` is the last one.
    Both versions must be counted by the same bounds. It may hold more or fewer answers than ``requests``: the two come
    from different measurements.

    Raises:
        ValueError: these are no counts, such as more errors than requests.
    """

    requests: int = 0
    errors: int = 0
    latency: Mapping[float, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.requests:
            raise ValueError(f"{self.errors} errors in {self.requests} requests are no counts")
        if any(count < 0 or math.isnan(bound) for bound, count in self.latency.items()):
            raise ValueError("a latency is counted by an upper bound, and never less than 0 times")

    def __add__(self, other: Observed) -> Observed:
        both = Counter(self.latency)
        both.update(other.latency)
        return Observed(requests=self.requests + other.requests, errors=self.errors + other.errors, latency=dict(both))

    @property
    def error_rate(self) -> float:
        """Return the share of requests that failed; 0 when there were none."""
        return self.errors / self.requests if self.requests else 0.0


def observed(seconds: Iterable[float], *, errors: int = 0) -> Observed:
    """Return what single requests showed: how long each took, and how many of them failed."""
    latency = Counter(_bound(each) for each in seconds)
    return Observed(requests=latency.total(), errors=errors, latency=dict(latency))


def _bound(seconds: float) -> float:
    return _GRID ** math.ceil(math.log(seconds, _GRID)) if seconds > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What is asked of the judgement.

    ``confidence`` is the chance that a release as good as what serves is left alone, over the *whole rollout*: all
    stages, looks, ``metrics`` and ``services`` that are judged apart. ``power`` is the chance that a stage sees a
    regression that matters, once it has the requests to. What matters: ``error_rise`` is the smallest rise of the share
    of failed requests worth stopping for (0.01: from 0.5 % to 1.5 %); ``slowdown`` the smallest rise above one half of
    the chance that a request to the candidate takes longer than one to what serves (0.1: slower in 60 of 100 pairs).

    Raises:
        ValueError: a number is out of its range, or there is no metric.
    """

    confidence: float = 0.95
    power: float = 0.8
    error_rise: float = 0.01
    slowdown: float = 0.1
    metrics: tuple[Metric, ...] = get_args(Metric)
    services: int = 1

    def __post_init__(self) -> None:
        for name, low, high in (("confidence", 0.5, 1), ("power", 0.5, 1), ("error_rise", 0, 1), ("slowdown", 0, 0.5)):
            if not low < getattr(self, name) < high:
                raise ValueError(f"{name} must lie between {low} and {high}")
        if not self.metrics or self.services < 1:
            raise ValueError("there must be something to judge")


@dataclass(frozen=True, kw_only=True)
class Look:
    """Which look at the numbers this is, of all that the rollout will take at most: over all stages, holding included.

    Raises:
        ValueError: ``number`` or ``of`` is below 1.
    """

    number: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if min(self.number, self.of) < 1:
            raise ValueError(f"there is no look {self.number} of {self.of}")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Candidate against baseline by one metric.

    ``candidate`` and ``baseline`` are error rates, or medians in seconds (``math.nan`` without data). ``worse`` is by
    how much the candidate was worse, in the unit of the margin. In truth it is worse by at most ``bound``, unless the
    candidate was luckier than ``power`` allows for. ``p`` is the chance that a candidate as good as what serves looks
    at least so bad. ``telling``: there is enough to hold something against the candidate.
    """

    candidate: float
    baseline: float
    worse: float
    bound: float
    p: float
    telling: bool


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one metric says at a look.

    ``level`` is the largest ``p`` that is held against the candidate. ``more``: about how many more requests to it are
    needed to decide, 0 when it is decided. ``sentence`` has the numbers for a person.
    """

    metric: Metric
    status: Status
    numbers: Comparison
    level: float
    more: int
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The judgement at one look.

    ``fail``: stop now. ``pass``: a stage whose time is over may be left. ``inconclusive``: look again; about ``more``
    requests to the candidate later there should be an answer.
    """

    status: Status
    sentence: str
    more: int
    findings: tuple[Finding, ...]
