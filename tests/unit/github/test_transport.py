import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # no stubs are among the dependencies
import pytest
import requests
import responses

from bot.errors import ConflictError, ForbiddenError, NotFoundError, SettingsError, UpstreamError
from bot.github.api import connect
from bot.github.retry import Waiting
from bot.github.transport import Clients, GraphQL, Request, Transport, segment, together

REPO = "https://api.github.com/repos/acme/shop"
ASK = Request(verb="GET", path="/pulls/7", what="read pull request 7", needs="pull-requests: read")
QUERY = GraphQL(text="query { viewer { login } }", variables={"a": 1}, what="ask", needs="contents: read")


def test_what_every_request_carries(wire: Any, transport: Transport) -> None:
    wire.rest("GET", "/pulls/7", {"number": 7})
    assert transport.call(ASK).data == {"number": 7}
    headers = wire.calls[0].request.headers
    assert headers["Authorization"] == "token s3cret"
    assert headers["X-GitHub-Api-Version"] == "2022-11-28"
    assert headers["Accept"] == "application/vnd.github+json"
    assert headers["User-Agent"] == "slipway"
    assert wire.calls[0].request.req_kwargs["timeout"] == 20


def test_without_a_token_none_is_sent(wire: Any, waiting: Waiting) -> None:
    wire.rest("GET", "/pulls/7", {})
    transport = Transport(
        token="",
        repository="acme/shop",
        api_url="https://api.github.com",
        graphql_url="https://api.github.com/graphql",
        waiting=waiting,
    )
    transport.call(ASK)
    assert "Authorization" not in wire.calls[0].request.headers


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(wire: Any, transport: Transport, slept: list[float], status: Any) -> None:
    wire.rest("GET", "/pulls/7", {"message": "Server Error"}, status=status)
    wire.rest("GET", "/pulls/7", {"number": 7})
    assert transport.call(ASK).data == {"number": 7}
    assert slept == [0.2]


@pytest.mark.parametrize(
    "error",
    [requests.ConnectionError("reset"), requests.ReadTimeout("slow"), requests.exceptions.ChunkedEncodingError()],
)
def test_a_broken_connection_is_tried_again_and_then_told(
    wire: Any, transport: Transport, slept: list[float], error: Any
) -> None:
    wire.fail("GET", "/pulls/7", error)
    with pytest.raises(UpstreamError) as caught:
        transport.call(ASK)
    assert caught.value.status == 0
    assert caught.value.operation == "read pull request 7"
    assert slept == [0.2, 0.4, 0.8]
    assert caught.value.__cause__ is error


def test_a_timeout_says_so(wire: Any, transport: Transport) -> None:
    wire.fail("GET", "/pulls/7", requests.ReadTimeout("slow"))
    with pytest.raises(UpstreamError, match="did not answer in time to read pull request 7"):
        transport.call(ASK)


@pytest.mark.parametrize("body", ["<html>oops</html>", "{", '{"a": ', "[1,", "oops"])
def test_a_malformed_body_is_read_again_and_then_told(
    wire: Any, transport: Transport, slept: list[float], body: Any
) -> None:
    wire.add("GET", "https://api.github.com:443/repos/acme/shop/pulls/7", body=body)
    with pytest.raises(UpstreamError, match="could not be understood"):
        transport.call(ASK)
    assert len(slept) == 3


