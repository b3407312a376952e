"""Revisions: who made them, when they may go, and what becomes of them when their image has gone."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from google.oauth2.credentials import Credentials

from bot.sandbox.google.iam import user

REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
REPOSITORY = "us-central1-docker.pkg.dev/acme/shop/web"
DEPLOYER, SAM = "deployer@acme.iam.gserviceaccount.com", "sam@example.com"


def target(revision: str, percent: int = 0, tag: str = "") -> run_v2.TrafficTarget:
    return run_v2.TrafficTarget(type_=REVISION, revision=revision, percent=percent, tag=tag)


def roll(world: Any, service: Any, name: str, *traffic: run_v2.TrafficTarget, tag: str = "v1", **env: str) -> Any:
    service.template = world.template(name, tag=tag, **env)
    service.traffic = list(traffic)
    return world.result(world.update(service))


def delete(world: Any, name: str, **options: Any) -> None:
    """The operation is left alone: the client can't poll those of a revision (test_operations)."""
    request: dict[str, Any] = {"name": f"{world.path()}/revisions/{name}", **options}
    world.revisions.delete_revision(request=request, timeout=10)


def names(world: Any) -> list[str]:
    return [each.name.rsplit("/", 1)[-1] for each in world.revisions.list_revisions(parent=world.path(), timeout=10)]


def test_who_made_and_who_changed_is_told(world: Any, web: Any) -> None:
    sam: Credentials = Credentials(world.authority.issue_token(user(SAM)))  # type: ignore[no-untyped-call]
    by_sam = run_v2.ServicesClient(credentials=sam, transport="rest", client_options={"api_endpoint": world.run.url})
    before = world.get()
    assert (before.creator, before.last_modifier, before.create_time) == (DEPLOYER, DEPLOYER, before.update_time)
    request = run_v2.UpdateServiceRequest(service=run_v2.Service(before))
    request.service.template = world.template("web-two")
    world.result(by_sam.update_service(request=request, timeout=10))
    after = world.get()
    assert (after.creator, after.last_modifier) == (DEPLOYER, SAM)
    assert after.create_time == before.create_time
    assert after.update_time > before.update_time
    made = {
        each.name.rsplit("/", 1)[-1]: each.creator
        for each in world.revisions.list_revisions(parent=world.path(), timeout=10)
    }
    assert made == {"web-one": DEPLOYER, "web-two": SAM}
    job = world.job()
    assert (job.creator, job.last_modifier, job.create_time) == (DEPLOYER, DEPLOYER, job.update_time)


def test_a_revision_that_can_receive_traffic_stays(world: Any, web: Any) -> None:
    service = roll(world, web, "web-two", target("web-one", 100))
    service = roll(world, service, "web-three", target("web-one", 100), target("web-two", 0, "old"))
    for name in ("web-one", "web-two", "web-three"):  # traffic, a tag, the latest
        with pytest.raises(exceptions.BadRequest, match="can't be deleted") as caught:
            delete(world, name)
        assert caught.value.response.json()["error"]["status"] == "FAILED_PRECONDITION"
    service.traffic = [target("web-three", 100)]
    world.result(world.update(service, "traffic"))
    stale = world.revisions.get_revision(name=f"{world.path()}/revisions/web-two", timeout=10)
    with pytest.raises(exceptions.Conflict):
        delete(world, "web-two", etag='"stale"')
    delete(world, "web-two", validate_only=True)
    assert names(world) == ["web-three", "web-two", "web-one"]
    delete(world, "web-two", etag=stale.etag)
    assert names(world) == ["web-three", "web-one"]
    with pytest.raises(exceptions.NotFound):
        delete(world, "web-two")
    after = world.get()
    after.traffic = [target("web-two", 100)]
    with pytest.raises(exceptions.GoogleAPICallError, match="does not exist or is deleted"):
        world.result(world.update(after, "traffic"))


def test_the_only_revision_stays(world: Any, web: Any) -> None:
    with pytest.raises(exceptions.BadRequest, match="can't be deleted"):
        delete(world, "web-one")


def test_an_image_that_is_gone_makes_no_new_revision_while_old_ones_go_on(world: Any, web: Any) -> None:
    world.images.delete(REPOSITORY, f"sha256:{'1' * 64}")
    web.template = world.template("web-two")
    web.traffic = [target("web-one", 100), target("web-two", 0, "candidate")]
    with pytest.raises(exceptions.GoogleAPICallError, match=f"Image '{REPOSITORY}:v1' not found"):
        world.result(world.update(web))
    after = world.get()
    assert after.terminal_condition.reason.name == "CONTAINER_MISSING"
    assert world.fetch(after.uri).json["revision"] == "web-one"
    world.run.run_services.all["web"].revisions["web-one"].stop()  # a cold start takes Cloud Run's own copy
    assert world.fetch(after.uri).json["revision"] == "web-one"


def test_traffic_does_not_go_back_to_a_revision_whose_image_is_gone(world: Any, web: Any) -> None:
    service = roll(world, web, "web-two", target("web-two", 100), target("web-one", 0, "old"), tag="v2")
    world.images.delete(REPOSITORY, f"sha256:{'1' * 64}")
    service.traffic = [target("web-two", 50), target("web-one", 50)]  # the tag has kept its copy
    service = world.result(world.update(service, "traffic"))
    service.traffic = [target("web-two", 100)]
    service = world.result(world.update(service, "traffic"))
    service.traffic = [target("web-one", 100)]
    with pytest.raises(exceptions.GoogleAPICallError, match=f"Image '{REPOSITORY}@sha256:1.* not found"):
        world.result(world.update(service, "traffic"))
    assert world.fetch(service.uri).json["revision"] == "web-two"


def test_services_and_jobs_have_policies(world: Any, web: Any) -> None:
    job = world.job()
    for client, path in ((world.services, web.name), (world.jobs, job.name)):
        policy = client.get_iam_policy(request={"resource": path}, timeout=10)
        policy.bindings.add(role="roles/run.invoker", members=[f"user:{SAM}"])
        assert client.set_iam_policy(request={"resource": path, "policy": policy}, timeout=10).bindings
        asked = {"resource": path, "permissions": ["run.jobs.run"]}
        assert client.test_iam_permissions(request=asked, timeout=10).permissions == ["run.jobs.run"]
        assert not client.test_iam_permissions(request={"resource": path}, timeout=10).permissions
