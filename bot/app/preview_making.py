"""Makes one preview: build, roll out beside what serves while the environment is held, check, look once more.

The environment is held for the roll-out alone. Whether the preview is still wanted is asked inside of it, and once
more at the very end: whoever closes the pull request takes its preview away, and if that was before there was one, we
do it ourselves.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from dataclasses import replace

from bot.app.context import Context
from bot.app.moments import LONG, HeldError, moment
from bot.app.preview_case import Case, Course, opening, write_record
from bot.app.preview_ending import finish, give_up, superseded
from bot.app.preview_reporting import PreviewReporter
from bot.app.sources import heads
from bot.app.upkeep import drop_revisions, records_of, untag
from bot.core import cleanup
from bot.core.facts import Deployment, PullRequest
from bot.core.outcome import Outcome, Reason, Refusal
from bot.core.plan import Plan, Rollout
from bot.core.preview_report import PreviewLine
from bot.core.serving import Serving
from bot.core.target import Known, Target
from bot.core.upkeep import Holding
from bot.core.words import listed
from bot.engine.execution import Execution
from bot.errors import SlipwayError


def make(context: Context, case: Case) -> Outcome:
    """Make the preview and return how it ended.

    Raises:
        SlipwayError: a fault of the world before anything was changed.
    """
    connected = context.gatherer.ask(context.connect_to_release, case.previews.spec)
    reporter = PreviewReporter(context, case.request, opening(context, case))
    _adopt_comment(context, case)
    try:
        deployment = write_record(context, case, reporter.begin())
        reporter.update(deployment_id=deployment.id)
        try:
            target = connected.result()
        except SlipwayError as error:
            give_up(context, deployment, error)
            raise
        return _Making(context, case, reporter, deployment, target).run()
    finally:
        reporter.close()


def _adopt_comment(context: Context, case: Case) -> None:
    """Go on with the comment there is, where nobody wrote a command that wants an answer of its own."""
    again = case.resumed or (case.records[0] if case.request.trigger != "comment" and case.records else None)
    if again is not None:
        context.adopt_comment(case.request, again.record.comment_id)


class _Making:
    """One preview being made."""

    def __init__(
        self, context: Context, case: Case, reporter: PreviewReporter, deployment: Deployment, target: Target
    ) -> None:
        assert target.upkeep is not None  # previews are for targets with revisions
        self._context, self._case, self._reporter, self._deployment = context, case, reporter, deployment
        self._target, self._upkeep = target, target.upkeep
        self._course = Course(known=Known(release=case.identity(deployment.id), before=Serving()))

    def run(self) -> Outcome:
        """Go through all of it, take back what did not go well, and tell."""
        context, case, course = self._context, self._case, self._course
        try:
            self._forward()
        except HeldError as error:
            course.refusal = error.refusal
        except SlipwayError as error:
            if course.tagged is None:
                give_up(context, self._deployment, error)
                raise
            # It may be up, but whether it should be cannot be said: that is no reason to leave it there.
            course.refusal = Refusal(reason=Reason(error.reason), sentence=error.message, next=error.hint)
        finally:
            if not course.well and course.tagged is not None:
                self._take_back()
        if course.superseded:
            return superseded(context, case, self._reporter, self._deployment)
        outcome = finish(context, case, self._reporter, self._deployment, course)
        if course.well and case.former is not None:
            drop_revisions(self._context, case.environment, self._upkeep, (case.number,))
        return outcome

    def _forward(self) -> None:
        course, (building, rolling, checking) = self._course, self._case.plans
        spec = self._case.previews.spec
        sources = heads(self._context, spec).result() if building.steps else {}
        course.known = replace(course.known, pins=self._target.newest_secrets(pinned=True), sources=sources)
        self._execute(building)
        if course.well:
            self._reporter.update(sentence=f"Waiting for its turn on `{self._case.environment.name}`.")
            self._roll_out(rolling)
        if course.well:
            self._reporter.update(services=self._lines())
            self._execute(checking)
            self._explain(rolling)
        if course.well:
            self._look_again()

    def _execute(self, plan: Plan) -> None:
        """Run one part of what is to be done. An empty one is done."""
        if not plan.steps:
            return
        context, course = self._context, self._course
        execution = Execution(
            plan,
            self._target,
            course.known,
            probe=context.probe,
            clock=context.clock,
            on_change=self._reporter.changed,
        )
        course.ended = execution.run()
        course.known = course.ended.known
        self._reporter.changed(course.ended.results)

    def _explain(self, rolling: Plan) -> None:
        """Have a check that failed explained by what the preview's own revisions logged."""
        failed = self._course.ended.failed if self._course.ended is not None else None
        if failed is None:
            return
        rollouts = [step for step in rolling.steps if isinstance(step, Rollout)]
        found = [self._target.diagnose(step, self._course.known) for step in rollouts[:2]]
        told = next((one for one in found if one.error), found[0] if found else None)
        self._reporter.changed((replace(failed, diagnosis=told),))

    # -- while the environment is held ------------------------------------------------------------------------------
    def _held(self) -> AbstractContextManager[None]:
        case = self._case
        return moment(
            self._context,
            case.environment.name,
            sha=case.sha,
            actor=case.request.actor,
            number=case.number,
            takes=case.environment.rollout_timeout,
            patience=LONG,
        )

    def _roll_out(self, plan: Plan) -> None:
        """Make the revisions: no release is under way meanwhile, and none is disturbed."""
        course = self._course
        with self._held():
            self._reporter.update(sentence="")
            holdings = self._upkeep.holdings()
            course.refusal = _too_many(self._case, holdings)
            course.superseded = self._look_again().head_sha != self._case.sha
            if not course.well:
                return
            course.tagged = {holding.service: _former_of(holding, self._case) for holding in holdings}
            try:
                self._execute(plan)
            finally:
                with suppress(SlipwayError):  # the next release takes the marks off all the same
                    self._upkeep.put_back_templates()

    def _look_again(self) -> PullRequest:
        """Ask whether the preview is still wanted, never from what was read before; returns the pull request.

        Whoever closes the pull request, or destroys the preview, may have been there before there was one.
        """
        context, case, course = self._context, self._case, self._course
        pull = context.github.pull_request(case.number)
        records = records_of(context, case.environment.name, case.number)
        destroyed = any(one.over for one in records if one.deployment.id == self._deployment.id)
        course.over = "closed" if pull.state == "closed" else "destroyed" if destroyed else None
        return pull

    def _take_back(self) -> None:
        """Let the tag lead where it led before: to the former preview, or nowhere. One that is over leads nowhere."""
        case, course = self._case, self._course
        before = {} if course.over else course.tagged or {}
        try:
            with self._held():
                services = [spec.key for spec in case.previews.spec.services]
                self._upkeep.retag({service: {case.tag: before.get(service, "")} for service in services})
                if course.over:
                    untag(self._upkeep, (case.number,))  # also off services that previews have no more
        except SlipwayError as error:  # a sweep finds it by its labels
            course.untold.append(f"The tag `{case.tag}` could not be put right: {error.message}")
            return
        if course.over:
            drop_revisions(self._context, case.environment, self._upkeep, (case.number,))

    def _lines(self) -> tuple[PreviewLine, ...]:
        known = self._course.known
        return tuple(
            PreviewLine(
                service=spec.key,
                revision=known.handles.get(f"rollout-{spec.key}", "").rsplit("/", 1)[-1],
                url=self._target.endpoint(spec.key, "candidate", known),
            )
            for spec in self._case.previews.spec.services
        )


def _former_of(holding: Holding, case: Case) -> str:
    """Return the preview's revision that the tag leads to already, ``""`` if it is none."""
    made = holding.by_name(next((share.revision for share in holding.serving if share.tag == case.tag), ""))
    return made.name if made is not None and made.preview == case.number else ""


def _too_many(case: Case, holdings: tuple[Holding, ...]) -> Refusal | None:
    others = sorted(set(cleanup.previews_of(holdings)) - {case.number})
    if len(others) < case.previews.limit:
        return None
    return Refusal(
        reason=Reason.TOO_MANY_PREVIEWS,
        sentence=f"`{case.environment.name}` has as many previews as it may have ({len(others)}): "
        f"of the pull requests {listed(str(number) for number in others)}.",
        next=f"`/preview destroy {case.environment.name}` on one of them",
    )
