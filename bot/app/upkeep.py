"""Taking away what is over: previews with their records, tags that are pointless, revisions that nobody needs.

Nothing here is worth failing for: what cannot be removed now is told, and goes another time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

from bot.app.context import Context
from bot.core import cleanup
from bot.core.ports import DEEP_HISTORY, HISTORY
from bot.core.preview_report import Swept
from bot.core.previews import Kept, kept, place_of
from bot.core.record import Entry, entries
from bot.core.resolve import Environment
from bot.core.spec import CloudRunSpec
from bot.core.target import Target
from bot.core.upkeep import Holding, Upkeep
from bot.errors import SlipwayError
from bot.report.comment import marker
from bot.report.previews import preview_over_comment, tidied

_AT_ONCE = 8  # revisions that are deleted at the same time


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How much is kept of an environment. ``now``: seconds since the epoch."""

    keep_revisions: int
    keep_releases: int
    now: float


# -- previews ---------------------------------------------------------------------------------------------------------
def records_of(context: Context, environment: str, number: int) -> tuple[Kept, ...]:
    """Ask for the records of a pull request's previews, newest first."""
    return kept(context.github.deployments(place_of(environment, number), HISTORY))


def untag(upkeep: Upkeep, numbers: Collection[int]) -> list[str]:
    """Take the tags of previews off all services; returns where. The environment has to be held meanwhile."""
    return retagged(upkeep, {holding.service: cleanup.tags_of(holding, numbers) for holding in upkeep.holdings()})


def retagged(upkeep: Upkeep, changes: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Change tags, and say which."""
    changes = {service: tags for service, tags in changes.items() if tags}
    if changes:
        upkeep.retag(changes)
    return [f"`{tag}` of {service}" for service, tags in changes.items() for tag in tags]


def drop_revisions(context: Context, environment: Environment, upkeep: Upkeep, numbers: Collection[int]) -> None:
    """Delete the revisions of previews that are over, as far as they can be now; a sweep finds the rest."""
    with suppress(SlipwayError):
        history = past(context, environment.name, environment.keep_releases)
        needed = cleanup.needed(history, environment.keep_releases) or frozenset()
        for holding in upkeep.holdings():
            keep, now = len(holding.made), context.clock.now()  # releases' revisions are not the matter here
            names = cleanup.deletable(holding, needed=needed, keep=keep, now=now, ended=numbers)
            for name in names[: cleanup.MOST]:
                upkeep.delete(holding.service, name)


def close_records(
    context: Context, records: Iterable[Kept], why: str, *, but: int = 0, again: bool = True, comments: bool = True
) -> list[str]:
    """Make the records of a preview that is gone say so, and their comments; returns what could not be written.

    ``but``: the comment that is about the preview that takes its place.
    """
    untold: list[str] = []
    for one in records:
        if one.over:
            continue
        record = one.record
        try:
            context.final.set_status(one.deployment.id, "inactive", description=f"Gone: {why}.")
            if comments and record.comment_id and record.comment_id != but:
                body = preview_over_comment(
                    sha=record.sha,
                    environment=record.environment,
                    why=why,
                    marker=marker(record.id, environment=record.environment, sha=record.sha),
                    again=again,
                )
                context.final.edit_comment(record.comment_id, body)
        except SlipwayError as error:
            untold.append(error.message)
    return untold


# -- releases ---------------------------------------------------------------------------------------------------------
def after_release(context: Context, environment: Environment, target: Target) -> None:
    """Clean up behind a release that went well, while it still holds the environment. Never fails it.

    What was done, or could not be, is told in the job summary.
    """
    upkeep = target.upkeep
    if upkeep is None or context.clock.stopping or not isinstance(environment.spec, CloudRunSpec):
        return
    swept = Swept(environment=environment.name)
    try:
        history = past(context, environment.name, environment.keep_releases)
        swept = tidy(upkeep, history, rules_of(environment, context.clock.now()), swept)
    except SlipwayError as error:
        swept = replace(swept, problems=(f"Not everything was cleaned up: {error.message}",))
    except Exception as error:  # noqa: BLE001 - a bug here must not fail what is live and verified
        swept = replace(swept, problems=(f"The clean-up ended with {type(error).__name__} in the bot itself.",))
    text = tidied(swept)
    if text:
        context.summary.append(context.clean(text))


def rules_of(environment: Environment, now: float) -> Rules:
    """Return how much is kept of an environment."""
    return Rules(keep_revisions=environment.keep_revisions, keep_releases=environment.keep_releases, now=now)


def past(context: Context, environment: str, keep_releases: int) -> tuple[Entry, ...]:
    """Ask for an environment's record, so far back that the releases to keep are in it."""
    history = entries(context.github.deployments(environment, HISTORY))
    if sum(entry.succeeded for entry in history) > keep_releases or len(history) < HISTORY:
        return history
    return entries(context.github.deployments(environment, DEEP_HISTORY))


def tidy(upkeep: Upkeep, history: tuple[Entry, ...], rules: Rules, swept: Swept) -> Swept:
    """Take pointless tags off, and delete revisions; returns what was done. The environment has to be held."""
    holdings = upkeep.holdings()
    tags = retagged(upkeep, {holding.service: cleanup.pointless(holding, history) for holding in holdings})
    holdings = upkeep.holdings() if tags else holdings
    return delete(upkeep, holdings, history, rules, replace(swept, tags=(*swept.tags, *tags)))


def delete(
    upkeep: Upkeep,
    holdings: Iterable[Holding],
    history: tuple[Entry, ...],
    rules: Rules,
    swept: Swept,
    *,
    ended: Collection[int] = (),
) -> Swept:
    """Delete the revisions that nobody needs, so many at most as a run may; returns what was done."""
    needed = cleanup.needed(history, rules.keep_releases)
    spare = [
        (holding.service, name)
        for holding in holdings
        for name in cleanup.deletable(holding, needed=needed, keep=rules.keep_revisions, now=rules.now, ended=ended)
    ]
    problems: list[str] = []
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        went = pool.map(lambda one: _deleted(upkeep, one[0], one[1], problems), spare[: cleanup.MOST])
        gone = [name for (_, name), deleted in zip(spare, went, strict=False) if deleted]
    return replace(
        swept,
        revisions=(*swept.revisions, *gone),
        left=max(0, len(spare) - cleanup.MOST),
        problems=(*swept.problems, *dict.fromkeys(problems)),
    )


def _deleted(upkeep: Upkeep, service: str, name: str, problems: list[str]) -> bool:
    try:
        return upkeep.delete(service, name)
    except SlipwayError as error:
        problems.append(error.message)
        return False
