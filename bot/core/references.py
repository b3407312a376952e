"""What is impossible in a configuration although each of its parts is well formed: names that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bot.core.config import CloudRunTarget, Config, EnvironmentConfig, HerokuTarget
from bot.core.placeholders import BUILT_IN, names_in
from bot.core.words import listed, nearest

Path = tuple[str | int, ...]


def references(config: Config) -> list[tuple[Path, str]]:
    """Return what is impossible although each part is well formed: ``(key path, sentence)``."""
    problems: list[tuple[Path, str]] = []
    for name, environment in config.environments.items():
        problems += _environment(config, name, environment)
    for name, target in config.targets.items():
        problems += _checks(("targets", name, "verify"), target.verify, target)
        if isinstance(target, CloudRunTarget):
            problems += _workloads(name, target)
    problems += _placeholders(config)
    default = config.default_environment
    if default is not None and default not in config.environments:
        problems.append((("default_environment",), _no_such("environment", default, config.environments)))
    elif default is not None and is_production(default, config.environments[default]):
        problems.append((("default_environment",), "production is never the default: name it each time"))
    if config.build.config and config.build.dockerfile != "Dockerfile":
        problems.append((("build", "config"), "give either `dockerfile` or `config`"))
    return problems


def _placeholders(config: Config) -> list[tuple[Path, str]]:
    """Find placeholders that no environment can fill. What is not acted on yet is not looked at."""
    own = {key for environment in config.environments.values() for key in environment.values}
    known = BUILT_IN | own
    problems: list[tuple[Path, str]] = []
    data = config.model_dump(mode="json", exclude_unset=True, by_alias=True)
    for path, name in names_in(data):
        if name not in known and not {"scheduler", "review_apps", "config_vars"} & set(path):
            guess = nearest(name, known)
            problems.append(
                (path, f"`{{{name}}}` is no placeholder" + (f"; did you mean `{{{guess}}}`?" if guess else ""))
            )
    return problems


def is_production(name: str, environment: EnvironmentConfig) -> bool:
    """Whether an environment is production: as declared, else by its name."""
    return environment.production if environment.production is not None else name in {"prod", "production"}


def _no_such(what: str, name: str, names: Iterable[str]) -> str:
    names = sorted(names)
    guess = nearest(name, names)
    return f"there is no {what} `{name}`; " + (
        f"did you mean `{guess}`?" if guess else (f"there is {listed(names)}" if names else "there is none")
    )


def _environment(config: Config, name: str, environment: EnvironmentConfig) -> list[tuple[Path, str]]:
    at: Path = ("environments", name)
    target_name = environment.target or (next(iter(config.targets)) if len(config.targets) == 1 else None)
    if target_name is None:
        return [(at, f"name a `target`: there is {listed(sorted(config.targets))}")]
    if target_name not in config.targets:
        return [((*at, "target"), _no_such("target", target_name, config.targets))]
    target = config.targets[target_name]
    problems: list[tuple[Path, str]] = []
    if isinstance(target, CloudRunTarget):
        for kind, names in (("services", target.services), ("jobs", target.jobs)):
            unknown = [key for key in getattr(environment, kind) if key not in names]
            problems += [((*at, kind, key), _no_such(kind[:-1], key, names)) for key in unknown]
        if environment.app is not None:
            problems.append(((*at, "app"), "`app` names a Heroku app; this environment's target is Cloud Run"))
    else:
        wrong = [key for key in ("services", "jobs", "project", "region") if getattr(environment, key)]
        problems += [((*at, key), f"`{key}` is for Cloud Run; this environment's target is Heroku") for key in wrong]
    if environment.promote_from is not None and environment.promote_from not in config.environments:
        sentence = _no_such("environment", environment.promote_from, config.environments)
        problems.append(((*at, "promote_from"), sentence))
    return problems + _checks((*at, "verify"), environment.verify or (), target)


def _workloads(name: str, target: CloudRunTarget) -> list[tuple[Path, str]]:
    problems: list[tuple[Path, str]] = []
    for kind, workloads in (("services", target.services), ("jobs", target.jobs)):
        for key, workload in workloads.items():
            at: Path = ("targets", name, kind, key)
            both = sorted(set(workload.env) & set(workload.secrets))
            problems += [((*at, "secrets", twice), f"`{twice}` is in `env` as well") for twice in both]
    for key, job in target.jobs.items():
        at = ("targets", name, "jobs", key)
        if job.run is not None and (job.command is not None or job.args is not None):
            problems.append(((*at, "run"), "give either `run` or `command` and `args`"))
        if job.env_file is not None and job.run is None:
            problems.append(((*at, "env_file"), "`env_file` goes with `run`"))
    return problems


def _checks(at: Path, checks: Iterable[Any], target: CloudRunTarget | HerokuTarget) -> list[tuple[Path, str]]:
    services = tuple(target.services) if isinstance(target, CloudRunTarget) else ("app",)
    jobs = tuple(target.jobs) if isinstance(target, CloudRunTarget) else ()
    problems: list[tuple[Path, str]] = []
    for index, check in enumerate(checks):
        for key, known in (("service", services), ("iam", services), ("job", jobs)):
            value = getattr(check, key, None)
            if value is not None and value not in known:
                what = "job" if key == "job" else "service"
                problems.append(((*at, index, key), _no_such(what, value, known)))
        for place, value in enumerate(getattr(check, "serving", ())):
            if value not in services:
                problems.append(((*at, index, "serving", place), _no_such("service", value, services)))
        http = getattr(check, "http", "/")
        if not http.startswith(("/", "https://", "http://", "{", "${")):
            problems.append(((*at, index, "http"), "should be a path that begins with `/`, or an absolute URL"))
    return problems
