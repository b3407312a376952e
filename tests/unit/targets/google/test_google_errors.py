# mypy: disallow-untyped-calls=False
from typing import Any

import pytest
import requests
import stamina
from google.api_core.exceptions import RetryError, from_http_response
from google.auth.exceptions import RefreshError, TransportError
from google.protobuf.json_format import ParseError

from bot.errors import AuthError, ConflictError, ForbiddenError, NotFoundError, UpstreamError
from bot.targets.google_errors import _backoff, change, or_none, read, reason, translate


def api(status: Any, body: Any = b'{"error": {"message": "no"}}', headers: Any = None) -> Any:
    response = requests.Response()
    response.status_code, response._content = status, body
    response.headers.update(headers or {})
    response.request = requests.Request("GET", "http://127.0.0.1/").prepare()
    return from_http_response(response)


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (api(400), UpstreamError, 400),
        (api(401), AuthError, None),
        (api(403), ForbiddenError, 403),
        (api(404), NotFoundError, 404),
        (api(409), ConflictError, 409),
        (api(412), ConflictError, 412),
        (api(400, b'{"error": {"status": "ABORTED", "message": "x"}}'), ConflictError, 400),
        (api(503, b"<html>"), UpstreamError, 503),
        (requests.ConnectionError("reset"), UpstreamError, 0),
        (requests.exceptions.JSONDecodeError("bad", "", 0), UpstreamError, 0),
        (TransportError("reset"), UpstreamError, 0),
        (RefreshError("denied"), AuthError, None),
        (RetryError("too long", api(503)), UpstreamError, 503),
        (RetryError("too long", requests.ReadTimeout("slow")), UpstreamError, 0),
        (RetryError("too long", KeyError("odd")), UpstreamError, 0),
        (RetryError("too long", None), UpstreamError, 0),
        (ParseError("bad"), UpstreamError, 0),
        (ValueError("bad"), UpstreamError, 0),
    ],
)
def test_every_failure_becomes_one_of_ours(error: Any, kind: Any, status: Any) -> None:
    found = translate(error, "look")
    assert type(found) is kind
    assert getattr(found, "status", None) == status
    assert "look" in str(found)


def test_our_own_and_unknown_errors_pass() -> None:
    for error in (AuthError("x"), KeyError("x")):
        assert translate(error, "look") is error


@pytest.mark.parametrize(
    ("body", "code"),
    [(b'{"error": {"status": "ALREADY_EXISTS"}}', "ALREADY_EXISTS"), (b'{"error": {}}', ""), (b"<", "")],
)
def test_the_canonical_code_comes_from_the_body(body: Any, code: Any) -> None:
    assert reason(api(409, body)) == code


def test_an_upstream_message_is_one_bearable_line() -> None:
    message = str(translate(requests.ConnectionError("a\n" * 2000), "look"))
    assert "\n" not in message
    assert len(message) < 700


class Flaky:
    def __init__(self, *errors: Any) -> None:
        self.errors, self.calls = list(errors), 0

    def __call__(self) -> Any:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "ok"


@pytest.fixture
def instant() -> Any:
    with stamina.set_testing(True, attempts=4):
        yield


@pytest.mark.usefixtures("instant")
@pytest.mark.parametrize(
    "error", [*map(api, (429, 500, 502, 503, 504)), requests.ReadTimeout(), TransportError("x"), ParseError("x")]
)
def test_a_read_is_repeated(error: Any) -> None:
    call = Flaky(error, error, error)
    assert (read("look", call), call.calls) == ("ok", 4)


@pytest.mark.usefixtures("instant")
def test_a_read_is_given_up_after_four_attempts() -> None:
    call = Flaky(*[api(503)] * 5)
    with pytest.raises(UpstreamError):
        read("look", call)
    assert call.calls == 4


@pytest.mark.usefixtures("instant")
@pytest.mark.parametrize("error", [api(400), api(403), api(404), AuthError("x"), RefreshError("x")])
def test_a_refusal_is_not_repeated(error: Any) -> None:
    call = Flaky(error)
    with pytest.raises((UpstreamError, AuthError)):
        read("look", call)
    assert call.calls == 1


@pytest.mark.parametrize(("after", "seconds"), [("7", 7.0), ("999", 60.0)])
def test_the_server_says_how_long_to_wait(after: Any, seconds: Any) -> None:
    assert _backoff(api(429, headers={"Retry-After": after})) == seconds
    assert _backoff(api(503, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})) is True


def test_a_change_is_made_once() -> None:
    call = Flaky(api(503))
    with pytest.raises(UpstreamError):
        change("change", call)
    assert call.calls == 1


def test_what_is_not_there_is_none() -> None:
    assert or_none("look", Flaky(api(404))) is None
    assert or_none("look", Flaky()) == "ok"


@pytest.mark.usefixtures("instant")
@pytest.mark.parametrize("body", [b'{"error": "x"}', b'"x"'])
def test_an_error_of_another_shape_is_unreadable(body: Any) -> None:
    calls = []

    def call() -> Any:
        calls.append(1)
        raise api(500, body)

    with pytest.raises(UpstreamError, match="unreadable answer"):
        read("look", call)
    assert len(calls) == 4
