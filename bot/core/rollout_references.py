"""What is impossible in how a configuration wants its services rolled out: order, regions, stages, kinds, names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from bot.core.config import Canary, CloudRunTarget, Config, EnvironmentConfig, JobConfig, ServiceConfig, Strategy, Watch
from bot.core.placeholders import PATTERN
from bot.core.words import listed, nearest, there_is

Path = tuple[str | int, ...]
Problems = list[tuple[Path, str]]

LONGEST_TAG = len("sha-0123456")
MAX_SERVICE = 46 - LONGEST_TAG  # a tag and its service's name are one label of a host's name: Cloud Run allows 46
MAX_JOB = 63 - len("-0123456-") - 8
_ALSO_IN_ORDER = ("verify", "scheduler")
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
    for place, entry in enumerate(target.order):
        known = (*target.services, *target.jobs, *_ALSO_IN_ORDER)
        if entry not in known:
            problems.append(((*at, "order", place), no_such("service or job", entry, known)))
    problems += _graph((*at, "services"), target.services, {key: key for key in target.services})
    problems += _graph((*at, "jobs"), target.jobs, {key: job.when for key, job in target.jobs.items()})
    for key, service in target.services.items():
        here: Path = (*at, "services", key)
        unknown = [region for region in service.regions or () if region not in regions]
        problems += [((*here, "regions"), no_such("region", region, regions)) for region in unknown]
        problems += _strategy((*here, "strategy"), service.strategy, target)
        problems += _pool(here, service) if service.kind == "worker_pool" else []
    return problems


def environment_rollout(config: Config, name: str, environment: EnvironmentConfig, target: CloudRunTarget) -> Problems:
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
    for key, service in target.services.items():
        problems += _name(config, name, target, key, service)
    return problems


def _regions(at: Path, regions: Iterable[str]) -> Problems:
    names = list(regions)
    return [(at, f"`{region}` stands here twice") for region in dict.fromkeys(names) if names.count(region) > 1]


def _watch(at: Path, watch: Watch | None) -> Problems:
    if watch is None or watch.time > watch.delay:
        return []
    return [((*at, "time"), "is over before a line has had its `delay` to arrive")]


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


def _graph(
    at: Path, items: Mapping[str, ServiceConfig] | Mapping[str, JobConfig], kinds: Mapping[str, str]
) -> Problems:
    """Find names in ``after`` that lead nowhere or in a circle. ``kinds``: only what is of one kind can be awaited."""
    problems: Problems = []
    waits = {key: tuple(item.after or ()) for key, item in items.items()}
    for key, names in waits.items():
        for place, name in enumerate(names):
            if name not in items:
                problems.append(((*at, key, "after", place), no_such(str(at[-1])[:-1], name, items)))
            elif at[-1] == "jobs" and kinds[name] != kinds[key]:
                sentence = f"`{name}` runs at another time (`when: {kinds[name]}`)"
                problems.append(((*at, key, "after", place), sentence))
    circle = _circle(waits)
    if circle:
        problems.append(
            ((*at, circle[0], "after"), f"waits for itself: {' after '.join(f'`{key}`' for key in circle)}")
        )
    return problems


def _circle(waits: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return a circle of names that wait for each other, its first name again at the end; ``()`` if there is none."""
    done: set[str] = set()

    def walk(key: str, trail: tuple[str, ...]) -> tuple[str, ...]:
        if key in trail:
            return (*trail[trail.index(key) :], key)
        if key in done:
            return ()
        for name in waits.get(key, ()):
            found = walk(name, (*trail, key))
            if found:
                return found
        done.add(key)
        return ()

    return next((found for key in waits if (found := walk(key, ()))), ())


def _name(config: Config, environment: str, target: CloudRunTarget, key: str, service: ServiceConfig) -> Problems:
    """Check the length of a service's name, as far as it is known without the repository's variables."""
    declared = config.environments[environment]
    own = declared.services[key].name if key in declared.services else None
    suffix = target.suffix.get(environment, target.suffix.get("default", ""))
    known = {"app": config.app, "env": environment, "name": key, **{k: str(v) for k, v in declared.values.items()}}
    known["suffix"] = partly(suffix, known)
    name = partly(own or service.name or target.service_name, known)
    if PATTERN.search(name) or len(name) <= MAX_SERVICE:
        return []
    return [(("targets", _target_name(config, environment), "services", key), too_long(name, MAX_SERVICE))]


def too_long(name: str, most: int) -> str:
    """Return what to say of a name that leaves no room for what Cloud Run puts beside it."""
    return f"`{name}` has {len(name)} characters; at most {most} leave room for a tag and a revision's name"


def _target_name(config: Config, environment: str) -> str:
    return config.environments[environment].target or next(iter(config.targets))


def partly(text: str, known: Mapping[str, str]) -> str:
    """Fill the placeholders of a text that are known, and leave the others."""
    return PATTERN.sub(lambda match: known.get(match[2] or "", match[0]), text)


def no_such(what: str, name: str, names: Iterable[str]) -> str:
    """Return what to say of a name that leads nowhere: the nearest one, else all."""
    names = sorted(names)
    guess = nearest(name, names)
    return f"there is no {what} `{name}`; " + (f"did you mean `{guess}`?" if guess else there_is(names))
