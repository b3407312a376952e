"""What Cloud Run refuses at once: names, labels, traffic blocks, masks, stale etags."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
SUCCEEDED = run_v2.Condition.State.CONDITION_SUCCEEDED


def target(revision: str, percent: int = 0, tag: str = "") -> run_v2.TrafficTarget:
    return run_v2.TrafficTarget(type_=REVISION, revision=revision, percent=percent, tag=tag)


def ready(service: run_v2.Service) -> bool:
    return (
        not service.reconciling
        and service.terminal_condition.state == SUCCEEDED
        and service.observed_generation == service.generation
    )


def status(error: pytest.ExceptionInfo[Any]) -> str:
    return str(error.value.response.json()["error"]["status"])


def test_the_same_template_makes_no_revision(world: Any, web: Any) -> None:
    service = world.result(world.update(web))
    assert service.generation == web.generation + 1
    assert service.latest_created_revision == web.latest_created_revision


def test_a_name_that_is_taken_by_another_template_is_a_conflict(world: Any, web: Any) -> None:
    web.template.containers[0].env.append(run_v2.EnvVar(name="COLOR", value="red"))
    with pytest.raises(exceptions.Conflict) as caught:
        world.update(web)
    assert status(caught) == "ALREADY_EXISTS"
    assert "different configuration already exists" in str(caught.value)
    assert world.get().generation == web.generation


def test_a_new_revision_can_be_forced(world: Any) -> None:
    world.create(template=world.template())
    first = world.get()
    reply = world.call("PATCH", f"{world.path()}?updateMask=template.labels&forceNewRevision=true", {})
    assert reply.status == 200
    assert world.get().latest_created_revision != first.latest_created_revision


def test_a_stale_etag_is_a_conflict(world: Any, web: Any) -> None:
    stale = run_v2.Service(web)
    world.result(world.update(web))
    with pytest.raises(exceptions.Conflict) as caught:
        world.update(stale)
    assert status(caught) == "ABORTED"


REFUSED: dict[str, tuple[Any, str]] = {
    "system label": (lambda s, t: s.labels.update({"run.googleapis.com/x": "y"}), "not supported"),
    "upper-case label": (lambda s, t: s.labels.update({"Team": "y"}), "Invalid label"),
    "system annotation": (lambda s, t: t.annotations.update({"autoscaling.knative.dev/minScale": "1"}), "not supported"),
    "sum": (lambda s, t: s.traffic.append(target("web-one", 5)), "sum to 105"),
    "tag twice": (
        lambda s, t: s.traffic.extend([target("web-one", 0, "abc"), target("web-one", 0, "abc")]), "Multiple",
    ),
    "short tag": (lambda s, t: s.traffic.append(target("web-one", 0, "ab")), "Invalid traffic tag"),
    "long tag": (lambda s, t: s.traffic.append(target("web-one", 0, "a" * 44)), "exceed 46"),
    "full revision name": (lambda s, t: s.traffic.append(target("services/web/revisions/web-one")), "short name"),
    "target without type": (lambda s, t: s.traffic.append(run_v2.TrafficTarget(tag="abc")), "type is required"),
    "revision of LATEST": (
        lambda s, t: s.traffic.append(run_v2.TrafficTarget(type_=LATEST, revision="web-one")), "must be empty",
    ),
    "no revision": (lambda s, t: s.traffic.append(target("")), "revision is required"),
    "percent": (lambda s, t: s.traffic.append(target("web-one", -5)), "between 0 and 100"),
    "foreign revision name": (lambda s, t: setattr(t, "revision", "other-one"), "prefixed"),
    "long revision name": (lambda s, t: setattr(t, "revision", "web-" + "x" * 60), "63"),
    "PORT": (lambda s, t: t.containers[0].env.append(run_v2.EnvVar(name="PORT", value="1")), "reserved"),
    "no container": (lambda s, t: t.containers.clear(), "at least one container"),
    "no image": (lambda s, t: setattr(t.containers[0], "image", ""), "image is required"),
    "mount of nothing": (
        lambda s, t: t.containers[0].volume_mounts.append(run_v2.VolumeMount(name="x", mount_path="/x")), "no volume",
    ),
    "probe timeout": (
        lambda s, t: setattr(t.containers[0], "startup_probe", run_v2.Probe(timeout_seconds=9, period_seconds=3)),
        "timeout_seconds",
    ),
    "probe period": (
        lambda s, t: setattr(t.containers[0], "startup_probe", run_v2.Probe(period_seconds=900)), "period_seconds",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_and_changes_nothing(world: Any, web: Any, name: Any) -> None:
    spoil, message = REFUSED[name]
    changed = run_v2.Service(web)
    changed.template = world.template()
    changed.traffic = [target("web-one", 100)]
    spoil(changed, changed.template)
    with pytest.raises(exceptions.BadRequest, match=message) as caught:
        world.update(changed)
    assert status(caught) == "INVALID_ARGUMENT"
    assert world.get() == web


@pytest.mark.parametrize("name", ["Web", "1web", "web-", "w" * 50])
def test_service_names_follow_the_rule(world: Any, name: Any) -> None:
    with pytest.raises(exceptions.BadRequest):
        world.create(name, template=world.template())


def test_a_mask_with_an_unknown_field_is_refused(world: Any, web: Any) -> None:
    with pytest.raises(exceptions.BadRequest, match="can not be updated"):
        world.update(web, "uri")


def test_a_service_exists_once(world: Any, web: Any) -> None:
    with pytest.raises(exceptions.Conflict) as caught:
        world.create()
    assert status(caught) == "ALREADY_EXISTS"


def test_what_is_missing_is_not_found(world: Any) -> None:
    with pytest.raises(exceptions.NotFound, match="does not exist"):
        world.get("absent")
    with pytest.raises(exceptions.NotFound):
        world.update(run_v2.Service(name=world.path("absent"), template=world.template()))
    with pytest.raises(exceptions.NotFound):
        world.revisions.get_revision(name=f"{world.path()}/revisions/absent", timeout=10)


def test_another_region_is_forbidden(world: Any) -> None:
    with pytest.raises(exceptions.Forbidden):
        world.services.get_service(name="projects/acme/locations/europe-west1/services/web", timeout=10)


def test_allow_missing_creates(world: Any) -> None:
    service = run_v2.Service(name=world.path("late"), template=world.template())
    assert ready(world.result(world.update(service, allow_missing=True)))


def test_validate_only_changes_nothing(world: Any, web: Any) -> None:
    web.template = world.template("web-two")
    planned = world.result(world.update(web, validate_only=True))
    assert planned.template.revision == "web-two"
    assert world.get().template.revision == "web-one"


def test_validate_only_neither_creates_nor_deletes(world: Any, web: Any) -> None:
    request = run_v2.CreateServiceRequest(
        parent="projects/acme/locations/us-central1",
        service=run_v2.Service(template=world.template()),
        service_id="planned",
        validate_only=True,
    )
    world.result(world.services.create_service(request=request, timeout=10))
    world.result(world.services.delete_service(request={"name": web.name, "validate_only": True}, timeout=10))
    assert [each.name for each in world.services.list_services(parent=request.parent, timeout=10)] == [web.name]


def test_a_creation_with_a_foreign_revision_name_leaves_nothing(world: Any) -> None:
    with pytest.raises(exceptions.BadRequest, match="prefixed"):
        world.create(template=world.template("other-one"))
    with pytest.raises(exceptions.NotFound):
        world.get()
