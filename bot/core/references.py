"""What is impossible in a configuration although each of its parts is well formed: names that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bot.core.config import BuildConfig, CloudRunTarget, Config, EnvironmentConfig, HerokuTarget, ServiceConfig
from bot.core.name_references import name_problems
from bot.core.placeholders import BUILT_IN, names_in
from bot.core.preview_references import preview_problems
from bot.core.registry import EVERY
from bot.core.rollout_references import environment_rollout, target_rollout
from bot.core.words import listed, nearest, no_such, there_is

Path = tuple[str | int, ...]


def references(config: Config) -> list[tuple[Path, str]]:
    """Return what is impossible although each part is well formed: ``(key path, sentence)``."""
    problems: list[tuple[Path, str]] = []
    for name, environment in config.environments.items():
        problems += _environment(config, name, environment)
    for name, target in config.targets.items():
        problems += _checks(("targets", name, "verify"), target.verify, target)
        if isinstance(target, CloudRunTarget):
            problems += _workloads(name, target) + target_rollout(config, name, target)
            unknown = [key for key in target.suffix if key != "default" and key not in config.environments]
            problems += [(("targets", name, "suffix", key), no_such("environment", key, config.environments))
                         for key in unknown]  # fmt: skip
    problems += _placeholders(config)
    problems += name_problems(config)
    if EVERY in config.environments:
        problems.append((("environments", EVERY), f"`{EVERY}` is what commands call every environment: rename it"))
    default = config.default_environment
    if default is not None and default not in config.environments:
        problems.append((("default_environment",), no_such("environment", default, config.environments)))
    elif default is not None and is_production(default, config.environments[default]):
        problems.append((("default_environment",), "production is never the default: name it each time"))
    return problems + _build(config.build)


def _build(build: BuildConfig) -> list[tuple[Path, str]]:
    problems: list[tuple[Path, str]] = []
    if build.config and build.dockerfile != "Dockerfile":
        problems.append((("build", "config"), "give either `dockerfile` or `config`"))
    if build.overlay is None:
        return problems
    at: Path = ("build", "overlay")
    problems += [
        (
            (*at,),
            f"give either `overlay` or `{key}`: the sources are laid beside one that was uploaded, for a Dockerfile",
        )
        for key in ("config", "repository")
        if getattr(build, key)
    ]
    names = [repository.partition("/")[2] for repository in build.overlay.repos]
    problems += [
        ((*at, "repos"), f"two repositories are called `{name}`, and each gets a folder of its name")
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    return problems


def _placeholders(config: Config) -> list[tuple[Path, str]]:
    """Find placeholders that cannot be filled. What is not acted on yet is not looked at."""
    problems: list[tuple[Path, str]] = []
    data = config.model_dump(mode="json", exclude_unset=True, by_alias=True)
    for path, name in names_in(data):
        if {"scheduler", "review_apps", "config_vars", "digest"} & set(path) or name in BUILT_IN:
            continue
        without = [key for key in _filled_for(config, path) if name not in config.environments[key].values]
        own = {key for environment in config.environments.values() for key in environment.values}
        if name in own and without:
            problems.append((path, f"`{{{name}}}` has no value in {listed(without)}: give it under `values` there"))
        elif name not in own:
            guess = nearest(name, BUILT_IN | own)
            hint = f"; did you mean `{{{guess}}}`?" if guess else ""
            problems.append((path, f"`{{{name}}}` is no placeholder{hint}"))
    return problems


def _filled_for(config: Config, path: Path) -> list[str]:
    """Return the environments for which the text at a path is filled."""
    match path:
        case ("environments", str(name), *_):
            return [name]
        case ("targets", str(target), *_):
            only = len(config.targets) == 1
            return [
                key for key, one in config.environments.items() if one.target == target or (only and not one.target)
            ]
        case _:
            return list(config.environments)


def is_production(name: str, environment: EnvironmentConfig) -> bool:
    """Whether an environment is production: as declared, else by its name."""
    return environment.production if environment.production is not None else name in {"prod", "production"}


def _environment(config: Config, name: str, environment: EnvironmentConfig) -> list[tuple[Path, str]]:
    at: Path = ("environments", name)
    target_name = environment.target or (next(iter(config.targets)) if len(config.targets) == 1 else None)
    if target_name is None:
        return [(at, f"name a `target`: {there_is(sorted(config.targets))}")]
    if target_name not in config.targets:
        return [((*at, "target"), no_such("target", target_name, config.targets))]
    target = config.targets[target_name]
    problems: list[tuple[Path, str]] = [
        ((*at, "values", key), f"`{{{key}}}` is built in; choose another name")
        for key in environment.values
        if key in BUILT_IN
    ]
    if isinstance(target, CloudRunTarget):
        for kind, names in (("services", target.services), ("jobs", target.jobs)):
            unknown = [key for key in getattr(environment, kind) if key not in names]
            problems += [((*at, kind, key), no_such(kind[:-1], key, names)) for key in unknown]
        for key, service in environment.services.items():
            if service.scale is not None and key in target.services:
                problems += _scale((*at, "services", key, "scale"), target.services[key], service)
        problems += environment_rollout(name, environment, target)
        if environment.previews is not None:
            previews, here = environment.previews, (*at, "previews")
            problems += preview_problems(here, previews, environment, target)
            problems += _checks((*here, "verify"), previews.verify or (), target)
        if environment.app is not None:
            problems.append(((*at, "app"), "`app` names a Heroku app; this environment's target is Cloud Run"))
    else:
        cloud_run = ("services", "jobs", "project", "region", "previews")
        wrong = [key for key in cloud_run if getattr(environment, key)]
        problems += [((*at, key), f"`{key}` is for Cloud Run; this environment's target is Heroku") for key in wrong]
    problems += _promotion(config, name, environment)
    return problems + _checks((*at, "verify"), environment.verify or (), target)


def _promotion(config: Config, name: str, environment: EnvironmentConfig) -> list[tuple[Path, str]]:
    """Find an image that cannot be taken from where it is said to come from."""
    if environment.promote_from is None:
        return []
    at, source = ("environments", name, "promote_from"), environment.promote_from.environment
    if source not in config.environments:
        return [(at, no_such("environment", source, config.environments))]
    problems: list[tuple[Path, str]] = []
    for key in (name, source):
        target = config.targets.get(config.environments[key].target or next(iter(config.targets)))
        if isinstance(target, HerokuTarget):
            problems.append((at, f"`{key}` is on Heroku: images are promoted between environments on Cloud Run"))
    if environment.on == "push":
        problems.append((at, f"what was just pushed has not been verified on `{source}` yet: leave `on: push` out"))
    circle = _promoted_in_a_circle(config, name)
    if circle:
        problems.append((at, f"an image has to be built somewhere: {' from '.join(f'`{key}`' for key in circle)}"))
    return problems


def _promoted_in_a_circle(config: Config, name: str) -> tuple[str, ...]:
    """Return the way that an environment's image takes back to itself, ``()`` if it comes from somewhere."""
    trail = [name]
    while (here := config.environments.get(trail[-1])) is not None and here.promote_from is not None:
        trail.append(here.promote_from.environment)
        if trail[-1] in trail[:-1]:
            return tuple(trail) if trail[-1] == name else ()
    return ()


