"""GitHub's JSON to the values of :mod:`bot.core.facts`. Pure.

What a gate judges (shas, states, names) has to be there and of the right kind, else :class:`Misshapen`. What is only
shown (titles, authors, pages) may be null: GitHub sends null for a deleted user or fork.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, cast, get_args

from bot.core.facts import (
    CheckState,
    CommentRef,
    Commit,
    Deployment,
    DeploymentStatus,
    Opinion,
    OwnComment,
    Permission,
    PullRequest,
    Remark,
    Reviews,
)

_SHA = re.compile(r"[0-9a-f]{40}")
MOST_FILES = 300
_GHOST = "ghost"  # the account that GitHub shows for deleted ones

# The words of the check-run and status schemas of GitHub's REST description. A word that is not here is a failure.
_CHECK_PENDING = frozenset({"queued", "in_progress", "waiting", "requested", "pending"})
_CHECK_SUCCESS = frozenset({"success", "neutral", "skipped"})
_CONTEXT_STATES: Mapping[str, Literal["success", "pending"]] = {
    "success": "success",
    "pending": "pending",
    "expected": "pending",
}


class Misshapen(ValueError):  # noqa: N818  it becomes an UpstreamError where the request is known
    """An answer lacks what GitHub documents. The message names the field."""


def need(data: Any, key: str, kind: type | tuple[type, ...]) -> Any:
    """Return a field of an object, which has to be there and of this kind. Raises Misshapen."""
    value = data.get(key) if isinstance(data, dict) else None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise Misshapen(f"no usable `{key}`")
    return value


def listed(data: Any) -> list[dict[str, Any]]:
    """Return an answer that has to be a list of objects. Raises Misshapen."""
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise Misshapen("no list of objects")
    return data


def sha(data: Any, key: str) -> str:
    """Return a field that has to be a full sha. Raises Misshapen."""
    value = str(need(data, key, str)).lower()
    if not _SHA.fullmatch(value):
        raise Misshapen(f"`{key}` is no sha of 40 hex digits")
    return value


def moment(data: Any, key: str) -> datetime:
    """Return a field that has to be a time, in UTC. Raises Misshapen."""
    try:
        value = datetime.fromisoformat(str(need(data, key, str)))
    except ValueError as error:
        raise Misshapen(f"`{key}` is no time") from error
    return value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


def text(data: Any, *keys: str) -> str:
    """Follow keys to a text that is only shown; ``""`` where anything on the way is null or absent."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, str) else ""


def remark(node: Any) -> Remark:
    """Map a comment as GraphQL shows it. A deleted account has no author. Raises Misshapen."""
    pull = node.get("pullRequest")
    return Remark(
        author=text(node, "author", "login"),
        body=need(node, "body", str),
        created_at=moment(node, "createdAt"),
        edited=node.get("lastEditedAt") is not None,
        pull_request=need(pull, "number", int) if pull else 0,
    )


def permission(data: Any) -> Permission:
    """Map a collaborator-permission answer.

    ``role_name`` names triage and maintain, which ``permission`` folds into read and write; a custom organization role
    has a name of its own there, so its base ``permission`` counts. Unknown words grant nothing.
    """
    roles = get_args(Permission)
    for key in ("role_name", "permission"):
        if (word := text(data, key)) in roles:
            return cast(Permission, word)
    need(data, "permission", str)
    return "none"


def reviews(number: int, pull: Any) -> Reviews:
    """Map a pull request of GraphQL with its ``latestOpinionatedReviews``."""
    found = need(pull, "latestOpinionatedReviews", dict)
    return Reviews(
        pull_request=number,
        author=text(pull, "author", "login") or _GHOST,
        head_sha=sha(pull, "headRefOid"),
        opinions=tuple(
            Opinion(
                author=text(node, "author", "login") or _GHOST,
                state=need(node, "state", str),
                sha=text(node, "commit", "oid"),
            )
            for node in listed(need(found, "nodes", list))
        ),
        more=need(need(found, "pageInfo", dict), "hasNextPage", bool),
    )


def file_text(data: Any) -> str:
    """Decode a contents answer. Raises Misshapen for folders, submodules, big files and what is no UTF-8."""
    if isinstance(data, list):
        raise Misshapen("it is a folder")
    if need(data, "type", str) != "file":
        raise Misshapen("it is no file")
    # Over 1 MB GitHub leaves the content out and says encoding "none".
    if need(data, "encoding", str) != "base64":
        raise Misshapen("the file is too big")
    try:
        return base64.b64decode(need(data, "content", str)).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Misshapen("the file is no UTF-8 text") from error


