"""A world in memory, typed as the ports: what GitHub and a target would say, and a log of everything they were asked."""

from __future__ import annotations

import itertools
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest

from bot.app import Context, handle
from bot.core.canary import Observed
from bot.core.changes import Change, Preview
from bot.core.events import CommentEvent, DispatchEvent, Event, PullRequestEvent, PushEvent, ScheduleEvent
from bot.core.facts import (
    Approval,
    Approvals,
    Checks,
    CheckState,
    CommentRef,
    Commit,
    Comparison,
    Deployment,
    DeploymentStatus,
    Held,
    IssueRef,
    Lock,
    LockRecord,
    MarkKind,
    Opinion,
    OwnComment,
    Permission,
    PullRequest,
    Queue,
    QueueEntry,
    Remark,
    Reviews,
    Run,
)
from bot.core.images import Provenance
from bot.core.notices import Notice
from bot.core.outcome import Outcome
from bot.core.plan import Applied, Build, Restore, Rollout, RunJob, Shift
from bot.core.ports import GitHub
from bot.core.previews import moment
from bot.core.questions import Finding, LogLine, LogQuery
from bot.core.redaction import Masker
from bot.core.serving import Artifact, ServiceState, Serving, TrafficShare
from bot.core.spec import Spec
from bot.core.target import (
    Absent,
    Broken,
    Diagnosis,
    Done,
    Exposure,
    Known,
    Observation,
    Phase,
    ReleaseId,
    Running,
    Target,
    Traits,
)
from bot.core.upkeep import Holding, Made
from bot.engine.gathering import Gatherer
from bot.engine.verification import Answer
from bot.errors import NotFoundError, UpstreamError
from bot.settings import Settings

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CONFIG = """\
version: 1
app: shop
gates: {required_checks: [ci]}
targets:
  gcp:
    type: cloud_run
    project: acme
    region: europe-west1
    jobs:
      migrate: {when: release, run: migrate, timeout: 60s}
    services:
      web: {public: true}
      worker: {public: false}
    verify:
      - {http: /health/, service: web, json: {version: "{short_sha}"}, deadline: 3s}
      - {iam: worker, no_public_invoker: true}
environments:
  staging: {target: gcp, on: push, permissions: {rollback: [maintain, "@acme/oncall"]}}
  production: {target: gcp, permissions: {deploy: admin}}
"""


def sha_of(number: int) -> str:
    return f"{number:07x}" + "0" * 33


class FakeClock:
    """Time that passes only where somebody waits."""

    def __init__(self) -> None:
        self._now = START.timestamp()
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def now(self) -> float:
        with self._lock:
            return self._now

    def wait(self, seconds: float) -> bool:
        if not self._stopped.is_set():
            self.sleep(seconds)
        return self._stopped.is_set()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds

    @property
    def stopping(self) -> bool:
        return self._stopped.is_set()

    def stop(self) -> None:
        self._stopped.set()

    def start_again(self) -> None:
        self._stopped.clear()


