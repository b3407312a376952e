"""GitHub and the target failing at each call of a release: what serves is safe, the lock is let go, people are told."""

from __future__ import annotations

from typing import Any

import pytest

from bot.core.outcome import Decision, Reason
from bot.errors import AuthError, ForbiddenError, NotFoundError, SlipwayError, UpstreamError

SIX, SEVEN = "0000006" + "0" * 33, "0000007" + "0" * 33
READS = ["permission", "file", "pull_request", "checks", "pushed_at", "deployments", "held"]
BEFORE = [*READS, "take_lock", "comment", "create_deployment"]


def attempt(world: Any, text: str = "/deploy staging", **over: Any) -> Any:
    """Say something; return the outcome, or the error that came out."""
    try:
        return world.say(text, **over)
    except SlipwayError as error:
        return error


@pytest.mark.parametrize("name", BEFORE)
def test_a_failure_before_the_first_mutation_changes_nothing(world: Any, name: str) -> None:
    world.released(6)
    world.log.fail(name)
    error = attempt(world)
    assert isinstance(error, UpstreamError)
    assert world.mutations() == []
    assert world.target.serves() == {SIX}
    assert world.github.locks == {}
    assert "in_progress" not in world.github.states()


@pytest.mark.parametrize("name", ["file", "pull_request", "checks", "pushed_at", "deployments", "held", "take_lock"])
def test_the_author_is_told_of_a_failure(world: Any, name: str) -> None:
    world.log.fail(name)
    attempt(world)
    assert len(world.github.thread(7)) == 1
    assert "GitHub answered 502." in world.shown
    assert world.github.reactions == ["confused"]


def test_who_cannot_be_authorised_is_told_nothing_but_a_sign(world: Any) -> None:
    world.log.fail("permission")
    assert isinstance(attempt(world), UpstreamError)
    assert world.github.bodies == {}
    assert world.github.reactions == ["confused"]


def test_a_reader_is_not_told_of_failures(world: Any) -> None:
    world.log.fail("file")
    assert isinstance(attempt(world, author="rita"), UpstreamError)
    assert world.github.bodies == {}


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_the_pull_request_cannot_be_read_again(world: Any, nth: int) -> None:
    """The first is for the gates, the second right before the first mutation, the third to tell what is newer."""
    world.log.fail("pull_request", nth)
    outcome = attempt(world)
    if nth == 3:
        assert outcome.reason is Reason.RELEASED
    else:
        assert isinstance(outcome, UpstreamError)
        assert world.mutations() == []
        assert "GitHub answered 502." in world.shown
        assert world.github.states() == ["error"] * (nth - 1)
    assert world.github.locks == {}


@pytest.mark.parametrize(
    ("name", "nth", "shown"),
    [
        ("set_status", 1, "is live on **staging**"),  # in_progress
        ("set_status", 2, "is live on **staging**"),  # success
        ("edit_comment", 0, "Deploying"),
        ("react", 0, "is live on **staging**"),
        ("compare", 0, "is live on **staging**"),
        ("release_lock", 0, "is live on **staging**"),
    ],
)
def test_a_release_does_not_hang_on_being_told(world: Any, name: str, nth: int, shown: str) -> None:
    world.released(6)
    world.log.fail(name, nth)
    outcome = world.say("/deploy staging")
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.RELEASED, Reason.RELEASED, 0)
    assert world.target.serves() == {SEVEN}
    assert shown in world.shown
    assert "is live on **staging**" in world.summary[0]
    assert (world.github.locks == {}) == (name != "release_lock")


@pytest.mark.parametrize(("name", "nth", "word"), [("set_status", 2, "last status"), ("edit_comment", 0, "comment")])
def test_what_could_not_be_told_is_in_the_summary(world: Any, name: str, nth: int, word: str) -> None:
    world.log.fail(name, nth)
    outcome = world.say("/deploy staging")
    assert any(word in text for text in world.summary[1:])
    assert word in outcome.message


def test_the_last_status_is_written_though_the_comment_fails(world: Any) -> None:
    world.log.fail("edit_comment")
    world.say("/deploy staging")
    assert world.github.states() == ["success"]


def test_the_lock_outlives_no_status(world: Any) -> None:
    world.log.fail("edit_comment")
    world.say("/deploy staging")
    assert world.log.last("set_status") < world.log.first("release_lock")


def test_a_deleted_comment_is_made_anew(world: Any) -> None:
    world.log.hooks["exposure"] = world.github.bodies.clear
    outcome = world.say("/deploy staging")
    assert outcome.reason is Reason.RELEASED
    assert "is live on **staging**" in world.shown
    assert outcome.comment_id in world.github.bodies


