"""What an event asks for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from bot.app.context import Request
from bot.core.commands import Command, Misread, parse_comment, parse_line
from bot.core.config import Config
from bot.core.events import CommentEvent, DispatchEvent, Event, PullRequestEvent, PushEvent, ScheduleEvent
from bot.core.registry import REGISTRY
from bot.settings import Settings

SWEEP = "sweep"  # a command of `workflow_dispatch` alone


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The commands of an event, or a line that was meant as one (``misread``) and where to answer it."""

    requests: tuple[Request, ...] = ()
    misread: Misread | None = None

    @property
    def origin(self) -> Request:
        """The first request: what concerns all of them is answered there."""
        return self.requests[0]


def read(event: Event, settings: Settings) -> Asked | None:
    """Return what an event asks for; None when that is nothing. A job that only asks carries out nothing else."""
    asked = _read(event, settings)
    if asked is None or settings.phase != "ask" or asked.misread is not None:
        return asked
    questions = tuple(request for request in asked.requests if REGISTRY[request.command.verb].job == "ask")
    return replace(asked, requests=questions) if questions else None


def _read(event: Event, settings: Settings) -> Asked | None:
    match event:
        case CommentEvent():
            return _comment(event, settings)
        case PushEvent():
            command = Command(verb="deploy", text=f"push to {event.default_branch}")
            request = Request(command=command, actor=event.actor, trigger="push", sha=event.sha, id=f"push-{event.sha}")
            request = replace(request, by_bot=event.actor_is_bot)
            return Asked(requests=(request,))
        case DispatchEvent():
            return _dispatch(event, settings)
        case PullRequestEvent():
            return _pull_request(event)
        case ScheduleEvent():
            return Asked(requests=(_sweep("schedule", settings),))


def _comment(event: CommentEvent, settings: Settings) -> Asked | None:
    if event.author_is_bot and event.author_id not in settings.allowed_bots:
        return None
    parsed = parse_comment(event.body)
    commands = [item for item in parsed if isinstance(item, Command)]
    misread = [item for item in parsed if isinstance(item, Misread)]
    if settings.phase in {"release", "ask"}:  # the command job has answered the rest
        commands = [item for item in commands if REGISTRY[item.verb].job == settings.phase]
        misread = []
    if settings.phase == "release":  # each environment has a job of its own
        commands = [item for item in commands if item.environment in {settings.environment, ""}]
    origin = Request(
        command=Command(verb="help"),
        actor=event.author,
        trigger="comment",
        id=str(event.comment_id),
        number=event.number if event.is_pull_request else 0,
        issue=event.number,
        source_comment=event.comment_id,
        source_node=event.node_id,
        commented_at=event.created_at,
        by_bot=event.author_is_bot,
    )
    wrong = next((item for item in misread if not (item.unknown and commands)), None)
    if wrong is not None:  # one line that cannot be read stops all of them: nothing is half done
        asked = replace(origin, id=f"{event.comment_id}-{wrong.line}")
        return Asked(requests=(asked,), misread=wrong)
    requests = tuple(_asked(origin, item) for item in commands)
    return Asked(requests=requests) if requests else None


def _pull_request(event: PullRequestEvent) -> Asked:
    """Read what happened to a pull request as a command that nobody typed: its preview follows it."""
    closed = event.action == "closed"
    request = Request(
        command=Command(verb="preview", action="close" if closed else "renew", text=f"pull request {event.action}"),
        actor=event.actor,
        trigger="pull_request",
        id=f"{event.action}-{event.number}-{event.head_sha}",
        number=event.number,
        issue=0 if closed else event.number,  # closing says it in the preview's own comment
        sha=event.head_sha,
    )
    return Asked(requests=(request,))


def _sweep(trigger: Literal["schedule", "dispatch"], settings: Settings, actor: str = "") -> Request:
    command = Command(verb="preview", action="sweep", text="sweep")
    return Request(command=command, actor=actor, trigger=trigger, id=f"run-{settings.run.id}")


def _asked(origin: Request, command: Command) -> Request:
    """Return a command of a comment. What ``/promote`` releases is not what the pull request is about."""
    number = 0 if command.verb == "promote" else origin.number
    return replace(origin, command=command, id=f"{origin.source_comment}-{command.line}", number=number)


def _dispatch(event: DispatchEvent, settings: Settings) -> Asked:
    """Read the inputs as the line that somebody would have typed, by the same grammar. ``sweep`` is no such line."""
    if settings.command == SWEEP:
        return Asked(requests=(_sweep("dispatch", settings, event.actor),))
    words = [f"/{settings.command or 'deploy'}", settings.environment, *settings.services]
    words += [f"@{settings.pinned_sha}"] if settings.pinned_sha and settings.phase != "release" else []
    reason = settings.reason.replace('"', "'").replace("\\", "/")
    words += [f'--reason="{reason}"'] if reason else []
    text = " ".join(word for word in words if word)
    parsed = parse_line(text) or Misread(text=text, sentence=f"There is no command `{settings.command}`.", unknown=True)
    request = Request(
        command=parsed if isinstance(parsed, Command) else Command(verb="help", text=text),
        actor=event.actor,
        trigger="dispatch",
        sha=settings.pinned_sha or event.sha,
        id=f"run-{settings.run.id}",
    )
    return Asked(requests=(request,), misread=parsed if isinstance(parsed, Misread) else None)


def expand(requests: tuple[Request, ...], config: Config, settings: Settings) -> tuple[Request, ...]:
    """Give each request its environment: a push means all that say `on: push`, `/deploy` alone the default one."""
    expanded: list[Request] = []
    for request in requests:
        if request.trigger == "push":
            names = [name for name, environment in config.environments.items() if environment.on == "push"]
            expanded += [request.for_environment(name) for name in names]
        elif request.command.verb == "preview":
            expanded += _preview(request, config)
        elif _wants_default(request):
            expanded.append(request.for_environment(config.default_environment or ""))
        else:
            expanded.append(request)
    if settings.phase == "release" and settings.environment:  # each environment has a job of its own
        expanded = [item for item in expanded if item.command.environment == settings.environment]
    return tuple(expanded)


def _wants_default(request: Request) -> bool:
    verb = REGISTRY[request.command.verb]
    return verb.needs_environment and not verb.names_environment and not request.command.environment


def _preview(request: Request, config: Config) -> list[Request]:
    """Give a preview's request its environment: the one with previews, or the default one of several."""
    action = request.command.action
    previews = {name: one.previews for name, one in config.environments.items() if one.previews is not None}
    if action == "renew":
        return [request.for_environment(name) for name, one in previews.items() if one.renew == "push"]
    if request.command.environment or action in {"close", SWEEP}:
        return [request]
    default = config.default_environment or ""
    only = next(iter(previews)) if len(previews) == 1 else default if default in previews else ""
    return [request.for_environment(only)]
