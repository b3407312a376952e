"""Other repositories: one adapter for each, and what it means that one cannot be read."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bot.core.ports import Sources
from bot.errors import ForbiddenError, NotFoundError, UpstreamError
from bot.github.api import connect
from bot.github.others import Others

EXTRAS = "https://api.github.com:443/repos/acme/extras/commits"
COMMIT = {"sha": "e" * 40, "commit": {"message": "Greet", "author": {"name": "D"}}, "html_url": "https://x"}


@pytest.fixture
def others(waiting: Any) -> tuple[Others, list[str]]:
    made: list[str] = []

    def make(repository: str) -> Any:
        made.append(repository)
        return connect(token="sources-token", repository=repository, waiting=waiting)

    return Others(make), made


def test_the_head_of_the_default_branch(wire: Any, others: tuple[Others, list[str]]) -> None:
    sources, made = others
    port: Sources = sources
    wire.add("GET", EXTRAS, json=[COMMIT])
    assert [port.head("acme/extras"), port.head("acme/extras")] == ["e" * 40] * 2
    assert made == ["acme/extras"]
    assert wire.calls[0].request.headers["Authorization"] == "token sources-token"
    assert re.search(r"/commits\?per_page=1$", wire.calls[0].request.url)


@pytest.mark.parametrize(("status", "kind"), [(404, NotFoundError), (403, ForbiddenError)])
def test_one_that_cannot_be_seen_names_the_token_that_it_takes(
    wire: Any, others: tuple[Others, list[str]], status: int, kind: type[UpstreamError]
) -> None:
    wire.add("GET", EXTRAS, json={"message": "Not Found"}, status=status)
    with pytest.raises(kind) as caught:
        others[0].head("acme/extras")
    assert "acme/extras" in caught.value.message
    assert "`sources-token`" in caught.value.hint


def test_an_empty_repository_has_no_head(wire: Any, others: tuple[Others, list[str]]) -> None:
    wire.add("GET", EXTRAS, json={"message": "Git Repository is empty."}, status=409)
    with pytest.raises(UpstreamError, match=r"Git Repository is empty\."):
        others[0].head("acme/extras")


def test_a_list_without_commits_is_no_answer(wire: Any, others: tuple[Others, list[str]]) -> None:
    wire.add("GET", EXTRAS, json=[])
    with pytest.raises(UpstreamError):
        others[0].head("acme/extras")


def test_its_tarball_is_asked_of_the_repository_itself(wire: Any, others: tuple[Others, list[str]]) -> None:
    wire.add("GET", f"https://api.github.com/repos/acme/extras/tarball/{'e' * 40}", body=b"\x1f\x8bdata")
    with others[0].source("acme/extras")("e" * 40) as chunks:
        assert b"".join(chunks) == b"\x1f\x8bdata"
