import io
import re
from pathlib import Path
from typing import Any

import pytest

from bot.errors import SettingsError
from bot.github import runner
from bot.github.runner import Commands


def parse(text: Any) -> Any:
    """Read outputs the way the runner does: up to the delimiter on a line of its own."""
    found, lines = {}, iter(text.split("\n"))
    for line in lines:
        if line:
            name, delimiter = line.split("<<", 1)
            value = []
            for inner in lines:
                if inner == delimiter:
                    break
                value.append(inner)
            found[name] = "\n".join(value)
    return found


VALUES = {
    "decision": "released",
    "result": '{"a":\n 1}',
    "empty": "",
    "trap": "x\nEOF\nevil=1\nslipway_\n",
    "odd": "a\r\nb %0A ü",
}


def test_outputs_survive_whatever_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_text("earlier<<E\n1\nE\n")
    runner.write_outputs(path, VALUES)
    assert parse(path.read_bytes().decode()) == {"earlier": "1", **VALUES}


def test_a_delimiter_that_occurs_is_replaced() -> None:
    tokens = iter(["one", "two"])
    block = runner.output_block("a", "slipway_one", token=lambda: next(tokens))
    assert block == "a<<slipway_two\nslipway_one\nslipway_two\n"


def test_delimiters_are_random() -> None:
    assert runner.output_block("a", "b") != runner.output_block("a", "b")
    assert re.fullmatch(r"[0-9a-f]{32}", runner.random_token())


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "a<<b", "1a", "ä"])
def test_names_that_are_none(name: Any) -> None:
    with pytest.raises(ValueError, match="no name"):
        runner.output_block(name, "x")


def test_lone_surrogates_do_not_lose_the_outputs(tmp_path: Path) -> None:
    runner.write_outputs(tmp_path / "output", {"a": "x\udce4y"})
    assert parse((tmp_path / "output").read_text()) == {"a": "x?y"}


@pytest.mark.parametrize(
    "write", [lambda path: runner.write_outputs(path, {"a": "b"}), lambda path: runner.append_summary(path, "x")]
)
def test_files_that_cannot_be_written(tmp_path: Path, write: Any) -> None:
    with pytest.raises(SettingsError, match="cannot be written"):
        write(tmp_path / "nowhere" / "file")


def test_a_summary_that_cannot_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="GITHUB_STEP_SUMMARY"):
        runner.append_summary(tmp_path / "file" / "below", "x")


def test_summaries_follow_each_other(tmp_path: Path) -> None:
    path = tmp_path / "summary"
    runner.append_summary(path, "one")
    runner.append_summary(path, "two\n\n")
    assert path.read_text() == "one\ntwo\n"


def test_a_long_summary_keeps_head_and_tail(tmp_path: Path) -> None:
    path = tmp_path / "summary"
    path.write_text("before\n")
    text = "".join(f"line {number} ü\n" for number in range(200))
    runner.append_summary(path, text, limit=700)
    written = path.read_bytes()
    assert 600 < len(written) <= 700
    lines = written.decode().splitlines()
    assert lines[:2] == ["before", "line 0 ü"]
    assert lines[-1] == "line 199 ü"
    assert any("left out" in line for line in lines)
    assert all(line in text for line in lines if line.startswith("line"))


def test_a_full_summary_takes_no_more(tmp_path: Path) -> None:
    path = tmp_path / "summary"
    path.write_text("x" * 50)
    runner.append_summary(path, "more " * 20, limit=50)
    assert path.read_text() == "x" * 50


def fence_is_balanced(text: Any) -> Any:
    return len([line for line in text.splitlines() if line.startswith("````")]) % 2 == 0


def test_a_code_fence_is_closed_and_opened_again() -> None:
    inside = "".join(f"log {number}\n```\n" for number in range(100))
    text = f"# Log\n````text\n{inside}````\n"
    cut = runner.cut(text, 500)
    assert len(cut.encode()) <= 500
    assert fence_is_balanced(cut)
    before, _, after = cut.partition("\n*(…")
    assert before.splitlines()[-1] == "````"
    assert after.splitlines()[2] == "````text"
    assert cut.endswith("````\n")


def test_a_cut_after_a_closed_fence_opens_none() -> None:
    text = "```\ncode\n```\n" + "word\n" * 300
    cut = runner.cut(text, 400)
    assert cut.count("```") == 2


@pytest.mark.parametrize("limit", [-5, 0, 10, 60])
def test_no_room_leaves_nothing(limit: Any) -> None:
    assert runner.cut("word\n" * 100, limit) == ""


def test_one_endless_line_is_left_out() -> None:
    assert "xx" not in runner.cut("x" * 5000, 1000)


@pytest.mark.parametrize(
    ("text", "data", "prop"),
    [
        ("plain", "plain", "plain"),
        ("50%", "50%25", "50%25"),
        ("a\r\nb", "a%0D%0Ab", "a%0D%0Ab"),
        ("a:b,c", "a:b,c", "a%3Ab%2Cc"),
        ("%0A", "%250A", "%250A"),
    ],
)
def test_escaping(text: Any, data: Any, prop: Any) -> None:
    assert runner.escape_data(text) == data
    assert runner.escape_property(text) == prop


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"message": "done"}, "::notice::done"),
        ({"message": "a\nb", "title": "T: x"}, "::notice title=T%3A x::a%0Ab"),
        ({"message": "m", "title": "T", "file": "a,b.yml", "line": 3}, "::notice title=T,file=a%2Cb.yml,line=3::m"),
    ],
)
def test_annotations(given: Any, line: Any) -> None:
    out = io.StringIO()
    Commands(out).notice(**given)
    Commands(out).error(**given)
    assert out.getvalue().splitlines() == [line, line.replace("notice", "error", 1)]


@pytest.mark.parametrize(
    ("secret", "lines"),
    [
        ("hunter2", ["::add-mask::hunter2"]),
        ("x%y", ["::add-mask::x%25y"]),
        ("ab", ["::add-mask::ab"]),
        ("", []),
        (
            "-----BEGIN KEY-----\nMIIEvQ\n\n==\n-----END KEY-----\n",
            ["::add-mask::-----BEGIN KEY-----", "::add-mask::MIIEvQ", "::add-mask::-----END KEY-----"],
        ),
    ],
)
def test_masks(secret: Any, lines: Any) -> None:
    out = io.StringIO()
    Commands(out).mask(secret)
    assert out.getvalue().splitlines() == lines


def test_text_of_others_gives_the_runner_no_commands() -> None:
    said = runner.inert("Traceback\n  ::set-output name=sha::x\nline ##[stop-commands]y\n")
    assert said == "| Traceback\n|   ::set-output name=sha::x\n| line ## [stop-commands]y"
