"""Services as the real client meets them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from google.protobuf import json_format

REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
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


def status(error: pytest.ExceptionInfo[Any]) -> str:
    return str(error.value.response.json()["error"]["status"])


@pytest.fixture
def web(world: Any) -> Any:
    """A public service whose revision web-one has all the traffic."""
    service = world.create(traffic=[target("web-one", 100)])
    world.open()
    return service


def test_a_new_service_serves_its_first_revision(world: Any, web: Any) -> None:
    assert ready(web)
    assert web.name == world.path()
    assert web.latest_ready_revision == web.latest_created_revision == f"{world.path()}/revisions/web-one"
    assert [(each.revision, each.percent) for each in web.traffic_statuses] == [("web-one", 100)]
    assert list(web.urls) == [web.uri]
    assert web.creator == "deployer@acme.iam.gserviceaccount.com"
    assert world.fetch(web.uri).json == {"revision": "web-one", "color": ""}


def test_defaults_are_filled_in(world: Any, web: Any) -> None:
    (container,) = web.template.containers
    assert container.ports[0].container_port == 8080
    assert container.resources.limits == {"cpu": "1000m", "memory": "512Mi"}
    assert container.startup_probe.tcp_socket.port == 8080
    assert (container.startup_probe.period_seconds, container.startup_probe.failure_threshold) == (240, 1)
    assert web.template.max_instance_request_concurrency == 80
    assert web.template.timeout.seconds == 300
    assert web.ingress == run_v2.IngressTraffic.INGRESS_TRAFFIC_ALL


def test_no_traffic_block_means_the_latest_ready_revision(world: Any) -> None:
    service = world.create()
    assert [(each.type_, each.revision, each.percent) for each in service.traffic_statuses] == [(LATEST, "", 100)]
    service.template = world.template(COLOR="green")
    service = world.result(world.update(service))
    world.open()
    assert service.latest_ready_revision.rsplit("/", 1)[-1].startswith("web-00002-")
    assert world.fetch(service.uri).json["color"] == "green"


def test_a_candidate_is_tested_on_its_tag_then_shifted_to(world: Any, web: Any) -> None:
    web.template = world.template("web-two", tag="v2", COLOR="blue")
    web.traffic = [target("web-one", 100), target("web-two", 0, "candidate")]
    service = world.result(world.update(web))
    (tagged,) = [each for each in service.traffic_statuses if each.tag]
    assert world.fetch(tagged.uri).json == {"revision": "web-two", "color": "blue"}
    assert world.fetch(service.uri).json["revision"] == "web-one"

    service.traffic = [target("web-two", 100, "candidate")]
    service.template = run_v2.RevisionTemplate()  # outside the mask, so it does not count
    service = world.result(world.update(service, "traffic"))
    assert ready(service)
    assert world.fetch(service.uri).json["revision"] == "web-two"
    assert world.fetch(tagged.uri).json["revision"] == "web-two"
    listed = world.revisions.list_revisions(parent=world.path(), timeout=10)
    assert [each.name.rsplit("/", 1)[-1] for each in listed] == ["web-two", "web-one"]


def test_an_image_tag_is_resolved_when_the_revision_is_made(world: Any, web: Any, make_image: Any) -> None:
    repository = world.image().rsplit(":", 1)[0]
    world.images.put(repository, make_image("3"), ["v1"])
    # The client's Revision message has no container_statuses yet, the discovery document has.
    revision = world.call("GET", f"{world.path()}/revisions/web-one").json
    assert revision["containers"][0]["image"] == f"{repository}:v1"
    assert revision["containerStatuses"] == [{"imageDigest": f"{repository}@sha256:{'1' * 64}"}]


def test_a_tag_that_is_no_longer_listed_vanishes_and_keeps_its_address_for_later(world: Any, web: Any) -> None:
    web.traffic = [target("web-one", 100, "stable")]
    first = world.result(world.update(web, "traffic"))
    uri = first.traffic_statuses[0].uri
    assert world.fetch(uri).status == 200
    first.traffic = [target("web-one", 100)]
    second = world.result(world.update(first, "traffic"))
    assert second.traffic_statuses[0].uri == ""
    assert world.fetch(uri).status == 404
    second.traffic = [target("web-one", 100, "stable")]
    assert world.result(world.update(second, "traffic")).traffic_statuses[0].uri == uri


def test_traffic_is_split_by_percent(world: Any, web: Any) -> None:
    web.template = world.template("web-two")
    web.traffic = [target("web-one", 75), target("web-two", 25)]
    service = world.result(world.update(web))
    served = Counter(world.fetch(service.uri).json["revision"] for _ in range(80))
    assert set(served) == {"web-one", "web-two"}
    assert 45 <= served["web-one"] <= 74  # four standard deviations around 60


# -- revision names -------------------------------------------------------------------------------------------------
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


# -- refusals ---------------------------------------------------------------------------------------------------------
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


# -- failures -----------------------------------------------------------------------------------------------------------
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
    assert any(entry.get("severity") == "ERROR" and "varlog" in entry["logName"] for entry in lines)


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
    world.fetch(f"{web.uri}/die")
    assert world.fetch(web.uri).json["revision"] == "web-one"


# -- probes, secrets -------------------------------------------------------------------------------------------------------
def test_an_http_probe_that_passes_lets_the_revision_in(world: Any) -> None:
    template = world.template("web-one")
    template.containers[0].startup_probe = run_v2.Probe(
        http_get=run_v2.HTTPGetAction(path="/health/", http_headers=[run_v2.HTTPHeader(name="X-Probe", value="1")])
    )
    assert ready(world.create(template=template))


def test_secrets_arrive_as_variables_and_as_files(world: Any) -> None:
    world.secrets.put("color", b"purple")
    world.secrets.put("env", b"DEBUG=0")
    world.secrets.put("env", b"DEBUG=1")
    template = world.template("web-one")
    container = template.containers[0]
    reference = run_v2.SecretKeySelector(secret="color", version="latest")
    container.env = [
        run_v2.EnvVar(name="COLOR", value_source=run_v2.EnvVarSource(secret_key_ref=reference)),
        run_v2.EnvVar(name="SECRET_FILE", value="/secrets/.env"),
    ]
    items = [run_v2.VersionToPath(path=".env", version="1")]
    template.volumes = [
        run_v2.Volume(name="env", secret=run_v2.SecretVolumeSource(secret="env", items=items)),
        run_v2.Volume(name="sql", cloud_sql_instance=run_v2.CloudSqlInstance(instances=["acme:us-central1:db"])),
    ]
    container.volume_mounts = [
        run_v2.VolumeMount(name="env", mount_path="/secrets"),
        run_v2.VolumeMount(name="sql", mount_path="/cloudsql"),
    ]
    service = world.create(template=template)
    world.open()
    assert world.fetch(service.uri).json["color"] == "purple"
    assert world.fetch(f"{service.uri}/file").body == "DEBUG=0"


# -- who may call ---------------------------------------------------------------------------------------------------------------
@pytest.fixture
def private(world: Any) -> Any:
    service = world.create(traffic=[target("web-one", 100, "stable")], custom_audiences=["https://shop.example"])
    member = "serviceAccount:caller@acme.iam.gserviceaccount.com"
    policy = {"bindings": [{"role": "roles/run.invoker", "members": [member]}]}
    world.services.set_iam_policy(request={"resource": service.name, "policy": policy}, timeout=10)
    return service


@pytest.mark.parametrize(
    ("email", "audience", "tagged", "expected"),
    [
        ("caller", "service", False, 200),
        ("caller", "service", True, 200),
        ("caller", "tag", True, 200),
        ("caller", "tag", False, 401),
        ("caller", "https://shop.example", False, 200),
        ("caller", "https://elsewhere.example", False, 401),
        ("stranger", "service", False, 403),
        ("", "", False, 403),
    ],
)
def test_a_private_service_wants_an_id_token(
    world: Any, private: Any, email: Any, audience: Any, tagged: Any, expected: Any
) -> None:
    tag_uri = private.traffic_statuses[0].uri
    wanted = {"service": private.uri, "tag": tag_uri}.get(audience, audience)
    token = world.authority.issue_id_token(f"{email}@acme.iam.gserviceaccount.com", wanted) if email else ""
    assert world.fetch(tag_uri if tagged else private.uri, token).status == expected


def test_an_access_token_or_an_expired_token_does_not_open_a_private_service(world: Any, private: Any) -> None:
    assert world.fetch(private.uri, world.authority.issue_token("caller@acme.iam.gserviceaccount.com")).status == 401
    old = world.authority.issue_id_token("caller@acme.iam.gserviceaccount.com", private.uri, lifetime=-1)
    assert world.fetch(private.uri, old).status == 401


def test_the_invoker_check_can_be_disabled(world: Any) -> None:
    assert world.fetch(world.create(invoker_iam_disabled=True).uri).status == 200


def test_a_policy_is_read_modified_and_written(world: Any, private: Any) -> None:
    policy = world.services.get_iam_policy(request={"resource": private.name}, timeout=10)
    assert policy.bindings[0].role == "roles/run.invoker"
    world.services.set_iam_policy(request={"resource": private.name, "policy": policy}, timeout=10)
    with pytest.raises(exceptions.Conflict) as caught:
        world.services.set_iam_policy(request={"resource": private.name, "policy": policy}, timeout=10)
    assert status(caught) == "ABORTED"


def test_internal_ingress_hides_the_service_from_outside(world: Any) -> None:
    service = world.create(ingress=run_v2.IngressTraffic.INGRESS_TRAFFIC_INTERNAL_ONLY, invoker_iam_disabled=True)
    assert world.fetch(service.uri).status == 404
    world.run.knobs.caller_is_internal = True
    assert world.fetch(service.uri).status == 200


def test_the_default_address_can_be_disabled(world: Any) -> None:
    assert world.fetch(world.create(default_uri_disabled=True, invoker_iam_disabled=True).uri).status == 404


# -- request logs ---------------------------------------------------------------------------------------------------------------
def test_each_request_is_logged(world: Any, web: Any) -> None:
    world.fetch(f"{web.uri}/health/?deep=1")
    (entry,) = [each for each in world.logging.entries if each["logName"].endswith("requests")]
    assert entry["httpRequest"]["requestMethod"] == "GET"
    assert entry["httpRequest"]["status"] == 200
    assert entry["httpRequest"]["requestUrl"].endswith("/health/?deep=1")
    assert entry["severity"] == "INFO"
    assert entry["resource"]["labels"]["revision_name"] == "web-one"


# -- deleting, listing, operations ------------------------------------------------------------------------------------------------
def test_services_are_listed_page_by_page(world: Any) -> None:
    for name in ("web", "worker", "admin"):
        world.create(name, template=world.template())
    pages = world.services.list_services(
        request={"parent": "projects/acme/locations/us-central1", "page_size": 2}, timeout=10
    )
    assert [each.name.rsplit("/", 1)[-1] for each in pages] == ["web", "worker", "admin"]


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


def test_without_any_ready_revision_the_latest_cannot_serve(world: Any) -> None:
    with pytest.raises(exceptions.GoogleAPICallError):
        world.create(template=failing(world, "image"))
    with pytest.raises(exceptions.GoogleAPICallError, match="No revision is ready"):
        world.result(world.update(run_v2.Service(name=world.path()), "traffic"))


def test_an_operation_of_another_name_is_not_found(world: Any) -> None:
    assert world.call("GET", "projects/acme/locations/us-central1/operations/absent").status == 404
