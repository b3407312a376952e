"""A person's hands: what they do is done as theirs, and can be done in the middle of somebody else's call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from google.oauth2.credentials import Credentials

from bot.sandbox.console import Console, Refused
from bot.sandbox.google.cloud import GoogleCloud
from bot.sandbox.images import Image
from bot.sandbox.runtime import InstantRuntime
from bot.sandbox.wire import Act

DEPLOYER, SAM = "deployer@acme.iam.gserviceaccount.com", "sam@example.com"
REPOSITORY = "us-central1-docker.pkg.dev/acme/shop/web"
HOME = "projects/acme/locations/us-central1"
BY_NAME = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION


class Bench:
    """A project with a service `web`: web-one has all traffic, web-two the tag `pr-7`."""

    def __init__(self, root: Path) -> None:
        self.cloud = GoogleCloud(root, InstantRuntime())
        self.cloud.start()
        for digit in "12":
            image = Image(
                digest=f"sha256:{digit * 64}", root=root, workdir="/app", env={}, entrypoint=("serve",), command=(),
                labels={}, port=8080, created=0.0,
            )  # fmt: skip
            self.cloud.images.put(REPOSITORY, image, [f"v{digit}"])
        token = self.cloud.authority.issue_token(DEPLOYER)
        self.client = run_v2.ServicesClient(
            credentials=Credentials(token),  # type: ignore[no-untyped-call]
            transport="rest",
            client_options={"api_endpoint": self.cloud.run.url},
        )
        self.console = Console(self.cloud)
        self.deploy(HOME, "web-one")

    def template(self, revision: str, **env: str) -> run_v2.RevisionTemplate:
        variables = [run_v2.EnvVar(name=name, value=value) for name, value in {"COLOR": "green", **env}.items()]
        container = run_v2.Container(image=f"{REPOSITORY}:v1", env=variables)
        return run_v2.RevisionTemplate(revision=revision, containers=[container])

    def deploy(self, parent: str, revision: str) -> None:
        service = run_v2.Service(
            template=self.template(revision),
            traffic=[run_v2.TrafficTarget(type_=BY_NAME, revision=revision, percent=100)],
        )
        self.wait(self.client.create_service(parent=parent, service=service, service_id="web", timeout=10))

    def candidate(self) -> run_v2.Service:
        """Return the service as the deployer has read it, with a candidate web-two written into it."""
        service = self.client.get_service(name=f"{HOME}/services/web", timeout=10)
        service.template = self.template("web-two")
        service.traffic = [
            run_v2.TrafficTarget(type_=BY_NAME, revision="web-one", percent=100),
            run_v2.TrafficTarget(type_=BY_NAME, revision="web-two", tag="pr-7"),
        ]
        return service

    def update(self, service: run_v2.Service) -> None:
        self.wait(self.client.update_service(service=service, timeout=10))

    def wait(self, operation: Any) -> None:
        name = operation.operation.name
        assert self.client.wait_operation({"name": name, "timeout": {"seconds": 10}}).done

    def traffic(self) -> list[tuple[str, int, str]]:
        service = self.client.get_service(name=f"{HOME}/services/web", timeout=10)
        return [(each.revision or "LATEST", each.percent, each.tag) for each in service.traffic_statuses]

    @property
    def service(self) -> run_v2.Service:
        return self.client.get_service(name=f"{HOME}/services/web", timeout=10)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.cloud.stop()
    assert made.cloud.run.unknown == []


def test_traffic_is_shifted_and_tags_stay(bench: Bench) -> None:
    bench.update(bench.candidate())
    bench.console.shift("web", {"web-one": 40, "web-two": 60})
    assert bench.traffic() == [("web-one", 40, ""), ("web-two", 60, ""), ("web-two", 0, "pr-7")]
    assert (bench.service.last_modifier, bench.service.creator) == (SAM, DEPLOYER)
    bench.console.shift("web", {"LATEST": 100})
    assert bench.traffic() == [("LATEST", 100, ""), ("web-two", 0, "pr-7")]


def test_a_tag_is_dropped_and_its_share_stays(bench: Bench) -> None:
    bench.update(bench.candidate())
    bench.console.drop_tag("web", "pr-7")
    assert bench.traffic() == [("web-one", 100, "")]
    service = bench.candidate()
    service.traffic = [run_v2.TrafficTarget(type_=BY_NAME, revision="web-two", percent=100, tag="live")]
    bench.update(service)
    bench.console.drop_tag("web", "live")
    assert bench.traffic() == [("web-two", 100, "")]


def test_a_tag_is_added_or_moved_and_no_share_changes(bench: Bench) -> None:
    bench.update(bench.candidate())
    bench.console.add_tag("web", "sam", "web-one")
    assert bench.traffic() == [("web-one", 100, ""), ("web-two", 0, "pr-7"), ("web-one", 0, "sam")]
    bench.console.add_tag("web", "pr-7", "web-one")
    assert bench.traffic() == [("web-one", 100, ""), ("web-one", 0, "sam"), ("web-one", 0, "pr-7")]


def test_variables_make_a_revision_that_serves_as_the_latest(bench: Bench) -> None:
    bench.update(bench.candidate())
    changed = bench.console.set_env("web", COLOR="blue", DEBUG="1")
    assert bench.traffic() == [("LATEST", 100, ""), ("web-two", 0, "pr-7")]
    made = changed["latestReadyRevision"].rsplit("/", 1)[-1]
    assert made.startswith("web-00003-")
    assert {each.name: each.value for each in bench.service.template.containers[0].env} == {
        "COLOR": "blue",
        "DEBUG": "1",
    }
    bench.console.set_env("web", DEBUG=None)
    assert [each.name for each in bench.service.template.containers[0].env] == ["COLOR"]


def test_another_image_may_wait_for_its_traffic(bench: Bench) -> None:
    bench.console.deploy("web", image=f"{REPOSITORY}:v2", serve=False)
    assert bench.traffic() == [("web-one", 100, "")]
    assert bench.service.template.containers[0].image == f"{REPOSITORY}:v2"
    assert bench.service.latest_ready_revision != f"{HOME}/services/web/revisions/web-one"


def test_scaling_makes_no_revision(bench: Bench) -> None:
    before = bench.service
    bench.console.scale("web", minInstanceCount=2)
    bench.console.scale("web", manualInstanceCount=5)
    after = bench.service
    assert (after.scaling.min_instance_count, after.scaling.manual_instance_count) == (2, 5)
    assert after.latest_created_revision == before.latest_created_revision
    assert (after.generation, after.last_modifier) == (before.generation + 2, SAM)


def test_what_is_refused_is_told(bench: Bench) -> None:
    with pytest.raises(Refused, match="sum to 90"):
        bench.console.shift("web", {"web-one": 90})
    with pytest.raises(Refused, match="does not exist or is deleted"):
        bench.console.shift("web", {"web-ten": 100})
    with pytest.raises(Refused, match="does not exist"):
        bench.console.scale("absent", minInstanceCount=1)


def test_clean_up_policies_are_set_and_carried_out(bench: Bench) -> None:
    policies = {"all": {"action": "DELETE", "condition": {"tagState": "ANY", "olderThan": "0s"}}}
    assert set(bench.console.set_cleanup_policies("shop", policies)["cleanupPolicies"]) == {"all"}
    assert len(bench.cloud.registry.clean_up()) == 2
    with pytest.raises(Refused, match="needs an action"):
        bench.console.set_cleanup_policies("shop", {"none": {"condition": {}}})


def test_another_region_is_another_service(bench: Bench) -> None:
    bench.cloud.run.add_region("europe-west1")
    bench.deploy("projects/acme/locations/europe-west1", "web-one")
    home = bench.service
    bench.console.set_env("web", region="europe-west1", COLOR="blue")
    assert bench.console.get("web", region="europe-west1")["lastModifier"] == SAM
    assert bench.service == home


@pytest.mark.parametrize("skip", [0, 1])
def test_somebody_acts_in_the_middle_of_a_call(bench: Bench, skip: int) -> None:
    act = Act(
        route=r"^PATCH .*/services/", skip=skip, before=lambda _request: bench.console.scale("web", minInstanceCount=1)
    )
    bench.cloud.run.when(act)
    service = bench.candidate()
    if skip:
        bench.update(service)
        service = bench.candidate()
        service.template = bench.template("web-three")
    with pytest.raises(exceptions.Conflict):  # the deployer's etag is not the service's any more
        bench.update(service)
    assert (bench.service.last_modifier, bench.service.scaling.min_instance_count) == (SAM, 1)


def test_somebody_acts_between_a_call_and_its_answer(bench: Bench) -> None:
    bench.cloud.run.when(
        Act(route=r"^PATCH .*/services/", after=lambda _request: bench.console.shift("web", {"web-two": 100}))
    )
    bench.update(bench.candidate())
    assert bench.traffic() == [("web-two", 100, ""), ("web-two", 0, "pr-7")]
