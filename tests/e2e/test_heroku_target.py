"""Releases of the sample application on the sandbox's Heroku: real sockets, real builds, real dynos, through the engine."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bot.core.checks import HttpCheck, ServingCheck
from bot.core.config import Gates
from bot.core.outcome import Reason, StepResult
from bot.core.plan import Build, Plan
from bot.core.planning import plan_release, plan_rollback
from bot.core.resolve import Environment
from bot.core.serving import Serving, serving_from_json, serving_to_json
from bot.core.spec import HerokuSpec
from bot.core.target import Done, Known, ReleaseId, Running
from bot.core.units import Region, Unit
from bot.engine.clock import RealClock
from bot.engine.execution import Ended, Execution
from bot.engine.probe import HttpProber
from bot.sandbox.heroku import App, Heroku
from bot.sandbox.runtime import ProcessRuntime
from bot.sandbox.sample import VARIANTS, files
from bot.sandbox.wire import Fault
from bot.targets.heroku import HerokuApp, connect

GOOD, FEATURE, BAD = "1" * 40, "2" * 40, "3" * 40


def pack(sha: str, changes: Mapping[str, str | None]) -> bytes:
    """Pack the sample as GitHub does: one top folder, named after the commit."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, text in (files() | dict(changes)).items():
            member = tarfile.TarInfo(f"acme-shop-{sha[:7]}/{path}")
            member.size = len((text or "").encode())
            archive.addfile(member, io.BytesIO((text or "").encode()))
    return out.getvalue()


@dataclass(kw_only=True)
class World:
    """One app, and releases of it with a number each, as deployments have."""

    heroku: Heroku
    app: App
    sources: dict[str, bytes] = field(default_factory=dict)
    spec: HerokuSpec = field(
        default_factory=lambda: HerokuSpec(environment="staging", repository="acme/shop", app="shop-staging")
    )
    releases: int = 0

    def connect(self) -> HerokuApp:
        @contextmanager
        def source(sha: str) -> Iterator[Iterator[bytes]]:
            whole = self.sources[sha]
            yield (whole[at : at + 1000] for at in range(0, len(whole), 1000))

        return connect(self.spec, source=source, environ=self.heroku.environ())

    def add(self, sha: str, variant: str = "") -> str:
        self.sources[sha] = pack(sha, VARIANTS[variant].files if variant else {})
        return sha

    def environment(self) -> Environment:
        health = HttpCheck(
            name="/health/", url="/health/", service="app", json={"status": "healthy"}, deadline=2.0, interval=0.3
        )
        serving = ServingCheck(name="serving", services=("app",), deadline=5.0)
        return Environment(
            name="staging",
            spec=self.spec,
            gates=Gates(),
            production=False,
            regions=(Region(name="", primary=True, units=(Unit(key="app"),), live_checks=(serving, health)),),
            build_timeout=60.0,
            rollout_timeout=60.0,
        )

    def known(self, sha: str, before: Serving | None = None) -> Known:
        """What a new run knows: its record went through JSON before anything was changed."""
        self.releases += 1
        release = ReleaseId(deployment_id=self.releases, environment="staging", sha=sha, actor="ada", tag="pr-7")
        recorded = serving_from_json(json.loads(json.dumps(serving_to_json(before or self.connect().serving()))))
        return Known(release=release, before=recorded)

    def run(
        self,
        known: Known,
        plan: Plan | None = None,
        *,
        clock: RealClock | None = None,
        on_change: Callable[[tuple[StepResult, ...]], None] = lambda _: None,
    ) -> Ended:
        target = self.connect()
        plan = plan or plan_release(self.environment(), target.traits)
        return Execution(plan, target, known, probe=HttpProber(), clock=clock or RealClock(), on_change=on_change).run()

    def release(self, sha: str) -> Ended:
        return self.run(self.known(sha))

    def serve_good(self) -> None:
        """Have ``GOOD`` serve as v4, without a run of the engine."""
        self.connect().apply(Build(), self.known(self.add(GOOD)))
        self.until(lambda: bool(self.app.current and self.app.current.version == 4))
        assert self.health()["version"] == "1111111"

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < deadline
            threading.Event().wait(0.02)

    def health(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.app.gateway.url}/health/", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def made(self, method: str, template: str) -> int:
        return self.heroku.count(f"^{method} /apps/{{app}}{template}$")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    heroku = Heroku(tmp_path / "heroku", ProcessRuntime(environment={"BIND_HOST": "127.0.0.1"}))
    heroku.start()
    config_vars = {"DJANGO_SECRET_KEY": "for-tests", "DATABASE_URL": f"sqlite:///{tmp_path}/shop.sqlite3"}
    app = heroku.create_app("shop-staging", config_vars=config_vars, formation={"web": 1, "worker": 1})
    yield World(heroku=heroku, app=app)
    heroku.stop()
    assert heroku.unknown == []


