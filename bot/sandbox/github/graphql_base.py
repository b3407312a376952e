"""What every part of the GraphQL API needs: refusals, permissions, pages and accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from bot.sandbox.github import shapes

if TYPE_CHECKING:
    from bot.sandbox.github.server import GitHub

T = TypeVar("T")
Node = dict[str, Any]


class QueryError(Exception):
    """An error of the API with GitHub's ``type``: NOT_FOUND, FORBIDDEN, UNPROCESSABLE and so on."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def need(info: Any, *permissions: str) -> None:
    """Refuse a token that lacks every one of some ``permission:level``. Raises QueryError."""
    pairs = [permission.partition(":") for permission in permissions]
    if not any(info.context.viewer.may(name, level) for name, _, level in pairs):
        raise QueryError("FORBIDDEN", "Resource not accessible by integration")


def connection(items: Iterable[T], shape: Callable[[T], Node | None], arguments: Mapping[str, Any], name: str) -> Node:
    """Return one page of a list. Raises QueryError unless ``first`` or ``last`` is given, 100 at most."""
    everything = list(items)
    first, last = arguments.get("first"), arguments.get("last")
    if first is None and last is None:
        text = f"You must provide a `first` or `last` value to properly paginate the `{name}` connection."
        raise QueryError("MISSING_PAGINATION_BOUNDARIES", text)
    for word, size in (("first", first), ("last", last)):
        if size is not None and not 0 <= size <= 100:
            text = f"Requesting {size} records on the `{name}` connection exceeds the `{word}` limit of 100 records."
            raise QueryError("EXCESSIVE_PAGINATION", text)
    start = int(arguments["after"]) + 1 if arguments.get("after") else 0
    end = int(arguments["before"]) if arguments.get("before") else len(everything)
    if first is not None:
        end = min(end, start + first)
    if last is not None:
        start = max(start, end - last)
    return {
        "nodes": [shape(item) for item in everything[start:end]],
        "totalCount": len(everything),
        "pageInfo": {
            "startCursor": str(start) if start < end else None,
            "endCursor": str(end - 1) if start < end else None,
            "hasNextPage": end < len(everything),
            "hasPreviousPage": start > 0,
        },
    }


def actor(github: GitHub, login: str) -> Node:
    """Return an account. A bot's login has no ``[bot]`` here, unlike in the REST API."""
    user = github.user(login)
    return {
        "__typename": user.type,
        "id": shapes.user(github, login)["node_id"],
        "databaseId": user.id,
        "login": user.login.removesuffix("[bot]"),
        "url": shapes.html_user(github, user),
    }
