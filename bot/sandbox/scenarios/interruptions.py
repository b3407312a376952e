"""Scenarios of releases that are cut short and begun again, and of waits that would never end."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from typing import Any

from bot.sandbox.scenarios.expectations import COMMON, deployments, ended, made, says, serves, true
from bot.sandbox.scenarios.model import Play, Scenario
from bot.sandbox.scenarios.moments import PATIENCE, Moment
from bot.sandbox.scenarios.rollouts import MONITORED, past, target, visited, web
from bot.sandbox.wire import Act, Fault

_PATCH = r"^PATCH .*/services/\{service\}$"
_METRICS = "/v3/projects/{project}/timeSeries"
_STALL = 6.0  # seconds


class _Bot:
    """The bot's process, to be dealt with from the thread of one of its calls."""

    def __init__(self) -> None:
        self._started, self._process = threading.Event(), list[subprocess.Popen[str]]()

    def started(self, process: subprocess.Popen[str]) -> None:
        self._process.append(process)
        self._started.set()

    def _get(self) -> subprocess.Popen[str]:
        self._started.wait(PATIENCE)
        return self._process[0]

    def kill(self) -> None:
        """Kill it, and see it gone."""
        self._get().kill()
        self._get().wait()

    def cancel(self) -> None:
        """Ask it to end, as a cancelled workflow does."""
        self._get().terminate()


def _say(play: Play, bot: _Bot) -> dict[str, Any]:
    """Let dana ask for the release; returns the event, for another attempt."""
    payload = play.repository.comment(play.number, "/deploy staging")
    play.event("issue_comment", payload, started=bot.started)
    return payload


def _when_traffic_moves(play: Play, act: Callable[[], object]) -> None:
    """Do something once the first service has its traffic on the release: two changes came before, its rollouts."""
    play.world.cloud.run.when(Act(route=_PATCH, after=lambda _: act(), skip=2))


# -- killed -------------------------------------------------------------------------------------------------
def _half_moved(play: Play) -> dict[str, Any]:
    """Kill the bot when the traffic of one service has moved."""
    play.release_main()
    play.pull_request("feature")
    bot = _Bot()
    _when_traffic_moves(play, bot.kill)
    return _say(play, bot)


def _rerun(play: Play) -> None:
    payload = _half_moved(play)
    play.event("issue_comment", payload, run=play.repository.rerun(play.last.run))


def _rolled_back(play: Play) -> None:
    _half_moved(play)
    play.say("/rollback staging", author="lee")


def _stage_rolled_back(play: Play) -> None:
    """Kill the bot while web's candidate has a quarter of the traffic. Two releases came before it."""
    play.release_main()
    play.pull_request("feature")
    play.say("/deploy staging")
    web(play, f"strategy: {MONITORED}")
    past(play)
    play.begin()
    play.pull_request("failing_pages")
    bot = _Bot()
    _when_traffic_moves(play, bot.kill)
    _say(play, bot)
    play.say("/rollback staging", author="lee")


# -- cancelled ----------------------------------------------------------------------------------------------
def _cancelled_stage(play: Play) -> None:
    """Cancel while web's candidate has a quarter of the traffic and is being compared."""
    web(play, f"strategy: {MONITORED}")
    play.release_main()
    past(play)
    play.pull_request("feature")
    bot, monitoring = _Bot(), play.world.cloud.monitoring
    _when_traffic_moves(play, lambda: Moment(monitoring, "after", "GET", _METRICS, act=bot.cancel))
    with visited(play):
        _say(play, bot)


def _cancelled_stalled(play: Play) -> None:
    """Cancel while a call does not come back that moves the traffic of a service. It arrives after the run is over."""
    play.release_main()
    play.pull_request("feature")
    bot, run = _Bot(), play.world.cloud.run
    arrived = threading.Event()
    run.fail(Fault(route=_PATCH, kind="stall", seconds=_STALL, skip=2))
    run.when(Act(route=_PATCH, before=lambda _: bot.cancel(), after=lambda _: arrived.set(), skip=2))
    _say(play, bot)
    play.notes["in time"] = not arrived.is_set()
    arrived.wait(PATIENCE)


