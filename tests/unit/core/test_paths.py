"""Patterns of paths."""

from __future__ import annotations

import pytest

from bot.core.paths import check_patterns, chosen


@pytest.mark.parametrize(
    ("patterns", "path", "picked"),
    [
        (["Dockerfile"], "Dockerfile", True),
        (["Dockerfile"], "app/Dockerfile", False),
        (["Dockerfile"], "dockerfile", False),
        (["*Dockerfile"], "app/Dockerfile", True),
        (["app/*"], "app/a.py", True),
        (["app/*"], "app/shop/a.py", True),
        (["app/**"], "app/shop/a.py", True),
        (["app/"], "app/shop/a.py", True),
        (["app/"], "apple", False),
        (["app/*"], "web/app/a.py", False),
        (["*.py"], "app/a.py", True),
        (["app/[ab].py"], "app/a.py", True),
        (["app/", "!app/docs/"], "app/docs/a.md", False),
        (["app/", "!app/docs/", "app/docs/conf.py"], "app/docs/conf.py", True),
        (["!app/docs/", "app/"], "app/docs/a.md", True),
        ([], "a", False),
    ],
)
def test_which_paths_are_picked(patterns: list[str], path: str, picked: bool) -> None:
    assert chosen([path], patterns) == ((path,) if picked else ())


def test_the_order_of_paths_is_kept() -> None:
    assert chosen(["b", "c/x", "a"], ["*", "!c/"]) == ("b", "a")


@pytest.mark.parametrize(("patterns", "words"), [(["!a", "!b"], "none that picks"), (["a", "!"], "empty")])
def test_patterns_that_pick_nothing(patterns: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_patterns(patterns)


def test_patterns_that_pick_something() -> None:
    check_patterns([])
    check_patterns(["a", "!b"])
