from typing import Any

import pytest
from google.cloud import run_v2
from google.iam.v1 import policy_pb2  # type: ignore[import-untyped]

from bot.core.config import Scale, ServiceConfig
from bot.targets.run_service import INVOKER, declared, ingress_word, is_public, reconcile, settings, with_public

Ingress = run_v2.IngressTraffic


def policy(*bindings: Any) -> Any:
    return policy_pb2.Policy(
        etag=b"e",
        bindings=[
            policy_pb2.Binding(role=role, members=members, condition={"expression": expression})
            for role, members, expression in bindings
        ],
    )


def live(**over: Any) -> Any:
    return run_v2.Service(
        ingress=Ingress.INGRESS_TRAFFIC_ALL, scaling={"min_instance_count": 1, "max_instance_count": 4}, **over
    )


@pytest.mark.parametrize(
    ("config", "paths"),
    [
        (ServiceConfig(), []),
        (ServiceConfig(ingress="all", scale=Scale(min=1), default_url=True, public=False), []),
        (ServiceConfig(ingress="internal"), ["ingress"]),
        (ServiceConfig(scale=Scale(max=8)), ["scaling"]),
        (ServiceConfig(default_url=False), ["default_uri_disabled"]),
    ],
)
def test_only_what_is_declared_and_differs_is_changed(config: Any, paths: Any) -> None:
    assert reconcile(live(), declared(config), run_v2.Service()) == paths


def test_declared_scaling_leaves_the_other_bound_alone() -> None:
    update = run_v2.Service()
    before = live()
    before.scaling.scaling_mode = run_v2.ServiceScaling.ScalingMode.AUTOMATIC
    reconcile(before, declared(ServiceConfig(scale=Scale(max=8))), update)
    assert (update.scaling.min_instance_count, update.scaling.max_instance_count) == (1, 8)
    assert update.scaling.scaling_mode.name == "AUTOMATIC"


def test_a_private_service_has_its_invoker_check() -> None:
    update = run_v2.Service(invoker_iam_disabled=True)
    paths = reconcile(live(invoker_iam_disabled=True), declared(ServiceConfig(public=False)), update)
    assert (paths, update.invoker_iam_disabled) == (["invoker_iam_disabled"], False)


def test_recorded_settings_are_put_back() -> None:
    recorded = settings(live(default_uri_disabled=True), public=True)
    now = run_v2.Service(ingress=Ingress.INGRESS_TRAFFIC_INTERNAL_ONLY)
    update = run_v2.Service()
    assert reconcile(now, recorded, update) == ["ingress", "scaling", "default_uri_disabled"]
    assert update == run_v2.Service(
        ingress=Ingress.INGRESS_TRAFFIC_ALL,
        scaling={"min_instance_count": 1, "max_instance_count": 4},
        default_uri_disabled=True,
    )
    assert reconcile(live(default_uri_disabled=True), recorded, run_v2.Service()) == []


@pytest.mark.parametrize(
    ("ingress", "word"),
    [
        (Ingress.INGRESS_TRAFFIC_UNSPECIFIED, "all"),
        (Ingress.INGRESS_TRAFFIC_INTERNAL_ONLY, "internal"),
        (Ingress.INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER, "internal-and-cloud-load-balancing"),
        (Ingress.INGRESS_TRAFFIC_NONE, "none"),
    ],
)
def test_ingress_word(ingress: Any, word: Any) -> None:
    assert ingress_word(run_v2.Service(ingress=ingress)) == word


@pytest.mark.parametrize(
    ("service", "bindings", "public"),
    [
        ({}, [], False),
        ({}, [(INVOKER, ["allUsers"], "")], True),
        ({}, [(INVOKER, ["user:a", "allAuthenticatedUsers"], "")], True),
        ({}, [(INVOKER, ["user:a"], "")], False),
        ({}, [("roles/run.viewer", ["allUsers"], "")], False),
        ({}, [(INVOKER, ["allUsers"], "request.time < x")], False),
        ({"invoker_iam_disabled": True}, [], True),
    ],
)
def test_who_may_call(service: Any, bindings: Any, public: Any) -> None:
    assert is_public(run_v2.Service(**service), policy(*bindings)) is public


def test_opening_and_closing_leaves_other_members_and_the_etag_alone() -> None:
    before = policy((INVOKER, ["user:a"], ""), ("roles/x", ["user:b"], ""))
    opened = with_public(before, public=True)
    assert is_public(run_v2.Service(), opened)
    assert list(opened.bindings[0].members) == ["user:a", "allUsers"]
    assert with_public(opened, public=True) == opened
    assert with_public(opened, public=False) == before
    assert with_public(policy(), public=True).bindings[0].members == ["allUsers"]
    assert with_public(policy((INVOKER, ["allUsers"], "")), public=False) == policy()