@pytest.mark.parametrize(
    ("status", "message", "kind", "hint"),
    [
        (400, "Problems parsing JSON", UpstreamError, ""),
        (401, "Bad credentials", ForbiddenError, "token is missing, wrong or has expired"),
        (403, "Resource not accessible by integration", ForbiddenError, "`pull-requests: read`"),
        (404, "Not Found", NotFoundError, "`pull-requests: read`"),
        (410, "Gone", NotFoundError, ""),
        (409, "Conflict", ConflictError, ""),
        (422, "Reference already exists", ConflictError, ""),
        (422, "Validation Failed", UpstreamError, ""),
        (418, "teapot", UpstreamError, ""),
    ],
)
def test_other_refusals_are_final(
    wire: Any, transport: Transport, slept: list[float], status: Any, message: Any, kind: Any, hint: Any
) -> None:
    wire.rest("GET", "/pulls/7", {"message": message}, status=status)
    with pytest.raises(UpstreamError) as caught:
        transport.call(ASK)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.service) == (status, "GitHub")
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert slept == []


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (
            {"message": "Validation Failed", "errors": [{"field": "ref", "code": "missing"}]},
            "Validation Failed (ref missing)",
        ),
        ({"message": "Bad", "errors": [{"message": "body is too long"}, "or so"]}, "Bad (body is too long; or so)"),
        ({"message": "a\nb"}, ": a b"),
        ([], "answered 422 to the request to read pull request 7."),
        ({"message": "x" * 999}, ": " + "x" * 300),
    ],
)
def test_github_is_quoted_on_one_line(wire: Any, transport: Transport, reply: Any, said: Any) -> None:
    wire.rest("GET", "/pulls/7", reply, status=422)
    with pytest.raises(UpstreamError) as caught:
        transport.call(ASK)
    assert caught.value.message.endswith(said)


def test_a_page_of_html_is_not_quoted(wire: Any, transport: Transport) -> None:
    wire.add("GET", "https://api.github.com:443/repos/acme/shop/pulls/7", body="<html>x</html>", status=404)
    with pytest.raises(NotFoundError) as caught:
        transport.call(ASK)
    assert caught.value.message == "GitHub answered 404 to the request to read pull request 7."


def test_the_token_is_never_quoted(wire: Any, transport: Transport) -> None:
    wire.rest("GET", "/pulls/7", {"message": "token s3cret is odd"}, status=422)
    with pytest.raises(UpstreamError) as caught:
        transport.call(ASK)
    assert "s3cret" not in caught.value.message
    assert "***" in caught.value.message


@pytest.mark.parametrize(
    ("status", "message", "headers", "wait"),
    [
        (429, "", {"Retry-After": "3"}, 3.0),
        (403, "You have exceeded a secondary rate limit. Wait.", {"Retry-After": "9"}, 9.0),
        (403, "You have exceeded a secondary rate limit.", {}, 60.0),
        (
            403,
            "API rate limit exceeded for installation.",
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1800000030"},
            31.0,
        ),
        (503, "Unavailable", {"Retry-After": "2"}, 2.0),
    ],
)
def test_limits_are_waited_for(
    wire: Any, transport: Transport, slept: list[float], status: Any, message: Any, headers: Any, wait: Any
) -> None:
    wire.rest("GET", "/pulls/7", {"message": message}, status=status, headers=headers)
    wire.rest("GET", "/pulls/7", {"number": 7})
    transport.call(ASK)
    assert slept == [wait]


def test_a_limit_too_far_away_is_told_with_the_time(wire: Any, transport: Transport, slept: list[float]) -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1800003000", "X-RateLimit-Limit": "1000"}
    wire.rest("GET", "/pulls/7", {"message": "API rate limit exceeded"}, status=403, headers=headers)
    with pytest.raises(UpstreamError) as caught:
        transport.call(ASK)
    assert (caught.value.hint, slept) == ("Try again in 3001 s.", [])


@pytest.mark.parametrize("where", ["https://evil.example/repos/acme/shop/pulls/7", "http://api.github.com/x"])
def test_a_redirect_elsewhere_is_not_followed(wire: Any, transport: Transport, where: Any) -> None:
    wire.rest("GET", "/pulls/7", {}, status=301, headers={"Location": where})
    with pytest.raises(UpstreamError, match="could not be understood"):
        transport.call(ASK)
    assert len(wire.calls) == 1


def test_a_redirect_that_pygithub_leaves_alone_is_a_failure(wire: Any, transport: Transport) -> None:
    wire.rest("GET", "/pulls/7", {"message": "Moved"}, status=307, headers={"Location": "https://evil.example/"})
    with pytest.raises(UpstreamError) as caught:
        transport.call(ASK)
    assert caught.value.status == 307


