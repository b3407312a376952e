"""Previews: made beside what serves, renewed, extended, taken away, and never left behind."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.core.facts import Lock, LockRecord
from bot.core.outcome import Decision, Outcome, Reason
from bot.errors import AuthError, NotFoundError, UpstreamError

DAY = 86_400.0


def sha_of(number: int) -> str:
    return f"{number:07x}" + "0" * 33


@pytest.fixture
def staging(world: Any) -> Any:
    """A world in which something serves on staging, which has previews of its public service."""
    world.with_previews()
    world.github.commits[sha_of(1)] = sha_of(1)
    world.released(1)
    world.pull(7)
    return world


def preview(world: Any, number: int = 7) -> Outcome:
    outcome: Outcome = world.say("/preview create", number=number)
    assert outcome.reason is Reason.PREVIEW_UP, outcome.message
    return outcome


def tags(world: Any) -> dict[str, list[str]]:
    """The tags of previews."""
    found = world.target.upkeep.reachable()
    return {
        service: own for service, names in found.items() if (own := [name for name in names if name.startswith("pr-")])
    }


def serves(world: Any) -> set[str]:
    found: set[str] = world.target.serves()
    return found


def states(world: Any, number: int = 7) -> list[str]:
    found: list[str] = world.github.states(f"staging/pr-{number}")
    return found


def lock_until(world: Any, run: int, seconds: float | None = None) -> Lock:
    """Have somebody hold staging; with ``seconds`` for a moment only."""
    now = datetime.fromtimestamp(world.clock.now(), UTC)
    record = LockRecord(
        environment="staging", run_id=run, run_attempt=1, actor="max", pull_request=9, sha=sha_of(9), since=now,
        expires=now + timedelta(seconds=seconds) if seconds is not None else None,
    )  # fmt: skip
    lock = Lock(environment="staging", oid="held", record=record)
    world.github.locks["staging"] = lock
    world.github.alive.add((run, 1))
    return lock


# -- making -----------------------------------------------------------------------------------------------------------
def test_a_preview_is_made_beside_what_serves(staging: Any) -> None:
    outcome = preview(staging)
    assert (outcome.decision, outcome.environment, outcome.sha) == (Decision.DONE, "staging", sha_of(7))
    assert outcome.url == f"https://shop-web-{sha_of(7)[:7]}-{staging.target.upkeep.made['web'][0].release}.test"
    assert serves(staging) == {sha_of(1)}
    assert tags(staging) == {"web": ["pr-7"]}  # the public one alone
    assert [one.preview for one in staging.target.upkeep.made["web"]] == [7, 0]
    assert states(staging) == ["success"]
    assert "staging/pr-7" in staging.github.transient
    assert staging.github.locks == {}
    assert staging.github.reactions[-1] == "rocket"


def test_its_comment_says_where_until_when_and_on_what(staging: Any) -> None:
    staging.with_previews("{ttl: 1d, env: {BANNER: preview}, renew: push}")
    preview(staging)
    shown = staging.shown
    assert "🟢 Preview of `0000007` beside **staging**" in shown
    assert "](https://shop-web-0000007-" in shown
    assert "up until 3 Mar 12:0" in shown
    assert "It runs on the settings, secrets and data of **staging**, but for `BANNER`." in shown
    assert "A push renews it." in shown
    assert "`/preview extend staging` · `/preview destroy staging`" in shown
    assert len(staging.github.thread(7)) == 1


def test_no_job_runs_and_nothing_shifts(staging: Any) -> None:
    preview(staging)
    assert [name for name, _ in staging.log.calls if name == "apply"]
    assert {step for _, step in staging.mutations()} == {"build", "rollout-web"}
    assert staging.target.executions == [f"migrate-{staging.target.upkeep.made['web'][-1].release}"]


def test_the_environment_is_held_for_the_rollout_alone(staging: Any) -> None:
    preview(staging)
    names = [name for name, _ in staging.log.calls]
    taken, given = staging.log.first("take_lock"), staging.log.last("release_lock")
    applied = [index for index, (name, args) in enumerate(staging.log.calls) if name == "apply"]
    build, rollout = applied
    assert build < taken < rollout < given
    assert names.count("take_lock") == 1
    probe = staging.log.first("probe")
    assert given < probe
    assert names[taken:given].count("put_back_templates") == 1


def test_its_lock_names_when_it_runs_out(staging: Any) -> None:
    seen: list[Lock] = []
    staging.log.hooks["put_back_templates"] = lambda: seen.append(staging.github.locks["staging"])
    preview(staging)
    [lock] = seen
    assert lock.record is not None
    assert lock.record.expires is not None
    assert lock.record.expires - lock.record.since == timedelta(seconds=360)


@pytest.mark.parametrize(
    ("over", "reason"),
    [
        ({"head_repository": "eve/shop"}, Reason.FORK),
        ({"state": "closed"}, Reason.PULL_REQUEST_CLOSED),
        ({"base_ref": "release"}, Reason.WRONG_BASE),
    ],
)
def test_a_pull_request_that_may_have_none(staging: Any, over: dict[str, Any], reason: Reason) -> None:
    staging.pull(7, **over)
    staging.log.calls.clear()
    outcome = staging.say("/preview create")
    assert (outcome.decision, outcome.reason) == (Decision.REFUSED, reason)
    assert staging.mutations() == []
    assert tags(staging) == {}
    assert "take_lock" not in [name for name, _ in staging.log.calls]


def test_a_draft_may_have_one(staging: Any) -> None:
    staging.pull(7, draft=True, mergeable=False)
    staging.github.check_states[sha_of(7)] = ()
    preview(staging)


def test_who_may(staging: Any) -> None:
    outcome = staging.say("/preview create", author="rita")
    assert (outcome.decision, outcome.reason) == (Decision.REFUSED, Reason.FORBIDDEN)
    assert staging.say("/preview create", author="stranger").reason is Reason.FORBIDDEN
    assert tags(staging) == {}


def test_an_environment_without_previews(world: Any) -> None:
    world.released(1)
    outcome = world.say("/preview create staging")
    assert (outcome.decision, outcome.reason) == (Decision.REFUSED, Reason.NO_PREVIEW)
    assert "`staging` has no previews" in world.shown
    assert world.say("/preview create").reason is Reason.NO_PREVIEW


def test_an_issue_has_no_branch(staging: Any) -> None:
    outcome = staging.say("/preview create", is_pull_request=False)
    assert outcome.reason is Reason.NOT_A_PULL_REQUEST


def test_a_head_that_is_newer_than_the_comment_wants_to_be_named(staging: Any) -> None:
    pull = staging.github.pulls[7]
    staging.github.pushes[pull.head_ref, pull.head_sha] = datetime.fromtimestamp(staging.clock.now() + 60, UTC)
    outcome = staging.say("/preview create staging")
    assert outcome.reason is Reason.HEAD_MOVED
    assert "/preview create staging @0000007" in staging.shown
    assert staging.say("/preview create staging @0000007").reason is Reason.PREVIEW_UP


def test_two_changes_of_an_environment_do_not_go_into_one_comment(staging: Any) -> None:
    outcome = staging.say("/preview create staging\n/preview destroy staging")
    assert outcome.reason is Reason.TOO_MANY_COMMANDS
    outcome = staging.say("/deploy staging\n/preview create staging")
    assert outcome.reason is Reason.TOO_MANY_COMMANDS
    assert "changes releases or previews" in staging.shown
    outcome = staging.say("/preview create staging\n/unlock production")
    assert outcome.reason is Reason.TOO_MANY_COMMANDS


def test_who_may_not_deploy_there_may_not_run_code_with_its_secrets(staging: Any) -> None:
    key = ".github/slipway.yml", "main"
    staging.github.files[key] = staging.github.files[key].replace(
        "permissions: {rollback", "permissions: {deploy: admin, rollback"
    )
    assert staging.say("/preview create staging").reason is Reason.FORBIDDEN
    assert staging.say("/preview create staging", author="ada").reason is Reason.PREVIEW_UP
    staging.with_previews("{renew: push}")
    staging.github.files[key] = staging.github.files[key].replace(
        "permissions: {rollback", "permissions: {deploy: admin, rollback"
    )
    staging.pull(7, head_sha=sha_of(76))
    assert staging.handle(staging.followed("synchronize")).reason is Reason.FORBIDDEN


def test_as_many_as_there_may_be(staging: Any) -> None:
    staging.with_previews("{max: 1}")
    staging.pull(8)
    preview(staging, 8)
    outcome = staging.say("/preview create")
    assert (outcome.decision, outcome.reason) == (Decision.FAILED, Reason.TOO_MANY_PREVIEWS)
    assert "`staging` has as many previews as it may have (1): of the pull requests `8`." in staging.shown
    assert tags(staging) == {"web": ["pr-8"]}
    assert staging.github.locks == {}
    preview(staging, 8)  # its own does not count


def test_a_bad_time_to_live(staging: Any) -> None:
    assert staging.say("/preview create --ttl=9d").reason is Reason.BAD_ARGUMENTS
    assert staging.say("/preview destroy --ttl=1d").reason is Reason.BAD_ARGUMENTS


def test_the_same_command_delivered_again(staging: Any) -> None:
    event = staging.comment("/preview create")
    first = staging.handle(event)
    staging.log.calls.clear()
    again = staging.handle(event)
    assert (again.decision, again.reason) == (Decision.ANSWERED, Reason.ALREADY_DONE)
    assert again.deployment_id == first.deployment_id
    assert staging.mutations() == []


# -- what goes wrong --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("broken", "reason"), [("build", Reason.BUILD_FAILED), ("rollout-web", Reason.ROLLOUT_FAILED)])
def test_a_preview_that_cannot_be_made_leaves_nothing(staging: Any, broken: str, reason: Reason) -> None:
    staging.target.broken.add(broken)
    outcome = staging.say("/preview create")
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.FAILED, reason, 1)
    assert tags(staging) == {}
    assert serves(staging) == {sha_of(1)}
    assert states(staging) == ["failure"]
    assert staging.github.locks == {}
    assert "🔴 No preview of `0000007` beside **staging**" in staging.shown
    assert "What serves on staging was not touched." in staging.shown
    assert "after a fix: `/preview create staging`" in staging.shown


def test_one_that_fails_its_checks_is_taken_away_and_explained(staging: Any) -> None:
    staging.target.sick.add(sha_of(7))
    outcome = staging.say("/preview create")
    assert outcome.reason is Reason.VERIFICATION_FAILED
    assert tags(staging) == {}
    assert states(staging) == ["failure"]
    assert "first error of rollout-web" in staging.shown
    assert "No preview of `0000007` beside **staging**: Check the preview failed" in staging.shown


def test_a_renewal_that_fails_leaves_the_former_preview(staging: Any) -> None:
    preview(staging)
    first = staging.target.upkeep.tags["web"]["pr-7"]
    staging.pull(7, head_sha=sha_of(77))
    staging.target.sick.add(sha_of(77))
    outcome = staging.say("/preview create")
    assert outcome.reason is Reason.VERIFICATION_FAILED
    assert staging.target.upkeep.tags["web"]["pr-7"] == first
    assert states(staging) == ["success", "failure"]
    assert "The preview still shows `0000007`" in staging.shown


def test_a_run_that_is_cancelled_takes_back_what_it_began(staging: Any) -> None:
    staging.target.stuck.add("rollout-web")
    staging.log.hooks["apply"] = lambda: staging.clock.stop() if staging.mutations()[-1][1] == "rollout-web" else None
    outcome = staging.say("/preview create")
    assert (outcome.decision, outcome.reason) == (Decision.CANCELLED, Reason.CANCELLED)
    assert tags(staging) == {}
    assert states(staging) == ["error"]
    assert staging.github.locks == {}


def test_a_cloud_that_does_not_answer_is_told(staging: Any) -> None:
    staging.log.fail("holdings")
    with pytest.raises(UpstreamError):
        staging.say("/preview create")
    assert states(staging) == ["error"]
    assert "GitHub answered 502" in staging.shown
    assert staging.github.locks == {}


def test_when_it_cannot_be_said_whether_it_is_still_wanted_it_goes(staging: Any) -> None:
    """The last look fails: the pull request may be closed by now, and whoever closed it has found nothing to remove."""
    staging.log.fail("pull_request", 3)
    outcome = staging.say("/preview create")
    assert (outcome.decision, outcome.reason) == (Decision.FAILED, Reason.UPSTREAM_FAILED)
    assert tags(staging) == {}
    assert states(staging) == ["failure"]


def test_a_tag_that_cannot_be_taken_off_is_told(staging: Any) -> None:
    staging.target.sick.add(sha_of(7))
    staging.log.fail("retag")
    outcome = staging.say("/preview create")
    assert outcome.reason is Reason.VERIFICATION_FAILED
    assert "The tag `pr-7` could not be put right" in outcome.message
    assert "The tag `pr-7` could not be put right" in "\n".join(staging.summary)


def test_a_last_word_that_cannot_be_written_is_told(staging: Any) -> None:
    staging.log.fail("set_status", 2)
    outcome = staging.say("/preview create")
    assert outcome.reason is Reason.PREVIEW_UP
    assert "last status could not be written" in outcome.message


# -- conflicts with releases ------------------------------------------------------------------------------------------
def test_a_preview_waits_for_a_release_to_end(staging: Any) -> None:
    lock_until(staging, 900)
    until = staging.clock.now() + 120.0
    staging.log.hooks["run_alive"] = lambda: (
        staging.github.locks.pop("staging", None) if staging.clock.now() > until else None
    )
    outcome = preview(staging)
    assert outcome.reason is Reason.PREVIEW_UP


def test_but_not_for_ever(staging: Any) -> None:
    held = lock_until(staging, 900)
    outcome = staging.say("/preview create")
    assert (outcome.decision, outcome.reason) == (Decision.FAILED, Reason.LOCKED)
    assert "is held by max for" in staging.shown
    assert staging.github.locks == {"staging": held}
    assert [step for _, step in staging.mutations()] == ["build"]
    assert states(staging) == ["failure"]


def test_a_lock_of_a_run_that_is_gone_is_taken_away(staging: Any) -> None:
    lock_until(staging, 900)
    staging.github.alive.clear()
    preview(staging)


def test_a_release_waits_for_a_preview(staging: Any) -> None:
    lock = lock_until(staging, 900, 60.0)
    staging.log.hooks["lock"] = lambda: (
        staging.github.locks.pop("staging", None) if len(staging.log.named("take_lock")) >= 3 else None
    )
    outcome = staging.say("/deploy staging")
    assert outcome.reason is Reason.RELEASED
    assert lock.record is not None
    assert serves(staging) == {sha_of(7)}


def test_a_release_after_a_preview_leaves_it_alone(staging: Any) -> None:
    preview(staging)
    before = staging.target.upkeep.tags["web"]["pr-7"]
    staging.pull(8)
    assert staging.say("/deploy staging", number=8).reason is Reason.RELEASED
    assert serves(staging) == {sha_of(8)}
    assert staging.target.upkeep.tags["web"]["pr-7"] == before


def test_even_one_of_the_same_pull_request(staging: Any) -> None:
    preview(staging)
    before = staging.target.upkeep.tags["web"]["pr-7"]
    assert staging.say("/deploy staging").reason is Reason.RELEASED
    assert staging.target.upkeep.tags["web"]["pr-7"] == before
    assert "sha-0000007" in staging.target.upkeep.tags["web"]


# -- it is closed while it is made ------------------------------------------------------------------------------------
def closing(world: Any, number: int = 7) -> None:
    world.github.pulls[number] = replace(world.github.pulls[number], state="closed")


def test_closed_before_the_rollout_nothing_is_rolled_out(staging: Any) -> None:
    staging.log.hooks["holdings"] = lambda: closing(staging)
    outcome = staging.say("/preview create")
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.DONE, Reason.PREVIEW_REMOVED, 0)
    assert [step for _, step in staging.mutations()] == ["build"]
    assert tags(staging) == {}
    assert states(staging) == ["inactive"]
    assert "The pull request was closed before its preview was finished." in staging.shown


@pytest.mark.parametrize("moment", ["put_back_templates", "probe"])
def test_closed_before_it_was_finished_it_is_taken_away(staging: Any, moment: str) -> None:
    """The pull request is closed, and the run for that finds nothing yet: it is over before we are."""
    once: list[int] = []

    def close() -> None:
        if not once:
            once.append(1)
            closing(staging)

    staging.log.hooks[moment] = close
    outcome = staging.say("/preview create")
    assert (outcome.decision, outcome.reason) == (Decision.DONE, Reason.PREVIEW_REMOVED)
    assert tags(staging) == {}
    assert states(staging) == ["inactive"]
    assert staging.github.locks == {}


def test_destroyed_before_it_was_finished_it_is_not_brought_back(staging: Any) -> None:
    staging.log.hooks["probe"] = lambda: staging.github.set_status(staging.github.kept[-1].id, "inactive")
    outcome = staging.say("/preview create")
    assert outcome.reason is Reason.PREVIEW_REMOVED
    assert tags(staging) == {}
    assert "Somebody took it away before it was finished." in staging.shown


def test_a_head_that_moved_meanwhile_is_for_its_own_push(staging: Any) -> None:
    staging.log.hooks["holdings"] = lambda: staging.pull(7, head_sha=sha_of(77))
    outcome = staging.say("/preview create")
    assert (outcome.decision, outcome.reason) == (Decision.REFUSED, Reason.HEAD_MOVED)
    assert tags(staging) == {}
    assert states(staging) == ["inactive"]


# -- renewing ---------------------------------------------------------------------------------------------------------
def test_a_push_renews_a_preview_in_its_own_comment(staging: Any) -> None:
    staging.with_previews("{ttl: 1d, renew: push}")
    first = preview(staging)
    staging.pull(7, head_sha=sha_of(77))
    staging.clock.sleep(3600.0)
    outcome = staging.handle(staging.followed("synchronize"))
    assert (outcome.decision, outcome.reason, outcome.sha) == (Decision.DONE, Reason.PREVIEW_UP, sha_of(77))
    assert outcome.comment_id == first.comment_id
    assert len(staging.github.thread(7)) == 1
    assert "Preview of `000004d` beside **staging**" in staging.shown
    assert states(staging) == ["inactive", "success"]
    assert [one.sha for one in staging.target.upkeep.made["web"] if one.preview] == [sha_of(77)]  # the former is gone
    assert serves(staging) == {sha_of(1)}


def test_only_where_it_is_asked_for(staging: Any) -> None:
    preview(staging)
    staging.pull(7, head_sha=sha_of(77))
    outcome = staging.handle(staging.followed("synchronize"))
    assert (outcome.decision, outcome.reason) == (Decision.IGNORED, Reason.NO_PREVIEW)
    assert states(staging) == ["success"]


def test_only_what_there_is(staging: Any) -> None:
    staging.with_previews("{renew: push}")
    outcome = staging.handle(staging.followed("synchronize"))
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.IGNORED, Reason.NO_PREVIEW, 0)
    assert staging.github.thread(7) == []
    preview(staging)
    staging.say("/preview destroy")
    assert staging.handle(staging.followed("synchronize")).reason is Reason.NO_PREVIEW


def test_a_push_that_was_overtaken_renews_nothing(staging: Any) -> None:
    staging.with_previews("{renew: push}")
    preview(staging)
    event = staging.followed("synchronize", head_sha=sha_of(76))
    outcome = staging.handle(event)
    assert (outcome.decision, outcome.reason) == (Decision.IGNORED, Reason.HEAD_MOVED)
    staging.pull(7, head_sha=sha_of(76))
    staging.log.hooks["holdings"] = lambda: staging.pull(7, head_sha=sha_of(77))
    outcome = staging.handle(event)
    assert (outcome.decision, outcome.reason) == (Decision.IGNORED, Reason.HEAD_MOVED)
    assert states(staging) == ["success", "inactive"]


def test_a_push_by_somebody_without_the_right_renews_nothing(staging: Any) -> None:
    staging.with_previews("{renew: push}")
    preview(staging)
    staging.pull(7, head_sha=sha_of(77))
    outcome = staging.handle(staging.followed("synchronize", actor="rita"))
    assert outcome.decision is Decision.REFUSED
    by_an_app = staging.handle(staging.followed("synchronize", actor="queue[bot]", actor_is_bot=True))
    assert by_an_app.reason is Reason.PREVIEW_UP


def test_after_a_failure_the_next_push_tries_again(staging: Any) -> None:
    staging.with_previews("{renew: push}")
    staging.target.broken.add("build")
    assert staging.say("/preview create").reason is Reason.BUILD_FAILED
    staging.target.broken.clear()
    staging.pull(7, head_sha=sha_of(77))
    assert staging.handle(staging.followed("synchronize")).reason is Reason.PREVIEW_UP


def test_created_again_the_first_comment_says_so(staging: Any) -> None:
    preview(staging)
    staging.pull(7, head_sha=sha_of(77))
    preview(staging)
    first, second = staging.github.thread(7)
    assert "Preview of `0000007` beside **staging** is gone: a newer one takes its place." in first
    assert "Preview of `000004d` beside **staging**" in second
    assert states(staging) == ["inactive", "success"]


def test_a_run_that_is_started_again_goes_on(staging: Any) -> None:
    event = staging.comment("/preview create")
    staging.log.fail("take_lock", error=SystemExit(1))  # the runner dies
    with pytest.raises(SystemExit):
        staging.handle(event, run=replace(staging.settings(event).run, id=700, attempt=1))
    staging.log.heal()
    outcome = staging.handle(event, run=replace(staging.settings(event).run, id=700, attempt=2))
    assert outcome.reason is Reason.PREVIEW_UP
    assert states(staging) == ["success"]
    assert len(staging.github.thread(7)) == 1


# -- two jobs ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("body", "sha"), [("create", sha_of(7)), ("destroy", ""), ("extend", "")])
def test_the_first_job_only_lets_through(staging: Any, body: str, sha: str) -> None:
    preview(staging)
    staging.pull(7)
    staging.log.calls.clear()
    outcome = staging.say(f"/preview {body}", phase="command")
    assert (outcome.decision, outcome.reason) == (Decision.PREVIEW, Reason.READY)
    assert (outcome.environments, outcome.sha) == (("staging",), sha)
    assert not {"connect", "apply", "create_deployment", "take_lock"} & {name for name, _ in staging.log.calls}


def test_the_second_job_holds_the_head_to_what_was_let_through(staging: Any) -> None:
    release = {"phase": "release", "environment": "staging"}
    outcome = staging.say("/preview create", **release, pinned_sha=sha_of(6))
    assert outcome.reason is Reason.HEAD_MOVED
    outcome = staging.say("/preview create", **release, pinned_sha=sha_of(7))
    assert outcome.reason is Reason.PREVIEW_UP


# -- extending and destroying -----------------------------------------------------------------------------------------
def test_a_preview_is_extended(staging: Any) -> None:
    up = preview(staging)
    staging.clock.sleep(3600.0)
    outcome = staging.say("/preview extend --ttl=3d")
    assert (outcome.decision, outcome.reason) == (Decision.DONE, Reason.PREVIEW_EXTENDED)
    assert outcome.deployment_id == up.deployment_id
    assert outcome.url == up.url
    assert states(staging) == ["success"]
    assert "is up until 5 Mar 13:0" in staging.shown
    assert "take_lock" not in [name for name, _ in staging.log.calls][-8:]


def test_without_a_preview_there_is_nothing_to_extend_or_destroy(staging: Any) -> None:
    assert staging.say("/preview extend").reason is Reason.NO_PREVIEW
    assert staging.say("/preview destroy").reason is Reason.NO_PREVIEW
    preview(staging)
    closing(staging)
    assert staging.say("/preview extend").reason is Reason.NO_PREVIEW


def test_an_environment_without_previews_has_none_to_extend_or_destroy(world: Any) -> None:
    world.released(1)
    assert world.say("/preview extend staging").reason is Reason.NO_PREVIEW
    assert world.say("/preview destroy staging").reason is Reason.NO_PREVIEW


def test_without_a_way_into_the_cloud_it_is_told(staging: Any) -> None:
    staging.log.fail("connect", error=AuthError("This run has no OIDC token."))
    with pytest.raises(AuthError):
        staging.say("/preview create")
    assert states(staging) == ["error"]
    assert "no OIDC token" in staging.shown


def test_a_preview_is_destroyed(staging: Any) -> None:
    preview(staging)
    outcome = staging.say("/preview destroy staging")
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.DONE, Reason.PREVIEW_REMOVED, 0)
    assert tags(staging) == {}
    assert states(staging) == ["inactive"]
    first, answer = staging.github.thread(7)
    assert "is gone: somebody took it away." in first
    assert "is gone" in answer
    assert serves(staging) == {sha_of(1)}


def test_its_revision_goes_with_it_where_it_is_not_the_latest(staging: Any) -> None:
    preview(staging)
    staging.pull(8)
    preview(staging, 8)
    staging.say("/preview destroy staging")
    assert [one.preview for one in staging.target.upkeep.made["web"]] == [8, 0]
    staging.say("/preview destroy staging", number=8)
    assert [one.preview for one in staging.target.upkeep.made["web"]] == [8, 0]  # the latest stays, as Cloud Run has it


def test_one_that_is_known_to_the_cloud_alone_is_destroyed_too(staging: Any) -> None:
    preview(staging)
    staging.github.kept = [one for one in staging.github.kept if one.environment == "staging"]
    assert staging.say("/preview destroy").reason is Reason.PREVIEW_REMOVED
    assert tags(staging) == {}


def test_while_a_release_holds_the_environment_it_cannot_go(staging: Any) -> None:
    preview(staging)
    lock_until(staging, 900)
    outcome = staging.say("/preview destroy")
    assert (outcome.decision, outcome.reason) == (Decision.REFUSED, Reason.LOCKED)
    assert tags(staging) == {"web": ["pr-7"]}
    assert states(staging) == ["success"]


# -- closing ----------------------------------------------------------------------------------------------------------
def test_closed_the_preview_goes(staging: Any) -> None:
    preview(staging)
    closing(staging)
    staging.github.permissions.clear()  # whoever closes it need not be asked
    outcome = staging.handle(staging.followed("closed", actor="stranger"))
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.DONE, Reason.PREVIEW_REMOVED, 0)
    assert tags(staging) == {}
    assert states(staging) == ["inactive"]
    assert "is gone: the pull request is closed." in staging.shown
    assert "Taken away: `pr-7` of web on staging." in "\n".join(staging.summary)
    assert serves(staging) == {sha_of(1)}


def test_closed_without_a_preview_nothing_happens(staging: Any) -> None:
    closing(staging)
    outcome = staging.handle(staging.followed("closed"))
    assert (outcome.decision, outcome.reason) == (Decision.DONE, Reason.NO_PREVIEW)
    assert "take_lock" not in [name for name, _ in staging.log.calls]


def test_opened_again_it_stays(staging: Any) -> None:
    preview(staging)
    outcome = staging.handle(staging.followed("closed"))
    assert outcome.decision is Decision.IGNORED
    assert tags(staging) == {"web": ["pr-7"]}


def test_closed_while_the_cloud_does_not_answer_it_is_told(staging: Any) -> None:
    preview(staging)
    closing(staging)
    staging.log.fail("holdings")
    outcome = staging.handle(staging.followed("closed"))
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.FAILED, Reason.UPSTREAM_FAILED, 1)
    assert "GitHub answered 502" in outcome.message
    assert states(staging) == ["success"]


def test_a_comment_that_cannot_be_written_keeps_nothing_from_going(staging: Any) -> None:
    preview(staging)
    closing(staging)
    staging.log.fail("edit_comment")
    outcome = staging.handle(staging.followed("closed"))
    assert outcome.reason is Reason.PREVIEW_REMOVED
    assert tags(staging) == {}
    assert "GitHub answered 502" in "\n".join(staging.summary)


def test_closed_while_a_release_runs_the_sweep_is_named(staging: Any) -> None:
    preview(staging)
    closing(staging)
    lock_until(staging, 900)
    outcome = staging.handle(staging.followed("closed"))
    assert (outcome.decision, outcome.exit_code) == (Decision.FAILED, 1)
    assert "A sweep takes the preview away later." in outcome.message
    assert tags(staging) == {"web": ["pr-7"]}


def test_a_record_that_is_being_written_is_left_to_its_own_run(staging: Any) -> None:
    """Closed while it is made: that run closes its own record once it has seen that the pull request is closed."""
    seen: list[list[str]] = []

    def close() -> None:
        if not seen:
            closing(staging)
            run = staging.github.kept[-1].payload["run_id"]
            staging.github.alive.add((run, 1))
            staging.handle(staging.followed("closed"))
            seen.append(states(staging))

    staging.log.hooks["probe"] = close
    outcome = staging.say("/preview create")
    assert seen == [["in_progress"]]
    assert outcome.reason is Reason.PREVIEW_REMOVED
    assert tags(staging) == {}
    assert states(staging) == ["inactive"]


# -- the sweep --------------------------------------------------------------------------------------------------------
def test_expired_a_preview_is_swept(staging: Any) -> None:
    preview(staging)
    staging.clock.sleep(DAY - 600)
    assert staging.handle(staging.schedule()).reason is Reason.SWEPT
    assert tags(staging) == {"web": ["pr-7"]}
    staging.clock.sleep(1200.0)
    outcome = staging.handle(staging.schedule())
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.DONE, Reason.SWEPT, 0)
    assert "Removed: 1 previews, 0 tags, 0 revisions." in outcome.message  # it is the latest, which Cloud Run keeps
    assert tags(staging) == {}
    assert states(staging) == ["inactive"]
    assert "is gone: its time was over." in staging.shown
    assert "/preview create staging" in staging.shown
    assert "preview of pull request 7 (expired)" in "\n".join(staging.summary)


def test_extended_it_is_not(staging: Any) -> None:
    preview(staging)
    staging.say("/preview extend --ttl=3d")
    staging.clock.sleep(2 * DAY)
    staging.handle(staging.schedule())
    assert tags(staging) == {"web": ["pr-7"]}
    staging.clock.sleep(2 * DAY)
    staging.handle(staging.schedule())
    assert tags(staging) == {}


def test_closed_and_missed_it_is_swept(staging: Any) -> None:
    preview(staging)
    closing(staging)
    staging.handle(staging.schedule())
    assert tags(staging) == {}
    assert states(staging) == ["inactive"]
    assert "/preview create" not in staging.shown


def test_one_without_a_record_is_found_by_its_labels(staging: Any) -> None:
    preview(staging)
    staging.github.kept = [one for one in staging.github.kept if one.environment == "staging"]
    staging.handle(staging.schedule())
    assert tags(staging) == {"web": ["pr-7"]}  # it is not over
    staging.clock.sleep(2 * DAY)
    staging.handle(staging.schedule())
    assert tags(staging) == {}


def test_a_record_without_a_preview_is_closed(staging: Any) -> None:
    preview(staging)
    staging.target.upkeep.tags["web"].pop("pr-7")  # somebody took it off by hand
    staging.handle(staging.schedule())
    assert states(staging) == ["inactive"]


def test_where_the_pull_request_cannot_be_read_everything_stays(staging: Any) -> None:
    preview(staging)
    closing(staging)
    staging.log.fail("pull_request")
    outcome = staging.handle(staging.schedule())
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.FAILED, Reason.UPSTREAM_FAILED, 1)
    assert tags(staging) == {"web": ["pr-7"]}
    assert states(staging) == ["success"]


def test_a_number_that_is_no_pull_request_of_ours_is_left(staging: Any) -> None:
    preview(staging)
    gone = NotFoundError("no such pull request", service="GitHub", operation="x", status=404)
    staging.log.fail("pull_request", error=gone)
    assert staging.handle(staging.schedule()).exit_code == 0
    assert tags(staging) == {"web": ["pr-7"]}


def test_one_environment_keeps_no_other_from_its_turn(staging: Any) -> None:
    staging.log.fail("connect", error=AuthError("This run has no OIDC token."))
    outcome = staging.handle(staging.schedule())
    assert (outcome.decision, outcome.exit_code) == (Decision.FAILED, 1)
    assert "staging: This run has no OIDC token." in outcome.message


def test_a_target_that_keeps_its_own_house_is_passed_by(staging: Any) -> None:
    staging.target.upkeep = None
    assert staging.handle(staging.schedule()).reason is Reason.SWEPT


def test_renewed_while_the_sweep_waited_it_stays(staging: Any) -> None:
    preview(staging)
    staging.clock.sleep(2 * DAY)
    lock_until(staging, 900)
    kept = staging.github.kept[-1]

    def extend_and_go() -> None:
        staging.github.set_status(kept.id, "success", description="Up until 2030-01-01T00:00:00Z")
        staging.github.locks.pop("staging", None)

    staging.log.hooks["run_alive"] = extend_and_go
    staging.handle(staging.schedule())
    assert tags(staging) == {"web": ["pr-7"]}


def test_an_environment_that_a_release_holds_is_left_for_the_next_time(staging: Any) -> None:
    preview(staging)
    closing(staging)
    lock_until(staging, 900)
    outcome = staging.handle(staging.schedule())
    assert outcome.decision is Decision.FAILED
    assert "It is left for the next time." in outcome.message
    assert tags(staging) == {"web": ["pr-7"]}


def test_by_hand_it_takes_the_right_to_previews(staging: Any) -> None:
    preview(staging)
    closing(staging)
    assert staging.handle(staging.dispatch("rita"), command="sweep").reason is Reason.FORBIDDEN
    assert tags(staging) == {"web": ["pr-7"]}
    assert staging.handle(staging.dispatch("dana"), command="sweep").reason is Reason.SWEPT
    assert tags(staging) == {}
