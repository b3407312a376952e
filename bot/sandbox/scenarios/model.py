"""What a scenario is: people acting in a world, and the end state that is expected of every server afterwards."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.sandbox.github import Repository
from bot.sandbox.github.model import Comment, Deployment
from bot.sandbox.oci import Image
from bot.sandbox.runtime import InstantRuntime, ProcessRuntime, Reply, Responder, Runtime, failing, slower
from bot.sandbox.sample import VARIANTS
from bot.sandbox.world import Ran, World

BOT = "github-actions[bot]"  # whose token a workflow run has
# The hidden first line of a comment that only tells somebody of a release's end, with its deployment.
MENTION = re.compile(r"<!-- slipway:v1 [^<>\n]*\btold=(\d+)")


@dataclass(kw_only=True)
class Play:
    """A scenario while it is played, and what it left behind.

    ``shas`` names the commits that expectations speak of; ``number`` is the thread to look at, 0 before there is one.
    ``expect_from`` is how many comments of the bot were there before the part that counts.
    """

    world: World
    number: int = 0
    runs: list[Ran] = field(default_factory=list)
    shas: dict[str, str] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    base: dict[str, int] = field(default_factory=dict)

    @property
    def repository(self) -> Repository:
        """The repository."""
        return self.world.repository

    @property
    def last(self) -> Ran:
        """The last run of the action."""
        return self.runs[-1]

    # -- acting ---------------------------------------------------------------------------------------------
    def pull_request(self, variant: str = "feature", *, author: str = "dana", **options: Any) -> int:
        """Push a change of the sample, green, and open its pull request. It is the thread to look at from now on."""
        self.branch(variant)
        title = options.pop("title", None) or VARIANTS[variant].title
        self.number = self.repository.open_pull_request(head=variant, title=title, author=author, **options)
        return self.number

    def branch(self, variant: str, *, seconds_ago: float = 60.0) -> str:
        """Push a change of the sample onto a branch of its name, with a green check."""
        self.shas[variant] = self.world.branch(variant, seconds_ago=seconds_ago)
        return self.shas[variant]

    def say(self, body: str, *, author: str = "dana", number: int = 0, **options: Any) -> Ran:
        """Comment, and let the action run on it."""
        return self._ran(self.world.comment(number or self.number, body, author=author, **options))

    def event(self, name: str, payload: Mapping[str, Any], **options: Any) -> Ran:
        """Let the action run on an event."""
        return self._ran(self.world.act(name, payload, **options))

    def _ran(self, ran: Ran) -> Ran:
        self.runs.append(ran)
        return ran

    def push_main(self) -> Ran:
        """Push to the default branch (what is there already), as after a merge."""
        self.shas["main"] = self.repository.git.text("rev-parse", "refs/heads/main")
        self.repository.check_run(self.shas["main"], name="ci", conclusion="success")
        return self.event("push", self.repository.push_payload(actor="lee"), actor="lee")

    def release_main(self) -> None:
        """Let main's head be released to staging by its push, so that something serves; then begin to count."""
        ran = self.push_main()
        if ran.outputs.get("decision") != "released":
            raise RuntimeError(f"the first release went wrong: {ran.outputs}\n{ran.stderr}")
        self.begin()

    def begin(self) -> None:
        """Count builds, executions, deployments and calls from here on."""
        self.base = self.totals()

    # -- looking --------------------------------------------------------------------------------------------
    def totals(self) -> dict[str, int]:
        """Count what was made since the world began."""
        jobs = self.world.cloud.run.jobs.all.values()
        return {
            "builds": self.world.services["cloudbuild"].count(r"^POST .*/builds$"),
            "executions": sum(len(job.executions) for job in jobs),
            "deployments": len(self.repository.deployments()),
            **{f"calls to {name}": count for name, count in self.world.calls().items()},
        }

    def made(self) -> dict[str, int]:
        """Count what was made since :meth:`begin`."""
        return {name: count - self.base.get(name, 0) for name, count in self.totals().items()}

    def deployments(self) -> list[Deployment]:
        """Return the deployments made since :meth:`begin`, oldest first."""
        return self.repository.deployments()[self.base.get("deployments", 0) :]

    def comments(self, number: int = 0) -> list[Comment]:
        """Return the bot's comments on the thread, oldest first, without mentions."""
        return [comment for comment in self._written(number) if not MENTION.match(comment.body)]

    def mentions(self) -> list[Comment]:
        """Return the bot's comments that only tell somebody of a release's end."""
        return [comment for comment in self._written(0) if MENTION.match(comment.body)]

    def _written(self, number: int) -> list[Comment]:
        thread = self.repository.thread(number or self.number) if number or self.number else []
        return [comment for comment in thread if comment.author == BOT]

    def commands(self) -> list[Comment]:
        """Return people's comments on the thread."""
        return [comment for comment in self.repository.thread(self.number) if comment.author != BOT]

    def sha(self, name: str) -> str:
        """Return a commit by the name the scenario gave it, 7 digits."""
        return self.shas[name][:7]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One expectation, judged."""

    name: str
    expected: str
    found: str
    holds: bool


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Something that is to be true in the end. ``expected`` may be computed from the play; ``find`` looks it up."""

    name: str
    expected: Any
    find: Callable[[Play], Any]

    def judge(self, play: Play) -> Finding:
        """Look, and compare."""
        expected = self.expected(play) if callable(self.expected) else self.expected
        found = self.find(play)
        return Finding(name=self.name, expected=_shown(expected), found=_shown(found), holds=expected == found)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_shown(item)}" for key, item in value.items()) or "nothing"
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value)) or "nothing"
    return str(value)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A named story. ``instant``: its revisions are answered for by the sandbox itself, without a process."""

    name: str
    summary: str
    act: Callable[[Play], None]
    expectations: tuple[Expectation, ...]
    instant: bool = False

    def runtime(self) -> Runtime:
        """Return what runs this scenario's containers."""
        return InstantRuntime(Shop()) if self.instant else ProcessRuntime(environment={"BIND_HOST": "127.0.0.1"})


class Shop:
    """Answers as the sample shop would, for scenarios that are not about the shop.

    An image in which a variant's code lies answers as badly as that code does (Variant.failing, Variant.slower): the
    same requests fail in each run, and nobody waits for the slow ones.
    """

    def __init__(self) -> None:
        self._of: dict[str, Responder] = {}
        self._lock = threading.Lock()

    def __call__(self, image: Image, env: Mapping[str, str], method: str, path: str) -> Reply:
        """Answer one request."""
        with self._lock:
            if image.digest not in self._of:
                self._of[image.digest] = self._manners(image)
        return Reply(*self._of[image.digest](image, env, method, path))

    @staticmethod
    def _manners(image: Image) -> Responder:
        folder = image.root / image.workdir.lstrip("/")
        for variant in VARIANTS.values():
            if (variant.failing or variant.slower) and _holds(folder, variant.files):
                return failing(slower(_good, variant.slower), variant.failing)
        return _good


def _holds(folder: Path, files: Mapping[str, str | None]) -> bool:
    """Tell whether a folder's files have these texts."""
    return all((folder / path).is_file() and (folder / path).read_text() == text for path, text in files.items())


def _good(image: Image, env: Mapping[str, str], method: str, path: str) -> tuple[int, bytes]:
    del method
    if path.startswith("/api/me/"):
        return 401, b'{"detail":"Authentication credentials were not provided."}'
    version, role = image.env.get("SHOP_VERSION", "dev"), env.get("APP_ROLE", "web")
    return 200, f'{{"status":"healthy","version":"{version}","role":"{role}"}}'.encode()


shop = Shop()
