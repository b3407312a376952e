"""Scenarios about previews of pull requests, and about what is cleaned up."""

from __future__ import annotations

from typing import Any

from bot.sandbox.console import SAM
from bot.sandbox.github.model import Deployment
from bot.sandbox.google.cloud_run.services import RunService
from bot.sandbox.scenarios import looking
from bot.sandbox.scenarios.expectations import COMMON, deployments, ended, made, reacted, says, serves, true
from bot.sandbox.scenarios.model import Expectation, Play, Scenario
from bot.sandbox.wire import Act

WEB = "shop-web-staging"
PATCH = "^PATCH .*/services/{service}$"
LONG_AGO = "2026-01-01T00:00:00.000000Z"


# -- acting -----------------------------------------------------------------------------------------------------------
def with_previews(play: Play, settings: str) -> None:
    """Let staging have previews, then have main released there."""
    staging = "staging: {target: gcp, on: push"
    play.world.configure(lambda text: text.replace(staging, f"{staging}, previews: {settings}"))
    play.release_main()


def followed(play: Play, action: str) -> None:
    """Let the action run on what happened to the pull request, as docs/examples/previews.yml does."""
    run = play.repository.start_run(event="pull_request_target", pull=play.number)
    play.event("pull_request_target", play.repository.pull_request_payload(play.number, action), run=run)


def swept(play: Play) -> None:
    """Let the action run because a time has come."""
    play.event("schedule", play.repository.schedule_payload())


def _preview(play: Play) -> None:
    with_previews(play, "{env: {APP_ROLE: preview}, ttl: 1d}")
    play.pull_request("slow_pages")
    play.say("/preview create")


def _renewed(play: Play) -> None:
    with_previews(play, "{ttl: 1d, renew: push}")
    play.pull_request("feature")
    play.say("/preview create")
    with play.world.earlier(10.0):
        change = {"NOTES.md": "Featured products have a star.\n"}
        play.shas["newer"] = play.repository.commit("feature", change, message="Note the star", author="dana")
    followed(play, "synchronize")


def _closed(play: Play) -> None:
    with_previews(play, "{ttl: 1d}")
    play.pull_request("feature")
    play.say("/preview create")
    play.repository.close(play.number)
    followed(play, "closed")


def _closed_early(play: Play) -> None:
    """The pull request is closed while its preview is being rolled out: that event's run finds nothing to remove."""
    with_previews(play, "{ttl: 1d}")
    play.pull_request("feature")
    play.world.cloud.run.when(Act(route=PATCH, after=lambda _: play.repository.close(play.number)))
    play.say("/preview create")
    followed(play, "closed")


def _expired(play: Play) -> None:
    with_previews(play, "{ttl: 1s}")
    play.pull_request("feature")
    play.say("/preview create")
    swept(play)


def _does_not_serve(play: Play) -> None:
    with_previews(play, "{ttl: 1d}")
    number = play.pull_request("feature")
    play.say("/preview create")
    play.notes["meanwhile"] = looking.serving(play.world, "web", "staging")
    play.pull_request("slow_pages")
    play.say("/deploy staging")
    play.notes["preview"] = number


def _failed(play: Play) -> None:
    with_previews(play, "{ttl: 1d, verify: [{http: /health/, contains: everything new, deadline: 2s}]}")
    play.pull_request("feature")
    play.say("/preview create")
    play.say("/deploy staging")


def _cleaned(play: Play) -> None:
    """Three releases long ago, and one by somebody's hands; the fourth cleans up behind itself."""
    keep = "    type: cloud_run\n    keep_revisions: 1\n    keep_releases: 1\n"
    play.world.configure(lambda text: text.replace("    type: cloud_run\n", keep))
    play.release_main()
    play.pull_request("feature")
    for _ in range(2):
        play.say("/deploy staging")
    play.world.console.deploy(WEB, env={"BY": "hand"}, serve=False)
    for revision in web(play).revisions.values():
        revision.resource["createTime"] = LONG_AGO
    play.begin()
    play.say("/deploy staging")
    play.notes["kept"] = revisions(play)
    play.say("/rollback staging")


# -- looking ----------------------------------------------------------------------------------------------------------
def web(play: Play) -> RunService:
    """Return the public service."""
    found = looking.service(play.world, "web", "staging")
    assert found is not None, "nothing was released"
    return found


def revisions(play: Play) -> list[str]:
    """Return the revisions by what they are, oldest first: a commit, or somebody's."""
    shown = []
    for revision in web(play).revisions.values():
        by_hand = revision.resource["creator"] == SAM  # its labels are those of the template that Sam started from
        shown.append("by hand" if by_hand else looking.version_of(revision))
    return shown


def tags(play: Play) -> dict[str, str]:
    """Return the tags of previews, with the commit that each leads to."""
    found = {target.tag: looking.version_of(target.revision) for target in web(play).site.targets}
    return {tag: version for tag, version in found.items() if tag.startswith("pr-")}


def shows(play: Play, number: int = 0) -> str:
    """Return what answers at the address of a preview."""
    return looking.health(web(play).site.address(f"pr-{number or play.number}"))


def preview_of(play: Play) -> dict[str, Any]:
    """Return the template of the preview's revision."""
    found = [
        one.resource for one in web(play).revisions.values() if "slipway-preview" in one.resource.get("labels", {})
    ]
    return found[-1] if found else {}


def records(play: Play) -> list[str]:
    """Return the records of previews by their state, oldest first."""

    def shown(each: Deployment) -> str:
        return f"{each.environment} {each.state}{' transient' if each.transient else ''}"

    return [shown(each) for each in play.deployments() if "/" in each.environment]


