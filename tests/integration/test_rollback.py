"""Rollbacks: back through the record, to what was verified while it served."""

from __future__ import annotations

from typing import Any

import pytest

from bot.core.canary import Observed
from bot.core.outcome import Decision, Reason
from bot.core.serving import ServiceState, TrafficShare
from bot.errors import UpstreamError


def sha(number: int) -> str:
    return f"{number:07x}" + "0" * 33


def test_what_served_before_serves_again(world: Any) -> None:
    world.released(6)
    world.released(7)
    outcome = world.say("/rollback staging", author="max")
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.RELEASED, Reason.ROLLED_BACK, 0)
    assert outcome.sha == sha(6)
    assert world.target.serves() == {sha(6)}
    assert world.mutations() == [("apply", "restore")]
    assert "back on `0000006`" in world.shown
    assert world.github.states() == ["inactive", "inactive", "success"]


def test_a_rollback_puts_pushes_on_hold_until_somebody_unlocks(world: Any) -> None:
    world.released(6)
    world.released(7)
    world.say('/rollback staging --reason="checkout is slow"', author="max")
    assert "**On hold:**" in world.shown
    hold = world.github.holds["staging"].record
    assert (hold.actor, hold.reason, hold.sticky) == ("max", "checkout is slow", True)
    outcome = world.handle(world.push())
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.REFUSED, Reason.ON_HOLD, 0)
    assert "checkout is slow" in outcome.message
    assert world.target.serves() == {sha(6)}
    assert world.say("/unlock staging").reason is Reason.UNLOCKED
    assert "that max left at" in world.shown
    assert world.handle(world.push()).reason is Reason.RELEASED


def test_a_push_that_waited_for_a_rollback_meets_its_hold(world: Any) -> None:
    """It had looked for one before the rollback put it: the environment was held by a preview meanwhile."""
    world.released(5)
    world.released(6)
    done: list[Any] = []

    def rollback() -> None:
        world.log.hooks.clear()
        done.append(world.say("/rollback staging", author="max"))

    world.log.hooks["take_lock"] = rollback
    outcome = world.handle(world.push())
    assert done[0].reason is Reason.ROLLED_BACK
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.REFUSED, Reason.ON_HOLD, 0)
    assert world.target.serves() == {sha(5)}
    assert world.github.locks == {}


def test_people_may_release_in_spite_of_a_hold(world: Any) -> None:
    world.released(6)
    world.released(7)
    world.say("/rollback staging", author="max")
    world.pull(8)
    assert world.say("/deploy staging", number=8).reason is Reason.RELEASED
    assert "staging" in world.github.holds


def test_an_unlock_waits_for_no_release_job(world: Any) -> None:
    outcome = world.say("/unlock staging", phase="command")
    assert (outcome.decision, outcome.reason) == (Decision.DONE, Reason.UNLOCKED)
    assert world.say("/unlock staging", phase="release", environment="staging").decision is Decision.IGNORED


def test_unlock_and_deploy_go_together(world: Any) -> None:
    world.released(6)
    world.released(7)
    world.say("/rollback staging", author="max")
    world.pull(8)
    assert world.say("/unlock staging\n/deploy staging", number=8).reason is Reason.RELEASED
    assert world.github.holds == {}


def test_unlocking_what_is_not_on_hold_is_said(world: Any) -> None:
    outcome = world.say("/unlock staging")
    assert (outcome.decision, outcome.reason) == (Decision.DONE, Reason.UNLOCKED)
    assert "was neither locked nor on hold" in world.shown


def test_a_hold_that_cannot_be_put_is_told(world: Any) -> None:
    world.released(6)
    world.released(7)
    world.log.fail("put_hold")
    outcome = world.say("/rollback staging", author="max")
    assert outcome.reason is Reason.ROLLED_BACK
    assert "could not be put on hold" in outcome.message


@pytest.mark.parametrize("by", ["sha", "number", "revision"])
def test_a_release_that_is_named_comes_back(world: Any, by: str) -> None:
    world.released(5)
    number, revision = world.github.kept[0].id, world.target.live["worker"].revision
    world.released(6)
    world.released(7)
    name = {"sha": "0000005", "number": number, "revision": revision}[by]
    outcome = world.say(f"/rollback staging --to={name}", author="max")
    assert (outcome.reason, outcome.sha) == (Reason.ROLLED_BACK, sha(5))
    assert world.target.serves() == {sha(5)}
    assert world.github.kept[-1].payload["goal"] == number


