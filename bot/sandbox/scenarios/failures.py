"""Scenarios in which a release fails, or is stopped: what served before is brought back, and the comment says why."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

from bot.sandbox.scenarios import looking
from bot.sandbox.scenarios.expectations import COMMON, deployments, ended, made, reacted, says, serves, told, true
from bot.sandbox.scenarios.model import Play, Scenario
from bot.sandbox.scenarios.moments import BUILDS, JOB_RUN, PATIENCE, SERVICE, Moment
from bot.sandbox.world import terminate


def _of(variant: str) -> Callable[[Play], None]:
    """Return a story: main serves, then a pull request with a fault is deployed."""

    def act(play: Play) -> None:
        play.release_main()
        play.pull_request(variant)
        play.say("/deploy staging")

    return act


def _cancelled(play: Play) -> None:
    """Cancel while both services roll out: each operation takes its time, so the signal finds them running."""
    play.release_main()
    play.pull_request("feature")
    play.world.cloud.run.operation_seconds = 1.5
    moment = Moment(play.world.cloud.run, "after", "PATCH", SERVICE)
    play.say("/deploy staging", started=moment.then(terminate))


def _cancelled_migrating(play: Play) -> None:
    play.release_main()
    play.pull_request("feature")
    moment = Moment(play.world.cloud.run, "after", "POST", JOB_RUN)
    play.say("/deploy staging", started=moment.then(terminate))


def _cancelled_building(play: Play) -> None:
    """Cancel a build that takes minutes, as soon as the comment leads to its log."""
    play.release_main()
    play.pull_request("feature")
    play.world.cloud.build.build_seconds = 300.0
    moment = Moment(play.world.cloud.build, "after", "POST", BUILDS)

    def stop(process: subprocess.Popen[str]) -> None:
        log = looking.builds(play.world)[-1]["logUrl"]
        until = time.monotonic() + PATIENCE
        while not (linked := f"[Build]({log})" in play.comments()[-1].body) and time.monotonic() < until:
            time.sleep(0.1)
        play.notes["linked while it runs"] = linked
        terminate(process)

    play.say("/deploy staging", started=moment.then(stop))


def _executions(play: Play) -> list[str]:
    """Return the executions that do not end: a container that is being killed has a while for it."""
    until = time.monotonic() + PATIENCE
    while True:
        jobs = play.world.cloud.run.jobs.all.values()
        running = [each.name for job in jobs for each in job.executions.values() if each.resource["reconciling"]]
        if not running or time.monotonic() > until:
            return running
        time.sleep(0.1)


def _failed(
    name: str, summary: str, variant: str, reason: str, *phrases: str, builds: int = 1, executions: int = 1
) -> Scenario:
    return Scenario(
        name=name,
        summary=summary,
        act=_of(variant),
        expectations=(
            *COMMON,
            *ended("failed", reason, exit_code=1),
            *made(builds=builds, executions=executions, deployments=1),
            *deployments("failure"),
            *serves("main"),
            *reacted("eyes", "confused"),
            *says(lambda play: f"🔴 `{play.sha(variant)}` failed", *phrases, "/deploy staging", never=("🟢",)),
            *true("who is told of it", told, ["dana"]),
        ),
    )


SCENARIOS = (
    _failed(
        "broken-health",
        "the new code's health check fails: no visitor sees it, the former revisions serve",
        "broken_health",
        "verification_failed",
        "No user saw it",
        "/health/",
        "FieldError",
    ),
    _failed(
        "crash-on-boot",
        "the new code does not start: the rollout fails with the container's own words",
        "crash_on_boot",
        "rollout_failed",
        "SITE_URL",
        "No user saw it",
    ),
    _failed(
        "failing-migration",
        "the migration fails: its log is in the comment, nothing was rolled out",
        "failing_migration",
        "job_failed",
        "duplicate column name",
        "migrate",
    ),
    _failed(
        "failing-build",
        "the build fails: its log is in the comment, nothing was migrated",
        "failing_build",
        "build_failed",
        "SyntaxError",
        executions=0,
    ),
    _failed(
        "worker-broken",
        "the worker does not start while the web role is fine: both stay as they were",
        "worker_broken",
        "rollout_failed",
        "TASK_QUEUE",
        "No user saw it",
    ),
    Scenario(
        name="cancelled",
        summary="the workflow is cancelled during the rollout: what served before serves, the deployment is closed",
        act=_cancelled,
        expectations=(
            *COMMON,
            *ended("cancelled", "cancelled", exit_code=1),
            *made(builds=1, executions=1, deployments=1),
            *deployments("error"),
            *serves("main"),
            *says("**staging**", "ancelled", "/deploy staging", never=("🟢",)),
        ),
        instant=True,
    ),
    Scenario(
        name="cancelled-building",
        summary="the workflow is cancelled during the build, whose log is one click away: the build is cancelled",
        act=_cancelled_building,
        expectations=(
            *COMMON,
            *ended("cancelled", "cancelled", exit_code=1),
            *made(builds=1, executions=0, deployments=1),
            *deployments("error"),
            *serves("main"),
            *true(
                "builds", lambda play: [each["status"] for each in looking.builds(play.world)], ["SUCCESS", "CANCELLED"]
            ),
            *true("the running comment leads to the log", lambda play: play.notes["linked while it runs"]),
            *says("ancelled", "No user saw it", "/deploy staging", never=("🟢",)),
        ),
        instant=True,
    ),
    Scenario(
        name="cancelled-migrating",
        summary="the workflow is cancelled during the migration: the execution is cancelled, nothing was rolled out",
        act=_cancelled_migrating,
        expectations=(
            *COMMON,
            *ended("cancelled", "cancelled", exit_code=1),
            *made(builds=1, executions=1, deployments=1),
            *deployments("error"),
            *serves("main"),
            *true(
                "executions still running",
                _executions,
                [],
            ),
            *says("ancelled", "migrate", "/deploy staging", never=("🟢",)),
        ),
    ),
)
