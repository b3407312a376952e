"""Scenarios of how traffic moves: in stages that are judged, in an order, region by region, and watched afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bot.sandbox.scenarios import looking
from bot.sandbox.scenarios.expectations import COMMON, deployments, ended, made, nothing_changed, says, serves, true
from bot.sandbox.scenarios.model import Play, Scenario
from bot.sandbox.visitors import Visitors
from bot.sandbox.world import World

RATE = 80.0  # visitors a second
_JUDGED = "metrics: [errors], error_rise: 0.1, look_every: 1s, stage_time: 4s"
MONITORED = f"{{type: canary, stages: [25], {_JUDGED}, deadline: 20s, delay: 1s}}"
PROBED = f"{{type: canary, stages: [10, 50], {_JUDGED}, deadline: 20s, source: probes, probe_every: 50ms}}"


def web(play: Play, text: str) -> None:
    """Add settings to the service web, on the default branch."""
    play.world.configure(
        lambda config: config.replace("        env: {APP_ROLE: web}", f"        env: {{APP_ROLE: web}}\n        {text}")
    )


def target(play: Play, text: str) -> None:
    """Add settings to the target, on the default branch."""
    play.world.configure(lambda config: config.replace("    defaults:", f"    {text}\n    defaults:"))


def past(play: Play, per_second: float = RATE) -> None:
    """Give web an hour of good requests, up to two minutes ago; from now on metrics are to be seen within a second."""
    monitoring, found = play.world.cloud.monitoring, looking.service(play.world, "web", "staging")
    assert found is not None
    labels = labels_of(play.world, found.site.targets[0].revision.name)
    for minute in range(2, 60):
        resource = {"type": "cloud_run_revision", "labels": labels}
        monitoring.record(resource, 200, 0.02, ago=60.0 * minute, times=round(60 * per_second))
    monitoring.period, monitoring.delay = 0.5, 0.2


def labels_of(world: World, revision: str) -> dict[str, str]:
    """Return the labels of the resource that a revision of web is in Cloud Monitoring."""
    return {
        "project_id": world.cloud.project, "location": world.cloud.region, "service_name": "shop-web-staging",
        "revision_name": revision.rpartition("/")[2], "configuration_name": "shop-web-staging",
    }  # fmt: skip


@contextmanager
def visited(play: Play) -> Iterator[Visitors]:
    """Have visitors of web's address while something is done."""
    found = looking.service(play.world, "web", "staging")
    assert found is not None
    with Visitors(found.site.url, per_second=RATE) as visitors:
        yield visitors
    seen = visitors.seen
    play.notes["visits"], play.notes["failed visits"] = len(seen), sum(visit.status >= 500 for visit in seen)


# -- stages -------------------------------------------------------------------------------------------------
def _staged(strategy: str, variant: str) -> Callable[[Play], None]:
    def act(play: Play) -> None:
        web(play, f"strategy: {strategy}")
        play.release_main()
        past(play)
        play.pull_request(variant)
        with visited(play):
            play.say("/deploy staging")

    return act


def _idle(play: Play) -> None:
    web(play, f"strategy: {MONITORED}")
    play.release_main()
    play.pull_request("feature")
    play.say("/deploy staging")


def _skipping(play: Play) -> None:
    web(play, f"strategy: {MONITORED.replace('delay', 'too_little_traffic: skip, delay')}")
    play.release_main()
    play.pull_request("feature")
    play.say("/deploy staging")


# -- order, regions, watch ----------------------------------------------------------------------------------
def _ordered(play: Play) -> None:
    target(play, "order: [migrate, worker, web, verify]")
    play.release_main()
    play.pull_request("feature")
    play.say("/deploy staging")


def switched(play: Play) -> list[str]:
    """Return the services in the order in which all of their traffic went to another revision than before."""
    serving: dict[str, str] = {}
    order: list[str] = []
    for call in play.world.services["run"].calls[play.base.get("calls to run", 0) :]:
        if call.method != "PATCH" or "/services/" not in call.path:
            continue
        name = call.path.rpartition("/")[2]
        for target in json.loads(call.request_body).get("traffic", ()):
            if target.get("percent") == 100 and serving.setdefault(name, target["revision"]) != target["revision"]:
                serving[name] = target["revision"]
                order.append(name)
    return order


SECOND = "europe-west1"


def _regions(variant: str) -> Callable[[Play], None]:
    def act(play: Play) -> None:
        play.world.cloud.run.add_region(SECOND)
        play.world.configure(
            lambda text: text.replace("region: ${vars.GCP_REGION}", f"region: ['${{vars.GCP_REGION}}', {SECOND}]")
        )
        target(play, 'env: {CLOUD_REGION: "{region}"}')
        play.release_main()
        play.pull_request(variant)
        play.say("/deploy staging")

    return act


