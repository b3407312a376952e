"""A whole world on loopback: a GitHub repository with the sample shop, a Google Cloud project, a Heroku app.

The bot is started in it as a process, the way the action starts it: triage first, then ``python -I -m bot act``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

from bot.sandbox.console import Console
from bot.sandbox.github import RUN_PERMISSIONS, GitHub, Repository, Run
from bot.sandbox.google.cloud import PROVIDER, GoogleCloud
from bot.sandbox.heroku import Heroku
from bot.sandbox.runtime import ProcessRuntime, Runtime
from bot.sandbox.sample import VARIANTS, history

REPOSITORY = "acme/shop"
DEPLOYER = "slipway@acme.iam.gserviceaccount.com"
TOKEN = "ghs_sandbox0000000000000000000000000000"  # a token of this GitHub only
FORKS_TOKEN = "ghs_sandbox1111111111111111111111111111"  # what a run on a fork's code has instead: it only reads
PACKAGE = Path(__file__).resolve().parent.parent
PULL_EVENTS = ("pull_request", "pull_request_target")
PEOPLE = {"dana": "write", "lee": "admin", "rowan": "read"}


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How one run of the action ended. ``outputs`` are the action's; ``seconds`` is the bot's whole time."""

    exit_code: int
    outputs: Mapping[str, str]
    stdout: str
    stderr: str
    summary: str
    seconds: float
    run: Run

    @property
    def result(self) -> dict[str, Any]:
        """The output ``result``."""
        result: dict[str, Any] = json.loads(self.outputs.get("result") or "{}")
        return result


