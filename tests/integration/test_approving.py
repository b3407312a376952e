"""`/approve` and `/reject`: whose word lets a release go, for what, and until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.core.facts import Approval, Approvals, Run
from bot.core.outcome import Decision, Reason
from bot.errors import ConflictError, UpstreamError

from .conftest import CONFIG, sha_of

SHA = sha_of(7)
AGAIN = Run(id=900, attempt=2)


@pytest.fixture
def shop(world: Any) -> Any:
    """A shop whose production wants one approval. Dana's pull request; lee may release, ada and eva are admins."""
    gates = "gates: {required_checks: [ci], approvals: 1}"
    text = CONFIG.replace(
        "production: {target: gcp, permissions: {deploy: admin}}", f"production: {{target: gcp, {gates}}}"
    )
    world.github.files[".github/slipway.yml", "main"] = text
    world.github.permissions.update({"dana": "write", "lee": "write", "ada": "admin", "eva": "admin", "rita": "read"})
    return world


def approve(shop: Any, author: str = "ada", body: str = "/approve production", **over: Any) -> Any:
    return shop.say(body, author=author, **over)


def release(shop: Any, author: str = "lee", body: str = "/deploy production", **over: Any) -> Any:
    return shop.say(body, author=author, **over)


# -- the gate -----------------------------------------------------------------------------------------------------------
def test_a_second_person_lets_it_go(shop: Any) -> None:
    refused = release(shop)
    assert (refused.decision, refused.reason) == (Decision.REFUSED, Reason.APPROVAL_MISSING)
    assert "has 0 of 1 approvals for `production`" in shop.shown
    assert "/approve production @0000007" in shop.shown
    assert shop.mutations() == []
    said = approve(shop)
    assert (said.decision, said.reason, said.sha, said.exit_code) == (Decision.DONE, Reason.APPROVED, SHA, 0)
    assert "✅ ada has approved `0000007` for **production**, until 2026-03-02 13:0" in shop.shown
    assert "1 of 1 approvals (ada)." in shop.shown
    assert "/deploy production @0000007" in shop.shown
    assert release(shop).reason is Reason.RELEASED


def test_where_no_approvals_are_wanted_none_is_asked_for(shop: Any) -> None:
    assert shop.say("/deploy staging").reason is Reason.RELEASED
    assert not shop.log.named("remarks")
    assert approve(shop, body="/approve staging").reason is Reason.NO_APPROVALS
    assert approve(shop, body="/reject staging").reason is Reason.NO_APPROVALS
    assert not shop.github.approvals


def test_it_is_for_one_environment(shop: Any) -> None:
    text = shop.github.files[".github/slipway.yml", "main"]
    shop.github.files[".github/slipway.yml", "main"] = text.replace(
        "gates: {required_checks: [ci]}", "gates: {approvals: 1}"
    )
    approve(shop, body="/approve staging")
    assert release(shop).reason is Reason.APPROVAL_MISSING
    assert release(shop, body="/deploy staging").reason is Reason.RELEASED


@pytest.mark.parametrize("who", ["lee", "max", "rita", "otto"])
def test_who_may_not_approve(shop: Any, who: str) -> None:
    assert approve(shop, who).reason is Reason.FORBIDDEN
    assert not shop.github.approvals


def test_who_may_approve_is_configured(shop: Any) -> None:
    text = shop.github.files[".github/slipway.yml", "main"]
    rule = "target: gcp, permissions: {approve: ['@lee']}, gates"
    shop.github.files[".github/slipway.yml", "main"] = text.replace("target: gcp, gates", rule)
    assert approve(shop, "ada").reason is Reason.FORBIDDEN
    assert approve(shop, "lee").reason is Reason.APPROVED
    assert release(shop, "ada").reason is Reason.RELEASED


def test_nobody_approves_what_he_asks_for(shop: Any) -> None:
    approve(shop, "ada")
    assert release(shop, "ada").reason is Reason.APPROVAL_MISSING
    assert "ada's does not count: ada asks for the release" in shop.shown
    assert release(shop, "Ada").reason is Reason.FORBIDDEN  # a login that GitHub does not know
    approve(shop, "eva")
    assert release(shop, "ada").reason is Reason.RELEASED


def test_nobody_approves_his_own_pull_request(shop: Any) -> None:
    shop.pull(7, author="ada")
    assert approve(shop, "ada").reason is Reason.OWN_WORK
    assert not shop.github.approvals
    assert approve(shop, "eva").reason is Reason.APPROVED
    assert release(shop, "ada").reason is Reason.RELEASED


