"""The answer to ``/cancel``."""

from __future__ import annotations

from bot.core.facts import LockRecord
from bot.report.comment import paragraphs
from bot.report.markdown import cell, code, link
from bot.report.words import short


def cancel_comment(environment: str, running: LockRecord, *, run_url: str, forced: bool, marker: str) -> str:
    """Return that a release was asked to stop, or is ended by force."""
    what = f"the release of {code(short(running.sha))} to **{cell(environment)}** by {cell(running.actor)}"
    run = link("its run", run_url)
    if forced:
        told = (
            f"🛑 By force: {what} is ended wherever it is ({run}), and brings nothing back itself. "
            f"Tidy up with {code(f'/rollback {environment}')}, or release again."
        )
    else:
        told = (
            f"🛑 Asked to stop: {what} ({run}). It brings back what served before and tells in its own comment. "
            f"If it still runs after half a minute: {code(f'/cancel {environment}')} once more ends it by force."
        )
    return paragraphs([f"{marker}\n{told}"])
