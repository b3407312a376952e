"""Images on Google Cloud: the :class:`bot.core.images.Images` of Artifact Registry and Container Analysis."""

from __future__ import annotations

from collections.abc import Collection

from bot.core.images import Provenance
from bot.core.target import ReleaseId
from bot.targets import artifact_registry, container_analysis
from bot.targets.google import Google


class GoogleImages:
    """Images of one login."""

    def __init__(self, google: Google) -> None:
        self._google = google

    def provenance(self, image: str) -> Provenance:
        """Read what Cloud Build attests of an image."""
        return container_analysis.provenance(self._google, image)

    def keep(self, release: ReleaseId, images: Collection[str], newest: int) -> None:
        """Tag a release's images, and take the tags of older ones off."""
        artifact_registry.keep(self._google, release, images, newest)
