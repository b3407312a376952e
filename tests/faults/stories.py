"""The stories that are told with faults: what was there before, what happens, and how it ends if nothing goes wrong.

A story is data. What it needs of the world is made by :class:`bot.sandbox.world.World`, with revisions that answer at
once and a Dockerfile that runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from bot.sandbox.github.gitobjects import RefUpdate
from bot.sandbox.github.model import iso
from bot.sandbox.github.payloads import issue_comment
from bot.sandbox.oci import Image
from bot.sandbox.scenarios import looking, rollouts
from bot.sandbox.scenarios.model import Play
from bot.sandbox.wire import Act
from bot.sandbox.world import Ran, World

DOCKERFILE = (
    "FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nARG VERSION\nENV SHOP_VERSION=$VERSION SHOP_HEALTH={health}\n"
    'CMD ["serve"]\n'
)


@dataclass(frozen=True, kw_only=True)
class Event:
    """What GitHub tells the action. ``number``: the thread where the bot is to answer, ``inputs``: of the action."""

    name: str
    payload: Mapping[str, Any]
    actor: str
    number: int
    inputs: Mapping[str, str] = field(default_factory=dict)


class Scene(Protocol):
    """What a story may do: use the world, and let the action run on an event without any fault."""

    world: World
    shas: dict[str, str]

    def released(self, event: Event) -> None:
        """Let the action run, and expect that it released."""
        ...

    def act(self, event: Event) -> Ran:
        """Let the action run."""
        ...


@dataclass(frozen=True, kw_only=True)
class Story:
    """``prepare`` makes what was there before; ``event`` is what happens then.

    Without a fault the run ends as ``decision``, and ``serves`` (a name in ``shas``) has all the traffic;
    ``worker``: where the worker serves another one. ``only``: which calls are hit (a pattern), where the others are
    those of another story.
    """

    name: str
    summary: str
    prepare: Callable[[Scene], None]
    event: Callable[[Scene], Event]
    decision: str
    serves: str
    only: str = ""
    worker: str = ""

    def goal(self, shas: Mapping[str, str]) -> dict[str, str]:
        """Return what each service is to serve in the end."""
        return {"web": shas[self.serves], "worker": shas[self.worker or self.serves]}


# -- pieces -------------------------------------------------------------------------------------------------
def begin(scene: Scene) -> None:
    """Have main serve on staging, and lee's healthy pull request open beside."""
    world = scene.world
    repository = world.repository
    repository.private = True  # so that its archives have one-time tokens in their addresses
    world.configure(lambda text: text.replace(", passes: 2", "").replace("deadline: 10s", "deadline: 500ms"))
    commit(scene, "main", "main")
    scene.released(Event(name="push", payload=repository.push_payload(actor="lee"), actor="lee", number=0))
    open_pull(scene, "other", author="lee")


def commit(scene: Scene, name: str, branch: str, health: str = "fine") -> None:
    """Push a commit, a minute ago, with a green check; it is known by ``name`` from now on."""
    repository = scene.world.repository
    with scene.world.earlier(60.0):
        files = {"Dockerfile": DOCKERFILE.format(health=health), f"names/{name}": f"{name}\n"}
        base = None if branch == "main" else "main"
        scene.shas[name] = repository.commit(branch, files, message=f"Be {name}", author="dana", base=base)
    repository.check_run(scene.shas[name], name="ci", conclusion="success")


def open_pull(scene: Scene, name: str, *, author: str = "dana", health: str = "fine") -> int:
    """Open a pull request of a name; returns its number."""
    commit(scene, name, name, health)
    return scene.world.repository.open_pull_request(head=name, title=f"Be {name}", author=author)


def said(scene: Scene, body: str, *, name: str = "feature", author: str = "dana") -> Event:
    """Comment on the pull request of a name."""
    repository = scene.world.repository
    number = next(n for n, issue in repository.state.issues.items() if issue.pull and issue.pull.head_ref == name)
    payload = repository.comment(number, body, author=author)
    return Event(name="issue_comment", payload=payload, actor=author, number=number)


