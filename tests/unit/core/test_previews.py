"""What a preview is made of, and what is written down of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.checks import HttpCheck
from bot.core.facts import Deployment, DeploymentStatus
from bot.core.plan import Build, Plan, Rollout, Verify
from bot.core.previews import (
    Kept,
    PreviewRecord,
    Previews,
    kept,
    moment,
    number_in,
    place_of,
    plans,
    read_preview,
    said,
    tag_of,
    until_said,
)
from bot.core.resolve import Environment

Make = Callable[..., Environment]
START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
UNTIL = datetime(2026, 3, 5, 12, 0, tzinfo=UTC).timestamp()
RECORD = PreviewRecord(
    id="7-1", number=7, environment="staging", sha="a" * 40, actor="dana", run_id=5, run_attempt=1, until=UNTIL,
    comment_id=9,
)  # fmt: skip


def deployment(*statuses: tuple[str, str], payload: Any = None) -> Deployment:
    """Newest status first, as (state, description)."""
    return Deployment(
        id=1,
        sha="a" * 40,
        ref="x",
        environment="staging/pr-7",
        payload=RECORD.to_payload() if payload is None else payload,
        created_at=START,
        statuses=tuple(
            DeploymentStatus(state=state, description=text, created_at=START + timedelta(minutes=-place))
            for place, (state, text) in enumerate(statuses)
        ),
    )


def of(make: Make, previews: str = "{}", **over: str) -> Previews:
    found = make(staging=f"previews: {previews}", **over).previews
    assert found is not None
    return found


# -- settings ---------------------------------------------------------------------------------------------------------
def test_without_previews_there_are_none(make_environment: Make) -> None:
    assert make_environment().previews is None
    assert make_environment("legacy").previews is None


@pytest.mark.parametrize(
    ("over", "previews", "expected"),
    [
        ({}, "{}", ["web", "worker"]),  # none is public: all that take requests
        ({"web": "{public: true}"}, "{}", ["web"]),
        ({"web": "{public: true}"}, "{services: worker}", ["worker"]),
        ({"worker": "{kind: worker_pool}"}, "{}", ["web"]),
        ({"target": "env: {A: x}"}, "{services: [worker, web]}", ["web", "worker"]),
    ],
)
def test_its_services(make_environment: Make, over: dict[str, str], previews: str, expected: list[str]) -> None:
    found = of(make_environment, previews, **over)
    assert [one.key for one in found.spec.services] == expected
    assert found.spec.jobs == ()


def test_it_is_in_the_first_region_alone(make_config: Any) -> None:
    from bot.core.resolve import resolve  # noqa: PLC0415

    config = make_config(staging="previews: {}, region: [r, s]")
    environment = resolve(config, "staging", repository="acme/shop", sha="a" * 40, variables={})
    assert len(environment.services) == 4
    assert environment.previews is not None
    assert [one.key for one in environment.previews.spec.services] == ["web", "worker"]


def test_its_own_settings_lie_over_the_environments(make_environment: Make) -> None:
    found = of(
        make_environment,
        "{env: {MODE: 'preview-{short_sha}', TOKEN: none}, secrets: {DB: {name: scratch, version: 2}}}",
        web="{env: {MODE: live, KEEP: x}, secrets: {TOKEN: token, DB: live-db}}",
    )
    config = found.spec.service("web").config
    assert dict(config.env) == {"KEEP": "x", "MODE": "preview-4f9a1c2", "TOKEN": "none"}
    assert {name: (ref.name, ref.version) for name, ref in config.secrets.items()} == {"DB": ("scratch", "2")}
    assert found.differs == ("MODE", "TOKEN", "DB")


def test_a_secret_takes_the_place_of_a_variable(make_environment: Make) -> None:
    config = of(make_environment, "{secrets: {DB: scratch}}", web="{env: {DB: sqlite}}").spec.service("web").config
    assert "DB" not in config.env
    assert config.secrets["DB"].name == "scratch"


@pytest.mark.parametrize(
    ("verify", "previews", "expected"),
    [
        ("[]", "{}", []),
        ("[{http: /a}, {http: /b, when: live}, {http: /c, when: candidate, service: worker}]", "{}", ["web /a", "worker /c"]),
        ("[{http: /a}, {http: /c, service: worker}]", "{services: web}", ["web /a"]),
        ("[{http: /a, service: worker}]", "{services: web}", []),
        ("[{iam: web}, {http: 'https://x/'}]", "{}", []),
        ("[{http: /a}]", "{verify: [{http: /b, when: live}]}", ["web /b"]),
        ("[{http: /a}]", "{verify: []}", []),
        ("[]", "{services: worker, verify: [{http: /b}]}", ["worker /b"]),
    ],
)  # fmt: skip
def test_what_it_must_answer(make_environment: Make, verify: str, previews: str, expected: list[str]) -> None:
    checks = of(make_environment, previews, verify=verify).checks
    assert [check.name for check in checks] == expected
    assert all(isinstance(check, HttpCheck) for check in checks)


def test_how_long_and_how_many(make_environment: Make) -> None:
    usual = of(make_environment)
    assert (usual.ttl, usual.limit, usual.on_push) == (3 * 86400.0, 10, False)
    special = of(make_environment, "{ttl: 2h, max: 1, renew: push}")
    assert (special.ttl, special.limit, special.on_push) == (7200.0, 1, True)


def test_what_is_done(make_environment: Make) -> None:
    found = of(make_environment, verify="[{http: /}]")
    building, rolling, checking = plans(found, build_timeout=9.0, rollout_timeout=8.0)
    assert building == Plan(steps=(Build(timeout=9.0),), undo=False)
    assert [(type(step), step.id) for step in rolling.steps] == [(Rollout, "rollout-web"), (Rollout, "rollout-worker")]
    assert checking.steps == (Verify(id="verify-preview", phase="candidate", checks=found.checks),)
    assert not any(plan.undo for plan in (building, rolling, checking))


def test_without_checks_there_is_nothing_to_check(make_environment: Make) -> None:
    assert plans(of(make_environment), build_timeout=9.0, rollout_timeout=8.0)[2].steps == ()


# -- names ------------------------------------------------------------------------------------------------------------
def test_names_lead_there_and_back() -> None:
    assert tag_of(7) == "pr-7"
    assert place_of("staging", 7) == "staging/pr-7"
    assert number_in("staging/pr-7", "staging") == 7


@pytest.mark.parametrize(
    "place", ["staging", "staging/pr-", "staging/pr-0", "staging/pr-7x", "other/pr-7", "pr-7", "/pr-7"]
)
def test_other_names_lead_nowhere(place: str) -> None:
    assert number_in(place, "staging") == 0


# -- the record -------------------------------------------------------------------------------------------------------
def test_a_record_survives_githubs_json() -> None:
    assert read_preview(deployment(payload=json.loads(json.dumps(RECORD.to_payload())))) == RECORD


@pytest.mark.parametrize(
    "change",
    [
        {"slipway": 2},
        {"verb": "deploy"},
        {"pull_request": "x"},
        {"until": "tomorrow"},
        {"until": "2026-03-05T12:00:00"},
        {"run_id": None},
        {"sha": None, "id": None, "until": 7},
    ],
)
def test_what_is_no_record_of_a_preview(change: dict[str, Any]) -> None:
    payload = {**RECORD.to_payload(), **change}
    assert read_preview(deployment(payload=payload)) is None
    assert kept([deployment(payload=payload), deployment(payload={})]) == ()


@given(st.dictionaries(st.sampled_from(list(RECORD.to_payload())), st.none() | st.integers() | st.text(max_size=4)))
def test_any_payload_is_a_record_or_none(change: dict[str, Any]) -> None:
    found = read_preview(deployment(payload={**RECORD.to_payload(), **change}))
    assert found is None or isinstance(found, PreviewRecord)


@pytest.mark.parametrize(
    ("statuses", "state", "over", "finished"),
    [
        ((), "pending", False, False),
        ((("in_progress", ""),), "in_progress", False, False),
        ((("success", ""), ("in_progress", "")), "success", False, True),
        ((("failure", ""),), "failure", False, True),
        ((("inactive", ""), ("success", "")), "inactive", True, True),
    ],
)
def test_how_it_went(statuses: Any, state: str, over: bool, finished: bool) -> None:
    one = Kept(deployment=deployment(*statuses), record=RECORD)
    assert (one.state, one.over, one.finished) == (state, over, finished)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ((), UNTIL),
        ((("success", "It is up."),), UNTIL),
        ((("success", until_said(UNTIL + 60)), ("success", until_said(UNTIL))), UNTIL + 60),
        ((("success", "Up until tomorrow"), ("success", until_said(UNTIL + 5))), UNTIL + 5),
        ((("failure", until_said(UNTIL + 60)),), UNTIL),  # only what was up was extended
    ],
)
def test_until_when_it_lives(statuses: Any, expected: float) -> None:
    assert Kept(deployment=deployment(*statuses), record=RECORD).until == expected


@given(st.integers(min_value=0, max_value=4_000_000_000))
def test_times_are_written_and_read(seconds: int) -> None:
    assert moment(said(seconds)) == seconds
    told = Kept(deployment=deployment(("success", until_said(seconds))), record=replace(RECORD, until=1.0))
    assert told.until == seconds
