"""Triage and the full parser agree on generated Markdown, and the docs speak of the commands that there are."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot import triage
from bot.core import registry
from bot.core.commands import Command, Misread, parse_comment
from bot.core.registry import REGISTRY

COMMANDS = st.sampled_from(
    ["/deploy staging", "/deploy", "  /rollback production", "/STATUS", "/help deploy", "/deploi x", "/deploy@4f9a1c2", "\u00a0/status"]
)  # fmt: skip
PROSE = st.sampled_from(
    [
        "text",
        "a `code` b",
        "`open",
        "*a",
        "b*",
        "[a](x",
        ")",
        "[b]: /u",
        "/usr/bin",
        "/lock x",
        "\\",
        "a\\",
        "&#47;status",
        "",
        " ",
    ]
)
LINES = st.lists(COMMANDS | PROSE, min_size=1, max_size=4)
EOL = st.sampled_from(["\n", "\r\n", "\r"])


def prefixed(prefix: str, rest: str) -> st.SearchStrategy[list[str]]:
    return LINES.map(lambda lines: [prefix + lines[0], *(rest + line for line in lines[1:])])


def enclosed(before: str, after: str) -> st.SearchStrategy[list[str]]:
    return LINES.map(lambda lines: [before, *lines, after])


BLOCKS = st.one_of(
    LINES,
    prefixed("> ", "> "),
    prefixed("> ", ""),
    prefixed("- ", "  "),
    prefixed("- ", ""),
    prefixed("1. ", "   "),
    prefixed("    ", "    "),
    prefixed("\t", "\t"),
    enclosed("```", "```"),
    enclosed("~~~ sh", "~~~"),
    enclosed("````", "```"),
    enclosed("> ```", "```"),
    enclosed("- ```", "  ```"),
    enclosed("<!--", "-->"),
    enclosed("a <!-- b", "--> c"),
    enclosed("<div>", "</div>"),
    enclosed("<details>\n", "</details>"),
    enclosed("<pre>", "</pre>"),
    enclosed("| a |\n|---|", ""),
    enclosed("", "==="),
    enclosed("", "---"),
)
BODIES = st.builds(
    lambda blocks, between, eol: eol.join(between.join("\n".join(block) for block in blocks).split("\n")),
    st.lists(BLOCKS, min_size=1, max_size=4),
    st.sampled_from(["\n", "\n\n", "\n \n"]),
    EOL,
)


@settings(max_examples=300)
@given(BODIES)
@example("> ```\n> x\n/deploy staging")
@example("- ```\n\n/deploy staging")
@example("\u2028\n\u00a0\n/deploy staging")
@example("a\n        /deploy staging")
@example("<!-- a --> b\n/deploy staging")
def test_triage_never_takes_less_than_the_parser(body: str) -> None:
    found = parse_comment(body)
    if found:
        word = triage.find_command(body)
        assert word is not None
        if any(isinstance(one, Command) or not one.unknown for one in found):
            assert word in triage.VERBS


@given(st.text("/deploystahr \n`>-<!", max_size=60))
def test_nor_in_noise(body: str) -> None:
    if parse_comment(body):
        assert triage.find_command(body) is not None


def test_the_names_are_the_registrys() -> None:
    assert set(REGISTRY) == triage.VERBS
    assert registry.RESERVED == triage.RESERVED
    assert not registry.RESERVED & set(REGISTRY)


def test_every_reserved_word_is_met_with_silence_by_both() -> None:
    for word in registry.RESERVED:
        assert triage.find_command(f"/{word} x") is None
        assert parse_comment(f"/{word} x") == ()


def test_a_near_miss_names_a_command_that_there_is() -> None:
    for name in REGISTRY:
        (found,) = parse_comment(f"/{name}x")
        assert isinstance(found, Misread)
        assert found.suggestion == f"/{name}"
