"""``/retry``: the newest release of an environment, which failed, once more: the same commit, through every gate again.

What was built is built no more, and what is there is found there, as after any interruption.
"""

from __future__ import annotations

from dataclasses import replace

from bot.app.authorisation import authorise
from bot.app.context import Context, Request
from bot.app.release import release
from bot.core.commands import Command
from bot.core.config import Config
from bot.core.outcome import Outcome, Reason, Refusal
from bot.core.record import Entry, entries
from bot.core.words import short


def retry(context: Context, config: Config, request: Request) -> Outcome:
    """Carry out again what failed last."""
    name = request.command.environment
    past = entries(context.deployments(name).result())
    # Said again (another attempt of the run), it means what it meant the first time.
    own = next((entry for entry in past if entry.record.id == request.id), None)
    newest = past[0] if past else None
    meant = _again(own, request) if own is not None else _meant(newest, request)
    if isinstance(meant, Refusal):
        return context.refuse(request, (meant,))
    # What ``/promote`` releases is not what the pull request is about.
    again = replace(request, command=meant, number=0 if meant.verb == "promote" else request.number)
    refusal = authorise(context, config, again, context.permission(request.actor).result())
    return context.refuse(request, (refusal,)) if refusal is not None else release(context, config, again)


def _meant(last: Entry | None, request: Request) -> Command | Refusal:
    """Return the command that a retry stands for: its newest release failed, and was released from here."""
    name = request.command.environment
    if last is None or last.succeeded:
        what = f"`{short(last.record.sha)}` went well" if last is not None else "nothing was released yet"
        return Refusal(
            reason=Reason.NOTHING_TO_RETRY,
            sentence=f"There is nothing to retry on `{name}`: {what}.",
            next=f"`/deploy {name}` releases this pull request",
        )
    record = last.record
    if record.verb == "rollback" or record.promoted_from:
        return _again(last, request)
    if record.pull_request != request.number or not request.number:
        where = f"#{record.pull_request}" if record.pull_request else "a push or by hand"
        return Refusal(
            reason=Reason.NOTHING_TO_RETRY,
            sentence=f"What failed last on `{name}` is `{short(record.sha)}`, released from {where}, not from here.",
            next="Say it there" if record.pull_request else "Run the failed job again on its page",
        )
    return _again(last, request)


def _again(entry: Entry, request: Request) -> Command:
    record = entry.record
    if record.verb == "rollback":
        return replace(request.command, verb="rollback", flags={"to": str(record.goal)} if record.goal else {})
    verb = "promote" if record.promoted_from and record.whole else "deploy"
    return replace(request.command, verb=verb, sha=record.sha, services=record.services)