def everywhere(play: Play) -> list[str]:
    """Say what web and worker serve in both regions, by the name of the commit."""
    names = {sha[:7]: name for name, sha in play.shas.items()}
    found = []
    for region in (play.world.cloud.region, SECOND):
        for name in ("web", "worker"):
            one = looking.service(play.world, name, "staging", region)
            targets = [each for each in one.site.targets if each.percent] if one else []
            versions = [(looking.version_of(each.revision), each.percent) for each in targets]
            found.append(", ".join(f"{names.get(version, version)} {percent} %" for version, percent in versions))
    return found


def _watched(then: str) -> Callable[[Play], None]:
    def act(play: Play) -> None:
        target(play, f"watch: {{time: 8s, then: {then}, fewest: 3, look_every: 2s, delay: 1s}}")
        play.release_main()
        play.pull_request("failing_pages")
        with visited(play):
            play.say("/deploy staging")

    return act


SCENARIOS = (
    Scenario(
        name="canary",
        summary="web gets 25 % of the traffic and is compared with what serves beside it, then all of it",
        act=_staged(MONITORED, "feature"),
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *deployments("success"),
            *serves("feature"),
            *true("failed visits", lambda play: play.notes["failed visits"], 0),
            *true("visits of both", lambda play: play.notes["visits"] > 100),
            *says("Compare web at 25 %", "errors of web at 25 %", "0 % against 0 %"),
        ),
        instant=True,
    ),
    Scenario(
        name="canary-worse",
        summary="with 25 % of the traffic a fifth of the candidate's pages fail: it is taken back before it gets more",
        act=_staged(MONITORED, "failing_pages"),
        expectations=(
            *COMMON,
            *ended("failed", "canary_failed", exit_code=1),
            *deployments("failure"),
            *serves("main"),
            *true("visits that failed", lambda play: play.notes["failed visits"] > 0),
            *true("visits that failed, of all", lambda play: play.notes["failed visits"] < 0.15 * play.notes["visits"]),
            *says("failed *Compare web at 25 %*", lambda play: f"`{play.sha('main')}` serves again", "Users saw it"),
        ),
        instant=True,
    ),
    Scenario(
        name="canary-probes",
        summary="too few visitors to judge by: the bot asks both versions itself, stage by stage",
        act=_staged(PROBED, "feature"),
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *serves("feature"),
            *says("Compare web at 10 %", "Compare web at 50 %"),
        ),
        instant=True,
    ),
    Scenario(
        name="canary-without-traffic",
        summary="a stage could not be decided at today's traffic: the release is refused before anything is changed",
        act=_idle,
        expectations=(
            *COMMON,
            *ended("refused", "too_little_traffic"),
            *nothing_changed(),
            *serves("main"),
            *says("web at 25 %: it takes no requests", "`source: probes`"),
        ),
        instant=True,
    ),
    Scenario(
        name="canary-skipped",
        summary="a stage could not be decided at today's traffic, and is left out as configured",
        act=_skipping,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *serves("feature"),
            *says("Left out: web at 25 %: it takes no requests"),
        ),
        instant=True,
    ),
    Scenario(
        name="worker-first",
        summary="web gets its traffic once the worker has it, as the order says",
        act=_ordered,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *serves("feature"),
            *true("traffic moved", switched, ["shop-worker-staging", "shop-web-staging"]),
            *says("Shift 100 % of the traffic of worker", "Shift 100 % of the traffic of web"),
        ),
        instant=True,
    ),
    Scenario(
        name="regions",
        summary="two regions: the first is released and verified, then the other",
        act=_regions("feature"),
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *made(builds=1, executions=1, deployments=1),
            *serves("feature"),
            *true("everywhere", everywhere, ["feature 100 %"] * 4),
            *says("Verify what serves in europe-west1", "web in europe-west1 serves the release"),
        ),
        instant=True,
    ),
    Scenario(
        name="regions-one-fails",
        summary="the second region cannot start it: both regions go back to what served",
        act=_regions("crash_abroad"),
        expectations=(
            *COMMON,
            *ended("failed", "rollout_failed", exit_code=1),
            *deployments("failure"),
            *serves("main"),
            *true("everywhere", everywhere, ["main 100 %"] * 4),
            # Neither role starts there; which of the two is seen to fail first is chance.
            *says("failed *Roll out w", " in europe-west1* on **staging**", "serves again", "KeyError: 'europe-west1'"),
        ),
    ),
    Scenario(
        name="watch-suggests",
        summary="after the release its log has more errors than before: it is live, and the comment says to look",
        act=_watched("suggest"),
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *deployments("success"),
            *serves("failing_pages"),
            *says("[!WARNING]", "error lines in", "To go back: `/rollback staging`"),
        ),
    ),
    Scenario(
        name="watch-rolls-back",
        summary="after the release its log has more errors than before: what served before is brought back",
        act=_watched("rollback"),
        expectations=(
            *COMMON,
            *ended("failed", "watch_failed", exit_code=1),
            *deployments("failure"),
            *serves("main"),
            *says("failed *Watch the error log*", lambda play: f"`{play.sha('main')}` serves again"),
        ),
    ),
)
