"""Issues: never two of them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from bot.core.facts import IssueRef
from bot.errors import ForbiddenError, UpstreamError
from bot.github.api import Api

BODY = "<!-- slipway:v1 id=1-1 -->\nada released it"
URL = "https://api.github.com:443/repos/acme/shop/issues"
MADE = {"number": 9, "html_url": "https://github.com/acme/shop/issues/9", "body": BODY}
REF = IssueRef(number=9, url="https://github.com/acme/shop/issues/9")


def test_opening(wire: Any, api: Api) -> None:
    wire.rest("POST", "/issues", MADE, status=201)
    assert api.open_issue("Break-glass", BODY) == REF
    assert wire.body(0) == {"title": "Break-glass", "body": BODY}


@pytest.mark.parametrize(
    ("loss", "kept"),
    [
        (requests.ConnectionError("reset"), True),
        (requests.ConnectionError("reset"), False),
        ((502, {}, ""), True),
        ((502, {}, ""), False),
        ((201, {}, '{"odd": 1}'), True),
    ],
)
def test_a_lost_reply_is_looked_for(wire: Any, api: Api, loss: Any, *, kept: bool) -> None:
    there: list[Any] = []
    posts: list[Any] = []

    def post(request: Any) -> Any:
        posts.append(request)
        if len(posts) > 1 or kept:
            there.append(MADE)
        if len(posts) > 1:
            return 201, {}, json.dumps(MADE)
        if isinstance(loss, BaseException):
            raise loss
        return loss

    def get(request: Any) -> Any:
        assert request.params["state"] == "all"
        other = {"number": 3, "html_url": "", "body": None}
        pull = {"number": 4, "html_url": "", "body": BODY, "pull_request": {}}
        return 200, {}, json.dumps([pull, other, *there])

    wire.add_callback("POST", URL, post)
    wire.add_callback("GET", URL, get)
    assert api.open_issue("Break-glass", BODY) == REF
    assert there == [MADE]


def test_one_of_an_earlier_run_is_found_first_on_any_page(wire: Any, api: Api) -> None:
    def get(request: Any) -> Any:
        assert request.params["since"] == "2026-01-02T02:59:05Z"
        other = {"number": 3, "html_url": "", "body": "else"}
        return 200, {}, json.dumps([other] * 100 if request.params["page"] == "1" else [MADE])

    wire.add_callback("GET", URL, get)
    assert api.open_issue("Break-glass", BODY, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == REF
    assert "POST /issues" not in wire.asked


def test_none_of_an_earlier_run(wire: Any, api: Api) -> None:
    wire.rest("GET", "/issues", [])
    wire.rest("POST", "/issues", MADE, status=201)
    assert api.open_issue("Break-glass", BODY, datetime(2026, 1, 2, tzinfo=UTC)) == REF


@pytest.mark.parametrize(("status", "error"), [(403, ForbiddenError), (410, UpstreamError), (404, UpstreamError)])
def test_a_repository_without_issues_or_a_token_that_may_not(wire: Any, api: Api, status: int, error: Any) -> None:
    wire.rest("POST", "/issues", {"message": "Issues are disabled for this repo"}, status=status)
    with pytest.raises(error):
        api.open_issue("Break-glass", BODY)
