"""What fails after it was accepted, and what goes on serving then."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from google.protobuf import json_format

REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
SUCCEEDED = run_v2.Condition.State.CONDITION_SUCCEEDED
FAILED = run_v2.Condition.State.CONDITION_FAILED


def target(revision: str, percent: int = 0, tag: str = "") -> run_v2.TrafficTarget:
    return run_v2.TrafficTarget(type_=REVISION, revision=revision, percent=percent, tag=tag)


def ready(service: run_v2.Service) -> bool:
    return (
        not service.reconciling
        and service.terminal_condition.state == SUCCEEDED
        and service.observed_generation == service.generation
    )


def failed_update(world: Any, service: run_v2.Service) -> tuple[exceptions.GoogleAPICallError, run_v2.Service]:
    with pytest.raises(exceptions.GoogleAPICallError) as caught:
        world.result(world.update(service))
    return caught.value, world.get()


def failing(world: Any, kind: str) -> Any:
    template = world.template("web-two", MODE={"crash": "crash", "probe": "unhealthy"}.get(kind, ""))
    container = template.containers[0]
    if kind == "probe":
        container.startup_probe = run_v2.Probe(
            http_get=run_v2.HTTPGetAction(path="/health/"), period_seconds=1, failure_threshold=2
        )
    elif kind == "image":
        container.image = world.image("absent")
    elif kind == "secret":
        reference = run_v2.SecretKeySelector(secret="absent", version="latest")
        container.env.append(run_v2.EnvVar(name="KEY", value_source=run_v2.EnvVarSource(secret_key_ref=reference)))
    return template


@pytest.mark.parametrize(
    ("kind", "field", "reason", "message"),
    [
        ("crash", "revision_reason", "HEALTH_CHECK_CONTAINER_ERROR", "failed to start and listen on the port"),
        ("probe", "revision_reason", "HEALTH_CHECK_CONTAINER_ERROR", "failed the configured startup probe"),
        ("image", "reason", "CONTAINER_MISSING", "web:absent' not found"),
        ("secret", "reason", "SECRETS_ACCESS_CHECK_FAILED", "secrets/absent"),
    ],
)
def test_a_failed_revision_leaves_the_old_one_serving(
    world: Any, web: Any, kind: Any, field: Any, reason: Any, message: Any
) -> None:
    web.template = failing(world, kind)
    web.traffic = [target("web-two", 100)]
    error, service = failed_update(world, web)
    assert message in str(error)
    assert not service.reconciling
    assert service.terminal_condition.state == FAILED
    assert getattr(service.terminal_condition, field).name == reason
    assert service.observed_generation == service.generation - 1
    assert service.latest_created_revision.endswith("web-two")
    assert service.latest_ready_revision.endswith("web-one")
    assert [each.revision for each in service.traffic_statuses] == ["web-one"]
    assert world.fetch(service.uri).json["revision"] == "web-one"
    revision = world.revisions.get_revision(name=service.latest_created_revision, timeout=10)
    (condition, *_) = revision.conditions
    assert (condition.state, getattr(condition, field).name) == (FAILED, reason)


def test_the_last_words_of_a_crash_are_logged(world: Any, web: Any) -> None:
    web.template = failing(world, "crash")
    failed_update(world, web)
    lines = [entry for entry in world.logging.entries if entry["resource"]["labels"]["revision_name"] == "web-two"]
    (last_words,) = [entry for entry in lines if entry["logName"].endswith("stderr")]
    assert last_words["textPayload"] == "RuntimeError: no database"
    assert last_words["resource"]["type"] == "cloud_run_revision"
    assert "varlog%2Fsystem" in lines[-1]["logName"]
    assert lines[-1]["severity"] == "ERROR"


def test_after_a_failure_the_traffic_can_be_set_again(world: Any, web: Any) -> None:
    web.template = failing(world, "crash")
    _, service = failed_update(world, web)
    service.traffic = [target("web-one", 100)]
    assert ready(world.result(world.update(service, "traffic")))


def test_a_failed_newest_revision_can_keep_the_service_failed(world: Any, web: Any) -> None:
    world.run.knobs.sticky_failure = True
    web.template = failing(world, "crash")
    _, service = failed_update(world, web)
    service.traffic = [target("web-one", 100)]
    with pytest.raises(exceptions.GoogleAPICallError, match="web-two"):
        world.result(world.update(service, "traffic"))


def test_traffic_to_a_revision_that_does_not_exist_fails(world: Any, web: Any) -> None:
    web.traffic = [target("web-ten", 100)]
    error, service = failed_update(world, web)
    assert "does not exist or is deleted" in str(error)
    assert [each.revision for each in service.traffic_statuses] == ["web-one"]
    assert world.fetch(service.uri).status == 200


def test_traffic_to_a_failed_revision_fails(world: Any, web: Any) -> None:
    web.template = failing(world, "crash")
    _, service = failed_update(world, web)
    service.traffic = [target("web-two", 100)]
    with pytest.raises(exceptions.GoogleAPICallError, match="not ready"):
        world.result(world.update(service, "traffic"))


def test_a_first_revision_that_fails_leaves_nothing_serving(world: Any) -> None:
    with pytest.raises(exceptions.GoogleAPICallError):
        world.create(template=failing(world, "crash"))
    service = world.get()
    assert (service.latest_ready_revision, list(service.traffic_statuses), service.observed_generation) == ("", [], 0)
    world.open()
    assert world.fetch(service.uri).status == 503


def test_a_process_that_died_is_started_again(world: Any, web: Any) -> None:
    first = world.run.run_services.all["web"].revisions["web-one"].instance
    assert world.fetch(f"{web.uri}/die").status == 503
    assert first.wait(5) == 4
    assert world.fetch(web.uri).json["revision"] == "web-one"


def test_without_any_ready_revision_the_latest_cannot_serve(world: Any) -> None:
    with pytest.raises(exceptions.GoogleAPICallError):
        world.create(template=failing(world, "image"))
    with pytest.raises(exceptions.GoogleAPICallError, match="No revision is ready"):
        world.result(world.update(run_v2.Service(name=world.path()), "traffic"))


def test_a_template_that_gcloud_wrote_breaks_the_polling_of_operations_but_not_the_service(
    world: Any, web: Any
) -> None:
    """The API knows ``template.client``; the client library does not, and its operations' parser is strict."""
    template = {"containers": [{"image": world.image("v2")}], "client": "gcloud", "clientVersion": "999.0.0"}
    assert world.call("PATCH", f"{world.path()}?updateMask=template", {"template": template}).status == 200
    operation = world.update(run_v2.Service(name=world.path(), traffic=web.traffic), "traffic")
    with pytest.raises(json_format.ParseError, match="client"):
        world.result(operation)
    assert world.get().template.containers[0].image == world.image("v2")
