"""Fuzzes how comments are read: ``nox -s fuzz``, or with options ``nox -s fuzz -- --seed 7 --count 100000``.

The judge is cmark-gfm, GitHub's own Markdown parser: a command that the bot reads has to stand in what it shows as a
line of a plain paragraph, in nothing else. Exit status 1 with the comment, made as short as it still shows the mistake,
and the seed that makes it again. A plain line that is not read is the safe side: it is counted, and shown by
``--missed``. Reading must never raise, and be the same when it is done twice; what the bot itself writes must hold no
command, quoted in a reply neither.
"""

from __future__ import annotations

import argparse
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import cmarkgfm
from maker import Maker

from bot.core.commands import parse_comment

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
_SHA = re.compile(r"@([0-9a-f]{7})\b")
_LINE = re.compile(r"(?m)^[^\S\n]*/[A-Za-z][^\n]*?@([0-9a-f]{7})\b")
_VOID = frozenset({"br", "hr", "img", "input"})


class Plain(HTMLParser):
    """Collects the shas of command lines that stand directly in a paragraph, and that in nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._open: list[str] = []
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a paragraph, or something in it: that is no line of the paragraph, but does end the line before it."""
        if tag not in _VOID:
            self._open.append(tag)
        if self._open == ["p"] and tag == "p":
            self._text = ""
        else:
            self._text += "\n" if tag == "br" else "\0"

    def handle_endtag(self, tag: str) -> None:
        """End a paragraph: its lines are what was wanted."""
        if tag == "p" and self._open == ["p"]:
            # The bot takes out of a command what nobody sees.
            self.found |= set(_LINE.findall(self._text.replace("\u200b", "")))
            self._text = ""
        while tag in self._open and self._open.pop() != tag:
            pass  # what was never closed ends with what it stands in, as in a browser

    def handle_data(self, data: str) -> None:
        """Take text of the paragraph. A line may have something else in it, but cannot begin there."""
        if self._open[:1] == ["p"]:
            self._text += data if self._open == ["p"] else data.replace("\n", "\0")

    def handle_comment(self, data: str) -> None:
        """Let a comment stand for itself."""
        self._text += "\0"


def shown(body: str) -> set[str]:
    """Return the shas of the command lines that GitHub's parser has in plain paragraphs."""
    reader = Plain()
    reader.feed(cmarkgfm.github_flavored_markdown_to_html(body.replace("\0", "")))
    reader.close()
    return reader.found


def read(body: str) -> set[str]:
    """Return the shas of the commands that the bot reads, whether they can be carried out or not."""
    first, again = parse_comment(body), parse_comment(body)
    if first != again:
        raise ValueError("it was read differently the second time")
    return {sha for item in first for sha in _SHA.findall(item.text)}


# -- mistakes -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Found:
    """What one comment has shown: ``taken`` are commands out of what is no plain line, ``missed`` the other way."""

    number: int
    body: str
    taken: frozenset[str] = frozenset()
    missed: frozenset[str] = frozenset()
    error: str = ""


def look(number: int, body: str) -> Found:
    """Read a comment, and have it judged."""
    try:
        bot, github = read(body), shown(body)
    except Exception as error:  # noqa: BLE001 - whatever it is, reading must not raise it
        return Found(number=number, body=body, error=f"{type(error).__name__}: {error}")
    return Found(number=number, body=body, taken=frozenset(bot - github), missed=frozenset(github - bot))


def shortest(body: str, wrong: Callable[[str], bool]) -> str:
    """Take away lines, then characters, as long as the comment is still read wrongly."""
    for split, join in ((lambda text: text.split("\n"), "\n"), (list, "")):
        place = 0
        while place < len(split(body)):
            parts = split(body)
            shorter = join.join(parts[:place] + parts[place + 1 :])
            if wrong(shorter):
                body = shorter
            else:
                place += 1
    return body


def fuzzed(seed: int, count: int) -> Iterator[Found]:
    """Yield what each comment of a seed has shown."""
    maker = Maker(seed)
    for number in range(count):
        yield look(number, maker.comment())


def own_words() -> Iterator[str]:
    """Yield the names of the bot's own comments that hold a command, as they are or quoted by a person."""
    for path in sorted(GOLDEN.glob("*.md")):
        body = path.read_text("utf-8")
        quoted = "".join(f"> {line}\n" for line in body.splitlines()) + "\nWhy?\n"
        if parse_comment(body) or parse_comment(quoted):
            yield path.name


def main() -> int:
    """Fuzz, and say what was found; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--missed", action="store_true", help="show also what is not read")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, {arguments.count} comments", flush=True)
    own = list(own_words())
    wrong, missed = len(own), 0
    for name in own:
        print(f"the bot's own comment {name} holds a command")
    for found in fuzzed(arguments.seed, arguments.count):
        missed += bool(found.missed)
        if found.taken or found.error:
            wrong += 1
            tell(found, lambda body: bool(look(0, body).taken or look(0, body).error))
        elif found.missed and arguments.missed:
            tell(found, lambda body: bool(look(0, body).missed))
    print(f"{wrong} read wrongly; {missed} with a plain line that is not read")
    return 1 if wrong else 0


def tell(found: Found, wrong: Callable[[str], bool]) -> None:
    """Show a comment, as short as it gets."""
    body = shortest(found.body, wrong)
    what = found.error or f"read {sorted(read(body))}, GitHub shows {sorted(shown(body))} as plain lines"
    print(f"comment {found.number}: {what}\n{body!r}\n{body}\n")


if __name__ == "__main__":
    sys.exit(main())
