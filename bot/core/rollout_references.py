"""What is impossible in how a configuration wants its services rolled out: regions, stages, kinds."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from bot.core.config import Canary, CloudRunTarget, Config, EnvironmentConfig, ServiceConfig, Strategy, Watch
from bot.core.wait_references import environment_waits, target_waits
from bot.core.words import listed, no_such

Path = tuple[str | int, ...]
Problems = list[tuple[Path, str]]

_REQUESTS_ONLY = ("public", "ingress", "port", "timeout", "concurrency", "probe", "default_url")


def target_rollout(config: Config, name: str, target: CloudRunTarget) -> Problems:
    """Return what is impossible in a target."""
    special = (region for environment in config.environments.values() for region in environment.region or ())
    regions = tuple(dict.fromkeys((*target.region, *special)))
    at: Path = ("targets", name)
    problems = (
        _regions((*at, "region"), target.region)
        + _watch((*at, "watch"), target.watch)
        + _strategy((*at, "strategy"), target.strategy, target)
    )
    problems += target_waits(name, target)
    for key, service in target.services.items():
        here: Path = (*at, "services", key)
        problems += _own_regions((*here, "regions"), service, regions)
        problems += _strategy((*here, "strategy"), service.strategy, target)
        problems += _pool(here, service) if service.kind == "worker_pool" else []
    return problems


def environment_rollout(name: str, environment: EnvironmentConfig, target: CloudRunTarget) -> Problems:
    """Return what is impossible in an environment on Cloud Run."""
    at: Path = ("environments", name)
    problems = _regions((*at, "region"), environment.region or ()) + _watch((*at, "watch"), environment.watch)
    problems += _strategy((*at, "strategy"), environment.strategy, target)
    for key, service in environment.services.items():
        problems += _strategy((*at, "services", key, "strategy"), service.strategy, target)
        if service.kind is not None and key in target.services and service.kind != target.services[key].kind:
            problems.append(((*at, "services", key, "kind"), "a service is of one kind in all environments"))
        elif key in target.services and target.services[key].kind == "worker_pool":
            problems += _pool((*at, "services", key), service)
        problems += _own_regions((*at, "services", key, "regions"), service, environment.region or target.region)
    problems += environment_waits(name, environment, target)
    return problems + _nowhere(at, environment, target) + _breaking(at, environment, target)


def _regions(at: Path, regions: Iterable[str]) -> Problems:
    names = list(regions)
    return [(at, f"`{region}` stands here twice") for region in dict.fromkeys(names) if names.count(region) > 1]


def _watch(at: Path, watch: Watch | None) -> Problems:
    if watch is None:
        return []
    problems: Problems = []
    if watch.time <= watch.delay:
        problems.append(((*at, "time"), "is over before a line has had its `delay` to arrive"))
    if "look_every" in watch.model_fields_set and watch.time < watch.look_every:
        problems.append(((*at, "look_every"), "is longer than the log is watched"))
    return problems


def _strategy(at: Path, strategy: Strategy | None, target: CloudRunTarget) -> Problems:
    if not isinstance(strategy, Canary):
        return []
    problems: Problems = []
    if any(later <= earlier for earlier, later in pairwise(strategy.stages)):
        problems.append(((*at, "stages"), f"stages should rise, not go {', '.join(map(str, strategy.stages))}"))
    if 100 in strategy.stages:
        problems.append(
            ((*at, "stages"), "100 is no stage, it comes after them: write `all-at-once` where there are none")
        )
    if strategy.deadline < strategy.stage_time:
        problems.append(((*at, "deadline"), "a stage is over before it has been watched for its `stage_time`"))
    if "look_every" in strategy.model_fields_set and strategy.deadline < strategy.look_every:
        problems.append(((*at, "look_every"), "is longer than a stage lasts"))
    if strategy.source == "monitoring" and strategy.deadline <= strategy.delay:
        problems.append(((*at, "deadline"), "Cloud Monitoring shows nothing before its `delay` is over"))
    breaking = [key for key, job in target.jobs.items() if job.when == "release" and job.compatible == "breaking"]
    if breaking:
        sentence = f"two versions serve at once during the stages, but {listed(breaking)} is `breaking`"
        problems.append((at, sentence))
    return problems


def _pool(at: Path, service: ServiceConfig) -> Problems:
    """Find what a worker pool cannot have."""
    problems: Problems = [
        ((*at, field), f"`{field}` is for requests, and a worker pool takes none")
        for field in _REQUESTS_ONLY
        if getattr(service, field) is not None
    ]
    if isinstance(service.strategy, Canary):
        problems.append(((*at, "strategy"), "a worker pool takes no requests that stages could be judged by"))
    if service.execution_env == "gen1":
        problems.append(((*at, "execution_env"), "a worker pool always runs in the second generation"))
    return problems


def _own_regions(at: Path, service: ServiceConfig, regions: Iterable[str]) -> Problems:
    """Find regions of a service's own that lead nowhere. In none it would never be released, and nobody would know."""
    regions = tuple(regions)
    if service.regions == ():
        return [(at, "should not be empty: leave it out where a service runs in all regions")]
    return [(at, no_such("region", region, regions)) for region in service.regions or () if region not in regions]


def _nowhere(at: Path, environment: EnvironmentConfig, target: CloudRunTarget) -> Problems:
    """Find an environment that has none of its target's services."""
    here = environment.region or target.region
    own = {key: service.regions for key, service in environment.services.items() if service.regions is not None}
    homes = [own.get(key, service.regions) for key, service in target.services.items()]
    if any(home is None or set(home) & set(here) for home in homes):
        return []
    return [(at, f"none of its services runs in {listed(here)}: there is nothing to release")]


def _breaking(at: Path, environment: EnvironmentConfig, target: CloudRunTarget) -> Problems:
    """Find a job that is `breaking` here alone, though there are stages."""
    strategies = [target.strategy, environment.strategy]
    strategies += [one.strategy for one in (*target.services.values(), *environment.services.values())]
    if not any(isinstance(strategy, Canary) for strategy in strategies):
        return []
    here = [key for key, job in environment.jobs.items() if job.compatible == "breaking" and key in target.jobs]
    new = [key for key in here if target.jobs[key].compatible != "breaking" and target.jobs[key].when == "release"]
    return [((*at, "jobs", key, "compatible"), "two versions serve at once during the stages") for key in new]