def states(ended: Ended) -> dict[str, str]:
    return {result.id: result.state for result in ended.results}


def step(ended: Ended, id_: str) -> StepResult:
    return next(result for result in ended.results if result.id == id_)


def test_the_first_release_and_the_next_and_the_way_back(world: World) -> None:
    assert not world.connect().serving().exists
    first = world.release(world.add(GOOD))
    assert (first.reason, first.restored) == (Reason.RELEASED, None), first.failed
    assert states(first) == {"build": "done", "rollout-app": "done", "verify-live": "done"}
    assert step(first, "rollout-app").detail == "v4 (web 1/1, worker 1/1)"
    assert world.health()["version"] == "1111111"

    recorded = world.known(FEATURE)
    second = world.run(recorded) if world.add(FEATURE, "feature") else None
    assert second is not None
    assert second.reason == Reason.RELEASED
    state = world.connect().serving().service("app")
    assert (state.revision, state.labels) == ("v5", {"v5": {"slipway-sha": FEATURE}})
    assert state.digest == second.known.artifact.digest if second.known.artifact else False
    assert world.health()["version"] == "2222222"

    back = world.run(world.known(GOOD), plan_rollback(world.environment(), recorded.before, "1" * 40))
    assert (back.reason, states(back)) == (Reason.RELEASED, {"restore": "done", "verify-live": "done"}), back.failed
    assert step(back, "restore").detail == "v6 has the code and config vars of v4; its release phase ran again"
    assert world.health()["version"] == "1111111"
    assert world.connect().serving().service("app").labels == {"v6": {"slipway-sha": GOOD}}


def test_a_failing_build_releases_nothing_and_can_be_tried_again(world: World) -> None:
    world.serve_good()
    ended = world.release(world.add(BAD, "failing_build"))
    assert (ended.reason, ended.restored) == (Reason.BUILD_FAILED, None)
    build = step(ended, "build")
    assert build.detail == "The build failed: bin/post_compile exited with status 1"
    assert build.diagnosis is not None
    assert build.diagnosis.error.startswith("SyntaxError: ")
    assert world.health()["version"] == "1111111"

    again = world.release(world.add(BAD, "feature"))  # the same sha, as after a buildpack's outage
    assert again.reason == Reason.RELEASED, again.failed
    assert world.health()["version"] == "3333333"


def test_a_failing_release_phase_leaves_what_served(world: World) -> None:
    world.serve_good()
    ended = world.release(world.add(BAD, "failing_migration"))
    assert (ended.reason, ended.restored) == (Reason.ROLLOUT_FAILED, True)
    assert ended.restore_detail == "v4 still serves: v5 never served"
    rollout = step(ended, "rollout-app")
    assert rollout.detail == "The release phase of v5 failed; v4 still serves."
    assert rollout.diagnosis is not None
    assert rollout.diagnosis.error == "django.db.utils.OperationalError: duplicate column name: name"
    assert world.health()["version"] == "1111111"
    assert world.made("POST", "/releases") == 0


