"""``/history``, ``/diff`` and ``/changelog``: what was released to an environment, what would be, what that brought.

They go by the record alone: no cloud is asked, so that they can be answered at once and without any right there.
"""

from __future__ import annotations

from bot.app.context import Context, Request
from bot.core.changes import migrations
from bot.core.config import Config
from bot.core.facts import Comparison
from bot.core.outcome import Decision, Outcome, Reason, Refusal
from bot.core.ports import HISTORY
from bot.core.record import Entry, entries
from bot.core.words import short
from bot.errors import NotFoundError
from bot.report.history import Difference, Past, difference_comment, history_comment

SHOWN = 10


def history(context: Context, _config: Config, request: Request) -> Outcome:
    """Show the newest releases of an environment, how they went and how long they took."""
    limit = _limit(request.command.flags.get("limit", ""))
    if isinstance(limit, Refusal):
        return context.refuse(request, (limit,))
    name = request.command.environment
    past = entries(context.deployments(name).result())
    report = Past(
        environment=name,
        entries=past,
        shown=limit,
        now=context.clock.now(),
        repository_url=_repository_url(context),
    )
    context.say(request, history_comment(report, marker=context.marker(request)))
    return context.ended(request, Decision.ANSWERED, Reason.HISTORY_SHOWN)


def diff(context: Context, _config: Config, request: Request) -> Outcome:
    """Show the commits that a release of this pull request would bring, and the migrations among them."""
    name = request.command.environment
    serves = _serves(context, name, whole=True)
    try:
        head = _head(context, request)
    except NotFoundError:
        return context.refuse(request, (_no_commit(request.command.sha),))
    found = _compare(context, serves.record.sha, head) if serves is not None else None
    return _shown(
        context, request, _difference(context, name, serves.record.sha if serves else "", head, found), "diff"
    )


def changelog(context: Context, _config: Config, request: Request) -> Outcome:
    """Show what the release that serves has brought."""
    name = request.command.environment
    serves = _serves(context, name)
    if serves is None:
        refusal = Refusal(
            reason=Reason.NOTHING_RECORDED,
            sentence=f"No release of `{name}` is recorded that went well.",
            next=f"`/history {name}` shows those that there are",
        )
        return context.refuse(request, (refusal,))
    before, now = serves.record.before_sha, serves.record.sha
    found = _compare(context, before, now) if before else None
    return _shown(context, request, _difference(context, name, before, now, found), "changelog")


def _shown(context: Context, request: Request, difference: Difference, what: str) -> Outcome:
    marker = context.marker(request, difference.sha)
    context.say(request, difference_comment(difference, marker=marker, shipped=what == "changelog"))
    return context.ended(request, Decision.ANSWERED, Reason.DIFF_SHOWN)


def _difference(context: Context, name: str, before: str, sha: str, found: Comparison | None) -> Difference:
    return Difference(
        environment=name,
        before=before,
        sha=sha,
        comparison=found,
        migrations=migrations(found.files) if found is not None else (),
        repository_url=_repository_url(context),
    )


def _serves(context: Context, name: str, *, whole: bool = False) -> Entry | None:
    """Return the newest release that went well, by the record. ``whole``: of all services."""
    past = entries(context.deployments(name).result())
    return next(
        (
            entry
            for entry in past
            if entry.succeeded and (not whole or entry.record.whole or entry.record.verb == "rollback")
        ),
        None,
    )


def _head(context: Context, request: Request) -> str:
    """Return the commit that would be released: the one named, else the pull request's, else the default branch's."""
    if request.command.sha or not request.number:
        return context.github.commit(request.command.sha or context.default_branch).sha
    pull = context.pull_request(request.number).result()
    return pull.merge_sha if pull.merged else pull.head_sha


def _compare(context: Context, before: str, sha: str) -> Comparison | None:
    return context.github.compare(before, sha) if before != sha else Comparison(ahead_by=0, behind_by=0)


def _limit(text: str) -> int | Refusal:
    if not text:
        return SHOWN
    if text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= HISTORY:
        return int(text)
    return Refusal(
        reason=Reason.BAD_ARGUMENTS,
        sentence=f"`--limit={text}` is no number from 1 to {HISTORY}.",
        next=f"`/history staging --limit={SHOWN}`",
    )


def _no_commit(sha: str) -> Refusal:
    return Refusal(
        reason=Reason.SHA_UNKNOWN,
        sentence=f"There is no commit `{short(sha)}` in this repository.",
        next="Give a sha of it, 7 to 40 hex digits.",
    )


def _repository_url(context: Context) -> str:
    return f"{context.settings.server_url}/{context.settings.repository}"
