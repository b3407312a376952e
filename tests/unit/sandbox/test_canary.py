"""A canary in seconds: visitors come, a revision fails some of them, and the metrics tell which and how often."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import run_v2

from bot.sandbox.console import Console
from bot.sandbox.google.cloud import GoogleCloud
from bot.sandbox.images import Image
from bot.sandbox.runtime import InstantRuntime, Reply, failing, healthy, slower
from bot.sandbox.visitors import Visitors

REPOSITORY = "us-central1-docker.pkg.dev/acme/shop/web"
BAD = failing(slower(healthy, 0.2), 0.2)


def respond(image: Image, env: Mapping[str, str], method: str, path: str) -> tuple[int, bytes] | Reply:
    return (BAD if image.digest.endswith("2") else healthy)(image, env, method, path)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[GoogleCloud]:
    """A public service on an image that is good, with another image that is not."""
    made = GoogleCloud(tmp_path, InstantRuntime(respond), anonymous=True)
    made.start()
    for digit in "12":
        image = Image(
            digest=f"sha256:{digit * 64}", root=tmp_path, workdir="/app", env={}, entrypoint=("serve",), command=(),
            labels={}, port=8080, created=0.0,
        )  # fmt: skip
        made.images.put(REPOSITORY, image, [f"v{digit}"])
    client = run_v2.ServicesClient(
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        transport="rest",
        client_options={"api_endpoint": made.run.url},
    )
    template = run_v2.RevisionTemplate(revision="web-one", containers=[run_v2.Container(image=f"{REPOSITORY}:v1")])
    service = run_v2.Service(template=template, invoker_iam_disabled=True)
    operation = client.create_service(
        parent="projects/acme/locations/us-central1", service=service, service_id="web", timeout=10
    )
    assert client.wait_operation({"name": operation.operation.name, "timeout": {"seconds": 10}}).done
    yield made
    made.stop()


def counted(cloud: GoogleCloud) -> dict[tuple[str, str], int]:
    """Return the requests of the last minute by revision and class of code, in one point each."""
    now = datetime.now(UTC)
    query = {
        "filter": 'metric.type="run.googleapis.com/request_count" AND resource.labels.service_name="web"',
        "interval.startTime": datetime.fromtimestamp(now.timestamp() - 60, UTC).isoformat(),
        "interval.endTime": now.isoformat(),
        "aggregation.alignmentPeriod": "60s",
        "aggregation.perSeriesAligner": "ALIGN_DELTA",
        "aggregation.crossSeriesReducer": "REDUCE_SUM",
        "aggregation.groupByFields": ["resource.labels.revision_name", "metric.labels.response_code_class"],
    }
    url = f"{cloud.environ()['CLOUDSDK_API_ENDPOINT_OVERRIDES_MONITORING']}v3/projects/acme/timeSeries"
    answer = requests.get(url, params=query, timeout=5)
    assert answer.status_code == 200, answer.text
    return {
        (each["resource"]["labels"]["revision_name"], each["metric"]["labels"]["response_code_class"]): int(
            each["points"][0]["value"]["int64Value"]
        )
        for each in answer.json().get("timeSeries", [])
    }


def test_the_metrics_tell_what_the_visitors_saw(cloud: GoogleCloud) -> None:
    cloud.monitoring.period, cloud.monitoring.delay = 0.2, 0.1
    console = Console(cloud)
    made = console.deploy("web", image=f"{REPOSITORY}:v2", serve=False)["latestReadyRevision"].rsplit("/", 1)[-1]
    console.shift("web", {"web-one": 50, made: 50})
    with Visitors(console.get("web")["uri"], per_second=150) as visitors:
        assert visitors.wait_for(200)
    seen = Counter((visit.revision, f"{visit.status // 100}xx") for visit in visitors.seen)
    assert set(seen) == {("web-one", "2xx"), (made, "2xx"), (made, "5xx")}
    assert 0.05 < seen[made, "5xx"] / (seen[made, "2xx"] + seen[made, "5xx"]) < 0.4
    deadline = time.monotonic() + 10
    while (found := counted(cloud)) != seen:
        assert sum(found.values()) < seen.total(), (found, seen)  # not yet all of it, and never more
        assert time.monotonic() < deadline, (found, seen)
