"""One request to GitHub: sent through PyGithub, repeated when that is safe, its failure told in the bot's words.

Two traps of PyGithub 2.10 shape this file (github/Requester.py):

* a connection keeps verb, URL and body between ``request`` and ``getresponse``, so two threads on one ``Github`` object
  can send each other's request. Each call therefore borrows a client of its own and gives it back, last in first out,
  so that connections stay warm;
* its typed objects fetch themselves again for every attribute that GitHub left null. The bot maps the JSON itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from queue import Empty, LifoQueue
from threading import BoundedSemaphore
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import requests
from github import Auth, Github
from github.Requester import Requester

from bot.errors import NotFoundError, SettingsError, UpstreamError
from bot.github.endpoint import endpoint, origin
from bot.github.failures import SERVICE, graphql_refused, malformed, refused
from bot.github.retry import Failed, Waiting, repeat

A = TypeVar("A")
T = TypeVar("T")

API_VERSION = "2022-11-28"
USER_AGENT = "slipway"
PER_PAGE = 100
THREADS = 16  # that work on one question
AT_ONCE = 50  # calls; GitHub refuses more than 100 (docs.github.com: rate limits for the REST API, secondary)


@dataclass(frozen=True, kw_only=True)
class Request:
    """A REST request. ``path`` is relative to the repository unless ``absolute``.

    ``what`` completes "GitHub refused to ...", ``needs`` is the token permission that it takes (``contents: read``).
    """

    verb: str
    path: str
    what: str
    needs: str
    params: Mapping[str, Any] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    absolute: bool = False


@dataclass(frozen=True, kw_only=True)
class GraphQL:
    """A GraphQL query. ``partial``: errors that leave data behind are let pass, and the caller sees what is null."""

    text: str
    variables: dict[str, Any]
    what: str
    needs: str
    partial: bool = False


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A reply: HTTP status, headers with lower-case names, decoded JSON (None for an empty body)."""

    status: int
    headers: Mapping[str, str]
    data: Any


class Clients:
    """PyGithub clients for one origin, each used by one thread at a time."""

    def __init__(self, base_url: str, token: str, timeout: int) -> None:
        self._base_url, self._timeout = base_url, timeout
        self._auth = Auth.Token(token) if token else None
        self._idle: LifoQueue[Github] = LifoQueue()
        self._places = BoundedSemaphore(AT_ONCE)

    @contextmanager
    def borrow(self) -> Iterator[Requester]:
        """Lend a requester to this thread, as soon as there is a place."""
        with self._places, self._lent() as requester:
            yield requester

    @contextmanager
    def _lent(self) -> Iterator[Requester]:
        try:
            client = self._idle.get_nowait()
        except Empty:
            client = Github(
                auth=self._auth,
                base_url=self._base_url,
                timeout=self._timeout,
                user_agent=USER_AGENT,
                per_page=PER_PAGE,
                retry=None,
                pool_size=1,
                seconds_between_requests=None,
                seconds_between_writes=None,
                lazy=True,
                api_version=API_VERSION,
            )
        try:
            yield client.requester
        finally:
            self._idle.put(client)

    def close(self) -> None:
        """Close all idle connections."""
        while True:
            try:
                self._idle.get_nowait().close()
            except Empty:
                return


