from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.core.commands import Command, Misread, parse_comment, parse_line, spelled
from bot.core.comment_lines import MAX_LINES, MAX_PARAGRAPH, command_lines
from bot.core.outcome import HelpEntry
from bot.core.registry import REGISTRY, RESERVED, Verb
from bot.report.answers import help_comment, hint_comment

SHA = "4f9a1c2d3e5f60718293a4b5c6d7e8f901234567"


def one(body: str) -> Command | Misread:
    (found,) = parse_comment(body)
    return found


def command(body: str) -> Command:
    found = one(body)
    assert isinstance(found, Command), found
    return found


def misread(body: str) -> Misread:
    found = one(body)
    assert isinstance(found, Misread), found
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/deploy staging", Command(verb="deploy", environment="staging")),
        ("/deploy", Command(verb="deploy")),
        ("/DEPLOY staging", Command(verb="deploy", environment="staging")),
        ("/Deploy   staging  ", Command(verb="deploy", environment="staging")),
        ("/deploy\tstaging", Command(verb="deploy", environment="staging")),
        ("/deploy\u00a0staging", Command(verb="deploy", environment="staging")),
        ("/deploy\u2003staging\u202f@4f9a1c2", Command(verb="deploy", environment="staging", sha="4f9a1c2")),
        ("/deploy sta\u200bging\ufeff", Command(verb="deploy", environment="staging")),
        ("/deploy staging @4F9A1C2", Command(verb="deploy", environment="staging", sha="4f9a1c2")),
        ("/deploy @4f9a1c2 staging", Command(verb="deploy", environment="staging", sha="4f9a1c2")),
        ("/deploy@4f9a1c2", Command(verb="deploy", sha="4f9a1c2")),
        (f"/deploy staging @{SHA}", Command(verb="deploy", environment="staging", sha=SHA)),
        ("/deploy staging --dry-run", Command(verb="deploy", environment="staging", flags={"dry-run": ""})),
        ("/deploy --DRY-RUN staging", Command(verb="deploy", environment="staging", flags={"dry-run": ""})),
        ("/deploy staging \u2013dry-run", Command(verb="deploy", environment="staging", flags={"dry-run": ""})),
        ("/deploy staging \u2014dry-run", Command(verb="deploy", environment="staging", flags={"dry-run": ""})),
        (
            '/deploy staging --reason="at ten"',
            Command(verb="deploy", environment="staging", flags={"reason": "at ten"}),
        ),
        ("/deploy staging --reason='a=b'", Command(verb="deploy", environment="staging", flags={"reason": "a=b"})),
        (
            "/deploy staging \u2014reason=\u201cat ten\u201d",
            Command(verb="deploy", environment="staging", flags={"reason": "at ten"}),
        ),
        (
            "/deploy staging --reason=\u2018at ten\u2019",
            Command(verb="deploy", environment="staging", flags={"reason": "at ten"}),
        ),
        (
            '/deploy staging --reason="10\u201312 o\'clock"',
            Command(verb="deploy", environment="staging", flags={"reason": "10\u201312 o'clock"}),
        ),
        ('/deploy "staging"', Command(verb="deploy", environment="staging")),
        ("/deploy stäging", Command(verb="deploy", environment="stäging")),
        ("/deploy staging web", Command(verb="deploy", environment="staging", services=("web",))),
        (
            "/deploy staging web @4f9a1c2 worker web --dry-run",
            Command(
                verb="deploy",
                environment="staging",
                services=("web", "worker"),
                sha="4f9a1c2",
                flags={"dry-run": ""},
            ),
        ),
        ("/rollback production", Command(verb="rollback", environment="production")),
        ("/status", Command(verb="status")),
        ("/status staging", Command(verb="status", environment="staging")),
        (
            "/logs staging web --since=1h",
            Command(verb="logs", environment="staging", services=("web",), flags={"since": "1h"}),
        ),
        ("/verify staging", Command(verb="verify", environment="staging")),
        ("/doctor", Command(verb="doctor")),
        ("/preview create", Command(verb="preview", action="create")),
        ("/PREVIEW Create staging", Command(verb="preview", action="create", environment="staging")),
        (
            "/preview create staging @4f9a1c2",
            Command(verb="preview", action="create", environment="staging", sha="4f9a1c2"),
        ),
        ("/preview extend --ttl=3d", Command(verb="preview", action="extend", flags={"ttl": "3d"})),
        (
            "/preview --ttl=3d extend staging",
            Command(verb="preview", action="extend", environment="staging", flags={"ttl": "3d"}),
        ),
        ("/preview destroy staging", Command(verb="preview", action="destroy", environment="staging")),
        ("/help", Command(verb="help")),
        ("/help deploy", Command(verb="help", topic="deploy")),
        ("/help /Deploy", Command(verb="help", topic="deploy")),
    ],
)
def test_commands(text: str, expected: Command) -> None:
    assert replace(command(text), text="") == expected