class Log:
    """Every call in order, and the faults that are planned: ``fail(name, 2)`` breaks the second call of a name."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.hooks: dict[str, Callable[[], None]] = {}
        self._faults: dict[tuple[str, int], Exception] = {}
        self._always: dict[str, Exception] = {}
        self._lock = threading.Lock()

    def fail(self, name: str, nth: int = 0, error: Exception | None = None) -> None:
        """Break the nth call of a name from now on, or all of them (0)."""
        error = error or UpstreamError("GitHub answered 502.", service="GitHub", operation=name, status=502)
        if nth:
            self._faults[name, nth + len(self.named(name))] = error
        else:
            self._always[name] = error

    def heal(self) -> None:
        self._faults.clear()
        self._always.clear()

    def __call__(self, name: str, *args: Any) -> None:
        with self._lock:
            self.calls.append((name, args))
            count = sum(called == name for called, _ in self.calls)
        hook = self.hooks.get(name)
        if hook is not None:
            hook()
        error = self._faults.get((name, count)) or self._always.get(name)
        if error is not None:
            raise error

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [args for called, args in self.calls if called == name]

    def first(self, name: str) -> int:
        return next(index for index, (called, _) in enumerate(self.calls) if called == name)

    def last(self, name: str) -> int:
        return max(index for index, (called, _) in enumerate(self.calls) if called == name)


class FakeGitHub:
    """One repository. Its state is plain attributes, for tests to set and to look at."""

    def __init__(self, log: Log, clock: FakeClock) -> None:
        self._log, self._clock = log, clock
        self._ids = itertools.count(100)
        self._mutex = threading.Lock()
        self.permissions: dict[str, Permission] = {"dana": "write", "max": "maintain", "ada": "admin", "rita": "read"}
        self.is_private = False
        self.opinions: dict[int, list[Opinion]] = defaultdict(list)
        self.comparison: Comparison | None = None
        self.teams: set[tuple[str, str, str]] = set()
        self.files: dict[tuple[str, str], str] = {(".github/slipway.yml", "main"): CONFIG}
        self.pulls: dict[int, PullRequest] = {}
        self.commits: dict[str, str] = {"main": sha_of(1)}
        self.check_states: dict[str, tuple[CheckState, ...]] = {}
        self.shows = 100  # checks at once
        self.branch_requires: tuple[str, ...] = ("ci",)
        self.pushes: dict[tuple[str, str], datetime] = {}
        self.came_by: dict[str, tuple[int, ...]] = {}
        self.strangers: set[str] = set()  # commits that no other one contains
        self.heads: dict[str, str] = {}  # of other repositories
        self.kept: list[Deployment] = []
        self.transient: set[str] = set()  # environments whose deployments nothing but the bot makes inactive
        self.bodies: dict[int, list[str]] = {}
        self.threads: dict[int, int] = {}
        self.authors: dict[int, str] = {}  # of comments that are not the bot's own
        self.minimized: set[int] = set()
        self.reactions: list[str] = []
        self.unreacted: list[int] = []
        self.locks: dict[str, Lock] = {}
        self.marks: dict[MarkKind, dict[str, Lock]] = defaultdict(dict)
        self.holds = self.marks["hold"]
        self.approvals: dict[str, Approvals] = {}
        self.queues: dict[str, Queue] = {}
        self.remarked: dict[str, Remark] = {}  # people's comments by node id
        self.issues: list[tuple[str, str]] = []  # opened by the bot: title and body
        self.alive: set[tuple[int, int]] = set()
        self.reviewers: dict[str, list[str]] = {}  # who has approved the run, by GitHub environment

    # -- what people may --
    def permission(self, login: str) -> Permission:
        self._log("permission", login)
        return self.permissions.get(login, "none")

    def team_member(self, organization: str, team: str, login: str) -> bool:
        self._log("team_member", organization, team, login)
        return (organization, team, login) in self.teams

    def private(self) -> bool:
        self._log("private")
        return self.is_private

    # -- code --
    def file(self, path: str, ref: str) -> str | None:
        self._log("file", path, ref)
        return self.files.get((path, ref))

    def pull_request(self, number: int) -> PullRequest:
        self._log("pull_request", number)
        if number not in self.pulls:
            raise NotFoundError("No such pull request.", service="GitHub", operation="pull_request", status=404)
        return self.pulls[number]

    def reviews(self, number: int) -> Reviews:
        self._log("reviews", number)
        pull = self.pulls[number]
        return Reviews(
            pull_request=number, author=pull.author, head_sha=pull.head_sha, opinions=tuple(self.opinions[number])
        )

    def commit(self, ref: str) -> Commit:
        self._log("commit", ref)
        found = next((sha for name, sha in self.commits.items() if name == ref or sha.startswith(ref)), None)
        if found is None:
            raise NotFoundError("No commit found.", service="GitHub", operation="commit", status=404)
        return Commit(sha=found, subject="Sell more")

    def checks(self, sha: str) -> Checks:
        self._log("checks", sha)
        states = self.check_states.get(sha, (CheckState(name="ci", state="success"),))
        more = len(states) > self.shows
        return Checks(states=() if more else states, more=more)

    def check_runs(self, sha: str, names: tuple[str, ...]) -> tuple[CheckState, ...]:
        self._log("check_runs", sha, names)
        return tuple(state for state in self.check_states.get(sha, ()) if state.name in names)

    def required_checks(self, branch: str) -> tuple[str, ...]:
        self._log("required_checks", branch)
        return self.branch_requires

    def pushed_at(self, branch: str, sha: str) -> datetime | None:
        self._log("pushed_at", branch, sha)
        return self.pushes.get((branch, sha))

    def compare(self, base: str, head: str) -> Comparison:
        """All commits are in one line, by their numbers, but for the strangers."""
        if self.comparison is not None:
            self._log("compare", base, head)
            return self.comparison
        self._log("compare", base, head)
        at = self.commits.get(head, head)
        apart = base[:7] > at[:7] or bool({base, at} & self.strangers)
        return Comparison(ahead_by=2, behind_by=2 * apart, commits=(Commit(sha=head, subject="Sell more"),))

    def pull_requests_of(self, sha: str) -> tuple[int, ...]:
        self._log("pull_requests_of", sha)
        return self.came_by.get(sha, ())

    # -- the record --
    def deployments(self, environment: str, limit: int) -> tuple[Deployment, ...]:
        self._log("deployments", environment)
        with self._mutex:
            return tuple(kept for kept in reversed(self.kept) if kept.environment == environment)[:limit]

    def deployments_of(self, environments: Sequence[str], limit: int) -> Mapping[str, tuple[Deployment, ...]]:
        return {name: self.deployments(name, limit) for name in environments}

    def all_deployments(self, limit: int) -> tuple[Deployment, ...]:
        self._log("all_deployments", limit)
        with self._mutex:
            return tuple(reversed(self.kept))[:limit]

    def create_deployment(
        self, *, sha: str, environment: str, payload: dict[str, Any], description: str, production: bool,
        transient: bool = False,
    ) -> Deployment:  # fmt: skip
        self._log("create_deployment", environment, sha)
        if transient:
            self.transient.add(environment)
        made = Deployment(
            id=next(self._ids), sha=sha, ref=sha, environment=environment, payload=json.loads(json.dumps(payload)),
            created_at=datetime.fromtimestamp(self._clock.now(), UTC), creator="slipway[bot]",
        )  # fmt: skip
        with self._mutex:
            self.kept.append(made)
        return made

    def set_status(
        self, deployment_id: int, state: str, *, description: str = "", environment_url: str = "", log_url: str = ""
    ) -> None:
        self._log("set_status", deployment_id, state)
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        with self._mutex:
            environment = next(kept.environment for kept in self.kept if kept.id == deployment_id)
            for index, kept in enumerate(self.kept):
                new = state if kept.id == deployment_id else ""
                lasting = kept.environment == environment and environment not in self.transient
                if state == "success" and lasting and kept.state == "success" and not new:
                    new = "inactive"  # REST, auto_inactive: earlier successes of the environment become inactive
                if new:
                    status = DeploymentStatus(
                        state=new, description=description, environment_url=environment_url, created_at=now
                    )
                    self.kept[index] = replace(kept, statuses=(status, *kept.statuses))

    # -- talk --
    def comment(self, number: int, body: str) -> CommentRef:
        self._log("comment", number)
        with self._mutex:
            comment_id = next(self._ids)
            self.bodies[comment_id] = [body]
            self.threads[comment_id] = number
        return CommentRef(id=comment_id, author="slipway[bot]", body=body)

    def comments(self, number: int, since: datetime) -> tuple[CommentRef, ...]:
        self._log("comments", number, since)
        with self._mutex:
            return tuple(
                CommentRef(id=comment_id, author=self.authors.get(comment_id, "slipway[bot]"), body=bodies[-1])
                for comment_id, bodies in self.bodies.items()
                if self.threads[comment_id] == number
            )

    def edit_comment(self, comment_id: int, body: str) -> None:
        self._log("edit_comment", comment_id)
        with self._mutex:
            if comment_id not in self.bodies:
                raise NotFoundError("No such comment.", service="GitHub", operation="edit_comment", status=404)
            self.bodies[comment_id].append(body)

    def own_comments(self, number: int) -> tuple[OwnComment, ...]:
        self._log("own_comments", number)
        with self._mutex:
            return tuple(
                OwnComment(
                    id=comment_id, node=f"IC_{comment_id}", minimized=comment_id in self.minimized, body=bodies[-1]
                )
                for comment_id, bodies in self.bodies.items()
                if self.threads[comment_id] == number and comment_id not in self.authors
            )[-100:]

    def minimize(self, comments: Sequence[OwnComment]) -> None:
        self._log("minimize", *(comment.id for comment in comments))
        self.minimized |= {comment.id for comment in comments}

    def react(self, comment_id: int, content: str) -> None:
        self._log("react", comment_id, content)
        self.reactions.append(content)

    def unreact(self, comment_id: int, reaction_id: int) -> None:
        self._log("unreact", comment_id, reaction_id)
        self.unreacted.append(reaction_id)

    # -- locks --
    def lock(self, environment: str) -> Lock | None:
        self._log("lock", environment)
        return self.locks.get(environment)

    def held(self, environments: Sequence[str]) -> Mapping[str, Held]:
        self._log("held", *environments)
        marks = {kind: self.marks[kind] for kind in ("hold", "claim", "freeze", "cancel")}
        return {
            name: Held(
                lock=self.locks.get(name),
                approvals=self.approvals.get(name, Approvals()),
                queue=self.queues.get(name, Queue()),
                **{kind: there.get(name) for kind, there in marks.items()},
            )
            for name in environments
        }

    def cancel_run(self, run_id: int, *, force: bool) -> bool:
        self._log("cancel_run", run_id, force)
        return run_id in {run for run, _ in self.alive}

    def take_lock(self, record: LockRecord) -> Lock | None:
        self._log("take_lock", record.environment)
        with self._mutex:
            if record.environment in self.locks:
                return None
            lock = Lock(environment=record.environment, oid=f"{next(self._ids):040x}", record=record)
            self.locks[record.environment] = lock
            return lock

    def release_lock(self, lock: Lock) -> bool:
        self._log("release_lock", lock.environment)
        with self._mutex:
            ours = self.locks.get(lock.environment) == lock
            if ours:
                del self.locks[lock.environment]
            return ours

    def put_mark(self, kind: MarkKind, record: LockRecord) -> Lock | None:
        self._log(f"put_{kind}", record.environment)
        with self._mutex:
            if record.environment in self.marks[kind]:
                return None
            mark = Lock(environment=record.environment, oid=f"{next(self._ids):040x}", record=record)
            self.marks[kind][record.environment] = mark
            return mark

    def move_mark(self, kind: MarkKind, there: Lock, record: LockRecord) -> Lock | None:
        self._log(f"move_{kind}", record.environment)
        with self._mutex:
            if self.marks[kind].get(record.environment) != there:
                return None
            mark = Lock(environment=record.environment, oid=f"{next(self._ids):040x}", record=record)
            self.marks[kind][record.environment] = mark
            return mark

    def lift_mark(self, kind: MarkKind, mark: Lock) -> bool:
        self._log(f"lift_{kind}", mark.environment)
        with self._mutex:
            ours = self.marks[kind].get(mark.environment) == mark
            if ours:
                del self.marks[kind][mark.environment]
            return ours

    def put_approvals(self, environment: str, before: Approvals, entries: Sequence[Approval], actor: str) -> bool:
        self._log("put_approvals", environment, actor)
        with self._mutex:
            if self.approvals.get(environment, Approvals()).oid != before.oid:
                return False
            self.approvals.pop(environment, None)
            if entries:
                self.approvals[environment] = Approvals(oid=f"{next(self._ids):040x}", entries=tuple(entries))
            return True

    def put_queue(self, environment: str, before: Queue, entries: Sequence[QueueEntry], actor: str) -> bool:
        self._log("put_queue", environment, actor)
        with self._mutex:
            if self.queues.get(environment, Queue()).oid != before.oid:
                return False
            self.queues.pop(environment, None)
            if entries:
                self.queues[environment] = Queue(oid=f"{next(self._ids):040x}", entries=tuple(entries))
            return True

    def remarks(self, ids: Sequence[str]) -> Mapping[str, Remark]:
        self._log("remarks", *ids)
        return {one: self.remarked[one] for one in ids if one in self.remarked}

    def open_issue(self, title: str, body: str, since: datetime | None = None) -> IssueRef:
        self._log("open_issue", title)
        number = len(self.issues) + 901
        for place, (_, there) in enumerate(self.issues):
            if since is not None and there.partition("\n")[0] == body.partition("\n")[0]:
                return IssueRef(number=place + 901, url=f"https://github.com/acme/shop/issues/{place + 901}")
        self.issues.append((title, body))
        return IssueRef(number=number, url=f"https://github.com/acme/shop/issues/{number}")

    def run_reviewers(self, run_id: int, environment: str) -> tuple[str, ...]:
        self._log("run_reviewers", run_id, environment)
        return tuple(self.reviewers.get(environment, ()))

    def run_alive(self, run_id: int, attempt: int) -> bool:
        self._log("run_alive", run_id, attempt)
        return (run_id, attempt) in self.alive

    def tarball(self, sha: str) -> AbstractContextManager[Iterator[bytes]]:
        self._log("tarball", sha)
        return nullcontext(iter([b""]))

    # -- other repositories --
    def head(self, repository: str) -> str:
        self._log("head", repository)
        return self.heads[repository]

    # -- for tests --
    def thread(self, number: int) -> list[str]:
        """The comments of a thread as they stand, without mentions."""
        return [body for body in self._bodies(number) if " told=" not in body.partition("\n")[0]]

    def mentions(self, number: int) -> list[str]:
        """The comments of a thread that tell somebody of an end."""
        return [body for body in self._bodies(number) if " told=" in body.partition("\n")[0]]

    def _bodies(self, number: int) -> list[str]:
        return [bodies[-1] for comment_id, bodies in self.bodies.items() if self.threads[comment_id] == number]

    def states(self, environment: str = "staging") -> list[str]:
        return [kept.state for kept in self.kept if kept.environment == environment]


class FakeUpkeep:
    """What was made of the target's services: revisions with their times, and tags. ``kept``: cannot be deleted now."""

    def __init__(self, log: Log, clock: FakeClock, live: Mapping[str, ServiceState]) -> None:
        self._log, self._clock, self._live = log, clock, live
        self._mutex = threading.Lock()
        self.made: dict[str, list[Made]] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.kept: set[str] = set()

    def rolled_out(self, service: str, revision: str, release: ReleaseId) -> None:
        with self._mutex:
            made = Made(
                name=revision, created=self._clock.now(), release=release.key, sha=release.sha, preview=release.preview,
                until=moment(release.until) if release.until else 0.0,
            )  # fmt: skip
            self.made.setdefault(service, []).insert(0, made)
            self.tags.setdefault(service, {})[release.tag] = revision

    def holdings(self) -> tuple[Holding, ...]:
        self._log("holdings")
        with self._mutex:
            return tuple(
                Holding(
                    service=name,
                    serving=(
                        *state.traffic,
                        *(TrafficShare(revision=to, percent=0, tag=tag) for tag, to in self.tags.get(name, {}).items()),
                    ),
                    made=tuple(self.made.get(name, ())),
                    latest=self.made[name][0].name if name in self.made else "",
                )
                for name, state in self._live.items()
                if state.exists or name in self.made
            )

    def retag(self, changes: Mapping[str, Mapping[str, str]]) -> None:
        for service, tags in changes.items():
            self._log("retag", service, dict(tags))
            with self._mutex:
                for tag, revision in tags.items():
                    self.tags.setdefault(service, {}).pop(tag, None)
                    if revision:
                        self.tags[service][tag] = revision

    def delete(self, service: str, revision: str) -> bool:
        self._log("delete", revision)
        with self._mutex:
            if revision in self.kept:
                return False
            self.made[service] = [made for made in self.made[service] if made.name != revision]
            return True

    def put_back_templates(self) -> None:
        self._log("put_back_templates")

    def reachable(self) -> dict[str, list[str]]:
        """The tags of each service, without those that lead nowhere."""
        return {service: sorted(tags) for service, tags in self.tags.items() if tags}


