"""Which line of an output is the error, and when a stream is left."""

import itertools
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from bot.sandbox.heroku.streams import StreamServer
from bot.targets.heroku_api import Platform
from bot.targets.heroku_logs import build_failure, first_error
from bot.targets.heroku_model import Build


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ((), ""),
        (("all is well", "errors: none"), ""),
        (("ValueError: first", "During handling:", "web.1: shop.Broken.KeyError: last", "exit"), "shop.Broken.KeyError: last"),
        (("       SyntaxError: invalid syntax", " !     Push failed"), "SyntaxError: invalid syntax"),
        (("web.1: Error R10 (Boot timeout) -> no port", "another error"), "Error R10 (Boot timeout) -> no port"),
        (("a sentence about ValueError: here", "x"), ""),
        (("AssertionError", "done"), "AssertionError"),
    ],
)  # fmt: skip
def test_the_first_error_is_the_last_exception_or_else_a_line_that_says_error(
    lines: tuple[str, ...], error: str
) -> None:
    assert first_error(lines) == error


@pytest.fixture
def streams() -> Iterator[StreamServer]:
    server = StreamServer()
    server.start()
    yield server
    server.stop()


def build(url: str | None) -> Build:
    return Build(id="b", status="failed", created_at=datetime(2026, 3, 2, tzinfo=UTC), output_stream_url=url)


def test_a_stream_that_never_ends_is_left(streams: StreamServer) -> None:
    left = threading.Event()

    def endless() -> Iterator[str]:
        yield " !     Compiler is out of memory\n"
        try:
            while not left.wait(0.001):
                yield "still going\n"
        finally:
            left.set()

    seconds = itertools.count()  # each look at the clock is a second later
    platform = Platform(environ={"HEROKU_API_URL": "http://127.0.0.1:1"}, clock=lambda: float(next(seconds)))
    url = streams.publish("streams", endless)
    assert build_failure(platform, build(url)) == "The build failed: Compiler is out of memory"
    assert next(seconds) < 10
    assert left.wait(10)  # the reader has hung up


def test_a_build_without_output_has_no_words() -> None:
    assert build_failure(Platform(environ={}), build(None)) == "The build failed."
