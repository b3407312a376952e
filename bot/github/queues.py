"""The line in front of an environment as it is written down: one ref, at a tag object that lists who waits.

Waiting itself is GitHub's business (the workflow's ``concurrency``); this says who does, so that people can be told
their place, and taken out of the line. Read with the other marks and moved by compare-and-swap, as approvals are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, cast

from bot.core.facts import QueueEntry
from bot.github.mapping import moment, need, sha, text

RECORD_VERSION = 1
DROPPED = frozenset({"", "cancelled", "replaced"})


def ref_name(environment: str) -> str:
    """Full name of an environment's ref."""
    return f"refs/slipway/queues/{environment}"


def dump(environment: str, entries: Sequence[QueueEntry]) -> str:
    """Write entries as one line of JSON with sorted keys, so that the same make the same tag object."""
    listed = [asdict(one) | {"since": one.since.astimezone(UTC)} for one in entries]
    values = {"version": RECORD_VERSION, "environment": environment, "queue": listed}
    return json.dumps(values, sort_keys=True, default=datetime.isoformat)


def load(environment: str, message: str) -> tuple[QueueEntry, ...] | None:
    """Read entries, None if they are none of ours: of another version or environment, or damaged."""
    try:
        data = json.loads(message)
        if need(data, "version", int) != RECORD_VERSION or need(data, "environment", str) != environment:
            return None
        return tuple(_entry(item) for item in need(data, "queue", list))
    except ValueError:  # no JSON, or Misshapen
        return None


def _entry(item: Any) -> QueueEntry:
    dropped = text(item, "dropped")
    if dropped not in DROPPED:
        raise ValueError(dropped)
    return QueueEntry(
        id=need(item, "id", str),
        verb=need(item, "verb", str),
        run_id=need(item, "run_id", int),
        run_attempt=need(item, "run_attempt", int),
        actor=need(item, "actor", str),
        thread=need(item, "thread", int),
        sha=sha(item, "sha"),
        since=moment(item, "since"),
        comment_id=need(item, "comment_id", int),
        ahead=need(item, "ahead", int),
        dropped=cast(Any, dropped),
        dropped_by=text(item, "dropped_by"),
        services=tuple(map(str, item.get("services") or ())),
    )


def tag(environment: str, entries: Sequence[QueueEntry], actor: str) -> dict[str, Any]:
    """Return the tag object that lists entries. Its tagger is fixed: the same entries make the same object."""
    newest = max(entries, key=lambda one: one.since)
    return {
        "tag": f"slipway-queue-{environment}",
        "message": dump(environment, entries),
        "object": newest.sha,
        "type": "commit",
        "tagger": {
            "name": actor,
            "email": f"{actor}@users.noreply.github.com",
            "date": newest.since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }
