"""Who is calling: the token exchange (STS), service-account credentials, and the check of a bearer token.

:class:`TokenAuthority` holds the truth (issued tokens, trusted issuers, grants); :class:`SecurityTokenService` and
:class:`IamCredentials` are its two wire-level servers. Every other server asks :meth:`TokenAuthority.authenticate`.

A known principal may call every API of the sandbox: IAM is modelled where a release meets it, which is the trust in
GitHub's issuer, the impersonation of a service account, and the invocation of a private Cloud Run service.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.sandbox.google import GoogleService, rfc3339, seconds_of
from bot.sandbox.wire import Request, Response, Service, WireError, answer

GOOGLE_ISSUER = "https://accounts.google.com"
LIFETIME = 3600.0  # seconds; "the default value of 1 hour" (iamcredentials.v1, GenerateAccessTokenRequest.lifetime)
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"
JWT_TYPES = frozenset({"urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"})
# Claims of GitHub's ID token that the provider maps to `attribute.<claim>`.
MAPPED_CLAIMS = ("repository", "repository_id", "repository_owner_id", "environment", "ref", "workflow_ref")

Jwks = Mapping[str, Any]
Claims = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Somebody a token stands for. ``members`` are all IAM member strings that mean this principal.

    Source of the member forms: sts.v1, GoogleIamV1Binding.members.
    """

    name: str  # "serviceAccount:EMAIL" or "principal://iam.googleapis.com/…/subject/SUBJECT"
    members: frozenset[str]
    claims: Claims = field(default_factory=dict)

    @property
    def email(self) -> str:
        """The address of a service account or user, else an empty string."""
        kind, _, address = self.name.partition(":")
        return address if kind in {"serviceAccount", "user"} else ""


def service_account(email: str) -> Principal:
    """Return the principal of a service account."""
    name = f"serviceAccount:{email}"
    return Principal(name=name, members=frozenset({name, "allAuthenticatedUsers"}))


def user(email: str) -> Principal:
    """Return the principal of a person with a Google account."""
    name = f"user:{email}"
    return Principal(name=name, members=frozenset({name, "allAuthenticatedUsers"}))


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A workload identity pool provider: whose tokens are trusted, and under which condition."""

    resource: str  # "projects/N/locations/global/workloadIdentityPools/P/providers/R"
    issuer: str
    fetch_jwks: Callable[[], Jwks]
    condition: Callable[[Claims], bool]
    allowed_audiences: tuple[str, ...] = ()

    @property
    def audiences(self) -> tuple[str, ...]:
        """Accepted ``aud`` values.

        With no list configured they are the provider's full resource name with or without the ``https:`` prefix
        (IAM API, WorkloadIdentityPoolProvider, Oidc.allowedAudiences).
        """
        name = f"//iam.googleapis.com/{self.resource}"
        return self.allowed_audiences or (f"https:{name}", name)

    def principal(self, claims: Claims) -> Principal:
        """Map a token's claims to a principal and to the principal sets it belongs to."""
        pool = f"//iam.googleapis.com/{self.resource.rsplit('/providers/', 1)[0]}"
        name = f"principal:{pool}/subject/{claims['sub']}"
        sets = {f"principalSet:{pool}/attribute.{key}/{claims[key]}" for key in MAPPED_CLAIMS if key in claims}
        return Principal(name=name, members=frozenset({name, f"principalSet:{pool}/*"} | sets), claims=dict(claims))


