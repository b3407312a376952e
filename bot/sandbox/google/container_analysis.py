"""Container Analysis (Artifact Analysis): the occurrences that tell where an image came from.

Source: containeranalysis.v1. It knows one kind, BUILD, which builds record (:mod:`bot.sandbox.google.provenance`).

Knobs: ``delay`` is how many seconds an occurrence stays unseen after the build (real ones are younger than the end of
their build by some seconds); ``slsa_v1`` adds provenance by SLSA v1.0 to that by v0.1; ``broken`` lets recording fail.
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bot.sandbox.google import GoogleService, paginate, rfc3339
from bot.sandbox.google.provenance import occurrences
from bot.sandbox.wire import Request, Response, WireError, answer

Json = dict[str, Any]
PAGE_SIZE = 20  # "If not specified, page size defaults to 20." (occurrences.list)
_TERM = re.compile(r'\s*(kind|resourceUrl)\s*=\s*"([^"]*)"\s*')


class ContainerAnalysis(GoogleService):
    """``containeranalysis.googleapis.com`` for one project. ``clock`` gives seconds since the epoch."""

    name = "containeranalysis"

    def __init__(
        self,
        *,
        authenticate: Callable[[str], object | None] | None = None,
        project: str = "acme",
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(authenticate=authenticate)
        self.project, self.clock = project, clock
        self.delay, self.slsa_v1, self.broken = 0.0, False, False
        self._kept: list[tuple[float, Json]] = []
        self._kept_lock = threading.Lock()
        for base in ("/v1/projects/{project}/occurrences", "/v1/projects/{project}/locations/{location}/occurrences"):
            self.route("GET", base, self._list)
            self.route("GET", f"{base}/{{occurrence}}", self._get)

    @cached_property
    def key(self) -> ec.EllipticCurvePrivateKey:
        """The key that signs envelopes. It is this server's own: Google's keys would not verify them."""
        return ec.generate_private_key(ec.SECP256R1())

    def attest(self, build: Json) -> None:
        """Record the provenance of a build that has pushed its images. Raises WireError when that can't be done."""
        if self.broken:
            raise WireError(503, "The service is currently unavailable.", "UNAVAILABLE")
        now = rfc3339(self.clock())
        made = occurrences(
            build, finished=now, sign=lambda data: self.key.sign(data, ec.ECDSA(hashes.SHA256())), v1=self.slsa_v1
        )
        with self._kept_lock:
            for occurrence in made:
                name = f"projects/{self.project}/occurrences/{uuid.uuid4()}"
                self._kept.append((self.clock(), {"name": name, **occurrence, "createTime": now, "updateTime": now}))

    @property
    def occurrences(self) -> list[Json]:
        """Everything that was recorded, seen yet or not, oldest first."""
        with self._kept_lock:
            return [occurrence for _, occurrence in self._kept]

    def _seen(self, request: Request) -> list[Json]:
        if request.params["project"] != self.project:
            raise WireError(403, "The caller does not have permission", "PERMISSION_DENIED")
        with self._kept_lock:
            return [occurrence for made, occurrence in self._kept if made + self.delay <= self.clock()]

    def _list(self, request: Request) -> Response:
        wanted = _wanted(request.arg("filter") or "")
        found = [
            each
            for each in self._seen(request)
            if {"kind": each["kind"], "resourceUrl": each["resourceUri"], **wanted}
            == {"kind": each["kind"], "resourceUrl": each["resourceUri"]}
        ]
        return answer(paginate(request, found, "occurrences", default=PAGE_SIZE))

    def _get(self, request: Request) -> Response:
        name = f"projects/{self.project}/occurrences/{request.params['occurrence']}"
        for occurrence in self._seen(request):
            if occurrence["name"] == name:
                return answer(occurrence)
        raise WireError(404, f"occurrence {name!r} not found", "NOT_FOUND")


def _wanted(text: str) -> dict[str, str]:
    """Return what a filter asks of ``kind`` and ``resourceUrl``, joined by AND.

    The sandbox knows no more of the syntax. Raises WireError 400 for the rest, and for two values of one field.
    """
    wanted: dict[str, str] = {}
    for term in re.split(r"\bAND\b", text) if text.strip() else []:
        found = _TERM.fullmatch(term)
        if found is None or wanted.get(found[1], found[2]) != found[2]:
            raise WireError(400, f"invalid filter: {text!r}", "INVALID_ARGUMENT")
        wanted[found[1]] = found[2]
    return wanted
