"""Would a release be let through now? Every gate is asked for ``/status``, as if the release were asked for."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime

from bot.app.authorisation import authorise
from bot.app.context import Context, Request
from bot.app.facts import gather, resolve_sha
from bot.core.commands import Command
from bot.core.config import Config
from bot.core.facts import Comparison, Held, Permission
from bot.core.outcome import Readiness, Reason, Refusal
from bot.core.policy import judge
from bot.core.record import entries
from bot.errors import SlipwayError


def readiness(
    context: Context,
    config: Config,
    request: Request,
    name: str,
    held: Future[Mapping[str, Held]],
    permission: Permission,
) -> Readiness:
    """Ask every gate of an environment about what a pull request's thread could release there. Never raises.

    That is its head, or where images are promoted what the environment before serves.
    """
    asked = _as_if(context, config, request, name)
    found = Readiness(environment=name, command=asked.command.text)
    try:
        denied = authorise(context, config, asked, permission)
        pull = context.pull_request(asked.number).result() if asked.number else None
        sha = resolve_sha(context, config, asked, pull)
        if isinstance(sha, Refusal):
            return replace(found, refusals=(*filter(None, [denied]), sha))
        known = context.gatherer.ask(_comparison, context, name, sha)
        facts, _ = gather(context, config, asked, pull, sha, held=held, looking=True)
        return replace(
            found,
            sha=sha,
            refusals=(*filter(None, [denied]), *judge(facts)),
            approved=facts.voices.approved if facts.voices else (),
            wanted=facts.environment.gates.approvals,
            comparison=known.result(),
        )
    except SlipwayError as error:
        return replace(found, refusals=(_unknown(error),))


def _as_if(context: Context, config: Config, request: Request, name: str) -> Request:
    """Return the command that would release there, as if it were said at this moment."""
    verb = "promote" if config.environments[name].promote_from is not None else "deploy"
    command = Command(verb=verb, environment=name, text=f"/{verb} {name}")
    now = datetime.fromtimestamp(context.clock.now(), UTC)
    number = 0 if verb == "promote" else request.number
    return replace(request, command=command, number=number, commented_at=now, id=f"{request.id}-{name}")


def skew(context: Context, config: Config, name: str) -> tuple[str, ...]:
    """Say what an environment lacks of the one that its images come from, by their records. Never raises."""
    rule = config.environments[name].promote_from
    if rule is None:
        return ()
    try:
        source = _last(context, rule.environment)
    except SlipwayError:
        return ()
    found = _comparison(context, name, source) if source else None
    if found is None or not found.ahead_by:
        return ()
    return (f"`{rule.environment}` has {found.ahead_by} commit{'s' if found.ahead_by > 1 else ''} more",)


def _comparison(context: Context, name: str, sha: str) -> Comparison | None:
    """Compare with what was released last. Nice to know: None where that cannot be done."""
    try:
        last = _last(context, name)
        if not last:
            return None
        if last == sha:
            return Comparison(ahead_by=0, behind_by=0)
        return context.ask(context.github.compare, last, sha).result()
    except SlipwayError:
        return None


def _last(context: Context, name: str) -> str:
    """Return what was released last as a whole and went well, ``""`` if nothing did."""
    found = entries(context.deployments(name).result())
    return next(
        (one.record.sha for one in found if one.succeeded and (one.record.whole or one.record.verb == "rollback")), ""
    )


def _unknown(error: SlipwayError) -> Refusal:
    return Refusal(reason=Reason(error.reason), sentence=f"It could not be found out: {error.message}", next=error.hint)