@pytest.mark.parametrize(
    ("text", "says", "suggestion"),
    [
        ('/deploy staging --reason="x', "quotes are not closed", ""),
        ("/deploy staging it doesn't work", "quotes are not closed", ""),
        ("/deploy staging --dryrun", "no flag `--dryrun`. Did you mean `--dry-run`?", "/deploy"),
        ("/deploy staging --force-everything", "`deploy` has no flag `--force-everything`.", "/deploy"),
        ("/deploy staging --", "has no flag `--`", "/deploy"),
        ("/deploy staging --reason", "`--reason` wants a value: `--reason=TEXT`", "/deploy"),
        ("/deploy staging --reason=", "`--reason` wants a value", "/deploy"),
        ("/deploy staging --reason x", "`--reason` wants a value", "/deploy"),
        ("/deploy staging --dry-run=yes", "`--dry-run` takes no value", "/deploy"),
        ("/status --dry-run", "`status` has no flag `--dry-run`", "/status"),
        ("/logs staging web worker", "does not know what to do with `worker`", "/logs"),
        ("/deploy staging 4f9a1c2", "A sha is written with an `@`: `@4f9a1c2`", "/deploy"),
        ("/deploy staging @4f9a1c", "`@4f9a1c` is not a sha", "/deploy"),
        ("/deploy staging @main", "`@main` is not a sha", "/deploy"),
        (f"/deploy staging @{SHA}0", "is not a sha", "/deploy"),
        ("/rollback staging @4f9a1c2", "does not know what to do with `@4f9a1c2`", "/rollback"),
        ("/status is broken", "does not know what to do with `broken`", "/status"),
        ("/help me please", "does not know what to do with `please`", "/help"),
        ("/preview", "`preview` wants one of `create`, `destroy` and `extend`.", "/preview create|"),
        ("/preview staging", "wants one of `create`, `destroy` and `extend` first, not `staging`", "/preview create|"),
        ("/preview @4f9a1c2 create", "first, not `@4f9a1c2`", "/preview create|"),
        ("/preview sweep", "first, not `sweep`", "/preview create|"),
        ("/preview create staging web", "does not know what to do with `web`", "/preview create|"),
        ("/preview create --ttl", "`--ttl` wants a value: `--ttl=TIME`", "/preview create|"),
    ],
)
def test_a_command_that_cannot_be_carried_out(text: str, says: str, suggestion: str) -> None:
    found = misread(text)
    assert says in found.sentence
    assert found.suggestion.startswith(suggestion)
    assert not found.unknown
    assert found.text == text


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("/deploi staging", "/deploy staging"),
        ("/depoly staging @4f9a1c2", "/deploy staging @4f9a1c2"),
        ("/DEPLY x", "/deploy x"),
        ("/rolback", "/rollback"),
        ("/rollbcak x", "/rollback x"),
        ("/statsu", "/status"),
        ("/hlep", "/help"),
        ("/halp me", "/help me"),
        ("/preveiw create", "/preview create"),
    ],
)
def test_a_near_miss_is_met_with_what_was_meant(text: str, suggestion: str) -> None:
    found = misread(text)
    assert (found.unknown, found.suggestion) == (True, suggestion)


@pytest.mark.parametrize(
    "text",
    [
        "/usr/bin",
        "/usr bin",
        "/deploy.sh",
        "/deploy/staging",
        "/deploy-all",
        "/deploy_x",
        "/deploy2",
        "/deploy:",
        "/deploy,",
        "/deploy\u200b staging",
        "/ deploy",
        "/",
        "//deploy",
        "\\/deploy staging",
        "&#47;deploy staging",
        "/деплой staging",
        "/\u212aelp",
        "/xyzzy",
        "/hp",
        "/etc",
        "please /deploy staging",
        "deploy staging",
        "\u200b/deploy staging",
        "",
        "   ",
        "\n\n",
        *(f"/{word} staging" for word in sorted(RESERVED)),
        *(f"/{word}" for word in sorted(RESERVED)),
    ],
)
def test_what_is_none_of_our_business_is_met_with_silence(text: str) -> None:
    assert parse_comment(text) == ()


