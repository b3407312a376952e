"""What a target serves, as it was asked for. This is the state a failed release returns to.

The values are plain data: they are written into the payload of a GitHub deployment and read back by a later run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """What a build made. ``digest`` is ``sha256:…`` of an image, or the id of a Heroku slug.

    ``reference`` is what a target deploys (``REPOSITORY@DIGEST``; the slug id). ``reused``: it existed before.
    """

    digest: str
    reference: str
    sha: str = ""
    reused: bool = False
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class TrafficShare:
    """A share of a service's traffic. ``percent`` 0 to 100; a tag gives the revision a URL of its own.

    ``revision`` is the short name of a Cloud Run revision, or ``v42`` for a Heroku release.
    """

    revision: str
    percent: int
    tag: str = ""
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class ServiceState:
    """One service as it serves now. ``exists`` False: there is none of this name yet.

    ``digests`` maps each revision with traffic to what it runs; ``labels`` maps each to its labels (the
    deployment and sha that the bot wrote on it). ``settings`` are the target's own service-level facts that a release
    may change and a restore must put back (ingress, scaling, public access), opaque to everyone but the target.
    """

    service: str
    exists: bool = True
    url: str = ""
    traffic: tuple[TrafficShare, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def revision(self) -> str:
        """The revision with the largest share, ``""`` if nothing serves."""
        return max(self.traffic, key=lambda share: share.percent).revision if self.traffic else ""

    @property
    def digest(self) -> str:
        """The digest of :attr:`revision`, ``""`` when unknown."""
        return self.digests.get(self.revision, "")


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What every service of an environment serves."""

    services: tuple[ServiceState, ...] = ()

    def service(self, name: str) -> ServiceState:
        """Return a service's state; one that is not listed does not exist."""
        return next(
            (state for state in self.services if state.service == name),
            ServiceState(service=name, exists=False),
        )

    @property
    def exists(self) -> bool:
        """Whether anything serves at all."""
        return any(state.exists for state in self.services)


_SERVING = TypeAdapter(Serving)


def serving_to_json(serving: Serving) -> dict[str, Any]:
    """Return the JSON form for a deployment's payload."""
    data: dict[str, Any] = _SERVING.dump_python(serving, mode="json", exclude_defaults=True)
    return data


def serving_from_json(data: Any) -> Serving:
    """Read the JSON form. Raises pydantic.ValidationError when it is not one."""
    return _SERVING.validate_python(data)
