"""``--dry-run``: what a release or rollback would do, shown so that the very plan can be run; and held to it then."""

from __future__ import annotations

from dataclasses import replace

from bot.app import sources
from bot.app.context import Context, Request
from bot.app.decision import Case
from bot.core.changes import Change, Preview, fingerprint, migrations
from bot.core.facts import Comparison
from bot.core.outcome import Decision, Outcome, PlanReport, Reason, Refusal
from bot.core.record import usual_seconds
from bot.core.serving import Serving
from bot.core.target import Known, ReleaseId
from bot.core.titles import order
from bot.core.words import short
from bot.errors import SlipwayError
from bot.report.plan import plan_comment

PLAN = "plan"  # the flag that names a plan


def show(context: Context, case: Case) -> Outcome:
    """Show what would be done. Nothing is taken, written down or changed."""
    request, name = case.request, case.environment.name
    compared = context.gatherer.ask(compare, context, case)
    preview = preview_of(context, case)
    comparison = compared.result()
    report = PlanReport(
        verb="rollback" if request.command.verb == "rollback" else "deploy",
        environment=name,
        sha=case.sha,
        previous_sha=case.previous_sha,
        fingerprint=fingerprint(case.sha, case.plan, preview),
        again=_again(request, case),
        waves=order(case.plan.steps),
        changes=preview.changes,
        notes=case.notes,
        digest=preview.artifact.digest if preview.artifact else "",
        comparison=comparison,
        migrations=migrations(comparison.files) if comparison is not None else (),
        usual_seconds=usual_seconds(case.history),
    )
    report = context.masker.mask_all(report)
    comment = context.say(request, plan_comment(report, marker=context.marker(request, case.sha)))
    context.react("rocket")
    return Outcome(
        decision=Decision.ANSWERED,
        reason=Reason.PLAN_SHOWN,
        environment=name,
        sha=case.sha,
        comment_id=comment.id if comment else 0,
        message=f"Would {report.verb} `{short(case.sha)}` on {name}: plan {report.fingerprint}.",
    )


def changed(context: Context, case: Case) -> tuple[Refusal, ...]:
    """Return the refusal of a plan that is no longer the one that the command names; none without such a name."""
    named = case.request.command.flags.get(PLAN, "").lower()
    if not named:
        return ()
    now = fingerprint(case.sha, case.plan, preview_of(context, case))
    if named == now:
        return ()
    refusal = Refusal(
        reason=Reason.PLAN_CHANGED,
        sentence=f"The plan is no longer `{named}`: something has changed since it was shown.",
        next=f"Look at it again: `{_again(case.request, case)} --dry-run`",
    )
    return (refusal,)


def preview_of(context: Context, case: Case) -> Preview:
    """Ask what would change."""
    if case.goal_state is not None:
        return Preview(changes=_back(case.found, case.goal_state))
    release = ReleaseId(
        deployment_id=0, environment=case.environment.name, sha=case.sha, actor=case.request.actor, tag="preview"
    )
    promoted = case.build.promoted if case.build is not None else None
    others = sources.resolve(context, case).result()
    known = Known(release=release, before=case.before, found=case.found, artifact=promoted, sources=others)
    preview = case.target.preview(case.environment.release_jobs, known)
    kept = [change for change in preview.changes if change.where not in case.environment.left]
    joining = (Change(where="build", what=f"source {name}", after=short(sha)) for name, sha in others.items())
    return replace(preview, changes=(*joining, *kept))


def _back(now: Serving, goal: Serving) -> tuple[Change, ...]:
    """Return what a rollback changes: of each service the revision, what it runs and its secrets."""
    changes = []
    for state in goal.services:
        serves = now.service(state.service)
        pairs = [("revision", serves.revision, state.revision), ("image", serves.digest, state.digest)]
        pairs += [
            (f"secret {name}", serves.secrets.get(name, ""), state.secrets.get(name, ""))
            for name in sorted({*serves.secrets, *state.secrets})
        ]
        changes += [
            Change(where=state.service, what=what, before=before, after=after)
            for what, before, after in pairs
            if before != after
        ]
    return tuple(changes)


def _again(request: Request, case: Case) -> str:
    """Return the command that runs what was shown, without the plan's name."""
    flags = [f"--{name}={value}" for name, value in request.command.flags.items() if name == "to"]
    named = request.command.verb == "promote" or (request.command.verb == "deploy" and request.number)
    sha = [f"@{short(case.sha)}"] if named else []
    return " ".join([f"/{request.command.verb}", case.environment.name, *request.command.services, *sha, *flags])


def compare(context: Context, case: Case) -> Comparison | None:
    """Compare what serves with what would; None where that cannot be told. Of a rollback: what it takes away.

    GitHub compares from the merge base on, so that the files of a way back are told by looking from its end.
    """
    if not case.previous_sha or case.previous_sha == case.sha:
        return None
    back = case.goal_state is not None
    pair = (case.sha, case.previous_sha) if back else (case.previous_sha, case.sha)
    try:
        found = context.github.compare(*pair)
    except SlipwayError:  # nice to know; nothing hangs on it
        return None
    return replace(found, ahead_by=found.behind_by, behind_by=found.ahead_by, commits=()) if back else found
