"""What is told outside of GitHub when a release has ended: to a chat, and to a server of yours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bot.core.outcome import Decision, Outcome, Reason

Moment = Literal["released", "rolled_back", "failed", "cancelled"]
_SIGNS: Mapping[Moment, str] = {"released": "🟢", "rolled_back": "↩️", "failed": "🔴", "cancelled": "⚪"}
_MOMENTS: Mapping[Decision, Moment] = {
    Decision.RELEASED: "released",
    Decision.FAILED: "failed",
    Decision.CANCELLED: "cancelled",
}


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One notice. ``id`` is the same however often it is sent; ``data`` is the JSON for a server."""

    id: str
    text: str
    link: str
    data: Mapping[str, Any]


def moment_of(outcome: Outcome) -> Moment | None:
    """Return how a release has ended, in the words of the configuration; None for what is no end of a release."""
    if not outcome.deployment_id:
        return None
    return "rolled_back" if outcome.reason is Reason.ROLLED_BACK else _MOMENTS.get(outcome.decision)


def notice_of(outcome: Outcome, moment: Moment, *, link: str) -> Notice:
    """Return the notice of a release that has ended. ``link`` leads to its run."""
    return Notice(
        id=f"slipway-{outcome.deployment_id}-{moment}",
        text=f"{_SIGNS[moment]} {outcome.message}",
        link=link,
        data={"type": f"release.{moment}", "data": dict(outcome.result)},
    )