class FakeRegistry:
    """``attested`` is what is read of any image; ``kept`` what was asked to be kept."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.attested = Provenance(image="")
        self.kept: list[tuple[str, tuple[str, ...], int]] = []

    def provenance(self, image: str) -> Provenance:
        self._log("provenance", image)
        return replace(self.attested, image=image)

    def keep(self, release: ReleaseId, images: Collection[str], newest: int) -> None:
        self._log("keep", *images)
        self.kept.append((release.key, tuple(images), newest))


def _shares(state: ServiceState) -> dict[str, int]:
    return {share.revision: share.percent for share in state.traffic if share.percent}


class FakeTarget:
    """Two services, one job. What is applied happens at once and is seen at the second look.

    ``broken`` holds ids of steps that fail, ``sick`` shas whose web answers 500, ``stuck`` steps that never end.
    """

    traits = Traits(kind="cloud_run", separate_build=True, traffic_split=True, jobs=True)

    def __init__(
        self, log: Log, clock: FakeClock, names: tuple[str, ...] = ("web", "worker"), zone: str = "test"
    ) -> None:
        self._log, self.zone = log, zone
        self.registry = FakeRegistry(log)
        self._mutex = threading.Lock()
        self.live = {name: ServiceState(service=name, exists=False) for name in names}
        self.upkeep = FakeUpkeep(log, clock, self.live)
        self.broken: set[str] = set()
        self.stuck: set[str] = set()
        self.sick: set[str] = set()
        self.public = {"web"}
        self.images: dict[str, Artifact] = {}
        self.built_of: list[dict[str, str]] = []  # the other sources of each build
        self.seen: set[tuple[str, str]] = set()  # (release, step) that was begun
        self.polled: set[tuple[str, str]] = set()
        self.revisions: dict[str, tuple[str, str]] = {}  # revision -> (release, sha)
        self.digests: dict[str, str] = {}  # revision -> what it runs
        self.executions: list[str] = []
        self.cancelled: list[str] = []
        self.secrets: dict[str, str] = {}
        self.requests: dict[str, dict[str, Observed]] = {}
        self.errors = 0
        self.logged: dict[str, list[LogLine]] = {}
        self.findings: tuple[Finding, ...] = (Finding(what="the login", well=True, found="works"),)
        self.measure: Callable[[str, float, float], Mapping[str, Observed]] | None = None

    def newest_secrets(self, *, pinned: bool) -> Mapping[str, str]:
        self._log("newest_secrets", pinned)
        return dict(self.secrets)

    def traffic(self, service: str, since: float, until: float) -> Mapping[str, Observed]:
        self._log("traffic", service)
        staging = [share for share in self.live[service].traffic if share.percent not in {0, 100}]
        if not staging:  # before a release: its rate is asked for
            return self.requests.get(service, {})
        if self.measure is not None:
            return self.measure(service, since, until)
        return {share.revision: Observed(requests=100 * share.percent, errors=0) for share in staging}

    def candidate_of(self, service: str) -> str:
        """The revision with the smallest share."""
        return min(self.live[service].traffic, key=lambda share: share.percent).revision

    def error_lines(self, service: str, revisions: Collection[str], since: float, until: float) -> int:
        self._log("error_lines", service)
        return self.errors if set(revisions) & set(self.revisions) else 0

    def log_link(self, query: LogQuery) -> str:
        self._log("log_link", query)
        return f"https://console.example/{query.service}"

    def log_lines(self, query: LogQuery) -> tuple[LogLine, ...]:
        self._log("log_lines", query)
        return tuple(self.logged.get(query.service, ()))

    def examine(self) -> tuple[Finding, ...]:
        self._log("examine")
        return self.findings

    def preview(self, jobs: Collection[str], known: Known) -> Preview:
        self._log("preview", *jobs)
        artifact = self.images.get(known.release.sha)
        changes = tuple(
            Change(
                where=name, what="image", before=state.digest, after=artifact.digest if artifact else "will be built"
            )
            for name, state in self.live.items()
        )
        return Preview(artifact=artifact, changes=changes, pins=dict(self.secrets))

    def serving(self) -> Serving:
        self._log("serving")
        with self._mutex:
            return Serving(services=tuple(self.live.values()))

    def observe(self, step: Applied, known: Known) -> Observation:
        self._log("observe", step.id)
        key = (known.release.key, step.id)
        if step.id in self.broken and key in self.seen:
            return Broken(detail=f"{step.id} went wrong")
        if step.id in self.stuck and key in self.seen:
            return Running(handle=f"op-{step.id}", detail="under way")
        with self._mutex:
            done = self._done(step, known)
            if done is None:
                return Absent()
            if key in self.seen and key not in self.polled:
                self.polled.add(key)
                return Running(detail="under way")
        return done

    def _done(self, step: Applied, known: Known) -> Done | None:
        release = known.release
        match step:
            case Build(promoted_from=there) if there:
                return Done(artifact=step.promoted)
            case Build():
                artifact = self.images.get(release.sha)
                return Done(artifact=artifact) if artifact else None
            case RunJob():
                name = f"{step.job}-{release.key}"
                return Done(handle=name) if name in self.executions else None
            case Rollout():
                name = self._revision(step.service, known)
                return Done(handle=f"projects/p/{name}") if name in self.revisions else None
            case Shift():
                shifted = all(self._share(service, known) == step.percent for service in step.services)
                return Done() if shifted else None
            case Restore():
                now = {state.service: _shares(state) for state in self.live.values()}
                back = all(now[state.service] == _shares(state) for state in step.to.services)
                return Done(detail="restored") if back else None

    def apply(self, step: Applied, known: Known) -> Running | Done:
        self._log("apply", step.id)
        key = (known.release.key, step.id)
        self.seen.add(key)
        release = known.release
        if step.id in self.broken | self.stuck:
            return Running(handle=f"op-{step.id}")
        with self._mutex:
            match step:
                case Build():
                    self.built_of.append(dict(known.sources))
                    digest = f"sha256:{release.sha}"
                    self.images[release.sha] = Artifact(digest=digest, reference=f"r@{digest}", sha=release.sha)
                case RunJob():
                    self.executions.append(f"{step.job}-{release.key}")
                case Rollout():
                    assert known.artifact is not None
                    revision = self._revision(step.service, known)
                    self.revisions[revision] = (release.key, release.sha)
                    self.digests[revision] = known.artifact.digest
                    self.upkeep.rolled_out(step.service, revision, release)
                case Shift():
                    for service in step.services:
                        before = known.before.service(service).revision if step.percent < 100 else ""
                        self.live[service] = self._state(service, self._revision(service, known), before, step.percent)
                case Restore():
                    for state in step.to.services:
                        self.live[state.service] = state
        return Running(handle=f"op-{step.id}")

    def _revision(self, service: str, known: Known) -> str:
        return f"shop-{service}-{known.release.sha[:7]}-{known.release.key}"

    def _share(self, service: str, known: Known) -> int:
        own = self._revision(service, known)
        return sum(share.percent for share in self.live[service].traffic if share.revision == own)

    def _state(self, service: str, revision: str, before: str = "", percent: int = 100) -> ServiceState:
        shares = {revision: percent, before: 100 - percent} if before else {revision: 100}
        made = {name: self.revisions[name] for name in shares}
        return ServiceState(
            service=service,
            url=f"https://{service}.{self.zone}",
            traffic=tuple(TrafficShare(revision=name, percent=share) for name, share in shares.items()),
            digests={name: self.digests[name] for name in made},
            labels={name: {"slipway-release": key, "slipway-sha": sha} for name, (key, sha) in made.items()},
        )

    def cancel(self, step: Applied, known: Known) -> None:
        self._log("cancel", step.id)
        self.cancelled.append(step.id)

    def diagnose(self, step: Applied, known: Known) -> Diagnosis:
        self._log("diagnose", step.id)
        return Diagnosis(error=f"first error of {step.id}", tail=("line one", "line two"))

    def endpoint(self, service: str, phase: Phase, known: Known) -> str:
        self._log("endpoint", service, phase)
        if phase == "candidate":
            return f"https://{self._revision(service, known)}.{self.zone}"
        return self.live[service].url

    def authorization(self, service: str, url: str) -> Mapping[str, str]:
        return {}

    def exposure(self, service: str) -> Exposure:
        self._log("exposure", service)
        return Exposure(public=service in self.public, ingress="all")

    def probe(self, method: str, url: str, headers: Mapping[str, str], timeout: float) -> Answer:
        self._log("probe", url)
        name = (urlsplit(url).hostname or "").removesuffix(f".{self.zone}")
        revision = self.live[name].revision if name in self.live else name
        _, sha = self.revisions[revision]
        if sha in self.sick:
            return Answer(status=500, body=b"division by zero")
        return Answer(status=200, body=json.dumps({"version": sha[:7]}).encode(), seconds=0.02)

    def serves(self) -> set[str]:
        """The shas that serve."""
        return {self.revisions[state.revision][1] for state in self.live.values() if state.revision}


@dataclass
class World:
    """Everything, and the ways to make things happen in it."""

    log: Log
    clock: FakeClock
    github: FakeGitHub
    target: FakeTarget
    comments: Iterator[int] = field(default_factory=lambda: itertools.count(9001))
    runs: Iterator[int] = field(default_factory=lambda: itertools.count(501))
    specs: list[Spec] = field(default_factory=list)
    elsewhere: dict[str, FakeTarget] = field(default_factory=dict)  # environments that do not share the one target
    summary: list[str] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    untold: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ("s3cretS3cret",)  # that the masker knows
    on_notice: Callable[[], None] = lambda: None

    def notify(self, notice: Notice) -> tuple[str, ...]:
        self.on_notice()
        self.notices.append(notice)
        return self.untold

    def pull(self, number: int = 7, **over: Any) -> PullRequest:
        """Have a pull request whose head was pushed a minute ago."""
        defaults: dict[str, Any] = {
            "number": number, "title": "Sell more", "author": "dana", "state": "open", "merged": False,
            "draft": False, "mergeable": True, "head_sha": sha_of(number), "head_ref": f"branch-{number}",
            "head_repository": "acme/shop", "base_ref": "main", "base_repository": "acme/shop",
        }  # fmt: skip
        pull = PullRequest(**{**defaults, **over})
        self.github.pulls[number] = pull
        pushed = datetime.fromtimestamp(self.clock.now(), UTC) - timedelta(minutes=1)
        self.github.pushes[pull.head_ref, pull.head_sha] = pushed
        return pull

    def comment(self, body: str, **over: Any) -> CommentEvent:
        number = over.get("number", 7)
        comment_id = next(self.comments)
        defaults: dict[str, Any] = {
            "repository": "acme/shop", "default_branch": "main", "comment_id": comment_id, "comment_url": "",
            "body": body, "author": "dana", "author_id": 1, "author_is_bot": False,
            "created_at": datetime.fromtimestamp(self.clock.now(), UTC), "number": number, "is_pull_request": True,
            "node_id": f"IC_{comment_id}",
        }  # fmt: skip
        event = CommentEvent(**{**defaults, **over})
        self.github.remarked[event.node_id] = Remark(
            author=event.author, body=event.body, created_at=event.created_at, edited=False,
            pull_request=event.number if event.is_pull_request else 0,
        )  # fmt: skip
        return event

    def push(self, sha: str = sha_of(1), actor: str = "dana", *, bot: bool = False) -> PushEvent:
        return PushEvent(repository="acme/shop", default_branch="main", sha=sha, actor=actor, actor_is_bot=bot)

    def dispatch(self, actor: str = "dana", sha: str = sha_of(1)) -> DispatchEvent:
        return DispatchEvent(repository="acme/shop", default_branch="main", ref="refs/heads/main", actor=actor, sha=sha)

    def followed(self, action: Literal["closed", "synchronize"], number: int = 7, **over: Any) -> PullRequestEvent:
        """What GitHub says of a pull request as it is now."""
        event: dict[str, Any] = {
            "repository": "acme/shop", "default_branch": "main", "action": action, "number": number,
            "head_sha": self.github.pulls[number].head_sha, "actor": "dana",
        }  # fmt: skip
        return PullRequestEvent(**{**event, **over})

    def schedule(self) -> ScheduleEvent:
        return ScheduleEvent(repository="acme/shop", default_branch="main")

    def with_previews(self, previews: str = "{ttl: 1d}") -> None:
        """Let staging have previews, and be the only environment: there is one target."""
        text = CONFIG.replace("staging: {target: gcp,", f"staging: {{target: gcp, previews: {previews},")
        text = text.partition("  production:")[0]
        self.github.files[".github/slipway.yml", "main"] = text

    def settings(self, event: Event, **over: Any) -> Settings:
        names = {
            CommentEvent: "issue_comment", PushEvent: "push", DispatchEvent: "workflow_dispatch",
            PullRequestEvent: "pull_request_target", ScheduleEvent: "schedule",
        }  # fmt: skip
        defaults: dict[str, Any] = {
            "repository": "acme/shop", "event_name": names[type(event)], "event_path": Path("event.json"),
            "run": Run(id=next(self.runs), attempt=1, url="https://github.com/acme/shop/actions/runs/1"), "token": "t",
        }  # fmt: skip
        return Settings(**{**defaults, **over})

    def connect(self, spec: Spec) -> Target:
        self.log("connect")
        self.specs.append(spec)
        return self.elsewhere.get(spec.environment, self.target)

    def probe(self, method: str, url: str, headers: Mapping[str, str], timeout: float) -> Answer:
        found = (one for one in self.elsewhere.values() if (urlsplit(url).hostname or "").endswith(f".{one.zone}"))
        return next(found, self.target).probe(method, url, headers, timeout)

    def handle(self, event: Event, **over: Any) -> Outcome:
        """Handle an event, as one run of the workflow would."""
        github: GitHub = self.github
        gatherer = Gatherer()
        context = Context(
            settings=self.settings(event, **over), github=github, final=github, sources=self.github, connect=self.connect,
            probe=self.probe, clock=self.clock, default_branch="main",
            masker=Masker(self.secrets), gatherer=gatherer, notify=self.notify,
        )  # fmt: skip
        self.summary = context.summary
        self.clock.sleep(5.0)
        try:
            return handle(event, context)
        finally:
            gatherer.close()

    def say(self, body: str, **over: Any) -> Outcome:
        """Comment on pull request 7, and handle that."""
        settings = {key: over.pop(key) for key in list(over) if key in Settings.__dataclass_fields__}
        return self.handle(self.comment(body, **over), **settings)

    def released(self, number: int) -> Outcome:
        """Release pull request ``number``'s head to staging, and forget the log of it."""
        self.pull(number)
        outcome = self.say("/deploy staging", number=number)
        assert outcome.reason.value == "released", outcome.message
        self.log.calls.clear()
        return outcome

    @property
    def shown(self) -> str:
        """The one comment of the bot on pull request 7 that came last."""
        return self.github.thread(7)[-1]

    def mutations(self) -> list[tuple[str, Any]]:
        return [(name, args[0]) for name, args in self.log.calls if name == "apply"]


def _world() -> World:
    log, clock = Log(), FakeClock()
    made = World(log=log, clock=clock, github=FakeGitHub(log, clock), target=FakeTarget(log, clock))
    made.pull(7)
    return made


@pytest.fixture
def world() -> World:
    return _world()


@pytest.fixture
def make_world() -> Callable[[], World]:
    """Return a factory of worlds, for what is told in several of them and compared."""
    return _world


@pytest.fixture
def make_target(world: World) -> Callable[[str], FakeTarget]:
    """Return a factory of targets beside the world's own, whose addresses end in a zone."""
    return lambda zone: FakeTarget(world.log, world.clock, zone=zone)
