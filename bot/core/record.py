"""The record of releases: what is written into a deployment's payload, and what an environment's deployments tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast

from bot.core.facts import Deployment
from bot.core.serving import Artifact, Serving, serving_from_json, serving_to_json

VERSION = 1
FINAL = frozenset({"success", "failure", "error"})


@dataclass(frozen=True, kw_only=True)
class Record:
    """A release as it is written down before its first mutation.

    ``id`` names the command that asked for it (comment and line, push, or run), so that it is known again.
    ``before`` is the serving state to return to. ``sha`` is the sha released, ``before_sha`` the one that served.
    ``pins`` are the versions of secrets that it was resolved to use, ``goal`` the deployment a rollback goes back to.
    ``sources`` are the shas of other repositories that join the build. ``image`` is the repository of the image that it
    releases; ``promoted`` is that image where it is taken from another environment, ``promoted_from``. ``overridden``
    are the gates that it went past, for ``reason``. ``services``: only these are released, ``()``: all of them; of
    a rollback it is what the release was of that it goes back to.
    ``version`` is the project's own, where it is known.
    """

    id: str
    verb: Literal["deploy", "rollback"]
    sha: str
    actor: str
    run_id: int
    run_attempt: int
    plan: tuple[str, ...]
    before: Serving
    before_sha: str = ""
    comment_id: int = 0
    pull_request: int = 0
    reason: str = ""
    pins: Mapping[str, str] = field(default_factory=dict)
    goal: int = 0
    sources: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    promoted: Artifact | None = None
    promoted_from: str = ""
    overridden: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    version: str = ""

    @property
    def whole(self) -> bool:
        """Whether it is of all services."""
        return not self.services

    def to_payload(self) -> dict[str, Any]:
        """Return the JSON for the deployment's payload."""
        return {
            "slipway": VERSION,
            "id": self.id,
            "verb": self.verb,
            "sha": self.sha,
            "actor": self.actor,
            "run_id": self.run_id,
            "run_attempt": self.run_attempt,
            "comment_id": self.comment_id,
            "pull_request": self.pull_request,
            "reason": self.reason,
            "plan": list(self.plan),
            "before_sha": self.before_sha,
            "pins": dict(self.pins),
            "goal": self.goal,
            "sources": dict(self.sources),
            "image": self.image,
            **self._promotion(),
            **({"overridden": list(self.overridden)} if self.overridden else {}),
            **({"services": list(self.services)} if self.services else {}),
            **({"version": self.version} if self.version else {}),
            "before": serving_to_json(self.before),
        }

    def _promotion(self) -> dict[str, Any]:
        if self.promoted is None:
            return {}
        taken = {"digest": self.promoted.digest, "reference": self.promoted.reference}
        return {"promoted": {"environment": self.promoted_from, **taken}}


