"""Scenarios in which a release goes well."""

from __future__ import annotations

from bot.sandbox.scenarios import looking
from bot.sandbox.scenarios.expectations import (
    COMMON,
    deployments,
    ended,
    hidden,
    made,
    nothing_changed,
    reacted,
    says,
    serves,
    silent,
    told,
    true,
)  # fmt: skip
from bot.sandbox.scenarios.model import Play, Scenario


def _second(play: Play) -> None:
    play.release_main()
    play.pull_request("feature")
    play.say("/deploy staging")


def _first(play: Play) -> None:
    play.pull_request("feature")
    play.say("/deploy staging")


def _named(play: Play) -> None:
    play.pull_request("feature")
    play.repository.commit("feature", {"NOTES.md": "Featured products have a star.\n"}, message="Note the star")
    play.shas["feature"] = play.repository.branches()["feature"]
    play.repository.check_run(play.shas["feature"], name="ci", conclusion="success")
    play.say(f"/deploy staging @{play.sha('feature')}")


def _rollback(play: Play) -> None:
    play.release_main()
    play.pull_request("feature")
    play.say("/deploy staging")
    play.begin()
    play.say("/rollback staging")


def _rollback_first(play: Play) -> None:
    play.release_main()
    play.pull_request("feature")
    play.say("/rollback staging")


def _push(play: Play) -> None:
    number = play.pull_request("feature")
    play.shas["merge"] = play.repository.merge(number, actor="lee")
    play.repository.check_run(play.shas["merge"], name="ci", conclusion="success")
    play.event("push", play.repository.push_payload(actor="lee"), actor="lee")


def _push_overtaken(play: Play) -> None:
    """The run of main's earlier push fails and is started again when the merge is live already."""
    play.shas["main"] = play.repository.branches()["main"]
    payload = play.repository.push_payload(actor="lee")
    play.repository.check_run(play.shas["main"], name="ci", conclusion="failure")
    early = play.event("push", payload, actor="lee")
    play.repository.check_run(play.shas["main"], name="ci", conclusion="success")
    _push(play)
    play.begin()
    play.event("push", payload, actor="lee", run=play.repository.rerun(early.run))


def _dispatch(play: Play) -> None:
    play.branch("feature")
    sha = play.shas["main"] = play.repository.branches()["main"]
    play.repository.check_run(sha, name="ci", conclusion="success")
    inputs = {"command": "deploy", "environment": "staging", "sha": "", "reason": "after the holidays"}
    extra = {
        "SLIPWAY_COMMAND": inputs["command"], "SLIPWAY_ENVIRONMENT": inputs["environment"],
        "SLIPWAY_SHA": inputs["sha"], "SLIPWAY_REASON": inputs["reason"],
    }  # fmt: skip
    play.event(
        "workflow_dispatch", play.repository.dispatch_payload(inputs=inputs, actor="lee"), actor="lee", extra=extra
    )


def _two_jobs(play: Play) -> None:
    """As docs/examples/two-jobs.yml: the second job gets what the first one put out."""
    number = play.pull_request("feature")
    payload = play.repository.comment(number, "/deploy staging")
    command = play.event("issue_comment", payload, extra={"SLIPWAY_PHASE": "command"})
    play.notes["cloud calls of the command job"] = sum(
        count for name, count in play.world.calls().items() if name != "github"
    )
    play.notes["environments"] = command.outputs.get("environments")
    extra = {
        "SLIPWAY_PHASE": "release", "SLIPWAY_ENVIRONMENT": "staging", "SLIPWAY_SHA": command.outputs["sha"],
    }  # fmt: skip
    play.event("issue_comment", payload, environment="staging", extra=extra)


def _image_reused(play: Play) -> None:
    play.pull_request("feature")
    play.say("/deploy staging")
    play.begin()
    play.say("/deploy staging")


def _many(play: Play) -> None:
    play.pull_request("feature")
    play.say("Ship it everywhere.\n\n/deploy staging\n/deploy production", author="lee")


