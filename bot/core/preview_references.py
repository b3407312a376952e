"""What is impossible in the previews that a configuration asks for."""

from __future__ import annotations

from bot.core.config import CloudRunTarget, HttpCheckConfig, PreviewConfig
from bot.core.rollout_references import Path, Problems, no_such


def preview_problems(at: Path, previews: PreviewConfig, target: CloudRunTarget) -> Problems:
    """Return what is impossible in an environment's previews. ``at``: their key path."""
    problems: Problems = []
    if all(service.kind == "worker_pool" for service in target.services.values()):
        problems.append((at, "no service takes requests: there is nothing to look at"))
    for key in previews.services or ():
        if key not in target.services:
            problems.append(((*at, "services"), no_such("service", key, target.services)))
        elif target.services[key].kind == "worker_pool":
            problems.append(((*at, "services"), f"`{key}` takes no requests: nobody could look at its preview"))
    both = sorted(set(previews.env) & set(previews.secrets))
    problems += [((*at, "secrets", name), f"`{name}` is in `env` as well") for name in both]
    for index, check in enumerate(previews.verify or ()):
        here: Path = (*at, "verify", index)
        if not isinstance(check, HttpCheckConfig):
            problems.append((here, "a preview runs no jobs and has no traffic: only `http` checks can be made of it"))
        elif check.http.startswith(("https://", "http://")):
            problems.append(((*here, "http"), "should be a path: it is asked at the preview's own address"))
    return problems
