"""Dynos: the processes of a release, their states, and the app's log."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from bot.sandbox.heroku.model import DynoState, Json, Release, Resource, stamp
from bot.sandbox.heroku.streams import Stream
from bot.sandbox.images import Image
from bot.sandbox.runtime import Instance, Runtime

BOOT_TIMEOUT = 60.0  # seconds; R10: https://devcenter.heroku.com/articles/error-codes#r10-boot-timeout
CRASH_WATCH = 0.05  # seconds between two looks at a process
CONTAINER_PORT = 5000  # what the image declares; the process learns its real port from $PORT


@dataclass(kw_only=True, eq=False)
class Dyno(Resource):
    """One process. ``instance`` is absent until it is launched."""

    name: str
    type: str
    command: str
    size: str
    release: Release
    one_off: bool = False
    state: DynoState = "starting"
    instance: Instance | None = None

    def to_json(self, *, app: Json) -> Json:
        return self.base() | {
            "app": app,
            "attach_url": None,
            "command": self.command,
            "name": self.name,
            "release": {"id": self.release.id, "version": self.release.version},
            "size": self.size,
            "state": self.state,
            "type": self.type,
        }


class Launcher:
    """Starts the processes of one app and writes the app's log as Logplex formats it."""

    def __init__(self, runtime: Runtime, clock: Callable[[], float], app_name: str) -> None:
        self.runtime, self.clock, self.app_name = runtime, clock, app_name
        self.log = Stream()
        self.boot_timeout = BOOT_TIMEOUT
        self.changed = threading.Condition()
        self.ended: Callable[[Dyno], None] = lambda _dyno: None  # told of each one-off dyno that has ended

    def say(self, source: Literal["app", "heroku"], process: str, text: str) -> None:
        """Write one line to the app's log: ``2026-03-02T09:00:00Z app[web.1]: text``."""
        self.log.write(f"{stamp(self.clock())} {source}[{process}]: {text}")

    def environ(self, release: Release, dyno: str, extra: Mapping[str, str]) -> dict[str, str]:
        """Return a process's environment: config vars, and the names Heroku sets.

        The dyno metadata (HEROKU_*) is on: https://devcenter.heroku.com/articles/dyno-metadata
        """
        commit = (release.slug.commit if release.slug else None) or ""
        return {
            "PYTHONUNBUFFERED": "true",
            "HEROKU_APP_NAME": self.app_name,
            "HEROKU_RELEASE_VERSION": f"v{release.version}",
            "HEROKU_SLUG_COMMIT": commit,
            **release.config_vars,
            "DYNO": dyno,
            **extra,
        }

    def image(self, release: Release) -> Image:
        """Return a release's slug as the tree the runtime starts processes in."""
        assert release.slug is not None, "a release without a slug has no processes"
        return Image(
            digest=release.slug.checksum.lower(), root=release.slug.root, workdir="/app", env={}, entrypoint=(),
            command=(), labels={}, port=CONTAINER_PORT, created=release.slug.created,
        )  # fmt: skip

    def create(
        self, release: Release, *, type_: str, command: str, size: str = "Standard-1X", number: int | None = None
    ) -> Dyno:
        """Return a dyno that is not launched yet; without a ``number`` it is a one-off such as ``run.4821``."""
        now = self.clock()
        name = f"{type_}.{random.randint(1000, 9999) if number is None else number}"
        return Dyno(
            created=now, updated=now, name=name, type=type_, command=command, size=size, release=release,
            one_off=number is None,
        )  # fmt: skip

    def launch(self, dyno: Dyno, *, env: Mapping[str, str], output: Stream | None = None) -> Instance:
        """Start a dyno's process: a web dyno listens, any other just runs. ``output`` gets a copy of what it writes."""

        def log(stream: Literal["stdout", "stderr"], line: str) -> None:  # noqa: ARG001 - one log holds both
            self.say("app", dyno.name, line)
            if output is not None:
                output.write(line)

        self.say("heroku", dyno.name, f"Starting process with command `{dyno.command}`")
        environ = self.environ(dyno.release, dyno.name, env)
        line = ("/bin/bash", "-c", dyno.command)
        image = self.image(dyno.release)
        if dyno.type == "web":
            dyno.instance = self.runtime.serve(
                image, command=line[:1], args=line[1:], env=environ, port=CONTAINER_PORT, files={}, log=log
            )
        else:
            dyno.instance = self.runtime.run(image, command=line[:1], args=line[1:], env=environ, files={}, log=log)
        threading.Thread(target=self._watch, args=(dyno, dyno.instance), daemon=True).start()
        return dyno.instance

    def stop(self, dyno: Dyno) -> None:
        """Stop a dyno for good."""
        self.move(dyno, "down")
        if dyno.instance is not None:
            dyno.instance.stop()

    def move(self, dyno: Dyno, state: DynoState, words: str = "") -> None:
        """Change a dyno's state, unless it is already stopped for good."""
        with self.changed:
            if dyno.state in {"down", state}:
                return
            before, dyno.state, dyno.updated = dyno.state, state, self.clock()
            self.changed.notify_all()
        self.say("heroku", dyno.name, f"State changed from {before} to {words or state}")

    def _watch(self, dyno: Dyno, instance: Instance) -> None:
        """Follow a process from its start to its end. A crashed dyno stays crashed: restarts are not modelled."""
        limit = time.monotonic() + self.boot_timeout
        while dyno.type == "web" and instance.alive() and not listens(instance.port):
            if time.monotonic() > limit:
                self.say(
                    "heroku",
                    dyno.name,
                    "Error R10 (Boot timeout) -> Web process failed to bind to $PORT within "
                    f"{self.boot_timeout:g} seconds of launch",
                )
                instance.stop()
                break
            time.sleep(CRASH_WATCH)
        if dyno.type != "web" or instance.alive():
            self.move(dyno, "up")
        while (status := instance.wait(1.0)) is None:
            time.sleep(CRASH_WATCH)  # an instance without a process may answer at once that it still runs
        if dyno.state != "down":
            self.say("heroku", dyno.name, f"Process exited with status {status}")
            self.move(dyno, "down" if dyno.one_off else "crashed", "complete" if dyno.one_off else "")
        if dyno.one_off:
            self.ended(dyno)


def listens(port: int) -> bool:
    """Say whether a port of loopback takes connections."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
