"""Comments made at random are read as they should be, as far as that can be told without GitHub's own parser.

With it, and very many more: ``nox -s fuzz``.
"""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

from bot.core.commands import parse_comment

TESTS = Path(__file__).parents[2]
SEEDS = range(10)
EACH = 40


@pytest.fixture(scope="module")
def comments() -> list[str]:
    sys.path.insert(0, str(TESTS / "fuzz"))
    maker = importlib.import_module("maker")
    sys.path.remove(str(TESTS / "fuzz"))
    return [made.comment() for seed in SEEDS for made in [maker.Maker(seed)] for _ in range(EACH)]


def test_a_comment_is_read_the_same_twice_and_each_command_from_its_line(comments: list[str]) -> None:
    found = 0
    for body in comments:
        read = parse_comment(body)
        assert parse_comment(body) == read
        lines = re.split(r"\r\n|\r|\n", body)
        for item in read:
            said = lines[item.line - 1].strip().replace("\u200b", "")
            assert said.lower().startswith(item.text.split()[0].lower()), (body, item)
            found += 1
    assert found > len(comments) / 2  # so that it is about something


def test_nothing_is_read_out_of_what_hides_all_of_it(comments: list[str]) -> None:
    for body in comments:
        lines = re.split(r"\r\n|\r|\n", body)
        fenced = "\n".join(["`````", *(line.replace("`````", "") for line in lines), "`````"])
        quoted = "\n".join(f"> {line}" for line in lines)
        indented = "\n".join(f"        {line}" for line in lines)
        hidden = "<!--\n" + body.replace("-->", "") + "\n-->"
        for said in (fenced, quoted, indented, hidden):
            assert parse_comment(said) == (), said


def test_what_the_bot_writes_holds_no_command_and_neither_does_a_reply_that_quotes_it() -> None:
    goldens = sorted((TESTS / "golden").glob("*.md"))
    assert len(goldens) > 50
    for path in goldens:
        body = path.read_text("utf-8")
        assert parse_comment(body) == (), path.name
        assert parse_comment("".join(f"> {line}\n" for line in body.splitlines()) + "\nWhy?\n") == (), path.name