def next_command(scene: Scene) -> Event:
    """Let somebody else deploy another pull request."""
    return said(scene, "/deploy staging", name="other", author="lee")


def respond(world: World) -> Callable[[Image, Mapping[str, str], str, str], tuple[int, bytes]]:
    """Return what answers for every revision. ``SHOP_HEALTH``: ``never`` is ill, ``unseen`` once it has traffic."""

    def answer(image: Image, env: Mapping[str, str], _method: str, path: str) -> tuple[int, bytes]:
        role, health = env.get("APP_ROLE", "web"), image.env.get("SHOP_HEALTH", "fine")
        if path.startswith("/api/me/"):
            return 401, b"{}"
        if role == "web" and path.startswith("/health/") and (health == "never" or _seen(world, env, health)):
            # As the application would: the bot looks for the first line that says why.
            logs = world.cloud.run.platform.revision_logs(env.get("K_SERVICE", ""), env.get("K_REVISION", ""))
            world.cloud.logging.sink(logs.line("stderr", '{"severity": "ERROR", "message": "KeyError: \'SITE_URL\'"}'))
            return 500, b"broken"
        version = image.env.get("SHOP_VERSION", "")
        return 200, f'{{"status":"healthy","version":"{version}","role":"{role}"}}'.encode()

    return answer


def _seen(world: World, env: Mapping[str, str], health: str) -> bool:
    service = world.cloud.run.run_services.all.get(env.get("K_SERVICE", ""))
    targets = service.site.targets if service is not None and health == "unseen" else []
    return any(target.percent and target.revision.name == env.get("K_REVISION") for target in targets)


# -- stories ------------------------------------------------------------------------------------------------
def _proposed(health: str) -> Callable[[Scene], None]:
    def prepare(scene: Scene) -> None:
        begin(scene)
        open_pull(scene, "feature", health=health)

    return prepare


def _released_twice(scene: Scene) -> None:
    begin(scene)
    open_pull(scene, "feature")
    scene.released(said(scene, "/deploy staging"))


def _merged(scene: Scene) -> None:
    begin(scene)
    number = open_pull(scene, "feature")
    with scene.world.earlier(30.0):
        scene.shas["merge"] = scene.world.repository.merge(number, actor="lee")
    scene.world.repository.check_run(scene.shas["merge"], name="ci", conclusion="success")


CANARY = (
    "{type: canary, stages: [25], metrics: [errors], error_rise: 0.1, look_every: 500ms, stage_time: 500ms, deadline: 8s,"
    " delay: 100ms}"
)
VISITS = 400  # that each revision with traffic has had whenever its metrics are asked for


def _staged(scene: Scene) -> None:
    """Have main visited by enough people for an hour, and a candidate that has visitors as soon as it has traffic."""
    begin(scene)
    world = scene.world
    role = "        env: {APP_ROLE: web}"
    world.configure(lambda text: text.replace(role, f"{role}\n        strategy: {CANARY}"))
    open_pull(scene, "feature")
    rollouts.past(Play(world=world))
    world.cloud.monitoring.when(Act(route=r"^GET .*/timeSeries$", before=lambda _: visit(world), times=1_000_000))


def visit(world: World) -> None:
    """Let each revision of web that has traffic be visited."""
    found = looking.service(world, "web", "staging")
    assert found is not None
    for target in found.site.targets:
        if target.percent:
            labels = rollouts.labels_of(world, target.revision.name)
            world.cloud.monitoring.record({"type": "cloud_run_revision", "labels": labels}, 200, 0.02, times=VISITS)


def _push(scene: Scene) -> Event:
    repository = scene.world.repository
    number = next(n for n, issue in repository.state.issues.items() if issue.pull and issue.pull.head_ref == "feature")
    return Event(name="push", payload=repository.push_payload(actor="lee"), actor="lee", number=number)


COMMAND = {"SLIPWAY_PHASE": "command"}
GONE = "0" * 40  # in the place of what a ref points at: there is to be no such ref


