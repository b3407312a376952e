"""One project in several regions: every method answers for each, and none of them knows the others' resources."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

HOME, AWAY = (f"projects/acme/locations/{name}" for name in ("us-central1", "europe-west1"))
LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST


def create(world: Any, parent: str, color: str, name: str = "web") -> Any:
    service = run_v2.Service(template=world.template(f"{name}-{color}", COLOR=color), invoker_iam_disabled=True)
    return world.result(world.services.create_service(parent=parent, service=service, service_id=name, timeout=10))


@pytest.fixture
def both(world: Any) -> Any:
    world.run.add_region("europe-west1")
    return create(world, HOME, "green"), create(world, AWAY, "blue")


def test_a_name_may_be_used_in_each_region(world: Any, both: Any) -> None:
    home, away = both
    assert (home.name, away.name) == (f"{HOME}/services/web", f"{AWAY}/services/web")
    assert home.uri != away.uri
    assert [world.fetch(each.uri).json["color"] for each in both] == ["green", "blue"]
    for parent, service in ((HOME, home), (AWAY, away)):
        assert list(world.services.list_services(parent=parent, timeout=10)) == [service]
        (revision,) = world.revisions.list_revisions(parent=f"{parent}/services/-", timeout=10)
        assert revision.name.startswith(f"{service.name}/revisions/web-")
    entry = world.logging.wait_for(lambda each: each["resource"]["labels"].get("location") == "europe-west1")
    assert entry["resource"]["labels"]["revision_name"] == "web-blue"
    assert [name for name, _ in world.run.everywhere()] == ["web", "europe-west1/web"]


def test_generation_and_etag_are_each_regions_own(world: Any, both: Any) -> None:
    home, away = both
    away.scaling = run_v2.ServiceScaling(min_instance_count=1)
    changed = world.result(world.update(away, "scaling"))
    assert (changed.generation, changed.etag != away.etag) == (2, True)
    assert world.get() == home
    assert world.result(world.update(home, "labels")).generation == 2
    foreign = run_v2.Service(changed)
    foreign.etag = home.etag
    with pytest.raises(exceptions.Conflict):
        world.update(foreign, "labels")


def test_operations_belong_to_a_region(world: Any, both: Any) -> None:
    operation = world.update(both[1], "labels").operation.name
    assert operation.startswith(f"{AWAY}/operations/")
    assert world.services.wait_operation({"name": operation, "timeout": {"seconds": 10}}).done
    with pytest.raises(exceptions.NotFound):
        world.services.get_operation({"name": operation.replace("europe-west1", "us-central1")})
    listed = [each.name for each in world.services.list_operations({"name": AWAY}).operations]
    assert operation in listed
    assert all(name.startswith(AWAY) for name in listed)


def test_jobs_and_pools_belong_to_a_region(world: Any, both: Any) -> None:
    task = run_v2.TaskTemplate(
        containers=[run_v2.Container(image=world.image(), command=["python3", "task.py"])], max_retries=0
    )
    job = run_v2.Job(template=run_v2.ExecutionTemplate(template=task))
    world.result(world.jobs.create_job(parent=AWAY, job=job, job_id="migrate", timeout=10))
    execution = world.result(world.jobs.run_job(name=f"{AWAY}/jobs/migrate", timeout=10))
    assert execution.name.startswith(f"{AWAY}/jobs/migrate/executions/")
    world.run.launcher.worker_patience = 0.01
    template = run_v2.WorkerPoolRevisionTemplate(
        containers=[run_v2.Container(image=world.image(), command=["sleep"], args=["60"])]
    )
    world.result(
        world.pools.create_worker_pool(
            parent=AWAY, worker_pool=run_v2.WorkerPool(template=template), worker_pool_id="worker", timeout=10
        )
    )
    assert not list(world.jobs.list_jobs(parent=HOME, timeout=10))
    assert not list(world.pools.list_worker_pools(parent=HOME, timeout=10))
    (pool,) = world.pools.list_worker_pools(parent=AWAY, timeout=10)
    assert pool.instance_split_statuses[0].percent == 100


def test_deleting_in_one_region_leaves_the_other(world: Any, both: Any) -> None:
    home, away = both
    world.result(world.services.delete_service(name=away.name, timeout=10))
    with pytest.raises(exceptions.NotFound, match="region 'europe-west1'"):
        world.services.get_service(name=away.name, timeout=10)
    assert world.fetch(home.uri).status == 200


def test_every_method_refuses_a_region_that_is_not_there(world: Any) -> None:
    names = dict.fromkeys(("service", "revision", "job", "execution", "task", "pool", "operation"), "some")
    for method, template in world.run.regions["us-central1"].handlers:
        path = template.format(project="acme", location="mars-north1", **names).removeprefix("/v2/")
        assert (world.call(method, path, {}).status, path) == (403, path)
        path = template.format(project="mars", location="us-central1", **names).removeprefix("/v2/")
        assert (world.call(method, path, {}).status, path) == (403, path)


def test_a_project_may_be_named_by_its_number(world: Any, web: Any) -> None:
    found = world.services.get_service(name="projects/123456789012/locations/us-central1/services/web", timeout=10)
    assert found == world.get()


def test_a_region_is_added_once(world: Any) -> None:
    assert world.run.add_region("us-central1") is world.run.regions["us-central1"]
    world.run.add_region("europe-west1")
    world.run.operation_seconds = 0.5
    assert {region.operations.seconds for region in world.run.regions.values()} == {0.5}
    world.run.operation_seconds = 0.0
