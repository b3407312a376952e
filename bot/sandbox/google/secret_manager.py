"""Secret Manager: secrets and their versions.

Source: secretmanager.v1. The error texts follow the service's own wording as far as public reports show it.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import google_crc32c

from bot.sandbox.google import GoogleService, paginate, rfc3339
from bot.sandbox.wire import Request, Response, WireError, answer

State = Literal["ENABLED", "DISABLED", "DESTROYED"]
MAX_PAYLOAD = 64 * 1024  # "Must be no larger than 64KiB." (SecretPayload.data)


@dataclass(kw_only=True)
class Version:
    """One version. ``data`` is emptied when it is destroyed."""

    name: str
    data: bytes
    created: str
    state: State = "ENABLED"
    destroyed: str = ""

    def resource(self) -> dict[str, Any]:
        """The SecretVersion as the API returns it."""
        shown = {"name": self.name, "createTime": self.created, "state": self.state, "etag": f'"{self.state}"'}
        return {**shown, "destroyTime": self.destroyed} if self.destroyed else shown


@dataclass(kw_only=True)
class Secret:
    """One secret: its resource in JSON and its versions, oldest first (numbers start at 1)."""

    resource: dict[str, Any]
    versions: list[Version] = field(default_factory=list)


class SecretManager(GoogleService):
    """``secretmanager.googleapis.com``; Cloud Run reads through :meth:`access`."""

    name = "secretmanager"

    def __init__(
        self,
        *,
        authenticate: Callable[[str], object | None] | None,
        project: str = "acme",
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(authenticate=authenticate)
        self.project, self.clock = project, clock
        self._secrets: dict[str, Secret] = {}
        self._secrets_lock = threading.RLock()
        one = "/v1/projects/{project}/secrets/{secret}"
        self.route("POST", "/v1/projects/{project}/secrets", self._create)
        self.route("GET", "/v1/projects/{project}/secrets", self._list)
        self.route("POST", f"{one}:addVersion", self._add_version)
        self.route("GET", one, lambda request: answer(self._secret(self._path(request)).resource))
        self.route("DELETE", one, self._delete)
        self.route("GET", f"{one}/versions", self._list_versions)
        self.route("GET", f"{one}/versions/{{version}}:access", self._access)
        self.route("GET", f"{one}/versions/{{version}}", lambda request: answer(self._version(request).resource()))
        verbs: dict[str, State] = {"enable": "ENABLED", "disable": "DISABLED", "destroy": "DESTROYED"}
        for verb, state in verbs.items():
            self.route("POST", f"{one}/versions/{{version}}:{verb}", self._changer(state))

    # -- for the other servers and for set-up -------------------------------------------------------------
    def put(self, secret: str, data: bytes) -> str:
        """Add a version, creating the secret where it is missing; return the version's name."""
        path = self._full(secret)
        with self._secrets_lock:
            self._secrets.setdefault(path, Secret(resource=self._resource(path, {"replication": {"automatic": {}}})))
            return self._append(path, data).name

    def access(self, secret: str, version: str = "latest") -> bytes:
        """Return a version's bytes. ``secret`` is a bare or a full name. Raises WireError."""
        return self._readable(self.version(self._full(secret), version or "latest")).data

    def version(self, path: str, version: str) -> Version:
        """Return a version by number, alias or ``latest`` (the newest, whatever its state). Raises WireError."""
        with self._secrets_lock:
            secret = self._secret(path)
            number = str(secret.resource.get("versionAliases", {}).get(version, version))
            if number == "latest" and secret.versions:
                return secret.versions[-1]
            if number.isdigit() and 0 < int(number) <= len(secret.versions):
                return secret.versions[int(number) - 1]
        if version == "latest":
            raise WireError(404, f"Secret [{path}] not found or has no versions.", "NOT_FOUND")
        raise WireError(404, f"Secret Version [{path}/versions/{version}] not found.", "NOT_FOUND")

    def _full(self, secret: str) -> str:
        return secret if secret.startswith("projects/") else f"projects/{self.project}/secrets/{secret}"

    # -- handlers -------------------------------------------------------------------------------------------
    @staticmethod
    def _path(request: Request) -> str:
        return f"projects/{request.params['project']}/secrets/{request.params['secret']}"

    def _secret(self, path: str) -> Secret:
        with self._secrets_lock:
            if path not in self._secrets:
                raise WireError(404, f"Secret [{path}] not found.", "NOT_FOUND")
            return self._secrets[path]

    def _version(self, request: Request) -> Version:
        return self.version(self._path(request), request.params["version"])

    @staticmethod
    def _readable(version: Version) -> Version:
        if version.state != "ENABLED":
            message = f"Secret Version [{version.name}] is in {version.state} state."
            raise WireError(400, message, "FAILED_PRECONDITION")
        return version

    def _resource(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        now = self.clock()
        return {**body, "name": path, "createTime": rfc3339(now), "etag": f'"{int(now * 1e6):x}"'}

    def _create(self, request: Request) -> Response:
        name = request.arg("secretId") or ""
        path = f"projects/{request.params['project']}/secrets/{name}"
        body = request.json()
        if not name or not body.get("replication"):
            raise WireError(400, "Request contains an invalid argument.", "INVALID_ARGUMENT")
        with self._secrets_lock:
            if path in self._secrets:
                raise WireError(409, f"Secret [{path}] already exists.", "ALREADY_EXISTS")
            self._secrets[path] = Secret(resource=self._resource(path, body))
            return answer(self._secrets[path].resource)

    def _list(self, request: Request) -> Response:
        prefix = f"projects/{request.params['project']}/secrets/"
        with self._secrets_lock:
            found = [secret.resource for path, secret in self._secrets.items() if path.startswith(prefix)]
        return answer({**paginate(request, found, "secrets"), "totalSize": len(found)})

    def _delete(self, request: Request) -> Response:
        path = self._path(request)
        with self._secrets_lock:
            self._secret(path)
            del self._secrets[path]
        return answer({})

    def _append(self, path: str, data: bytes) -> Version:
        secret = self._secret(path)
        name = f"{path}/versions/{len(secret.versions) + 1}"
        secret.versions.append(Version(name=name, data=data, created=rfc3339(self.clock())))
        return secret.versions[-1]

    def _add_version(self, request: Request) -> Response:
        payload = request.json().get("payload", {})
        data = base64.b64decode(payload.get("data", ""))
        if len(data) > MAX_PAYLOAD:
            raise WireError(400, "The secret payload is larger than 65536 bytes.", "INVALID_ARGUMENT")
        if "dataCrc32c" in payload and int(payload["dataCrc32c"]) != google_crc32c.value(data):
            raise WireError(400, "Payload data corruption: the checksum does not match.", "INVALID_ARGUMENT")
        with self._secrets_lock:
            return answer(self._append(self._path(request), data).resource())

    def _list_versions(self, request: Request) -> Response:
        with self._secrets_lock:
            versions = [version.resource() for version in reversed(self._secret(self._path(request)).versions)]
        return answer({**paginate(request, versions, "versions"), "totalSize": len(versions)})

    def _access(self, request: Request) -> Response:
        version = self._readable(self._version(request))
        payload = {
            "data": base64.b64encode(version.data).decode(),
            "dataCrc32c": str(google_crc32c.value(version.data)),
        }
        return answer({"name": version.name, "payload": payload})

    def _changer(self, state: State) -> Callable[[Request], Response]:
        def change(request: Request) -> Response:
            with self._secrets_lock:
                version = self._version(request)
                if version.state == "DESTROYED":
                    raise WireError(400, f"Secret Version [{version.name}] is DESTROYED.", "FAILED_PRECONDITION")
                version.state = state
                if state == "DESTROYED":
                    version.data, version.destroyed = b"", rfc3339(self.clock())
                return answer(version.resource())

        return change
