"""Every way in which a command is not carried out: the reason, who is told, and that nothing was changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bot.core.facts import CheckState, Comparison, Opinion, Run
from bot.core.outcome import Decision, Reason

SEVEN, ONE = "0000007" + "0" * 33, "0000001" + "0" * 33
PATH = ".github/slipway.yml", "main"


def gates(world: Any, text: str) -> None:
    world.github.files[PATH] = world.github.files[PATH].replace("gates: {required_checks: [ci]}", f"gates: {text}")


@pytest.mark.parametrize(
    ("pull", "reason"),
    [
        ({"state": "closed"}, Reason.PULL_REQUEST_CLOSED),
        ({"draft": True}, Reason.PULL_REQUEST_DRAFT),
        ({"mergeable": False}, Reason.PULL_REQUEST_CONFLICTS),
        ({"base_ref": "release"}, Reason.WRONG_BASE),
        ({"head_repository": "eve/shop"}, Reason.FORK),
        ({"head_repository": ""}, Reason.FORK),
    ],
)
def test_the_state_of_the_pull_request(world: Any, pull: Any, reason: Reason) -> None:
    world.pull(7, **pull)
    refused(world, world.say("/deploy staging"), reason)


@pytest.mark.parametrize(
    ("checks", "reason"),
    [
        ((), Reason.CHECKS_MISSING),
        ((CheckState(name="lint", state="success"),), Reason.CHECKS_MISSING),
        ((CheckState(name="ci", state="pending"),), Reason.CHECKS_PENDING),
        ((CheckState(name="ci", state="failure"),), Reason.CHECKS_FAILED),
        ((CheckState(name="ci", state="success"), CheckState(name="ci", state="failure")), Reason.CHECKS_FAILED),
    ],
)
@pytest.mark.parametrize("source", ["{required_checks: [ci]}", "{required_checks: branch}"])
@pytest.mark.parametrize("before", [0, 100])
def test_required_checks(world: Any, checks: Any, reason: Reason, source: str, before: int) -> None:
    gates(world, source)
    others = (CheckState(name=f"lint {number}", state="success") for number in range(before))
    world.github.check_states[SEVEN] = (*others, *checks)
    refused(world, world.say("/deploy staging"), reason)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("/deploy nowhere", Reason.UNKNOWN_ENVIRONMENT),
        ("/deploy stagign", Reason.UNKNOWN_ENVIRONMENT),
        ("/deploy", Reason.UNKNOWN_ENVIRONMENT),
        ("/status nowhere", Reason.UNKNOWN_ENVIRONMENT),
        ("/deploy staging @1234567", Reason.HEAD_MOVED),
        ("/deploy staging api", Reason.UNKNOWN_SERVICE),
        ("/deploy staging @xyz", Reason.BAD_ARGUMENTS),
        ('/deploy staging --reason="open', Reason.BAD_ARGUMENTS),
        ("/deplyo staging", Reason.UNKNOWN_COMMAND),
    ],
)
def test_what_was_typed(world: Any, text: str, reason: Reason) -> None:
    refused(world, world.say(text), reason)


def test_a_run_that_somebody_else_starts_again_needs_his_role_too(world: Any) -> None:
    """GitHub runs it with the first one's event: it says nothing of who wanted it this time."""
    again = Run(id=501, attempt=2, url="https://github.test/r")
    event = world.comment("/deploy production", author="ada")
    refused(world, world.handle(event, run=again, actor="dana"), Reason.FORBIDDEN)
    assert "and dana has not got it" in world.shown
    assert world.handle(event, run=again, actor="eve").reason is Reason.FORBIDDEN  # nobody knows him
    assert world.mutations() == []
    assert world.handle(event, run=again, actor="Ada").reason is Reason.RELEASED
    first = world.handle(
        world.comment("/deploy production", author="ada"), actor="eve"
    )  # whoever: it is the first attempt
    assert first.reason is Reason.RELEASED


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("/deploy stagign", "/deploy staging"),
        ("/deploy stagign @0000007", "/deploy staging @0000007"),
        ("/preview create stagign --ttl=2d", "/preview create staging --ttl=2d"),
        ("/rollback stagign --to=12", "/rollback staging --to=12"),
        ("/rollback --to=12", "/rollback staging --to=12"),  # production comes first in the alphabet
    ],
)
def test_a_mistyped_environment_gets_the_nearest_name_and_keeps_the_rest(world: Any, typed: str, meant: str) -> None:
    world.say(typed, author="ada")
    assert f"**Next:** `{meant}`" in world.shown


