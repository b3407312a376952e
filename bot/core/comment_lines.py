"""Finds the lines of a comment that are commands, as CommonMark sees them. Apart, because its library takes time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.html_block import HTML_SEQUENCES, html_block
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
_TASK = re.compile(r"[ \t>]*(?:[-*+]|\d{1,9}[.)])[ \t]+\[[ xX]\]")
_LABEL = r"\[(?:[^\[\]\\\n]|\\[^\n])*[^\s\[\]\\]\]:[ \t]*[^\s<][^\s<>]*"  # and where it leads
_TITLE = r"""(?:[ \t]+(?:'[^'\\\n]*'|"[^"\\\n]*"))?[ \t]*\n"""
_DEFINITION = re.compile(rf"{_LABEL}{_TITLE}(?=[ \t]*[/\[])")
_NO_DEFINITION = re.compile(rf"{_LABEL}[ \t]+[^\s\"'(]")  # but words of a sentence
_ANY_TAG = HTML_SEQUENCES[-1][0]  # CommonMark's seventh kind of HTML block: a line that is one tag, whichever


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


def _html(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001 - see above
    """Block rule: HTML that begins where GitHub's parser has it begin.

    A line that is one tag does not interrupt a paragraph. GitHub's parser asks whether the line stands in it, and below
    a quote, a list or a table it does not, even if it could lazily go on with the paragraph there.
    """
    if html_block(state, start, end, silent):
        return True
    outside = state.parentType != "paragraph" or state.sCount[start] < state.blkIndent
    line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    return silent and outside and not state.is_code_block(start) and bool(_ANY_TAG.search(line))


class _Blocks(StateBlock):
    """Blocks whose lines are as far indented as GitHub's parser has them."""

    def is_code_block(self, line: int) -> bool:
        """Whether a line is indented by four columns and more, and so begins nothing.

        Below a list's item a line may go on with its paragraph from further left. It is not the item's line then, and
        how far it is indented counts from what the item stands in.
        """
        indent = self.sCount[line]
        lazy = 0 <= indent < self.blkIndent
        outer = self.blkIndent if not lazy else self.listIndent if 0 <= self.listIndent <= indent else 0
        return indent - outer >= 4


def _markdown() -> MarkdownIt:
    """Return GitHub's blocks; paragraphs are read only where a command may be, as that is what takes the time.

    Definitions of links are no blocks of their own: to GitHub's parser they are the beginning of a paragraph until it
    ends, with which a line below may lazily go on.
    """
    markdown = MarkdownIt("commonmark").enable("table").disable(["inline", "reference"])
    markdown.block.ruler.at("html_block", _html, {"alt": ["paragraph", "reference", "blockquote"]})
    markdown.inline.ruler.before("text", _SLASH, _line_slash)
    return markdown


def _references(body: str) -> dict[str, Any]:
    """Return the definitions of links, by which a paragraph may turn out to be one."""
    found: dict[str, Any] = {}
    if "]:" in body:
        MarkdownIt("commonmark").enable("table").disable("inline").parse(body, found)
    return found


def command_lines(body: str) -> Iterator[tuple[int, str]]:
    """Yield ``(line number, text)`` of each line that begins with ``/`` in a plain paragraph.

    CommonMark decides: fences, indented and inline code, quotes and HTML never count (bors-ng#173, packit#1025).
    List items do not either: a list of commands is a description.
    """
    body = body.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    if not _CANDIDATE.search(body) or body.count("\n") > MAX_LINES or _task_table(body):
        return
    markdown, depth = _markdown(), 0
    references = _references(body)
    blocks = _Blocks(body, markdown, {}, [])
    markdown.block.tokenize(blocks, 0, blocks.lineMax)
    for token in blocks.tokens:
        if token.type in _CONTAINERS:
            depth += token.nesting
        elif token.type == "inline" and depth == 0 and token.map and len(token.content) <= MAX_PARAGRAPH:
            yield from _plain_lines(markdown, token, references, body)


def _doubtful(text: str) -> bool:
    """Whether a paragraph may be something else to GitHub's parser: it is left alone.

    It may begin with the definition of a link that goes over lines; or be a table of one column.
    """
    defined = text.startswith("[") and "]:" in text and not _NO_DEFINITION.match(text)
    return defined or any(map(_delimits, text.split("\n")))


def _delimits(line: str) -> bool:
    """Whether a line may be the row below a table's head. By its characters: a pattern could try for ever."""
    return {"|", "-"} <= set(line) <= set("|-: \t>")


def _task_table(body: str) -> bool:
    """Whether an item of a task list holds a table.

    GitHub's parser takes its box away first, so that the table has other columns than here.
    """
    lines = body.split("\n")
    return any(_delimits(below) and "|" in line and _TASK.match(line) for line, below in pairwise(lines))


def _after_definitions(text: str) -> int:
    """Return where a paragraph goes on behind definitions of links, each whole on its line."""
    place = 0
    while found := _DEFINITION.match(text, place):
        place = found.end()
    return place


def _plain_lines(
    markdown: MarkdownIt, paragraph: Token, references: dict[str, Any], body: str
) -> Iterator[tuple[int, str]]:
    """Yield the lines of a paragraph that begin with ``/`` in plain text: not in code, HTML, emphasis or a link."""
    text = paragraph.content
    begins = _after_definitions(text)
    if not _CANDIDATE.search(text) or _doubtful(text[begins:]):
        return
    assert paragraph.map is not None
    first = paragraph.map[0] + 1
    lines = body.split("\n")
    while not lines[first - 1].strip():  # a line of no-break spaces is part of a paragraph, but not of its content
        first += 1
    tokens: list[Token] = []
    markdown.inline.parse(text[begins:], markdown, references, tokens)
    for token in tokens:
        if token.type == _SLASH and token.level == 0:
            at = begins + token.meta["at"]
            yield first + text.count("\n", 0, at), text[at:].split("\n", 1)[0].strip()
