"""Approvals as they are written down: one ref for each environment, at a tag object that lists who has said what.

Being one ref it is read with the other marks, whole or not at all, and moved by compare-and-swap
(:class:`bot.github.locks.Locks`): of two who speak at once, the later one reads again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC
from typing import Any, cast

from bot.core.facts import Approval
from bot.github.mapping import moment, need, sha

RECORD_VERSION = 1


def ref_name(environment: str) -> str:
    """Full name of an environment's ref."""
    return f"refs/slipway/approvals/{environment}"


def dump(environment: str, entries: Sequence[Approval]) -> str:
    """Write entries as one line of JSON with sorted keys, so that the same make the same tag object."""
    listed = [
        {
            "verdict": one.verdict,
            "actor": one.actor,
            "sha": one.sha,
            "since": one.since.astimezone(UTC).isoformat(),
            "comment": one.comment,
        }
        for one in entries
    ]
    return json.dumps({"version": RECORD_VERSION, "environment": environment, "approvals": listed}, sort_keys=True)


def load(environment: str, message: str) -> tuple[Approval, ...] | None:
    """Read entries, None if they are none of ours: of another version or environment, or damaged."""
    try:
        data = json.loads(message)
        if need(data, "version", int) != RECORD_VERSION or need(data, "environment", str) != environment:
            return None
        return tuple(_entry(item) for item in need(data, "approvals", list))
    except ValueError:  # no JSON, or Misshapen
        return None


def _entry(item: Any) -> Approval:
    verdict = need(item, "verdict", str)
    if verdict not in {"approve", "reject"}:
        raise ValueError(verdict)
    return Approval(
        verdict=cast(Any, verdict),
        actor=need(item, "actor", str),
        sha=sha(item, "sha"),
        since=moment(item, "since"),
        comment=need(item, "comment", str),
    )


def tag(environment: str, entries: Sequence[Approval], actor: str) -> dict[str, Any]:
    """Return the tag object that lists entries. Its tagger is fixed: the same entries make the same object."""
    newest = max(entries, key=lambda one: one.since)
    return {
        "tag": f"slipway-approvals-{environment}",
        "message": dump(environment, entries),
        "object": newest.sha,
        "type": "commit",
        "tagger": {
            "name": actor,
            "email": f"{actor}@users.noreply.github.com",
            "date": newest.since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }
