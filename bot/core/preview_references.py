"""What is impossible in the previews that a configuration asks for."""

from __future__ import annotations

from bot.core.config import CloudRunTarget, EnvironmentConfig, HttpCheckConfig, PreviewConfig
from bot.core.rollout_references import Path, Problems
from bot.core.words import no_such


def preview_problems(
    at: Path, previews: PreviewConfig, environment: EnvironmentConfig, target: CloudRunTarget
) -> Problems:
    """Return what is impossible in an environment's previews. ``at``: their key path."""
    problems = _services(at, previews, environment, target)
    both = sorted(set(previews.env) & set(previews.secrets))
    problems += [((*at, "secrets", name), f"`{name}` is in `env` as well") for name in both]
    for index, check in enumerate(previews.verify or ()):
        here: Path = (*at, "verify", index)
        if not isinstance(check, HttpCheckConfig):
            problems.append((here, "a preview runs no jobs and has no traffic: only `http` checks can be made of it"))
        elif check.http.startswith(("https://", "http://")):
            problems.append(((*here, "http"), "should be a path: it is asked at the preview's own address"))
    return problems


def _services(at: Path, previews: PreviewConfig, environment: EnvironmentConfig, target: CloudRunTarget) -> Problems:
    """Find services that nobody could look at."""
    problems: Problems = []
    asked = [key for key, service in target.services.items() if service.kind != "worker_pool"]
    if not asked:
        problems.append((at, "no service takes requests: there is nothing to look at"))
    elif not any(_in_first_region(key, environment, target) for key in asked):
        problems.append((at, "no service that takes requests runs in the first region, where previews are made"))
    if previews.services == ():
        problems.append(((*at, "services"), "should not be empty: leave it out for those that are public"))
    for key in previews.services or ():
        if key not in target.services:
            problems.append(((*at, "services"), no_such("service", key, target.services)))
        elif key not in asked:
            problems.append(((*at, "services"), f"`{key}` takes no requests: nobody could look at its preview"))
        elif not _in_first_region(key, environment, target):
            problems.append(((*at, "services"), f"`{key}` is not in the first region, where previews are made"))
    return problems


def _in_first_region(key: str, environment: EnvironmentConfig, target: CloudRunTarget) -> bool:
    layers = (environment.services.get(key), target.services[key])
    own = next((layer.regions for layer in layers if layer is not None and layer.regions is not None), None)
    return own is None or (environment.region or target.region)[0] in own
