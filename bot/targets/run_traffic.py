"""Traffic of a Cloud Run service. Pure: a service as it is in, traffic targets out.

Every target names a revision: a LATEST target would send users to whatever somebody deploys next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from google.cloud import run_v2

from bot.core.serving import TrafficShare

REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION


def short(name: str) -> str:
    """Return the last part of a resource's name."""
    return name.rpartition("/")[2]


def shares(service: run_v2.Service) -> tuple[TrafficShare, ...]:
    """Return what serves, tags included, from the statuses (what is), not from the targets (what is wanted).

    A LATEST status is resolved to the latest ready revision ("latestReadyRevision: Name of the latest revision that is
    serving traffic").
    """
    latest = short(service.latest_ready_revision)
    found = (
        TrafficShare(
            revision=short(status.revision) or latest,
            percent=status.percent,
            tag=status.tag,
            url=status.uri.rstrip("/"),
        )
        for status in service.traffic_statuses
    )
    return tuple(share for share in found if share.revision)


def targets(wanted: Iterable[TrafficShare]) -> list[run_v2.TrafficTarget]:
    """Return the targets that make a service serve the shares."""
    return [
        run_v2.TrafficTarget(type_=REVISION, revision=share.revision, percent=share.percent, tag=share.tag)
        for share in wanted
    ]


def with_candidate(now: Sequence[TrafficShare], revision: str, tag: str) -> tuple[TrafficShare, ...]:
    """Return what serves now, and the candidate at 0 % under the tag; it gets all where nothing serves yet."""
    percent = 0 if any(share.percent for share in now) else 100
    return (*_untagged(now, tag), TrafficShare(revision=revision, percent=percent, tag=tag))


def shifted(now: Sequence[TrafficShare], revision: str, tag: str, percent: int) -> tuple[TrafficShare, ...]:
    """Return the traffic with ``percent`` on the revision and the rest on what served before, in its proportions."""
    others = [share for share in _untagged(now, tag) if share.revision != revision or share.tag]
    percents = _apportion([0 if s.revision == revision else s.percent for s in others], 100 - percent)
    kept = [_share(share, part) for share, part in zip(others, percents, strict=True) if part or share.tag]
    left = 100 - sum(share.percent for share in kept)  # nothing else serves: all of it is the revision's
    return (*kept, TrafficShare(revision=revision, percent=left, tag=tag))


def staged(
    now: Sequence[TrafficShare], before: Sequence[TrafficShare], revision: str, tag: str, percent: int
) -> tuple[TrafficShare, ...]:
    """Return the traffic of a stage: ``percent`` on the revision, the rest as it was before, today's tags."""
    serving = [_share(share, share.percent, keep=False) for share in before if share.percent]
    tags = [_share(share, 0) for share in now if share.tag]
    return shifted(_merged([*serving, *tags]), revision, tag, percent)


def _merged(shares: Iterable[TrafficShare]) -> list[TrafficShare]:
    """Give a revision's first tag its percent, so that there is one share for both."""
    merged: list[TrafficShare] = []
    for share in shares:
        plain = next((one for one in merged if one.revision == share.revision and not one.tag), None)
        if share.tag and plain is not None:
            merged[merged.index(plain)] = TrafficShare(revision=share.revision, percent=plain.percent, tag=share.tag)
        else:
            merged.append(share)
    return merged


def same_percents(one: Iterable[TrafficShare], other: Iterable[TrafficShare]) -> bool:
    """Whether two allocations give every revision the same share, whatever the tags."""
    return _percents(one) == _percents(other)


def said(found: Iterable[TrafficShare]) -> str:
    """Return an allocation in words: ``80 % on a, 20 % on b``."""
    return ", ".join(f"{percent} % on {revision}" for revision, percent in _percents(found).items()) or "nothing"