def pull_request(data: Any) -> PullRequest:
    """Map a pull request."""
    head, base = need(data, "head", dict), need(data, "base", dict)
    state = need(data, "state", str)
    if state not in {"open", "closed"}:
        raise Misshapen("`state` is neither open nor closed")
    mergeable = data.get("mergeable")
    merged = need(data, "merged", bool)
    return PullRequest(
        number=need(data, "number", int),
        title=text(data, "title"),
        author=text(data, "user", "login") or _GHOST,
        state=state,
        merged=merged,
        draft=data.get("draft") is True,
        mergeable=mergeable if isinstance(mergeable, bool) else None,
        head_sha=sha(head, "sha"),
        head_ref=need(head, "ref", str),
        head_repository=text(head, "repo", "full_name"),
        base_ref=need(base, "ref", str),
        base_repository=need(need(base, "repo", dict), "full_name", str),
        # While a pull request is open, this field names the test merge.
        merge_sha=text(data, "merge_commit_sha") if merged else "",
        url=text(data, "html_url"),
    )


def commit(data: Any) -> Commit:
    """Map a commit. The author is the GitHub account, or the name in the commit where there is none."""
    message = text(data, "commit", "message")
    return Commit(
        sha=sha(data, "sha"),
        subject=message.splitlines()[0] if message else "",
        author=text(data, "author", "login") or text(data, "commit", "author", "name"),
        url=text(data, "html_url"),
    )


def changed_files(comparison: Any) -> tuple[str, ...]:
    """Return the paths of a comparison that are there afterwards. They come with its first page only."""
    files = comparison.get("files")
    if not isinstance(files, list):
        return ()
    return tuple(
        text(file, "filename") for file in files if text(file, "status") != "removed" and text(file, "filename")
    )


def touched_files(comparison: Any) -> tuple[str, ...] | None:
    """Return every path of a comparison, also removed ones and former names; None where there may be more of them.

    "The response ... includes up to 300 files" (docs.github.com, REST API, "Compare two commits").
    """
    files = comparison.get("files")
    if not isinstance(files, list) or len(files) >= MOST_FILES:
        return None
    names = (text(file, name) for file in files for name in ("filename", "previous_filename"))
    return tuple(dict.fromkeys(filter(None, names)))


def check_states(runs: Iterable[Any], contexts: Iterable[Any]) -> tuple[CheckState, ...]:
    """Fold check runs (the newest of each app and name) and status contexts (the newest of each), sorted by name.

    A rerun is a new check run with a higher id; a queued one has no start time yet, so the id decides.
    """
    newest: dict[tuple[int, str], Any] = {}
    for run in runs:
        app = run.get("app")
        key = (need(app, "id", int) if app else 0, need(run, "name", str))
        if key not in newest or need(run, "id", int) > newest[key]["id"]:
            need(run, "id", int)
            newest[key] = run
    latest: dict[str, Any] = {}
    for context in contexts:
        name = need(context, "context", str)
        if name not in latest or moment(context, "updated_at") > moment(latest[name], "updated_at"):
            latest[name] = context
    states = [*map(_check_run, newest.values()), *map(_context, latest.values())]
    return tuple(sorted(states, key=lambda check: (check.name, check.state, check.url)))


def _check_run(run: Any) -> CheckState:
    status = need(run, "status", str)
    word = text(run, "conclusion") if status == "completed" else status
    state: Literal["success", "pending", "failure"] = "failure"
    if status in _CHECK_PENDING:
        state = "pending"
    elif status == "completed" and word in _CHECK_SUCCESS:
        state = "success"
    return CheckState(name=run["name"], state=state, conclusion=word, url=text(run, "html_url"))


def _context(context: Any) -> CheckState:
    word = need(context, "state", str)
    return CheckState(
        name=context["context"],
        state=_CONTEXT_STATES.get(word, "failure"),
        conclusion=word,
        url=text(context, "target_url"),
    )


