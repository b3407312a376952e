"""Waiting for required checks that still run: where somebody asks for it (``--wait``), and of pushes always.

A push is there before its checks are. What is waited for is asked again and again, never taken for granted.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain, repeat

from bot.app.context import Context, Request
from bot.app.facts import with_checks
from bot.core.commands import spelled
from bot.core.outcome import Reason, Refusal
from bot.core.policy import Facts, judge
from bot.core.words import short
from bot.report.queueing import checked_comment, checks_comment

POLLS = (5.0, 10.0, 15.0)  # seconds, the last one again and again; two calls each time
_UNFINISHED = frozenset({Reason.CHECKS_PENDING, Reason.CHECKS_MISSING})


def wanted(request: Request, facts: Facts, refusals: tuple[Refusal, ...]) -> bool:
    """Whether nothing but checks that have not ended stands in the way, and that is to be waited for."""
    patient = request.trigger == "push" or "wait" in request.command.flags
    only = bool(refusals) and {refusal.reason for refusal in refusals} <= _UNFINISHED
    return patient and only and facts.environment.gates.wait_for_checks > 0


def for_checks(
    context: Context, request: Request, facts: Facts, refusals: tuple[Refusal, ...]
) -> tuple[Facts, tuple[Refusal, ...]]:
    """Wait until the checks have ended or the time is over; returns the facts as they are then, and what refuses."""
    polls = chain(POLLS, repeat(POLLS[-1]))
    until, told = context.clock.now() + facts.environment.gates.wait_for_checks, ""
    while wanted(request, facts, refusals):
        if refusals[0].sentence != told:
            told = refusals[0].sentence
            context.say(
                request,
                checks_comment(
                    facts.environment.name,
                    facts.sha,
                    told,
                    until=until,
                    run_url=context.settings.run.url,
                    marker=context.marker(request, facts.sha),
                ),
            )
        if context.clock.now() >= until:
            return facts, refusals
        if context.clock.wait(next(polls)):
            return facts, (_stopped(facts),)
        moved = _moved(context, request, facts)
        if moved is not None:
            return facts, (moved,)
        facts = with_checks(context, facts, now=datetime.fromtimestamp(context.clock.now(), UTC))
        refusals = judge(facts)
    if told and not refusals:
        marker = context.marker(request, facts.sha)
        context.say(request, checked_comment(facts.environment.name, facts.sha, marker=marker))
    return facts, refusals


def _moved(context: Context, request: Request, facts: Facts) -> Refusal | None:
    """Look whether the branch has moved on: the checks of its former head are of no use then."""
    pull = facts.pull_request
    if pull is None or pull.merged or request.command.verb != "deploy":
        return None
    head = context.github.pull_request(pull.number).head_sha
    if head == facts.sha:
        return None
    name = facts.environment.name
    return Refusal(
        reason=Reason.HEAD_MOVED,
        sentence=f"The branch moved from `{short(facts.sha)}` to `{short(head)}` while its checks were waited for.",
        next=f"Look at it; if that is what you mean: `{spelled(facts.command, environment=name, sha=short(head))}`",
    )


def _stopped(facts: Facts) -> Refusal:
    return Refusal(
        reason=Reason.CANCELLED,
        sentence=f"The run was stopped while the checks of `{short(facts.sha)}` were waited for.",
        next=f"`{spelled(facts.command, environment=facts.environment.name)}`",
    )
