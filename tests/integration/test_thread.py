"""What a release does on its thread once it is over: hide what it makes outdated, and tell whoever asked."""

from __future__ import annotations

from typing import Any

import pytest

from bot.core.outcome import Decision, Reason
from bot.errors import ForbiddenError

CONFIG = (".github/slipway.yml", "main")


def ids(world: Any) -> list[int]:
    return list(world.github.bodies)


def slow(world: Any, seconds: float) -> None:
    """Have a release take its time."""
    world.log.hooks["create_deployment"] = lambda: world.clock.sleep(seconds)


# -- what is hidden -----------------------------------------------------------------------------------------------
def test_an_older_release_of_the_environment_is_hidden(world: Any) -> None:
    world.released(6)
    world.say("/deploy staging")
    assert world.github.minimized == set()
    (_, old) = ids(world)
    assert world.say("/rollback staging", author="max").reason is Reason.ROLLED_BACK
    assert world.github.minimized == {old}  # what was released from another pull request stands on its own thread


def test_the_same_again_hides_nothing_twice(world: Any) -> None:
    for _ in range(3):
        world.say("/deploy staging")
    hidden = [comment for comments in world.log.named("minimize") for comment in comments]
    assert hidden == ids(world)[:2]


def test_another_environment_and_answers_and_refusals_stay(world: Any) -> None:
    world.say("/deploy production", author="ada")
    world.say("/status")
    world.say("/help")
    world.say("/deploy production")  # refused: dana may not
    world.say("/deploy staging")
    world.say("/deploy staging")
    kept = {comment for comment in ids(world) if comment not in world.github.minimized}
    assert kept == set(ids(world)) - {ids(world)[4]}


def test_what_is_under_way_is_never_hidden(world: Any) -> None:
    world.say("/deploy staging")
    (comment,) = ids(world)
    world.github.bodies[comment].append(world.shown.replace("### 🟢", "### 🟡"))
    world.say("/deploy staging")
    assert world.github.minimized == set()


def test_nobody_elses_comment_is_hidden_whatever_it_says(world: Any) -> None:
    world.say("/deploy staging")
    (comment,) = ids(world)
    world.github.authors[comment] = "mallory"
    world.say("/deploy staging")
    assert world.github.minimized == set()


@pytest.mark.parametrize("call", ["own_comments", "minimize"])
@pytest.mark.parametrize("error", [None, ForbiddenError("No.", service="GitHub", operation="x"), RuntimeError("bug")])
def test_what_cannot_be_hidden_fails_nothing(world: Any, call: str, error: Exception | None) -> None:
    world.say("/deploy staging")
    world.log.fail(call, error=error)
    outcome = world.say("/deploy staging")
    assert (outcome.decision, outcome.exit_code) == (Decision.RELEASED, 0)
    assert any("hidden" in text or "tidied" in text for text in world.summary)
    assert world.github.locks == {}


# -- who is told --------------------------------------------------------------------------------------------------
def test_a_failure_mentions_whoever_asked_once(world: Any) -> None:
    world.target.broken.add("build")
    outcome = world.say("/deploy staging")
    (mention,) = world.github.mentions(7)
    assert mention.count("@") == 1
    assert "\n@dana 🔴 `0000007` failed *Build* on **staging**" in mention
    assert f"(https://github.com/acme/shop/issues/7#issuecomment-{outcome.comment_id})" in mention
    assert "@" not in world.shown.replace("@\u200b", "")


@pytest.mark.parametrize(("seconds", "told"), [(590.0, 0), (600.0, 1)])
def test_a_success_mentions_only_after_a_while(world: Any, seconds: float, told: int) -> None:
    slow(world, seconds)
    assert world.say("/deploy staging").reason is Reason.RELEASED
    assert len(world.github.mentions(7)) == told


def test_how_long_a_while_is_can_be_said(world: Any) -> None:
    text = world.github.files[CONFIG]
    world.github.files[CONFIG] = text.replace("staging: {target: gcp,", "staging: {target: gcp, mention_after: 1s,")
    slow(world, 20.0)
    world.say("/deploy staging")
    assert len(world.github.mentions(7)) == 1


def test_bots_and_cancelled_releases_are_not_mentioned(world: Any) -> None:
    world.target.broken.add("build")
    world.say("/deploy staging", author="dana", author_is_bot=True, author_id=5, allowed_bots=frozenset({5}))
    world.github.came_by["0000001" + "0" * 33] = (7,)
    world.handle(world.push(actor="merge-queue[bot]", bot=True))
    assert world.github.mentions(7) == []


def test_a_release_that_was_stopped_is_no_news(world: Any) -> None:
    world.log.hooks["apply"] = world.clock.stop
    assert world.say("/deploy staging").decision is Decision.CANCELLED
    assert world.github.mentions(7) == []
    assert world.log.named("own_comments") == []


def test_a_mention_that_fails_is_told_in_the_summary(world: Any) -> None:
    world.target.broken.add("build")
    world.log.fail("comment", 2)
    outcome = world.say("/deploy staging")
    assert outcome.reason is Reason.BUILD_FAILED
    assert any("dana could not be told" in text for text in world.summary)


def test_an_older_mention_is_hidden_with_its_release(world: Any) -> None:
    world.target.broken.add("build")
    world.say("/deploy staging")
    old = ids(world)
    world.target.broken.clear()
    world.say("/deploy staging")
    assert len(old) == 2
    assert world.github.minimized == set(old)
