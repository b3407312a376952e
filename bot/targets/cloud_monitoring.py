"""What requests got, by revision, from Cloud Monitoring's request metrics of Cloud Run.

Asked by hand: the client library speaks gRPC alone, and two calls do not pay for its import (0.25 s). The metrics are
``run.googleapis.com/request_count`` and ``request_latencies`` (Google Cloud metrics list, "run"): deltas, sampled every
60 s and visible after up to 180 s.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from bot.core.canary import Observed
from bot.errors import UpstreamError
from bot.targets.google import Google
from bot.targets.google_errors import check, read
from bot.targets.parallel import together

_COUNT = "run.googleapis.com/request_count"
_LATENCY = "run.googleapis.com/request_latencies"
_REVISION, _CLASS = "resource.labels.revision_name", "metric.labels.response_code_class"
_ALIGNED = 60  # seconds: the metrics' own sampling, and the least that Monitoring aligns to
_PAGES = 20
_WHAT = "read the request metrics"


def traffic(google: Google, service: str, region: str, *, since: float, until: float) -> dict[str, Observed]:
    """Return what the requests to a service got between two times (Unix time), by its revisions' short names.

    An error is an answer of class 5xx. Whole minutes up to ``until``, for Monitoring aligns to no less; a stretch of
    less than a minute counts as one. Two calls at once. Raises UpstreamError (or a subclass).
    """
    since = until - max(1.0, (until - since) // _ALIGNED) * _ALIGNED
    counts, latencies = together(
        lambda query: list(_series(google, service, region, *query, since=since, until=until)),
        ((_COUNT, (_REVISION, _CLASS)), (_LATENCY, (_REVISION, _CLASS))),
    )
    found: dict[str, Observed] = {}
    for series in counts:
        number = sum(int(point["value"].get("int64Value", 0)) for point in series["points"])
        failed = number if _label(series, "metric", "response_code_class") == "5xx" else 0
        _add(found, series, Observed(requests=number, errors=failed))
    for series in latencies:
        if _label(series, "metric", "response_code_class") == "5xx":
            continue  # what fails at once would flatter a version
        for point in series["points"]:
            _add(found, series, Observed(latency=_buckets(point["value"].get("distributionValue", {}))))
    return found


def _add(found: dict[str, Observed], series: Mapping[str, Any], seen: Observed) -> None:
    revision = _label(series, "resource", "revision_name")
    found[revision] = found.get(revision, Observed()) + seen


def _label(series: Mapping[str, Any], of: str, name: str) -> str:
    return str(series.get(of, {}).get("labels", {}).get(name, ""))


def _series(
    google: Google, service: str, region: str, metric: str, groups: tuple[str, ...], *, since: float, until: float
) -> Iterator[Mapping[str, Any]]:
    """Yield the time series of a metric, summed over everything but some labels (monitoring.v3 timeSeries.list)."""
    filter_ = (
        f'metric.type="{metric}" AND resource.type="cloud_run_revision"'
        f' AND resource.labels.service_name="{service}" AND resource.labels.location="{region}"'
    )
    params: dict[str, Any] = {
        "filter": filter_,
        "interval.startTime": _time(since),
        "interval.endTime": _time(until),
        "aggregation.alignmentPeriod": f"{_ALIGNED}s",
        "aggregation.perSeriesAligner": "ALIGN_DELTA",
        "aggregation.crossSeriesReducer": "REDUCE_SUM",
        "aggregation.groupByFields": list(groups),
    }
    url = f"{google.endpoints.monitoring}/v3/projects/{google.project}/timeSeries"
    for _ in range(_PAGES):
        body = read(_WHAT, lambda: check(google.http.get(url, params=params, timeout=google.timeout)))
        for series in body.get("timeSeries", []):
            if not isinstance(series, dict) or not isinstance(series.get("points"), list):
                raise _unusable("a series without points")
            yield series
        params["pageToken"] = body.get("nextPageToken", "")
        if not params["pageToken"]:
            return
    raise _unusable(f"more than {_PAGES} pages")  # part of the evidence is none


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _buckets(distribution: Mapping[str, Any]) -> dict[float, int]:
    """Return a distribution's counts by upper bounds in seconds; the metric is in milliseconds.

    With exponential buckets, number 0 is below ``scale``, and number i ends at ``scale * growthFactor ** i`` (api
    Distribution.BucketOptions.Exponential). Trailing zeros of ``bucketCounts`` may be left out.
    """
    options = distribution.get("bucketOptions", {})
    counts = [int(count) for count in distribution.get("bucketCounts", [])]
    if not counts:
        return {}
    if "exponentialBuckets" in options:
        exponential = options["exponentialBuckets"]
        finite, scale = int(exponential["numFiniteBuckets"]), float(exponential["scale"])
        bounds = [scale * float(exponential["growthFactor"]) ** number for number in range(finite + 1)]
    elif "explicitBuckets" in options:
        bounds = [float(bound) for bound in options["explicitBuckets"].get("bounds", [])]
    else:
        raise _unusable("buckets of an unknown kind")
    upper = [*(bound / 1000.0 for bound in bounds), math.inf]
    if len(counts) > len(upper):
        raise _unusable("more counts than buckets")
    return {bound: count for bound, count in zip(upper, counts, strict=False) if count}


def _unusable(why: str) -> UpstreamError:
    return UpstreamError(f"Cloud Monitoring's answer is unusable: {why}.", service="Cloud Monitoring", operation=_WHAT)
