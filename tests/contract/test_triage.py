"""Triage and the full parser agree: nothing the parser would carry out or answer is dropped before it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import triage
from bot.core import commands, registry
from bot.core.commands import Misread

LINES = [
    *(
        "/deploy staging",
        "/rollback x",
        "/deplyo x",
        "/lock x",
        "/usr/bin",
        "/help",
        "text",
        "",
        " ",
        "\t",
        "---",
        "# h",
    ),
    *("```", "~~~", "````", "``` sh", "``` a`b", "`x", "> q", ">", "- a", "-", "1. a", "- ```", "> ```", "* - ~~~"),
    *("<!--", "-->", "<!-- x -->", "<div>", "</div>", "<pre>", "</pre>", "a <!-- b", "[x]: /y", "| a | b |", "<?x"),
]
INDENTS = ["", "", "", " ", "  ", "   ", "    ", "     ", "\t", " \t", "      ", "\u00a0"]
BODIES = st.lists(st.builds(str.__add__, st.sampled_from(INDENTS), st.sampled_from(LINES)), max_size=9).map("\n".join)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def test_the_verbs_are_the_registry() -> None:
    assert set(registry.REGISTRY) == triage.VERBS
    assert registry.RESERVED == triage.RESERVED
    assert commands.MAX_BODY == triage.MAX_BODY


@given(BODIES)
def test_what_the_parser_finds_passes_triage(body: str) -> None:
    if commands.parse_comment(body):
        assert triage.find_command(body) is not None


def slips(word: str) -> set[str]:
    """Return every word that is one slip away: a letter less, other, more, or two swapped."""
    found = set()
    for at in range(len(word) + 1):
        head, tail = word[:at], word[at:]
        found.add(head + tail[1:])
        found.add(head + tail[1:2] + tail[:1] + tail[2:])
        for letter in "aeqz":
            found.update({head + letter + tail, head + letter + tail[1:]})
    return found - {""}


@pytest.mark.parametrize("verb", sorted(registry.REGISTRY))
def test_slips_are_judged_alike(verb: str) -> None:
    once = slips(verb)
    twice = {word for near in sorted(once)[::7] for word in slips(near)}
    for word in once | twice:
        assert (triage.find_command(f"/{word}") is not None) == (commands.parse_line(f"/{word}") is not None), word


@given(st.text(LETTERS, min_size=1, max_size=12))
def test_words_are_judged_alike(word: str) -> None:
    parsed = commands.parse_line(f"/{word}")
    assert (triage.find_command(f"/{word}") is not None) == (parsed is not None)
    assert (word in triage.VERBS) == (parsed is not None and not (isinstance(parsed, Misread) and parsed.unknown))
