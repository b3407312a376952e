"""Promotion: the record of the environment that an image is taken from, and that image, asked for among the facts."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime

from bot.app.context import Context, Request
from bot.core.config import Config, Promotion
from bot.core.outcome import Reason, Refusal
from bot.core.overrides import overridden
from bot.core.ports import HISTORY
from bot.core.promotion import image_of, judge, sha_to_promote, soaking, unreadable
from bot.core.record import Entry, by_command, entries
from bot.core.resolve import resolve
from bot.core.serving import Artifact, Serving
from bot.engine.gathering import known as given
from bot.errors import SlipwayError, UpstreamError


def sha(context: Context, config: Config, request: Request) -> str | Refusal:
    """Return the commit that ``/promote`` means: what the other environment serves, by its record."""
    name, command = request.command.environment, request.command
    rule = config.environments[name].promote_from
    if rule is None:
        return Refusal(
            reason=Reason.PROMOTION_UNAVAILABLE,
            sentence=f"`{name}` takes its image from no other environment.",
            next=f"`/deploy {name}`, or set `promote_from` in `.github/slipway.yml` on the default branch",
        )
    past, again = history(context, config, request).result(), f"/promote {name}"
    if past is None:
        return unreadable(rule.environment, again)
    pinned = context.settings.pinned_sha if context.settings.phase == "release" else ""
    return sha_to_promote(past, rule, named=command.sha, pinned=pinned, again=again)


def history(context: Context, config: Config, request: Request) -> Future[tuple[Entry, ...] | None]:
    """Ask for the record of the environment that the image is taken from, once for each command.

    A command before this one may have released it, so an earlier answer does not do. The answer is None where the
    record cannot be read.
    """
    rule = config.environments[request.command.environment].promote_from
    if rule is None or request.command.verb == "rollback":
        return given(())
    return context.ask(_history, context, rule.environment, request.id)


def _history(context: Context, environment: str, _command: str) -> tuple[Entry, ...] | None:
    return record_of(context, environment)


def record_of(context: Context, environment: str) -> tuple[Entry, ...] | None:
    """Ask for an environment's record as it is now; None where it cannot be read."""
    try:
        return entries(context.github.deployments(environment, HISTORY))
    except UpstreamError:
        return None


def image(
    context: Context, config: Config, request: Request, commit: str, now: datetime
) -> Future[Artifact | Refusal | None]:
    """Ask which image a commit was verified with; None where none is taken, or it may not be."""
    rule = config.environments[request.command.environment].promote_from
    if rule is None or request.command.verb == "rollback":
        return given(None)
    return context.gatherer.ask(_image, context, config, request, commit, now)


def _image(context: Context, config: Config, request: Request, commit: str, now: datetime) -> Artifact | Refusal | None:
    name = request.command.environment
    rule, past = config.environments[name].promote_from, history(context, config, request).result()
    if rule is None or past is None or not _may(rule, past, commit, request, now):
        return None
    own = by_command(entries(context.deployments(name).result()), request.id)
    if own is not None and own.record.promoted is not None:
        return own.record.promoted  # an earlier run of this very command took it
    serving = _serving(context, config, rule.environment, commit)
    found = image_of(past, commit, serving if isinstance(serving, Serving) else Serving(), rule.environment)
    if isinstance(found, Refusal) and isinstance(serving, str):
        return replace(found, sentence=f"{found.sentence} It could not be asked either: {serving}")
    return found


def _may(rule: Promotion, past: tuple[Entry, ...], commit: str, request: Request, now: datetime) -> bool:
    """Whether a commit may be promoted, now or by overriding that it has to soak."""
    if judge(rule, past, commit, again="") is not None:
        return False
    return "soaked" in overridden(request.command) or soaking(rule, past, commit, again="", now=now) is None


def _serving(context: Context, config: Config, name: str, commit: str) -> Serving | str:
    """Ask what an environment serves, or return why it cannot be asked."""
    try:
        environment = resolve(
            config,
            name,
            repository=context.settings.repository,
            sha=commit,
            variables=context.settings.variables,
            version="unknown",
        )
        return context.connect(environment.spec).serving()
    except SlipwayError as error:
        return error.message
