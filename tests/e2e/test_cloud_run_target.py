"""The whole Cloud Run target against the sandbox's Google Cloud: real sockets, real processes, a real token exchange."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.core.config import Auth, BuildConfig, JobConfig, Probe, Probes, Scale, ServiceConfig
from bot.core.plan import Applied, Restore, Rollout, RunJob, Shift
from bot.core.serving import Artifact, Serving
from bot.core.spec import CloudRunSpec, JobSpec, ServiceSpec
from bot.core.target import Absent, Broken, Done, Known, Observation, ReleaseId, Running
from bot.sandbox.google.cloud import PROVIDER, GoogleCloud
from bot.sandbox.images import Image
from bot.sandbox.runtime import ProcessRuntime
from bot.sandbox.wire import Fault
from bot.targets.cloud_run import CloudRun, connect

DEPLOYER = "deployer@acme.iam.gserviceaccount.com"
REPOSITORY = "us-central1-docker.pkg.dev/acme/shop/shop"
ISSUER = "https://token.actions.example"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
JWKS = {"keys": [{**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key())), "kid": "one"}]}
SERVER = """
import http.server, json, os, sys
VERSION = "{version}"
if VERSION == "crash":
    sys.exit("RuntimeError: no database")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({{"version": VERSION, "color": os.environ.get("COLOR", "")}}).encode())
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
TASK = """
import sys
if "{version}" == "bad-migration":
    sys.exit("django.db.utils.ProgrammingError: column is missing")
print("migrated", *sys.argv[1:])
"""
MIGRATE = RunJob(id="job:migrate", job="migrate", timeout=20)
WEB = Rollout(id="rollout:web", service="web", timeout=20)
WORKER = Rollout(id="rollout:worker", service="worker", timeout=20)
SHIFT = Shift(id="shift:100", services=("web", "worker"), percent=100, timeout=20)


@dataclass(kw_only=True)
class World:
    cloud: GoogleCloud
    root: Path
    spec: CloudRunSpec
    digests: dict[str, str] = field(default_factory=dict)

    def connect(self) -> CloudRun:
        def no_source(sha: str) -> Any:
            raise AssertionError(f"nobody should read the source of {sha}")

        return connect(self.spec, source=no_source, environ=self.cloud.environ(), oidc=self.oidc)

    def oidc(self, audience: str) -> str:
        now = int(self.cloud.authority.clock())
        claims = {
            "iss": ISSUER,
            "aud": audience,
            "sub": "repo:octo/shop",
            "iat": now,
            "exp": now + 300,
            "repository_id": "7",
        }
        return jwt.encode(claims, KEY, algorithm="RS256", headers={"kid": "one"})

    def image(self, version: str) -> Artifact:
        number = len(self.digests) + 1
        root = self.root / f"image-{number}"
        (root / "app").mkdir(parents=True)
        (root / "app" / "server.py").write_text(SERVER.format(version=version))
        (root / "app" / "task.py").write_text(TASK.format(version=version))
        digest = self.digests.setdefault(version, f"sha256:{number:064d}")
        image = Image(
            digest=digest,
            root=root,
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

    def known(self, number: int, version: str, before: Serving) -> Known:
        sha = f"{number:040x}"
        release = ReleaseId(deployment_id=number, environment="staging", sha=sha, actor="ada", tag="pr-7")
        return Known(release=release, before=before, artifact=self.image(version))

    def let_in(self, target: CloudRun, *keys: str) -> None:
        """Let the deployer call the services, as an administrator does once."""
        for key in keys:
            target._services.google.services.set_iam_policy(
                request={
                    "resource": target._services.name(key),
                    "policy": {"bindings": [{"role": "roles/run.invoker", "members": [f"serviceAccount:{DEPLOYER}"]}]},
                },
                timeout=5,
            )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    cloud = GoogleCloud(tmp_path / "cloud", ProcessRuntime(grace=0.1))
    cloud.start()
    cloud.trust(ISSUER, JWKS, repository_id="7", service_account=DEPLOYER)
    web = ServiceConfig(
        public=True,
        port=8080,
        env={"COLOR": "blue"},
        scale=Scale(max=2),
        probe=Probes(startup=Probe(path="/", period=1)),
    )
    services = {"web": web, "worker": ServiceConfig(public=False)}
    job = JobConfig(run=("migrate --noinput",), run_with="python3 task.py")
    spec = CloudRunSpec(
        app="shop",
        environment="staging",
        repository="octo/shop",
        project="acme",
        region="us-central1",
        image=REPOSITORY,
        source_bucket="acme_cloudbuild",
        build=BuildConfig(),
        auth=Auth(workload_identity_provider=PROVIDER, service_account=DEPLOYER),
        services=tuple(
            ServiceSpec(key=key, name=f"shop-{key}", region="us-central1", config=config)
            for key, config in services.items()
        ),
        jobs=(JobSpec(key="migrate", name="shop-migrate", config=job),),
    )
    yield World(cloud=cloud, root=tmp_path, spec=spec)
    cloud.stop()
    assert not [f"{name}: {call}" for name, service in cloud.services.items() for call in service.unknown]


def reach(target: CloudRun, step: Applied, known: Known) -> tuple[Observation, Known]:
    """Bring a step to its end as the engine does: observe, apply if absent, poll."""
    pause = threading.Event()
    for _ in range(400):
        found = target.observe(step, known)
        match found:
            case Done() | Broken():
                return found, known
            case Absent():
                started = target.apply(step, known)
                if started.handle:
                    known = known.with_handle(step.id, started.handle)
            case Running():
                pause.wait(0.05)
    pytest.fail(f"{step} never ended: {found}")


def release(target: CloudRun, known: Known) -> Known:
    for step in (MIGRATE, WEB, WORKER, SHIFT):
        found, known = reach(target, step, known)
        assert isinstance(found, Done), (step, found)
    return known


def fetch(url: str, headers: Any = None) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers or {})), timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None


