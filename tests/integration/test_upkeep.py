"""What is cleaned up behind a release, and that a release never fails by it."""

from __future__ import annotations

from typing import Any

import pytest

from bot.core.outcome import Decision, Reason
from bot.errors import UpstreamError

DAY = 86_400.0


def names(world: Any, service: str = "web") -> list[str]:
    """The revisions of a service by the pull request they are of, newest first."""
    return [one.sha[:7] for one in world.target.upkeep.made[service]]


@pytest.fixture
def few(world: Any) -> Any:
    """A world that keeps one revision and what one release served."""
    text = world.github.files[".github/slipway.yml", "main"]
    text = text.replace("    region:", "    keep_revisions: 1\n    keep_releases: 1\n    region:")
    world.github.files[".github/slipway.yml", "main"] = text.partition("  production:")[0]
    return world


def release(world: Any, *numbers: int) -> None:
    for number in numbers:
        world.released(number)


def test_what_nobody_needs_any_more_goes(few: Any) -> None:
    release(few, 1, 2, 3)
    assert names(few) == ["0000003", "0000002", "0000001"]  # all of them are young
    few.clock.sleep(2 * DAY)
    release(few, 4)
    # The fourth serves, the third is what it found; what the second served is in no record that is looked at.
    assert names(few) == ["0000004", "0000003"]
    assert names(few, "worker") == ["0000004", "0000003"]
    assert "revision `shop-web-0000001-" in "\n".join(few.summary)


def test_a_rollback_to_what_is_kept_works(few: Any) -> None:
    release(few, 1, 2)
    few.clock.sleep(2 * DAY)
    release(few, 3)
    outcome = few.say("/rollback staging", author="max")
    assert outcome.reason is Reason.ROLLED_BACK
    assert few.target.serves() == {f"{2:07x}" + "0" * 33}


def test_tags_of_releases_before_are_taken_off(few: Any) -> None:
    release(few, 1, 2)
    few.target.upkeep.tags["web"]["demo"] = few.target.upkeep.made["web"][-1].name  # somebody's
    release(few, 3)
    assert few.target.upkeep.reachable() == {"web": ["demo", "pr-3"], "worker": ["pr-3"]}
    assert "tag `pr-2` of web" in "\n".join(few.summary)


def test_nothing_to_do_is_not_told(world: Any) -> None:
    release(world, 1)
    assert "Removed from" not in "\n".join(world.summary)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        ("holdings", UpstreamError("no list", service="Google", operation="x", status=403), "no list"),
        ("retag", UpstreamError("no tags", service="Google", operation="x", status=409), "no tags"),
        ("delete", UpstreamError("no right", service="Google", operation="x", status=403), "no right"),
        ("holdings", ZeroDivisionError("oh"), "ZeroDivisionError in the bot itself"),
    ],
)
def test_what_goes_wrong_never_fails_a_release(few: Any, call: str, error: Exception, says: str) -> None:
    release(few, 1, 2)
    few.clock.sleep(2 * DAY)
    few.log.fail(call, error=error)
    few.pull(3)
    outcome = few.say("/deploy staging", number=3)
    assert (outcome.decision, outcome.exit_code) == (Decision.RELEASED, 0)
    assert says in "\n".join(few.summary)
    assert says not in few.github.thread(3)[-1]
    assert few.github.locks == {}


def test_a_release_that_failed_cleans_nothing_up(few: Any) -> None:
    release(few, 1)
    few.pull(2)
    few.target.broken.add("rollout-web")
    few.say("/deploy staging", number=2)
    assert "holdings" not in [name for name, _ in few.log.calls]


def test_the_environment_is_still_held(few: Any) -> None:
    release(few, 1)
    few.pull(2)
    few.say("/deploy staging", number=2)
    assert few.log.last("holdings") < few.log.last("release_lock")
    assert few.log.last("edit_comment") < few.log.first("holdings")


def test_so_many_at_most_in_one_run(few: Any) -> None:
    release(few, *range(1, 16))
    few.clock.sleep(2 * DAY)
    release(few, 16)
    assert "8 revisions more with the next run" in "\n".join(few.summary)
    assert len([name for name, _ in few.log.calls if name == "delete"]) == 0  # the log is emptied after each release
    assert len(names(few)) + len(names(few, "worker")) == 32 - 20


