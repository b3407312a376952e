"""Locks, interrupted runs, commands said twice, heads that move: what a later run makes of an earlier one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.core.facts import Lock, LockRecord, Run
from bot.core.outcome import Decision, Reason

SIX, SEVEN = "0000006" + "0" * 33, "0000007" + "0" * 33


def somebodys(run: int = 77, *, readable: bool = True) -> Lock:
    record = LockRecord(
        environment="staging",
        run_id=run,
        run_attempt=1,
        actor="max",
        pull_request=3,
        sha=SIX,
        since=datetime(2026, 3, 2, 11, 59, tzinfo=UTC),
    )
    return Lock(environment="staging", oid="f" * 40, record=record if readable else None)


def held(world: Any, run: int = 77, *, readable: bool = True) -> Lock:
    lock = somebodys(run, readable=readable)
    world.github.locks["staging"] = lock
    return lock


@pytest.mark.parametrize("text", ["/deploy staging", "/rollback staging"])
def test_a_held_environment_is_refused_and_left_alone(world: Any, text: str) -> None:
    world.released(5)
    world.released(6)
    lock = held(world)
    world.github.alive.add((77, 1))
    outcome = world.say(text, author="max")
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.REFUSED, Reason.LOCKED, 0)
    assert "held by max" in world.shown
    assert [len(bodies) for bodies in world.github.bodies.values()][-1] == 1  # it never said that it was deploying
    assert world.github.locks["staging"] is lock
    assert world.mutations() == []


def test_a_lock_that_cannot_be_read_counts_as_held(world: Any) -> None:
    held(world, readable=False)
    assert world.say("/deploy staging").reason is Reason.LOCKED
    assert "staging" in world.github.locks


def test_a_lock_whose_run_is_gone_is_reaped(world: Any) -> None:
    held(world)
    assert world.say("/deploy staging").reason is Reason.RELEASED
    assert world.github.locks == {}


def test_a_lock_of_this_very_run_is_ours(world: Any) -> None:
    held(world, 77)
    assert world.say("/deploy staging", run=Run(id=77, attempt=1)).reason is Reason.RELEASED
    assert not world.log.named("run_alive")


def test_a_lock_of_this_runs_earlier_attempt_is_reaped(world: Any) -> None:
    held(world, 77)
    assert world.say("/deploy staging", run=Run(id=77, attempt=2)).reason is Reason.RELEASED
    assert len(world.log.named("take_lock")) == 1
    assert world.github.locks == {}


def test_somebody_faster_is_named(world: Any) -> None:
    world.log.hooks["take_lock"] = lambda: world.github.locks.__setitem__("staging", somebodys())
    world.github.alive.add((77, 1))
    outcome = world.say("/deploy staging")
    assert outcome.reason is Reason.LOCKED
    assert "held by max" in world.shown
    assert world.mutations() == []
    assert "staging" in world.github.locks


# -- said twice -------------------------------------------------------------------------------------------------
def test_a_command_that_was_carried_out_is_not_carried_out_again(world: Any) -> None:
    event = world.comment("/deploy staging")
    first = world.handle(event)
    world.log.calls.clear()
    again = world.handle(event)
    assert (again.decision, again.reason, again.exit_code) == (Decision.ANSWERED, Reason.ALREADY_DONE, 0)
    assert (again.deployment_id, again.comment_id) == (first.deployment_id, first.comment_id)
    assert world.mutations() == []
    assert len(world.github.thread(7)) == 1


@pytest.mark.parametrize(("run", "left"), [(500, False), (501, True)])
def test_a_run_that_is_repeated_takes_along_the_lock_that_it_left(world: Any, run: int, left: bool) -> None:
    event = world.comment("/deploy staging")
    assert world.handle(event, run=Run(id=500, attempt=1)).reason is Reason.RELEASED
    held(world, run)
    world.github.alive.add((501, 1))
    assert world.handle(event, run=Run(id=500, attempt=2)).reason is Reason.ALREADY_DONE
    assert bool(world.github.locks) is left


def test_a_command_that_failed_may_be_run_again(world: Any) -> None:
    event = world.comment("/deploy staging")
    world.target.broken.add("job-migrate")
    assert world.handle(event).reason is Reason.JOB_FAILED
    world.target.broken.clear()
    assert world.handle(event).reason is Reason.RELEASED
    assert world.github.states() == ["failure", "success"]


@pytest.mark.parametrize(("broken", "last"), [((), "is live on"), (("job-migrate",), "failed *Run migrate*")])
def test_the_comment_is_final_before_the_deployment_is_closed(world: Any, broken: Any, last: str) -> None:
    world.released(6)
    world.target.broken.update(broken)
    shown: list[str] = []
    world.log.hooks["set_status"] = lambda: shown.append(world.shown)
    world.say("/deploy staging")
    assert last in shown[-1]


# -- interrupted --------------------------------------------------------------------------------------------------
def dies(world: Any, event: Any, call: str, when: Callable[[], bool] = lambda: True, **over: Any) -> None:
    """Have a run of an event that dies at a call: nothing after that is done or written."""

    class KilledError(BaseException):
        pass

    def die() -> None:
        if when():
            raise KilledError

    lock: list[Lock] = []
    world.log.hooks[call] = die
    world.log.hooks["release_lock"] = lambda: lock.extend(world.github.locks.values())
    with pytest.raises(KilledError):
        world.handle(event, **over)
    world.log.hooks.clear()
    world.log.calls.clear()
    world.github.locks = {item.environment: item for item in lock}


def interrupted(world: Any, event: Any, at: str) -> None:
    """Have a run of an event that dies when it would apply a step."""
    dies(world, event, "apply", lambda: ("apply", at) in world.mutations())
    assert world.github.kept[-1].state in {"pending", "in_progress"}


def test_a_run_that_died_before_its_record_goes_on_in_its_comment(world: Any) -> None:
    world.released(6)
    event = world.comment("/deploy staging")
    dies(world, event, "create_deployment", run=Run(id=500, attempt=1))
    assert "🟡 Deploying" in world.shown
    world.handle(event, run=Run(id=500, attempt=2))
    (said,) = world.github.thread(7)
    assert "is live on **staging**" in said
    assert world.github.states() == ["inactive", "success"]


def test_of_a_run_that_died_before_its_record_the_next_one_says_so_in_its_comment(world: Any) -> None:
    world.released(6)
    dies(world, world.comment("/deploy staging"), "create_deployment", run=Run(id=500, attempt=1))
    world.pull(8)
    world.say("/deploy staging", author="ada", number=8)
    (said,) = world.github.thread(7)
    assert "`0000007` on **staging** was interrupted" in said
    assert "is live on **staging**" in world.github.thread(8)[-1]
    assert world.github.states() == ["inactive", "success"]


def test_a_command_that_is_run_again_has_one_comment_all_the_same(world: Any) -> None:
    event = world.comment("/deploy nowhere")
    world.handle(event, run=Run(id=500, attempt=1))
    assert "There is no environment" in world.shown
    mention = world.github.comment(7, world.shown.replace(" env=", " told=5 env="))
    world.handle(event, run=Run(id=500, attempt=2))
    assert len(world.github.thread(7)) == 1
    assert len(world.github.bodies[mention.id]) == 1


def test_where_the_earlier_comment_cannot_be_looked_for_another_is_made(world: Any) -> None:
    event = world.comment("/deploy nowhere")
    world.handle(event, run=Run(id=500, attempt=1))
    world.log.fail("own_comments")
    world.handle(event, run=Run(id=500, attempt=2))
    assert len(world.github.thread(7)) == 2


def test_only_the_bots_own_words_about_this_environment_are_put_right(world: Any) -> None:
    world.released(6)
    dies(world, world.comment("/deploy staging"), "create_deployment")
    theirs = world.github.comment(7, world.shown)
    world.github.authors[theirs.id] = "mallory"
    elsewhere = world.github.comment(7, world.shown.replace("env=staging", "env=production"))
    over = world.github.comment(7, world.shown.replace("🟡", "🟢"))
    plain = world.github.comment(7, "### 🟡 Deploying, or so I think")
    world.pull(8)
    world.say("/deploy staging", number=8)
    assert [len(world.github.bodies[kept.id]) for kept in (theirs, elsewhere, over, plain)] == [1, 1, 1, 1]
    assert "was interrupted" in world.github.thread(7)[0]


def test_a_run_without_a_thread_puts_right_what_a_dead_one_said(world: Any) -> None:
    """A rollback by hand that is refused: with the lock goes the last that is known of the run that died."""
    world.released(6)
    dies(world, world.comment("/deploy staging"), "create_deployment")
    theirs = world.github.comment(7, world.shown)
    world.github.authors[theirs.id] = "mallory"
    outcome = world.handle(world.dispatch(actor="max"), command="rollback", environment="staging")
    assert outcome.reason is Reason.NOTHING_TO_ROLL_BACK_TO
    assert "was interrupted" in world.github.thread(7)[0]
    assert len(world.github.bodies[theirs.id]) == 1


@pytest.mark.parametrize("broken", ["comments", "edit_comment"])
def test_words_that_cannot_be_put_right_fail_no_release(world: Any, broken: str) -> None:
    world.released(6)
    dies(world, world.comment("/deploy staging"), "create_deployment")
    world.log.fail(broken, 1)
    world.pull(8)
    assert world.say("/deploy staging", number=8).reason is Reason.RELEASED


@pytest.mark.parametrize("at", ["build", "job-migrate", "rollout-web", "shift"])
def test_an_interrupted_release_said_again_is_finished(world: Any, at: str) -> None:
    world.released(6)
    event = world.comment("/deploy staging")
    interrupted(world, event, at)
    outcome = world.handle(event)
    assert outcome.reason is Reason.RELEASED
    assert world.target.serves() == {SEVEN}
    assert len(world.target.executions) == 2  # of the release before, and one of this: never run twice
    assert world.github.states() == ["inactive", "success"]
    assert len(world.github.thread(7)) == 1
    assert "is live on **staging**" in world.shown
    assert world.github.locks == {}


def test_a_failure_after_an_interrupted_release_goes_back_to_what_served_before_both(world: Any) -> None:
    world.released(6)
    world.log.fail("set_status", 2)
    world.say("/deploy staging")  # 7 serves, and nobody knows that it is well
    world.log.heal()
    world.pull(8)
    world.target.broken.add("rollout-web")
    assert world.say("/deploy staging", number=8).reason is Reason.ROLLOUT_FAILED
    assert world.target.serves() == {SIX}
    assert "`0000006` serves again" in world.github.thread(8)[-1]  # until now it was 7
    assert world.github.states() == ["success", "error", "failure"]


@pytest.mark.parametrize("then", ["the same again", "another", "another, after one that was given up"])
def test_a_failure_after_a_way_back_that_failed_goes_back_to_what_was_verified(world: Any, then: str) -> None:
    world.released(6)
    world.target.public.add("worker")
    world.target.broken.add("undo")
    assert world.say("/deploy staging").result["release"]["restored"] is False
    assert world.target.serves() == {SEVEN}
    world.target.broken.clear()
    if then == "another, after one that was given up":
        world.pull(8)
        moved = replace(world.github.pulls[8], head_sha="9" * 40)
        world.log.hooks["serving"] = lambda: world.github.pulls.__setitem__(8, moved)
        assert world.say("/deploy staging @0000008", number=8).reason is Reason.HEAD_MOVED
        world.log.hooks.clear()
    if then == "the same again":
        assert world.say("/deploy staging").reason is Reason.VERIFICATION_FAILED
    else:
        world.pull(8)
        world.target.broken.add("job-migrate")
        assert world.say("/deploy staging", number=8).reason is Reason.JOB_FAILED
    assert world.target.serves() == {SIX}
    thread = world.github.thread(7 if then == "the same again" else 8)
    assert "`0000006` s" in thread[-1]  # still serves, or serves again


def test_no_title_names_one_commit_where_somebody_has_mixed_two(world: Any) -> None:
    world.released(5)
    older = world.target.live["worker"]
    world.released(6)
    world.target.live["worker"] = older
    world.target.broken.add("rollout-web")
    assert world.say("/deploy staging").reason is Reason.ROLLOUT_FAILED
    assert "**staging** · what served still does" in world.shown
    assert world.target.live["worker"] == older


def test_what_failed_and_was_taken_back_is_not_what_serves(world: Any) -> None:
    world.released(6)
    world.target.public.add("worker")
    assert world.say("/deploy staging").result["release"]["restored"] is True
    world.target.public.clear()
    world.pull(8)
    assert world.say("/deploy staging", number=8).reason is Reason.RELEASED
    assert world.github.kept[-1].payload["before_sha"] == SIX


def test_only_the_newest_release_can_have_been_interrupted(world: Any) -> None:
    """One that was never closed, with others after it, says nothing about what served before the next."""
    world.pull(5)
    world.log.fail("set_status", error=None)
    world.say("/deploy staging", number=5)
    world.log.heal()
    world.released(6)
    open_ = replace(world.github.kept[0], statuses=())
    world.github.kept[0] = open_
    world.target.broken.add("rollout-web")
    assert world.say("/deploy staging").reason is Reason.ROLLOUT_FAILED
    assert world.target.serves() == {SIX}


def test_a_release_that_ends_while_the_lock_is_taken_was_not_interrupted(world: Any) -> None:
    world.released(5)
    world.pull(6)
    world.log.fail("set_status", 2)
    world.say("/deploy staging", number=6)
    world.log.heal()
    number = world.github.kept[-1].id
    world.log.hooks["take_lock"] = lambda: world.github.set_status(number, "success")
    world.target.broken.add("rollout-web")
    assert world.say("/deploy staging").reason is Reason.ROLLOUT_FAILED
    assert world.target.serves() == {SIX}


def test_deployments_of_others_are_left_alone(world: Any) -> None:
    world.released(6)
    world.github.kept.insert(0, replace(world.github.kept[0], id=1, payload={"by": "hand"}, statuses=()))
    assert world.say("/deploy staging").reason is Reason.RELEASED
    assert world.github.kept[0].state == "pending"


# -- heads that move ----------------------------------------------------------------------------------------------
def moves(world: Any, when: str, **over: Any) -> None:
    world.log.hooks[when] = lambda: world.github.pulls.__setitem__(
        7, replace(world.github.pulls[7], head_sha="9" * 40, **over)
    )


def test_a_head_that_moves_before_the_first_mutation_stops_it(world: Any) -> None:
    moves(world, "take_lock")
    outcome = world.say("/deploy staging")
    assert (outcome.decision, outcome.reason) == (Decision.REFUSED, Reason.HEAD_MOVED)
    assert world.mutations() == []
    assert world.github.states() == ["error"]
    assert world.github.locks == {}
    assert len(world.github.thread(7)) == 1
    assert "`/deploy staging @9999999`" in world.shown


def test_a_pull_request_that_is_merged_meanwhile_stops_nothing(world: Any) -> None:
    moves(world, "take_lock", merged=True)
    assert world.say("/deploy staging").reason is Reason.RELEASED


def test_a_rollback_does_not_look_at_the_head(world: Any) -> None:
    world.released(5)
    world.released(6)
    moves(world, "take_lock")
    assert world.say("/rollback staging", author="max").reason is Reason.ROLLED_BACK


def test_a_failure_before_anything_was_touched_still_takes_back_what_an_interrupted_run_left(world: Any) -> None:
    world.released(6)
    world.log.fail("set_status", 2)
    world.say("/deploy staging")  # 7 serves, and nobody knows that it is well
    world.log.heal()
    world.pull(8)
    world.target.broken.add("build")
    outcome = world.say("/deploy staging", number=8)
    assert outcome.reason is Reason.BUILD_FAILED
    assert world.target.serves() == {SIX}