def restored(now: Sequence[TrafficShare], recorded: Sequence[TrafficShare], tag: str) -> tuple[TrafficShare, ...]:
    """Return the recorded traffic, with the tags of today.

    Tags are other people's, so they stay where they are now; only the candidate's is taken off, or put back on the
    serving revision that had it.
    """
    serving = [_share(share, share.percent, keep=share.tag == tag) for share in recorded if share.percent]
    taken = {share.tag for share in serving if share.tag}
    tags = [_share(share, 0) for share in now if share.tag and share.tag != tag and share.tag not in taken]
    return (*serving, *tags)


def retagged(now: Iterable[run_v2.TrafficTarget], tags: Mapping[str, str]) -> list[run_v2.TrafficTarget]:
    """Return targets whose tags lead to other revisions (``""``: to none). Nothing else of them changes.

    They are changed as they are, not made anew from what serves: one that names no revision is somebody's wish.
    """
    kept: list[run_v2.TrafficTarget] = []
    for target in now:
        moves = target.tag in tags and tags[target.tag] != short(target.revision)
        if moves and not target.percent:
            continue
        kept.append(run_v2.TrafficTarget(target))
        if moves:
            kept[-1].tag = ""
    there = {target.tag for target in kept}
    wanted = {tag: revision for tag, revision in tags.items() if revision and tag not in there}
    return kept + [
        run_v2.TrafficTarget(type_=REVISION, revision=revision, percent=0, tag=tag) for tag, revision in wanted.items()
    ]


def pinned(service: run_v2.Service) -> bool:
    """Whether every target names a revision: one more is then no news to anybody's traffic."""
    return bool(service.traffic) and all(target.type_ == REVISION for target in service.traffic)


def matches(found: Sequence[TrafficShare], wanted: Sequence[TrafficShare]) -> bool:
    """Whether what serves has the wanted percents, and the wanted tags where they should be and no others."""
    return _percents(found) == _percents(wanted) and _tags(found) == _tags(wanted)


def is_wanted(found: Sequence[TrafficShare], wanted: Sequence[TrafficShare]) -> bool:
    """Whether what is asked for (see :func:`asked`) are the wanted shares already, by revision."""
    return bool(found) and matches(found, wanted)


def has_percent(found: Iterable[TrafficShare], revision: str, percent: int) -> bool:
    """Whether a revision has its share of the traffic."""
    return _percents(found).get(revision, 0) == percent


def asked(service: run_v2.Service) -> tuple[TrafficShare, ...]:
    """Return what a service's targets ask for, ``()`` while any of them names no revision."""
    if any(target.type_ != REVISION for target in service.traffic):
        return ()
    return tuple(TrafficShare(revision=short(t.revision), percent=t.percent, tag=t.tag) for t in service.traffic)


def _percents(found: Iterable[TrafficShare]) -> dict[str, int]:
    total: dict[str, int] = {}
    for share in found:
        if share.percent:
            total[share.revision] = total.get(share.revision, 0) + share.percent
    return total


def _tags(found: Iterable[TrafficShare]) -> dict[str, str]:
    return {share.tag: share.revision for share in found if share.tag}


def _untagged(now: Sequence[TrafficShare], tag: str) -> list[TrafficShare]:
    """Return the shares without a tag, dropping what then says nothing."""
    plain = [_share(s, s.percent, keep=s.tag != tag) for s in now]
    return [share for share in plain if share.percent or share.tag]


def _share(share: TrafficShare, percent: int, *, keep: bool = True) -> TrafficShare:
    return TrafficShare(revision=share.revision, percent=percent, tag=share.tag if keep else "")


def _apportion(percents: Sequence[int], total: int) -> list[int]:
    """Scale percents to a total in whole numbers; the largest remainders get what rounding leaves."""
    whole = sum(percents)
    if not whole:
        return [0] * len(percents)
    exact = [part * total / whole for part in percents]
    result = [int(part) for part in exact]
    order = sorted(range(len(exact)), key=lambda i: (result[i] - exact[i], i))
    for index in order[: total - sum(result)]:
        result[index] += 1
    return result
