"""The whole adapter against the sandbox's GitHub, over real sockets and a real git repository."""

import io
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.core.facts import LockRecord
from bot.errors import ForbiddenError, NotFoundError
from bot.github import oidc
from bot.github.api import Api, connect
from bot.github.retry import Waiting
from bot.sandbox.github import GitHub, Repository
from bot.sandbox.github.model import RunReview
from bot.sandbox.wire import Fault, FaultKind

PERMISSIONS = ("actions", "checks", "contents", "deployments", "issues", "pull_requests", "statuses")


@dataclass(frozen=True, kw_only=True)
class World:
    github: GitHub
    repository: Repository
    sha: str
    number: int
    waited: list[float]

    def record(self, **over: Any) -> LockRecord:
        base = LockRecord(
            environment="staging",
            run_id=11,
            run_attempt=1,
            actor="dana",
            pull_request=self.number,
            sha=self.sha,
            since=datetime(2026, 1, 2, tzinfo=UTC),
        )
        return replace(base, **over)

    def calls(self, api: Api, ask: Any) -> tuple[Any, int]:
        before = len(self.github.calls)
        answer = ask(api)
        return answer, len(self.github.calls) - before


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    github = GitHub(tmp_path)
    github.start()
    try:
        repository = github.create_repository(
            "acme/shop", files={"a.txt": "one\n", ".github/slipway.yml": "version: 1\n"}
        )
        github.add_user("dana")
        repository.add_collaborator("dana", "maintain")
        github.add_token("tok", login="github-actions[bot]", permissions=dict.fromkeys(PERMISSIONS, "write"))
        github.add_token("weak", login="github-actions[bot]", permissions={"contents": "read"})
        sha = repository.commit("feature/x", {"b.txt": "two\n"}, message="Add b\n\nmore", author="dana", base="main")
        number = repository.open_pull_request(head="feature/x", title="Add b", author="dana", base="main")
        yield World(github=github, repository=repository, sha=sha, number=number, waited=[])
    finally:
        github.stop()


@pytest.fixture
def api(world: World) -> Iterator[Api]:
    with connect(
        token="tok",
        repository="acme/shop",
        api_url=world.github.url,
        graphql_url=f"{world.github.url}/graphql",
        waiting=Waiting(sleep=world.waited.append),
    ) as made:
        yield made


def test_people_and_code(world: World, api: Api) -> None:
    assert world.calls(api, lambda api: api.permission("dana")) == ("maintain", 1)
    assert api.permission("nobody") == "none"
    assert world.calls(api, lambda api: api.file(".github/slipway.yml", "main")) == ("version: 1\n", 1)
    assert api.file("b.txt", "main") is None
    assert api.file("b.txt", world.sha) == "two\n"
    with pytest.raises(NotFoundError):
        api.file("a.txt", "nowhere")
    commit, calls = world.calls(api, lambda api: api.commit("feature/x"))
    assert (commit.sha, commit.subject, calls) == (world.sha, "Add b", 1)
    assert api.commit(world.sha[:9]).sha == world.sha
    with pytest.raises(NotFoundError):
        api.commit("f" * 40)


def test_a_pull_request(world: World, api: Api) -> None:
    pull, calls = world.calls(api, lambda api: api.pull_request(world.number))
    assert (pull.head_sha, pull.head_ref, pull.base_ref, pull.author) == (world.sha, "feature/x", "main", "dana")
    assert (pull.state, pull.from_fork, calls) == ("open", False, 1)
    assert api.pull_requests_of(world.sha) == (world.number,)
    pushed, calls = world.calls(api, lambda api: api.pushed_at("feature/x", world.sha))
    assert pushed is not None
    assert abs((pushed - datetime.now(UTC)).total_seconds()) < 60
    assert calls == 1
    assert api.pushed_at("feature/x", "f" * 40) is None
    comparison, calls = world.calls(api, lambda api: api.compare("main", world.sha))
    assert ([one.sha for one in comparison.commits], comparison.ahead_by, calls) == ([world.sha], 1, 1)


def test_evidence(world: World, api: Api) -> None:
    for number in range(130):
        world.repository.check_run(world.sha, name=f"ci{number}", conclusion="success")
    world.repository.check_run(world.sha, name="ci7", conclusion="failure")
    world.repository.check_run(world.sha, name="e2e", conclusion=None, status="in_progress")
    world.repository.commit_status(world.sha, context="cov", state="pending")
    world.repository.protect("main", required_checks=["ci1"])
    found, calls = world.calls(api, lambda api: api.checks(world.sha))
    assert ([(one.name, one.state) for one in found.states], found.more, calls) == ([("cov", "pending")], True, 2)
    named, calls = world.calls(api, lambda api: api.check_runs(world.sha, ("ci7", "e2e", "ci1", "none")))
    assert {check.name: check.state for check in named} == {"ci7": "failure", "e2e": "pending", "ci1": "success"}
    assert calls == 4
    assert world.calls(api, lambda api: api.required_checks("main")) == (("ci1",), 2)


def test_a_deployment_from_beginning_to_end(world: World, api: Api) -> None:
    assert api.deployments("staging", 5) == ()
    payload = {"id": "k1", "services": {"web": {"revision": "web-1"}}}
    made, calls = world.calls(
        api,
        lambda api: api.create_deployment(
            sha=world.sha, environment="staging", payload=payload, description="d", production=False
        ),
    )
    assert calls == 1
    api.set_status(made.id, "in_progress", description="rolling")
    api.set_status(made.id, "success", description="x" * 500, environment_url="https://staging.example")
    (read,), calls = world.calls(api, lambda api: api.deployments("staging", 5))
    assert (read.id, read.sha, read.payload, read.state, calls) == (made.id, world.sha, payload, "success", 1)
    assert read.statuses[0].environment_url == "https://staging.example"
    assert {one.state for one in read.statuses} == {"success", "in_progress"}
    assert api.deployments("production", 5) == ()


