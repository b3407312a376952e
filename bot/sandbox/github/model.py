"""What the server remembers beside git: people, threads, checks, deployments, pushes and runs.

Times are seconds of the server's clock; :func:`iso` writes them as GitHub does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

Content = Literal["+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"]
CONTENTS: tuple[Content, ...] = ("+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes")
ROLES = ("read", "triage", "write", "maintain", "admin")


def iso(seconds: float) -> str:
    """Return a time in whole seconds, UTC, as GitHub's answers hold it (``2026-01-31T12:00:00Z``)."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_or_none(seconds: float | None) -> str | None:
    """Return a time as GitHub's answers hold it, None where there is none."""
    return None if seconds is None else iso(seconds)


@dataclass(kw_only=True)
class User:
    """An account. ``type`` is User, Bot or Organization."""

    id: int
    login: str
    type: str = "User"
    created_at: float = 0.0

    @property
    def email(self) -> str:
        """The address GitHub gives commits made in its web pages."""
        return f"{self.id}+{self.login}@users.noreply.github.com"


@dataclass(kw_only=True)
class Token:
    """A credential: whose it is, and what it may (None: everything). ``used`` counts against the rate limit.

    ``repositories`` are those that it was made for (None: all). Other private ones are not there for it: a run's own
    token is "limited to the repository that contains your workflow" (docs.github.com, "GITHUB_TOKEN"), and what a token
    may not see is answered with 404 ("Troubleshooting the REST API").
    """

    value: str = field(repr=False)
    login: str
    permissions: Mapping[str, str] | None
    repositories: frozenset[str] | None = None
    used: int = 0

    def sees(self, full_name: str, *, private: bool) -> bool:
        """Tell whether a repository is there for the token."""
        return not private or self.repositories is None or full_name.lower() in self.repositories

    def may(self, permission: str, level: str) -> bool:
        """Tell whether the token holds a permission at ``read`` or ``write``."""
        if self.permissions is None or permission == "metadata":
            return True
        held = self.permissions.get(permission)
        return held in {"write", "admin"} or held == level


