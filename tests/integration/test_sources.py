"""Builds of several sources: each other repository is resolved to a commit once, before anything is changed."""

from __future__ import annotations

from typing import Any

import pytest

from bot.core.outcome import Decision, Reason
from bot.errors import NotFoundError

CONFIG = ".github/slipway.yml", "main"
OVERLAY = "build: {overlay: {context: extras, repos: [acme/pro, acme/cloud], args: {EXTRAS: cloud}}}\n"
HEADS = {"acme/pro": "a" * 40, "acme/cloud": "c" * 40}


@pytest.fixture
def shop(world: Any) -> Any:
    world.github.files[CONFIG] += OVERLAY
    world.github.heads = dict(HEADS)
    return world


def test_the_heads_are_recorded_and_built(shop: Any) -> None:
    outcome = shop.say("/deploy staging")
    assert outcome.decision is Decision.RELEASED
    assert shop.target.built_of == [HEADS]
    assert shop.github.kept[-1].payload["sources"] == HEADS
    assert shop.log.last("head") < shop.log.first("create_deployment")
    assert "with `acme/pro` at `aaaaaaa` and `acme/cloud` at `ccccccc`" in shop.shown


def test_a_release_that_goes_on_builds_the_same(shop: Any) -> None:
    event = shop.comment("/deploy staging")

    class KilledError(BaseException):
        pass

    def die() -> None:
        raise KilledError

    shop.log.hooks["apply"] = die
    with pytest.raises(KilledError):
        shop.handle(event)
    shop.log.hooks.clear()
    shop.github.heads = {"acme/pro": "b" * 40, "acme/cloud": "b" * 40}
    assert shop.handle(event).decision is Decision.RELEASED
    assert shop.target.built_of == [HEADS]


def test_a_preview_is_built_of_them_too(shop: Any) -> None:
    shop.with_previews()
    shop.github.files[CONFIG] += OVERLAY
    outcome = shop.say("/preview create")
    assert outcome.reason is Reason.PREVIEW_UP, outcome.message
    assert shop.target.built_of == [HEADS]


def test_a_source_that_cannot_be_read_ends_it_before_anything_is_changed(shop: Any) -> None:
    gone = NotFoundError(
        "The repository acme/pro, whose source joins the build, cannot be read.",
        service="GitHub", operation="read the head", status=404, hint="Give the action's input `sources-token`.",
    )  # fmt: skip
    shop.log.fail("head", error=gone)
    with pytest.raises(NotFoundError):
        shop.say("/deploy staging")
    assert not shop.github.kept
    assert shop.mutations() == []
    assert "acme/pro" in shop.shown
    assert "`sources-token`" in shop.shown
    assert shop.github.locks == {}


@pytest.mark.parametrize("command", ["/rollback staging", "/promote production"])
def test_what_builds_nothing_asks_for_no_source(shop: Any, make_target: Any, command: str) -> None:
    plain, promoting = "production: {target: gcp,", "production: {promote_from: staging, target: gcp,"
    shop.github.files[CONFIG] = shop.github.files[CONFIG].replace(plain, promoting)
    shop.elsewhere["production"] = make_target("production.test")
    shop.released(6)
    shop.released(7)
    shop.clock.sleep(60)
    assert shop.say(command, author="ada").decision is Decision.RELEASED
    assert not shop.log.named("head")


def test_a_dry_run_shows_the_commits_that_would_join(shop: Any) -> None:
    assert shop.say("/deploy staging --dry-run").reason is Reason.PLAN_SHOWN
    assert "source acme/pro" in shop.shown
    assert "+   source acme/cloud" in shop.shown
    assert "ccccccc" in shop.shown
    assert not shop.github.kept


def test_without_an_overlay_nothing_is_asked(world: Any) -> None:
    assert world.say("/deploy staging").decision is Decision.RELEASED
    assert not world.log.named("head")
    assert world.github.kept[-1].payload["sources"] == {}
