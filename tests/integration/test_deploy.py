"""Releases from the event to the record, against a world in memory."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from bot.core.canary import Observed
from bot.core.facts import CheckState
from bot.core.outcome import Decision, Reason
from bot.core.serving import ServiceState
from bot.errors import UpstreamError

SEVEN, ONE = "0000007" + "0" * 33, "0000001" + "0" * 33
TWO = "0000002" + "0" * 33


def test_a_comment_is_released(world: Any) -> None:
    outcome = world.say("/deploy staging")
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.RELEASED, Reason.RELEASED, 0)
    assert (outcome.environment, outcome.sha, outcome.url) == ("staging", SEVEN, "https://web.test")
    assert world.target.serves() == {SEVEN}
    assert world.github.states() == ["success"]
    assert world.github.locks == {}
    assert world.github.reactions == ["rocket"]
    assert len(world.github.thread(7)) == 1
    assert "is live on **staging**" in world.shown
    assert outcome.result["release"]["state"] == "released"
    assert outcome.comment_id in world.github.bodies
    assert "is live on **staging**" in world.summary[0]


def test_the_author_is_authorised_before_anything_is_written(world: Any) -> None:
    world.say("/deploy staging")
    log = world.log
    writes = [log.first(name) for name in ("comment", "react", "take_lock", "create_deployment", "apply", "set_status")]
    assert log.first("permission") < min(writes)


def test_what_is_written_down_precedes_what_is_done(world: Any) -> None:
    world.say("/deploy staging")
    log = world.log
    assert log.first("take_lock") < log.first("serving") < log.first("create_deployment") < log.first("apply")
    last_status = max(i for i, (name, args) in enumerate(log.calls) if name == "set_status" and args[1] == "success")
    assert log.last("apply") < last_status < log.first("release_lock")
    assert [args[1] for args in log.named("set_status")] == ["in_progress", "success"]


def test_the_record_holds_what_a_later_run_needs(world: Any) -> None:
    world.released(6)
    world.say('/deploy staging --reason="demo at ten"')
    payload = world.github.kept[-1].payload
    assert payload["sha"] == SEVEN
    assert payload["before_sha"].startswith("0000006")
    assert payload["reason"] == "demo at ten"
    assert payload["plan"][0] == "build"
    assert payload["plan"][-1] == "verify-live"
    assert payload["before"]["services"][0]["traffic"][0]["percent"] == 100
    assert payload["comment_id"] in world.github.bodies


def test_the_steps_come_in_the_order_of_the_plan(world: Any) -> None:
    world.say("/deploy staging")
    applied = [step for _, step in world.mutations()]
    assert applied[:2] == ["build", "job-migrate"]
    assert sorted(applied[2:4]) == ["rollout-web", "rollout-worker"]
    assert applied[4:] == ["shift"]


# -- push and dispatch ------------------------------------------------------------------------------------------
def test_a_push_releases_the_environments_that_say_so_and_reports_where_it_came_from(world: Any) -> None:
    world.pull(7, state="closed", merged=True, merge_sha=ONE)
    world.github.came_by[ONE] = (7,)
    outcome = world.handle(world.push())
    assert (outcome.reason, outcome.environments) == (Reason.RELEASED, ("staging",))
    assert world.target.serves() == {ONE}
    assert "is live on **staging**" in world.shown
    assert world.github.reactions == []
    assert world.github.states("production") == []


def test_a_push_that_no_pull_request_brought_is_told_in_the_summary(world: Any) -> None:
    assert world.handle(world.push()).reason is Reason.RELEASED
    assert world.github.bodies == {}
    assert "is live on **staging**" in "".join(world.summary)


def test_a_push_is_released_though_its_pull_request_cannot_be_asked_for(world: Any) -> None:
    world.log.fail("pull_requests_of")
    assert world.handle(world.push()).reason is Reason.RELEASED


def test_a_push_with_nothing_to_release_is_ignored(world: Any) -> None:
    config = world.github.files[".github/slipway.yml", "main"].replace("on: push, ", "")
    world.github.files[".github/slipway.yml", "main"] = config
    outcome = world.handle(world.push())
    assert (outcome.decision, outcome.reason) == (Decision.IGNORED, Reason.NOTHING_TO_RELEASE)


def test_a_push_with_red_checks_fails_the_run(world: Any) -> None:
    world.github.check_states[ONE] = (CheckState(name="ci", state="failure"),)
    outcome = world.handle(world.push())
    assert (outcome.reason, outcome.exit_code) == (Reason.CHECKS_FAILED, 1)
    assert world.mutations() == []


def test_a_dispatch_is_released(world: Any) -> None:
    outcome = world.handle(world.dispatch(), command="deploy", environment="staging", reason='say "now"')
    assert (outcome.reason, outcome.sha) == (Reason.RELEASED, ONE)
    assert world.github.kept[-1].payload["reason"] == "say 'now'"


def test_a_dispatch_may_name_a_short_sha(world: Any) -> None:
    world.github.commits["feature"] = "abcdef1" + "2" * 33
    world.github.commits["main"] = "abcdef2" + "2" * 33
    outcome = world.handle(world.dispatch(), command="deploy", environment="staging", pinned_sha="abcdef12")
    assert (outcome.reason, outcome.sha) == (Reason.RELEASED, "abcdef1" + "2" * 33)


def test_a_dispatch_for_a_commit_that_is_on_no_branch_is_refused_as_a_forks(world: Any) -> None:
    """GitHub finds the commits of forks in the repository that they were forked from."""
    forked = "f00dbad" + "2" * 33
    world.github.commits["eve"] = forked
    world.github.strangers.add(forked)
    outcome = world.handle(world.dispatch(), command="deploy", environment="staging", pinned_sha="f00dbad")
    assert (outcome.reason, outcome.exit_code, world.mutations()) == (Reason.FORK, 1, [])
    assert "`f00dbad` is neither on `main` nor on the branch" in "".join(world.summary)
    again = {"command": "deploy", "environment": "staging", "pinned_sha": forked}
    assert world.handle(world.dispatch(), **again, phase="release").reason is Reason.FORK
    run_on = world.handle(
        world.dispatch(), **again, sha=forked
    )  # it is the head of the branch that the form was sent on
    assert run_on.reason is Reason.RELEASED


def test_a_dispatch_may_name_a_commit_of_the_branch_it_runs_on(world: Any) -> None:
    world.github.commits["topic"] = sha = "0000009" + "0" * 33
    asked = {"command": "deploy", "environment": "staging", "pinned_sha": sha}
    assert world.handle(world.dispatch(), **asked).reason is Reason.FORK
    assert world.handle(world.dispatch(), **asked, ref="refs/heads/topic").reason is Reason.RELEASED


def test_a_push_does_not_take_back_what_was_released_since(world: Any) -> None:
    world.github.commits["main"] = TWO
    assert world.handle(world.push(TWO)).reason is Reason.RELEASED
    world.log.calls.clear()
    late = world.handle(world.push(ONE))
    assert (late.decision, late.reason, late.exit_code) == (Decision.REFUSED, Reason.SUPERSEDED, 0)
    assert world.mutations() == []
    assert "it holds `0000001`" in "".join(world.summary)
    world.github.commits["main"] = ONE  # somebody has set the branch back
    assert world.handle(world.push(ONE)).reason is Reason.RELEASED


def test_a_push_that_waited_for_a_later_one_is_over(world: Any) -> None:
    world.github.commits["main"] = TWO

    def later() -> None:
        world.log.hooks.clear()
        assert world.handle(world.push(TWO)).reason is Reason.RELEASED

    world.log.hooks["take_lock"] = later
    assert world.handle(world.push(ONE)).reason is Reason.SUPERSEDED
    assert world.target.serves() == {TWO}


@pytest.mark.parametrize("sha", ["dddddddd", "d" * 40])
def test_a_dispatch_for_a_commit_that_is_not_there_is_refused(world: Any, sha: str) -> None:
    outcome = world.handle(world.dispatch(), command="deploy", environment="staging", pinned_sha=sha)
    assert (outcome.reason, outcome.exit_code) == (Reason.SHA_UNKNOWN, 1)
    assert world.mutations() == []


@pytest.mark.parametrize(
    ("command", "reason"), [("explode", Reason.UNKNOWN_COMMAND), ("deplyo", Reason.UNKNOWN_COMMAND)]
)
def test_a_dispatch_of_a_command_that_is_none_is_refused(world: Any, command: str, reason: Reason) -> None:
    outcome = world.handle(world.dispatch(), command=command, environment="staging")
    assert (outcome.reason, outcome.exit_code) == (reason, 1)
    assert command in "".join(world.summary)


# -- phases -----------------------------------------------------------------------------------------------------
def test_the_command_job_says_ready_and_touches_no_cloud(world: Any) -> None:
    outcome = world.say("/deploy staging", phase="command")
    assert (outcome.decision, outcome.reason) == (Decision.RELEASE, Reason.READY)
    assert (outcome.environments, outcome.sha) == (("staging",), SEVEN)
    assert not world.log.named("connect")
    assert not world.log.named("take_lock")
    assert world.github.bodies == {}


def test_the_release_job_releases_what_the_command_job_let_through(world: Any) -> None:
    event = world.comment("/deploy staging\n/deploy production", author="ada")
    ready = world.handle(event, phase="command")
    assert (ready.decision, ready.environments) == (Decision.RELEASE, ("staging", "production"))
    for name in ready.environments:
        outcome = world.handle(event, phase="release", environment=name, pinned_sha=ready.sha)
        assert (outcome.reason, outcome.environment) == (Reason.RELEASED, name)
    assert world.github.states("staging") == world.github.states("production") == ["success"]


def test_each_release_job_takes_only_its_own_environment(world: Any) -> None:
    config = world.github.files[".github/slipway.yml", "main"] + "default_environment: staging\n"
    world.github.files[".github/slipway.yml", "main"] = config
    event = world.comment("/deploy\n/deploy production", author="ada")
    outcome = world.handle(event, phase="release", environment="production", pinned_sha=SEVEN)
    assert (outcome.reason, outcome.environment) == (Reason.RELEASED, "production")
    assert world.github.states("staging") == []


def test_a_release_job_with_nothing_of_its_own_is_ignored(world: Any) -> None:
    outcome = world.say("/deploy staging", phase="release", environment="production", pinned_sha=SEVEN)
    assert outcome.decision is Decision.IGNORED
    assert world.mutations() == []


@pytest.mark.parametrize("text", ["/deploy staging\n/status", "/status\n/deploy staging", "/help\n/deploy staging"])
def test_a_question_beside_a_command_does_not_hide_it_from_the_release_job(world: Any, text: str) -> None:
    outcome = world.say(text, phase="command")
    assert (outcome.decision, outcome.environments, outcome.sha) == (Decision.RELEASE, ("staging",), SEVEN)


def test_commands_that_mean_different_commits_pin_none(world: Any) -> None:
    config = world.github.files[".github/slipway.yml", "main"]
    promoting = config.replace("production: {target: gcp,", "production: {target: gcp, promote_from: staging,")
    world.github.files[".github/slipway.yml", "main"] = promoting
    world.released(8)
    outcome = world.say("/unlock production\n/deploy staging", author="ada", phase="command")
    assert (outcome.environments, outcome.sha) == (("staging",), SEVEN)
    outcome = world.say("/promote production\n/deploy staging", author="ada", phase="command")
    assert (outcome.environments, outcome.sha) == (("production", "staging"), "")
    outcome = world.say("/rollback staging", author="ada", phase="command")
    assert (outcome.environments, outcome.sha) == (("staging",), "")


def test_what_was_let_through_is_released_though_a_later_command_was_refused(world: Any) -> None:
    outcome = world.say("/deploy staging\n/deploy nowhere", phase="command")
    assert (outcome.decision, outcome.environments) == (Decision.RELEASE, ("staging",))
    assert "There is no environment" in world.shown


def test_a_head_that_moved_between_the_jobs_is_refused(world: Any) -> None:
    outcome = world.say("/deploy staging", phase="release", environment="staging", pinned_sha="1234567" + "0" * 33)
    assert outcome.reason is Reason.HEAD_MOVED
    assert world.mutations() == []


def test_a_rollback_does_not_care_that_the_head_moved(world: Any) -> None:
    world.released(5)
    world.released(6)
    outcome = world.say(
        "/rollback staging", author="max", phase="release", environment="staging", pinned_sha="1234567" + "0" * 33
    )
    assert outcome.reason is Reason.ROLLED_BACK


@pytest.mark.parametrize(("name", "reason"), [("staging", Reason.RELEASED), ("production", Reason.NOTHING_TO_RELEASE)])
def test_a_release_job_of_a_push_takes_its_own_environment(world: Any, name: str, reason: Reason) -> None:
    assert world.handle(world.push(), phase="release", environment=name).reason is reason


# -- dry runs ---------------------------------------------------------------------------------------------------
def test_a_dry_run_shows_the_plan_and_changes_nothing(world: Any) -> None:
    outcome = world.say("/deploy staging --dry-run")
    assert (outcome.decision, outcome.reason) == (Decision.ANSWERED, Reason.PLAN_SHOWN)
    assert world.mutations() == []
    assert world.github.kept == []
    assert not world.log.named("take_lock")
    assert "Run migrate" in world.shown
    assert "Shift 100 % of the traffic" in world.shown
    assert "will be built" in world.shown
    assert world.log.named("preview") == [("migrate",)]


def test_a_dry_run_wants_the_cloud_so_the_command_job_lets_it_through(world: Any) -> None:
    outcome = world.say("/deploy staging --dry-run", phase="command")
    assert (outcome.decision, outcome.reason) == (Decision.RELEASE, Reason.READY)
    assert not world.log.named("preview")


def plan_of(world: Any) -> str:
    """The plan's name in the comment that was written last."""
    match = re.search(r"--plan=([0-9a-f]{8})`", world.shown)
    assert match is not None
    return match[1]


