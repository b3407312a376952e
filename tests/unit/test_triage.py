"""Triage: values in tables, and the script itself as a process against a loopback GitHub."""

from __future__ import annotations

import ast
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bot import triage

SCRIPT = pathlib.Path(triage.__file__)
REACTIONS = "/repos/acme/shop/issues/comments/42/reactions"

COMMANDS = {
    "plain": ("/deploy staging", "deploy"),
    "alone": ("/help", "help"),
    "upper case": ("/DEPLOY staging", "deploy"),
    "three spaces": ("   /deploy staging", "deploy"),
    "sha right behind": ("/deploy@4f9a1c2", "deploy"),
    "after prose": ("Looks good.\n/deploy staging\nthanks", "deploy"),
    "windows line ends": ("Looks good.\r\n/deploy staging\r\n", "deploy"),
    "old mac line ends": ("Looks good.\r/deploy staging", "deploy"),
    "no-break space behind": ("/deploy\u00a0staging", "deploy"),
    "first of two": ("/status\n/deploy staging", "status"),
    "exact beats an earlier slip": ("/deplyo x\n/status", "status"),
    "after a fence": ("```\ncode\n```\n/deploy staging", "deploy"),
    "after a longer fence": ("~~~~\n~~~\n/x\n~~~~~\n/deploy staging", "deploy"),
    "a backtick in the info string is no fence": ("``` a`b\n/deploy staging", "deploy"),
    "after a comment on one line": ("<!-- note -->\n/deploy staging", "deploy"),
    "after a comment on several lines": ("<!-- note\n/rollback production\n-->\n/deploy staging", "deploy"),
    "indented in a paragraph goes on with it": ("Please\n     /deploy staging", "deploy"),
    "doubt: an HTML block": ("<details>\n```\n\n/deploy staging", "deploy"),
    "doubt: a fence whose list item ended": ("- a\n  ```\n  x\n/deploy staging", "deploy"),
    "doubt: a comment whose list item ended": ("- a\n  <!--\n/deploy staging", "deploy"),
    "doubt stays": ("- a\n  ```\nx\n```\n/deploy staging", "deploy"),
    "slip: missing letter": ("/deply staging", "deply"),
    "slip: swapped letters": ("/stauts", "stauts"),
    "slip: two edits": ("/rolback1".replace("1", "x"), "rolbackx"),
    "slip: short word, one edit": ("/hepl", "hepl"),
}

NOT_COMMANDS = {
    "empty": "",
    "no slash": "nice work",
    "in the middle of a line": "please /deploy staging",
    "path": "/usr/bin/env is missing",
    "verb as path": "/deploy/staging",
    "file name": "/deploy.sh",
    "digits": "/123",
    "fence": "```\n/deploy staging\n```",
    "fence of tildes with a name": "~~~ sh\n/deploy staging\n~~~",
    "fence that never ends": "```\n/deploy staging",
    "fence in a fence": "````\n```\n/deploy staging\n```\n````",
    "closing fence has no info string": "```\na\n``` sh\n/deploy staging\n```",
    "fence in a list": "- a\n  ```\n  /deploy staging\n  ```",
    "blank line in a fence of a list": "- a\n  ```\n\n  /deploy staging\n  ```",
    "quote": "> /deploy staging",
    "quote without a space": ">/deploy staging",
    "indented by four": "    /deploy staging",
    "indented by a tab": "text\n\n\t/deploy staging",
    "space and tab": "  \t/deploy staging",
    "indented code of several lines": "    first\n    /deploy staging",
    "comment on one line": "<!-- /deploy staging -->",
    "comment on several lines": "<!--\n\n/deploy staging\n\n-->",
    "list item": "- /deploy staging",
    "inline code": "`/deploy staging`",
    "another bot's command": "/retest",
    "reserved word": "/scale staging",
    "too far from any": "/banana",
    "short word, two edits": "/hexy",
    "near, but a path": "/depoly/x",
    "only beyond the limit of a comment": "x" * triage.MAX_BODY + "\n/deploy staging",
}


def flip(line: str) -> str:
    """Undo GitHub's escapes of a workflow command."""
    return line.replace("%0A", "\n").replace("%0D", "\r").replace("%3A", ":").replace("%2C", ",").replace("%25", "%")


@pytest.mark.parametrize(("body", "word"), COMMANDS.values(), ids=COMMANDS.keys())
def test_a_command_is_found(body: str, word: str) -> None:
    assert triage.find_command(body) == word


