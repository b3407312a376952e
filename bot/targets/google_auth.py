"""Credentials for Google Cloud: Workload Identity Federation, application-default ones, anonymous on loopback.

Without keys: the run's OIDC token is exchanged at Google's Security Token Service (RFC 8693), and the federated token,
where a service account is configured, for one of that account. google-auth does the exchange and the renewal.
"""

# mypy: disallow-untyped-calls=False
# (google-auth and google-api-core ship types for a part of their functions only.)

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import google.auth
from google.auth import credentials, exceptions, identity_pool, jwt
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2 import id_token

from bot.core.config import Auth
from bot.errors import AuthError
from bot.targets.google_errors import AUTH_HINT, check, read

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_EARLY = 300.0  # seconds before its expiry that an identity token is renewed
_GOOGLE_STS = "https://sts.googleapis.com"
_GOOGLE_IAM = "https://iamcredentials.googleapis.com"


class _Supplier(identity_pool.SubjectTokenSupplier):  # type: ignore[no-any-unimported,misc,unused-ignore]
    """Hands google-auth the run's OIDC token."""

    def __init__(self, oidc: Callable[[str], str], audience: str) -> None:
        self._oidc, self._audience = oidc, audience

    def get_subject_token(self, context: object, request: object) -> str:  # noqa: ARG002 - google-auth's signature
        return self._oidc(self._audience)


class Federated(identity_pool.Credentials):  # type: ignore[no-any-unimported,misc,unused-ignore]
    """Federated credentials that several threads share: one exchange at a time, and none that another just made."""

    _exchange = threading.RLock()
    regional = True  # whether google-auth may look up the regional access boundary

    def refresh(self, request: Any) -> None:
        """Exchange tokens, unless another thread did so meanwhile."""
        seen = self.token
        with self._exchange:
            if self.token is seen or not self.valid:
                super().refresh(request)

    def _after_refresh(self, request: Any, method: str, url: str, headers: Any) -> None:
        # The look-up goes to Google's own host whatever the endpoint overrides say, so it is for that host only.
        if self.regional:
            super()._after_refresh(request, method, url, headers)


@dataclass(frozen=True, kw_only=True)
class Login:
    """Access credentials, and how to mint identity tokens: as ``email`` with the credentials ``minter``.

    ``minter`` is the identity before impersonation: the role Workload Identity User on a service account grants
    ``iam.serviceAccounts.getOpenIdToken``, while the account itself seldom holds it on itself.
    """

    access: Any
    minter: Any = None
    email: str = ""
    anonymous: bool = False


def login(
    auth: Auth | None,
    *,
    environ: Mapping[str, str],
    oidc: Callable[[str], str] | None,
    sts: str,
    iam: str,
    loopback: bool,
) -> Login:
    """Choose the credentials. ``sts`` and ``iam`` are endpoints, ``loopback`` whether anonymous is allowed.

    Raises AuthError when there are none.
    """
    if auth is not None:
        if oidc is None:
            raise AuthError(
                "Workload Identity Federation is configured, but this run has no OIDC token.",
                hint="Give the job `permissions: id-token: write`.",
            )
        return _federated(auth, oidc, sts, iam)
    file = _adc_file(environ)
    if file is not None:
        return _from_file(file)
    if loopback:
        return Login(access=credentials.AnonymousCredentials(), anonymous=True)  # type: ignore[no-untyped-call,unused-ignore]
    return Login(access=_default())


def _federated(auth: Auth, oidc: Callable[[str], str], sts: str, iam: str) -> Login:
    common: dict[str, Any] = {
        "audience": f"//iam.googleapis.com/{auth.workload_identity_provider}",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{sts}/v1/token",
        "subject_token_supplier": _Supplier(oidc, auth.audience),
        "scopes": list(SCOPES),
    }
    source = Federated(**common)
    source.regional = iam == _GOOGLE_IAM
    if not auth.service_account:
        return Login(access=source)
    url = f"{iam}/v1/projects/-/serviceAccounts/{auth.service_account}:generateAccessToken"
    access = Federated(**common, service_account_impersonation_url=url)
    access.regional = source.regional
    return Login(access=access, minter=source, email=auth.service_account)


def _adc_file(environ: Mapping[str, str]) -> Path | None:
    """Return the file of application-default credentials where google-auth would look for one (AIP-4110)."""
    named = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        return Path(named)
    folder = environ.get("CLOUDSDK_CONFIG") or str(Path(environ.get("HOME", "/nonexistent")) / ".config/gcloud")
    known = Path(folder) / "application_default_credentials.json"
    return known if known.is_file() else None


def _from_file(file: Path) -> Login:
    """Read a credentials file.

    An external account is built directly: google.auth's loader would exchange a token at once, then ask the Resource
    Manager for the project.
    """
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
        if info.get("type") != "external_account":
            return Login(access=_default())
        access = Federated.from_info(info, scopes=list(SCOPES))
        plain = {key: value for key, value in info.items() if key != "service_account_impersonation_url"}
        source = Federated.from_info(plain, scopes=list(SCOPES))
    except (OSError, ValueError, AttributeError, exceptions.GoogleAuthError) as error:
        raise AuthError(
            f"The credentials file {file} cannot be used: {type(error).__name__}.", hint=AUTH_HINT
        ) from error
    access.regional = source.regional = not str(info.get("token_url", "")).startswith("http://")
    return Login(access=access, minter=source, email=access.service_account_email or "")


def _default() -> Any:
    try:
        found, _ = google.auth.default(scopes=list(SCOPES))
    except exceptions.GoogleAuthError as error:
        raise AuthError("There are no credentials for Google Cloud.", hint=AUTH_HINT) from error
    return found


class IdentityTokens:
    """Identity tokens for private services, by audience, kept until shortly before they expire.

    ``timeout`` bounds each call, in seconds.
    """

    def __init__(self, login: Login, *, iam: str, clock: Callable[[], float], timeout: float = 20.0) -> None:
        self._login, self._iam, self._clock, self._timeout = login, iam, clock, timeout
        self._kept: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def token(self, audience: str) -> str:
        """Return a token, ``""`` for an anonymous login. Raises AuthError when none can be had, UpstreamError."""
        if self._login.anonymous:
            return ""
        with self._lock:
            token, expires = self._kept.get(audience, ("", 0.0))
            if self._clock() >= expires - _EARLY:
                token = read("mint an identity token", lambda: self._mint(audience))
                expires = float(jwt.decode(token, verify=False)["exp"])
                self._kept[audience] = (token, expires)
        return token

    def _mint(self, audience: str) -> str:
        if self._login.email:
            session = AuthorizedSession(self._login.minter)
            url = f"{self._iam}/v1/projects/-/serviceAccounts/{self._login.email}:generateIdToken"
            body = {"audience": audience, "includeEmail": True}
            return str(check(session.post(url, json=body, timeout=self._timeout))["token"])
        if isinstance(self._login.access, Federated):
            raise AuthError(
                "A federated identity alone cannot call a private service: it has no identity tokens.",
                hint="Set `auth.service_account` of the target.",
            )
        return str(id_token.fetch_id_token(partial(Request(), timeout=self._timeout), audience))
