from dataclasses import replace
from typing import Any

import pytest

from bot.core.config import Scale, SecretRef, ServiceConfig
from bot.core.plan import Restore, Rollout, Shift
from bot.core.serving import ServiceState, Serving, TrafficShare
from bot.core.spec import ServiceSpec
from bot.core.target import Absent, Broken, Done, Running
from bot.errors import ConflictError, NotFoundError
from bot.targets.run_pool import STOPPED

LOCATION = "/v2/projects/acme/locations/us-central1"
POOL = f"{LOCATION}/workerPools/shop-worker"
NAME = POOL.removeprefix("/v2/")
OLD, NEW = "shop-worker-old", "shop-worker-0123456-zz"
DIGEST = "sha256:" + "a" * 64
OPERATION = {"name": "projects/acme/locations/us-central1/operations/1"}
ROLLOUT = Rollout(id="rollout-worker", service="worker", timeout=60)
SHIFT = Shift(id="shift", services=("worker",), percent=100, timeout=60)
FAILED = {"state": "CONDITION_FAILED", "reason": "REVISION_FAILED", "message": "x"}
LATEST = {"type": "INSTANCE_SPLIT_ALLOCATION_TYPE_LATEST", "percent": 100}


def split(revision: Any, percent: Any = 100) -> Any:
    return {"type": "INSTANCE_SPLIT_ALLOCATION_TYPE_REVISION", "revision": revision, "percent": percent}


OLD_WORKS, NEW_WORKS = [split(OLD)], [split(NEW)]


def pool(statuses: Any = (), asked: Any = None, instances: Any = 3, **over: Any) -> Any:
    return {
        "name": NAME,
        "etag": '"1"',
        "generation": "1",
        "observedGeneration": "1",
        "template": {"revision": OLD, "containers": [{"image": "old"}]},
        "instanceSplits": list(statuses if asked is None else asked),
        "instanceSplitStatuses": list(statuses),
        "scaling": {"manualInstanceCount": instances},
        "latestReadyRevision": f"{NAME}/revisions/{OLD}",
        "terminalCondition": {"type": "Ready", "state": "CONDITION_SUCCEEDED"},
        **over,
    }


def revision(state: Any = "CONDITION_SUCCEEDED", name: Any = NEW, **over: Any) -> Any:
    return {
        "name": f"{NAME}/revisions/{name}",
        "labels": {"slipway-release": "zz"},
        "containers": [{"image": f"repo@{DIGEST}"}],
        "conditions": [{"type": "Ready", "state": state, **over.pop("condition", {})}],
        **over,
    }


def sent_splits(call: Any) -> Any:
    assert {one["type"] for one in call.body["instanceSplits"]} == {2}  # by revision, always
    return [(one["revision"], one["percent"]) for one in call.body["instanceSplits"]]


@pytest.fixture
def make_pool_target(make_target: Any, make_spec: Any) -> Any:
    def make(**config: Any) -> Any:
        return make_target(make_spec(services={"worker": ServiceConfig(kind="worker_pool", **config)}))

    return make


@pytest.fixture
def target(make_pool_target: Any) -> Any:
    return make_pool_target()


@pytest.fixture
def worker(wire: Any, api_error: Any) -> Any:
    """Answers for the pool and its parts; None is a 404. Nobody asks who may call it: there is no such route."""

    def worker(*pools: Any, revisions: Any = None, patch: Any = OPERATION) -> Any:
        missing = api_error(404, "NOT_FOUND")
        wire.on("GET", "run", POOL, *(missing if one is None else one for one in pools))
        wire.on("GET", "run", f"{POOL}/revisions/{NEW}", missing if revisions is None else revisions)
        wire.on("PATCH", "run", POOL, *([patch] if isinstance(patch, dict) else patch))

    return worker


# Rollout