def test_the_plan_that_was_shown_is_run(world: Any) -> None:
    world.say("/deploy staging --dry-run")
    name = plan_of(world)
    assert f"`/deploy staging @0000007 --plan={name}`" in world.shown
    outcome = world.say(f"/deploy staging @0000007 --plan={name}")
    assert outcome.reason is Reason.RELEASED


def test_a_plan_that_has_changed_is_not_run(world: Any) -> None:
    world.say("/deploy staging --dry-run")
    name = plan_of(world)
    world.target.secrets["key"] = "2"  # a secret has a new version since
    outcome = world.say(f"/deploy staging @0000007 --plan={name}")
    assert (outcome.decision, outcome.reason) == (Decision.REFUSED, Reason.PLAN_CHANGED)
    assert world.mutations() == []
    assert world.github.locks == {}
    assert f"no longer `{name}`" in world.shown


def test_secrets_are_pinned_when_a_release_is_recorded(world: Any) -> None:
    world.target.secrets = {"key": "3"}
    world.say("/deploy staging")
    assert world.github.kept[-1].payload["pins"] == {"key": "3"}
    assert world.log.named("newest_secrets") == [(True,)]


def test_a_secret_that_cannot_be_pinned_stops_a_release_before_anything_is_changed(world: Any) -> None:
    world.log.fail("newest_secrets")
    with pytest.raises(UpstreamError):
        world.say("/deploy staging")
    assert (world.mutations(), world.github.kept, world.github.locks) == ([], [], {})


