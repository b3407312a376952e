from __future__ import annotations

import base64
import html
import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.core.redaction import MASK, SHORTEST, Masker

# No stars: a secret of the mask's own characters cannot be told from the mask.
CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="*")
SECRETS = (
    st.text(CHARACTERS, min_size=8, max_size=150)
    .map(str.strip)
    .filter(lambda text: len(text) >= 8 and len(text.splitlines()) == 1)
)
AROUND = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(deadline=None)
@given(SECRETS, AROUND, AROUND)
@example("pa\"ss\\wo'rd", "", "")
@example("a&b<c>@d#1|e$f", "x", "y")
def test_a_planted_secret_survives_in_no_escape(secret: str, before: str, after: str) -> None:
    masker = Masker([secret])
    whole = before + secret + after
    for text in (
        whole,
        json.dumps(whole),
        json.dumps(whole, ensure_ascii=False),
        json.dumps(json.dumps(whole, ensure_ascii=False), ensure_ascii=False),
        quote(whole),
        quote(whole, safe=""),
        re.sub("%..", lambda found: found[0].lower(), quote(whole, safe="")),
        quote_plus(whole),
        html.escape(whole),
        repr(whole),
    ):
        masked = masker.mask(text)
        assert MASK in masked
        for found in (masked, html.unescape(masked), masked.replace("\\", "")):
            assert secret not in found
        for escaped in (quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], html.escape(secret)):
            assert escaped == MASK or escaped not in masked


def decoded(text: str) -> bytes:
    """Everything that the base64 in a text says, at each alignment."""
    found = b""
    for part in text.translate(str.maketrans("-_", "+/")).split(MASK):
        for shift in range(4):
            body = part.rstrip("=")[shift:]
            found += base64.b64decode(body[: len(body) // 4 * 4]) + b"\n"
    return found


@settings(deadline=None)
@given(
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=12, max_size=60),
    st.binary(max_size=7),
    st.binary(max_size=7),
)
def test_a_secret_inside_base64_is_masked_at_each_alignment(secret: str, before: bytes, after: bytes) -> None:
    masker = Masker([secret])
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        masked = masker.mask(encode(before + secret.encode() + after).decode())
        assert MASK in masked
        assert secret.encode() not in decoded(masked)


@given(SECRETS, AROUND)
def test_masking_twice_changes_nothing_more(secret: str, around: str) -> None:
    masker = Masker([secret])
    once = masker.mask(f"{around} {secret} token=abcdef1 https://u:p@h {around}")
    assert masker.mask(once) == once
    assert once.count("\n") == f"{around}{around}".count("\n")


TOKEN = "A1b2C3d4" * 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"token ghs_{TOKEN} used", "token *** used"),
        (f"ghp_{TOKEN}.", "***"),
        (f"ghs_1234_eyJhbGciOi.{TOKEN}.{TOKEN}", "***"),
        (f"github_pat_{TOKEN}", "***"),
        (f"ya29.c.{TOKEN}", "***"),
        (f"1//0{TOKEN}", "***"),
        ("AIza" + "x" * 35, "***"),
        (f"GOCSPX-{TOKEN}", "***"),
        (f"HRKU-{TOKEN}", "***"),
        ("jwt eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl end", "jwt *** end"),
        ("cut eyJhbGciOiJSUzI1NiJ9.eyJzdWIi", "cut ***"),
        ("eyJhdXRocyI6" + "QUJD" * 10 + "==", "***"),
        ("postgres://user:pa$$@db/x", "postgres://***@db/x"),
        (f"https://{TOKEN}@github.com/o/r", "https://***@github.com/o/r"),
        ("Authorization: Bearer abc.def1ghi", "Authorization: Bearer ***"),
        ('{"authorization": "Basic dXNlcjpwYXNz1"}', '{"authorization": "Basic ***"}'),
        ("sent bearer abcdefgh1", "sent bearer ***"),
        ("PASSWORD=hunter22 next", "PASSWORD=*** next"),
        ("?access_token=abcdef1&x=2", "?access_token=***&x=2"),
        ('{"client_secret": "abcdef"}', '{"client_secret": "***"}'),
        ('{"api-key":"abcdef","b":1}', '{"api-key":"***","b":1}'),
    ],
)
def test_credentials_that_nobody_registered_are_known_by_their_shape(text: str, expected: str) -> None:
    assert Masker().mask(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "sha256:9c1e07d2a8b19c1e07d2a8b19c1e07d2a8b19c1e07d2a8b19c1e07d2a8b19c1e",
        "4f9a1c2d3e5f60718293a4b5c6d7e8f901234567",
        "europe-docker.pkg.dev:443/acme/shop/web@sha256:9c1e",
        "docker://host:5000/image@sha256:9c1e",
        "https://github.com/acme/shop/compare/a...b?x=1#y",
        "KeyError: 'SECRET_KEY'",
        "Secret projects/1/secrets/DATABASE_URL/versions/latest was not found",
        "Bearer authentication is required",
        "the secret is empty",
        "git@github.com:acme/shop",
        "",
    ],
)
def test_what_a_reader_needs_stays(text: str) -> None:
    assert Masker(["registered-secret"]).mask(text) == text


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_a_private_key_is_masked_whole_with_its_lines(kind: str) -> None:
    key = f"-----BEGIN {kind}PRIVATE KEY-----\nMIIE\nabcd\n-----END {kind}PRIVATE KEY-----"
    assert Masker().mask(f"a\n{key}\nb") == "a\n***\n***\n***\n***\nb"
    assert "MIIE" not in Masker().mask(json.dumps({"private_key": key}))
    assert Masker().mask(key[:45]) == "***\n***" or "MIIE" not in Masker().mask(key[:45])


