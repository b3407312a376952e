"""Promotion: how a commit stands on the environment that its image is taken from, and which image that is. Pure.

The environment's own record tells, newest first: a commit was verified there, and then it stayed, was replaced, rolled
back, or released again and failed. What a release left serving is what serves now if that carries its label, else what
a later release has found (:mod:`bot.core.rollback`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.core.config import Promotion
from bot.core.outcome import Reason, Refusal
from bot.core.record import Entry
from bot.core.rollback import keys_of, left_behind
from bot.core.serving import Artifact, Serving
from bot.core.words import listed, short, spent


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a commit stands on an environment. Times are aware, by the server's clock.

    ``entry`` is the release or rollback that it was last verified by, at ``since``; ``until`` is when something else
    began to replace it, None while nothing has. ``failed`` and ``rolled_back`` are when that befell it since then,
    ``unfinished`` is whether another release of it is under way.
    """

    entry: Entry
    since: datetime
    until: datetime | None = None
    failed: datetime | None = None
    rolled_back: datetime | None = None
    unfinished: bool = False

    def seconds(self, now: datetime) -> float:
        """Return how long it has been there, or was."""
        return max(0.0, ((self.until or now) - self.since).total_seconds())


def standing(history: Sequence[Entry], sha: str) -> Standing | None:
    """Return how a commit stands on an environment, None if it was never verified there. Newest first.

    All of it, that is: what ran in some services only was not verified as a release.
    """
    for place, entry in enumerate(history):
        since = entry.verified_at
        if since is not None and entry.record.sha == sha and entry.record.whole:
            return _since(entry, since, tuple(reversed(history[:place])))
    return None


def _since(entry: Entry, since: datetime, later: Sequence[Entry]) -> Standing:
    """Return what has become of a verified release. ``later``: what came after it, oldest first."""
    sha, until, rolled_back = entry.record.sha, None, None
    for other in later:
        if other.record.sha != sha and until is None:
            if other.record.verb == "rollback":  # somebody wanted it gone, whatever came of it
                rolled_back = rolled_back or other.deployment.created_at
            if other.succeeded:
                until = other.deployment.created_at
    again = [other for other in later if other.record.sha == sha]
    return Standing(
        entry=entry,
        since=since,
        until=until,
        failed=next((other.deployment.created_at for other in again if other.outcome == "failure"), None),
        rolled_back=rolled_back,
        unfinished=any(not other.finished for other in again),
    )


def newest(history: Sequence[Entry]) -> Entry | None:
    """Return what an environment serves by its record: the last release or rollback that was verified."""
    return next((entry for entry in history if entry.succeeded), None)


def judge(rule: Promotion, history: Sequence[Entry] | None, sha: str, *, again: str) -> Refusal | None:
    """Return why a commit may not be promoted, None if it may once it has soaked (:func:`soaking`).

    ``history`` is the record of the environment that it is taken from, newest first, None if it could not be read;
    ``again`` is the command to say again.
    """
    if history is None:
        return unreadable(rule.environment, again)
    there, said = rule.environment, f"`{short(sha)}`"
    found = standing(history, sha)
    if found is None:
        return Refusal(
            reason=Reason.PROMOTION_UNVERIFIED,
            sentence=f"{said} has not been verified on `{there}`{_why(history, sha)}.",
            next=f"`/deploy {there}` first, then `{again}`",
        )
    return _spoilt(found, said, there, again)


def soaking(rule: Promotion, history: Sequence[Entry] | None, sha: str, *, again: str, now: datetime) -> Refusal | None:
    """Return why a commit that was verified has to wait, None if it need not, or cannot be promoted at all."""
    found = standing(history or (), sha)
    said = f"`{short(sha)}`"
    if found is None or _spoilt(found, said, rule.environment, again) is not None:
        return None
    return _soaking(found, rule, said, again, now)


def _why(history: Sequence[Entry], sha: str) -> str:
    """Return what there is of a commit that was not verified, as the end of a sentence."""
    last = next((entry for entry in history if entry.record.sha == sha), None)
    if last is None:
        return ""
    if last.succeeded:
        return f": only {listed(last.record.services)} of it was released there"
    return ": its release there failed" if last.finished else ": its release there has not ended"


def _spoilt(found: Standing, said: str, there: str, again: str) -> Refusal | None:
    """Return the refusal of a commit that was verified, but something has happened to it since."""
    if found.rolled_back is not None:
        sentence = f"{said} was rolled back on `{there}` at {found.rolled_back:%Y-%m-%d %H:%M} UTC."
        then = f"Release a commit there that may stay: `/deploy {there}`"
    elif found.failed is not None:
        sentence = f"A later release of {said} on `{there}` failed, at {found.failed:%Y-%m-%d %H:%M} UTC."
        then = f"`/deploy {there}` first, then `{again}`"
    elif found.unfinished:
        sentence = f"A later release of {said} on `{there}` has not ended."
        then = f"Wait for it, then `{again}`"
    else:
        return None
    return Refusal(reason=Reason.PROMOTION_UNVERIFIED, sentence=sentence, next=then)


