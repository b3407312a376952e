"""``/logs``: the newest lines of what serves. In public only the way to them: nobody knows what an application logs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from bot.app.asking import answered, elsewhere, environment_of, go_on
from bot.app.context import Context, Request
from bot.core.config import Config
from bot.core.outcome import Outcome, Reason, Refusal
from bot.core.partial import services_named
from bot.core.questions import LogLine, LogQuery, log_severity, log_since
from bot.core.resolve import Environment
from bot.core.serving import ServiceState
from bot.core.target import Target
from bot.errors import SlipwayError
from bot.report.questions import Logged, Logs, logs_comment


def logs(context: Context, config: Config, request: Request) -> Outcome:
    """Show the newest lines that an environment's services have logged."""
    environment = environment_of(context, config, request.command.environment)
    asked = _read(request, environment)
    if isinstance(asked, Refusal):
        return context.refuse(request, (asked,))
    if elsewhere(context):
        return go_on(request)
    private = context.gatherer.ask(_private, context)
    target = context.connect(environment.spec)
    serving, shown = target.serving(), private.result()
    asked = replace(asked, begin=context.clock.now() - asked.since)
    read = partial(_logged, context, target, asked=asked, private=shown)
    found = [context.gatherer.ask(read, serving.service(name)) for name in asked.services]
    report = Logs(
        environment=environment.name,
        since=asked.since,
        severity=asked.severity if target.traits.kind == "cloud_run" else "",
        shown=shown,
        services=tuple(future.result() for future in found),
    )
    context.say(request, logs_comment(report, marker=context.marker(request)), rest=False)
    return answered(context, request, Reason.LOGS_SHOWN)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    services: tuple[str, ...]
    since: float  # seconds
    severity: str
    begin: float = 0.0  # Unix time


def _read(request: Request, environment: Environment) -> _Asked | Refusal:
    """Read what was typed after the environment."""
    flags = request.command.flags
    since = log_since(flags.get("since", ""))
    if isinstance(since, Refusal):
        return since
    severity = log_severity(flags.get("severity", ""))
    if isinstance(severity, Refusal):
        return severity
    services = services_named(request.command.services, environment.services, environment.name, verb="logs")
    if isinstance(services, Refusal):
        return services
    return _Asked(services=services, since=since, severity=severity)


def _private(context: Context) -> bool:
    """Whether only people with a role read what is said here. It is asked now, for an event may be old."""
    try:
        return context.github.private()
    except SlipwayError:  # what cannot be told counts as public
        return False


def _logged(context: Context, target: Target, state: ServiceState, *, asked: _Asked, private: bool) -> Logged:
    """Read the lines of what serves of a service, with secrets taken out before anything is cut."""
    revisions = tuple(dict.fromkeys(share.revision for share in state.traffic if share.percent))
    if not revisions:
        return Logged(service=state.service)
    query = LogQuery(service=state.service, revisions=revisions, since=asked.begin, severity=asked.severity)
    lines = _masked(context, target.log_lines(query)) if private else ()
    return Logged(service=state.service, revisions=revisions, link=target.log_link(query), lines=lines)


def _masked(context: Context, lines: tuple[LogLine, ...]) -> tuple[LogLine, ...]:
    """Mask the texts together: a secret may go over several of them."""
    texts = context.masker.mask_all([line.text for line in lines])
    return tuple(replace(line, text=text) for line, text in zip(lines, texts, strict=True))
