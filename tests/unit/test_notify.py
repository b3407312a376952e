"""Notices over a real wire: what is sent, how it is signed, and that nothing which goes wrong is an error."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook, WebhookVerificationError
from werkzeug import Request, Response

from bot.core.notices import Notice
from bot.notify import Notifier

SECRET = "whsec_c2xpcHdheS1zbGlwd2F5LXNsaXB3YXk="
NOTICE = Notice(
    id="slipway-7-failed", text="🔴 <b> & failed", link="https://github.com/acme/shop/actions/runs/1",
    data={"type": "release.failed", "data": {"version": 1}},
)  # fmt: skip


@pytest.fixture
def notifier(httpserver: HTTPServer) -> Any:
    def make(**over: Any) -> Notifier:
        return Notifier(**{"timeout": 5.0, "now": lambda: 1_767_322_800.0, **over})

    return make


def test_slack_gets_one_line_without_markup_of_others(httpserver: HTTPServer, notifier: Any) -> None:
    httpserver.expect_request("/hook", method="POST").respond_with_data("ok")
    assert notifier(slack_url=httpserver.url_for("/hook")).send(NOTICE) == ()
    ((request, _),) = httpserver.log
    assert json.loads(request.get_data())["text"] == (
        "🔴 &lt;b&gt; &amp; failed <https://github.com/acme/shop/actions/runs/1|more>"
    )


def test_a_server_gets_json_that_it_can_verify(httpserver: HTTPServer, notifier: Any) -> None:
    httpserver.expect_request("/events", method="POST").respond_with_data("", status=204)
    now = time.time()
    assert (
        notifier(webhook_url=httpserver.url_for("/events"), webhook_secret=SECRET, now=lambda: now).send(NOTICE) == ()
    )
    ((request, _),) = httpserver.log
    verified = Webhook(SECRET).verify(request.get_data(), dict(request.headers.items()))
    assert verified["type"] == "release.failed"
    assert verified["data"] == {"version": 1}
    assert request.headers["Webhook-Id"] == "slipway-7-failed"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.get_data() + b" ", dict(request.headers.items()))


def test_without_a_secret_it_is_not_signed(httpserver: HTTPServer, notifier: Any) -> None:
    httpserver.expect_request("/events").respond_with_data("")
    assert notifier(webhook_url=httpserver.url_for("/events")).send(NOTICE) == ()
    assert "Webhook-Signature" not in httpserver.log[0][0].headers


def test_a_server_in_trouble_is_asked_again_with_the_same_id(httpserver: HTTPServer, notifier: Any) -> None:
    answers = iter([503, 429, 200])
    httpserver.expect_request("/events").respond_with_handler(lambda _: Response(status=next(answers)))
    assert notifier(webhook_url=httpserver.url_for("/events")).send(NOTICE) == ()
    assert {request.headers["Webhook-Id"] for request, _ in httpserver.log} == {"slipway-7-failed"}
    assert len(httpserver.log) == 3


@pytest.mark.parametrize("status", [302, 400, 404, 500])
def test_what_is_refused_is_said_and_no_error(httpserver: HTTPServer, notifier: Any, status: int) -> None:
    def answer(_: Request) -> Response:
        return Response(status=status, headers={"Location": "https://evil.example/"})

    httpserver.expect_request("/s").respond_with_handler(answer)
    httpserver.expect_request("/w").respond_with_handler(answer)
    both = notifier(slack_url=httpserver.url_for("/s"), webhook_url=httpserver.url_for("/w"))
    problems = both.send(NOTICE)
    assert problems[-1] == f"the webhook could not be told: It answered {status}."
    assert problems[0].startswith("Slack could not be told: ")


def test_nobody_listens(notifier: Any) -> None:
    problems = notifier(slack_url="http://127.0.0.1:9/x", webhook_url="http://127.0.0.1:9/y").send(NOTICE)
    assert [problem.partition(":")[0] for problem in problems] == [
        "Slack could not be told",
        "the webhook could not be told",
    ]
    assert "/x" not in "".join(problems)  # whoever knows such an address may write there
    assert "/y" not in "".join(problems)


@pytest.mark.parametrize(
    "url", ["http://hooks.example/x", "hooks.example", "ftp://hooks.example", "https://[", "https://"]
)
def test_an_address_that_is_not_https_gets_nothing(notifier: Any, url: str) -> None:
    (problem,) = notifier(webhook_url=url).send(NOTICE)
    assert problem == "the webhook could not be told: its address should begin with https://."


def test_a_secret_that_is_none_is_told_without_it(httpserver: HTTPServer, notifier: Any) -> None:
    (problem,) = notifier(webhook_url=httpserver.url_for("/w"), webhook_secret="whsec_!").send(NOTICE)
    assert "webhook-secret" in problem
    assert "whsec_!" not in problem
    assert not httpserver.log


def test_nowhere_to_tell_it(notifier: Any) -> None:
    assert notifier().send(NOTICE) == ()
