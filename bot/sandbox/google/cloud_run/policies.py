"""The IAM policy of a resource: read, replaced, asked. The same three methods stand on services, jobs and pools."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from bot.sandbox.google.cloud_run import rules
from bot.sandbox.google.cloud_run.platform import Routes
from bot.sandbox.wire import Request, Response, answer

Json = dict[str, Any]


class Guarded(Protocol):
    """A resource with a policy."""

    policy: Json

    @property
    def lock(self) -> AbstractContextManager[Any]: ...


def new_policy() -> Json:
    """Return the policy of a new resource: nobody but who has a role on the project."""
    return {"version": 1, "etag": "ACAB"}


def register(server: Routes, one: str, find: Callable[[Request], Guarded]) -> None:
    """Declare the three methods of the resource with the path ``one``. ``find`` raises WireError 404."""

    def replace(request: Request) -> Response:
        guarded, sent = find(request), request.json().get("policy", {})
        with guarded.lock:
            # run.v2, GoogleIamV1Policy.etag: a policy is only replaced when the sent etag is the stored one, or none.
            if sent.get("etag") and sent["etag"] != guarded.policy["etag"]:
                message = "There were concurrent policy changes. Please retry the whole read-modify-write."
                raise rules.conflict(message)
            guarded.policy = {"version": 1, **sent, "etag": base64.b64encode(secrets.token_bytes(9)).decode()}
            return answer(guarded.policy)

    def test(request: Request) -> Response:
        """A known principal may do everything here (:mod:`bot.sandbox.google.iam`), so it has what it asks for."""
        find(request)
        asked = request.json().get("permissions", [])
        return answer({"permissions": asked} if asked else {})

    server.route("GET", f"{one}:getIamPolicy", lambda request: answer(find(request).policy))
    server.route("POST", f"{one}:setIamPolicy", replace)
    server.route("POST", f"{one}:testIamPermissions", test)