def required_checks(rules: Any, branch: Any) -> tuple[str, ...]:
    """Collect the names that a branch requires, from its active rules and from its classic protection, sorted."""
    required: set[str] = set()
    for rule in listed(rules):
        if need(rule, "type", str) == "required_status_checks":
            checks = listed(need(rule, "parameters", dict).get("required_status_checks"))
            required.update(need(check, "context", str) for check in checks)
    if need(branch, "protected", bool):
        # A branch that only rules protect is `protected` too and has no classic protection.
        classic = (branch.get("protection") or {}).get("required_status_checks") or {}
        required.update(name for name in classic.get("contexts") or () if isinstance(name, str))
    return tuple(sorted(required))


def run_reviewers(data: Any, environment: str) -> tuple[str, ...]:
    """Read who has approved a run in an environment (docs.github.com: review history of a workflow run)."""
    found = []
    for item in listed(data):
        names = [need(one, "name", str) for one in listed(item.get("environments"))]
        if need(item, "state", str) == "approved" and environment.lower() in map(str.lower, names):
            found.append(text(item, "user", "login"))
    return tuple(filter(None, found))


def payload(value: Any) -> dict[str, Any]:
    """Read a deployment's payload: an object, or its JSON, or (GraphQL) the JSON of its JSON. ``{}`` for all else."""
    for _ in range(3):
        if not isinstance(value, str):
            break
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def deployment(data: Any, statuses: Iterable[Any] = ()) -> Deployment:
    """Map a deployment of the REST API and its statuses."""
    return Deployment(
        id=need(data, "id", int),
        sha=sha(data, "sha"),
        ref=text(data, "ref"),
        environment=need(data, "environment", str),
        payload=payload(data.get("payload")),
        created_at=moment(data, "created_at"),
        creator=text(data, "creator", "login"),
        statuses=_newest_first(
            DeploymentStatus(
                state=need(status, "state", str),
                description=text(status, "description"),
                environment_url=text(status, "environment_url"),
                created_at=moment(status, "created_at"),
            )
            for status in statuses
        ),
    )


def deployment_node(node: Any) -> Deployment:
    """Map a deployment of the GraphQL API.

    ``latestStatus`` comes first whatever the order of the connection, which GitHub does not document.
    """
    latest = node.get("latestStatus")
    nodes = need(node.get("statuses") or {"nodes": []}, "nodes", list)
    others = [status for status in nodes if status and text(status, "id") != text(latest, "id")]
    statuses = _newest_first(map(_status_node, others))
    return Deployment(
        id=need(node, "databaseId", int),
        sha=sha(node, "commitOid"),
        ref=text(node, "ref", "name") or sha(node, "commitOid"),
        environment=need(node, "environment", str),
        payload=payload(node.get("payload")),
        created_at=moment(node, "createdAt"),
        creator=text(node, "creator", "login"),
        statuses=(_status_node(latest), *statuses) if latest else statuses,
        subject=text(node, "commit", "messageHeadline"),
    )


def _status_node(status: Any) -> DeploymentStatus:
    return DeploymentStatus(
        state=need(status, "state", str).lower(),  # GraphQL's enum is REST's word in capitals
        description=text(status, "description"),
        environment_url=text(status, "environmentUrl"),
        created_at=moment(status, "createdAt"),
    )


def _newest_first(statuses: Iterable[DeploymentStatus]) -> tuple[DeploymentStatus, ...]:
    oldest = datetime.min.replace(tzinfo=UTC)
    return tuple(sorted(statuses, key=lambda status: status.created_at or oldest, reverse=True))


def own_comment(data: Any) -> OwnComment:
    """Map a comment of GraphQL. Its ``databaseId`` is a 32-bit Int, so the full one is read, which is text."""
    return OwnComment(
        id=_number(data, "fullDatabaseId"),
        node=need(data, "id", str),
        minimized=need(data, "isMinimized", bool),
        body=text(data, "body"),
    )


def _number(data: Any, key: str) -> int:
    """Return a ``BigInt``, which GraphQL writes as text. Raises Misshapen."""
    digits = need(data, key, str)
    if not (digits.isascii() and digits.isdecimal()):
        raise Misshapen(f"no usable `{key}`")
    return int(digits)


def comment(data: Any) -> CommentRef:
    """Map a comment."""
    return CommentRef(
        id=need(data, "id", int),
        url=text(data, "html_url"),
        author=text(data, "user", "login"),
        body=text(data, "body"),
    )
