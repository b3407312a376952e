"""Worker pools as the real client meets them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

PARENT = "projects/acme/locations/us-central1"
PATH = f"{PARENT}/workerPools/worker"
BY_REVISION = run_v2.InstanceSplitAllocationType.INSTANCE_SPLIT_ALLOCATION_TYPE_REVISION
LATEST = run_v2.InstanceSplitAllocationType.INSTANCE_SPLIT_ALLOCATION_TYPE_LATEST
SUCCEEDED = run_v2.Condition.State.CONDITION_SUCCEEDED


@pytest.fixture(autouse=True)
def _patience(world: Any) -> None:
    world.run.launcher.worker_patience = 0.01


def template(
    world: Any, revision: str, *, tag: str = "v1", args: tuple[str, ...] = ("sleep",), **labels: str
) -> run_v2.WorkerPoolRevisionTemplate:
    container = run_v2.Container(image=world.image(tag), command=["python3", "-c"], args=list(args))
    return run_v2.WorkerPoolRevisionTemplate(revision=revision, containers=[container], labels=labels)


def split(revision: str, percent: int) -> run_v2.InstanceSplit:
    return run_v2.InstanceSplit(type_=BY_REVISION, revision=revision, percent=percent)


def create(world: Any, pool: run_v2.WorkerPool, name: str = "worker") -> Any:
    operation = world.pools.create_worker_pool(parent=PARENT, worker_pool=pool, worker_pool_id=name, timeout=10)
    return world.result(operation)


def update(world: Any, pool: run_v2.WorkerPool, mask: str = "", **options: Any) -> Any:
    request = run_v2.UpdateWorkerPoolRequest(worker_pool=pool, **options)
    if mask:
        request.update_mask = {"paths": mask.split(",")}
    return world.pools.update_worker_pool(request=request, timeout=10)


def working(world: Any) -> dict[str, Any]:
    """Return the process of each revision that has a share."""
    return {each.name: each.instance for each in world.run.worker_pools.all["worker"].working}


def eventually(test: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not test():
        assert time.monotonic() < deadline


WORK = "import time; print('working', flush=True); time.sleep(60)"


@pytest.fixture
def pool(world: Any) -> Any:
    return create(
        world,
        run_v2.WorkerPool(
            template=template(world, "worker-one", args=(WORK,), role="worker"), labels={"team": "shop"},
            instance_splits=[split("worker-one", 100)],
        ),
    )  # fmt: skip


def test_a_new_pool_works(world: Any, pool: Any) -> None:
    assert (pool.name, pool.labels["team"], pool.generation, pool.observed_generation) == (PATH, "shop", 1, 1)
    assert pool.creator == pool.last_modifier == "deployer@acme.iam.gserviceaccount.com"
    assert pool.create_time == pool.update_time
    assert pool.latest_ready_revision == pool.latest_created_revision == f"{PATH}/revisions/worker-one"
    assert (pool.reconciling, pool.terminal_condition.state) == (False, SUCCEEDED)
    assert [each.state for each in pool.conditions] == [SUCCEEDED]
    assert [(each.revision, each.percent) for each in pool.instance_split_statuses] == [("worker-one", 100)]
    (instance,) = working(world).values()
    assert instance.alive()
    entry = world.logging.wait_for(lambda each: each.get("textPayload") == "working")
    assert entry["resource"]["type"] == "cloud_run_worker_pool"
    assert entry["resource"]["labels"]["revision_name"] == "worker-one"


def test_without_a_split_the_latest_revision_works(world: Any, pool: Any) -> None:
    pool.instance_splits = []
    pool.template = template(world, "", args=(WORK,), role="other")
    moved = world.result(update(world, pool))
    assert [(each.type_, each.percent) for each in moved.instance_split_statuses] == [(LATEST, 100)]
    (name,) = working(world)
    assert name.startswith("worker-00002-")
    assert moved.latest_ready_revision == f"{PATH}/revisions/{name}"


def test_each_revision_with_a_share_has_a_process(world: Any, pool: Any) -> None:
    first = working(world)["worker-one"]
    pool.template = template(world, "worker-two", tag="v2", args=(WORK,))
    pool.instance_splits = [split("worker-one", 90), split("worker-two", 10)]
    canary = world.result(update(world, pool))
    assert [(each.revision, each.percent) for each in canary.instance_split_statuses] == [
        ("worker-one", 90), ("worker-two", 10),
    ]  # fmt: skip
    assert working(world)["worker-one"] is first
    assert [each.alive() for each in working(world).values()] == [True, True]
    canary.instance_splits = [split("worker-two", 100)]
    moved = world.result(update(world, canary, "instance_splits"))
    assert [each.revision for each in moved.instance_split_statuses] == ["worker-two"]
    assert (list(working(world)), first.alive()) == (["worker-two"], False)
    moved.instance_splits = [split("worker-one", 100)]
    back = world.result(update(world, moved, "instance_splits"))
    assert working(world)["worker-one"].alive()
    assert back.generation == 4
    listed = world.revisions.list_revisions(parent=PATH, timeout=10)
    assert [each.name.rsplit("/", 1)[-1] for each in listed] == ["worker-two", "worker-one"]


def test_a_worker_that_ends_is_started_again(world: Any, pool: Any) -> None:
    first = working(world)["worker-one"]
    first.stop()
    eventually(lambda: working(world)["worker-one"] not in {first, None})
    assert working(world)["worker-one"].alive()


def test_no_instances_no_process(world: Any, pool: Any) -> None:
    (instance,) = working(world).values()
    pool.scaling.manual_instance_count = 0
    none = world.result(update(world, pool, "scaling"))
    assert (none.scaling.manual_instance_count, working(world), instance.alive()) == (0, {}, False)
    assert none.latest_created_revision == pool.latest_created_revision
    none.scaling.manual_instance_count = 3
    assert world.result(update(world, none, "scaling")).scaling.manual_instance_count == 3
    assert list(working(world)) == ["worker-one"]


def test_a_worker_that_fails_at_once_never_becomes_ready(world: Any, pool: Any) -> None:
    world.run.launcher.worker_patience = 10.0
    pool.template = template(world, "worker-two", args=("import os; os.environ['TASK_QUEUE']",))
    pool.instance_splits = [split("worker-two", 100)]
    with pytest.raises(exceptions.GoogleAPICallError, match=r"'worker-two' is not ready.*exit\(1\)"):
        world.result(update(world, pool))
    after = world.pools.get_worker_pool(name=PATH, timeout=10)
    assert after.terminal_condition.state == run_v2.Condition.State.CONDITION_FAILED
    assert after.terminal_condition.revision_reason.name == "HEALTH_CHECK_CONTAINER_ERROR"
    assert (after.generation, after.observed_generation) == (2, 1)
    assert after.latest_created_revision.endswith("worker-two")
    assert after.latest_ready_revision.endswith("worker-one")
    assert list(working(world)) == ["worker-one"]
    assert world.logging.wait_for(lambda each: "KeyError" in each.get("textPayload", ""))


def test_a_revision_without_an_image_leaves_the_old_one_working(world: Any, pool: Any) -> None:
    pool.template = template(world, "worker-two", tag="absent")
    with pytest.raises(exceptions.GoogleAPICallError, match="not found"):
        world.result(update(world, pool))
    after = world.pools.get_worker_pool(name=PATH, timeout=10)
    assert after.terminal_condition.reason.name == "CONTAINER_MISSING"
    assert list(working(world)) == ["worker-one"]


def test_instances_do_not_go_back_to_a_revision_whose_image_is_gone(world: Any, pool: Any) -> None:
    pool.template = template(world, "worker-two", tag="v2", args=(WORK,))
    pool.instance_splits = [split("worker-two", 100)]
    pool = world.result(update(world, pool))
    world.images.delete(world.image().rsplit(":", 1)[0], f"sha256:{'1' * 64}")
    pool.instance_splits = [split("worker-one", 100)]
    with pytest.raises(exceptions.GoogleAPICallError, match="not found"):
        world.result(update(world, pool, "instance_splits"))
    assert list(working(world)) == ["worker-two"]


def test_a_split_to_a_missing_revision_fails(world: Any, pool: Any) -> None:
    pool.instance_splits = [split("worker-ten", 100)]
    with pytest.raises(exceptions.GoogleAPICallError, match="does not exist"):
        world.result(update(world, pool, "instance_splits"))
    assert list(working(world)) == ["worker-one"]


def test_revision_names_follow_the_rule_of_services(world: Any, pool: Any) -> None:
    changed = run_v2.WorkerPool(pool)
    changed.template.containers[0].args = ["other"]
    with pytest.raises(exceptions.Conflict, match="different configuration"):
        update(world, changed)
    changed.template.revision = "other-one"
    with pytest.raises(exceptions.BadRequest, match="prefixed"):
        update(world, changed)
    same = world.result(update(world, pool))
    assert (same.generation, same.latest_created_revision) == (2, pool.latest_created_revision)
    same.template.revision = ""
    unnamed = world.result(update(world, same, "template"))
    assert unnamed.latest_created_revision != pool.latest_created_revision
    forced = world.result(update(world, unnamed, force_new_revision=True))
    assert forced.latest_created_revision != unnamed.latest_created_revision
    assert world.result(update(world, forced)).latest_created_revision == forced.latest_created_revision


def test_a_stale_etag_is_a_conflict(world: Any, pool: Any) -> None:
    world.result(update(world, pool))
    with pytest.raises(exceptions.Conflict) as updated:
        update(world, pool)
    with pytest.raises(exceptions.Conflict) as deleted:
        world.pools.delete_worker_pool(request={"name": PATH, "etag": pool.etag}, timeout=10)
    for caught in (updated, deleted):
        assert caught.value.response.json()["error"]["status"] == "ABORTED"


REFUSED: dict[str, tuple[list[run_v2.InstanceSplit], str]] = {
    "sum": ([split("worker-one", 50)], "sum to 50"),
    "no revision": ([split("", 100)], "revision is required"),
    "revision of LATEST": ([run_v2.InstanceSplit(type_=LATEST, revision="worker-one", percent=100)], "must be empty"),
    "no type": ([run_v2.InstanceSplit(revision="worker-one", percent=100)], "type is required"),
    "full name": ([split(f"{PATH}/revisions/worker-one", 100)], "short name"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_splits(world: Any, pool: Any, name: str) -> None:
    pool.instance_splits, message = REFUSED[name]
    with pytest.raises(exceptions.BadRequest, match=message):
        update(world, pool)


def test_a_pool_exists_once_and_is_listed_newest_first(world: Any, pool: Any) -> None:
    made = run_v2.WorkerPool(template=template(world, "", args=(WORK,)))
    with pytest.raises(exceptions.Conflict):
        create(world, made)
    with pytest.raises(exceptions.BadRequest, match="prefixed"):
        create(world, run_v2.WorkerPool(template=template(world, "other-one")), "second")
    create(world, made, "second")
    unnamed = create(world, made, "")  # the server finds a name
    names = [each.name.rsplit("/", 1)[-1] for each in world.pools.list_worker_pools(parent=PARENT, timeout=10)]
    assert names == [unnamed.name.rsplit("/", 1)[-1], "second", "worker"]
    with pytest.raises(exceptions.NotFound):
        world.pools.get_worker_pool(name=f"{PARENT}/workerPools/third", timeout=10)
    with pytest.raises(exceptions.NotFound):
        update(world, run_v2.WorkerPool(name=f"{PARENT}/workerPools/third", template=made.template))
    late = run_v2.WorkerPool(name=f"{PARENT}/workerPools/third", template=made.template)
    assert world.result(update(world, late, allow_missing=True)).generation == 1


def test_validate_only_changes_nothing(world: Any, pool: Any) -> None:
    changed = run_v2.WorkerPool(pool)
    changed.template = template(world, "worker-two", args=(WORK,))
    assert world.result(update(world, changed, validate_only=True)).template.revision == "worker-two"
    world.result(world.pools.delete_worker_pool(request={"name": PATH, "validate_only": True}, timeout=10))
    request = run_v2.CreateWorkerPoolRequest(
        parent=PARENT, worker_pool=run_v2.WorkerPool(template=changed.template), worker_pool_id="worker-x",
        validate_only=True,
    )  # fmt: skip
    world.result(world.pools.create_worker_pool(request=request, timeout=10))
    assert list(world.pools.list_worker_pools(parent=PARENT, timeout=10)) == [pool]


def test_deleting_stops_the_work(world: Any, pool: Any) -> None:
    (instance,) = working(world).values()
    gone = world.result(world.pools.delete_worker_pool(name=PATH, timeout=10))
    assert gone.delete_time
    assert not instance.alive()
    with pytest.raises(exceptions.NotFound):
        world.pools.get_worker_pool(name=PATH, timeout=10)


def test_a_revision_is_deleted_when_nothing_is_on_it(world: Any, pool: Any) -> None:
    pool.template = template(world, "worker-two", args=(WORK,), role="x")
    pool.instance_splits = [split("worker-one", 100)]
    world.result(update(world, pool))
    path = f"{PATH}/revisions"
    for name in ("worker-one", "worker-two"):
        with pytest.raises(exceptions.BadRequest, match="can't be deleted") as caught:
            world.revisions.delete_revision(name=f"{path}/{name}", timeout=10)
        assert caught.value.response.json()["error"]["status"] == "FAILED_PRECONDITION"
    pool = world.pools.get_worker_pool(name=PATH, timeout=10)
    pool.instance_splits = [split("worker-two", 100)]
    world.result(update(world, pool))
    found = world.revisions.get_revision(name=f"{path}/worker-one", timeout=10)
    assert (found.creator, found.labels["role"]) == ("deployer@acme.iam.gserviceaccount.com", "worker")
    check: dict[str, Any] = {"name": found.name, "validate_only": True}
    # The operations are left alone: the client can't poll those of a revision (test_operations).
    world.revisions.delete_revision(request=check, timeout=10)
    assert world.revisions.get_revision(name=found.name, timeout=10) == found
    world.revisions.delete_revision(name=found.name, timeout=10)
    with pytest.raises(exceptions.NotFound):
        world.revisions.get_revision(name=found.name, timeout=10)


def test_a_pool_has_a_policy(world: Any, pool: Any) -> None:
    policy = world.pools.get_iam_policy(request={"resource": PATH}, timeout=10)
    binding = {"role": "roles/run.developer", "members": ["user:sam@example.com"]}
    sent = {"resource": PATH, "policy": {"bindings": [binding], "etag": policy.etag}}
    world.pools.set_iam_policy(request=sent, timeout=10)
    (kept,) = world.pools.get_iam_policy(request={"resource": PATH}, timeout=10).bindings
    assert (kept.role, list(kept.members)) == ("roles/run.developer", ["user:sam@example.com"])
    with pytest.raises(exceptions.Conflict):
        world.pools.set_iam_policy(request=sent, timeout=10)
    asked = {"resource": PATH, "permissions": ["run.workerpools.update"]}
    assert world.pools.test_iam_permissions(request=asked, timeout=10).permissions == ["run.workerpools.update"]


def test_operations_are_waited_for_and_listed(world: Any, pool: Any) -> None:
    operation = update(world, pool).operation
    waited = world.pools.wait_operation({"name": operation.name, "timeout": {"seconds": 10}})
    assert waited.done
    assert world.pools.get_operation({"name": operation.name}).done
    assert operation.name in [each.name for each in world.pools.list_operations({"name": PARENT}).operations]
    world.pools.delete_operation({"name": operation.name})
    with pytest.raises(exceptions.NotFound):
        world.pools.get_operation({"name": operation.name})
