"""Secret Manager: which version of a secret is the newest. Contents are never read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from bot.core.config import JobConfig, SecretRef, ServiceConfig
from bot.core.spec import CloudRunSpec
from bot.errors import ConfigError, UpstreamError
from bot.targets.google import Google
from bot.targets.google_errors import check, read
from bot.targets.parallel import together

PIN = "pin"
_FULL = re.compile(r"projects/[^/]+/secrets/[^/]+")

C = TypeVar("C", ServiceConfig, JobConfig)


def pinned_names(spec: CloudRunSpec) -> tuple[str, ...]:
    """Return the secrets that a release resolves to a number: those with ``version: pin``, sorted."""
    return tuple(sorted({ref.name for ref in _all(spec) if ref.version == PIN}))


def names(spec: CloudRunSpec) -> tuple[str, ...]:
    """Return every secret that an environment uses, sorted."""
    return tuple(sorted({ref.name for ref in _all(spec)}))


def _all(spec: CloudRunSpec) -> Iterable[SecretRef]:
    for service in spec.services:
        yield from service.config.secrets.values()
    for job in spec.jobs:
        yield from job.config.secrets.values()


def newest(google: Google, wanted: Iterable[str]) -> dict[str, str]:
    """Return the number of the newest version of each secret; one call each, at once.

    Raises UpstreamError for a secret that does not exist or may not be seen, ConfigError where the newest version is
    disabled or destroyed: Cloud Run could not start anything with it.
    """
    found = list(wanted)
    return dict(zip(found, together(lambda name: _newest(google, name), found), strict=True))


def _newest(google: Google, name: str) -> str:
    """Ask for a secret's version ``latest``, which is an alias (secretmanager.v1 versions.get).

    By hand: one call does not pay for another client's import (0.2 s).
    """
    full = name if _FULL.fullmatch(name) else f"projects/{google.project}/secrets/{name}"
    url = f"{google.endpoints.secretmanager}/v1/{full}/versions/latest"
    what = f"look up the secret {name}"
    body = read(what, lambda: check(google.http.get(url, timeout=google.timeout)))
    number = str(body.get("name", "")).rpartition("/")[2]
    if not number.isdecimal():
        raise UpstreamError(f"Secret Manager gave no number for {name}.", service="Secret Manager", operation=what)
    if body.get("state") != "ENABLED":
        raise ConfigError(
            f"The newest version of the secret {name}, {number}, is {str(body.get('state', 'unknown')).lower()}.",
            hint="Enable it, or add a new version.",
        )
    return number


def with_pins(config: C, pins: Mapping[str, str]) -> C:
    """Return a configuration whose secrets have the release's numbers in place of ``pin``.

    Raises UpstreamError when one was not resolved: a release that goes on must use what it recorded.
    """
    if not any(ref.version == PIN for ref in config.secrets.values()):
        return config
    missing = [ref.name for ref in config.secrets.values() if ref.version == PIN and ref.name not in pins]
    if missing:
        raise UpstreamError(
            f"The release has recorded no version of {', '.join(sorted(missing))}.",
            service="Secret Manager",
            operation="pin the secrets",
        )
    secrets = {
        place: SecretRef(name=ref.name, version=pins[ref.name]) if ref.version == PIN else ref
        for place, ref in config.secrets.items()
    }
    return config.model_copy(update={"secrets": secrets})
