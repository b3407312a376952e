"""Scenarios of the signed line in a comment, which is verified here by code of its own."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import Any

from bot.sandbox.scenarios import looking
from bot.sandbox.scenarios.expectations import COMMON, deployments, ended, says, serves, true
from bot.sandbox.scenarios.model import Play, Scenario
from bot.sandbox.world import REPOSITORY

KEY = "sandbox-" + "0123456789abcdef" * 4
LINE = re.compile(r"<!-- slipway-record:v1 ([0-9a-f]{8}) ([0-9a-f]{64}) (\{.*\}) -->")


def signed(body: str, key: str = KEY) -> dict[str, Any] | None:
    """Return what the last line of a comment says if the key has signed it, None otherwise."""
    found = LINE.fullmatch(body.rstrip().splitlines()[-1])
    if found is None:
        return None
    named, signature, text = found.groups()
    right = hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
    known = hashlib.sha256(key.encode()).hexdigest().startswith(named)
    return json.loads(text) if known and hmac.compare_digest(right, signature) else None


def _signed(play: Play) -> None:
    """Release, when a comment with somebody's own signature says that all is done already."""
    play.release_main()
    play.pull_request("feature")
    play.repository.comment(play.number, forged(play), author="dana")
    play.say("/deploy staging", extra={"SLIPWAY_SIGNING_KEY": KEY})


def forged(play: Play) -> str:
    """Return a line of the right form that another key has signed."""
    claim = {"version": 1, "repository": REPOSITORY, "pull_request": play.number, "state": "released"}
    text, key = json.dumps(claim), "another key"
    signature = hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"<!-- slipway-record:v1 {hashlib.sha256(key.encode()).hexdigest()[:8]} {signature} {text} -->"


def _last(play: Play) -> dict[str, Any]:
    return signed(play.comments()[-1].body) or {}


def _states(play: Play) -> list[str]:
    """Return the states that the comment went through, as its versions have them signed."""
    comment = play.comments()[-1]
    said = [signed(body) or {} for body in (*(edit.body for edit in comment.edits), comment.body)]
    return list(dict.fromkeys(one.get("state", "unsigned") for one in said))


def _told(play: Play) -> dict[str, Any]:
    said = _last(play)
    wanted = ("repository", "pull_request", "verb", "environment", "sha", "state", "reason", "deployment_id", "run_id")
    return {name: said.get(name) for name in wanted}


def _truth(play: Play) -> dict[str, Any]:
    """Return the same from the servers' own state."""
    (deployment,) = play.deployments()
    return {
        "repository": REPOSITORY, "pull_request": play.number, "verb": "deploy", "environment": deployment.environment,
        "sha": play.shas["feature"], "state": "released", "reason": "released", "deployment_id": deployment.id,
        "run_id": play.last.run.id,
    }  # fmt: skip


def _said_to_serve(play: Play) -> list[str]:
    services = _last(play).get("services", [])
    return [f"{one['service']} {one['now']} {one['now_percent']} {one['now_digest']}" for one in services]


def _serves(play: Play) -> list[str]:
    found = []
    for name in ("web", "worker"):
        service = looking.service(play.world, name, "staging")
        (target,) = [target for target in service.site.targets if target.percent] if service else []
        found.append(f"{name} {target.revision.name} {target.percent} {looking.digest_of(target.revision)}")
    return found


SCENARIOS = (
    Scenario(
        name="signed",
        summary="with a key, the comment ends in a signed line for machines that says what the servers say",
        act=_signed,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *deployments("success"),
            *serves("feature"),
            *says(lambda play: f"🟢 `{play.sha('feature')}` is live on **staging**"),
            *true("signed, from the first word to the last", _states, ["running", "released"]),
            *true("what is signed is what is recorded", lambda play: [_told(play)], lambda play: [_truth(play)]),
            *true("what is signed is what serves", _said_to_serve, _serves),
            *true("the key can be seen in", lambda play: [at for at, text in looking.shown(play) if KEY in text], []),
        ),
        instant=True,
    ),
)  # fmt: skip
