"""Scenarios of what people put on environments (locks, freezes), and of those who stop a release."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bot.sandbox.scenarios.expectations import COMMON, deployments, ended, made, says, serves, true
from bot.sandbox.scenarios.model import Play, Scenario
from bot.sandbox.scenarios.moments import JOB_RUN, PATIENCE, SERVICE, Moment
from bot.sandbox.scenarios.rollbacks import release
from bot.sandbox.wire import Fault

FREE = "refs/slipway/"


def marks(play: Play) -> list[str]:
    """Return what is on environments, as ``kind/environment``."""
    return sorted(name.removeprefix(FREE) for name in play.repository.refs(FREE))


def _locked(play: Play) -> None:
    """Dana keeps staging for her pull request; lee's is refused until she gives it free."""
    play.release_main()
    play.pull_request("slow_pages", author="lee")
    others = play.number
    play.pull_request("feature")
    play.say('/lock staging --reason="demo at ten" --for=2h')
    play.say("/deploy staging", author="lee", number=others)
    play.say("/deploy staging")
    play.say("/unlock staging")
    play.notes["on the other thread"] = play.comments(others)[-1].body


def _frozen(play: Play) -> None:
    """Lee freezes staging after a release; nothing is released, but it can be rolled back."""
    play.release_main()
    release(play, "feature")
    play.pull_request("slow_pages")
    play.begin()
    play.say('/freeze staging --reason="the database moves"', author="lee")
    play.say("/deploy staging")
    play.say("/rollback staging")
    play.notes["frozen"] = marks(play)
    play.say("/unfreeze staging", author="lee")


def _retried(play: Play) -> None:
    """Break the migration once; it is retried, and nothing is built for that."""
    play.release_main()
    play.pull_request("feature")
    play.world.cloud.run.fail(Fault(route=r"^POST .*:run$", kind="status", status=500, times=9))
    play.say("/deploy staging")
    play.world.cloud.run.faults.clear()
    play.begin()
    play.say("/retry staging")


def _while_it_runs(play: Play, moment: Moment, *acts: Callable[[], object]) -> None:
    """Let dana release, and others act at a moment of it. Its run is listed last."""

    def act() -> None:
        if moment.come.wait(PATIENCE):
            for each in acts:
                each()

    meanwhile = threading.Thread(target=act)
    meanwhile.start()
    ran = play.world.comment(play.number, "/deploy staging")
    meanwhile.join()
    play.runs.append(ran)


def _cancelled(play: Play) -> None:
    play.release_main()
    play.pull_request("feature")
    play.world.cloud.run.operation_seconds = 3.0
    moment = Moment(play.world.cloud.run, "after", "PATCH", SERVICE)
    _while_it_runs(play, moment, lambda: play.say("/cancel staging"))


def _forced(play: Play) -> None:
    """The release hangs in a call and does not end by itself: the second `/cancel` ends it, the next release tidies."""
    play.release_main()
    play.pull_request("feature")
    play.world.cloud.run.fail(Fault(route=r"^POST .*:run$", kind="stall", seconds=20.0))
    moment = Moment(play.world.cloud.run, "before", "POST", JOB_RUN)
    _while_it_runs(
        play,
        moment,
        lambda: play.say("/cancel staging", author="lee"),
        lambda: play.say("/cancel staging", author="lee"),
    )
    play.begin()
    play.say("/deploy staging")


SCENARIOS = (
    Scenario(
        name="lock",
        summary="`/lock` keeps an environment for a pull request: another one is refused, and told whose it is",
        act=_locked,
        expectations=(
            *COMMON,
            *ended("done", "lock_set", run=-4),
            *ended("refused", "claimed", run=-3),
            *ended("released", "released", run=-2),
            *ended("done", "unlocked"),
            *serves("feature"),
            *true("marks", marks, []),
            *true("the other is told", lambda play: "demo at ten" in play.notes["on the other thread"]),
            *says("The lock on **staging** that dana left at", comments=3),
        ),
        instant=True,
    ),
    Scenario(
        name="freeze",
        summary="`/freeze` lets nothing be released, until `/unfreeze`; a rollback is possible all the same",
        act=_frozen,
        expectations=(
            *COMMON,
            *ended("done", "frozen_now", run=-4),
            *ended("refused", "frozen", run=-3),
            *ended("released", "rolled_back", run=-2),
            *ended("done", "unfrozen"),
            *made(builds=0, executions=0, deployments=1),
            *serves("main"),
            *true("marks while it is frozen", lambda play: play.notes["frozen"], ["freezes/staging", "holds/staging"]),
            *true("marks", marks, ["holds/staging"]),
            *says("back on", comments=4, comment=2),
        ),
        instant=True,
    ),
    Scenario(
        name="retry",
        summary="`/retry` releases what failed last once more: its image is there already",
        act=_retried,
        expectations=(
            *COMMON,
            *ended("failed", "job_failed", exit_code=1, run=-2),
            *ended("released", "released"),
            *made(builds=0, executions=1, deployments=1),
            *serves("feature"),
            *says("is live on **staging**", comments=2),
        ),
        instant=True,
    ),
    Scenario(
        name="cancel",
        summary="`/cancel` stops the release that runs: what served before serves, its own comment says so",
        act=_cancelled,
        expectations=(
            *COMMON,
            *ended("done", "cancel_sent", run=-2),
            *ended("cancelled", "cancelled", exit_code=1),
            *deployments("error"),
            *serves("main"),
            *true("marks", marks, ["cancels/staging"]),
            *says("Asked to stop: the release of", comments=2),
            *says("was cancelled", comments=2, comment=0),
        ),
    ),
    Scenario(
        name="cancel-forced",
        summary="a second `/cancel` ends a release that hangs, by force; the next one tidies up behind it",
        act=_forced,
        expectations=(
            *COMMON,
            *ended("done", "cancel_sent", run=-4),
            *ended("done", "cancel_sent", run=-3),
            *ended("released", "released"),
            *serves("feature"),
            *says("is live on **staging**", comments=4),
        ),
        instant=True,
    ),
)