# Each with the numbers of the lines that are commands.
@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("/deploy staging", [1]),
        ("Hello\n/deploy staging\nThanks", [2]),
        ("\n\n/deploy staging\n", [3]),
        ("   /deploy staging", [1]),
        ("a\n        /deploy staging", [2]),  # an indented line cannot interrupt a paragraph
        ("a\r\n/deploy staging\r\nb", [2]),
        ("a\r/deploy staging\rb", [2]),
        ("a\r\n\r/deploy staging", [3]),
        ("\u00a0/deploy staging", [1]),
        ("\u00a0\n/deploy staging", [2]),
        ("\u2028\n\u00a0\n/deploy staging", [3]),
        ("a  \n/deploy staging", [2]),
        ("a\\\n/deploy staging", [2]),
        ("/deploy staging\n/rollback production", [1, 2]),
        ("/deploy a\n/deploy b\n/deploy c\n/deploy d\n/deploy e\n/deploy f", [1, 2, 3, 4, 5, 6]),
        ("/deploy staging\n\ntext\n\n/status", [1, 5]),
        ("/deploy a b c\n/status", [1, 2]),
        # code
        ("```\n/deploy staging\n```", []),
        ("```\n/deploy staging", []),
        ("~~~ sh\n/deploy staging\n~~~", []),
        ("````\n```\n/deploy staging\n````", []),
        ("```\n~~~\n/deploy staging\n```\n/status", [5]),
        ("    /deploy staging", []),
        ("\t/deploy staging", []),
        ("`/deploy staging`", []),
        ("`x\n/deploy staging\ny`", []),
        ("`x\n/deploy staging\ny`\n/status", [4]),
        ("a `x\ny` b\n/deploy staging", [3]),
        ("``x ` \n/deploy staging\n``", []),
        ("`x\n/deploy staging", [2]),  # no second backtick: no code
        ("x`\n/deploy staging\n``", [2]),
        # quotes
        ("> /deploy staging", []),
        (">/deploy staging", []),
        (">>> /deploy staging", []),
        ("> quoted\n/deploy staging", []),  # lazy continuation
        ("> quoted\n\n/deploy staging", [3]),
        ("> ```\n> x\n/deploy staging", [3]),  # a fence is never continued lazily: GitHub ends the quote here
        ("> [!NOTE]\n> /deploy staging", []),
        ("On Monday dana wrote:\n> /deploy staging\n", []),
        # HTML
        ("<!-- /deploy staging -->", []),
        ("<!--\n/deploy staging\n-->", []),
        ("<!--\n\n/deploy staging\n\n-->\n/status", [6]),
        ("a <!-- x\n/deploy staging\n--> b", []),
        ("a <!-- x\n/deploy staging\n--> b\n/status", [4]),
        ("<div>\n/deploy staging\n</div>", []),
        ("<details>\n<summary>x</summary>\n/deploy staging\n</details>", []),
        ("<pre>\n\n/deploy staging\n\n</pre>", []),
        ("<script>\n\n/deploy staging\n</script>", []),
        ("<a href='\n/deploy staging\n'>x</a>", []),
        ("x <a href='\n/deploy staging\n'>x</a>\n/status", [4]),
        ("<?\n/deploy staging\n?>", []),
        ("<![CDATA[\n/deploy staging\n]]>", []),
        # lists, headings, rules, tables
        ("- /deploy staging", []),
        ("* /deploy staging", []),
        ("+ a\n/deploy staging", []),
        ("- a\n\n/deploy staging", [3]),
        ("- a\n\n  /deploy staging", []),
        ("1. /deploy staging", []),
        ("1) a\n/deploy staging", []),
        ("- [ ] /deploy staging", []),
        ("# /deploy staging", []),
        ("/deploy staging\n===", []),
        ("/deploy staging\n---", []),
        ("***\n/deploy staging\n***", [2]),
        ("# Title\n/deploy staging", [2]),
        # a quote or a list that ends in the definition of a link goes on with the line below it
        ("> [a]: /x\n/deploy staging", []),
        ("> [a]: /x\n> [a]: /y\n/deploy staging", []),
        ("- [a]:\n  /x 'title'\n/deploy staging", []),
        ("> [a]: /x\n\n/deploy staging", [3]),
        ("[a]: /x\n/deploy staging", [2]),
        ("> a\n\n[b]: /x\n/deploy staging", [4]),
        ("| a | b |\n|---|---|\n/deploy staging", []),
        ("| a | b |\n|---|---|\n| 1 | 2 |\n\n/deploy staging", [5]),
        ("| a |\n/deploy staging", [2]),
        # links, emphasis
        ("[/deploy staging](x)", []),
        ("[a\n/deploy staging](x)", []),
        ("[a](\n/deploy\n'x')\n/status", [4]),
        ("[a]\n/deploy staging\n\n[a]: x", [2]),
        ("[a\n/deploy staging][b]\n\n[b]: x", []),
        ("[a\n/deploy staging][b]", [2]),
        ("![a\n/deploy staging](x)\n/status", [3]),
        ("[a]: /deploy 'x'\n/status", [2]),
        ("[a]:\n/deploy\n/status", []),  # the first one is where the link leads
        ("[a]: /x 'x'\n[b]: /y\n/deploy staging", [3]),
        ("[a]: /x 'x\n/deploy staging\n'", []),
        ("[WIP]: I think so\n/deploy staging", [2]),
        # GitHub's parser sees these otherwise than others do; found by fuzzing.
        ("> [a]: x\n    1\n/deploy staging", []),
        ("> [a]: x ''\n[a]: x\n/deploy staging", []),
        ("[a]: <\\\n/deploy staging>", []),
        ("> a\n<r>\n```\n```\n/deploy staging", []),
        ("> a\n<r>\n\n/deploy staging", [4]),
        ("1) a\n<b>\n<!A>\n/deploy staging", []),
        ("| a |\n|---|\n<b>\n___\n/deploy staging", []),
        ("a\n<r>\n```\n```\n/deploy staging", [5]),
        ("/deploy staging\n|-", []),
        ("*    a\n    <r>\nb\n/deploy staging", []),
        ("+    a\n    ___\n/deploy staging", []),
        ("+   a\n    ___\n/deploy staging", [3]),
        ("- [ ] |||\n  -|-\n_\n  ```\n/deploy staging", []),
        ("a | b\n/deploy staging", [2]),
        ("*a\n/deploy staging\nb*", []),
        ("**a\n/deploy staging**\n/status", [3]),
        ("**bold**\n/deploy staging", [2]),
        ("*a\n/deploy staging", [2]),
        ("https://x/deploy staging", []),
        ("see\nhttps://x\n/deploy staging", [3]),
        # no command, but near one
        ("/deploy staging\n/usr/bin\n/scale x\n/statu", [1, 4]),
        ("a" * MAX_PARAGRAPH + "\n/deploy staging", []),
        ("a" * MAX_PARAGRAPH + "\n\n/deploy staging", [3]),
        ("a\n" * MAX_LINES + "/deploy staging", [MAX_LINES + 1]),
        ("a\n" * MAX_LINES + "\n/deploy staging", []),
    ],
)
def test_only_plain_lines_count(body: str, lines: list[int]) -> None:
    assert [found.line for found in parse_comment(body)] == lines