# -- stages ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def staged(world: Any) -> Any:
    """A world in which web gets its traffic in stages, and something serves."""
    path = ".github/slipway.yml", "main"
    canary = "strategy: {type: canary, stages: [10], stage_time: 5m, deadline: 20m, metrics: [errors]}"
    world.github.files[path] = world.github.files[path].replace(
        "web: {public: true}", f"web: {{public: true, {canary}}}"
    )
    world.target.requests = {"web": {"shop-web-before": Observed(requests=360_000, errors=360)}}
    world.released(6)
    return world


def test_a_first_release_has_nothing_to_be_compared_with(staged: Any) -> None:
    staged.github.files[".github/slipway.yml", "main"] += "  fresh: {target: gcp}\n"
    for name in staged.target.live:
        staged.target.live[name] = ServiceState(service=name, exists=False)
    assert staged.say("/deploy fresh").reason is Reason.RELEASED
    assert ("apply", "shift") in staged.mutations()
    assert ("apply", "shift-10") not in staged.mutations()


def test_stages_pass_one_after_the_other(staged: Any) -> None:
    staged.pull(7)
    assert staged.say("/deploy staging").reason is Reason.RELEASED
    assert ("apply", "shift-10") in staged.mutations()
    assert staged.target.serves() == {SEVEN}
    assert "Compare web at 10 %" in staged.shown