def test_the_comment_and_its_reactions(world: World, api: Api) -> None:
    made, calls = world.calls(api, lambda api: api.comment(world.number, "<!-- m1 -->\nhi"))
    assert calls == 1
    api.edit_comment(made.id, "<!-- m1 -->\nho")
    api.react(made.id, "rocket")
    api.react(made.id, "rocket")
    (comment,) = world.repository.thread(world.number)
    assert (comment.id, comment.body) == (made.id, "<!-- m1 -->\nho")
    assert len(comment.reactions) == 1
    api.unreact(made.id, 1)


FAULTS: tuple[FaultKind, ...] = ("lose_reply", "refuse", "status", "malformed")


@pytest.mark.parametrize("kind", FAULTS)
def test_faults_never_leave_two_comments(world: World, api: Api, kind: FaultKind) -> None:
    world.github.fail(Fault(route="POST .*/comments$", kind=kind, status=502))
    made = api.comment(world.number, "<!-- m1 -->\nhi")
    assert [comment.id for comment in world.repository.thread(world.number)] == [made.id]


@pytest.mark.parametrize("kind", FAULTS)
def test_faults_never_leave_two_deployments(world: World, api: Api, kind: FaultKind) -> None:
    world.github.fail(Fault(route="POST .*/deployments$", kind=kind, status=502))
    made = api.create_deployment(
        sha=world.sha, environment="staging", payload={"id": "k1"}, description="", production=True
    )
    assert [one.id for one in api.deployments("staging", 5)] == [made.id]


@pytest.mark.parametrize("route", ["POST .*/git/tags$", "POST .*/git/refs$", "graphql"])
@pytest.mark.parametrize("kind", FAULTS)
def test_faults_leave_the_lock_to_its_owner(world: World, api: Api, kind: FaultKind, route: str) -> None:
    world.github.fail(Fault(route=route, kind=kind, status=502))
    lock = api.take_lock(world.record())
    assert lock is not None
    assert api.lock("staging") == lock
    world.github.fail(Fault(route=route, kind=kind, status=502))
    assert api.release_lock(lock) is True
    assert world.repository.refs("refs/slipway/") == {}


def test_one_lock_for_sixteen(world: World, api: Api) -> None:
    barrier = threading.Barrier(16)
    won = []

    def take(run: int) -> None:
        barrier.wait()
        if lock := api.take_lock(world.record(run_id=run)):
            won.append(lock)

    threads = [threading.Thread(target=take, args=(run,)) for run in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [api.lock("staging")] == won


def test_locks(world: World, api: Api) -> None:
    assert world.calls(api, lambda api: api.lock("staging")) == (None, 1)
    lock, calls = world.calls(api, lambda api: api.take_lock(world.record()))
    assert calls == 2
    assert api.lock("staging") == lock
    assert lock.record == world.record()
    assert world.repository.refs("refs/slipway/") == {"refs/slipway/locks/staging": lock.oid}
    assert api.take_lock(world.record(run_id=12)) is None
    assert api.release_lock(replace(lock, oid="1" * 40)) is False
    assert world.calls(api, lambda api: api.release_lock(lock)) == (True, 1)
    assert api.release_lock(lock) is False
    assert api.lock("staging") is None


def test_runs(world: World, api: Api) -> None:
    run = world.repository.start_run(event="issue_comment", actor="dana")
    assert api.run_alive(run.id, 1) is True
    assert api.run_alive(run.id, 2) is False
    world.repository.finish_run(run, conclusion="success")
    assert api.run_alive(run.id, 1) is False
    assert api.run_alive(999, 1) is False


def test_who_has_approved_a_run(world: World, api: Api) -> None:
    run = world.repository.start_run(event="issue_comment", actor="dana")
    assert world.calls(api, lambda api: api.run_reviewers(run.id, "prod")) == ((), 1)
    world.github.add_user("lee")
    for login, state, environment in (
        ("lee", "rejected", "prod"),
        ("lee", "approved", "prod"),
        ("dana", "approved", "qa"),
    ):
        run.reviews.append(RunReview(environment=environment, state=state, login=login))
    assert api.run_reviewers(run.id, "prod") == ("lee",)


def test_the_source_of_a_sha(world: World, api: Api) -> None:
    with api.tarball(world.sha) as chunks:
        data = b"".join(chunks)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = archive.getnames()
    assert len({name.split("/")[0] for name in names}) == 1
    assert any(name.endswith("/b.txt") for name in names)
    with pytest.raises(NotFoundError), api.tarball("f" * 40):
        pass


def test_a_token_that_may_not(world: World) -> None:
    with connect(
        token="weak", repository="acme/shop", api_url=world.github.url, graphql_url=f"{world.github.url}/graphql"
    ) as api:
        with pytest.raises(ForbiddenError) as caught:
            api.create_deployment(
                sha=world.sha, environment="staging", payload={"id": 1}, description="", production=False
            )
        assert caught.value.hint == "The token needs the permission `deployments: write`."
        with pytest.raises(ForbiddenError):
            api.deployments("staging", 1)


def test_the_identity_token(world: World, tmp_path: Path) -> None:
    run = world.repository.start_run(event="push", actor="dana")
    environ = world.github.environ(
        world.repository, run, event_name="push", payload={}, event_path=tmp_path / "event.json", token="tok"
    )
    token = oidc.token(
        "aud",
        request_url=environ["ACTIONS_ID_TOKEN_REQUEST_URL"],
        request_token=environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"],
    )
    assert token.count(".") == 2
