"""The images of what is live and verified: kept from clean-up, and shown with what is attested of them."""

from __future__ import annotations

from typing import Any

import pytest

from bot.core.images import Provenance
from bot.core.outcome import Decision
from bot.errors import ForbiddenError, UpstreamError

CONFIG = ".github/slipway.yml", "main"
ATTESTED = Provenance(
    image="", builder="https://cloudbuild.googleapis.com/GoogleHostedWorker@v0.3", format="SLSA v0.1", source="gs://b/o"
)


@pytest.fixture
def attesting(world: Any) -> Any:
    """A world whose builds ask for provenance."""
    world.github.files[CONFIG] += "build: {provenance: true}\n"
    world.target.registry.attested = ATTESTED
    return world


def image_of(world: Any) -> str:
    """Return the image that was built last."""
    return str(list(world.target.images.values())[-1].reference)


# -- kept -------------------------------------------------------------------------------------------------------
def test_what_is_verified_is_kept(world: Any) -> None:
    outcome = world.say("/deploy staging")
    (key, images, newest) = world.target.registry.kept[0]
    assert int(key, 36) == outcome.deployment_id
    assert images == (image_of(world),)
    assert newest == 10
    assert world.log.first("keep") > world.log.last("exposure")  # the last check of what serves


def test_the_configuration_says_how_many_are_kept(world: Any) -> None:
    world.github.files[CONFIG] = world.github.files[CONFIG].replace(
        "    project:", "    keep_releases: 3\n    project:"
    )
    world.say("/deploy staging")
    assert world.target.registry.kept[0][2] == 3


def test_what_is_brought_back_is_kept_under_the_rollback_s_own_name(world: Any) -> None:
    world.released(6)
    world.released(7)
    outcome = world.say("/rollback staging", author="ada")
    assert outcome.decision is Decision.RELEASED
    (key, images, _) = world.target.registry.kept[-1]
    assert int(key, 36) == outcome.deployment_id
    assert [image.partition("@")[2] for image in images] == [world.target.live["web"].digest]
    assert images[0].startswith("europe-west1-docker.pkg.dev/acme/shop/shop@")


def test_what_is_promoted_is_kept_where_it_lies(world: Any, make_target: Any) -> None:
    plain, promoting = "production: {target: gcp,", "production: {promote_from: staging, target: gcp,"
    world.github.files[CONFIG] = world.github.files[CONFIG].replace(plain, promoting)
    world.elsewhere["production"] = make_target("production.test")
    world.released(7)
    world.clock.sleep(60)
    assert world.say("/promote production", author="ada").decision is Decision.RELEASED
    ((_, images, _),) = world.elsewhere["production"].registry.kept
    assert images == (f"europe-west1-docker.pkg.dev/acme/shop/shop@{world.target.live['web'].digest}",)


def test_what_failed_is_not_kept(world: Any) -> None:
    world.target.broken.add("rollout-web")
    assert world.say("/deploy staging").decision is Decision.FAILED
    assert world.target.registry.kept == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ForbiddenError(
                "Google Cloud refused to tag the image: no.", hint="Grant it.", service="Google Cloud",
                operation="tag the image", status=403,
            ),
            "Google Cloud refused to tag the image: no. Grant it.",
        ),
        (UpstreamError("It said s3cretS3cret.", service="It", operation="o"), "It said \\*\\*\\*."),
        (RuntimeError("a bug"), "RuntimeError"),
    ],
    ids=["refused", "secret", "bug"],
)  # fmt: skip
def test_what_cannot_be_kept_is_told_and_is_live_all_the_same(world: Any, error: Exception, words: str) -> None:
    world.log.fail("keep", error=error)
    outcome = world.say("/deploy staging")
    assert outcome.decision is Decision.RELEASED
    assert outcome.exit_code == 0
    assert world.github.states()[-1] == "success"
    (told,) = [line for line in world.summary if "clean-up" in line]
    assert words in told
    assert "clean-up" not in world.shown


def test_without_a_registry_nothing_is_kept(world: Any) -> None:
    world.target.registry = None
    assert world.say("/deploy staging").decision is Decision.RELEASED
    assert not world.log.named("keep")


# -- attested ---------------------------------------------------------------------------------------------------
def test_what_is_attested_is_shown_with_the_command_that_verifies_it(attesting: Any) -> None:
    assert attesting.say("/deploy staging").decision is Decision.RELEASED
    assert attesting.log.named("provenance") == [(image_of(attesting),)]
    assert "Provenance: `SLSA v0.1` by `https://cloudbuild.googleapis.com/GoogleHostedWorker@v0.3`" in attesting.shown
    assert f"slsa-verifier verify-image {image_of(attesting)}" in attesting.shown


def test_nothing_is_asked_where_nothing_was_asked_for(world: Any) -> None:
    world.say("/deploy staging")
    assert not world.log.named("provenance")
    assert "Provenance" not in world.shown


@pytest.mark.parametrize("error", [UpstreamError("It answered 503.", service="It", operation="o"), KeyError("bug")])
def test_what_cannot_be_read_is_said_and_fails_nothing(attesting: Any, error: Exception) -> None:
    attesting.log.fail("provenance", error=error)
    assert attesting.say("/deploy staging").decision is Decision.RELEASED
    assert "Provenance: could not be read" in attesting.shown


def test_a_release_that_failed_asks_for_none(attesting: Any) -> None:
    attesting.target.broken.add("rollout-web")
    assert attesting.say("/deploy staging").decision is Decision.FAILED
    assert not attesting.log.named("provenance")


def test_a_rollback_asks_for_none(attesting: Any) -> None:
    attesting.released(6)
    attesting.released(7)
    assert attesting.say("/rollback staging", author="ada").decision is Decision.RELEASED
    assert not attesting.log.named("provenance")