@pytest.mark.parametrize(
    ("found", "revisions", "expected"),
    [
        (None, None, Absent()),
        (pool(OLD_WORKS), None, Absent()),
        (pool(OLD_WORKS, template={"revision": NEW}, reconciling=True), None, Running(handle=NEW, detail="being created")),
        (pool(OLD_WORKS, template={"revision": NEW}), None, Absent()),
        (
            pool(OLD_WORKS, template={"revision": NEW}, terminalCondition={**FAILED, "message": "quota"}),
            None,
            Broken(handle=NEW, detail="REVISION_FAILED: quota"),
        ),
        (pool(OLD_WORKS), revision("CONDITION_RECONCILING"), Running(handle=NEW, detail="starting")),
        (pool(OLD_WORKS), revision(conditions=[]), Running(handle=NEW, detail="starting")),
        (
            pool(OLD_WORKS),
            revision("CONDITION_FAILED", condition={"revisionReason": "HEALTH_CHECK_CONTAINER_ERROR", "message": "exit(1)"}),
            Broken(handle=NEW, detail="HEALTH_CHECK_CONTAINER_ERROR: exit(1)"),
        ),
        # Ready is enough: nobody calls it, so there is no address to wait for.
        (pool(OLD_WORKS), revision(), Done(handle=NEW)),
        (pool(OLD_WORKS, reconciling=True), revision(), Done(handle=NEW)),
        (None, revision(), Absent()),
    ],
)  # fmt: skip
def test_a_rollout_is_observed(target: Any, known: Any, worker: Any, found: Any, revisions: Any, expected: Any) -> None:
    worker(found, revisions=revisions)
    seen = target.observe(ROLLOUT, known)
    if not isinstance(expected, Absent):
        expected = replace(expected, link=seen.link)
        assert seen.link == (
            "https://console.cloud.google.com/run/worker-pools/details/us-central1/shop-worker?project=acme"
        )
    assert seen == expected


@pytest.mark.parametrize(
    ("statuses", "asked", "expected"),
    [
        (OLD_WORKS, None, [(OLD, 100)]),
        ([LATEST], None, [(OLD, 100)]),  # else the new revision would work at once
        ([LATEST], [], [(OLD, 100)]),
        ([split(OLD, 80), split("older", 20)], None, [(OLD, 80), ("older", 20)]),
        ([], [], [(NEW, 100)]),  # nobody works yet, and splits have to add up
    ],
)
def test_a_revision_is_made_beside_those_that_work(
    target: Any, known: Any, worker: Any, wire: Any, statuses: Any, asked: Any, expected: Any
) -> None:
    worker(pool(statuses, asked))
    assert target.apply(ROLLOUT, known).handle == NEW
    (call,) = wire.made("PATCH", "shop-worker")
    assert call.query["updateMask"] == ["template,instanceSplits"]
    assert sorted(call.body) == ["etag", "instanceSplits", "template"]
    assert call.body["template"]["revision"] == NEW
    assert call.body["template"]["labels"]["slipway-release"] == "zz"
    assert call.body["template"]["containers"][0]["image"] == known.artifact.reference
    assert sent_splits(call) == expected


def test_a_revision_is_as_declared(make_pool_target: Any, known: Any, worker: Any, wire: Any) -> None:
    worker(pool(OLD_WORKS))
    secrets = {"KEY": SecretRef(name="key", version="pin")}
    config: Any = {"env": {"A": "b"}, "secrets": secrets, "cloudsql": ("db",), "command": ("work",), "memory": "1Gi"}
    make_pool_target(**config, service_account="w@acme", execution_env="gen2").apply(
        ROLLOUT, replace(known, pins={"key": "7"})
    )
    template = wire.made("PATCH", "shop-worker")[0].body["template"]
    (container,) = template["containers"]
    assert [one["name"] for one in container["env"]] == ["A", "KEY"]
    assert container["env"][1]["valueSource"]["secretKeyRef"] == {"secret": "key", "version": "7"}
    assert template["volumes"][0]["cloudSqlInstance"]["instances"] == ["acme:us-central1:db"]
    assert (container["command"], container["resources"]["limits"]) == (["work"], {"memory": "1Gi"})
    assert template["serviceAccount"] == "w@acme"
    assert "executionEnvironment" not in template  # there is but one, and no field for it


