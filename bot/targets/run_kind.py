"""What differs between the kinds of things that Cloud Run rolls out. All else about a release is the same for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar

from google.cloud import run_v2

from bot.core.config import ServiceConfig
from bot.core.serving import TrafficShare
from bot.core.target import ReleaseId
from bot.targets.google import Google
from bot.targets.run_template import Place

R = TypeVar("R", bound=run_v2.Service | run_v2.WorkerPool)


class Kind(Protocol[R]):
    """One kind: its calls, and where its resource has what a release reads and changes.

    ``name`` is a resource's full name throughout. Whatever sets fields of an ``update`` returns the paths of the update
    mask for them, none where nothing differs.
    """

    noun: str  # "service": what people call it
    collection: str  # in a resource's name
    moving: str  # "traffic is moving": what is said while it does
    shared: str  # "traffic": what revisions have shares of
    left: str  # how one is left that a failed release made
    log_type: str  # monitored resource of its revisions' logs
    log_label: str  # what that resource has its short name under

    # -- calls ------------------------------------------------------------------------------------------------
    def get(self, google: Google, name: str) -> R | None:
        """Return the resource, None if there is none."""
        ...

    def create(self, google: Google, parent: str, short_name: str, new: R) -> None:
        """Create the resource."""
        ...

    def send(self, google: Google, update: R, paths: Sequence[str]) -> None:
        """Send an update. Its etag guards it."""
        ...

    def public(self, google: Google, name: str, live: R) -> bool | None:
        """Whether anyone may call it, None for a kind that nobody calls."""
        ...

    # -- making -----------------------------------------------------------------------------------------------
    def blank(self, *, name: str = "", etag: str = "") -> R:
        """Return an empty resource."""
        ...

    def template(
        self, config: ServiceConfig, live: R | None, *, image: str, name: str, release: ReleaseId, place: Place
    ) -> Any:
        """Return the template of the release's revision (``name``: its short name)."""
        ...

    # -- shares -----------------------------------------------------------------------------------------------
    def shares(self, live: R) -> tuple[TrafficShare, ...]:
        """Return what serves."""
        ...

    def asked(self, live: R) -> tuple[TrafficShare, ...]:
        """Return what is asked for, ``()`` while any of it names no revision."""
        ...

    def allocate(self, update: R, wanted: Iterable[TrafficShare]) -> list[str]:
        """Ask for shares."""
        ...

    def reach(self, live: R, revision: str, tag: str) -> Literal["there", "coming", "missing"]:
        """Return whether a revision that is ready can be reached before it has its share, as far as it ever can."""
        ...

    # -- settings ---------------------------------------------------------------------------------------------
    def settings(self, live: R) -> dict[str, Any]:
        """Return what a release may change and a restore must put back, but for who may call it."""
        ...

    def declared(self, config: ServiceConfig, found: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that a configuration wants, in the form of :meth:`settings`, where ``found`` were."""
        ...

    def reconcile(self, live: R, wanted: Mapping[str, Any], update: R) -> list[str]:
        """Set the wanted settings that differ from the live ones."""
        ...

    def is_shut(self, live: R, *, public: bool | None) -> bool:
        """Whether one that a failed release made is out of action."""
        ...

    def shut(self, live: R, update: R) -> list[str]:
        """Put one that a failed release made out of action, but for who may call it."""
        ...

    # -- where to look ----------------------------------------------------------------------------------------
    def address(self, live: R) -> str:
        """Return its URL without a trailing slash, ``""`` if it has none."""
        ...

    def ingress(self, live: R) -> str:
        """Return where requests may come from, in the provider's short words."""
        ...

    def console(self, region: str, short_name: str, page: str) -> str:
        """Return the path of its page in the Cloud Console."""
        ...