def _up(sha: str, *, role: str = "web") -> tuple[Expectation, ...]:
    """Expect that the preview is up and shows a commit."""
    return (
        *true("the tag leads to", tags, lambda play: {f"pr-{play.number}": play.sha(sha)}),
        *true("the preview shows", shows, lambda play: f"200 {play.sha(sha)} {role}"),
    )


def _gone(why: str, *, again: bool) -> tuple[Expectation, ...]:
    """Expect that the preview is gone, and says so."""
    return (
        *true("tags of previews", tags, {}),
        *true("the preview shows", shows, "404"),
        *true("records", records, lambda play: [f"staging/pr-{play.number} inactive transient"]),
        *says(f"is gone: {why}", never=() if again else ("/preview create",)),
    )


SCENARIOS = (
    Scenario(
        name="preview",
        summary="`/preview create` runs a pull request's head beside what serves, at an address of its own",
        act=_preview,
        expectations=(
            *COMMON,
            *ended("done", "preview_up"),
            *made(builds=1, executions=0, deployments=1),
            *true("records", records, lambda play: [f"staging/pr-{play.number} success transient"]),
            *_up("slow_pages", role="preview"),
            *serves("main"),
            *true(
                "its revision says whose it is and until when",
                lambda play: sorted({*preview_of(play)["labels"], *preview_of(play)["annotations"]}),
                [
                    "slipway-environment",
                    "slipway-managed",
                    "slipway-preview",
                    "slipway-release",
                    "slipway-sha",
                    "slipway-until",
                ],
            ),
            *true(
                "the service's template is what serves",
                lambda play: web(play).resource["template"].get("labels", {}).get("slipway-preview"),
                None,
            ),
            *reacted("eyes", "rocket"),
            *says(
                lambda play: f"🟢 Preview of `{play.sha('slow_pages')}` beside **staging**",
                "It runs on the settings, secrets and data of **staging**, but for `APP_ROLE`.",
                "A push does not renew it.",
                "up until",
            ),
        ),
    ),
    Scenario(
        name="preview-renewed",
        summary="a push to the pull request's branch renews its preview, in the same comment",
        act=_renewed,
        expectations=(
            *COMMON,
            *ended("done", "preview_up"),
            *made(builds=2, executions=0, deployments=2),
            *true(
                "records",
                records,
                lambda play: [f"staging/pr-{play.number} {state} transient" for state in ("inactive", "success")],
            ),
            *_up("newer"),
            *serves("main"),
            *says(lambda play: f"🟢 Preview of `{play.sha('newer')}` beside **staging**", "A push renews it."),
        ),
        instant=True,
    ),
    Scenario(
        name="preview-closed",
        summary="the pull request is closed, and its preview goes with it",
        act=_closed,
        expectations=(
            *COMMON,
            *ended("done", "preview_removed"),
            *_gone("the pull request is closed.", again=False),
            *serves("main"),
        ),
        instant=True,
    ),
    Scenario(
        name="preview-closed-early",
        summary="the pull request is closed while its preview is being made: nothing is left behind",
        act=_closed_early,
        expectations=(
            *COMMON,
            *ended("done", "preview_removed", run=-2),
            *ended("done", "no_preview"),
            *true("tags of previews", tags, {}),
            *true("the preview shows", shows, "404"),
            *true("records", records, lambda play: [f"staging/pr-{play.number} inactive transient"]),
            *serves("main"),
            *says("was taken away at once", "The pull request was closed before its preview was finished."),
        ),
        instant=True,
    ),
    Scenario(
        name="preview-expired",
        summary="its time is over, and the sweep takes the preview away",
        act=_expired,
        expectations=(
            *COMMON,
            *ended("done", "swept"),
            *_gone("its time was over.", again=True),
            *serves("main"),
            *true("the summary tells", lambda play: "preview of pull request" in play.last.summary),
        ),
        instant=True,
    ),
    Scenario(
        name="preview-does-not-serve",
        summary="a preview gets no traffic, and a release of another pull request goes on beside it",
        act=_does_not_serve,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *true(
                "beside the preview served",
                lambda play: play.notes["meanwhile"],
                lambda play: f"{play.sha('main')} 100 %, answers 200 {play.sha('main')} web",
            ),
            *true("the preview's tag", tags, lambda play: {f"pr-{play.notes['preview']}": play.sha("feature")}),
            *true(
                "the preview shows",
                lambda play: shows(play, play.notes["preview"]),
                lambda play: f"200 {play.sha('feature')} web",
            ),
            *serves("slow_pages"),
        ),
        instant=True,
    ),
    Scenario(
        name="preview-failed",
        summary="a preview that does not answer as it should is taken away, and in nobody's way",
        act=_failed,
        expectations=(
            *COMMON,
            *ended("failed", "verification_failed", exit_code=1, run=1),
            *ended("released", "released"),
            *true("tags of previews", tags, {}),
            *serves("feature"),
            *true("records", records, lambda play: [f"staging/pr-{play.number} failure transient"]),
            *says(
                "🔴 No preview of",
                "after a fix: `/preview create staging`",
                "What serves on staging was not touched.",
                comments=2,
                comment=0,
            ),
        ),
        instant=True,
    ),
    Scenario(
        name="revisions-cleaned",
        summary="a release cleans up: old revisions of the bot's go, somebody else's stay, a rollback still works",
        act=_cleaned,
        expectations=(
            *COMMON,
            *true(
                "revisions after the release",
                lambda play: play.notes["kept"],
                lambda play: [play.sha("feature"), "by hand", play.sha("feature")],
            ),
            *true("the summary tells", lambda play: "revision `shop-web-staging-" in play.runs[-2].summary),
            *ended("released", "rolled_back"),
            *serves("feature"),
            *deployments("inactive", "success"),
        ),
        instant=True,
    ),
)
