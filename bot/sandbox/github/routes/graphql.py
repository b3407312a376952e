"""The one address of the GraphQL API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.sandbox.github.context import Context
from bot.sandbox.github.graphql import execute
from bot.sandbox.wire import Response, answer

if TYPE_CHECKING:
    from bot.sandbox.github.server import GitHub


def register(github: GitHub) -> None:
    """Declare the operation; what a query needs is settled field by field."""
    github.operation("POST", "/graphql", post)


def post(ctx: Context) -> Response:
    """Run a query or mutation."""
    return answer(execute(ctx))
