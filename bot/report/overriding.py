"""The issue that tells of overridden gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.core.outcome import Refusal
from bot.report.comment import paragraphs
from bot.report.markdown import address, code, prose
from bot.report.words import short


@dataclass(frozen=True, kw_only=True)
class Overriding:
    """Which gates were overridden, by whom and why. ``refusals``: what they would have said."""

    environment: str
    sha: str
    verb: str
    people: tuple[str, ...]
    gates: tuple[str, ...]
    reason: str
    refusals: tuple[Refusal, ...] = ()


def issue_title(what: Overriding) -> str:
    """Return the issue's title, on one line."""
    return f"Break-glass: {short(what.sha)} to {what.environment}, {', '.join(what.gates)} overridden"


def issue_body(what: Overriding, *, marker: str, repository_url: str, links: Sequence[tuple[str, str]]) -> str:
    """Return the issue: who, what, why, the commit, and where to look. ``links``: names and addresses."""
    said = {refusal.gate: refusal.sentence for refusal in what.refusals}
    gates = [f"- {code(gate)}: {prose(said.get(gate, 'would have let it pass.'))}" for gate in what.gates]
    commit = f"[{code(short(what.sha))}]({address(f'{repository_url}/commit/{what.sha}')})"
    who = " and ".join(prose(login, 60) for login in what.people)
    did = f"{who} released {commit} to **{prose(what.environment)}** (`{what.verb}`) past gates that stand in its way."
    return paragraphs(
        [
            f"{marker}\n{did}",
            f"**Why:** {prose(what.reason)}",
            "\n".join(["**Overridden:**", "", *gates]),
            " · ".join(f"[{name}]({address(url)})" for name, url in links if url),
            "Close this once somebody has looked at it.",
        ]
    )