def test_a_first_release_is_private_until_its_traffic_shifts(world: World) -> None:
    target = world.connect()
    before = target.serving()
    assert not before.exists
    known = world.known(1, "one", before)
    for step in (MIGRATE, WEB, WORKER):
        found, known = reach(target, step, known)
        assert isinstance(found, Done), found
    candidate = target.endpoint("web", "candidate", known)
    assert fetch(candidate)[0] == 403
    world.let_in(target, "web", "worker")
    headers = target.authorization("web", candidate)
    assert fetch(candidate, headers) == (200, {"version": "one", "color": "blue"})

    found, known = reach(target, SHIFT, known)
    assert isinstance(found, Done)
    assert fetch(target.endpoint("web", "live", known)) == (200, {"version": "one", "color": "blue"})
    live = target.endpoint("worker", "live", known)
    assert fetch(live)[0] == 403
    assert fetch(live, target.authorization("worker", live))[1]["version"] == "one"
    assert (target.exposure("web").public, target.exposure("worker").public) == (True, False)
    serving = target.serving()
    assert [state.digest for state in serving.services] == [world.digests["one"]] * 2
    assert serving.service("web").labels[serving.service("web").revision]["slipway-release"] == "1"
    assert serving.service("web").settings["max"] == 2


def test_a_second_release_waits_beside_the_first_and_can_be_taken_back(world: World) -> None:
    target = world.connect()
    release(target, world.known(1, "one", target.serving()))
    before = target.serving()
    known = world.known(2, "two", before)
    for step in (MIGRATE, WEB, WORKER):
        found, known = reach(target, step, known)
        assert isinstance(found, Done), found
    assert fetch(target.endpoint("web", "candidate", known))[1]["version"] == "two"
    assert fetch(target.endpoint("web", "live", known))[1]["version"] == "one"

    tenth = replace(SHIFT, id="shift:10", percent=10)
    found, known = reach(target, tenth, known)
    assert isinstance(found, Done)
    assert sorted(share.percent for share in target.serving().service("web").traffic) == [10, 90]
    found, known = reach(target, replace(SHIFT, since=dict.fromkeys(SHIFT.services, 10)), known)
    assert isinstance(found, Done)
    assert fetch(target.endpoint("web", "live", known))[1]["version"] == "two"

    back = Restore(id="restore", to=before, timeout=20)
    found, known = reach(target, back, known)
    assert isinstance(found, Done)
    assert [s.digest for s in target.serving().services] == [world.digests["one"]] * 2
    assert target.serving().service("web").traffic == before.service("web").traffic
    assert fetch(target.endpoint("web", "live", known))[1]["version"] == "one"


