"""One app: its releases in order, what they run, and the address the public sees.

Rules and their grounds:

- A build that succeeds, a change of config vars, a rollback and a release made through the API each make a release,
  and each runs the Procfile's ``release`` command in a one-off dyno first. If it fails, the release before stays in
  place and is "unaffected": https://devcenter.heroku.com/articles/release-phase
- A release is slug and config vars together, so a rollback brings both back:
  https://devcenter.heroku.com/articles/releases
- Pending releases are not queued behind each other (heroku/heroku-apps#197: that "project never came to be"), so the
  newest version that succeeded is current, whichever ended last.
- Assumed, not documented: after a failed release, ``config-vars`` still shows that release's values.
"""

from __future__ import annotations

import json
import random
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from bot.sandbox.heroku import slugs
from bot.sandbox.heroku.dynos import Dyno, Launcher
from bot.sandbox.heroku.model import REGION, STACK, USER, Build, Domain, Formation, Json, Release, Resource, Slug, stamp
from bot.sandbox.heroku.streams import Stream, StreamServer
from bot.sandbox.runtime import Gateway, GatewayRequest, Instance, Runtime

RELEASE_PHASE_TIMEOUT = 3600.0  # seconds; "a 1-hour timeout, and this limit cannot be extended" (release-phase article)


