"""Commands as they are typed in a terminal: the line that is said for them, and what may come next. Pure.

Both come from the registry, as the parser of comments does, which has the last word on every line.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from bot.core.commands import CURLY, Command, Misread, parse_comment
from bot.core.overrides import FLAG, OVERRIDABLE
from bot.core.registry import EVERY, REGISTRY, SEVERITIES, Verb

_VALUES: Mapping[str, tuple[str, ...]] = {FLAG: OVERRIDABLE, "severity": SEVERITIES}


def line(verb: str, words: Iterable[str], flags: Mapping[str, str | bool | None]) -> str:
    """Return the line of a comment. ``flags`` by name: a value, or whether a switch is there."""
    said = [f"/{verb}", *map(_quoted, words)]
    for name, value in flags.items():
        if isinstance(value, str):
            said.append(f"--{name}={_quoted(value)}")
        elif value:
            said.append(f"--{name}")
    return " ".join(said)


def _quoted(word: str) -> str:
    """Quote a word. The parser reads curly quotes as straight ones: left as they are, they would end the word."""
    return shlex.quote(word.translate(CURLY))


def read_back(said: str) -> Command | Misread:
    """Return how the bot will read a line that is the whole of a comment."""
    found = parse_comment(said)
    if len(found) == 1 and "\n" not in said and "\r" not in said:
        return found[0]
    return Misread(text=said, sentence="A command is one line.")


def next_words(
    verb: Verb, before: Sequence[str], *, environments: Sequence[str], services: Sequence[str]
) -> tuple[str, ...]:
    """Return the words that may follow those before (without flags): actions, environments, services, commands."""
    words = [word for word in before if not word.startswith("@")]
    if verb.actions:
        if not words:
            return verb.actions
        words = words[1:]
    if "environment" in verb.takes:
        if not words:
            return (*environments, EVERY) if verb.every else tuple(environments)
        words = words[1:]
    if "verb" in verb.takes:
        return () if words else tuple(REGISTRY)
    if "services" in verb.takes or ("service" in verb.takes and not words):
        return tuple(name for name in services if name not in words)
    return ()


def values_of(flag: str) -> tuple[str, ...]:
    """Return the values that a flag may have, as far as they are a fixed few."""
    return _VALUES.get(flag, ())