@pytest.mark.parametrize(("scale", "scaling"), [(None, None), (Scale(min=2, max=4), {"manualInstanceCount": 2})])
def test_a_pool_that_does_not_exist_is_created(
    wire: Any, worker: Any, make_pool_target: Any, known: Any, scale: Any, scaling: Any
) -> None:
    worker(None)
    wire.on("POST", "run", f"{LOCATION}/workerPools", OPERATION)
    assert make_pool_target(scale=scale).apply(ROLLOUT, known).detail == "being created"
    (call,) = wire.made("POST", "/workerPools")
    assert call.query["workerPoolId"] == ["shop-worker"]
    assert sent_splits(call) == [(NEW, 100)]
    assert call.body.get("scaling") == scaling


def test_each_region_has_its_own_pool(wire: Any, make_target: Any, make_spec: Any, known: Any, api_error: Any) -> None:
    config = ServiceConfig(kind="worker_pool")
    there = ServiceSpec(key="worker@europe-west1", name="shop-worker", region="europe-west1", config=config)
    place = LOCATION.replace("us-central1", "europe-west1")
    wire.on("GET", "run", f"{place}/workerPools/shop-worker", api_error(404, "NOT_FOUND"))
    wire.on("POST", "run", f"{place}/workerPools", OPERATION)
    link = (
        make_target(replace(make_spec(), services=(there,)))
        .apply(replace(ROLLOUT, service="worker@europe-west1"), known)
        .link
    )
    assert wire.made("POST", f"{place}/workerPools")
    assert link.endswith("/run/worker-pools/details/europe-west1/shop-worker?project=acme")


def test_a_stale_etag_is_read_again_if_the_same_still_work(
    target: Any, known: Any, worker: Any, wire: Any, api_error: Any
) -> None:
    worker(pool(OLD_WORKS), pool(OLD_WORKS, etag='"2"'), patch=[api_error(409, "ABORTED"), OPERATION])
    target.apply(ROLLOUT, known)
    assert [call.body["etag"] for call in wire.made("PATCH", "shop-worker")] == ['"1"', '"2"']


def test_somebody_elses_split_is_not_overwritten(
    target: Any, known: Any, worker: Any, wire: Any, api_error: Any
) -> None:
    worker(pool(OLD_WORKS), pool([split("theirs")], etag='"2"'), patch=[api_error(409, "ABORTED")])
    state = ServiceState(service="worker", traffic=(TrafficShare(revision=OLD, percent=100),))
    with pytest.raises(ConflictError, match=r"Somebody changed .* of worker .*: 100 % on theirs"):
        target.apply(ROLLOUT, replace(known, found=Serving(services=(state,))))
    assert len(wire.made("PATCH", "shop-worker")) == 1


def test_a_revision_of_somebody_else_keeps_its_name(target: Any, known: Any, worker: Any, api_error: Any) -> None:
    worker(pool(OLD_WORKS), revisions=revision(labels={}), patch=[api_error(409, "ALREADY_EXISTS")])
    with pytest.raises(ConflictError):
        target.apply(ROLLOUT, known)


# Shift


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, Broken(detail="The worker pool worker is gone.")),
        (pool(OLD_WORKS), Absent()),
        (pool(OLD_WORKS, NEW_WORKS, reconciling=True), Running(detail="worker: instances are moving")),
        (pool(NEW_WORKS, generation="2"), Running(detail="worker: instances are moving")),
        (pool(NEW_WORKS), Done()),
        (pool([LATEST], latestReadyRevision=f"{NAME}/revisions/{NEW}"), Absent()),  # it is to be named
        (pool(NEW_WORKS, annotations={STOPPED: "3"}, instances=0), Absent()),
        (pool(OLD_WORKS, NEW_WORKS, terminalCondition=FAILED), Broken(detail="worker: REVISION_FAILED: x")),
    ],
)
def test_a_shift_is_observed(target: Any, known: Any, worker: Any, found: Any, expected: Any) -> None:
    worker(found)
    assert target.observe(SHIFT, known) == expected


@pytest.mark.parametrize(("instances", "expected"), [(1, Absent()), (2, Done()), (4, Done()), (5, Absent())])
def test_a_shift_is_done_once_the_instances_are_within_their_bounds(
    make_pool_target: Any, known: Any, worker: Any, instances: Any, expected: Any
) -> None:
    worker(pool(NEW_WORKS, instances=instances))
    assert make_pool_target(scale=Scale(min=2, max=4)).observe(SHIFT, known) == expected