def test_a_candidate_that_is_worse_is_taken_back(staged: Any) -> None:
    before = staged.target.live["web"].revision

    def worse(service: str, since: float, until: float) -> Any:
        del service, since, until
        candidate = staged.target.candidate_of("web")
        return {before: Observed(requests=9_000, errors=9), candidate: Observed(requests=1_000, errors=90)}

    staged.target.measure = worse
    staged.pull(7)
    outcome = staged.say("/deploy staging")
    assert (outcome.decision, outcome.reason) == (Decision.FAILED, Reason.CANARY_FAILED)
    assert staged.target.serves() == {"0000006" + "0" * 33}
    assert "9 % against 0.1 %" in staged.shown


def test_a_stage_without_requests_is_refused_before_anything_is_changed(staged: Any) -> None:
    staged.target.requests = {}
    staged.pull(7)
    done = len(staged.mutations())
    outcome = staged.say("/deploy staging")
    assert (outcome.decision, outcome.reason) == (Decision.REFUSED, Reason.TOO_LITTLE_TRAFFIC)
    assert "web at 10 %: it takes no requests" in staged.shown
    assert len(staged.mutations()) == done


def test_a_stage_without_requests_is_left_out_where_that_is_wanted(staged: Any) -> None:
    path = ".github/slipway.yml", "main"
    text = staged.github.files[path]
    staged.github.files[path] = text.replace("deadline: 20m", "deadline: 20m, too_little_traffic: skip")
    staged.target.requests = {}
    staged.pull(7)
    assert staged.say("/deploy staging").reason is Reason.RELEASED
    assert "Left out: web at 10 %: it takes no requests" in staged.shown


