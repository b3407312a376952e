"""What is said of a release that waits, in line or for its checks, and of one that was taken out of the line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.core.facts import LockRecord, QueueEntry
from bot.report.comment import paragraphs
from bot.report.markdown import cell, code, link, prose, row
from bot.report.words import clock, duration, listing, short

_ORDINALS = {1: "1st", 2: "2nd", 3: "3rd"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A release in the line of an environment: what ``running`` holds it (None: nothing) and what is ``ahead``.

    ``limit``: how many seconds it may wait.
    """

    environment: str
    waits: QueueEntry
    running: LockRecord | None
    ahead: tuple[QueueEntry, ...]
    limit: float


def queued_comment(place: Place, *, marker: str) -> str:
    """Return that a release waits, its place in the line, and what is before it."""
    waits, name = place.waits, place.environment
    number = len(place.ahead) + 1
    heading = (
        f"### ⏳ {code(short(waits.sha))} waits for **{cell(name)}** · {_ORDINALS.get(number, f'{number}th')} in line"
    )
    before = [("⏳", one.sha, one.actor, one.thread, one.since) for one in place.ahead]
    if place.running is not None:
        running = place.running
        before.insert(0, ("🔄", running.sha, running.actor, running.pull_request or 0, running.since))
    table = [
        row("", "Before it", "Since (UTC)"),
        "|:-:|---|---|",
        *(row(icon, _what(sha, actor, thread), clock(since.timestamp())) for icon, sha, actor, thread, since in before),
    ]
    then = (
        "It starts by itself at its turn, and the gates are asked again then; after "
        f"{duration(place.limit)} in line it is not started any more. "
        f"Take it out of the line: {code(f'/cancel {name}')}"
    )
    footer = f"<sub>as of {clock(waits.since.timestamp())} UTC · {code(f'/status {name}')} shows the line</sub>"
    return paragraphs([f"{marker}\n{heading}", "\n".join(table), then, footer])


def checks_comment(environment: str, sha: str, sentence: str, *, until: float, run_url: str, marker: str) -> str:
    """Return that a release waits for required checks, and until when at most (seconds since the epoch)."""
    heading = f"### ⏳ {code(short(sha))} waits for its checks, for **{cell(environment)}**"
    then = (
        f"It goes on by itself once they are green, until {clock(until)} UTC at most. "
        f"To wait no longer, cancel {link('its run', run_url)}."
    )
    return paragraphs([f"{marker}\n{heading}", prose(sentence), then])


def checked_comment(environment: str, sha: str, *, marker: str) -> str:
    """Return that the checks have ended well, and the release is about to begin."""
    return paragraphs([f"{marker}\n### ⏳ The checks of {code(short(sha))} are green: on to **{cell(environment)}**"])


def dequeued_comment(environment: str, gone: Sequence[QueueEntry], *, running: LockRecord | None, marker: str) -> str:
    """Return which releases were taken out of the line, and that what runs goes on."""
    what = listing([f"{code(short(one.sha))} by {cell(one.actor)}" for one in gone])
    on = (
        f" The release of {code(short(running.sha))} by {cell(running.actor)} that runs goes on."
        if running is not None
        else ""
    )
    return paragraphs([f"{marker}\n🛑 Out of the line for **{cell(environment)}**: {what}.{on}"])


def _what(sha: str, actor: str, thread: int) -> str:
    where = f", PR {thread}" if thread else ""
    return f"{code(short(sha))} by {prose(actor, 60)}{where}"
