"""The floor of every server: what happens at the moment of a call."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
import requests

from bot.sandbox.wire import Act, Fault, Request, Response, Service, answer


class Shop(Service):
    name = "shop"

    def __init__(self) -> None:
        super().__init__()
        self.story: list[str] = []
        self.route("GET", "/things/{thing}", self._get)
        self.route("PATCH", "/things/{thing}", self._get)

    def _get(self, request: Request) -> Response:
        self.story.append(f"handled {request.params['thing']}")
        return answer({})

    def get(self, thing: str) -> int:
        return requests.get(f"{self.url}/things/{thing}", timeout=5).status_code

    def tells(self, word: str) -> Callable[[Request], None]:
        return lambda request: self.story.append(f"{word} {request.path.rsplit('/', 1)[-1]}")


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    made.start()
    yield made
    made.stop()


def test_an_act_is_done_around_the_handling(shop: Shop) -> None:
    shop.when(Act(route=r"^GET /things/", before=shop.tells("before"), after=shop.tells("after")))
    assert shop.get("one") == shop.get("two") == 200
    assert shop.story == ["before one", "handled one", "after one", "handled two"]


def test_an_act_waits_for_its_call(shop: Shop) -> None:
    shop.when(Act(route="things", after=shop.tells("then"), skip=1, times=2))
    shop.when(Act(route="other", before=shop.tells("never")))
    for thing in "abcd":
        shop.get(thing)
    assert shop.story == ["handled a", "handled b", "then b", "handled c", "then c", "handled d"]


def test_acts_and_faults_hit_the_same_call(shop: Shop) -> None:
    shop.when(Act(route="things", before=shop.tells("one")))
    shop.when(Act(route="things", before=shop.tells("two")))
    shop.fail(Fault(route="things", kind="status", status=503))
    assert shop.get("a") == 503
    assert shop.story == ["one a", "two a"]
    assert shop.get("b") == 200


def test_the_server_can_be_called_from_an_act(shop: Shop) -> None:
    shop.when(Act(route="things", before=lambda _request: shop.get("inner")))
    assert shop.get("outer") == 200
    assert shop.story == ["handled inner", "handled outer"]


@pytest.mark.parametrize(
    ("rest", "handled"),
    [
        ("Content-Length: 2\r\n\r\n{}", ["handled a"]),
        ("Content-Length: 2\r\n\r\n", []),
        ("Content-Length: 2\r\n\r\n{", []),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", ["handled a"]),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\n{", []),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", []),
    ],
)
def test_a_message_that_is_cut_off_is_not_acted_on(shop: Shop, rest: str, handled: list[str]) -> None:
    """A client that is killed between the headers and the body has asked for nothing."""
    address = urlsplit(shop.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=5) as client:
        client.sendall(f"PATCH /things/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{rest}".encode())
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            pass
    assert shop.story == handled