def test_each_command_keeps_its_line_and_text() -> None:
    body = 'Hi,\n\n  /deploy staging --reason="x"  \n`/deploy no`\n/status'
    assert [(found.line, found.text) for found in parse_comment(body)] == [
        (3, '/deploy staging --reason="x"'),
        (5, "/status"),
    ]


def test_dry_run_is_asked_of_the_flags() -> None:
    assert command("/deploy x --dry-run").dry_run
    assert not command("/deploy x").dry_run


@given(st.text() | st.text("/deploystaghi@`~<>!-=*_[]()\\\"' \n\r\t\u00a0", max_size=200))
@example("/deploy \0")
@example("/deploy \\")
@example("`\n/deploy\n``")
def test_it_never_raises(text: str) -> None:
    for found in parse_comment(text):
        assert found.text.startswith("/")
        assert 1 <= found.line <= len(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    parse_line(text)
    parse_line(f"/deploy {text}")


@given(
    st.sampled_from(["```", "~~~", "`````", "~~~~ text"]),
    st.lists(st.text(st.characters(exclude_characters="`~"), max_size=20) | st.just("/deploy staging"), max_size=6),
)
def test_nothing_is_taken_out_of_a_fence(fence: str, inside: list[str]) -> None:
    close = fence.split(" ", maxsplit=1)[0]
    body = "\n".join(["/status", fence, *inside, "/deploy staging", close, "/help"])
    assert [found.text for found in parse_comment(body)] == ["/status", "/help"]


def junk() -> list[str]:
    size = 10_000_000
    marks = [  # each is the worst of its kind
        "[",
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
    ]
    lines = [
        "/\n",
        "/x\n",
        "/deploi\n",
        "/deploy x\n",
        "[a]: /u\n",
        "a\n=\n",
        "<a\n",
        "`\n",
        "|\n",
        "a|b\n-|-\n",
        "    a\n",
    ]
    return [f"/deploy staging\n{part * (size // len(part))}" for part in [*marks, *lines]]


@pytest.mark.parametrize("body", junk(), ids=lambda body: repr(body[16:26]))
def test_ten_megabytes_of_junk_make_no_command_of_their_own(body: str) -> None:
    """How the time grows with the length is in tests/bench."""
    told = {found.text for found in parse_comment(body)}
    assert told <= {"/deploy staging", "/deploi", "/deploy x"}


@given(
    st.text(" \t\n\r\u00a0\u2028", max_size=6),
    st.sampled_from(["/deploy staging", "/status", "/help `x", "/deploi x", "/", "/usr"]),
    st.text(" \t\n\r\u00a0\u2028", max_size=6),
)
def test_a_comment_of_one_line_is_read_as_commonmark_reads_it(before: str, line: str, after: str) -> None:
    alone = [(found.line, found.text) for found in parse_comment(f"{before}{line}{after}")]
    among = [(found.line, found.text) for found in parse_comment(f"{before}{line}{after}\n\nthe end")]
    assert alone == among


def test_no_help_or_hint_reads_as_a_command() -> None:
    entries = [
        HelpEntry(
            verb=verb.name,
            usage=verb.usage,
            summary=verb.summary,
            examples=verb.examples,
            allowed=allowed,
            who="write",
            flags=tuple((flag.name, flag.summary) for flag in verb.flags),
        )
        for verb in REGISTRY.values()
        for allowed in (True, False)
    ]
    comments = [help_comment(entries, marker="<!-- slipway:v1 -->")]
    comments += [help_comment(entries, marker="<!-- slipway:v1 -->", verb=verb) for verb in REGISTRY]
    comments += [hint_comment(typed="/deploi x", suggestion="/deploy x", marker="<!-- slipway:v1 -->")]
    for comment in comments:
        assert parse_comment(comment) == ()
        assert parse_comment(comment.split("\n", 1)[1]) == ()


@pytest.mark.parametrize("verb", REGISTRY.values(), ids=lambda verb: verb.name)
def test_the_registry_is_true_of_the_parser(verb: Verb) -> None:
    assert verb.examples
    for example_ in verb.examples:
        assert command(example_).verb == verb.name
    required = {flag.name: flag.value for flag in verb.flags if flag.required}
    for flag in verb.flags:
        assert (f" --{flag.name}" in verb.usage) == flag.required
        assert (f"[--{flag.name}" in verb.usage) != flag.required
        wanted = {**required, flag.name: flag.value}
        typed = " ".join(f"--{name}={value}" if value else f"--{name}" for name, value in wanted.items())
        assert command(f"/{verb.name} {''.join(verb.actions[:1])} {typed}").flags == wanted
    assert ("|all" in verb.usage) == verb.every
    assert ("<environment>" in verb.usage) == verb.needs_environment
    assert ("|".join(verb.actions) in verb.usage) or not verb.actions
    assert ("environment" in verb.usage) == ("environment" in verb.takes)
    assert ("@sha" in verb.usage) == ("sha" in verb.takes)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=" /deploystaging@`<>*[]()#\n\r\t\u00a0\u2028|&;-=", max_size=40))
