"""Text from elsewhere, made harmless for GitHub's Markdown.

Commit subjects, log lines, provider messages and what people typed all end up in a comment. None of it may make a
link, an HTML element, a table cell, a mention, a reference to another issue, or a command for a bot. Each function
returns Markdown for one context; nothing reaches a report without passing one of them.

Two things are not Markdown but work on the text that Markdown leaves, so that a backslash does not stop them: GitHub's
mentions and references (``@name``, ``#1``, ``GH-1``, addresses). A zero-width space after their first character does.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from urllib.parse import quote, urlsplit

ZERO_WIDTH_SPACE = "\u200b"

# ECMA-48: control sequences (colours, cursor), strings (titles, links; to the end of their line when they do not end
# themselves), and two-character escapes.
_ANSI = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\r\n]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]"
)
_NEWLINES = re.compile(r"\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# Controls, lone surrogates (no UTF-8 form), byte order marks, and what turns the direction of text (Trojan Source,
# CVE-2021-42574).
_UNSEEN = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")

_BACKSLASH = re.compile(r"([\\`*\[\]~])|(?<![^\W_])_|_(?![^\W_])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "$": "&#36;"})
# `$` begins mathematics on GitHub.
_AUTOMATIC = re.compile(r"@|#(?=\d)|GH-(?=\d)|:(?=//)|www(?=\.)|(?:mailto|xmpp):", re.IGNORECASE)
_COMMAND_LINE = re.compile(r"^(?=/[a-z][a-z-]*(?:\s|$))", re.IGNORECASE | re.MULTILINE)
_BLOCK_START = re.compile(r"^(?:([#+=-])|(\d+)([.)]))")
_SPAN = re.compile(r"(`[^`\n]+`)")
_FORBIDDEN_IN_URL = re.compile(r"[\x00-\x20\x7f]")


def clean(text: str) -> str:
    r"""Return text without ANSI escapes, controls, direction marks and lone surrogates; its line ends are ``\n``."""
    return _UNSEEN.sub("", _NEWLINES.sub("\n", _ANSI.sub("", text)))


def one_line(text: str, limit: int = 300) -> str:
    """Return cleaned text on one line, its white space single, cut to ``limit`` characters."""
    flat = " ".join(clean(text).split())
    return flat if len(flat) <= limit else flat[: limit - 1].rstrip() + "…"


def cell(text: str, limit: int = 300) -> str:
    """Return plain text for anywhere inside a line: a table cell, a heading, a list item, a sentence."""
    flat = _BACKSLASH.sub(r"\\\g<0>", _inert(one_line(text, limit)).translate(_ENTITIES))
    # At the start of a line these would begin a heading, a list or a bot's command.
    flat = _BLOCK_START.sub(lambda found: f"{found[2] or ''}\\{found[1] or found[3]}", flat)
    return f"&#47;{flat[1:]}" if flat.startswith("/") else flat


def code(text: str, limit: int = 300) -> str:
    """Return inline code that works in and out of tables.

    A table row is split at ``|`` before code is looked for, and GitHub and markdown-it disagree about a backslash
    before it; code with a ``|`` is therefore written as an element, its text escaped.
    """
    flat = one_line(text, limit)
    if not flat:
        return ""
    if "|" in flat:
        return f"<code>{cell(flat, limit)}</code>"
    ticks = _longest_run(flat) + 1
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return "`" * ticks + pad + flat + pad + "`" * ticks


def prose(text: str, limit: int = 600) -> str:
    """Return a sentence whose ``backticks`` mark code, all else of it plain text. It is safe whoever wrote it."""
    parts = _SPAN.split(one_line(text, limit))
    return "".join(
        code(part[1:-1], limit) if index % 2 else _keep_spaces(part, limit) for index, part in enumerate(parts)
    )


def fence(text: str, info: str = "text") -> str:
    """Return a fenced block. Its fence is longer than any run of backticks inside, so nothing in it can end it.

    A line that looks like a bot's command gets a space before it: some bots do not look for fences.
    """
    body = _COMMAND_LINE.sub(" ", clean(text).strip("\n"))
    ticks = "`" * max(3, _longest_run(body) + 1)
    return f"{ticks}{info}\n{body}\n{ticks}"


def link(text: str, url: str) -> str:
    """Return a link, or only its plain text when the address is not an http(s) one or holds a password."""
    label = cell(text)
    return f"[{label}]({address(url)})" if label and address(url) else label


def code_link(text: str, url: str) -> str:
    """Return inline code that is a link where the address allows it."""
    return f"[{code(text)}]({address(url)})" if address(url) else code(text)


def address(url: str) -> str:
    """Return an address for a link's parentheses, ``""`` when it is not a plain http(s) one."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:  # a broken IPv6 host
        return ""
    if not usable or _FORBIDDEN_IN_URL.search(url):
        return ""
    return quote(url, safe="/:?#@!&'*+,;=%~", errors="ignore").replace("&", "&amp;")


def tail(lines: Sequence[str], limit: int, width: int = 500) -> str:
    """Return the last ``limit`` lines, saying how many went before; of a longer line its last ``width`` characters."""
    flat = [line for text in lines for line in clean(text).split("\n")]
    kept = [line if len(line) <= width else "…" + line[-width:] for line in flat[-limit:]]
    cut = len(flat) - len(kept)
    return "\n".join([f"… {cut} earlier lines", *kept] if cut else kept)


def details(summary: str, body: str) -> str:
    """Return a folded section. ``summary`` is plain text, ``body`` is Markdown."""
    return f"<details><summary>{html_text(summary)}</summary>\n\n{body}\n\n</details>"


def html_text(text: str) -> str:
    """Return plain text for inside an HTML element, where Markdown's own escapes do not work."""
    return html.escape(_inert(one_line(text)), quote=True)


def row(*cells: str) -> str:
    """Return a table row of cells that are Markdown already."""
    return "|" + "|".join(f" {one} " if one else " " for one in cells) + "|"


def _inert(flat: str) -> str:
    """Break what GitHub would turn into a mention, a reference or a link by itself."""
    return _AUTOMATIC.sub(rf"\g<0>{ZERO_WIDTH_SPACE}", flat)


def _longest_run(text: str) -> int:
    return max(map(len, re.findall(r"`+", text)), default=0)


def _keep_spaces(part: str, limit: int) -> str:
    """Escape the text between two code spans, keeping one space at either end where there was one."""
    if not part.strip():
        return " " * bool(part)
    return f"{' ' * part[0].isspace()}{cell(part, limit)}{' ' * part[-1].isspace()}"
