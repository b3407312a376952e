"""Time series: their points, and how they are aligned and reduced. Pure; times are seconds since the epoch.

Source: monitoring.v3, TimeSeries, Distribution, Aggregation with the descriptions of its enums.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot.sandbox.google import rfc3339

Json = dict[str, Any]
# Bounds 1, 1.4, 1.96, … milliseconds: those that Google's own latency metrics commonly have. Those of Cloud Run are not
# in its documents, and a reader has to go by the options that come with each distribution.
GROWTH, SCALE, FINITE = 1.4, 1.0, 66
PERCENTILES = {f"ALIGN_PERCENTILE_{number:02}": number / 100 for number in (99, 95, 50, 5)}


@dataclass(kw_only=True)
class Distribution:
    """A histogram with its moments. ``counts`` holds the underflow bucket, the finite ones, the overflow bucket."""

    counts: list[int] = field(default_factory=lambda: [0] * (FINITE + 2))
    count: int = 0
    mean: float = 0.0
    deviation: float = 0.0  # the sum of squared deviations from the mean

    def add(self, value: float, times: int = 1) -> None:
        """Count a value (Welford's method, which Distribution.sumOfSquaredDeviation names), so many times."""
        index = 0 if value < SCALE else min(FINITE + 1, math.floor(math.log(value / SCALE, GROWTH) + 1e-9) + 1)
        self.counts[index] += times
        self.count += times
        before = value - self.mean
        self.mean += before * times / self.count
        self.deviation += before * (value - self.mean) * times

    def __add__(self, other: Distribution) -> Distribution:
        """Return both populations as one (Chan's pairwise update)."""
        total = self.count + other.count
        if total == 0:
            return Distribution()
        apart = other.mean - self.mean
        return Distribution(
            counts=[mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)],
            count=total,
            mean=self.mean + apart * other.count / total,
            deviation=self.deviation + other.deviation + apart**2 * self.count * other.count / total,
        )

    def percentile(self, share: float) -> float:
        """Return the value below which a share of the population lies, linear within its bucket."""
        wanted, seen = share * self.count, 0
        for index, count in enumerate(self.counts):
            if count and seen + count >= wanted:
                low = SCALE * GROWTH ** (index - 1) if index else 0.0
                return low + (SCALE * GROWTH**index - low) * (wanted - seen) / count
            seen += count
        return 0.0

    def resource(self) -> Json:
        """The Distribution as the API returns it: trailing empty buckets are left out (``bucketCounts``)."""
        last = max((index for index, count in enumerate(self.counts) if count), default=-1)
        exponential = {"numFiniteBuckets": FINITE, "growthFactor": GROWTH, "scale": SCALE}
        return {
            "count": str(self.count), "mean": self.mean, "sumOfSquaredDeviation": self.deviation,
            "bucketOptions": {"exponentialBuckets": exponential},
            "bucketCounts": [str(count) for count in self.counts[: last + 1]],
        }  # fmt: skip


Value = int | float | Distribution


@dataclass(frozen=True, kw_only=True)
class Point:
    """One value for the time from ``start``, excluded, to ``end``."""

    start: float
    end: float
    value: Value

    def resource(self) -> Json:
        """The Point as the API returns it."""
        match self.value:
            case Distribution():
                value: Json = {"distributionValue": self.value.resource()}
            case int():
                value = {"int64Value": str(self.value)}
            case float():
                value = {"doubleValue": self.value}
        return {"interval": {"startTime": rfc3339(self.start), "endTime": rfc3339(self.end)}, "value": value}