class Transport:
    """Requests to one repository of one GitHub server. Safe to share between threads.

    ``timeout`` bounds connecting and each wait for an answer, in seconds.
    """

    def __init__(
        self, *, token: str, repository: str, api_url: str, graphql_url: str, waiting: Waiting, timeout: int = 20
    ) -> None:
        owner, _, name = repository.partition("/")
        if not owner or not name or "/" in name or {owner, name} & {".", ".."}:
            raise SettingsError(f"the repository has to be owner/name, not {repository!r}")
        self.owner = owner
        self.name = name
        self.api_url = endpoint(api_url, "GITHUB_API_URL")
        self.graphql_url = endpoint(graphql_url, "GITHUB_GRAPHQL_URL")
        self.waiting = waiting
        self.timeout = timeout
        self.token = token
        self._rest = Clients(self.api_url, token, timeout)
        # PyGithub derives the GraphQL address from the REST one and sends any URL to its own host: another host is
        # another client.
        same = origin(self.api_url) == origin(self.graphql_url)
        self._graph = self._rest if same else Clients(_root(self.graphql_url), token, timeout)

    @property
    def repository(self) -> str:
        """Path of the repository in the REST API."""
        return f"/repos/{self.owner}/{self.name}"

    def uninterrupted(self) -> Transport:
        """The same connections, but waits go on when the run is being cancelled: for telling how it ended."""
        twin = copy(self)
        twin.waiting = replace(self.waiting, stop=None)
        return twin

    def close(self) -> None:
        """Close all connections."""
        self._rest.close()
        self._graph.close()

    def call(self, request: Request) -> Answer:
        """Send a request that is safe to repeat.

        Raises:
            UpstreamError: or the subclass that says more. CancelledError while waiting.
        """
        return repeat(lambda: self.once(request), self.waiting)

    def get(self, path: str, *, what: str, needs: str, **params: Any) -> Any:
        """GET a path of the repository and return the JSON; repeated. Raises as :meth:`call`."""
        return self.call(Request(verb="GET", path=path, what=what, needs=needs, params=params)).data

    def once(self, request: Request) -> Answer:
        """Send a request one time. Raises Failed."""
        path = request.path if request.absolute else self.repository + request.path
        with self._rest.borrow() as requester:
            return self._send(requester, path, request)

    def graphql(self, query: GraphQL) -> dict[str, Any]:
        """Send a GraphQL query that is safe to repeat and return its ``data``.

        Raises:
            UpstreamError: also for errors inside a reply of status 200.
        """
        return repeat(lambda: self.graphql_once(query), self.waiting)

    def graphql_once(self, query: GraphQL) -> dict[str, Any]:
        """Send a GraphQL query one time. Raises Failed."""
        body = {"query": query.text, "variables": query.variables}
        request = Request(verb="POST", path=self.graphql_url, what=query.what, needs=query.needs, body=body)
        with self._graph.borrow() as requester:
            answer = self._send(requester, self.graphql_url, request)
        reply = answer.data if isinstance(answer.data, dict) else {}
        data, errors = reply.get("data"), reply.get("errors")
        if errors and not (query.partial and isinstance(data, dict) and data.get("repository")):
            now = self.waiting.now()
            raise graphql_refused(errors, answer.headers, what=query.what, needs=query.needs, now=now)
        if not isinstance(data, dict):
            raise Failed(malformed(query.what, "GraphQL reply without data"), transient=True, lost=True)
        return data

    def _send(self, requester: Requester, path: str, request: Request) -> Answer:
        what = request.what
        headers = {"Accept": "application/vnd.github+json"}
        try:
            status, received, text = requester.requestJson(
                request.verb, path, dict(request.params), headers, request.body
            )
        except requests.RequestException as error:
            kind = "did not answer in time" if isinstance(error, requests.Timeout) else "could not be reached"
            failure = UpstreamError(f"GitHub {kind} to {what}.", service=SERVICE, operation=what)
            raise Failed(failure, transient=True, lost=True) from error
        except (ValueError, RuntimeError) as error:
            # A redirect to another host or in a circle, or rate-limit headers that are no numbers.
            raise Failed(malformed(what, type(error).__name__), lost=True) from error
        if status >= 300:
            text = text.replace(self.token, "***") if self.token else text
            raise refused(status, received, text, what=what, needs=request.needs, now=self.waiting.now())
        try:
            data = json.loads(text) if text else None
        except ValueError as error:
            raise Failed(malformed(what, "no JSON", status), transient=True, lost=True) from error
        return Answer(status=status, headers=received, data=data)


def together(call: Callable[[A], T], arguments: Iterable[A]) -> list[T]:
    """Call with each argument in parallel; results in order. The first failing call's error is raised."""
    values = list(arguments)
    if len(values) <= 1:
        return [call(value) for value in values]
    with ThreadPoolExecutor(min(len(values), THREADS)) as pool:
        return list(pool.map(call, values))


def segment(value: str) -> str:
    """Quote a name for one segment of a path. Dots alone would be resolved away, onto another resource.

    Raises:
        NotFoundError: nothing can have this name.
    """
    if value in {"", ".", ".."}:
        raise NotFoundError(f"{value!r} is no name of anything.", service=SERVICE, operation="build an address")
    return quote(value, safe="")


def _root(graphql_url: str) -> str:
    """The address whose GraphQL address is this one, by PyGithub's rule (it appends ``/graphql``)."""
    if not urlsplit(graphql_url).path.endswith("/graphql"):
        raise SettingsError("GITHUB_GRAPHQL_URL has to end in /graphql")
    return graphql_url.removesuffix("/graphql")
