"""Scenarios on Heroku: the sample's environment ``legacy``."""

from __future__ import annotations

from collections.abc import Callable

from bot.sandbox.scenarios import looking
from bot.sandbox.scenarios.expectations import COMMON, deployments, ended, heroku, made, reacted, says, spared, true
from bot.sandbox.scenarios.model import Play, Scenario


def _second(variant: str) -> Callable[[Play], None]:
    """Return a story: main runs on the app, then a pull request is deployed to it."""

    def act(play: Play) -> None:
        sha = play.shas["main"] = play.repository.branches()["main"]
        play.repository.check_run(sha, name="ci", conclusion="success")
        payload = play.repository.dispatch_payload(actor="lee")
        extra = {"SLIPWAY_COMMAND": "deploy", "SLIPWAY_ENVIRONMENT": "legacy"}
        ran = play.event("workflow_dispatch", payload, actor="lee", extra=extra)
        if ran.outputs.get("decision") != "released":
            raise RuntimeError(f"the first release went wrong: {ran.outputs}\n{ran.stderr}")
        play.begin()
        play.pull_request(variant)
        play.say("/deploy legacy")

    return act


def _rollback(play: Play) -> None:
    _second("feature")(play)
    play.begin()
    play.say("/rollback legacy")


def _failed(name: str, summary: str, variant: str, *phrases: str, reasons: tuple[str, ...]) -> Scenario:
    return Scenario(
        name=name,
        summary=summary,
        act=_second(variant),
        expectations=(
            *COMMON,
            *true("the run fails", lambda play: [play.last.outputs["decision"], play.last.exit_code], ["failed", 1]),
            *true("for one of its reasons", lambda play: play.last.outputs["reason"] in reasons),
            *made(deployments=1),
            *deployments("failure", environment="legacy"),
            *heroku("main"),
            *reacted("eyes", "confused"),
            *says(
                lambda play: f"🔴 `{play.sha(variant)}` failed",
                *phrases,
                lambda play: f"`{play.sha('main')}`",
                "/deploy legacy",
                never=("look at what serves now",),
            ),
            *spared("run", "cloudbuild", "sts"),
        ),
    )


SCENARIOS = (
    Scenario(
        name="heroku-success",
        summary="`/deploy legacy`: source, build, release phase, dynos, verification",
        act=_second("feature"),
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *made(deployments=1),
            *deployments("success", environment="legacy"),
            *heroku("feature"),
            *reacted("eyes", "rocket"),
            *says(lambda play: f"🟢 `{play.sha('feature')}` is live on **legacy**", "/rollback legacy"),
            *true(
                "releases of the app that failed",
                lambda play: [
                    release.version
                    for release in play.world.heroku.apps["shop-legacy"].releases
                    if release.status != "succeeded"
                ],
                [],
            ),
            *spared("run", "cloudbuild", "sts"),
        ),
    ),
    _failed(
        "heroku-failing-release",
        "the release phase fails: the former release goes on serving",
        "failing_migration",
        "duplicate column name",
        reasons=("rollout_failed", "job_failed"),
    ),
    _failed(
        "heroku-crash",
        "the new code does not start: the former release is brought back",
        "crash_on_boot",
        "SITE_URL",
        reasons=("rollout_failed", "verification_failed"),
    ),
    Scenario(
        name="heroku-rollback",
        summary="`/rollback legacy` brings back the release before",
        act=_rollback,
        expectations=(
            *COMMON,
            *ended("released", "rolled_back"),
            *made(deployments=1),
            *deployments("success", environment="legacy"),
            *heroku("main"),
            *reacted("eyes", "rocket"),
            *says(lambda play: f"🟢 **legacy** is back on `{play.sha('main')}`", comments=2, never=("❌",)),
            *true("the app answers", lambda play: "200" in looking.heroku_serving(play.world)),
        ),
    ),
)
