"""Promotion: production takes what was verified on staging, by its digest, and builds nothing."""

from __future__ import annotations

from typing import Any

import pytest

from bot.core.outcome import Decision, Reason
from bot.core.serving import ServiceState, TrafficShare
from bot.errors import UpstreamError

CONFIG = ".github/slipway.yml", "main"
PLAIN = "production: {target: gcp, permissions: {deploy: admin}}"


def sha(number: int) -> str:
    return f"{number:07x}" + "0" * 33


@pytest.fixture
def shop(world: Any, make_target: Any) -> Any:
    """A world whose production promotes from staging, and runs elsewhere."""
    promoting = PLAIN.replace("{target", "{promote_from: {environment: staging, soak: 1h}, target")
    world.github.files[CONFIG] = world.github.files[CONFIG].replace(PLAIN, promoting)
    world.elsewhere["production"] = make_target("production.test")
    return world


def soak(shop: Any, minutes: float = 61) -> None:
    shop.clock.sleep(minutes * 60)


def test_the_very_digest_that_was_verified_is_taken(shop: Any) -> None:
    shop.released(7)
    soak(shop)
    outcome = shop.say("/promote production", author="ada")
    assert (outcome.decision, outcome.reason, outcome.sha) == (Decision.RELEASED, Reason.RELEASED, sha(7))
    production = shop.elsewhere["production"]
    assert production.images == {}
    assert {state.digest for state in production.live.values()} == {f"sha256:{sha(7)}"}
    record = shop.github.kept[-1].payload
    assert record["promoted"] == {
        "environment": "staging",
        "digest": f"sha256:{sha(7)}",
        "reference": f"europe-west1-docker.pkg.dev/acme/shop/shop@sha256:{sha(7)}",
    }
    assert (record["verb"], record["pull_request"]) == ("deploy", 0)
    assert "Take the image of staging" in shop.shown
    assert "the image of **staging**" in shop.shown
    assert outcome.result["release"]["digest"] == f"sha256:{sha(7)}"


def test_a_pull_requests_head_that_is_verified_there_may_be_deployed(shop: Any) -> None:
    shop.released(7)
    soak(shop)
    shop.pull(7)
    outcome = shop.say("/deploy production", author="ada")
    assert (outcome.decision, outcome.sha) == (Decision.RELEASED, sha(7))
    assert shop.elsewhere["production"].images == {}
    assert shop.github.kept[-1].payload["pull_request"] == 7


def test_it_may_be_said_on_an_issue_and_asks_for_no_pull_request(shop: Any) -> None:
    shop.released(7)
    soak(shop)
    outcome = shop.say("/promote production", author="ada", is_pull_request=False, number=40)
    assert outcome.decision is Decision.RELEASED
    assert not shop.log.named("pull_request")
    assert shop.github.thread(40)


@pytest.mark.parametrize(
    ("minutes", "reason", "said"),
    [
        (None, Reason.PROMOTION_UNVERIFIED, "`0000007` has not been verified on `staging`."),
        (12, Reason.PROMOTION_SOAKING, "of 60 minutes on `staging`."),
    ],
)
def test_what_is_not_ready_is_refused_before_any_cloud_is_asked(
    shop: Any, minutes: float | None, reason: Reason, said: str
) -> None:
    if minutes is not None:
        shop.released(7)
        soak(shop, minutes)
    shop.pull(7)
    shop.log.calls.clear()
    outcome = shop.say("/deploy production", author="ada")
    assert (outcome.decision, outcome.reason) == (Decision.REFUSED, reason)
    assert said in shop.shown
    assert "Nothing was changed" in shop.shown
    assert not shop.log.named("serving")
    assert not shop.log.named("create_deployment")


def test_a_command_in_the_same_comment_is_seen(shop: Any) -> None:
    """Staging's record is read anew: what the first command released is in it, and has not soaked."""
    outcome = shop.say("/deploy staging\n/deploy production", author="ada")
    assert (outcome.reason, outcome.environments) == (Reason.PROMOTION_SOAKING, ("staging",))


def test_what_was_rolled_back_there_is_refused(shop: Any) -> None:
    shop.released(6)
    shop.released(7)
    soak(shop)
    shop.say("/rollback staging", author="max")
    shop.pull(7)
    outcome = shop.say("/deploy production", author="ada")
    assert outcome.reason is Reason.PROMOTION_UNVERIFIED
    assert "was rolled back on `staging`" in shop.shown
    soak(shop)
    promoted = shop.say("/promote production", author="ada")
    assert (promoted.decision, promoted.sha) == (Decision.RELEASED, sha(6))


def test_what_is_rolled_back_there_meanwhile_is_refused(shop: Any) -> None:
    for number in (6, 7):
        shop.released(number)
    soak(shop)

    def rollback() -> None:
        shop.log.hooks.clear()
        assert shop.say("/rollback staging", author="max").reason is Reason.ROLLED_BACK

    shop.log.hooks["take_lock"] = rollback
    outcome = shop.say("/promote production", author="ada")
    assert (outcome.decision, outcome.reason) == (Decision.REFUSED, Reason.PROMOTION_UNVERIFIED)
    assert "`0000007` was rolled back on `staging`" in shop.shown
    assert shop.github.states("production") == []


