"""Comments: above all, never two of them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from bot.errors import ForbiddenError, UpstreamError
from bot.github.api import Api
from bot.github.comments import marker

BODY = "<!-- slipway run=11 line=1 -->\n### Deploying"
PATH = "/issues/7/comments"


class Thread:
    """A thread that keeps what it is sent, and loses replies."""

    def __init__(self, wire: Any, *, kept: Any, fault: Any, earlier: Any = ()) -> None:
        self.bodies = list(earlier)
        self.left = fault[0]
        self.error = fault[1]
        self.kept = kept
        url = f"https://api.github.com:443/repos/acme/shop{PATH}"
        wire.add_callback("POST", url, self.post)
        wire.add_callback("GET", url, self.list)

    def post(self, request: Any) -> Any:
        lost = self.left > 0
        self.left -= 1
        if not lost or self.kept:
            self.bodies.append(json.loads(request.body)["body"])
        if not lost:
            return 201, {}, json.dumps(self.shown(len(self.bodies) - 1))
        if isinstance(self.error, BaseException):
            raise self.error
        return self.error

    def list(self, request: Any) -> Any:
        page = int(request.params["page"])
        shown = [self.shown(index) for index in range(len(self.bodies))]
        return 200, {}, json.dumps(shown[100 * (page - 1) : 100 * page])

    def shown(self, index: Any) -> Any:
        return {"id": 500 + index, "html_url": f"https://github.com/c/{500 + index}", "body": self.bodies[index]}


LOSSES = [
    requests.ConnectionError("reset"),
    requests.ReadTimeout("slow"),
    (502, {}, "<html>"),
    (500, {}, '{"message": "Server Error"}'),
    (201, {}, '{"id": 5'),
    (201, {}, '{"message": "odd"}'),
]


def test_comments_since_a_time_come_with_their_authors(wire: Any, api: Api) -> None:
    first = [{"id": number, "user": {"login": "dana"}, "body": "x"} for number in range(100)]
    wire.rest("GET", PATH, first)
    wire.rest("GET", PATH, [{"id": 100, "user": None, "body": BODY}])
    found = api.comments(7, datetime(2026, 3, 2, 12, 0, tzinfo=UTC))
    assert [(found[0].author, found[99].id), (found[100].author, found[100].body)] == [("dana", 99), ("", BODY)]
    since = "since=2026-03-02T11:55:00Z"  # five minutes earlier: clocks differ
    assert wire.asked == [f"GET {PATH}?page={page}&per_page=100&{since}" for page in (1, 2)]


def test_a_comment(wire: Any, api: Api) -> None:
    wire.rest("POST", PATH, {"id": 5, "html_url": "u", "body": BODY}, status=201)
    made = api.comment(7, BODY)
    assert (made.id, made.url) == (5, "u")
    assert wire.asked == [f"POST {PATH}"]
    assert wire.body(0) == {"body": BODY}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_comment_whose_reply_was_lost_is_found(wire: Any, api: Api, loss: Any) -> None:
    thread = Thread(wire, kept=True, fault=(1, loss), earlier=["hi", "<!-- slipway run=10 -->\nx"])
    assert api.comment(7, BODY).id == 502
    assert thread.bodies.count(BODY) == 1


@pytest.mark.parametrize("loss", LOSSES)
def test_a_comment_that_never_arrived_is_sent_again(wire: Any, api: Api, slept: list[float], loss: Any) -> None:
    thread = Thread(wire, kept=False, fault=(1, loss))
    assert api.comment(7, BODY).id == 500
    assert thread.bodies == [BODY]
    assert slept == [0.2]


def test_a_comment_is_found_on_a_later_page(wire: Any, api: Api) -> None:
    Thread(wire, kept=True, fault=(1, LOSSES[0]), earlier=["x"] * 150)
    assert api.comment(7, BODY).id == 650


def test_the_search_goes_back_to_shortly_before_the_start(wire: Any, api: Api) -> None:
    Thread(wire, kept=True, fault=(1, LOSSES[0]))
    api.comment(7, BODY)
    assert wire.asked[1] == f"GET {PATH}?page=1&per_page=100&since=2027-01-15T07:55:00Z"


def test_a_comment_lost_on_the_last_attempt_is_found_too(wire: Any, api: Api, slept: list[float]) -> None:
    wire.fail("POST", PATH, requests.ConnectionError("reset"))
    looks = iter([[], [], [], [{"id": 9, "body": BODY}]])
    url = f"https://api.github.com:443/repos/acme/shop{PATH}"
    wire.add_callback("GET", url, lambda request: (200, {}, json.dumps(next(looks))))
    assert api.comment(7, BODY).id == 9
    assert slept == [0.2, 0.4, 0.8]
    assert [asked.split()[0] for asked in wire.asked] == ["POST", "GET"] * 4


def test_a_server_that_stays_away_is_told_and_nothing_is_sent_blindly(wire: Any, api: Api) -> None:
    wire.fail("POST", PATH, requests.ConnectionError("reset"))
    wire.fail("GET", PATH, requests.ConnectionError("reset"))
    with pytest.raises(UpstreamError, match="could not be reached to comment on #7"):
        api.comment(7, BODY)
    assert [asked for asked in wire.asked if asked.startswith("POST")] == [f"POST {PATH}"]


def test_a_limit_is_waited_for_and_nothing_is_looked_for(wire: Any, api: Api, slept: list[float]) -> None:
    wire.rest("POST", PATH, {"message": "secondary rate limit"}, status=403, headers={"Retry-After": "4"})
    wire.rest("POST", PATH, {"id": 5}, status=201)
    assert api.comment(7, BODY).id == 5
    assert slept == [4.0]
    assert wire.asked == [f"POST {PATH}"] * 2


def test_a_refusal_names_the_permission(wire: Any, api: Api) -> None:
    wire.rest("POST", PATH, {"message": "Resource not accessible by integration"}, status=403)
    with pytest.raises(ForbiddenError) as caught:
        api.comment(7, BODY)
    assert caught.value.hint == "The token needs the permission `pull-requests: write`."


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (BODY, "<!-- slipway run=11 line=1 -->\r\n### Done", True),
        (BODY, BODY.replace("11", "12"), False),
        ("no marker", "no marker\n", True),
        ("no marker", "no marker\nbut more", False),
    ],
)
def test_markers(one: Any, other: Any, same: Any) -> None:
    assert (marker(one) == marker(other)) is same


def test_edit_is_repeated(wire: Any, api: Api, slept: list[float]) -> None:
    wire.fail("PATCH", "/issues/comments/5", requests.ConnectionError("reset"))
    wire.rest("PATCH", "/issues/comments/5", {})
    api.edit_comment(5, BODY)
    assert wire.body(1) == {"body": BODY}
    assert slept == [0.2]


def test_react_is_repeated(wire: Any, api: Api) -> None:
    wire.rest("POST", "/issues/comments/5/reactions", {}, status=502)
    wire.rest("POST", "/issues/comments/5/reactions", {"id": 1}, status=200)
    api.react(5, "rocket")
    assert wire.body(1) == {"content": "rocket"}


@pytest.mark.parametrize("status", [204, 404])
def test_unreact(wire: Any, api: Api, status: Any) -> None:
    wire.add("DELETE", "https://api.github.com:443/repos/acme/shop/issues/comments/5/reactions/9", status=status)
    api.unreact(5, 9)
    assert wire.asked == ["DELETE /issues/comments/5/reactions/9"]


# -- what the bot itself wrote ------------------------------------------------------------------------------------
def node(number: int, **over: Any) -> dict[str, Any]:
    values = {"id": f"IC_{number}", "fullDatabaseId": str(number), "viewerDidAuthor": True, "isMinimized": False}
    return {**values, "body": BODY, **over}


def written(*nodes: Any) -> dict[str, Any]:
    return {"repository": {"issueOrPullRequest": {"comments": {"nodes": list(nodes)}}}}


def test_own_comments_are_those_of_the_token_with_their_long_ids(wire: Any, api: Api) -> None:
    wire.graphql(written(node(5), node(6, viewerDidAuthor=False), node(2**40, isMinimized=True)))
    found = api.own_comments(7)
    assert [(one.id, one.node, one.minimized, one.body) for one in found] == [
        (5, "IC_5", False, BODY),
        (2**40, f"IC_{2**40}", True, BODY),
    ]
    assert wire.body(0)["variables"] == {"owner": "acme", "name": "shop", "number": 7}


@pytest.mark.parametrize("broken", [{"id": None}, {"fullDatabaseId": 5}, {"fullDatabaseId": "x"}, {"isMinimized": 0}])
def test_a_thread_of_another_shape_is_an_error(wire: Any, api: Api, broken: dict[str, Any]) -> None:
    wire.graphql(written(node(5, **broken)))
    with pytest.raises(UpstreamError, match="read the comments on #7"):
        api.own_comments(7)


def test_comments_are_hidden_in_one_call_which_is_repeated(wire: Any, api: Api, slept: list[float]) -> None:
    wire.graphql(written(node(5), node(6)))
    wire.graphql(status=502)
    wire.graphql({"c0": {}, "c1": {}})
    api.minimize(api.own_comments(7))
    sent = wire.body(2)
    assert sent["variables"] == {"c0": "IC_5", "c1": "IC_6"}
    assert sent["query"].count("classifier: OUTDATED") == 2
    assert slept == [0.2]