def test_a_dry_run_of_a_rollback_says_to_what(world: Any) -> None:
    world.released(6)
    world.released(7)
    outcome = world.say("/rollback staging --dry-run", author="max")
    assert outcome.reason is Reason.PLAN_SHOWN
    assert world.mutations() == []
    assert "`0000006`" in world.shown


def test_a_dry_run_is_gated_as_the_release_would_be(world: Any) -> None:
    world.pull(7, draft=True)
    assert world.say("/deploy staging --dry-run").reason is Reason.PULL_REQUEST_DRAFT


# -- several commands -------------------------------------------------------------------------------------------
def test_several_commands_run_in_order(world: Any) -> None:
    outcome = world.say("/deploy staging\n\n/deploy production", author="ada")
    assert outcome.reason is Reason.RELEASED
    assert outcome.environments == ("staging", "production")
    assert len(world.github.thread(7)) == 2


def test_several_commands_stop_at_the_first_that_fails(world: Any) -> None:
    world.target.broken.add("build")
    outcome = world.say("/deploy staging\n/deploy production", author="ada")
    assert (outcome.reason, outcome.environment) == (Reason.BUILD_FAILED, "staging")
    assert world.github.states("production") == []


def test_all_commands_are_authorised_before_any_is_run(world: Any) -> None:
    outcome = world.say("/deploy staging\n/deploy production")
    assert outcome.reason is Reason.FORBIDDEN
    assert world.mutations() == []