def test_split_and_instances_change_in_one_update(make_pool_target: Any, known: Any, worker: Any, wire: Any) -> None:
    worker(pool(OLD_WORKS, annotations={"team": "blue"}))
    assert make_pool_target(scale=Scale(max=2)).apply(SHIFT, known) == Running(detail="100 %")
    (call,) = wire.made("PATCH", "shop-worker")
    assert call.query["updateMask"] == ["instanceSplits,scaling"]
    assert call.body["etag"] == '"1"'
    assert sent_splits(call) == [(NEW, 100)]
    assert call.body["scaling"] == {"manualInstanceCount": 2}


def test_a_pool_that_a_failed_release_stopped_works_again(target: Any, known: Any, worker: Any, wire: Any) -> None:
    worker(pool(OLD_WORKS, instances=0, annotations={STOPPED: "3", "team": "blue"}))
    target.apply(SHIFT, known)
    (call,) = wire.made("PATCH", "shop-worker")
    assert call.query["updateMask"] == ["instanceSplits,scaling,annotations"]
    assert call.body["scaling"] == {"manualInstanceCount": 3}
    assert call.body["annotations"] == {"team": "blue"}


def test_a_shift_that_is_done_changes_nothing(target: Any, known: Any, worker: Any, wire: Any) -> None:
    worker(pool(NEW_WORKS))
    target.apply(SHIFT, known)
    assert not wire.made("PATCH", "shop-worker")


def found_working(known: Any, *found: Any, **over: Any) -> Any:
    state = ServiceState(service="worker", traffic=tuple(found), **over)
    return replace(known, before=Serving(services=(state,)))


def test_a_split_that_somebody_changed_meanwhile_is_left_alone(target: Any, known: Any, worker: Any, wire: Any) -> None:
    worker(pool([split("theirs")], lastModifier="mallory@acme", updateTime="2026-01-02T10:00:05Z"))
    with pytest.raises(ConflictError) as caught:
        target.apply(SHIFT, found_working(known, TrafficShare(revision=OLD, percent=100)))
    assert str(caught.value).startswith(
        "mallory@acme at 10:00:05 UTC changed the instance split of worker while it was being released:"
        f" 100 % on theirs, not 100 % on {OLD}."
    )
    assert not wire.made("PATCH", "shop-worker")


def test_a_split_that_is_as_it_was_found_is_shifted(target: Any, known: Any, worker: Any, wire: Any) -> None:
    worker(pool([split(OLD, 60), split("older", 40)]))
    found = TrafficShare(revision=OLD, percent=60), TrafficShare(revision="older", percent=40)
    target.apply(SHIFT, found_working(known, *found))
    assert sent_splits(wire.made("PATCH", "shop-worker")[0]) == [(NEW, 100)]


def test_shifting_a_pool_that_is_gone(target: Any, known: Any, worker: Any) -> None:
    worker(None)
    with pytest.raises(NotFoundError, match="The worker pool shop-worker does not exist"):
        target.apply(SHIFT, known)


# Restore


def restore(**over: Any) -> Any:
    settings = {"instances": 3, "stopped": 0}
    state = {"service": "worker", "traffic": (TrafficShare(revision=OLD, percent=100),), "settings": settings, **over}
    return Restore(id="restore", to=Serving(services=(ServiceState(**state),)), timeout=60)


@pytest.mark.parametrize(
    ("found", "step", "expected"),
    [
        (None, restore(), Broken(detail="The worker pool worker is gone.")),
        (pool(NEW_WORKS), restore(), Absent()),
        (pool(NEW_WORKS, OLD_WORKS, reconciling=True), restore(), Running(detail="worker: instances are moving back")),
        (pool(NEW_WORKS, OLD_WORKS, terminalCondition=FAILED), restore(), Broken(detail="worker: REVISION_FAILED: x")),
        (pool(OLD_WORKS), restore(), Done()),
        (pool([LATEST]), restore(), Done()),
        # The template's newest revision failed, so the pool says failed for good; who works is what counts.
        (pool(OLD_WORKS, terminalCondition=FAILED), restore(), Done()),
        (pool(OLD_WORKS, instances=4), restore(), Absent()),
        (pool(OLD_WORKS, instances=4), restore(settings={}), Done()),
        (pool(), restore(traffic=()), Done()),
        (None, restore(exists=False), Done()),
        (pool(NEW_WORKS), restore(exists=False), Absent()),
        (
            pool(NEW_WORKS, instances=0),
            restore(exists=False),
            Done(detail="worker did not exist before: it is left in place, without instances"),
        ),
    ],
)
def test_a_restore_is_observed(target: Any, known: Any, worker: Any, found: Any, step: Any, expected: Any) -> None:
    worker(found)
    assert target.observe(step, known) == expected