@dataclass(frozen=True, kw_only=True)
class Series:
    """One time series. ``points`` are oldest first here; the API returns them in reverse."""

    metric_type: str
    metric: Mapping[str, str]
    resource_type: str
    resource: Mapping[str, str]
    kind: str  # MetricKind
    value_type: str
    unit: str
    points: tuple[Point, ...] = ()

    def identity(self) -> dict[str, str]:
        """What a filter and a grouping can ask for, by selector."""
        return {
            "metric.type": self.metric_type, "resource.type": self.resource_type,
            "project": self.resource.get("project_id", ""),
            **{f"metric.labels.{key}": value for key, value in self.metric.items()},
            **{f"resource.labels.{key}": value for key, value in self.resource.items()},
        }  # fmt: skip

    def headers(self) -> Json:
        """The TimeSeries as the API returns it, without its points."""
        return {
            "metric": {"type": self.metric_type, **({"labels": dict(self.metric)} if self.metric else {})},
            "resource": {"type": self.resource_type, "labels": dict(self.resource)},
            "metricKind": self.kind, "valueType": self.value_type, "unit": self.unit,
        }  # fmt: skip


def total(values: Sequence[Value]) -> Value:
    """Return the sum of values of one type; there is at least one."""
    first, *rest = values
    for value in rest:
        first = first + value  # type: ignore[operator]  # values of one series are of one type
    return first


def within(series: Series, start: float, end: float) -> Series:
    """Return the points that end in ``(start, end]`` (TimeInterval: "Reads: A half-open time interval")."""
    return replace(series, points=tuple(point for point in series.points if start < point.end <= end))


def aligned(series: Series, aligner: str, period: float, start: float, end: float) -> Series:
    """Return one point for each alignment period that holds data, "with end timestamp at the end of the period".

    Periods are counted back from ``end``. The earliest may begin before ``start``; a period without data has no point.
    """
    points = []
    for number in range(math.ceil(round((end - start) / period, 9)) - 1, -1, -1):
        until = end - number * period
        found = [point.value for point in series.points if until - period < point.end <= until]
        if found:
            points.append(_point(aligner, until - period, until, period, total(found)))
    changed: dict[str, Any] = {"points": tuple(points)}
    if aligner == "ALIGN_RATE":
        changed |= {"kind": "GAUGE", "value_type": "DOUBLE", "unit": f"{series.unit}/s"}
    elif aligner in PERCENTILES:
        changed |= {"kind": "GAUGE", "value_type": "DOUBLE"}
    return replace(series, **changed)


def _point(aligner: str, start: float, end: float, period: float, value: Value) -> Point:
    if aligner == "ALIGN_RATE" and not isinstance(value, Distribution):
        return Point(start=end, end=end, value=value / period)
    if aligner in PERCENTILES and isinstance(value, Distribution):
        return Point(start=end, end=end, value=value.percentile(PERCENTILES[aligner]))
    return Point(start=start, end=end, value=value)


def reduced(found: Sequence[Series], fields: Sequence[str]) -> list[Series]:
    """Return the sums over all series that agree on the fields. They must be aligned.

    "Fields not specified in group_by_fields are aggregated away", except the resource's type and project.
    """
    groups: dict[tuple[str, ...], list[Series]] = {}
    for series in found:
        identity = series.identity()
        groups.setdefault(tuple(identity.get(name, "") for name in fields), []).append(series)
    return [_sum(group, fields) for group in groups.values()]


def _sum(group: Sequence[Series], fields: Sequence[str]) -> Series:
    by_time: dict[tuple[float, float], list[Value]] = {}
    for series in group:
        for point in series.points:
            by_time.setdefault((point.start, point.end), []).append(point.value)
    points = tuple(Point(start=start, end=end, value=total(values)) for (start, end), values in sorted(by_time.items()))
    first = group[0]
    kept = _kept(fields)
    return replace(
        first,
        points=points,
        metric={key: value for key, value in first.metric.items() if kept(f"metric.labels.{key}")},
        resource={
            key: value for key, value in first.resource.items() if key == "project_id" or kept(f"resource.labels.{key}")
        },
    )


def _kept(fields: Sequence[str]) -> Callable[[str], bool]:
    return set(fields).__contains__