def test_one_line_is_read_without_the_library_as_the_library_reads_it(body: str) -> None:
    parsed = [parse_line(text, line=line) for line, text in command_lines(body)]
    assert list(parse_comment(body)) == [found for found in parsed if found is not None]


@pytest.mark.parametrize(
    ("typed", "over", "expected"),
    [
        (
            "/deploy stagign @4F9A1C2 --dry-run --reason=x",
            {"environment": "staging"},
            "/deploy staging @4f9a1c2 --dry-run",
        ),
        ("/deploy staging @4f9a1c2", {"sha": ""}, "/deploy staging"),
        ("/deploy", {"environment": "staging", "sha": "4f9a1c2"}, "/deploy staging @4f9a1c2"),
        ("/rollback stagign --to=12", {"environment": "staging"}, "/rollback staging --to=12"),
        ("/rollback staging --to='a b'", {}, "/rollback staging --to='a b'"),
        ("/preview create stagign --ttl=3d", {"environment": "staging"}, "/preview create staging --ttl=3d"),
    ],
)
def test_a_command_is_spelled_as_it_would_be_typed(typed: str, over: dict[str, Any], expected: str) -> None:
    command = parse_line(typed)
    assert isinstance(command, Command)
    assert spelled(command, **over) == expected
    assert isinstance(parse_line(expected), Command)
