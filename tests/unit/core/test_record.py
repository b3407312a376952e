from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.facts import Deployment, DeploymentStatus
from bot.core.record import (
    Entry,
    Record,
    base36,
    by_command,
    entries,
    read_record,
    serving_entry,
    serving_sha,
    usual_seconds,
)
from bot.core.serving import Artifact, ServiceState, Serving, TrafficShare
from bot.core.target import ReleaseId

START = datetime(2026, 1, 2, tzinfo=UTC)
RECORD = Record(
    id="7-1",
    verb="deploy",
    sha="a" * 40,
    actor="dana",
    run_id=5,
    run_attempt=2,
    plan=("build", "shift"),
    before=Serving(services=(ServiceState(service="web", traffic=(TrafficShare(revision="w-1", percent=100),)),)),
    before_sha="b" * 40,
    comment_id=9,
    pull_request=3,
    reason="because",
)


def deployment(number: int, *states: str, record: Record | None = RECORD, **over: Any) -> Deployment:
    """Newest status first; each is a minute after the one before."""
    times = [START + timedelta(minutes=len(states) - place) for place in range(len(states))]
    return Deployment(
        **{
            "id": number,
            "sha": "a" * 40,
            "ref": "main",
            "environment": "staging",
            "payload": record.to_payload() if record else {},
            "created_at": START,
            "statuses": tuple(
                DeploymentStatus(state=one, created_at=at) for one, at in zip(states, times, strict=True)
            ),
            **over,
        }
    )


def entry(number: int, *states: str, **over: Any) -> Entry:
    return Entry(deployment=deployment(number, *states), record=replace(RECORD, **over))


def serving(*labels: dict[str, str]) -> Serving:
    return Serving(
        services=tuple(
            ServiceState(service=f"s{place}", traffic=(TrafficShare(revision="r", percent=100),), labels={"r": label})
            for place, label in enumerate(labels)
        )
    )


def test_a_record_survives_githubs_json() -> None:
    payload = json.loads(json.dumps(RECORD.to_payload()))
    assert read_record(deployment(1, payload=payload)) == RECORD


def test_what_was_overridden_survives_too_and_is_not_said_of_the_others() -> None:
    assert "overridden" not in RECORD.to_payload()
    past = replace(RECORD, overridden=("required_checks", "soaked"))
    assert past.to_payload()["overridden"] == ["required_checks", "soaked"]
    assert read_record(deployment(1, record=past)) == past


def test_the_least_that_a_record_holds() -> None:
    least = {"slipway": 1, "id": "x", "verb": "rollback", "sha": "s", "actor": "a", "run_id": 1, "run_attempt": 1}
    found = read_record(deployment(1, payload=least))
    assert found == Record(
        id="x", verb="rollback", sha="s", actor="a", run_id=1, run_attempt=1, plan=(), before=Serving()
    )


@pytest.mark.parametrize(
    "payload",
    [
        {},
        "",
        "text",
        None,
        [],
        {"slipway": 2},
        {"slipway": "1"},
        {"slipway": 1},
        RECORD.to_payload() | {"run_id": "x"},
        RECORD.to_payload() | {"run_id": None},
        RECORD.to_payload() | {"run_id": float("inf")},
        RECORD.to_payload() | {"plan": None},
        RECORD.to_payload() | {"plan": 5},
        RECORD.to_payload() | {"before": None},
        RECORD.to_payload() | {"before": {"services": [{}]}},
        RECORD.to_payload() | {"verb": "promote"},  # a promotion is recorded as the release that it is
        RECORD.to_payload() | {"promoted": {"digest": "sha256:1"}},
        RECORD.to_payload() | {"promoted": ["sha256:1"]},
        RECORD.to_payload() | {"verb": []},
        {"task": "deploy", "schema": "heroku"},
    ],
)
def test_a_foreign_payload_is_none_of_ours(payload: Any) -> None:
    odd = deployment(1, payload=payload)
    assert read_record(odd) is None
    assert entries([odd, deployment(2)]) == (Entry(deployment=deployment(2), record=RECORD),)


@given(
    st.dictionaries(
        st.sampled_from([*RECORD.to_payload()]),
        st.none() | st.integers() | st.text() | st.floats() | st.just([[]]) | st.just({"a": 1}),
    )
)
def test_reading_never_raises(over: dict[str, Any]) -> None:
    read_record(deployment(1, payload=RECORD.to_payload() | over))


