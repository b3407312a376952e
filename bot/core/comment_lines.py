"""Finds the lines of a comment that are commands, as CommonMark sees them. Apart, because its library takes time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

MAX_LINES = 5_000  # likewise: a comment of short hostile lines costs most
MAX_PARAGRAPH = 16_384  # reading hostile Markdown takes up to 25 µs a character, and no paragraph of people is so long

_CONTAINERS = frozenset(
    f"{name}_{end}"
    for name in ("blockquote", "bullet_list", "ordered_list", "heading", "table")
    for end in ("open", "close")
)
_SLASH = "line_slash"
_BEGINS = re.compile(r"[^\S\n]*/")
_CANDIDATE = re.compile(r"(?m)^[^\S\n]*/[A-Za-z]")


def _line_slash(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - markdown-it calls its rules so
    """Inline rule: give a ``/`` that begins a source line a token of its own, which knows its place."""
    before = state.pos - 1
    while before >= 0 and state.src[before] in " \t":
        before -= 1
    match = _BEGINS.match(state.src, state.pos) if before < 0 or state.src[before] == "\n" else None
    if match is None or match.end() > state.posMax:
        return False
    if not silent:
        token = state.push(_SLASH, "", 0)
        token.meta = {"at": match.end() - 1}
    state.pos = match.end()
    return True


def _markdown() -> MarkdownIt:
    """Return GitHub's blocks; paragraphs are read only where a command may be, as that is what takes the time."""
    markdown = MarkdownIt("commonmark").enable("table").disable("inline")
    markdown.inline.ruler.before("text", _SLASH, _line_slash)
    return markdown


def command_lines(body: str) -> Iterator[tuple[int, str]]:
    """Yield ``(line number, text)`` of each line that begins with ``/`` in a plain paragraph.

    CommonMark decides: fences, indented and inline code, quotes and HTML never count (bors-ng#173, packit#1025).
    List items do not either: a list of commands is a description.
    """
    body = body.replace("\r\n", "\n").replace("\r", "\n")
    if not _CANDIDATE.search(body) or body.count("\n") > MAX_LINES:
        return
    markdown, depth, ended = _markdown(), 0, -1
    references: dict[str, Any] = {}
    tokens = markdown.parse(body, references)
    defined = _ends_of_definitions(references)
    for token in tokens:
        if token.type in _CONTAINERS:
            depth += token.nesting
            ended = token.map[1] if token.map else ended
        elif token.type == "inline" and depth == 0 and token.map and len(token.content) <= MAX_PARAGRAPH:
            if token.map[0] == ended and ended in defined:
                # Below the definition of a link that ends a quote or a list, a line goes on with that (CommonMark, the
                # laziness clause). GitHub's parser sees that, and the library does not.
                continue
            yield from _plain_lines(markdown, token, references, body)


def _ends_of_definitions(found: dict[str, Any]) -> set[int]:
    """Return the lines before which definitions of links end, as the library keeps them."""
    return {each["map"][1] for each in (*found.get("references", {}).values(), *found.get("duplicate_refs", ()))}


def _plain_lines(
    markdown: MarkdownIt, paragraph: Token, references: dict[str, Any], body: str
) -> Iterator[tuple[int, str]]:
    """Yield the lines of a paragraph that begin with ``/`` in plain text: not in code, HTML, emphasis or a link."""
    text = paragraph.content
    if not _CANDIDATE.search(text):
        return
    assert paragraph.map is not None
    first = paragraph.map[0] + 1
    lines = body.split("\n")
    while not lines[first - 1].strip():  # a line of no-break spaces is part of a paragraph, but not of its content
        first += 1
    tokens: list[Token] = []
    markdown.inline.parse(text, markdown, references, tokens)
    for token in tokens:
        if token.type == _SLASH and token.level == 0:
            at = token.meta["at"]
            yield first + text.count("\n", 0, at), text[at:].split("\n", 1)[0].strip()
