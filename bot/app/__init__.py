"""From an event to its outcome: the one imperative function, straight down the page.

What may be decided from values is decided in :mod:`bot.core`; this package asks, decides, acts and reports.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace

from bot.app.authorisation import authorise, by_itself
from bot.app.context import Context, Request
from bot.app.reading import Asked, expand, read
from bot.core.commands import MAX_COMMANDS, spelled
from bot.core.config import Config
from bot.core.config_file import load
from bot.core.events import Event, PullRequestEvent, PushEvent
from bot.core.facts import Permission
from bot.core.outcome import Decision, Outcome, Reason, Refusal
from bot.core.references import is_production
from bot.core.registry import EVERY, REGISTRY
from bot.core.words import nearest, there_is
from bot.errors import ConfigError, SlipwayError

__all__ = ["Context", "Request", "handle"]

Handler = Callable[[Context, Config, Request], Outcome]

_HANDLERS: Mapping[str, tuple[str, str]] = {
    "deploy": ("bot.app.release", "release"),
    "promote": ("bot.app.release", "release"),
    "rollback": ("bot.app.release", "release"),
    "retry": ("bot.app.retrying", "retry"),
    "cancel": ("bot.app.cancelling", "cancel"),
    "approve": ("bot.app.approving", "approve"),
    "reject": ("bot.app.approving", "reject"),
    "lock": ("bot.app.marks", "lock"),
    "unlock": ("bot.app.marks", "unlock"),
    "freeze": ("bot.app.marks", "freeze"),
    "unfreeze": ("bot.app.marks", "unfreeze"),
    "preview": ("bot.app.previews", "preview"),
    "history": ("bot.app.histories", "history"),
    "diff": ("bot.app.histories", "diff"),
    "changelog": ("bot.app.histories", "changelog"),
    "verify": ("bot.app.verifying", "verify"),
    "logs": ("bot.app.logs", "logs"),
    "doctor": ("bot.app.doctor", "doctor"),
    "whoami": ("bot.app.answers", "whoami"),
    "status": ("bot.app.answers", "answer_status"),
    "help": ("bot.app.answers", "answer_help"),
}


def handle(event: Event, context: Context) -> Outcome:
    """Carry out what an event asks for and return how it ended.

    Every command is read and authorised before any is run; they run in order and stop at the first that fails.

    Raises:
        SlipwayError: a fault of the world. Where there is a pull request, its author has been told there already,
            unless it could not be found out whether he may be.
    """
    asked = read(event, context.settings)
    if asked is None:
        context.unreact(event)
        return Outcome(decision=Decision.IGNORED, reason=Reason.NOT_A_COMMAND)
    context.prefetch(asked.requests)
    permission: Permission = "none"
    try:
        permission = _permission(context, event, asked)
        accepted = _accept(context, event, asked, permission)
    except SlipwayError as error:
        if permission not in {"none", "read"}:
            context.tell_problem(asked.origin, error, unchanged=True)
        context.react("confused")
        raise
    if isinstance(accepted, Outcome):
        return accepted
    config, requests = accepted
    return _run(context, config, requests)


def _permission(context: Context, event: Event, asked: Asked) -> Permission:
    """Return the role of whoever asks.

    An app (a merge queue) is no collaborator and has none. That it could push to a branch of this repository, past the
    branch's own rules, proves the right to write there, and no more.
    """
    if by_itself(asked.origin):
        return "write"
    permission = context.permission(asked.origin.actor).result()
    pushed = isinstance(event, PushEvent | PullRequestEvent) and event.actor_is_bot
    return "write" if pushed and permission == "none" else permission


def _accept(
    context: Context, event: Event, asked: Asked, permission: Permission
) -> Outcome | tuple[Config, tuple[Request, ...]]:
    """Read and authorise every command: return them with the configuration, or how it ended already."""
    if permission == "none":
        return context.refuse(asked.origin, (_outsider(asked.origin),), silent=True)
    try:
        config = load_config(context)
    except ConfigError as error:
        return _config_problem(context, asked, error, permission)
    if asked.misread is not None:
        return _misread(context, event, asked, permission, config)
    requests = tuple(map(context.addressed, expand(asked.requests, config, context.settings)))
    if not requests:
        return _nothing(asked.origin)
    for request in requests:
        refusal = authorise(context, config, request, permission)
        if refusal is not None:
            return context.refuse(request, (refusal,), silent=permission == "read")
    crowd = _too_many(requests)
    if crowd is not None:
        return context.refuse(asked.origin, (crowd,))
    return config, requests


def _nothing(origin: Request) -> Outcome:
    if origin.trigger == "pull_request":
        message = "No environment's previews have `renew: push`."
        return Outcome(decision=Decision.IGNORED, reason=Reason.NO_PREVIEW, message=message)
    return Outcome(
        decision=Decision.IGNORED, reason=Reason.NOTHING_TO_RELEASE, message="No environment has `on: push`."
    )


def _run(context: Context, config: Config, requests: tuple[Request, ...]) -> Outcome:
    """Run the commands in order, up to the first that is not carried out; return how that ended."""
    outcomes: list[Outcome] = []
    for request in requests:
        outcomes.append(_one(context, config, request))
        if outcomes[-1].decision in {Decision.REFUSED, Decision.FAILED, Decision.CANCELLED}:
            break
    names = tuple(dict.fromkeys(name for outcome in outcomes for name in outcome.environments))
    # The next job is started for what was let through, whatever became of the commands after it.
    next_jobs = {Decision.RELEASE, Decision.PREVIEW, Decision.ASK}
    let_through = [outcome for outcome in outcomes if outcome.decision in next_jobs]
    if not let_through:
        return replace(outcomes[-1], environments=names)
    shas = {outcome.sha for outcome in let_through if outcome.sha}
    # Commands that mean different commits pin none: each is held to what its author saw once more by its own gates.
    return replace(let_through[0], environments=names, sha=shas.pop() if len(shas) == 1 else "")


def _one(context: Context, config: Config, request: Request) -> Outcome:
    try:
        problem = _environment_problem(config, request)
        if problem is not None:
            return context.refuse(request, (problem,))
        module, name = _HANDLERS[request.command.verb]
        # Each is imported where it is wanted: a run carries out one, and starts for it alone.
        handler: Handler = getattr(importlib.import_module(module), name)
        return handler(context, config, request)
    except SlipwayError as error:
        context.tell_problem(request, error)
        context.react("confused")
        raise
    except Exception as error:  # a bug: whoever waits for an answer is told before the log is
        context.tell_problem(request, SlipwayError(f"{type(error).__name__} in the bot itself."))
        raise


def load_config(context: Context) -> Config:
    """Read the configuration from the default branch.

    Raises:
        ConfigError: there is none, or it is wrong.
    """
    path = context.settings.config_path
    text = context.config_text().result()
    if text is None:
        error = ConfigError(
            f"There is no `{path}` on `{context.default_branch}`.",
            hint="Add it there: a pull request's own configuration is never used. See docs/tutorial.md.",
        )
        error.reason = Reason.CONFIG_MISSING.value
        raise error
    return load(text, file=path)


# -- what is refused ----------------------------------------------------------------------------------------
def _outsider(request: Request) -> Refusal:
    return Refusal(reason=Reason.FORBIDDEN, sentence=f"{request.actor} has no role on this repository.")


def _too_many(requests: tuple[Request, ...]) -> Refusal | None:
    """A comment holds a handful of commands at most, and one change for each environment."""
    if len(requests) > MAX_COMMANDS and requests[0].trigger == "comment":
        return Refusal(
            reason=Reason.TOO_MANY_COMMANDS,
            sentence=f"One comment may hold {MAX_COMMANDS} commands, not {len(requests)}.",
            next="Write another comment.",
        )
    verbs = [(REGISTRY[request.command.verb], request.command.environment) for request in requests]
    if len({verb.name == "preview" for verb, _ in verbs if verb.mutates}) > 1:  # each kind has a job of its own
        return Refusal(
            reason=Reason.TOO_MANY_COMMANDS,
            sentence="One comment changes releases or previews, not both.",
            next="Write the other one in a comment of its own.",
        )
    if {"release", "ask"} <= {verb.job for verb, _ in verbs}:
        return Refusal(
            reason=Reason.TOO_MANY_COMMANDS,
            sentence="One comment changes something or asks the clouds, not both.",
            next="Write the question in a comment of its own.",
        )
    changed = [environment for verb, environment in verbs if verb.mutates and verb.exclusive]
    twice = next((name for name in changed if changed.count(name) > 1), None)
    if twice is None:
        return None
    return Refusal(
        reason=Reason.TOO_MANY_COMMANDS,
        sentence=f"Two commands in one comment would change `{twice}`.",
        next="Write one, see how it ends, then the other.",
    )


def _environment_problem(config: Config, request: Request) -> Refusal | None:
    name, verb = request.command.environment, request.command.verb
    known = sorted(config.environments, key=lambda key: (is_production(key, config.environments[key]), key))
    if name in config.environments or (not name and not REGISTRY[verb].needs_environment):
        return None
    if name == EVERY and REGISTRY[verb].every:
        return None
    if not name:
        return Refusal(
            reason=Reason.UNKNOWN_ENVIRONMENT,
            sentence=f"Which environment? T{there_is(known)[1:]}.",
            next=f"`{spelled(request.command, environment=known[0])}`",
        )
    guess = nearest(name, known)
    return Refusal(
        reason=Reason.UNKNOWN_ENVIRONMENT,
        sentence=f"There is no environment `{name}`; {there_is(known)}.",
        next=f"`{spelled(request.command, environment=guess)}`" if guess else "",
    )


def _config_problem(context: Context, asked: Asked, error: ConfigError, permission: Permission) -> Outcome:
    """Show a configuration's problems to those who can mend it."""
    if permission not in {"none", "read"}:
        context.tell_problem(asked.origin, error, unchanged=True)
    context.react("confused")
    return Outcome(
        decision=Decision.REFUSED,
        reason=Reason(error.reason),
        message="\n".join([error.message, *error.problems]),
        exit_code=1,
    )


def _misread(context: Context, event: Event, asked: Asked, permission: Permission, config: Config) -> Outcome:
    """Answer a line that is nearly a command with a suggestion; nothing is ever run on a guess."""
    misread = asked.misread
    assert misread is not None
    outsider = permission in {"none", "read"} or (permission == "triage" and misread.unknown)
    if outsider:
        context.unreact(event)
    else:
        context.tell_misread(asked.origin, misread, tuple(sorted(config.environments)))
    return Outcome(
        decision=Decision.REFUSED,
        reason=Reason.UNKNOWN_COMMAND if misread.unknown else Reason.BAD_ARGUMENTS,
        message=misread.sentence,
        exit_code=context.refused_exit,
    )
