"""Scenarios of what is shown before it is done, and of other people who do something meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable

from bot.sandbox.scenarios import looking
from bot.sandbox.scenarios.expectations import COMMON, deployments, ended, made, nothing_changed, says, serves, true
from bot.sandbox.scenarios.model import Play, Scenario
from bot.sandbox.wire import Act

WEB = "shop-web-staging"
_PATCH = "^PATCH .*/services/"


# -- plans --------------------------------------------------------------------------------------------------
def _shown(play: Play) -> str:
    """Ask for a dry run; return the command that its comment offers."""
    play.release_main()
    play.pull_request("feature")
    play.say("/deploy staging --dry-run")
    found = re.search(r"`(/deploy staging [^`]*--plan=\w+)`", play.comments()[-1].body)
    return found[1] if found else ""


def _dry(play: Play) -> None:
    _shown(play)


def _as_shown(play: Play) -> None:
    play.say(_shown(play))


def _changed(play: Play) -> None:
    command = _shown(play)
    play.world.configure(lambda text: text.replace("memory: 512Mi", "memory: 1Gi"))
    play.begin()
    play.say(command)


# -- somebody with the console open -------------------------------------------------------------------------
def _meanwhile(deed: Callable[[Play], object], *, skip: int = 0) -> Callable[[Play], None]:
    """Let Sam do something right before a change of a service arrives, ``skip`` changes later than the first."""

    def act(play: Play) -> None:
        play.release_main()
        play.pull_request("feature")
        play.world.cloud.run.when(Act(route=_PATCH, before=lambda _: deed(play), skip=skip))
        play.say("/deploy staging")

    return act


def _hotfix(play: Play) -> object:
    return play.world.console.set_env(WEB, HOTFIX="yes")


def _tag(play: Play) -> object:
    return play.world.console.drop_tag(WEB, f"sha-{play.sha('main')}")


def hotfix_serves(play: Play) -> bool:
    """Tell whether what Sam deployed by hand still has all of web's traffic."""
    found = looking.service(play.world, "web", "staging")
    assert found is not None
    (only,) = [target for target in found.site.targets if target.percent]
    return any(each["name"] == "HOTFIX" for each in only.revision.template["containers"][0]["env"])


SCENARIOS = (
    Scenario(
        name="dry-run",
        summary="`--dry-run` shows what would change, the commits and the migrations among them; nothing is changed",
        act=_dry,
        expectations=(
            *COMMON,
            *ended("answered", "plan_shown"),
            *nothing_changed(),
            *serves("main"),
            *says("📋 Dry run", "will be built", "`0004_product_featured`", "1 commit ahead", "Run migrate", "--plan="),
        ),
        instant=True,
    ),
    Scenario(
        name="plan-run-as-shown",
        summary="the command that a dry run offers runs that very plan",
        act=_as_shown,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *made(builds=1, executions=1, deployments=1),
            *serves("feature"),
            *says(lambda play: f"🟢 `{play.sha('feature')}` is live on **staging**", comments=2),
        ),
        instant=True,
    ),
    Scenario(
        name="plan-changed",
        summary="the configuration changed since the dry run: the plan that was shown is not run, and no other",
        act=_changed,
        expectations=(
            *COMMON,
            *ended("refused", "plan_changed"),
            *nothing_changed(),
            *serves("main"),
            *says(
                "The plan is no longer",
                lambda play: f"`/deploy staging @{play.sha('feature')} --dry-run`",
                comments=2,
            ),
        ),
        instant=True,
    ),
    Scenario(
        name="console-hotfix",
        summary="somebody deploys web by hand while the traffic is about to move: his revision stays, he is named",
        act=_meanwhile(_hotfix, skip=2),
        expectations=(
            *COMMON,
            *ended("failed", "conflict", exit_code=1),
            *deployments("failure"),
            *true("the hotfix serves", hotfix_serves),
            *true("worker serves", lambda play: looking.serving(play.world, "worker", "staging").split(" ")[0],
                  lambda play: play.sha("main")),
            *says("sam@\u200bexample.com", "changed the traffic of web", "look at what serves now"),
        ),
        instant=True,
    ),
    Scenario(
        name="console-tag",
        summary="somebody takes a tag off while a release runs: that is his, and the release goes on",
        act=_meanwhile(_tag),
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *deployments("success"),
            *serves("feature"),
        ),
        instant=True,
    ),
)  # fmt: skip
