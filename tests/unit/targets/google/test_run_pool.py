from typing import Any

import pytest
from google.cloud import run_v2

from bot.core.config import Scale, ServiceConfig
from bot.core.serving import TrafficShare
from bot.targets.run_pool import (
    REVISION,
    STOPPED,
    asked,
    declared,
    is_stopped,
    reconcile,
    settings,
    shares,
    splits,
    stop,
)

LATEST = run_v2.InstanceSplitAllocationType.INSTANCE_SPLIT_ALLOCATION_TYPE_LATEST


def share(revision: Any, percent: Any = 0, tag: Any = "") -> Any:
    return TrafficShare(revision=revision, percent=percent, tag=tag)


def pool(instances: Any = None, **over: Any) -> Any:
    scaling = {} if instances is None else {"manual_instance_count": instances}
    return run_v2.WorkerPool(scaling=scaling, **over)


# Shares


def test_a_latest_status_is_resolved_to_the_revision_that_works() -> None:
    found = run_v2.WorkerPool(
        latest_ready_revision="projects/p/locations/l/workerPools/w/revisions/w-9",
        instance_split_statuses=[
            {"type_": LATEST, "percent": 60},
            {"type_": REVISION, "revision": "w-2", "percent": 40},
        ],
    )
    assert shares(found) == (share("w-9", 60), share("w-2", 40))


def test_a_pool_without_any_ready_revision_has_nobody_at_work() -> None:
    assert shares(run_v2.WorkerPool(instance_split_statuses=[{"type_": LATEST, "percent": 100}])) == ()


def test_what_is_asked_for_names_revisions_or_is_nothing() -> None:
    by_name = {"type_": REVISION, "revision": "w-2", "percent": 40}
    assert asked(run_v2.WorkerPool(instance_splits=[by_name])) == (share("w-2", 40),)
    assert asked(run_v2.WorkerPool(instance_splits=[by_name, {"type_": LATEST, "percent": 60}])) == ()
    assert asked(run_v2.WorkerPool()) == ()


def test_splits_name_each_revision_once_and_leave_out_what_has_no_share() -> None:
    found = splits((share("a", 60), share("b", 0, "pr-7"), share("c", 30), share("a", 10)))
    assert [(one.type_, one.revision, one.percent) for one in found] == [(REVISION, "a", 70), (REVISION, "c", 30)]


# Instances


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (pool(), {"instances": None, "stopped": 0}),
        (pool(0), {"instances": 0, "stopped": 0}),
        (pool(3), {"instances": 3, "stopped": 0}),
        (pool(0, annotations={STOPPED: "3", "team": "blue"}), {"instances": 0, "stopped": 3}),
        (pool(0, annotations={STOPPED: "-3"}), {"instances": 0, "stopped": 0}),
    ],
)
def test_settings(found: Any, expected: Any) -> None:
    assert settings(found) == expected


@pytest.mark.parametrize(
    ("scale", "found", "expected"),
    [
        # Without bounds nothing is declared: an autoscaler of somebody's may have set the number.
        (None, {"instances": 7, "stopped": 0}, {}),
        (None, {"instances": 0, "stopped": 0}, {}),
        (None, {}, {}),
        # A pool that a failed release stopped works again, with the number that it had, or that was set since.
        (None, {"instances": 0, "stopped": 3}, {"instances": 3, "stopped": 0}),
        (None, {"instances": 5, "stopped": 3}, {"instances": 5, "stopped": 0}),
        # Within the bounds a number is kept, else it goes to the nearer one.
        (Scale(min=2, max=4), {"instances": 3, "stopped": 0}, {"instances": 3, "stopped": 0}),
        (Scale(min=2, max=4), {"instances": 9, "stopped": 0}, {"instances": 4, "stopped": 0}),
        (Scale(min=2, max=4), {"instances": 0, "stopped": 0}, {"instances": 2, "stopped": 0}),
        (Scale(min=2), {"instances": 9, "stopped": 0}, {"instances": 9, "stopped": 0}),
        (Scale(max=4), {"instances": 0, "stopped": 0}, {"instances": 0, "stopped": 0}),
        (Scale(max=4), {"instances": 0, "stopped": 9}, {"instances": 4, "stopped": 0}),
        # Cloud Run gives a pool one instance that says nothing.
        (Scale(min=2), {"instances": None, "stopped": 0}, {"instances": 2, "stopped": 0}),
        (Scale(max=4), {}, {"instances": 1, "stopped": 0}),
    ],
)
def test_declared(scale: Any, found: Any, expected: Any) -> None:
    assert declared(ServiceConfig(kind="worker_pool", scale=scale), found) == expected


@pytest.mark.parametrize(
    ("live", "wanted", "paths"),
    [
        (pool(3), {}, []),
        (pool(3), {"instances": 3, "stopped": 0}, []),
        (pool(3), {"instances": 4, "stopped": 0}, ["scaling"]),
        (pool(0, annotations={STOPPED: "3"}), {"instances": 3, "stopped": 0}, ["scaling", "annotations"]),
        (pool(3), {"instances": 0, "stopped": 3}, ["scaling", "annotations"]),
        (pool(3), {"instances": None, "stopped": 0}, ["scaling"]),
    ],
)
def test_only_what_differs_is_changed_and_then_it_is_as_wanted(live: Any, wanted: Any, paths: Any) -> None:
    update = run_v2.WorkerPool(scaling=live.scaling, annotations=live.annotations)
    assert reconcile(live, wanted, update) == paths
    assert settings(update) == {**settings(live), **wanted}
    assert reconcile(update, wanted, run_v2.WorkerPool()) == []


def test_other_peoples_annotations_stay() -> None:
    update = run_v2.WorkerPool()
    reconcile(pool(0, annotations={STOPPED: "3", "team": "blue"}), {"stopped": 0}, update)
    assert dict(update.annotations) == {"team": "blue"}
    reconcile(pool(0, annotations={"team": "blue"}), {"stopped": 2}, update)
    assert dict(update.annotations) == {STOPPED: "2", "team": "blue"}


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (pool(3), {"instances": 0, "stopped": 3}),
        (pool(), {"instances": 0, "stopped": 1}),
    ],
)
def test_a_pool_is_stopped_and_works_again(live: Any, expected: Any) -> None:
    update = run_v2.WorkerPool()
    assert not is_stopped(live)
    assert stop(live, update) == ["scaling", "annotations"]
    assert is_stopped(update)
    assert settings(update) == expected
    assert stop(update, run_v2.WorkerPool()) == []
    again = declared(ServiceConfig(kind="worker_pool"), settings(update))
    assert again == {"instances": expected["stopped"], "stopped": 0}


def test_a_pool_that_somebody_set_to_none_is_left_so() -> None:
    assert stop(pool(0), run_v2.WorkerPool()) == []
    assert declared(ServiceConfig(kind="worker_pool"), settings(pool(0))) == {}
