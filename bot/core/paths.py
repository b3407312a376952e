"""Paths of a repository, and patterns that pick some of them: ``app/*``, ``Dockerfile``, ``!app/docs/*``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

_NOT = "!"


def check_patterns(patterns: Sequence[str]) -> None:
    """Raises ValueError for patterns that pick nothing."""
    if any(not pattern.removeprefix(_NOT) for pattern in patterns):
        raise ValueError("a pattern is empty")
    if patterns and all(pattern.startswith(_NOT) for pattern in patterns):
        raise ValueError("patterns that begin with `!` leave out what others pick, and there is none that picks")


def chosen(paths: Iterable[str], patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the paths that are picked; of several patterns that fit one, the last decides.

    ``*`` stands for any characters, slashes too, as ``**`` does; a pattern that ends with a slash is for all beneath.
    """
    return tuple(path for path in paths if _picked(path, patterns))


def _picked(path: str, patterns: Sequence[str]) -> bool:
    picked = False
    for pattern in patterns:
        wanted = pattern.removeprefix(_NOT)
        wanted = f"{wanted}*" if wanted.endswith("/") else wanted
        if fnmatchcase(path, wanted):
            picked = not pattern.startswith(_NOT)
    return picked
