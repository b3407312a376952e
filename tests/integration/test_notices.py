"""Which ends of releases are told outside, in which words, and that no release hangs on it."""

from __future__ import annotations

from typing import Any

import pytest

from bot.core.outcome import Decision, Reason


@pytest.fixture
def told(world: Any) -> list[Any]:
    """The notices that are sent."""
    world.notices.clear()
    return world.notices  # type: ignore[no-any-return]


def configure(world: Any, text: str) -> None:
    key = ".github/slipway.yml", "main"
    world.github.files[key] += f"{text}\n"


def test_by_default_failures_and_rollbacks_are_told(world: Any, told: list[Any]) -> None:
    world.released(6)
    world.pull(7)
    world.target.sick.add(world.github.pulls[7].head_sha)
    assert world.say("/deploy staging").reason is Reason.VERIFICATION_FAILED
    world.released(8)
    assert world.say("/rollback staging", author="max").reason is Reason.ROLLED_BACK
    failed, back = told
    assert failed.text.startswith("🔴 0000007 on staging failed at")
    assert failed.data["type"] == "release.failed"
    assert failed.data["data"]["version"] == 1
    assert failed.link == "https://github.com/acme/shop/actions/runs/1"
    assert back.text == "↩️ 0000006 on staging serves again, verified."
    assert failed.id != back.id


def test_what_is_wanted_is_told(world: Any, told: list[Any]) -> None:
    configure(world, "notify: [released]")
    world.released(7)
    (notice,) = told
    assert notice.text == "🟢 0000007 on staging is live and verified."


def test_an_environment_may_want_nothing(world: Any, told: list[Any]) -> None:
    key = ".github/slipway.yml", "main"
    world.github.files[key] = world.github.files[key].replace("on: push,", "on: push, notify: [],")
    world.pull(7)
    world.target.sick.add(world.github.pulls[7].head_sha)
    world.say("/deploy staging")
    assert told == []


def test_refusals_questions_and_dry_runs_are_nobodys_news(world: Any, told: list[Any]) -> None:
    configure(world, "notify: [released, failed, cancelled, rolled_back]")
    world.pull(7, draft=True)
    world.say("/deploy staging")
    world.say("/status")
    world.pull(7)
    world.say("/deploy staging --dry-run")
    assert told == []


def test_what_cannot_be_told_is_in_the_summary_and_fails_nothing(world: Any, told: list[Any]) -> None:
    configure(world, "notify: released")
    world.untold = ("Slack could not be told: It answered 404.",)
    world.pull(7)
    assert world.say("/deploy staging").decision is Decision.RELEASED
    assert "Slack could not be told" in world.summary[-1]


def test_it_is_told_after_the_lock_is_given_back(world: Any, told: list[Any]) -> None:
    configure(world, "notify: released")
    world.pull(7)
    held: list[bool] = []
    world.on_notice = lambda: held.append("staging" in world.github.locks)
    world.say("/deploy staging")
    assert held == [False]


def test_an_end_that_is_none_is_told_with_its_place(world: Any) -> None:
    configure(world, "notify: sometimes")
    world.pull(7)
    assert world.say("/deploy staging").reason is Reason.CONFIG_INVALID
    assert "notify" in world.shown
