"""What is asked before the application is imported, and that nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.core.events import CommentEvent, PullRequestEvent, PushEvent, ScheduleEvent
from bot.core.facts import PullRequest
from bot.core.ports import HISTORY
from bot.engine.early import ask_early
from bot.engine.gathering import Gatherer
from bot.errors import UpstreamError

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CONFIG = ("file", "slipway.yml", "main")
PULL = ("pull_request", 7)
ENVIRONMENT = {("held", ("staging",)), ("deployments", "staging", HISTORY)}


class Asked:
    """A GitHub that only remembers what it was asked."""

    def __init__(self, pull: PullRequest | None) -> None:
        self.calls: set[tuple[Any, ...]] = set()
        self._pull = pull

    def __getattr__(self, name: str) -> Any:
        def ask(*args: Any) -> Any:
            self.calls.add((name, *args))
            if name == "pull_request" and self._pull is None:
                raise UpstreamError("gone", service="GitHub", operation="get", status=404)
            return self._pull

        ask.__name__ = name
        return ask


@pytest.fixture
def make_pull() -> Any:
    def make(**over: Any) -> PullRequest:
        facts = {
            "number": 7, "title": "t", "author": "dana", "state": "open", "merged": False, "draft": False,
            "mergeable": True, "head_sha": "a" * 40, "head_ref": "topic", "head_repository": "acme/shop",
            "base_ref": "main", "base_repository": "acme/shop", "merge_sha": "",
        }  # fmt: skip
        return PullRequest(**{**facts, **over})

    return make


def comment(body: str, *, pull: bool = True) -> CommentEvent:
    return CommentEvent(
        repository="acme/shop", default_branch="main", comment_id=1, comment_url="", body=body, author="dana",
        author_id=1, author_is_bot=False, created_at=NOON, number=7, is_pull_request=pull,
    )  # fmt: skip


def asked(event: Any, pull: PullRequest | None) -> set[tuple[Any, ...]]:
    github, gatherer = Asked(pull), Gatherer()
    ask_early(gatherer, github, event, config_path="slipway.yml")
    gatherer._pool.shutdown(wait=True)
    return github.calls


DANA = ("permission", "dana")
HEAD = {("checks", "a" * 40), ("pushed_at", "topic", "a" * 40)}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("Looks good", set()),
        ("/deploy staging", {DANA, CONFIG, PULL} | ENVIRONMENT),
        ("/rollback staging", {DANA, CONFIG, PULL} | ENVIRONMENT),
        ("/promote staging", {DANA, CONFIG} | ENVIRONMENT),
        ("/deploy", {DANA, CONFIG, PULL}),
        ("/help", {DANA, CONFIG}),
        ("/status staging", {DANA, CONFIG, PULL} | ENVIRONMENT),
        ("/diff staging", {DANA, CONFIG, PULL} | ENVIRONMENT),
        ("/deploi staging", {DANA, CONFIG, PULL}),
        ("/preview create staging", {DANA, CONFIG, PULL}),  # its record is another
    ],
)
def test_a_comment_asks_for_what_its_answer_wants(body: str, expected: set[Any]) -> None:
    assert asked(comment(body), None) == expected


def test_the_head_of_a_pull_request_is_asked_about_as_soon_as_it_is_known(make_pull: Any) -> None:
    assert asked(comment("/deploy staging"), make_pull()) == {DANA, CONFIG, PULL} | ENVIRONMENT | HEAD


@pytest.mark.parametrize(
    ("body", "over", "expected"),
    [
        ("/deploy staging @aaaaaaa", {}, {("checks", "a" * 40)}),
        ("/deploy staging", {"head_repository": "eve/shop"}, {("checks", "a" * 40)}),
        ("/deploy staging", {"merged": True, "merge_sha": "b" * 40}, {("checks", "b" * 40)}),
        ("/rollback staging", {}, set()),
    ],
)
def test_a_head_that_is_settled_needs_no_push_time(make_pull: Any, body: str, over: Any, expected: set[Any]) -> None:
    assert asked(comment(body), make_pull(**over)) - {DANA, CONFIG, PULL} - ENVIRONMENT == expected


def test_an_issue_has_no_pull_request() -> None:
    assert asked(comment("/rollback staging", pull=False), None) == {DANA, CONFIG} | ENVIRONMENT


def test_a_push_asks_for_the_configuration_and_who_pushed() -> None:
    event = PushEvent(repository="acme/shop", default_branch="main", sha="a" * 40, actor="dana")
    assert asked(event, None) == {DANA, CONFIG}


def test_a_pull_request_that_was_pushed_asks_who_pushed() -> None:
    event = PullRequestEvent(
        repository="acme/shop", default_branch="main", action="synchronize", number=7, head_sha="a" * 40, actor="dana"
    )
    assert asked(event, None) == {DANA, CONFIG}


def test_a_schedule_is_nobodys() -> None:
    assert asked(ScheduleEvent(repository="acme/shop", default_branch="main"), None) == {CONFIG}
