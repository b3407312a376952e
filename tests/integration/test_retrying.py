"""`/retry`: what failed last, once more."""

from __future__ import annotations

from typing import Any

import pytest

from bot.core.outcome import Decision, Reason


def sha(number: int) -> str:
    return f"{number:07x}" + "0" * 33


@pytest.fixture
def failed(world: Any) -> Any:
    """A shop where pull request 7 could not be verified, for a reason that is gone."""
    world.released(6)
    world.pull(7)
    world.target.sick.add(sha(7))
    assert world.say("/deploy staging").reason is Reason.VERIFICATION_FAILED
    world.target.sick.clear()
    return world


def test_the_same_commit_is_released(failed: Any) -> None:
    outcome = failed.say("/retry staging")
    assert (outcome.decision, outcome.reason, outcome.sha) == (Decision.RELEASED, Reason.RELEASED, sha(7))
    assert failed.target.serves() == {sha(7)}


def test_by_two_jobs(failed: Any) -> None:
    outcome = failed.say("/retry staging", phase="command")
    assert (outcome.decision, outcome.sha, outcome.environments) == (Decision.RELEASE, sha(7), ("staging",))
    outcome = failed.say("/retry staging", phase="release", environment="staging", pinned_sha=sha(7))
    assert outcome.reason is Reason.RELEASED


def test_every_gate_is_asked_again(failed: Any) -> None:
    failed.pull(7, draft=True)
    assert failed.say("/retry staging").reason is Reason.PULL_REQUEST_DRAFT


def test_a_moved_head_is_no_retry(failed: Any) -> None:
    failed.pull(7, head_sha=sha(77))
    assert failed.say("/retry staging").reason is Reason.HEAD_MOVED
    assert failed.target.serves() == {sha(6)}


def test_what_went_well_is_not_retried(world: Any) -> None:
    world.released(7)
    assert world.say("/retry staging").reason is Reason.NOTHING_TO_RETRY
    assert "`0000007` went well" in world.shown


def test_nothing_was_released_yet(world: Any) -> None:
    assert world.say("/retry staging").reason is Reason.NOTHING_TO_RETRY


@pytest.mark.parametrize("over", [{"number": 8}, {"number": 3, "is_pull_request": False}])
def test_another_pull_requests_failure_is_its_own(failed: Any, over: Any) -> None:
    failed.pull(8)
    assert failed.say("/retry staging", **over).reason is Reason.NOTHING_TO_RETRY
    assert "not from here" in failed.github.thread(over["number"])[-1]


def test_a_rollback_that_failed_goes_to_the_same_release(world: Any) -> None:
    for number in (5, 6, 7):
        world.released(number)
    world.target.broken.add("restore")
    assert world.say(f"/rollback staging --to={sha(5)}", author="max").decision is Decision.FAILED
    world.target.broken.clear()
    assert world.say("/retry staging", author="dana").reason is Reason.FORBIDDEN  # rollbacks are for those on call
    assert world.say("/retry staging", author="max").reason is Reason.ROLLED_BACK
    assert world.target.serves() == {sha(5)}


def test_another_attempt_of_the_run_means_the_same(failed: Any) -> None:
    event = failed.comment("/retry staging")
    assert failed.handle(event).reason is Reason.RELEASED
    assert failed.handle(event).reason is Reason.ALREADY_DONE
