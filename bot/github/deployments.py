"""GitHub deployments: reading an environment's newest, creating one, telling its state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.core.facts import Deployment
from bot.github import mapping, queries
from bot.github.failures import shaped
from bot.github.retry import repeat
from bot.github.transport import PER_PAGE, GraphQL, Request, Transport, together

DESCRIPTION_LIMIT = 140
"""Characters of a status' description (docs.github.com, "REST API endpoints for deployment statuses")."""

AT_ONCE = 8
"""Environments that are asked for in one query: GitHub gives a query ten seconds."""

_READ = "deployments: read"
_WRITE = "deployments: write"
_TASK = "deploy"


class Deployments:
    """The deployments of one repository. The methods are those of :class:`bot.core.ports.GitHub`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def newest(self, environment: str, limit: int) -> tuple[Deployment, ...]:
        """Return the newest deployments with their newest statuses (1 call; 1 for each further hundred).

        Without an environment, those of all.
        """
        what = f"read the deployments of {environment or 'all environments'}"
        found: list[Deployment] = []
        after: str | None = None
        while len(found) < limit:
            page = self._page(environment, min(PER_PAGE, limit), after, what)
            with shaped(what):
                nodes = mapping.listed(page.get("nodes"))
                if any(node.get("databaseId") is None for node in nodes):
                    # `databaseId` is a 32-bit Int, which GitHub's ids may outgrow: it then is null.
                    return self._by_rest(environment, limit, what)
                found += [mapping.deployment_node(node) for node in nodes if node.get("task") == _TASK]
                turn = mapping.need(page, "pageInfo", dict)
            after = turn.get("endCursor")
            if not turn.get("hasNextPage") or not after:
                break
        return _newest(found, limit)

    def newest_of(self, environments: Sequence[str], limit: int) -> dict[str, tuple[Deployment, ...]]:
        """Return the same of several environments, by their names (1 call for each :data:`AT_ONCE`, all at once)."""
        names = tuple(dict.fromkeys(environments))
        parts = [names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE)]
        return {
            name: found for part in together(lambda part: self._several(part, limit), parts) for name, found in part
        }

    def _several(self, names: Sequence[str], limit: int) -> list[tuple[str, tuple[Deployment, ...]]]:
        what = f"read the deployments of {', '.join(names)}"
        aliases = {f"e{number}": name for number, name in enumerate(names)}
        variables = {
            "owner": self._transport.owner,
            "name": self._transport.name,
            "first": min(PER_PAGE, limit),
            **aliases,
        }
        query = GraphQL(
            text=queries.deployments(list(aliases)), variables=variables, what=what, needs=_READ, partial=True
        )
        data = self._transport.graphql(query)
        with shaped(what):
            repository = mapping.need(data, "repository", dict)
            pages = {name: mapping.need(repository, alias, dict) for alias, name in aliases.items()}
        return [(name, self._all_of(name, page, limit, what)) for name, page in pages.items()]

    def _all_of(self, name: str, page: dict[str, Any], limit: int, what: str) -> tuple[Deployment, ...]:
        """Read a page; what is not all in it is asked for by itself."""
        with shaped(what):
            nodes = mapping.listed(page.get("nodes"))
            readable = all(node.get("databaseId") is not None for node in nodes)
            found = [mapping.deployment_node(node) for node in nodes if readable and node.get("task") == _TASK]
            more = mapping.need(page, "pageInfo", dict).get("hasNextPage")
        if not readable or (more and len(found) < limit):
            return self.newest(name, limit)
        return _newest(found, limit)

    def create(
        self,
        *,
        sha: str,
        environment: str,
        payload: dict[str, Any],
        description: str,
        production: bool,
        transient: bool = False,
    ) -> Deployment:
        """Create a deployment (1 call). After a lost reply it is looked for by ``payload["id"]``."""
        what = f"create a deployment to {environment}"
        key = payload["id"]
        body = {
            "ref": sha,
            "task": _TASK,
            "auto_merge": False,
            "required_contexts": [],
            "payload": payload,
            "environment": environment,
            "description": cut(description),
            "production_environment": production,
            "transient_environment": transient,
        }
        request = Request(verb="POST", path="/deployments", what=what, needs=_WRITE, body=body)

        def send() -> Deployment:
            answer = self._transport.once(request)
            with shaped(what, acted=True):
                return mapping.deployment(answer.data)

        def made() -> Deployment | None:
            params = {"sha": sha, "environment": environment, "task": _TASK, "per_page": PER_PAGE}
            answer = self._transport.get("/deployments", what=what, needs=_READ, **params)
            with shaped(what):
                same = [
                    item for item in mapping.listed(answer) if mapping.payload(item.get("payload")).get("id") == key
                ]
                return mapping.deployment(same[0]) if same else None

        return repeat(send, self._transport.waiting, after_loss=made)

    def set_status(
        self, deployment_id: int, state: str, *, description: str, environment_url: str, log_url: str
    ) -> None:
        """Add a status (1 call). After a lost reply it is looked for by its state and description."""
        what = f"set deployment {deployment_id} to {state}"
        path = f"/deployments/{deployment_id}/statuses"
        body = {
            "state": state,
            "description": cut(description),
            "environment_url": environment_url,
            "log_url": log_url,
        }
        said = {key: value for key, value in body.items() if value}
        request = Request(verb="POST", path=path, what=what, needs=_WRITE, body=said)

        def send() -> bool:
            self._transport.once(request)
            return True

        def added() -> bool | None:
            answer = self._transport.get(path, what=what, needs=_READ, per_page=PER_PAGE)
            with shaped(what):
                found = [
                    {key: mapping.text(item, key) for key in ("state", "description")}
                    for item in mapping.listed(answer)
                ]
            return {"state": state, "description": body["description"]} in found or None

        repeat(send, self._transport.waiting, after_loss=added)

    def _page(self, environment: str, first: int, after: str | None, what: str) -> dict[str, Any]:
        variables = {
            "owner": self._transport.owner,
            "name": self._transport.name,
            "environments": [environment] if environment else None,
            "first": first,
            "after": after,
        }
        query = GraphQL(text=queries.DEPLOYMENTS, variables=variables, what=what, needs=_READ, partial=True)
        data = self._transport.graphql(query)
        with shaped(what):
            page = mapping.need(mapping.need(data, "repository", dict), "deployments", dict)
        return dict(page)

    def _by_rest(self, environment: str, limit: int, what: str) -> tuple[Deployment, ...]:
        """The same by REST: 1 call, then one for each deployment in parallel."""
        # "none" is the documented default of the filter: all environments.
        params = {"environment": environment or "none", "task": _TASK, "per_page": min(PER_PAGE, limit)}
        with shaped(what):
            items = mapping.listed(self._transport.get("/deployments", what=what, needs=_READ, **params))

        def complete(item: dict[str, Any]) -> Deployment:
            with shaped(what):
                path = f"/deployments/{mapping.need(item, 'id', int)}/statuses"
                statuses = mapping.listed(self._transport.get(path, what=what, needs=_READ, per_page=10))
                return mapping.deployment(item, statuses)

        return _newest(together(complete, items), limit)


def cut(description: str) -> str:
    """Put a description on one line of at most :data:`DESCRIPTION_LIMIT` characters."""
    line = " ".join(description.split())
    return line if len(line) <= DESCRIPTION_LIMIT else line[: DESCRIPTION_LIMIT - 1] + "…"


def _newest(found: list[Deployment], limit: int) -> tuple[Deployment, ...]:
    """Newest first. Within one second, GitHub's resolution, the id decides."""
    return tuple(sorted(found, key=lambda one: (one.created_at, one.id), reverse=True)[:limit])
