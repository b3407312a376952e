"""Cloud Run services and revisions: reading them, and changing a service without overwriting anybody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from google.cloud import run_v2
from google.iam.v1 import iam_policy_pb2, policy_pb2  # type: ignore[import-untyped]
from google.protobuf import field_mask_pb2

from bot.core.serving import ServiceState
from bot.core.spec import CloudRunSpec
from bot.core.target import Absent, Broken, Done, Observation, Running
from bot.errors import ConflictError
from bot.targets.google import Google
from bot.targets.google_errors import change, check, or_none, read
from bot.targets.parallel import together
from bot.targets.run_service import is_public, settings, with_public
from bot.targets.run_traffic import pinned, same_percents, shares, short

Prepare = Callable[[run_v2.Service, run_v2.Service], Sequence[str]]
"""Sets on the second service what should differ from the first (the live one); returns the update mask's paths."""


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
        self.former: dict[str, run_v2.RevisionTemplate] = {}  # templates that this run made a preview's

    @property
    def google(self) -> Google:
        """The session."""
        return self._google

    def name(self, key: str) -> str:
        """Return a service's full name."""
        return f"{self.location(key)}/services/{self.spec.service(key).name}"

    def location(self, key: str) -> str:
        """Return the parent of a service: it is of its own region."""
        return f"projects/{self._google.project}/locations/{self.spec.service(key).region}"

    def get(self, key: str) -> run_v2.Service | None:
        """Return a service, None if there is none."""
        client, name = self._google.services, self.name(key)
        return or_none(
            "get the service", lambda: client.get_service(name=name, retry=None, timeout=self._google.timeout)
        )

    def revision(self, key: str, revision: str) -> run_v2.Revision | None:
        """Return a revision by its short name, None if there is none."""
        client, name = self._google.revisions, f"{self.name(key)}/revisions/{revision}"
        return or_none(
            "get the revision", lambda: client.get_revision(name=name, retry=None, timeout=self._google.timeout)
        )

    def create(self, key: str, service: run_v2.Service) -> None:
        """Create a service."""
        client, parent, service_id = self._google.services, self.location(key), self.spec.service(key).name
        change(
            "create the service",
            lambda: client.create_service(
                parent=parent, service=service, service_id=service_id, retry=None, timeout=self._google.timeout
            ),
        )

    def update(self, key: str, live: run_v2.Service, prepare: Prepare) -> bool:
        """Change a service under its etag; False if there is nothing to change.

        When somebody else changed it first, it is read again, and tried once more only if the traffic is still what
        was seen: tags without traffic may come and go. Raises ConflictError otherwise.
        """
        for last in (False, True):
            update = run_v2.Service(name=self.name(key), etag=live.etag)
            paths = prepare(live, update)
            if not paths:
                return False
            try:
                self._send(update, paths)
            except ConflictError:
                fresh = self.get(key)
                if last or fresh is None or fresh.etag == live.etag or not same_percents(shares(fresh), shares(live)):
                    raise
                live = fresh
            else:
                break
        return True

    def _send(self, update: run_v2.Service, paths: Sequence[str]) -> None:
        request = run_v2.UpdateServiceRequest(service=update, update_mask=field_mask_pb2.FieldMask(paths=list(paths)))
        client = self._google.services
        change(
            "update the service",
            lambda: client.update_service(request=request, retry=None, timeout=self._google.timeout),
        )

    def beside_what_serves(self, key: str, live: run_v2.Service | None) -> run_v2.Service:
        """Return a service that a preview may stand beside, and remember its template.

        Raises ConflictError where a new revision would get traffic: on a service that is not there or serves nothing,
        and on one that follows its latest revision.
        """
        serves = live is not None and any(share.percent for share in shares(live))
        if live is None or not serves or not pinned(live):
            what = "serves nothing yet" if not serves else "sends its traffic to whatever is newest"
            raise ConflictError(
                f"{key} {what}, so a preview would get all of it.",
                hint="Release the environment once: its traffic then names the revision.",
                service="Cloud Run",
                operation="make a preview",
            )
        self.former.setdefault(key, run_v2.RevisionTemplate(live.template))
        return live

    def public(self, key: str, service: run_v2.Service) -> bool:
        """Whether anyone may call a service."""
        return is_public(service, self._policy(key))

    def set_public(self, key: str, *, public: bool) -> None:
        """Let everyone call a service, or nobody but those named in its policy. The policy's etag guards it."""
        policy = with_public(self._policy(key), public=public)
        client, resource = self._google.services, self.name(key)
        request = iam_policy_pb2.SetIamPolicyRequest(resource=resource, policy=policy)
        change(
            "set who may call the service",
            lambda: client.set_iam_policy(request=request, retry=None, timeout=self._google.timeout),
        )

    def _policy(self, key: str) -> policy_pb2.Policy:
        client, resource = self._google.services, self.name(key)
        request = iam_policy_pb2.GetIamPolicyRequest(resource=resource)
        policy: policy_pb2.Policy = read(
            "read who may call the service",
            lambda: client.get_iam_policy(request=request, retry=None, timeout=self._google.timeout),
        )
        return policy

    def state(self, key: str) -> ServiceState:
        """Return what a service serves now, with what a restore would have to put back."""
        service = self.get(key)
        if service is None:
            return ServiceState(service=key, exists=False)
        traffic = shares(service)
        serving = list(dict.fromkeys(share.revision for share in traffic if share.percent))
        public, *found = together(lambda call: call(), self._questions(key, service, serving))
        revisions = {name: revision for name, revision in zip(serving, found, strict=True) if revision is not None}
        return ServiceState(
            service=key,
            url=service.uri.rstrip("/"),
            traffic=traffic,
            digests={name: self._digest(revision) for name, revision in revisions.items()},
            labels={name: dict(revision.labels) for name, revision in revisions.items()},
            settings=settings(service, public=public),
            secrets=_secrets(revisions.values()),
        )

    def _questions(self, key: str, service: run_v2.Service, names: Sequence[str]) -> list[Callable[[], Any]]:
        revisions: list[Callable[[], Any]] = [lambda name=name: self.revision(key, name) for name in names]  # type: ignore[misc]
        return [lambda: self.public(key, service), *revisions]

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

    def console(self, key: str, page: str) -> str:
        """Return the address of a service's page in the Cloud Console."""
        service = short(self.name(key))
        return (
            f"https://console.cloud.google.com/run/detail/{self.spec.service(key).region}/{service}/{page}"
            f"?project={self.spec.project}"
        )


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
