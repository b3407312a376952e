"""Questions that only the clouds can answer: in the form with two jobs, a job of their own carries them out.

They change nothing, so they take no lock and wait for nobody.
"""

from __future__ import annotations

from bot.app.context import Context, Request
from bot.core.config import Config
from bot.core.outcome import Decision, Outcome, Reason
from bot.core.resolve import Environment, resolve


def elsewhere(context: Context) -> bool:
    """Whether another job, with rights to the cloud, answers what is let through here."""
    return context.settings.phase == "command"


def go_on(request: Request) -> Outcome:
    """Return that the job which asks may go on."""
    name = request.command.environment
    return Outcome(
        decision=Decision.ASK,
        reason=Reason.READY,
        environment=name,
        environments=(name,) if name else (),
    )


def environment_of(context: Context, config: Config, name: str) -> Environment:
    """Return an environment as it is for no commit in particular. Raises ConfigError."""
    return resolve(
        config,
        name,
        repository=context.settings.repository,
        sha="0" * 40,
        variables=context.settings.variables,
        version="unknown",
    )


def answered(context: Context, request: Request, reason: Reason, *, well: bool = True) -> Outcome:
    """Return that a question was answered. A run that nobody reads a comment of turns red where all is not well."""
    return context.ended(
        request,
        Decision.ANSWERED,
        reason,
        exit_code=0 if well else context.refused_exit,
        sign="rocket" if well else "confused",
    )
