"""Break-glass at work: an issue for each release that went past gates, and what its own comment says of that."""

from __future__ import annotations

from bot.app.authorisation import people
from bot.app.context import Context, Request
from bot.app.decision import Case
from bot.core.facts import Deployment
from bot.core.outcome import Refusal
from bot.core.overrides import overridden
from bot.core.words import listed
from bot.errors import SlipwayError
from bot.report.overriding import Overriding, issue_body, issue_title


def sentences(context: Context, request: Request, refusals: tuple[Refusal, ...]) -> tuple[str, ...]:
    """Return what a release's comment says of overridden gates; ``refusals`` is what those would have said."""
    gates = overridden(request.command)
    if not gates:
        return ()
    who = " and ".join(people(context, request))
    said = [f"{refusal.gate}: {refusal.sentence}" for refusal in refusals]
    return (f"{who} has overridden {listed(gates)}: {request.command.flags['reason']}", *said)


def report(context: Context, case: Case, deployment: Deployment) -> tuple[str, str]:
    """Open the issue, before anything is changed; returns its address, and what went wrong. It fails no release."""
    gates = overridden(case.request.command)
    if not gates:
        return "", ""
    settings = context.settings
    repository = f"{settings.server_url}/{settings.repository}"
    what = Overriding(
        environment=case.environment.name,
        sha=case.sha,
        verb=case.request.command.verb,
        people=people(context, case.request),
        gates=gates,
        reason=case.request.command.flags["reason"],
        refusals=case.bypassed,
    )
    body = issue_body(
        what,
        marker=context.marker(case.request, case.sha),
        repository_url=repository,
        links=(
            ("Where it was said", f"{repository}/issues/{case.request.issue}" if case.request.issue else ""),
            ("The run", settings.run.url),
            ("The deployments", f"{repository}/deployments/{case.environment.name}"),
        ),
    )
    since = deployment.created_at if case.resumed is not None else None
    try:
        issue = context.github.open_issue(context.clean(issue_title(what)), context.clean(body), since)
    except SlipwayError as error:
        return "", f"No issue could be opened about it: {error.message} {error.hint}".strip()
    return issue.url, ""
