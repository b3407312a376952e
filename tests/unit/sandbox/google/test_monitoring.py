"""Cloud Monitoring, asked as its REST description has it, and judged by that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from bot.sandbox.google.monitoring import Monitoring
from bot.sandbox.wire import Call

T0 = 1_790_000_040.0  # the beginning of a minute
COUNT, LATENCIES = "run.googleapis.com/request_count", "run.googleapis.com/request_latencies"
COUNTED = f'metric.type="{COUNT}" AND resource.type="cloud_run_revision"'


def rfc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def resource(revision: str, service: str = "web", location: str = "us-central1") -> dict[str, Any]:
    labels = {
        "project_id": "acme", "location": location, "service_name": service, "revision_name": revision,
        "configuration_name": service,
    }  # fmt: skip
    return {"type": "cloud_run_revision", "labels": labels}


class Bench:
    def __init__(self) -> None:
        self.now = T0
        self.server = Monitoring(clock=lambda: self.now)
        self.server.start()

    def visit(self, at: float, *revisions: str, status: int = 200, seconds: float = 0.05, **where: str) -> None:
        self.now = T0 + at
        for revision in revisions:
            self.server.record(resource(revision, **where), status, seconds)

    def ask(self, text: str = COUNTED, *, start: float = 0, end: float = 300, **arguments: Any) -> requests.Response:
        query = {"filter": text, "interval.startTime": rfc(T0 + start), "interval.endTime": rfc(T0 + end)}
        named = {name.replace("__", "."): value for name, value in arguments.items()}
        return requests.get(f"{self.server.url}/v3/projects/acme/timeSeries", params={**query, **named}, timeout=5)

    def series(self, *arguments: Any, **named: Any) -> list[dict[str, Any]]:
        answer = self.ask(*arguments, **named)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json().get("timeSeries", [])
        return found

    def values(self, *arguments: Any, **named: Any) -> list[Any]:
        """Return (labels that tell series apart, end of point, value), flat."""
        return [
            (*each["metric"].get("labels", {}).values(), each["resource"]["labels"].get("revision_name"),
             datetime.fromisoformat(point["interval"]["endTime"]).timestamp() - T0, *point["value"].values())
            for each in self.series(*arguments, **named) for point in each.get("points", [])
        ]  # fmt: skip


@pytest.fixture
def bench(misfits: Callable[[str, Call], list[str]]) -> Iterator[Bench]:
    made = Bench()
    yield made
    made.server.stop()
    assert [wrong for call in made.server.calls for wrong in misfits("monitoring.v3", call)] == []


def test_requests_are_counted_by_revision_and_code(bench: Bench) -> None:
    bench.visit(1, "web-one", "web-one", "web-two")
    bench.visit(2, "web-one", status=503)
    bench.visit(61, "web-one")
    bench.now = T0 + 400
    whole = bench.series()
    assert whole[0] == {
        "metric": {"type": COUNT, "labels": {"response_code": "200", "response_code_class": "2xx"}},
        "resource": resource("web-one"),
        "metricKind": "DELTA", "valueType": "INT64", "unit": "1",
        "points": [
            {"interval": {"startTime": rfc6(60), "endTime": rfc6(120)}, "value": {"int64Value": "1"}},
            {"interval": {"startTime": rfc6(0), "endTime": rfc6(60)}, "value": {"int64Value": "2"}},
        ],
    }  # fmt: skip
    assert bench.values() == [
        ("200", "2xx", "web-one", 120, "1"), ("200", "2xx", "web-one", 60, "2"), ("200", "2xx", "web-two", 60, "1"),
        ("503", "5xx", "web-one", 60, "1"),
    ]  # fmt: skip
    assert bench.ask().json()["unit"] == "1"


def rfc6(at: float) -> str:
    return datetime.fromtimestamp(T0 + at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_a_sample_is_seen_only_after_the_delay(bench: Bench) -> None:
    bench.visit(59, "web-one")
    bench.now = T0 + 60 + 179
    assert bench.series() == []
    bench.now = T0 + 60 + 180
    assert bench.values() == [("200", "2xx", "web-one", 60, "1")]
    bench.server.period = bench.server.delay = 1.0
    bench.visit(300, "web-one", "web-one")
    bench.now = T0 + 302
    assert bench.values(start=300, end=310) == [("200", "2xx", "web-one", 301, "2")]


@pytest.mark.parametrize(
    ("start", "end", "seen"), [(0, 60, [60]), (60, 120, [120]), (59, 60, [60]), (60, 60, []), (0, 119, [60])]
)
def test_an_interval_excludes_its_start_and_includes_its_end(
    bench: Bench, start: float, end: float, seen: list[int]
) -> None:
    bench.visit(1, "web-one")
    bench.visit(61, "web-one")
    bench.now = T0 + 400
    assert [value[3] for value in bench.values(start=start, end=end)] == seen


def test_latencies_are_distributions_in_milliseconds(bench: Bench) -> None:
    for seconds in (0.0004, 0.02, 0.02, 0.05, 1e9):
        bench.visit(1, "web-one", seconds=seconds)
    bench.now = T0 + 400
    (series,) = bench.series(f'metric.type="{LATENCIES}"')
    assert (series["metricKind"], series["valueType"], series["unit"]) == ("DELTA", "DISTRIBUTION", "ms")
    found = series["points"][0]["value"]["distributionValue"]
    counts = [int(count) for count in found["bucketCounts"]]
    options = found["bucketOptions"]["exponentialBuckets"]
    bounds = [options["scale"] * options["growthFactor"] ** index for index in range(options["numFiniteBuckets"] + 1)]
    assert (counts[0], counts[-1], sum(counts), found["count"]) == (1, 1, 5, "5")
    for value, expected in ((20.0, 2), (50.0, 1)):
        (index,) = [index for index in range(1, len(bounds)) if bounds[index - 1] <= value < bounds[index]]
        assert counts[index] == expected
    bench.visit(401, "web-two", seconds=0.1)
    bench.visit(402, "web-two", seconds=0.3)
    bench.now = T0 + 800
    (series,) = bench.series(f'metric.type="{LATENCIES}"', start=400, end=480)
    found = series["points"][0]["value"]["distributionValue"]
    assert found["mean"] == pytest.approx(200.0)
    assert found["sumOfSquaredDeviation"] == pytest.approx(20_000.0)


ALIGN: dict[str, Any] = {"aggregation__alignmentPeriod": "120s"}


@pytest.mark.parametrize(
    ("aligner", "kind", "values"),
    [
        ("ALIGN_DELTA", ("DELTA", "INT64"), [("200", "2xx", "web-one", 360, "2"), ("200", "2xx", "web-one", 120, "4")]),
        ("ALIGN_SUM", ("DELTA", "INT64"), [("200", "2xx", "web-one", 360, "2"), ("200", "2xx", "web-one", 120, "4")]),
        ("1", ("DELTA", "INT64"), [("200", "2xx", "web-one", 360, "2"), ("200", "2xx", "web-one", 120, "4")]),
        (
            "ALIGN_RATE", ("GAUGE", "DOUBLE"),
            [("200", "2xx", "web-one", 360, 2 / 120), ("200", "2xx", "web-one", 120, 4 / 120)],
        ),
    ],
)  # fmt: skip
def test_alignment_counts_periods_back_from_the_end(
    bench: Bench, aligner: str, kind: tuple[str, str], values: list[Any]
) -> None:
    bench.visit(1, "web-one", "web-one", "web-one")
    bench.visit(61, "web-one")
    bench.visit(301, "web-one", "web-one")
    bench.now = T0 + 1000
    found = bench.series(end=360, aggregation__perSeriesAligner=aligner, **ALIGN)
    assert (found[0]["metricKind"], found[0]["valueType"]) == kind
    assert bench.values(end=360, aggregation__perSeriesAligner=aligner, **ALIGN) == values


def test_an_alignment_period_may_begin_before_the_interval(bench: Bench) -> None:
    bench.visit(1, "web-one")
    bench.visit(61, "web-one")
    bench.now = T0 + 400
    wide = {"aggregation__alignmentPeriod": "300s", "aggregation__perSeriesAligner": "ALIGN_DELTA"}
    assert bench.values(start=60, end=120, **wide) == [("200", "2xx", "web-one", 120, "2")]


def test_percentiles_of_latencies(bench: Bench) -> None:
    for milliseconds in range(1, 101):
        bench.visit(1, "web-one", seconds=milliseconds / 1000)
    bench.now = T0 + 400
    found = [
        bench.values(f'metric.type="{LATENCIES}"', end=120, aggregation__perSeriesAligner=aligner, **ALIGN)[0][-1]
        for aligner in ("ALIGN_PERCENTILE_50", "ALIGN_PERCENTILE_95", "ALIGN_PERCENTILE_99")
    ]
    assert found == [pytest.approx(50, abs=6), pytest.approx(95, abs=12), pytest.approx(99, abs=12)]  # half a bucket


def test_reduction_sums_what_agrees_on_the_fields(bench: Bench) -> None:
    bench.visit(1, "web-one", "web-two", "web-two")
    bench.visit(2, "web-two", status=500)
    bench.visit(3, "web-two", status=503)
    bench.visit(4, "job-one", service="job")
    bench.now = T0 + 400
    summed = {**ALIGN, "aggregation__perSeriesAligner": "ALIGN_DELTA", "aggregation__crossSeriesReducer": "REDUCE_SUM"}
    (everything,) = bench.series(end=120, **summed)
    assert everything["metric"] == {"type": COUNT}
    assert everything["resource"] == {"type": "cloud_run_revision", "labels": {"project_id": "acme"}}
    assert everything["points"][0]["value"] == {"int64Value": "6"}
    fields = ["resource.labels.revision_name", "metric.label.response_code_class"]
    assert bench.values(end=120, **summed, aggregation__groupByFields=fields) == [
        ("2xx", "job-one", 120, "1"), ("2xx", "web-one", 120, "1"), ("2xx", "web-two", 120, "2"),
        ("5xx", "web-two", 120, "2"),
    ]  # fmt: skip
    (slow,) = bench.series(f'metric.type="{LATENCIES}"', end=120, **summed)
    assert slow["points"][0]["value"]["distributionValue"]["count"] == "6"


FILTERS = {
    'resource.labels.revision_name="web-two"': ["web-two"],
    'resource.label.revision_name = "web-two"': ["web-two"],
    'resource.labels.revision_name != "web-two"': ["eu-one", "web-one"],
    'NOT resource.labels.revision_name = "web-two"': ["eu-one", "web-one"],
    'resource.labels.revision_name=one_of("web-one", "web-two","x")': ["web-one", "web-two"],
    'resource.labels.revision_name=starts_with("web-")': ["web-one", "web-two"],
    'resource.labels.revision_name=ends_with("-one")': ["eu-one", "web-one"],
    'resource.labels.revision_name=has_substring("b-t")': ["web-two"],
    'resource.labels.revision_name:"b-t"': ["web-two"],
    'resource.labels.revision_name=monitoring.regex.full_match("web-.*")': ["web-one", "web-two"],
    'resource.labels.location="europe-west1"': ["eu-one"],
    'metric.labels.response_code_class="5xx"': ["web-two"],
    "metric.labels.response_code=\"200\" AND resource.labels.service_name='web'": ["eu-one", "web-one"],
    'resource.labels.location="europe-west1" OR metric.labels.response_code_class="5xx"': ["eu-one", "web-two"],
    '(metric.labels.response_code="200" resource.labels.location="us-central1")': ["web-one"],
    'project="acme"': ["eu-one", "web-one", "web-two"],
}


@pytest.mark.parametrize("text", FILTERS)
def test_filters(bench: Bench, text: str) -> None:
    bench.visit(1, "web-one")
    bench.visit(1, "web-two", status=502)
    bench.visit(1, "eu-one", location="europe-west1")
    bench.now = T0 + 400
    assert sorted(value[2] for value in bench.values(f'{text} AND metric.type="{COUNT}"')) == FILTERS[text]


MANY = ",".join(['"a"'] * 101)
REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "no filter": ({"filter": ""}, 400, "empty"),
    "no metric": ({"filter": 'resource.type="cloud_run_revision"'}, 400, "single metric type"),
    "a metric among others": ({"filter": f'metric.type="{COUNT}" OR metric.type="{LATENCIES}"'}, 400, "single metric"),
    "a metric negated": ({"filter": f'NOT metric.type="{COUNT}"'}, 400, "single metric"),
    "metrics by prefix": ({"filter": 'metric.type=starts_with("run")'}, 400, "single metric"),
    "two metrics": ({"filter": f'metric.type="{COUNT}" metric.type="{LATENCIES}"'}, 400, "single metric"),
    "unknown metric": ({"filter": 'metric.type="run.googleapis.com/x"'}, 404, "Cannot find metric"),
    "unknown label": ({"filter": f'{COUNTED} AND resource.labels.revision="x"'}, 400, "valid combination"),
    "unknown selector": ({"filter": f'{COUNTED} AND revision="x"'}, 400, "unknown selector"),
    "unknown function": ({"filter": f'{COUNTED} AND resource.type=like("x")'}, 400, "unknown function"),
    "no quotes": ({"filter": f"{COUNTED} AND resource.type=x"}, 400, "in quotes"),
    "argument without quotes": ({"filter": f"{COUNTED} AND resource.type=one_of(x)"}, 400, "in quotes"),
    "no argument": ({"filter": f"{COUNTED} AND resource.type=one_of()"}, 400, "argument"),
    "too many values": ({"filter": f"{COUNTED} AND resource.type=one_of({MANY})"}, 400, "at most 100"),
    "open list": ({"filter": f'{COUNTED} AND resource.type=one_of("a" "b")'}, 400, "not closed"),
    "two prefixes": ({"filter": f'{COUNTED} AND resource.type=starts_with("a","b")'}, 400, "one argument"),
    "function contained": ({"filter": f'{COUNTED} AND resource.type:starts_with("a")'}, 400, "compared by :"),
    "ordered": ({"filter": f'{COUNTED} AND metric.labels.response_code>="500"'}, 400, "not by"),
    "open parenthesis": ({"filter": f"({COUNTED}"}, 400, "not closed"),
    "closed twice": ({"filter": f"{COUNTED})"}, 400, "unexpected"),
    "cut off": ({"filter": f"{COUNTED} AND resource.type="}, 400, "too early"),
    "gibberish": ({"filter": f"{COUNTED} AND ?"}, 400, "unparseable"),
    "backwards": ({"start": 301}, 400, "later than the end"),
    "no end": ({"interval__endTime": []}, 400, "end time is required"),
    "no time": ({"interval__endTime": "yesterday"}, 400, "RFC 3339"),
    "ordering": ({"orderBy": "x"}, 400, "left blank"),
    "unknown aligner": ({"aggregation__perSeriesAligner": "ALIGN_MEAN"}, 400, "does not know"),
    "no period": ({"aggregation__perSeriesAligner": "ALIGN_DELTA"}, 400, "at least 60"),
    "short period": (
        {"aggregation__perSeriesAligner": "ALIGN_DELTA", "aggregation__alignmentPeriod": "59s"}, 400, "at least 60",
    ),
    "reduced unaligned": ({"aggregation__crossSeriesReducer": "REDUCE_SUM"}, 400, "needs a per-series aligner"),
    "grouped by nothing": (
        {**ALIGN, "aggregation__perSeriesAligner": "ALIGN_DELTA", "aggregation__crossSeriesReducer": "REDUCE_SUM",
         "aggregation__groupByFields": "revision_name"}, 400, "No time series has this field",
    ),
    "percentile of a count": ({**ALIGN, "aggregation__perSeriesAligner": "ALIGN_PERCENTILE_95"}, 400, "can't be applied"),
    "rate of a distribution": (
        {**ALIGN, "filter": f'metric.type="{LATENCIES}"', "aggregation__perSeriesAligner": "ALIGN_RATE"},
        400, "can't be applied",
    ),
    "unknown view": ({"view": "SOME"}, 400, "does not know"),
    "negative page": ({"pageSize": "-1"}, 400, "negative"),
    "foreign token": ({"pageToken": "%%%"}, 400, "none that this method gave"),
    "unknown argument": ({"pagesize": "1"}, 400, "Unknown name"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(bench: Bench, name: str) -> None:
    arguments, status, message = REFUSED[name]
    answer = bench.ask(**arguments)
    assert (answer.status_code, message in answer.json()["error"]["message"]) == (status, True), answer.text


def test_another_project_is_forbidden(bench: Bench) -> None:
    answer = requests.get(f"{bench.server.url}/v3/projects/other/timeSeries", params={"filter": COUNTED}, timeout=5)
    assert answer.status_code == 403


def test_pages_are_of_points_or_of_series(bench: Bench) -> None:
    for at in (1, 61, 121):
        bench.visit(at, "web-one", "web-two")
    bench.now = T0 + 800
    first = bench.ask(pageSize=4).json()
    assert [len(each["points"]) for each in first["timeSeries"]] == [3, 1]
    second = bench.ask(pageSize=4, pageToken=first["nextPageToken"]).json()
    assert [len(each["points"]) for each in second["timeSeries"]] == [2]
    assert "nextPageToken" not in second
    headers = bench.ask(view="HEADERS", pageSize=1).json()
    assert [sorted(each) for each in headers["timeSeries"]] == [
        ["metric", "metricKind", "resource", "unit", "valueType"]
    ]
    rest = bench.ask(view="1", pageSize=1, pageToken=headers["nextPageToken"]).json()
    assert rest["timeSeries"][0]["resource"]["labels"]["revision_name"] == "web-two"
    assert "nextPageToken" not in rest
