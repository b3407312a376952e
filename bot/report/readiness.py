"""What ``/status`` says of a pull request: where it could be released now, and what is missing where it could not."""

from __future__ import annotations

from collections.abc import Sequence

from bot.core.outcome import Readiness, Refusal
from bot.report.comment import instruction
from bot.report.markdown import cell, code, prose
from bot.report.words import count, listing, short


def readiness_section(found: Sequence[Readiness]) -> str:
    """Return an item for each environment: what its release would bring, and every gate that says no to it."""
    if not found:
        return ""
    return "\n".join(["#### From here, now", "", *(line for one in found for line in _item(one))])


def _item(one: Readiness) -> list[str]:
    what = " ".join(filter(None, [code(one.command), f"({code(short(one.sha))})" if one.sha else ""]))
    head = f"{'🚫' if one.refusals else '✅'} **{cell(one.environment)}**: {what}"
    said = [head if not one.refusals else f"{head} would be refused", _brings(one), _approved(one)]
    items = [f"  - {_refused(refusal)}" for refusal in one.refusals]
    return [f"- {' · '.join(filter(None, said))}", *items]


def _refused(refusal: Refusal) -> str:
    advice = f" **Next:** {instruction(refusal.next).removesuffix('.')}." if refusal.next else ""
    return f"{prose(refusal.sentence)}{advice}"


def _brings(one: Readiness) -> str:
    """Return how far it is from what was released last."""
    found = one.comparison
    if found is None:
        return ""
    ahead = count(found.ahead_by, "commit") if found.ahead_by else ""
    behind = count(found.behind_by, "commit") if found.behind_by else ""
    if not ahead and not behind:
        return "released last, brings nothing new"
    return " and ".join(filter(None, [f"brings {ahead}" if ahead else "", f"takes back {behind}" if behind else ""]))


def _approved(one: Readiness) -> str:
    if not one.wanted or not one.approved:
        return ""
    return f"approved by {listing([prose(login, 60) for login in one.approved])} ({len(one.approved)} of {one.wanted})"
