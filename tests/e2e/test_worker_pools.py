"""A service and a worker pool as one release, against the sandbox's Google Cloud: real sockets, real processes."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bot.core.config import BuildConfig, Probe, Probes, Scale, ServiceConfig
from bot.core.plan import Applied, Restore, Rollout, Shift
from bot.core.serving import Artifact, Serving
from bot.core.spec import CloudRunSpec, ServiceSpec
from bot.core.target import Absent, Broken, Done, Known, Observation, ReleaseId, Running
from bot.errors import ConflictError
from bot.sandbox.google.cloud import GoogleCloud
from bot.sandbox.images import Image
from bot.sandbox.runtime import ProcessRuntime
from bot.sandbox.wire import Fault
from bot.targets.cloud_run import CloudRun, connect

REPOSITORY = "us-central1-docker.pkg.dev/acme/shop/shop"
SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{version}")
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
# Each turn leaves a line in a file, as work leaves something in a database.
WORK = """
import os, time
if "{version}" == "lost":
    raise KeyError("TASK_QUEUE")
while True:
    with open(os.environ["DONE"], "a") as done:
        done.write("{version}\\n")
    time.sleep(0.02)
"""
WEB = Rollout(id="rollout-web", service="web", timeout=20)
WORKER = Rollout(id="rollout-worker", service="worker", timeout=20)
SHIFT = Shift(id="shift", services=("web", "worker"), percent=100, timeout=20)


@dataclass(kw_only=True)
class World:
    cloud: GoogleCloud
    root: Path
    spec: CloudRunSpec
    digests: dict[str, str] = field(default_factory=dict)

    def connect(self, **config: Any) -> CloudRun:
        """Return a target; arguments change the worker pool's configuration."""

        def no_source(sha: str) -> Any:
            raise AssertionError(f"nobody should read the source of {sha}")

        web, worker = self.spec.services
        worker = replace(worker, config=worker.config.model_copy(update=config))
        spec = replace(self.spec, services=(web, worker))
        return connect(spec, source=no_source, environ=self.cloud.environ(), oidc=None)

    def known(self, number: int, version: str, before: Serving) -> Known:
        sha = f"{number:040x}"
        release = ReleaseId(deployment_id=number, environment="staging", sha=sha, actor="ada", tag="pr-7")
        return Known(release=release, before=before, artifact=self.image(version))

    def image(self, version: str) -> Artifact:
        number = len(self.digests) + 1
        app = self.root / f"image-{number}" / "app"
        app.mkdir(parents=True)
        (app / "server.py").write_text(SERVER.format(version=version))
        (app / "work.py").write_text(WORK.format(version=version))
        digest = self.digests.setdefault(version, f"sha256:{number:064d}")
        image = Image(
            digest=digest,
            root=app.parent,
            workdir="/app",
            env={},
            entrypoint=("python3", "server.py"),
            command=(),
            labels={},
            port=8080,
            created=0.0,
        )
        self.cloud.images.put(REPOSITORY, image, [version])
        return Artifact(digest=digest, reference=f"{REPOSITORY}@{digest}")

    # -- looking --------------------------------------------------------------------------------------------
    def at_work(self) -> list[str]:
        """Return the revisions of the pool that have a live process."""
        pool = self.cloud.run.worker_pools.all["shop-worker"]
        return [one.name for one in pool.revisions.values() if one.instance is not None and one.instance.alive()]

    def working(self) -> set[str]:
        """Return the versions whose work is done from now on, for a while."""
        done = self.root / "done"
        done.write_text("")
        deadline = time.monotonic() + 5
        while not done.read_text() and time.monotonic() < deadline:
            threading.Event().wait(0.05)
        threading.Event().wait(0.2)
        return set(done.read_text().split())

    # -- somebody else --------------------------------------------------------------------------------------
    def by_hand(self, body: dict[str, Any], mask: str) -> None:
        """Change the pool as somebody else does, and wait until it has come about."""
        pools = self.cloud.run.worker_pools
        url = f"{self.cloud.services['run'].url}/v2/projects/acme/locations/us-central1/workerPools/shop-worker"
        request = urllib.request.Request(f"{url}?updateMask={mask}", json.dumps(body).encode(), method="PATCH")
        with urllib.request.urlopen(request, timeout=10):
            pass
        deadline = time.monotonic() + 10
        while pools.all["shop-worker"].shown()["reconciling"] and time.monotonic() < deadline:
            threading.Event().wait(0.05)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    cloud = GoogleCloud(tmp_path / "cloud", ProcessRuntime(grace=0.1), anonymous=True)
    cloud.run.launcher.worker_patience = 1.0
    cloud.start()
    web = ServiceConfig(public=True, port=8080, probe=Probes(startup=Probe(path="/", period=1)))
    worker = ServiceConfig(kind="worker_pool", command=("python3", "work.py"), env={"DONE": str(tmp_path / "done")})
    spec = CloudRunSpec(
        app="shop",
        environment="staging",
        repository="octo/shop",
        project="acme",
        region="us-central1",
        image=REPOSITORY,
        source_bucket="acme_cloudbuild",
        build=BuildConfig(),
        services=tuple(
            ServiceSpec(key=key, name=f"shop-{key}", region="us-central1", config=config)
            for key, config in (("web", web), ("worker", worker))
        ),
    )
    yield World(cloud=cloud, root=tmp_path, spec=spec)
    cloud.stop()
    assert not [f"{name}: {call}" for name, service in cloud.services.items() for call in service.unknown]


