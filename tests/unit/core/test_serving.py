from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.serving import ServiceState, Serving, TrafficShare, serving_from_json, serving_to_json

WORDS = st.text(max_size=8)
SHARES = st.builds(TrafficShare, revision=WORDS, percent=st.integers(0, 100), tag=WORDS, url=WORDS)
STATES = st.builds(
    ServiceState,
    service=WORDS,
    exists=st.booleans(),
    url=WORDS,
    traffic=st.lists(SHARES, max_size=3).map(tuple),
    digests=st.dictionaries(WORDS, WORDS, max_size=2),
    labels=st.dictionaries(WORDS, st.dictionaries(WORDS, WORDS, max_size=2), max_size=2),
    settings=st.dictionaries(WORDS, st.none() | st.integers() | WORDS | st.lists(WORDS, max_size=2), max_size=2),
)


@given(st.lists(STATES, max_size=3).map(lambda states: Serving(services=tuple(states))))
def test_it_survives_json(serving: Serving) -> None:
    assert serving_from_json(json.loads(json.dumps(serving_to_json(serving)))) == serving


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "x",
        {"services": {}},
        {"services": [None]},
        {"services": [{}]},
        {"services": [{"service": 5}]},
        {"services": [{"service": "a", "exists": 1}]},
        {"services": [{"service": "a", "traffic": {}}]},
        {"services": [{"service": "a", "traffic": [{"revision": "r"}]}]},
        {"services": [{"service": "a", "traffic": [{"revision": "r", "percent": True}]}]},
        {"services": [{"service": "a", "traffic": [{"revision": "r", "percent": "100"}]}]},
        {"services": [{"service": "a", "digests": {"r": 5}}]},
        {"services": [{"service": "a", "labels": {"r": "x"}}]},
        {"services": [{"service": "a", "settings": []}]},
    ],
)
def test_what_is_no_serving_state(data: Any) -> None:
    with pytest.raises(ValueError, match="a serving state has"):
        serving_from_json(data)


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert serving_from_json({"services": [{"service": "a", "more": 1}], "more": 2}) == Serving(
        services=(ServiceState(service="a"),)
    )


def test_the_largest_share_is_what_serves() -> None:
    state = ServiceState(
        service="web",
        traffic=(TrafficShare(revision="b", percent=10), TrafficShare(revision="a", percent=90)),
        digests={"a": "sha256:1"},
    )
    assert (state.revision, state.digest) == ("a", "sha256:1")
    assert (ServiceState(service="x").revision, ServiceState(service="x").digest) == ("", "")


def test_a_service_that_is_not_listed_does_not_exist() -> None:
    serving = Serving(services=(ServiceState(service="web"),))
    assert serving.service("web").exists
    assert not serving.service("worker").exists
    assert serving.exists
    assert not Serving().exists
    assert not Serving(services=(ServiceState(service="web", exists=False),)).exists
