"""The operations of the API, by what they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.sandbox.github.routes import (
    accounts,
    actions,
    checks,
    code,
    comments,
    deployments,
    gitdata,
    history,
    protection,
    pulls,
)
from bot.sandbox.github.routes import graphql as graphql_route

if TYPE_CHECKING:
    from bot.sandbox.github.server import GitHub

_PARTS = (gitdata, history, protection, code, pulls, comments, checks, deployments, actions, accounts, graphql_route)


def register(github: GitHub) -> None:
    """Declare every operation."""
    for part in _PARTS:
        part.register(github)
