"""Scenarios of a second person's word, and of an emergency in which somebody goes past gates."""

from __future__ import annotations

import json

from bot.sandbox.github.gitobjects import RefUpdate
from bot.sandbox.github.model import RunReview, iso
from bot.sandbox.github.shapes import node_id
from bot.sandbox.scenarios.expectations import COMMON, deployments, ended, made, nothing_changed, says, serves, true
from bot.sandbox.scenarios.marks import marks
from bot.sandbox.scenarios.model import BOT, Play, Scenario
from bot.sandbox.wire import Fault

STAGING = "  staging: {target: gcp, on: push}"
GATES = "gates: {required_checks: [ci], approvals: 1}"
PAST_CHECKS = '/deploy staging --override=required_checks --reason="the shop is down"'


def _wanting(play: Play) -> None:
    """Let staging want a second person's word from now on; dana has opened a pull request."""
    play.release_main()
    play.world.configure(lambda text: text.replace(STAGING, f"{STAGING[:-1]}, {GATES}}}"))
    play.pull_request("feature")
    play.begin()


def _approved(play: Play) -> None:
    _wanting(play)
    play.say("/deploy staging")
    play.say("/approve staging", author="lee")
    play.say("/deploy staging")


def _moved(play: Play) -> None:
    """Lee approves what he sees; then dana pushes once more."""
    _wanting(play)
    with play.world.earlier(30):
        play.say("/approve staging", author="lee")
    with play.world.earlier(10):
        change = {"NOTES.md": "One more thing.\n"}
        play.shas["newer"] = play.repository.commit("feature", change, message="One more thing")
    play.repository.check_run(play.shas["newer"], name="ci", conclusion="success")
    play.say("/deploy staging")


def _rejected(play: Play) -> None:
    """Lee approves, thinks again, and takes it back; in the end he is content."""
    _wanting(play)
    play.say("/approve staging", author="lee")
    play.say("/reject staging", author="lee")
    play.say("/deploy staging")
    play.say("/approve staging", author="lee")
    play.say("/deploy staging")


def _forged(play: Play) -> None:
    """Dana may push, so she may write refs: she writes down lee's approval, for a comment in which he said none."""
    _wanting(play)
    repository = play.repository
    said = repository.add_comment(play.number, "Looks good, but ask me before you /approve staging.", author="lee")
    entry = {
        "verdict": "approve",
        "actor": "lee",
        "sha": play.shas["feature"],
        "since": iso(said.created_at),
        "comment": node_id("IC", said.id),
    }
    record = {"version": 1, "environment": "staging", "approvals": [entry]}
    tag = repository.git.write_tag(
        target=play.shas["feature"], kind="commit", name="slipway-approvals-staging",
        tagger=repository.person("lee"), message=json.dumps(record),
    )  # fmt: skip
    repository.move_refs([RefUpdate(name="refs/slipway/approvals/staging", after=tag)], actor="dana")
    play.say("/deploy staging")


def _down(play: Play) -> None:
    """The check of a mend is red, for a reason of its own."""
    play.release_main()
    play.pull_request("feature")
    play.repository.check_run(play.shas["feature"], name="ci", conclusion="failure")
    play.begin()


def _overridden(play: Play) -> None:
    _down(play)
    play.say(PAST_CHECKS)
    play.world.github.fail(Fault(route=r"^POST .*/repos/\{owner\}/\{repo\}/issues$", kind="lose_reply"))
    play.say(PAST_CHECKS, author="lee")


def _misused(play: Play) -> None:
    _down(play)
    play.say("/deploy staging --override=required_checks", author="lee")
    play.say('/deploy staging --override=sha_binding --reason="no time"', author="lee")


def _run_reviewed(play: Play) -> None:
    """The GitHub environment of the releasing job has reviewers: dana approves her own run, then lee another one."""
    play.release_main()
    play.world.configure(
        lambda text: text.replace("on: push", "on: push, approvals: {environment: staging, confirm: true}", 1)
    )
    play.pull_request("feature")
    play.repository.environment("staging", reviewers=("lee", "dana"))
    play.begin()
    play.say("/deploy staging")
    for reviewer in ("dana", "lee"):
        payload = play.repository.comment(play.number, f"/deploy staging @{play.sha('feature')}")
        command = play.event("issue_comment", payload, extra={"SLIPWAY_PHASE": "command"})
        run = play.repository.start_run(event="issue_comment", actor="dana", environment="staging")
        run.reviews.append(RunReview(environment="staging", state="approved", login=reviewer))
        extra = {"SLIPWAY_PHASE": "release", "SLIPWAY_ENVIRONMENT": "staging", "SLIPWAY_SHA": command.outputs["sha"]}
        play.event("issue_comment", payload, run=run, extra=extra)


