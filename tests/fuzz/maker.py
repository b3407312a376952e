"""Makes comments: what people and other bots write, put together so that it hides commands in every way there is.

Each command names a sha of its own, by which it is found again: the first of a comment ``0000001``, and so on.
"""

from __future__ import annotations

import random
from collections.abc import Callable

DEPTH = 2  # how deep one piece may stand in another
WORDS = (
    "Looks good.",
    "please",
    "see /usr/bin/env",
    "1) one",
    "a | b",
    "ends in two spaces  ",
    "*",
    "and \\",
    "&amp; &#47;deploy",
    "<br>",
    "https://example.com/deploy",
    "> quoted in the middle",
    "- [ ] to do",
    "***",
    "___",
    "[^1]: a footnote",
    ":tada:",
)
STRAY = (
    "`",
    "~~~\n",
    "```",
    "<",
    ">",
    "\t",
    "*",
    "[",
    "\\",
    "\u00a0",
    "<!--",
    "-->",
    "-",
    "|",
    "\u200b",
    "#",
    "=",
    "]: ",
)
FENCES = ("```", "~~~", "````")
HTML = (
    ("<!--", "-->"),
    ("<details>", "</details>"),
    ("<pre>", "</pre>"),
    ("<b>", "</b>"),
    ("<script>", "</script>"),
    ("<!-- a -->", ""),
    ("<?php", "?>"),
    ("<![CDATA[", "]]>"),
    ("<!DOCTYPE html", ">"),
    ("<x-y>", "</x-y>"),
    ("a <!--", "-->"),
    ("<kbd", ">"),
    ("</div>", ""),
    ("<table><tr><td>", "</td></tr></table>"),
)
INLINE = (
    ("`", "`"),
    ("``", "``"),
    ("**", "**"),
    ("*", "*"),
    ("[", "](x)"),
    ("~~", "~~"),
    ("text `", "` text"),
    ("![", "](x)"),
    ("\\`", "`"),
    ("_", "_"),
    ('<a title="', '">'),
    ("[text](", ")"),
    ('[text](/x "', '")'),
)
REFERENCES = ("[a]: /x\n{}", "[a]:\n{}", "[a]: /x '\n{}\n'", "[a]: <\n{}>", '[a]: /x "{}"', "[a]\n{}")
HEADINGS = ("# {}", "{}\n===", "{}\n---", "{}\n***", "####### {}", "#{}", "{} #")
MARKS = ("-", "*", "+", "1.", "2)", "- [ ]", "10.")


class Maker:
    """Makes comments from a seed. ``shas`` is how many commands the last one has."""

    def __init__(self, seed: int) -> None:
        self._random, self.shas = random.Random(seed), 0

    def comment(self) -> str:
        """Return a comment of a few pieces, sometimes one in another, sometimes with a character that does not fit."""
        self.shas = 0
        between = self._random.choice(["\n", "\n\n", "\n \n"])
        text = between.join(self._piece(0) for _ in range(self._random.randint(1, 5)))
        if self._random.random() < 0.3:
            at = self._random.randrange(len(text) + 1)
            text = text[:at] + self._random.choice(STRAY) + text[at:]
        return text.replace("\n", "\r\n") if self._random.random() < 0.2 else text

    def command(self) -> str:
        """Return a command with a sha of its own, as people type it: indented, with a phone's dashes and quotes."""
        self.shas += 1
        verb = self._random.choice(["deploy", "Deploy", "DEPLOY", "approve"])
        indent = self._random.choice(["", "", "", "", " ", "   ", "    ", "\t"])
        flags = (
            ["", "", " --dry-run", " \u2014dry-run", " \u2013reason=\u201cat ten\u201d"] if verb != "approve" else [""]
        )
        end = self._random.choice(["", "", "  ", " "])
        return f"{indent}/{verb} staging @{self.shas:07x}{self._random.choice(flags)}{end}"

    def _piece(self, depth: int) -> str:
        plain: list[Callable[[int], str]] = [self._lines, self._lines, self._lines, self._fence, self._quote]
        deep = [self._list, self._html, self._inline, self._table, self._heading, self._reference]
        return self._random.choice(plain + deep if depth < DEPTH else plain[:4])(depth)

    def _lines(self, _depth: int) -> str:
        kinds = (self.command, self.command, lambda: self._random.choice(WORDS))
        return "\n".join(self._random.choice(kinds)() for _ in range(self._random.randint(1, 4)))

    def _fence(self, depth: int) -> str:
        mark = self._random.choice(FENCES)
        begin = self._random.choice(["", " ", "   "]) + mark + self._random.choice(["", "sh", "`"])
        end = self._random.choice([mark, mark, "", mark + "`", mark[:2], f"    {mark}"])
        return f"{begin}\n{self._piece(depth + 1)}\n{end}"

    def _quote(self, depth: int) -> str:
        """Quote a piece, sometimes its first line only: what follows may still belong to it."""
        first, *others = self._piece(depth + 1).split("\n")
        lazy = self._random.random() < 0.4
        return "\n".join([f"> {first}", *(line if lazy else f"> {line}" for line in others)])

    def _list(self, depth: int) -> str:
        inner = self._piece(depth + 1).replace("\n", "\n" + " " * self._random.choice([0, 2, 3, 4]))
        return f"{self._random.choice(MARKS)} {inner}"

    def _html(self, depth: int) -> str:
        begin, end = self._random.choice(HTML)
        gap = self._random.choice(["\n", "\n", "\n\n", " "])
        return f"{begin}{gap}{self._piece(depth + 1)}{gap}{end}"

    def _inline(self, _depth: int) -> str:
        begin, end = self._random.choice(INLINE)
        return f"{begin}\n{self.command()}\n{end}"

    def _table(self, _depth: int) -> str:
        return f"| a | b |\n|---|---|\n| {self.command()} | x |\n{self.command()}"

    def _heading(self, _depth: int) -> str:
        return self._random.choice(HEADINGS).format(self.command())

    def _reference(self, _depth: int) -> str:
        return self._random.choice(REFERENCES).format(self.command())
