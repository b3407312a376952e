import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.core.config import Auth, ServiceConfig
from bot.errors import AuthError, SettingsError, UpstreamError
from bot.targets import Logins
from bot.targets.google import Endpoints, Google, is_loopback
from bot.targets.google_errors import read
from bot.targets.run_services import Services

PROVIDER = "projects/1/locations/global/workloadIdentityPools/github/providers/repo"
EMAIL = "deployer@acme.iam.gserviceaccount.com"
TOKENS = f"/v1/projects/-/serviceAccounts/{EMAIL}"
SERVICE = "/v2/projects/acme/locations/us-central1/services/s"
NAME = SERVICE.removeprefix("/v2/")


@pytest.fixture
def make(wire: Any, environ: Any, tmp_path: Any) -> Any:
    def make(auth: Any = None, oidc: Any = None, timeout: float = 20.0, logins: Any = None, **over: Any) -> Any:
        # No file of this machine's may count: the home is an empty folder.
        place = {"HOME": str(tmp_path), **environ, **over}
        return Google(
            project="acme",
            region="us-central1",
            auth=auth,
            environ=place,
            oidc=oidc,
            logins=logins,
            clock=wire.clock,
            sleep=wire.sleep,
            timeout=timeout,
        )

    return make


@pytest.fixture
def sts(wire: Any) -> Any:
    wire.on(
        "POST",
        "sts",
        "/v1/token",
        {"access_token": "federated", "token_type": "Bearer", "expires_in": 3600, "issued_token_type": "t"},
        judged=False,
    )
    expires = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    wire.on(
        "POST",
        "iamcredentials",
        f"{TOKENS}:generateAccessToken",
        {"accessToken": "impersonated", "expireTime": expires},
    )
    wire.on("GET", "run", SERVICE, {"name": NAME})


def get(google: Any) -> Any:
    return google.services.get_service(name=NAME, retry=None, timeout=5)


@pytest.mark.parametrize(("account", "token"), [(None, "federated"), (EMAIL, "impersonated")])
def test_the_runs_token_is_exchanged(make: Any, wire: Any, sts: Any, account: Any, token: Any) -> None:
    asked = []

    def oidc(audience: Any) -> Any:
        asked.append(audience)
        return "github-token"

    google = make(Auth(workload_identity_provider=PROVIDER, service_account=account), oidc)
    get(google)
    get(google)
    assert asked == [f"https://iam.googleapis.com/{PROVIDER}"]
    exchange = wire.made("POST", "/v1/token")[0]
    sent = dict(pair.split("=", 1) for pair in exchange.body.decode().split("&"))
    assert sent["subject_token"] == "github-token"
    assert sent["audience"].endswith("providers%2Frepo")
    calls = wire.made("GET", SERVICE)
    assert [call.headers["authorization"] for call in calls] == [f"Bearer {token}"] * 2
    if account:
        impersonation = wire.made("POST", ":generateAccessToken")[0]
        assert impersonation.headers["authorization"] == "Bearer federated"


def test_targets_that_log_in_alike_do_it_once(make: Any, wire: Any, sts: Any) -> None:
    logins = Logins()
    same = Auth(workload_identity_provider=PROVIDER, service_account=EMAIL)
    targets = [make(auth, lambda _: "t", logins=logins) for auth in (same, same.model_copy(), same)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda google: google.log_in(), targets))
    assert len(wire.made("POST", "/v1/token")) == len(wire.made("POST", ":generateAccessToken")) == 1
    make(Auth(workload_identity_provider=PROVIDER), lambda _: "t", logins=logins).log_in()  # as somebody else
    assert len(wire.made("POST", "/v1/token")) == 2


def test_each_call_takes_no_longer_than_is_said(make: Any, wire: Any, sts: Any, make_spec: Any) -> None:
    wire.on("POST", "logging", "/v2/entries:list", {})
    wire.on("GET", "run", f"{SERVICE.removesuffix('s')}shop-s", {"name": NAME})
    google = make(Auth(workload_identity_provider=PROVIDER, service_account=EMAIL), lambda _: "t", timeout=1.5)
    google.log_in()
    list(google.logging.list_entries())
    Services(google, make_spec(services={"s": ServiceConfig()})).get("s")
    google.http.get(f"http://127.0.0.1:1/run{SERVICE}", timeout=google.timeout)
    limits = [call.request.req_kwargs["timeout"] for call in wire.mock.calls]
    assert len(limits) == 5
    assert set(limits) == {1.5}


def test_federation_without_a_token_names_the_permission(make: Any) -> None:
    with pytest.raises(AuthError) as caught:
        make(Auth(workload_identity_provider=PROVIDER)).login  # noqa: B018
    assert "id-token: write" in caught.value.hint


def test_a_refused_exchange_is_an_authentication_error(make: Any, wire: Any) -> None:
    wire.on(
        "POST",
        "sts",
        "/v1/token",
        (400, {"error": "invalid_grant", "error_description": "attribute condition"}),
        judged=False,
    )
    google = make(Auth(workload_identity_provider=PROVIDER), lambda audience: "t")
    with pytest.raises(AuthError, match="attribute condition"):
        read("get the service", lambda: get(google))


def test_loopback_without_anything_is_anonymous(make: Any, wire: Any, sts: Any) -> None:
    google = make()
    get(google)
    assert google.login.anonymous
    assert "authorization" not in {name.lower() for name in wire.calls[0].headers}
    assert google.identity.token("https://web") == ""


