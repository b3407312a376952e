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
from bot.sandbox.wire import Fault

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


# -- several sources ----------------------------------------------------------------------------------------
WORDS = "acme/words"
WORDS_TOKEN = "github_pat_sandbox2222222222222222222222"  # reads that repository only


def _overlaying(play: Play) -> None:
    """Let each build take a private repository in, which the run's own token may not read."""
    overlay = "build:\n  overlay: {context: shared, repos: [acme/words], args: {TONE: warm}}\n"
    play.world.configure(lambda text: text.replace("build:\n", overlay))
    play.notes["words"] = play.world.github.create_repository(
        WORDS, files={"greeting.html": "Welcome, stranger\n"}, private=True, author="lee"
    )
    play.shas["words"] = play.notes["words"].git.text("rev-parse", "refs/heads/main")
    play.world.github.add_token(WORDS_TOKEN, permissions={"contents": "read"}, repositories=[WORDS])


def _overlay(play: Play) -> None:
    """Release; then only the other repository moves on, and the same head is released again."""
    _overlaying(play)
    play.pull_request("overlaid")
    play.say("/deploy staging", extra={"SLIPWAY_SOURCES_TOKEN": WORDS_TOKEN})
    play.shas["words, later"] = play.notes["words"].commit(
        "main", {"greeting.html": "Welcome back\n"}, message="Greet old friends", author="lee"
    )
    play.say("/deploy staging", extra={"SLIPWAY_SOURCES_TOKEN": WORDS_TOKEN})


def _overlay_unread(play: Play) -> None:
    _overlaying(play)
    play.pull_request("overlaid")
    play.say("/deploy staging")


def _source_labels(play: Play) -> list[str]:
    """Return what the images that were pushed say of the other source, oldest first."""
    return [image.labels.get("slipway.source.acme.words", "") for image in looking.images(play.world)]


def _greetings(play: Play) -> list[str]:
    """Return the file that the images have of it, and the build argument that came with it, oldest first."""
    file = "app/shop/templates/shop/greeting.html"
    return [
        f"{image.env['SHOP_TONE']} {(image.root / file).read_text().strip()}" for image in looking.images(play.world)
    ]


# -- provenance ---------------------------------------------------------------------------------------------
def _attested(play: Play) -> None:
    play.world.configure(lambda text: text.replace("build:\n", "build:\n  provenance: true\n"))
    play.pull_request("feature")
    play.say("/deploy staging")


def _attested_unread(play: Play) -> None:
    """Let nobody have granted what reading it takes."""
    play.world.cloud.analysis.fail(Fault(route=r"^GET .*/occurrences$", kind="status", status=403, times=9))
    _attested(play)


def _verifiable(play: Play) -> str:
    """Return the source that the provenance of the image names, as a verifier wants it: without its generation."""
    (image,) = looking.images(play.world)
    (occurrence,) = [
        each for each in play.world.cloud.analysis.occurrences if each["resourceUri"].endswith(image.digest)
    ]
    material = occurrence["build"]["intotoStatement"]["slsaProvenance"]["materials"][0]["uri"]
    return f"--source-uri {material.partition('#')[0]} --builder-id"


# -- clean-up -----------------------------------------------------------------------------------------------
# What docs/how-to/keep-images.md tells to set.
POLICIES = {
    "delete-old": {"action": "DELETE", "condition": {"tagState": "ANY", "olderThan": "2592000s"}},
    "keep-released": {"action": "KEEP", "condition": {"tagState": "TAGGED", "tagPrefixes": ["released-"]}},
}
DAY = 86_400.0


def _clean_up(play: Play) -> None:
    """Release three heads to staging, of which the second also serves in production; then a month goes by."""
    play.world.configure(lambda text: text.replace("type: cloud_run\n", "type: cloud_run\n    keep_releases: 1\n"))
    play.release_main()
    play.pull_request("feature")
    play.say("/deploy staging")
    play.say("/deploy production", author="lee")
    play.branch("slow_start")
    play.number = play.repository.open_pull_request(head="slow_start", title="Warm the cache", author="dana")
    play.say("/deploy staging")
    play.world.console.set_cleanup_policies("shop", POLICIES)
    play.notes["deleted"] = play.world.cloud.registry.clean_up(at=play.world.clock() + 31 * DAY)


