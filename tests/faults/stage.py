"""A world that was made ready for a story once and is forked for each cell: every cell begins with the very same state.

What a fork cannot carry is handled here: the servers' threads stop before it and start again in the child, on the same
sockets; the refs on disk, which a cell moves, are put back after it.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import stories
from columns import PATIENT, Wires
from stories import Event, Story

from bot.sandbox.github import Run
from bot.sandbox.runtime import InstantRuntime
from bot.sandbox.world import TOKEN, Ran, World, read_outputs

PATIENCE = 150.0  # seconds that a cell, or a step of a walk, may take


Begin = Callable[["Stage"], Callable[[Any], Any]]  # what a child process does first; returns what answers requests


class StageError(RuntimeError):
    """What should have gone well before any fault did not."""


class Bot:
    """Starts the bot's processes, by way of the zygote."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).with_name("zygote.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, what: str, environ: Mapping[str, str], folder: Path, started: Callable[[int], None]) -> int:
        """Run ``triage`` or ``act`` to its end and return the exit code; ``started`` is told the process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"what": what, "environ": dict(environ), "folder": str(folder)}) + "\n")
        self._process.stdin.flush()
        started(self._told()["pid"])
        return self._told()["code"]

    def _told(self) -> dict[str, int]:
        assert self._process.stdout is not None
        told: dict[str, int] = json.loads(self._process.stdout.readline())
        return told

    def kill(self) -> None:
        """End the zygote and whatever bot it has running."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@dataclass(kw_only=True)
class Stage:
    """One world, with the bot at hand."""

    world: World
    bot: Bot
    shas: dict[str, str] = field(default_factory=dict)
    runs: list[Ran] = field(default_factory=list)
    wires: Wires = field(init=False)

    def __post_init__(self) -> None:
        self.wires = Wires(world=self.world)
        self.wires.attach()

    def released(self, event: Event) -> None:
        """Let the action run, and expect that it released."""
        ran = self.act(event)
        if ran.outputs.get("decision") != "released":
            raise StageError(f"a release before the story went wrong: {ran.outputs}\n{ran.stdout}\n{ran.stderr}")

    def act(
        self,
        event: Event,
        *,
        again: Run | None = None,
        call_timeout: int = PATIENT,
        inputs: Mapping[str, str] | None = None,
    ) -> Ran:
        """Run the action's steps on an event, as a new run or as the next attempt of one. Finishes the run.

        ``inputs`` are more variables of its steps.
        """
        repository = self.world.repository
        run = repository.rerun(again) if again else repository.start_run(event=event.name, actor=event.actor)
        folder = self.world.root / f"run-{run.id}-{run.attempt}"
        environ = self.world.environ(
            SLIPWAY_CALL_TIMEOUT=str(call_timeout),
            NO_PROXY="127.0.0.1",  # else a tenth of the time goes into looking for a proxy, call by call
            **self.world.github.environ(
                repository, run, event_name=event.name, payload=event.payload, event_path=folder / "event.json",
                token=TOKEN,
            ),
            **event.inputs,
            **(inputs or {}),
        )  # fmt: skip
        begun = time.monotonic()
        code = self._step("triage", environ, folder)
        outputs = read_outputs(Path(environ["GITHUB_OUTPUT"]))
        if code == 0 and outputs.get("ours") == "true":
            code = self._step("act", {**environ, "SLIPWAY_REACTION_ID": outputs.get("reaction-id", "")}, folder)
        repository.finish_run(run, "success" if code == 0 else "failure")
        ran = Ran(
            exit_code=code,
            outputs=read_outputs(Path(environ["GITHUB_OUTPUT"])),
            stdout=_text(folder / "stdout"),
            stderr=_text(folder / "stderr"),
            summary=_text(Path(environ["GITHUB_STEP_SUMMARY"])),
            seconds=time.monotonic() - begun,
            run=run,
        )
        self.runs.append(ran)
        return ran

    def _step(self, what: str, environ: Mapping[str, str], folder: Path) -> int:
        self.wires.bot = Future()
        self.wires.over.clear()
        try:
            return self.bot.run(what, environ, folder, self.wires.bot.set_result)
        finally:
            self.wires.over.set()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


