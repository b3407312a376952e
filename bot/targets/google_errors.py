"""Calls to Google's APIs: which are repeated, and what their failures become.

Reads are repeated on 429, 5xx and broken connections. A change is sent once: whether a lost reply had an effect is
found out by observing again, which is the engine's way anyway.
"""

# mypy: disallow-untyped-calls=False
# (google-auth and google-api-core ship types for a part of their functions only.)

from __future__ import annotations

import re
from collections.abc import Callable
from traceback import walk_tb
from typing import Any, TypeVar

import requests
import stamina
from google.api_core.exceptions import GoogleAPICallError, RetryError, from_http_response
from google.auth.exceptions import GoogleAuthError, TransportError
from google.protobuf.json_format import ParseError

from bot.errors import AuthError, ConflictError, ForbiddenError, NotFoundError, SlipwayError, UpstreamError

T = TypeVar("T")

ATTEMPTS = 4
LONGEST_WAIT = 60.0  # seconds of a Retry-After that is still waited for
_REPEATED = frozenset({429, 500, 502, 503, 504})
_REQUEST = re.compile(r"^[A-Z]+ https?://\S+: ")  # the library puts the request before the provider's own words
_MESSAGE = 600  # characters of an upstream message that are kept
AUTH_HINT = (
    "Give the job `permissions: id-token: write` and set `auth.workload_identity_provider` of the target in "
    ".github/slipway.yml, or provide application-default credentials."
)


def read(operation: str, call: Callable[[], T]) -> T:
    """Make a call that changes nothing, at most four times. Raises UpstreamError (or a subclass) or AuthError."""
    try:
        for attempt in stamina.retry_context(
            on=_backoff, attempts=ATTEMPTS, timeout=None, wait_initial=0.2, wait_max=3.0, wait_jitter=0.2
        ):
            with attempt:
                return call()
    except Exception as error:
        raise translate(error, operation) from error
    raise AssertionError("a retry context returns or raises")  # pragma: no cover


def change(operation: str, call: Callable[[], T]) -> T:
    """Make a call that changes something, once. Raises UpstreamError (or a subclass) or AuthError."""
    try:
        return call()
    except Exception as error:
        raise translate(error, operation) from error


def or_none(operation: str, call: Callable[[], T]) -> T | None:
    """Make a read; None where the thing asked for does not exist."""
    try:
        return read(operation, call)
    except NotFoundError:
        return None


def check(response: requests.Response) -> Any:
    """Return the JSON of an answer to a hand-made request. Raises GoogleAPICallError on an error status."""
    if response.ok:
        return response.json()
    raise from_http_response(response)


def listed(answer: Any, key: str, operation: str) -> list[dict[str, Any]]:
    """Return the objects that a hand-made list call gave, none where the key is missing. Raises UpstreamError."""
    found = answer.get(key, []) if isinstance(answer, dict) else None
    if isinstance(found, list) and all(isinstance(each, dict) for each in found):
        return found
    raise unreadable(operation)


def unreadable(operation: str) -> UpstreamError:
    """Return the error of an answer to a hand-made request that is not as documented."""
    return UpstreamError(
        f"Google Cloud gave an unreadable answer to {operation}.", service="Google Cloud", operation=operation
    )


def _backoff(error: Exception) -> bool | float:
    """Say whether a read is repeated, and after how many seconds if the server said so (RFC 9110, 10.2.3)."""
    if isinstance(error, GoogleAPICallError):
        if error.code is None or int(error.code) not in _REPEATED:
            return False
        after = getattr(error.response, "headers", {}).get("Retry-After", "")
        return min(float(after), LONGEST_WAIT) if after.isdecimal() else True
    return isinstance(error, requests.RequestException | TransportError) or _is_unreadable(error)


def _is_unreadable(error: Exception) -> bool:
    """Whether an answer was no JSON, or JSON of another shape, over which the client libraries stumble themselves."""
    if isinstance(error, ParseError | ValueError):
        return True
    if not isinstance(error, AttributeError | KeyError | TypeError) or error.__traceback__ is None:
        return False
    *_, (frame, _) = walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", "")).startswith(("google.", "proto."))


def translate(error: Exception, operation: str) -> Exception:
    """Turn a client library's exception into one of the bot's. Anything unknown is returned as it is."""
    known: dict[str, Any] = {"service": "Google Cloud", "operation": operation}
    match error:
        case SlipwayError():
            return error
        case GoogleAPICallError():
            return _api_error(error, operation)
        case RetryError():  # Cloud Storage's client repeats by itself; why it gave up is what counts
            cause = translate(error.cause, operation)
            if isinstance(cause, SlipwayError):
                return cause
            return UpstreamError(f"Google Cloud kept failing to {operation}: {_words(error.cause)}", **known)
        case TransportError() | requests.RequestException():
            return UpstreamError(f"Google Cloud could not be reached to {operation}: {_words(error)}", **known)
        case GoogleAuthError():
            return AuthError(
                f"Google Cloud did not accept the credentials to {operation}: {_words(error)}", hint=AUTH_HINT
            )
        case _ if _is_unreadable(error):
            return UpstreamError(f"Google Cloud gave an unreadable answer to {operation}: {_words(error)}", **known)
        case _:
            return error


def reason(error: GoogleAPICallError) -> str:
    """Return the canonical code of an error's REST body (``ABORTED``, ``ALREADY_EXISTS``, …), ``""`` without one.

    The exception's own class cannot tell the two apart: both are 409 (google.rpc.Code's HTTP mapping).
    """
    try:
        status = error.response.json()["error"]["status"]
    except (AttributeError, ValueError, KeyError, TypeError):
        return ""
    return str(status)


def _api_error(error: GoogleAPICallError, operation: str) -> SlipwayError:
    status = int(error.code or 0)
    code = reason(error)
    message = f"Google Cloud refused to {operation}: {_words(error.message)}"
    known: dict[str, Any] = {"service": "Google Cloud", "operation": operation, "status": status}
    if status == 401:
        return AuthError(message, hint=AUTH_HINT)
    if status == 403:
        return ForbiddenError(message, hint="Grant the deploying identity the role that the message names.", **known)
    if status == 404:
        return NotFoundError(message, **known)
    if status in (409, 412) or code in ("ABORTED", "ALREADY_EXISTS"):
        return ConflictError(message, **known)
    return UpstreamError(f"Google Cloud failed to {operation}: {_words(error.message)} ({status})", **known)


def _words(what: object) -> str:
    """Return a message on one line, cut to a bearable length."""
    text = _REQUEST.sub("", " ".join(str(what).split()))
    return text if len(text) <= _MESSAGE else text[:_MESSAGE] + "…"