def test_a_crash_on_boot_is_rolled_back(world: World) -> None:
    world.serve_good()
    ended = world.release(world.add(BAD, "crash_on_boot"))
    assert (ended.reason, ended.restored) == (Reason.ROLLOUT_FAILED, True), ended.restore_detail
    rollout = step(ended, "rollout-app")
    assert rollout.detail == "web.1 crashed while starting v5. Visitors get H10 (App crashed)."
    assert rollout.diagnosis is not None
    assert rollout.diagnosis.error == "KeyError: 'SITE_URL'"
    assert ended.restore_detail.startswith("v6 has the code and config vars of v4")
    assert world.health()["version"] == "1111111"


def test_a_worker_that_crashes_takes_the_web_back_with_it(world: World) -> None:
    world.serve_good()
    ended = world.release(world.add(BAD, "worker_broken"))
    assert (ended.reason, ended.restored) == (Reason.ROLLOUT_FAILED, True), ended.restore_detail
    rollout = step(ended, "rollout-app")
    assert rollout.detail == "worker.1 crashed while starting v5."
    assert rollout.diagnosis is not None
    assert rollout.diagnosis.error == "KeyError: 'TASK_QUEUE'"
    assert world.health()["version"] == "1111111"


def test_a_failing_check_is_rolled_back(world: World) -> None:
    world.serve_good()
    ended = world.release(world.add(BAD, "broken_health"))
    assert (ended.reason, ended.restored) == (Reason.VERIFICATION_FAILED, True)
    assert ended.exposed_seconds > 0
    assert world.health()["version"] == "1111111"


def test_a_first_release_that_fails_has_nothing_to_go_back_to(world: World) -> None:
    ended = world.release(world.add(BAD, "crash_on_boot"))
    assert (ended.reason, ended.restored) == (Reason.ROLLOUT_FAILED, True)
    assert ended.restore_detail == "There was no release before: nothing to go back to."


def test_lost_replies_make_nothing_twice(world: World) -> None:
    world.serve_good()
    world.heroku.fail(Fault(route=r"^POST /apps/\{app\}/builds$", kind="lose_reply"))
    world.heroku.fail(Fault(route=r"^POST /apps/\{app\}/releases$", kind="lose_reply"))
    world.heroku.fail(Fault(route=r"^GET /apps/\{app\}/releases$", kind="status", status=503, times=2))
    ended = world.release(world.add(BAD, "crash_on_boot"))
    assert (ended.reason, ended.restored) == (Reason.ROLLOUT_FAILED, True), ended.restore_detail
    assert (world.made("POST", "/builds"), world.made("POST", "/releases")) == (2, 1)
    assert world.health()["version"] == "1111111"


def test_a_run_that_died_is_finished_by_the_next(world: World) -> None:
    known = world.known(world.add(GOOD))
    assert isinstance(world.connect().apply(Build(), known), Running)
    ended = world.run(known)  # it has the record, and no handle
    assert ended.reason == Reason.RELEASED, ended.failed
    assert world.made("POST", "/builds") == 1
    assert isinstance(world.connect().observe(Build(), known), Done)


def test_a_release_that_is_stopped_goes_back(world: World) -> None:
    world.serve_good()
    clock = RealClock()

    def stop_at_rollout(results: tuple[StepResult, ...]) -> None:
        if any(result.id == "rollout-app" and result.state == "running" for result in results):
            clock.stop()

    ended = world.run(world.known(world.add(FEATURE, "feature")), clock=clock, on_change=stop_at_rollout)
    assert (ended.cancelled, ended.restored) == (True, True), ended.restore_detail
    world.until(lambda: world.health()["version"] == "1111111")
    assert world.connect().serving().service("app").labels["v6"] == {"slipway-sha": GOOD}
