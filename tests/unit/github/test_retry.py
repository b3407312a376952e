from collections.abc import Callable
from threading import Event
from typing import Any

import pytest

from bot.errors import CancelledError, UpstreamError
from bot.github.retry import Failed, Policy, Waiting, asked_wait, repeat


def failure(**more: object) -> Failed:
    return Failed(UpstreamError("no", service="GitHub", operation="ask"), **more)  # type: ignore[arg-type]


def outcomes(*results: object) -> Callable[[], object]:
    left = list(results)

    def attempt() -> object:
        result = left.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result

    return attempt


def test_it_waits_longer_each_time_and_gives_up_after_four_attempts(waiting: Waiting, slept: list[float]) -> None:
    with pytest.raises(UpstreamError, match="no"):
        repeat(outcomes(*[failure(transient=True)] * 4), waiting)
    assert slept == [0.2, 0.4, 0.8]


def test_the_second_attempt_can_succeed(waiting: Waiting, slept: list[float]) -> None:
    assert repeat(outcomes(failure(transient=True), "yes"), waiting) == "yes"
    assert slept == [0.2]


def test_a_permanent_failure_is_not_repeated(waiting: Waiting, slept: list[float]) -> None:
    with pytest.raises(UpstreamError):
        repeat(outcomes(failure()), waiting)
    assert slept == []


def test_backoff_is_bounded() -> None:
    assert [Policy().backoff(number) for number in (1, 2, 3, 4, 5, 9)] == [0.2, 0.4, 0.8, 1.6, 3.0, 3.0]


def test_slow_attempts_use_up_the_total(slept: list[float]) -> None:
    clock = iter([0.0, 10.0, 20.3])
    waiting = Waiting(sleep=slept.append, monotonic=lambda: next(clock))
    with pytest.raises(UpstreamError):
        repeat(outcomes(*[failure(transient=True)] * 4), waiting)
    assert slept == [0.2]


def test_waits_the_server_asks_for_do_not_use_up_the_total(waiting: Waiting, slept: list[float]) -> None:
    attempt = outcomes(failure(transient=True, wait=50.0), failure(transient=True, wait=60.0), "yes")
    assert repeat(attempt, waiting) == "yes"
    assert slept == [50.0, 60.0]


def test_a_wait_beyond_patience_is_not_begun(waiting: Waiting, slept: list[float]) -> None:
    with pytest.raises(UpstreamError):
        repeat(outcomes(failure(transient=True, wait=61.0)), waiting)
    assert slept == []


def test_after_a_lost_reply_the_result_is_looked_for_before_sending_again(waiting: Waiting) -> None:
    assert repeat(outcomes(failure(transient=True, lost=True)), waiting, after_loss=lambda: "found") == "found"


def test_what_was_not_found_is_sent_again(waiting: Waiting) -> None:
    looks = []
    attempt = outcomes(failure(transient=True, lost=True), "sent")
    assert repeat(attempt, waiting, after_loss=lambda: looks.append(1)) == "sent"
    assert looks == [1]


def test_a_reply_that_refused_is_not_looked_for(waiting: Waiting) -> None:
    attempt = outcomes(failure(transient=True, wait=1.0), "sent")
    assert repeat(attempt, waiting, after_loss=lambda: pytest.fail("nothing was lost")) == "sent"


def test_the_last_loss_is_looked_for_too(waiting: Waiting) -> None:
    looks = iter([None, None, None, "found"])
    attempt = outcomes(*[failure(transient=True, lost=True)] * 4)
    assert repeat(attempt, waiting, after_loss=lambda: next(looks)) == "found"


def test_stopping_ends_a_wait_at_once() -> None:
    stop = Event()
    stop.set()
    with pytest.raises(CancelledError):
        repeat(outcomes(failure(transient=True, wait=60.0)), Waiting(stop=stop))


def test_stopping_during_an_injected_sleep_is_seen_after_it() -> None:
    stop = Event()
    with pytest.raises(CancelledError):
        repeat(outcomes(failure(transient=True)), Waiting(stop=stop, sleep=lambda _: stop.set()))


@pytest.mark.parametrize("stop", [None, Event()])
def test_a_real_wait_ends(stop: Any) -> None:
    policy = Policy(first=0.001)
    assert repeat(outcomes(failure(transient=True), "yes"), Waiting(stop=stop, policy=policy)) == "yes"


@pytest.mark.parametrize(
    ("headers", "limited", "wait"),
    [
        ({}, False, None),
        ({}, True, 60.0),
        ({"retry-after": "7"}, False, 7.0),
        ({"retry-after": "7", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1090"}, True, 7.0),
        ({"retry-after": "-1"}, True, 0.0),
        ({"retry-after": "soon"}, True, 60.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1030"}, True, 31.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "900"}, True, 1.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1030"}, False, None),
        ({"x-ratelimit-remaining": "12", "x-ratelimit-reset": "1030"}, True, 60.0),
        ({"x-ratelimit-remaining": "0"}, True, 60.0),
    ],
)
def test_waits_are_read_from_headers(headers: Any, limited: Any, wait: Any) -> None:
    assert asked_wait(headers, limited=limited, now=1000.0) == wait
