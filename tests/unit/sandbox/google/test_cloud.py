"""The whole project: one trust, one environment, every server."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import exceptions, identity_pool
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import Request
from google.cloud import run_v2

from bot.sandbox.google.cloud import PROVIDER, GoogleCloud
from bot.sandbox.images import Image
from bot.sandbox.runtime import InstantRuntime, failing, healthy, slower

DEPLOYER = "deployer@acme.iam.gserviceaccount.com"
REPOSITORY = "us-central1-docker.pkg.dev/acme/shop/web"
ISSUER = "https://token.actions.example"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
JWKS = {"keys": [{**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key())), "kid": "one"}]}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[GoogleCloud]:
    made = GoogleCloud(tmp_path, InstantRuntime())
    made.start()
    yield made
    made.stop()


class Supplier(identity_pool.SubjectTokenSupplier):
    def __init__(self, cloud: GoogleCloud, repository_id: str) -> None:
        self.cloud, self.repository_id = cloud, repository_id

    def get_subject_token(self, context: Any, request: Any) -> str:
        now = int(self.cloud.authority.clock())
        claims = {
            "iss": ISSUER,
            "aud": f"https://iam.googleapis.com/{PROVIDER}",
            "sub": "repo:acme/shop",
            "iat": now,
            "exp": now + 300,
            "repository_id": self.repository_id,
        }
        return jwt.encode(claims, KEY, algorithm="RS256", headers={"kid": "one"})


def login(cloud: GoogleCloud, repository_id: str = "7") -> Any:
    environ = cloud.environ()
    iam, sts = (environ[f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}"] for name in ("IAMCREDENTIALS", "STS"))
    return identity_pool.Credentials(  # type: ignore[no-untyped-call]
        audience=f"//iam.googleapis.com/{PROVIDER}",
        subject_token_type="urn:ietf:params:oauth:token-type:jwt",
        token_url=f"{sts}v1/token",
        subject_token_supplier=Supplier(cloud, repository_id),
        scopes=["https://www.googleapis.com/auth/cloud-platform"],
        service_account_impersonation_url=f"{iam}v1/projects/-/serviceAccounts/{DEPLOYER}:generateAccessToken",
    )


def deploy(cloud: GoogleCloud, credentials: Any) -> run_v2.Service:
    image = Image(
        digest=f"sha256:{'1' * 64}", root=cloud.images.root, workdir="/app", env={}, entrypoint=("serve",), command=(),
        labels={}, port=8080, created=0.0,
    )  # fmt: skip
    cloud.images.put(REPOSITORY, image, ["v1"])
    client = run_v2.ServicesClient(
        credentials=credentials,
        transport="rest",
        client_options={"api_endpoint": cloud.environ()["CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN"].rstrip("/")},
    )
    template = run_v2.RevisionTemplate(containers=[run_v2.Container(image=f"{REPOSITORY}@{image.digest}")])
    parent = "projects/acme/locations/us-central1"
    operation = client.create_service(
        parent=parent,
        service=run_v2.Service(template=template, invoker_iam_disabled=True),
        service_id="web",
        timeout=10,
    )
    done = client.wait_operation({"name": operation.operation.name, "timeout": {"seconds": 10}})
    assert done.done
    return client.get_service(name=f"{parent}/services/web", timeout=10)


def test_a_workflow_of_the_trusted_repository_deploys(cloud: GoogleCloud) -> None:
    cloud.trust(ISSUER, JWKS, repository_id="7", service_account=DEPLOYER)
    service = deploy(cloud, login(cloud))
    assert service.creator == DEPLOYER
    with urllib.request.urlopen(service.uri, timeout=5) as answer:
        assert json.load(answer) == {"status": "healthy"}


def test_another_repository_is_refused(cloud: GoogleCloud) -> None:
    cloud.trust(ISSUER, lambda: JWKS, repository_id="7", service_account=DEPLOYER)
    with pytest.raises(exceptions.OAuthError, match="attribute condition"):
        login(cloud, "8").refresh(Request())


def test_a_whole_pool_can_be_trusted(cloud: GoogleCloud) -> None:
    cloud.trust(ISSUER, JWKS, service_account=DEPLOYER)
    credentials = login(cloud, "8")
    credentials.refresh(Request())
    assert cloud.authority.authenticate(credentials.token) is not None


def test_an_anonymous_project_asks_nobody(tmp_path: Path) -> None:
    cloud = GoogleCloud(tmp_path, InstantRuntime(), anonymous=True)
    cloud.start()
    try:
        assert deploy(cloud, AnonymousCredentials()).creator == ""  # type: ignore[no-untyped-call]
    finally:
        cloud.stop()


def latencies(cloud: GoogleCloud) -> dict[tuple[str, str], tuple[int, float]]:
    """Return count and mean (milliseconds) by revision and code, of everything that was ever recorded."""
    cloud.monitoring.delay = -cloud.monitoring.period  # seen before its sample is over
    now = datetime.now(UTC)
    arguments = {
        "filter": 'metric.type="run.googleapis.com/request_latencies"',
        "interval.startTime": (now - timedelta(hours=1)).isoformat(),
        "interval.endTime": (now + timedelta(hours=1)).isoformat(),
    }
    url = f"{cloud.environ()['CLOUDSDK_API_ENDPOINT_OVERRIDES_MONITORING']}v3/projects/acme/timeSeries"
    found = requests.get(url, params=arguments, timeout=5).json().get("timeSeries", [])
    return {
        (each["resource"]["labels"]["revision_name"], each["metric"]["labels"]["response_code"]): (
            sum(int(point["value"]["distributionValue"]["count"]) for point in each["points"]),
            each["points"][0]["value"]["distributionValue"]["mean"],
        )
        for each in found
    }


def test_what_visitors_get_is_measured_for_the_revision_that_they_reach(tmp_path: Path) -> None:
    runtime = InstantRuntime(failing(slower(healthy, 2.0), 0.5, path="/"))
    cloud = GoogleCloud(tmp_path, runtime, anonymous=True)
    cloud.start()
    try:
        service = deploy(cloud, AnonymousCredentials())  # type: ignore[no-untyped-call]
        site = cloud.run.run_services.all["web"].site
        revision = service.latest_ready_revision.rsplit("/", 1)[-1]
        site.serve([replace(site.targets[0], tag="canary")])
        statuses = [requests.get(url, timeout=5) for url in [service.uri, site.address("canary")] * 10]
        assert {answer.headers["X-Revision"] for answer in statuses} == {revision}
        assert "X-Sandbox-Seconds" not in statuses[0].headers
        assert requests.get(f"{service.uri}/health/", timeout=5).status_code == 200
        site.resource()["invokerIamDisabled"] = False
        assert requests.get(service.uri, timeout=5).status_code == 403  # reaches no revision
        failed = sum(answer.status_code == 500 for answer in statuses)
        assert 3 <= failed <= 17
        deadline = time.monotonic() + 5
        while (found := latencies(cloud)) and sum(count for count, _ in found.values()) < 21:
            assert time.monotonic() < deadline, found  # counted after the answer
        assert {key: count for key, (count, _) in found.items()} == {
            (revision, "200"): 21 - failed, (revision, "500"): failed,
        }  # fmt: skip
        assert found[revision, "500"][1] == pytest.approx(2000, rel=0.2)
    finally:
        cloud.stop()


def test_every_server_is_named_as_gcloud_names_its_overrides(cloud: GoogleCloud) -> None:
    for name, url in cloud.environ().items():
        assert name.startswith("CLOUDSDK_API_ENDPOINT_OVERRIDES_")
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/")
    assert (
        requests.get(f"{cloud.run.url}/v2/projects/acme/locations/us-central1/services", timeout=5).status_code == 401
    )