def test_a_dry_run_of_a_named_rollback_can_be_run_as_shown(world: Any) -> None:
    for number in (5, 6, 7):
        world.released(number)
    world.say("/rollback staging --to=0000005 --dry-run", author="max")
    assert "`/rollback staging --to=0000005 --plan=" in world.shown
    assert "shop-web-0000005" in world.shown
    name = world.shown.partition("--plan=")[2][:8]
    assert world.say(f"/rollback staging --to=0000005 --plan={name}", author="max").reason is Reason.ROLLED_BACK


def test_a_release_that_was_never_verified_does_not_come_back(world: Any) -> None:
    world.released(5)
    world.target.sick.add(sha(6))
    world.pull(6)
    world.say("/deploy staging", number=6)
    world.released(7)
    outcome = world.say("/rollback staging --to=0000006", author="max")
    assert outcome.reason is Reason.NOTHING_TO_ROLL_BACK_TO
    assert "was never verified" in world.shown


def test_a_second_rollback_goes_one_further_back(world: Any) -> None:
    for number in (5, 6, 7):
        world.released(number)
    world.say("/rollback staging", author="max")
    outcome = world.say("/rollback staging", author="max")
    assert (outcome.reason, outcome.sha) == (Reason.ROLLED_BACK, sha(5))
    assert world.target.serves() == {sha(5)}


def test_failed_releases_are_no_place_to_go_back_to(world: Any) -> None:
    world.released(5)
    world.target.sick.add(sha(6))
    world.pull(6)
    assert world.say("/deploy staging", number=6).reason is Reason.VERIFICATION_FAILED
    world.released(7)
    outcome = world.say("/rollback staging", author="max")
    assert (outcome.reason, outcome.sha) == (Reason.ROLLED_BACK, sha(5))


def test_a_release_after_a_rollback_comes_back_to_what_served(world: Any) -> None:
    for number in (5, 6):
        world.released(number)
    world.say("/rollback staging", author="max")  # 5 serves
    world.released(7)
    outcome = world.say("/rollback staging", author="max")
    assert (outcome.reason, outcome.sha) == (Reason.ROLLED_BACK, sha(5))


def test_the_first_release_has_nothing_before_it(world: Any) -> None:
    world.released(6)
    outcome = world.say("/rollback staging", author="max")
    assert (outcome.decision, outcome.reason) == (Decision.REFUSED, Reason.NOTHING_TO_ROLL_BACK_TO)
    assert "first release" in world.shown
    assert world.github.locks == {}
    assert world.mutations() == []


@pytest.mark.parametrize("exists", [True, False])
def test_what_was_not_released_from_here_cannot_be_rolled_back(world: Any, exists: bool) -> None:
    if exists:
        by_hand = ServiceState(service="web", traffic=(TrafficShare(revision="by-hand", percent=100),))
        world.target.live["web"] = by_hand
    outcome = world.say("/rollback staging", author="max")
    assert outcome.reason is Reason.NOTHING_TO_ROLL_BACK_TO
    assert world.mutations() == []


@pytest.mark.parametrize("over", [{"draft": True}, {"mergeable": False}, {"state": "closed"}, {"base_ref": "other"}])
def test_the_pull_requests_state_does_not_matter(world: Any, over: Any) -> None:
    world.released(5)
    world.released(6)
    world.pull(7, **over)
    world.github.pushes.clear()
    assert world.say("/rollback staging", author="max").reason is Reason.ROLLED_BACK


def test_it_can_be_asked_for_on_an_issue(world: Any) -> None:
    world.released(5)
    world.released(6)
    outcome = world.say("/rollback staging", author="max", number=3, is_pull_request=False)
    assert (outcome.reason, outcome.sha) == (Reason.ROLLED_BACK, sha(5))
    assert len(world.github.thread(3)) == 1


def test_it_can_be_dispatched(world: Any) -> None:
    world.released(5)
    world.released(6)
    outcome = world.handle(world.dispatch("max"), command="rollback", environment="staging")
    assert (outcome.reason, outcome.sha) == (Reason.ROLLED_BACK, sha(5))


def test_a_failed_rollback_is_undone(world: Any) -> None:
    world.released(5)
    world.released(6)
    world.target.sick.add(sha(5))
    outcome = world.say("/rollback staging", author="max")
    assert (outcome.decision, outcome.reason) == (Decision.FAILED, Reason.VERIFICATION_FAILED)
    assert world.target.serves() == {sha(6)}
    assert world.github.states()[-1] == "failure"


