"""What GitHub says, as values. Adapters make them, policy judges them.

Times are aware datetimes in UTC. Shas are 40 hex digits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Permission = Literal["none", "read", "triage", "write", "maintain", "admin"]


@dataclass(frozen=True, kw_only=True)
class PullRequest:
    """A pull request as it is now. ``mergeable`` is None while GitHub still computes it.

    ``head_repository`` is ``""`` when the fork was deleted (GitHub then gives a null ``head.repo``).
    """

    number: int
    title: str
    author: str
    state: Literal["open", "closed"]
    merged: bool
    draft: bool
    mergeable: bool | None
    head_sha: str
    head_ref: str
    head_repository: str
    base_ref: str
    base_repository: str
    merge_sha: str = ""  # the merge commit, once merged
    url: str = ""

    @property
    def from_fork(self) -> bool:
        """Whether the head is in another repository (or in one that is gone)."""
        return self.head_repository.lower() != self.base_repository.lower()


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit. ``subject`` is the first line of its message."""

    sha: str
    subject: str
    author: str = ""
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Checks:
    """What has reported on a sha. ``more``: there are too many check runs to be here; ask for those that matter."""

    states: tuple[CheckState, ...] = ()
    more: bool = False


@dataclass(frozen=True, kw_only=True)
class CheckState:
    """The newest report of one check run or status context on a sha.

    ``state`` folds GitHub's conclusions: ``success`` (also neutral and skipped), ``pending`` (queued, in progress,
    expected) and ``failure`` (everything else).
    """

    name: str
    state: Literal["success", "pending", "failure"]
    conclusion: str = ""  # GitHub's own word
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """What somebody with write access has said last of a pull request, ``state`` in GitHub's words, on which sha."""

    author: str
    state: str
    sha: str


@dataclass(frozen=True, kw_only=True)
class Reviews:
    """The opinions on the pull request by which a commit comes, or came. ``more``: there are too many to be here."""

    pull_request: int
    author: str
    head_sha: str
    opinions: tuple[Opinion, ...] = ()
    more: bool = False


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """``base...head``: how many commits ``head`` is ahead and behind, and the newest of those ahead (oldest first).

    ``files`` are the paths that differ, 300 at most (as GitHub gives them), without those that were removed.
    ``touched`` are all of them, and the former names of those that were renamed; None where there may be more.
    """

    ahead_by: int
    behind_by: int
    commits: tuple[Commit, ...] = ()
    files: tuple[str, ...] = ()
    touched: tuple[str, ...] | None = None
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class DeploymentStatus:
    """One status of a deployment, ``state`` in GitHub's words."""

    state: str
    description: str = ""
    environment_url: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A GitHub deployment. ``statuses`` is newest first and may be cut to the newest; ``subject`` is the commit's."""

    id: int
    sha: str
    ref: str
    environment: str
    payload: dict[str, Any]
    created_at: datetime
    creator: str = ""
    statuses: tuple[DeploymentStatus, ...] = ()
    subject: str = ""

    @property
    def state(self) -> str:
        """The newest status, ``pending`` while there is none (as GitHub shows it)."""
        return self.statuses[0].state if self.statuses else "pending"


@dataclass(frozen=True, kw_only=True)
class LockRecord:
    """Who holds an environment: the message of the tag object that ``refs/slipway/locks/<environment>`` points at.

    Those of ``refs/slipway/<kind>s/<environment>`` say in the same form who has put another mark there, and why.
    """

    environment: str
    run_id: int
    run_attempt: int
    actor: str
    pull_request: int | None
    sha: str
    since: datetime
    reason: str = ""
    expires: datetime | None = None
    sticky: bool = False


@dataclass(frozen=True, kw_only=True)
class Lock:
    """A lock that is held. ``oid`` is what the ref points at: releasing it compares with that.

    ``record`` is None when the ref is there but its record cannot be read: it then counts as held.
    """

    environment: str
    oid: str
    record: LockRecord | None


# What may be put on an environment. ``lock``: a release runs. ``hold``: no automatic releases. ``claim``: releases of
# one pull request only (``/lock``). ``freeze``: only rollbacks. ``cancel``: the run that was asked to stop.
MarkKind = Literal["lock", "hold", "claim", "freeze", "cancel"]


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Somebody's word on a commit, said in a comment at ``since`` (``comment``: its node id)."""

    verdict: Literal["approve", "reject"]
    actor: str
    sha: str
    since: datetime
    comment: str


@dataclass(frozen=True, kw_only=True)
class Approvals:
    """What ``refs/slipway/approvals/<environment>`` says. ``oid`` is what it points at, ``""``: there is no such ref.

    ``entries`` is None when the ref is there but its record cannot be read.
    """

    oid: str = ""
    entries: tuple[Approval, ...] | None = ()


@dataclass(frozen=True, kw_only=True)
class QueueEntry:
    """A release that was let through at ``since`` and waits for its turn.

    ``id`` is the command's, ``verb`` what it does, ``thread`` the issue or pull request where it was said (0: none),
    ``comment_id`` the bot's comment that says so (0: none), ``ahead`` how many were before it when it came.
    ``dropped``: it is not wanted any more, by the doing of ``dropped_by``. ``services``: those that it names.
    """

    id: str
    verb: str
    run_id: int
    run_attempt: int
    actor: str
    thread: int
    sha: str
    since: datetime
    comment_id: int = 0
    ahead: int = 0
    dropped: Literal["", "cancelled", "replaced"] = ""
    dropped_by: str = ""
    services: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Queue:
    """What ``refs/slipway/queues/<environment>`` says, in the order of coming.

    ``oid`` is what it points at, ``""``: there is no such ref. ``entries`` is None when the ref is there but its record
    cannot be read.
    """

    oid: str = ""
    entries: tuple[QueueEntry, ...] | None = ()


@dataclass(frozen=True, kw_only=True)
class Remark:
    """A comment as it stands: ``edited`` if its text ever changed; ``pull_request`` is 0 on an issue."""

    author: str
    body: str = field(repr=False)
    created_at: datetime
    edited: bool
    pull_request: int = 0


@dataclass(frozen=True, kw_only=True)
class IssueRef:
    """An issue. ``url`` is its page."""

    number: int
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Held:
    """What is on an environment, by kind; None: nothing."""

    lock: Lock | None = None
    hold: Lock | None = None
    claim: Lock | None = None
    freeze: Lock | None = None
    cancel: Lock | None = None
    approvals: Approvals = Approvals()
    queue: Queue = Queue()


@dataclass(frozen=True, kw_only=True)
class Run:
    """The workflow run that the bot is running in. ``url`` is its page."""

    id: int
    attempt: int
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class CommentRef:
    """A comment. ``url`` is its page; ``author`` is ``""`` where that is not known."""

    id: int
    url: str = ""
    author: str = ""
    body: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class OwnComment:
    """A comment that the bot itself wrote. ``node`` is its GraphQL id; ``minimized``: it is hidden already."""

    id: int
    node: str
    minimized: bool
    body: str = field(default="", repr=False)
