"""Where a command of a terminal goes, and what a shell is offered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.core.registry import REGISTRY, SEVERITIES, Verb
from bot.errors import SettingsError
from bot.terminal import Place, declared, remote_place, token_for, where

CONFIG = "environments: {staging: {}, production: {}}\ntargets: {gcp: {services: {web: {}, worker: {}}}, heroku: {}}\n"


@pytest.mark.parametrize(
    ("url", "host", "repository"),
    [
        ("https://github.com/acme/shop.git", "github.com", "acme/shop"),
        ("https://github.com/acme/shop", "github.com", "acme/shop"),
        ("https://token@GitHub.com/acme/shop/\n", "github.com", "acme/shop"),
        ("git@github.com:acme/shop.git", "github.com", "acme/shop"),
        ("ssh://git@github.acme.com:2222/acme/my.shop.git", "github.acme.com", "acme/my.shop"),
        ("ssh://git@ssh.github.com:443/acme/shop.git", "github.com", "acme/shop"),
        ("git://git.acme.com/acme/shop", "git.acme.com", "acme/shop"),
    ],
)
def test_where_a_remote_is(url: str, host: str, repository: str) -> None:
    assert remote_place(url) == Place(host=host, repository=repository)


@pytest.mark.parametrize(
    "url", ["", "/srv/git/shop.git", "../shop", "https://github.com/shop", "file:///acme/shop", "x"]
)
def test_what_names_no_repository_on_a_host(url: str) -> None:
    assert remote_place(url) is None


@pytest.mark.parametrize(
    ("host", "api"),
    [
        ("github.com", "https://api.github.com"),
        ("acme.ghe.com", "https://api.acme.ghe.com"),
        ("git.acme.com", "https://git.acme.com/api/v3"),
        ("ghe.com.acme.com", "https://ghe.com.acme.com/api/v3"),
    ],
)
def test_the_api_of_a_host(host: str, api: str) -> None:
    assert Place(host=host, repository="a/b").api == api


@pytest.mark.parametrize(
    ("host", "environ", "token"),
    [
        ("github.com", {"GH_TOKEN": "a", "GITHUB_TOKEN": "b", "GH_ENTERPRISE_TOKEN": "c"}, "a"),
        ("github.com", {"GITHUB_TOKEN": "b"}, "b"),
        ("acme.ghe.com", {"GH_TOKEN": "a"}, "a"),
        ("git.acme.com", {"GH_TOKEN": "a", "GH_ENTERPRISE_TOKEN": "c"}, "c"),
        ("git.acme.com", {"GH_TOKEN": "a", "GITHUB_ENTERPRISE_TOKEN": "d"}, "d"),
        ("git.acme.com", {"GH_TOKEN": "a", "GITHUB_API_URL": "https://git.acme.com/api/v3"}, "a"),
        ("git.acme.com", {"GH_TOKEN": "a"}, "git.acme.com's, of gh"),
        ("github.com", {"GH_ENTERPRISE_TOKEN": "c"}, "github.com's, of gh"),
    ],
)
def test_whose_token_a_host_is_given(host: str, environ: dict[str, str], token: str) -> None:
    place = Place(host=host, repository="a/b")
    assert token_for(place, environ, lambda *words: f"{words[-1]}'s, of gh") == token


@pytest.mark.parametrize(("host", "named"), [("github.com", "GH_TOKEN"), ("evil.example", "GH_ENTERPRISE_TOKEN")])
def test_without_a_token_it_is_told_which_variable_counts(host: str, named: str) -> None:
    with pytest.raises(SettingsError) as raised:
        token_for(Place(host=host, repository="a/b"), {}, lambda *_: "")
    assert host in raised.value.message
    assert named in raised.value.hint


@pytest.mark.parametrize(
    ("named", "environ", "host", "repository"),
    [
        ("acme/shop", {"GH_REPO": "a/b"}, "github.com", "acme/shop"),
        ("", {"GH_REPO": "a/b"}, "github.com", "a/b"),
        ("", {"GH_REPO": "git.acme.com/a/b"}, "git.acme.com", "a/b"),
        ("a/b", {"GH_HOST": "git.acme.com"}, "git.acme.com", "a/b"),
        ("", {}, "git.acme.com", "acme/shop"),
    ],
)
def test_the_repository_that_is_meant(named: str, environ: dict[str, str], host: str, repository: str) -> None:
    place = where(named, environ, lambda *_: "git@git.acme.com:acme/shop.git")
    assert place == Place(host=host, repository=repository)


@pytest.mark.parametrize("named", ["shop", "a/b/c/d", "acme/", "/shop", "//"])
def test_what_is_no_repository(named: str) -> None:
    with pytest.raises(SettingsError, match="no repository"):
        where(named, {})


def test_without_a_remote_it_has_to_be_named() -> None:
    with pytest.raises(SettingsError, match="Which repository") as raised:
        where("", {}, lambda *_: "")
    assert raised.value.hint == "Name it: --repository OWNER/NAME"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (CONFIG, (("staging", "production"), ("web", "worker"))),
        ("environments: [", ((), ())),
        ("- 1", ((), ())),
        ("targets: 3", ((), ())),
        ("", ((), ())),
        (None, ((), ())),
    ],
)
def test_what_a_configuration_names(tmp_path: Path, text: str | None, found: Any) -> None:
    path = tmp_path / "slipway.yml"
    if text is not None:
        path.write_text(text)
    assert declared(path) == found


# -- completion, as a shell asks for it -------------------------------------------------------------------------------
def offered(typed: str, folder: Path) -> list[str]:
    """What the program offers a shell that completes this line at its end (argcomplete's protocol)."""
    (folder / ".github").mkdir(exist_ok=True)
    (folder / ".github/slipway.yml").write_text(CONFIG)
    answer = folder / "answer"
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_SHELL": "bash",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": typed,
        "COMP_POINT": str(len(typed)),
        "COMP_TYPE": "9",
        "IFS": "\013",
        "_ARGCOMPLETE_IFS": "\013",
    }
    command = [sys.executable, "-I", "-m", "bot"]
    subprocess.run(command, env=environ, cwd=folder, check=True, timeout=60, capture_output=True)
    return sorted(word.strip() for word in answer.read_text().split("\013") if word.strip())


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("slipway say deploy ", ["production", "staging"]),
        ("slipway say deploy st", ["staging"]),
        ("slipway say deploy staging w", ["web", "worker"]),
        ("slipway say --pull 7 deploy staging web ", ["worker"]),
        ("slipway say deploy staging --dr", ["--dry-run"]),
        ("slipway say logs staging --severity ", list(SEVERITIES)),
        ("slipway say lock a", ["all"]),
        ("slipway say help roll", ["rollback"]),
        ("slipway say preview d", ["destroy"]),
        ("slipway completion f", ["fish"]),
    ],
)
def test_a_shell_is_offered(typed: str, words: list[str], tmp_path: Path) -> None:
    found = [word for word in offered(typed, tmp_path) if not word.startswith("-") or typed.endswith("--dr")]
    assert found == sorted(words)


def test_a_shell_is_offered_every_command(tmp_path: Path) -> None:
    assert [word for word in offered("slipway say ", tmp_path) if not word.startswith("-")] == sorted(REGISTRY)


@pytest.mark.parametrize("verb", REGISTRY.values(), ids=lambda verb: verb.name)
def test_a_shell_is_offered_every_flag_of_a_command_and_no_other(verb: Verb, tmp_path: Path) -> None:
    flags = {word for word in offered(f"slipway say {verb.name} --", tmp_path) if word != "--help"}
    assert flags == {f"--{flag.name}" for flag in verb.flags}
