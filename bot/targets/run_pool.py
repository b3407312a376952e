"""Worker pools of Cloud Run: which revisions have the instances, and how many there are. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.cloud import run_v2

from bot.core.config import Scale, ServiceConfig
from bot.core.serving import TrafficShare
from bot.targets.run_traffic import short

REVISION = run_v2.InstanceSplitAllocationType.INSTANCE_SPLIT_ALLOCATION_TYPE_REVISION
STOPPED = "slipway-stopped"  # annotation: how many instances a pool is to have once a release of it succeeds
_DEFAULT = 1  # instances of a pool that nobody has set any for (Cloud Run docs, "Manual scaling for worker pools")


# -- shares ---------------------------------------------------------------------------------------------------
def shares(pool: run_v2.WorkerPool) -> tuple[TrafficShare, ...]:
    """Return who has the instances, from the statuses (what is), not from the splits (what is wanted).

    A LATEST status is resolved to the latest ready revision, as a service's is.
    """
    latest = short(pool.latest_ready_revision)
    found = (
        TrafficShare(revision=short(status.revision) or latest, percent=status.percent)
        for status in pool.instance_split_statuses
    )
    return tuple(share for share in found if share.revision)


def asked(pool: run_v2.WorkerPool) -> tuple[TrafficShare, ...]:
    """Return what a pool's splits ask for, ``()`` while any of them names no revision."""
    if any(split.type_ != REVISION for split in pool.instance_splits):
        return ()
    return tuple(TrafficShare(revision=short(s.revision), percent=s.percent) for s in pool.instance_splits)


def splits(wanted: Iterable[TrafficShare]) -> list[run_v2.InstanceSplit]:
    """Return the splits that give revisions their shares. Each names its revision; one without a share has no split."""
    percents: dict[str, int] = {}
    for share in wanted:
        percents[share.revision] = percents.get(share.revision, 0) + share.percent
    return [
        run_v2.InstanceSplit(type_=REVISION, revision=revision, percent=percent)
        for revision, percent in percents.items()
        if percent
    ]


# -- settings -------------------------------------------------------------------------------------------------
def settings(pool: run_v2.WorkerPool) -> dict[str, Any]:
    """Return what a release may change and a restore must put back.

    ``instances`` is None where nobody has set a number. ``stopped``: what it was set to before a release that failed
    stopped the pool, 0 if none did.
    """
    number = pool.scaling.manual_instance_count if "manual_instance_count" in pool.scaling else None
    mark = pool.annotations.get(STOPPED, "")
    return {"instances": number, "stopped": int(mark) if mark.isdecimal() else 0}


def declared(config: ServiceConfig, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a configuration wants where ``found`` were: a number within the bounds is kept.

    Somebody else's autoscaler may set it (Cloud Run docs, "Manual scaling for worker pools"). A pool that a failed
    release stopped works again.
    """
    number, stopped = found.get("instances"), found.get("stopped", 0)
    if stopped and not number:
        number = stopped
    if config.scale is not None:
        return {"instances": _within(config.scale, _DEFAULT if number is None else number), "stopped": 0}
    return {"instances": number, "stopped": 0} if stopped else {}


def _within(scale: Scale, number: int) -> int:
    least = number if scale.min is None else max(number, scale.min)
    return least if scale.max is None else min(least, scale.max)


def reconcile(live: run_v2.WorkerPool, wanted: Mapping[str, Any], update: run_v2.WorkerPool) -> list[str]:
    """Set the wanted settings that differ from the live ones; returns the update mask's paths for them."""
    now = settings(live)
    changed = {name: value for name, value in wanted.items() if now.get(name, value) != value}
    paths: list[str] = []
    if "instances" in changed:
        update.scaling = run_v2.WorkerPoolScaling(manual_instance_count=changed["instances"])
        paths.append("scaling")
    if "stopped" in changed:
        others = {name: value for name, value in live.annotations.items() if name != STOPPED}
        update.annotations = others | ({STOPPED: str(changed["stopped"])} if changed["stopped"] else {})
        paths.append("annotations")
    return paths


def is_stopped(pool: run_v2.WorkerPool) -> bool:
    """Whether a pool has no instances ("specify 0 to stop it", Cloud Run docs, "Manual scaling for worker pools")."""
    return "manual_instance_count" in pool.scaling and pool.scaling.manual_instance_count == 0


def stop(live: run_v2.WorkerPool, update: run_v2.WorkerPool) -> list[str]:
    """Take a pool's instances away, and note how many there were; returns the update mask's paths."""
    if is_stopped(live):
        return []
    number = settings(live)["instances"]
    return reconcile(live, {"instances": 0, "stopped": _DEFAULT if number is None else number}, update)