def test_headers_that_are_no_numbers_are_a_malformed_answer(wire: Any, transport: Transport) -> None:
    wire.rest("GET", "/pulls/7", {}, headers={"X-RateLimit-Limit": "x", "X-RateLimit-Remaining": "y"})
    with pytest.raises(UpstreamError, match="could not be understood"):
        transport.call(ASK)


def test_graphql(wire: Any, transport: Transport) -> None:
    wire.graphql({"viewer": {"login": "x"}})
    assert transport.graphql(QUERY) == {"viewer": {"login": "x"}}
    assert wire.body(0) == {"query": QUERY.text, "variables": {"a": 1}}


@pytest.mark.parametrize(
    ("errors", "kind", "waits"),
    [
        ([{"type": "NOT_FOUND", "message": "no"}], NotFoundError, []),
        ([{"type": "FORBIDDEN", "message": "Resource not accessible by integration"}], ForbiddenError, []),
        ([{"type": "INSUFFICIENT_SCOPES", "message": "no"}], ForbiddenError, []),
        ([{"type": "UNPROCESSABLE", "message": "no"}], UpstreamError, []),
        ([{"message": "Something went wrong while executing your query."}], UpstreamError, [0.2, 0.4, 0.8]),
        ([{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}], UpstreamError, [60.0, 60.0, 60.0]),
        ("odd", UpstreamError, [0.2, 0.4, 0.8]),
    ],
)
def test_graphql_errors_come_with_status_200(
    wire: Any, transport: Transport, slept: list[float], errors: Any, kind: Any, waits: Any
) -> None:
    wire.graphql(None, errors=errors)
    with pytest.raises(UpstreamError) as caught:
        transport.graphql(QUERY)
    assert type(caught.value) is kind
    assert slept == waits


@pytest.mark.parametrize("reply", [{}, {"data": None}, [], {"data": [1]}])
def test_graphql_without_data_is_malformed(wire: Any, transport: Transport, reply: Any) -> None:
    wire.add("POST", "https://api.github.com:443/graphql", json=reply)
    with pytest.raises(UpstreamError, match="without data"):
        transport.graphql(QUERY)


def test_each_call_takes_no_longer_than_is_said(wire: Any, waiting: Waiting) -> None:
    wire.add("GET", "https://api.github.com:443/repos/acme/shop/pulls/1", json={})
    wire.add("GET", f"https://api.github.com/repos/acme/shop/tarball/{'a' * 40}", body=b"\x1f\x8bx")
    wire.graphql({"repository": {"id": "R", "ref": None}})
    with connect(token="t", repository="acme/shop", waiting=waiting, timeout=3) as api:
        api._transport.get("/pulls/1", what="read", needs="x")
        api.lock("staging")
        with api.tarball("a" * 40) as chunks:
            assert list(chunks)
    assert [call.request.req_kwargs["timeout"] for call in wire.calls] == [3] * 3


def test_graphql_on_another_host_and_port(wire: Any, waiting: Waiting) -> None:
    wire.add("POST", "http://127.0.0.1:8081/other/graphql", json={"data": {"a": 1}})
    transport = Transport(
        token="t",
        repository="acme/shop",
        api_url="http://127.0.0.1:8080/api/v3/",
        graphql_url="http://127.0.0.1:8081/other/graphql",
        waiting=waiting,
    )
    assert transport.graphql(QUERY) == {"a": 1}
    transport.close()


def test_graphql_of_an_enterprise_server(wire: Any, waiting: Waiting) -> None:
    wire.add("POST", "https://git.example:443/api/graphql", json={"data": {"a": 1}})
    transport = Transport(
        token="t",
        repository="acme/shop",
        api_url="https://git.example/api/v3",
        graphql_url="https://git.example/api/graphql",
        waiting=waiting,
    )
    assert transport.graphql(QUERY) == {"a": 1}


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"repository": "shop"}, "owner/name"),
        ({"repository": "a/b/c"}, "owner/name"),
        ({"repository": "a/.."}, "owner/name"),
        ({"api_url": "http://api.github.com"}, "GITHUB_API_URL"),
        ({"graphql_url": "http://api.github.com/graphql"}, "GITHUB_GRAPHQL_URL"),
        ({"graphql_url": "https://elsewhere.example/gql"}, "end in /graphql"),
    ],
)
def test_unusable_settings(waiting: Waiting, over: Any, said: Any) -> None:
    settings = {
        "token": "t",
        "repository": "acme/shop",
        "api_url": "https://api.github.com",
        "graphql_url": "https://api.github.com/graphql",
        "waiting": waiting,
    }
    with pytest.raises(SettingsError, match=said):
        Transport(**settings | over)


