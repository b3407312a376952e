"""Secrets taken out of text before it leaves the bot: comments, logs, summaries, outputs, error messages.

Two nets. Values that the bot knows (its tokens) are found in every form that a library or a report may have given
them: as they are, escaped for JSON, HTML, Markdown or a URL, and inside base64. What it does not know is found by the
published shapes of credentials. Masking twice changes nothing more, and the number of lines stays what it was.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeVar, cast
from urllib.parse import quote, quote_plus

T = TypeVar("T")

MASK = "***"
SHORTEST = 6
"""Characters that a known secret must have to be masked: a shorter one would blot out ordinary words."""

_PART = 64  # a longer secret is masked in parts, so that one that was cut off is found too
_LONGEST_LAST = 32  # the last part may be this much longer, so that it is never a short, ordinary piece
_SHAPES = re.compile(
    r"""
    -----BEGIN\ [A-Z0-9 ]{0,40}PRIVATE\ KEY(?:\ BLOCK)?-----[\s\S]*?(?:-----END\ [A-Z0-9 ]{0,40}-----|\Z)
    # docs.github.com, "GitHub's token formats": ghp_, gho_, ghu_, ghs_, ghr_ and fine-grained github_pat_.
    | gh[opusr]_[A-Za-z0-9][\w.-]{15,}
    | github_pat_\w{20,}
    # Google: access tokens, refresh tokens, API keys, OAuth client secrets.
    | ya29\.[\w.-]{10,}
    | 1//0[\w-]{20,}
    | AIza[\w-]{35}
    | GOCSPX-[\w-]{20,}
    # Heroku: API keys with a prefix.
    | HRKU-[\w-]{20,}
    # JSON Web Tokens (RFC 7519), whole or cut off, and other base64 that begins with `{"`.
    | eyJ[\w-]{8,}(?:\.[\w-]+){1,4}
    | eyJ[\w+/-]{40,}={0,2}
    """,
    re.VERBOSE,
)
# The name stays, its value goes.
_VALUES = re.compile(
    r"""(?P<name>\b(?:proxy-)?authorization["']?\s*[:=]\s*["']?(?:(?:bearer|basic|token)\s+)?|\bbearer\s+)"""
    r"""(?=\S{0,200}\d)(?P<value>[\w.~+/=:-]{8,})"""  # a digit, so that "bearer authentication" stays readable
    r"""|(?P<key>(?:passw(?:or)?d|secret|api[_-]?key|access[_-]?token|refresh[_-]?token|private[_-]?key)[\w-]{0,40}"""
    r"""(?:=["']?|["']\s*:\s*["']))(?P<hidden>[^\s"'&;,\\]{6,})""",
    re.IGNORECASE,
)
# RFC 3986, userinfo: `scheme://user:password@host`, or a token in the user's place. A report may have put a zero-width
# space into the address, so that nobody makes a link of it.
_USERINFO = re.compile(r"(?P<slashes>:\u200b?//\u200b?)(?:[^\s/@:]{0,256}:[^\s/@]{1,256}|[^\s/@:]{20,256})@")


class Masker:
    """Masks the secrets it was told of, and everything that has the shape of a credential."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._parts: frozenset[str] = frozenset()
        self._known: re.Pattern[str] | None = None
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        """Learn secrets, of a text with several lines also each line. Those shorter than ``SHORTEST`` are left out."""
        lines = (line.strip() for secret in secrets for line in (secret, *secret.splitlines()))
        parts = self._parts | {part for line in lines for part in _split(line)}
        if parts == self._parts:
            return
        forms = sorted({form for part in parts for form in _forms(part)}, key=len, reverse=True)
        # Two assignments, in this order: a thread that masks meanwhile sees the old pattern or the new one.
        self._known = re.compile("|".join(forms))
        self._parts = parts

    def mask(self, text: str) -> str:
        """Return text with ``***`` in the place of each secret."""
        if self._known is not None:
            text = self._known.sub(_blot, text)
        text = _USERINFO.sub(lambda found: f"{found['slashes']}{MASK}@", _SHAPES.sub(_blot, text))
        return _VALUES.sub(lambda found: f"{found['name'] or found['key']}{MASK}", text)

    def mask_all(self, value: T) -> T:
        """Return a value with every text in it masked: in dataclasses, mappings, lists and tuples, to any depth.

        Texts that follow each other (the lines of a log) are masked together, so that a secret over several of them is
        found. Enumerations, numbers and the keys of mappings stay.
        """
        return cast("T", self._masked(value))

    def _masked(self, value: Any) -> Any:
        match value:
            case Enum():
                return value
            case str():
                return self.mask(value)
            case list() | tuple():
                return self._masked_items(value)
            case Mapping():
                return {key: self._masked(item) for key, item in value.items()}
            case _ if is_dataclass(value) and not isinstance(value, type):
                changed = {each.name: self._masked(getattr(value, each.name)) for each in fields(value) if each.init}
                return replace(value, **changed)
            case _:
                return value

    def _masked_items(self, value: list[Any] | tuple[Any, ...]) -> Any:
        texts = all(type(item) is str for item in value)
        items = self._masked_lines(value) if texts and value else [self._masked(item) for item in value]
        make = getattr(value, "_make", type(value))  # a named tuple is not made from one argument
        return make(items)

    def _masked_lines(self, texts: Iterable[str]) -> list[str]:
        """Mask texts as one: masking keeps the number of lines, so each gets its own lines back."""
        texts = list(texts)
        lines = iter(self.mask("\n".join(texts)).split("\n"))
        return ["\n".join(next(lines) for _ in range(text.count("\n") + 1)) for text in texts]


def _blot(found: re.Match[str]) -> str:
    """Return the mask, once for each line of what was found."""
    return "\n".join([MASK] * (found[0].count("\n") + 1))


def _split(secret: str) -> list[str]:
    """Return the parts of a secret, none of one that is too short."""
    if len(secret) < SHORTEST:
        return []
    starts = list(range(0, max(1, len(secret) - _LONGEST_LAST), _PART))
    return [secret[start:end] for start, end in zip(starts, [*starts[1:], len(secret)], strict=True)]


def _forms(part: str) -> list[str]:
    """Return patterns of a secret's part: as text in any escape, and inside base64 at each of the three alignments."""
    forms = ["".join(map(_character, part))]
    raw = part.encode("utf-8", "replace")
    for before in range(3):
        text = base64.b64encode(bytes(before) + raw).decode()
        # The characters that also hold bits of what stands before or after are left out.
        core = text[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        forms += ["".join(map(_character, each)) for each in {core, core.translate(str.maketrans("+/", "-_"))}]
    return forms


def _character(one: str) -> str:
    r"""Return a pattern of one character, as it is or escaped; a report may add a ``\`` or a zero-width space."""
    if one.isascii() and one.isalnum():
        return f"{one}\u200b?"
    encoded = one.encode("utf-8", "replace").decode()
    spellings = {
        one,
        json.dumps(one)[1:-1],
        repr(one)[1:-1],
        html.escape(one),
        f"&#{ord(one)};",
        f"&#x{ord(one):x};",
        quote(encoded, safe=""),
        quote(encoded, safe="").lower(),
        quote_plus(encoded),
    }
    return rf"\\{{0,3}}(?:{'|'.join(map(re.escape, sorted(spellings, key=len, reverse=True)))})" + "\u200b?"
