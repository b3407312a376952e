import sys
from dataclasses import replace
from typing import Any

import pytest

from bot.core.config import Auth, Scale, ServiceConfig
from bot.core.plan import Restore, Rollout, Shift
from bot.core.serving import ServiceState, Serving, TrafficShare
from bot.core.spec import HerokuSpec
from bot.core.target import Absent, Broken, Done, Exposure, Running, Traits
from bot.errors import ConflictError, NotFoundError, SettingsError, UpstreamError
from bot.targets import connect, prepare

LOCATION = "/v2/projects/acme/locations/us-central1"
WEB, WORKER = f"{LOCATION}/services/shop-web", f"{LOCATION}/services/shop-worker"
OLD, NEW = "shop-web-old", "shop-web-0123456-zz"
DIGEST = "sha256:" + "a" * 64
OPERATION = {"name": "projects/acme/locations/us-central1/operations/1"}
READY = [{"type": "Ready", "state": "CONDITION_SUCCEEDED"}]
POLICY = {"etag": "ZQ==", "bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}]}
ROLLOUT = Rollout(id="rollout:web", service="web", timeout=60)
SHIFT = Shift(id="shift", services=("web",), percent=100, timeout=60)


def target_of(revision: Any, percent: Any = 0, tag: Any = "", uri: Any = "") -> Any:
    found = {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": revision, "percent": percent, "tag": tag}
    return {**found, "uri": uri} if uri else found


OLD_SERVES = [target_of(OLD, 100)]
CANDIDATE = [*OLD_SERVES, target_of(NEW, 0, "pr-7", "https://pr-7---web/")]
NEW_SERVES = [target_of(NEW, 100, "pr-7", "https://pr-7---web/")]


def service(statuses: Any = (), asked: Any = None, **over: Any) -> Any:
    strip = [{k: v for k, v in status.items() if k != "uri"} for status in (statuses if asked is None else asked)]
    return {
        "name": WEB.removeprefix("/v2/"),
        "etag": '"1"',
        "generation": "1",
        "observedGeneration": "1",
        "uri": "https://web/",
        "ingress": "INGRESS_TRAFFIC_ALL",
        "template": {"revision": OLD, "containers": [{"image": "old"}]},
        "traffic": strip,
        "trafficStatuses": list(statuses),
        "latestReadyRevision": f"{WEB.removeprefix('/v2/')}/revisions/{OLD}",
        "terminalCondition": {"type": "Ready", "state": "CONDITION_SUCCEEDED"},
        **over,
    }


def revision(state: Any = "CONDITION_SUCCEEDED", **over: Any) -> Any:
    return {
        "name": f"{WEB.removeprefix('/v2/')}/revisions/{NEW}",
        "labels": {"slipway-release": "zz"},
        "containers": [{"image": f"repo@{DIGEST}"}],
        "conditions": [{"type": "Ready", "state": state, **over.pop("condition", {})}],
        **over,
    }


def sent_traffic(call: Any) -> Any:
    return [(t["revision"], t.get("percent", 0), t.get("tag", "")) for t in call.body["traffic"] if t["type"] == 2]


@pytest.fixture
def target(make_target: Any, make_spec: Any) -> Any:
    return make_target(make_spec())


@pytest.fixture
def web(wire: Any, api_error: Any) -> Any:
    """Answers for the service and its parts; None is a 404."""

    def web(*services: Any, revisions: Any = None, policy: Any = None, patch: Any = OPERATION) -> Any:
        missing = api_error(404, "NOT_FOUND")
        wire.on("GET", "run", WEB, *(missing if s is None else s for s in services))
        wire.on("GET", "run", f"{WEB}/revisions/{NEW}", missing if revisions is None else revisions)
        wire.on("GET", "run", f"{WEB}:getIamPolicy", *(policy or [{}]))
        wire.on("POST", "run", f"{WEB}:setIamPolicy", {})
        wire.on("PATCH", "run", WEB, *([patch] if isinstance(patch, dict) else patch))

    return web


def test_traits(target: Any) -> None:
    assert target.traits == Traits(kind="cloud_run", separate_build=True, traffic_split=True, jobs=True)


# Rollout


@pytest.mark.parametrize(
    ("services", "revisions", "expected"),
    [
        ([None], None, Absent()),
        ([service(OLD_SERVES)], None, Absent()),
        ([service(template={"revision": NEW}, reconciling=True)], None, Running(handle=NEW, detail="being created")),
        ([service(template={"revision": NEW})], None, Absent()),
        (
            [service(template={"revision": NEW}, terminalCondition={"state": "CONDITION_FAILED", "message": "quota"})],
            None,
            Broken(handle=NEW, detail="quota"),
        ),
        ([service()], revision("CONDITION_RECONCILING"), Running(handle=NEW, detail="starting")),
        ([service()], revision(conditions=[]), Running(handle=NEW, detail="starting")),
        (
            [service()],
            revision(
                "CONDITION_FAILED", condition={"revisionReason": "HEALTH_CHECK_CONTAINER_ERROR", "message": "no port"}
            ),
            Broken(handle=NEW, detail="HEALTH_CHECK_CONTAINER_ERROR: no port"),
        ),
        ([service(CANDIDATE)], revision(), Done(handle=NEW)),
        (
            [service(OLD_SERVES, reconciling=True)],
            revision(),
            Running(handle=NEW, detail="its address is being set up"),
        ),
        ([service(OLD_SERVES)], revision(), Absent()),
        (
            [service([*OLD_SERVES, target_of(NEW, 0, "pr-7")])],
            revision(),
            Running(handle=NEW, detail="its address is being set up"),
        ),
        ([service([*OLD_SERVES, target_of(NEW, 0, "pr-7")], defaultUriDisabled=True)], revision(), Done(handle=NEW)),
        ([None], revision(), Absent()),
    ],
)
def test_a_rollout_is_observed(target: Any, known: Any, web: Any, services: Any, revisions: Any, expected: Any) -> None:
    web(*services, revisions=revisions)
    found = target.observe(ROLLOUT, known)
    if not isinstance(expected, Absent):
        expected = replace(expected, link=found.link)
        assert found.link == "https://console.cloud.google.com/run/detail/us-central1/shop-web/revisions?project=acme"
    assert found == expected


def test_a_candidate_is_added_beside_what_serves(target: Any, known: Any, web: Any, wire: Any) -> None:
    latest = {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}
    web(service([latest, target_of("shop-web-qa", 0, "qa")], asked=[latest]))
    assert target.apply(ROLLOUT, known).handle == NEW
    (call,) = wire.made("PATCH", "shop-web")
    assert call.query["updateMask"] == ["template,traffic"]
    assert sorted(call.body) == ["etag", "template", "traffic"]
    assert call.body["template"]["revision"] == NEW
    assert call.body["template"]["containers"][0]["image"] == known.artifact.reference
    assert sent_traffic(call) == [(OLD, 100, ""), ("shop-web-qa", 0, "qa"), (NEW, 0, "pr-7")]


def test_a_service_that_does_not_exist_is_created_private(
    wire: Any, web: Any, make_target: Any, make_spec: Any, known: Any
) -> None:
    config = ServiceConfig(ingress="internal", scale=Scale(min=1, max=2), public=True, port=8000)
    web(None)
    wire.on("POST", "run", f"{LOCATION}/services", OPERATION)
    assert make_target(make_spec(services={"web": config})).apply(ROLLOUT, known).detail == "being created"
    (call,) = wire.made("POST", "/services")
    assert call.query["serviceId"] == ["shop-web"]
    assert sent_traffic(call) == [(NEW, 100, "pr-7")]
    assert call.body["ingress"] == 2
    assert call.body["scaling"] == {"minInstanceCount": 1, "maxInstanceCount": 2}
    assert "invokerIamDisabled" not in call.body
    assert not wire.made("POST", ":setIamPolicy")


def test_a_stale_etag_is_read_again_if_the_same_still_serves(
    target: Any, known: Any, web: Any, wire: Any, api_error: Any
) -> None:
    web(service(OLD_SERVES), service(OLD_SERVES, etag='"2"'), patch=[api_error(409, "ABORTED"), OPERATION])
    target.apply(ROLLOUT, known)
    assert [call.body["etag"] for call in wire.made("PATCH", "shop-web")] == ['"1"', '"2"']


def test_somebody_elses_traffic_is_not_overwritten(
    target: Any, known: Any, web: Any, wire: Any, api_error: Any
) -> None:
    web(service(OLD_SERVES), service([target_of("theirs", 100)], etag='"2"'), patch=[api_error(409, "ABORTED")])
    state = ServiceState(service="web", traffic=(TrafficShare(revision=OLD, percent=100),))
    with pytest.raises(ConflictError, match=r"Somebody changed the traffic of web .*: 100 % on theirs"):
        target.apply(ROLLOUT, replace(known, found=Serving(services=(state,))))
    assert len(wire.made("PATCH", "shop-web")) == 1


def test_a_revision_of_this_release_that_is_there_only_gets_its_tag(
    target: Any, known: Any, web: Any, wire: Any, api_error: Any
) -> None:
    web(service(OLD_SERVES), revisions=revision(), patch=[api_error(409, "ALREADY_EXISTS"), OPERATION])
    target.apply(ROLLOUT, known)
    second = wire.made("PATCH", "shop-web")[1]
    assert second.query["updateMask"] == ["traffic"]
    assert sent_traffic(second) == [(OLD, 100, ""), (NEW, 0, "pr-7")]


def test_a_revision_of_somebody_else_keeps_its_name(target: Any, known: Any, web: Any, api_error: Any) -> None:
    web(service(OLD_SERVES), revisions=revision(labels={}), patch=[api_error(409, "ALREADY_EXISTS")])
    with pytest.raises(ConflictError):
        target.apply(ROLLOUT, known)


def test_a_rollout_needs_an_image(target: Any, known: Any) -> None:
    with pytest.raises(UpstreamError, match="no image"):
        target.apply(ROLLOUT, replace(known, artifact=None))


# Shift


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, Broken(detail="The service web is gone.")),
        (service(CANDIDATE), Absent()),
        (service(OLD_SERVES, asked=NEW_SERVES, reconciling=True), Running(detail="web: traffic is moving")),
        (service(NEW_SERVES, generation="2"), Running(detail="web: traffic is moving")),
        (service(NEW_SERVES), Done()),
        (
            service(
                OLD_SERVES,
                asked=NEW_SERVES,
                terminalCondition={"state": "CONDITION_FAILED", "reason": "REVISION_FAILED", "message": "x"},
            ),
            Broken(detail="web: REVISION_FAILED: x"),
        ),
    ],
)
def test_a_shift_is_observed(target: Any, known: Any, web: Any, found: Any, expected: Any) -> None:
    web(found)
    assert target.observe(SHIFT, known) == expected


