"""Previews of pull requests: how an environment wants them, what one does, and what is written down of it.

A preview is a revision of each of some services at 0 % of the traffic, under the tag ``pr-<number>``, which gives it an
address of its own. Its record is a GitHub deployment to ``<environment>/pr-<number>``. When it ends is in the record
and on its revisions, so that it ends even when one of the two is gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.core.checks import Check
from bot.core.facts import Deployment
from bot.core.plan import Build, Plan, Rollout, Step, Verify
from bot.core.spec import CloudRunSpec

VERSION = 1
_UNTIL = re.compile(r"until (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)", re.ASCII)
_PLACE = re.compile(r"(.+)/pr-([1-9]\d{0,9})", re.ASCII)
_OVER = frozenset({"success", "failure", "error", "inactive"})


@dataclass(frozen=True, kw_only=True)
class Previews:
    """How an environment wants its previews, ready for a target. ``ttl`` is in seconds, ``limit`` the most at once.

    ``spec`` has the services of a preview, with what differs in it, and no jobs. ``differs`` names what differs.
    """

    spec: CloudRunSpec
    checks: tuple[Check, ...]
    ttl: float
    on_push: bool
    limit: int
    differs: tuple[str, ...] = ()


def tag_of(number: int) -> str:
    """Return the tag of a pull request's preview."""
    return f"pr-{number}"


def place_of(environment: str, number: int) -> str:
    """Return the name of the GitHub environment that a preview is recorded for."""
    return f"{environment}/{tag_of(number)}"


def number_in(place: str, environment: str) -> int:
    """Return the pull request that a GitHub environment is the preview of, 0 if it is none of ``environment``'s."""
    found = _PLACE.fullmatch(place)
    return int(found[2]) if found and found[1] == environment else 0


# -- what is done -----------------------------------------------------------------------------------------------------
def plans(previews: Previews, *, build_timeout: float, rollout_timeout: float) -> tuple[Plan, Plan, Plan]:
    """Return ``Build``, then ``Rollout*``, then ``Verify``: only the second changes anything, and needs the lock.

    No jobs, no traffic, and no way back in the plan: a preview that fails is taken away again.
    """
    rollouts = tuple(
        Rollout(id=f"rollout-{service.key}", service=service.key, timeout=rollout_timeout)
        for service in previews.spec.services
    )
    checks: tuple[Step, ...] = ()
    if previews.checks:
        checks = (Verify(id="verify-preview", phase="candidate", checks=previews.checks),)
    return (
        Plan(steps=(Build(timeout=build_timeout),), undo=False),
        Plan(steps=rollouts, undo=False),
        Plan(steps=checks, undo=False),
    )


# -- the record -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class PreviewRecord:
    """A preview as it is written down before it is made. ``until``: when it ends, seconds since the epoch.

    ``id`` names the command or push that asked for it.
    """

    id: str
    number: int
    environment: str
    sha: str
    actor: str
    run_id: int
    run_attempt: int
    until: float
    comment_id: int = 0

    def to_payload(self) -> dict[str, Any]:
        """Return the JSON for the deployment's payload."""
        return {
            "slipway": VERSION,
            "id": self.id,
            "verb": "preview",
            "pull_request": self.number,
            "environment": self.environment,
            "sha": self.sha,
            "actor": self.actor,
            "run_id": self.run_id,
            "run_attempt": self.run_attempt,
            "comment_id": self.comment_id,
            "until": said(self.until),
        }


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A deployment that records a preview."""

    deployment: Deployment
    record: PreviewRecord

    @property
    def state(self) -> str:
        """How it went, in the words of deployment statuses: ``success`` while it is up, ``inactive`` once it is over.

        A transient deployment is made inactive by the bot alone (REST, deployment statuses, auto_inactive: "all prior
        non-transient, non-production environment deployments").
        """
        return self.deployment.state

    @property
    def over(self) -> bool:
        """Whether it was taken away, or replaced."""
        return self.state == "inactive"

    @property
    def finished(self) -> bool:
        """Whether making it came to an end, good or bad."""
        return self.state in _OVER

    @property
    def until(self) -> float:
        """When it ends: as it was last extended, else as it was made."""
        told = (status.description for status in self.deployment.statuses if status.state == "success")
        found = (_UNTIL.search(description) for description in told)
        return next((moment(match[1]) for match in found if match), self.record.until)


def until_said(until: float) -> str:
    """Return the description of the deployment's status that says until when a preview lives."""
    return f"Up until {said(until)}"


def read_preview(deployment: Deployment) -> PreviewRecord | None:
    """Read a deployment's payload; None for one that records no preview or cannot be read."""
    payload: Mapping[str, Any] = deployment.payload
    try:
        if payload.get("slipway") != VERSION or payload["verb"] != "preview":
            return None
        return PreviewRecord(
            id=str(payload["id"]),
            number=int(payload["pull_request"]),
            environment=str(payload["environment"]),
            sha=str(payload["sha"]),
            actor=str(payload["actor"]),
            run_id=int(payload["run_id"]),
            run_attempt=int(payload["run_attempt"]),
            comment_id=int(payload.get("comment_id") or 0),
            until=moment(str(payload["until"])),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def kept(deployments: Iterable[Deployment]) -> tuple[Kept, ...]:
    """Return the previews among deployments, newest first as given."""
    read = ((deployment, read_preview(deployment)) for deployment in deployments)
    return tuple(Kept(deployment=deployment, record=record) for deployment, record in read if record is not None)


def said(seconds: float) -> str:
    """Return a time as it is written down: ``2026-03-05T12:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> float:
    """Read a time as it is written down; returns seconds since the epoch. Raises ValueError."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return found.timestamp()
