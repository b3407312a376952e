from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.core.checks import ExposureCheck, HttpCheck, JobCheck, ServingCheck
from bot.core.facts import Deployment, DeploymentStatus
from bot.core.outcome import Reason, Refusal
from bot.core.partial import services_named
from bot.core.questions import log_severity, log_since, settled, wanted
from bot.core.record import Entry, Record
from bot.core.serving import ServiceState, Serving, TrafficShare

SHA = "a" * 40


@pytest.mark.parametrize(("text", "seconds"), [("", 900), ("90s", 90), ("1h30m", 5400), ("1d", 86_400), ("60", 60)])
def test_how_far_back(text: str, seconds: float) -> None:
    assert log_since(text) == seconds


@pytest.mark.parametrize("text", ["0s", "25h", "-5m", "tomorrow", "9" * 5000])
def test_no_time_to_look_back(text: str) -> None:
    refusal = log_since(text)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.BAD_ARGUMENTS


@pytest.mark.parametrize(("text", "found"), [("", "error"), ("Warning", "warning"), ("DEFAULT", "default")])
def test_severities(text: str, found: str) -> None:
    assert log_severity(text) == found


@pytest.mark.parametrize(("text", "guess"), [("warn", "error"), ("eror", "error"), ('error" OR "x', "error")])
def test_no_severity(text: str, guess: str) -> None:
    refusal = log_severity(text)
    assert isinstance(refusal, Refusal)
    assert refusal.next == f"`/logs … --severity={guess}`"


KNOWN = ("web", "worker", "web@europe-west1")


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ((), KNOWN),
        (("web",), ("web", "web@europe-west1")),
        (("web@europe-west1",), ("web@europe-west1",)),
        (("worker", "web"), KNOWN),
    ],
)
def test_services(named: tuple[str, ...], found: tuple[str, ...]) -> None:
    assert services_named(named, KNOWN, "staging", verb="logs") == found


@pytest.mark.parametrize(("name", "next_"), [("wbe", "`/logs staging web`"), ("frontend", "")])
def test_no_service(name: str, next_: str) -> None:
    refusal = services_named((name,), KNOWN, "staging", verb="logs")
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.next) == (Reason.UNKNOWN_SERVICE, next_)


def test_what_serves_is_not_given_the_time_of_a_release_and_no_job_is_run() -> None:
    http = HttpCheck(name="health", url="/", passes=3, interval=2.0, deadline=600.0)
    short = HttpCheck(name="quick", url="/", deadline=2.0)
    access = ExposureCheck(name="access", service="web", public=True)
    kept, left = settled(
        (
            http,
            short,
            ServingCheck(name="serving", services=("web",)),
            access,
            JobCheck(name="smoke", job="smoke", timeout=60),
        )
    )
    assert [getattr(check, "deadline", None) for check in kept] == [11.0, 2.0, 5.0, None]
    assert left == ("smoke",)


# -- what should serve ------------------------------------------------------------------------------------------------
def entry(
    number: int = 36, verb: Any = "deploy", goal: int = 0, *, sha: str = SHA, only: tuple[str, ...] = ()
) -> Entry:
    record = Record(
        id="1",
        verb=verb,
        sha=sha,
        actor="dana",
        run_id=1,
        run_attempt=1,
        plan=(),
        before=Serving(),
        goal=goal,
        services=only,
    )
    deployment = Deployment(
        id=number,
        sha=sha,
        ref=sha,
        environment="staging",
        payload={},
        created_at=datetime(2026, 3, 2, tzinfo=UTC),
        statuses=(DeploymentStatus(state="success"),),
    )
    return Entry(deployment=deployment, record=record)


def state(name: str, digest: str, *, key: str = "", sha: str = "", revision: str = "") -> ServiceState:
    revision = revision or f"shop-{name}-aaaaaaa-{key or '1'}"
    labels = {"slipway-release": key, "slipway-sha": sha}
    return ServiceState(
        service=name,
        traffic=(TrafficShare(revision=revision, percent=100),),
        digests={revision: digest},
        labels={revision: {label: value for label, value in labels.items() if value}},
    )


def test_each_service_should_serve_the_releases_image() -> None:
    serving = Serving(services=(state("web", "d1", key="10"), state("worker", "d0", key="z")))
    found = wanted((entry(36),), serving, SHA)
    assert found.digests == {"web": "d1", "worker": "d1"}
    assert found.revisions == {"web": "shop-web-aaaaaaa-10"}


def test_what_was_made_by_hand_is_not_the_releases_own_though_its_labels_say_so() -> None:
    by_hand = state("web", "d2", key="10", revision="shop-web-00007-abc")
    found = wanted((entry(36),), Serving(services=(by_hand, state("worker", "d1", key="10"))), SHA)
    assert found.digests == {"web": "d1", "worker": "d1"}
    assert set(found.revisions) == {"worker"}


def test_a_rollback_should_have_brought_back_what_another_release_made() -> None:
    serving = Serving(services=(state("web", "d1", key="z"),))
    assert wanted((entry(36, verb="rollback", goal=35),), serving, SHA).digests == {"web": "d1"}
    assert wanted((entry(36),), serving, SHA).digests == {"web": ""}


def test_without_labels_of_releases_the_commit_tells() -> None:
    serving = Serving(services=(state("app", "slug", sha=SHA),))
    assert wanted((entry(),), serving, SHA).digests == {"app": "slug"}
    assert wanted((entry(sha="b" * 40),), serving, "b" * 40).digests == {"app": ""}


OLD = "b" * 40
MIXED = Serving(services=(state("web", "d2", key="11"), state("worker", "d1", key="10")))


@pytest.mark.parametrize(
    ("past", "digests", "others"),
    [
        # 37 was of the web alone: the worker is held to 36.
        ((entry(37, only=("web",)), entry(36, sha=OLD)), {"web": "d2", "worker": "d1"}, ("worker",)),
        ((entry(37, only=("web",)), entry(36)), {"web": "d2", "worker": "d1"}, ()),
        ((entry(37, only=("web",)),), {"web": "d2"}, ()),
        # Brought back to what 37 left, and to what 36 did: then the web should have its image, too.
        (
            (entry(38, verb="rollback", goal=37), entry(37, only=("web",)), entry(36, sha=OLD)),
            {"web": "d2", "worker": "d1"},
            ("worker",),
        ),
        (
            (entry(38, verb="rollback", goal=36, sha=OLD), entry(37, only=("web",)), entry(36, sha=OLD)),
            {"web": "d1", "worker": "d1"},
            (),
        ),
    ],
)
def test_a_service_should_serve_the_newest_release_that_was_of_it(
    past: tuple[Entry, ...], digests: dict[str, str], others: tuple[str, ...]
) -> None:
    found = wanted(past, MIXED, past[0].record.sha)
    assert (found.digests, found.others) == (digests, others)


def test_without_a_record_all_should_serve_one_image() -> None:
    serving = Serving(services=(ServiceState(service="gone", exists=False), state("web", "d1"), state("worker", "d2")))
    found = wanted((), serving, "")
    assert set(found.digests.values()) == {"d1"}
    assert found.revisions == {}