@pytest.mark.parametrize(
    "text", ["/deploy staging\n/rollback staging", "\n".join(["/status"] * 6)], ids=["same environment", "six"]
)
def test_too_many_commands_are_refused(world: Any, text: str) -> None:
    outcome = world.say(text, author="ada")
    assert outcome.reason is Reason.TOO_MANY_COMMANDS
    assert world.mutations() == []


def test_a_line_that_cannot_be_read_stops_the_others(world: Any) -> None:
    outcome = world.say("/deploy staging\n/deploy staging --force")
    assert outcome.reason is Reason.BAD_ARGUMENTS
    assert "has no flag" in world.shown
    assert world.mutations() == []


# -- the comment ------------------------------------------------------------------------------------------------
def test_secrets_never_reach_what_is_told(world: Any) -> None:
    world.target.broken.add("build")
    world.github.files[".github/slipway.yml", "main"] += "# \n"
    outcome = world.say('/deploy staging --reason="s3cretS3cret"')
    assert "s3cretS3cret" not in world.shown + outcome.message + str(outcome.result) + "".join(world.summary)


def test_an_issue_has_nothing_to_deploy(world: Any) -> None:
    outcome = world.say("/deploy staging", is_pull_request=False)
    assert outcome.reason is Reason.NOT_A_PULL_REQUEST


def test_a_merged_pull_request_means_its_merge_commit(world: Any) -> None:
    world.pull(7, state="closed", merged=True, merge_sha=ONE)
    outcome = world.say("/deploy staging")
    assert (outcome.reason, outcome.sha) == (Reason.RELEASED, ONE)


def test_a_branch_that_moves_on_meanwhile_is_told(world: Any) -> None:
    newer = replace(world.github.pulls[7], head_sha="9" * 40)
    world.log.hooks["apply"] = lambda: world.github.pulls.__setitem__(7, newer)  # once it is under way
    outcome = world.say("/deploy staging")
    assert (outcome.reason, outcome.sha) == (Reason.RELEASED, SEVEN)
    assert "Behind by 2" in world.shown


def test_the_projects_version_is_read_at_the_released_commit(world: Any) -> None:
    config = world.github.files[".github/slipway.yml", "main"]
    world.github.files[".github/slipway.yml", "main"] = config.replace(
        "app: shop\n", 'app: shop\nbuild: {args: {V: "{pyproject.version}"}}\n'
    )
    world.github.files["pyproject.toml", SEVEN] = '[project]\nname = "shop"\nversion = "2.1"\n'
    assert world.say("/deploy staging").reason is Reason.RELEASED
    assert world.specs[-1].build.args == {"V": "2.1"}
    assert world.github.kept[-1].payload["version"] == "2.1"
    world.say("/status staging")
    assert "2\\.1" in world.shown
    world.say("/history staging")
    assert "2\\.1" in world.shown


@pytest.mark.parametrize("text", ["not toml [", "project = 3", "[project]\nname='x'"])
def test_a_version_that_cannot_be_read_is_the_short_sha(world: Any, text: str) -> None:
    config = world.github.files[".github/slipway.yml", "main"]
    world.github.files[".github/slipway.yml", "main"] = config.replace(
        "app: shop\n", 'app: shop\nbuild: {args: {V: "{pyproject.version}"}}\n'
    )
    world.github.files["pyproject.toml", SEVEN] = text
    assert world.say("/deploy staging").reason is Reason.RELEASED
    assert world.specs[-1].build.args == {"V": "0000007"}
    assert "version" not in world.github.kept[-1].payload


def test_a_cloudbuild_file_is_the_default_branchs(world: Any) -> None:
    config = world.github.files[".github/slipway.yml", "main"]
    world.github.files[".github/slipway.yml", "main"] = config.replace(
        "app: shop\n", "app: shop\nbuild: {config: cloudbuild.yaml}\n"
    )
    world.github.files["cloudbuild.yaml", "main"] = "steps: []"
    world.github.files["cloudbuild.yaml", SEVEN] = "steps: [evil]"
    assert world.say("/deploy staging").reason is Reason.RELEASED
    assert world.specs[-1].cloudbuild_yaml == "steps: []"