# -- stuck --------------------------------------------------------------------------------------------------
def _stuck(play: Play) -> None:
    """Let an operation of Cloud Run take longer than a rollout may; those after it are quick again."""
    target(play, "rollout_timeout: 3s")
    play.release_main()
    play.pull_request("feature")
    run = play.world.cloud.run

    def slow(seconds: float) -> Callable[[object], None]:
        return lambda _: setattr(run, "operation_seconds", seconds)

    run.when(Act(route=_PATCH, before=slow(60.0)))
    run.when(Act(route=_PATCH, before=slow(0.0), skip=2, times=2))
    play.say("/deploy staging")


def _operations(play: Play) -> list[str]:
    """Return the operations that Cloud Run knows and the comment names."""
    body = play.comments()[-1].body
    regions = play.world.cloud.run.regions.values()
    return [name for region in regions for each in region.operations.all() if (name := each.name) in body]


SCENARIOS = (
    Scenario(
        name="killed-and-rerun",
        summary="the runner dies when the traffic of one service has moved: the job is run again and finishes it",
        act=_rerun,
        expectations=(
            *COMMON,
            *true("the first attempt was killed", lambda play: play.runs[1].exit_code, -9),
            *ended("released", "released"),
            *made(builds=1, executions=1, deployments=1),
            *deployments("success"),
            *serves("feature"),
            *says(lambda play: f"🟢 `{play.sha('feature')}` is live on **staging**"),
        ),
        instant=True,
    ),
    Scenario(
        name="killed-and-rolled-back",
        summary="the runner dies when the traffic of one service has moved: `/rollback` brings back what served before",
        act=_rolled_back,
        expectations=(
            *COMMON,
            *true("the release was killed", lambda play: play.runs[1].exit_code, -9),
            *ended("released", "rolled_back"),
            *made(builds=1, executions=1, deployments=2),
            *deployments("error", "success"),
            *serves("main"),
            *says(lambda play: f"🟢 **staging** is back on `{play.sha('main')}`", comments=2),
            *says("was interrupted", never=("🟡",), comments=2, comment=0),
        ),
        instant=True,
    ),
    Scenario(
        name="canary-killed-and-rolled-back",
        summary="the runner dies in the middle of a stage: `/rollback` goes back to what has the rest of the traffic",
        act=_stage_rolled_back,
        expectations=(
            *COMMON,
            *ended("released", "rolled_back"),
            *serves("feature"),
            *says(lambda play: f"🟢 **staging** is back on `{play.sha('feature')}`", comments=2),
        ),
        instant=True,
    ),
    Scenario(
        name="canary-cancelled",
        summary="the workflow is cancelled in the middle of a stage: all traffic is back on what served before",
        act=_cancelled_stage,
        expectations=(
            *COMMON,
            *ended("cancelled", "cancelled", exit_code=1),
            *deployments("error"),
            *serves("main"),
            *true("failed visits", lambda play: play.notes["failed visits"], 0),
            *says("ancelled", "Compare web at 25 %", "/deploy staging", never=("🟢",)),
        ),
        instant=True,
    ),
    Scenario(
        name="cancelled-while-stalled",
        summary="cancelled while a call does not come back: the end is told in time, and the late change is refused",
        act=_cancelled_stalled,
        expectations=(
            *COMMON,
            *true("the run ended before the call did", lambda play: play.notes["in time"]),
            *ended("cancelled", "cancelled", exit_code=1),
            *deployments("error"),
            *serves("main"),
            *says("ancelled", "/deploy staging", never=("🟢",)),
        ),
        instant=True,
    ),
    Scenario(
        name="stuck-operation",
        summary="a rollout takes longer than it may: what served before serves, the comment names the operation",
        act=_stuck,
        expectations=(
            *COMMON,
            *ended("failed", "timed_out", exit_code=1),
            *made(builds=1, executions=1, deployments=1),
            *deployments("failure"),
            *serves("main"),
            *true("operations named", lambda play: len(_operations(play)) >= 1),
            *says("did not end within 3 s", "/retry staging", never=("🟢",)),
        ),
        instant=True,
    ),
)
