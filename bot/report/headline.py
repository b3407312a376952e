"""A release's title and the line under it: the verdict that is read first, in every state.

A title claims no more than the report knows. What serves now is said at every end that is not a success: it is what the
person on call has to know before anything else.
"""

from __future__ import annotations

from typing import assert_never
from urllib.parse import urlsplit

from bot.core.facts import Comparison
from bot.core.outcome import Reason, ReleaseReport, StepResult
from bot.core.titles import place
from bot.report.markdown import cell, code, link
from bot.report.words import count, duration, listing, short

_OVER = frozenset({"done", "skipped"})


def headline(report: ReleaseReport) -> str:
    """Return the heading: verdict, sha, environment, what serves, elapsed time."""
    return "### " + " · ".join(filter(None, [_verdict(report), _aside(report), duration(report.now - report.started)]))


def subline(report: ReleaseReport) -> str:
    """Return the line under the heading: where to look, what was compared with what, who asked."""
    parts = [_place(report), _verified(report), _difference(report), _origin(report)]
    parts.append(f"by {cell(report.actor)}" if report.actor else "")
    return " · ".join(filter(None, [*parts, link(_log_name(report), report.run_url) if report.run_url else ""]))


def failed_step(report: ReleaseReport) -> StepResult | None:
    """Return the first step that failed, None if none did."""
    return next((step for step in report.steps if step.state == "failed"), None)


def first_release(report: ReleaseReport) -> bool:
    """Whether nothing served in the environment before. Without a list of services that is not known: False."""
    return bool(report.services) and not report.previous_sha and not any(line.before for line in report.services)


def compare_url(report: ReleaseReport) -> str:
    """Return the page of the difference to what served before, ``""`` when there is none to show."""
    if report.comparison is not None and report.comparison.url:
        return report.comparison.url
    if not (report.repository_url and report.previous_sha) or report.previous_sha == report.sha:
        return ""
    return f"{report.repository_url}/compare/{report.previous_sha}...{report.sha}"


def _verdict(report: ReleaseReport) -> str:
    sha, where = code(short(report.sha)), f"{_only(report)}**{cell(report.environment)}**"
    match report.verb:
        case "deploy":
            return _deploy_verdict(report, sha, where)
        case "rollback":
            return _rollback_verdict(report, sha, where)
    assert_never(report.verb)


def _only(report: ReleaseReport) -> str:
    """Return which services it is about, where it is not about all: ``web and worker of ``."""
    return f"{listing([code(place(name)) for name in report.only])} of " if report.only else ""


def _deploy_verdict(report: ReleaseReport, sha: str, where: str) -> str:
    failed = failed_step(report)
    at = f" *{cell(failed.title)}*" if failed else ""
    match report.state:
        case "running":
            return f"🟠 {sha} failed{at} on {where}" if failed else f"🟡 Deploying {sha} to {where}"
        case "released":
            return f"🟢 {sha} {'already serves' if report.reason is Reason.ALREADY_DONE else 'is live on'} {where}"
        case "failed":
            return f"🔴 {sha} failed{at} on {where}"
        case "cancelled":
            return f"{_cancelled_sign(report)} Deploying {sha} to {where} was cancelled"
    assert_never(report.state)


def _rollback_verdict(report: ReleaseReport, sha: str, where: str) -> str:
    failed = failed_step(report)
    at = f" at *{cell(failed.title)}*" if failed else ""
    match report.state:
        case "running":
            return f"🟠 Rolling {where} back to {sha} failed{at}" if failed else f"🟡 Rolling {where} back to {sha}"
        case "released":
            return f"🟢 {where} is {'already' if report.reason is Reason.ALREADY_DONE else 'back'} on {sha}"
        case "failed":
            return f"🔴 Rolling {where} back to {sha} failed{at}"
        case "cancelled":
            return f"{_cancelled_sign(report)} Rolling {where} back to {sha} was cancelled"
    assert_never(report.state)


def _cancelled_sign(report: ReleaseReport) -> str:
    return "🔴" if report.restored is False else "⚪"


def _aside(report: ReleaseReport) -> str:
    """Return what follows the verdict: how far it is, or what serves now."""
    match report.state:
        case "running" if failed_step(report):
            return f"restoring {code(short(report.previous_sha))}" if report.previous_sha else "restoring"
        case "running":
            done = sum(step.state in _OVER for step in report.steps)
            return f"step {min(done + 1, len(report.steps))} of {len(report.steps)}" if report.steps else ""
        case "released":
            return ""
        case "failed" | "cancelled":
            return _aftermath(report)
    assert_never(report.state)


def _aftermath(report: ReleaseReport) -> str:
    """Return what serves after a release that did not succeed."""
    if report.restored is False:
        return "**not restored**"
    if not all(line.healthy for line in report.services):
        return "**look at what serves now**"
    previous = code(short(report.previous_sha))
    if report.restored and (report.exposed_seconds > 0 or report.took_back):
        return f"{previous} serves again" if previous else _without_sha(report, "taken back", "as it was before")
    return (
        f"{previous} still serves" if previous else _without_sha(report, "nothing serves yet", "what served still does")
    )


def _without_sha(report: ReleaseReport, first: str, other: str) -> str:
    return first if first_release(report) else other


def _place(report: ReleaseReport) -> str:
    if report.state != "released" or not report.url:
        return ""
    return f"**{link(urlsplit(report.url).netloc or report.url, report.url)}**"


def _verified(report: ReleaseReport) -> str:
    checks = [check for step in report.steps for check in step.checks]
    if report.state != "released" or not checks:
        return ""
    return f"verified {sum(check.passed for check in checks)}/{len(checks)}"


def difference(previous_sha: str, sha: str, comparison: Comparison | None, *, known: str = "which serves now") -> str:
    """Return how a commit compares with what serves, in a plan: ``5 commits ahead of a81d0be``.

    ``known`` is what is known of ``previous_sha``: that it serves is asked of the target, not of the record.
    """
    if not previous_sha:
        return "Nothing that was released from here serves."
    if previous_sha == sha:
        return "The same commit as serves now."
    if comparison is None:
        return f"{code(short(previous_sha))} serves now."
    return f"{_sides(comparison, comparison.url)} {code(short(previous_sha))}, {known}."


def _sides(comparison: Comparison, url: str) -> str:
    """Return the commits on each side, with the word that leads on to the other commit."""
    ahead, behind = comparison.ahead_by, comparison.behind_by
    sides = [f"{count(number, 'commit')} {side}" for number, side in ((ahead, "ahead"), (behind, "behind")) if number]
    of = " of" if ahead and not behind else "" if behind else " from"
    return f"{link(listing(sides), url) or 'no commits apart'}{of}"


def _difference(report: ReleaseReport) -> str:
    """Return how the release compares with what served before."""
    if first_release(report):
        return "first release here"
    if not report.previous_sha:
        return ""
    if report.previous_sha == report.sha:
        # A rollback of a release that was interrupted goes back to what its record says served before.
        return "the same commit as before" if report.verb == "deploy" else ""
    url = compare_url(report)
    previous = code(short(report.previous_sha))
    if report.state == "released" or report.comparison is None:
        was = f"{'was' if report.state == 'released' else 'served before:'} {previous}"
        return f"{was} ({link('diff', url)})" if url else was
    return f"{_sides(report.comparison, url)} {previous}"


def _origin(report: ReleaseReport) -> str:
    return f"the image of **{cell(report.promoted_from)}**" if report.promoted_from else ""


def _log_name(report: ReleaseReport) -> str:
    return "live log" if report.state == "running" else "log"
