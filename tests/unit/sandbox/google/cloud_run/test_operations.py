"""Listing, deleting, waiting, and updates that meet."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
SUCCEEDED = run_v2.Condition.State.CONDITION_SUCCEEDED


def target(revision: str, percent: int = 0, tag: str = "") -> run_v2.TrafficTarget:
    return run_v2.TrafficTarget(type_=REVISION, revision=revision, percent=percent, tag=tag)


def ready(service: run_v2.Service) -> bool:
    return (
        not service.reconciling
        and service.terminal_condition.state == SUCCEEDED
        and service.observed_generation == service.generation
    )


def test_services_are_listed_page_by_page(world: Any) -> None:
    for name in ("web", "worker", "admin"):
        world.create(name, template=world.template())
    pages = world.services.list_services(
        request={"parent": "projects/acme/locations/us-central1", "page_size": 2}, timeout=10
    )
    assert [each.name.rsplit("/", 1)[-1] for each in pages] == ["admin", "worker", "web"]  # the newest first


def test_a_deleted_service_is_gone(world: Any, web: Any) -> None:
    world.result(world.services.delete_service(name=web.name, timeout=10))
    with pytest.raises(exceptions.NotFound):
        world.get()


def test_only_an_idle_revision_can_be_deleted(world: Any, web: Any) -> None:
    web.template = world.template("web-two")
    web.traffic = [target("web-two", 100)]
    world.result(world.update(web))
    with pytest.raises(exceptions.BadRequest):
        world.revisions.delete_revision(name=f"{world.path()}/revisions/web-two", timeout=10)
    # The operation is left alone: its metadata has containerStatuses, at which the client's polling raises ParseError.
    world.revisions.delete_revision(name=f"{world.path()}/revisions/web-one", timeout=10)
    with pytest.raises(exceptions.NotFound):
        world.revisions.get_revision(name=f"{world.path()}/revisions/web-one", timeout=10)


def test_operations_can_be_waited_for_listed_and_forgotten(world: Any, web: Any) -> None:
    web.template = world.template("web-two")
    operation = world.update(web)
    assert not operation.operation.done
    name = operation.operation.name
    done = world.services.wait_operation({"name": name, "timeout": {"seconds": 20}}, timeout=30)
    assert done.done
    assert world.services.get_operation({"name": name}).done
    assert name in [
        each.name for each in world.services.list_operations({"name": name.split("/operations/")[0]}).operations
    ]
    world.services.delete_operation({"name": name})
    with pytest.raises(exceptions.NotFound):
        world.services.get_operation({"name": name})


def test_an_operation_takes_the_time_it_is_told_to(world: Any, web: Any) -> None:
    world.run.operation_seconds = 30.0
    operation = world.update(web)
    waited = world.services.wait_operation({"name": operation.operation.name, "timeout": {"nanos": 50_000_000}})
    assert not waited.done
    with pytest.raises(exceptions.BadRequest):
        world.services.delete_operation({"name": operation.operation.name})


def test_a_call_without_a_token_is_refused(world: Any) -> None:
    assert world.fetch(f"{world.run.url}/v2/{world.path()}").status == 401
    assert world.fetch(f"{world.run.url}/v2/{world.path()}", "unknown").status == 401


def test_updates_of_one_service_take_turns_and_the_newest_wins(world: Any, web: Any) -> None:
    operations = []
    for name in ("web-two", "web-three"):
        service = run_v2.Service(name=world.path(), template=world.template(name), traffic=[target(name, 100)])
        operations.append(world.update(service, "template,traffic"))
    for operation in operations:
        world.result(operation)
    service = world.get()
    assert ready(service)
    assert [each.revision for each in service.traffic_statuses] == ["web-three"]
    assert world.fetch(service.uri).json["revision"] == "web-three"


def test_a_revision_out_of_traffic_has_no_process_and_gets_one_again(world: Any, web: Any) -> None:
    first: Any = world.run.run_services.all["web"].revisions["web-one"]
    web.template = world.template("web-two")
    web.traffic = [target("web-two", 100)]
    service = world.result(world.update(web))
    assert not first.instance
    service.traffic = [target("web-one", 100)]
    world.result(world.update(service, "traffic"))
    assert first.instance.alive()
    assert world.fetch(service.uri).json["revision"] == "web-one"


def test_a_mask_reaches_into_messages(world: Any, web: Any) -> None:
    change = run_v2.Service(name=web.name, scaling=run_v2.ServiceScaling(min_instance_count=1), description="no")
    changed = world.result(world.update(change, "scaling.min_instance_count"))
    assert (changed.scaling.min_instance_count, changed.description) == (1, "")
    assert changed.template == web.template
    cleared = world.result(world.update(run_v2.Service(name=web.name), "scaling.min_instance_count"))
    assert "scaling" not in cleared


def test_an_operation_of_another_name_is_not_found(world: Any) -> None:
    assert world.call("GET", "projects/acme/locations/us-central1/operations/absent").status == 404
