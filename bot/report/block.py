"""The signed block at the end of a release's comment: what the comment says, for machines. A copy, never a source.

The deployment on GitHub is the record of a release. The bot writes this block and never reads it: nothing that it
decides hangs on a comment. For others it proves that whoever holds the key has said this of that pull request; it does
not prove that it is still so.

The form is one line, an HTML comment, as the last line of the comment's body::

    <!-- slipway-record:v1 KEY_ID SIGNATURE JSON -->

``KEY_ID`` is the first 8 hex digits of the key's SHA-256, ``SIGNATURE`` the HMAC-SHA256 (RFC 2104) of the bytes of
``JSON`` as they stand, in 64 hex digits. Only the last line counts, since a log in a comment may hold any line at all.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.core.outcome import ReleaseReport, ServiceLine
from bot.report.limits import BLOCK

VERSION = 1
_OPENING = f"{BLOCK}v{VERSION} "
_FORM = re.compile(rf"{_OPENING}([0-9a-f]{{8}}) ([0-9a-f]{{64}}) (\{{[^<>\r\n]*\}}) -->")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a report stands, and which run wrote it.

    ``thread`` is the number of the pull request or issue; ``command_id`` names the command, as in the deployment.
    """

    repository: str
    thread: int
    command_id: str
    run_id: int
    run_attempt: int


@dataclass(frozen=True, kw_only=True)
class Untrusted:
    """Why a comment's block is not to be believed, in a sentence, and what to do next."""

    sentence: str
    next: str = ""


_FOREIGN = Untrusted(
    sentence=f"The comment's block is of another version; only version {VERSION} is known here.",
    next="Use the `slipway` of the release that wrote it.",
)


def release_facts(report: ReleaseReport, origin: Origin) -> dict[str, Any]:
    """Return what a release's comment says, as JSON. ``version`` rises when a field changes its meaning or goes.

    Times are RFC 3339 in UTC. What is not known (yet) is None.
    """
    over = report.state != "running"
    return {
        "version": VERSION,
        "repository": origin.repository,
        "pull_request": origin.thread,
        "command_id": origin.command_id,
        "verb": report.verb,
        "environment": report.environment,
        "sha": report.sha,
        "state": report.state,
        "reason": report.reason.value if over else None,
        "deployment_id": report.deployment_id or None,
        "run_id": origin.run_id,
        "run_attempt": origin.run_attempt,
        "started": _moment(report.started),
        "ended": _moment(report.now) if over else None,
        "only": list(report.only),
        "services": [_service(line, known=over and line.asked) for line in report.services],
    }


def _service(line: ServiceLine, *, known: bool) -> dict[str, Any]:
    return {
        "service": line.service,
        "before": line.before,
        "now": line.now if known else None,
        "now_percent": line.now_percent if known and line.now else None,
        "now_digest": (line.digest or None) if known else None,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seal(facts: Mapping[str, Any], key: str) -> str:
    """Return the block of these facts, signed with a key. They must have no secrets any more: nothing is masked here.

    No text in them can end the HTML comment: the JSON is ASCII, and what HTML would look at is escaped in it.
    """
    plain = json.dumps(facts, separators=(",", ":"), allow_nan=False)
    # Outside of texts JSON has none of these, so each stands in one, where an escape means the same.
    text = plain.replace("--", r"-\u002d").replace("<", r"\u003c").replace(">", r"\u003e")
    return f"{_OPENING}{key_id(key)} {_signature(text, key)} {text} -->"


def key_id(key: str) -> str:
    """Return the name of a key, by which a reader who has several finds the right one."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def _signature(text: str, key: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def verified(body: str, keys: Sequence[str], *, repository: str, pull_request: int = 0) -> dict[str, Any] | Untrusted:
    """Return what the block of a comment says, once it is certain that it was signed for this place.

    ``keys`` are all that are good. ``repository`` is ``owner/name`` (in any case, as on GitHub) and ``pull_request``
    the number of the comment's thread, 0 for any.
    """
    last = body.rstrip().rpartition("\n")[2]
    if not last.startswith(BLOCK):
        return Untrusted(
            sentence="The comment has no signed block as its last line.",
            next="Releases and rollbacks have one, where the action is given the input `signing-key`.",
        )
    if not last.startswith(_OPENING):
        return _FOREIGN
    found = _FORM.fullmatch(last)
    if found is None:
        return Untrusted(sentence="The comment's block is damaged: somebody has changed the comment.")
    name, signature, text = found.groups()
    good = [key for key in keys if key_id(key) == name]
    if not good:
        known = ", ".join(map(key_id, keys)) or "none"
        return Untrusted(
            sentence=f"The comment's block is signed with the key {name}, which is not given (given: {known}).",
            next="If that is an older key of yours, give it too; several stand on a line each.",
        )
    if not any(hmac.compare_digest(_signature(text, key), signature) for key in good):
        return Untrusted(sentence=f"The signature is wrong: the key {name} has not signed this text.")
    return _in_place(json.loads(text), repository=repository, pull_request=pull_request)


def _in_place(facts: dict[str, Any], *, repository: str, pull_request: int) -> dict[str, Any] | Untrusted:
    """Return facts whose signature is right, if they are of this version and were said here."""
    if facts.get("version") != VERSION:
        return _FOREIGN
    if str(facts.get("repository")).lower() != repository.lower():
        return Untrusted(sentence=f"The block was signed for {facts.get('repository')}, not for {repository}.")
    if pull_request and facts.get("pull_request") != pull_request:
        return Untrusted(sentence=f"The block was signed for #{facts.get('pull_request')}, not for #{pull_request}.")
    return facts
