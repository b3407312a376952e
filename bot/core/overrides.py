"""Break-glass: gates that somebody who may skips by name, with a reason, in sight of everybody."""

from __future__ import annotations

from bot.core.commands import Command, spelled
from bot.core.outcome import Reason, Refusal
from bot.core.words import listed

FLAG = "override"
# What guards against haste. Never what says whose code it is, which commit is meant, or who holds the environment.
OVERRIDABLE = (
    "required_checks",
    "reviewed",
    "up_to_date",
    "soaked",
    "approvals",
    "in_window",
    "not_frozen",
    "not_claimed",
)


def overridden(command: Command) -> tuple[str, ...]:
    """Return the gates that a command names, each once."""
    words = command.flags.get(FLAG, "").replace(",", " ").lower().split()
    return tuple(dict.fromkeys(words))


def misused(command: Command) -> Refusal | None:
    """Return what is wrong with how gates were overridden, None if nothing is."""
    if FLAG not in command.flags:
        return None
    known = f"These can be overridden: {listed(OVERRIDABLE)}"
    names = overridden(command)
    wrong = [name for name in names if name not in OVERRIDABLE]
    if wrong or not names:
        what = f"{listed(wrong)} cannot be overridden" if wrong else "No gate was named"
        return Refusal(reason=Reason.BAD_ARGUMENTS, sentence=f"{what}.", next=known)
    if not command.flags.get("reason", "").strip():
        again = f'{spelled(command)} --override={",".join(names)} --reason="…"'
        return Refusal(
            reason=Reason.BAD_ARGUMENTS,
            sentence="Overriding a gate wants a reason: it is written down.",
            next=f"`{again}`",
        )
    return None
