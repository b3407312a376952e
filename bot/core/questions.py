"""Questions that only the clouds can answer: ``/logs``, ``/verify`` and ``/doctor``, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from bot.core.checks import Check, ExposureCheck, HttpCheck, JobCheck, ServingCheck
from bot.core.config import duration_between
from bot.core.outcome import Reason, Refusal
from bot.core.record import Entry, base36
from bot.core.registry import SEVERITIES
from bot.core.serving import Serving
from bot.core.words import listed, nearest

SINCE = 900.0  # seconds that `/logs` looks back
SHORTEST, LONGEST = 1.0, 86_400.0
SEVERITY = "error"
SETTLED = 5.0  # seconds in which what serves already has to show that it does, or to answer once more


# -- logs -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class LogQuery:
    """Whose lines are wanted: of a service's revisions, since a time (Unix time), of a severity and above."""

    service: str
    revisions: tuple[str, ...]
    since: float
    severity: str


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """What was logged at once. ``text`` may have several lines; ``at`` None where the log does not tell."""

    text: str
    severity: str = ""
    at: datetime | None = None


def log_since(text: str) -> float | Refusal:
    """Read ``--since``; returns seconds."""
    seconds = duration_between(text, SHORTEST, LONGEST) if text else SINCE
    if seconds is not None:
        return seconds
    return Refusal(
        reason=Reason.BAD_ARGUMENTS,
        sentence=f"`--since={text}` is no time between one second and a day.",
        next="`/logs … --since=15m`",
    )


def log_severity(text: str) -> str | Refusal:
    """Read ``--severity``."""
    wanted = text.lower() or SEVERITY
    if wanted in SEVERITIES:
        return wanted
    guess = nearest(wanted, SEVERITIES)
    return Refusal(
        reason=Reason.BAD_ARGUMENTS,
        sentence=f"There is no severity `{text}`: it is one of {listed(SEVERITIES)}.",
        next=f"`/logs … --severity={guess or SEVERITY}`",
    )


# -- verify ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What should serve: a commit, and of each service the digest and where it is known the revision.

    ``others``: services that should serve another commit, because the newest release was not of them.
    """

    sha: str
    digests: dict[str, str]
    revisions: dict[str, str]
    others: tuple[str, ...] = ()


def wanted(past: Sequence[Entry], serving: Serving, sha: str) -> Wanted:
    """Return what should serve by the newest releases that went well; without one, what does is taken for right.

    ``past``: the record, newest first. ``sha``: what the newest of them released. A service's release is the newest one
    that was of it. The record holds no digests. A revision is labelled with its release, and all services of a release
    have one image: so its digest is known as long as one of its revisions still serves.
    """
    of = {state.service: _release_of(state.service, past) for state in serving.services}
    if not any(of.values()):
        digest = next((state.digest for state in serving.services if state.digest), "")
        return Wanted(sha=sha, digests=dict.fromkeys(of, digest), revisions=_made(serving, None, sha))
    revisions: dict[str, str] = {}
    digests: dict[str, str] = {}
    for entry in {one.deployment.id: one for one in of.values() if one is not None}.values():
        names = [name for name, one in of.items() if one is entry]
        made = _made(serving.of(names), entry, entry.record.sha)
        digest = next((serving.service(name).digests.get(revision, "") for name, revision in made.items()), "")
        revisions |= made
        digests |= dict.fromkeys(names, digest)
    others = tuple(name for name, one in of.items() if one is not None and one.record.sha != sha)
    return Wanted(sha=sha, digests=digests, revisions=revisions, others=others)


def _release_of(service: str, past: Sequence[Entry]) -> Entry | None:
    """Return the newest release or rollback that a service was part of, and that went well."""
    for entry in past:
        goal = next((place for place, one in enumerate(past) if one.deployment.id == entry.record.goal), None)
        partial = entry if goal is None else past[goal]
        if not entry.succeeded:
            continue
        if partial.record.whole or service in partial.record.services:
            return entry
        if goal is not None:  # it went back to where that release had left the service
            return _release_of(service, past[goal + 1 :])
    return None


def _made(serving: Serving, entry: Entry | None, sha: str) -> dict[str, str]:
    """Return the revisions with traffic that a release has made, by service."""
    keys = _keys(entry)
    return {
        state.service: share.revision
        for state in serving.services
        for share in state.traffic
        if share.percent and _made_by(share.revision, state.labels.get(share.revision, {}), keys, sha)
    }


def _keys(newest: Entry | None) -> frozenset[str]:
    """Return how the revisions of a release are labelled. A rollback makes none: it goes back to another's."""
    if newest is None:
        return frozenset()
    return frozenset({base36(newest.record.goal) if newest.record.verb == "rollback" else newest.key})


def _made_by(revision: str, labels: Mapping[str, str], keys: frozenset[str], sha: str) -> bool:
    """Whether a release made a revision. What is made by hand from its template inherits its labels, not its name."""
    key = labels.get("slipway-release")
    if key:
        return key in keys and revision.endswith(f"-{key}")
    return bool(sha) and labels.get("slipway-sha") == sha


def settled(checks: Iterable[Check]) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    """Return the checks as they are to be asked of what serves already, and the names of those that are left out.

    Nothing is starting, so none is given the time that a release has. A job may change something.
    """
    kept: list[Check] = []
    left: list[str] = []
    for check in checks:
        match check:
            case HttpCheck():
                time = check.passes * check.interval + SETTLED
                kept.append(replace(check, deadline=min(check.deadline, time)))
            case ServingCheck():
                kept.append(replace(check, deadline=min(check.deadline, SETTLED)))
            case ExposureCheck():
                kept.append(check)
            case JobCheck():
                left.append(check.name)
            case _:
                assert_never(check)
    return tuple(kept), tuple(left)


# -- doctor ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that a release needs: whether it is there, what was found, and what to do where it is not.

    ``well`` None: it could not be told, and may be in order.
    """

    what: str
    well: bool | None
    found: str
    todo: str = ""