def test_whoever_starts_the_run_again_has_not_approved_it(shop: Any) -> None:
    approve(shop, "ada")
    assert release(shop, run=AGAIN, actor="ada").reason is Reason.APPROVAL_MISSING


def test_two_are_two_people(shop: Any) -> None:
    text = shop.github.files[".github/slipway.yml", "main"]
    shop.github.files[".github/slipway.yml", "main"] = text.replace("approvals: 1", "approvals: 2")
    approve(shop, "ada")
    approve(shop, "ada")
    assert "1 of 2 approvals (ada)." in shop.shown
    assert "1 more of those who may (admin): `/approve production @0000007`" in shop.shown
    assert release(shop).reason is Reason.APPROVAL_MISSING
    approve(shop, "eva")
    assert "2 of 2 approvals (ada, eva)." in shop.shown
    assert release(shop).reason is Reason.RELEASED


def test_pushes_and_runs_by_hand_want_it_too(shop: Any) -> None:
    text = shop.github.files[".github/slipway.yml", "main"]
    shop.github.files[".github/slipway.yml", "main"] = text.replace("production: {", "production: {on: push, ").replace(
        "on: push, permissions", "permissions"
    )
    shop.pull(7, author="ada", state="closed", merged=True, merge_sha=sha_of(1))
    shop.github.came_by[sha_of(1)] = (7,)
    pushed = shop.handle(shop.push(actor="lee"))
    assert (pushed.reason, pushed.exit_code) == (Reason.APPROVAL_MISSING, 1)
    assert shop.handle(shop.dispatch("lee"), environment="production").reason is Reason.APPROVAL_MISSING
    # on the merged pull request the merge commit has to be named, and whoever opened it still does not count
    assert approve(shop, "eva").reason is Reason.SHA_REQUIRED
    assert "/approve production @0000001" in shop.shown
    assert approve(shop, "ada", "/approve production @0000001").reason is Reason.OWN_WORK
    assert approve(shop, "eva", "/approve production @0000001").reason is Reason.APPROVED
    assert shop.handle(shop.dispatch("lee"), environment="production").reason is Reason.RELEASED


def test_a_rollback_needs_none(shop: Any) -> None:
    approve(shop)
    assert release(shop).reason is Reason.RELEASED
    shop.pull(8, head_sha=sha_of(8))
    approve(shop, number=8)
    assert release(shop, number=8).reason is Reason.RELEASED
    shop.github.approvals.clear()
    assert release(shop, body="/rollback production").reason is Reason.ROLLED_BACK


def test_a_retry_wants_it_and_it_is_not_used_up(shop: Any) -> None:
    approve(shop)
    shop.target.broken.add("build")
    assert release(shop).reason is Reason.BUILD_FAILED
    shop.target.broken.clear()
    there = shop.github.approvals.pop("production")
    assert release(shop, body="/retry production").reason is Reason.APPROVAL_MISSING
    shop.github.approvals["production"] = there
    assert release(shop, body="/retry production").reason is Reason.RELEASED


# -- what it is bound to ----------------------------------------------------------------------------------------------
def test_it_lapses_when_the_head_moves(shop: Any) -> None:
    approve(shop)
    shop.pull(7, head_sha=sha_of(9))
    assert release(shop).reason is Reason.APPROVAL_MISSING


def test_a_head_that_was_pushed_after_the_comment_is_not_meant(shop: Any) -> None:
    now = datetime.fromtimestamp(shop.clock.now(), UTC)
    shop.github.pushes["branch-7", SHA] = now + timedelta(seconds=1)
    assert approve(shop, created_at=now).reason is Reason.HEAD_MOVED
    shop.github.pushes.clear()
    assert approve(shop).reason is Reason.PUSH_UNKNOWN
    assert approve(shop, body="/approve production @0000007").reason is Reason.APPROVED


def test_a_head_that_went_away_and_came_back_wants_a_new_word(shop: Any) -> None:
    approve(shop)
    shop.clock.sleep(60)
    shop.pull(7)  # pushed again
    shop.clock.sleep(120)
    shop.github.pushes["branch-7", SHA] = datetime.fromtimestamp(shop.clock.now(), UTC) - timedelta(seconds=90)
    assert release(shop).reason is Reason.APPROVAL_MISSING
    assert "ada has no comment any more that says so" in shop.shown


def test_it_lapses_with_its_time(shop: Any) -> None:
    approve(shop)
    shop.clock.sleep(3600)
    assert release(shop).reason is Reason.APPROVAL_MISSING


