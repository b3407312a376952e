"""Scenarios in which the worker is a worker pool: it takes no requests, and is released as one with the service."""

from __future__ import annotations

from bot.sandbox.scenarios.expectations import (
    COMMON,
    deployments,
    ended,
    made,
    reacted,
    says,
    serves_with_pool,
)  # fmt: skip
from bot.sandbox.scenarios.model import Play, Scenario

_SERVICE = """\
      worker:
        public: false
        env: {APP_ROLE: worker}
        probe: {startup: {path: /health/, period: 1s}}
"""
_POOL = """\
      worker:
        kind: worker_pool
        command: [python, manage.py, work]
        env: {APP_ROLE: worker}
        scale: {min: 2, max: 4}
"""
_CHECK = "      - {http: /health/, service: worker, json: {role: worker}, deadline: 10s}\n"


def as_pool(text: str) -> str:
    """Return the sample's configuration with the worker as a worker pool. Raises ValueError where it is another."""
    for part in (_SERVICE, _CHECK):
        if text.count(part) != 1:
            raise ValueError(f"the configuration has {text.count(part)} times {part!r}, wanted once")
    return text.replace(_SERVICE, _POOL).replace(_CHECK, "")


def _deploy(play: Play, variant: str) -> None:
    play.world.configure(as_pool)
    play.release_main()
    play.pull_request(variant)
    play.say("/deploy staging")


def _moved(play: Play) -> None:
    _deploy(play, "feature")


def _broken(play: Play) -> None:
    _deploy(play, "worker_broken")


SCENARIOS = (
    Scenario(
        name="worker-pool",
        summary="the worker is a worker pool: its instances move to the release when the traffic of web does",
        act=_moved,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *made(builds=1, executions=1, deployments=1),
            *deployments("success"),
            *serves_with_pool("feature", instances=2),
            *reacted("eyes", "rocket"),
            *says(lambda play: f"🟢 `{play.sha('feature')}` is live on **staging**", "/rollback staging"),
        ),
    ),
    Scenario(
        name="worker-pool-broken",
        summary="the worker pool does not start while the web role is fine: both stay as they were",
        act=_broken,
        expectations=(
            *COMMON,
            *ended("failed", "rollout_failed", exit_code=1),
            *made(builds=1, executions=1, deployments=1),
            *deployments("failure"),
            *serves_with_pool("main", instances=2),
            *reacted("eyes", "confused"),
            *says(
                lambda play: f"🔴 `{play.sha('worker_broken')}` failed",
                "TASK_QUEUE",
                "No user saw it",
                "/deploy staging",
                never=("🟢",),
            ),
        ),
    ),
)
