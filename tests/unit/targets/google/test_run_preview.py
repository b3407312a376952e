"""What a dry run says of the services and jobs as they are and as they would be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.core.changes import Change
from bot.core.config import JobConfig, Probe, Probes, Scale, SecretRef, ServiceConfig, Vpc

LOCATION = "/v2/projects/acme/locations/us-central1"
WEB, MIGRATE = f"{LOCATION}/services/shop-web", f"{LOCATION}/jobs/shop-migrate"
BUILDS = "/v1/projects/acme/locations/us-central1/builds"
IMAGE = "us-central1-docker.pkg.dev/acme/shop/shop"
OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "a" * 64


def live(**container: Any) -> Any:
    return {
        "name": WEB.removeprefix("/v2/"),
        "template": {"containers": [{"image": f"{IMAGE}@{OLD}", **container}]},
        "trafficStatuses": [
            {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": "shop-web-old", "percent": 100}
        ],
        "ingress": "INGRESS_TRAFFIC_ALL",
        "scaling": {"maxInstanceCount": 2},
    }


@pytest.fixture
def cloud(wire: Any, api_error: Any) -> Any:
    """Answers for the service, the job and the builds; None is a 404."""

    def cloud(service: Any, job: Any = None, build: Any = None) -> None:
        missing = api_error(404, "NOT_FOUND")
        wire.on("GET", "run", WEB, service or missing)
        wire.on("GET", "run", MIGRATE, job or missing)
        wire.on("GET", "run", f"{WEB}:getIamPolicy", {})
        wire.on("GET", "cloudbuild", BUILDS, {"builds": [build] if build else []})
        wire.on("GET", "artifactregistry", ".*", {}, judged=False)
        wire.on(
            "GET",
            "secretmanager",
            ".*/versions/latest",
            {"name": "projects/1/secrets/k/versions/5", "state": "ENABLED"},
        )

    return cloud


@pytest.fixture
def preview(make_target: Any, make_spec: Any, known: Any) -> Any:
    def preview(config: Any, jobs: Any = (), job: Any = None) -> Any:
        spec = make_spec(services={"web": config}, jobs={"migrate": job or JobConfig()})
        return make_target(spec).preview(jobs, replace(known, artifact=None))

    return preview


def told(found: Any, where: str = "web") -> dict[str, tuple[str, str]]:
    return {change.what: (change.before, change.after) for change in found.changes if change.where == where}


def test_only_what_is_declared_changes(cloud: Any, preview: Any, wire: Any) -> None:
    cloud(live())
    found = preview(ServiceConfig())
    assert found.artifact is None
    assert told(found) == {
        "image": (OLD, "will be built"),
        "traffic": ("100 % on shop-web-old", "100 % on the new revision"),
    }
    assert {call.method for call in wire.calls} == {"GET"}


def test_an_image_that_exists_is_named_by_its_digest(cloud: Any, preview: Any) -> None:
    images = [{"name": f"{IMAGE}:x", "digest": NEW}]
    cloud(live(), build={"name": f"{BUILDS}/1", "status": "SUCCESS", "results": {"images": images}})
    found = preview(ServiceConfig())
    assert found.artifact.digest == NEW
    assert told(found)["image"] == (OLD, NEW)


def test_variables_are_told_by_name_and_secrets_by_version(cloud: Any, preview: Any) -> None:
    env = [
        {"name": "SAME", "value": "1"},
        {"name": "CHANGES", "value": "hush-old"},
        {"name": "KEY", "valueSource": {"secretKeyRef": {"secret": "key", "version": "4"}}},
    ]
    cloud(live(env=env))
    config = ServiceConfig(
        env={"SAME": "1", "CHANGES": "hush-new", "ADDED": "hush"},
        secrets={"KEY": SecretRef(name="key", version="pin"), "/etc/x/y": SecretRef(name="far", version="2")},
    )
    found = preview(config)
    assert told(found) == {
        "image": (OLD, "will be built"),
        "traffic": ("100 % on shop-web-old", "100 % on the new revision"),
        "variable CHANGES": ("set", "a new value"),
        "variable ADDED": ("", "set"),
        "secret key in KEY": ("version 4", "version 5"),
        "secret far in y": ("", "version 2"),
    }
    assert found.pins == {"key": "5"}
    assert "hush" not in str(found)


def test_everything_else_that_a_service_declares(cloud: Any, preview: Any) -> None:
    cloud(live(resources={"limits": {"memory": "512Mi"}}, ports=[{"containerPort": 80}]))
    config = ServiceConfig(
        memory="1Gi",
        cpu="2",
        port=8080,
        concurrency=8,
        timeout=60.0,
        command=("serve", "--fast"),
        args=("now",),
        service_account="run@acme",
        cloudsql=("db",),
        vpc=Vpc(network="n", subnetwork="s"),
        execution_env="gen2",
        probe=Probes(startup=Probe(path="/up")),
        ingress="internal",
        scale=Scale(max=4),
        public=True,
    )
    assert told(preview(config)) == {
        "image": (OLD, "will be built"),
        "command": ("", "serve --fast"),
        "args": ("", "now"),
        "port": ("80", "8080"),
        "memory": ("512Mi", "1Gi"),
        "cpu": ("", "2"),
        "startup probe": ("", "/up"),
        "timeout": ("", "60 s"),
        "concurrency": ("", "8"),
        "service account": ("", "run@acme"),
        "vpc": ("", "n/s"),
        "cloud sql": ("", "acme:us-central1:db"),
        "execution environment": ("", "gen2"),
        "ingress": ("all", "internal"),
        "max": ("2", "4"),
        "public": ("false", "true"),
        "traffic": ("100 % on shop-web-old", "100 % on the new revision"),
    }


def test_a_service_that_does_not_exist_yet(cloud: Any, preview: Any) -> None:
    cloud(None)
    assert told(preview(ServiceConfig(port=80, env={"A": "hush"}))) == {
        "service": ("", "shop-web is made"),
        "image": ("", "will be built"),
        "port": ("", "80"),
        "variable A": ("", "set"),
    }


def test_jobs_of_the_release(cloud: Any, preview: Any) -> None:
    task = {"containers": [{"image": "old:tag"}], "maxRetries": 3, "timeout": "300s"}
    cloud(live(), {"name": MIGRATE.removeprefix("/v2/"), "template": {"template": task}})
    job = JobConfig(run=("migrate",), timeout=120.0)
    assert told(preview(ServiceConfig(), ["migrate"], job), "job migrate") == {
        "image": ("old:tag", "will be built"),
        "command": ("", "/bin/bash -c"),
        "args": ("", "set -o pipefail && python manage.py migrate"),
        "timeout": ("300 s", "120 s"),
        "retries": ("3", "0"),
    }
    assert not told(preview(ServiceConfig()), "job migrate")


def test_a_job_that_does_not_exist_yet(cloud: Any, preview: Any) -> None:
    cloud(live())
    found = preview(ServiceConfig(), ["migrate"], JobConfig(command=("x",)))
    assert found.changes[-5] == Change(where="job migrate", what="job", after="shop-migrate is made")