def test_a_team_that_cannot_be_asked_is_no_permission(world: Any) -> None:
    world.released(6)
    error = ForbiddenError("The token may not read teams.", service="GitHub", operation="team", status=403)
    world.log.fail("team_member", error=error)
    assert attempt(world, "/rollback staging") is error
    assert world.mutations() == []
    assert "The token may not read teams." in world.shown


# -- the target -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "error",
    [
        AuthError("No credentials.", hint="Give the job `id-token: write`."),
        UpstreamError("Cloud Run answered 503.", service="Cloud Run", operation="get", status=503),
    ],
)
@pytest.mark.parametrize("name", ["connect", "serving"])
def test_a_target_that_cannot_be_asked_changes_nothing(world: Any, name: str, error: SlipwayError) -> None:
    world.log.fail(name, error=error)
    assert attempt(world) is error
    assert world.mutations() == []
    assert world.github.kept == []
    assert world.github.locks == {}
    assert error.message.rstrip(".") in world.shown


def test_what_serves_at_the_end_may_stay_unknown(world: Any) -> None:
    world.released(6)
    world.target.broken.add("shift")

    def hook() -> None:
        if len(world.log.named("serving")) == 2:  # before, and for the last report
            raise NotFoundError("Gone.", service="Cloud Run", operation="get", status=404)

    world.log.hooks["serving"] = hook
    outcome = world.say("/deploy staging")
    assert (outcome.reason, outcome.url) == (Reason.SHIFT_FAILED, "")
    assert world.github.states()[-1] == "failure"
    assert world.target.serves() == {SIX}


def test_a_release_that_went_well_says_what_its_last_check_saw(world: Any) -> None:
    world.released(6)
    assert world.say("/deploy staging").reason is Reason.RELEASED
    assert len(world.log.named("serving")) == 2  # before, and by the check of what serves


@pytest.mark.parametrize(
    ("step", "reason", "restored"),
    [
        ("build", Reason.BUILD_FAILED, None),
        ("job-migrate", Reason.JOB_FAILED, None),
        ("rollout-worker", Reason.ROLLOUT_FAILED, True),
        ("shift", Reason.SHIFT_FAILED, True),
    ],
)
def test_a_step_that_fails_leaves_what_served(world: Any, step: str, reason: Reason, restored: bool | None) -> None:
    world.released(6)
    world.target.broken.add(step)
    outcome = world.say("/deploy staging")
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.FAILED, reason, 1)
    assert outcome.result["release"]["restored"] is restored
    assert world.target.serves() == {SIX}
    assert world.github.states()[-1] == "failure"
    assert world.github.reactions[-1] == "confused"
    assert f"{step} went wrong" in world.shown
    assert f"first error of {step}" in world.shown
    assert (("undo",) in world.log.named("observe")) == bool(restored)


@pytest.mark.parametrize("phase", ["candidate", "live"])
def test_a_check_that_fails_leaves_what_served(world: Any, phase: str) -> None:
    world.released(6)
    if phase == "candidate":
        world.target.sick.add(SEVEN)
    else:
        world.target.public.add("worker")
    outcome = world.say("/deploy staging")
    assert outcome.reason is Reason.VERIFICATION_FAILED
    assert world.target.serves() == {SIX}
    shifted = "shift" in [name for _, name in world.mutations()]
    assert shifted == (phase == "live")
    assert ("No user saw it." in world.shown) == (phase == "candidate")


def test_a_cancelled_release_is_taken_back_and_told(world: Any) -> None:
    world.released(6)
    world.target.stuck.add("shift")
    world.log.hooks["observe"] = lambda: world.clock.stop() if ("apply", "shift") in world.mutations() else None
    outcome = world.say("/deploy staging")
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.CANCELLED, Reason.CANCELLED, 1)
    assert world.target.serves() == {SIX}
    assert world.target.cancelled == ["shift"]
    assert world.github.states()[-1] == "error"
    assert world.github.locks == {}
    assert "was cancelled" in world.shown
    assert "Not undone" in world.shown


def test_a_way_back_that_fails_is_told_at_once(world: Any) -> None:
    world.released(6)
    world.target.public.add("worker")
    world.target.broken.add("undo")
    outcome = world.say("/deploy staging")
    assert outcome.result["release"]["restored"] is False
    assert "RESTORING FAILED" in outcome.message
    assert "not restored" in world.shown
