"""One call of the API in the hands of its handler: who asks, for what, and pages of answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from bot.sandbox.wire import Request, Response, WireError, answer

if TYPE_CHECKING:
    from bot.sandbox.github.model import Issue, Token
    from bot.sandbox.github.repository import Repository
    from bot.sandbox.github.server import GitHub

T = TypeVar("T")
_TYPES = {str: "string", int: "integer", bool: "boolean", list: "array", dict: "object"}


def not_found() -> WireError:
    """Return GitHub's plain 404."""
    return WireError(404, "Not Found")


def invalid(resource: str, field: str, code: str, message: str | None = None) -> WireError:
    """Return a 422 about one field."""
    error = {"resource": resource, "code": code, "field": field}
    return WireError(422, "Validation Failed", errors=[{**error, **({"message": message} if message else {})}])


def linked(data: Any, links: Mapping[str, str]) -> Response:
    """Return a JSON answer with the headers of its page."""
    response = answer(data)
    response.headers |= links
    return response


@dataclass(frozen=True, kw_only=True)
class Context:
    """A call, authorised."""

    github: GitHub
    request: Request
    viewer: Token

    @cached_property
    def repo(self) -> Repository:
        """The repository the path names. Raises WireError 404, also for one that the token may not see."""
        name = f"{self.param('owner')}/{self.param('repo')}".lower()
        found = self.github.repositories.get(name)
        if found is None or not self.viewer.sees(found.full_name, private=found.private):
            raise not_found()
        return found

    def param(self, name: str) -> str:
        """Return a part of the path."""
        return self.request.params[name]

    def number(self, name: str) -> int:
        """Return a part of the path as a number. Raises WireError 404."""
        try:
            return int(self.param(name))
        except ValueError:
            raise not_found() from None

    def find(self, table: dict[int, T], name: str) -> T:
        """Return the object whose id the path names. Raises WireError 404."""
        found = table.get(self.number(name))
        if found is None:
            raise not_found()
        return found

    def issue(self, name: str = "issue_number", *, pull: bool = False) -> Issue:
        """Return the issue or pull request the path names. Raises WireError 404."""
        found = self.find(self.repo.state.issues, name)
        if pull and found.pull is None:
            raise not_found()
        return found

    def since(self) -> float:
        """Return the argument ``since`` in seconds since the epoch, 0 without one. Raises WireError 422."""
        since = self.request.arg("since")
        if not since:
            return 0.0
        from datetime import datetime  # noqa: PLC0415  # a rare argument

        try:
            return datetime.fromisoformat(since).timestamp()
        except ValueError:
            raise invalid("Issue", "since", "invalid", "since is not a valid date-time") from None

    def commit(self, name: str = "ref") -> str:
        """Return the sha of the commit the path names. Raises WireError 422, as GitHub for unknown refs."""
        sha = self.repo.resolve(self.param(name))
        if sha is None:
            raise WireError(422, f"No commit found for SHA: {self.param(name)}")
        return sha

    # -- the body -------------------------------------------------------------------------------------------
    @cached_property
    def body(self) -> dict[str, Any]:
        """The request's JSON object. Raises WireError 400."""
        try:
            data = self.request.json()
        except ValueError:
            raise WireError(400, "Problems parsing JSON") from None
        if not isinstance(data, dict):
            raise WireError(400, "Body should be a JSON object")
        return data

    def field(self, name: str, kind: type[T], default: T | None = None) -> T:
        """Return a field of the body, checked. Without a default it is required. Raises WireError 422."""
        value = self.body.get(name)
        if value is None:
            if default is not None:
                return default
            raise WireError(422, f'Invalid request.\n\n"{name}" wasn\'t supplied.')
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            text = f"Invalid request.\n\nFor 'properties/{name}', {value!r} is not of type {_TYPES.get(kind, kind)}."
            raise WireError(422, text)
        return value

    def optional(self, name: str, kind: type[T]) -> T | None:
        """Return a field of the body, checked, or None. Raises WireError 422."""
        return None if self.body.get(name) is None else self.field(name, kind)

    # -- pages ----------------------------------------------------------------------------------------------
    def _argument(self, name: str, default: int) -> int:
        try:
            return max(1, int(self.request.arg(name) or default))
        except ValueError:
            return default

    def window(self, total: int) -> tuple[slice, dict[str, str]]:
        """Return the part of a list that ``page`` and ``per_page`` (30, at most 100) ask for, and its Link."""
        size, page = min(100, self._argument("per_page", 30)), self._argument("page", 1)
        last = max(1, -(-total // size))
        links: dict[str, int] = {}
        if page > 1:
            links |= {"prev": min(page - 1, last), "first": 1}
        if page < last:
            links |= {"next": page + 1, "last": last}
        header = self.link({rel: {"page": str(number)} for rel, number in links.items()})
        return slice((page - 1) * size, page * size), header

    def link(self, relations: Mapping[str, Mapping[str, str | None]]) -> dict[str, str]:
        """Return a Link header: this call's address with other arguments (None drops one), for each relation."""
        if not relations:
            return {}
        base = f"{self.github.url}{self.request.raw_path}"
        asked = {name: values[-1] for name, values in self.request.query.items()}
        parts = []
        for relation, changed in relations.items():
            query = urlencode({name: value for name, value in {**asked, **changed}.items() if value is not None})
            parts.append(f'<{base}?{query}>; rel="{relation}"')
        return {"Link": ", ".join(parts)}

    def page(self, items: Iterable[T], shape: Callable[[T], Any], key: str | None = None) -> Response:
        """Answer one page of a list; under ``key``, with ``total_count`` beside it, when one is named."""
        everything: Sequence[T] = list(items)
        part, header = self.window(len(everything))
        shaped = [shape(item) for item in everything[part]]
        return linked({"total_count": len(everything), key: shaped} if key else shaped, header)
