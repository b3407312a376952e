"""Cloud Monitoring: the request metrics of Cloud Run, read by timeSeries.list.

Source: monitoring.v3; the metrics are those of cloud.google.com/monitoring/api/metrics_gcp, ``run``, with the labels of
the resource ``cloud_run_revision`` (cloud.google.com/monitoring/api/resources). There, too: "Sampled every 60 seconds.
After sampling, data is not visible for up to 180 seconds."

Knobs, in seconds: ``period`` is how often the metrics are sampled, ``delay`` how long a sample stays unseen,
``minimum_alignment`` the shortest alignment period that is accepted ("The value must be at least 60 seconds"). Stories
that run in seconds turn all three down.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.sandbox.google import GoogleService, seconds_of
from bot.sandbox.google.monitoring_filter import FilterError, compile_filter
from bot.sandbox.google.monitoring_series import PERCENTILES, Distribution, Point, Series, aligned, reduced, within
from bot.sandbox.wire import Request, Response, WireError, answer

Json = dict[str, Any]
REQUEST_COUNT, REQUEST_LATENCIES = "run.googleapis.com/request_count", "run.googleapis.com/request_latencies"
RESOURCE = "cloud_run_revision"
MAX_PAGE_SIZE = 100_000  # timeSeries.list, ``pageSize``
_SELECTORS = frozenset(
    {"project", "metric.type", "resource.type", "metric.labels.response_code", "metric.labels.response_code_class"}
    | {
        f"resource.labels.{label}"
        for label in ("project_id", "location", "service_name", "revision_name", "configuration_name")
    }
)
# The numbers of the enums, which a client may send as well, by google/monitoring/v3/common.proto and
# metric_service.proto. Other values exist there; the sandbox has no use for them and refuses them.
ALIGNERS = {
    0: "ALIGN_NONE", 1: "ALIGN_DELTA", 2: "ALIGN_RATE", 14: "ALIGN_SUM", 18: "ALIGN_PERCENTILE_99",
    19: "ALIGN_PERCENTILE_95", 20: "ALIGN_PERCENTILE_50", 21: "ALIGN_PERCENTILE_05",
}  # fmt: skip
REDUCERS = {0: "REDUCE_NONE", 4: "REDUCE_SUM"}
VIEWS = {0: "FULL", 1: "HEADERS"}


@dataclass(frozen=True, kw_only=True)
class _Query:
    """What timeSeries.list is asked. Times and the period are in seconds."""

    start: float
    end: float
    aligner: str
    period: float
    reducer: str
    fields: tuple[str, ...]


class Monitoring(GoogleService):
    """``monitoring.googleapis.com`` for one project. ``clock`` gives seconds since the epoch."""

    name = "monitoring"

    def __init__(
        self,
        *,
        authenticate: Callable[[str], object | None] | None = None,
        project: str = "acme",
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(authenticate=authenticate)
        self.project, self.clock = project, clock
        self.period, self.delay, self.minimum_alignment = 60.0, 180.0, 60.0
        # By resource labels and response code, then by interval: one distribution tells the count as well.
        self._samples: dict[tuple[tuple[tuple[str, str], ...], int], dict[tuple[float, float], Distribution]] = {}
        self._samples_lock = threading.Lock()
        self.route("GET", "/v3/projects/{project}/timeSeries", self._list)

    def record(self, resource: Json, status: int, seconds: float, *, ago: float = 0.0, times: int = 1) -> None:
        """Count a request that a revision, the monitored ``resource``, has answered: just now, or some seconds ago.

        ``times`` counts as many of the same, for stories with a past.
        """
        start = (self.clock() - ago) // self.period * self.period
        key = (tuple(sorted(resource["labels"].items())), status)
        with self._samples_lock:
            sample = self._samples.setdefault(key, {}).setdefault((start, start + self.period), Distribution())
            sample.add(seconds * 1000, times)

    # -- reading ----------------------------------------------------------------------------------------------
    def _series(self, metric_type: str) -> Iterator[Series]:
        """Yield every time series of a metric, with the points that can be seen by now."""
        seen_until = self.clock() - self.delay
        counts = metric_type == REQUEST_COUNT
        with self._samples_lock:
            for (labels, status), samples in self._samples.items():
                points = tuple(
                    Point(start=start, end=end, value=sample.count if counts else sample + Distribution())
                    for (start, end), sample in sorted(samples.items())
                    if end <= seen_until
                )
                yield Series(
                    metric_type=metric_type,
                    metric={"response_code": str(status), "response_code_class": f"{status // 100}xx"},
                    resource_type=RESOURCE,
                    resource=dict(labels),
                    kind="DELTA",
                    value_type="INT64" if counts else "DISTRIBUTION",
                    unit="1" if counts else "ms",
                    points=points,
                )

    def _list(self, request: Request) -> Response:
        if request.params["project"] != self.project:
            raise WireError(403, "The caller does not have permission", "PERMISSION_DENIED")
        text = request.arg("filter") or ""
        query = self._query(request)
        try:
            wanted = compile_filter(text)
        except FilterError as error:
            raise _bad("filter", text, f"The provided filter can't be used: {error}.") from None
        if wanted.metric_type not in {REQUEST_COUNT, REQUEST_LATENCIES}:
            message = f'Cannot find metric(s) that match type = "{wanted.metric_type}".'
            raise WireError(404, message, "NOT_FOUND")
        if not wanted.selectors <= _SELECTORS:
            message = "The supplied filter does not specify a valid combination of metric and monitored resource."
            raise _bad("filter", text, message)
        found = [series for series in self._series(wanted.metric_type) if wanted.test(series.identity())]
        shaped = [series for series in _shaped(found, query, wanted.metric_type) if series.points]
        shaped.sort(key=lambda series: sorted(series.identity().items()))
        return answer(_page(request, shaped))

    def _query(self, request: Request) -> _Query:
        if "interval.endTime" not in request.query:
            raise _bad("interval.end_time", "", "The end time is required.")
        end = _time(request, "interval.endTime")
        start = _time(request, "interval.startTime") if "interval.startTime" in request.query else end
        if start > end:
            raise _bad("interval.start_time", "", "The start time must not be later than the end time.")
        if request.arg("orderBy"):
            raise _bad("order_by", request.arg("orderBy"), "Unsupported: must be left blank.")
        aligner = _enum(request, "aggregation.perSeriesAligner", ALIGNERS)
        reducer = _enum(request, "aggregation.crossSeriesReducer", REDUCERS)
        if reducer != "REDUCE_NONE" and aligner == "ALIGN_NONE":
            message = "A cross-series reducer needs a per-series aligner other than ALIGN_NONE."
            raise _bad("aggregation.per_series_aligner", aligner, message)
        fields = [field for value in request.query.get("aggregation.groupByFields", []) for field in value.split(",")]
        return _Query(
            start=start, end=end, aligner=aligner, reducer=reducer, period=self._alignment(request, aligner),
            fields=tuple(_field(field) for field in fields) if reducer != "REDUCE_NONE" else (),
        )  # fmt: skip

    def _alignment(self, request: Request, aligner: str) -> float:
        """Return the alignment period, 0 where it is ignored."""
        if aligner == "ALIGN_NONE":
            return 0.0
        sent = request.arg("aggregation.alignmentPeriod")
        period = seconds_of(sent) if sent else 0.0
        if period < self.minimum_alignment or period <= 0:
            message = f"The alignment period must be at least {self.minimum_alignment:g} seconds."
            raise _bad("aggregation.alignment_period", sent, message)
        return period


def _shaped(found: list[Series], query: _Query, metric_type: str) -> list[Series]:
    """Return the series aligned and reduced. Raises WireError for what can't be done with the metric."""
    if query.aligner == "ALIGN_NONE":
        return [within(series, query.start, query.end) for series in found]
    fitting = query.aligner in {"ALIGN_DELTA", "ALIGN_SUM"} or (
        query.aligner == "ALIGN_RATE" if metric_type == REQUEST_COUNT else query.aligner in PERCENTILES
    )
    if not fitting:
        message = f"The aligner can't be applied to {metric_type}: a DELTA metric of another value type."
        raise _bad("aggregation.per_series_aligner", query.aligner, message)
    shaped = [aligned(series, query.aligner, query.period, query.start, query.end) for series in found]
    return shaped if query.reducer == "REDUCE_NONE" else reduced(shaped, query.fields)


