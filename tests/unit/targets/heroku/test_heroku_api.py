"""What goes over the wire to Heroku, what is repeated, and what failures become."""

from typing import Any

import pytest
import requests

from bot.errors import AuthError, ConflictError, ForbiddenError, NotFoundError, SettingsError, UpstreamError
from bot.targets import heroku_api
from bot.targets.heroku_api import Platform
from bot.targets.heroku_model import App

BASE = "http://127.0.0.1:1"


@pytest.fixture
def platform(wire: Any) -> Platform:
    return Platform(environ={"HEROKU_API_URL": BASE, "HEROKU_API_KEY": "key"}, clock=wire.clock, sleep=wire.sleep)


def read(platform: Platform) -> App:
    return platform.get("get the app", App, "apps", "shop-staging")


def test_a_call_says_who_and_which_version_and_has_a_timeout(
    wire: Any, platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    wire.on("GET", "", {"web_url": "https://shop.example/", "maintenance": False})
    assert read(platform) == App(web_url="https://shop.example/")
    (call,) = wire.calls  # no call for the rate limit first
    assert call.headers["Accept"].startswith("application/vnd.heroku+json; version=3")
    assert call.headers["Authorization"] == "Basic OmtleQ=="  # an empty name and the key
    assert wire.mock.calls[0].request.req_kwargs["timeout"] == 20.0
    assert capsys.readouterr() == ("", "")


def test_a_list_is_one_call_however_long_it_is(
    wire: Any, platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    wire.on("GET", "/releases", (206, [{"maintenance": True}], {"Next-Range": "version ]41..; order=desc,max=50"}))
    assert platform.newest("list", App, "apps", "shop-staging", "releases", by="version", limit=50) == [
        App(maintenance=True)
    ]
    (call,) = wire.calls
    assert call.headers["Range"] == "version ..; order=desc,max=50;"
    assert capsys.readouterr().out == ""


def test_names_are_quoted(wire: Any, platform: Platform) -> None:
    wire.on("GET", "//apps/..%2Faccount", {})
    platform.get("get", App, "apps", "../account")
    assert wire.calls[0].url == f"{BASE}/apps/..%2Faccount"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthError),
        (402, UpstreamError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, ConflictError),
        (422, UpstreamError),
        (429, UpstreamError),
        (503, UpstreamError),
        (302, UpstreamError),
    ],
)
def test_errors_have_herokus_words(wire: Any, platform: Platform, status: int, kind: type[Exception]) -> None:
    where = {"Location": "https://elsewhere.example/"}
    wire.on("GET", "", (status, {"id": "x", "message": "Not\n today."}, where))
    with pytest.raises(kind) as caught:
        read(platform)
    assert type(caught.value) is kind
    if status != 302:
        assert "Not today." in str(caught.value)
    if isinstance(caught.value, UpstreamError):
        assert caught.value.status == (0 if status == 302 else status)
    assert {call.url for call in wire.calls} == {f"{BASE}/apps/shop-staging"}  # the key goes nowhere else
    assert len(wire.calls) == (4 if status in {302, 429, 503} else 1)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ((500, "<html>oops"), "status 500 (500)"),
        ((422, {"id": "x"}), "status 422"),
        ((422, {"message": "x" * 700}), "x" * 600 + "…"),
        ("<html>", "unreadable answer"),
        ({"maintenance": "perhaps"}, "unreadable answer"),
        (requests.ConnectionError("http://secret"), "could not be reached to get the app."),
        (requests.ReadTimeout("http://secret"), "did not answer in time to get the app."),
    ],
)
def test_unusable_answers_are_upstreams_fault(wire: Any, platform: Platform, reply: Any, words: str) -> None:
    wire.on("GET", "", reply)
    with pytest.raises(UpstreamError) as caught:
        read(platform)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_read_is_repeated(wire: Any, platform: Platform) -> None:
    limited = (429, {"message": "slow down"}, {"Retry-After": "0"})
    wire.on("GET", "", (503, {}), requests.ConnectionError(), limited, {})
    assert read(platform) == App()
    assert len(wire.calls) == 4


@pytest.mark.parametrize(("after", "seconds"), [("7", 7.0), ("3600", 60.0), ("", True), ("Fri, 31 Dec", True)])
def test_a_wait_that_heroku_asks_for_is_kept(after: str, seconds: float) -> None:
    answer = requests.Response()
    answer.status_code = 429
    answer.headers["Retry-After"] = after
    found = heroku_api._backoff(requests.HTTPError(response=answer))
    assert (found, type(found)) == (seconds, type(seconds))


def test_a_change_is_sent_once(wire: Any, platform: Platform) -> None:
    wire.on("POST", "/builds", requests.ConnectionError())
    with pytest.raises(UpstreamError) as caught:
        platform.send("start the build", App, "apps", "shop-staging", "builds", body={})
    assert (caught.value.status, len(wire.calls)) == (0, 1)


def test_a_bug_stays_a_bug(platform: Platform) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        platform.read("divide", broken)


@pytest.mark.parametrize("url", ["http://heroku.example", "ftp://x", "nonsense", "http://10.0.0.1", "https://"])
def test_plain_http_is_for_loopback(url: str) -> None:
    with pytest.raises(SettingsError, match="HEROKU_API_URL"):
        Platform(environ={"HEROKU_API_URL": url})


@pytest.mark.parametrize("url", ["http://localhost:1", "http://[::1]:1/", "https://heroku.example"])
def test_other_servers_are_possible(url: str) -> None:
    assert Platform(environ={"HEROKU_API_URL": url}).url == url.rstrip("/")


def test_heroku_itself_is_the_default() -> None:
    assert Platform(environ={"HEROKU_API_URL": " "}).url == "https://api.heroku.com"


def test_no_key_is_said_with_the_inputs_name(wire: Any) -> None:
    with pytest.raises(AuthError, match="heroku-api-key"):
        read(Platform(environ={"HEROKU_API_URL": BASE, "HEROKU_API_KEY": " "}))
    assert wire.calls == []


def test_addresses_on_loopback_are_for_an_api_on_loopback(platform: Platform) -> None:
    platform.allowed(f"{BASE}/x")
    platform.allowed("https://storage.example/x")
    with pytest.raises(UpstreamError, match="not https") as caught:
        platform.allowed("http://storage.example/x?secret")
    assert "secret" not in str(caught.value)
    with pytest.raises(UpstreamError, match="not https"):
        Platform(environ={}).allowed(f"{BASE}/x")
