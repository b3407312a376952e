"""The GraphQL API: execution, the entry points and the mutations.

The executor is graphql-core, imported at the first call.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bot.sandbox.github import graphql_nodes as nodes
from bot.sandbox.github.git import GitError
from bot.sandbox.github.gitobjects import SHA, ZEROS, RefUpdate, valid_ref
from bot.sandbox.github.graphql_base import Node, QueryError, actor, need
from bot.sandbox.github.graphql_schema import SCHEMA
from bot.sandbox.github.model import iso
from bot.sandbox.github.shapes import read_node_id

if TYPE_CHECKING:
    from graphql import DocumentNode, GraphQLError, GraphQLSchema

    from bot.sandbox.github.context import Context
    from bot.sandbox.github.model import Comment
    from bot.sandbox.github.repository import Repository
    from bot.sandbox.github.server import GitHub


@lru_cache(maxsize=1)
def _schema() -> GraphQLSchema:
    from graphql import build_schema  # noqa: PLC0415  # only those who call GraphQL pay for it

    return build_schema(SCHEMA)


@lru_cache(maxsize=64)
def _document(text: str) -> tuple[DocumentNode, list[GraphQLError]]:
    """Parse and check a query; a bot sends the same few again and again."""
    from graphql import DocumentNode, GraphQLSyntaxError, parse, validate  # noqa: PLC0415  # as above

    try:
        document = parse(text)
    except GraphQLSyntaxError as error:
        return DocumentNode(definitions=()), [error]
    return document, validate(_schema(), document)


def warm_up() -> None:
    """Import the executor and build the schema now, for those who measure what comes after."""
    _schema()


def execute(ctx: Context) -> dict[str, Any]:
    """Run the query of a call and return the answer's body; errors are in it, the status is 200."""
    from graphql import execute_sync  # noqa: PLC0415  # as above

    github = ctx.github
    root = {
        "node": lambda _, **which: _node(github, which["id"]),
        "rateLimit": lambda _, **__: _rate_limit(ctx),
        "repository": lambda _, **which: _repository(ctx, which),
        "viewer": lambda info: _viewer(info, github),
        "minimizeComment": lambda info, **given: _minimize(info, github, given["input"]),
        "unminimizeComment": lambda info, **given: _unminimize(info, github, given["input"]),
        "updateRefs": lambda info, **given: _update_refs(info, github, given["input"]),
    }
    document, errors = _document(ctx.field("query", str))
    if errors:
        return {"errors": [_error(error) for error in errors]}
    variables, name = ctx.optional("variables", dict), ctx.optional("operationName", str)
    result = execute_sync(_schema(), document, root, ctx, variables, name)
    body: dict[str, Any] = {}
    if result.data is not None or not result.errors:
        body["data"] = result.data
    if result.errors:
        body["errors"] = [_error(error) for error in result.errors]
    return body


def _error(error: GraphQLError) -> dict[str, Any]:
    shape: dict[str, Any] = {**error.formatted}
    match error.original_error:
        case QueryError(kind=kind):
            return {"type": kind, **shape}
        case None:
            return shape
        case fault:
            raise fault  # a defect of this server must not pass for an answer


def _not_found(node: str) -> QueryError:
    return QueryError("NOT_FOUND", f"Could not resolve to a node with the global id of '{node}'.")


def _viewer(info: Any, github: GitHub) -> Node:
    return actor(github, info.context.viewer.login)


def _rate_limit(ctx: Context) -> Node:
    limit, used = ctx.github.rate_limit, ctx.viewer.used
    left = {"limit": limit, "used": used, "remaining": max(0, limit - used)}
    return {"cost": 1, "nodeCount": 0, "resetAt": iso(ctx.github.rate_reset()), **left}


def _repository(ctx: Context, which: Mapping[str, Any]) -> Node:
    full_name = f"{which['owner']}/{which['name']}"
    found = ctx.github.repositories.get(full_name.lower())
    if found is None or not ctx.viewer.sees(found.full_name, private=found.private):
        raise QueryError("NOT_FOUND", f"Could not resolve to a Repository with the name '{full_name}'.")
    return nodes.repository(found)


