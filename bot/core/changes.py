"""What a release would change, as values: shown by a dry run, and compared when that very plan is run. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath

from bot.core.plan import Plan
from bot.core.serving import Artifact
from bot.core.titles import title

_PULL = re.compile(r"\(#(\d{1,9})\)$|^Merge pull request #(\d{1,9}) from ")
MIGRATIONS = ("migrations", "migrate", "versions")  # folders of Django, Rails and Alembic


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that would change. ``where``: a service or a job; ``before`` and ``after``: ``""`` for absent.

    Of a variable only the name is told: its value may be anybody's secret.
    """

    where: str
    what: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a target would change. ``artifact`` is the image that exists already, None if it would be built."""

    artifact: Artifact | None = None
    changes: tuple[Change, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)


def differences(where: str, before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Change, ...]:
    """Return what differs between two descriptions, in the order of the second, what goes away last."""
    names = [*after, *(name for name in before if name not in after)]
    return tuple(
        Change(where=where, what=name, before=before.get(name, ""), after=after.get(name, ""))
        for name in names
        if before.get(name, "") != after.get(name, "")
    )


def fingerprint(sha: str, plan: Plan, preview: Preview) -> str:
    """Return eight hex digits that change when anything does that the dry run has shown."""
    shown = {
        "sha": sha,
        "steps": [(step.id, title(step), sorted(step.needs)) for step in plan.steps],
        "changes": sorted(json.dumps(asdict(change), sort_keys=True) for change in preview.changes),
        "pins": dict(sorted(preview.pins.items())),
        "digest": preview.artifact.digest if preview.artifact else "",
    }
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:8]


def pull_requests(subjects: Iterable[str]) -> tuple[int, ...]:
    """Return the pull requests by which commits came, by the subjects that GitHub gives a merge and a squash."""
    found = (_PULL.search(subject) for subject in subjects)
    return tuple(dict.fromkeys(int(one[1] or one[2]) for one in found if one))


def migrations(files: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the database migrations among a release's changed files, without their endings."""
    found = []
    for file in files:
        path = PurePosixPath(file)
        if any(part in MIGRATIONS for part in path.parts[:-1]) and path.stem[:1].isalnum() and path.suffix:
            found.append(path.stem)
    return tuple(sorted(dict.fromkeys(found)))
