"""`--wait`, and pushes: required checks that have not ended are waited for, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bot.core.facts import CheckState
from bot.core.outcome import Decision, Reason
from bot.errors import UpstreamError

SEVEN, MAIN = f"{7:07x}" + "0" * 33, f"{1:07x}" + "0" * 33
GREEN, RUNNING, RED = (CheckState(name="ci", state=state) for state in ("success", "pending", "failure"))


def at_look(world: Any, number: int, act: Callable[[], object]) -> None:
    """Do something right before the checks are asked for the so-manieth time."""
    seen = iter(range(1, 1000))

    def hook() -> None:
        if next(seen) == number:
            act()

    world.log.hooks["checks"] = hook


def becomes(world: Any, *states: CheckState, sha: str = SEVEN) -> Callable[[], None]:
    def act() -> None:
        world.github.check_states[sha] = states

    return act


@pytest.fixture
def shop(world: Any) -> Any:
    world.github.check_states[SEVEN] = (RUNNING,)
    return world


def history(world: Any, number: int = 7) -> list[str]:
    """The second lines of what the thread's only comment has said."""
    (comment,) = (key for key, thread in world.github.threads.items() if thread == number)
    return [body.splitlines()[1] for body in world.github.bodies[comment]]


def test_without_the_flag_it_is_refused(shop: Any) -> None:
    assert shop.say("/deploy staging").reason is Reason.CHECKS_PENDING


def test_with_it_the_release_begins_once_they_are_green(shop: Any) -> None:
    at_look(shop, 4, becomes(shop, GREEN))
    assert shop.say("/deploy staging --wait").reason is Reason.RELEASED
    assert len(shop.log.named("checks")) == 4
    said = history(shop)
    assert said[0] == "### ⏳ `0000007` waits for its checks, for **staging**"
    assert said[1] == "### ⏳ The checks of `0000007` are green: on to **staging**"
    assert "is live on **staging**" in said[-1]


def test_what_is_waited_for_is_told_anew_only_when_it_changes(shop: Any) -> None:
    shop.github.check_states[SEVEN] = ()
    at_look(shop, 3, becomes(shop, RUNNING))
    shop.log.hooks["edit_comment"] = shop.clock.stop
    assert shop.say("/deploy staging --wait").reason is Reason.CANCELLED
    (first, second, last) = next(iter(shop.github.bodies.values()))
    assert "Required checks have not reported on `0000007`: `ci`." in first
    assert "Required checks are still running on `0000007`: `ci`." in second
    assert "until 12:30:05 UTC at most" in second
    assert "The run was stopped while the checks of `0000007` were waited for." in last


def test_one_that_fails_meanwhile_ends_it(shop: Any) -> None:
    at_look(shop, 2, becomes(shop, RED))
    assert shop.say("/deploy staging --wait").reason is Reason.CHECKS_FAILED
    assert shop.mutations() == []


def test_it_has_an_end(shop: Any) -> None:
    assert shop.say("/deploy staging --wait").reason is Reason.CHECKS_PENDING
    assert len(shop.log.named("checks")) == 1 + 2 + (30 * 60 - 15) // 15
    assert "Required checks are still running" in shop.shown


@pytest.mark.parametrize(("over", "looks"), [("1m", 6), ("0s", 1)])
def test_how_long_can_be_configured(shop: Any, over: str, looks: int) -> None:
    files, path = shop.github.files, (".github/slipway.yml", "main")
    files[path] = files[path].replace("required_checks: [ci]", f"required_checks: [ci], wait_for_checks: {over}")
    assert shop.say("/deploy staging --wait").reason is Reason.CHECKS_PENDING
    assert len(shop.log.named("checks")) == looks


def test_the_branch_moves_on_meanwhile(shop: Any) -> None:
    at_look(shop, 2, lambda: shop.pull(7, head_sha="8" * 40))
    assert shop.say("/deploy staging --wait").reason is Reason.HEAD_MOVED
    assert "from `0000007` to `8888888` while its checks were waited for" in shop.shown
    assert "/deploy staging @8888888 --wait" in shop.shown


@pytest.mark.parametrize("over", [{"draft": True}, {"state": "closed"}])
def test_for_anything_else_nobody_waits(shop: Any, over: Any) -> None:
    shop.pull(7, **over)
    assert shop.say("/deploy staging --wait").decision is Decision.REFUSED
    assert len(shop.log.named("checks")) == 1


def test_an_outage_meanwhile_is_told(shop: Any) -> None:
    shop.log.fail("checks", 2)
    with pytest.raises(UpstreamError):
        shop.say("/deploy staging --wait")
    assert "502" in shop.shown


def test_a_push_waits_by_itself(shop: Any) -> None:
    shop.github.check_states[MAIN] = ()
    at_look(shop, 3, becomes(shop, GREEN, sha=MAIN))
    assert shop.handle(shop.push()).reason is Reason.RELEASED


def test_a_dispatch_does_not(shop: Any) -> None:
    shop.github.check_states[MAIN] = (RUNNING,)
    outcome = shop.handle(shop.dispatch(), command="deploy", environment="staging")
    assert outcome.reason is Reason.CHECKS_PENDING


def test_in_two_jobs_the_first_one_waits_and_its_comment_goes_on(shop: Any) -> None:
    at_look(shop, 2, becomes(shop, GREEN))
    event = shop.comment("/deploy staging --wait")
    run = shop.settings(event).run
    ready = shop.handle(event, phase="command", run=run)
    assert (ready.decision, ready.reason) == (Decision.RELEASE, Reason.READY)
    assert "are green: on to **staging**" in shop.shown
    outcome = shop.handle(event, phase="release", run=run, environment="staging", pinned_sha=ready.sha)
    assert outcome.reason is Reason.RELEASED
    assert len(history(shop)) > 2
