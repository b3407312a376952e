"""A session with Google Cloud: endpoints, credentials and clients, made when they are first used.

The clients are synchronous and speak REST: easy to record, and threads serve as well as asyncio for a few services.
"""

# mypy: disallow-untyped-calls=False
# (google-auth and google-api-core ship types for a part of their functions only.)

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from google.api_core.client_options import ClientOptions
from google.auth.transport.requests import AuthorizedSession, Request
from google.cloud import run_v2

from bot.core.config import Auth
from bot.errors import SettingsError
from bot.targets import Logins, google_auth

C = TypeVar("C")
_PREFIX = "CLOUDSDK_API_ENDPOINT_OVERRIDES_"  # gcloud's property api_endpoint_overrides/… as a variable


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """Base URLs of the APIs, without a trailing slash."""

    run: str
    cloudbuild: str
    secretmanager: str
    storage: str
    artifactregistry: str
    containeranalysis: str
    logging: str
    monitoring: str
    sts: str
    iamcredentials: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Endpoints:
        """Read the overrides as gcloud names them. Raises SettingsError for plain http beyond loopback."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: _endpoint(name, environ.get(_PREFIX + name.upper(), "")) for name in names})


def _endpoint(name: str, value: str) -> str:
    # gcloud's own value for Cloud Storage carries the API's path, which the client adds itself.
    url = value.strip().rstrip("/").removesuffix("/storage/v1") or f"https://{name}.googleapis.com"
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return url
    if parts.scheme == "http" and is_loopback(url):
        return url
    raise SettingsError(
        f"{_PREFIX}{name.upper()} is {url!r}: it should be an https URL.", hint="Plain http is for loopback only."
    )


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine itself."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Bounded(AuthorizedSession):  # type: ignore[misc,unused-ignore]
    """A session whose calls take no longer than we say: Cloud Logging's client gives each a minute of its own."""

    def __init__(self, credentials: Any, timeout: float) -> None:
        super().__init__(credentials)
        self._longest = timeout

    def request(self, *args: Any, **kwargs: Any) -> Any:
        return super().request(*args, **{**kwargs, "timeout": self._longest})


class Google:
    """Clients with one login. All attributes may be used from several threads.

    ``sleep`` waits between polls; it may raise to stop the wait. ``timeout`` bounds one call, in seconds.
    """

    def __init__(
        self,
        *,
        project: str,
        region: str,
        auth: Auth | None,
        environ: Mapping[str, str],
        oidc: Callable[[str], str] | None,
        logins: Logins | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        timeout: float = 20.0,
    ) -> None:
        self.project, self.region = project, region
        self.endpoints = Endpoints.from_environ(environ)
        self.clock, self.sleep, self.timeout = clock, sleep, timeout
        self._auth, self._environ, self._oidc, self._logins = auth, environ, oidc, logins or Logins()

    @property
    def location(self) -> str:
        """The parent of regional resources."""
        return f"projects/{self.project}/locations/{self.region}"

    @cached_property
    def login(self) -> google_auth.Login:
        """The credentials. Raises AuthError without usable ones."""
        make = partial(
            google_auth.login,
            self._auth,
            environ=self._environ,
            oidc=self._oidc,
            sts=self.endpoints.sts,
            iam=self.endpoints.iamcredentials,
            loopback=is_loopback(self.endpoints.run),
        )
        return self._logins.get(self._auth, make)

    def log_in(self) -> None:
        """Have an access token, so that the first call need not wait for it. Raises what that would."""
        login = self.login
        if not login.anonymous and not login.access.valid:
            login.access.refresh(partial(Request(), timeout=self.timeout))

    @cached_property
    def identity(self) -> google_auth.IdentityTokens:
        """Identity tokens for private services."""
        return google_auth.IdentityTokens(
            self.login, iam=self.endpoints.iamcredentials, clock=self.clock, timeout=self.timeout
        )

    @cached_property
    def http(self) -> AuthorizedSession:
        """A session for the few calls that need no client of their own; each call states its timeout."""
        return AuthorizedSession(self.login.access)

    @cached_property
    def services(self) -> run_v2.ServicesClient:
        """Cloud Run services."""
        return self._client(run_v2.ServicesClient, self.endpoints.run)

    @cached_property
    def worker_pools(self) -> run_v2.WorkerPoolsClient:
        """Cloud Run worker pools."""
        return self._client(run_v2.WorkerPoolsClient, self.endpoints.run)

    @cached_property
    def revisions(self) -> run_v2.RevisionsClient:
        """Revisions of Cloud Run services and worker pools."""
        return self._client(run_v2.RevisionsClient, self.endpoints.run)

    @cached_property
    def jobs(self) -> run_v2.JobsClient:
        """Cloud Run jobs."""
        return self._client(run_v2.JobsClient, self.endpoints.run)

    @cached_property
    def executions(self) -> run_v2.ExecutionsClient:
        """Executions of Cloud Run jobs."""
        return self._client(run_v2.ExecutionsClient, self.endpoints.run)

    @cached_property
    def tasks(self) -> run_v2.TasksClient:
        """Tasks of executions."""
        return self._client(run_v2.TasksClient, self.endpoints.run)

    @cached_property
    def builds(self) -> Any:
        """Cloud Build."""
        from google.cloud.devtools import cloudbuild_v1  # noqa: PLC0415 - neither a rollback nor a status builds (50 ms)

        return self._client(cloudbuild_v1.CloudBuildClient, self.endpoints.cloudbuild)

    @cached_property
    def storage(self) -> Any:
        """Cloud Storage."""
        from google.cloud.storage import Client  # noqa: PLC0415 - only a build from an upload needs it (60 ms)

        # It reads the bucket in a thread of its own, for traces that nobody collects here.
        os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
        return Client(
            project=self.project,
            credentials=self.login.access,
            client_options=ClientOptions(api_endpoint=self.endpoints.storage),
        )

    @cached_property
    def logging(self) -> Any:
        """Cloud Logging."""
        from google.cloud.logging import Client  # noqa: PLC0415 - only a failure needs it (130 ms)

        return Client(
            project=self.project,
            credentials=self.login.access,
            client_options=ClientOptions(api_endpoint=self.endpoints.logging),
            _use_grpc=False,
            _http=_Bounded(self.login.access, self.timeout),
        )

    def _client(self, kind: Callable[..., C], endpoint: str) -> C:
        options = ClientOptions(api_endpoint=endpoint)
        return kind(credentials=self.login.access, transport="rest", client_options=options)
