"""May somebody do this? Asked before any answer; the configuration on the default branch says who."""

from __future__ import annotations

from bot.app.context import Context, Request
from bot.core.commands import EVERY, REGISTRY
from bot.core.config import Config
from bot.core.facts import Permission
from bot.core.outcome import Refusal
from bot.core.policy import allowed, forbidden, teams_of
from bot.core.resolve import roles


def by_itself(request: Request) -> bool:
    """Whether this only takes away what is over: nobody has to be asked for that, and mostly nobody did."""
    return request.trigger == "schedule" or request.command.action == "close"


def authorise(context: Context, config: Config, request: Request, permission: Permission) -> Refusal | None:
    """Refuse whoever may not; with `all` he has to be allowed in every environment."""
    if by_itself(request):
        return None
    named, verb = request.command.environment, REGISTRY[request.command.verb]
    for name in list(config.environments) if named == EVERY and verb.every else [named]:
        rules = roles(config, name or None)
        wanted = rules[verb.name]
        if verb.starter:  # whose it is, is not known yet
            wanted = (*wanted, *rules["deploy"])
        if not may(context, request.actor, permission, wanted):
            return forbidden(request.actor, request.command, rules[verb.name])
    return None


def may(context: Context, actor: str, permission: Permission, rules: tuple[str, ...]) -> bool:
    """Whether somebody is allowed by rules. Teams are asked about only where nothing else allows him."""
    if permission == "none":
        return False
    if allowed(actor, permission, rules):
        return True
    teams = [team for team in teams_of(rules) if context.github.team_member(*team, actor)]
    return bool(teams) and allowed(actor, permission, rules, frozenset(f"@{org}/{team}" for org, team in teams))
