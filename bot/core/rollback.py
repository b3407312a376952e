"""What a rollback goes back to: a recorded release, as it really served and was verified. Pure.

What serves is asked, not remembered, and each record holds what served before its release. So what a release left
behind is found in the record of the one that came after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bot.core.outcome import Reason, Refusal
from bot.core.record import Entry, serving_entry, serving_sha
from bot.core.serving import Serving
from bot.core.words import short


@dataclass(frozen=True, kw_only=True)
class Goal:
    """Where a rollback goes. ``entry`` is the release that made it, None if it was not released from here."""

    state: Serving
    sha: str
    entry: Entry | None


def keys_of(serving: Serving) -> set[str]:
    """Return the keys of the releases that made what serves, from the labels of the revisions with traffic."""
    return {labels["slipway-release"] for labels in serving.labels if labels.get("slipway-release")}


def made(past: Sequence[Entry], serving: Serving) -> Entry | None:
    """Return the release that made what serves.

    Here even one that failed counts, by its own label: if its way back failed too, its record is the one that says what
    was there before.
    """
    keys = keys_of(serving)
    labelled = next((entry for entry in past if entry.key in keys and entry.record.verb == "deploy"), None)
    return labelled or serving_entry(past, serving)


def before(past: Sequence[Entry], current: Entry | None, environment: str) -> Goal | Refusal:
    """Return what served before the present release: the last that was verified, however many failed in between."""
    if current is None:
        return _nothing(environment, None)
    goal = verified(past, current.record.before, current.record.before_sha)
    if goal is None:
        return _nothing(environment, current)
    return goal if goal.sha else replace(goal, sha=current.record.sha)


def verified(past: Sequence[Entry], state: Serving, sha: str = "") -> Goal | None:
    """Return a state that was found, if it was verified, else what the release that left it had found, and so on.

    ``sha``: the state's, as far as it was written down. None if there is no such state.
    """
    seen: set[int] = set()
    while state.exists:
        maker = made(past, state)
        if maker is not None and maker.succeeded and _left_by(maker, state):
            return Goal(state=state, sha=maker.record.sha, entry=maker)
        if len(keys_of(state)) > 1:  # somebody has mixed releases: of one whole one it is known that it was well
            whole = left_behind(past, maker) if maker is not None and maker.succeeded else None
            if whole is not None and maker is not None:
                return Goal(state=whole, sha=maker.record.sha, entry=maker)
        elif maker is None or maker.succeeded:
            return Goal(state=state, sha=sha or serving_sha(state) or (maker.record.sha if maker else ""), entry=maker)
        if maker is None or maker.deployment.id in seen:
            return None
        seen.add(maker.deployment.id)
        state, sha = maker.record.before, maker.record.before_sha
    return None


def named(past: Sequence[Entry], serving: Serving, name: str, environment: str) -> Goal | Refusal:
    """Return the recorded release that somebody named: by its deployment's number, its sha or one of its revisions."""
    entry = _find(past, name)
    if entry is None:
        return _refused(
            f"No recorded release of `{environment}` is called `{name}`.",
            "`--to` takes a deployment's number, a sha of 7 to 40 digits, or a revision's name",
        )
    what = f"deployment {entry.deployment.id} (`{short(entry.record.sha)}`)"
    if not entry.succeeded:
        return _refused(f"{what[0].upper()}{what[1:]} was never verified on `{environment}`.", _ANOTHER)
    if _left_by(entry, serving):
        return _refused(f"{what[0].upper()}{what[1:]} serves on `{environment}` already.", _ANOTHER)
    state = left_behind(past, entry)
    if state is None:
        return _refused(
            f"There is no record of what {what} left serving on `{environment}`.",
            f"Release it anew: `/deploy {environment} @{short(entry.record.sha)}` on its pull request",
        )
    return Goal(state=state, sha=entry.record.sha, entry=entry)


_ANOTHER = "Name another; the deployments of the environment are listed on its page"


def _find(past: Iterable[Entry], name: str) -> Entry | None:
    wanted = name.strip().lower().lstrip("@")
    entries = [entry for entry in past if entry.record.verb == "deploy"]
    by_number = (entry for entry in entries if str(entry.deployment.id) == wanted)
    by_sha = [entry for entry in entries if len(wanted) >= 7 and entry.record.sha.startswith(wanted)]
    verified = (entry for entry in by_sha if entry.succeeded)
    by_revision = (entry for entry in entries if wanted.endswith(f"-{short(entry.record.sha)}-{entry.key}"))
    return next((found for group in (by_number, verified, by_sha, by_revision) for found in group), None)


def left_behind(past: Iterable[Entry], entry: Entry) -> Serving | None:
    """Return what a release left serving: the newest record of a state that it has made."""
    return next((other.record.before for other in past if _left_by(entry, other.record.before)), None)


def _left_by(entry: Entry, state: Serving) -> bool:
    """Whether a state is what a release leaves behind: only its revisions serve.

    After a release of some services, the others serve what they served before it.
    """
    if entry.record.whole:
        return keys_of(state) == {entry.key}
    there = [one for one in state.services if one.exists]
    released = [one for one in there if one.service in entry.record.services]
    others = [one for one in there if one.service not in entry.record.services]
    before = entry.record.before
    return (
        bool(released)
        and all(one.releases == {entry.key} for one in released)
        and all(one.percents == before.service(one.service).percents for one in others)
    )


def _nothing(environment: str, current: Entry | None) -> Refusal:
    if current is None:
        return _refused(
            f"What serves on `{environment}` was not released from here: there is no record of what was before.",
            f"Release a known good commit: `/deploy {environment}` on its pull request",
        )
    if not current.record.before.exists:
        return _refused(
            f"`{short(current.record.sha)}` was the first release on `{environment}`: nothing served before it.",
            f"Release a mended commit: `/deploy {environment}`",
        )
    return _refused(
        f"Nothing that served on `{environment}` before `{short(current.record.sha)}` was verified.",
        f"Release a known good commit: `/deploy {environment}` on its pull request",
    )


def _refused(sentence: str, then: str) -> Refusal:
    return Refusal(reason=Reason.NOTHING_TO_ROLL_BACK_TO, sentence=sentence, next=then)