def reach(target: CloudRun, step: Applied, known: Known) -> Observation:
    """Bring a step to its end as the engine does: observe, apply if absent, poll."""
    pause = threading.Event()
    for _ in range(400):
        found = target.observe(step, known)
        match found:
            case Done() | Broken():
                return found
            case Absent():
                target.apply(step, known)
            case Running():
                pause.wait(0.05)
    pytest.fail(f"{step} never ended: {found}")


def release(target: CloudRun, known: Known) -> Known:
    for step in (WEB, WORKER, SHIFT):
        found = reach(target, step, known)
        assert isinstance(found, Done), (step, found)
    return known


def back(to: Serving) -> Restore:
    return Restore(id="restore", to=to, timeout=20)


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def test_a_service_and_a_worker_pool_are_released_together(world: World) -> None:
    target = world.connect()
    before = target.serving()
    assert not before.exists
    release(target, world.known(1, "one", before))
    assert world.working() == {"one"}

    before = target.serving()
    known = world.known(2, "two", before)
    for step in (WEB, WORKER):
        assert isinstance(reach(target, step, known), Done)
    assert world.at_work() == ["shop-worker-0000000-1"]  # the candidate was seen to start, and has no share
    assert world.working() == {"one"}
    assert [state.digest for state in target.serving().services] == [world.digests["one"]] * 2

    assert isinstance(reach(target, SHIFT, known), Done)
    assert world.at_work() == ["shop-worker-0000000-2"]
    assert world.working() == {"two"}
    assert fetch(target.endpoint("web", "live", known)) == "two"
    serving = target.serving()
    assert [state.digest for state in serving.services] == [world.digests["two"]] * 2
    worker = serving.service("worker")
    assert (worker.url, worker.settings) == ("", {"instances": 1, "stopped": 0})
    assert worker.labels[worker.revision]["slipway-release"] == "2"