@pytest.mark.parametrize("body", NOT_COMMANDS.values(), ids=NOT_COMMANDS.keys())
def test_anything_else_is_not(body: str) -> None:
    assert triage.find_command(body) is None


def test_junk_words_are_not_compared_one_by_one() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(word) for word in itertools.islice(itertools.product(letters, repeat=6), triage.MAX_WORDS)]
    assert triage.find_command("\n".join(f"/{word}" for word in [*words, "deplyo"])) is None
    assert triage.find_command("\n".join(f"/{word}" for word in [*words, "deploy"])) == "deploy"
    assert triage.find_command("\n".join(f"/{word}" for word in [*words[1:], "deplyo"])) == "deplyo"


@pytest.mark.parametrize(
    ("one", "other", "edits"),
    [
        ("deploy", "deploy", 0),
        ("", "abc", 3),
        ("abc", "", 3),
        ("deplyo", "deploy", 1),
        ("dploy", "deploy", 1),
        ("kitten", "sitting", 3),
    ],
)
def test_edits(one: str, other: str, edits: int) -> None:
    assert triage.edits(one, other) == edits


def comment_event(body: object = "/deploy staging", *, action: str = "created", **user: object) -> dict[str, object]:
    return {
        "action": action,
        "comment": {"id": 42, "body": body, "user": {"id": 7, "login": "dana", "type": "User", **user}},
        "issue": {"number": 3, "pull_request": {}},
        "repository": {"full_name": "acme/shop", "default_branch": "main"},
    }


def push_event(ref: str, **more: object) -> dict[str, object]:
    return {"ref": ref, "repository": {"default_branch": "main"}, **more}


def pull_event(action: str, head: int | None = 1) -> dict[str, object]:
    source = None if head is None else {"id": head}
    return {"action": action, "pull_request": {"head": {"repo": source}}, "repository": {"id": 1}}


EVENTS = {
    "comment": ("issue_comment", comment_event(), True, 42),
    "comment with a slip": ("issue_comment", comment_event("/deplyo"), True, 0),
    "ordinary comment": ("issue_comment", comment_event("thanks"), False, 0),
    "edited comment": ("issue_comment", comment_event(action="edited"), False, 0),
    "deleted comment": ("issue_comment", comment_event(action="deleted"), False, 0),
    "a bot's comment": ("issue_comment", comment_event(type="Bot"), False, 0),
    "an allowed bot's comment": ("issue_comment", comment_event(type="Bot", id=99), True, 42),
    "a comment without an author": (
        "issue_comment",
        {**comment_event(), "comment": {"id": 42, "body": "/help"}},
        True,
        42,
    ),
    "a comment without an id": ("issue_comment", {"action": "created", "comment": {"body": "/help"}}, True, 0),
    "a body that is no text": ("issue_comment", comment_event(["/deploy"]), False, 0),
    "no comment at all": ("issue_comment", {"action": "created"}, False, 0),
    "comment is a list": ("issue_comment", {"action": "created", "comment": []}, False, 0),
    "not an object": ("issue_comment", [1], False, 0),
    "push to the default branch": ("push", push_event("refs/heads/main"), True, 0),
    "push to another branch": ("push", push_event("refs/heads/topic"), False, 0),
    "push of a tag": ("push", push_event("refs/tags/main"), False, 0),
    "default branch deleted": ("push", push_event("refs/heads/main", deleted=True), False, 0),
    "push without a repository": ("push", {"ref": "refs/heads/None"}, False, 0),
    "dispatch": ("workflow_dispatch", {"inputs": {}}, True, 0),
    "closed pull request": ("pull_request", pull_event("closed"), True, 0),
    "closed pull request, trusted": ("pull_request_target", pull_event("closed"), True, 0),
    "pushed pull request": ("pull_request_target", pull_event("synchronize"), True, 0),
    "opened pull request": ("pull_request", pull_event("opened"), False, 0),
    "closed pull request of a fork": ("pull_request_target", pull_event("closed", head=2), False, 0),
    "closed pull request of a fork that is gone": ("pull_request_target", pull_event("closed", head=None), False, 0),
    "pull request of another shape": ("pull_request_target", {"action": ["closed"]}, False, 0),
    "schedule": ("schedule", {}, True, 0),
    "another event": ("release", {}, False, 0),
    "no event": ("", {}, False, 0),
}


@pytest.mark.parametrize(("name", "event", "ours", "react_to"), EVENTS.values(), ids=EVENTS.keys())
def test_events(name: str, event: object, ours: bool, react_to: int) -> None:
    verdict = triage.judge(name, event, frozenset({99}))
    assert (verdict.ours, verdict.react_to) == (ours, react_to)


