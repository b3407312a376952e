"""Calls to Heroku's Platform API: which are repeated, and what their failures become.

The calls go through heroku3's request method, which knows the API's headers, ranges and login. Its models are passed
by: they lack a build's release and a release's output, and its lists print to standard output when they page.
Reads are repeated on 429, 5xx and broken connections. A change is sent once: whether a lost reply had an effect is
found out by observing again, which is the engine's way anyway.
"""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import IO, Any, TypeVar
from urllib.parse import quote, urlsplit

import heroku3.api
import requests
import stamina
from pydantic import TypeAdapter, ValidationError
from requests.adapters import HTTPAdapter

from bot.errors import (
    AuthError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    SettingsError,
    SlipwayError,
    UpstreamError,
)

T = TypeVar("T")

API = "https://api.heroku.com"
_PARTS = 3.0  # how many times the time of another call the upload of a source may pause
ATTEMPTS = 4
_LONGEST_WAIT = 60.0  # seconds of a Retry-After that is still waited for
_REPEATED = frozenset({429, 500, 502, 503, 504})
_MESSAGE = 600  # characters of an upstream message that are kept
_CONNECTIONS = 8
KEY_HINT = (
    "Set the input `heroku-api-key` to a key of an account that may deploy and operate the app "
    "(`heroku authorizations:create`)."
)


class Platform:
    """The Platform API with one login. May be used from several threads.

    ``sleep`` waits between looks at a log; it may raise to stop the wait. ``timeout`` bounds each wait for an answer.
    Both are in seconds.

    Raises:
        SettingsError: ``HEROKU_API_URL`` is neither https nor on loopback.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str],
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        timeout: float = 20.0,
    ) -> None:
        self.url = (environ.get("HEROKU_API_URL", "").strip() or API).rstrip("/")
        if not _https(self.url) and not _loopback(self.url):
            raise SettingsError("HEROKU_API_URL has to be an https URL.", hint="Plain http is for loopback only.")
        self.clock, self.sleep, self._timeout = clock, sleep, timeout
        self._key = environ.get("HEROKU_API_KEY", "").strip()

    def get(self, operation: str, kind: type[T], *path: str) -> T:
        """Read one resource. Raises UpstreamError (or a subclass) or AuthError."""
        return self.read(operation, lambda: _parsed(kind, self._call("GET", path)))

    def newest(self, operation: str, kind: type[T], *path: str, by: str, limit: int) -> list[T]:
        """Read the newest items of a list, newest first, in one call. ``by`` is the property it is ranged by.

        Raises as :meth:`get`.
        """
        options = {"order_by": by, "limit": limit, "sort": "desc"}
        return self.read(operation, lambda: _parsed(list[kind], self._call("GET", path, **options)))  # type: ignore[valid-type]  # a generic alias made at run time

    def send(self, operation: str, kind: type[T], *path: str, body: Any) -> T:
        """POST once. Raises as :meth:`get`."""
        try:
            return _parsed(kind, self._call("POST", path, data=json.dumps(body)))
        except Exception as error:
            raise _translate(error, operation) from error

    def ask(self, operation: str, kind: type[T], *path: str, body: Any) -> T:
        """POST what may be repeated without harm, as a read. Raises as :meth:`get`."""
        return self.read(operation, lambda: _parsed(kind, self._call("POST", path, data=json.dumps(body))))

    def read(self, operation: str, call: Callable[[], T]) -> T:
        """Make a call that may be repeated, at most four times. Raises as :meth:`get`."""
        try:
            for attempt in stamina.retry_context(
                on=_backoff, attempts=ATTEMPTS, timeout=None, wait_initial=0.2, wait_max=3.0, wait_jitter=0.2
            ):
                with attempt:
                    return call()
        except Exception as error:
            raise _translate(error, operation) from error
        raise AssertionError("a retry context returns or raises")  # pragma: no cover

    def upload(self, url: str, file: IO[bytes]) -> None:
        """PUT a file to a signed URL, without a login and without a content type. Raises as :meth:`get`.

        The signature covers an empty content type (Dev Center, "Building and Releasing Using the Platform API"), and
        storage wants the length beforehand, which requests takes from the file.
        """
        self.allowed(url)

        def call() -> None:
            file.seek(0)
            with self.plain.put(
                url, data=file, timeout=_PARTS * self._timeout, auth=_anonymous, allow_redirects=False
            ) as answer:
                if not 200 <= answer.status_code < 300:
                    raise requests.HTTPError(response=answer)

        self.read("upload the source", call)

    def follow(self, url: str, *, timeout: float) -> requests.Response:
        """Open a stream of text, which has its own secret in the URL. ``timeout`` is in seconds.

        Raises:
            requests.RequestException: it could not be opened.
            UpstreamError: its address is not one to talk to.
        """
        self.allowed(url)
        return self.plain.get(url, stream=True, timeout=timeout, auth=_anonymous, allow_redirects=False)

    def allowed(self, url: str) -> None:
        """Check an address that Heroku gave: https, or http on loopback when the API is there itself.

        Raises UpstreamError, without the address: it carries a secret.
        """
        if not (_https(url) or (_loopback(url) and _loopback(self.url))):
            raise UpstreamError(
                "Heroku named an address that is not https.", service="Heroku", operation="read an address"
            )

    @cached_property
    def plain(self) -> requests.Session:
        """A session without the API's login, for addresses that are secret by themselves."""
        return _session(self._timeout)

    @cached_property
    def _client(self) -> Any:
        """heroku3 logged in. Its own ``authenticate`` asks for the rate limit first, and swallows what that says."""
        if not self._key:
            raise AuthError("There is no API key for Heroku: the input `heroku-api-key` is empty.", hint=KEY_HINT)
        session = _session(self._timeout)
        session.auth = ("", self._key)
        session.max_redirects = 0  # the API has none, and a key is not for other hosts
        session.hooks["response"].append(_raise)
        client = heroku3.api.Heroku(session=session)
        client._heroku_url = self.url  # noqa: SLF001 - the alternative is a constant of its module, set for everybody
        return client

    def _call(self, method: str, path: tuple[str, ...], **options: Any) -> Any:
        parts = [quote(part, safe="") for part in path]
        return self._client._http_resource(method, parts, **options).json()  # noqa: SLF001 - see the module's words


