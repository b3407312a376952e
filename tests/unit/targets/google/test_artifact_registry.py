"""Tags that keep what was released: set, held to the newest releases, and only ever those of the bot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.errors import ForbiddenError, UpstreamError
from bot.targets.artifact_registry import Image, tag_of

DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
IMAGE = "us-central1-docker.pkg.dev/acme/shop/shop"
PACKAGE = "projects/acme/locations/us-central1/repositories/shop/packages/shop"
TAGS = f"/v1/{PACKAGE}/tags"
KEY = "zz"  # 1295 in base 36


def tag(name: str, package: str = PACKAGE) -> dict[str, str]:
    return {"name": f"{package}/tags/{name}", "version": f"{package}/versions/{DIGEST}"}


@pytest.fixture
def keep(wire: Any, make_target: Any, make_spec: Any, release: Any) -> Any:
    """Return what keeps images, in a registry that has these tags already."""

    def keep(*there: str, images: Any = (f"{IMAGE}@{DIGEST}",), newest: int = 2, **over: Any) -> list[str]:
        wire.on("POST", "artifactregistry", TAGS, over.get("made", {}))
        listed = {"tags": [tag(name) for name in there]} if there else {}
        wire.on("GET", "artifactregistry", TAGS, over.get("listed", listed))
        wire.on("DELETE", "artifactregistry", f"{TAGS}/.*", over.get("gone", {}))
        wire.on("PATCH", "artifactregistry", f"{TAGS}/.*", {})
        make_target(make_spec()).registry.keep(replace(release, **over.get("of", {})), images, newest)
        return sorted(call.path.rpartition("/")[2] for call in wire.made("DELETE", ""))

    return keep


def test_a_release_is_tagged_by_its_environment_and_key(keep: Any, wire: Any) -> None:
    assert keep() == []
    (made,) = wire.made("POST", TAGS)
    assert made.query["tagId"] == [f"released-staging-{KEY}"]
    assert made.body == tag(f"released-staging-{KEY}")
    (listed,) = wire.made("GET", TAGS)
    assert listed.query["filter"] == [f'name="{PACKAGE}/tags/released-staging-*"']


def test_the_newest_releases_stay_tagged(keep: Any) -> None:
    there = ["released-staging-zx", "released-staging-9", "released-staging-zy", f"released-staging-{KEY}"]
    assert keep(*there) == ["released-staging-9", "released-staging-zx"]


def test_longer_keys_are_newer(keep: Any) -> None:
    assert keep("released-staging-100", f"released-staging-{KEY}", newest=1) == [f"released-staging-{KEY}"]


@pytest.mark.parametrize(
    "name", ["released-staging-eu-1", "released-staging-", "released-staging-1.x", "released-staging-A_b", "staging-1"]
)
def test_tags_of_another_environment_or_of_people_are_left(keep: Any, name: str) -> None:
    assert keep(name, f"released-staging-{KEY}", newest=1) == []


def test_several_images_of_a_release_count_as_one(keep: Any, wire: Any) -> None:
    images = (f"{IMAGE}@{OTHER}", f"{IMAGE}@{DIGEST}", f"{IMAGE}@{DIGEST}")
    there = ["released-staging-1", "released-staging-1.2", f"released-staging-{KEY}", f"released-staging-{KEY}.2"]
    assert keep(*there, images=images, newest=1) == ["released-staging-1", "released-staging-1.2"]
    made = {call.query["tagId"][0]: call.body["version"].rpartition("/")[2] for call in wire.made("POST", TAGS)}
    assert made == {f"released-staging-{KEY}": DIGEST, f"released-staging-{KEY}.2": OTHER}


def test_a_tag_that_is_there_is_set_to_the_image(keep: Any, wire: Any, api_error: Any) -> None:
    keep(made=api_error(409, "ALREADY_EXISTS"))
    (moved,) = wire.made("PATCH", f"{TAGS}/released-staging-{KEY}")
    assert moved.query == {"updateMask": ["version"]}
    assert moved.body == tag(f"released-staging-{KEY}")


def test_a_tag_that_is_gone_already_was_wanted_gone(keep: Any, api_error: Any) -> None:
    keep("released-staging-1", f"released-staging-{KEY}", newest=1, gone=api_error(404, "NOT_FOUND"))


@pytest.mark.parametrize("call", ["made", "listed", "gone"])
def test_what_is_refused_is_an_error(keep: Any, api_error: Any, call: str) -> None:
    refused = api_error(403, "PERMISSION_DENIED", "no artifactregistry.tags.x")
    with pytest.raises(ForbiddenError, match=r"artifactregistry\.tags"):
        keep("released-staging-1", f"released-staging-{KEY}", newest=1, **{call: refused})


def test_a_name_with_folders_is_escaped(wire: Any, make_target: Any, make_spec: Any, release: Any) -> None:
    nested = "projects/acme/locations/eu/repositories/shop/packages/team%2Fapi"
    wire.on("POST", "artifactregistry", f"/v1/{nested}/tags", {})
    wire.on("GET", "artifactregistry", f"/v1/{nested}/tags", {"tags": [tag("released-staging-1", nested)]})
    wire.on("DELETE", "artifactregistry", f"/v1/{nested}/tags/released-staging-1", {})
    image = f"eu-docker.pkg.dev/acme/shop/team/api@{DIGEST}"
    make_target(make_spec()).registry.keep(release, (image,), 1)
    assert [call.method for call in wire.calls] == ["POST", "GET"]
    assert wire.calls[1].query["filter"] == [f'name="{nested}/tags/released-staging-*"']


def test_images_elsewhere_are_left_alone(keep: Any, wire: Any) -> None:
    keep(images=(f"gcr.io/acme/shop@{DIGEST}", "docker.io/library/nginx@sha256:1"))
    assert wire.calls == []


def test_an_unreadable_list_is_an_error(keep: Any) -> None:
    with pytest.raises(UpstreamError):
        keep(listed={"tags": ["no object"]})


def test_names_are_read_in_their_parts(release: Any) -> None:
    image = Image.parse(f"{IMAGE}/api@{DIGEST}")
    assert image is not None
    assert (image.location, image.project, image.repository, image.image) == ("us-central1", "acme", "shop", "shop/api")
    assert Image.parse(IMAGE) is None
    assert tag_of(release, 2) == f"released-staging-{KEY}.2"
