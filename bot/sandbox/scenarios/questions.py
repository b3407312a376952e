"""Scenarios of questions that only the clouds can answer. They change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from bot.sandbox.google.logging import Logging
from bot.sandbox.scenarios import looking
from bot.sandbox.scenarios.expectations import (
    COMMON,
    ended,
    nothing_changed,
    reacted,
    says,
    serves,
    spared,
    true,
)
from bot.sandbox.scenarios.model import Expectation, Play, Scenario
from bot.sandbox.scenarios.rollbacks import release
from bot.sandbox.world import TOKEN

PLANTED = "ghp_planted0000000000000000000000000000"


def _verified(play: Play) -> None:
    """Ask in the form with two jobs: the first lets it through, the second one answers."""
    play.release_main()
    play.pull_request("feature")
    comment = play.repository.comment(play.number, "/verify staging", author="dana")
    play.event("issue_comment", comment, extra={"SLIPWAY_PHASE": "command"})
    play.notes["said by the first"] = len(play.comments())
    play.notes["clouds that the first asked"] = play.made()["calls to run"]
    play.event("issue_comment", comment, extra={"SLIPWAY_PHASE": "ask"})


def _drifted(play: Play) -> None:
    """Somebody puts the former revision of web back by hand, past the bot."""
    play.release_main()
    web = looking.service(play.world, "web", "staging")
    assert web is not None
    former = list(web.site.targets)
    release(play, "feature")
    web.site.serve(former)
    web.resource["trafficStatuses"] = [
        {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": one.revision.name, "percent": one.percent}
        for one in former
        if one.percent
    ]
    play.pull_request("slow_pages")
    play.begin()
    play.say("/verify staging")


def _logged(*, private: bool) -> Callable[[Play], None]:
    """The shop logs an error, and with it what nobody may see."""

    def act(play: Play) -> None:
        play.release_main()
        play.pull_request("feature")
        play.repository.private = private
        web = looking.service(play.world, "web", "staging")
        assert web is not None
        labels = {
            "service_name": web.name,
            "revision_name": web.site.targets[0].revision.name,
            "location": play.world.cloud.region,
        }
        for text in ("ValueError: no such basket", f"sent {PLANTED} and {TOKEN}"):
            cast("Logging", play.world.services["logging"]).sink(
                {
                    "logName": f"projects/{play.world.cloud.project}/logs/run.googleapis.com%2Fstderr",
                    "resource": {"type": "cloud_run_revision", "labels": labels},
                    "severity": "ERROR",
                    "textPayload": text,
                }
            )
        play.say("/logs staging web")

    return act


def _doctor(**extra: str) -> Callable[[Play], None]:
    def act(play: Play) -> None:
        play.release_main()
        play.pull_request("feature")
        play.say("/doctor", extra=extra)

    return act


def _asked(decision: str, reason: str, *words: str) -> tuple[Expectation, ...]:
    return (*COMMON, *ended(decision, reason), *nothing_changed(), *serves("main"), *reacted("eyes", *words))


SCENARIOS = (
    Scenario(
        name="verify",
        summary="`/verify` in two jobs: the checks of what serves, as after a release; nothing is changed",
        act=_verified,
        expectations=(
            *_asked("answered", "verified", "rocket"),
            *ended("ask", "ready", run=-2),
            *true("said by the first job", lambda play: play.notes["said by the first"], 0),
            *true("clouds that the first job asked", lambda play: play.notes["clouds that the first asked"], 0),
            *says(
                lambda play: f"✅ `{play.sha('main')}` serves on **staging** as expected", "| ✅ |", never=("| ❌ |",)
            ),
        ),
        instant=True,
    ),
    Scenario(
        name="verify-drift",
        summary="`/verify` after somebody has put a former revision back by hand: what was expected and found",
        act=_drifted,
        expectations=(
            *COMMON,
            *ended("answered", "not_as_expected"),
            *nothing_changed(),
            *serves("main", "feature", digests=2),
            *reacted("eyes", "confused"),
            *says("**staging** is not as expected", "web serves the release", "| ❌ |"),
        ),
        instant=True,
    ),
    Scenario(
        name="logs",
        summary="`/logs` in a private repository: the newest lines of what serves, without the secrets in them",
        act=_logged(private=True),
        expectations=(
            *_asked("answered", "logs_shown", "rocket"),
            *says(
                "ERROR ValueError: no such basket", "sent *** and ***", "[all of it](https://console", never=(PLANTED,)
            ),
        ),
        instant=True,
    ),
    Scenario(
        name="logs-in-public",
        summary="`/logs` in a public repository: a link to the console, and not one line",
        act=_logged(private=False),
        expectations=(
            *_asked("answered", "logs_shown", "rocket"),
            *spared("logging"),
            *says("Only links", "[all of it](https://console", never=("basket", PLANTED)),
        ),
        instant=True,
    ),
    Scenario(
        name="doctor",
        summary="`/doctor`: everything that a release needs is there",
        act=_doctor(),
        expectations=(
            *_asked("answered", "examined", "rocket"),
            *says("Everything is there", "| legacy | the app `shop-legacy` |", "may be changed", never=("| ❌ |",)),
        ),
        instant=True,
    ),
    Scenario(
        name="doctor-without-an-identity",
        summary="`/doctor` in a job without `id-token: write` and without Heroku's key: what to do about either",
        act=_doctor(ACTIONS_ID_TOKEN_REQUEST_URL="", ACTIONS_ID_TOKEN_REQUEST_TOKEN="", HEROKU_API_KEY=""),
        expectations=(
            *_asked("answered", "trouble_found", "confused"),
            *spared("sts", "run", "heroku"),
            *says("3 things to mend", "`permissions: id-token: write`", "`heroku-api-key`"),
        ),
        instant=True,
    ),
)
