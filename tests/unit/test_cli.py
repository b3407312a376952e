"""The command line in this very process: what is written and returned, whatever happens."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pytest_httpserver import HTTPServer

from bot.cli import _handle, main
from bot.core.config import Config
from bot.core.facts import Run
from bot.github.runner import Commands
from bot.report.block import seal
from bot.settings import Settings

CONFIG = """\
version: 1
app: shop
targets:
  gcp:
    type: cloud_run
    project: acme
    region: europe-west1
    services: {web: {public: true}}
environments:
  staging: {on: push}
  production: {permissions: {deploy: admin}, backup: {a: b}}
"""


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """The command takes the signals and sets up logging, for the process that is its own."""
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    yield
    for number, handler in signals.items():
        signal.signal(number, handler)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def act(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> Callable[..., Any]:
    """Run ``act`` on an event; returns the exit code, the outputs and the summary."""
    for name in [name for name in os.environ if name.startswith(("GITHUB_", "SLIPWAY_", "ACTIONS_"))]:
        monkeypatch.delenv(name)

    def run(payload: Any, *, name: str = "issue_comment", **over: str) -> tuple[int, dict[str, Any], str]:
        event, output, summary = tmp_path / "event.json", tmp_path / "output", tmp_path / "summary"
        event.write_bytes(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
        base = httpserver.url_for("").rstrip("/")
        environ = {
            "GITHUB_REPOSITORY": "acme/shop",
            "GITHUB_EVENT_NAME": name,
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_RUN_ID": "71",
            "GITHUB_TOKEN": "ghs_s3cretS3cret",
            "GITHUB_API_URL": base,
            "GITHUB_GRAPHQL_URL": f"{base}/graphql",
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
        }
        for key, value in {**environ, **over}.items():
            monkeypatch.setenv(key, value)
        code = main(["act"])
        text = output.read_text() if output.is_file() else ""
        found = re.findall(r"^([\w-]+)<<(\S+)\n(.*?)\n\2$", text, re.MULTILINE | re.DOTALL)
        outputs = {key: value for key, _, value in found}
        return code, outputs, summary.read_text() if summary.is_file() else ""

    return run


def comment(body: str = "/help", **user: Any) -> dict[str, Any]:
    return {
        "action": "created",
        "repository": {"full_name": "acme/shop", "default_branch": "main"},
        "issue": {"number": 7, "pull_request": {}},
        "comment": {
            "id": 9,
            "html_url": "u",
            "body": body,
            "created_at": "2026-03-02T12:00:00Z",
            "user": {"login": "dana", "id": 1, "type": "User", **user},
        },
    }


def answer_all(httpserver: HTTPServer, status: int) -> None:
    httpserver.expect_request(re.compile(".*")).respond_with_json({"message": "So be it."}, status=status)


OUTPUTS = {
    "decision",
    "reason",
    "environment",
    "environments",
    "sha",
    "deployment-id",
    "url",
    "comment-id",
    "result",
}


def test_an_event_of_no_concern_is_ignored(act: Any, capsys: Any) -> None:
    code, outputs, _ = act({**comment(), "action": "edited"})
    assert code == 0
    assert set(outputs) == OUTPUTS
    assert (outputs["decision"], outputs["reason"]) == ("ignored", "event_not_supported")
    assert "::notice title=Slipway%3A ignored::" in capsys.readouterr().out


def test_prose_is_ignored(act: Any, httpserver: HTTPServer) -> None:
    answer_all(httpserver, 404)
    code, outputs, _ = act(comment("looks good"))
    assert (code, outputs["decision"], outputs["reason"]) == (0, "ignored", "not_a_command")


def test_an_outsider_is_refused(act: Any, httpserver: HTTPServer, capsys: Any) -> None:
    answer_all(httpserver, 404)
    code, outputs, summary = act(comment())
    assert (code, outputs["decision"], outputs["reason"]) == (0, "refused", "forbidden")
    assert json.loads(outputs["result"])["version"] == 1
    assert "no role" in summary
    out = capsys.readouterr().out
    assert out.startswith("::add-mask::ghs_s3cretS3cret\n")
    assert out.count("ghs_s3cretS3cret") == 1


def test_a_refusing_github_is_told(act: Any, httpserver: HTTPServer, capsys: Any) -> None:
    answer_all(httpserver, 401)
    code, outputs, summary = act(comment())
    assert (code, outputs["decision"]) == (1, "failed")
    assert outputs["reason"] in {"auth_failed", "upstream_forbidden", "upstream_failed"}
    assert summary
    assert "::error title=Slipway" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("payload", "over", "reason"),
    [
        (b"{", {}, "event_invalid"),
        (b"[]", {}, "event_invalid"),
        (comment(), {"GITHUB_TOKEN": ""}, "settings_invalid"),
        (comment(), {"GITHUB_API_URL": "http://example.com"}, "settings_invalid"),
        (comment(), {"SLIPWAY_PHASE": "maybe"}, "settings_invalid"),
        (comment(), {"GITHUB_EVENT_PATH": "/nowhere/event.json"}, "event_invalid"),
    ],
)
def test_bad_input_is_told_everywhere(act: Any, capsys: Any, payload: Any, over: Any, reason: str) -> None:
    code, outputs, summary = act(payload, **over)
    assert (code, outputs["decision"], outputs["reason"]) == (1, "failed", reason)
    assert summary.strip()
    assert f"::error title=Slipway%3A {reason}::" in capsys.readouterr().out


def test_an_answer_of_another_shape_is_told(act: Any, httpserver: HTTPServer, capsys: Any) -> None:
    permission = {"permission": ["ghs_s3cretS3cret"], "role_name": ["ghs_s3cretS3cret"], "user": {"login": "dana"}}
    httpserver.expect_request(re.compile(r".*/permission$")).respond_with_json(permission)
    answer_all(httpserver, 404)
    code, outputs, _ = act(comment())
    assert (code, outputs["decision"], outputs["reason"]) == (1, "failed", "upstream_failed")
    assert "ghs_s3cretS3cret" not in capsys.readouterr().err


def test_what_nobody_foresaw_is_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, httpserver: HTTPServer
) -> None:
    class Strange:
        actor = "dana"

        @property
        def default_branch(self) -> str:
            raise LookupError("a bug, with ghs_s3cretS3cret in its words")

    base = httpserver.url_for("").rstrip("/")
    settings = Settings(
        repository="acme/shop",
        event_name="push",
        event_path=tmp_path,
        run=Run(id=71, attempt=1),
        token="ghs_s3cretS3cret",
        api_url=base,
        graphql_url=base,
    )
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    event: Any = Strange()
    assert _handle(Commands(sys.stdout), settings, event) == 1
    captured = capsys.readouterr()
    assert "internal_error" in (tmp_path / "output").read_text()
    assert "::error title=Slipway%3A internal_error::LookupError in the bot itself" in captured.out
    assert "a bug, with" in captured.err
    assert "ghs_s3cretS3cret" not in captured.out + captured.err


@pytest.mark.parametrize("name", ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"])
def test_a_file_that_cannot_be_written_is_an_annotation_and_a_failure(
    act: Any, httpserver: HTTPServer, capsys: Any, name: str
) -> None:
    answer_all(httpserver, 404)
    code, *_ = act(comment(), **{name: "/nowhere/file"})
    assert code == 1
    assert f"{name} cannot be written" in capsys.readouterr().out


def test_without_the_files_of_a_runner_nothing_is_written(act: Any, httpserver: HTTPServer) -> None:
    answer_all(httpserver, 404)
    assert act(comment("hello"), GITHUB_OUTPUT="", GITHUB_STEP_SUMMARY="") == (0, {}, "")


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("push", {"ref": "refs/heads/main", "after": "b" * 40}),
        ("workflow_dispatch", {"ref": "refs/heads/main", "inputs": None}),
    ],
)
def test_a_push_or_dispatch_that_is_refused_fails(act: Any, httpserver: HTTPServer, name: str, payload: Any) -> None:
    answer_all(httpserver, 404)
    repository = {"full_name": "acme/shop", "default_branch": "main"}
    code, outputs, _ = act({**payload, "repository": repository, "sender": {"login": "dana"}}, name=name)
    assert (code, outputs["reason"]) == (1, "forbidden")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_wish_to_stop_and_no_crash(act: Any, httpserver: HTTPServer, number: signal.Signals) -> None:
    answer_all(httpserver, 404)
    act(comment("hello"))
    signal.raise_signal(number)  # after the handlers were set: neither KeyboardInterrupt nor death


# -- on a person's own machine ------------------------------------------------------------------------------------
def test_a_good_configuration_is_explained(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "slipway.yml"
    path.write_text(CONFIG)
    assert main(["config", "check", str(path)]) == 0
    out = capsys.readouterr().out
    assert "is valid" in out
    assert "staging: cloud_run, released on push" in out
    assert "/deploy: admin" in out
    assert "/rollback: write" in out
    assert "not acted on yet" in out
    assert "environments.production.backup" in out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version: 1\nap: shop\n", ["slipway.yml:2: ap:", "slipway config check"]),
        (b"a: [", ["problem"]),
        (b"\xff\xfe", ["is not UTF-8"]),
        (None, ["cannot be read: No such file"]),
        ("folder", ["cannot be read"]),
    ],
)
def test_a_bad_configuration_is_explained_too(tmp_path: Path, capsys: Any, content: Any, words: list[str]) -> None:
    path = tmp_path / "slipway.yml"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    assert main(["config", "check", str(path)]) == 1
    err = capsys.readouterr().err
    assert err.startswith("slipway: ")
    assert [word in err for word in words] == [True] * len(words)
    assert not err.endswith("\n  \n")


def test_the_schema_is_that_of_the_model(capsys: Any) -> None:
    assert main(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["properties"]) == set(Config.model_fields)


@pytest.mark.parametrize(
    "arguments", [[], ["explode"], ["config"], ["config", "explode"], ["act", "--now"], ["comment", "verify"]]
)
def test_bad_usage_is_told_by_argparse(arguments: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert "usage: slipway" in capsys.readouterr().err


# -- what a comment's block says ----------------------------------------------------------------------------------
KEY, OLD_KEY = "k" * 32, "o" * 32
FACTS = {"version": 1, "repository": "acme/shop", "pull_request": 7, "state": "released", "environment": "<staging>"}
BODY = f"### Title\n\n{seal(FACTS, KEY)}\n"


@pytest.fixture
def verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Callable[..., tuple[int, str, str]]:
    """Run ``comment verify`` on a body, from a file or by standard input; returns exit code, output and errors."""

    def run(*arguments: str, body: str | bytes = BODY, file: bool = True, **environ: str) -> tuple[int, str, str]:
        monkeypatch.delenv("SLIPWAY_SIGNING_KEY", raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        path, raw = tmp_path / "comment.md", body if isinstance(body, bytes) else body.encode()
        path.write_bytes(raw)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"" if file else raw)))
        code = main(["comment", "verify", *([str(path)] if file else []), "--repository", "acme/shop", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        ((), {"SLIPWAY_SIGNING_KEY": KEY}),
        (("--pull", "7"), {"SLIPWAY_SIGNING_KEY": f"{OLD_KEY}\n{KEY}\n"}),
        (("--key-env", "OURS"), {"OURS": KEY, "SLIPWAY_SIGNING_KEY": OLD_KEY}),
    ],
)
@pytest.mark.parametrize("file", [True, False])
def test_what_a_comment_says_is_printed(
    verify: Any, arguments: tuple[str, ...], environ: dict[str, str], file: bool
) -> None:
    code, out, err = verify(*arguments, file=file, **environ)
    assert (code, json.loads(out), err) == (0, FACTS, "")
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "over", "said"),
    [
        ((), {"body": "### Title\n"}, "has no signed block"),
        ((), {"body": b"\xff\xfe"}, "is not UTF-8 text."),
        ((), {"body": b"\xff\xfe", "file": False}, "Standard input is not UTF-8 text."),
        ((), {"body": BODY.replace("released", "failed")}, "The signature is wrong"),
        ((), {"SLIPWAY_SIGNING_KEY": OLD_KEY}, "which is not given"),
        ((), {"SLIPWAY_SIGNING_KEY": ""}, "SLIPWAY_SIGNING_KEY holds no key to verify with.\n  Set it to"),
        ((), {"SLIPWAY_SIGNING_KEY": "short"}, "should be at least 32 characters"),
        (("--key-env", "OURS"), {}, "OURS holds no key"),
        (("--pull", "8"), {}, "signed for #7, not for #8"),
        (("--repository", "acme/other"), {}, "signed for acme/shop, not for acme/other"),
    ],
)
def test_what_is_not_to_be_believed_is_not_printed(
    verify: Any, arguments: tuple[str, ...], over: dict[str, Any], said: str
) -> None:
    code, out, err = verify(*arguments, **{"SLIPWAY_SIGNING_KEY": KEY, **over})
    assert (code, out) == (1, "")
    assert err.startswith("slipway: ")
    assert said in err


def test_a_comment_that_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("SLIPWAY_SIGNING_KEY", KEY)
    assert main(["comment", "verify", "/nowhere/comment.md", "--repository", "acme/shop"]) == 1
    assert capsys.readouterr().err == "slipway: /nowhere/comment.md cannot be read: No such file or directory.\n"
