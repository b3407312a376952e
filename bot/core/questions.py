"""Questions that only the clouds can answer: ``/logs``, ``/verify`` and ``/doctor``, as values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from bot.core.checks import Check, ExposureCheck, HttpCheck, JobCheck, ServingCheck
from bot.core.config import duration_between
from bot.core.outcome import Reason, Refusal
from bot.core.record import Entry, base36
from bot.core.serving import Serving
from bot.core.words import listed, nearest, there_is

SINCE = 900.0  # seconds that `/logs` looks back
SHORTEST, LONGEST = 1.0, 86_400.0
SEVERITY = "error"
# google.logging.type, LogSeverity, the least first.
SEVERITIES = ("default", "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
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


def log_services(wanted: Collection[str], known: tuple[str, ...], environment: str) -> tuple[str, ...] | Refusal:
    """Return the services that are meant: all, or the named ones in each of their regions."""
    if not wanted:
        return known
    for name in wanted:
        if not _called(name, known):
            guess = nearest(name, known)
            return Refusal(
                reason=Reason.UNKNOWN_SERVICE,
                sentence=f"`{environment}` has no service `{name}`; {there_is(known)}.",
                next=f"`/logs {environment} {guess}`" if guess else "",
            )
    return tuple(dict.fromkeys(key for name in wanted for key in _called(name, known)))


def _called(name: str, known: Iterable[str]) -> list[str]:
    return [key for key in known if name in {key, key.partition("@")[0]}]


# -- verify ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What should serve: a commit, and of each service the digest and where it is known the revision."""

    sha: str
    digests: dict[str, str]
    revisions: dict[str, str]


def wanted(newest: Entry | None, serving: Serving, sha: str) -> Wanted:
    """Return what should serve by the newest release that went well; without one, what does is taken for right.

    The record holds no digests. A revision is labelled with its release, and all services of a release have one image:
    so its digest is known as long as one of its revisions still serves.
    """
    keys = _keys(newest)
    made = {
        state.service: share.revision
        for state in serving.services
        for share in state.traffic
        if share.percent and _made_by(share.revision, state.labels.get(share.revision, {}), keys, sha)
    }
    digest = next((serving.service(name).digests.get(revision, "") for name, revision in made.items()), "")
    if newest is None:
        digest = next((state.digest for state in serving.services if state.digest), "")
    return Wanted(sha=sha, digests={state.service: digest for state in serving.services}, revisions=made)


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
