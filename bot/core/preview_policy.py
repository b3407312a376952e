"""May this pull request have a preview? Named gates, as for releases: all are asked, missing evidence refuses.

A preview is there to be looked at before it is good: drafts, conflicts and red checks do not keep it away. But it runs
the pull request's code with the environment's secrets, so forks never have one, and the commit must be the one meant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bot.core.commands import spelled
from bot.core.config import duration_between
from bot.core.outcome import Reason, Refusal
from bot.core.policy import Facts, base, sha_binding, supported
from bot.core.words import short

LONGEST = 7 * 86_400.0  # seconds; as `ttl` in the configuration
SHORTEST = 60.0

Gate = Callable[[Facts], Refusal | None]


def declared(facts: Facts) -> Refusal | None:
    """The environment has previews, and something to show in one."""
    previews = facts.environment.previews
    if previews is not None and previews.spec.services:
        return None
    return no_previews(facts.environment.name)


def no_previews(environment: str) -> Refusal:
    """Return the refusal of an environment without previews."""
    return Refusal(
        reason=Reason.NO_PREVIEW,
        sentence=f"`{environment}` has no previews.",
        next=f"Declare `previews` of `{environment}` in `.github/slipway.yml` on the default branch.",
    )


def pull_request_open(facts: Facts) -> Refusal | None:
    """The pull request is open: what was merged is released, and what was closed is over."""
    pull = facts.pull_request
    if pull is None or pull.state == "open":
        return None
    return Refusal(
        reason=Reason.PULL_REQUEST_CLOSED,
        sentence="This pull request is closed.",
        next="Reopen it" if not pull.merged else f"`/deploy {facts.environment.name}` releases what was merged",
    )


def own_branch(facts: Facts) -> Refusal | None:
    """The head is in this repository."""
    pull = facts.pull_request
    if pull is None or not pull.from_fork:
        return None
    return Refusal(
        reason=Reason.FORK,
        sentence="The head of this pull request is in a fork, and a preview would run its code with our secrets.",
        next="Push the branch to this repository.",
    )


def commit_meant(facts: Facts) -> Refusal | None:
    """The command means the commit its author saw, as for a release."""
    refusal = sha_binding(facts)
    if refusal is None:
        return None
    head = short(facts.pull_request.head_sha if facts.pull_request else facts.sha)
    meant = spelled(facts.command, environment=facts.environment.name, sha=head)
    again = f"Look at `{head}`; if that is what you mean: `{meant}`"
    return replace(refusal, next=again)


GATES: tuple[Gate, ...] = (declared, supported, pull_request_open, base, own_branch, commit_meant)


def judge(facts: Facts) -> tuple[Refusal, ...]:
    """Ask every gate; empty means go."""
    refusals = [(gate, gate(facts)) for gate in GATES]
    return tuple(replace(refusal, gate=gate.__name__) for gate, refusal in refusals if refusal is not None)


def asked_ttl(action: str, text: str) -> float | Refusal:
    """Read ``--ttl``; returns seconds, 0 if it was not given."""
    if not text:
        return 0.0
    if action == "destroy":
        return Refusal(
            reason=Reason.BAD_ARGUMENTS,
            sentence="`destroy` takes no `--ttl`: the preview goes now.",
            next="`/preview destroy`",
        )
    seconds = duration_between(text, SHORTEST, LONGEST)
    if seconds is not None:
        return seconds
    return Refusal(
        reason=Reason.BAD_ARGUMENTS,
        sentence=f"`--ttl={text}` is no time between one minute and seven days.",
        next=f"`/preview {action} --ttl=3d`",
    )