Environ = Callable[..., dict[str, str]]


@pytest.fixture
def environ(tmp_path: pathlib.Path, httpserver: HTTPServer) -> Environ:
    """Make the environment of a run: an event file, an output file and the loopback GitHub."""

    def make(event: object, *, name: str = "issue_comment", **over: str) -> dict[str, str]:
        path = tmp_path / "event.json"
        path.write_bytes(event if isinstance(event, bytes) else json.dumps(event).encode())
        return {
            "GITHUB_API_URL": httpserver.url_for("").rstrip("/"),
            "GITHUB_EVENT_NAME": name,
            "GITHUB_EVENT_PATH": str(path),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_REPOSITORY": "acme/shop",
            "GITHUB_TOKEN": "t0ken",
            **over,
        }

    return make


def outputs(environ: dict[str, str]) -> dict[str, str]:
    text = pathlib.Path(environ["GITHUB_OUTPUT"]).read_text(encoding="utf-8")
    return {match[1]: match[3] for match in re.finditer(r"(?m)^(\S+)<<(ghadelimiter_\w+)\n(.*)\n\2$", text)}


def test_an_ordinary_comment_costs_no_call(
    environ: Environ, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    env = environ(comment_event("thanks"))
    assert triage.main(env) == 0
    assert outputs(env) == {"ours": "false", "reaction-id": "", "decision": "ignored", "reason": "not_a_command"}
    assert httpserver.log == []
    assert capsys.readouterr().out == ""


def test_a_command_gets_its_reaction(
    environ: Environ, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Request] = []

    def answer(request: Request) -> Response:
        seen.append(request)
        return Response(json.dumps({"id": 1001, "content": "eyes"}), status=201, content_type="application/json")

    httpserver.expect_request(REACTIONS, method="POST", json={"content": "eyes"}).respond_with_handler(answer)
    env = environ(comment_event())
    assert triage.main(env) == 0
    assert outputs(env) == {"ours": "true", "reaction-id": "1001"}
    assert [request.headers["Authorization"] for request in seen] == ["Bearer t0ken"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("event", "over"),
    [(comment_event("/deplyo staging"), {}), (comment_event(), {"SLIPWAY_PHASE": "release"})],
    ids=["near miss", "release job"],
)
def test_ours_without_a_reaction(environ: Environ, httpserver: HTTPServer, event: object, over: dict[str, str]) -> None:
    env = environ(event, **over)
    assert triage.main(env) == 0
    assert outputs(env) == {"ours": "true", "reaction-id": ""}
    assert httpserver.log == []


@pytest.mark.parametrize(
    ("status", "body", "headers", "warned"),
    [
        (403, "{}", {}, "GitHub answered 403."),
        (502, "oops", {}, "GitHub answered 502."),
        (302, "", {"Location": "/elsewhere"}, "GitHub answered 302."),
        (201, "no json", {}, "JSONDecodeError"),
        (201, "[]", {}, ""),
        (201, '{"id": "x"}', {}, ""),
    ],
)
def test_a_failed_reaction_is_only_a_warning(
    environ: Environ,
    httpserver: HTTPServer,
    capsys: pytest.CaptureFixture[str],
    status: int,
    body: str,
    headers: dict[str, str],
    warned: str,
) -> None:
    httpserver.expect_request(REACTIONS).respond_with_data(body, status=status, headers=headers)
    env = environ(comment_event())
    assert triage.main(env) == 0
    assert outputs(env) == {"ours": "true", "reaction-id": ""}
    said = capsys.readouterr().out
    assert warned in said
    assert bool(warned) == said.startswith("::warning title=Slipway could not react to the comment::")
    assert len(httpserver.log) == 1  # a redirect is not followed: it would carry the token elsewhere


@pytest.mark.parametrize(
    ("over", "warned"),
    [
        ({"GITHUB_API_URL": "http://example.com"}, "must be https, or http on loopback"),
        ({"GITHUB_API_URL": "http://127.0.0.1.example.com"}, "must be https, or http on loopback"),
        ({"GITHUB_API_URL": "ftp://localhost"}, "must be https, or http on loopback"),
        ({"GITHUB_API_URL": "http://[::1"}, "ValueError"),
        ({"GITHUB_API_URL": "http://localhost:1"}, "Connection refused"),
        ({"GITHUB_REPOSITORY": "acme/shop/../x"}, "is not owner/name"),
        ({"GITHUB_REPOSITORY": ""}, "is not owner/name"),
        ({"GITHUB_TOKEN": "two\nlines"}, "ValueError"),
    ],
)
def test_the_token_goes_nowhere_odd(
    environ: Environ, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str], over: dict[str, str], warned: str
) -> None:
    env = environ(comment_event(), **over)
    assert triage.main(env) == 0
    assert outputs(env)["ours"] == "true"
    assert warned in flip(capsys.readouterr().out)
    assert httpserver.log == []