def test_its_time_is_configured(shop: Any) -> None:
    text = shop.github.files[".github/slipway.yml", "main"]
    shop.github.files[".github/slipway.yml", "main"] = text.replace("approvals: 1", "approvals: 1, approval_time: 2h")
    approve(shop)
    shop.clock.sleep(3700)
    assert release(shop).reason is Reason.RELEASED


def test_a_fork_wants_the_sha_named(shop: Any) -> None:
    shop.pull(7, head_repository="eve/shop")
    assert approve(shop).reason is Reason.SHA_REQUIRED


@pytest.mark.parametrize(
    ("body", "over", "reason"),
    [
        ("/approve production @0000008", {}, Reason.HEAD_MOVED),
        ("/approve production", {"number": 3, "is_pull_request": False}, Reason.SHA_REQUIRED),
        ("/reject production", {"number": 3, "is_pull_request": False}, Reason.SHA_REQUIRED),
        ("/approve production @0000001", {"number": 3, "is_pull_request": False}, Reason.APPROVED),
        ("/approve production @fffffff", {"number": 3, "is_pull_request": False}, Reason.SHA_UNKNOWN),
        ("/approve nowhere", {}, Reason.UNKNOWN_ENVIRONMENT),
        ("/approve production --for=1d", {}, Reason.BAD_ARGUMENTS),
    ],
)
def test_which_commit_is_meant(shop: Any, body: str, over: Any, reason: Reason) -> None:
    assert approve(shop, body=body, **over).reason is reason


def test_the_default_environment_is_not_meant(shop: Any) -> None:
    text = shop.github.files[".github/slipway.yml", "main"]
    shop.github.files[".github/slipway.yml", "main"] = f"{text}default_environment: staging\n"
    assert approve(shop, body="/approve").reason is Reason.UNKNOWN_ENVIRONMENT
    assert approve(shop, body="/reject @0000007").reason is Reason.UNKNOWN_ENVIRONMENT


def test_what_is_promoted_is_approved_from_anywhere(shop: Any) -> None:
    text = shop.github.files[".github/slipway.yml", "main"]
    shop.github.files[".github/slipway.yml", "main"] = text.replace(
        "production: {", "production: {promote_from: staging, "
    )
    shop.pull(8, author="lee")
    assert shop.say("/deploy staging").reason is Reason.RELEASED
    shop.clock.sleep(60)
    shop.github.commits["x"] = SHA
    shop.github.came_by[SHA] = (7,)
    assert release(shop, body="/promote production", number=8).reason is Reason.APPROVAL_MISSING
    assert approve(shop, body="/approve production @0000007", number=8).reason is Reason.APPROVED
    assert "/promote production @0000007" in shop.github.thread(8)[-1]
    assert release(shop, body="/promote production", number=8).reason is Reason.RELEASED


# -- rejecting --------------------------------------------------------------------------------------------------------
def test_a_rejection_keeps_it_out_until_it_is_taken_back(shop: Any) -> None:
    approve(shop, "ada")
    said = approve(shop, "eva", "/reject production")
    assert (said.decision, said.reason) == (Decision.DONE, Reason.REJECTED_NOW)
    assert "⛔ eva has rejected `0000007` for **production**" in shop.shown
    assert "whoever has rejected it may take that back: `/approve production @0000007`" in shop.shown
    assert release(shop).reason is Reason.REJECTED
    shop.clock.sleep(5 * 3600)
    approve(shop, "ada")
    assert release(shop).reason is Reason.REJECTED
    approve(shop, "eva")
    assert release(shop).reason is Reason.RELEASED


def test_it_takes_back_ones_own_approval(shop: Any) -> None:
    approve(shop, "ada")
    approve(shop, "ada", "/reject production")
    assert [one.verdict for one in shop.github.approvals["production"].entries] == ["reject"]


def test_it_means_the_head_as_it_is(shop: Any) -> None:
    shop.github.pushes.clear()
    assert approve(shop, body="/reject production").reason is Reason.REJECTED_NOW
    shop.pull(7, state="closed", merged=True, merge_sha=sha_of(1))
    assert approve(shop, body="/reject production").sha == sha_of(1)


def test_one_may_reject_ones_own_work(shop: Any) -> None:
    shop.pull(7, author="ada")
    assert approve(shop, "ada", "/reject production").reason is Reason.REJECTED_NOW


def test_a_rejection_of_another_commit_is_none_of_this_one(shop: Any) -> None:
    approve(shop, "eva", "/reject production")
    shop.pull(7, head_sha=sha_of(9))
    approve(shop, "ada")
    assert release(shop).reason is Reason.RELEASED