SCENARIOS = (
    Scenario(
        name="success",
        summary="main serves; `/deploy staging` on a pull request releases its head and verifies it",
        act=_second,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *made(builds=1, executions=1, deployments=1),
            *deployments("success"),
            *serves("feature"),
            *reacted("eyes", "rocket"),
            *says(lambda play: f"🟢 `{play.sha('feature')}` is live on **staging**", "/rollback staging", "version"),
        ),
    ),
    Scenario(
        name="first-release",
        summary="nothing serves yet: `/deploy staging` makes the services",
        act=_first,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *made(builds=1, executions=1, deployments=1),
            *deployments("success"),
            *serves("feature"),
            *reacted("eyes", "rocket"),
            *says(lambda play: f"🟢 `{play.sha('feature')}` is live on **staging**", never=("/rollback staging",)),
        ),
        instant=True,
    ),
    Scenario(
        name="named-sha",
        summary="the head is as new as the comment, but the comment names it: that settles which commit is meant",
        act=_named,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *deployments("success"),
            *serves("feature"),
            *says(lambda play: f"🟢 `{play.sha('feature')}` is live on **staging**"),
        ),
        instant=True,
    ),
    Scenario(
        name="rollback",
        summary="`/rollback staging` brings back what served before, without a build or a migration",
        act=_rollback,
        expectations=(
            *COMMON,
            *ended("released", "rolled_back"),
            *made(builds=0, executions=0, deployments=1),
            *deployments("success"),
            *serves("main"),
            *reacted("eyes", "rocket"),
            *says(lambda play: f"🟢 **staging** is back on `{play.sha('main')}`", comments=2, never=("❌",)),
        ),
    ),
    Scenario(
        name="rollback-first",
        summary="`/rollback staging` after the very first release: there is nothing to go back to",
        act=_rollback_first,
        expectations=(
            *COMMON,
            *ended("refused", "nothing_to_roll_back_to"),
            *nothing_changed(),
            *serves("main"),
            *reacted("eyes", "-1"),
            *says("was the first release on `staging`", "Nothing was changed"),
        ),
        instant=True,
    ),
    Scenario(
        name="push",
        summary="a merged pull request: the push to main releases what says `on: push`, and reports there",
        act=_push,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *made(builds=1, executions=1, deployments=1),
            *deployments("success"),
            *serves("merge"),
            *serves("", environment="production"),
            *says(lambda play: f"🟢 `{play.sha('merge')}` is live on **staging**"),
        ),
    ),
    Scenario(
        name="push-overtaken",
        summary="the run of an earlier push is started again when a later one is live: nothing goes back",
        act=_push_overtaken,
        expectations=(
            *COMMON,
            *ended("refused", "superseded"),
            *nothing_changed(),
            *serves("merge"),
        ),
    ),
    Scenario(
        name="dispatch",
        summary="the workflow is run by hand, with an environment and a reason: the report is the job summary",
        act=_dispatch,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *deployments("success"),
            *serves("main"),
            *silent(),
            *true(
                "the summary tells", lambda play: f"`{play.sha('main')}` is live on **staging**" in play.last.summary
            ),
            *true(
                "the record keeps the reason",
                lambda play: play.deployments()[-1].payload.get("reason"),
                "after the holidays",
            ),
        ),
        instant=True,
    ),
    Scenario(
        name="two-jobs",
        summary="one job decides without cloud rights, the other releases with its outputs",
        act=_two_jobs,
        expectations=(
            *COMMON,
            *ended("release", "ready", run=0),
            *true("environments for the second job", lambda play: play.notes["environments"], '["staging"]'),
            *true("calls to clouds by the first job", lambda play: play.notes["cloud calls of the command job"], 0),
            *ended("released", "released"),
            *made(builds=1, executions=1, deployments=1),
            *deployments("success"),
            *serves("feature"),
            *reacted("eyes", "rocket"),
            *says(lambda play: f"🟢 `{play.sha('feature')}` is live on **staging**"),
        ),
        instant=True,
    ),
    Scenario(
        name="image-reused",
        summary="the same commit is deployed again: its image is reused, nothing is built",
        act=_image_reused,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *made(builds=0, executions=1, deployments=1),
            *deployments("success"),
            *serves("feature"),
            *says(lambda play: f"🟢 `{play.sha('feature')}` is live on **staging**", "exists already", comments=2),
            *true("what is hidden", hidden, [True, False]),
            *true("who is told of it", told, []),
        ),
        instant=True,
    ),
    Scenario(
        name="many-commands",
        summary="one comment deploys to two environments: in order, each with a comment of its own",
        act=_many,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *made(builds=1, executions=2, deployments=2),
            *true(
                "deployments",
                lambda play: [f"{each.environment} {each.state}" for each in play.deployments()],
                ["staging success", "production success"],
            ),
            *serves("feature"),
            *serves("feature", environment="production"),
            *true(
                "one digest everywhere",
                lambda play: len(looking.digests(play.world, "staging") | looking.digests(play.world, "production")),
                1,
            ),
            *says("is live on **production**", comments=2),
            *says("is live on **staging**", comments=2, comment=0),
        ),
        instant=True,
    ),
)
