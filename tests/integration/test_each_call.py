"""Every single call of a release failing, one at a time: users are served by what is verified, and the lock is let go."""

from __future__ import annotations

from typing import Any

import pytest

from bot.core.outcome import Decision, Outcome
from bot.errors import ForbiddenError, SlipwayError, UpstreamError

SIX, SEVEN = "0000006" + "0" * 33, "0000007" + "0" * 33
GITHUB = {
    "permission": 1, "file": 1, "pull_request": 3, "checks": 1, "pushed_at": 1, "deployments": 1, "lock": 1,
    "take_lock": 1, "comment": 1, "create_deployment": 1, "set_status": 2, "edit_comment": 2, "react": 1, "compare": 1,
    "release_lock": 1,
}  # fmt: skip
TARGET = {"connect": 1, "serving": 3, "exposure": 1, "endpoint": 2, "diagnose": 1, "observe": 20, "apply": 7, "keep": 1}
CALLS = [("503", name, nth) for name, times in GITHUB.items() for nth in range(1, times + 1)]
CALLS += [
    (kind, name, nth)
    for name, times in TARGET.items()
    for nth in range(1, times + 1, 3 if name == "observe" else 1)
    for kind in ("503", "403", "bug")
]


@pytest.mark.parametrize(("kind", "name", "nth"), CALLS)
@pytest.mark.parametrize("ill", [False, True], ids=["well", "ill"])
def test_one_call_fails(world: Any, kind: str, name: str, nth: int, ill: bool) -> None:
    world.released(6)
    if ill:
        world.target.public.add("worker")  # a live check fails, so that the way back is taken
    errors: dict[str, Exception] = {
        "503": UpstreamError("It answered 503.", service="It", operation=name, status=503),
        "403": ForbiddenError("It answered 403.", service="It", operation=name, status=403),
        "bug": RuntimeError("a bug"),
    }
    world.log.fail(name, nth, errors[kind])
    outcome: Any = None
    try:
        outcome = world.say("/deploy staging")
    except (SlipwayError, RuntimeError) as error:
        outcome = error
    released = isinstance(outcome, Outcome) and outcome.decision is Decision.RELEASED
    assert not (released and ill)
    restored = outcome.result.get("release", {}).get("restored") if isinstance(outcome, Outcome) else None
    if restored is False:  # only where the very way back was hit, and then it is said
        assert ill
        assert "not restored" in world.shown
    else:
        assert world.target.serves() == ({SEVEN} if released else {SIX})
    assert world.github.locks == {} or name == "release_lock"
    told = [body for body in world.github.thread(7) if "Deploying" not in body]
    assert told or name in {"permission", "edit_comment", "comment"} or kind == "bug"
    assert not released or world.github.states()[-1] == "success" or name == "set_status"