def test_a_credentials_file_of_another_action_is_used(make: Any, wire: Any, sts: Any, tmp_path: Any) -> None:
    subject = tmp_path / "token"
    subject.write_text("subject")
    file = tmp_path / "adc.json"
    file.write_text(
        json.dumps(
            {
                "type": "external_account",
                "audience": f"//iam.googleapis.com/{PROVIDER}",
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "token_url": "http://127.0.0.1:1/sts/v1/token",
                "service_account_impersonation_url": f"http://127.0.0.1:1/iamcredentials{TOKENS}:generateAccessToken",
                "credential_source": {"file": str(subject)},
            }
        )
    )
    google = make(GOOGLE_APPLICATION_CREDENTIALS=str(file))
    get(google)
    assert google.login.email == EMAIL
    assert wire.made("GET", SERVICE)[0].headers["authorization"] == "Bearer impersonated"


@pytest.mark.parametrize("text", ["{", "[]", '{"type": "external_account"}'])
def test_an_unusable_credentials_file_is_refused_without_its_content(make: Any, tmp_path: Any, text: Any) -> None:
    file = tmp_path / "gcloud" / "application_default_credentials.json"
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(AuthError, match="cannot be used"):
        make(CLOUDSDK_CONFIG=str(file.parent)).login  # noqa: B018


def test_no_credentials_at_all(make: Any, monkeypatch: Any, tmp_path: Any) -> None:
    file = tmp_path / "key.json"
    file.write_text('{"type": "service_account"}')
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    with pytest.raises(AuthError) as caught:
        make(CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN="https://run.example").login  # noqa: B018
    assert "workload_identity_provider" in caught.value.hint


def id_token(wire: Any, seconds: Any, audience: Any = "https://web") -> Any:
    return jwt.encode({"exp": int(wire.now + seconds), "aud": audience}, "k" * 32, algorithm="HS256")


def test_identity_tokens_are_minted_by_the_federated_identity_and_kept(make: Any, wire: Any, sts: Any) -> None:
    wire.on("POST", "iamcredentials", f"{TOKENS}:generateIdToken", lambda call: {"token": id_token(wire, 3600)})
    google = make(Auth(workload_identity_provider=PROVIDER, service_account=EMAIL), lambda audience: "t")
    first = google.identity.token("https://web")
    assert google.identity.token("https://web") == first
    (call,) = wire.made("POST", ":generateIdToken")
    assert call.body == {"audience": "https://web", "includeEmail": True}
    assert call.headers["authorization"] == "Bearer federated"
    wire.now += 3400
    assert google.identity.token("https://web") != first
    google.identity.token("https://worker")
    assert len(wire.made("POST", ":generateIdToken")) == 3


def test_a_refused_identity_token_says_so(make: Any, wire: Any, sts: Any, api_error: Any) -> None:
    wire.on(
        "POST", "iamcredentials", f"{TOKENS}:generateIdToken", api_error(403, "PERMISSION_DENIED", "getOpenIdToken")
    )
    google = make(Auth(workload_identity_provider=PROVIDER, service_account=EMAIL), lambda audience: "t")
    with pytest.raises(UpstreamError, match="getOpenIdToken"):
        google.identity.token("https://web")


def test_a_federated_identity_alone_has_no_identity_tokens(make: Any, sts: Any) -> None:
    google = make(Auth(workload_identity_provider=PROVIDER), lambda audience: "t")
    with pytest.raises(AuthError) as caught:
        google.identity.token("https://web")
    assert "auth.service_account" in caught.value.hint


def test_endpoints_default_to_google() -> None:
    endpoints = Endpoints.from_environ({})
    assert endpoints.run == "https://run.googleapis.com"
    assert endpoints.iamcredentials == "https://iamcredentials.googleapis.com"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://run.example/", "https://run.example"),
        ("http://localhost:80/x/", "http://localhost:80/x"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://storage.example/storage/v1/", "https://storage.example"),
    ],
)
def test_endpoints_are_overridden(value: Any, expected: Any) -> None:
    assert Endpoints.from_environ({"CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN": value}).run == expected


@pytest.mark.parametrize("value", ["http://run.example", "run.example", "ftp://127.0.0.1", "https://"])
def test_other_endpoints_are_refused(value: Any) -> None:
    with pytest.raises(SettingsError, match="should be an https URL"):
        Endpoints.from_environ({"CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN": value})


@pytest.mark.parametrize(
    ("url", "expected"),
    [("http://127.9.9.9", True), ("http://localhost:1", True), ("http://127.0.0.1.example", False), ("x", False)],
)
def test_loopback(url: Any, expected: Any) -> None:
    assert is_loopback(url) is expected


def test_a_service_accounts_key_works_as_google_auth_finds_it(
    make: Any, wire: Any, sts: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    info = {
        "type": "service_account",
        "project_id": "acme",
        "client_email": EMAIL,
        "private_key_id": "1",
        "private_key": key.private_bytes(*form).decode(),
        "token_uri": "http://127.0.0.1:1/oauth/token",
    }
    file = tmp_path / "key.json"
    file.write_text(json.dumps(info))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    token = id_token(wire, 3600)
    wire.mock.post(info["token_uri"], json={"id_token": token})
    google = make(GOOGLE_APPLICATION_CREDENTIALS=str(file))
    assert google.login.access.service_account_email == EMAIL
    assert google.identity.token("https://web") == token
