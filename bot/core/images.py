"""The port to the registry that a release's image lies in: what is attested of it, and that no clean-up takes it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bot.core.target import ReleaseId


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What a builder attests of an image.

    ``image`` is ``REPOSITORY@DIGEST``. ``builder`` is the builder's id, ``""`` where nothing was found; ``format`` is
    for people (``SLSA v0.1``). ``source``: the address of what was built, as a verifier wants it, ``""`` when none is
    named. ``trouble``: why it could not be read.
    """

    image: str
    builder: str = ""
    format: str = ""
    source: str = ""
    trouble: str = ""


class Images(Protocol):
    """What is asked of images, each ``REPOSITORY@DIGEST``. Methods raise UpstreamError (or a subclass) or AuthError."""

    def provenance(self, image: str) -> Provenance:
        """Read what the builder attests of an image."""
        ...

    def keep(self, release: ReleaseId, images: Collection[str], newest: int) -> None:
        """Keep a release's images from clean-up, with those of so many releases of its environment; let go of older."""
        ...
