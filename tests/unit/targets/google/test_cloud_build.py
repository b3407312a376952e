from typing import Any

import pytest

from bot.core.plan import Build
from bot.core.serving import Artifact
from bot.core.target import Absent, Broken, Done, Running
from bot.errors import ForbiddenError, UpstreamError

STEP = Build()
PARENT = "/v1/projects/acme/locations/us-central1"
NAME = "projects/acme/locations/us-central1/builds/1"
DIGEST = "sha256:" + "a" * 64
IMAGE = "us-central1-docker.pkg.dev/acme/shop/shop"
DOCKER_IMAGE = "/v1/projects/acme/locations/us-central1/repositories/shop/dockerImages/"


def build(status: Any = "SUCCESS", release: Any = "zz", **over: Any) -> Any:
    results = {"images": [{"name": "other:1", "digest": "sha256:0"}, {"name": f"{IMAGE}:1", "digest": DIGEST}]}
    return {
        "name": NAME,
        "id": "1",
        "status": status,
        "tags": [f"release-{release}"],
        "logUrl": "https://log",
        **({"results": results} if status == "SUCCESS" else {}),
        **over,
    }


@pytest.fixture
def observe(wire: Any, make_target: Any, make_spec: Any, known: Any) -> Any:
    def observe(*builds: Any, exists: Any = (200, {}), handle: Any = "", **spec: Any) -> Any:
        wire.on("GET", "cloudbuild", f"{PARENT}/builds", {"builds": list(builds)})
        wire.on("GET", "cloudbuild", f"{PARENT}/builds/1", *builds)
        wire.on("GET", "artifactregistry", f"{DOCKER_IMAGE}.*", exists)
        now = known.with_handle("build", handle) if handle else known
        return make_target(make_spec(**spec)).observe(STEP, now)

    return observe


def test_an_image_that_still_exists_is_used_again(observe: Any, wire: Any) -> None:
    found = observe(build(status="FAILURE"), build(release="earlier"))
    assert isinstance(found, Done)
    assert found.artifact is not None
    assert (found.artifact.digest, found.artifact.reference) == (DIGEST, f"{IMAGE}@{DIGEST}")
    assert (found.artifact.reused, found.artifact.link) == (True, "https://log")
    assert wire.made("GET", f"shop@{DIGEST}")
    (listed,) = wire.made("GET", "/builds")
    assert 'tags="slipway-shop" AND tags="sha-0123' in listed.query["filter"][0]
    assert "projectId" not in listed.query


def test_a_nested_image_name_is_escaped(observe: Any, wire: Any) -> None:
    deep = build(results={"images": [{"name": f"{IMAGE}/web:1", "digest": DIGEST}]})
    assert isinstance(observe(deep, image=f"{IMAGE}/web"), Done)
    assert wire.calls[-1].path == f"{DOCKER_IMAGE}shop%2Fweb@{DIGEST}"


def test_an_image_that_was_deleted_is_built_again(observe: Any, api_error: Any) -> None:
    assert observe(build(release="earlier"), exists=api_error(404, "NOT_FOUND")) == Absent()


def test_an_image_outside_artifact_registry_cannot_be_trusted_to_exist(observe: Any, wire: Any) -> None:
    image = "gcr.io/acme/shop"
    old = build(release="earlier", results={"images": [{"name": f"{image}:1", "digest": DIGEST}]})
    assert isinstance(observe(old, image=image), Absent)
    assert not wire.made("GET", DIGEST)


@pytest.mark.parametrize(
    ("builds", "handle", "expected"),
    [
        ([], "", Absent()),
        ([build(status="WORKING", release="other")], "", Running(handle=NAME, detail="working", link="https://log")),
        ([build(status="FAILURE", release="other")], "", Absent()),
        ([build(status="QUEUED")], NAME, Running(handle=NAME, detail="queued", link="https://log")),
        ([build(status="CANCELLED", release="other")], NAME, Absent()),
        (
            [build(status="FAILURE", failureInfo={"type": "USER_BUILD_STEP", "detail": "step 0 exited with 1"})],
            "",
            Broken(handle=NAME, detail="FAILURE: step 0 exited with 1", link="https://log"),
        ),
        (
            [build(status="FAILURE", steps=[{"name": "docker", "id": "build", "status": "FAILURE", "exitCode": 2}])],
            NAME,
            Broken(handle=NAME, detail="FAILURE: step build ended with exit code 2", link="https://log"),
        ),
        ([build(status="TIMEOUT")], NAME, Broken(handle=NAME, detail="TIMEOUT", link="https://log")),
        (
            [build(results={"images": []})],
            NAME,
            Broken(handle=NAME, detail=f"The build pushed no {IMAGE}.", link="https://log"),
        ),
        (
            [build(results={"images": []})],
            "",
            Broken(handle=NAME, detail=f"The build pushed no {IMAGE}.", link="https://log"),
        ),
    ],
)
def test_a_build_is_judged(observe: Any, builds: Any, handle: Any, expected: Any) -> None:
    assert observe(*builds, handle=handle) == expected


