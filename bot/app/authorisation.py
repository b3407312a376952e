"""May somebody do this? Asked before any answer; the configuration on the default branch says who."""

from __future__ import annotations

from bot.app.context import Context, Request
from bot.core.config import Config
from bot.core.facts import Permission
from bot.core.outcome import Refusal
from bot.core.overrides import FLAG
from bot.core.permissions import allowed, forbidden, teams_of
from bot.core.registry import EVERY, REGISTRY
from bot.core.resolve import roles


def by_itself(request: Request) -> bool:
    """Whether this only takes away what is over: nobody has to be asked for that, and mostly nobody did."""
    return request.trigger == "schedule" or request.command.action == "close"


def authorise(context: Context, config: Config, request: Request, permission: Permission) -> Refusal | None:
    """Ask about whoever asks, and about whoever started the run again: the event still names the former alone."""
    if by_itself(request):
        return None
    refusals = (
        _authorised(context, config, request, login, permission if login == request.actor else _role(context, login))
        for login in people(context, request)
    )
    return next((refusal for refusal in refusals if refusal is not None), None)


def people(context: Context, request: Request) -> tuple[str, ...]:
    """Return whoever asks, and whoever started the run again."""
    again = context.settings.started_again_by
    return (request.actor, again) if again and again.lower() != request.actor.lower() else (request.actor,)


def all_may(context: Context, request: Request, rules: tuple[str, ...]) -> bool:
    """Whether all who have asked for this are allowed by rules."""
    return all(may(context, login, _role(context, login), rules) for login in people(context, request))


def _role(context: Context, login: str) -> Permission:
    return context.permission(login).result()


def _authorised(
    context: Context, config: Config, request: Request, login: str, permission: Permission
) -> Refusal | None:
    """Refuse whoever may not; with `all` he has to be allowed in every environment."""
    named, verb = request.command.environment, REGISTRY[request.command.verb]
    for name in list(config.environments) if named == EVERY and verb.every else [named]:
        rules = roles(config, name or None)
        wanted = rules[verb.name]
        if verb.starter:  # whose it is, is not known yet
            wanted = (*wanted, *rules["deploy"])
        if not may(context, login, permission, wanted):
            return forbidden(login, request.command, rules[verb.name])
        if FLAG in request.command.flags and not may(context, login, permission, rules[FLAG]):
            return forbidden(login, request.command, rules[FLAG], what=f"`--{FLAG}`")
    return None


def may(context: Context, actor: str, permission: Permission, rules: tuple[str, ...]) -> bool:
    """Whether somebody is allowed by rules. Teams are asked about only where nothing else allows him."""
    if permission == "none":
        return False
    if allowed(actor, permission, rules):
        return True
    teams = [team for team in teams_of(rules) if context.github.team_member(*team, actor)]
    return bool(teams) and allowed(actor, permission, rules, frozenset(f"@{org}/{team}" for org, team in teams))
