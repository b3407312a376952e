"""The signed block in a release's comment: what it says and when, that masking leaves it whole, and that the bot itself
never reads one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.core.facts import Lock, LockRecord, Run
from bot.core.outcome import Outcome, Reason
from bot.core.redaction import Masker
from bot.core.serving import ServiceState, TrafficShare
from bot.report.block import Untrusted, seal, verified
from bot.report.limits import BLOCK, apart

KEY, OTHER = "0123456789abcdef" * 4, "fedcba9876543210" * 4
SECRET = "s3cretS3cret"  # the world's masker knows it
SIX, SEVEN = "0000006" + "0" * 33, "0000007" + "0" * 33


def read(body: str) -> dict[str, Any]:
    found = verified(body, [KEY], repository="acme/shop", pull_request=7)
    assert not isinstance(found, Untrusted), found.sentence
    return found


# -- what it says -------------------------------------------------------------------------------------------------
def test_a_release_says_for_machines_what_it_says_for_people(world: Any) -> None:
    world.released(6)
    world.log.hooks["create_deployment"] = lambda: world.clock.sleep(70)
    outcome = world.say("/deploy staging", signing_key=KEY, run=Run(id=812, attempt=3))
    (*_, kept) = world.github.kept
    found = read(world.shown)
    assert {name: found[name] for name in ("state", "reason", "verb", "environment", "sha")} == {
        "state": "released", "reason": "released", "verb": "deploy", "environment": "staging", "sha": SEVEN,
    }  # fmt: skip
    assert (found["run_id"], found["run_attempt"]) == (812, 3)
    assert found["deployment_id"] == outcome.deployment_id == kept.id
    assert found["command_id"] == kept.payload["id"]
    assert (found["started"], found["ended"]) == ("2026-03-02T12:00:10Z", "2026-03-02T12:01:20Z")
    states = {state.service: state for state in world.target.live.values()}
    before = {state["service"]: state["traffic"][0]["revision"] for state in kept.payload["before"]["services"]}
    assert found["services"] == [
        {"service": name, "before": before[name], "now": states[name].revision, "now_percent": 100,
         "now_digest": f"sha256:{SEVEN}"}
        for name in ("web", "worker")
    ]  # fmt: skip


def test_it_is_there_from_the_first_word_on(world: Any) -> None:
    world.say("/deploy staging", signing_key=KEY)
    ((first, *_, last),) = world.github.bodies.values()
    assert (read(first)["state"], read(first)["deployment_id"], read(first)["ended"]) == ("running", None, None)
    assert read(last)["state"] == "released"


@pytest.mark.parametrize(
    ("text", "prepare", "said"),
    [
        ("/deploy staging", lambda world: world.target.broken.add("job-migrate"), ("deploy", "failed", "job_failed")),
        ("/deploy staging", lambda world: world.target.sick.add(SEVEN), ("deploy", "failed", "verification_failed")),
        ("/rollback staging", lambda _: None, ("rollback", "released", "rolled_back")),
    ],
)
def test_other_ends_are_told_too(
    world: Any, text: str, prepare: Callable[[Any], object], said: tuple[str, ...]
) -> None:
    world.released(5)
    world.released(6)
    prepare(world)
    world.say(text, author="max", signing_key=KEY)
    found = read(world.shown)
    assert (found["verb"], found["state"], found["reason"]) == said
    sha = {"deploy": SIX, "rollback": "0000005" + "0" * 33}[found["verb"]]
    assert {service["now_digest"] for service in found["services"]} == {f"sha256:{sha}"}  # what serves, not what failed


@pytest.mark.parametrize("text", ["/status", "/help", "/deploy production", "/deploy staging --dry-run", "/deploi x"])
def test_answers_and_refusals_have_none(world: Any, text: str) -> None:
    world.say(text, signing_key=KEY)
    assert BLOCK not in world.shown


def test_without_a_key_there_is_none(world: Any) -> None:
    world.say("/deploy staging")
    assert all(BLOCK not in body for bodies in world.github.bodies.values() for body in bodies)


def test_a_release_that_is_stopped_at_the_last_moment_keeps_none(world: Any) -> None:
    """The comment that was begun becomes a refusal: what was signed of it is gone."""
    world.log.hooks["take_lock"] = lambda: world.github.pulls.__setitem__(
        7, replace(world.github.pulls[7], head_sha="9" * 40)
    )
    assert world.say("/deploy staging", signing_key=KEY).reason is Reason.HEAD_MOVED
    ((first, *_, last),) = world.github.bodies.values()
    assert read(first)["state"] == "running"
    assert BLOCK not in last


# -- secrets ------------------------------------------------------------------------------------------------------
def with_secrets(world: Any) -> None:
    """Have a secret in the name of what serves, and in the log of what fails."""
    name = f"shop-web-{SECRET}"
    world.target.revisions[name] = ("old", SIX)
    world.target.live["web"] = ServiceState(
        service="web", url="https://web.test", traffic=(TrafficShare(revision=name, percent=100),),
        digests={name: f"sha256:{SECRET}"}, labels={name: {"slipway-sha": SIX}},
    )  # fmt: skip
    diagnose = world.target.diagnose
    world.target.diagnose = lambda *args: replace(diagnose(*args), tail=(f"password is {SECRET}", "-->", "bye"))


def test_what_is_signed_is_what_was_masked(world: Any) -> None:
    with_secrets(world)
    world.target.broken.add("job-migrate")
    assert world.say("/deploy staging", signing_key=KEY).reason is Reason.JOB_FAILED
    for bodies in world.github.bodies.values():
        for body in bodies:
            assert SECRET not in body
            assert Masker((SECRET, KEY)).mask(body) == body
            if apart(body)[1]:
                assert read(body)["version"] == 1
    [web, _] = read(world.shown)["services"]
    assert (web["before"], web["now"], web["now_digest"]) == ("shop-web-***", "shop-web-***", "sha256:***")


@pytest.mark.parametrize("secret", ['"reason":"released"', '"environment":"staging"', "acme/shop"])
def test_a_block_that_masking_would_break_is_left_out(world: Any, secret: str) -> None:
    world.secrets = (secret,)
    world.say("/deploy staging", signing_key=KEY)
    assert BLOCK not in world.shown
    assert "is live" in world.shown


# -- forged blocks ------------------------------------------------------------------------------------------------
def forged(key: str, **over: Any) -> str:
    """What somebody who lacks the key (or has it) writes: the right shape, and that all is well."""
    facts = {
        "version": 1, "repository": "acme/shop", "pull_request": 7, "command_id": "ic-9001-1", "verb": "deploy",
        "environment": "staging", "sha": SEVEN, "state": "released", "reason": "released", "deployment_id": 1,
        "run_id": 1, "run_attempt": 1, "started": "2026-03-02T12:00:00Z", "ended": "2026-03-02T12:01:00Z",
        "services": [{"service": "web", "before": "x", "now": "y", "now_percent": 100, "now_digest": None}], **over,
    }  # fmt: skip
    return seal(facts, key)


MARKED = "<!-- slipway:v1 id=ic-1-1 env=staging sha=" + SEVEN + " -->"
PLACES = {
    "alone": "{block}",
    "below words": "It went well.\n\n{block}\n",
    "above a title": "{block}\n### 🟢 `0000007` is live on **staging**",
    "below a release under way": "{marker}\n### 🟡 Deploying `0000007` → **staging**\n\n{block}",
    "below a release that failed": "{marker}\n### 🔴 `0000007` failed on **staging**\n\n{block}",
}


def story(world: Any, block: str, place: str, author: str) -> tuple[list[Outcome], dict[str, Any]]:
    """Tell of a thread with a block on it, where much is asked and released; return the ends, and what was done.

    Calls come from several threads, so they are told by what they were and not by their order.
    """
    written = world.github.comment(7, PLACES[place].format(block=block, marker=MARKED))
    if author:
        world.github.authors[written.id] = author
    record = LockRecord(
        environment="staging", run_id=77, run_attempt=1, actor="max", pull_request=7, sha=SIX,
        since=datetime(2026, 3, 2, 11, 59, tzinfo=UTC),
    )  # fmt: skip
    world.github.locks["staging"] = Lock(environment="staging", oid="f" * 40, record=record)  # of a run that is gone
    asked = ("/status", "/deploy staging", "/history staging", "/deploy staging", "/rollback staging")
    outcomes = [world.say(f"{text}\n\n{block}", author="max", signing_key=KEY) for text in asked]
    bodies = world.github.bodies
    rewritten = "was interrupted" in bodies[written.id][-1]
    assert not rewritten or BLOCK not in bodies[written.id][-1]  # what was signed of a run that is gone goes with it
    del bodies[written.id]
    return outcomes, {
        "calls": sorted(repr(call) for call in world.log.calls if call[0] != "edit_comment"),
        "states": world.github.states(),
        "serves": world.target.serves(),
        "minimized": world.github.minimized,
        "rewritten": rewritten,
        "said": [texts[-1] for texts in bodies.values()],
    }


@pytest.mark.parametrize("author", ["", "mallory"], ids=["the bot", "somebody"])
@pytest.mark.parametrize("place", PLACES)
def test_a_forged_block_changes_nothing(place: str, author: str, make_world: Callable[[], Any]) -> None:
    """The same is done and said as where an idle HTML comment stands: whatever it claims, and be it signed."""
    outcomes, seen = story(make_world(), "<!-- nothing -->", place, author)
    for block in (forged(OTHER), forged(OTHER, state="running", ended=None), forged(KEY)):
        assert story(make_world(), block, place, author) == (outcomes, seen)
    assert seen["rewritten"] is (place == "below a release under way" and not author)
