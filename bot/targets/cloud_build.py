"""Builds: an image of the release's sha, found or made by Cloud Build. Everything after speaks of its digest."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from google.cloud.devtools import cloudbuild_v1

from bot.core.plan import Build
from bot.core.serving import Artifact
from bot.core.spec import CloudRunSpec
from bot.core.target import Absent, Broken, Done, Known, Observation, Others, Running, Source
from bot.errors import UpstreamError
from bot.targets import artifact_registry
from bot.targets.cloud_build_request import Overlaid, Upload, build_request, find_filter, is_of_release
from bot.targets.google import Google
from bot.targets.google_errors import change, read
from bot.targets.parallel import together
from bot.targets.source_upload import upload

Status = cloudbuild_v1.Build.Status
_UNDER_WAY = (Status.PENDING, Status.QUEUED, Status.WORKING)
_LOOKED_AT = 50  # builds of one sha and configuration that are looked at; more are never reached in practice


class Builds:
    """Builds of one specification."""

    def __init__(self, google: Google, spec: CloudRunSpec, source: Source, others: Others | None = None) -> None:
        self._google, self._spec, self._source, self._others = google, spec, source, others or _no_others

    def observe(self, handle: str, known: Known) -> Observation:
        """Look at the build of a name, or find one of the release's sha. Two calls at most."""
        if handle:
            return self._judge(self.get(handle), known)
        return self._find(known)

    def observe_promoted(self, step: Build) -> Done | Broken:
        """Look whether the image that is to be taken is still there. One call; nothing is ever built in its place."""
        artifact = step.promoted
        if artifact is None:
            return Broken(detail=f"No image of {step.promoted_from} is known.")
        if not artifact_registry.exists(self._google, artifact.reference):
            return Broken(
                detail=f"The image of {step.promoted_from}, {artifact.reference}, is not in its registry any more."
            )
        return Done(artifact=artifact, detail=f"{artifact.digest[:19]}, verified on {step.promoted_from}")

    def get(self, name: str) -> cloudbuild_v1.Build:
        """Return a build by its full name (the regional path: neither project nor id may be given beside it)."""
        client = self._google.builds
        build: cloudbuild_v1.Build = read(
            "get the build", lambda: client.get_build(request={"name": name}, retry=None, timeout=self._google.timeout)
        )
        return build

    def apply(self, known: Known) -> Running:
        """Start a build. Raises ConfigError for an unusable `cloudbuild.yaml`."""
        source, overlaid = self._sources(known)
        build_ = build_request(self._spec, known.release, source, overlaid)
        request = {"parent": self._google.location, "build": build_}
        client = self._google.builds
        operation = change(
            "start the build", lambda: client.create_build(request=request, retry=None, timeout=self._google.timeout)
        )
        build = operation.metadata.build if operation.metadata else cloudbuild_v1.Build()  # its tags find it as well
        return Running(handle=build.name, detail="queued", link=build.log_url)

    def _sources(self, known: Known) -> tuple[Upload | None, tuple[Overlaid, ...]]:
        """Have every source in Cloud Storage, all at once. A connected repository needs no upload."""
        spec = self._spec
        if spec.build.repository:
            return None, ()

        def one(name: str) -> Upload:
            if not name:
                return upload(self._google, spec, known.release.sha, self._source)
            return upload(self._google, spec, known.sources[name], self._others(name), repository=name)

        names = spec.build.overlay.repos if spec.build.overlay is not None else ()
        own, *others = together(one, ["", *names])
        overlaid = (
            Overlaid(repository=name, sha=known.sources[name], upload=found)
            for name, found in zip(names, others, strict=True)
        )
        return own, tuple(overlaid)

    def cancel(self, handle: str, known: Known) -> None:
        """Stop the release's own build. One that has ended, or that another release also waits for, is left alone."""
        build = self.get(handle)
        if build.status in _UNDER_WAY and is_of_release(build, known.release):
            client = self._google.builds
            change(
                "cancel the build",
                lambda: client.cancel_build(request={"name": handle}, retry=None, timeout=self._google.timeout),
            )

    def _find(self, known: Known) -> Observation:
        """Prefer a finished image, then a build under way, then the release's own failure; newest first."""
        builds = self._list(known)
        for build in builds:
            artifact = self._artifact(build, known)
            if artifact is not None and artifact_registry.exists(self._google, artifact.reference):
                return Done(handle=build.name, link=build.log_url, artifact=artifact, detail=_found_detail(artifact))
        under_way = next((build for build in builds if build.status in _UNDER_WAY), None)
        if under_way is not None:
            return self._judge(under_way, known)
        own = next((build for build in builds if is_of_release(build, known.release)), None)
        return Absent() if own is None else self._judge(own, known)

    def _list(self, known: Known) -> list[cloudbuild_v1.Build]:
        wanted = find_filter(self._spec, known.release.sha, known.sources)
        request = {"parent": self._google.location, "filter": wanted, "page_size": _LOOKED_AT}
        client = self._google.builds

        def call() -> list[cloudbuild_v1.Build]:
            return list(
                islice(client.list_builds(request=request, retry=None, timeout=self._google.timeout), _LOOKED_AT)
            )

        return read("list the builds", call)

    def _judge(self, build: cloudbuild_v1.Build, known: Known) -> Observation:
        if build.status in _UNDER_WAY:
            return Running(handle=build.name, detail=build.status.name.lower(), link=build.log_url)
        if build.status == Status.SUCCESS:
            artifact = self._artifact(build, known)
            if artifact is None:
                return Broken(handle=build.name, detail=f"The build pushed no {self._spec.image}.", link=build.log_url)
            return Done(handle=build.name, link=build.log_url, artifact=artifact)
        if not is_of_release(build, known.release):
            return Absent()  # another release's build, cancelled perhaps: this one makes its own
        return Broken(handle=build.name, detail=_failure(build), link=build.log_url)

    def _artifact(self, build: cloudbuild_v1.Build, known: Known) -> Artifact | None:
        """Return what a successful build pushed under the configured image."""
        if build.status != Status.SUCCESS:
            return None
        digest = _digest(build.results.images, self._spec.image)
        if not digest:
            return None
        return Artifact(
            digest=digest,
            reference=f"{self._spec.image}@{digest}",
            sha=known.release.sha,
            reused=not is_of_release(build, known.release),
            link=build.log_url,
        )


def _no_others(repository: str) -> Source:
    raise UpstreamError(f"The source of {repository} cannot be had.", service="GitHub", operation="read the source")


def _digest(images: Iterable[cloudbuild_v1.BuiltImage], repository: str) -> str:
    """Return the digest of the image in a repository; names are ``REPOSITORY:TAG``."""
    for image in images:
        name = image.name.partition("@")[0]
        if name == repository or name.rpartition(":")[0] == repository:
            return image.digest
    return ""


def _found_detail(artifact: Artifact) -> str:
    return "the image of this commit exists already" if artifact.reused else ""


def _failure(build: cloudbuild_v1.Build) -> str:
    """Return Cloud Build's own reason in a sentence."""
    step = next((s for s in build.steps if s.status in (Status.FAILURE, Status.TIMEOUT)), None)
    detail = build.failure_info.detail or build.status_detail
    if not detail and step is not None and step.exit_code:
        detail = f"step {step.id or step.name} ended with exit code {step.exit_code}"
    return f"{build.status.name}: {detail}" if detail else build.status.name
