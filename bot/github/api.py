"""The real :class:`bot.core.ports.GitHub`. Each method says how many round trips it costs when nothing goes wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import chain
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from bot.core.facts import (
    Approval,
    Approvals,
    Checks,
    CheckState,
    CommentRef,
    Commit,
    Comparison,
    Deployment,
    Held,
    IssueRef,
    Lock,
    LockRecord,
    MarkKind,
    OwnComment,
    Permission,
    PullRequest,
    Queue,
    QueueEntry,
    Remark,
    Reviews,
)
from bot.errors import ConflictError, ForbiddenError, NotFoundError, UpstreamError
from bot.github import archive, issues, mapping, queries
from bot.github.comments import Comments
from bot.github.deployments import Deployments
from bot.github.failures import malformed, shaped
from bot.github.locks import Locks
from bot.github.retry import Waiting
from bot.github.transport import PER_PAGE, GraphQL, Request, Transport, segment, together

ACTIVITY_PAGES = 5
"""Pages of 100 pushes of one branch that are searched for a sha."""


def connect(
    *,
    token: str,
    repository: str,
    api_url: str = "https://api.github.com",
    graphql_url: str = "https://api.github.com/graphql",
    waiting: Waiting | None = None,
    timeout: int = 20,
) -> Api:
    """Make the adapter for ``repository`` (owner/name). Nothing is sent yet; an empty token means anonymous.

    ``timeout`` bounds each wait for an answer, in seconds.

    Raises:
        SettingsError: an endpoint is neither https nor on loopback, or the repository is not owner/name.
    """
    transport = Transport(
        token=token,
        repository=repository,
        api_url=api_url,
        graphql_url=graphql_url,
        waiting=waiting or Waiting(),
        timeout=timeout,
    )
    return Api(transport)


class Api:
    """GitHub, for one repository. Safe to share between threads; close it, or use it as a context manager."""

    def __init__(self, transport: Transport, locks: Locks | None = None) -> None:
        self._transport = transport
        self._locks = locks or Locks(transport)
        self._deployments = Deployments(transport)
        self._comments = Comments(transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def uninterrupted(self) -> Api:
        """The same adapter whose waits go on when the run is being cancelled: for restoring and for telling the end."""
        transport = self._transport.uninterrupted()
        return Api(transport, self._locks.with_transport(transport))

    # People

    def permission(self, login: str) -> Permission:
        """See the port. 1 call. GitHub answers 404 for a user it does not know: ``none``."""
        what = f"read the permission of {login}"
        try:
            answer = self._get(f"/collaborators/{segment(login)}/permission", what, "metadata: read")
        except NotFoundError:
            return "none"
        with shaped(what):
            return mapping.permission(answer)

    def team_member(self, organization: str, team: str, login: str) -> bool:
        """See the port. 1 call. A ``GITHUB_TOKEN`` cannot ask this: it takes an app's token with ``members: read``."""
        what = f"read whether {login} is in the team {organization}/{team}"
        path = f"/orgs/{segment(organization)}/teams/{segment(team)}/memberships/{segment(login)}"
        request = Request(verb="GET", path=path, what=what, needs="members: read", absolute=True)
        try:
            answer = self._transport.call(request)
        except NotFoundError:
            return False
        return mapping.text(answer.data, "state") == "active"

    # Code

    def private(self) -> bool:
        """See the port. 1 call. Of an organisation's internal repository GitHub says ``true``, too."""
        what = f"read {self._transport.owner}/{self._transport.name}"
        answer = self._get("", what, "metadata: read")
        with shaped(what):
            return bool(mapping.need(answer, "private", bool))

    def file(self, path: str, ref: str) -> str | None:
        """See the port. 1 call. Up to 1 MB."""
        what = f"read {path} at {ref}"
        quoted = "/".join(segment(part) for part in path.split("/"))
        try:
            answer = self._get(f"/contents/{quoted}", what, "contents: read", ref=ref)
        except NotFoundError as error:
            if "no commit found" in error.message.lower():
                raise  # it is the ref that is missing, not the file
            return None
        with shaped(what):
            return mapping.file_text(answer)

    def pull_request(self, number: int) -> PullRequest:
        """See the port. 1 call."""
        what = f"read pull request {number}"
        answer = self._get(f"/pulls/{number}", what, "pull-requests: read")
        with shaped(what):
            return mapping.pull_request(answer)

    def reviews(self, number: int) -> Reviews:
        """See the port. 1 call (GraphQL)."""
        what = f"read the reviews of pull request {number}"
        variables = {"owner": self._transport.owner, "name": self._transport.name, "number": number}
        query = GraphQL(text=queries.REVIEWS, variables=variables, what=what, needs="pull-requests: read")
        data = self._transport.graphql(query)
        with shaped(what):
            pull = mapping.need(mapping.need(data, "repository", dict), "pullRequest", dict)
            return mapping.reviews(number, pull)

    def commit(self, ref: str) -> Commit:
        """See the port. 1 call, with one of the commit's files at most."""
        what = f"find the commit {ref}"
        try:
            answer = self._get(f"/commits/{segment(ref)}", what, "contents: read", per_page=1)
        except UpstreamError as error:
            # 422 "No commit found for SHA: ..." and 409 "Git Repository is empty."
            if error.status not in {409, 422}:
                raise
            raise NotFoundError(error.message, service="GitHub", operation=what, status=error.status) from error
        with shaped(what):
            return mapping.commit(answer)

    def head(self) -> str:
        """Return the sha that the default branch is at, which a list of commits begins with. 1 call."""
        what = f"read the head of {self._transport.owner}/{self._transport.name}"
        answer = self._get("/commits", what, "contents: read", per_page=1)
        with shaped(what):
            newest = [mapping.commit(item).sha for item in mapping.listed(answer)]
        if not newest:
            raise malformed(what, "no commit")
        return newest[0]

    def compare(self, base: str, head: str) -> Comparison:
        """See the port. 1 call; 3 when ``head`` is over 100 commits ahead, for the newest come last."""
        what = f"compare {base} with {head}"
        path = f"/compare/{segment(base)}...{segment(head)}"

        def page(number: int) -> Any:
            return self._get(path, what, "contents: read", per_page=PER_PAGE, page=number)

        first = page(1)
        with shaped(what):
            last = math.ceil(mapping.need(first, "total_commits", int) / PER_PAGE)
        pages = [first] if last <= 1 else together(page, [last - 1, last])
        with shaped(what):
            commits = [mapping.commit(item) for data in pages for item in mapping.listed(data.get("commits"))]
            return Comparison(
                ahead_by=mapping.need(first, "ahead_by", int),
                behind_by=mapping.need(first, "behind_by", int),
                commits=tuple(commits[-PER_PAGE:]),
                files=mapping.changed_files(first),
                touched=mapping.touched_files(first),
                url=mapping.text(first, "html_url"),
            )

    def pull_requests_from(self, branch: str) -> tuple[int, ...]:
        """Return the numbers of the open pull requests from a branch of this repository (1 call)."""
        what = f"find the pull request of {branch}"
        head = f"{self._transport.owner}:{branch}"
        answer = self._get("/pulls", what, "pull-requests: read", head=head, state="open", per_page=PER_PAGE)
        with shaped(what):
            return tuple(mapping.need(item, "number", int) for item in mapping.listed(answer))

    def pull_requests_of(self, sha: str) -> tuple[int, ...]:
        """See the port. 1 call."""
        what = f"read the pull requests of {sha}"
        answer = self._get(f"/commits/{segment(sha)}/pulls", what, "pull-requests: read", per_page=PER_PAGE)
        with shaped(what):
            return tuple(mapping.need(item, "number", int) for item in mapping.listed(answer))

    def pushed_at(self, branch: str, sha: str) -> datetime | None:
        """See the port. 1 call per 100 pushes back, 5 at most. A sha pushed twice counts from the last time."""
        what = f"read the pushes to {branch}"
        params: dict[str, Any] = {"ref": f"refs/heads/{branch}", "per_page": PER_PAGE}
        for _ in range(ACTIVITY_PAGES):
            request = Request(verb="GET", path="/activity", what=what, needs="contents: read", params=dict(params))
            answer = self._transport.call(request)
            with shaped(what):
                for push in mapping.listed(answer.data):  # newest first
                    if push.get("after") == sha:
                        return mapping.moment(push, "timestamp")
            params["after"] = _next_cursor(answer.headers.get("link", ""))
            if not params["after"]:
                break
        return None

    def tarball(self, sha: str) -> AbstractContextManager[Iterator[bytes]]:
        """See the port. 2 calls (GitHub redirects). Chunks of at most 256 KiB."""
        url = f"{self._transport.api_url}{self._transport.repository}/tarball/{segment(sha)}"
        return archive.stream(
            url,
            token=self._transport.token,
            waiting=self._transport.waiting,
            what=f"send the source of {sha}",
            timeout=self._transport.timeout,
        )

    # Evidence

    def checks(self, sha: str) -> Checks:
        """See the port. 2 calls in parallel, more only for more than 100 status contexts."""
        what = f"read the checks of {sha}"
        path = f"/commits/{segment(sha)}"

        def items(key: str) -> tuple[int, list[Any]]:
            if key == "check_runs":
                return self._counted(f"{path}/check-runs", key, what, "checks: read", 1, filter="latest")
            contexts = self._all_pages(f"{path}/status", key, what, "statuses: read")
            return len(contexts), contexts

        (total, runs), (_, contexts) = together(items, ["check_runs", "statuses"])
        if len(runs) < min(total, PER_PAGE):
            raise malformed(what, f"{len(runs)} of {total} came")
        more = total > PER_PAGE
        with shaped(what):
            return Checks(states=mapping.check_states([] if more else runs, contexts), more=more)

    def check_runs(self, sha: str, names: tuple[str, ...]) -> tuple[CheckState, ...]:
        """See the port. 1 call for each name, in parallel."""
        what = f"read the checks of {sha}"
        path = f"/commits/{segment(sha)}/check-runs"

        def named(name: str) -> list[Any]:
            return self._all_pages(path, "check_runs", what, "checks: read", filter="latest", check_name=name)

        runs = list(chain.from_iterable(together(named, list(names))))
        with shaped(what):
            return mapping.check_states(runs, [])

    def required_checks(self, branch: str) -> tuple[str, ...]:
        """See the port. 2 calls in parallel: the rules, and the branch, whose classic protection a reader may see."""
        what = f"read the required checks of {branch}"
        name = segment(branch)

        def read(kind: str) -> Any:
            if kind == "rules":
                return self._rules(f"/rules/branches/{name}", what)
            return self._get(f"/branches/{name}", what, "contents: read")

        rules, found = together(read, ["rules", "branch"])
        with shaped(what):
            return mapping.required_checks(rules, found)

    def run_alive(self, run_id: int, attempt: int) -> bool:
        """See the port. 1 call. A later attempt exists only once this one is over."""
        what = f"read workflow run {run_id}"
        try:
            answer = self._get(f"/actions/runs/{run_id}", what, "actions: read")
        except NotFoundError:
            return False
        with shaped(what):
            over = mapping.need(answer, "status", str) == "completed"
        return not over and bool(answer.get("run_attempt", attempt) == attempt)

    def run_reviewers(self, run_id: int, environment: str) -> tuple[str, ...]:
        """See the port. 1 call."""
        what = f"read who has approved workflow run {run_id}"
        answer = self._get(f"/actions/runs/{run_id}/approvals", what, "actions: read")
        with shaped(what):
            return mapping.run_reviewers(answer, environment)

    def cancel_run(self, run_id: int, *, force: bool) -> bool:
        """See the port. 1 call. GitHub answers 409 for a run that is over."""
        path = f"/actions/runs/{run_id}/{'force-cancel' if force else 'cancel'}"
        what = f"cancel workflow run {run_id}"
        try:
            self._transport.call(Request(verb="POST", path=path, what=what, needs="actions: write"))
        except (ConflictError, NotFoundError):
            return False
        return True

    # Deployments

    def deployments(self, environment: str, limit: int) -> tuple[Deployment, ...]:
        """See the port. 1 call (GraphQL); over 100 deployments, 1 for each hundred."""
        return self._deployments.newest(environment, limit)

    def deployments_of(self, environments: Sequence[str], limit: int) -> dict[str, tuple[Deployment, ...]]:
        """See the port. 1 call (GraphQL) for up to eight environments."""
        return self._deployments.newest_of(environments, limit)

    def all_deployments(self, limit: int) -> tuple[Deployment, ...]:
        """See the port. 1 call (GraphQL); over 100 deployments, 1 for each hundred."""
        return self._deployments.newest("", limit)

    def create_deployment(
        self,
        *,
        sha: str,
        environment: str,
        payload: dict[str, Any],
        description: str,
        production: bool,
        transient: bool = False,
    ) -> Deployment:
        """See the port. 1 call."""
        return self._deployments.create(
            sha=sha,
            environment=environment,
            payload=payload,
            description=description,
            production=production,
            transient=transient,
        )

    def set_status(
        self,
        deployment_id: int,
        state: str,
        *,
        description: str = "",
        environment_url: str = "",
        log_url: str = "",
    ) -> None:
        """See the port. 1 call. On success GitHub itself makes earlier deployments of the environment inactive."""
        self._deployments.set_status(
            deployment_id, state, description=description, environment_url=environment_url, log_url=log_url
        )

    # Comments

    def comment(self, number: int, body: str) -> CommentRef:
        """See the port. 1 call."""
        return self._comments.create(number, body)

    def say(self, number: int, body: str, now: datetime) -> CommentRef:
        """Comment as people do: the same may have been said before, by anybody. 2 calls."""
        known = {comment.id for comment in self._comments.since(number, now)}
        return self._comments.create(number, body, known=known)

    def comments(self, number: int, since: datetime) -> tuple[CommentRef, ...]:
        """See the port. 1 call for each hundred."""
        return self._comments.since(number, since)

    def own_comments(self, number: int) -> tuple[OwnComment, ...]:
        """See the port. 1 call (GraphQL)."""
        return self._comments.own(number)

    def minimize(self, comments: Sequence[OwnComment]) -> None:
        """See the port. 1 call (GraphQL)."""
        self._comments.minimize(comments)

    def edit_comment(self, comment_id: int, body: str) -> None:
        """See the port. 1 call."""
        self._comments.edit(comment_id, body)

    def react(self, comment_id: int, content: str) -> None:
        """See the port. 1 call."""
        self._comments.react(comment_id, content)

    def unreact(self, comment_id: int, reaction_id: int) -> None:
        """See the port. 1 call."""
        self._comments.unreact(comment_id, reaction_id)

    def remarks(self, ids: Sequence[str]) -> Mapping[str, Remark]:
        """See the port. 1 call (GraphQL)."""
        return self._comments.remarks(ids)

    def open_issue(self, title: str, body: str, since: datetime | None = None) -> IssueRef:
        """See the port. 1 call, one more for each hundred issues since a time that is given."""
        return issues.create(self._transport, title, body, since)

    # Locks

    def held(self, environments: Sequence[str]) -> Mapping[str, Held]:
        """See the port. 1 call (GraphQL) for every 50."""
        return self._locks.read_all(environments)

    def lock(self, environment: str) -> Lock | None:
        """See the port. 1 call (GraphQL)."""
        return self._locks.read("lock", environment)

    def take_lock(self, record: LockRecord) -> Lock | None:
        """See the port. 2 calls; 3 when it is held."""
        return self._locks.take("lock", record)

    def release_lock(self, lock: Lock) -> bool:
        """See the port. 1 call (GraphQL), one more when no lock was read before."""
        return self._locks.release("lock", lock)

    def put_mark(self, kind: MarkKind, record: LockRecord) -> Lock | None:
        """See the port. 2 calls; 3 when there is one."""
        return self._locks.take(kind, record)

    def move_mark(self, kind: MarkKind, there: Lock, record: LockRecord) -> Lock | None:
        """See the port. 2 calls; 3 when there is something else."""
        return self._locks.move(kind, there, record)

    def lift_mark(self, kind: MarkKind, mark: Lock) -> bool:
        """See the port. 1 call (GraphQL), one more when no mark was read before."""
        return self._locks.release(kind, mark)

    def put_approvals(self, environment: str, before: Approvals, entries: Sequence[Approval], actor: str) -> bool:
        """See the port. 2 calls; 1 to put none, one more when there is something else."""
        return self._locks.put_approvals(environment, before, entries, actor)

    def put_queue(self, environment: str, before: Queue, entries: Sequence[QueueEntry], actor: str) -> bool:
        """See the port. 2 calls; 1 to put none, one more when there is something else."""
        return self._locks.put_queue(environment, before, entries, actor)

    # Parts

    def _get(self, path: str, what: str, needs: str, **params: Any) -> Any:
        return self._transport.get(path, what=what, needs=needs, **params)

    def _all_pages(self, path: str, key: str, what: str, needs: str, **params: Any) -> list[Any]:
        """Every item of a counted list. Fewer than GitHub counts is no evidence, so it raises."""

        def page(number: int) -> tuple[int, list[Any]]:
            return self._counted(path, key, what, needs, number, **params)

        total, items = page(1)
        for _, more in together(page, range(2, math.ceil(total / PER_PAGE) + 1)):
            items = items + more
        if len(items) < total:
            raise malformed(what, f"{len(items)} of {total} came")
        return items

    def _counted(self, path: str, key: str, what: str, needs: str, page: int, **params: Any) -> tuple[int, list[Any]]:
        """One page of a counted list, with the count of all."""
        data = self._get(path, what, needs, **params, per_page=PER_PAGE, page=page)
        with shaped(what):
            return mapping.need(data, "total_count", int), mapping.listed(data.get(key))

    def _rules(self, path: str, what: str) -> Any:
        """Read a branch's rules. A private repository of a free plan can have none, which GitHub says with a 403."""
        try:
            return self._get(path, what, "metadata: read", per_page=PER_PAGE)
        except ForbiddenError as error:
            if "upgrade to github" in error.message.lower():
                return []
            raise


def _next_cursor(link: str) -> str:
    """The ``after`` cursor of the next page in a Link header, ``""`` on the last page."""
    for part in link.split(","):
        address, _, relation = part.partition(";")
        if 'rel="next"' in relation:
            return parse_qs(urlsplit(address.strip().strip("<>")).query).get("after", [""])[0]
    return ""
