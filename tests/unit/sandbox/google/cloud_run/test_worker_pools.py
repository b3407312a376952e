"""Worker pools as the real client meets them."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

PARENT = "projects/acme/locations/us-central1"
PATH = f"{PARENT}/workerPools/worker"
BY_REVISION = run_v2.InstanceSplitAllocationType.INSTANCE_SPLIT_ALLOCATION_TYPE_REVISION


def template(world: Any, revision: str, *, tag: str = "v1", args: tuple[str, ...] = ("sleep",)) -> Any:
    container = run_v2.Container(image=world.image(tag), command=["python3", "-c"], args=list(args))
    return run_v2.WorkerPoolRevisionTemplate(revision=revision, containers=[container])


WORK = "import time; print('working', flush=True); time.sleep(60)"


@pytest.fixture
def pool(world: Any) -> Any:
    made = run_v2.WorkerPool(template=template(world, "worker-one", args=(WORK,)))
    operation = world.pools.create_worker_pool(parent=PARENT, worker_pool=made, worker_pool_id="worker", timeout=10)
    return world.result(operation)


def test_a_pool_runs_its_latest_revision(world: Any, pool: Any) -> None:
    assert pool.latest_ready_revision == f"{PATH}/revisions/worker-one"
    assert pool.terminal_condition.state == run_v2.Condition.State.CONDITION_SUCCEEDED
    (running,) = world.run.worker_pools.all["worker"].working
    assert running.instance.alive()


def test_a_split_moves_the_work(world: Any, pool: Any) -> None:
    first = world.run.worker_pools.all["worker"].working[0].instance
    pool.template = template(world, "worker-two", tag="v2", args=(WORK,))
    pool.instance_splits = [run_v2.InstanceSplit(type_=BY_REVISION, revision="worker-two", percent=100)]
    moved = world.result(world.pools.update_worker_pool(worker_pool=pool, timeout=10))
    assert [each.revision for each in moved.instance_split_statuses] == ["worker-two"]
    assert not first.alive()
    listed = world.call("GET", f"{PATH}/revisions").json["revisions"]
    assert [each["name"].rsplit("/", 1)[-1] for each in listed] == ["worker-two", "worker-one"]


def test_a_failed_revision_leaves_the_old_one_working(world: Any, pool: Any) -> None:
    pool.template = template(world, "worker-two", tag="absent")
    with pytest.raises(exceptions.GoogleAPICallError, match="not found"):
        world.result(world.pools.update_worker_pool(worker_pool=pool, timeout=10))
    after = world.pools.get_worker_pool(name=PATH, timeout=10)
    assert after.terminal_condition.reason.name == "CONTAINER_MISSING"
    assert world.run.worker_pools.all["worker"].working[0].name == "worker-one"


def test_a_split_to_a_missing_revision_fails(world: Any, pool: Any) -> None:
    pool.instance_splits = [run_v2.InstanceSplit(type_=BY_REVISION, revision="worker-ten", percent=100)]
    with pytest.raises(exceptions.GoogleAPICallError, match="does not exist"):
        world.result(world.pools.update_worker_pool(worker_pool=pool, timeout=10))


def test_refusals(world: Any, pool: Any) -> None:
    changed = run_v2.WorkerPool(pool)
    changed.template.containers[0].args = ["other"]
    with pytest.raises(exceptions.Conflict):
        world.pools.update_worker_pool(worker_pool=changed, timeout=10)
    pool.instance_splits = [run_v2.InstanceSplit(type_=BY_REVISION, revision="worker-one", percent=50)]
    with pytest.raises(exceptions.BadRequest, match="sum to 50"):
        world.pools.update_worker_pool(worker_pool=pool, timeout=10)
    made = run_v2.WorkerPool(template=template(world, ""))
    with pytest.raises(exceptions.Conflict):
        world.pools.create_worker_pool(parent=PARENT, worker_pool=made, worker_pool_id="worker", timeout=10)
    assert world.call("GET", f"{PATH}/revisions/absent").status == 404


def test_pools_are_listed_and_deleted(world: Any, pool: Any) -> None:
    assert [each.name for each in world.pools.list_worker_pools(parent=PARENT, timeout=10)] == [PATH]
    instance = world.run.worker_pools.all["worker"].working[0].instance
    world.result(world.pools.delete_worker_pool(name=PATH, timeout=10))
    assert not instance.alive()
    with pytest.raises(exceptions.NotFound):
        world.pools.get_worker_pool(name=PATH, timeout=10)


def test_an_update_may_create_the_pool_or_only_check(world: Any) -> None:
    made = run_v2.WorkerPool(name=PATH, template=template(world, "", args=(WORK,)))
    checked = run_v2.UpdateWorkerPoolRequest(worker_pool=made, allow_missing=True, validate_only=True)
    world.result(world.pools.update_worker_pool(request=checked, timeout=10))
    assert list(world.pools.list_worker_pools(parent=PARENT, timeout=10)) == []
    request = run_v2.UpdateWorkerPoolRequest(worker_pool=made, allow_missing=True)
    created = world.result(world.pools.update_worker_pool(request=request, timeout=10))
    assert created.latest_created_revision.rsplit("/", 1)[-1].startswith("worker-00001-")
    checked = run_v2.UpdateWorkerPoolRequest(worker_pool=created, validate_only=True)
    assert world.result(world.pools.update_worker_pool(request=checked, timeout=10)).generation == 1
