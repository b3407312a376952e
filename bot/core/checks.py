"""Checks: what a release must show before and after it takes traffic.

A :class:`Check` is what to look at and what to expect; a :class:`CheckResult` puts what was found beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, kw_only=True)
class HttpCheck:
    """A request and what its answer must be.

    ``url`` is absolute, or a path on ``service``: then it is asked at the candidate's own URL before traffic and at the
    service's URL after. ``json`` maps dotted field paths to expected values; ``contains`` is text in the body;
    ``headers`` are response headers by name (case-insensitive) with the text they must contain; ``within`` is the
    bound in seconds on one answer; ``passes`` consecutive passes are wanted before ``deadline`` seconds are over,
    ``interval`` seconds apart. ``anonymous`` sends no identity token even to a private service (for expected refusals).
    ``of_commit``: the released commit or its version is part of what is expected.
    """

    name: str
    url: str
    service: str = ""
    method: str = "GET"
    status: int = 200
    json: Mapping[str, Any] = field(default_factory=dict)
    contains: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    within: float = 10.0
    passes: int = 1
    deadline: float = 60.0
    interval: float = 1.0
    anonymous: bool = False
    of_commit: bool = False


@dataclass(frozen=True, kw_only=True)
class ServingCheck:
    """Every service must serve the released digest with all of its traffic."""

    name: str
    services: tuple[str, ...]
    deadline: float = 60.0


@dataclass(frozen=True, kw_only=True)
class JobCheck:
    """A configured job, run on the released artifact, must succeed. ``timeout`` is in seconds."""

    name: str
    job: str
    timeout: float


@dataclass(frozen=True, kw_only=True)
class ExposureCheck:
    """A service's ingress and public access must be as declared (``None``: not asked)."""

    name: str
    service: str
    public: bool | None = None
    ingress: str | None = None


Check: TypeAlias = HttpCheck | ServingCheck | JobCheck | ExposureCheck


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """``found`` beside ``expected``, each short enough for a table cell. ``seconds``: how long the check took.

    ``service`` is the one that was looked at, ``""`` where it was none in particular.
    """

    name: str
    passed: bool
    expected: str
    found: str
    attempts: int = 1
    seconds: float = 0.0
    service: str = ""
