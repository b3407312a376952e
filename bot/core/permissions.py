"""Who may: rules of the configuration, a role on the repository, a team, a name. It comes before any answer."""

from __future__ import annotations

from collections.abc import Iterable

from bot.core.commands import Command
from bot.core.config import ROLES
from bot.core.facts import Permission
from bot.core.outcome import Reason, Refusal


def allowed(login: str, permission: Permission, rules: Iterable[str], teams: frozenset[str] = frozenset()) -> bool:
    """Whether a user may: a repository role at least as high as one named, ``@login``, or a team of ``teams``.

    ``teams`` holds those of the rules' ``@org/team`` that the user was found to be in. An outsider (``none``) may
    never, however he is named: the repository's own permissions come first.
    """
    if permission == "none":
        return False
    for rule in rules:
        if rule in ROLES:
            if ROLES.index(permission) >= ROLES.index(rule):
                return True
        elif rule.lower() == f"@{login}".lower() or rule in teams:
            return True
    return False


def teams_of(rules: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the ``(organization, team)`` pairs that rules name."""
    named = [rule[1:].split("/", 1) for rule in rules if rule.startswith("@") and "/" in rule]
    return tuple((organization, team) for organization, team in named)


def forbidden(login: str, command: Command, rules: tuple[str, ...], *, what: str = "") -> Refusal:
    """Return the refusal of a user who may not. ``what``: the part of the command that he may not use."""
    where = f" {command.environment}" if command.environment else ""
    who = " or ".join(f"`{rule.removeprefix('@')}`" for rule in rules)
    return Refusal(
        reason=Reason.FORBIDDEN,
        gate="authorization",
        sentence=f"{what or f'`{command.verb}{where}`'} needs {who}, and {login} has not got it.",
        next="Ask somebody who may, or have it granted in `.github/slipway.yml` on the default branch.",
    )
