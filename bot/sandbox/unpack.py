"""Unpacks archives of sources so that nothing of them lands outside of their folder.

Python has a filter for that since 3.11.4 (PEP 706); before it, the same is asked here.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

FILTERED = hasattr(tarfile, "data_filter")


def unpack(
    archive: tarfile.TarFile,
    folder: Path,
    members: Iterable[tarfile.TarInfo] | None = None,
    *,
    filtered: bool = FILTERED,
) -> None:
    """Unpack an archive, or some of its members. Raises TarError for what would leave the folder."""
    chosen = list(archive.getmembers() if members is None else members)
    if filtered:
        archive.extractall(folder, members=chosen, filter="data")
        return
    for member in chosen:
        _check(member)
    archive.extractall(folder, members=chosen)


def _check(member: tarfile.TarInfo) -> None:
    name = PurePosixPath(member.name)
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        raise tarfile.TarError(f"{member.name} is neither a file nor a folder nor a link")
    base = name.parent if member.issym() else PurePosixPath()  # a hard link names its target from the archive's root
    ways = [name, base / member.linkname] if member.issym() or member.islnk() else [name]
    if any(_leaves(way) for way in ways):
        raise tarfile.TarError(f"{member.name} would be outside the destination")


def _leaves(way: PurePosixPath) -> bool:
    """Whether a way leads out of the folder that it begins in."""
    depth = 0
    for part in way.parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return way.is_absolute()