def test_a_pool_that_fails_brings_both_back(world: World) -> None:
    target = world.connect()
    release(target, world.known(1, "one", target.serving()))
    before = target.serving()
    known = world.known(2, "lost", before)
    assert isinstance(reach(target, WEB, known), Done)
    found = reach(target, WORKER, known)
    assert isinstance(found, Broken)
    assert "HEALTH_CHECK_CONTAINER_ERROR" in found.detail
    assert target.diagnose(WORKER, known).error == "KeyError: 'TASK_QUEUE'"
    assert isinstance(reach(target, back(before), known), Done)
    assert target.serving() == before
    assert target.endpoint("web", "candidate", known) == ""
    assert fetch(target.endpoint("web", "live", known)) == "one"
    assert world.at_work() == ["shop-worker-0000000-1"]
    assert world.working() == {"one"}
    release(target, world.known(3, "three", target.serving()))
    assert world.working() == {"three"}


def test_a_rollback_brings_split_and_number_back(world: World) -> None:
    target = world.connect(scale=Scale(min=2, max=4))
    release(target, world.known(1, "one", target.serving()))
    world.by_hand({"scaling": {"manualInstanceCount": 3}}, "scaling")
    recorded = target.serving()
    assert recorded.service("worker").settings["instances"] == 3
    target = world.connect(scale=Scale(min=7))
    release(target, world.known(2, "two", recorded))
    assert target.serving().service("worker").settings["instances"] == 7
    assert world.working() == {"two"}

    started = replace(world.known(3, "one", target.serving()), goal=recorded)
    assert isinstance(reach(target, back(recorded), started), Done)
    now = target.serving()
    assert now.service("worker") == recorded.service("worker")
    assert world.working() == {"one"}


def test_somebody_elses_split_is_left_alone(world: World) -> None:
    target = world.connect()
    release(target, world.known(1, "one", target.serving()))
    before = target.serving()
    known = world.known(2, "two", before)
    for step in (WEB, WORKER):
        assert isinstance(reach(target, step, known), Done)
    latest = {"type": "INSTANCE_SPLIT_ALLOCATION_TYPE_LATEST", "percent": 100}
    container = {"image": f"{REPOSITORY}:one", "command": ["sleep", "60"]}
    other = {"revision": "shop-worker-theirs", "containers": [container]}
    world.by_hand({"template": other, "instanceSplits": [latest]}, "template,instanceSplits")
    with pytest.raises(
        ConflictError, match=r"changed the instance split of worker .* 100 % on shop-worker-theirs, not"
    ):
        target.apply(SHIFT, known)
    found = reach(target, back(before), known)
    assert isinstance(found, Broken)
    assert "100 % on shop-worker-theirs. That is not this release's, so it was left as it is" in found.detail
    assert target.serving().service("worker").revision == "shop-worker-theirs"
    assert target.serving().service("web").digest == world.digests["one"]  # what can be brought back is


def test_a_first_release_that_fails_leaves_the_pool_without_instances_until_one_succeeds(world: World) -> None:
    target = world.connect()
    before = target.serving()
    known = world.known(1, "one", before)
    release(target, known)
    world.by_hand({"scaling": {"manualInstanceCount": 2}}, "scaling")
    found = reach(target, back(before), known)
    assert isinstance(found, Done)
    assert "worker did not exist before: it is left in place, without instances" in found.detail
    assert world.at_work() == []
    release(target, world.known(2, "two", target.serving()))
    assert world.working() == {"two"}
    assert target.serving().service("worker").settings == {"instances": 2, "stopped": 0}


@pytest.mark.parametrize("route", ["POST .*workerPools$", "PATCH .*workerPools"])
def test_a_lost_reply_is_found_by_observing(world: World, route: str) -> None:
    target = world.connect()
    if route.startswith("PATCH"):
        release(target, world.known(1, "one", target.serving()))
    known = world.known(2, "two", target.serving())
    world.cloud.services["run"].faults.append(Fault(route=route, kind="lose_reply"))
    with pytest.raises(Exception, match="could not be reached"):
        target.apply(WORKER, known)
    assert isinstance(reach(world.connect(), WORKER, known), Done)
    assert len(world.cloud.run.worker_pools.all["shop-worker"].revisions) == (2 if route.startswith("PATCH") else 1)
