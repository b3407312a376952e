"""An application on Cloud Run: the :class:`bot.core.target.Target` of a :class:`bot.core.spec.CloudRunSpec`."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, assert_never
from urllib.parse import urlsplit

from bot.core.plan import Applied, Build, Restore, Rollout, RunJob, Shift
from bot.core.serving import Serving
from bot.core.spec import CloudRunSpec
from bot.core.target import Diagnosis, Done, Exposure, Known, Observation, Others, Phase, Running, Source, Traits
from bot.core.upkeep import Upkeep
from bot.errors import SlipwayError
from bot.targets import Logins, cloud_logging, run_rollout, run_shift, secret_versions
from bot.targets.google import Google
from bot.targets.parallel import together
from bot.targets.run_jobs import Jobs
from bot.targets.run_services import Services
from bot.targets.run_template import revision_name

if TYPE_CHECKING:
    from bot.core.canary import Observed
    from bot.core.changes import Preview
    from bot.core.images import Images
    from bot.core.questions import Finding, LogLine, LogQuery
    from bot.targets.cloud_build import Builds

_REMEMBERED = 10.0  # seconds that a service's address and audience are kept between probes


def connect(
    spec: CloudRunSpec,
    *,
    source: Source,
    others: Others | None = None,
    environ: Mapping[str, str],
    oidc: Callable[[str], str] | None,
    logins: Logins | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    timeout: float = 20.0,
) -> CloudRun:
    """Return the adapter. Makes no call. Raises SettingsError for an endpoint that is not allowed."""
    google = Google(
        project=spec.project,
        region=spec.region,
        auth=spec.auth,
        environ=environ,
        oidc=oidc,
        logins=logins,
        clock=clock,
        sleep=sleep,
        timeout=timeout,
    )
    return CloudRun(google, spec, source, others)


class CloudRun:
    """Services, jobs and builds of one environment."""

    def __init__(self, google: Google, spec: CloudRunSpec, source: Source, others: Others | None = None) -> None:
        self._google, self._spec = google, spec
        self._services, self._jobs = Services(google, spec), Jobs(google, spec)
        self._source, self._others = source, others
        self._addresses: dict[tuple[str, str, str], str] = {}
        self._audiences: dict[str, tuple[str, float]] = {}

    @cached_property
    def _builds(self) -> Builds:
        from bot.targets.cloud_build import Builds  # noqa: PLC0415 - see Google.builds

        return Builds(self._google, self._spec, self._source, self._others)

    @property
    def traits(self) -> Traits:
        """What planning has to know."""
        return Traits(kind="cloud_run", separate_build=True, traffic_split=True, jobs=True)

    @cached_property
    def upkeep(self) -> Upkeep:
        """What the bot has made here."""
        from bot.targets.run_upkeep import RunUpkeep  # noqa: PLC0415 - a release needs it last of all, if at all

        return RunUpkeep(self._services)

    @cached_property
    def registry(self) -> Images:
        """The images in Artifact Registry."""
        from bot.targets.google_images import GoogleImages  # noqa: PLC0415 - wanted only once a release is verified

        return GoogleImages(self._google)

    def serving(self) -> Serving:
        """Ask what every configured service serves now, all at once."""
        keys = [service.key for service in self._spec.services]
        return Serving(services=tuple(together(self._services.state, keys)))

    def newest_secrets(self, *, pinned: bool) -> Mapping[str, str]:
        """Ask for the newest version of each secret, or of each that a release pins."""
        wanted = secret_versions.pinned_names(self._spec) if pinned else secret_versions.names(self._spec)
        return secret_versions.newest(self._google, wanted) if wanted else {}

    def traffic(self, service: str, since: float, until: float) -> Mapping[str, Observed]:
        """Return what requests got, by revision, as Cloud Monitoring shows it."""
        from bot.targets import cloud_monitoring  # noqa: PLC0415 - few releases compare versions

        spec = self._spec.service(service)
        return cloud_monitoring.traffic(self._google, spec.name, spec.region, since=since, until=until)

    def error_lines(self, service: str, revisions: Collection[str], since: float, until: float) -> int:
        """Count what some revisions logged as errors."""
        origin = self._services.origin(service)
        return cloud_logging.count_errors(self._google, origin, revisions, since=since, until=until)

    def log_link(self, query: LogQuery) -> str:
        """Return where people read what a query asks for."""
        return cloud_logging.link(self._google, cloud_logging.at_least(query, self._services.origin(query.service)))

    def log_lines(self, query: LogQuery) -> tuple[LogLine, ...]:
        """Return the newest of what a query asks for, oldest first."""
        return cloud_logging.newest(self._google, cloud_logging.at_least(query, self._services.origin(query.service)))

    def examine(self) -> tuple[Finding, ...]:
        """Ask for everything that a release needs here."""
        from bot.targets import google_examination  # noqa: PLC0415 - only `/doctor` wants it

        return google_examination.examine(self._google, self._services)

    def preview(self, jobs: Collection[str], known: Known) -> Preview:
        """Say what a release would change."""
        from bot.targets import run_preview  # noqa: PLC0415 - only a dry run shows them

        return run_preview.preview(self._services, self._jobs, self._builds, jobs, known)

    def observe(self, step: Applied, known: Known) -> Observation:
        """Ask how far a step is."""
        handle = known.handles.get(step.id, "")
        match step:
            case Build(promoted_from=there) if there:
                return self._builds.observe_promoted(step)
            case Build():
                return self._builds.observe(handle, known)
            case RunJob():
                return self._jobs.observe(step, handle, known)
            case Rollout():
                return run_rollout.observe(self._services, step, known)
            case Shift():
                return run_shift.observe_shift(self._services, step, known)
            case Restore():
                return run_shift.observe_restore(self._services, step, known)
            case _:
                assert_never(step)

    def apply(self, step: Applied, known: Known) -> Running | Done:
        """Start a step."""
        match step:
            case Build():
                return self._builds.apply(known)
            case RunJob():
                return self._jobs.apply(step, known)
            case Rollout():
                if self._spec.service(step.service).config.public is False:
                    threading.Thread(target=self._introduce, args=(step.service,), daemon=True).start()
                return run_rollout.apply(self._services, step, known)
            case Shift():
                return run_shift.apply_shift(self._services, step, known)
            case Restore():
                return run_shift.apply_restore(self._services, step, known)
            case _:
                assert_never(step)

    def prepare(self) -> None:
        """Log in, and import what the first steps need. What fails here is told by the step that needs it."""
        with suppress(Exception):
            self._google.log_in()
        importlib.import_module("bot.targets.cloud_build")
        importlib.import_module("google.cloud.storage")

    def _introduce(self, service: str) -> None:
        """Have a private service's identity token at hand when its candidate is ready: it takes three calls."""
        with suppress(SlipwayError):  # asked again, and told, when it is needed
            if self._services.get(service) is not None:
                self.authorization(service, "")

    def cancel(self, step: Applied, known: Known) -> None:
        """Stop the release's own build or execution; other steps end by themselves."""
        if not isinstance(step, Build | RunJob):
            return
        handle = self._handle(step, known)
        if not handle:
            return
        if isinstance(step, Build):
            self._builds.cancel(handle, known)
        else:
            self._jobs.cancel(handle)

    def diagnose(self, step: Applied, known: Known) -> Diagnosis:
        """Read why a step failed from the logs. Never raises."""
        try:
            query = self._query(step, known)
        except SlipwayError:
            query = ""
        return cloud_logging.diagnose(self._google, query) if query else Diagnosis()

    def endpoint(self, service: str, phase: Phase, known: Known) -> str:
        """Return the URL to probe: the tag's before traffic, the service's own after.

        The baseline is asked at a tag of its own where it has one (the one it was released under, mostly).
        """
        place = (service, phase, known.release.key)
        if not self._addresses.get(place):  # an address does not change once it is there
            self._addresses[place] = self._address(service, phase, known)
        return self._addresses[place]

    def _address(self, service: str, phase: Phase, known: Known) -> str:
        kind, found = self._services.kind(service), self._services.get(service)
        if found is None:
            return ""
        live = self._addresses[service, "live", known.release.key] = kind.address(found)
        if phase == "live":
            return live
        if phase == "baseline":
            former = known.before.service(service).revision
            return next((s.url for s in kind.shares(found) if s.revision == former and s.url), live)
        name = revision_name(self._spec.service(service).name, known.release)
        urls = (s.url for s in kind.shares(found) if s.tag == known.release.tag and s.revision == name)
        return next(urls, "")

    def authorization(self, service: str, url: str) -> Mapping[str, str]:
        """Return the header with an identity token for a private service, ``{}`` for a public one.

        It is ``X-Serverless-Authorization``, which Cloud Run looks at first ("Authenticating service-to-service",
        cloud.google.com/run/docs): ``Authorization`` stays free: to the application, a stranger asks.
        """
        audience = self._audience(service, url)
        token = self._google.identity.token(audience) if audience else ""
        return {"X-Serverless-Authorization": f"Bearer {token}"} if token else {}

    def exposure(self, service: str) -> Exposure:
        """Ask who can reach a service. Raises NotFoundError when there is none."""
        found = self._services.existing(service)
        public = self._services.public(service, found)
        return Exposure(public=bool(public), ingress=self._services.kind(service).ingress(found))

    def _audience(self, service: str, url: str) -> str:
        """Return the audience that a service wants, ``""`` if it is public. Asked again after some seconds.

        It is the service's own URL, also for the address of a tag (Cloud Run docs, service-to-service
        authentication), else a custom audience (run.v2 Service.customAudiences).
        """
        audience, until = self._audiences.get(service, ("", 0.0))
        if self._google.clock() >= until:
            found = self._services.existing(service)
            parts = urlsplit(url)
            own = self._services.kind(service).address(found) or next(iter(found.custom_audiences), "")
            private = self._services.public(service, found) is False
            audience = (own or f"{parts.scheme}://{parts.netloc}").rstrip("/") if private else ""
            self._audiences[service] = (audience, self._google.clock() + _REMEMBERED)
        return audience

    def _handle(self, step: Build | RunJob, known: Known) -> str:
        """Return the name of what a step started, looked up if the release did not get to know it."""
        handle = known.handles.get(step.id, "")
        if handle:
            return handle
        found = self.observe(step, known)
        return str(getattr(found, "handle", ""))

    def _query(self, step: Applied, known: Known) -> str:
        match step:
            case Build():
                handle = self._handle(step, known)
                return cloud_logging.of_build(handle) if handle else ""
            case RunJob():
                handle = self._handle(step, known)
                return cloud_logging.of_execution(handle) if handle else ""
            case Rollout():
                revision = revision_name(self._spec.service(step.service).name, known.release)
                return cloud_logging.of_revisions(self._services.origin(step.service), [revision])
            case Shift() | Restore():
                return self._any_revision(known)
            case _:
                assert_never(step)

    def _any_revision(self, known: Known) -> str:
        """Return the filter for the errors of all of the release's revisions: a failed check names no service."""
        types = {self._services.kind(spec.key).log_type for spec in self._spec.services}
        names = {revision_name(spec.name, known.release) for spec in self._spec.services}
        return cloud_logging.errors_of(types, names)
