"""`slipway say` against the sandbox's GitHub: the comment is there, in the person's own name, and only once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot.sandbox.github import GitHub
from bot.sandbox.wire import Fault, FaultKind

Say = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHub]:
    github = GitHub(tmp_path / "github")
    github.start()
    try:
        repository = github.create_repository("acme/shop", files={"a.txt": "one\n"})
        github.add_user("dana")
        repository.add_collaborator("dana", "write")
        github.add_token("danas-own-token", login="dana", permissions={"issues": "write", "pull_requests": "write"})
        repository.commit("feature", {"b.txt": "two\n"}, message="Add b", author="dana", base="main")
        repository.open_pull_request(head="feature", title="Add b", author="dana", base="main")
        yield github
    finally:
        github.stop()


@pytest.fixture
def say(github: GitHub, tmp_path: Path) -> Say:
    """Return what says a command in a clone whose branch is that of pull request 1."""
    clone = tmp_path / "clone"
    for command in (
        ["init", "--quiet", "--initial-branch=feature", str(clone)],
        ["-C", str(clone), "remote", "add", "origin", "https://github.com/acme/shop.git"],
    ):
        subprocess.run(["git", *command], check=True, timeout=30)

    def run(*words: str, token: str = "danas-own-token") -> subprocess.CompletedProcess[str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "GH_", "GITHUB_"))
        }
        environ = {**kept, "GH_TOKEN": token, "GITHUB_API_URL": github.url}
        command = [sys.executable, "-I", "-m", "bot", "say", *words]
        return subprocess.run(command, env=environ, cwd=clone, capture_output=True, text=True, timeout=60, check=False)

    return run


def comments(github: GitHub) -> list[tuple[str, str]]:
    thread = github.repositories["acme/shop"].thread(1)
    return [(comment.author, comment.body) for comment in thread]


def test_a_command_is_said_on_the_branchs_pull_request(say: Say, github: GitHub) -> None:
    done = say("deploy", "staging", "--dry-run", "web", "--reason", "demo at ten")
    assert (done.returncode, done.stderr) == (0, "")
    said, link = done.stdout.splitlines()
    assert said == "/deploy staging web --dry-run --reason='demo at ten'"
    assert link.startswith("https://github.com/acme/shop/issues/1#issuecomment-")
    assert comments(github) == [("dana", said)]


def test_it_may_be_said_elsewhere(say: Say, github: GitHub) -> None:
    repository = github.repositories["acme/shop"]
    number = repository.open_issue("How is it?", author="dana")
    assert say("--pull", str(number), "--repository", "acme/shop", "status").returncode == 0
    assert [one.body for one in repository.thread(number)] == ["/status"]
    assert comments(github) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("deploy", "staging", "4f9a1c2"), "A sha is written with an @: @4f9a1c2. Nothing was said."),
        (("freeze", "staging"), "freeze wants --reason=TEXT."),
        (("deploy", "staging", "--reason", "two\nlines"), "A command is one line."),
        (("status", "staging", "please"), "status does not know what to do with please."),
        (("deploi", "staging"), "invalid choice"),
        (("deploy", "staging", "--dryrun"), "unrecognized arguments: --dryrun"),
    ],
)
def test_what_the_bot_would_not_understand_is_not_said(
    say: Say, github: GitHub, words: tuple[str, ...], says: str
) -> None:
    done = say(*words)
    assert done.returncode != 0
    assert says in done.stderr
    assert comments(github) == []


@pytest.mark.parametrize("kind", ["lose_reply", "refuse"])
@pytest.mark.parametrize("before", [(), ("dana",), ("lee",)], ids=["first", "again", "after another"])
def test_a_lost_reply_makes_one_comment_more_neither_two_nor_none(
    say: Say, github: GitHub, kind: FaultKind, before: tuple[str, ...]
) -> None:
    github.add_user("lee")
    repository = github.repositories["acme/shop"]
    for author in before:
        repository.comment(1, "/deploy staging", author=author)
    github.fail(Fault(route=r"^POST .*/comments$", kind=kind))
    done = say("deploy", "staging")
    assert done.returncode == 0, done.stderr
    assert comments(github) == [(author, "/deploy staging") for author in (*before, "dana")]
    assert done.stdout.rstrip().endswith(f"#issuecomment-{repository.thread(1)[-1].id}")


def test_without_a_pull_request_it_is_asked_for(say: Say, github: GitHub) -> None:
    github.repositories["acme/shop"].close(1)
    done = say("status")
    assert done.returncode == 1
    assert "There is no open pull request from the branch feature." in done.stderr
    assert "Say which one: --pull N" in done.stderr


def test_a_token_that_may_not_is_told_and_never_shown(say: Say, github: GitHub) -> None:
    done = say("--pull", "1", "status", token="ghp_" + "x" * 36)
    assert done.returncode == 1
    assert "ghp_" not in done.stdout + done.stderr
    assert comments(github) == []
