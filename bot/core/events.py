"""The events that the bot acts on, read from GitHub's webhook payloads.

Nothing in a payload is trusted for authority but its identity: who wrote the comment is asked about by the permission
API, and a comment's payload carries no sha at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from bot.errors import EventError

_SHA = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True)
class CommentEvent:
    """A comment was created on an issue or a pull request. ``created_at`` is the server's clock, UTC."""

    repository: str
    default_branch: str
    comment_id: int
    comment_url: str
    body: str = field(repr=False)
    author: str
    author_id: int
    author_is_bot: bool
    created_at: datetime
    number: int
    is_pull_request: bool
    node_id: str = ""


@dataclass(frozen=True, kw_only=True)
class PushEvent:
    """The default branch moved to ``sha``. ``actor_is_bot``: an app pushed, a merge queue for example."""

    repository: str
    default_branch: str
    sha: str
    actor: str
    actor_is_bot: bool = False


@dataclass(frozen=True, kw_only=True)
class DispatchEvent:
    """Somebody ran the workflow by hand. ``sha`` is the head of the ref it was run on, when the runner says it."""

    repository: str
    default_branch: str
    ref: str
    actor: str
    sha: str = ""


@dataclass(frozen=True, kw_only=True)
class PullRequestEvent:
    """A pull request from a branch of this repository was closed, or its branch was pushed to (``synchronize``).

    ``head_sha`` is the branch's head. ``actor_is_bot``: an app did it.
    """

    repository: str
    default_branch: str
    action: Literal["closed", "synchronize"]
    number: int
    head_sha: str
    actor: str
    actor_is_bot: bool = False


@dataclass(frozen=True, kw_only=True)
class ScheduleEvent:
    """A time came that the workflow on the default branch names. Nobody asked."""

    repository: str
    default_branch: str
    actor: str = ""


Event: TypeAlias = CommentEvent | PushEvent | DispatchEvent | PullRequestEvent | ScheduleEvent


def parse_event(name: str, payload: Any, *, sha: str = "", repository: str = "", ref: str = "") -> Event | None:
    """Read the payload of event ``name``; None for an event that is no concern of ours.

    ``sha``, ``repository`` and ``ref`` are the runner's ``GITHUB_SHA``, ``GITHUB_REPOSITORY`` and ``GITHUB_REF``.
    Raises EventError naming the field that is not as GitHub documents it.
    """
    if not isinstance(payload, dict):
        raise EventError(f"The payload of {name} is not a JSON object.")
    match name:
        case "issue_comment":
            return _comment(payload) if payload.get("action") == "created" else None
        case "push":
            return _push(payload)
        case "workflow_dispatch":
            return DispatchEvent(
                repository=_get(payload, str, "repository", "full_name"),
                default_branch=_get(payload, str, "repository", "default_branch"),
                ref=_get(payload, str, "ref"),
                actor=_get(payload, str, "sender", "login"),
                sha=sha,
            )
        case "pull_request" | "pull_request_target":
            return _pull_request(payload)
        case "schedule":
            # The runner knows both; of the payload GitHub documents nothing ("Not applicable"). A schedule runs on the
            # default branch alone (docs, "Events that trigger workflows", schedule: GITHUB_REF).
            return ScheduleEvent(repository=repository, default_branch=ref.removeprefix("refs/heads/"))
        case _:
            return None


def _comment(payload: dict[str, Any]) -> CommentEvent:
    created = _get(payload, str, "comment", "created_at")
    try:
        created_at = datetime.fromisoformat(created)
    except ValueError:
        raise EventError(f"The event's comment.created_at is not a time: {created!r}.") from None
    if created_at.tzinfo is None:  # it will be compared with times that have a zone
        raise EventError(f"The event's comment.created_at has no time zone: {created!r}.")
    return CommentEvent(
        repository=_get(payload, str, "repository", "full_name"),
        default_branch=_get(payload, str, "repository", "default_branch"),
        comment_id=_get(payload, int, "comment", "id"),
        comment_url=_get(payload, str, "comment", "html_url"),
        body=_get(payload, str, "comment", "body"),
        author=_get(payload, str, "comment", "user", "login"),
        author_id=_get(payload, int, "comment", "user", "id"),
        author_is_bot=payload["comment"]["user"].get("type") == "Bot",
        created_at=created_at,
        number=_get(payload, int, "issue", "number"),
        is_pull_request=payload["issue"].get("pull_request") is not None,
        node_id=str(payload["comment"].get("node_id") or ""),
    )


def _push(payload: dict[str, Any]) -> PushEvent | None:
    default_branch = _get(payload, str, "repository", "default_branch")
    if _get(payload, str, "ref") != f"refs/heads/{default_branch}" or payload.get("deleted"):
        return None
    sha = _get(payload, str, "after")
    if not _SHA.fullmatch(sha):
        raise EventError(f"The event's after is not a sha: {sha!r}.")
    return PushEvent(
        repository=_get(payload, str, "repository", "full_name"),
        default_branch=default_branch,
        sha=sha,
        actor=_get(payload, str, "sender", "login"),
        actor_is_bot=payload["sender"].get("type") == "Bot",
    )


def _pull_request(payload: dict[str, Any]) -> PullRequestEvent | None:
    action = payload.get("action")
    if action not in ("closed", "synchronize"):  # a tuple: what is no text may be no member of a set
        return None
    source = _get(payload, dict, "pull_request", "head").get("repo")
    # A deleted fork has no repository (REST: `head.repo` is nullable).
    if not isinstance(source, dict) or source.get("id") != _get(payload, int, "repository", "id"):
        return None
    sha = _get(payload, str, "pull_request", "head", "sha")
    if not _SHA.fullmatch(sha):
        raise EventError(f"The event's pull_request.head.sha is not a sha: {sha!r}.")
    return PullRequestEvent(
        repository=_get(payload, str, "repository", "full_name"),
        default_branch=_get(payload, str, "repository", "default_branch"),
        action="closed" if action == "closed" else "synchronize",
        number=_get(payload, int, "pull_request", "number"),
        head_sha=sha,
        actor=_get(payload, str, "sender", "login"),
        actor_is_bot=payload["sender"].get("type") == "Bot",
    )


def _get(payload: dict[str, Any], kind: type, *path: str) -> Any:
    value: Any = payload
    for key in path:
        if not isinstance(value, dict) or key not in value:
            raise EventError(f"The event has no {'.'.join(path)}.")
        value = value[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise EventError(f"The event's {'.'.join(path)} is not a {kind.__name__}.")
    return value