def test_the_sweep_does_the_same(few: Any) -> None:
    release(few, 1, 2, 3)
    few.clock.sleep(2 * DAY)
    outcome = few.handle(few.schedule())
    assert outcome.reason is Reason.SWEPT
    assert names(few) == ["0000003", "0000002"]
    assert "Removed: 0 previews, 0 tags, 2 revisions." in outcome.message


def test_and_takes_pointless_tags_off(few: Any) -> None:
    release(few, 1, 2)
    few.target.upkeep.tags["web"]["pr-1"] = few.target.upkeep.made["web"][-1].name  # its removal had failed
    outcome = few.handle(few.schedule())
    assert "Removed: 0 previews, 1 tags, 0 revisions." in outcome.message
    assert few.target.upkeep.reachable()["web"] == ["pr-2"]


def test_locks_and_freezes_that_have_ended_are_lifted(world: Any) -> None:
    text = world.github.files[".github/slipway.yml", "main"]
    text = text.replace("environments:\n", "  old: {type: heroku, app: shop}\nenvironments:\n  legacy: {target: old}\n")
    world.github.files[".github/slipway.yml", "main"] = text
    for number in (7, 8):
        world.pull(number)
    world.say("/lock staging --for=1h --reason=demo", number=7)
    world.say("/lock legacy --reason=demo", number=8)
    world.say("/freeze staging --for=1h --reason=moving", author="ada")
    world.say("/freeze production --reason=moving", author="ada")
    claims, freezes = world.github.marks["claim"], world.github.marks["freeze"]
    assert (set(claims), set(freezes)) == ({"staging", "legacy"}, {"staging", "production"})
    world.handle(world.schedule())
    assert (set(claims), set(freezes)) == ({"staging", "legacy"}, {"staging", "production"})
    world.clock.sleep(2 * 3600.0)
    world.pull(8, state="closed")
    outcome = world.handle(world.schedule())
    assert (set(claims), set(freezes)) == (set(), {"production"})
    assert "3 locks and freezes" in outcome.message
    summary = "\n".join(world.summary)
    assert "lock of dana that had ended" in summary
    assert "freeze of ada that had ended" in summary
    assert "**Removed from legacy:**" in summary


def test_a_lock_that_was_renewed_meanwhile_stays(world: Any) -> None:
    world.pull()
    world.say("/lock staging --for=1h --reason=demo")
    world.clock.sleep(2 * 3600.0)
    world.log.hooks["lift_claim"] = lambda: world.log.hooks.clear() or world.say("/lock staging --reason=again")
    outcome = world.handle(world.schedule())
    assert outcome.reason is Reason.SWEPT
    assert world.github.marks["claim"]["staging"].record.reason == "again"
    assert "locks" not in outcome.message


def test_marks_that_cannot_be_read_keep_nothing_else_from_its_turn(few: Any) -> None:
    release(few, 1, 2, 3)
    few.clock.sleep(2 * DAY)
    few.log.fail("held")
    outcome = few.handle(few.schedule())
    assert outcome.decision is Decision.FAILED
    assert "2 revisions" in outcome.message


def test_a_long_record_is_read_far_enough(world: Any) -> None:
    """Thirty failures hide what was released before: it can be gone back to all the same."""
    release(world, 1)
    world.target.broken.add("rollout-web")
    for _ in range(31):
        world.say("/deploy staging", number=1)
    world.target.broken.clear()
    world.clock.sleep(2 * DAY)
    world.github.files[".github/slipway.yml", "main"] = world.github.files[".github/slipway.yml", "main"].replace(
        "    region:", "    keep_revisions: 0\n    region:"
    )
    release(world, 2)
    assert "0000001" in names(world)


def test_the_revision_of_a_preview_that_is_over_goes_once_it_is_not_the_latest(world: Any) -> None:
    world.with_previews("{}")
    release(world, 1)
    world.pull(8)
    assert world.say("/preview create", number=8).reason is Reason.PREVIEW_UP
    world.say("/preview destroy", number=8)
    assert names(world) == ["0000008", "0000001"]
    world.clock.sleep(2 * DAY)
    release(world, 9)
    assert names(world) == ["0000009", "0000001"]