def _clean_up_refused(play: Play) -> None:
    """Let nobody have granted what tagging takes."""
    play.world.cloud.registry.fail(Fault(route=r"^POST .*/tags$", kind="status", status=403))
    play.pull_request("feature")
    play.say("/deploy staging")


def _tags_of_ours(play: Play) -> list[str]:
    """Return the environments of the tags that keep images, with the commits of those, by name."""
    store, names = play.world.cloud.images, {sha[:7]: name for name, sha in play.shas.items()}
    found = []
    for repository in store.repositories():
        for tag, digest in store.tags(repository).items():
            image = store.resolve(f"{repository}@{digest}")
            if tag.startswith("released-") and image is not None:
                found.append(f"{tag.split('-')[1]} {names[image.env['SHOP_VERSION']]}")
    return sorted(found)


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
    Scenario(
        name="overlay",
        summary="a second repository joins the build, as it is at that moment; when it moves on, so does the image",
        act=_overlay,
        expectations=(
            *COMMON,
            *ended("released", "released", run=0),
            *ended("released", "released"),
            *made(builds=2, deployments=2),
            *serves("overlaid"),
            *true(
                "sources that the images name",
                _source_labels,
                lambda play: [play.shas["words"], play.shas["words, later"]],
            ),
            *true("what the images greet with", _greetings, ["warm Welcome, stranger", "warm Welcome back"]),
            *says(lambda play: f"with `acme/words` at `{play.sha('words')}`", comments=2, comment=0),
            *says(lambda play: f"with `acme/words` at `{play.sha('words, later')}`", comments=2),
        ),
        instant=True,
    ),
    Scenario(
        name="overlay-unread",
        summary="a second repository joins the build, but no token that may read it was given: nothing is built",
        act=_overlay_unread,
        expectations=(
            *COMMON,
            *ended("failed", "not_found", exit_code=1),
            *nothing_changed(),
            *serves(""),
            *says("The repository acme/words, whose source joins the build, cannot be read", "`sources-token`"),
        ),
        instant=True,
    ),
    Scenario(
        name="provenance",
        summary="a build that asks for provenance has its builder, its format and how to verify it shown",
        act=_attested,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *made(builds=1, deployments=1),
            *serves("feature"),
            *says(
                "Provenance: `SLSA v0.1` by `https://cloudbuild.googleapis.com/GoogleHostedWorker@v0.3`",
                lambda play: f"slsa-verifier verify-image {looking.references(play.world)[0]} ",
                _verifiable,
            ),
        ),
        instant=True,
    ),
    Scenario(
        name="provenance-unread",
        summary="provenance that may not be read is said to be so, and the release is live all the same",
        act=_attested_unread,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *serves("feature"),
            *reacted("eyes", "rocket"),
            *says("Provenance: could not be read", never=("slsa-verifier",)),
        ),
        instant=True,
    ),
    Scenario(
        name="clean-up-keeps-releases",
        summary="a month later the registry's clean-up deletes images, but none of what is tagged as released",
        act=_clean_up,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *serves("slow_start"),
            *serves("feature", environment="production"),
            *true("what is tagged", _tags_of_ours, ["production feature", "staging slow_start"]),
            *true("images deleted", lambda play: len(play.notes["deleted"]), 1),
            *true(
                "images left",
                lambda play: [image.env["SHOP_VERSION"] for image in looking.images(play.world)],
                lambda play: [play.sha("feature"), play.sha("slow_start")],
            ),
            *true("nothing is told of it", lambda play: "clean-up" in play.last.summary, expected=False),
        ),
        instant=True,
    ),
    Scenario(
        name="clean-up-not-kept",
        summary="tags that the registry refuses to set are told in the summary, and the release is live all the same",
        act=_clean_up_refused,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *serves("feature"),
            *reacted("eyes", "rocket"),
            *true("what is tagged", _tags_of_ours, []),
            *true(
                "the summary tells",
                lambda play: (
                    "The tags that keep released images from clean-up are not as they should be" in play.last.summary
                ),
            ),
            *says(lambda play: f"🟢 `{play.sha('feature')}` is live on **staging**", never=("clean-up",)),
        ),
        instant=True,
    ),
)