def read_record(deployment: Deployment) -> Record | None:
    """Read a deployment's payload; None for one that is not ours or cannot be read."""
    payload = deployment.payload
    try:
        if payload.get("slipway") != VERSION:
            return None
        verb = payload["verb"]
        if verb not in {"deploy", "rollback"}:
            return None
        return Record(
            id=str(payload["id"]),
            verb=cast(Literal["deploy", "rollback"], verb),
            sha=str(payload["sha"]),
            actor=str(payload["actor"]),
            run_id=int(payload["run_id"]),
            run_attempt=int(payload["run_attempt"]),
            comment_id=int(payload.get("comment_id") or 0),
            pull_request=int(payload.get("pull_request") or 0),
            reason=str(payload.get("reason") or ""),
            plan=tuple(str(step) for step in payload.get("plan", ())),
            before_sha=str(payload.get("before_sha") or ""),
            pins=_named(payload.get("pins")),
            sources=_named(payload.get("sources")),
            goal=int(payload.get("goal") or 0),
            image=str(payload.get("image") or ""),
            overridden=tuple(str(gate) for gate in payload.get("overridden") or ()),
            services=tuple(str(service) for service in payload.get("services") or ()),
            version=str(payload.get("version") or ""),
            **_promotion_from(payload.get("promoted"), str(payload["sha"])),
            before=serving_from_json(payload.get("before", {})),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _named(data: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in (data or {}).items()}


def _promotion_from(data: Any, sha: str) -> dict[str, Any]:
    """Read which image was taken, and from where."""
    if not data:
        return {}
    artifact = Artifact(digest=str(data["digest"]), reference=str(data["reference"]), sha=sha, reused=True)
    return {"promoted": artifact, "promoted_from": str(data["environment"])}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A deployment of ours with its record."""

    deployment: Deployment
    record: Record

    @property
    def key(self) -> str:
        """The deployment id in base 36, as revisions are labelled with it."""
        return base36(self.deployment.id)

    @property
    def outcome(self) -> str:
        """The newest status that says how it went: ``inactive`` only says that a later deployment succeeded.

        That later one need not be ours: Actions makes one of its own for a job with ``environment:``, and its success
        makes every earlier deployment inactive, failed ones too (REST, deployment statuses: auto_inactive). What has
        ended stays so, whatever somebody says of it afterwards: we never begin with a deployment again.
        """
        told = [status.state for status in self.deployment.statuses if status.state != "inactive"]
        ended = [state for state in told if state in FINAL]
        return next(iter(ended or told), "pending" if self.deployment.statuses else self.deployment.state)

    @property
    def finished(self) -> bool:
        """Whether it was brought to an end."""
        return self.outcome in FINAL

    @property
    def succeeded(self) -> bool:
        """Whether it was verified while it served."""
        return any(status.state == "success" for status in self.deployment.statuses)

    @property
    def verified_at(self) -> datetime | None:
        """When it was verified while it served, by the server's clock; None if it was not, or that is not known."""
        return next((status.created_at for status in self.deployment.statuses if status.state == "success"), None)


def base36(number: int) -> str:
    """Return a number in base 36, lower case."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits or "0"


def entries(deployments: Iterable[Deployment]) -> tuple[Entry, ...]:
    """Return our own deployments, newest first as given."""
    read = ((deployment, read_record(deployment)) for deployment in deployments)
    return tuple(Entry(deployment=deployment, record=record) for deployment, record in read if record is not None)


def by_command(history: Sequence[Entry], command_id: str) -> Entry | None:
    """Return the newest release that a command asked for."""
    return next((entry for entry in history if entry.record.id == command_id), None)


def serving_entry(history: Sequence[Entry], serving: Serving) -> Entry | None:
    """Return the release that made what serves now: by the label on the revision, else by the sha on it.

    What serves is asked, not remembered: after a rollback it is not the newest release, and after a change by hand it
    is none of ours.
    """
    for name in ("slipway-release", "slipway-sha"):
        wanted = {labels[name] for labels in serving.labels if labels.get(name)}
        for entry in history:
            value = entry.key if name == "slipway-release" else entry.record.sha
            if entry.succeeded and entry.record.verb == "deploy" and value in wanted:
                return entry
    return None


def serving_shas(serving: Serving) -> frozenset[str]:
    """Return the shas that the revisions with traffic are labelled with, ``""`` for one that is not."""
    return frozenset(labels.get("slipway-sha", "") for labels in serving.labels)


def serving_sha(serving: Serving) -> str:
    """Return the one sha that the revisions with traffic are labelled with, ``""`` if they are not, or differ."""
    shas = serving_shas(serving)
    return next(iter(shas)) if len(shas) == 1 else ""


def usual_seconds(history: Iterable[Entry]) -> float:
    """Return the median duration of the successful releases of a history, 0 with fewer than three."""
    from statistics import median  # noqa: PLC0415 - it brings decimal and fractions along

    times = []
    for entry in history:
        ended = entry.verified_at
        if ended is not None and entry.record.verb == "deploy":
            times.append((ended - entry.deployment.created_at).total_seconds())
    return median(times) if len(times) >= 3 else 0.0
