"""How reading grows with hostile text: twice the text should take about twice the time, never four times.

Each kind is the worst of its sort for one reader. Ratios of one run, so that the machine's speed does not matter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from bot.core.commands import MAX_BODY, parse_comment
from bot.core.redaction import Masker

STEP = 4  # the second text is so many times as long
MARKS = (
    "[",
    "[ ]",
    "-",
    "|",
    "|-",
    "]:",
    "![",
    "*",
    "_a",
    "<",
    "<a ",
    "<!--",
    "> ",
    ">",
    "`",
    "`a",
    "&",
    "\\",
    "](",
    "[a](<",
    "- ",
    "1. ",
    "\t",
    " ",
)
LINES = (
    "/\n", "/x\n", "/deploi\n", "/deploy x\n", "[a]: /u\n", "[a]:\n", "a\n=\n", "<a\n", "<b>\n", "`\n", "|\n", "|-\n", "- [ ] |\n", "a|b\n-|-\n",
    "    a\n", "+    a\n    b\n",
)  # fmt: skip
SPACES = " ", "\t", "\u00a0", "\n", "\r", "\r\n", " \n", "/ ", "x "
AROUND = "{}x", "/deploy{}x", "/deploy{}x\ny", "{}/deploy x", "x{}/deploy x", "/deploy x{}", "/deploy x{}y"
WORDS = "a", "a-", "://", "bearer ", "eyJ", "secret", "\\"


def comments() -> Iterator[Callable[[int], str]]:
    """Yield makers of comments of about so many characters."""
    for part in (*MARKS, *LINES):
        yield lambda size, part=part: f"/deploy staging\n{part * (size // len(part))}"  # type: ignore[misc]
    for run in SPACES:
        for around in AROUND:
            yield lambda size, run=run, around=around: around.format(run * (size // len(run)))  # type: ignore[misc]


def logs() -> Iterator[Callable[[int], str]]:
    """Yield makers of lines of a log of about so many characters."""
    for word in WORDS:
        yield lambda size, word=word: word * (size // len(word))  # type: ignore[misc]


def growth(call: Callable[[str], object], make: Callable[[int], str], size: int) -> float:
    """Return how many times longer the reading of a text ``STEP`` times as long takes, divided by ``STEP``."""
    return _seconds(call, make(size)) / max(_seconds(call, make(size // STEP)), 1e-4) / STEP


def _seconds(call: Callable[[str], object], text: str) -> float:
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        call(text)
        best = min(best, time.process_time() - started)
    return best


def worst() -> list[tuple[str, float]]:
    """Return what was read and the worst growth found; 1 is linear, ``STEP`` quadratic."""
    mask = Masker(["ghs_" + "x" * 36]).mask
    return [
        ("a comment of hostile Markdown", max(growth(parse_comment, make, MAX_BODY - 100) for make in comments())),
        ("a log of one long word", max(growth(mask, make, 1_000_000) for make in logs())),
    ]
