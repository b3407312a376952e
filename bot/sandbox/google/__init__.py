"""What Google's API servers have in common: bearer tokens, the error dialect, protobuf's JSON, operations, pages.

Ground: google.rpc.Status and google.rpc.Code as JSON (google.aip.dev/193), protobuf's JSON mapping
(protobuf.dev/programming-guides/json), list methods (google.aip.dev/158), operations (google.aip.dev/151), and the
discovery document of each service, against which bodies and query arguments are judged.
"""

from __future__ import annotations

import base64
import functools
import importlib.util
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.sandbox.wire import Request, Response, Route, Service, WireError, answer

__all__ = ["Discovery", "GoogleService", "operation", "paginate", "rfc3339", "seconds_of"]

STATUS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION", 429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 500: "INTERNAL",
    501: "UNIMPLEMENTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
"""google.rpc.Code by HTTP status, where a handler names no code (google/rpc/code.proto, "HTTP Mapping")."""

_DOCUMENTS = {
    "artifactregistry": "artifactregistry.v1", "cloudbuild": "cloudbuild.v1",
    "containeranalysis": "containeranalysis.v1", "iamcredentials": "iamcredentials.v1", "logging": "logging.v2",
    "monitoring": "monitoring.v3", "run": "run.v2", "secretmanager": "secretmanager.v1",
}  # fmt: skip
_EXPECTED = (
    "Expected OAuth 2 access token, login cookie or other valid authentication credential. "
    "See https://developers.google.com/identity/sign-in/web/devconsole-project."
)


def rfc3339(seconds: float) -> str:
    """Return seconds since the epoch as protobuf's JSON writes a Timestamp."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_of(duration: str) -> float:
    """Return a protobuf Duration (``"1.5s"``) in seconds. Raises WireError for anything else."""
    if not re.fullmatch(r"-?\d+(\.\d{1,9})?s", duration):
        raise WireError(400, f"Invalid duration {duration!r}: it must end in 's'.", "INVALID_ARGUMENT")
    return float(duration[:-1])


def paginate(
    request: Request, items: Sequence[dict[str, Any]], key: str, *, default: int = 50, maximum: int = 1000
) -> dict[str, Any]:
    """Return one page of a list method. Raises WireError for a page token it did not give."""
    size = int(request.arg("pageSize") or 0)
    if size < 0:
        raise WireError(400, "The page size must not be negative.", "INVALID_ARGUMENT")
    token = request.arg("pageToken") or ""
    try:
        start = int(base64.urlsafe_b64decode(token)) if token else 0
    except ValueError:
        raise WireError(400, "The page token is invalid.", "INVALID_ARGUMENT") from None
    end = start + min(size or default, maximum)
    page: dict[str, Any] = {key: list(items[start:end])} if items[start:end] else {}
    if end < len(items):
        page["nextPageToken"] = base64.urlsafe_b64encode(str(end).encode()).decode()
    return page


def operation(
    name: str,
    *,
    metadata: Mapping[str, Any] | None = None,
    metadata_type: str = "",
    done: bool = False,
    response: Mapping[str, Any] | None = None,
    response_type: str = "google.protobuf.Empty",
    error: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a google.longrunning.Operation. Types are full message names; ``error`` is a google.rpc.Status."""
    out: dict[str, Any] = {"name": name}
    if metadata_type:
        out["metadata"] = {"@type": f"type.googleapis.com/{metadata_type}", **(metadata or {})}
    if done:
        out["done"] = True
        if error is not None:
            out["error"] = dict(error)
        else:
            out["response"] = {"@type": f"type.googleapis.com/{response_type}", **(response or {})}
    return out


