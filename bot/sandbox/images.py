"""Container images without a container engine: what a registry holds, and the way in.

The parts: ``oci`` (an image and its digest), ``dockerfile`` (the text), ``image_build`` (the build).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from bot.sandbox.dockerfile import BuildFailed
from bot.sandbox.image_build import build
from bot.sandbox.oci import MANIFEST_TYPE, Image, interpreter_path, pack, place

__all__ = [
    "MANIFEST_TYPE", "BuildFailed", "Image", "ImageStore", "build", "interpreter_path", "pack", "place", "split_tag",
]  # fmt: skip


class ImageStore:
    """The content of the registry. ``root`` is where trees live, ``clock`` gives seconds since the epoch. Thread-safe.

    An image that is deleted leaves its tree behind: what runs it has a copy of its own.
    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.time) -> None:
        self.root, self.clock = root, clock
        root.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._images: dict[str, dict[str, Image]] = {}
        self._tags: dict[str, dict[str, str]] = {}
        self._uploaded: dict[tuple[str, str], float] = {}

    def put(self, repository: str, image: Image, tags: Iterable[str]) -> None:
        """Store an image under ``host/project/repository/name``; a tag moves to it."""
        with self._lock:
            self._images.setdefault(repository, {})[image.digest] = image
            self._uploaded.setdefault((repository, image.digest), self.clock())
            for tag in tags:
                self._tags.setdefault(repository, {})[tag] = image.digest

    def resolve(self, reference: str) -> Image | None:
        """Return the image of ``repository:tag``, ``repository@sha256:…`` or ``repository`` (its ``latest``)."""
        with self._lock:
            repository, at, digest = reference.partition("@")
            repository, tag = split_tag(repository)
            if not at:
                digest = self._tags.get(repository, {}).get(tag or "latest", "")
            return self._images.get(repository, {}).get(digest)

    def delete(self, repository: str, digest: str) -> None:
        """Forget an image and its tags. Raises KeyError when it is not there."""
        with self._lock:
            del self._images[repository][digest]
            del self._uploaded[repository, digest]
            tags = self._tags.get(repository, {})
            for tag in [name for name, of in tags.items() if of == digest]:
                del tags[tag]

    def untag(self, repository: str, tag: str) -> None:
        """Drop one tag. Raises KeyError when it is not there."""
        with self._lock:
            del self._tags[repository][tag]

    def tags(self, repository: str) -> dict[str, str]:
        """Return the digest of each tag."""
        with self._lock:
            return dict(self._tags.get(repository, {}))

    def images(self, repository: str) -> list[Image]:
        """Return a repository's images, oldest first."""
        with self._lock:
            return sorted(self._images.get(repository, {}).values(), key=lambda image: image.created)

    def uploaded(self, repository: str, digest: str) -> float:
        """Return when an image was first pushed, by the clock."""
        return self._uploaded[repository, digest]

    def repositories(self) -> list[str]:
        """Return the repositories that were ever pushed to, sorted."""
        with self._lock:
            return sorted(self._images)


def split_tag(reference: str) -> tuple[str, str]:
    """Return repository and tag ("" if none); a ``:`` before the last ``/`` belongs to a port."""
    head, slash, last = reference.rpartition("/")
    name, _, tag = last.partition(":")
    return f"{head}{slash}{name}", tag
