from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.core.redaction import MASK, Masker
from bot.report import markdown

GFM = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table").enable("strikethrough")
# What GitHub's own filters look for in the text that Markdown leaves.
PINGS = re.compile(r"@[a-z0-9]|#\d|GH-\d|[a-z]://|www\.|mailto:", re.IGNORECASE)

HOSTILE = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "|",
                "\\",
                "`",
                "``",
                "```",
                "~~~",
                "~~",
                "*",
                "**",
                "_",
                "__",
                "[a](https://e.vil)",
                "![i](x)",
                "<b>",
                "<!--",
                "-->",
                "</details>",
                "<details>",
                "@octocat",
                "a@b.c",
                "#12",
                "GH-7",
                "o/r#3",
                "https://e.vil/x",
                "www.e.vil",
                "&amp;",
                "&#64;",
                "/deploy production",
                "\n/rollback",
                "\n",
                "\r\n",
                "\r",
                "\u2028",
                "\x00",
                "\x1b[31m",
                "\x1b]8;;https://e.vil\x07",
                "\u202e",
                "\u2066",
                "\ud800",
                "# ",
                "- ",
                "1. ",
                "> ",
                "    ",
                "\t",
                "$x$",
                "[^1]",
                ":tada:",
                "---",
                "===",
                "| --- |",
                "é",
                "😀",
            ]
        ),
        st.text(max_size=6),
    ),
    max_size=14,
).map("".join)