@pytest.mark.parametrize("state", ["pending", "failure"])
def test_a_command_that_names_its_sha_is_to_be_said_again_with_it(world: Any, state: Any) -> None:
    gates(world, "{required_checks: [ci], require_sha: true}")
    world.github.check_states[SEVEN] = (CheckState(name="ci", state=state),)
    world.say("/deploy staging @0000007")
    assert "then `/deploy staging @0000007`" in world.shown


def test_a_head_that_was_pushed_after_the_comment(world: Any) -> None:
    event = world.comment("/deploy staging")
    world.github.pushes["branch-7", SEVEN] = event.created_at + timedelta(seconds=1)
    outcome = world.handle(event)
    refused(world, outcome, Reason.HEAD_MOVED)
    assert "`/deploy staging @0000007`" in world.shown


def test_a_head_that_nobody_saw_being_pushed(world: Any) -> None:
    world.github.pushes.clear()
    refused(world, world.say("/deploy staging"), Reason.PUSH_UNKNOWN)
    assert world.say("/deploy staging @0000007").reason is Reason.RELEASED


def test_a_sha_that_must_be_named(world: Any) -> None:
    gates(world, "{require_sha: true}")
    refused(world, world.say("/deploy staging"), Reason.SHA_REQUIRED)
    assert world.say("/deploy staging @0000007").reason is Reason.RELEASED


def test_a_fork_where_forks_are_allowed_names_its_sha(world: Any) -> None:
    gates(world, "{allow_forks: true}")
    world.pull(7, head_repository="eve/shop")
    refused(world, world.say("/deploy staging"), Reason.SHA_REQUIRED)
    assert world.say("/deploy staging @0000007").reason is Reason.RELEASED


def test_what_is_not_acted_on_yet(world: Any) -> None:
    world.github.files[PATH] = world.github.files[PATH].replace("{target: gcp, on", "{target: gcp, backup: {a: b}, on")
    refused(world, world.say("/deploy staging"), Reason.UNSUPPORTED_SETTING)


def test_every_reason_is_told_at_once(world: Any) -> None:
    world.pull(7, draft=True, base_ref="release")
    refused(world, world.say("/deploy staging"), Reason.PULL_REQUEST_DRAFT)
    assert "for 2 reasons" in world.shown


def test_a_gate_of_the_environment_stands_in_for_the_general_one(world: Any) -> None:
    world.github.files[PATH] = world.github.files[PATH].replace(
        "{target: gcp, on", "{target: gcp, gates: {allow_drafts: true}, on"
    )
    world.pull(7, draft=True)
    world.github.check_states[SEVEN] = ()
    assert world.say("/deploy staging").reason is Reason.RELEASED


def refused(world: Any, outcome: Any, reason: Reason) -> None:
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.REFUSED, reason, 0)
    assert world.mutations() == []
    assert world.github.kept == []
    assert not world.log.named("take_lock")
    assert len(world.github.thread(7)) == 1
    if reason is not Reason.UNKNOWN_COMMAND and reason is not Reason.BAD_ARGUMENTS:
        assert world.github.reactions == ["-1"]


# -- who may --------------------------------------------------------------------------------------------------------
def test_an_outsider_gets_a_sign_and_no_answer(world: Any) -> None:
    outcome = world.say("/help", author="eve")
    assert (outcome.decision, outcome.reason) == (Decision.REFUSED, Reason.FORBIDDEN)
    assert world.github.bodies == {}
    assert world.github.reactions == ["-1"]


def test_a_reader_gets_a_sign_and_no_answer_to_what_is_not_his(world: Any) -> None:
    assert world.say("/deploy staging", author="rita").reason is Reason.FORBIDDEN
    assert world.github.bodies == {}
    assert world.say("/status", author="rita").reason is Reason.STATUS_SHOWN


def test_a_colleague_is_told_which_role_it_takes(world: Any) -> None:
    outcome = world.say("/deploy production")
    assert outcome.reason is Reason.FORBIDDEN
    assert "needs `admin`" in world.shown
    assert world.mutations() == []