def test_a_rejection_while_it_waits_for_its_lock(shop: Any) -> None:
    approve(shop, "ada")
    no = Approval(
        verdict="reject", actor="eva", sha=SHA, since=datetime.fromtimestamp(shop.clock.now(), UTC), comment="IC_x"
    )

    def late() -> None:
        shop.log.hooks.clear()
        there = shop.github.approvals["production"]
        shop.github.approvals["production"] = replace(there, entries=(*there.entries, no))

    shop.log.hooks["take_lock"] = late
    assert release(shop).reason is Reason.REJECTED
    assert shop.mutations() == []


# -- what is written down proves nothing --------------------------------------------------------------------------------
def test_a_ref_that_somebody_else_wrote_lets_nothing_go(shop: Any) -> None:
    now = datetime.fromtimestamp(shop.clock.now(), UTC)
    forged = Approval(verdict="approve", actor="ada", sha=SHA, since=now, comment="IC_0")
    shop.github.approvals["production"] = Approvals(oid="e" * 40, entries=(forged,))
    assert release(shop).reason is Reason.APPROVAL_MISSING
    shop.say("/help", author="ada")  # and no other comment of hers will do
    node = max(shop.github.remarked)
    shop.github.approvals["production"] = Approvals(
        oid="e" * 40, entries=(replace(forged, comment=node, since=shop.github.remarked[node].created_at),)
    )
    assert release(shop).reason is Reason.APPROVAL_MISSING


@pytest.mark.parametrize("over", [{"edited": True}, {"body": "/approve staging"}, {"author": "eva"}])
def test_a_comment_that_was_changed_is_no_approval(shop: Any, over: Any) -> None:
    approve(shop)
    (node,) = shop.github.remarked
    shop.github.remarked[node] = replace(shop.github.remarked[node], **over)
    assert release(shop).reason is Reason.APPROVAL_MISSING


def test_a_comment_that_was_deleted_is_no_approval(shop: Any) -> None:
    approve(shop)
    shop.github.remarked.clear()
    assert release(shop).reason is Reason.APPROVAL_MISSING


def test_whoever_lost_the_right_has_not_approved(shop: Any) -> None:
    approve(shop)
    shop.github.permissions["ada"] = "write"
    assert release(shop).reason is Reason.APPROVAL_MISSING
    assert "ada may not approve" in shop.shown


def test_a_record_that_cannot_be_read_lets_nothing_go(shop: Any) -> None:
    shop.github.approvals["production"] = Approvals(oid="e" * 40, entries=None)
    assert release(shop).reason is Reason.APPROVAL_MISSING
    assert approve(shop).reason is Reason.APPROVAL_MISSING
    assert "refs/slipway/approvals/production" in shop.shown
    assert shop.github.approvals["production"].oid == "e" * 40


# -- runs that are started again ----------------------------------------------------------------------------------------
def test_a_run_that_is_started_again_makes_it_no_younger(shop: Any) -> None:
    event = shop.comment("/approve production", author="ada")
    shop.handle(event)
    shop.clock.sleep(1800)
    assert shop.handle(event).reason is Reason.APPROVED
    assert "until 2026-03-02 13:00 UTC" in shop.shown
    shop.clock.sleep(1800)
    assert shop.handle(event).reason is Reason.APPROVAL_MISSING
    assert release(shop).reason is Reason.APPROVAL_MISSING


def test_nor_does_it_bring_back_what_was_taken_back(shop: Any) -> None:
    event = shop.comment("/approve production", author="ada")
    shop.handle(event)
    approve(shop, "ada", "/reject production")
    assert shop.handle(event).reason is Reason.BAD_ARGUMENTS
    assert release(shop).reason is Reason.REJECTED


def test_whoever_starts_it_again_needs_the_right_too(shop: Any) -> None:
    event = shop.comment("/approve production", author="ada")
    assert shop.handle(event, run=AGAIN, actor="lee").reason is Reason.FORBIDDEN


def test_it_is_said_in_a_comment(shop: Any) -> None:
    event = shop.dispatch("ada")
    over = {"command": "approve", "environment": "production", "pinned_sha": sha_of(1)}
    assert shop.handle(event, **over).reason is Reason.BAD_ARGUMENTS


# -- several at once, and tidying -----------------------------------------------------------------------------------------
def test_of_two_who_speak_at_once_both_are_heard(shop: Any) -> None:
    def faster() -> None:
        shop.log.hooks.clear()
        approve(shop, "eva")

    shop.log.hooks["put_approvals"] = faster
    assert approve(shop, "ada").reason is Reason.APPROVED
    assert {one.actor for one in shop.github.approvals["production"].entries} == {"ada", "eva"}


