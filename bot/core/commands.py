"""How what people type is read.

Grammar (docs: reference/commands): ``/verb [environment] [service…] [@sha] [--flag[=value]]`` on a line of its own in a
comment, outside code, quotes and HTML comments, as CommonMark sees them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bot.core.registry import REGISTRY, RESERVED, Verb
from bot.core.words import listed, nearest

MAX_COMMANDS = 5
MAX_BODY = 65_536  # GitHub's own limit on a comment; anything longer did not come from it


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command as it was typed. ``line`` is its line in the comment, from 1; ``sha`` is 7 to 40 hex digits."""

    verb: str
    action: str = ""  # of a verb that has several
    environment: str = ""
    services: tuple[str, ...] = ()
    sha: str = ""
    topic: str = ""  # the verb after ``help``
    flags: Mapping[str, str] = field(default_factory=dict)
    line: int = 1
    text: str = ""

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be changed."""
        return "dry-run" in self.flags


@dataclass(frozen=True, kw_only=True)
class Misread:
    """A line that was meant for us but cannot be carried out. ``unknown``: not one of our verbs."""

    text: str
    sentence: str
    suggestion: str = ""
    unknown: bool = False
    line: int = 1


def spelled(command: Command, *, environment: str = "", sha: str | None = None) -> str:
    """Return a command as somebody would type it, for another environment or sha (``""``: without one).

    The reason is left out: whoever says it again has one of his own. So is what was overridden: nobody is led to that.
    """
    sha = command.sha if sha is None else sha
    words = [f"/{command.verb}", command.action, environment or command.environment, *command.services]
    words += [f"@{sha}"] if sha else []
    flags = [
        f"--{name}={shlex.quote(value)}" if value else f"--{name}"
        for name, value in command.flags.items()
        if name not in {"reason", "override"}
    ]
    return " ".join([word for word in words if word] + flags)


def parse_comment(body: str) -> tuple[Command | Misread, ...]:
    """Return what a comment asks for, in order; empty when it asks for nothing. Never raises."""
    found = []
    for line, text in _lines(body[:MAX_BODY]):
        parsed = parse_line(text, line=line)
        if parsed is not None:
            found.append(parsed)
    return tuple(found)


def parse_line(text: str, *, line: int = 1) -> Command | Misread | None:
    """Read one line that begins with ``/``; None when it is no command of ours (paths are common in prose)."""
    text = text.strip()
    match = re.match(r"/([A-Za-z]+)(?=\s|@|$)", text)
    if match is None:
        return None
    name, rest = match[1].lower(), _heal(text[match.end() :])
    text = match[0] + rest
    if name not in REGISTRY:
        guess = None if name in RESERVED else nearest(name, REGISTRY, distance=2 if len(name) > 4 else 1)
        if guess is None:
            return None
        return Misread(
            text=text,
            sentence=f"There is no command `{name}`.",
            suggestion=f"/{guess}{rest}",
            unknown=True,
            line=line,
        )
    try:
        words = shlex.split(rest)
    except ValueError as error:
        return Misread(text=text, sentence=f"The quotes are not closed: {error}.", line=line)
    return _bind(REGISTRY[name], words, text, line)


def _bind(verb: Verb, words: list[str], text: str, line: int) -> Command | Misread:
    flags: dict[str, str] = {}
    places: dict[str, str] = {}
    services: list[str] = []
    for word in words:
        problem = _flag(verb, word, flags) if word.startswith("--") else _place(verb, word, places, services)
        if problem:
            return Misread(text=text, sentence=problem, suggestion=verb.usage, line=line)
    if verb.actions and "action" not in places:
        sentence = f"`{verb.name}` wants one of {listed(verb.actions)}."
        return Misread(text=text, sentence=sentence, suggestion=verb.usage, line=line)
    for flag in verb.flags:
        if flag.required and flag.name not in flags:
            sentence = f"`{verb.name}` wants `--{flag.name}={flag.value}`."
            return Misread(text=text, sentence=sentence, suggestion=verb.usage, line=line)
    return Command(
        verb=verb.name,
        action=places.get("action", ""),
        environment=places.get("environment", ""),
        services=tuple(dict.fromkeys(services)),
        sha=places.get("sha", ""),
        topic=places.get("verb", ""),
        flags=flags,
        line=line,
        text=text,
    )


def _flag(verb: Verb, word: str, flags: dict[str, str]) -> str:
    name, equals, value = word[2:].partition("=")
    known = {flag.name: flag for flag in verb.flags}
    flag = known.get(name.lower())
    if flag is None:
        guess = nearest(name.lower(), known, distance=2)
        hint = f" Did you mean `--{guess}`?" if guess else ""
        return f"`{verb.name}` has no flag `--{name}`.{hint}"
    if flag.value and not value:
        return f"`--{flag.name}` wants a value: `--{flag.name}={flag.value}`."
    if equals and not flag.value:
        return f"`--{flag.name}` takes no value."
    flags[flag.name] = value
    return ""


def _place(verb: Verb, word: str, places: dict[str, str], services: list[str]) -> str:
    if verb.actions and "action" not in places:
        if word.lower() not in verb.actions:
            return f"`{verb.name}` wants one of {listed(verb.actions)} first, not `{word}`."
        places["action"] = word.lower()
        return ""
    if word.startswith("@") and "sha" in verb.takes:
        if not re.fullmatch(r"@[0-9a-fA-F]{7,40}", word):
            return f"`{word}` is not a sha: write 7 to 40 hex digits after the `@`."
        places["sha"] = word[1:].lower()
        return ""
    for kind in ("environment", "verb"):
        if kind in verb.takes and kind not in places:
            places[kind] = word.lstrip("/").lower() if kind == "verb" else word
            return ""
    if "services" in verb.takes and re.fullmatch(r"(?=.*\d)[0-9a-fA-F]{7,40}", word):
        return f"A sha is written with an `@`: `@{word}`."
    if "services" in verb.takes or ("service" in verb.takes and not services):
        services.append(word)
        return ""
    return f"`{verb.name}` does not know what to do with `{word}`."


# What phones and copying put into commands: curly quotes, which are read as straight ones, and what nobody sees.
CURLY = str.maketrans(
    {"\u201c": '"', "\u201d": '"', "\u201e": '"', "\u2018": "'", "\u2019": "'"}
    | dict.fromkeys(map(chr, (0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF)), ""),
)


def _heal(text: str) -> str:
    """Undo what phones and copying do to commands: curly quotes, dashes for ``--``, odd and invisible spaces."""
    text = re.sub(r"\s", " ", text.translate(CURLY))
    return re.sub(r"(?<=\s)[\u2013\u2014](?=\w)", "--", text)


def _lines(body: str) -> Iterable[tuple[int, str]]:
    """Yield ``(line number, text)`` of each line that is a command.

    A comment of one line that begins with a slash is a plain paragraph to CommonMark whatever follows. It is by far the
    commonest command, so it is not made to wait for the Markdown library.
    """
    body = body.replace("\r\n", "\n").replace("\r", "\n")
    text = body.strip()  # and no pattern: on a long run of spaces that would take seconds
    before = body[: len(body) - len(body.lstrip())]
    if text.startswith("/") and "\n" not in text and before.rpartition("\n")[2] in ("", " ", "  ", "   "):
        return [(before.count("\n") + 1, text)]
    from bot.core.comment_lines import command_lines  # noqa: PLC0415 - see above

    return command_lines(body)
