"""What is impossible in what a configuration's services and jobs are called on Cloud Run: form, length, twins.

A name may hang on the repository's variables, which are not known when a configuration is read. What is known by then
is looked at by then; the rest when the environment is resolved.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from bot.core.config import CloudRunTarget, Config, EnvironmentConfig, HerokuTarget, JobConfig, ServiceConfig
from bot.core.placeholders import PATTERN
from bot.core.words import listed

Path = tuple[str | int, ...]
Problems = list[tuple[Path, str]]
Place = tuple[str, ...]

LONGEST_TAG = len("sha-0123456")
MAX_SERVICE = 46 - LONGEST_TAG  # a tag and its service's name are one label of a host's name: Cloud Run allows 46
MAX_JOB = 63 - len("-0123456-") - 8
_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")  # RFC 1035, as run.v2 asks of service_id and job_id


def name_problems(config: Config) -> Problems:
    """Return the names that cannot be, and those that stand for the same thing twice."""
    problems: Problems = []
    taken: dict[Place, str] = {}
    for name, environment in config.environments.items():
        target = config.targets.get(environment.target or next(iter(config.targets)))
        if isinstance(target, CloudRunTarget):
            problems += _names(config, name, target)
        problems += _twin(taken, name, _places(config, name, environment, target))
    return problems


def wrong_name(name: str, most: int) -> str:
    """Return what is wrong with a name on Cloud Run, which has ``most`` characters at most; ``""`` if nothing is."""
    if len(name) > most:
        beside = "an execution's name" if most == MAX_JOB else "a tag and a revision's name"
        return f"`{name}` has {len(name)} characters; at most {most} leave room for {beside}"
    if not _NAME.fullmatch(name):
        return f"`{name}` is no name on Cloud Run: lower case letters, digits and hyphens, a letter first"
    return ""


def same_names(names: Mapping[str, str]) -> tuple[str, str]:
    """Return what two of these keys are called alike, as ``(the later key, what to say)``; ``("", "")`` if none are."""
    first: dict[str, str] = {}
    for key, name in names.items():
        other = first.setdefault(name, key)
        if other != key:
            return key, f"{listed((other, key))} are both called `{name}`: one would replace the other"
    return "", ""


def partly(text: str, known: Mapping[str, str]) -> str:
    """Fill the placeholders of a text that are known, and leave the others."""
    return PATTERN.sub(lambda match: known.get(match[2] or "", match[0]), text)


def _names(config: Config, environment: str, target: CloudRunTarget) -> Problems:
    """Look at what an environment's services and jobs are called, as far as it is known."""
    declared = config.environments[environment]
    at: Path = ("targets", declared.target or next(iter(config.targets)))
    problems: Problems = []
    for kind, called, most in (
        ("services", _called(config, environment, target.services, declared.services, target), MAX_SERVICE),
        ("jobs", _called(config, environment, target.jobs, declared.jobs, target), MAX_JOB),
    ):
        known = {key: name for key, name in called.items() if not PATTERN.search(name)}
        problems += [
            ((*at, kind, key), sentence) for key, name in known.items() if (sentence := wrong_name(name, most))
        ]
        key, sentence = same_names(
            {key: name for key, name in called.items() if _everywhere(target, declared, kind, key)}
        )
        problems += [((*at, kind, key), sentence)] if sentence else []
    return problems


def _everywhere(target: CloudRunTarget, declared: EnvironmentConfig, kind: str, key: str) -> bool:
    """Whether a service or job is in every region: two that never meet may have the same name."""
    layers = (declared.services.get(key), target.services[key]) if kind == "services" else ()
    return all(layer is None or layer.regions is None for layer in layers)


def _called(
    config: Config,
    environment: str,
    items: Mapping[str, ServiceConfig] | Mapping[str, JobConfig],
    special: Mapping[str, ServiceConfig] | Mapping[str, JobConfig],
    target: CloudRunTarget,
) -> dict[str, str]:
    """Return what services or jobs are called in an environment, as far as it is known."""
    known = _known(config, environment, target)
    own = {key: special[key].name for key in special}
    return {
        key: partly(own.get(key) or item.name or target.service_name, {**known, "name": key})
        for key, item in items.items()
    }


def _known(config: Config, environment: str, target: CloudRunTarget) -> dict[str, str]:
    values = config.environments[environment].values
    known = {"app": config.app, "env": environment, **{key: str(value) for key, value in values.items()}}
    return {**known, "suffix": partly(target.suffix.get(environment, target.suffix.get("default", "")), known)}


# -- two environments in one place ------------------------------------------------------------------------------------
def _twin(taken: dict[Place, str], name: str, places: Iterable[Place]) -> Problems:
    """Find an environment that is where another one is: a release of one would replace the other."""
    for place in places:
        first = taken.setdefault(place, name)
        if first != name:
            sentence = f"`{first}` and `{name}` are the same {place[0]}: give one of them a name, project or region"
            return [(("environments", name), sentence)]
    return []


def _places(
    config: Config, name: str, environment: EnvironmentConfig, target: CloudRunTarget | HerokuTarget | None
) -> list[Place]:
    """Return where an environment's services are, as far as it is known without the repository's variables."""
    match target:
        case None:
            return []
        case HerokuTarget():
            known = {"app": config.app, "env": name, **{key: str(value) for key, value in environment.values.items()}}
            return [("Heroku app", partly(environment.app or target.app, known))]
        case CloudRunTarget():
            known = _known(config, name, target)
            project = partly(environment.project or target.project, known)
            regions = [partly(region, known) for region in environment.region or target.region]
            called = _called(config, name, target.services, environment.services, target).values()
            return [("Cloud Run service", project, region, text) for region in regions for text in called]