@dataclass(kw_only=True)
class World:
    """Servers, a repository and people. Use as a context manager; everything lives under ``root``."""

    root: Path
    runtime: Runtime = field(default_factory=lambda: ProcessRuntime(environment={"BIND_HOST": "127.0.0.1"}))
    clock: Callable[[], float] = time.time
    python: str = sys.executable

    def __enter__(self) -> Self:
        self.github = GitHub(self.root / "github", clock=self.clock)
        self.cloud = GoogleCloud(self.root / "google", self.runtime, clock=self.clock)
        self.console = Console(self.cloud)
        self.heroku = Heroku(self.root / "heroku", self.runtime, clock=self.clock)
        self.services = {"github": self.github, **self.cloud.services, "heroku": self.heroku}
        self.github.start()
        self.cloud.start()
        self.heroku.start()
        self._people()
        self._google()
        self._app()
        self._events = 0
        return self

    def __exit__(self, *_: object) -> None:
        self.heroku.stop()
        self.cloud.stop()
        self.github.stop()
        close = getattr(self.runtime, "close", None)
        if close is not None:
            close()

    # -- making ---------------------------------------------------------------------------------------------
    def _people(self) -> None:
        sample = history(self.root / "sample.git")
        self.repository: Repository = self.github.import_repository(REPOSITORY, sample.git_dir)
        self.main = sample.head
        for login, permission in PEOPLE.items():
            self.repository.add_collaborator(login, permission)
        self.github.add_token(TOKEN, repositories=[REPOSITORY])
        read = dict.fromkeys(RUN_PERMISSIONS, "read")
        self.github.add_token(FORKS_TOKEN, permissions=read, repositories=[REPOSITORY])

    def _google(self) -> None:
        """Trust this repository's runs, and give the environments their secrets."""
        oidc = self.github.oidc
        self.cloud.trust(self.github.url, oidc.jwks, repository_id=str(self.repository.id), service_account=DEPLOYER)
        self.cloud.run.platform.knobs.project_invokers = frozenset({f"serviceAccount:{DEPLOYER}"})
        for environment in ("staging", "production"):
            self.cloud.secrets.put(f"shop-secret-key-{environment}", f"key-of-{environment}".encode())
            self.cloud.secrets.put(f"shop-database-url-{environment}", self.database(environment).encode())

    def _app(self) -> None:
        config_vars = {"DJANGO_SECRET_KEY": "key-of-legacy", "DATABASE_URL": self.database("legacy")}
        self.heroku.create_app("shop-legacy", config_vars=config_vars, formation={"web": 1})

    def database(self, environment: str) -> str:
        """Return an environment's database URL."""
        return f"sqlite:///{self.root / environment}.sqlite3"

    def branch(self, variant: str, *, name: str = "", seconds_ago: float = 60.0) -> str:
        """Push a named change of the sample onto a branch; returns the sha. Its checks are green."""
        change = VARIANTS[variant]
        with self.earlier(seconds_ago):
            sha = self.repository.commit(
                name or variant, dict(change.files), message=change.message, author="dana", base="main"
            )
        self.repository.check_run(sha, name="ci", conclusion="success")
        return sha

    def pull_request(self, variant: str = "feature", *, author: str = "dana") -> int:
        """Open a pull request with a named change of the sample; returns its number."""
        self.branch(variant)
        return self.repository.open_pull_request(head=variant, title=VARIANTS[variant].title, author=author)

    def configure(self, change: Callable[[str], str]) -> str:
        """Rewrite the configuration on the default branch; returns the sha."""
        path = ".github/slipway.yml"
        text = change(self.repository.git.text("show", f"main:{path}") + "\n")
        return self.repository.commit("main", {path: text}, message="Configure releases", author="lee")

    def earlier(self, seconds: float) -> _Earlier:
        """Turn GitHub's clock back for what is done inside: it happened that many seconds ago."""
        return _Earlier(self.github, seconds)

    # -- running --------------------------------------------------------------------------------------------
    def environ(self, **extra: str) -> dict[str, str]:
        """Return the variables of a step, without those of an event."""
        variables = {
            "GCP_PROJECT_ID": self.cloud.project,
            "GCP_REGION": self.cloud.region,
            "WIF_PROVIDER": PROVIDER,
            "DEPLOYER_SA": DEPLOYER,
        }
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.root / "home"),
            **self.cloud.environ(),
            **self.heroku.environ(),
            "SLIPWAY_VARS": json.dumps(variables),
            **extra,
        }

    def comment(self, number: int, body: str, *, author: str = "dana", **options: Any) -> Ran:
        """Comment on a thread, and run the action on the event that sends."""
        return self.act("issue_comment", self.repository.comment(number, body, author=author), actor=author, **options)

    def act(
        self,
        event_name: str,
        payload: Mapping[str, Any],
        *,
        actor: str = "dana",
        environment: str = "",
        run: Run | None = None,
        extra: Mapping[str, str] | None = None,
        started: Callable[[subprocess.Popen[str]], None] | None = None,
        timeout: float = 120.0,
        more: bool = False,
    ) -> Ran:
        """Run the action on an event, as its steps do: triage, then the bot if it is ours.

        Finishes the run, unless there is ``more``: then another job of it waits in line for its turn.
        """
        pull = payload["number"] if event_name in PULL_EVENTS else None
        run = run or self.repository.start_run(
            event=event_name, actor=actor, environment=environment or None, pull=pull
        )
        self._events += 1
        folder = self.root / f"event-{self._events}"
        folder.mkdir(parents=True)
        environ = self.environ(
            **self.github.environ(
                self.repository, run, event_name=event_name, payload=payload, event_path=folder / "event.json",
                token=token_of(run),
            )
        ) | dict(extra or {})  # fmt: skip
        begun = time.monotonic()
        triage = subprocess.run(
            [self.python, "-I", "-S", str(PACKAGE / "triage.py")],
            env=environ, cwd=folder, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        outputs = read_outputs(Path(environ["GITHUB_OUTPUT"]))
        stdout, stderr, code = triage.stdout, triage.stderr, triage.returncode
        if outputs.get("ours") == "true":
            environ["SLIPWAY_REACTION_ID"] = outputs.get("reaction-id", "")
            process = subprocess.Popen(
                [self.python, "-I", "-m", "bot", "act"],
                env=environ, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            run.stop = partial(_stop, process)
            if started is not None:
                threading.Thread(target=started, args=(process,), daemon=True).start()
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
            stdout, stderr, code = stdout + out, stderr + err, process.returncode
        seconds = time.monotonic() - begun
        if more and code == 0:
            self.repository.put_in_line(run)
        else:
            self.repository.finish_run(run, "success" if code == 0 else "failure")
        summary = Path(environ["GITHUB_STEP_SUMMARY"])
        return Ran(
            exit_code=code,
            outputs=read_outputs(Path(environ["GITHUB_OUTPUT"])),
            stdout=stdout,
            stderr=stderr,
            summary=summary.read_text() if summary.exists() else "",
            seconds=seconds,
            run=run,
        )

    def calls(self) -> dict[str, int]:
        """Count the calls each service has had."""
        return {name: len(service.calls) for name, service in self.services.items()}

    def unknown(self) -> list[str]:
        """Return the calls that no server knew: each is a mistake."""
        return [f"{name}: {call}" for name, service in self.services.items() for call in service.unknown]


class _Earlier:
    """Turns a server's clock back for what is done inside, so that a push is older than the comment after it."""

    def __init__(self, github: GitHub, seconds: float) -> None:
        self._github, self._seconds = github, seconds

    def __enter__(self) -> None:
        self._clock = self._github._clock
        self._github._clock = lambda: self._clock() - self._seconds

    def __exit__(self, *_: object) -> None:
        self._github._clock = self._clock


def token_of(run: Run) -> str:
    """Return the token that GitHub gives the steps of a run: one that only reads where a fork's code runs."""
    return FORKS_TOKEN if run.from_fork else TOKEN


def read_outputs(path: Path) -> dict[str, str]:
    """Read the file behind ``GITHUB_OUTPUT``, as the runner does: ``name=value`` lines and heredocs; the last wins."""
    outputs: dict[str, str] = {}
    lines = iter(path.read_text().split("\n")) if path.exists() else iter(())
    for line in lines:
        if "<<" in line and "=" not in line.split("<<", 1)[0]:
            name, delimiter = line.split("<<", 1)
            outputs[name] = "\n".join(_until(lines, delimiter))
        elif "=" in line:
            name, outputs_value = line.split("=", 1)
            outputs[name] = outputs_value
    return outputs


def _until(lines: Iterable[str], delimiter: str) -> Iterable[str]:
    for line in lines:
        if line == delimiter:
            return
        yield line


def _stop(process: subprocess.Popen[str], force: bool) -> None:
    """Do what a runner does with its step's process when the run is cancelled, up to its end with force."""
    if force:
        process.kill()
    else:
        terminate(process)


def terminate(process: subprocess.Popen[str]) -> None:
    """Do what a cancelled workflow does first."""
    process.send_signal(signal.SIGINT)
