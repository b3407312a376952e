"""The Actions runner: outputs, the job summary, workflow commands.

Formats are those of docs.github.com, "Workflow commands for GitHub Actions"; the escaping is that of the runner's own
parser (actions/runner, ``ActionCommand.cs``).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import TextIO

from bot.errors import SettingsError

SUMMARY_LIMIT = 1024 * 1024
"""Bytes of summary per step (1 MiB). GitHub drops the whole upload of a longer one."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_MASK_AT_LEAST = 4  # shorter lines of a secret (a brace, a comma) would blot out the whole log


def random_token() -> str:
    """A word that nobody can guess."""
    return secrets.token_hex(16)


def output_block(name: str, value: str, *, token: Callable[[], str] = random_token) -> str:
    """One output as a heredoc, under a random delimiter that does not occur in the value.

    Raises:
        ValueError: the name is no output name.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of an output")
    delimiter = f"slipway_{token()}"
    while delimiter in value:
        delimiter = f"slipway_{token()}"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def write_outputs(path: Path, outputs: Mapping[str, str]) -> None:
    """Append outputs to the file that ``GITHUB_OUTPUT`` names. Raises SettingsError when it cannot be written."""
    _append(path, "".join(output_block(name, value) for name, value in outputs.items()), "GITHUB_OUTPUT")


def append_summary(path: Path, markdown: str, *, limit: int = SUMMARY_LIMIT) -> None:
    """Append Markdown to the file that ``GITHUB_STEP_SUMMARY`` names, cut so that the file stays within ``limit``.

    Raises:
        SettingsError: the file cannot be written.
    """
    written = path.stat().st_size if path.is_file() else 0
    _append(path, cut(markdown.rstrip("\n") + "\n", limit - written), "GITHUB_STEP_SUMMARY")


def cut(markdown: str, limit: int) -> str:
    """Cut Markdown to ``limit`` bytes of UTF-8, keeping the head and the tail at line ends.

    A code fence that is cut through is closed before the note in the middle and opened again after it. Where not even
    the note has room, nothing is left.
    """
    if len(markdown.encode("utf-8", "replace")) <= limit:
        return markdown
    lines = markdown.splitlines(keepends=True)
    note = "\n*(… the middle is left out: a summary may have 1 MiB …)*\n\n"
    longest = max((len(line) for line in lines if _FENCE.match(line)), default=0) + 1
    room = (limit - len(note.encode()) - 2 * longest) // 2
    if room < 0:
        return ""
    head = _fitting(lines, room)
    tail = _fitting(lines[::-1], room)[::-1]
    opened = _open_fence(head)
    closing = f"{_fence_of(opened)}\n" if opened else ""
    reopened = _open_fence(lines[: len(lines) - len(tail)])
    return "".join([*head, closing, note, reopened, *tail])


def escape_data(text: str) -> str:
    """Escape the message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """Escape a property of a workflow command."""
    return escape_data(text).replace(":", "%3A").replace(",", "%2C")


def command(name: str, message: str = "", **properties: str | int | None) -> str:
    """One workflow command. Properties that are None or empty are left out."""
    given = {key: str(value) for key, value in properties.items() if value not in {None, ""}}
    listed = ",".join(f"{key}={escape_property(value)}" for key, value in given.items())
    return f"::{name}{' ' if listed else ''}{listed}::{escape_data(message)}"


def inert(text: str) -> str:
    """Return text that may quote others for the log, so that the runner takes no line of it for a workflow command.

    It knows two forms (actions/runner, ``ActionCommand.cs``): ``::`` at a line's start, white space aside, and an older
    one, ``##[``, anywhere.
    """
    return "\n".join(f"| {line}" for line in text.replace("##[", "## [").splitlines())


def masks(secret: str) -> list[str]:
    """Commands that hide a secret in the log: one for each line of it, since the log is masked by the line."""
    lines = [line.strip() for line in secret.splitlines()]
    if len(lines) <= 1:
        return [command("add-mask", line) for line in lines if line]
    return [command("add-mask", line) for line in lines if len(line) >= _MASK_AT_LEAST]


class Commands:
    """Writes workflow commands to a stream, which is standard output on a runner."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def notice(self, message: str, *, title: str = "", file: str = "", line: int | None = None) -> None:
        """Annotate the run with a notice, at a file's line where given."""
        self._line(command("notice", message, title=title, file=file, line=line))

    def error(self, message: str, *, title: str = "", file: str = "", line: int | None = None) -> None:
        """Annotate the run with an error."""
        self._line(command("error", message, title=title, file=file, line=line))

    def mask(self, secret: str) -> None:
        """Hide a secret in all that the log shows from here on."""
        for text in masks(secret):
            self._line(text)

    def _line(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


def _append(path: Path, text: str, name: str) -> None:
    try:
        with path.open("ab") as file:  # bytes: a value's line ends are its own
            file.write(text.encode("utf-8", "replace"))
    except OSError as error:
        raise SettingsError(f"{name} cannot be written: {error.strerror}") from error


def _fitting(lines: list[str], room: int) -> list[str]:
    """The first lines that fit into ``room`` bytes."""
    sizes = accumulate(len(line.encode("utf-8", "replace")) for line in lines)
    return [line for line, size in zip(lines, sizes, strict=True) if size <= room]


def _open_fence(lines: list[str]) -> str:
    """The line that opened the code fence which is still open after these lines, ``""`` if none is."""
    opened = ""
    for line in lines:
        found = _FENCE.match(line)
        if not found:
            continue
        if not opened:
            opened = line
        elif found[1].startswith(_fence_of(opened)) and not found[2].strip():
            opened = ""
    return opened


def _fence_of(line: str) -> str:
    found = _FENCE.match(line)
    return found[1] if found else ""
