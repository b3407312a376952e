"""Releases: what a build made is awaited, and an older one is brought back.

A release runs the app's release phase first; if that fails, the release before stays in place (Dev Center, "Release
Phase"). A rollback is a release too: it has the older one's code *and* config vars, and runs the release phase again.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bot.core.plan import Restore
from bot.core.target import Absent, Broken, Done, Known, Observation, Running
from bot.targets.heroku_api import Platform
from bot.targets.heroku_build import Builds
from bot.targets.heroku_model import SERVICE, Dyno, Formation, Marks, Release

LOOKED_AT = 50  # newest releases that are looked at
_STAY = 3.0  # seconds that new code has to stay up: a server may bind its port first and then fail to load the app
_UP = frozenset({"up", "idle"})  # an Eco dyno that sleeps is idle

A = TypeVar("A")
B = TypeVar("B")


class Releases:
    """Releases of one app."""

    def __init__(self, platform: Platform, app: str, builds: Builds) -> None:
        self._platform, self._app, self._builds = platform, app, builds
        self._up_since: dict[str, float] = {}  # release id -> when all its dynos were first seen up

    def newest(self) -> list[Release]:
        """Return the newest releases, newest first."""
        return self._platform.newest(
            "list the releases", Release, "apps", self._app, "releases", by="version", limit=LOOKED_AT
        )

    def link(self, release: Release) -> str:
        """Return the page of a release on Heroku's dashboard."""
        return f"https://dashboard.heroku.com/apps/{self._app}/activity/releases/{release.id}"

    # -- the release that the build made --------------------------------------------------------------------
    def observe_rollout(self, known: Known) -> Observation:
        """Look at the release of the release's slug, and then at its dynos. One call, three once it is current."""
        slug = known.artifact.reference if known.artifact else ""
        releases = self.newest()
        mine = [release for release in releases if slug and release.slug_id == slug]
        if not mine:
            return Running(detail="waiting for the release")
        newest, current = mine[0], current_of(releases)
        if newest.status == "pending":
            return self._phase(newest)
        if current is not None and current.slug_id == slug:
            return self._settled(current)
        if newest.status != "succeeded":
            return Broken(handle=newest.name, detail=_failed(newest, current), link=self.link(newest))
        if current is not None and current.version > newest.version:
            detail = f"{newest.name} was released, but {current.name}, which is not of this release, took its place."
            return Broken(handle=newest.name, detail=detail, link=self.link(newest))
        return Running(handle=newest.name, detail=f"{newest.name} takes its place", link=self.link(newest))

    # -- the way back ---------------------------------------------------------------------------------------
    def observe_restore(self, step: Restore, known: Known) -> Observation:
        """Ask whether the recorded code serves, and nothing is under way that would change that."""
        wanted = step.to.service(SERVICE)
        if not wanted.exists or not wanted.digest:
            return Done(detail="There was no release before: nothing to go back to.")
        releases, unreleased = both(self.newest, lambda: self._unreleased(known))
        pending = next((release for release in releases if release.status == "pending"), None)
        if pending is not None:
            return self._phase(pending)
        if unreleased and not any(release.slug_id == unreleased for release in releases):
            # Heroku releases what it has built, whatever happened here in the meantime.
            return Running(detail="waiting for the build, which Heroku releases when it ends")
        current = current_of(releases)
        if current is not None and current.slug_id == wanted.digest:
            return self._restored(current, wanted.revision, releases)
        failed = self._failed_rollback(releases, wanted.digest, known)
        if failed is not None:
            return Broken(handle=failed.name, detail=_failed(failed, current), link=self.link(failed))
        return Absent()

    def apply_restore(self, step: Restore) -> Running:
        """Roll back to the recorded release. Two calls; the second makes a release."""
        revision = step.to.service(SERVICE).revision
        path = ("apps", self._app, "releases")
        old = self._platform.get("get the recorded release", Release, *path, revision.removeprefix("v"))
        new = self._platform.send("roll back", Release, *path, body={"release": old.id})
        return self._phase(new)

    def _phase(self, release: Release) -> Running:
        return Running(handle=release.name, detail=f"{release.name}: release phase", link=self.link(release))

    def _restored(self, current: Release, recorded: str, releases: list[Release]) -> Done | Broken | Running:
        if current.name == recorded:
            newer = next((release for release in releases if release.version > current.version), None)
            why = f": {newer.name} never served" if newer else ""
            return Done(handle=current.name, detail=f"{current.name} still serves{why}", link=self.link(current))
        started = self._started(current)
        if not isinstance(started, Done):
            return started
        again = "; its release phase ran again" if current.output_stream_url else ""
        return Done(
            handle=current.name,
            detail=f"{current.name} has the code and config vars of {recorded}{again}",
            link=self.link(current),
        )

    def _unreleased(self, known: Known) -> str:
        """Return the slug of the release's own build that will be released, ``"pending"`` while it has none.

        ``""`` when there is no such build.
        """
        marks = Marks.of(known)
        own = next((build for build in self._builds.newest() if marks.is_own(build, known.release.sha)), None)
        if own is None or own.status not in {"pending", "succeeded"}:
            return ""
        return own.slug_id or ("pending" if own.status == "pending" else "")

    def _failed_rollback(self, releases: list[Release], slug: str, known: Known) -> Release | None:
        """Return this run's attempt to bring a slug back, if it failed. Older attempts do not count."""
        last = Marks.of(known).last_release
        return next(
            (
                r
                for r in releases
                if r.version > last and r.slug_id == slug and r.status not in {"pending", "succeeded"}
            ),
            None,
        )

    # -- dynos ----------------------------------------------------------------------------------------------
    def crashed(self) -> list[Dyno]:
        """Return the dynos that are down because their process ended."""
        return [dyno for dyno in self._dynos() if dyno.state == "crashed"]

    def _dynos(self) -> list[Dyno]:
        return self._platform.get("list the dynos", list[Dyno], "apps", self._app, "dynos")

    def _formation(self) -> list[Formation]:
        return self._platform.get("get the formation", list[Formation], "apps", self._app, "formation")

    def _settled(self, release: Release) -> Done | Broken | Running:
        """Ask whether every dyno has been up for a while."""
        started = self._started(release)
        if not isinstance(started, Done):
            return started
        now = self._platform.clock()
        if now - self._up_since.setdefault(release.id, now) >= _STAY:
            return started
        return Running(handle=started.handle, detail=f"{started.detail}: staying up?", link=started.link, serves=True)

    def _started(self, release: Release) -> Done | Broken | Running:
        """Ask whether every dyno of the formation runs a release. One-off dynos are of no process type of it."""
        dynos, formation = both(self._dynos, self._formation)
        wanted = {item.type: item.quantity for item in formation if item.quantity}
        running = [dyno for dyno in dynos if dyno.type in wanted and dyno.release.version >= release.version]
        handle, link = release.name, self.link(release)
        crashed = [dyno for dyno in running if dyno.state == "crashed"]
        if crashed:
            names = ", ".join(sorted(dyno.name for dyno in crashed))
            seen = " Visitors get H10 (App crashed)." if any(dyno.type == "web" for dyno in crashed) else ""
            detail = f"{names} crashed while starting {release.name}.{seen}"
            return Broken(detail=detail, handle=handle, link=link, serves=True)
        up = {type_: sum(d.type == type_ and d.state in _UP for d in running) for type_ in wanted}
        detail = ", ".join(f"{type_} {up[type_]}/{quantity}" for type_, quantity in sorted(wanted.items()))
        if any(up[type_] < quantity for type_, quantity in wanted.items()):
            return Running(detail=f"{release.name}: starting dynos ({detail})", handle=handle, link=link, serves=True)
        return Done(detail=f"{release.name} ({detail or 'no dynos'})", handle=handle, link=link)


def current_of(releases: list[Release]) -> Release | None:
    """Return the release that serves."""
    return next((release for release in releases if release.current), None)


def both(first: Callable[[], A], second: Callable[[], B]) -> tuple[A, B]:
    """Make two calls at the same time."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        later = pool.submit(second)
        return first(), later.result()


def _failed(release: Release, current: Release | None) -> str:
    still = f"; {current.name} still serves" if current is not None and current.slug_id else ""
    return f"The release phase of {release.name} failed{still}."
