"""Artifact Registry, driven by google-cloud-artifact-registry over REST."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import artifactregistry_v1

from bot.sandbox.google.artifact_registry import ArtifactRegistry
from bot.sandbox.images import Image, ImageStore, pack

PARENT = "projects/acme/locations/us-central1/repositories/shop"
REPOSITORY = "us-central1-docker.pkg.dev/acme/shop/web"
NESTED = "us-central1-docker.pkg.dev/acme/shop/team/api"


class Bench:
    def __init__(self, root: Path) -> None:
        self.images = ImageStore(root / "images")
        self.server = ArtifactRegistry(images=self.images)
        self.server.start()
        self.client = artifactregistry_v1.ArtifactRegistryClient(
            transport="rest",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": self.server.url},
        )

    def image(self, text: str, repository: str, *tags: str) -> Image:
        root = self.images.root / text
        root.mkdir()
        (root / "a").write_text(text)
        image = pack(root, created=1_760_000_000.0 + len(text))
        self.images.put(repository, image, tags)
        return image


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.server.stop()


def test_docker_images_are_found_by_digest(bench: Bench) -> None:
    first, second = bench.image("a", REPOSITORY, "abc", "latest"), bench.image("bb", NESTED)
    name = f"{PARENT}/dockerImages/web@{first.digest}"
    found = bench.client.get_docker_image(name=name)
    assert (found.name, found.uri, list(found.tags)) == (name, f"{REPOSITORY}@{first.digest}", ["abc", "latest"])
    assert (found.image_size_bytes, found.build_time.timestamp()) == (1, first.created)
    listed = [image.uri for image in bench.client.list_docker_images(request={"parent": PARENT, "page_size": 1})]
    assert listed == [f"{NESTED}@{second.digest}", f"{REPOSITORY}@{first.digest}"]
    newest = bench.client.list_docker_images(request={"parent": PARENT, "order_by": "update_time desc"})
    assert next(iter(newest)).uri == f"{NESTED}@{second.digest}"
    nested = bench.client.get_docker_image(name=f"{PARENT}/dockerImages/team%2Fapi@{second.digest}")
    assert nested.uri == f"{NESTED}@{second.digest}"
    for absent in (f"web@sha256:{'0' * 64}", "web:abc", f"none@{first.digest}"):
        with pytest.raises(NotFound):
            bench.client.get_docker_image(name=f"{PARENT}/dockerImages/{absent}")
    with pytest.raises(BadRequest, match="invalid order_by"):
        bench.client.list_docker_images(request={"parent": PARENT, "order_by": "colour"})


def test_packages_tags_and_versions(bench: Bench) -> None:
    first, second = bench.image("a", NESTED, "v1"), bench.image("bb", NESTED, "v2", "latest")
    package = f"{PARENT}/packages/team%2Fapi"
    assert [each.name for each in bench.client.list_packages(parent=PARENT)] == [package]
    assert bench.client.get_package(name=package).name == package
    versions = f"{package}/versions"
    tags = {tag.name.rpartition("/")[2]: tag.version for tag in bench.client.list_tags(parent=package)}
    assert tags == {
        "v1": f"{versions}/{first.digest}", "v2": f"{versions}/{second.digest}", "latest": f"{versions}/{second.digest}"
    }  # fmt: skip
    by_version = {"parent": package, "filter": f'version="{versions}/{first.digest}"'}
    assert [tag.name for tag in bench.client.list_tags(request=by_version)] == [f"{package}/tags/v1"]
    assert bench.client.get_tag(name=f"{package}/tags/v1").version == f"{versions}/{first.digest}"
    assert len(list(bench.client.list_versions(parent=package))) == 2
    name = f"{versions}/{second.digest}"
    assert not bench.client.get_version(name=name).related_tags
    full: Any = {"name": name, "view": artifactregistry_v1.VersionView.FULL}
    related = bench.client.get_version(request=full).related_tags
    assert [tag.name for tag in related] == [f"{package}/tags/latest", f"{package}/tags/v2"]
    with pytest.raises(BadRequest):
        bench.client.list_tags(request={"parent": package, "filter": "name=v1"})


def test_tags_are_created_moved_and_deleted(bench: Bench) -> None:
    first, second = bench.image("a", REPOSITORY), bench.image("bb", REPOSITORY)
    package = f"{PARENT}/packages/web"
    version = {image.digest: f"{package}/versions/{image.digest}" for image in (first, second)}
    tag = artifactregistry_v1.Tag(version=version[first.digest])
    bench.client.create_tag(parent=package, tag=tag, tag_id="live")
    assert bench.images.tags(REPOSITORY) == {"live": first.digest}
    with pytest.raises(Conflict):
        bench.client.create_tag(parent=package, tag=tag, tag_id="live")
    with pytest.raises(BadRequest, match="invalid tag"):
        bench.client.create_tag(parent=package, tag=tag, tag_id="not a tag")
    moved = artifactregistry_v1.Tag(name=f"{package}/tags/live", version=version[second.digest])
    assert bench.client.update_tag(tag=moved).version == version[second.digest]
    bench.client.delete_tag(name=f"{package}/tags/live")
    with pytest.raises(NotFound):
        bench.client.delete_tag(name=f"{package}/tags/live")


def test_a_tagged_version_is_only_deleted_by_force(bench: Bench) -> None:
    image = bench.image("a", REPOSITORY, "v1")
    name = f"{PARENT}/packages/web/versions/{image.digest}"
    with pytest.raises(BadRequest, match="tagged"):
        bench.client.delete_version(name=name)
    deleted: Any = bench.client.delete_version(request={"name": name, "force": True})
    deleted.result(timeout=10)
    assert bench.images.resolve(f"{REPOSITORY}:v1") is None
    for absent in (name, f"{PARENT}/packages/none/versions/{image.digest}"):
        with pytest.raises(NotFound):
            bench.client.get_version(name=absent)
    with pytest.raises(NotFound):
        bench.client.get_package(name=f"{PARENT}/packages/web")


def test_a_version_of_another_package_and_unknown_operations_are_not_found(bench: Bench) -> None:
    bench.image("a", REPOSITORY)
    with pytest.raises(NotFound):
        bench.client.get_version(name=f"{PARENT}/packages/web/versions/sha256:{'0' * 64}")
    url = f"{bench.server.url}/v1/projects/acme/locations/us-central1/operations/none"
    assert requests.get(url, timeout=5).status_code == 404


def test_repositories(bench: Bench) -> None:
    for call in (bench.client.get_repository, lambda name: bench.client.list_docker_images(parent=name)):
        with pytest.raises(NotFound, match="not found"):
            call(name=PARENT)
    bench.server.declare("us-central1-docker.pkg.dev/acme/shop")
    found = bench.client.get_repository(name=PARENT)
    assert (found.format_, found.registry_uri) == (
        artifactregistry_v1.Repository.Format.DOCKER, "us-central1-docker.pkg.dev/acme/shop",
    )  # fmt: skip
    assert not list(bench.client.list_docker_images(parent=PARENT))


def test_the_registry_protocol(bench: Bench) -> None:
    image = bench.image("a", REPOSITORY, "abc")
    url = f"{bench.server.url}/v2/acme/shop/web/manifests"
    for reference in ("abc", image.digest):
        head = requests.head(f"{url}/{reference}", timeout=5)
        assert (head.status_code, head.headers["Docker-Content-Digest"]) == (200, image.digest)
        assert int(head.headers["Content-Length"]) == len(image.manifest)
    body = requests.get(f"{url}/abc", timeout=5).content
    assert f"sha256:{hashlib.sha256(body).hexdigest()}" == image.digest
    absent = requests.get(f"{url}/none", timeout=5)
    assert (absent.status_code, absent.json()["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")
    assert requests.get(f"{bench.server.url}/v2/", timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("auth", "status"),
    [(("oauth2accesstoken", "good"), 404), (("oauth2accesstoken", "bad"), 401), (("me", "good"), 401), (None, 401)],
)
def test_docker_login(tmp_path: Path, auth: tuple[str, str] | None, status: int) -> None:
    server = ArtifactRegistry(images=ImageStore(tmp_path), authenticate={"good": "me"}.get)
    server.start()
    try:
        found = requests.get(f"{server.url}/v2/acme/shop/web/manifests/a", auth=auth, timeout=5)
        assert found.status_code == status
    finally:
        server.stop()
