from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.core.redaction import Masker
from bot.log import configure

SECRET = 'tok"en/with\\odd &chars'


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_level_time_and_what_was_bound(stream: io.StringIO) -> None:
    context = configure(level="info", masker=Masker(), stream=stream)
    context.bind(repository="acme/shop", sha="4f9a1c2")
    context.bind(environment="staging", sha="a81d0be")
    structlog.get_logger().info("step done", step="build", sha="own")
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "step done",
        "level": "info",
        "repository": "acme/shop",
        "environment": "staging",
        "step": "build",
        "sha": "own",
    }


@pytest.mark.parametrize(
    "said", ["::set-output name=sha::x", "step: ##[set-output name=sha;]x", "a\n::stop-commands::x"]
)
def test_no_line_is_a_workflow_command(said: str, stream: io.StringIO) -> None:
    """The runner takes the older form wherever it stands in a line."""
    configure(level="info", masker=Masker(), stream=stream)
    structlog.get_logger().info("step", detail=said)
    assert [line["detail"] for line in lines(stream)] == [said]
    assert all("##[" not in line and not line.lstrip().startswith("::") for line in stream.getvalue().splitlines())


def test_what_was_bound_is_there_in_every_thread(stream: io.StringIO) -> None:
    configure(level="info", masker=Masker(), stream=stream).bind(sha="4f9a1c2")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda number: structlog.get_logger().info("x", number=number), range(4)))
    assert [line["sha"] for line in lines(stream)] == ["4f9a1c2"] * 4


@pytest.mark.parametrize(
    ("level", "events"),
    [
        ("debug", ["debug", "info", "error"]),
        ("INFO ", ["info", "error"]),
        ("nonsense", ["info", "error"]),
        ("error", ["error"]),
    ],
)
def test_lines_below_the_level_are_left_out(level: str, events: list[str], stream: io.StringIO) -> None:
    configure(level=level, masker=Masker(), stream=stream)
    for name in ("debug", "info", "error"):
        getattr(structlog.get_logger(), name)(name)
    assert [line["event"] for line in lines(stream)] == events


class Odd:
    def __str__(self) -> str:
        return f"odd {SECRET}"

    __repr__ = __str__


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    "values",
    [
        {"text": f"a {SECRET} b"},
        {"nested": {"list": [SECRET, {"x": f"y{SECRET}"}]}},
        {SECRET: 1},
        {"odd": Odd()},
        {"raw": SECRET.encode()},
    ],
)
def test_a_secret_is_masked_wherever_it_stands(values: dict[str, Any], *, terminal: bool) -> None:
    stream = Terminal() if terminal else io.StringIO()
    configure(level="info", masker=Masker([SECRET]), stream=stream)
    structlog.get_logger().info("event", **values)
    text = stream.getvalue()
    assert "***" in text
    assert "odd &chars" not in text.replace("\\", "")


def fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("terminal", [False, True])
def test_a_traceback_is_logged_without_secrets_or_local_variables(*, terminal: bool) -> None:
    stream = Terminal() if terminal else io.StringIO()
    configure(level="info", masker=Masker([SECRET]), stream=stream)
    hidden = "local" + "-value"
    try:
        fail(ValueError(f"failed with {SECRET}"))
    except ValueError:
        structlog.get_logger().exception("stopped")
    text = stream.getvalue()
    assert "ValueError: failed with ***" in text
    assert "odd &chars" not in text
    assert hidden not in text


def test_a_line_never_begins_a_workflow_command(stream: io.StringIO) -> None:
    configure(level="info", masker=Masker(), stream=stream)
    structlog.get_logger().info("::error::x\n::set-output name=a::b", text="\r\n::add-mask::x")
    assert all(line.startswith("{") for line in stream.getvalue().splitlines())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_every_line_is_json_whatever_is_logged(event: str, value: str) -> None:
    stream = io.StringIO()
    configure(level="info", masker=Masker([SECRET]), stream=stream)
    structlog.get_logger().info(event, value=f"-----BEGIN PRIVATE KEY-----{value}{SECRET}")
    (line,) = [json.loads(line) for line in stream.getvalue().split("\n") if line]
    assert line["value"].startswith("***")


def test_the_standard_library_goes_the_same_way_once(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own raises what a handler must not
    configure(level="debug", masker=Masker([SECRET]), stream=io.StringIO())
    configure(level="debug", masker=Masker([SECRET]), stream=stream)
    library = logging.getLogger("some.library")
    library.debug("GET with a whole header")
    library.warning("retrying %s", SECRET)
    library.log(35, "between two levels")
    library.log(70, "beyond all levels")
    library.error("wrong %d", "arguments")
    try:
        fail(OSError(SECRET))
    except OSError:
        library.exception("broken")
    logged = lines(stream)
    assert [(line["event"], line["level"], line["logger"]) for line in logged] == [
        ("retrying ***", "warning", "some.library"),
        ("between two levels", "warning", "some.library"),
        ("beyond all levels", "critical", "some.library"),
        ("wrong %d", "error", "some.library"),
        ("broken", "error", "some.library"),
    ]
    assert logged[-1]["exception"].endswith("OSError: ***")


def test_logs_go_to_standard_error_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    configure(level="info", masker=Masker())
    structlog.get_logger().info("here")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["event"] == "here"
