"""What went wrong with a request, in the bot's words and with the permission that is missing. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from github.Requester import Requester

from bot.errors import ConflictError, ForbiddenError, NotFoundError, UpstreamError
from bot.github.mapping import Misshapen
from bot.github.retry import Failed, asked_wait

SERVICE = "GitHub"
_BROKEN = frozenset({500, 502, 503, 504})
_MESSAGE_LIMIT = 300


def malformed(what: str, why: str, status: int = 0) -> UpstreamError:
    """Make the error for an answer that GitHub does not document."""
    return UpstreamError(
        f"GitHub's answer to the request to {what} could not be understood ({why}).",
        service=SERVICE,
        operation=what,
        status=status,
    )


@contextmanager
def shaped(what: str, *, acted: bool = False) -> Iterator[None]:
    """Turn :class:`Misshapen` into an UpstreamError; with ``acted``, into Failed, for the request did its work."""
    try:
        yield
    except Misshapen as error:
        failure = malformed(what, str(error))
        if acted:
            raise Failed(failure, transient=True, lost=True) from error
        raise failure from error


def refused(status: int, headers: Mapping[str, str], text: str, *, what: str, needs: str, now: float) -> Failed:
    """Judge a reply of status 300 and up. ``text`` is its body, ``needs`` the permission that the request takes."""
    message = _words(text)
    said = f": {message}" if message else "."
    full = f"GitHub answered {status} to the request to {what}{said}"
    # GitHub answers limits with 403 or 429; PyGithub knows the sentences of both kinds.
    limited = status == 429 or (status == 403 and _is_limit(message, headers))
    wait = asked_wait(headers, limited=limited, now=now)
    if limited:
        hint = f"Try again in {wait:.0f} s." if wait is not None else ""
        error = UpstreamError(full, service=SERVICE, operation=what, status=status, hint=hint)
        return Failed(error, transient=True, wait=wait)
    if status in _BROKEN:
        error = UpstreamError(full, service=SERVICE, operation=what, status=status)
        return Failed(error, transient=True, lost=True, wait=wait)
    kind = _permanent(status, message)
    return Failed(kind(full, service=SERVICE, operation=what, status=status, hint=_hint(status, needs)))


def graphql_refused(errors: Any, headers: Mapping[str, str], *, what: str, needs: str, now: float) -> Failed:
    """Judge the ``errors`` of a GraphQL reply, which come with status 200."""
    listed = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    kinds = {str(error.get("type", "")) for error in listed}
    message = _line("; ".join(str(error.get("message", "")) for error in listed))
    full = f"GitHub refused to {what}: {message}"
    if "RATE_LIMITED" in kinds:
        wait = asked_wait(headers, limited=True, now=now)
        return Failed(UpstreamError(full, service=SERVICE, operation=what, status=429), transient=True, wait=wait)
    if kinds & {"FORBIDDEN", "INSUFFICIENT_SCOPES"}:
        return Failed(ForbiddenError(full, service=SERVICE, operation=what, status=403, hint=_hint(403, needs)))
    if kinds == {"NOT_FOUND"}:
        return Failed(NotFoundError(full, service=SERVICE, operation=what, status=404, hint=_hint(404, needs)))
    # GitHub's own trouble ("Something went wrong while executing your query") comes without a type.
    broken = kinds <= {"", "INTERNAL", "SERVICE_UNAVAILABLE"}
    return Failed(UpstreamError(full, service=SERVICE, operation=what, status=200), transient=broken)


def _words(text: str) -> str:
    """GitHub's error message with its details, on one line; nothing from a page that is not JSON."""
    try:
        data = json.loads(text)
    except ValueError:
        return ""
    if not isinstance(data, dict):
        return ""
    errors = data.get("errors")
    details = "; ".join(_detail(error) for error in errors) if isinstance(errors, list) else ""
    message = str(data.get("message", ""))
    return _line(f"{message} ({details})" if details else message)


def _detail(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error)
    return str(error.get("message") or " ".join(str(error[key]) for key in ("field", "code") if key in error))


def _line(text: str) -> str:
    return " ".join(text.split())[:_MESSAGE_LIMIT]


def _is_limit(message: str, headers: Mapping[str, str]) -> bool:
    return Requester.isRateLimitError(message) or "retry-after" in headers or "secondary rate limit" in message.lower()


def _permanent(status: int, message: str) -> type[UpstreamError]:
    if status in {401, 403}:
        return ForbiddenError
    if status in {404, 410}:
        return NotFoundError
    if status == 409 or (status == 422 and "already exists" in message.lower()):
        return ConflictError
    return UpstreamError


def _hint(status: int, needs: str) -> str:
    if status == 401:
        return "The token is missing, wrong or has expired."
    if status == 403:
        return f"The token needs the permission `{needs}`."
    if status == 404:
        return f"GitHub also answers 404 when the token lacks `{needs}`."
    return ""
