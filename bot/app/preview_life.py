"""What becomes of a preview: it is extended, or taken away because somebody said so or the pull request was closed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bot.app.context import Context, Request
from bot.app.facts import resolved_at
from bot.app.moments import LONG, HeldError, moment
from bot.app.upkeep import close_records, drop_revisions, records_of, untag
from bot.core import cleanup
from bot.core.config import Config
from bot.core.outcome import Decision, Outcome, Reason, Refusal
from bot.core.preview_policy import no_previews
from bot.core.previews import Kept, until_said
from bot.core.resolve import Environment
from bot.core.target import Target
from bot.core.upkeep import Upkeep
from bot.errors import SlipwayError
from bot.report.previews import extended_comment, preview_over_comment

_TAKES = 60.0  # seconds that taking a tag off may take
ANY_SHA = "0" * 40  # what is only looked at has no commit


def none_here(request: Request) -> Refusal:
    """Return the refusal of a pull request without a preview."""
    name = request.command.environment
    return Refusal(
        reason=Reason.NO_PREVIEW,
        sentence=f"This pull request has no preview beside `{name}`.",
        next=f"`/preview create {name}`",
    )


def destroy(context: Context, config: Config, request: Request) -> Outcome:
    """Take a pull request's preview away because somebody said so."""
    environment = resolved_at(context, config, request, ANY_SHA)
    if environment.previews is None:
        return context.refuse(request, (no_previews(environment.name),))
    target = context.connect(environment.spec)
    pull = context.pull_request(request.number).result()
    records = records_of(context, environment.name, request.number)
    found = take_away(context, environment, target, request, sha=pull.head_sha)
    open_ones = [one for one in records if not one.over]
    if not found and not open_ones:
        return context.refuse(request, (none_here(request),))
    untold = close_records(context, records, "destroyed", comments=True)
    newest = open_ones[0] if open_ones else None
    body = preview_over_comment(
        sha=newest.record.sha if newest else pull.head_sha,
        environment=environment.name,
        why="destroyed",
        marker=context.marker(request),
    )
    comment = context.say(request, body)
    context.react("rocket")
    context.note(untold)
    return Outcome(
        decision=Decision.DONE,
        reason=Reason.PREVIEW_REMOVED,
        environment=environment.name,
        comment_id=comment.id if comment else 0,
        message=context.clean(" ".join([f"The preview beside {environment.name} is gone.", *untold])),
    )


def take_away(context: Context, environment: Environment, target: Target, request: Request, *, sha: str) -> list[str]:
    """Take a pull request's preview off an environment; returns the tags that were taken off.

    Raises:
        HeldError: a release holds the environment and did not end in time.
    """
    upkeep = target.upkeep
    if upkeep is None or request.number not in cleanup.previews_of(upkeep.holdings()):
        return []
    held = moment(
        context,
        environment.name,
        sha=sha,
        actor=request.actor,
        number=request.number,
        takes=_TAKES,
        patience=LONG,
    )
    with held:
        found = untag(upkeep, (request.number,))
    drop_revisions(context, environment, upkeep, (request.number,))
    return found


# -- the end of a pull request ----------------------------------------------------------------------------------------
def take_away_everywhere(context: Context, config: Config, request: Request) -> Outcome:
    """Take the previews of a pull request away that was closed. It asks what is there, whatever the records say.

    A preview that is being made meanwhile is not seen yet; whoever makes it looks at the pull request last of all.
    """
    gone: list[str] = []
    problems: list[str] = []
    if context.pull_request(request.number).result().state == "open":
        return Outcome(
            decision=Decision.IGNORED, reason=Reason.NO_PREVIEW, message="The pull request was opened again meanwhile."
        )
    names = [name for name, environment in config.environments.items() if environment.previews is not None]
    for name in names:
        one = request.for_environment(name)
        gone += _attempt(problems, partial(_closed, context, config, one))
    message = f"Taken away: {', '.join(gone)}." if gone else "There was no preview to take away."
    context.note([message, *problems])
    return Outcome(
        decision=Decision.FAILED if problems else Decision.DONE,
        reason=Reason.UPSTREAM_FAILED if problems else Reason.PREVIEW_REMOVED if gone else Reason.NO_PREVIEW,
        environments=tuple(names),
        exit_code=1 if problems else 0,
        message=context.clean(" ".join([message, *problems])),
    )


def _attempt(problems: list[str], work: Callable[[], list[str]]) -> list[str]:
    """Do something for one environment; what goes wrong there keeps no other from its turn."""
    try:
        return work()
    except HeldError as error:
        problems.append(f"{error.message} A sweep takes the preview away later.")
    except SlipwayError as error:
        problems.append(error.message)
    return []


def _closed(context: Context, config: Config, request: Request) -> list[str]:
    environment = resolved_at(context, config, request, ANY_SHA)
    target = context.connect(environment.spec)
    found = take_away(context, environment, target, request, sha=request.sha)
    records = records_of(context, environment.name, request.number)
    # What is being made at this moment closes its own record: it will see that the pull request is closed.
    over = [one for one in records if one.finished or not _alive(context, one)]
    context.note(close_records(context, over, "closed", again=False))
    return [f"{tag} on {environment.name}" for tag in found]


def _alive(context: Context, one: Kept) -> bool:
    record = one.record
    return context.github.run_alive(record.run_id, record.run_attempt)


# -- extending --------------------------------------------------------------------------------------------------------
def extend(context: Context, config: Config, request: Request, ttl: float) -> Outcome:
    """Let a preview live longer. It is in the record alone: a revision cannot be changed."""
    pull = context.pull_request(request.number).result()
    environment = resolved_at(context, config, request, pull.head_sha)
    previews = environment.previews
    if previews is None:
        return context.refuse(request, (no_previews(environment.name),))
    records = records_of(context, environment.name, request.number)
    up = next((one for one in records if one.state == "success"), None)
    upkeep = context.connect(environment.spec).upkeep
    if pull.state == "closed" or up is None or upkeep is None or not _reachable(upkeep, request.number):
        return context.refuse(request, (none_here(request),))
    until = context.clock.now() + (ttl or previews.ttl)
    url = next((status.environment_url for status in up.deployment.statuses if status.environment_url), "")
    context.github.set_status(
        up.deployment.id,
        "success",
        description=until_said(until),
        environment_url=url,
        log_url=context.settings.run.url,
    )
    body = extended_comment(
        sha=up.record.sha,
        environment=environment.name,
        until=until,
        now=context.clock.now(),
        url=url,
        marker=context.marker(request),
    )
    comment = context.say(request, body)
    context.react("rocket")
    return Outcome(
        decision=Decision.DONE,
        reason=Reason.PREVIEW_EXTENDED,
        environment=environment.name,
        sha=up.record.sha,
        deployment_id=up.deployment.id,
        url=url,
        comment_id=comment.id if comment else 0,
        message=until_said(until) + ".",
    )


def _reachable(upkeep: Upkeep, number: int) -> bool:
    return number in cleanup.previews_of(upkeep.holdings())