def _in_line(scene: Scene) -> None:
    """Let dana's release be through while lee's has the environment, so that hers is told its place; then his ends."""
    _proposed("fine")(scene)
    world = scene.world
    run = world.repository.start_run(event="issue_comment", actor="lee")
    record = {
        "version": 1, "environment": "staging", "run_id": run.id, "run_attempt": 1, "actor": "lee",
        "pull_request": None, "sha": scene.shas["main"], "since": iso(world.github.now()), "reason": "",
        "expires": None, "sticky": False,
    }  # fmt: skip
    tag = world.repository.git.write_tag(
        target=scene.shas["main"], kind="commit", name="slipway-lock-staging", tagger=world.repository.person("lee"),
        message=json.dumps(record),
    )  # fmt: skip
    ref = "refs/slipway/locks/staging"
    world.repository.move_refs([RefUpdate(name=ref, after=tag)], actor="lee")
    scene.act(replace(said(scene, "/deploy staging"), inputs=COMMAND))
    world.repository.move_refs([RefUpdate(name=ref, before=tag, after=GONE)], actor="lee")
    world.repository.finish_run(run)


def _turn(scene: Scene) -> Event:
    """Dana's turn has come."""
    repository = scene.world.repository
    number = next(n for n, issue in repository.state.issues.items() if issue.pull and issue.pull.head_ref == "feature")
    command = next(comment for comment in repository.thread(number) if comment.body == "/deploy staging")
    inputs = {
        "SLIPWAY_PHASE": "release", "SLIPWAY_ENVIRONMENT": "staging", "SLIPWAY_SHA": scene.shas["feature"],
    }  # fmt: skip
    return Event(
        name="issue_comment", payload=issue_comment(repository, command), actor="dana", number=number, inputs=inputs
    )


STORIES = {
    story.name: story
    for story in (
        Story(
            name="success",
            summary="`/deploy staging` while something serves: it is released",
            prepare=_proposed("fine"),
            event=lambda scene: said(scene, "/deploy staging"),
            decision="released",
            serves="feature",
        ),
        Story(
            name="canary",
            summary="`/deploy staging` with a stage: a quarter of the traffic is compared with what serves beside it",
            prepare=_staged,
            event=lambda scene: said(scene, "/deploy staging"),
            decision="released",
            serves="feature",
        ),
        Story(
            name="ill-candidate",
            summary="`/deploy staging` of a commit whose revision fails its check before it has traffic",
            prepare=_proposed("never"),
            event=lambda scene: said(scene, "/deploy staging"),
            decision="failed",
            serves="main",
        ),
        Story(
            name="ill-live",
            summary="`/deploy staging` of a commit whose revision fails its check once it has traffic",
            prepare=_proposed("unseen"),
            event=lambda scene: said(scene, "/deploy staging"),
            decision="failed",
            serves="main",
        ),
        Story(
            name="rollback",
            summary="`/rollback staging` after two releases",
            prepare=_released_twice,
            event=lambda scene: said(scene, "/rollback staging"),
            decision="released",
            serves="main",
        ),
        Story(
            name="push",
            summary="a pull request is merged: the push to main is released",
            prepare=_merged,
            event=_push,
            decision="released",
            serves="merge",
        ),
        Story(
            name="one-service",
            summary="`/deploy staging web` while something serves: the web alone is released",
            prepare=_proposed("fine"),
            event=lambda scene: said(scene, "/deploy staging web"),
            decision="released",
            serves="feature",
            worker="main",
        ),
        Story(
            name="let-through",
            summary="the first of two jobs lets `/deploy staging` through, and puts it into the line",
            prepare=_proposed("fine"),
            event=lambda scene: replace(said(scene, "/deploy staging"), inputs=COMMAND),
            decision="release",
            serves="main",
        ),
        Story(
            name="turn",
            summary="the second job, of a release that was told its place in the line: its calls about that, and its comment",
            prepare=_in_line,
            event=_turn,
            decision="released",
            serves="feature",
            only=r"^github (POST graphql (Refs|MoveRef|ReleaseLock)|POST git/|(POST|PATCH) issues/.*comments)",
        ),
    )
}
