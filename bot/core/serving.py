"""What a target serves, as it was asked for. This is the state a failed release returns to.

The values are plain data: they are written into the payload of a GitHub deployment and read back by a later run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar


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
    ``secrets`` are the versions of the secrets that the serving revisions use, by name.
    """

    service: str
    exists: bool = True
    url: str = ""
    traffic: tuple[TrafficShare, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)

    @property
    def revision(self) -> str:
        """The revision with the largest share, ``""`` if nothing serves."""
        return max(self.traffic, key=lambda share: share.percent).revision if self.traffic else ""

    @property
    def percents(self) -> Mapping[str, int]:
        """How much of the traffic each revision has that has any, whatever the tags."""
        found: dict[str, int] = {}
        for share in self.traffic:
            if share.percent:
                found[share.revision] = found.get(share.revision, 0) + share.percent
        return found

    @property
    def digest(self) -> str:
        """The digest of :attr:`revision`, ``""`` when unknown."""
        return self.digests.get(self.revision, "")

    @property
    def sha(self) -> str:
        """The commit that :attr:`revision` is labelled with, ``""`` when it is not."""
        return self.labels.get(self.revision, {}).get("slipway-sha", "")

    @property
    def releases(self) -> frozenset[str]:
        """The keys of the releases that have made what has traffic, ``""`` for what is labelled with none."""
        shares = (share.revision for share in self.traffic if share.percent)
        return frozenset(self.labels.get(revision, {}).get("slipway-release", "") for revision in shares)


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

    def of(self, services: Collection[str]) -> Serving:
        """Return what some services serve."""
        return Serving(services=tuple(state for state in self.services if state.service in services))

    @property
    def exists(self) -> bool:
        """Whether anything serves at all."""
        return any(state.exists for state in self.services)

    @property
    def labels(self) -> list[Mapping[str, str]]:
        """The labels of every revision that has traffic, be its share as small as it may."""
        states = (state for state in self.services if state.exists)
        return [state.labels.get(share.revision, {}) for state in states for share in state.traffic if share.percent]


def serving_to_json(serving: Serving) -> dict[str, Any]:
    """Return the JSON form for a deployment's payload; what has its default is left out."""
    return {"services": [_state_to_json(state) for state in serving.services]}


def _state_to_json(state: ServiceState) -> dict[str, Any]:
    data: dict[str, Any] = {"service": state.service}
    if not state.exists:
        data["exists"] = False
    if state.traffic:
        data["traffic"] = [_given(share) for share in state.traffic]
    for name in ("url", "digests", "labels", "settings", "secrets"):
        value = getattr(state, name)
        if value:
            data[name] = value
    return data


def _given(share: TrafficShare) -> dict[str, Any]:
    tagged = {"tag": share.tag, "url": share.url}
    return {
        "revision": share.revision,
        "percent": share.percent,
        **{key: value for key, value in tagged.items() if value},
    }


def serving_from_json(data: Any) -> Serving:
    """Read the JSON form.

    By hand and not by a validation library: this is on the way of every release, and building a validator for it
    costs more than everything else in this module.

    Raises:
        ValueError: it is not one.
    """
    services = _of(data, dict).get("services", [])
    return Serving(services=tuple(_state_from_json(_of(item, dict)) for item in _of(services, list)))


def _state_from_json(data: dict[str, Any]) -> ServiceState:
    labels = _of(data.get("labels", {}), dict)
    return ServiceState(
        service=_of(data.get("service"), str),
        exists=_of(data.get("exists", True), bool),
        url=_of(data.get("url", ""), str),
        traffic=tuple(_share_from_json(_of(item, dict)) for item in _of(data.get("traffic", []), list)),
        digests=_texts(data.get("digests", {})),
        labels={_of(revision, str): _texts(value) for revision, value in labels.items()},
        settings=_of(data.get("settings", {}), dict),
        secrets=_texts(data.get("secrets", {})),
    )


def _share_from_json(data: dict[str, Any]) -> TrafficShare:
    return TrafficShare(
        revision=_of(data.get("revision"), str),
        percent=_of(data.get("percent"), int),
        tag=_of(data.get("tag", ""), str),
        url=_of(data.get("url", ""), str),
    )


def _texts(data: Any) -> dict[str, str]:
    return {_of(key, str): _of(value, str) for key, value in _of(data, dict).items()}


T = TypeVar("T")


def _of(value: Any, kind: type[T]) -> T:
    """Return a value of the kind that it must be of. JSON's true is no number."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"a serving state has {type(value).__name__} where {kind.__name__} should be")
    return value
