"""The port to GitHub. :mod:`bot.app` and the engine know it by this Protocol; :mod:`bot.github.api` is the real one.

Reads are idempotent and are repeated by the adapter on 5xx, 429, secondary limits and broken connections. Writes say
in their docstring why they are safe to repeat, or that a lost reply is looked up instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

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

HISTORY = 30  # deployments of an environment that are looked at
DEEP_HISTORY = 300  # and where somebody names an old one


class GitHub(Protocol):
    """What the bot asks of GitHub, for one repository. All methods block and may be called from several threads.

    All raise :class:`bot.errors.UpstreamError` (or a subclass) on failure.
    """

    def permission(self, login: str) -> Permission:
        """Return a user's role on the repository, ``none`` for an outsider (collaborator-permission API)."""
        ...

    def team_member(self, organization: str, team: str, login: str) -> bool:
        """Whether a user is an active member of a team (or of one of its child teams)."""
        ...

    def private(self) -> bool:
        """Whether only people with a role may see the repository."""
        ...

    def file(self, path: str, ref: str) -> str | None:
        """Return a file's text at a ref, None when there is none. Raises UpstreamError when it is no UTF-8 text."""
        ...

    def pull_request(self, number: int) -> PullRequest:
        """Return a pull request."""
        ...

    def reviews(self, number: int) -> Reviews:
        """Return what people with write access have said last of a pull request."""
        ...

    def commit(self, ref: str) -> Commit:
        """Resolve a sha (full or short), branch or tag. Raises NotFoundError."""
        ...

    def checks(self, sha: str) -> Checks:
        """Return the status contexts and check runs of a sha, the newest of each app and name."""
        ...

    def check_runs(self, sha: str, names: tuple[str, ...]) -> tuple[CheckState, ...]:
        """Return the check runs of a sha with these names, the newest of each app."""
        ...

    def required_checks(self, branch: str) -> tuple[str, ...]:
        """Return the names that the branch's rules and protection require."""
        ...

    def pushed_at(self, branch: str, sha: str) -> datetime | None:
        """Return when a branch was moved to a sha by the server's clock (activity API), None if there is no record."""
        ...

    def compare(self, base: str, head: str) -> Comparison:
        """Compare two commits. Raises NotFoundError."""
        ...

    def pull_requests_of(self, sha: str) -> tuple[int, ...]:
        """Return the numbers of the pull requests that a commit came in by."""
        ...

    def deployments(self, environment: str, limit: int) -> tuple[Deployment, ...]:
        """Return an environment's newest deployments, newest first, each with its newest statuses."""
        ...

    def deployments_of(self, environments: Sequence[str], limit: int) -> Mapping[str, tuple[Deployment, ...]]:
        """Return the same of each of some environments."""
        ...

    def all_deployments(self, limit: int) -> tuple[Deployment, ...]:
        """Return the newest deployments of all environments, newest first, each with its newest statuses."""
        ...

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
        """Create a deployment (no auto-merge, no required contexts). A lost reply is looked up by ``payload["id"]``.

        ``transient``: the environment will be gone one day, and no later success makes the deployment inactive.
        """
        ...

    def set_status(
        self,
        deployment_id: int,
        state: str,
        *,
        description: str = "",
        environment_url: str = "",
        log_url: str = "",
    ) -> None:
        """Add a deployment status, cut to 140 characters. A lost reply is looked up by its state and description."""
        ...

    def comment(self, number: int, body: str) -> CommentRef:
        """Comment on an issue or pull request. A lost reply is looked up by the marker in the body's first line."""
        ...

    def comments(self, number: int, since: datetime) -> tuple[CommentRef, ...]:
        """Return a thread's comments that were written or changed since a time, oldest first."""
        ...

    def own_comments(self, number: int) -> tuple[OwnComment, ...]:
        """Return what the bot itself wrote among a thread's last hundred comments, oldest first."""
        ...

    def minimize(self, comments: Sequence[OwnComment]) -> None:
        """Hide comments as outdated, all in one call; repeated on failure (one that is hidden stays hidden)."""
        ...

    def edit_comment(self, comment_id: int, body: str) -> None:
        """Replace a comment's body; repeated on failure (the same body again does no harm)."""
        ...

    def react(self, comment_id: int, content: str) -> None:
        """Add a reaction to a comment (GitHub answers 200 for one that is there)."""
        ...

    def unreact(self, comment_id: int, reaction_id: int) -> None:
        """Take a reaction of the bot's back; gone already is fine."""
        ...

    def lock(self, environment: str) -> Lock | None:
        """Return who holds an environment, None if it is free."""
        ...

    def run_reviewers(self, run_id: int, environment: str) -> tuple[str, ...]:
        """Return who has approved a workflow run's job in a GitHub environment, the last one last."""
        ...

    def cancel_run(self, run_id: int, *, force: bool) -> bool:
        """Ask a workflow run to stop, or end it ``force``-fully. False if it has ended. Asking twice does no harm."""
        ...

    def held(self, environments: Sequence[str]) -> Mapping[str, Held]:
        """Return what is on each environment."""
        ...

    def take_lock(self, record: LockRecord) -> Lock | None:
        """Claim an environment atomically (creating the ref); None if somebody else holds it.

        A lost reply is settled by reading the ref: the tag object's id tells whose it is.
        """
        ...

    def release_lock(self, lock: Lock) -> bool:
        """Delete the lock if it still is this one (compare and swap). False if it was not."""
        ...

    def put_mark(self, kind: MarkKind, record: LockRecord) -> Lock | None:
        """Put a mark on an environment; None if there is one already. A lost reply is settled as for a lock."""
        ...

    def move_mark(self, kind: MarkKind, there: Lock, record: LockRecord) -> Lock | None:
        """Put a mark in the place of one that was read (compare and swap). None if there is another, or none, by now.

        A lost reply is settled by reading the ref.
        """
        ...

    def lift_mark(self, kind: MarkKind, mark: Lock) -> bool:
        """Take a mark off if it still is this one. False if it was not."""
        ...

    def put_approvals(self, environment: str, before: Approvals, entries: Sequence[Approval], actor: str) -> bool:
        """Put entries in the place of those that were read (compare and swap). False if there are others by now.

        A lost reply is settled by reading the ref: the tag object's id tells whose it is.
        """
        ...

    def put_queue(self, environment: str, before: Queue, entries: Sequence[QueueEntry], actor: str) -> bool:
        """Put a line in the place of the one that was read (compare and swap). False if there is another by now.

        A lost reply is settled as for approvals.
        """
        ...

    def remarks(self, ids: Sequence[str]) -> Mapping[str, Remark]:
        """Return comments of this repository by their node ids, without those that are gone."""
        ...

    def open_issue(self, title: str, body: str, since: datetime | None = None) -> IssueRef:
        """Open an issue. A lost reply is looked up by the marker in the body's first line.

        ``since``: an earlier run may have opened it since then, so it is looked for first.
        """
        ...

    def run_alive(self, run_id: int, attempt: int) -> bool:
        """Whether a workflow run's attempt is still queued or running. Unknown runs are not alive."""
        ...

    def tarball(self, sha: str) -> AbstractContextManager[Iterator[bytes]]:
        """Stream the gzipped tarball of a sha in chunks, one folder at its top."""
        ...


class Sources(Protocol):
    """What the bot asks of other repositories, whose sources join a build."""

    def head(self, repository: str) -> str:
        """Return the sha at the head of a repository's default branch. Raises UpstreamError (or a subclass)."""
        ...
