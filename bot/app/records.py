"""The record of a release on GitHub: its deployment, those left open before it, and the hold that a rollback leaves."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from bot.app.context import Context
from bot.app.decision import Case
from bot.app.interruption import abandon, tell_of_interruption
from bot.core.facts import Deployment, LockRecord
from bot.core.overrides import overridden
from bot.core.record import Record
from bot.core.spec import CloudRunSpec
from bot.engine.persistence import insist
from bot.errors import SlipwayError


def record(
    context: Context, case: Case, comment_id: int, pins: Mapping[str, str], sources: Mapping[str, str]
) -> Deployment:
    """Write the record before the first mutation."""
    request, run, build = case.request, context.settings.run, case.build
    written = Record(
        id=request.id,
        verb="rollback" if request.command.verb == "rollback" else "deploy",
        sha=case.sha,
        actor=request.actor,
        run_id=run.id,
        run_attempt=run.attempt,
        comment_id=comment_id,
        pull_request=request.number,
        reason=request.command.flags.get("reason", ""),
        plan=tuple(step.id for step in case.plan.steps),
        before=case.before,
        before_sha=case.previous_sha,
        pins=pins,
        sources=sources,
        goal=case.goal.deployment.id if case.goal else 0,
        image=image_of(case),
        promoted=build.promoted if build is not None else None,
        promoted_from=build.promoted_from if build is not None else "",
        overridden=overridden(request.command),
        services=services_of(case),
        version=case.environment.version[:80],  # text of the pull request
    )
    return context.github.create_deployment(
        sha=case.sha,
        environment=case.environment.name,
        payload=written.to_payload(),
        description=f"/{' '.join([written.verb, *written.services])} by {request.actor}",
        production=case.environment.production,
    )


def services_of(case: Case) -> tuple[str, ...]:
    """Return the services that alone are released, or that the release was of to which a rollback goes back."""
    if case.goal is not None:
        return case.goal.record.services
    return case.environment.services if case.environment.left else ()


def image_of(case: Case) -> str:
    """Return the repository of the image that is released, ``""`` where there are no images."""
    if case.build is not None and case.build.promoted is not None:
        return case.build.promoted.reference.partition("@")[0]
    if case.goal is not None:
        return case.goal.record.image
    spec = case.environment.spec
    return spec.image if isinstance(spec, CloudRunSpec) else ""


def announce(context: Context, case: Case, deployment: Deployment) -> None:
    """Say that it began; close what an interrupted run left open. The release does not hang on either."""
    url = context.settings.run.url
    with suppress(SlipwayError):
        context.github.set_status(deployment.id, "in_progress", description="Releasing", log_url=url)
    for entry in case.history:
        if not entry.finished and entry.deployment.id != deployment.id:
            abandon(context, entry.deployment, "Its run ended before it did.")
            tell_of_interruption(context, case.request, case.environment.name, entry)


def close(context: Context, deployment: Deployment, state: str, description: str, url: str) -> None:
    """Write the last status of a deployment. Raises what GitHub answers."""

    def write() -> None:
        context.final.set_status(
            deployment.id, state, description=description, environment_url=url, log_url=context.settings.run.url
        )

    insist(write, context.clock)


def put_on_hold(context: Context, case: Case) -> None:
    """Put automatic releases on hold: a push would bring back what was just taken away. Raises what GitHub answers."""
    request, run = case.request, context.settings.run
    context.final.put_mark(
        "hold",
        LockRecord(
            environment=case.environment.name,
            run_id=run.id,
            run_attempt=run.attempt,
            actor=request.actor,
            pull_request=request.number or None,
            sha=case.sha,
            since=datetime.fromtimestamp(context.clock.now(), UTC),
            reason=request.command.flags.get("reason", ""),
            sticky=True,
        ),
    )
