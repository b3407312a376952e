"""Services of Cloud Run: revisions that answer requests, and the split of the traffic among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from google.cloud import run_v2
from google.protobuf import field_mask_pb2

from bot.core.config import ServiceConfig
from bot.core.serving import TrafficShare
from bot.core.target import ReleaseId
from bot.targets import run_access, run_service, run_traffic
from bot.targets.google import Google
from bot.targets.google_errors import change, or_none
from bot.targets.run_template import Place, service_template


class ServiceKind:
    """The :class:`bot.targets.run_kind.Kind` of services."""

    noun, collection = "service", "services"
    moving, shared = "traffic is moving", "traffic"
    left = "and private"
    log_type, log_label = "cloud_run_revision", "service_name"

    def get(self, google: Google, name: str) -> run_v2.Service | None:
        """Return the service, None if there is none."""
        client = google.services
        return or_none("get the service", lambda: client.get_service(name=name, retry=None, timeout=google.timeout))

    def create(self, google: Google, parent: str, short_name: str, new: run_v2.Service) -> None:
        """Create the service."""
        client = google.services
        change(
            "create the service",
            lambda: client.create_service(
                parent=parent, service=new, service_id=short_name, retry=None, timeout=google.timeout
            ),
        )

    def send(self, google: Google, update: run_v2.Service, paths: Sequence[str]) -> None:
        """Send an update. Its etag guards it."""
        mask, client = field_mask_pb2.FieldMask(paths=list(paths)), google.services
        request = run_v2.UpdateServiceRequest(service=update, update_mask=mask)
        change("update the service", lambda: client.update_service(request=request, retry=None, timeout=google.timeout))

    def public(self, google: Google, name: str, live: run_v2.Service) -> bool | None:
        """Whether anyone may call it."""
        return run_access.public(google, name, live)

    def blank(self, *, name: str = "", etag: str = "") -> run_v2.Service:
        """Return an empty service."""
        return run_v2.Service(name=name, etag=etag)

    def template(
        self,
        config: ServiceConfig,
        live: run_v2.Service | None,
        *,
        image: str,
        name: str,
        release: ReleaseId,
        place: Place,
    ) -> run_v2.RevisionTemplate:
        """Return the template of the release's revision."""
        before = live.template if live is not None else None
        return service_template(config, before, image=image, name=name, release=release, place=place)

    def shares(self, live: run_v2.Service) -> tuple[TrafficShare, ...]:
        """Return what serves, tags included."""
        return run_traffic.shares(live)

    def asked(self, live: run_v2.Service) -> tuple[TrafficShare, ...]:
        """Return what the targets ask for."""
        return run_traffic.asked(live)

    def allocate(self, update: run_v2.Service, wanted: Iterable[TrafficShare]) -> list[str]:
        """Set the targets."""
        update.traffic = run_traffic.targets(wanted)
        return ["traffic"]

    def reach(self, live: run_v2.Service, revision: str, tag: str) -> Literal["there", "coming", "missing"]:
        """Return whether the tag leads to the revision: at its own URL, or without one where tags have none."""
        tagged = [share for share in self.shares(live) if share.tag == tag and share.revision == revision]
        if any(share.url for share in tagged) or (tagged and live.default_uri_disabled):
            return "there"
        return "coming" if live.reconciling or tagged else "missing"

    def settings(self, live: run_v2.Service) -> dict[str, Any]:
        """Return ingress, scaling, and how it is reached."""
        return run_service.settings(live, public=False)

    def declared(self, config: ServiceConfig, found: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that a configuration wants, whatever was found."""
        del found
        return run_service.declared(config)

    def reconcile(self, live: run_v2.Service, wanted: Mapping[str, Any], update: run_v2.Service) -> list[str]:
        """Set the wanted settings that differ from the live ones."""
        return run_service.reconcile(live, wanted, update)

    def is_shut(self, live: run_v2.Service, *, public: bool | None) -> bool:
        """Whether no stranger can call it."""
        del live
        return not public

    def shut(self, live: run_v2.Service, update: run_v2.Service) -> list[str]:
        """Change nothing: that nobody may call it is the policy's."""
        del live, update
        return []

    def address(self, live: run_v2.Service) -> str:
        """Return its own URL."""
        return live.uri.rstrip("/")

    def ingress(self, live: run_v2.Service) -> str:
        """Return where requests may come from."""
        return run_service.ingress_word(live)

    def console(self, region: str, short_name: str, page: str) -> str:
        """Return the path of its page in the Cloud Console."""
        return f"run/detail/{region}/{short_name}/{page}"