def test_a_revision_that_crashes_on_boot_says_why_and_never_serves(world: World) -> None:
    target = world.connect()
    release(target, world.known(1, "one", target.serving()))
    before = target.serving()
    known = world.known(2, "crash", before)
    found, known = reach(target, WEB, known)
    assert isinstance(found, Broken)
    assert "HEALTH_CHECK_CONTAINER_ERROR" in found.detail
    diagnosis = target.diagnose(WEB, known)
    assert diagnosis.error == "RuntimeError: no database"
    found, known = reach(target, Restore(id="restore", to=before, timeout=20), known)
    assert isinstance(found, Done)
    assert target.endpoint("web", "candidate", known) == ""
    assert fetch(target.endpoint("web", "live", known))[1]["version"] == "one"
    release(target, world.known(3, "three", target.serving()))
    assert fetch(target.endpoint("web", "live", known))[1]["version"] == "three"


def test_a_migration_that_fails_says_why_and_runs_once(world: World) -> None:
    target = world.connect()
    known = world.known(1, "bad-migration", target.serving())
    found, known = reach(target, MIGRATE, known)
    assert isinstance(found, Broken)
    assert "NON_ZERO_EXIT_CODE" in found.detail or "exit code 1" in found.detail
    assert target.diagnose(MIGRATE, known).error == "django.db.utils.ProgrammingError: column is missing"
    again = world.connect().observe(MIGRATE, replace(known, handles={}))
    assert again == found
    calls = [call for call in world.cloud.services["run"].calls if call.path.endswith(":run")]
    assert len(calls) == 1


def test_a_first_release_that_fails_leaves_nothing_open(world: World) -> None:
    target = world.connect()
    before = target.serving()
    known = release(target, world.known(1, "one", before))
    assert target.exposure("web").public
    found, known = reach(target, Restore(id="restore", to=before, timeout=20), known)
    assert isinstance(found, Done)
    if before.services:
        assert "left in place, and private" in found.detail
    assert not target.exposure("web").public
    assert fetch(target.endpoint("web", "live", known))[0] == 403


@pytest.mark.parametrize(
    ("route", "step"),
    [
        (r"POST .*jobs$", MIGRATE),
        (r"POST .*:run", MIGRATE),
        (r"POST .*services$", WEB),
        (r"PATCH .*services", WEB),
    ],
)
def test_a_lost_reply_is_found_by_observing(world: World, route: str, step: Applied) -> None:
    target = world.connect()
    first = world.known(1, "one", target.serving())
    if route.startswith("PATCH"):
        release(target, first)
    known = world.known(2, "two", target.serving())
    world.cloud.services["run"].faults.append(Fault(route=route, kind="lose_reply"))
    with pytest.raises(Exception, match="could not be reached"):
        target.apply(step, known)
    found, _ = reach(world.connect(), step, known)
    assert isinstance(found, Done)
    if step is MIGRATE:
        assert len([call for call in world.cloud.services["run"].calls if call.path.endswith(":run")]) == 1


def test_other_peoples_tags_survive_a_release_and_its_undoing(world: World) -> None:
    target = world.connect()
    known = release(target, world.known(1, "one", target.serving()))
    service = target._services.get("web")
    assert service is not None
    tagged = [*service.traffic, {"type_": 2, "revision": target.serving().service("web").revision, "tag": "qa-1"}]

    def prepare(now: Any, update: Any) -> list[str]:
        update.traffic = tagged
        return ["traffic"]

    target._services.update("web", service, prepare)
    before = target.serving()
    known = release(target, world.known(2, "two", before))
    tags = {share.tag for share in target.serving().service("web").traffic if share.tag}
    assert tags == {"qa-1", "pr-7"}
    reach(target, Restore(id="restore", to=before, timeout=20), known)
    shares = target.serving().service("web").traffic
    assert {share.tag for share in shares if share.tag} == {"qa-1", "pr-7"}
    assert len({share.revision for share in shares}) == 1