def issues(play: Play) -> list[str]:
    """Return the titles of the issues that the bot has opened."""
    return [one.title for one in play.repository.state.issues.values() if one.author == BOT and one.pull is None]


SCENARIOS = (
    Scenario(
        name="approve",
        summary="an environment wants a second person's word: refused, approved by an admin, released",
        act=_approved,
        expectations=(
            *COMMON,
            *ended("refused", "approval_missing", run=-3),
            *ended("done", "approved", run=-2),
            *ended("released", "released"),
            *deployments("success"),
            *serves("feature"),
            *true("marks", marks, ["approvals/staging"]),
            *says("has approved", "1 of 1 approvals (lee).", comments=3, comment=1),
        ),
        instant=True,
    ),
    Scenario(
        name="approve-moved",
        summary="the branch moves after it was approved: the approval is of another commit",
        act=_moved,
        expectations=(
            *COMMON,
            *ended("done", "approved", run=-2),
            *ended("refused", "approval_missing"),
            *nothing_changed(),
            *serves("main"),
            *says("has 0 of 1 approvals for `staging`", comments=2),
        ),
        instant=True,
    ),
    Scenario(
        name="approve-rejected",
        summary="`/reject` keeps a commit out until whoever said it approves",
        act=_rejected,
        expectations=(
            *COMMON,
            *ended("done", "rejected_now", run=-4),
            *ended("refused", "rejected", run=-3),
            *ended("done", "approved", run=-2),
            *ended("released", "released"),
            *serves("feature"),
            *says("is live on **staging**", comments=5),
        ),
        instant=True,
    ),
    Scenario(
        name="approve-forged",
        summary="somebody who may push writes down an approval that nobody gave: its comment does not say so",
        act=_forged,
        expectations=(
            *COMMON,
            *ended("refused", "approval_missing"),
            *nothing_changed(),
            *serves("main"),
            *says("has 0 of 1 approvals", "lee has no comment any more that says so"),
        ),
        instant=True,
    ),
    Scenario(
        name="approve-on-github",
        summary="`approvals`: the commit is named, and a reviewer of the GitHub environment, not who asks, approves",
        act=_run_reviewed,
        expectations=(
            *COMMON,
            *ended("refused", "sha_required", run=-5),
            *ended("release", "ready", run=-4),
            *ended("refused", "run_unreviewed", run=-3),
            *ended("release", "ready", run=-2),
            *ended("released", "released"),
            *made(builds=1, deployments=1),
            *serves("feature"),
            *says("Nobody but who asks for it has approved this run", comments=3, comment=1),
        ),
        instant=True,
    ),
    Scenario(
        name="override",
        summary="`--override` goes past a red check: for admins, told in the comment, the record and one issue",
        act=_overridden,
        expectations=(
            *COMMON,
            *ended("refused", "forbidden", run=-2),
            *ended("released", "released"),
            *made(builds=1, deployments=1),
            *serves("feature"),
            *true(
                "issues of the bot",
                issues,
                lambda play: [f"Break-glass: {play.sha('feature')} to staging, required_checks overridden"],
            ),
            *true("the record", lambda play: play.deployments()[0].payload["overridden"], ["required_checks"]),
            *says(
                "**Break-glass**",
                "lee has overridden `required_checks`: the shop is down",
                lambda play: f"/issues/{max(play.repository.state.issues)}",
                comments=2,
            ),
        ),
        instant=True,
    ),
    Scenario(
        name="override-misused",
        summary="`--override` without a reason, and of a gate that nobody gets past: refused, with those that can be",
        act=_misused,
        expectations=(
            *COMMON,
            *ended("refused", "bad_arguments", run=-2),
            *ended("refused", "bad_arguments"),
            *nothing_changed(),
            *true("issues of the bot", issues, []),
            *says("`sha_binding` cannot be overridden", "not_frozen", comments=2),
        ),
        instant=True,
    ),
)
