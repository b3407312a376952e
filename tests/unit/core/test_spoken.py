"""Commands as they are typed in a terminal."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.commands import Command, Misread, parse_comment
from bot.core.overrides import OVERRIDABLE
from bot.core.registry import REGISTRY, SEVERITIES
from bot.core.spoken import line, next_words, read_back, values_of

EXAMPLES = [example for verb in REGISTRY.values() for example in verb.examples]


@pytest.mark.parametrize(
    ("verb", "words", "flags", "said"),
    [
        ("deploy", ["staging"], {"dry-run": True, "wait": False, "plan": None}, "/deploy staging --dry-run"),
        ("deploy", ["staging", "web", "@4f9a1c2"], {}, "/deploy staging web @4f9a1c2"),
        ("deploy", ["staging"], {"reason": "demo at ten"}, "/deploy staging --reason='demo at ten'"),
        ("lock", ["all"], {"reason": "it's late", "for": "4h"}, "/lock all --reason='it'\"'\"'s late' --for=4h"),
        ("preview", ["create"], {"ttl": "3d"}, "/preview create --ttl=3d"),
    ],
)
def test_the_line_that_is_said(verb: str, words: list[str], flags: Any, said: str) -> None:
    assert line(verb, words, flags) == said
    assert isinstance(read_back(said), Command)


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_help_shows_can_be_said_in_a_terminal(example: str) -> None:
    (expected,) = parse_comment(example)
    assert isinstance(expected, Command)
    verb, *typed = shlex.split(example)
    words = [word for word in typed if not word.startswith("--")]
    flags = {name: value or True for name, value in expected.flags.items()}
    read = read_back(line(verb.removeprefix("/"), words, flags))
    assert isinstance(read, Command)
    assert replace(read, text="") == replace(expected, text="")


@pytest.mark.parametrize("said", ["/deploy staging\n/approve staging", "/deploy staging\r\n", "deploy staging", ""])
def test_what_is_no_one_line(said: str) -> None:
    assert isinstance(read_back(said), Misread)


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_is_typed_it_is_one_command_as_meant_or_none(word: str, reason: str) -> None:
    read = read_back(line("deploy", ["staging"], {"reason": reason}))
    if isinstance(read, Command):
        assert (read.environment, read.services, list(read.flags)) == ("staging", (), ["reason"])
        if reason.isprintable() and reason.isascii():
            assert read.flags["reason"] == reason
    read = read_back(line("verify", [word], {}))
    assert isinstance(read, Misread) or len(parse_comment(read.text)) == 1


@pytest.mark.parametrize(
    ("reason", "heard"),
    [
        ("it\u2019s late", "it's late"),
        ("it\u2019s what\u2019s due", "it's what's due"),
        ("x\u2019 --override=approvals \u2018", "x' --override=approvals '"),
        ("\u201cdemo\u201d at ten", '"demo" at ten'),
    ],
)
def test_a_curly_quote_does_not_end_a_value(reason: str, heard: str) -> None:
    read = read_back(line("deploy", ["staging"], {"reason": reason}))
    assert isinstance(read, Command)
    assert (read.environment, read.services, read.flags) == ("staging", (), {"reason": heard})


WHERE: dict[str, Any] = {"environments": ("staging", "production"), "services": ("web", "worker")}


@pytest.mark.parametrize(
    ("verb", "before", "found"),
    [
        ("deploy", [], ("staging", "production")),
        ("deploy", ["@4f9a1c2"], ("staging", "production")),
        ("deploy", ["staging"], ("web", "worker")),
        ("deploy", ["staging", "web"], ("worker",)),
        ("promote", ["production"], ()),
        ("lock", [], ("staging", "production", "all")),
        ("logs", ["staging"], ("web", "worker")),
        ("logs", ["staging", "web"], ()),
        ("preview", [], ("create", "destroy", "extend")),
        ("preview", ["create"], ("staging", "production")),
        ("help", [], tuple(REGISTRY)),
        ("help", ["deploy"], ()),
        ("doctor", [], ()),
    ],
)
def test_what_may_come_next(verb: str, before: list[str], found: tuple[str, ...]) -> None:
    assert next_words(REGISTRY[verb], before, **WHERE) == found


@pytest.mark.parametrize(
    ("flag", "values"), [("severity", SEVERITIES), ("override", OVERRIDABLE), ("reason", ()), ("for", ())]
)
def test_the_values_of_a_flag(flag: str, values: tuple[str, ...]) -> None:
    assert values_of(flag) == values
