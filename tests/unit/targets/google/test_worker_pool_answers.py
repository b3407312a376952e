"""What is seen of a worker pool: who works, why one failed, and what a release would change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.core.config import Scale, ServiceConfig
from bot.core.plan import Rollout, Shift
from bot.core.serving import ServiceState, Serving, TrafficShare
from bot.core.target import Exposure
from bot.errors import NotFoundError

POOL = "/v2/projects/acme/locations/us-central1/workerPools/shop-worker"
NAME = POOL.removeprefix("/v2/")
OLD, NEW = "shop-worker-old", "shop-worker-0123456-zz"
DIGEST = "sha256:" + "a" * 64
ROLLOUT = Rollout(id="rollout-worker", service="worker", timeout=60)
SHIFT = Shift(id="shift", services=("worker",), percent=100, timeout=60)
LINE = {"logName": "projects/acme/logs/x", "resource": {"type": "cloud_run_worker_pool", "labels": {}}}


def pool(**shares: Any) -> Any:
    kind = "INSTANCE_SPLIT_ALLOCATION_TYPE_REVISION"
    statuses = [{"type": kind, "revision": revision, "percent": percent} for revision, percent in shares.items()]
    return {
        "name": NAME,
        "template": {"containers": [{"image": "old"}]},
        "instanceSplitStatuses": statuses,
        "scaling": {"manualInstanceCount": 3},
    }


def revision(name: Any, image: Any, labels: Any, **over: Any) -> Any:
    return {"name": f"{NAME}/revisions/{name}", "labels": labels, "containers": [{"image": image, **over}]}


@pytest.fixture
def make_pool_target(make_target: Any, make_spec: Any) -> Any:
    def make(**config: Any) -> Any:
        return make_target(make_spec(services={"worker": ServiceConfig(kind="worker_pool", **config)}))

    return make


@pytest.fixture
def target(make_pool_target: Any) -> Any:
    return make_pool_target()


@pytest.fixture
def worker(wire: Any, api_error: Any) -> Any:
    """Answers for the pool alone; None is a 404. Nobody asks who may call it: there is no such route."""

    def worker(found: Any) -> None:
        wire.on("GET", "run", POOL, api_error(404, "NOT_FOUND") if found is None else found)

    return worker


# What serves, and how it is reached


def test_who_works_is_asked(target: Any, worker: Any, wire: Any) -> None:
    worker(pool(**{NEW: 60, OLD: 40}))
    env = [{"name": "KEY", "valueSource": {"secretKeyRef": {"secret": "key", "version": "7"}}}]
    new, old = revision(NEW, f"r@{DIGEST}", {"slipway-release": "zz"}, env=env), revision(OLD, "repo:tag", {})
    wire.on("GET", "run", f"{POOL}/revisions/{NEW}", new)
    wire.on("GET", "run", f"{POOL}/revisions/{OLD}", {**old, "containerStatuses": [{"imageDigest": "repo@sha256:old"}]})
    assert target.serving() == Serving(
        services=(
            ServiceState(
                service="worker",
                traffic=(TrafficShare(revision=NEW, percent=60), TrafficShare(revision=OLD, percent=40)),
                digests={NEW: DIGEST, OLD: "sha256:old"},
                labels={NEW: {"slipway-release": "zz"}, OLD: {}},
                settings={"instances": 3, "stopped": 0},
                secrets={"key": "7"},
            ),
        )
    )


def test_nobody_reaches_a_pool(target: Any, known: Any, worker: Any) -> None:
    worker(pool(**{NEW: 100}))
    assert [target.endpoint("worker", phase, known) for phase in ("candidate", "live")] == ["", ""]
    assert target.authorization("worker", "https://elsewhere") == {}
    assert target.exposure("worker") == Exposure(public=False, ingress="none")


def test_a_pool_that_is_not_there_is_not_exposed(target: Any, worker: Any) -> None:
    worker(None)
    with pytest.raises(NotFoundError, match="The worker pool shop-worker does not exist"):
        target.exposure("worker")


def test_why_a_revision_failed_is_in_its_own_log(target: Any, known: Any, wire: Any) -> None:
    said = {**LINE, "insertId": "1", "timestamp": "2026-01-01T00:00:00Z", "textPayload": "KeyError: 'TASK_QUEUE'"}
    wire.on("POST", "logging", "/v2/entries:list", {"entries": [said]})
    assert target.diagnose(ROLLOUT, known).error == "KeyError: 'TASK_QUEUE'"
    assert (
        wire.calls[0]
        .body["filter"]
        .startswith(
            'resource.type="cloud_run_worker_pool" AND resource.labels.worker_pool_name="shop-worker"'
            f' AND resource.labels.location="us-central1" AND resource.labels.revision_name=("{NEW}")'
        )
    )


def test_errors_of_all_kinds_are_looked_for_together(make_target: Any, make_spec: Any, known: Any, wire: Any) -> None:
    wire.on("POST", "logging", "/v2/entries:list", {})
    both = {"web": ServiceConfig(), "worker": ServiceConfig(kind="worker_pool")}
    make_target(make_spec(services=both)).diagnose(SHIFT, known)
    assert (
        wire.calls[0]
        .body["filter"]
        .startswith(
            'resource.type=("cloud_run_revision" OR "cloud_run_worker_pool")'
            f' AND resource.labels.revision_name=("shop-web-0123456-zz" OR "{NEW}") AND severity>=ERROR'
        )
    )


@pytest.mark.parametrize(("revisions", "expected"), [((OLD, NEW), 2), ((), 0)])
def test_errors_of_a_pool_are_counted(target: Any, wire: Any, revisions: Any, expected: Any) -> None:
    entries = [{**LINE, "insertId": str(n), "severity": "ERROR", "textPayload": "x"} for n in range(2)]
    wire.on("POST", "logging", "/v2/entries:list", {"entries": entries})
    assert target.error_lines("worker", revisions, 0.0, 60.0) == expected
    for call in wire.calls:
        assert call.body["filter"].startswith(
            'resource.type="cloud_run_worker_pool" AND resource.labels.worker_pool_name="shop-worker"'
            f' AND resource.labels.location="us-central1" AND resource.labels.revision_name=("{NEW}" OR "{OLD}")'
            ' AND severity>=ERROR AND timestamp>="1970-01-01T00:00:00+00:00"'
        )


# What a release would change


@pytest.fixture
def told(wire: Any, known: Any, worker: Any) -> Any:
    """Return what a dry run says of the pool."""

    def told(target: Any, found: Any) -> Any:
        worker(found)
        wire.on("GET", "cloudbuild", "/v1/projects/acme/locations/us-central1/builds", {})
        wire.on("GET", "artifactregistry", ".*", {}, judged=False)
        changes = target.preview((), replace(known, artifact=None)).changes
        assert {change.where for change in changes} == {"worker"}
        assert {call.method for call in wire.calls} == {"GET"}
        return {change.what: (change.before, change.after) for change in changes}

    return told


def test_a_dry_run_shows_what_would_change(make_pool_target: Any, told: Any) -> None:
    target = make_pool_target(scale=Scale(max=2), memory="1Gi", service_account="w@acme", env={"A": "b"})
    found = told(target, pool(**{OLD: 100}))
    assert found == {
        "image": ("old", "will be built"),
        "memory": ("", "1Gi"),
        "service account": ("", "w@acme"),
        "variable A": ("", "set"),
        "instances": ("3", "2"),
        "instance split": (f"100 % on {OLD}", "100 % on the new revision"),
    }


def test_a_dry_run_shows_a_pool_that_would_be_made(make_pool_target: Any, told: Any) -> None:
    assert told(make_pool_target(command=("work",)), None) == {
        "worker pool": ("", "shop-worker is made"),
        "image": ("", "will be built"),
        "command": ("", "work"),
    }