def _workloads(name: str, target: CloudRunTarget) -> list[tuple[Path, str]]:
    problems: list[tuple[Path, str]] = []
    for kind, workloads in (("services", target.services), ("jobs", target.jobs)):
        for key, workload in workloads.items():
            at: Path = ("targets", name, kind, key)
            both = sorted(set(workload.env) & set(workload.secrets))
            problems += [((*at, "secrets", twice), f"`{twice}` is in `env` as well") for twice in both]
    for key, service in target.services.items():
        problems += _scale(("targets", name, "services", key, "scale"), service)
    for key, job in target.jobs.items():
        at = ("targets", name, "jobs", key)
        if job.run is not None and (job.command is not None or job.args is not None):
            problems.append(((*at, "run"), "give either `run` or `command` and `args`"))
        if job.env_file is not None and job.run is None:
            problems.append(((*at, "env_file"), "`env_file` goes with `run`"))
    return problems


def _scale(at: Path, *layers: ServiceConfig) -> list[tuple[Path, str]]:
    """Compare the bounds that the layers together declare, the later over the earlier."""
    scales = [layer.scale for layer in reversed(layers) if layer.scale is not None]
    least = next((scale.min for scale in scales if scale.min is not None), None)
    most = next((scale.max for scale in scales if scale.max is not None), None)
    if least is None or most is None or least <= most:
        return []
    return [(at, f"`min` is {least}, which is more than `max`, {most}")]


def _checks(at: Path, checks: Iterable[Any], target: CloudRunTarget | HerokuTarget) -> list[tuple[Path, str]]:
    services = tuple(target.services) if isinstance(target, CloudRunTarget) else ("app",)
    jobs = tuple(target.jobs) if isinstance(target, CloudRunTarget) else ()
    problems: list[tuple[Path, str]] = []
    for index, check in enumerate(checks):
        for key, known in (("service", services), ("iam", services), ("job", jobs)):
            value = getattr(check, key, None)
            if value is not None and value not in known:
                what = "job" if key == "job" else "service"
                problems.append(((*at, index, key), no_such(what, value, known)))
        for place, value in enumerate(getattr(check, "serving", ())):
            if value not in services:
                problems.append(((*at, index, "serving", place), no_such("service", value, services)))
        problems += _asked((*at, index), check, target)
        http = getattr(check, "http", "/")
        if not http.startswith(("/", "https://", "http://", "{", "${")):
            problems.append(((*at, index, "http"), "should be a path that begins with `/`, or an absolute URL"))
    return problems


def _asked(at: Path, check: Any, target: CloudRunTarget | HerokuTarget) -> list[tuple[Path, str]]:
    """Find what is asked of a worker pool, which takes no requests."""
    if not isinstance(target, CloudRunTarget):
        return []
    pools = [key for key, service in target.services.items() if service.kind == "worker_pool"]
    sentence = "a worker pool takes no requests"
    if getattr(check, "service", None) in pools:
        return [((*at, "service"), f"{sentence}: check it with a job")]
    if getattr(check, "http", "").startswith("/") and check.service is None and len(pools) == len(target.services):
        return [((*at, "http"), f"there is no service to ask: {sentence}")]
    if getattr(check, "iam", None) in pools and (check.ingress is not None or check.no_public_invoker is False):
        return [((*at, "iam"), f"{sentence}, so nobody can reach it")]
    return []