@pytest.mark.parametrize(
    ("states", "finished", "succeeded"),
    [
        ((), False, False),
        (("queued",), False, False),
        (("in_progress",), False, False),
        (("success", "in_progress"), True, True),
        (("inactive", "success"), True, True),
        (("inactive",), False, False),  # made so by somebody else's success while it ran
        (("inactive", "in_progress"), False, False),
        (("inactive", "failure", "in_progress"), True, False),
        (("failure", "in_progress"), True, False),
        (("error",), True, False),
        (("in_progress", "success", "in_progress"), True, True),  # somebody else says that it goes on
        (("inactive", "in_progress", "error"), True, False),
    ],
)
def test_states(states: tuple[str, ...], finished: bool, succeeded: bool) -> None:
    assert (entry(1, *states).finished, entry(1, *states).succeeded) == (finished, succeeded)


@given(st.integers(0, 2**63))
def test_base36_is_the_releases_key(number: int) -> None:
    assert int(base36(number), 36) == number
    release = ReleaseId(deployment_id=number, environment="e", sha="s", actor="a", tag="t")
    assert release.key == base36(number)


def test_a_command_is_found_again() -> None:
    history = [entry(3, id="c"), entry(2, id="b"), entry(1, id="b")]
    assert by_command(history, "b") is history[1]
    assert by_command(history, "x") is None


HISTORY = [
    entry(6, "failure", sha="f" * 40),
    entry(5, "success", sha="e" * 40, verb="rollback"),
    entry(4, "inactive", "success", sha="d" * 40),
    entry(3, "inactive", "success", sha="c" * 40),
    entry(2, "inactive", "success", sha="d" * 40),
    entry(1, "failure", sha="a" * 40),
]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (serving({"slipway-release": base36(3), "slipway-sha": "c" * 40}), 3),
        (serving({"slipway-release": base36(2), "slipway-sha": "d" * 40}), 2),  # the release, not the sha's newest
        (serving({"slipway-sha": "d" * 40}), 4),
        (serving({"slipway-release": "zzz", "slipway-sha": "d" * 40}), 4),
        (serving({"slipway-release": base36(6), "slipway-sha": "f" * 40}), None),  # it failed
        (serving({"slipway-release": base36(5)}), None),  # a rollback makes no revision
        (serving({"slipway-release": base36(1)}), None),
        (serving({}), None),
        (serving({"other": "x"}), None),
        (serving({}, {"slipway-release": base36(3)}), 3),
        (Serving(), None),
        (Serving(services=(ServiceState(service="web", exists=False, labels={"": {"slipway-sha": "d" * 40}}),)), None),
    ],
)
def test_the_release_that_made_what_serves(state: Serving, expected: int | None) -> None:
    found = serving_entry(HISTORY, state)
    assert (found.deployment.id if found else None) == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (serving({"slipway-sha": "a"}, {"slipway-sha": "a"}), "a"),
        (serving({"slipway-sha": "a"}, {"slipway-sha": "b"}), ""),
        (serving({"slipway-sha": "a"}, {}), ""),
        (serving({}), ""),
        (Serving(), ""),
    ],
)
def test_the_sha_that_serves(state: Serving, expected: str) -> None:
    assert serving_sha(state) == expected


def test_usual_is_the_median_of_at_least_three_successes() -> None:
    fast, slow = ("success",), ("success", "a", "b", "c")
    history = [entry(1, *fast), entry(2, *slow), entry(3, *fast), entry(4, "failure"), entry(5, *slow, verb="rollback")]
    assert usual_seconds(history) == 60.0
    assert usual_seconds(history[:2]) == 0.0
    assert usual_seconds([]) == 0.0


def test_an_image_that_was_taken_is_read_back() -> None:
    taken = Artifact(digest="sha256:1", reference="r/shop@sha256:1", sha="a" * 40, reused=True)
    record = replace(RECORD, image="r/shop", promoted=taken, promoted_from="staging", sources={"acme/extras": "c" * 40})
    assert read_record(deployment(1, record=record)) == record


def test_when_it_was_verified() -> None:
    assert entry(1, "inactive", "success", "in_progress").verified_at == START + timedelta(minutes=2)
    assert entry(1, "failure", "in_progress").verified_at is None
    assert entry(1).verified_at is None