class StsError(WireError):
    """An OAuth 2.0 error (RFC 6749, section 5.2; RFC 8693, section 2.2.2)."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(status, description, code)


class TokenAuthority:
    """Issues and checks tokens. Thread-safe. ``clock`` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.providers: dict[str, Provider] = {}
        self._grants: dict[tuple[str, str], set[str]] = {}  # (account, permission's short name) -> members
        self._issued: dict[str, tuple[Principal, float]] = {}
        self._lock = threading.Lock()
        self._key: rsa.RSAPrivateKey | None = None
        self._key_id = secrets.token_hex(8)

    # -- access tokens --------------------------------------------------------------------------------------
    def issue_token(self, principal: Principal | str, lifetime: float = LIFETIME) -> str:
        """Return a new access token. A plain string names a service account. ``lifetime`` is in seconds."""
        who = service_account(principal) if isinstance(principal, str) else principal
        token = f"ya29.{secrets.token_urlsafe(32)}"
        with self._lock:
            self._issued[token] = (who, self.clock() + lifetime)
        return token

    def authenticate(self, token: str) -> Principal | None:
        """Return whose access token this is, None when it is unknown or expired."""
        with self._lock:
            found = self._issued.get(token)
        if found is None or found[1] <= self.clock():
            return None
        return found[0]

    # -- impersonation --------------------------------------------------------------------------------------
    def grant(self, email: str, member: str, *, permission: str = "getAccessToken") -> None:
        """Let ``member`` have ``iam.serviceAccounts.<permission>`` on a service account.

        roles/iam.workloadIdentityUser holds getAccessToken and getOpenIdToken, so grant both for that role.
        """
        self._grants.setdefault((email, permission), set()).add(member)

    def may(self, principal: Principal, email: str, permission: str) -> bool:
        """Tell whether a principal has ``iam.serviceAccounts.<permission>`` on a service account."""
        return bool(self._grants.get((email, permission), set()) & principal.members)

    # -- ID tokens ------------------------------------------------------------------------------------------
    def issue_id_token(self, email: str, audience: str, lifetime: float = LIFETIME) -> str:
        """Return an ID token of a service account, signed as Google signs them (RS256)."""
        now = int(self.clock())
        claims = {
            "iss": GOOGLE_ISSUER, "aud": audience, "azp": email, "sub": email, "email": email,
            "email_verified": True, "iat": now, "exp": now + int(lifetime),
        }  # fmt: skip
        return jwt.encode(claims, self._signing_key(), algorithm="RS256", headers={"kid": self._key_id})

    def verify_id_token(self, token: str) -> tuple[Principal, str] | None:
        """Return the principal and the audience of an ID token, None unless it is ours and unexpired."""
        options: Any = {"verify_aud": False, "verify_exp": False, "verify_iat": False, "require": ["exp", "aud"]}
        try:
            claims = jwt.decode(
                token, self._signing_key().public_key(), algorithms=["RS256"], issuer=GOOGLE_ISSUER, options=options
            )
        except jwt.InvalidTokenError:
            return None
        if claims["exp"] <= self.clock():
            return None
        return service_account(claims["email"]), claims["aud"]

    def _signing_key(self) -> rsa.RSAPrivateKey:
        with self._lock:
            if self._key is None:
                self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            return self._key

    # -- the exchange ---------------------------------------------------------------------------------------
    def exchange(self, audience: str, subject_token: str) -> Principal:
        """Return the principal a provider maps an external ID token to.

        Raises StsError with the codes Google's STS uses: ``invalid_target`` for an unknown provider,
        ``invalid_grant`` for a token that does not verify, ``unauthorized_client`` for an unmet condition.
        """
        provider = self.providers.get(audience.removeprefix("//iam.googleapis.com/"))
        if provider is None or not audience.startswith("//"):
            message = (
                'The target service indicated by the "audience" parameters is invalid. This might either be because '
                "the pool or provider is disabled or deleted or because it doesn't exist."
            )
            raise StsError("invalid_target", message)
        claims = self._verify(provider, subject_token)
        if not provider.condition(claims):
            raise StsError("unauthorized_client", "The given credential is rejected by the attribute condition.", 401)
        return provider.principal(claims)

    def _verify(self, provider: Provider, token: str) -> Claims:
        try:
            header = jwt.get_unverified_header(token)
            unverified = jwt.decode(token, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            raise StsError("invalid_grant", "Unable to parse the ID Token.") from None
        if unverified.get("iss") != provider.issuer:
            raise StsError(
                "invalid_grant",
                f"The issuer in ID Token {unverified.get('iss')} does not match the expected ones: {provider.issuer}",
            )
        keys = {key["kid"]: key for key in provider.fetch_jwks()["keys"]}
        if header.get("kid") not in keys:
            raise StsError("invalid_grant", "Error connecting to the given credential's issuer: no key matches.")
        options: Any = {"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
        try:
            claims: dict[str, Any] = jwt.decode(
                token, jwt.PyJWK(keys[header["kid"]]).key, algorithms=["RS256", "ES256"], options=options
            )
        except jwt.InvalidTokenError:
            raise StsError("invalid_grant", "The ID Token's signature is invalid.") from None
        self._check_claims(provider, claims)
        return claims

    def _check_claims(self, provider: Provider, claims: Claims) -> None:
        sent = claims.get("aud")
        if not set(provider.audiences) & set(sent if isinstance(sent, list) else [sent]):
            message = f"The audience in ID Token [{sent}] does not match the expected audience."
            raise StsError("invalid_grant", message)
        # sts.v1, ExchangeTokenRequest.subjectToken: `exp` and `iat` are required claims of an OIDC token.
        for claim in ("exp", "iat", "sub"):
            if claim not in claims:
                raise StsError("invalid_grant", f"The ID Token lacks the claim {claim}.")
        if claims["exp"] <= self.clock():
            raise StsError("invalid_grant", f"ID Token is expired. Expiration time is {claims['exp']}.")


class SecurityTokenService(Service):
    """``sts.googleapis.com``: ``POST /v1/token``. Source: sts.v1; RFC 8693."""

    name = "sts"

    def __init__(self, authority: TokenAuthority) -> None:
        super().__init__()
        self.authority = authority
        self.route("POST", "/v1/token", self._token)

    def render_error(self, error: WireError) -> Response:
        return answer({"error": error.code, "error_description": error.message}, error.status)

    def _token(self, request: Request) -> Response:
        form = self._form(request)
        for name in ("grant_type", "audience", "scope", "requested_token_type", "subject_token", "subject_token_type"):
            if not form.get(name):
                raise StsError("invalid_request", f"Missing required field: {name}.")
        if form["grant_type"] != GRANT_TYPE:
            raise StsError("unsupported_grant_type", f"Unsupported grant_type: {form['grant_type']}.")
        if form["requested_token_type"] != ACCESS_TOKEN_TYPE:
            raise StsError("invalid_request", f"Invalid requested_token_type: {form['requested_token_type']}.")
        if form["subject_token_type"] not in JWT_TYPES:
            raise StsError("invalid_request", f"Invalid subject_token_type: {form['subject_token_type']}.")
        principal = self.authority.exchange(form["audience"], form["subject_token"])
        return answer(
            {
                "access_token": self.authority.issue_token(principal),
                "issued_token_type": ACCESS_TOKEN_TYPE,
                "token_type": "Bearer",
                "expires_in": int(LIFETIME),
            }
        )

    @staticmethod
    def _form(request: Request) -> dict[str, str]:
        """Read the request as RFC 8693's form, or as the discovery document's JSON."""
        if "json" not in request.headers.get("content-type", ""):
            return {key: values[-1] for key, values in parse_qs(request.body.decode()).items()}
        body: dict[str, str] = request.json()
        return {re.sub(r"[A-Z]", lambda match: "_" + match[0].lower(), key): value for key, value in body.items()}


class IamCredentials(GoogleService):
    """``iamcredentials.googleapis.com``: a service account's tokens for those allowed to impersonate it.

    Source: iamcredentials.v1.
    """

    name = "iamcredentials"

    def __init__(self, authority: TokenAuthority) -> None:
        super().__init__(authenticate=authority.authenticate)
        self.authority = authority
        base = "/v1/projects/{project}/serviceAccounts/{email}"
        self.route("POST", f"{base}:generateAccessToken", self._access_token)
        self.route("POST", f"{base}:generateIdToken", self._id_token)

    def _caller_may(self, request: Request, permission: str) -> str:
        email = request.params["email"]
        if request.params["project"] != "-":  # "The `-` wildcard character is required" (the `name` parameter)
            raise WireError(400, "Request contains an invalid argument.", "INVALID_ARGUMENT")
        caller = self.principal(request)
        if not isinstance(caller, Principal) or not self.authority.may(caller, email, permission):
            wanted = f"iam.serviceAccounts.{permission}"
            raise WireError(
                403,
                f"Permission '{wanted}' denied on resource (or it may not exist).",
                "PERMISSION_DENIED",
                details=[
                    {
                        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                        "reason": "IAM_PERMISSION_DENIED",
                        "domain": "iam.googleapis.com",
                        "metadata": {"permission": wanted},
                    }
                ],
            )
        return email

    def _access_token(self, request: Request) -> Response:
        email = self._caller_may(request, "getAccessToken")
        body = request.json()
        if not body.get("scope"):
            raise WireError(400, "Scope required.", "INVALID_ARGUMENT")
        lifetime = seconds_of(body.get("lifetime", "3600s"))
        if not 0 < lifetime <= LIFETIME:  # "By default, the maximum allowed value is 1 hour" (its `lifetime`)
            raise WireError(400, "The token lifetime must be at most 3600s.", "INVALID_ARGUMENT")
        # google-auth reads this field with the format "%Y-%m-%dT%H:%M:%SZ", so there is no fraction.
        expires = re.sub(r"\.\d+", "", rfc3339(self.authority.clock() + lifetime))
        return answer(
            {
                "accessToken": self.authority.issue_token(email, lifetime),
                "expireTime": expires,
            }
        )

    def _id_token(self, request: Request) -> Response:
        email = self._caller_may(request, "getOpenIdToken")
        audience = request.json().get("audience")
        if not audience:
            raise WireError(400, "Audience required.", "INVALID_ARGUMENT")
        return answer({"token": self.authority.issue_id_token(email, audience)})