def test_split_and_instances_go_back(target: Any, known: Any, worker: Any, wire: Any) -> None:
    worker(pool(NEW_WORKS, instances=4))
    assert target.apply(restore(), known) == Running(detail="restoring")
    (call,) = wire.made("PATCH", "shop-worker")
    assert call.query["updateMask"] == ["instanceSplits,scaling"]
    assert call.body["etag"] == '"1"'
    assert sent_splits(call) == [(OLD, 100)]
    assert call.body["scaling"] == {"manualInstanceCount": 3}


def test_a_split_of_several_goes_back_whole(target: Any, known: Any, worker: Any, wire: Any) -> None:
    worker(pool(NEW_WORKS))
    two = (TrafficShare(revision=OLD, percent=60), TrafficShare(revision="older", percent=40))
    target.apply(restore(traffic=two), known)
    assert sent_splits(wire.made("PATCH", "shop-worker")[0]) == [(OLD, 60), ("older", 40)]


def test_restoring_twice_changes_nothing_more(target: Any, known: Any, worker: Any, wire: Any) -> None:
    worker(pool(OLD_WORKS))
    target.apply(restore(), known)
    assert not wire.made("PATCH", "shop-worker")


def test_a_number_that_somebody_set_meanwhile_is_left_alone(target: Any, known: Any, worker: Any, wire: Any) -> None:
    worker(pool(NEW_WORKS, instances=8))  # found 3, declared nothing: an autoscaler's, or a colleague's
    started = found_working(known, TrafficShare(revision=OLD, percent=100), settings={"instances": 3, "stopped": 0})
    target.apply(restore(), started)
    assert wire.made("PATCH", "shop-worker")[0].query["updateMask"] == ["instanceSplits"]
    assert isinstance(target.observe(restore(), started), Absent)  # for the split alone


def test_somebody_elses_revision_is_not_taken_its_instances(target: Any, known: Any, worker: Any, wire: Any) -> None:
    worker(pool([split("theirs")]))
    started = found_working(known, TrafficShare(revision=OLD, percent=100))
    found = target.observe(restore(), started)
    assert found == Broken(
        detail="Somebody changed the instance split of worker: 100 % on theirs."
        " That is not this release's, so it was left as it is."
    )
    target.apply(restore(), started)
    assert not wire.made("PATCH", "shop-worker")


@pytest.mark.parametrize(("found", "stopped"), [(None, 0), (pool(NEW_WORKS, instances=0), 0), (pool(NEW_WORKS), 1)])
def test_a_pool_that_the_release_made_is_stopped(
    target: Any, known: Any, worker: Any, wire: Any, found: Any, stopped: Any
) -> None:
    worker(found)
    target.apply(restore(exists=False), known)
    calls = wire.made("PATCH", "shop-worker")
    assert len(calls) == stopped
    for call in calls:
        assert call.query["updateMask"] == ["scaling,annotations"]
        assert call.body["scaling"] == {"manualInstanceCount": 0}
        assert call.body["annotations"] == {STOPPED: "3"}


def test_a_pool_that_was_stopped_is_stopped_again(target: Any, known: Any, worker: Any, wire: Any) -> None:
    stopped = {"instances": 0, "stopped": 2}
    started = found_working(known, TrafficShare(revision=OLD, percent=100), settings=stopped)
    worker(pool(NEW_WORKS, instances=2))
    assert isinstance(target.observe(restore(settings=stopped), started), Absent)
    target.apply(restore(settings=stopped), started)
    (call,) = wire.made("PATCH", "shop-worker")
    assert call.query["updateMask"] == ["instanceSplits,scaling,annotations"]
    assert call.body["scaling"] == {"manualInstanceCount": 0}
    assert call.body["annotations"] == {STOPPED: "2"}
