"""Scenarios about images: taken from elsewhere, made of several sources, attested, kept."""

from __future__ import annotations

from bot.sandbox.scenarios import looking
from bot.sandbox.scenarios.expectations import (
    COMMON,
    ended,
    made,
    nothing_changed,
    reacted,
    says,
    serves,
    spared,
    true,
)  # fmt: skip
from bot.sandbox.scenarios.model import Play, Scenario

PRODUCTION = "  production: {target: gcp, permissions: {deploy: admin}}"


# -- promotion ----------------------------------------------------------------------------------------------
def _promoting(play: Play, rule: str = "staging") -> None:
    """Let production take its image from staging."""
    promoting = PRODUCTION.replace("{target: gcp,", f"{{target: gcp, promote_from: {rule},")
    play.world.configure(lambda text: text.replace(PRODUCTION, promoting))


def _promote(play: Play) -> None:
    """Verify a pull request's head on staging; then somebody promotes it, on another thread."""
    _promoting(play)
    with play.world.earlier(60):  # a comment means what was verified before it
        play.pull_request("feature")
        play.say("/deploy staging")
    play.begin()
    play.branch("broken_health")
    play.number = play.repository.open_pull_request(head="broken_health", title="Count products", author="lee")
    play.say("/promote production", author="lee")


def _promote_unverified(play: Play) -> None:
    _promoting(play)
    play.release_main()
    play.pull_request("feature")
    play.say("/deploy production", author="lee")


def _promote_soaking(play: Play) -> None:
    _promoting(play, "{environment: staging, soak: 1h}")
    play.pull_request("feature")
    play.say("/deploy staging")
    play.begin()
    play.say("/deploy production", author="lee")


SCENARIOS = (
    Scenario(
        name="promote",
        summary="what is verified on staging is promoted to production: the very image, and nothing is built",
        act=_promote,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *made(builds=0, executions=1, deployments=1),
            *true(
                "deployments",
                lambda play: [f"{each.environment} {each.state}" for each in play.deployments()],
                ["production success"],
            ),
            *serves("feature"),
            *serves("feature", environment="production"),
            *true(
                "one digest everywhere",
                lambda play: len(looking.digests(play.world, "staging") | looking.digests(play.world, "production")),
                1,
            ),
            *reacted("eyes", "rocket"),
            *says(
                lambda play: f"🟢 `{play.sha('feature')}` is live on **production**",
                "the image of **staging**",
                "Take the image of staging",
            ),
        ),
        instant=True,
    ),
    Scenario(
        name="promote-unverified",
        summary="production takes its image from staging, where this head was never verified: nothing is built for it",
        act=_promote_unverified,
        expectations=(
            *COMMON,
            *ended("refused", "promotion_unverified"),
            *nothing_changed(),
            *serves("main"),
            *serves("", environment="production"),
            *reacted("eyes", "-1"),
            *says(
                lambda play: f"`{play.sha('feature')}` has not been verified on `staging`",
                "`/deploy staging` first",
                "Nothing was changed",
            ),
            *spared("run", "cloudbuild"),
        ),
        instant=True,
    ),
    Scenario(
        name="promote-soaking",
        summary="what is verified on staging has to stay there for an hour before production may have it",
        act=_promote_soaking,
        expectations=(
            *COMMON,
            *ended("refused", "promotion_soaking"),
            *nothing_changed(),
            *serves("feature"),
            *serves("", environment="production"),
            *reacted("eyes", "-1"),
            *says(
                lambda play: f"`{play.sha('feature')}` has soaked 0 of 60 minutes on `staging`",
                "`/deploy production`",
                comments=2,
            ),
        ),
        instant=True,
    ),
)
