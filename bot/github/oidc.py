"""The identity token of the running job, from the Actions runner's token service.

The request is that of docs.github.com, "OpenID Connect reference", and of actions/toolkit (``oidc-utils.ts``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import requests

from bot.errors import AuthError, UpstreamError
from bot.github.endpoint import endpoint_with_query
from bot.github.retry import Failed, Waiting, repeat

_SERVICE = "GitHub OIDC"
_WHAT = "issue an identity token"
_HINT = "Give the job `permissions: id-token: write`."


def token(
    audience: str,
    *,
    request_url: str,
    request_token: str,
    timeout: float = 10,
    waiting: Waiting | None = None,
) -> str:
    """Ask for a JWT for an audience. The arguments are ``ACTIONS_ID_TOKEN_REQUEST_URL`` and ``..._TOKEN``.

    Raises:
        AuthError: the job may not have one (``permissions: id-token: write`` is missing).
        SettingsError: the address is neither https nor on loopback.
        UpstreamError: the service fails; after repeating like any read.
    """
    if not request_url or not request_token:
        raise AuthError("The job has no access to identity tokens.", hint=_HINT)
    parts = urlsplit(endpoint_with_query(request_url, "ACTIONS_ID_TOKEN_REQUEST_URL"))
    query = [*parse_qsl(parts.query), ("audience", audience)]
    url = urlunsplit(parts._replace(query=urlencode(query)))
    return repeat(lambda: _ask(url, request_token, timeout), waiting or Waiting())


def _ask(url: str, request_token: str, timeout: float) -> str:
    headers = {"Authorization": f"bearer {request_token}", "Accept": "application/json", "User-Agent": "slipway"}
    try:
        # The auth keeps requests from replacing the header by what a .netrc file says.
        response = requests.get(
            url, headers=headers, timeout=timeout, allow_redirects=False, auth=lambda request: request
        )
    except requests.RequestException as error:
        failure = UpstreamError("GitHub's token service did not answer.", service=_SERVICE, operation=_WHAT)
        raise Failed(failure, transient=True) from error
    status = response.status_code
    if status in {401, 403}:
        raise Failed(AuthError(f"GitHub refused to {_WHAT} (HTTP {status}).", hint=_HINT))
    transient = status == 429 or status >= 500
    try:
        value = response.json()["value"] if status == 200 else None
    except (ValueError, KeyError, TypeError):
        value, transient = None, True
    if not isinstance(value, str) or not value:
        message = f"GitHub's token service answered {status} without a token."
        raise Failed(UpstreamError(message, service=_SERVICE, operation=_WHAT, status=status), transient=transient)
    return value


class Kept:
    """Gives the same token for an audience for a minute, and asks for it once when several threads want it.

    GitHub's tokens live for minutes (docs.github.com, "OpenID Connect reference": ``exp``), and one exchange does not
    use a token up.
    """

    def __init__(self, ask: Callable[[str], str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._clock = ask, clock
        self._tokens: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def __call__(self, audience: str) -> str:
        """Return a token for an audience. Raises what asking for it raises."""
        with self._lock:
            value, until = self._tokens.get(audience, ("", 0.0))
            if self._clock() >= until:
                value = self._ask(audience)
                self._tokens[audience] = (value, self._clock() + KEPT)
        return value


KEPT = 60.0  # seconds
