"""How the Platform API speaks: version header, tokens, error bodies, ranges and rate limits.

Grounds: https://devcenter.heroku.com/articles/platform-api-reference (sections "Clients", "Errors", "Ranges", "Rate
Limits"), and what heroku3 sends.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from bot.sandbox.heroku.model import Json
from bot.sandbox.wire import Request, Response, Route, Service, WireError, answer

RATE_LIMIT = 4500  # request tokens of an account
PAGE, PAGE_LIMIT = 200, 1000  # "The default page size is 200 and maximum page size is 1000"
ACCEPT = re.compile(r"application/vnd\.heroku\+json;\s*version=3(\.[\w-]+)?")
# "version ..; order=desc,max=1;", "id ..;  ;", "id ]0123..; max=200": what heroku3 sends, and what Next-Range holds
RANGE = re.compile(
    r"(?P<key>\w+) *(?P<after>\]?)(?P<start>[^.\s;]*)\.\.(?P<end>[^\s;]*)\s*;?\s*(?P<options>[^;]*);?\s*"
)

OPEN = ("/source-blobs/{blob}",)  # storage with signed URLs, not the API: no version header, no token


class PlatformService(Service):
    """The API's manners without its resources."""

    name = "heroku"

    def __init__(self) -> None:
        super().__init__()
        self.token = str(uuid.uuid4())
        self.remaining = RATE_LIMIT

    def authorize(self, request: Request, route: Route) -> None:
        """Check version header, token and rate limit. The token is a ``Bearer``, or ``Basic``'s password (heroku3)."""
        if route.template in OPEN:
            return
        if not ACCEPT.match(request.headers.get("accept", "")):
            message = "Set the `Accept: application/vnd.heroku+json; version=3` header and try again."
            raise WireError(406, message, "not_acceptable")
        if _token(request.headers.get("authorization", "")) != self.token:
            raise WireError(401, "Invalid credentials provided.", "unauthorized")
        if route.template == "/account/rate-limits":
            return  # reading the limit costs nothing
        with self.lock:
            if self.remaining <= 0:
                raise WireError(429, "Your account reached the API rate limit.", "rate_limit")
            self.remaining -= 1

    def render_error(self, error: WireError) -> Response:
        """Return ``{"id", "message"}``; ids are snake_case."""
        code = {"": "internal_server_error", "NOT_FOUND": "not_found", "INVALID_ARGUMENT": "bad_request"}
        return answer({"id": code.get(error.code, error.code), "message": error.message, **error.extra}, error.status)

    def handle(self, request: Request) -> Response:
        response = super().handle(request)
        response.headers["Request-Id"] = str(uuid.uuid4())
        response.headers["RateLimit-Remaining"] = str(self.remaining)
        return response


def _token(header: str) -> str:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value).decode().partition(":")[2]
        except ValueError:
            return ""
    return ""


def listing(request: Request, items: Sequence[Json], keys: Sequence[str]) -> Response:
    """Answer a list under the request's ``Range``; 206 with ``Next-Range`` when items are left.

    Args:
        request: its ``Range`` names one of ``keys``, a start, ``order`` and ``max``.
        items: all resources, as JSON.
        keys: what the list can be ranged by; the first is the default.

    Raises:
        WireError: 416 when the range is not understood or names another key.
    """
    match = RANGE.fullmatch(request.headers.get("range", f"{keys[0]} ..;").strip())
    if match is None or match["key"] not in keys:
        raise WireError(416, "Range not satisfiable.", "requested_range_not_satisfiable")
    key, options = match["key"], _options(match["options"])
    descending = options.get("order") == "desc"
    limit = min(int(options.get("max", PAGE)), PAGE_LIMIT)
    ordered = sorted(items, key=lambda item: item[key], reverse=descending)
    left = [item for item in ordered if _within(item[key], match, descending=descending)]
    page, more = left[:limit], len(left) > limit
    headers = {"Accept-Ranges": ", ".join(keys)}
    if page:
        headers["Content-Range"] = f"{key} {page[0][key]}..{page[-1][key]}"
    if more:
        order = "order=desc," if descending else ""
        headers["Next-Range"] = f"{key} ]{page[-1][key]}..; {order}max={limit}"
    response = answer(list(page), 206 if more else 200)
    response.headers.update(headers)
    return response


def _options(text: str) -> dict[str, str]:
    pairs = (pair.strip().partition("=") for pair in text.split(",") if "=" in pair)
    options = {name: value for name, _, value in pairs}
    if not options.get("max", "1").isdigit() or options.get("order", "asc") not in {"asc", "desc"}:
        raise WireError(416, "Range not satisfiable.", "requested_range_not_satisfiable")
    return options


def _within(value: Any, match: re.Match[str], *, descending: bool) -> bool:
    """Say whether a value is in the range; bounds are inclusive, a ``]`` before the start excludes it."""
    cast = type(value)
    try:
        start = cast(match["start"]) if match["start"] else None
        end = cast(match["end"]) if match["end"] else None
    except ValueError as error:
        raise WireError(416, "Range not satisfiable.", "requested_range_not_satisfiable") from error
    if descending:
        past = start is None or value < start or (value == start and not match["after"])
        return past and (end is None or value >= end)
    past = start is None or value > start or (value == start and not match["after"])
    return past and (end is None or value <= end)


def body_of(request: Request) -> Mapping[str, Any]:
    """Return the JSON object of the body. Raises WireError 400 for anything else."""
    data = request.json()
    if not isinstance(data, dict):
        raise WireError(400, "Unable to parse the JSON body: an object is required.", "bad_request")
    return data
