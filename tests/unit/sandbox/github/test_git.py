"""Git's own values: names, people, faults, and the history API of scenarios."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bot.sandbox.github.git import GitError
from bot.sandbox.github.gitobjects import parse_person, valid_ref


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("refs/heads/main", True),
        ("refs/slipway/locks/staging", True),
        ("refs/heads/a b", False),
        ("refs/heads/a.lock", False),
        ("refs/heads/.a", False),
        ("refs/heads/a//b", False),
        ("refs/heads/a@{b", False),
        ("refs/heads/a/", False),
        ("refs/main", False),
        ("heads/main", False),
    ],
)
def test_names_of_refs(name: str, valid: bool) -> None:
    assert valid_ref(name) is valid


def test_people() -> None:
    person = parse_person("Eve Example <eve@example.org> 1700000000 +0200")
    assert (person.name, person.email, person.time) == ("Eve Example", "eve@example.org", 1_700_000_000)
    with pytest.raises(ValueError, match="not a person"):
        parse_person("nobody")


def test_a_revision_that_is_no_name_finds_nothing(repo: Any) -> None:
    for revision in ("", "a\nb", "\0", "nothing", "1" * 40):
        assert repo.git.object(revision) is None


def test_git_refuses_with_its_own_words(repo: Any) -> None:
    with pytest.raises(GitError, match="Not a valid object name") as refused:
        repo.git.tree("nothing")
    assert refused.value.code == 128


def test_unrelated_or_unknown_commits_do_not_merge(repo: Any) -> None:
    with pytest.raises(GitError):
        repo.git.merged_tree(repo.resolve("main"), "1" * 40)
    assert repo.git.merge_base(repo.resolve("main"), "1" * 40) is None


def test_what_a_scenario_asks_for_must_exist(repo: Any) -> None:
    asks: list[Callable[[], Any]] = [
        lambda: repo.force_push("main", "nothing"),
        lambda: repo.tag("v1", "nothing"),
        lambda: repo.open_pull_request(head="nothing"),
        lambda: repo.open_pull_request(head="main", base="nothing"),
        lambda: repo.delete_branch("a..b"),
    ]
    for ask in asks:
        with pytest.raises(GitError):
            ask()
    lookups: list[Callable[[], Any]] = [
        lambda: repo.deploy("nothing"),
        lambda: repo.review(9, author="dana"),
        lambda: repo.pull(repo.open_issue("A")),
    ]
    for lookup in lookups:
        with pytest.raises(KeyError):
            lookup()


def test_a_mode_change_and_a_binary_file_have_no_patch(repo: Any) -> None:
    before = repo.resolve("main")
    after = repo.commit("main", {"bin": b"\0\1", "text": "1\n"})
    changes = {change.path: change.patch for change in repo.git.changes(before, after)}
    assert changes == {"bin": None, "text": "@@ -0,0 +1 @@\n+1"}