def test_the_releases_own_build_by_name(observe: Any, wire: Any) -> None:
    found = observe(build(), handle=NAME)
    assert isinstance(found, Done)
    assert found.artifact is not None
    assert not found.artifact.reused
    assert [call.path for call in wire.calls] == [f"/v1/{NAME}"]


def test_a_connected_repository_needs_no_upload(wire: Any, make_target: Any, make_spec: Any, known: Any) -> None:
    metadata = {
        "@type": "type.googleapis.com/google.devtools.cloudbuild.v1.BuildOperationMetadata",
        "build": build("QUEUED"),
    }
    wire.on("POST", "cloudbuild", f"{PARENT}/builds", {"name": "operations/1", "metadata": metadata})
    spec = make_spec(
        build=make_spec().build.model_copy(update={"repository": "projects/p/connections/c/repositories/r"})
    )
    assert make_target(spec).apply(STEP, known) == Running(handle=NAME, detail="queued", link="https://log")
    assert len(wire.calls) == 1


def test_starting_a_build_is_never_repeated(
    wire: Any, make_target: Any, make_spec: Any, known: Any, api_error: Any
) -> None:
    wire.on("POST", "cloudbuild", f"{PARENT}/builds", api_error(503, "UNAVAILABLE"))
    spec = make_spec(build=make_spec().build.model_copy(update={"repository": "r"}))
    with pytest.raises(UpstreamError) as caught:
        make_target(spec).apply(STEP, known)
    assert caught.value.status == 503
    assert len(wire.calls) == 1


@pytest.mark.parametrize(
    ("status", "owner", "cancelled"), [("WORKING", "zz", 1), ("SUCCESS", "zz", 0), ("WORKING", "other", 0)]
)
def test_only_the_releases_own_build_under_way_is_cancelled(
    wire: Any, make_target: Any, make_spec: Any, known: Any, status: Any, owner: Any, cancelled: Any
) -> None:
    wire.on("GET", "cloudbuild", f"{PARENT}/builds/1", build(status, owner))
    wire.on("POST", "cloudbuild", f"{PARENT}/builds/1:cancel", build("CANCELLED"))
    make_target(make_spec()).cancel(STEP, known.with_handle("build", NAME))
    assert len(wire.made("POST", ":cancel")) == cancelled


def test_a_build_whose_name_was_lost_is_found_to_be_cancelled(
    wire: Any, make_target: Any, make_spec: Any, known: Any
) -> None:
    wire.on("GET", "cloudbuild", f"{PARENT}/builds", {"builds": [build("WORKING")]})
    wire.on("GET", "cloudbuild", f"{PARENT}/builds/1", build("WORKING"))
    wire.on("POST", "cloudbuild", f"{PARENT}/builds/1:cancel", build("CANCELLED"))
    make_target(make_spec()).cancel(STEP, known)
    assert len(wire.made("POST", ":cancel")) == 1


def test_nothing_started_is_nothing_to_cancel(wire: Any, make_target: Any, make_spec: Any, known: Any) -> None:
    wire.on("GET", "cloudbuild", f"{PARENT}/builds", {})
    make_target(make_spec()).cancel(STEP, known)
    assert len(wire.calls) == 1


# -- promotion --------------------------------------------------------------------------------------------------
ELSEWHERE = Artifact(
    digest=DIGEST, reference=f"europe-docker.pkg.dev/other/shop/shop@{DIGEST}", sha="a" * 40, reused=True
)
TAKE = Build(promoted=ELSEWHERE, promoted_from="staging")
THERE = f"/v1/projects/other/locations/europe/repositories/shop/dockerImages/shop@{DIGEST}"


def test_an_image_of_another_environment_is_taken_as_it_is(
    wire: Any, make_target: Any, make_spec: Any, known: Any
) -> None:
    wire.on("GET", "artifactregistry", THERE, {})
    found = make_target(make_spec()).observe(TAKE, known)
    assert found == Done(artifact=ELSEWHERE, detail=f"{DIGEST[:19]}, verified on staging")
    assert [call.path for call in wire.calls] == [THERE]


def test_an_image_that_is_gone_is_never_built_in_its_place(
    wire: Any, make_target: Any, make_spec: Any, known: Any, api_error: Any
) -> None:
    wire.on("GET", "artifactregistry", THERE, api_error(404, "NOT_FOUND"))
    found = make_target(make_spec()).observe(TAKE, known)
    assert isinstance(found, Broken)
    assert "is not in its registry any more" in found.detail
    assert isinstance(make_target(make_spec()).observe(Build(promoted_from="staging"), known), Broken)
    assert len(wire.calls) == 1


def test_a_registry_that_may_not_be_asked_fails_the_step(
    wire: Any, make_target: Any, make_spec: Any, known: Any, api_error: Any
) -> None:
    wire.on("GET", "artifactregistry", THERE, api_error(403, "PERMISSION_DENIED"))
    with pytest.raises(ForbiddenError):
        make_target(make_spec()).observe(TAKE, known)
