"""Services as the real client meets them: serving, tags, splits, secrets, request logs."""

from __future__ import annotations

from collections import Counter
from typing import Any

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


def test_each_request_is_logged(world: Any, web: Any) -> None:
    world.fetch(f"{web.uri}/health/?deep=1")
    entry = world.logging.wait_for(lambda each: each["logName"].endswith("requests"))  # written after the answer
    assert entry["httpRequest"]["requestMethod"] == "GET"
    assert entry["httpRequest"]["status"] == 200
    assert entry["httpRequest"]["requestUrl"].endswith("/health/?deep=1")
    assert entry["severity"] == "INFO"
    assert entry["resource"]["labels"]["revision_name"] == "web-one"