class App(Resource):
    """An app and everything that belongs to it. Thread-safe."""

    def __init__(
        self, name: str, *, root: Path, runtime: Runtime, streams: StreamServer, clock: Callable[[], float]
    ) -> None:
        now = clock()
        super().__init__(created=now, updated=now)
        self.name, self.root, self.streams, self.clock = name, root, streams, clock
        self.lock = threading.RLock()
        self.launcher = Launcher(runtime, clock, name)
        self.launcher.ended = self._forget
        self.release_timeout = RELEASE_PHASE_TIMEOUT
        self.maintenance = False
        self.releases: list[Release] = []
        self.builds: list[Build] = []
        self.slugs: dict[str, Slug] = {}
        self.dynos: list[Dyno] = []
        self.formation: dict[str, Formation] = {}
        self.first_formation: Mapping[str, int] = {"web": 1}
        self.domains = [Domain(created=now, updated=now, hostname=f"{name}.herokuapp.com")]
        self.released: float | None = None
        self.gateway = Gateway(self.pick, self._gate, observe=self._route_log)
        self.stopped = False
        root.mkdir(parents=True, exist_ok=True)

    # -- looking --------------------------------------------------------------------------------------------
    @property
    def ref(self) -> Json:
        """The app as other resources mention it."""
        return {"id": self.id, "name": self.name}

    @property
    def current(self) -> Release | None:
        """The newest release that succeeded."""
        with self.lock:
            return next((release for release in reversed(self.releases) if release.status == "succeeded"), None)

    @property
    def config_vars(self) -> dict[str, str]:
        """The config vars of the newest release."""
        with self.lock:
            return dict(self.releases[-1].config_vars) if self.releases else {}

    def release_json(self, release: Release) -> Json:
        """Return a release as the API shows it."""
        return release.to_json(current=release is self.current)

    def to_json(self) -> Json:
        current = self.current
        return self.base() | {
            "acm": False,
            "archived_at": None,
            "build_stack": STACK,
            "buildpack_provided_description": "Python" if current and current.slug else None,
            "git_url": f"https://git.heroku.com/{self.name}.git",
            "internal_routing": None,
            "maintenance": self.maintenance,
            "name": self.name,
            "organization": None,
            "owner": USER,
            "region": REGION,
            "released_at": None if self.released is None else stamp(self.released),
            "repo_size": None,
            "slug_size": current.slug.size if current and current.slug else None,
            "space": None,
            "stack": STACK,
            "team": None,
            "web_url": f"{self.gateway.url}/",
        }

    def pick(self) -> Instance | None:
        """Choose a web dyno for a request. Requests wait while dynos boot; a crashed one gets none (H10)."""

        def settled() -> bool:
            web = self._web()
            return self.stopped or not web or any(dyno.state != "starting" for dyno in web)

        with self.launcher.changed:
            self.launcher.changed.wait_for(settled, self.launcher.boot_timeout)
        ready = [dyno.instance for dyno in self._web() if dyno.state == "up" and dyno.instance is not None]
        return random.choice(ready) if ready else None

    def _web(self) -> list[Dyno]:
        return [dyno for dyno in list(self.dynos) if dyno.type == "web"]

    def _gate(self, _headers: Mapping[str, str]) -> int | None:
        """Maintenance mode answers 503 to everybody: https://devcenter.heroku.com/articles/maintenance-mode."""
        return 503 if self.maintenance else None

    def _route_log(self, request: GatewayRequest) -> None:
        """Write the router's line; codes: https://devcenter.heroku.com/articles/error-codes."""
        served = next((dyno.name for dyno in self._web() if dyno.instance is request.instance), "")
        at = "info"
        if self.maintenance:
            at = 'info code=H80 desc="Maintenance mode"'
        elif request.instance is None:
            at = (
                'error code=H10 desc="App crashed"' if self._web() else 'error code=H14 desc="No web processes running"'
            )
        words = (
            f"at={at} method={request.method} path={json.dumps(request.path)} dyno={served if request.instance else ''}"
        )
        service = f"service={round(request.seconds * 1000)}ms status={request.status} bytes={request.response_size}"
        self.launcher.say("heroku", "router", f"{words} {service}")

    # -- builds ---------------------------------------------------------------------------------------------
    def build(self, *, url: str, version: str | None, checksum: str | None) -> Json:
        """Start a build in a thread and return it as it was then: pending."""
        now, output = self.clock(), Stream()
        build = Build(
            created=now, updated=now, app_id=self.id, url=url, version=version, checksum=checksum, output=output,
            output_url=self._publish("streams", output),
        )  # fmt: skip
        with self.lock:
            self.builds.append(build)
        pending = build.to_json()
        threading.Thread(target=self._run_build, args=(build,), daemon=True).start()
        return pending

    def _run_build(self, build: Build) -> None:
        folder = self.root / "builds" / build.id
        folder.mkdir(parents=True)
        try:
            checksum = slugs.fetch(build.url, folder / "source.tgz", checksum=build.checksum)
            slugs.unpack(folder / "source.tgz", folder / "app")
            types = slugs.compile_app(folder / "app", self.config_vars, build.output.write)
        except slugs.BuildError as error:
            build.output.write(f" !     {error}")
            build.output.write(" !     Push failed")
            self._end_build(build, None)
            shutil.rmtree(folder, ignore_errors=True)
            return
        now = self.clock()
        slug = Slug(
            created=now, updated=now, root=folder, commit=build.version, process_types=types, checksum=checksum,
            size=slugs.size_of(folder / "app"),
        )  # fmt: skip
        (folder / "source.tgz").unlink()
        self._end_build(build, slug)

    def _end_build(self, build: Build, slug: Slug | None) -> None:
        """End a build. Its status speaks of the slug only; the release it made may still be pending, and fail."""
        with self.lock:
            if slug is not None:
                self.slugs[slug.id] = slug
                release = self.release(f"Deploy {(build.version or build.id)[:8]}", slug, self.config_vars)
                build.slug_id, build.release_id = slug.id, release.id
                build.output.write("-----> Launching...")
                build.output.write(f"       Released v{release.version}")
            build.status, build.updated = ("succeeded" if slug else "failed"), self.clock()
        build.output.close()

    # -- releases -------------------------------------------------------------------------------------------
    def release(self, description: str, slug: Slug | None, config_vars: Mapping[str, str]) -> Release:
        """Make the next release. With a ``release`` process type it is pending until that command has ended."""
        command = slug.process_types.get("release") if slug else None
        now = self.clock()
        with self.lock:
            release = Release(
                created=now, updated=now, app_id=self.id, app_name=self.name, version=len(self.releases) + 1,
                description=description, slug=slug, config_vars=dict(config_vars),
            )  # fmt: skip
            self.releases.append(release)
            if command is None:
                self._end_release(release, succeeded=True)
                return release
            output = Stream()
            release.output_url = self._publish("releases", output)
            dyno = self.launcher.create(release, type_="release", command=command)
            self.dynos.append(dyno)
        threading.Thread(target=self._release_phase, args=(dyno, output), daemon=True).start()
        return release

    def _release_phase(self, dyno: Dyno, output: Stream) -> None:
        instance = self.launcher.launch(dyno, env={}, output=output)
        status = instance.wait(self.release_timeout)
        if status is None:
            instance.stop()
        self._end_release(dyno.release, succeeded=status == 0)
        output.close()

    def _end_release(self, release: Release, *, succeeded: bool) -> None:
        with self.lock:
            release.status, release.updated = ("succeeded" if succeeded else "failed"), self.clock()
            if self.stopped or not succeeded or self.current is not release or release.slug is None:
                return
            self.released = self.clock()
            self._form(release.slug)
            old = [dyno for dyno in self.dynos if not dyno.one_off]
            for kind in self.formation.values():
                self._start_dynos(kind, release)
            for dyno in old:
                self._drop(dyno)

    def _form(self, slug: Slug) -> None:
        """Fit the formation to a slug's process types: quantities stay; a new ``web`` gets one dyno, others none."""
        now = self.clock()
        for type_, command in slug.process_types.items():
            if type_ == "release":
                continue
            if type_ in self.formation:
                self.formation[type_].command = command
                continue
            quantity = self.first_formation.get(type_, 1 if type_ == "web" else 0)
            self.formation[type_] = Formation(created=now, updated=now, type=type_, command=command, quantity=quantity)
        for gone in set(self.formation) - set(slug.process_types):
            del self.formation[gone]

    def set_config(self, changes: Mapping[str, str | None]) -> Release | None:
        """Apply changes (``None`` removes) as one release; nothing changed makes none."""
        with self.lock:
            before = self.config_vars
            merged = {**before, **changes}
            after = {key: value for key, value in merged.items() if value is not None}
            if after == before:
                return None
            put = sorted(key for key, value in after.items() if before.get(key) != value)
            gone = sorted(set(before) - set(after))
            words = [f"Set {', '.join(put)} config vars"] if put else []
            words += [f"Remove {', '.join(gone)} config vars"] if gone else []
            newest = self.releases[-1].slug if self.releases else None
            return self.release("; ".join(words), newest, after)

    # -- dynos ----------------------------------------------------------------------------------------------
    def scale(self, kind: Formation, *, quantity: int | None, size: str | None) -> None:
        """Change a process type's dynos. It makes no release."""
        with self.lock:
            kind.quantity = kind.quantity if quantity is None else quantity
            resized, kind.size = size not in {None, kind.size}, size or kind.size
            kind.updated = self.clock()
            running = [dyno for dyno in self.dynos if dyno.type == kind.type]
            for dyno in running if resized else running[kind.quantity :]:
                self._drop(dyno)
            if (current := self.current) is not None:
                self._start_dynos(kind, current, keep=[] if resized else running[: kind.quantity])

    def _start_dynos(self, kind: Formation, release: Release, *, keep: list[Dyno] | None = None) -> None:
        """Launch the dynos of one process type that ``keep`` does not have yet."""
        taken = {dyno.name for dyno in keep or []}
        for number in range(1, kind.quantity + 1):
            if f"{kind.type}.{number}" not in taken:
                dyno = self.launcher.create(
                    release, type_=kind.type, command=kind.command, size=kind.size, number=number
                )
                self.dynos.append(dyno)
                self.launcher.launch(dyno, env={})

    def run(self, command: str, *, env: Mapping[str, str], size: str, type_: str) -> Dyno:
        """Start a one-off dyno on the current release, detached.

        Raises:
            LookupError: no release with a slug runs.
        """
        current = self.current
        if current is None or current.slug is None:
            raise LookupError("the app has no code yet")
        dyno = self.launcher.create(current, type_=type_, command=command, size=size)
        with self.lock:
            self.dynos.append(dyno)
        self.launcher.launch(dyno, env=env)
        return dyno

    def restart(self, dyno: Dyno) -> None:
        """Stop a dyno and, unless it is a one-off, start it again under its name."""
        with self.lock:
            self._drop(dyno)
            kind, current = self.formation.get(dyno.type), self.current
            if kind is not None and current is not None:
                keep = [other for other in self.dynos if other.type == dyno.type]
                self._start_dynos(kind, current, keep=keep)

    def _forget(self, dyno: Dyno) -> None:
        """Take a dyno off the list: one that has ended is no longer shown."""
        with self.lock:
            if dyno in self.dynos:
                self.dynos.remove(dyno)

    def _drop(self, dyno: Dyno) -> None:
        self._forget(dyno)
        self.launcher.stop(dyno)

    def stop(self) -> None:
        """Stop everything that runs."""
        self.stopped = True
        for dyno in list(self.dynos):
            self._drop(dyno)
        self.gateway.stop()
        self.launcher.log.close()

    def _publish(self, kind: str, stream: Stream) -> str:
        return self.streams.publish(kind, lambda: stream.follow(open_=lambda: self.streams.open))