@dataclass(kw_only=True)
class Reaction:
    """One reaction to a comment."""

    id: int
    author: str
    content: Content
    created_at: float


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A body that a comment had until a time."""

    body: str
    until: float


@dataclass(kw_only=True)
class Comment:
    """One comment of a thread. ``edits`` holds its earlier bodies, oldest first."""

    id: int
    number: int
    author: str
    body: str
    created_at: float
    updated_at: float
    minimized: str | None = None
    reactions: list[Reaction] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)


@dataclass(kw_only=True)
class Review:
    """A review of a pull request."""

    id: int
    author: str
    state: str
    sha: str
    body: str
    submitted_at: float


@dataclass(kw_only=True)
class Issue:
    """An issue, or the issue half of a pull request."""

    id: int
    number: int
    title: str
    body: str
    author: str
    created_at: float
    updated_at: float
    state: str = "open"
    closed_at: float | None = None
    closed_by: str | None = None
    labels: list[str] = field(default_factory=list)
    pull: Pull | None = None


@dataclass(kw_only=True)
class Pull:
    """The pull request half. ``head_repository`` is a full name, None once that repository is gone."""

    id: int
    head_repository: str | None
    head_owner: str
    head_ref: str
    head_sha: str
    base_ref: str
    base_sha: str
    draft: bool = False
    merged_at: float | None = None
    merged_by: str | None = None
    merge_sha: str | None = None
    reviews: list[Review] = field(default_factory=list)


@dataclass(kw_only=True)
class CheckRun:
    """A check run. ``suite`` is the id of its check suite; ``app`` the slug of the app that made it."""

    id: int
    suite: int
    sha: str
    name: str
    app: str
    status: str
    conclusion: str | None
    started_at: float
    completed_at: float | None
    details_url: str | None = None
    external_id: str = ""
    output: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class CommitStatus:
    """A commit status, the older kind of check."""

    id: int
    sha: str
    state: str
    context: str
    creator: str
    created_at: float
    description: str | None = None
    target_url: str | None = None


@dataclass(kw_only=True)
class DeploymentStatus:
    """One status of a deployment."""

    id: int
    state: str
    creator: str
    created_at: float
    description: str = ""
    environment: str = ""
    environment_url: str = ""
    log_url: str = ""


@dataclass(kw_only=True)
class Deployment:
    """A deployment with its statuses, oldest first."""

    id: int
    sha: str
    ref: str
    task: str
    environment: str
    original_environment: str
    payload: Any
    description: str | None
    creator: str
    created_at: float
    updated_at: float
    transient: bool
    production: bool
    statuses: list[DeploymentStatus] = field(default_factory=list)

    @property
    def state(self) -> str:
        """The latest status, ``pending`` before there is one."""
        return self.statuses[-1].state if self.statuses else "pending"


@dataclass(kw_only=True)
class Environment:
    """A deployment environment. ``reviewers`` are the logins that must approve a job that uses it."""

    id: int
    name: str
    created_at: float
    reviewers: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class RunReview:
    """What a reviewer of an environment said of a run that waits for it. ``state``: ``approved`` or ``rejected``."""

    environment: str
    state: str
    login: str
    comment: str = ""


@dataclass(frozen=True, kw_only=True)
class Activity:
    """A push, as the repository's activity view records it, by the server's clock."""

    id: int
    before: str
    after: str
    ref: str
    timestamp: float
    activity_type: str
    actor: str


@dataclass(kw_only=True)
class Job:
    """A job of a workflow run."""

    id: int
    name: str
    status: str
    conclusion: str | None
    started_at: float
    completed_at: float | None


@dataclass(kw_only=True)
class Run:
    """A workflow run. ``earlier`` keeps the conclusions of its earlier attempts.

    A run on a pull request's event names the pull request's branches in ``head_ref`` and ``base_ref``, its head in
    ``pull_sha`` and the repository that holds it in ``head_repository``; ``sha`` and ``ref`` are what is checked out.
    """

    id: int
    number: int
    event: str
    actor: str
    sha: str
    ref: str
    created_at: float
    updated_at: float
    environment: str | None = None
    attempt: int = 1
    status: str = "in_progress"
    conclusion: str | None = None
    cancel_requested: bool = False
    stop: Callable[[bool], None] | None = None  # what its runner does when it is cancelled; True: at once
    head_ref: str = ""
    base_ref: str = ""
    pull_sha: str = ""
    head_repository: str = ""
    workflow: str = "Slipway"
    reviews: list[RunReview] = field(default_factory=list)
    path: str = ".github/workflows/slipway.yml"
    earlier: dict[int, str] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)

    @property
    def head_sha(self) -> str:
        """The commit that a run stands under in lists: a pull request's head, not its test merge."""
        return self.pull_sha or self.sha

    @property
    def head_branch(self) -> str:
        """The branch that a run stands under in lists."""
        return self.head_ref or self.ref.removeprefix("refs/heads/")

    @property
    def from_fork(self) -> bool:
        """Whether a fork's code is checked out: such a run may neither write nor have an identity token.

        Source: docs.github.com, "Events that trigger workflows", pull_request: "workflows in forked repositories".
        """
        return self.event == "pull_request" and bool(self.head_repository)


@dataclass(kw_only=True)
class Protection:
    """What a branch asks of a pull request. ``kind`` is classic, ruleset or both."""

    required_checks: tuple[str, ...] = ()
    strict: bool = False
    required_reviews: int = 0
    kind: str = "both"


@dataclass(kw_only=True)
class State:
    """All that a repository remembers beside git."""

    issues: dict[int, Issue] = field(default_factory=dict)
    comments: dict[int, Comment] = field(default_factory=dict)
    check_runs: dict[int, CheckRun] = field(default_factory=dict)
    suites: dict[tuple[str, str], int] = field(default_factory=dict)
    statuses: list[CommitStatus] = field(default_factory=list)
    deployments: dict[int, Deployment] = field(default_factory=dict)
    environments: dict[str, Environment] = field(default_factory=dict)
    activity: list[Activity] = field(default_factory=list)
    runs: dict[int, Run] = field(default_factory=dict)
    protections: dict[str, Protection] = field(default_factory=dict)
    collaborators: dict[str, str] = field(default_factory=dict)