def test_a_client_is_never_shared_and_warm_ones_are_used_again() -> None:
    clients = Clients("https://api.github.com", "t", 20)
    with clients.borrow() as one:
        with clients.borrow() as two:
            assert one is not two
        with clients.borrow() as three:
            assert three is two
    with clients.borrow() as four:
        assert four is one
    clients.close()


def test_threads_get_their_own_answers(transport: Transport) -> None:
    """Two threads on one PyGithub object can send each other's request; see the module's docstring."""
    barrier = threading.Barrier(8)

    def answer(request: Any) -> Any:
        return 200, {}, f'{{"path": "{request.path_url}"}}'

    with responses.RequestsMock() as mock:
        for number in range(8):
            mock.add_callback("GET", f"https://api.github.com:443/repos/acme/shop/pulls/{number}", answer)

        def ask(number: Any) -> Any:
            barrier.wait()
            request = Request(verb="GET", path=f"/pulls/{number}", what="read", needs="x")
            return [transport.call(request).data["path"] for _ in range(10)]

        with ThreadPoolExecutor(8) as pool:
            for number, paths in enumerate(pool.map(ask, range(8))):
                assert paths == [f"/repos/acme/shop/pulls/{number}"] * 10


def test_no_more_calls_at_a_time_than_github_bears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.github.transport.AT_ONCE", 3)
    clients, lock = Clients("https://api.github.com", "t", 20), threading.Lock()
    now: set[int] = set()
    most: list[int] = []
    three = threading.Barrier(3)

    def call(number: int) -> None:
        with clients.borrow():
            with lock:
                now.add(number)
                most.append(len(now))
            three.wait(20.0)
            with lock:
                now.remove(number)

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(call, range(9)))
    assert max(most) == 3
    clients.close()


def test_together_keeps_the_order_and_raises_the_first_error() -> None:
    assert together(lambda number: number * 2, [1, 2, 3]) == [2, 4, 6]
    assert together(lambda number: number * 2, [4]) == [8]
    assert together(lambda number: number * 2, []) == []
    with pytest.raises(ZeroDivisionError):
        together(lambda number: 1 // number, [1, 0, 2])


def test_segments_cannot_climb() -> None:
    assert segment("feature/x y%") == "feature%2Fx%20y%25"
    for name in ("", ".", ".."):
        with pytest.raises(NotFoundError):
            segment(name)


def test_the_uninterrupted_twin_shares_connections_and_ignores_stop(transport: Transport) -> None:
    twin = transport.uninterrupted()
    assert twin.waiting.stop is None
    assert twin.repository == transport.repository
    assert twin._rest is transport._rest


def test_the_wire_is_judged(judge: Any) -> None:
    """Every request of these tests is held against GitHub's REST description; see conftest.py."""
    if judge is None:
        pytest.skip("GitHub's REST description is not beside the project: requests are not judged")
    good = requests.Request("POST", f"{REPO}/issues/7/comments", json={"body": "x"}).prepare()
    judge.judge(good)
    for verb, path, more in [
        ("GET", "/nothing", {}),
        ("GET", "/pulls/7/files?colour=red", {}),
        ("GET", "/activity?direction=up", {}),
        ("POST", "/issues/7/comments", {"json": {"text": "x"}}),
        ("POST", "/issues/comments/7/reactions", {"json": {"content": "boom"}}),
        ("POST", "/git/refs", {}),
    ]:
        with pytest.raises((AssertionError, jsonschema.ValidationError)):
            judge.judge(requests.Request(verb, REPO + path, **more).prepare())
