from __future__ import annotations

import json
from typing import Any

import pytest

from bot.core.config import Auth, BuildConfig, JobConfig, SecretRef, ServiceConfig

SERVICE = "/v2/projects/acme/locations/us-central1/services/shop-web"
POOL = "/v2/projects/acme/locations/us-central1/workerPools/shop-shipper"
JOB = "/v2/projects/acme/locations/us-central1/jobs/shop-migrate"
REGISTRY = "/v1/projects/acme/locations/us-central1/repositories/shop"
BUILDS = "/v1/projects/acme/locations/us-central1/builds"
OBJECTS = "/storage/v1/b/acme_cloudbuild/o"
ENTRIES = "/v2/entries:list"
SECRET = "/v1/projects/acme/secrets/key/versions/latest"


def granted(call: Any) -> Any:
    return {"permissions": call.body["permissions"]}


@pytest.fixture
def healthy(wire: Any) -> dict[tuple[str, str, str], Any]:
    """Routes that a test may change before it asks."""
    return {
        ("GET", "run", SERVICE): {"name": SERVICE[4:]},
        ("POST", "run", f"{SERVICE}:testIamPermissions"): granted,
        ("GET", "run", JOB): {"name": JOB[4:]},
        ("POST", "run", f"{JOB}:testIamPermissions"): granted,
        ("GET", "artifactregistry", REGISTRY): {"name": "x"},
        ("GET", "cloudbuild", BUILDS): {},
        ("GET", "storage", OBJECTS): {},
        ("POST", "logging", ENTRIES): {},
        ("GET", "secretmanager", SECRET): {"name": "projects/1/secrets/key/versions/3", "state": "ENABLED"},
    }


@pytest.fixture
def examine(wire: Any, make_target: Any, make_spec: Any, healthy: Any) -> Any:
    def ask(**over: Any) -> dict[str, Any]:
        for (method, api, path), reply in healthy.items():
            wire.on(method, api, path, reply)
        return {finding.what: finding for finding in make_target(make_spec(**over)).examine()}

    return ask


def test_all_is_there(wire: Any, examine: Any) -> None:
    web = ServiceConfig(secrets={"KEY": SecretRef(name="key")})
    found = examine(services={"web": web})
    assert list(found) == [
        "the login", "the service `web`", "the job `migrate`", "the secret `key`", "the image repository",
        "Cloud Build", "the bucket of the sources", "Cloud Logging",
    ]  # fmt: skip
    assert all(finding.well for finding in found.values())
    assert {call.method for call in wire.calls if ":" not in call.path} == {"GET"}
    [tested] = wire.made("POST", "shop-web:testIamPermissions")
    assert "run.services.setIamPolicy" in tested.body["permissions"]


def test_a_permission_that_is_missing_is_named(healthy: Any, examine: Any) -> None:
    healthy["POST", "run", f"{SERVICE}:testIamPermissions"] = {"permissions": ["run.services.getIamPolicy"]}
    healthy["POST", "run", f"{JOB}:testIamPermissions"] = {}
    found = examine()
    assert found["the service `web`"].found == "`run.services.setIamPolicy`, `run.services.update` is not granted"
    assert found["the job `migrate`"].found == "`run.jobs.run`, `run.jobs.update` is not granted"
    assert "roles/run.admin" in found["the job `migrate`"].todo


def test_what_is_not_there_yet_is_not_amiss(healthy: Any, examine: Any, api_error: Any) -> None:
    for key in (("GET", "run", SERVICE), ("GET", "run", JOB), ("GET", "storage", OBJECTS)):
        healthy[key] = api_error(404, "NOT_FOUND")
    found = examine()
    for name in ("the service `web`", "the job `migrate`", "the bucket of the sources"):
        assert found[name].well is None
    assert "the first build makes it" in found["the bucket of the sources"].found


def test_a_worker_pool_has_permissions_of_its_own(wire: Any, healthy: Any, examine: Any) -> None:
    healthy["GET", "run", POOL] = {"name": POOL[4:]}
    healthy["POST", "run", f"{POOL}:testIamPermissions"] = granted
    found = examine(services={"shipper": ServiceConfig(kind="worker_pool")}, jobs={})
    assert found["the worker pool `shipper`"].well
    assert wire.made("POST", "shop-shipper:testIamPermissions")[0].body["permissions"] == ["run.workerpools.update"]


def test_each_refusal_is_told_with_what_to_do(healthy: Any, examine: Any, api_error: Any) -> None:
    for key in healthy:
        healthy[key] = api_error(403, "PERMISSION_DENIED", "denied")
    found = examine(services={"web": ServiceConfig(secrets={"KEY": SecretRef(name="key")})})
    login, *others = found.values()
    assert login.well
    assert not any(finding.well for finding in others)
    assert all("denied" in finding.found and "`" in finding.todo for finding in others)


def test_a_right_to_ask_for_rights_may_be_missing(healthy: Any, examine: Any, api_error: Any) -> None:
    healthy["POST", "run", f"{SERVICE}:testIamPermissions"] = api_error(403, "PERMISSION_DENIED", "denied")
    assert examine()["the service `web`"].well is False


def test_images_elsewhere_and_a_connected_repository(wire: Any, examine: Any) -> None:
    found = examine(
        image="docker.io/acme/shop", build=BuildConfig(repository="projects/p/connections/c/repositories/r")
    )
    assert found["the image repository"].well is None
    assert "the bucket of the sources" not in found
    assert not wire.made("GET", OBJECTS)


def test_without_a_login_nothing_else_is_asked(wire: Any, make_target: Any, make_spec: Any) -> None:
    auth = Auth(workload_identity_provider="projects/1/locations/global/workloadIdentityPools/p/providers/r")
    [found] = make_target(make_spec(auth=auth)).examine()
    assert (found.what, found.well) == ("the login", False)
    assert "has no OIDC token" in found.found
    wire.on(
        "POST",
        "sts",
        "/v1/token",
        (400, {"error": "invalid_grant", "error_description": "no such provider"}),
        judged=False,
    )
    [found] = make_target(make_spec(auth=auth), oidc=lambda _: "a.b.c").examine()
    assert found.well is False
    assert "a.b.c" not in json.dumps([found.found, found.todo])


def test_jobs_without_any(examine: Any) -> None:
    assert "the job `migrate`" not in examine(jobs={})
    assert "the job `smoke`" not in examine(jobs={"migrate": JobConfig(run=("x",))})
