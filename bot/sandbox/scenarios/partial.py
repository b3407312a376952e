"""Scenarios of releases of some services only."""

from __future__ import annotations

from bot.sandbox.scenarios.expectations import COMMON, deployments, ended, made, nothing_changed, says, serves
from bot.sandbox.scenarios.model import Play, Scenario


def _web(play: Play) -> None:
    play.release_main()
    play.pull_request("feature")
    play.say("/deploy staging web")
    play.say("/verify staging")


def _broken(play: Play) -> None:
    play.release_main()
    play.pull_request("crash_on_boot")
    play.say("/deploy staging web")


def _back(play: Play) -> None:
    """A release of the web alone, a whole one after it, and the way back to that mixture."""
    play.release_main()
    play.pull_request("feature")
    play.say("/deploy staging web")
    play.pull_request("slow_pages")
    play.say("/deploy staging")
    play.begin()
    play.say("/rollback staging")
    play.say("/status staging")


def _unknown(play: Play) -> None:
    play.release_main()
    play.pull_request("feature")
    play.say("/deploy staging wbe")


SCENARIOS = (
    Scenario(
        name="one-service",
        summary="`/deploy staging web` releases the web alone, and each service is held to its own release",
        act=_web,
        expectations=(
            *COMMON,
            *ended("answered", "verified"),
            *deployments("success"),
            *made(builds=1, executions=1),
            *serves("feature", "main", digests=2),
            *says(
                lambda play: f"### 🟢 `{play.sha('feature')}` is live on `web` of **staging**",
                "`worker`, which stays as it is.",
                comments=2,
                comment=0,
            ),
        ),
    ),
    Scenario(
        name="one-service-fails",
        summary="a release of the web alone crashes: both services serve what they did",
        act=_broken,
        expectations=(
            *COMMON,
            *ended("failed", "rollout_failed", exit_code=1),
            *serves("main"),
            *says("`web` of **staging**", "still serves"),
        ),
    ),
    Scenario(
        name="one-service-back",
        summary="a rollback brings back what a release of one service had left: two commits, each on its service",
        act=_back,
        expectations=(
            *COMMON,
            *ended("released", "rolled_back", run=-2),
            *made(builds=0, executions=0, deployments=1),
            *serves("feature", "main", digests=2),
            *says(
                lambda play: f"⚠️ `{play.sha('feature')}` (web) · `{play.sha('main')}` (worker)",
                comments=3,
            ),
        ),
    ),
    Scenario(
        name="one-service-unknown",
        summary="a service that there is not is refused before anything is done, with the one that is meant",
        act=_unknown,
        expectations=(
            *COMMON,
            *ended("refused", "unknown_service"),
            *nothing_changed(),
            *serves("main"),
            *says("`staging` has no service `wbe`", "`/deploy staging web`"),
        ),
        instant=True,
    ),
)