def test_short_values_are_no_secrets_and_empty_ones_no_pattern() -> None:
    masker = Masker(["", "   ", "x" * (SHORTEST - 1)])
    assert masker.mask("a xxxxx b") == "a xxxxx b"


def test_secrets_are_learned_later_and_twice_without_harm() -> None:
    masker = Masker(["first-secret"])
    masker.add("second-secret\n")
    masker.add("second-secret")
    assert masker.mask("first-secret second-secret third-secret") == "*** *** third-secret"


def test_each_line_and_each_part_of_a_long_secret_is_masked() -> None:
    lines = ["first line of it", "second line of it", "x"]
    long = "".join(f"{number:04x}" for number in range(400))
    masker = Masker(["\n".join(lines), long])
    assert masker.mask("| second line of it |") == "| *** |"
    assert masker.mask("\n".join(lines)).count("\n") == 2
    assert long[64:128] not in masker.mask(f"…{long[50:300]}")


class Word(StrEnum):
    SECRET = "secret-word"


class Pair(NamedTuple):
    left: str
    right: Any


@dataclass(frozen=True)
class Leaf:
    text: str
    lines: tuple[str, ...] = ()
    number: int = 3
    fixed: str = field(default="secret-word", init=False)


def test_values_are_masked_to_any_depth() -> None:
    masker = Masker(["secret-word"])
    given: dict[str, Any] = {
        "leaf": Leaf("a secret-word", ("one", "secret-word")),
        "list": [1, None, "secret-word", Pair("secret-word", 2)],
        "kept": Word.SECRET,
        "class": Leaf,
        "empty": [],
        "strings": Pair("secret-word", "x"),
    }
    assert masker.mask_all(given) == {
        "leaf": Leaf("a ***", ("one", "***")),
        "list": [1, None, "***", Pair("***", 2)],
        "kept": Word.SECRET,
        "class": Leaf,
        "empty": [],
        "strings": Pair("***", "x"),
    }


def test_a_key_over_several_log_lines_is_masked_and_the_lines_keep_their_places() -> None:
    tail = ("start", "-----BEGIN PRIVATE KEY-----", "MIIE\nabcd", "-----END PRIVATE KEY-----", "end")
    assert Masker().mask_all(tail) == ("start", "***", "***\n***", "***", "end")