@pytest.mark.parametrize(
    ("config", "policy", "expected"),
    [
        (ServiceConfig(public=True), POLICY, Done()),
        (ServiceConfig(public=True), {}, Absent()),
        (ServiceConfig(public=False), POLICY, Absent()),
        (ServiceConfig(ingress="internal"), {}, Absent()),
        (ServiceConfig(scale=Scale(max=3)), {}, Absent()),
    ],
)
def test_a_shift_is_done_once_the_service_is_as_declared(
    make_target: Any, make_spec: Any, known: Any, web: Any, config: Any, policy: Any, expected: Any
) -> None:
    web(service(NEW_SERVES), policy=[policy])
    assert make_target(make_spec(services={"web": config})).observe(SHIFT, known) == expected


def test_traffic_and_settings_change_in_one_update(
    make_target: Any, make_spec: Any, known: Any, web: Any, wire: Any
) -> None:
    web(service([*CANDIDATE, target_of("shop-web-qa", 0, "qa")]))
    spec = make_spec(services={"web": ServiceConfig(ingress="internal", default_url=False, scale=Scale(max=3))})
    assert make_target(spec).apply(SHIFT, known) == Running(detail="100 %")
    (call,) = wire.made("PATCH", "shop-web")
    assert call.query["updateMask"] == ["traffic,ingress,scaling,defaultUriDisabled"]
    assert sent_traffic(call) == [("shop-web-qa", 0, "qa"), (NEW, 100, "pr-7")]
    assert (call.body["ingress"], call.body["defaultUriDisabled"]) == (2, True)
    assert not wire.made("POST", ":setIamPolicy")


