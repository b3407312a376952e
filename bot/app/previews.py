"""``/preview`` and the events of a pull request: which preview is meant, whether there may be one, and the answer."""

from __future__ import annotations

from dataclasses import replace

from bot.app.context import Context, Request
from bot.app.facts import resolved_at
from bot.app.moments import HeldError
from bot.app.preview_case import Case
from bot.app.preview_life import destroy, extend, take_away_everywhere
from bot.app.preview_making import make
from bot.app.sweep import sweep
from bot.app.upkeep import records_of
from bot.core.config import Config
from bot.core.facts import PullRequest
from bot.core.outcome import Decision, Outcome, Reason, Refusal
from bot.core.policy import Facts
from bot.core.preview_policy import asked_ttl, judge, no_previews
from bot.core.previews import Kept
from bot.core.resolve import Environment
from bot.core.words import listed, short

NOT_A_PULL_REQUEST = Refusal(
    reason=Reason.NOT_A_PULL_REQUEST,
    sentence="This is an issue: there is no branch to preview here.",
    next="Comment on a pull request.",
)


def preview(context: Context, config: Config, request: Request) -> Outcome:
    """Make, renew, extend or remove a preview, or sweep; return how it ended.

    Raises:
        SlipwayError: a fault of the world before anything was changed.
    """
    action = request.command.action
    if action in {"sweep", "close"}:  # nobody's command, and about all environments
        return sweep(context, config, request) if action == "sweep" else take_away_everywhere(context, config, request)
    refusal = _problem(config, request)
    ttl = asked_ttl(action, request.command.flags.get("ttl", ""))
    if refusal is not None or isinstance(ttl, Refusal):
        return context.refuse(request, tuple(one for one in (refusal, ttl) if isinstance(one, Refusal)))
    if action in {"destroy", "extend"} and _only_asked(context):
        return _ready(request, "")
    try:
        match action:
            case "destroy":
                return destroy(context, config, request)
            case "extend":
                return extend(context, config, request, ttl)
            case _:
                return _create(context, config, request, ttl)
    except HeldError as error:
        return context.refuse(request, (error.refusal,))


def _problem(config: Config, request: Request) -> Refusal | None:
    """Say what keeps a command from meaning one preview."""
    if not request.number:
        return NOT_A_PULL_REQUEST
    return None if request.command.environment else _which(config, request.command.action)


def _only_asked(context: Context) -> bool:
    """Whether another job, with rights to the cloud, does what is let through here."""
    return context.settings.phase == "command"


def _ready(request: Request, sha: str) -> Outcome:
    name = request.command.environment
    return Outcome(
        decision=Decision.PREVIEW,
        reason=Reason.READY,
        environment=name,
        environments=(name,) if name else (),
        sha=sha,
    )


def _which(config: Config, action: str) -> Refusal:
    names = [name for name, environment in config.environments.items() if environment.previews is not None]
    if not names:
        return no_previews(config.default_environment or next(iter(config.environments)))
    return Refusal(
        reason=Reason.UNKNOWN_ENVIRONMENT,
        sentence=f"Which environment? There are previews in {listed(names)}.",
        next=f"`/preview {action} {names[0]}`",
    )


def _create(context: Context, config: Config, request: Request, ttl: float) -> Outcome:
    """Make a preview, or renew the one there is."""
    pull = context.pull_request(request.number).result()
    renewing = request.command.action == "renew"
    if renewing and pull.head_sha != request.sha:
        return _left_alone(request, Reason.HEAD_MOVED, f"A newer push than `{short(request.sha)}` is the head now.")
    moved = _moved(context, request, pull)
    if moved is not None:
        return context.refuse(request, (moved,))
    environment = resolved_at(context, config, request, pull.head_sha, building=True)
    refusals = judge(_facts(context, request, pull, environment))
    if refusals and renewing:
        return _left_alone(request, refusals[0].reason, refusals[0].sentence)
    if refusals:
        return context.refuse(request, refusals, sha=pull.head_sha)
    records = records_of(context, environment.name, request.number)
    newest = records[0] if records else None
    if renewing and (newest is None or newest.over):
        return _left_alone(request, Reason.NO_PREVIEW, "This pull request has no preview to renew.")
    if newest is not None and newest.record.id == request.id and newest.state == "success":
        return _already_done(request, newest)
    if _only_asked(context):
        return _ready(request, pull.head_sha)
    previews = environment.previews
    assert previews is not None  # a gate
    case = Case(
        request=request,
        environment=environment,
        previews=previews,
        pull=pull,
        sha=pull.head_sha,
        until=context.clock.now() + (ttl or previews.ttl),
        records=records,
    )
    return make(context, case)


def _moved(context: Context, request: Request, pull: PullRequest) -> Refusal | None:
    """Hold the head to the commit that the job before this one let through."""
    pinned = context.settings.pinned_sha if context.settings.phase == "release" else ""
    if not pinned or pull.head_sha.startswith(pinned):
        return None
    return Refusal(
        reason=Reason.HEAD_MOVED,
        sentence=f"The branch moved from `{short(pinned)}` to `{short(pull.head_sha)}` after the command was accepted.",
        next=f"`/preview create {request.command.environment}`",
    )


def _facts(context: Context, request: Request, pull: PullRequest, environment: Environment) -> Facts:
    """Ask when the head was pushed, where that has to be known."""
    pushed = None
    if request.trigger == "comment" and not request.command.sha and not pull.from_fork and not pull.merged:
        pushed = context.ask(context.github.pushed_at, pull.head_ref, pull.head_sha).result()
    return Facts(
        trigger=request.trigger,
        command=request.command,
        environment=environment,
        sha=pull.head_sha,
        default_branch=context.default_branch,
        pull_request=pull,
        commented_at=request.commented_at,
        head_pushed_at=pushed,
    )


def _left_alone(request: Request, reason: Reason, sentence: str) -> Outcome:
    """Return the outcome of a push that renews nothing: nobody asked, so nobody is told but the log."""
    return Outcome(decision=Decision.IGNORED, reason=reason, environment=request.command.environment, message=sentence)


def _already_done(request: Request, done: Kept) -> Outcome:
    return replace(
        _left_alone(request, Reason.ALREADY_DONE, "This very command has been carried out already."),
        decision=Decision.ANSWERED,
        sha=done.record.sha,
        deployment_id=done.deployment.id,
        comment_id=done.record.comment_id,
    )