@pytest.mark.parametrize("member", [True, False])
def test_a_team_may(world: Any, member: bool) -> None:
    world.released(5)
    world.released(6)
    if member:
        world.github.teams.add(("acme", "oncall", "dana"))
    outcome = world.say("/rollback staging")
    assert outcome.reason is (Reason.ROLLED_BACK if member else Reason.FORBIDDEN)


def test_an_outsider_in_a_team_may_not(world: Any) -> None:
    world.github.teams.add(("acme", "oncall", "eve"))
    assert world.say("/rollback staging", author="eve").reason is Reason.FORBIDDEN
    assert not world.log.named("team_member")


def test_a_push_by_somebody_who_may_not_fails_the_run(world: Any) -> None:
    outcome = world.handle(world.push(actor="eve"))
    assert (outcome.reason, outcome.exit_code) == (Reason.FORBIDDEN, 1)
    assert world.mutations() == []


def test_a_merge_queues_push_counts_as_one_by_somebody_who_may_write(world: Any) -> None:
    outcome = world.handle(world.push(actor="github-merge-queue[bot]", bot=True))
    assert outcome.reason is Reason.RELEASED


def test_a_merge_queue_is_no_admin(world: Any) -> None:
    world.github.files[PATH] = world.github.files[PATH].replace(
        "permissions: {rollback", "permissions: {deploy: admin, rollback"
    )
    outcome = world.handle(world.push(actor="github-merge-queue[bot]", bot=True))
    assert (outcome.reason, outcome.exit_code) == (Reason.FORBIDDEN, 1)


# -- what is not for us -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["looks good", "see /usr/bin", "> /deploy staging", "/scale staging", "`/deploy`"])
def test_prose_is_ignored(world: Any, text: str) -> None:
    outcome = world.say(text, reaction_id=55)
    assert (outcome.decision, outcome.reason) == (Decision.IGNORED, Reason.NOT_A_COMMAND)
    assert world.github.unreacted == [55]
    assert [name for name, _ in world.log.calls] == ["unreact"]


def test_a_reaction_that_cannot_be_taken_back_is_no_matter(world: Any) -> None:
    world.log.fail("unreact")
    assert world.say("looks good", reaction_id=55).decision is Decision.IGNORED


def test_bots_are_ignored_unless_named(world: Any) -> None:
    assert world.say("/status", author_is_bot=True, author_id=41).decision is Decision.IGNORED
    outcome = world.say("/status", author_is_bot=True, author_id=41, allowed_bots=frozenset({41}))
    assert outcome.reason is Reason.STATUS_SHOWN


@pytest.mark.parametrize("author", ["rita", "eve"])
def test_who_may_not_gets_no_hint(world: Any, author: str) -> None:
    outcome = world.say("/deplyo staging", author=author, reaction_id=55)
    assert outcome.decision is Decision.REFUSED
    assert world.github.bodies == {}


def test_a_hint_shows_what_was_probably_meant(world: Any) -> None:
    world.say("/deplyo staging")
    assert "did you mean `/deploy staging`" in world.shown


def test_a_near_miss_beside_a_command_is_prose(world: Any) -> None:
    assert world.say("/deploy staging\n/statsu").reason is Reason.RELEASED


# -- the configuration ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "reason", "word"),
    [
        (None, Reason.CONFIG_MISSING, "There is no"),
        ("version: 1\nap: shop\n", Reason.CONFIG_INVALID, "ap"),
        ("{", Reason.CONFIG_INVALID, "problem"),
        ("", Reason.CONFIG_INVALID, "problem"),
    ],
)
@pytest.mark.parametrize(("author", "told"), [("dana", True), ("rita", False)])
def test_a_configuration_that_does_not_do(
    world: Any, text: str | None, reason: Reason, word: str, author: str, told: bool
) -> None:
    if text is None:
        del world.github.files[PATH]
    else:
        world.github.files[PATH] = text
    outcome = world.say("/deploy staging", author=author)
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.REFUSED, reason, 1)
    assert [word in body for body in world.github.thread(7)] == [True] * told
    assert world.github.reactions == ["confused"]
    assert world.mutations() == []


def test_the_pull_requests_own_configuration_is_never_read(world: Any) -> None:
    world.say("/deploy staging")
    assert {ref for _, ref in world.log.named("file")} == {"main"}


