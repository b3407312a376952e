"""What an environment has rolled out, of either kind: reading it, and changing it without overwriting anybody.

As in the configuration, a worker pool counts as a service where nothing else is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from google.cloud import run_v2

from bot.core.serving import ServiceState
from bot.core.spec import CloudRunSpec
from bot.core.target import Absent, Broken, Done, Observation, Running
from bot.errors import ConflictError, NotFoundError
from bot.targets import run_access
from bot.targets.cloud_logging import Origin
from bot.targets.google import Google
from bot.targets.google_errors import check, or_none, read
from bot.targets.parallel import together
from bot.targets.run_kind import Kind
from bot.targets.run_kind_pool import PoolKind
from bot.targets.run_kind_service import ServiceKind
from bot.targets.run_traffic import short

Prepare = Callable[[Any, Any], Sequence[str]]
"""Sets on the second resource what should differ from the first (the live one); returns the update mask's paths."""

_KINDS: Mapping[str, Kind[Any]] = {"service": ServiceKind(), "worker_pool": PoolKind()}


def overall(observations: Sequence[Observation], *, patient: bool = False) -> Observation:
    """Return one observation for several services: the worst, with all that they say.

    ``patient``: what is broken waits until nothing is left to be done for the others.
    """
    detail = "; ".join(dict.fromkeys(o.detail for o in observations if not isinstance(o, Absent) and o.detail))
    busy = any(isinstance(o, Absent | Running) for o in observations)
    if any(isinstance(o, Broken) for o in observations) and not (patient and busy):
        return Broken(detail="; ".join(o.detail for o in observations if isinstance(o, Broken)))
    if any(isinstance(o, Absent) for o in observations):
        return Absent()
    if any(isinstance(o, Running) for o in observations):
        return Running(detail=detail)
    return Done(detail=detail)


