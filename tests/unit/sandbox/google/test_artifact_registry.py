"""Artifact Registry, driven by google-cloud-artifact-registry over REST."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import artifactregistry_v1

from bot.sandbox.google.artifact_registry import ArtifactRegistry
from bot.sandbox.images import Image, ImageStore, pack
from bot.sandbox.wire import Call

PARENT = "projects/acme/locations/us-central1/repositories/shop"
REPOSITORY = "us-central1-docker.pkg.dev/acme/shop/web"
NESTED = "us-central1-docker.pkg.dev/acme/shop/team/api"


DAY = 86_400.0
NOW = 1_790_000_000.0


class Bench:
    def __init__(self, root: Path) -> None:
        self.now = NOW
        self.images = ImageStore(root / "images", clock=lambda: self.now)
        self.server = ArtifactRegistry(images=self.images)
        self.server.start()
        self.client = artifactregistry_v1.ArtifactRegistryClient(
            transport="rest",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": self.server.url},
        )

    def policies(self, *policies: artifactregistry_v1.CleanupPolicy, **fields: Any) -> artifactregistry_v1.Repository:
        """Set the policies of the repository by the client, as `policy-1`, `policy-2` and so on."""
        named = {f"policy-{number}": policy for number, policy in enumerate(policies, start=1)}
        repository = artifactregistry_v1.Repository(name=PARENT, cleanup_policies=named, **fields)
        paths = ["cleanup_policies", *fields]
        return self.client.update_repository(repository=repository, update_mask={"paths": paths})

    def image(self, text: str, repository: str, *tags: str, days_ago: float = 0.0) -> Image:
        root = self.images.root / text
        root.mkdir()
        (root / "a").write_text(text)
        image = pack(root, created=1_760_000_000.0 + len(text))
        self.now = NOW - days_ago * DAY
        self.images.put(repository, image, tags)
        self.now = NOW
        return image


@pytest.fixture
def bench(tmp_path: Path, misfits: Callable[[str, Call], list[str]]) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.server.stop()
    calls = [call for call in made.server.calls if call.path.startswith("/v1/")]
    assert [wrong for call in calls for wrong in misfits("artifactregistry.v1", call)] == []


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
    for pattern, names in {"v1": ["v1"], "V*": ["v1", "v2"], "*2": ["v2"], "*ate*": ["latest"], "v": []}.items():
        by_name = {"parent": package, "filter": f'name="{package}/tags/{pattern}"'}
        assert [tag.name for tag in bench.client.list_tags(request=by_name)] == [
            f"{package}/tags/{tag}" for tag in names
        ]
    for wrong in ("name=v1", f'name="{package}/tags/v*2"', 'name="projects/*/tags/v1"', f'version="{versions}/*"'):
        with pytest.raises(BadRequest, match="filters tags by"):
            bench.client.list_tags(request={"parent": package, "filter": wrong})


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


# -- clean-up ---------------------------------------------------------------------------------------------------
Policy, Condition = artifactregistry_v1.CleanupPolicy, artifactregistry_v1.CleanupPolicyCondition
Recent = artifactregistry_v1.CleanupPolicyMostRecentVersions
DELETE, KEEP = Policy.Action.DELETE, Policy.Action.KEEP
TAGGED, UNTAGGED, ANY = Condition.TagState.TAGGED, Condition.TagState.UNTAGGED, Condition.TagState.ANY


def delete(days: float | None = None, **condition: Any) -> artifactregistry_v1.CleanupPolicy:
    older = {} if days is None else {"older_than": timedelta(days=days)}
    return Policy(action=DELETE, condition=Condition(**older, **condition))


def keep(**condition: Any) -> artifactregistry_v1.CleanupPolicy:
    return Policy(action=KEEP, condition=Condition(**condition))


def recent(count: int, *prefixes: str) -> artifactregistry_v1.CleanupPolicy:
    return Policy(action=KEEP, most_recent_versions=Recent(keep_count=count, package_name_prefixes=prefixes))


@pytest.fixture
def shelf(bench: Bench) -> dict[str, Image]:
    """Images of five ages, `team/api` apart from `web`."""
    return {
        "a": bench.image("a", REPOSITORY, "live-staging", "old", days_ago=40),
        "bb": bench.image("bb", REPOSITORY, "v1", days_ago=35),
        "ccc": bench.image("ccc", REPOSITORY, days_ago=31),
        "dddd": bench.image("dddd", REPOSITORY, "v2", days_ago=2),
        "eeeee": bench.image("eeeee", NESTED, days_ago=50),
    }


POLICIES: dict[str, tuple[list[artifactregistry_v1.CleanupPolicy], str]] = {
    "nothing is deleted without a delete policy": ([keep(tag_prefixes=["v"])], ""),
    "older": ([delete(30)], "a bb ccc eeeee"),
    "older, untagged": ([delete(30, tag_state=UNTAGGED)], "ccc eeeee"),
    "older, tagged": ([delete(30, tag_state=TAGGED)], "a bb"),
    "any age": ([delete(tag_state=ANY)], "a bb ccc dddd eeeee"),
    "not older": ([delete(40)], "eeeee"),
    "newer": ([delete(newer_than=timedelta(days=3))], "dddd"),
    "by the prefix of a tag": ([delete(tag_prefixes=["v", "x"])], "bb dddd"),
    "any tag state ignores the prefix": ([delete(30, tag_state=ANY, tag_prefixes=["v"])], "a bb ccc eeeee"),
    "by the prefix of a package": ([delete(30, package_name_prefixes=["team"])], "eeeee"),
    "by the prefix of a version": ([delete(version_name_prefixes=["sha512"])], ""),
    "kept by a tag": ([delete(30), keep(tag_state=TAGGED, tag_prefixes=["live-"])], "bb ccc eeeee"),
    "kept before it is deleted": ([keep(tag_prefixes=["live-"]), delete(30)], "bb ccc eeeee"),
    "kept by number, of each package": ([delete(30), recent(2)], "a bb"),
    "kept by number, of one package": ([delete(30), recent(2, "web")], "a bb eeeee"),
    "two delete policies": ([delete(45), delete(30, tag_state=UNTAGGED)], "ccc eeeee"),
}


@pytest.mark.parametrize("name", POLICIES)
def test_clean_up(bench: Bench, shelf: dict[str, Image], name: str) -> None:
    policies, gone = POLICIES[name]
    bench.policies(*policies)
    deleted = bench.server.clean_up()
    names = {image.digest: text for text, image in shelf.items()}
    assert " ".join(sorted(names[each.rpartition("@")[2]] for each in deleted)) == gone
    left = {image.digest for repository in (REPOSITORY, NESTED) for image in bench.images.images(repository)}
    assert " ".join(text for text, image in shelf.items() if image.digest not in left) == gone
    assert bench.server.clean_up() == []


def test_a_clean_up_is_as_of_a_time_and_may_be_dry(bench: Bench, shelf: dict[str, Image]) -> None:
    bench.policies(delete(30), cleanup_policy_dry_run=True)
    planned = bench.server.clean_up(NOW - 15 * DAY)
    assert planned == [f"{NESTED}@{shelf['eeeee'].digest}"]
    assert bench.images.images(NESTED)
    bench.policies(delete(30), cleanup_policy_dry_run=False)
    assert bench.server.clean_up(NOW - 15 * DAY) == planned
    assert not bench.images.images(NESTED)
    assert len(bench.server.clean_up(NOW + 40 * DAY)) == 4
    assert bench.images.resolve(f"{REPOSITORY}:v2") is None


def test_policies_are_read_back_and_replaced(bench: Bench) -> None:
    bench.image("a", REPOSITORY)
    made = bench.policies(delete(30, tag_state=UNTAGGED), recent(5), description="Images of the shop")
    found = bench.client.get_repository(name=PARENT)
    assert found == made
    assert found.description == "Images of the shop"
    first, second = (found.cleanup_policies[f"policy-{number}"] for number in (1, 2))
    assert (first.id, first.action, first.condition.tag_state) == ("policy-1", DELETE, UNTAGGED)
    assert first.condition.older_than == timedelta(days=30)
    assert second.most_recent_versions.keep_count == 5
    assert list(bench.policies(keep(tag_prefixes=["live-"])).cleanup_policies) == ["policy-1"]
    assert not bench.policies().cleanup_policies
    assert bench.client.get_repository(name=PARENT).description == "Images of the shop"
    with pytest.raises(BadRequest, match="can't update"):
        bench.client.update_repository(repository=found, update_mask={"paths": ["kms_key_name"]})


REFUSED: dict[str, tuple[list[artifactregistry_v1.CleanupPolicy], str]] = {
    "no action": ([Policy(condition=Condition(tag_state=ANY))], "needs an action"),
    "no condition": ([Policy(action=DELETE)], "needs either"),
    "deleting the newest": ([Policy(action=DELETE, most_recent_versions=Recent(keep_count=1))], "Keep action"),
    "too many": ([delete(days) for days in range(11)], "at most 10"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_policies(bench: Bench, name: str) -> None:
    bench.image("a", REPOSITORY)
    policies, message = REFUSED[name]
    with pytest.raises(BadRequest, match=message):
        bench.policies(*policies)
    assert not bench.client.get_repository(name=PARENT).cleanup_policies


def test_repositories_are_made_and_listed(bench: Bench) -> None:
    bench.image("a", REPOSITORY)
    docker = artifactregistry_v1.Repository(
        format_=artifactregistry_v1.Repository.Format.DOCKER, labels={"team": "shop"}
    )
    parent = "projects/acme/locations/europe-west1"
    operation: Any = bench.client.create_repository(parent=parent, repository=docker, repository_id="shop")
    made = operation.result(timeout=10)
    assert (made.registry_uri, made.labels["team"]) == ("europe-west1-docker.pkg.dev/acme/shop", "shop")
    assert list(bench.client.list_repositories(parent=parent)) == [made]
    assert [each.name for each in bench.client.list_repositories(parent="projects/acme/locations/us-central1")] == [
        PARENT
    ]
    with pytest.raises(Conflict):
        bench.client.create_repository(parent=parent, repository=docker, repository_id="shop")
    for wrong, name in ((artifactregistry_v1.Repository(), "npm"), (docker, "Not-A-Name")):
        with pytest.raises(BadRequest, match="invalid repository"):
            bench.client.create_repository(parent=parent, repository=wrong, repository_id=name)


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
