"""An application on Heroku: the :class:`bot.core.target.Target` of a :class:`bot.core.spec.HerokuSpec`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_never

from bot.core.plan import Applied, Build, Restore, Rollout, RunJob, Shift
from bot.core.serving import ServiceState, Serving, TrafficShare
from bot.core.spec import HerokuSpec
from bot.core.target import Diagnosis, Done, Exposure, Known, Observation, Phase, Running, Source, Traits
from bot.core.words import short
from bot.errors import NotFoundError, SlipwayError, UpstreamError
from bot.targets import heroku_logs
from bot.targets.heroku_api import KEY_HINT, Platform
from bot.targets.heroku_build import Builds
from bot.targets.heroku_model import SERVICE, App, Marks, Release, Slug
from bot.targets.heroku_releases import Releases, both, current_of

if TYPE_CHECKING:
    from bot.core.canary import Observed
    from bot.core.changes import Preview
    from bot.core.questions import Finding, LogLine, LogQuery


def connect(
    spec: HerokuSpec,
    *,
    source: Source,
    environ: Mapping[str, str],
    oidc: Callable[[str], str] | None = None,  # noqa: ARG001 - Heroku has no federation: its login is a key
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    timeout: float = 20.0,
) -> HerokuApp:
    """Return the adapter. Makes no call. Raises SettingsError for an endpoint that is not allowed."""
    return HerokuApp(Platform(environ=environ, clock=clock, sleep=sleep, timeout=timeout), spec, source)


class HerokuApp:
    """One app: builds, releases and dynos. Its single service has the key ``app``."""

    def __init__(self, platform: Platform, spec: HerokuSpec, source: Source) -> None:
        self._platform, self._name = platform, spec.app
        self._builds = Builds(platform, spec.app, source)
        self._releases = Releases(platform, spec.app, self._builds)
        self._commits: dict[str, str] = {}  # slug id -> commit: slugs never change

    @property
    def traits(self) -> Traits:
        """What planning has to know."""
        return Traits(kind="heroku", separate_build=False, traffic_split=False, jobs=False)

    @property
    def upkeep(self) -> None:
        """Nothing: Heroku keeps its releases itself."""
        return

    @property
    def registry(self) -> None:
        """None: a slug lies in no registry."""

    def serving(self) -> Serving:
        """Ask what the app serves now. Three calls at once, and one for a slug not seen before.

        The settings hold the marks by which a release that starts now will know its own builds and releases.
        """
        try:
            app, (releases, builds) = both(self._app, lambda: both(self._releases.newest, self._builds.newest))
        except NotFoundError:
            return Serving(services=(ServiceState(service=SERVICE, exists=False),))
        current = current_of(releases)
        settings = {"maintenance": app.maintenance, **Marks.taken(releases, builds).model_dump(mode="json")}
        state = ServiceState(service=SERVICE, exists=False, url=_url(app), settings=settings)
        if current is not None and current.slug_id:
            state = self._state(state, current)
        return Serving(services=(state,))

    def newest_secrets(self, *, pinned: bool) -> Mapping[str, str]:  # noqa: ARG002
        """Return ``{}``: config vars belong to a release already."""
        return {}

    def traffic(self, service: str, since: float, until: float) -> Mapping[str, Observed]:  # noqa: ARG002
        """Return ``{}``: one release at a time has all requests."""
        return {}

    def error_lines(self, service: str, revisions: Collection[str], since: float, until: float) -> int:  # noqa: ARG002
        """Return 0: a log of Heroku's does not tell releases apart."""
        return 0

    def log_link(self, query: LogQuery) -> str:  # noqa: ARG002
        """Return where people read the app's log, whatever they look for."""
        return f"https://dashboard.heroku.com/apps/{self._name}/logs"

    def log_lines(self, query: LogQuery) -> tuple[LogLine, ...]:
        """Return the newest lines of the app. A line of Heroku's has no severity, and tells no release."""
        return heroku_logs.newest(self._platform, self._name, since=datetime.fromtimestamp(query.since, UTC))

    def examine(self) -> tuple[Finding, ...]:
        """Ask for the app, its releases and its builds with the key."""
        from bot.core.questions import Finding  # noqa: PLC0415 - only `/doctor` wants it

        reads: tuple[tuple[str, Callable[[], object]], ...] = (
            (f"the app `{self._name}`", self._app),
            ("its releases", self._releases.newest),
            ("its builds", self._builds.newest),
        )
        findings = []
        for what, read in reads:
            try:
                read()
            except SlipwayError as error:
                findings.append(Finding(what=what, well=False, found=error.message, todo=error.hint or KEY_HINT))
                break  # the others would say the same
            findings.append(Finding(what=what, well=True, found="can be read"))
        return tuple(findings)

    def preview(self, jobs: Collection[str], known: Known) -> Preview:  # noqa: ARG002
        """Say which commit takes the place of which, and how many dynos are restarted."""
        from bot.core.changes import Change, Preview  # noqa: PLC0415 - only a dry run shows them

        state = self.serving().service(SERVICE)
        serves = state.labels.get(state.revision, {}).get("slipway-sha", "")
        before = f"{state.revision} ({short(serves)})" if serves else state.revision
        change = Change(where=SERVICE, what="release", before=before, after=f"a build of {short(known.release.sha)}")
        return Preview(changes=(change,))

    def observe(self, step: Applied, known: Known) -> Observation:
        """Ask how far a step is."""
        match step:
            case Build():
                return self._builds.observe(known)
            case Rollout():
                return self._releases.observe_rollout(known)
            case Restore():
                return self._releases.observe_restore(step, known)
            case RunJob() | Shift():
                raise _not_ours(step)
            case _:
                assert_never(step)

    def apply(self, step: Applied, known: Known) -> Running | Done:
        """Start a step. A rollout needs nothing: the build has made the release."""
        match step:
            case Build():
                return self._builds.apply(known)
            case Rollout():
                return Running(detail="waiting for the release")
            case Restore():
                return self._releases.apply_restore(step)
            case RunJob() | Shift():
                raise _not_ours(step)
            case _:
                assert_never(step)

    def cancel(self, step: Applied, known: Known) -> None:
        """Say that a build under way goes on. Raises UpstreamError then: the API has no call that ends one.

        (The Platform API reference lists create, info, list and the deletion of the cache for builds.)
        """
        if isinstance(step, Build) and isinstance(self._builds.observe(known), Running):
            raise UpstreamError(
                "Heroku's API cannot cancel a build. It goes on, and is released if it succeeds.",
                service="Heroku",
                operation="cancel the build",
            )

    def diagnose(self, step: Applied, known: Known) -> Diagnosis:
        """Read why a step failed from the output and logs. Never raises."""
        try:
            return self._diagnose_build(known) if isinstance(step, Build) else self._diagnose_release(known)
        except SlipwayError:
            return Diagnosis()

    def endpoint(self, service: str, phase: Phase, known: Known) -> str:  # noqa: ARG002
        """Return the app's URL. There is no candidate beside it."""
        return "" if phase == "candidate" else _url(self._app())

    def authorization(self, service: str, url: str) -> Mapping[str, str]:  # noqa: ARG002
        """Return ``{}``: the router lets everybody in."""
        return {}

    def exposure(self, service: str) -> Exposure:  # noqa: ARG002
        """Return that everybody reaches the app (apps outside of Private Spaces)."""
        return Exposure(public=True, ingress="all")

    def _app(self) -> App:
        return self._platform.get("get the app", App, "apps", self._name)

    def _state(self, state: ServiceState, current: Release) -> ServiceState:
        commit = self._commit(current.slug_id)
        return ServiceState(
            service=state.service,
            url=state.url,
            traffic=(TrafficShare(revision=current.name, percent=100),),
            digests={current.name: current.slug_id},
            labels={current.name: {"slipway-sha": commit} if commit else {}},
            settings=state.settings,
        )

    def _commit(self, slug: str) -> str:
        if slug not in self._commits:
            found = self._platform.get("get the slug", Slug, "apps", self._name, "slugs", slug)
            self._commits[slug] = found.commit or ""
        return self._commits[slug]

    def _diagnose_build(self, known: Known) -> Diagnosis:
        build = self._builds.own(known)
        if build is None:
            return Diagnosis()
        return heroku_logs.of_build(self._platform, build, self._builds.link(build))

    def _diagnose_release(self, known: Known) -> Diagnosis:
        """Read the output of the newest release's phase if that failed, else the log of its dynos."""
        last = Marks.of(known).last_release
        newest = next((release for release in self._releases.newest() if release.version > last), None)
        if newest is None:
            return Diagnosis()
        link = self._releases.link(newest)
        if newest.status not in {"pending", "succeeded"}:
            return heroku_logs.of_release_phase(self._platform, newest, link)
        crashed = next((dyno.name for dyno in self._releases.crashed()), "")
        return heroku_logs.of_dynos(self._platform, self._name, since=newest.created_at, crashed=crashed, link=link)


def _url(app: App) -> str:
    return (app.web_url or "").rstrip("/")


def _not_ours(step: RunJob | Shift) -> TypeError:
    return TypeError(f"{step.id}: an app on Heroku has no such step")
