"""What is to be done, decided from the facts, what serves and the record: a plan and where a failure leads back to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot.app.context import Request
from bot.core.facts import PullRequest
from bot.core.outcome import Reason, Refusal
from bot.core.plan import Plan
from bot.core.planning import plan_release, plan_rollback
from bot.core.policy import Facts
from bot.core.record import Entry, serving_entry, serving_sha
from bot.core.resolve import Environment
from bot.core.serving import Serving
from bot.core.target import Target
from bot.core.words import short


@dataclass(frozen=True, kw_only=True)
class Case:
    """A release that is decided on: everything that carrying it out needs.

    ``before`` is the serving state that a failure returns to, ``previous_sha`` its sha. ``resumed`` is the same
    command's own release that an earlier run left unfinished; ``touched`` is whether an earlier one may have changed
    what serves and was not taken back.
    """

    request: Request
    environment: Environment
    sha: str
    target: Target
    before: Serving
    history: tuple[Entry, ...]
    plan: Plan
    previous_sha: str
    pull: PullRequest | None
    resumed: Entry | None = None
    touched: bool = False


def decide(
    facts: Facts,
    request: Request,
    target: Target,
    serving: Serving,
    past: tuple[Entry, ...],
    *,
    environment_at: Callable[[str], Environment],
) -> Case | Refusal:
    """Return what to do, or why there is nothing to do. ``past`` is the environment's record, newest first.

    ``environment_at`` gives the environment for another sha: what a rollback brings back is checked as what it is.
    """
    # Only the newest can have been interrupted: whatever came after an older one has brought the world to an end.
    interrupted = past[0] if past and not past[0].finished else None
    resumed = interrupted if interrupted is not None and interrupted.record.id == request.id else None
    # What serves now may be left of a release that was interrupted, or whose way back failed: then its own record says
    # what served before it.
    left = interrupted or left_behind(past, serving)
    before = left.record.before if left is not None and left.record.before.exists else serving
    previous = made(past, before)
    sha, environment = facts.sha, facts.environment
    if request.command.verb == "rollback":
        # Said again, a rollback means what it meant the first time, however far it came.
        current = previous if resumed is not None else made(past, serving)
        if current is None or not current.record.before.exists:
            return _nothing_to_go_back_to(environment.name, current)
        goal = current.record.before
        sha = current.record.before_sha or serving_sha(goal) or current.record.sha
        environment = environment_at(sha)
        plan = plan_rollback(environment, goal)
    else:
        plan = plan_release(environment, target.traits)
    return Case(
        request=request,
        environment=environment,
        sha=sha,
        target=target,
        before=before,
        history=past,
        plan=plan,
        previous_sha=serving_sha(before) or (previous.record.sha if previous else ""),
        pull=facts.pull_request,
        resumed=resumed,
        touched=left is not None,
    )


def left_behind(past: tuple[Entry, ...], serving: Serving) -> Entry | None:
    """Return the release that failed and still has traffic somewhere, because its way back failed too.

    One before which nothing served has no way back, and is none. Where revisions carry no label of their release
    (Heroku), the sha tells, unless it was released well at some time.
    """
    labels = [
        state.labels.get(share.revision, {}) for state in serving.services for share in state.traffic if share.percent
    ]
    keys = {label.get("slipway-release") for label in labels}
    shas = {label.get("slipway-sha") for label in labels if "slipway-release" not in label}
    shas -= {entry.record.sha for entry in past if entry.succeeded}
    failed = (entry for entry in past if entry.record.verb == "deploy" and not entry.succeeded)
    known = (entry for entry in failed if entry.record.before.exists)
    return next((entry for entry in known if entry.key in keys or entry.record.sha in shas), None)


def made(past: tuple[Entry, ...], serving: Serving) -> Entry | None:
    """Return the release that made what serves.

    Here even one that failed counts, by its own label: if its way back failed too, its record is the one that says what
    was there before.
    """
    keys = {state.labels.get(state.revision, {}).get("slipway-release") for state in serving.services if state.exists}
    labelled = next((entry for entry in past if entry.key in keys and entry.record.verb == "deploy"), None)
    return labelled or serving_entry(past, serving)


def _nothing_to_go_back_to(name: str, current: Entry | None) -> Refusal:
    if current is None:
        return Refusal(
            reason=Reason.NOTHING_TO_ROLL_BACK_TO,
            sentence=f"What serves on `{name}` was not released from here: there is no record of what was before.",
            next=f"Release a known good commit: `/deploy {name}` on its pull request",
        )
    return Refusal(
        reason=Reason.NOTHING_TO_ROLL_BACK_TO,
        sentence=f"`{short(current.record.sha)}` was the first release on `{name}`: nothing served before it.",
        next=f"Release a mended commit: `/deploy {name}`",
    )