def test_a_token_that_breaks_the_header_is_not_printed(environ: Environ, capsys: pytest.CaptureFixture[str]) -> None:
    env = environ(comment_event(), GITHUB_TOKEN="s3cret\nline")
    assert triage.main(env) == 0
    assert "s3cret" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("event", "over", "said"),
    [
        (b"{", {}, "event.json is not JSON"),
        (b"\xff\xfe\xfa", {}, "event.json is not JSON"),
        (b"[" * 200_000, {}, "event.json is not JSON"),
        (b"{}", {"GITHUB_EVENT_PATH": ""}, "GITHUB_EVENT_PATH is not set"),
        (b"{}", {"GITHUB_EVENT_PATH": "/nowhere/event.json"}, "/nowhere/event.json: No such file"),
        (b"{}", {"GITHUB_OUTPUT": ""}, "GITHUB_OUTPUT is not set"),
        (b"{}", {"GITHUB_OUTPUT": "/nowhere/output"}, "/nowhere/output: No such file"),
    ],
)
def test_an_unreadable_event_is_one_annotation(
    environ: Environ, capsys: pytest.CaptureFixture[str], event: object, over: dict[str, str], said: str
) -> None:
    assert triage.main(environ(event, **over)) == 1
    out = capsys.readouterr().out
    assert out.startswith("::error title=Slipway cannot read the event::")
    assert said in flip(out)
    assert out.count("\n") == 1


def test_allowed_bots(environ: Environ, capsys: pytest.CaptureFixture[str]) -> None:
    env = environ(comment_event("thanks"), SLIPWAY_ALLOWED_BOTS=" 49699333,2 dependabot:x,\u0662")
    assert triage.allowed_bots(env) == {49699333, 2}
    out = capsys.readouterr().out
    warning = "::warning title=Slipway%3A allowed-bots::"
    assert out == (f"{warning}'dependabot:x' is not a numeric user id.\n{warning}'\u0662' is not a numeric user id.\n")


def test_a_lone_surrogate_is_printable(environ: Environ, capsys: pytest.CaptureFixture[str]) -> None:
    triage.main(environ(comment_event("x"), SLIPWAY_ALLOWED_BOTS="\ud800100%"))
    assert "100%25" in capsys.readouterr().out


def run(env: dict[str, str], *flags: str) -> subprocess.CompletedProcess[str]:
    """Start the script as a process; without ``-S`` where its coverage shall be measured."""
    return subprocess.run(
        [sys.executable, "-I", *flags, str(SCRIPT)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("flags", [("-S",), ()], ids=["as the action does", "with site"])
def test_the_script(environ: Environ, httpserver: HTTPServer, flags: tuple[str, ...]) -> None:
    httpserver.expect_request(REACTIONS, method="POST").respond_with_json({"id": 5}, status=200)
    env = environ(comment_event())
    done = run(env, *flags)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert outputs(env) == {"ours": "true", "reaction-id": "5"}


def test_the_script_fails_with_an_annotation(environ: Environ) -> None:
    done = run(environ(b"nonsense"), "-S")
    assert done.returncode == 1
    assert done.stdout.startswith("::error title=")
    assert done.stderr == ""


def test_a_hostile_event_is_soon_judged(environ: Environ) -> None:
    body = "<!--\n" + "/deplox\n" * 1_400_000
    env = environ(comment_event(body))
    assert triage.main(env) == 0
    assert outputs(env)["ours"] == "false"


def test_it_needs_nothing_newer_than_python_3_9() -> None:
    """Syntax by the parser's own word; imports by name, and at the top only the four that every run pays for."""
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 9))
    assert "from __future__ import annotations" in ast.unparse(tree)  # so `X | None` is never evaluated
    top = {name.name for node in tree.body if isinstance(node, ast.Import) for name in node.names}
    assert top == {"json", "os", "re", "sys"}
    imported = {
        name.name if isinstance(node, ast.Import) else node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names
