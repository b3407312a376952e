"""Somebody else's changes of a service while a release runs: found, named, and left alone."""

from __future__ import annotations

from bot.core.target import Known
from bot.errors import ConflictError
from bot.targets.run_kind import Kind, R
from bot.targets.run_traffic import said, same_percents, staged


def refuse(kind: Kind[R], now: R, key: str, known: Known, revision: str, *, percent: int) -> None:
    """Raise ConflictError when the traffic is not as it was, with ``percent`` on the release's own revision.

    As it was before, or, while this run has not touched it yet, as an interrupted one left it.
    """
    serving = kind.shares(now)
    states = (known.before.service(key).traffic, known.found.service(key).traffic)
    was = [traffic for traffic in states if any(share.percent for share in traffic)]
    expected = [staged(serving, traffic, revision, known.release.tag, percent) for traffic in was]
    if not expected or any(same_percents(serving, one) for one in expected):
        return  # else the service is the release's own
    what = f"the {kind.shared} of {key} while it was being released"
    raise ConflictError(
        f"{_who(now)} {what}: {said(serving)}, not {said(expected[0])}.",
        hint="See who did that and why. It was left as it is.",
        service="Cloud Run",
        operation="change the traffic",
    )


def stranger(kind: Kind[R], now: R, key: str, known: Known, revision: str) -> str:
    """Return what to say when the traffic is as somebody else has made it, ``""`` if it is not.

    What it found, what is recorded and what a rollback goes back to are no strangers. The release's own revision is
    taken back, whoever sent traffic there. Only a release that found something serving can tell.
    """
    states = (state.service(key).traffic for state in (known.before, known.found, known.goal))
    ours = [traffic for traffic in states if any(share.percent for share in traffic)]
    serving = kind.shares(now)
    allowed = {revision, *(share.revision for traffic in ours for share in traffic)}
    has = {share.revision for share in serving if share.percent}
    expected = revision in has or any(same_percents(serving, traffic) for traffic in ours)
    if not ours or (has <= allowed and expected):
        return ""
    found = f"{_who(now)} the {kind.shared} of {key}: {said(serving)}."
    return f"{found} That is not this release's, so it was left as it is."


def _who(live: R) -> str:
    """Return who changed a resource last, and when (run.v2 Service and WorkerPool: lastModifier, updateTime)."""
    at = f" at {live.update_time:%H:%M:%S} UTC" if live.update_time else ""
    return f"{live.last_modifier or 'Somebody'}{at} changed"