def _soaking(found: Standing, rule: Promotion, said: str, again: str, now: datetime) -> Refusal | None:
    soak, been = rule.soak or 0.0, found.seconds(now)
    if been >= soak:
        return None
    if found.until is None:
        sentence, then = "", f"Wait for the rest, then `{again}`"
    else:
        sentence, then = ": another release took its place", f"`/deploy {rule.environment}` again, and let it stay"
    return Refusal(
        reason=Reason.PROMOTION_SOAKING,
        sentence=f"{said} has soaked {spent(been, soak)} on `{rule.environment}`{sentence}.",
        next=then,
    )


def unseen(
    rule: Promotion, history: Sequence[Entry], sha: str, commented_at: datetime | None, *, named: str
) -> Refusal | None:
    """Return why a comment cannot have meant a commit that it does not name, None if it can.

    It means what its author saw: what was verified before the comment, by the server's clock for both. ``named`` is the
    command with the sha.
    """
    found = standing(history, sha)
    if found is None or (commented_at is not None and found.since < commented_at):
        return None
    said = f", the comment is of {commented_at:%H:%M:%S} UTC" if commented_at is not None else ""
    return Refusal(
        reason=Reason.HEAD_MOVED,
        sentence=f"`{rule.environment}` was released after the command was written: `{short(sha)}` was verified there "
        f"at {found.since:%H:%M:%S} UTC{said}.",
        next=f"Look at `{short(sha)}`; if that is what you mean: `{named}`",
    )


def unreadable(environment: str, again: str) -> Refusal:
    """Return the refusal for a record that could not be read."""
    return Refusal(
        reason=Reason.PROMOTION_UNAVAILABLE,
        sentence=f"The releases of `{environment}` could not be read.",
        next=f"Try again: `{again}`",
    )


# -- the image ------------------------------------------------------------------------------------------------
def image_of(history: Sequence[Entry], sha: str, serving: Serving, environment: str) -> Artifact | Refusal:
    """Return the image that a commit was verified with on an environment. ``serving`` is what serves there now.

    One image serves all of an environment's services. Where they differ, none of them is the release.
    """
    found = standing(history, sha)
    made = _made_by(history, found.entry) if found is not None else None
    if made is None:
        return _unknown(environment, f"no release there has made what serves of `{short(sha)}`")
    state = serving if keys_of(serving) == {made.key} else left_behind(history, made)
    if state is None:
        return _unknown(environment, f"what `{short(sha)}` left serving there is not on record")
    digests = {one.service: one.digest for one in state.services if one.exists}
    if len(set(digests.values())) != 1:
        return _unknown(environment, f"its services run different images: {_each(digests)}")
    (digest,) = set(digests.values())
    if not digest or not made.record.image:
        return _unknown(environment, f"which image `{short(sha)}` runs there is not on record")
    return Artifact(digest=digest, reference=f"{made.record.image}@{digest}", sha=sha, reused=True)


def _made_by(history: Sequence[Entry], entry: Entry) -> Entry | None:
    """Return the release whose revisions served: a rollback makes none of its own."""
    if entry.record.verb == "deploy":
        return entry
    return next((other for other in history if other.deployment.id == entry.record.goal), None)


def _each(digests: Mapping[str, str]) -> str:
    return ", ".join(f"`{service}` {digest[7:19] or 'an unknown one'}" for service, digest in digests.items())


def _unknown(environment: str, why: str) -> Refusal:
    return Refusal(
        reason=Reason.PROMOTION_UNAVAILABLE,
        sentence=f"The image of `{environment}` cannot be taken: {why}.",
        next=f"Release it there anew: `/deploy {environment}`",
    )


# -- what `/promote` means ------------------------------------------------------------------------------------
def sha_to_promote(history: Sequence[Entry], rule: Promotion, *, named: str, pinned: str, again: str) -> str | Refusal:
    """Return the commit that an environment serves by its record.

    ``named`` is the sha that somebody has typed, which it then must be; ``pinned`` is what was let through before: it
    stays what is meant, whatever has been released there since.
    """
    there = rule.environment
    if pinned:
        shas = (entry.record.sha for entry in history if entry.succeeded and entry.record.sha.startswith(pinned))
        sha = next(shas, "")
    else:
        last = newest(history)
        sha = last.record.sha if last is not None else ""
    if not sha:
        what = f"`{short(pinned)}`" if pinned else "Nothing"
        return Refusal(
            reason=Reason.PROMOTION_UNVERIFIED,
            sentence=f"{what} has {'not ' if pinned else ''}been verified on `{there}`{'' if pinned else ' yet'}.",
            next=f"`/deploy {there}` first, then `{again}`",
        )
    if named and not sha.startswith(named):
        return Refusal(
            reason=Reason.HEAD_MOVED,
            sentence=f"`{short(named)}` is not what `{there}` serves, which is `{short(sha)}`.",
            next=f"Look at it; if that is what you mean: `{again} @{short(sha)}`",
        )
    return sha
