"""Traffic that moves cuts nobody off: what goes out answers what it was given before."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from bot.sandbox.google.cloud_run import serving
from bot.sandbox.google.cloud_run.serving import Site, Target


@dataclass(eq=False)
class Process:
    name: str
    port: int = 1
    up: bool = True

    def alive(self) -> bool:
        return self.up


@dataclass(eq=False)
class Revision:
    name: str
    process: Process | None = None
    starts: bool = True

    def running(self) -> Process | None:
        if self.process is None and self.starts:
            self.process = Process(self.name)
        return self.process

    def stop(self) -> None:
        if self.process is not None:
            self.process.up = False
        self.process = None


@pytest.fixture
def site() -> Any:
    source = SimpleNamespace(resource={}, entry=lambda *_: {})
    platform = SimpleNamespace(
        dice=random.Random(1), revision_logs=lambda *_: source, sink=lambda _: None, meter=lambda *_: None
    )
    made = Site(platform, lambda: {"name": "services/web"}, dict)  # type: ignore[arg-type]
    yield made
    made.close()


def all_of(revision: Revision) -> list[Target]:
    return [Target(revision=revision, percent=100, tag="", latest=False)]  # type: ignore[arg-type]


def over(site: Site, instance: Any) -> None:
    """A request has been answered."""
    answered = SimpleNamespace(
        instance=instance, status=200, seconds=0.0, method="GET", path="/", headers={}, response_size=0
    )
    site._observe("", answered)  # type: ignore[arg-type]


def test_a_revision_that_goes_out_answers_first_what_it_was_given(site: Site) -> None:
    old, new = Revision("old"), Revision("new")
    site.serve(all_of(old))
    given: Any = site._pick("")
    moving = threading.Thread(target=site.serve, args=(all_of(new),))
    moving.start()
    later: Any = None
    while later is None or later.name == "old":  # what is asked meanwhile, until the traffic has moved
        later = site._pick("")
        over(site, later)
    assert given.alive()
    assert moving.is_alive()
    over(site, given)
    moving.join(10)
    assert not given.alive()
    assert later.alive()


def test_an_answer_that_never_ends_holds_nothing_up_for_ever(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_DRAINING", 0.01)
    old, new = Revision("old"), Revision("new")
    site.serve(all_of(old))
    given: Any = site._pick("")
    site.serve(all_of(new))
    assert not given.alive()


def test_what_does_not_start_has_no_requests_under_way(site: Site) -> None:
    ill, new = Revision("ill", starts=False), Revision("new")
    site.serve(all_of(ill))
    assert site._pick("") is None
    site.serve(all_of(new))
    assert site._under_way["ill"] == 0
