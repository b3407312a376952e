"""`/lock`, `/unlock`, `/freeze`, `/unfreeze` and `/cancel`: who may, what they keep out, and when they are over."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.core.facts import Lock, LockRecord, Run
from bot.core.outcome import Decision, Reason

LOCK = '/lock staging --reason="demo at ten"'


def released(world: Any, **over: Any) -> Any:
    return world.say("/deploy staging", **over).reason


@pytest.fixture
def shop(world: Any) -> Any:
    """A shop with two open pull requests, and people of every role."""
    world.pull(7)
    world.pull(8)
    world.github.permissions.update(
        {"dana": "write", "lee": "write", "max": "admin", "ada": "admin", "rita": "read", "otto": "none"}
    )
    return world


# -- locks ------------------------------------------------------------------------------------------------------------
def test_a_lock_keeps_other_pull_requests_out(shop: Any) -> None:
    outcome = shop.say(LOCK)
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.DONE, Reason.LOCK_SET, 0)
    assert "🔒 **staging** is kept for PR 7 until 2026-03-02 16:0" in shop.shown
    assert "(demo at ten)" in shop.shown
    assert released(shop, number=8, author="lee") is Reason.CLAIMED
    assert "`staging` is locked for" in shop.github.thread(8)[-1]
    assert "by dana until 2026-03-02 16:0" in shop.github.thread(8)[-1]
    assert "demo at ten" in shop.github.thread(8)[-1]
    assert shop.mutations() == []
    assert released(shop, number=7, author="lee") is Reason.RELEASED  # the pull request's, not the person's
    assert shop.handle(shop.push()).reason is Reason.CLAIMED


def test_a_lock_keeps_no_rollback_out(shop: Any) -> None:
    shop.pull(6)
    assert released(shop, number=6) is Reason.RELEASED
    assert released(shop) is Reason.RELEASED
    shop.say(LOCK)
    assert shop.say("/rollback staging", number=8, author="max").reason is Reason.ROLLED_BACK


def test_a_lock_on_an_issue_is_a_persons(shop: Any) -> None:
    shop.say(LOCK, number=3, is_pull_request=False)
    assert "is kept for dana" in shop.github.thread(3)[-1]
    assert released(shop, number=8, author="lee") is Reason.CLAIMED
    assert released(shop, number=8, author="dana") is Reason.RELEASED


@pytest.mark.parametrize("over", [{"state": "closed"}, {"state": "closed", "merged": True}])
def test_a_lock_ends_with_its_pull_request(shop: Any, over: Any) -> None:
    shop.say(LOCK)
    shop.pull(7, **over)
    assert released(shop, number=8) is Reason.RELEASED


def test_a_lock_whose_pull_request_is_gone_is_over(shop: Any) -> None:
    shop.say(LOCK)
    del shop.github.pulls[7]
    assert released(shop, number=8) is Reason.RELEASED


def test_a_lock_ends_by_its_time(shop: Any) -> None:
    shop.say("/lock staging --reason=demo --for=30m")
    shop.clock.sleep(1700)
    assert released(shop, number=8) is Reason.CLAIMED
    shop.clock.sleep(120)
    assert released(shop, number=8) is Reason.RELEASED
    assert shop.say("/lock staging --reason=mine", number=8).reason is Reason.LOCK_SET  # in the place of the old one
    assert shop.github.marks["claim"]["staging"].record.pull_request == 8


def test_a_lock_is_renewed_by_its_own(shop: Any) -> None:
    shop.say(LOCK)
    shop.clock.sleep(3 * 3600)
    assert shop.say("/lock staging --reason=longer").reason is Reason.LOCK_SET
    shop.clock.sleep(3 * 3600)
    assert released(shop, number=8) is Reason.CLAIMED


def test_somebody_elses_lock_is_not_taken_over(shop: Any) -> None:
    shop.say(LOCK)
    assert shop.say("/lock staging --reason=mine", number=8, author="lee").reason is Reason.CLAIMED
    assert shop.github.marks["claim"]["staging"].record.pull_request == 7


def test_of_two_who_lock_at_once_one_does(shop: Any) -> None:
    shop.log.hooks["put_claim"] = lambda: shop.github.marks["claim"].setdefault(
        "staging", Lock(environment="staging", oid="e" * 40, record=None)
    )
    assert shop.say(LOCK).reason is Reason.CLAIMED


@pytest.mark.parametrize("time", ["5s", "31d", "soon", "-1h"])
def test_a_time_that_cannot_be(shop: Any, time: str) -> None:
    assert shop.say(f"/lock staging --reason=x --for={time}").reason is Reason.BAD_ARGUMENTS
    assert not shop.github.marks["claim"]


def test_a_lock_wants_a_reason(shop: Any) -> None:
    assert shop.say("/lock staging").reason is Reason.BAD_ARGUMENTS
    assert "wants `--reason=TEXT`" in shop.shown


def test_every_environment_is_locked_for_those_who_may_deploy_everywhere(shop: Any) -> None:
    assert shop.say("/lock all --reason=audit").reason is Reason.FORBIDDEN  # production is for admins
    assert not shop.github.marks["claim"]
    assert shop.say("/lock all --reason=audit", author="max").reason is Reason.LOCK_SET
    assert set(shop.github.marks["claim"]) == {"staging", "production"}
    assert shop.shown.count("is kept for PR 7") == 2
    assert shop.say("/unlock all", author="max").reason is Reason.UNLOCKED
    assert not shop.github.marks["claim"]


def test_all_or_none(shop: Any) -> None:
    shop.say("/lock production --reason=audit", author="ada")
    assert shop.say("/lock all --reason=mine", author="max", number=8).reason is Reason.CLAIMED
    assert set(shop.github.marks["claim"]) == {"production"}


def test_all_is_no_environment_to_release_to(shop: Any) -> None:
    assert shop.say("/deploy all").reason is Reason.UNKNOWN_ENVIRONMENT


# -- unlocking --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("over", [{"number": 8}, {"author": "lee"}])
def test_a_lock_is_lifted_by_its_maker_and_on_its_pull_request(shop: Any, over: Any) -> None:
    shop.say(LOCK)
    assert shop.say("/unlock staging", **over).reason is Reason.UNLOCKED
    assert "The lock on **staging** that dana left at" in shop.github.thread(over.get("number", 7))[-1]
    assert released(shop, number=8) is Reason.RELEASED


def test_by_others_a_lock_is_lifted_by_force_and_that_is_for_admins(shop: Any) -> None:
    shop.say(LOCK)
    assert shop.say("/unlock staging", number=8, author="lee").reason is Reason.CLAIMED
    assert shop.say("/unlock staging", number=8, author="max").reason is Reason.CLAIMED
    assert shop.say("/unlock staging --force", number=8, author="lee").reason is Reason.CLAIMED
    assert "staging" in shop.github.marks["claim"]
    assert shop.say("/unlock staging --force", number=8, author="max").reason is Reason.UNLOCKED
    assert not shop.github.marks["claim"]


def test_a_lock_and_a_hold_go_together(shop: Any) -> None:
    shop.pull(6)
    released(shop, number=6)
    released(shop)
    shop.say("/rollback staging", author="max")
    shop.say(LOCK)
    shop.say("/unlock staging")
    assert not shop.github.marks["claim"]
    assert not shop.github.holds
    assert "The lock on" in shop.shown
    assert "The hold on" in shop.shown


def test_a_lock_that_cannot_be_read_counts(shop: Any) -> None:
    shop.github.marks["claim"]["staging"] = Lock(environment="staging", oid="f" * 40, record=None)
    assert released(shop) is Reason.CLAIMED
    assert shop.say("/unlock staging").reason is Reason.CLAIMED
    assert shop.say("/unlock staging --force", author="max").reason is Reason.UNLOCKED
    assert released(shop) is Reason.RELEASED


# -- freezes ----------------------------------------------------------------------------------------------------------
def test_what_is_frozen_is_not_released_to(shop: Any) -> None:
    shop.pull(6)
    released(shop, number=6)
    released(shop)
    assert shop.say("/freeze staging --reason=holidays").reason is Reason.FORBIDDEN
    assert shop.say("/freeze staging --reason=holidays", author="max").reason is Reason.FROZEN_NOW
    assert "🧊 **staging** is frozen (holidays)" in shop.shown
    assert released(shop, number=8, author="max") is Reason.FROZEN
    assert "`staging` is frozen by max: holidays." in shop.github.thread(8)[-1]
    assert shop.handle(shop.push()).reason is Reason.FROZEN
    assert shop.say("/rollback staging", author="max").reason is Reason.ROLLED_BACK
    assert shop.say("/unfreeze staging").reason is Reason.FORBIDDEN
    assert shop.say("/unfreeze staging", author="max").reason is Reason.UNFROZEN
    assert released(shop, number=8) is Reason.RELEASED
    assert shop.say("/unfreeze staging", author="max").reason is Reason.UNFROZEN
    assert "was not frozen" in shop.shown


def test_a_freeze_may_end_by_its_time(shop: Any) -> None:
    shop.say("/freeze all --reason=fair --for=2d", author="max")
    shop.clock.sleep(2 * 86_400 - 60)
    shop.pull(8)
    assert released(shop, number=8) is Reason.FROZEN
    shop.clock.sleep(120)
    assert released(shop, number=8) is Reason.RELEASED


# -- cancelling -------------------------------------------------------------------------------------------------------
@pytest.fixture
def running(shop: Any) -> Any:
    """A release of pull request 8 by lee that runs."""
    record = LockRecord(
        environment="staging", run_id=77, run_attempt=2, actor="lee", pull_request=8, sha="8" * 40,
        since=datetime(2026, 3, 2, 11, 59, tzinfo=UTC),
    )  # fmt: skip
    shop.github.locks["staging"] = Lock(environment="staging", oid="f" * 40, record=record)
    shop.github.alive.add((77, 2))
    return shop


def cancelled(world: Any) -> list[tuple[int, bool]]:
    return [call for name, call in world.log.calls if name == "cancel_run"]


@pytest.mark.parametrize("author", ["lee", "LEE", "max"])
def test_a_release_is_cancelled_by_its_starter_and_by_admins(running: Any, author: str) -> None:
    running.github.permissions[author] = "admin" if author == "max" else "write"
    outcome = running.say("/cancel staging", author=author, phase="command")
    assert (outcome.decision, outcome.reason) == (Decision.DONE, Reason.CANCEL_SENT)
    assert cancelled(running) == [(77, False)]
    assert "Asked to stop: the release of `8888888` to **staging** by lee" in running.shown
    assert "/actions/runs/77" in running.shown


def test_others_may_not_cancel(running: Any) -> None:
    outcome = running.say("/cancel staging", author="dana")
    assert outcome.reason is Reason.FORBIDDEN
    assert "lee started it, and may cancel it." in running.shown
    assert not cancelled(running)


@pytest.mark.parametrize("author", ["rita", "otto"])
def test_outsiders_may_not_and_hear_nothing(running: Any, author: str) -> None:
    assert running.say("/cancel staging", author=author).reason is Reason.FORBIDDEN
    assert running.github.bodies == {}


def test_the_second_time_it_is_by_force(running: Any) -> None:
    running.say("/cancel staging", author="lee")
    running.say("/cancel staging", author="max")
    assert cancelled(running) == [(77, False), (77, True)]
    assert "By force" in running.shown


def test_the_next_release_is_first_asked_to_stop(running: Any) -> None:
    running.say("/cancel staging", author="lee")
    record = running.github.locks["staging"].record
    again = Lock(environment="staging", oid="a" * 40, record=LockRecord(**{**vars(record), "run_id": 78}))
    running.github.locks["staging"] = again
    running.github.alive.add((78, 2))
    running.say("/cancel staging", author="lee")
    assert cancelled(running) == [(77, False), (78, False)]


def test_what_has_ended_cannot_be_cancelled(running: Any) -> None:
    running.github.alive.clear()
    assert running.say("/cancel staging", author="lee").reason is Reason.NOTHING_TO_CANCEL
    assert "has ended meanwhile" in running.shown


def test_nothing_runs(shop: Any) -> None:
    assert shop.say("/cancel staging").reason is Reason.NOTHING_TO_CANCEL
    assert "No release of `staging` runs." in shop.shown


def test_a_lock_that_does_not_say_which_run(running: Any) -> None:
    running.github.locks["staging"] = Lock(environment="staging", oid="f" * 40, record=None)
    assert running.say("/cancel staging", author="max").reason is Reason.NOTHING_TO_CANCEL
    assert "refs/slipway/locks/staging" in running.shown


# -- what is seen of them ---------------------------------------------------------------------------------------------
def test_status_shows_locks_and_freezes_in_force(shop: Any) -> None:
    shop.say("/lock staging --reason=demo --for=1h")
    shop.say("/freeze production --reason=fair", author="max")
    shop.say("/status")
    assert "🔒 kept for PR 7 until 2026-03-02 13:0" in shop.shown
    assert "🔒 frozen by max (fair)" in shop.shown
    shop.clock.sleep(3700)
    shop.say("/status")
    assert "kept for" not in shop.shown
    assert "🔒 frozen by max (fair)" in shop.shown


@pytest.mark.parametrize("body", ["/cancel staging", "/unlock staging --force"])
def test_who_starts_a_run_again_needs_the_right_too(running: Any, body: str) -> None:
    running.say("/lock staging --reason=mine", author="lee", number=8)
    again = Run(id=900, attempt=2, url="")
    outcome = running.say(body, author="max", run=again, actor="dana")
    assert outcome.reason in {Reason.FORBIDDEN, Reason.CLAIMED}
    assert not cancelled(running)
    assert "staging" in running.github.marks["claim"]
    assert running.say(body, author="max", run=again, actor="max").decision is Decision.DONE


# -- while others do the same -----------------------------------------------------------------------------------------
def theirs(name: str, actor: str = "ada") -> Lock:
    record = LockRecord(
        environment=name, run_id=1, run_attempt=1, actor=actor, pull_request=8, sha="8" * 40,
        since=datetime(2026, 3, 2, 12, 0, tzinfo=UTC),
    )  # fmt: skip
    return Lock(environment=name, oid="e" * 40, record=record)


def test_where_one_environment_is_lost_to_another_none_is_locked(shop: Any) -> None:
    """The refusal says that nothing was changed, so nothing may be: what was renewed is as before, too."""
    shop.say("/lock staging --reason=before --for=1h", author="max")
    before = shop.github.marks["claim"]["staging"].record

    def race() -> None:  # staging is renewed already; production is somebody else's by now
        assert shop.github.marks["claim"]["staging"].record != before
        shop.github.marks["claim"]["production"] = theirs("production")

    shop.log.hooks["put_claim"] = race
    outcome = shop.say("/lock all --reason=audit", author="max")
    assert (outcome.decision, outcome.reason) == (Decision.REFUSED, Reason.CLAIMED)
    assert "Nothing was changed" in shop.shown
    assert shop.github.marks["claim"]["staging"].record == before
    assert shop.github.marks["claim"]["production"].record.actor == "ada"


def test_a_lock_is_renewed_without_a_moment_between(shop: Any) -> None:
    shop.say(LOCK)
    seen = []
    shop.log.hooks["move_claim"] = lambda: seen.append(shop.github.marks["claim"]["staging"].record.reason)
    assert shop.say('/lock staging --reason="longer" --for=5h').reason is Reason.LOCK_SET
    assert seen == ["demo at ten"]
    assert shop.github.marks["claim"]["staging"].record.reason == "longer"
    assert shop.log.named("lift_claim") == []


def test_a_lock_that_is_taken_away_while_it_is_renewed(shop: Any) -> None:
    shop.say(LOCK)
    shop.log.hooks["move_claim"] = lambda: shop.github.marks["claim"].update(staging=theirs("staging"))
    assert shop.say(LOCK).reason is Reason.CLAIMED
    assert shop.github.marks["claim"]["staging"].record.actor == "ada"


def test_a_lock_that_is_another_by_now_stays_and_that_is_said(shop: Any) -> None:
    shop.say(LOCK)
    shop.log.hooks["lift_claim"] = lambda: shop.github.marks["claim"].update(staging=theirs("staging"))
    shop.say("/unlock staging")
    assert "There is a newer lock on **staging** by ada: it stays." in shop.shown
    assert "is lifted" not in shop.shown
    assert shop.github.marks["claim"]["staging"].record.actor == "ada"


def test_no_environment_may_be_called_as_all_of_them_are(shop: Any) -> None:
    key = ".github/slipway.yml", "main"
    shop.github.files[key] += "  all: {target: gcp}\n"
    assert shop.say("/lock all --reason=x", author="max").reason is Reason.CONFIG_INVALID
    assert "environments.all: `all` is what commands call every environment" in shop.shown