def walk(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from walk(token.children or [])


def assert_only_text(body: str, *, cells: int) -> None:
    tokens = list(walk(GFM.parse(f"| a | b |\n|---|---|\n{body}\n")))
    assert sum(token.type == "td_open" for token in tokens) == cells
    assert sum(token.type == "table_open" for token in tokens) == 1
    for token in tokens:
        assert token.type not in {
            "link_open",
            "image",
            "em_open",
            "strong_open",
            "s_open",
            "html_block",
            "heading_open",
            "fence",
        }
        if token.type == "html_inline":
            assert token.content in {"<code>", "</code>"}  # our own, for code with a `|`
        if token.type == "text":
            assert not PINGS.search(token.content), token.content


@given(HOSTILE)
@example("a\\|b")
@example("\\")
@example("_https://e.vil_")
def test_a_cell_never_makes_more_than_text(text: str) -> None:
    assert_only_text(f"| {markdown.cell(text)} | {markdown.cell(text)} |", cells=2)


@given(HOSTILE)
@example("a|b`c")
@example("\\|")
@example("` `` `")
def test_code_never_makes_more_than_text(text: str) -> None:
    assert_only_text(f"| {markdown.code(text)} | {markdown.code(text)} |", cells=2)


@given(HOSTILE, HOSTILE)
def test_a_sentence_never_makes_more_than_text_and_code(left: str, right: str) -> None:
    assert_only_text(f"| {markdown.prose(left + '`x`' + right)} | b |", cells=2)


@given(HOSTILE)
def test_a_line_of_its_own_is_a_paragraph_and_no_command(text: str) -> None:
    for line in (markdown.cell(text), markdown.prose(text)):
        assert "\n" not in line
        assert not re.match(r"\s*/\w", line)
        kinds = {token.type for token in GFM.parse(line)}
        assert kinds <= {"paragraph_open", "inline", "paragraph_close"}


@given(HOSTILE)
def test_a_cell_says_what_it_was_given(text: str) -> None:
    rendered = [
        token.content
        for token in walk(GFM.parse(f"x {markdown.cell(text, 10_000)}"))
        if token.type in {"text", "text_special"}
    ]
    said = "".join(rendered).replace(markdown.ZERO_WIDTH_SPACE, "").removeprefix("x").strip()
    assert said == " ".join(markdown.clean(text).split()).replace(markdown.ZERO_WIDTH_SPACE, "")


@given(HOSTILE)
def test_nothing_ends_a_fence_but_its_own_end(text: str) -> None:
    tokens = GFM.parse(f"{markdown.fence(text)}\n\nafter")
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert not re.search(r"^/[a-z]+(\s|$)", tokens[0].content, re.MULTILINE)


@given(HOSTILE)
def test_cleaned_text_has_no_controls_and_an_utf8_form(text: str) -> None:
    clean = markdown.clean(text)
    clean.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", clean)
    assert markdown.clean(clean) == clean


@given(HOSTILE)
def test_a_summary_is_text(text: str) -> None:
    folded = markdown.details(text, "body")
    assert folded.count("<") == 4
    assert folded.split("\n")[0].endswith("</summary>")
    assert not PINGS.search(folded)


@given(st.text() | HOSTILE.map(lambda tail: "https://e.vil/" + tail))
def test_a_link_goes_where_it_says_or_is_text(url: str) -> None:
    tokens = list(walk(GFM.parse(f"| a |\n|---|\n| {markdown.link('look|here', url)} |\n")))
    links = [token.attrs["href"] for token in tokens if token.type == "link_open"]
    assert sum(token.type == "td_open" for token in tokens) == 1
    assert len(links) == bool(markdown.address(url))
    assert all(
        str(href).startswith(("http://", "https://", "HTTP://", "HTTPS://")) or str(href).lower().startswith("http")
        for href in links
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x.example/a?b=1&copy=2", "https://x.example/a?b=1&amp;copy=2"),
        ("https://x.example/a(b)|c", "https://x.example/a%28b%29%7Cc"),
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"),
        ("https://user:pass@x.example/", ""),
        ("javascript:alert(1)", ""),
        ("https://x.example/a b", ""),
        ("https://x.example/\x1b", ""),
        ("https://[::1", ""),
        ("https:///x", ""),
        ("data:text/html,x", ""),
        ("//x.example", ""),
        ("", ""),
    ],
)
def test_only_plain_web_addresses_are_linked(url: str, expected: str) -> None:
    assert markdown.address(url) == expected
    assert markdown.link("page", url) == (f"[page]({expected})" if expected else "page")
    assert markdown.code_link("page", url) == (f"[`page`]({expected})" if expected else "`page`")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("snake_case stays", "snake_case stays"),
        ("_em_ and **b**", "\\_em\\_ and \\*\\*b\\*\\*"),
        ("/deploy staging", "&#47;deploy staging"),
        ("either/or", "either/or"),
        ("- list", "\\- list"),
        ("12. list", "12\\. list"),
        ("a\nb\r\n  c", "a b c"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]0;no end\nnext line", "next line"),
        ("x" * 400, "x" * 299 + "…"),
    ],
)
def test_a_cell_keeps_what_is_harmless(text: str, expected: str) -> None:
    assert markdown.cell(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("  ", ""),
        ("a", "`a`"),
        ("`a`", "`` `a` ``"),
        ("a``b", "```a``b```"),
        ("a|b", "<code>a&#124;b</code>"),
    ],
)
def test_code_is_longer_fenced_than_its_text(text: str, expected: str) -> None:
    assert markdown.code(text) == expected


def test_a_sentence_keeps_its_code_and_spaces() -> None:
    assert markdown.prose("`a` is not `b|c`, *really* `odd") == "`a` is not <code>b&#124;c</code>, \\*really\\* \\`odd"
    assert markdown.prose("  see `x` `y` ") == "see `x` `y`"


def test_a_tail_keeps_the_end_and_says_what_it_left_out() -> None:
    assert markdown.tail(["a", "b\nc", "d"], 2) == "… 2 earlier lines\nc\nd"
    assert markdown.tail(["a", "b"], 2) == "a\nb"
    assert markdown.tail(["x" * 20], 2, width=5) == "…xxxxx"


@given(
    st.text(
        st.characters(codec="ascii", exclude_categories=["Cc", "Zs"], exclude_characters="*`"), min_size=8, max_size=60
    )
)
def test_a_secret_is_masked_after_it_was_escaped_too(secret: str) -> None:
    # But for one with backticks, which `prose` takes for code: values are masked before they are rendered.
    masker = Masker([secret])
    address = f"https://x.example/?q={secret}"
    for body in (
        markdown.cell(f"a {secret} b"),
        markdown.code(f"{secret} b"),
        markdown.prose(f"a {secret}"),
        markdown.fence(f"a {secret}"),
        markdown.html_text(secret),
        markdown.address(address) or markdown.cell(address),
    ):
        assert MASK in masker.mask(body)
