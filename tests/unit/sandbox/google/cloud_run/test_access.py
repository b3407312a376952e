"""Who may call a service: IAM, audiences, ingress."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION


def target(revision: str, percent: int = 0, tag: str = "") -> run_v2.TrafficTarget:
    return run_v2.TrafficTarget(type_=REVISION, revision=revision, percent=percent, tag=tag)


def status(error: pytest.ExceptionInfo[Any]) -> str:
    return str(error.value.response.json()["error"]["status"])


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
