"""The answer to ``/approve`` and ``/reject``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.core.approvals import Voices, rules
from bot.core.facts import Approval
from bot.report.comment import next_line, paragraphs
from bot.report.markdown import cell, code, prose
from bot.report.words import short


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a commit stands after somebody has spoken. ``release``: the command to say once nothing is missing."""

    environment: str
    said: Approval
    until: datetime
    voices: Voices
    wanted: int
    who: tuple[str, ...]
    release: str


def approval_comment(standing: Standing, *, marker: str) -> str:
    """Return what was said, who else has approved, how many are missing, and what to type next."""
    return paragraphs([f"{marker}\n{_said(standing)}", _count(standing), next_line(_next(standing))])


def _said(standing: Standing) -> str:
    one, where = standing.said, f"**{cell(standing.environment)}**"
    what, who = code(short(one.sha)), prose(one.actor, 60)
    end = f"{standing.until:%Y-%m-%d %H:%M} UTC"
    if one.verdict == "reject":
        return f"⛔ {who} has rejected {what} for {where}. It stands until taken back, or {end}."
    return f"✅ {who} has approved {what} for {where}, until {end}."


def _count(standing: Standing) -> str:
    voices = standing.voices
    approved = f" ({', '.join(prose(login, 60) for login in voices.approved)})" if voices.approved else ""
    but = [f"{prose(login, 60)}'s does not count: {login} {why}." for login, why in voices.discounted]
    against = f" Rejected by {', '.join(prose(login, 60) for login in voices.rejected)}." if voices.rejected else ""
    return " ".join([f"{len(voices.approved)} of {standing.wanted} approvals{approved}.{against}", *but])


def _next(standing: Standing) -> list[str]:
    name, sha = standing.environment, short(standing.said.sha)
    if standing.voices.rejected:
        return [f"whoever has rejected it may take that back: /approve {name} @{sha}"]
    missing = standing.wanted - len(standing.voices.approved)
    if missing > 0:
        who = rules(standing.who).replace("`", "")
        return [f"{missing} more of those who may ({who}): /approve {name} @{sha}"]
    return [f"somebody who has not approved it: {standing.release}" if standing.voices.approved else standing.release]