def _parse(node: str) -> tuple[str, int]:
    try:
        return read_node_id(node)
    except ValueError:
        raise _not_found(node) from None


def _comment(github: GitHub, node: str) -> tuple[Repository, Comment]:
    prefix, number = _parse(node)
    for repo in github.repositories.values():
        if prefix == "IC" and number in repo.state.comments:
            return repo, repo.state.comments[number]
    raise _not_found(node)


def _node(github: GitHub, node: str) -> Node:
    prefix, number = _parse(node)
    for repo in github.repositories.values():
        if (found := _held(repo, prefix, number)) is not None:
            return found
    raise _not_found(node)


def _held(repo: Repository, prefix: str, number: int) -> Node | None:
    match prefix:
        case "R" if repo.id == number:
            return nodes.repository(repo)
        case "IC" if number in repo.state.comments:
            return nodes.comment(repo, repo.state.comments[number])
        case "DE" if number in repo.state.deployments:
            return nodes.deployment(repo, repo.state.deployments[number])
        case "PR":
            pulls = (one for one in repo.state.issues.values() if one.pull and one.pull.id == number)
            issue = next(pulls, None)
            return nodes.pull_request(repo, issue) if issue else None
        case _:
            return None


# -- mutations --------------------------------------------------------------------------------------------------
def _echo(given: Mapping[str, Any]) -> Node:
    return {"clientMutationId": given.get("clientMutationId")}


def _minimize(info: Any, github: GitHub, given: Mapping[str, Any]) -> Node:
    """Hide a comment. The stored reason is the classifier in lower case, with a hyphen for OFF_TOPIC."""
    need(info, "issues:write", "pull_requests:write")
    repo, comment = _comment(github, given["subjectId"])
    comment.minimized = str(given["classifier"]).lower().replace("_", "-")
    return {**_echo(given), "minimizedComment": nodes.comment(repo, comment)}


def _unminimize(info: Any, github: GitHub, given: Mapping[str, Any]) -> Node:
    need(info, "issues:write", "pull_requests:write")
    repo, comment = _comment(github, given["subjectId"])
    comment.minimized = None
    return {**_echo(given), "unminimizedComment": nodes.comment(repo, comment)}


def _update_refs(info: Any, github: GitHub, given: Mapping[str, Any]) -> Node:
    """Update refs, all or none (the schema's own description of ``updateRefs``).

    ``beforeOid`` must be where the ref is, zeros meaning that it must not exist; ``afterOid`` of zeros deletes.
    """
    need(info, "contents:write")
    node = given["repositoryId"]
    wanted_repository = _parse(node)
    repo = next((one for one in github.repositories.values() if ("R", one.id) == wanted_repository), None)
    if repo is None:
        raise _not_found(node)
    updates = [_update(repo, wanted) for wanted in given["refUpdates"]]
    try:
        repo.move_refs(updates, actor=info.context.viewer.login)
    except GitError as error:
        raise QueryError("UNPROCESSABLE", f"Reference update failed: {error}") from None
    return _echo(given)


def _update(repo: Repository, wanted: Mapping[str, Any]) -> RefUpdate:
    name, before, after = str(wanted["name"]), wanted.get("beforeOid"), str(wanted["afterOid"])
    if not valid_ref(name):
        raise QueryError("UNPROCESSABLE", f"{name} is not a valid ref name.")
    now = repo.git.ref(name) or ZEROS
    if before is not None and before != now:
        raise QueryError("STALE_DATA", f"Expected {name} to point at {before} but it points at {now}.")
    if after != ZEROS:
        if not SHA.fullmatch(after) or repo.git.object(after) is None:
            raise QueryError("UNPROCESSABLE", f"No object found for oid {after}.")
        moves = now not in {ZEROS, after}
        if moves and not wanted.get("force") and not repo.fast_forward(now, after):
            raise QueryError("UNPROCESSABLE", f"Update of {name} is not a fast forward.")
    return RefUpdate(name=name, after=after, before=now)