def test_a_shift_that_is_done_changes_nothing(target: Any, known: Any, web: Any, wire: Any) -> None:
    web(service(NEW_SERVES))
    target.apply(SHIFT, known)
    assert not wire.made("PATCH", "shop-web")


def test_the_door_opens_only_after_the_traffic_has_moved(
    make_target: Any, make_spec: Any, known: Any, web: Any, wire: Any
) -> None:
    moving = service(OLD_SERVES, asked=NEW_SERVES, reconciling=True)
    web(service(CANDIDATE), moving, service(NEW_SERVES), policy=[{"etag": "ZQ=="}])
    make_target(make_spec(services={"web": ServiceConfig(public=True)})).apply(SHIFT, known)
    (call,) = wire.made("POST", ":setIamPolicy")
    assert call.body["policy"] == {"etag": "ZQ==", "bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}]}
    assert wire.calls.index(call) > wire.calls.index(wire.made("GET", "shop-web")[2])
    assert wire.slept == [0.3]


def test_a_door_stays_shut_when_the_traffic_does_not_move(
    make_target: Any, make_spec: Any, known: Any, web: Any, wire: Any
) -> None:
    web(service(CANDIDATE), service(OLD_SERVES, asked=NEW_SERVES, reconciling=True))
    with pytest.raises(UpstreamError, match="did not move within 60 s"):
        make_target(make_spec(services={"web": ServiceConfig(public=True)})).apply(SHIFT, known)
    assert not wire.made("POST", ":setIamPolicy")


def test_shifting_a_service_that_is_gone(target: Any, known: Any, web: Any) -> None:
    web(None)
    with pytest.raises(NotFoundError, match="web does not exist"):
        target.apply(SHIFT, known)


def test_services_shift_as_one(make_target: Any, make_spec: Any, known: Any, web: Any, wire: Any) -> None:
    web(service(NEW_SERVES))
    worker = NEW.replace("web", "worker")
    wire.on("GET", "run", WORKER, service([target_of("o", 100)], asked=[target_of(worker, 100)], reconciling=True))
    both = make_target(make_spec(services={"web": ServiceConfig(), "worker": ServiceConfig()}))
    found = both.observe(replace(SHIFT, services=("web", "worker")), known)
    assert found == Running(detail="worker: traffic is moving")


# Restore


SETTINGS = {"ingress": "all", "min": 0, "max": 0, "default_url": True, "invoker_iam_disabled": False, "public": False}


def restore(**over: Any) -> Any:
    state = {"service": "web", "traffic": (TrafficShare(revision=OLD, percent=100),), "settings": SETTINGS, **over}
    return Restore(id="restore", to=Serving(services=(ServiceState(**state),)), timeout=60)


FAILED = {"state": "CONDITION_FAILED", "reason": "REVISION_FAILED", "message": "x"}


@pytest.mark.parametrize(
    ("found", "step", "policy", "expected"),
    [
        (None, restore(), {}, Broken(detail="The service web is gone.")),
        (service(NEW_SERVES), restore(), {}, Absent()),
        (service(CANDIDATE), restore(), {}, Absent()),
        (
            service(NEW_SERVES, asked=OLD_SERVES, reconciling=True),
            restore(),
            {},
            Running(detail="web: traffic is moving back"),
        ),
        (
            service(NEW_SERVES, asked=OLD_SERVES, terminalCondition=FAILED),
            restore(),
            {},
            Broken(detail="web: REVISION_FAILED: x"),
        ),
        (service(OLD_SERVES), restore(), {}, Done()),
        # The template's newest revision failed, so the service says failed for good; what serves is what counts.
        (service(OLD_SERVES, terminalCondition=FAILED), restore(), {}, Done()),
        (service(OLD_SERVES), restore(), POLICY, Absent()),
        (service(OLD_SERVES, ingress="INGRESS_TRAFFIC_INTERNAL_ONLY"), restore(), {}, Absent()),
        (service(OLD_SERVES), restore(settings={}), POLICY, Done()),
        (service(), restore(traffic=()), {}, Done()),
        (None, restore(exists=False), {}, Done()),
        (service(NEW_SERVES), restore(exists=False), POLICY, Absent()),
        (
            service(NEW_SERVES),
            restore(exists=False),
            {},
            Done(detail="web did not exist before: it is left in place, and private"),
        ),
    ],
)
def test_a_restore_is_observed(
    target: Any, known: Any, web: Any, found: Any, step: Any, policy: Any, expected: Any
) -> None:
    web(found, policy=[policy])
    assert target.observe(step, known) == expected


def test_traffic_settings_and_access_go_back(target: Any, known: Any, web: Any, wire: Any) -> None:
    changed = service([*NEW_SERVES, target_of("shop-web-qa", 0, "qa")], ingress="INGRESS_TRAFFIC_INTERNAL_ONLY")
    web(changed, policy=[POLICY])
    assert target.apply(restore(), known) == Running(detail="restoring")
    (call,) = wire.made("PATCH", "shop-web")
    assert call.query["updateMask"] == ["traffic,ingress"]
    assert sent_traffic(call) == [(OLD, 100, ""), ("shop-web-qa", 0, "qa")]
    assert wire.made("POST", ":setIamPolicy")[0].body["policy"] == {"etag": "ZQ=="}


def test_restoring_twice_changes_nothing_more(target: Any, known: Any, web: Any, wire: Any) -> None:
    web(service(OLD_SERVES))
    target.apply(restore(), known)
    assert not wire.made("PATCH", "shop-web")
    assert not wire.made("POST", ":setIamPolicy")


@pytest.mark.parametrize(
    ("found", "policy", "closed"), [(None, {}, 0), (service(NEW_SERVES), {}, 0), (service(NEW_SERVES), POLICY, 1)]
)
def test_a_service_that_the_release_made_is_closed(
    target: Any, known: Any, web: Any, wire: Any, found: Any, policy: Any, closed: Any
) -> None:
    web(found, policy=[policy])
    target.apply(restore(exists=False), known)
    assert len(wire.made("POST", ":setIamPolicy")) == closed
    assert not wire.made("PATCH", "shop-web")


def test_a_service_that_is_gone_cannot_be_restored(target: Any, known: Any, web: Any) -> None:
    web(None)
    with pytest.raises(NotFoundError):
        target.apply(restore(), known)


# What serves, and how it is reached


def test_what_serves_is_asked(make_target: Any, make_spec: Any, web: Any, wire: Any, api_error: Any) -> None:
    web(
        service([target_of(NEW, 60), target_of(OLD, 40, "t", "https://t---web/")], scaling={"maxInstanceCount": 4}),
        revisions=revision(),
        policy=[POLICY],
    )
    status = {"containerStatuses": [{"name": "web", "imageDigest": "repo@sha256:old"}]}
    old = {
        **revision(labels={}, containers=[{"image": "side"}, {"image": "repo:tag", "ports": [{"containerPort": 1}]}]),
        **status,
    }
    wire.on("GET", "run", f"{WEB}/revisions/{OLD}", {**old, "name": f"{WEB.removeprefix('/v2/')}/revisions/{OLD}"})
    wire.on("GET", "run", WORKER, api_error(404, "NOT_FOUND"))
    found = make_target(make_spec(services={"web": ServiceConfig(), "worker": ServiceConfig()})).serving()
    state, missing = found.services
    assert missing == ServiceState(service="worker", exists=False)
    assert state == ServiceState(
        service="web",
        url="https://web",
        traffic=(
            TrafficShare(revision=NEW, percent=60),
            TrafficShare(revision=OLD, percent=40, tag="t", url="https://t---web"),
        ),
        digests={NEW: DIGEST, OLD: "sha256:old"},
        labels={NEW: {"slipway-release": "zz"}, OLD: {}},
        settings={**SETTINGS, "max": 4, "public": True},
    )


@pytest.mark.parametrize("containers", [[], [{"image": "repo:tag"}]])
def test_a_digest_that_cannot_be_known_is_empty(target: Any, web: Any, containers: Any) -> None:
    web(service(NEW_SERVES), revisions=revision(containers=containers))
    assert target.serving().services[0].digests == {NEW: ""}


def test_a_revision_that_is_gone_has_no_digest(target: Any, web: Any) -> None:
    web(service(NEW_SERVES))
    assert target.serving().services[0].digests == {}


@pytest.mark.parametrize(
    ("found", "phase", "url"),
    [
        (service(CANDIDATE), "candidate", "https://pr-7---web"),
        (service(CANDIDATE), "live", "https://web"),
        (service(OLD_SERVES), "candidate", ""),
        (service([target_of("other", 0, "pr-7", "https://x")]), "candidate", ""),
        (service(OLD_SERVES, uri=""), "live", ""),
        (None, "live", ""),
    ],
)
def test_the_endpoint_to_probe(target: Any, known: Any, web: Any, found: Any, phase: Any, url: Any) -> None:
    web(found)
    assert target.endpoint("web", phase, known) == url


def test_a_public_service_wants_no_token_and_is_asked_once_in_a_while(target: Any, web: Any, wire: Any) -> None:
    web(service(), policy=[POLICY])
    assert target.authorization("web", "https://web") == {}
    assert target.authorization("web", "https://web") == {}
    assert len(wire.calls) == 2
    wire.now += 11
    target.authorization("web", "https://web")
    assert len(wire.calls) == 4


def test_an_anonymous_login_has_no_token_to_send(target: Any, web: Any) -> None:
    web(service())
    assert target.authorization("web", "https://web") == {}


def test_exposure(target: Any, web: Any) -> None:
    web(service(ingress="INGRESS_TRAFFIC_INTERNAL_ONLY"), policy=[POLICY])
    assert target.exposure("web") == Exposure(public=True, ingress="internal")


def test_a_service_that_is_not_there_is_not_exposed(target: Any, web: Any) -> None:
    web(None)
    with pytest.raises(NotFoundError, match="shop-web does not exist"):
        target.exposure("web")


def test_connecting_makes_no_call(make_spec: Any, environ: Any) -> None:
    source: Any = None
    target = connect(make_spec(), source=source, environ=environ)
    assert target.traits.kind == "cloud_run"
    plain = {"CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN": "http://run.example"}
    with pytest.raises(SettingsError, match="CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN"):
        connect(make_spec(), source=source, environ=plain)


def test_the_other_target_is_connected_the_same_way(environ: Any) -> None:
    source: Any = None
    spec = HerokuSpec(environment="staging", repository="octo/shop", app="shop")
    assert connect(spec, source=source, environ=environ).traits.kind == "heroku"


def test_preparing_logs_in_and_imports_the_clients(make_spec: Any, environ: Any) -> None:
    source: Any = None
    asked = []
    auth = Auth(workload_identity_provider="projects/1/locations/global/workloadIdentityPools/p/providers/r")

    def oidc(audience: str) -> str:
        asked.append(audience)
        raise UpstreamError("no token today", service="GitHub OIDC", operation="issue a token")

    target = connect(make_spec(auth=auth), source=source, environ=environ, oidc=oidc)
    thread = prepare(target)
    assert thread is not None
    thread.join(30)  # what fails here is told by the step that needs it
    assert asked == [f"https://iam.googleapis.com/{auth.workload_identity_provider}"]
    assert {"google.cloud.storage", "bot.targets.cloud_build"} <= sys.modules.keys()