def _page(request: Request, shaped: list[Series]) -> Json:
    """Return one page: of points with the view FULL, of time series with HEADERS (``pageSize``)."""
    headers = _enum(request, "view", VIEWS) == "HEADERS"
    size, at = _size(request), _offset(request)
    page: Json = {"unit": shaped[0].unit} if shaped else {}
    cut: list[Json] = []
    passed = 0
    for series in shaped:
        items: list[Any] = [None] if headers else list(reversed(series.points))
        chosen = items[max(0, at - passed) : max(0, at + size - passed)]
        passed += len(items)
        if chosen:
            points = {} if headers else {"points": [point.resource() for point in chosen]}
            cut.append({**series.headers(), **points})
    if cut:
        page["timeSeries"] = cut
    if passed > at + size:
        page["nextPageToken"] = base64.urlsafe_b64encode(str(at + size).encode()).decode()
    return page


def _size(request: Request) -> int:
    size = int(request.arg("pageSize") or 0)
    if size < 0:
        raise _bad("page_size", size, "It must not be negative.")
    return min(size or MAX_PAGE_SIZE, MAX_PAGE_SIZE)


def _offset(request: Request) -> int:
    token = request.arg("pageToken") or ""
    try:
        return int(base64.urlsafe_b64decode(token)) if token else 0
    except ValueError:
        raise _bad("page_token", token, "It is none that this method gave.") from None


def _time(request: Request, name: str) -> float:
    sent = request.arg(name) or ""
    try:
        found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", sent))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise _bad(name, sent, "Not a time of RFC 3339.")
    return found.timestamp()


def _enum(request: Request, name: str, known: dict[int, str]) -> str:
    """Return an enum's value by name or number, its zero value when it is not sent."""
    sent = request.arg(name) or known[0]
    value = known.get(int(sent), sent) if sent.isdecimal() else sent
    if value not in known.values():
        raise _bad(name, sent, "The sandbox does not know this value.")
    return value


def _field(name: str) -> str:
    """Return a field to group by in its long spelling. Raises WireError for one that no series has."""
    long = re.sub(r"^(metric|resource)\.label\.", r"\1.labels.", name)
    if long not in _SELECTORS:
        raise _bad("aggregation.group_by_fields", name, "No time series has this field.")
    return long


def _bad(field: str, value: object, why: str) -> WireError:
    """Return a 400 in the words of the live service: "Field … had an invalid value of …: …"."""
    return WireError(400, f'Field {field} had an invalid value of "{value}": {why}', "INVALID_ARGUMENT")