class GoogleService(Service):
    """A Google API server.

    Args:
        authenticate: turns a bearer token into a principal, None when it is unknown or over. Without it every
            caller is let in, as an emulator does.

    ``document`` names the discovery document (``cloudbuild.v1``) that requests are judged by; without one, or where
    google-api-python-client is not installed, they are not judged. It follows from ``name`` for the known services.
    """

    document = ""

    def __init__(self, *, authenticate: Callable[[str], object | None] | None = None) -> None:
        super().__init__()
        self.authenticate = authenticate

    def render_error(self, error: WireError) -> Response:
        """Return google.rpc.Status as JSON; ``details`` among the error's extras are passed on."""
        status = error.code or STATUS.get(error.status, "UNKNOWN")
        body: dict[str, Any] = {"code": error.status, "message": error.message, "status": status}
        if details := error.extra.get("details"):
            body["details"] = details
        out = answer({"error": body}, error.status)
        if error.status == 401:
            out.headers["WWW-Authenticate"] = 'Bearer realm="https://accounts.google.com/"'
        return out

    def principal(self, request: Request) -> object | None:
        """Return who calls, None for an unknown token or where nobody is asked."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if self.authenticate is None or scheme.lower() != "bearer":
            return None
        return self.authenticate(token.strip())

    def authorize(self, request: Request, route: Route) -> None:  # noqa: ARG002 - one rule for all routes
        """Ask for a bearer token, then judge the request by the discovery document. Raises WireError."""
        if self.authenticate is not None:
            if "authorization" not in request.headers:
                raise WireError(
                    401, f"Request is missing required authentication credential. {_EXPECTED}", "UNAUTHENTICATED",
                    details=[_reason("CREDENTIALS_MISSING")],
                )  # fmt: skip
            if self.principal(request) is None:
                raise WireError(
                    401, f"Request had invalid authentication credentials. {_EXPECTED}", "UNAUTHENTICATED",
                    details=[_reason("ACCESS_TOKEN_TYPE_UNSUPPORTED")],
                )  # fmt: skip
        document = Discovery.load(self.document or _DOCUMENTS.get(self.name, ""))
        if document is not None:
            document.judge(request)


def _reason(reason: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}


class Discovery:
    """One discovery document: which methods exist, and the schema of each body.

    Unknown names and wrong types are refused as the live servers do ("Unknown name … Cannot find field."). Names may
    be in lowerCamelCase or as the .proto has them, enum values names or numbers, 64-bit integers strings or numbers:
    a parser must accept all of these (ProtoJSON format).
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.schemas: Mapping[str, Any] = data["schemas"]
        self.common = frozenset(data.get("parameters", {}))
        # Custom methods first: a resource's own name may hold a colon too (web@sha256:…).
        methods = sorted(_methods(data), key=lambda method: ":" not in method.get("flatPath", method["path"]))
        self.methods = [
            (method["httpMethod"], _path_pattern(data.get("servicePath", ""), method), method) for method in methods
        ]

    @staticmethod
    @functools.cache
    def load(name: str) -> Discovery | None:
        """Return the document that google-api-python-client ships, None where there is none."""
        spec = importlib.util.find_spec("googleapiclient") if name else None
        if spec is None or not spec.submodule_search_locations:
            return None
        path = Path(spec.submodule_search_locations[0]) / "discovery_cache" / "documents" / f"{name}.json"
        return Discovery(json.loads(path.read_text())) if path.is_file() else None

    def method(self, verb: str, path: str) -> Mapping[str, Any] | None:
        """Return the method a request calls."""
        for http_method, pattern, method in self.methods:
            if http_method == verb and pattern.fullmatch(path):
                return method
        return None

    def judge(self, request: Request) -> None:
        """Raise WireError 400 for what the method does not know. A path outside the document is not judged."""
        method = self.method(request.method, request.raw_path.replace("%3A", ":"))
        if method is None:
            return
        known = {_camel(name) for name, each in method["parameters"].items() if each["location"] == "query"}
        for name in request.query:
            if _camel(name) not in known and name.lstrip("$") not in self.common and name not in self.common:
                raise _bad(f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter.', name)
        if "request" in method:
            self.check(request.json(), method["request"], "")

    def check(self, value: Any, schema: Mapping[str, Any], where: str) -> None:
        """Raise WireError 400 when a JSON value does not fit a schema."""
        schema = self.schemas[schema["$ref"]] if "$ref" in schema else schema
        kind = schema.get("type", "any")
        if value is None or kind == "any":
            return
        if not _fits(value, kind, schema):
            raise _bad(f"Invalid value at '{where or 'body'}' ({_said(schema)}), {json.dumps(value)[:80]}", where)
        if kind == "array":
            for number, item in enumerate(value):
                self.check(item, schema["items"], f"{where}[{number}]")
        elif kind == "object":
            self._check_object(value, schema, where)

    def _check_object(self, value: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> None:
        extra, known = schema.get("additionalProperties"), schema.get("properties", {})
        for name, item in value.items():
            field = known.get(name) or known.get(_camel(name)) or extra
            if field is None:
                at = f" at '{where}'" if where else ""
                raise _bad(f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.', where)
            self.check(item, field, f"{where}.{name}" if where else name)


def _methods(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = list(data.get("methods", {}).values())
    for resource in data.get("resources", {}).values():
        found += _methods(resource)
    return found


def _path_pattern(prefix: str, method: Mapping[str, Any]) -> re.Pattern[str]:
    path = "/" + prefix + method.get("flatPath", method["path"])
    return re.compile("".join("[^/]+" if part[:1] == "{" else re.escape(part) for part in re.split(r"(\{.+?\})", path)))


def _camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


def _fits(value: Any, kind: str, schema: Mapping[str, Any]) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "boolean":
            return isinstance(value, bool)
        case "integer" | "number":
            return number or (isinstance(value, str) and bool(re.fullmatch(r"-?\d+(\.\d+)?", value)))
        case _ if "enum" in schema:
            return (number and isinstance(value, int)) or value in schema["enum"]
        case _ if schema.get("format") in {"int64", "uint64"}:
            return number or (isinstance(value, str) and bool(re.fullmatch(r"-?\d+", value)))
        case _:
            return isinstance(value, str)


def _said(schema: Mapping[str, Any]) -> str:
    return "an enum value" if "enum" in schema else schema.get("format") or schema.get("type", "any")


def _bad(message: str, field: str) -> WireError:
    violation = {"description": message, **({"field": field} if field else {})}
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}]
    return WireError(400, message, "INVALID_ARGUMENT", details=details)
