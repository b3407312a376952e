"""The token exchange as google-auth drives it, with GitHub-like ID tokens of a key made here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import exceptions, identity_pool
from google.auth.transport.requests import Request

from bot.sandbox.google.iam import IamCredentials, Provider, SecurityTokenService, TokenAuthority, service_account

ISSUER = "https://token.actions.example"
RESOURCE = "projects/123/locations/global/workloadIdentityPools/github/providers/shop"
AUDIENCE = f"//iam.googleapis.com/{RESOURCE}"
DEPLOYER = "deployer@acme.iam.gserviceaccount.com"
NOW = 1_800_000_000.0
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


class Supplier(identity_pool.SubjectTokenSupplier):
    def __init__(self, token: str) -> None:
        self.token = token

    def get_subject_token(self, context: Any, request: Any) -> str:
        return self.token


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authority(clock: Clock) -> TokenAuthority:
    made = TokenAuthority(clock=clock)
    key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
    made.providers[RESOURCE] = Provider(
        resource=RESOURCE,
        issuer=ISSUER,
        fetch_jwks=lambda: {"keys": [{**key, "kid": "one", "alg": "RS256"}]},
        condition=lambda claims: claims.get("repository_id") == "7",
    )
    return made


@pytest.fixture
def sts(authority: TokenAuthority) -> Iterator[SecurityTokenService]:
    server = SecurityTokenService(authority)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def iam(authority: TokenAuthority) -> Iterator[IamCredentials]:
    server = IamCredentials(authority)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def id_token() -> Callable[..., str]:
    def make(*, kid: str = "one", key: Any = KEY, **claims: Any) -> str:
        whole = {
            "iss": ISSUER,
            "aud": f"https:{AUDIENCE}",
            "sub": "repo:acme/shop:environment:staging",
            "iat": int(NOW),
            "exp": int(NOW) + 300,
            "repository_id": "7",
            **claims,
        }
        sent = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(sent, key, algorithm="RS256", headers={"kid": kid})

    return make


def exchange(sts: SecurityTokenService, token: str, *, audience: str = AUDIENCE, impersonate: str = "") -> Any:
    credentials: Any = identity_pool.Credentials(  # type: ignore[no-untyped-call]
        audience=audience,
        subject_token_type="urn:ietf:params:oauth:token-type:jwt",
        token_url=f"{sts.url}/v1/token",
        subject_token_supplier=Supplier(token),
        scopes=["https://www.googleapis.com/auth/cloud-platform"],
        service_account_impersonation_url=impersonate or None,
    )
    credentials.refresh(Request())
    return credentials


def test_an_id_token_becomes_an_access_token(
    authority: TokenAuthority, sts: SecurityTokenService, id_token: Callable[..., str]
) -> None:
    credentials = exchange(sts, id_token())
    principal = authority.authenticate(credentials.token)
    assert principal is not None
    pool = "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/github"
    assert principal.name == f"principal:{pool}/subject/repo:acme/shop:environment:staging"
    assert f"principalSet:{pool}/attribute.repository_id/7" in principal.members
    assert principal.email == ""


def test_the_audience_may_lack_its_scheme(
    authority: TokenAuthority, sts: SecurityTokenService, id_token: Callable[..., str]
) -> None:
    assert authority.authenticate(exchange(sts, id_token(aud=[AUDIENCE])).token) is not None


OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.mark.parametrize(
    ("claims", "code", "message"),
    [
        ({"aud": "https://github.com/acme"}, "invalid_grant", "does not match the expected audience"),
        ({"iss": "https://elsewhere.example"}, "invalid_grant", "issuer in ID Token"),
        ({"exp": int(NOW)}, "invalid_grant", "expired"),
        ({"sub": None}, "invalid_grant", "lacks the claim sub"),
        ({"key": OTHER_KEY}, "invalid_grant", "signature is invalid"),
        ({"kid": "two"}, "invalid_grant", "no key matches"),
        ({"repository_id": "8"}, "unauthorized_client", "rejected by the attribute condition"),
    ],
)
def test_a_token_that_does_not_hold_is_refused(
    sts: SecurityTokenService, id_token: Callable[..., str], claims: dict[str, Any], code: str, message: str
) -> None:
    with pytest.raises(exceptions.OAuthError, match=message) as caught:
        exchange(sts, id_token(**claims))
    assert code in str(caught.value)


def test_an_unreadable_token_and_an_unknown_provider_are_refused(
    sts: SecurityTokenService, id_token: Callable[..., str]
) -> None:
    with pytest.raises(exceptions.OAuthError, match="Unable to parse"):
        exchange(sts, "no token")
    with pytest.raises(exceptions.OAuthError, match="invalid_target"):
        exchange(sts, id_token(), audience=f"{AUDIENCE}-two")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"requested_token_type": "urn:x"}, "invalid_request"),
        ({"subject_token_type": "urn:x"}, "invalid_request"),
        ({"scope": ""}, "invalid_request"),
    ],
)
def test_a_malformed_exchange_is_refused(
    sts: SecurityTokenService, id_token: Callable[..., str], changed: dict[str, str], code: str
) -> None:
    body = {
        "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": AUDIENCE,
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "requestedTokenType": "urn:ietf:params:oauth:token-type:access_token",
        "subjectTokenType": "urn:ietf:params:oauth:token-type:id_token",
        "subjectToken": id_token(),
    }
    assert requests.post(f"{sts.url}/v1/token", json=body, timeout=5).json()["token_type"] == "Bearer"
    names = {"grant_type": "grantType", "requested_token_type": "requestedTokenType", "scope": "scope"}
    for name, value in changed.items():
        body[names.get(name, "subjectTokenType")] = value
    reply = requests.post(f"{sts.url}/v1/token", json=body, timeout=5)
    assert (reply.status_code, reply.json()["error"]) == (400, code)


def test_a_token_ends(authority: TokenAuthority, clock: Clock) -> None:
    token = authority.issue_token(DEPLOYER, lifetime=60)
    assert authority.authenticate(token) == service_account(DEPLOYER)
    clock.now += 60
    assert authority.authenticate(token) is None
    assert authority.authenticate("unknown") is None


def test_a_service_account_is_impersonated_by_whom_it_trusts(
    authority: TokenAuthority, sts: SecurityTokenService, iam: IamCredentials, id_token: Callable[..., str]
) -> None:
    url = f"{iam.url}/v1/projects/-/serviceAccounts/{DEPLOYER}:generateAccessToken"
    with pytest.raises(exceptions.RefreshError, match=r"iam\.serviceAccounts\.getAccessToken"):
        exchange(sts, id_token(), impersonate=url)
    pool = AUDIENCE.split("/providers/", maxsplit=1)[0]
    authority.grant(DEPLOYER, f"principalSet:{pool}/attribute.repository_id/7")
    credentials = exchange(sts, id_token(), impersonate=url)
    assert authority.authenticate(credentials.token) == service_account(DEPLOYER)


def test_an_id_token_of_a_service_account(authority: TokenAuthority, iam: IamCredentials, clock: Clock) -> None:
    authority.grant(DEPLOYER, f"serviceAccount:{DEPLOYER}", permission="getOpenIdToken")
    url = f"{iam.url}/v1/projects/-/serviceAccounts/{DEPLOYER}:generateIdToken"
    headers = {"Authorization": f"Bearer {authority.issue_token(DEPLOYER)}"}
    body = {"audience": "https://web.example", "includeEmail": True}
    token = requests.post(url, json=body, headers=headers, timeout=5).json()["token"]
    assert authority.verify_id_token(token) == (service_account(DEPLOYER), "https://web.example")
    assert requests.post(url, json={}, headers=headers, timeout=5).status_code == 400
    clock.now += 3600
    assert authority.verify_id_token(token) is None
    assert authority.verify_id_token("no token") is None


@pytest.mark.parametrize(
    ("project", "body"),
    [
        ("acme", {"scope": ["x"]}),
        ("-", {}),
        ("-", {"scope": ["x"], "lifetime": "7200s"}),
        ("-", {"scope": ["x"], "lifetime": "soon"}),
    ],
)
def test_a_malformed_impersonation_is_refused(
    authority: TokenAuthority, iam: IamCredentials, project: str, body: dict[str, Any]
) -> None:
    authority.grant(DEPLOYER, f"serviceAccount:{DEPLOYER}")
    reply = requests.post(
        f"{iam.url}/v1/projects/{project}/serviceAccounts/{DEPLOYER}:generateAccessToken",
        json=body,
        headers={"Authorization": f"Bearer {authority.issue_token(DEPLOYER)}"},
        timeout=5,
    )
    assert (reply.status_code, reply.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