def test_what_staging_no_longer_serves_is_taken_from_the_record(shop: Any) -> None:
    shop.released(7)
    soak(shop)
    shop.released(8)
    shop.pull(7)
    outcome = shop.say("/deploy production", author="ada")
    assert (outcome.decision, outcome.sha) == (Decision.RELEASED, sha(7))
    assert shop.elsewhere["production"].serves() == {sha(7)}


def test_what_somebody_has_changed_by_hand_is_not_taken(shop: Any) -> None:
    shop.released(7)
    soak(shop)
    shop.target.live["web"] = shop.target.live["worker"] = ServiceState(
        service="web", traffic=(TrafficShare(revision="by-hand", percent=100),), digests={"by-hand": "sha256:9"}
    )
    outcome = shop.say("/promote production", author="ada")
    assert (outcome.decision, outcome.reason) == (Decision.REFUSED, Reason.PROMOTION_UNAVAILABLE)
    assert "left serving there is not on record" in shop.shown


def test_why_staging_could_not_be_asked_is_told(shop: Any) -> None:
    shop.released(7)
    soak(shop)
    refused = UpstreamError("Google Cloud refused to get the service: no.", service="G", operation="get", status=403)
    shop.log.fail("serving", 1, refused)
    outcome = shop.say("/promote production", author="ada")
    assert outcome.reason is Reason.PROMOTION_UNAVAILABLE
    assert "It could not be asked either: Google Cloud refused to get the service: no." in shop.shown


def test_a_record_that_cannot_be_read_is_a_refusal(shop: Any) -> None:
    shop.released(7)
    soak(shop)
    shop.pull(7)

    def broken() -> None:
        if shop.log.calls[-1][1] == ("staging",):
            raise UpstreamError("GitHub answered 502.", service="GitHub", operation="deployments", status=502)

    shop.log.hooks["deployments"] = broken
    for command in ("/deploy production", "/promote production"):
        outcome = shop.say(command, author="ada")
        assert (outcome.decision, outcome.reason) == (Decision.REFUSED, Reason.PROMOTION_UNAVAILABLE)
        assert "The releases of `staging` could not be read." in shop.shown


def test_an_environment_that_promotes_from_nowhere(world: Any) -> None:
    outcome = world.say("/promote staging")
    assert (outcome.decision, outcome.reason) == (Decision.REFUSED, Reason.PROMOTION_UNAVAILABLE)
    assert "`staging` takes its image from no other environment." in world.shown


def test_who_may_deploy_there_may_promote(shop: Any) -> None:
    shop.released(7)
    soak(shop)
    outcome = shop.say("/promote production", author="dana")
    assert (outcome.decision, outcome.reason) == (Decision.REFUSED, Reason.FORBIDDEN)


def test_what_was_let_through_is_what_is_released(shop: Any) -> None:
    """In two jobs staging may be released in between: the commit that was shown is meant."""
    shop.released(7)
    soak(shop)
    event = shop.comment("/promote production", author="ada")
    ready = shop.handle(event, phase="command")
    assert (ready.decision, ready.sha, ready.environments) == (Decision.RELEASE, sha(7), ("production",))
    assert not shop.log.named("connect")
    shop.released(8)
    outcome = shop.handle(event, phase="release", environment="production", pinned_sha=ready.sha)
    assert (outcome.decision, outcome.sha) == (Decision.RELEASED, sha(7))


def test_a_run_that_died_goes_on_with_the_same_image(shop: Any) -> None:
    """What it took is in its own record: what staging serves by then does not matter."""
    shop.released(7)
    soak(shop)
    event = shop.comment("/promote production", author="ada")

    class KilledError(BaseException):
        pass

    def die() -> None:
        raise KilledError

    shop.log.hooks["apply"] = die
    with pytest.raises(KilledError):
        shop.handle(event)
    shop.log.hooks.clear()
    shop.target.live = {name: ServiceState(service=name, exists=False) for name in shop.target.live}
    outcome = shop.handle(event)
    assert outcome.decision is Decision.RELEASED
    assert {state.digest for state in shop.elsewhere["production"].live.values()} == {f"sha256:{sha(7)}"}
    assert shop.github.states("production") == ["success"]


def test_a_dry_run_says_where_the_image_comes_from(shop: Any) -> None:
    shop.released(7)
    soak(shop)
    outcome = shop.say("/promote production --dry-run", author="ada")
    assert outcome.reason is Reason.PLAN_SHOWN
    assert "Take the image of staging" in shop.shown
    assert "`/promote production @0000007 --plan=" in shop.shown
    assert not shop.log.named("create_deployment")


def test_by_hand_the_same_holds(shop: Any) -> None:
    shop.released(7)
    soak(shop)
    outcome = shop.handle(shop.dispatch("ada"), command="promote", environment="production")
    assert (outcome.decision, outcome.sha) == (Decision.RELEASED, sha(7))
    wrong = shop.handle(shop.dispatch("ada"), command="promote", environment="production", pinned_sha=sha(9))
    assert (wrong.decision, wrong.reason, wrong.exit_code) == (Decision.REFUSED, Reason.HEAD_MOVED, 1)