def test_a_release_whose_way_back_failed_can_be_rolled_back(world: Any) -> None:
    """What serves then is the failed release: its own record says what served before it."""
    world.released(6)
    world.target.broken.add("undo")
    world.target.public.add("worker")  # the live check of access fails
    outcome = world.say("/deploy staging")
    assert (outcome.decision, outcome.reason) == (Decision.FAILED, Reason.VERIFICATION_FAILED)
    assert world.target.serves() == {sha(7)}
    assert "/rollback staging" in world.shown
    world.target.broken.clear()
    world.target.public.discard("worker")
    outcome = world.say("/rollback staging", author="max")
    assert (outcome.reason, outcome.sha) == (Reason.ROLLED_BACK, sha(6))
    assert world.target.serves() == {sha(6)}


# -- runs that ended before they did ------------------------------------------------------------------------------
@pytest.mark.parametrize("who", ["the same command", "another one"])
def test_an_interrupted_rollback_said_again_goes_where_it_meant_to(world: Any, who: str) -> None:
    for number in (5, 6, 7):
        world.released(number)
    event = world.comment("/rollback staging", author="max")
    # The traffic is back on 6, but nobody wrote down that it is verified.
    world.log.fail("set_status", 2)
    world.handle(event)
    world.log.heal()
    assert world.target.serves() == {sha(6)}
    assert world.github.kept[-1].state == "in_progress"
    outcome = world.handle(event if who == "the same command" else world.comment("/rollback staging", author="max"))
    assert (outcome.reason, outcome.sha) == (Reason.ROLLED_BACK, sha(6))
    assert world.target.serves() == {sha(6)}


def test_a_rollback_after_an_interrupted_release_brings_back_what_served_before_it(world: Any) -> None:
    world.released(5)
    world.released(6)
    world.log.fail("set_status", 2)  # 7 serves, and nobody wrote down how it ended
    world.say("/deploy staging")
    world.log.heal()
    assert world.target.serves() == {sha(7)}
    outcome = world.say("/rollback staging", author="max")
    assert (outcome.reason, outcome.sha) == (Reason.ROLLED_BACK, sha(6))


def _worse(world: Any) -> Any:
    def measure(*_: Any) -> dict[str, Observed]:
        shares = world.target.live["web"].traffic
        candidate = world.target.candidate_of("web")
        return {one.revision: Observed(requests=3000, errors=900 * (one.revision == candidate)) for one in shares}

    return measure


@pytest.mark.parametrize("flags", ["", " --dry-run"])
def test_a_rollback_of_a_share_of_the_traffic_goes_no_further_than_what_has_the_rest(world: Any, flags: str) -> None:
    """Its candidate has the smaller share: what has the larger one is what it was released over, not the present."""
    path = ".github/slipway.yml", "main"
    stages = "strategy: {type: canary, stages: [10], stage_time: 5m, deadline: 20m, metrics: [errors]}"
    world.github.files[path] = world.github.files[path].replace("web: {public", f"web: {{{stages}, public")
    world.target.requests = {"web": {"r": Observed(requests=360_000, errors=360)}}
    world.released(5)
    world.released(6)
    world.target.broken.add("undo")
    world.target.measure = _worse(world)
    outcome = world.say("/deploy staging")
    assert (outcome.reason, outcome.result["release"]["restored"]) == (Reason.CANARY_FAILED, False)
    shares = {share.revision[9:16]: share.percent for share in world.target.live["web"].traffic}
    assert shares == {"0000007": 10, "0000006": 90}
    world.target.broken.clear()
    assert "`/rollback staging`" in world.shown
    outcome = world.say(f"/rollback staging{flags}", author="max")
    assert outcome.sha == sha(6)
    assert flags or world.target.serves() == {sha(6)}


def test_a_dry_run_says_when_there_is_nothing_to_go_back_to(world: Any) -> None:
    assert world.say("/rollback staging --dry-run", author="max").reason is Reason.NOTHING_TO_ROLL_BACK_TO
    assert world.mutations() == []
    assert not world.log.named("take_lock")


def test_what_could_not_be_written_is_no_markdown_in_the_summary(world: Any) -> None:
    world.released(5)
    world.released(6)
    trick = UpstreamError("<img src=x> [here](https://evil.test) @eve", service="GitHub", operation="x", status=500)
    world.log.fail("edit_comment", error=trick)
    world.say("/rollback staging", author="max")
    said = "".join(world.summary)
    assert "could not be written" in said
    assert not [word for word in ("<img", "](https://evil", "@eve") if word in said]