def test_one_who_is_never_heard_is_told(shop: Any) -> None:
    def faster() -> None:
        there = shop.github.approvals.get("production", Approvals())
        shop.github.approvals["production"] = replace(there, oid=f"{len(shop.log.calls):040x}")

    shop.log.hooks["put_approvals"] = faster
    with pytest.raises(ConflictError):
        approve(shop)


def test_what_is_over_is_taken_away_by_the_next_word(shop: Any) -> None:
    approve(shop, "eva")
    shop.clock.sleep(3600)
    shop.pull(8)
    approve(shop, "ada", number=8)
    assert [(one.actor, one.sha) for one in shop.github.approvals["production"].entries] == [("ada", sha_of(8))]


def test_and_by_the_next_release(shop: Any) -> None:
    approve(shop, "ada")
    there = shop.github.approvals["production"]
    old = replace(there.entries[0], actor="eva", since=there.entries[0].since - timedelta(hours=2))
    shop.github.approvals["production"] = replace(there, entries=(old, *there.entries))
    assert release(shop).reason is Reason.RELEASED
    assert [one.actor for one in shop.github.approvals["production"].entries] == ["ada"]


def test_the_last_that_is_over_takes_the_ref_along_and_a_failure_of_that_fails_nothing(shop: Any) -> None:
    approve(shop, "ada")
    shop.clock.sleep(3600)
    past = '/deploy production --override=approvals --reason="at night"'
    shop.log.fail("put_approvals")
    assert release(shop, "ada", past).reason is Reason.RELEASED
    assert "production" in shop.github.approvals
    shop.log.heal()
    shop.pull(8)
    assert release(shop, "ada", past, number=8).reason is Reason.RELEASED
    assert not shop.github.approvals


# -- reviewers of the GitHub environment ------------------------------------------------------------------------------
@pytest.fixture
def reviewed(world: Any) -> Any:
    """Have the reviewers of the GitHub environment `prod` approve each release to staging."""
    text = world.github.files[".github/slipway.yml", "main"]
    text = text.replace("staging: {target: gcp,", "staging: {target: gcp, approvals: {environment: prod},")
    world.github.files[".github/slipway.yml", "main"] = text
    world.pull()
    return world


RELEASING = {"phase": "release", "environment": "staging"}


@pytest.mark.parametrize(
    ("approved", "reason"),
    [([], Reason.RUN_UNREVIEWED), (["Dana"], Reason.RUN_UNREVIEWED), (["dana", "lee"], Reason.RELEASED)],
)
def test_somebody_else_has_to_approve_the_run_on_github(reviewed: Any, approved: list[str], reason: Reason) -> None:
    reviewed.github.reviewers["prod"] = approved
    assert reviewed.say("/deploy staging", phase="command").reason is Reason.READY
    assert reviewed.say("/deploy staging", **RELEASING).reason is reason


def test_who_starts_the_run_again_does_not_approve_it(reviewed: Any) -> None:
    reviewed.github.reviewers["prod"] = ["max"]
    run = Run(id=900, attempt=2, url="https://github.com/acme/shop/actions/runs/900")
    outcome = reviewed.say("/deploy staging", actor="max", run=run, **RELEASING)
    assert outcome.reason is Reason.RUN_UNREVIEWED


def test_in_one_job_nobody_is_asked_so_it_is_refused(reviewed: Any) -> None:
    outcome = reviewed.say("/deploy staging")
    assert outcome.reason is Reason.RUN_UNREVIEWED
    assert "Give `prod` required reviewers" in reviewed.shown


def test_a_rollback_waits_for_no_reviewer_of_ours(world: Any) -> None:
    world.released(6)
    world.released(7)
    text = world.github.files[".github/slipway.yml", "main"]
    text = text.replace("staging: {target: gcp,", "staging: {target: gcp, approvals: {environment: prod},")
    world.github.files[".github/slipway.yml", "main"] = text
    assert world.say("/rollback staging", author="max").reason is Reason.ROLLED_BACK
    assert world.log.named("run_reviewers") == []


def test_what_reviewers_said_cannot_be_read(reviewed: Any) -> None:
    reviewed.github.reviewers["prod"] = ["lee"]
    reviewed.log.fail("run_reviewers")
    with pytest.raises(UpstreamError):
        reviewed.say("/deploy staging", **RELEASING)
    assert reviewed.mutations() == []