class Template:
    """A stage that is ready for a story and stands still. Use as a context manager, in a process without threads."""

    def __init__(self, story: Story, bot: Bot) -> None:
        self.story, self._bot = story, bot

    def __enter__(self) -> Self:
        self.root = Path(tempfile.mkdtemp(prefix="faults-"))
        runtime = InstantRuntime()
        self.world = World(root=self.root, runtime=runtime)
        self.world.__enter__()
        self.world.github.warm_up()
        runtime.responder = stories.respond(self.world)
        self.stage = Stage(world=self.world, bot=self._bot)
        self._servers: list[ThreadingHTTPServer] = []
        self.story.prepare(self.stage)
        self._quieten()
        self._keep_refs()
        gc.collect()
        gc.freeze()
        return self

    def __exit__(self, *_: object) -> None:
        gc.unfreeze()
        for server in self._servers:
            server.server_close()
        shutil.rmtree(self.root, ignore_errors=True)

    def _quieten(self) -> None:
        """Stop every thread; the sockets go on listening."""
        found = [each for each in gc.get_objects() if isinstance(each, ThreadingHTTPServer)]
        self._servers = [server for server in found if server.socket.fileno() != -1]
        for server in self._servers:
            server.shutdown()
        self._providers = {service._server for service in self.world.services.values()}
        self.world.repository.git.close()
        deadline = time.monotonic() + 10.0
        while threading.active_count() > 1:
            if time.monotonic() > deadline:
                raise StageError(f"threads that do not end: {threading.enumerate()}")
            time.sleep(0.01)

    def _keep_refs(self) -> None:
        git = self.world.repository.git.path
        self._refs = self.root / "kept"
        shutil.copytree(git / "refs", self._refs / "refs")
        for name in ("HEAD", "packed-refs"):
            if (git / name).exists():
                shutil.copy2(git / name, self._refs / name)

    def _restore(self) -> None:
        git = self.world.repository.git.path
        shutil.rmtree(git / "refs")
        shutil.copytree(self._refs / "refs", git / "refs")
        for name in ("HEAD", "packed-refs"):
            (git / name).unlink(missing_ok=True)
            if (self._refs / name).exists():
                shutil.copy2(self._refs / name, git / name)
        for folder in self.root.glob("run-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def fork(self, work: Callable[[Stage], Any]) -> Any:
        """Do some work with the stage in a child process and return what it returned.

        Raises:
            StageError: the work raised, or did not end in its time.
        """
        with Session(self, lambda stage: lambda _: work(stage)) as session:
            return session.ask()

    def _be_child(self, begin: Begin, pipe: Connection) -> None:
        """Answer requests that come through a pipe, with the stage. Ends the process."""
        try:
            for server in self._servers:
                # Revisions are stopped meanwhile, which waits for the next poll; the providers' servers are not.
                interval = {"poll_interval": 10.0 if server in self._providers else 0.1}
                threading.Thread(target=server.serve_forever, kwargs=interval, daemon=True).start()
            answer = begin(self.stage)
            while True:
                pipe.send({"result": answer(pipe.recv())})
        except EOFError:  # nobody asks any more
            pass
        except BaseException:  # noqa: BLE001 - whatever it is, the parent has to be told
            pipe.send({"error": traceback.format_exc()})
        finally:
            os._exit(0)


class Session:
    """A child process that has the stage for itself and answers, request by request. Use as a context manager."""

    def __init__(self, template: Template, begin: Begin) -> None:
        self._template = template
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = os.fork()
        if self._process == 0:
            self._pipe.close()
            template._be_child(begin, theirs)
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        self._template._restore()

    def ask(self, request: Any = None) -> Any:
        """Return what a request is answered.

        Raises:
            StageError: answering raised, or did not end in its time.
        """
        try:
            self._pipe.send(request)
            if not self._pipe.poll(PATIENCE):
                raise StageError(f"not over after {PATIENCE:.0f} s")
            told = self._pipe.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise StageError("the child process ended without a word") from None
        if "error" in told:
            raise StageError(told["error"])
        return told["result"]
