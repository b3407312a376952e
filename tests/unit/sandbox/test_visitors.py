"""Visitors come evenly, see what there is to see, and stop."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from bot.sandbox.visitors import Visitors
from bot.sandbox.wire import Request, Response, Service, answer


class Shop(Service):
    """Answers by a list of (status, revision), round and round."""

    name = "shop"

    def __init__(self) -> None:
        super().__init__()
        self.answers = [(200, "shop-one")]
        self.hold = threading.Event()
        self.hold.set()
        self.inside = threading.Event()
        self.route("GET", "/", self._get)
        self.route("GET", "/sub/page", self._get)

    def _get(self, request: Request) -> Response:
        self.inside.set()
        self.hold.wait(5)
        status, revision = self.answers[len(self.calls) % len(self.answers)]
        reply = answer({"token": request.headers.get("x-token", "")}, status)
        if revision:
            reply.headers["X-Revision"] = revision
        return reply


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    made.start()
    yield made
    made.hold.set()
    made.stop()


def test_each_visitor_tells_what_it_saw(shop: Shop) -> None:
    shop.answers = [(200, "shop-one"), (200, "shop-two"), (500, "shop-two"), (404, "")]
    with Visitors(shop.url, per_second=200, threads=1) as visitors:
        assert visitors.wait_for(8)
    seen = Counter((visit.status, visit.revision) for visit in visitors.seen[:8])
    assert seen == {(200, "shop-one"): 2, (200, "shop-two"): 2, (500, "shop-two"): 2, (404, ""): 2}
    assert visitors.statuses().total() == len(visitors.seen) == len(shop.calls)


def test_no_visit_comes_before_its_time(shop: Shop) -> None:
    begun = time.time()
    with Visitors(shop.url, per_second=50) as visitors:
        assert visitors.wait_for(26)
    starts = sorted(visit.started for visit in visitors.seen)
    assert starts[25] - begun >= 25 / 50 - 0.01


def test_path_and_headers_are_sent(shop: Shop) -> None:
    with Visitors(f"{shop.url}/sub", per_second=100, path="/page", headers={"X-Token": "t"}) as visitors:
        assert visitors.wait_for(1)
    assert shop.calls[0].path == "/sub/page"
    assert b'"t"' in shop.calls[0].response_body


def test_nobody_visits_after_the_end_and_who_is_inside_is_waited_for(shop: Shop) -> None:
    shop.hold.clear()
    visitors = Visitors(shop.url, per_second=100).start()
    assert shop.inside.wait(5)

    def open_when_stopping() -> None:
        visitors._stopped.wait(5)
        shop.hold.set()

    opens = threading.Thread(target=open_when_stopping)
    opens.start()
    ended = visitors.stop()
    opens.join()
    assert len(ended) == len(shop.calls) > 0
    assert {visit.status for visit in ended} == {200}
    assert visitors.seen == ended


def test_a_closed_shop_is_seen_too(shop: Shop) -> None:
    url = shop.url
    shop.stop()
    with Visitors(url, per_second=100) as visitors:
        assert visitors.wait_for(2)
    assert visitors.statuses()[0] == len(visitors.seen)
    assert not visitors.wait_for(10_000, timeout=0.01)
