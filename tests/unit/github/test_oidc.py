from typing import Any

import pytest
import requests

from bot.errors import AuthError, SettingsError, UpstreamError
from bot.github import oidc
from bot.github.retry import Waiting

URL = "https://run.actions.example/token?api-version=2.0"
ASKED = f"{URL}&audience=%2F%2Fiam.example%2Fx+y"


@pytest.fixture
def ask(waiting: Waiting) -> Any:
    def ask(**over: Any) -> Any:
        given: dict[str, Any] = {"request_url": URL, "request_token": "t0p", "waiting": waiting}
        return oidc.token("//iam.example/x y", **given | over)

    return ask


def test_token(wire: Any, ask: Any) -> None:
    wire.add("GET", ASKED, json={"value": "a.b.c", "count": 5})
    assert ask() == "a.b.c"
    request = wire.calls[0].request
    assert request.url == ASKED
    assert request.headers["Authorization"] == "bearer t0p"
    assert request.req_kwargs["timeout"] == 10


@pytest.mark.parametrize("over", [{"request_url": ""}, {"request_token": ""}])
def test_a_job_without_the_permission_has_no_variables(ask: Any, over: Any) -> None:
    with pytest.raises(AuthError) as caught:
        ask(**over)
    assert "id-token: write" in caught.value.hint


@pytest.mark.parametrize("status", [401, 403])
def test_refused(wire: Any, ask: Any, slept: list[float], status: Any) -> None:
    wire.add("GET", ASKED, status=status)
    with pytest.raises(AuthError) as caught:
        ask()
    assert "id-token: write" in caught.value.hint
    assert slept == []


@pytest.mark.parametrize("fault", [500, 503, 429, requests.ConnectionError("reset"), requests.ReadTimeout("slow")])
def test_repeated_like_a_read(wire: Any, ask: Any, slept: list[float], fault: Any) -> None:
    wire.add("GET", ASKED, **({"status": fault} if isinstance(fault, int) else {"body": fault}))
    wire.add("GET", ASKED, json={"value": "a.b.c"})
    assert ask() == "a.b.c"
    assert slept == [0.2]


@pytest.mark.parametrize("body", ["<html>", "{}", "[]", '{"value": null}', '{"value": ""}', "null"])
def test_an_answer_without_a_token(wire: Any, ask: Any, body: Any) -> None:
    wire.add("GET", ASKED, body=body)
    with pytest.raises(UpstreamError, match="without a token"):
        ask()


@pytest.mark.parametrize("status", [302, 400, 404])
def test_other_answers_are_final(wire: Any, ask: Any, slept: list[float], status: Any) -> None:
    wire.add("GET", ASKED, status=status, headers={"Location": "https://evil.example/"})
    with pytest.raises(UpstreamError) as caught:
        ask()
    assert (caught.value.status, slept) == (status, [])


def test_plain_http_is_for_loopback(ask: Any) -> None:
    with pytest.raises(SettingsError, match="ACTIONS_ID_TOKEN_REQUEST_URL"):
        ask(request_url="http://run.actions.example/token")


def test_a_token_is_kept_for_a_minute_and_asked_for_once() -> None:
    now, asked = [0.0], []

    def ask(audience: str) -> str:
        asked.append(audience)
        return f"token-{len(asked)}"

    kept = oidc.Kept(ask, clock=lambda: now[0])
    assert (kept("a"), kept("a"), kept("b")) == ("token-1", "token-1", "token-2")
    now[0] = oidc.KEPT
    assert kept("a") == "token-3"
    assert asked == ["a", "b", "a"]