class Services:
    """Services of one specification, by their keys in the configuration."""

    def __init__(self, google: Google, spec: CloudRunSpec) -> None:
        self._google, self.spec = google, spec

    @property
    def google(self) -> Google:
        """The session."""
        return self._google

    def name(self, key: str) -> str:
        """Return a service's full name."""
        return f"{self.location(key)}/{self.kind(key).collection}/{self.spec.service(key).name}"

    def location(self, key: str) -> str:
        """Return the parent of a service: it is of its own region."""
        return f"projects/{self._google.project}/locations/{self.spec.service(key).region}"

    def kind(self, key: str) -> Kind[Any]:
        """Return what is special about a service's kind."""
        return _KINDS[self.spec.service(key).config.kind or "service"]

    def get(self, key: str) -> Any:
        """Return a service, None if there is none."""
        return self.kind(key).get(self._google, self.name(key))

    def existing(self, key: str) -> Any:
        """Return a service. Raises NotFoundError if there is none."""
        kind, found = self.kind(key), self.get(key)
        if found is None:
            raise NotFoundError(
                f"The {kind.noun} {self.spec.service(key).name} does not exist.",
                service="Cloud Run",
                operation=f"get the {kind.noun}",
                status=404,
            )
        return found

    def revision(self, key: str, revision: str) -> run_v2.Revision | None:
        """Return a revision by its short name, None if there is none."""
        client, name = self._google.revisions, f"{self.name(key)}/revisions/{revision}"
        return or_none(
            "get the revision", lambda: client.get_revision(name=name, retry=None, timeout=self._google.timeout)
        )

    def create(self, key: str, new: Any) -> None:
        """Create a service."""
        self.kind(key).create(self._google, self.location(key), self.spec.service(key).name, new)

    def update(self, key: str, live: Any, prepare: Prepare) -> bool:
        """Change a service under its etag; False if there is nothing to change.

        When somebody else changed it first, it is read again and tried once more; ``prepare`` judges what it then is.
        Raises ConflictError.
        """
        kind = self.kind(key)
        for last in (False, True):
            update = kind.blank(name=self.name(key), etag=live.etag)
            paths = prepare(live, update)
            if not paths:
                return False
            try:
                kind.send(self._google, update, paths)
            except ConflictError:
                fresh = self.get(key)
                if last or fresh is None or fresh.etag == live.etag:
                    raise
                live = fresh
            else:
                break
        return True

    def public(self, key: str, live: Any) -> bool | None:
        """Whether anyone may call a service, None where nobody can."""
        return self.kind(key).public(self._google, self.name(key), live)

    def set_public(self, key: str, *, public: bool) -> None:
        """Let everyone call a service, or nobody but those named in its policy."""
        run_access.set_public(self._google, self.name(key), public=public)

    def state(self, key: str) -> ServiceState:
        """Return what a service serves now, with what a restore would have to put back."""
        kind, live = self.kind(key), self.get(key)
        if live is None:
            return ServiceState(service=key, exists=False)
        traffic = kind.shares(live)
        serving = list(dict.fromkeys(share.revision for share in traffic if share.percent))
        public, *found = together(lambda call: call(), self._questions(key, live, serving))
        revisions = {name: revision for name, revision in zip(serving, found, strict=True) if revision is not None}
        return ServiceState(
            service=key,
            url=kind.address(live),
            traffic=traffic,
            digests={name: self._digest(revision) for name, revision in revisions.items()},
            labels={name: dict(revision.labels) for name, revision in revisions.items()},
            settings={**kind.settings(live), **({"public": public} if public is not None else {})},
            secrets=_secrets(revisions.values()),
        )

    def _questions(self, key: str, live: Any, names: Sequence[str]) -> list[Callable[[], Any]]:
        revisions: list[Callable[[], Any]] = [lambda name=name: self.revision(key, name) for name in names]  # type: ignore[misc]
        return [lambda: self.public(key, live), *revisions]

    def _digest(self, revision: run_v2.Revision) -> str:
        """Return the digest that a revision runs, ``""`` if Cloud Run does not tell.

        An image given by its digest says so. One given by a tag (deployed by somebody else) was resolved when the
        revision was made: ``containerStatuses[].imageDigest`` tells, which this client's version has no field for.
        """
        images = [c.image for c in revision.containers if c.ports] or [c.image for c in revision.containers]
        if not images or "@" in images[0]:
            return images[0].partition("@")[2] if images else ""
        url = f"{self._google.endpoints.run}/v2/{revision.name}"
        body = read("get the revision", lambda: check(self._google.http.get(url, timeout=self._google.timeout)))
        digests = [str(status.get("imageDigest", "")) for status in body.get("containerStatuses", [])]
        return next((digest.rpartition("@")[2] for digest in digests if "sha256:" in digest), "")

    def origin(self, key: str) -> Origin:
        """Return where a service's revisions log."""
        kind, spec = self.kind(key), self.spec.service(key)
        return Origin(type_=kind.log_type, label=kind.log_label, name=spec.name, region=spec.region)

    def console(self, key: str, page: str) -> str:
        """Return the address of a service's page in the Cloud Console."""
        spec = self.spec.service(key)
        path = self.kind(key).console(spec.region, spec.name, page)
        return f"https://console.cloud.google.com/{path}?project={self.spec.project}"


def _secrets(revisions: Iterable[run_v2.Revision]) -> dict[str, str]:
    """Return the versions of the secrets that revisions use; what is used in several versions has them all."""
    found: dict[str, set[str]] = {}
    for name, version in (used for revision in revisions for used in _used(revision)):
        found.setdefault(short(name), set()).add(version or "latest")
    return {name: ", ".join(sorted(versions)) for name, versions in sorted(found.items())}


def _used(revision: run_v2.Revision) -> Iterator[tuple[str, str]]:
    for container in revision.containers:
        for variable in container.env:
            if variable.value_source.secret_key_ref.secret:
                yield variable.value_source.secret_key_ref.secret, variable.value_source.secret_key_ref.version
    for volume in revision.volumes:
        for item in volume.secret.items:
            yield volume.secret.secret, item.version
