"""What is to be done, decided from the facts, what serves and the record: a plan and where a failure leads back to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.app.context import Request
from bot.core import rollback
from bot.core.facts import PullRequest
from bot.core.outcome import Refusal
from bot.core.partial import left_alone
from bot.core.plan import Build, Plan
from bot.core.planning import plan_release, plan_rollback
from bot.core.policy import Facts, bypassed
from bot.core.record import Entry, serving_sha, serving_shas
from bot.core.resolve import Environment
from bot.core.serving import Artifact, Serving
from bot.core.target import Target

if TYPE_CHECKING:
    from bot.core.stages import Rate


@dataclass(frozen=True, kw_only=True)
class Case:
    """A release that is decided on: everything that carrying it out needs.

    ``before`` is the serving state that a failure returns to, ``previous_sha`` its sha; ``found`` is what served when
    it was decided. ``goal`` is the release that a rollback goes back to, ``goal_state`` what that served. ``notes`` say
    what was left out of the plan. ``resumed`` is the same command's own release that an earlier run left unfinished;
    ``touched`` is whether an earlier one may have changed what serves and was not taken back. ``bypassed`` is what the
    gates that were overridden would have said.
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
    found: Serving
    goal: Entry | None = None
    goal_state: Serving | None = None
    notes: tuple[str, ...] = ()
    resumed: Entry | None = None
    touched: bool = False
    bypassed: tuple[Refusal, ...] = ()

    @property
    def build(self) -> Build | None:
        """The step that has the artifact; a rollback has none."""
        return next((step for step in self.plan.steps if isinstance(step, Build)), None)


def decide(
    facts: Facts,
    request: Request,
    target: Target,
    serving: Serving,
    past: tuple[Entry, ...],
    *,
    environment_at: Callable[[str], Environment],
    rates: Mapping[str, Rate] | None = None,
) -> Case | Refusal:
    """Return what to do, or why there is nothing to do. ``past`` is the environment's record, newest first.

    ``environment_at`` gives the environment for another sha: what a rollback brings back is checked as what it is.
    ``rates`` is the traffic of the services with stages, None if there are none.
    """
    # Only the newest can have been interrupted: whatever came after an older one has brought the world to an end.
    interrupted = past[0] if past and not past[0].finished else None
    resumed = interrupted if interrupted is not None and interrupted.record.id == request.id else None
    # What serves now may be left of a release that was interrupted, or whose way back failed: then its own record says
    # what served before it.
    left = interrupted or left_behind(past, serving)
    before = left.record.before if left is not None and left.record.before.exists else serving
    previous = rollback.made(past, before)
    sha, environment = facts.sha, facts.environment
    goal, goal_state = None, None
    notes: tuple[str, ...] = ()
    if request.command.verb == "rollback":
        # Said again, a rollback means what it meant the first time, however far it came.
        again = interrupted is not None and interrupted.record.verb == "rollback"
        found = _goal(past, before if again else serving, request.command.flags.get("to", ""), environment.name)
        if isinstance(found, Refusal):
            return found
        goal, sha, goal_state = found.entry, found.sha, found.state
        environment = environment_at(sha)
        plan = plan_rollback(environment, found.state, found.sha)
    else:
        kept = _decidable(environment, rates, serving)
        if isinstance(kept, Refusal):
            return kept
        environment, notes = kept
        promoted = facts.promoted if isinstance(facts.promoted, Artifact) else None
        plan = plan_release(environment, target.traits, promoted=promoted)
        notes = (*left_alone(environment.left), *notes)
    return Case(
        request=request,
        environment=environment,
        sha=sha,
        target=target,
        before=before,
        history=past,
        plan=plan,
        previous_sha=_previous_sha(before.of(environment.services), previous),
        pull=facts.pull_request,
        found=serving,
        goal=goal,
        goal_state=goal_state,
        notes=notes,
        resumed=resumed,
        touched=left is not None,
        bypassed=bypassed(facts),
    )


def _previous_sha(before: Serving, previous: Entry | None) -> str:
    """Return the commit that a failure returns to; ``""`` if it is not one, for then no title may name it."""
    if len(serving_shas(before)) > 1:
        return ""
    return serving_sha(before) or (previous.record.sha if previous else "")


def left_behind(past: tuple[Entry, ...], serving: Serving) -> Entry | None:
    """Return the release that failed and still has traffic somewhere, because its way back failed too.

    One before which nothing served has no way back, and is none. Where revisions carry no label of their release
    (Heroku), the sha tells, unless it was released well at some time.
    """
    keys = {labels.get("slipway-release") for labels in serving.labels}
    shas = {labels.get("slipway-sha") for labels in serving.labels if "slipway-release" not in labels}
    shas -= {entry.record.sha for entry in past if entry.succeeded}
    failed = (entry for entry in past if entry.record.verb == "deploy" and not entry.succeeded)
    known = (entry for entry in failed if entry.record.before.exists)
    return next((entry for entry in known if entry.key in keys or entry.record.sha in shas), None)


def _decidable(
    environment: Environment, rates: Mapping[str, Rate] | None, serving: Serving
) -> tuple[Environment, tuple[str, ...]] | Refusal:
    """Return an environment whose stages can be decided, with what was left out."""
    if rates is None:
        return environment, ()
    from bot.core.stages import decidable  # noqa: PLC0415 - few plans have stages, and statistics take time to import

    found = decidable(environment, rates, serving)
    return found if isinstance(found, Refusal) else (found.environment, found.notes)


def _goal(past: tuple[Entry, ...], serving: Serving, to: str, environment: str) -> rollback.Goal | Refusal:
    """Return where a rollback goes: to what was named, else to what was verified before the present release."""
    if to:
        return rollback.named(past, serving, to, environment)
    # A candidate that was left with a share of the traffic is the present release: what has the rest was before it.
    return rollback.before(past, left_behind(past, serving) or rollback.made(past, serving), environment)