class _Adapter(HTTPAdapter):
    """Gives every request a timeout: heroku3 sets none."""

    def __init__(self, timeout: float, **options: Any) -> None:
        self._timeout = timeout
        super().__init__(**options)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = kwargs.get("timeout") or self._timeout
        return super().send(request, *args, **kwargs)


def _session(timeout: float) -> requests.Session:
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter(timeout, pool_maxsize=_CONNECTIONS))
    session.headers["User-Agent"] = "slipway"
    return session


def _raise(response: requests.Response, **_: Any) -> None:
    """Raise for every error status before heroku3 does: its own exception for 429 has no response to look into."""
    response.raise_for_status()


def _anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Stand in for an auth, so that requests does not add what a .netrc file says."""
    return request


def _parsed(kind: type[T], data: Any) -> T:
    return TypeAdapter(kind).validate_python(data)


def _https(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and bool(parts.hostname)


def _loopback(url: str) -> bool:
    """Whether a URL is plain http to this machine itself."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        return parts.scheme == "http" and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


def _backoff(error: Exception) -> bool | float:
    """Say whether a call is repeated, and after how many seconds if the server said so (RFC 9110, 10.2.3)."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        if error.response.status_code not in _REPEATED:
            return False
        after = error.response.headers.get("Retry-After", "")
        return min(float(after), _LONGEST_WAIT) if after.isdecimal() else True
    return isinstance(error, requests.RequestException)


def _translate(error: Exception, operation: str) -> Exception:
    """Turn an exception of the libraries into one of the bot's. Anything unknown is returned as it is.

    No message holds a URL: those of sources and streams are secrets.
    """
    known: dict[str, Any] = {"service": "Heroku", "operation": operation}
    match error:
        case SlipwayError():
            return error
        case requests.HTTPError(response=requests.Response() as response):
            return _api_error(response, operation)
        case requests.JSONDecodeError() | ValidationError():
            return UpstreamError(f"Heroku gave an unreadable answer to the request to {operation}.", **known)
        case requests.Timeout():
            return UpstreamError(f"Heroku did not answer in time to {operation}.", **known)
        case requests.RequestException():
            return UpstreamError(f"Heroku could not be reached to {operation}.", **known)
        case _:
            return error


def _api_error(response: requests.Response, operation: str) -> SlipwayError:
    """Errors have ``id`` and ``message`` (Platform API reference, "Errors")."""
    status, words = response.status_code, _words(response)
    known: dict[str, Any] = {"service": "Heroku", "operation": operation, "status": status}
    message = f"Heroku refused to {operation}: {words}"
    match status:
        case 401:
            return AuthError(f"Heroku did not accept the API key to {operation}: {words}", hint=KEY_HINT)
        case 403:
            return ForbiddenError(message, hint=KEY_HINT, **known)
        case 404:
            return NotFoundError(message, hint="Check the app's name in .github/slipway.yml.", **known)
        case 409:
            return ConflictError(message, **known)
        case _ if status >= 500:
            return UpstreamError(f"Heroku failed to {operation}: {words} ({status})", **known)
        case _:
            return UpstreamError(message, **known)


def _words(response: requests.Response) -> str:
    """Return Heroku's own message on one line, cut to a bearable length; the status where there is none."""
    try:
        text = str(response.json()["message"])
    except (requests.RequestException, KeyError, TypeError):
        text = f"status {response.status_code}"
    text = " ".join(text.split())
    return text if len(text) <= _MESSAGE else text[:_MESSAGE] + "…"
