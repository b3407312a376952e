"""Which tags and revisions go: values in, values out.

What is kept is kept for a reason, and what has no reason goes. Evidence that is missing is a reason to keep.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from bot.core.previews import Kept, tag_of
from bot.core.record import Entry, base36
from bot.core.upkeep import Holding, Made
from bot.core.words import short

MOST = 20  # revisions deleted in one run: a run is to end, and what is left goes with the next one
YOUNG = 86_400.0  # seconds: what is younger may belong to a release that is under way

Why = Literal["closed", "expired", "destroyed"]


# -- previews ---------------------------------------------------------------------------------------------------------
def previews_of(holdings: Iterable[Holding]) -> dict[int, tuple[Made, ...]]:
    """Return the previews that can be reached, by pull request, each with the revisions that its tags lead to."""
    found: dict[int, list[Made]] = {}
    for holding in holdings:
        for tag, revision in holding.tags.items():
            made = holding.by_name(revision)
            if made is not None and made.preview and tag == tag_of(made.preview):
                found.setdefault(made.preview, []).append(made)
    return {number: tuple(revisions) for number, revisions in found.items()}


def until_of(number: int, revisions: Iterable[Made], records: Iterable[Kept]) -> float:
    """Return when a preview ends: the latest time that its record or its revisions name, 0 if none does.

    An extension is in the record alone, for a revision cannot be changed.
    """
    told = [kept.until for kept in records if kept.record.number == number and not kept.over]
    return max([*told, *(made.until for made in revisions)], default=0.0)


def why_over(*, state: str, until: float, now: float) -> Why | None:
    """Return why a preview is over, None if it is not. ``state``: the pull request's, ``""`` if it is not known."""
    if state == "closed":
        return "closed"
    return "expired" if until and until <= now else None


def tags_of(holding: Holding, numbers: Collection[int]) -> dict[str, str]:
    """Return the change of a service's tags that takes these pull requests' previews away."""
    return {
        tag: ""
        for tag, revision in holding.tags.items()
        if (made := holding.by_name(revision)) and made.preview in numbers and tag == tag_of(made.preview)
    }


# -- releases ---------------------------------------------------------------------------------------------------------
def pointless(holding: Holding, history: Iterable[Entry]) -> dict[str, str]:
    """Return the change of a service's tags that takes off those that releases left on what serves no more.

    A tag on what serves is left: it is the address at which the next release's stages find the version before it. A
    candidate's tag is left too, while its release is not known to have ended.
    """
    by_key = {entry.key: entry for entry in history}
    serving = {share.revision for share in (*holding.serving, *holding.asked) if share.percent}
    gone: dict[str, str] = {}
    for tag, revision in holding.tags.items():
        made = holding.by_name(revision)
        entry = by_key.get(made.release) if made is not None and not made.preview else None
        if entry is None or not entry.finished or revision in serving:
            continue
        given = {tag_of(entry.record.pull_request), f"sha-{short(entry.record.sha)}"}
        if tag in given:
            gone[tag] = ""
    return gone


def needed(history: Sequence[Entry], keep_releases: int) -> frozenset[str] | None:
    """Return what the last successful releases served: keys of deployments and names of revisions.

    A way back leads to a state that a later record holds, so what the records say that served before is needed as well.
    None when no success is recorded: then nothing is known, and nothing goes.
    """
    found: set[str] = set()
    successes = 0
    for entry in history:  # newest first
        if successes == keep_releases:
            break
        successes += entry.succeeded
        if entry.succeeded or not entry.finished:
            found.update((entry.key, base36(entry.record.goal)))
        for state in entry.record.before.services:
            found.update(share.revision for share in state.traffic if share.percent)
    return frozenset(found) if successes else None


def deletable(
    holding: Holding, *, needed: frozenset[str] | None, keep: int, now: float, ended: Collection[int] = ()
) -> tuple[str, ...]:
    """Return the revisions of a service that nobody needs, oldest first.

    ``needed`` is :func:`needed`'s answer, ``keep`` how many of the newest are kept whatever they are. A preview's
    revision is of no use without its tag; it goes at once if its preview is among ``ended``, else once it is not young.
    """
    spare = [made for made in holding.made if made.name not in holding.used and made.name != holding.latest]
    newest = [made.name for made in holding.made if not made.preview][:keep]

    def goes(made: Made) -> bool:
        young = now - made.created < YOUNG
        if {made.name, made.release} & (needed or frozenset()):
            return False  # even a preview's: somebody may have let it serve, and a release have found it there
        if made.preview:
            return made.preview in ended or not young
        return not young and needed is not None and made.name not in newest

    return tuple(made.name for made in sorted(spare, key=lambda made: made.created) if goes(made))
