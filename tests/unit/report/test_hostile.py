"""Whatever stands in the record, on a lock or in a title: the answers that quote it make no more of it than text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.core.facts import Commit, Comparison, Deployment, DeploymentStatus, Lock, LockRecord
from bot.core.record import Entry, Record
from bot.core.serving import Serving
from bot.report.answers import Rights, whoami_comment
from bot.report.cancelling import cancel_comment
from bot.report.comment import marker
from bot.report.history import Difference, Past, difference_comment, history_comment
from bot.report.marks import Change, marks_comment

GFM = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
MADE = datetime(2026, 1, 1, 14, 0, tzinfo=UTC)
SHA = "4f9a1c2d3e5f60718293a4b5c6d7e8f901234567"
OURS = "https://github.com/acme/shop"
# What GitHub's own filters look for in the text that Markdown leaves.
PINGS = re.compile(r"@[a-z0-9]|#\d|GH-\d|[a-z]://|www\.|mailto:(?!\u200b)", re.IGNORECASE)
OUR_HTML = re.compile(r"</?(?:code|details|summary|sub)>")
HOSTILE = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "@lee",
                "@acme/oncall",
                "#1",
                "GH-1",
                "https://e.vil",
                "www.e.vil",
                "mailto:a@e.vil",
                "|",
                "\\",
                "`",
                "```",
                "~~~",
                "~~",
                "**",
                "_x_",
                "[x](https://e.vil)",
                "![x](https://e.vil)",
                "<!--",
                "-->",
                "<script>",
                "<b>",
                "</details>",
                "<details>",
                "&lt;",
                "\n",
                "\r\n",
                "\n\n",
                "\u2028",
                "\u202e",
                "\x1b[31m",
                "# ",
                "\n# ",
                "- ",
                "\n/deploy production\n",
                "1. ",
                "> ",
                "    ",
                "| --- |",
                "$x$",
                "---",
                "===",
                "😀",
                " ",
            ]
        ),
        st.text(max_size=6),
    ),
    max_size=8,
).map("".join)


def walk(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from walk(token.children or [])


def assert_harmless(body: str, *, headings: int = 0, rows: int = 0) -> None:
    """Only our own structure is there, every link is ours, and nobody is called."""
    assert not re.search(r"^[ \t]*/[a-z]", body, re.MULTILINE), "a line begins as a command does"
    first, _, shown = body.partition("\n")  # a comment of HTML ends with its line, so the rest is read by itself
    assert re.fullmatch(r"<!-- slipway:v1 [^<>]* -->", first)
    assert "--" not in first[4:-3]
    tokens = list(walk(GFM.parse(shown)))
    kinds = [token.type for token in tokens]
    assert kinds.count("heading_open") == headings
    assert kinds.count("tr_open") == rows
    assert not {"image", "s_open", "em_open", "blockquote_open", "hr", "code_block"} & set(kinds)
    assert kinds.count("fence") <= 1
    for token in tokens:
        if token.type == "link_open":
            assert str(token.attrs["href"]).startswith(f"{OURS}/")
        if token.type == "fence":
            assert token.info == "mermaid"
        if token.type in {"html_inline", "html_block"}:
            rest = OUR_HTML.sub("", token.content)
            assert "<" not in rest, token.content
        if token.type in {"text", "text_special", "html_block"}:
            assert not PINGS.search(token.content), token.content


def make_entry(**over: Any) -> Entry:
    values: dict[str, Any] = {
        "id": "1", "verb": "deploy", "sha": SHA, "actor": "dana", "run_id": 1, "run_attempt": 1, "plan": (),
        "before": Serving(),
    }  # fmt: skip
    deployment = Deployment(
        id=1,
        sha=SHA,
        ref="main",
        environment="staging",
        payload={},
        created_at=MADE,
        creator="x",
        statuses=(DeploymentStatus(state="success", created_at=MADE),),
    )
    return Entry(deployment=deployment, record=Record(**{**values, **over}))


def make_lock(text: str, *, pull: int | None) -> Lock:
    record = LockRecord(
        environment=text, run_id=1, run_attempt=1, actor=text, pull_request=pull, sha=text, since=MADE, reason=text,
        expires=MADE,
    )  # fmt: skip
    return Lock(environment=text, oid="f" * 40, record=record)


@given(text=HOSTILE)
@example(text="`@lee`")
@example(text="</details><!--")
def test_history(text: str) -> None:
    entry = make_entry(sha=text, actor=text, reason=text, promoted_from=text)
    past = Past(environment=text, entries=[entry] * 3, shown=3, now=MADE.timestamp(), repository_url=OURS)
    assert_harmless(history_comment(past, marker=marker("1", environment=text)), headings=1, rows=4)


@given(text=HOSTILE, shipped=st.booleans())
def test_what_would_ship(text: str, shipped: bool) -> None:
    commit = Commit(sha=text, subject=text, author=text, url=f"{OURS}/commit/1")
    comparison = Comparison(ahead_by=1, behind_by=2, commits=(commit,), url=f"{OURS}/compare/1...2")
    found = Difference(
        environment=text, before=SHA, sha=text or "1", comparison=comparison, migrations=(text, "0001_a"),
        repository_url=OURS,
    )  # fmt: skip
    assert_harmless(difference_comment(found, marker=marker("1", environment=text), shipped=shipped), headings=1)


@pytest.mark.parametrize("kind", ["hold", "claim", "freeze"])
@pytest.mark.parametrize("pull", [None, 7])
@pytest.mark.parametrize("several", [1, 2])
@given(text=HOSTILE)
def test_marks(text: str, kind: Any, pull: int | None, several: int) -> None:
    lock = make_lock(text, pull=pull)
    for change in (
        Change(environment=text, kind=kind, put=lock),
        Change(environment=text, kind=kind, lifted=lock),
        Change(environment=text, kind=kind),
    ):
        assert_harmless(marks_comment([change] * several, marker=marker("1", environment=text)))


@pytest.mark.parametrize("forced", [False, True])
@given(text=HOSTILE)
def test_cancelling(text: str, forced: bool) -> None:
    running = make_lock(text, pull=7).record
    assert running is not None
    body = cancel_comment(text, running, run_url=f"{OURS}/runs/1", forced=forced, marker=marker("1", environment=text))
    assert_harmless(body)


@given(text=HOSTILE)
def test_whoami(text: str) -> None:
    may = {text: {text: True, "production": False}}
    rights = Rights(login=text, role=text, teams=(text, "acme/oncall"), unknown=(text,), may=may)
    body = whoami_comment(rights, marker=marker("1"))
    assert_harmless(body, headings=1, rows=2)


@pytest.mark.parametrize("make", [history_comment, difference_comment, marks_comment, cancel_comment, whoami_comment])
def test_the_marker_is_the_first_line(make: Callable[..., str]) -> None:
    """It is what the bot finds its own comment by."""
    made: dict[Any, tuple[Any, ...]] = {
        history_comment: (Past(environment="s", entries=[], shown=3, now=1.0, repository_url=OURS),),
        marks_comment: ([Change(environment="s", kind="freeze")] * 2,),
        whoami_comment: (Rights(login="dana", role="write", teams=(), unknown=(), may={}),),
        cancel_comment: ("s", make_lock("x", pull=1).record),
        difference_comment: (
            Difference(environment="s", before="", sha=SHA, comparison=None, migrations=(), repository_url=OURS),
        ),
    }
    more: dict[Any, dict[str, Any]] = {
        cancel_comment: {"run_url": OURS, "forced": True},
        difference_comment: {"shipped": False},
    }
    assert make(*made[make], marker="<!-- slipway:v1 id=1 -->", **more.get(make, {})).startswith(
        "<!-- slipway:v1 id=1 -->\n"
    )
