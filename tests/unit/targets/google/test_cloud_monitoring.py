from __future__ import annotations

import math
from typing import Any

import pytest

from bot.core.canary import Observed
from bot.errors import ForbiddenError, UpstreamError

PATH = "/v3/projects/acme/timeSeries"
BUCKETS = {"exponentialBuckets": {"numFiniteBuckets": 3, "growthFactor": 2, "scale": 1}}


def series(revision: str, *values: Any, code: str = "") -> Any:
    labels = {"response_code_class": code} if code else {}
    return {
        "resource": {"type": "cloud_run_revision", "labels": {"revision_name": revision}},
        "metric": {"labels": labels},
        "points": [{"interval": {}, "value": value} for value in values],
    }


def count(number: int) -> Any:
    return {"int64Value": str(number)}


def latency(*counts: int, options: Any = None) -> Any:
    return {
        "distributionValue": {
            "bucketOptions": BUCKETS if options is None else options,
            "bucketCounts": list(map(str, counts)),
        }
    }


@pytest.fixture
def monitoring(wire: Any) -> Any:
    """Answers each of the two questions, however they race."""

    def answer(counts: Any, latencies: Any) -> None:
        pages = {"request_count": list(counts), "request_latencies": list(latencies)}

        def reply(call: Any) -> Any:
            metric = next(name for name in pages if f"/{name}" in call.query["filter"][0])
            return pages[metric].pop(0) if len(pages[metric]) > 1 else pages[metric][0]

        wire.on("GET", "monitoring", PATH, reply)

    return answer


@pytest.fixture
def target(make_target: Any, make_spec: Any) -> Any:
    return make_target(make_spec())


def test_requests_errors_and_latencies_of_each_revision(target: Any, monitoring: Any, wire: Any) -> None:
    monitoring(
        [
            {"timeSeries": [series("a", count(90), count(10), code="2xx")], "nextPageToken": "more"},
            {"timeSeries": [series("a", count(7), code="5xx"), series("b", count(5), code="4xx")]},
        ],
        [
            {
                "timeSeries": [
                    series("a", latency(1, 2, 0, 3, 4), latency(0, 1), code="2xx"),
                    series("a", latency(99), code="5xx"),  # what fails at once would flatter it
                    series("c", latency(1)),
                ]
            }
        ],
    )
    assert target.traffic("web", 1_000_000.0, 1_000_300.0) == {
        "a": Observed(requests=107, errors=7, latency={0.001: 1, 0.002: 3, 0.008: 3, math.inf: 4}),
        "b": Observed(requests=5),
        "c": Observed(latency={0.001: 1}),
    }
    first = next(call for call in wire.calls if "request_count" in call.query["filter"][0])
    assert first.query["filter"][0].endswith(
        'resource.labels.service_name="shop-web" AND resource.labels.location="us-central1"'
    )
    assert first.query["interval.startTime"] == ["1970-01-12T13:46:40Z"]
    assert first.query["interval.endTime"] == ["1970-01-12T13:51:40Z"]
    assert first.query["aggregation.groupByFields"] == [
        "resource.labels.revision_name",
        "metric.labels.response_code_class",
    ]
    assert [call.query.get("pageToken") for call in wire.calls if "request_count" in call.query["filter"][0]] == [
        None,
        ["more"],
    ]


def test_nothing_was_asked_of_a_service(target: Any, monitoring: Any) -> None:
    monitoring([{}], [{}])
    assert target.traffic("web", 0.0, 60.0) == {}


def test_other_buckets(target: Any, monitoring: Any) -> None:
    explicit = {"explicitBuckets": {"bounds": [10, 100]}}
    monitoring([{}], [{"timeSeries": [series("a", latency(1, 1, 1, options=explicit), {"distributionValue": {}})]}])
    assert target.traffic("web", 0.0, 60.0) == {"a": Observed(latency={0.01: 1, 0.1: 1, math.inf: 1})}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"timeSeries": [{"points": None}]}, "a series without points"),
        ({"timeSeries": ["x"]}, "a series without points"),
        ({"timeSeries": [series("a", latency(1, options={}))]}, "buckets of an unknown kind"),
        ({"timeSeries": [series("a", latency(1, 1, 1, 1, 1, 1))]}, "more counts than buckets"),
        ({"nextPageToken": "for ever"}, "more than 20 pages"),
    ],
)
def test_evidence_that_cannot_be_read_is_none(target: Any, monitoring: Any, answer: Any, why: str) -> None:
    monitoring([{}], [answer])
    with pytest.raises(UpstreamError, match=why):
        target.traffic("web", 0.0, 60.0)


def test_a_missing_role_is_named(target: Any, monitoring: Any, api_error: Any) -> None:
    monitoring([api_error(403, "PERMISSION_DENIED", "Permission monitoring.timeSeries.list denied")], [{}])
    with pytest.raises(ForbiddenError, match=r"monitoring\.timeSeries\.list"):
        target.traffic("web", 0.0, 60.0)


def test_errors_in_the_log_are_counted(target: Any, wire: Any) -> None:
    entries = [
        {
            "logName": "projects/acme/logs/x",
            "insertId": str(n),
            "timestamp": "2026-01-01T00:00:00Z",
            "severity": "ERROR",
        }
        for n in range(3)
    ]
    wire.on(
        "POST", "logging", "/v2/entries:list", {"entries": entries[:2], "nextPageToken": "x"}, {"entries": entries[2:]}
    )
    assert target.error_lines("web", ("r-2", "r-1"), 0.0, 60.0) == 3
    sent = wire.calls[0].body["filter"]
    assert 'resource.labels.revision_name=("r-1" OR "r-2") AND severity>=ERROR' in sent
    assert 'resource.labels.location="us-central1"' in sent
    assert 'timestamp>="1970-01-01T00:00:00+00:00" AND timestamp<"1970-01-01T00:01:00+00:00"' in sent


@pytest.mark.parametrize(("revisions", "until"), [((), 60.0), (("r",), 0.0)])
def test_nothing_is_counted_where_nothing_can_be(target: Any, revisions: Any, until: float) -> None:
    assert target.error_lines("web", revisions, 0.0, until) == 0