def test_a_placeholder_without_a_value_is_told(world: Any) -> None:
    world.github.files[PATH] = world.github.files[PATH].replace("project: acme", "project: ${vars.PROJECT}")
    with pytest.raises(Exception, match="PROJECT"):
        world.say("/deploy staging")
    assert "PROJECT" in world.shown
    assert world.mutations() == []
    assert world.say("/deploy staging", variables={"PROJECT": "acme"}).reason is Reason.RELEASED


def test_another_path_may_hold_the_configuration(world: Any) -> None:
    world.github.files["deploy.yml", "main"] = world.github.files.pop(PATH)
    assert world.say("/deploy staging", config_path="deploy.yml").reason is Reason.RELEASED


def test_a_default_environment_is_meant_by_deploy_alone(world: Any) -> None:
    world.github.files[PATH] += "default_environment: staging\n"
    outcome = world.say("/deploy")
    assert (outcome.reason, outcome.environment) == (Reason.RELEASED, "staging")


# -- who has looked at it, and when it may be -------------------------------------------------------------------------
def gated(world: Any, gates: str) -> None:
    key = ".github/slipway.yml", "main"
    world.github.files[key] = world.github.files[key].replace("on: push,", f"on: push, gates: {{{gates}}},")


def test_reviews_are_asked_for_only_where_they_count(world: Any) -> None:
    world.pull()
    world.github.opinions[7] = [Opinion(author="lee", state="CHANGES_REQUESTED", sha=world.github.pulls[7].head_sha)]
    assert world.say("/deploy staging").reason is Reason.RELEASED
    assert "reviews" not in [name for name, _ in world.log.calls]


def test_somebody_else_must_have_approved_the_head(world: Any) -> None:
    gated(world, "reviews: 1")
    head = world.pull().head_sha
    assert world.say("/deploy staging").reason is Reason.REVIEWS_MISSING
    world.github.opinions[7] = [Opinion(author="lee", state="APPROVED", sha="e" * 40)]
    assert world.say("/deploy staging").reason is Reason.REVIEWS_MISSING
    world.github.opinions[7] = [Opinion(author="lee", state="APPROVED", sha=head)]
    assert world.say("/deploy staging").reason is Reason.RELEASED


def test_what_was_pushed_counts_by_its_pull_request(world: Any) -> None:
    gated(world, "reviews: 1")
    assert world.handle(world.push()).reason is Reason.REVIEWS_MISSING
    pull = world.pull(7, state="closed", merged=True)
    world.github.came_by[world.push().sha] = (7,)
    world.github.opinions[7] = [Opinion(author="lee", state="APPROVED", sha=pull.head_sha)]
    assert world.handle(world.push()).reason is Reason.RELEASED


def test_a_branch_that_is_behind_is_not_released(world: Any) -> None:
    gated(world, "up_to_date: true")
    world.pull()
    world.github.comparison = Comparison(ahead_by=3, behind_by=1)
    assert world.say("/deploy staging").reason is Reason.BEHIND_BASE
    assert world.log.named("compare") == [(world.github.pulls[7].head_sha, "main")]
    assert "lacks 3 commits of `main`" in world.shown
    world.github.comparison = Comparison(ahead_by=0, behind_by=1)
    assert world.say("/deploy staging").reason is Reason.RELEASED


def test_outside_of_its_windows_nothing_is_released(world: Any) -> None:
    gated(world, "windows: Tue 09:00-17:00")  # it is Monday noon
    world.pull()
    assert world.say("/deploy staging").reason is Reason.OUTSIDE_WINDOW
    assert "Come back at Tue 2026-03-03 09:00 UTC" in world.shown
    world.clock.sleep(86_400)
    world.pull()
    assert world.say("/deploy staging").reason is Reason.RELEASED


@pytest.mark.parametrize(
    "gates",
    [
        "freezes: always",
        "freezes: [2027-01-02 to 2026-12-23]",
        "windows: always",
        "windows: [Mon 09:00-17:00 Mars/Base]",
        "reviews: -1",
        "reviews: 11",
    ],
)
def test_gates_that_cannot_be_are_told_with_their_place(world: Any, gates: str) -> None:
    gated(world, gates)
    assert world.say("/deploy staging").reason is Reason.CONFIG_INVALID
    assert "environments.staging.gates" in world.shown
