"""Worker pools of Cloud Run: revisions that work without requests, and the split of the instances among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from google.cloud import run_v2
from google.protobuf import field_mask_pb2

from bot.core.config import ServiceConfig
from bot.core.serving import TrafficShare
from bot.core.target import ReleaseId
from bot.targets import run_pool
from bot.targets.google import Google
from bot.targets.google_errors import change, or_none
from bot.targets.run_template import Place, pool_template


class PoolKind:
    """The :class:`bot.targets.run_kind.Kind` of worker pools."""

    noun, collection = "worker pool", "workerPools"
    moving, shared = "instances are moving", "instance split"
    left = "without instances"
    log_type, log_label = "cloud_run_worker_pool", "worker_pool_name"

    def get(self, google: Google, name: str) -> run_v2.WorkerPool | None:
        """Return the worker pool, None if there is none."""
        client = google.worker_pools
        return or_none(
            "get the worker pool", lambda: client.get_worker_pool(name=name, retry=None, timeout=google.timeout)
        )

    def create(self, google: Google, parent: str, short_name: str, new: run_v2.WorkerPool) -> None:
        """Create the worker pool."""
        client = google.worker_pools
        change(
            "create the worker pool",
            lambda: client.create_worker_pool(
                parent=parent, worker_pool=new, worker_pool_id=short_name, retry=None, timeout=google.timeout
            ),
        )

    def send(self, google: Google, update: run_v2.WorkerPool, paths: Sequence[str]) -> None:
        """Send an update. Its etag guards it."""
        mask, client = field_mask_pb2.FieldMask(paths=list(paths)), google.worker_pools
        request = run_v2.UpdateWorkerPoolRequest(worker_pool=update, update_mask=mask)
        change(
            "update the worker pool",
            lambda: client.update_worker_pool(request=request, retry=None, timeout=google.timeout),
        )

    def public(self, google: Google, name: str, live: run_v2.WorkerPool) -> bool | None:
        """Return None: nobody calls it."""
        del google, name, live
        return None

    def blank(self, *, name: str = "", etag: str = "") -> run_v2.WorkerPool:
        """Return an empty worker pool."""
        return run_v2.WorkerPool(name=name, etag=etag)

    def template(
        self,
        config: ServiceConfig,
        live: run_v2.WorkerPool | None,
        *,
        image: str,
        name: str,
        release: ReleaseId,
        place: Place,
    ) -> run_v2.WorkerPoolRevisionTemplate:
        """Return the template of the release's revision."""
        before = live.template if live is not None else None
        return pool_template(config, before, image=image, name=name, release=release, place=place)

    def shares(self, live: run_v2.WorkerPool) -> tuple[TrafficShare, ...]:
        """Return who has the instances."""
        return run_pool.shares(live)

    def asked(self, live: run_v2.WorkerPool) -> tuple[TrafficShare, ...]:
        """Return what the splits ask for."""
        return run_pool.asked(live)

    def allocate(self, update: run_v2.WorkerPool, wanted: Iterable[TrafficShare]) -> list[str]:
        """Set the splits. There are no tags: what has no share is not named."""
        update.instance_splits = run_pool.splits(wanted)
        return ["instance_splits"]

    def reach(self, live: run_v2.WorkerPool, revision: str, tag: str) -> Literal["there", "coming", "missing"]:
        """Return that it is there: nobody calls it, so there is nothing more to wait for."""
        del live, revision, tag
        return "there"

    def settings(self, live: run_v2.WorkerPool) -> dict[str, Any]:
        """Return the number of instances."""
        return run_pool.settings(live)

    def declared(self, config: ServiceConfig, found: Mapping[str, Any]) -> dict[str, Any]:
        """Return the number of instances that a configuration wants where others were found."""
        return run_pool.declared(config, found)

    def reconcile(self, live: run_v2.WorkerPool, wanted: Mapping[str, Any], update: run_v2.WorkerPool) -> list[str]:
        """Set the wanted settings that differ from the live ones."""
        return run_pool.reconcile(live, wanted, update)

    def is_shut(self, live: run_v2.WorkerPool, *, public: bool | None) -> bool:
        """Whether it has no instances."""
        del public
        return run_pool.is_stopped(live)

    def shut(self, live: run_v2.WorkerPool, update: run_v2.WorkerPool) -> list[str]:
        """Take its instances away until a release succeeds."""
        return run_pool.stop(live, update)

    def address(self, live: run_v2.WorkerPool) -> str:
        """Return ``""``: it has no URL."""
        del live
        return ""

    def ingress(self, live: run_v2.WorkerPool) -> str:
        """Return that requests may come from nowhere."""
        del live
        return "none"

    def console(self, region: str, short_name: str, page: str) -> str:
        """Return the path of its page in the Cloud Console. The names of the pages inside it are not documented."""
        del page
        return f"run/worker-pools/details/{region}/{short_name}"
