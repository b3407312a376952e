"""What is asked for again though it was turned down."""

from __future__ import annotations

import pytest

from bot.engine.persistence import PAUSE, TRIES, insist
from bot.errors import AuthError, ConflictError, ForbiddenError, NotFoundError, SlipwayError, UpstreamError


class Clock:
    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return sum(self.slept)

    def wait(self, _seconds: float) -> bool:
        raise AssertionError("at the end nothing is interrupted")

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    stopping = True


def turned_down(status: int = 400, kind: type[UpstreamError] = UpstreamError) -> UpstreamError:
    return kind("No.", service="GitHub", operation="write", status=status)


@pytest.mark.parametrize("status", [400, 405, 410, 422])
def test_what_is_turned_down_is_asked_again(status: int) -> None:
    clock, left = Clock(), [turned_down(status), turned_down(status)]

    def do() -> str:
        if left:
            raise left.pop()
        return "done"

    assert insist(do, clock) == "done"
    assert clock.slept == [PAUSE, PAUSE]


def test_it_is_given_up_in_the_end() -> None:
    clock, asked = Clock(), 0

    def do() -> None:
        nonlocal asked
        asked += 1
        raise turned_down()

    with pytest.raises(UpstreamError, match="No"):
        insist(do, clock)
    assert (asked, len(clock.slept)) == (TRIES, TRIES - 1)


@pytest.mark.parametrize(
    "error",
    [
        turned_down(404, NotFoundError), turned_down(403, ForbiddenError), turned_down(409, ConflictError),
        turned_down(429), turned_down(500), turned_down(503), turned_down(0), AuthError("No credentials."),
    ],
)  # fmt: skip
def test_what_adapters_have_settled_is_not_asked_again(error: SlipwayError) -> None:
    clock, asked = Clock(), 0

    def do() -> None:
        nonlocal asked
        asked += 1
        raise error

    with pytest.raises(type(error)):
        insist(do, clock)
    assert (asked, clock.slept) == (1, [])
