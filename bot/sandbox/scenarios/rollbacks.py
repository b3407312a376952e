"""Scenarios of going back: to a release that is named, with its secrets, and what pushes may do afterwards."""

from __future__ import annotations

from typing import Any

from bot.sandbox.scenarios import looking
from bot.sandbox.scenarios.expectations import COMMON, ended, made, nothing_changed, says, serves, true
from bot.sandbox.scenarios.model import Play, Scenario


def release(play: Play, variant: str) -> None:
    """Release a change from its own pull request; it is the thread to look at from now on."""
    play.pull_request(variant)
    ran = play.say("/deploy staging")
    if ran.outputs.get("decision") != "released":
        raise RuntimeError(f"{variant} was not released: {ran.outputs}\n{ran.stderr}")


def holds(play: Play) -> list[str]:
    """Return the environments on hold."""
    prefix = "refs/slipway/holds/"
    return [name.removeprefix(prefix) for name in play.repository.refs(prefix)]


# -- to a release that is named -----------------------------------------------------------------------------
def _to(play: Play) -> None:
    play.release_main()
    release(play, "feature")
    release(play, "slow_pages")
    play.begin()
    play.say(f"/rollback staging --to={play.sha('main')}")


def _to_unverified(play: Play) -> None:
    play.release_main()
    play.pull_request("broken_health")
    play.say("/deploy staging")
    release(play, "feature")
    play.begin()
    play.say(f"/rollback staging --to={play.sha('broken_health')}")


# -- holds --------------------------------------------------------------------------------------------------
def _hold(play: Play) -> None:
    play.release_main()
    release(play, "feature")
    play.say('/rollback staging --reason="orders are lost"')
    play.begin()
    _merge(play)


def _merge(play: Play) -> None:
    """Merge the pull request, which is a push to main."""
    play.shas["merge"] = play.repository.merge(play.number, actor="lee")
    play.repository.check_run(play.shas["merge"], name="ci", conclusion="success")
    play.event("push", play.repository.push_payload(actor="lee"), actor="lee")


def _unlocked(play: Play) -> None:
    """The trap: a rollback leaves the traffic pinned to its revision. What is released afterwards has to serve."""
    play.release_main()
    release(play, "feature")
    play.say("/rollback staging")
    play.say("/unlock staging")
    play.begin()
    _merge(play)


# -- secrets ------------------------------------------------------------------------------------------------
def _pin(text: str) -> str:
    name = 'DJANGO_SECRET_KEY: "shop-secret-key{suffix}"'
    return text.replace(name, 'DJANGO_SECRET_KEY: {name: "shop-secret-key{suffix}", version: pin}')


def key_of(play: Play, name: str = "web") -> str:
    """Return the version of the secret key that a service's serving revision starts with."""
    found = looking.service(play.world, name, "staging")
    assert found is not None
    revision = next(target.revision for target in found.site.targets if target.percent)
    variables: list[dict[str, Any]] = revision.template["containers"][0]["env"]
    refs = {each["name"]: each["valueSource"]["secretKeyRef"]["version"] for each in variables if "valueSource" in each}
    return str(refs["DJANGO_SECRET_KEY"])


def _secrets(play: Play) -> None:
    play.world.configure(_pin)
    play.release_main()
    play.world.cloud.secrets.put("shop-secret-key-staging", b"key-of-staging, the second")
    release(play, "feature")
    play.notes["key of the release"] = key_of(play)
    play.say("/rollback staging")
    play.notes["key after the rollback"] = key_of(play)
    play.say("/status staging")


SCENARIOS = (
    Scenario(
        name="rollback-to",
        summary="`/rollback staging --to=SHA` brings back a recorded release, two further back",
        act=_to,
        expectations=(
            *COMMON,
            *ended("released", "rolled_back"),
            *made(builds=0, executions=0, deployments=1),
            *serves("main"),
            *true("on hold", holds, ["staging"]),
            *says(lambda play: f"🟢 **staging** is back on `{play.sha('main')}`", "**On hold:**", comments=2),
        ),
        instant=True,
    ),
    Scenario(
        name="rollback-to-unverified",
        summary="the release that is named was never verified: it is not brought back",
        act=_to_unverified,
        expectations=(
            *COMMON,
            *ended("refused", "nothing_to_roll_back_to"),
            *nothing_changed(),
            *serves("feature"),
            *says("was never verified on `staging`", comments=2),
        ),
    ),
    Scenario(
        name="rollback-holds-pushes",
        summary="after a rollback a push to main is not released, until somebody unlocks",
        act=_hold,
        expectations=(
            *COMMON,
            *ended("refused", "on_hold"),
            *nothing_changed(),
            *serves("main"),
            *true("on hold", holds, ["staging"]),
            *true("the reason is told", lambda play: "orders are lost" in play.last.stdout),
        ),
        instant=True,
    ),
    Scenario(
        name="release-after-rollback",
        summary="after a rollback and an unlock a push is released, and it really serves",
        act=_unlocked,
        expectations=(
            *COMMON,
            *ended("done", "unlocked", run=-2),
            *ended("released", "released"),
            *serves("merge"),
            *true("on hold", holds, []),
            *says(lambda play: f"🟢 `{play.sha('merge')}` is live on **staging**", comments=4),
        ),
        instant=True,
    ),
    Scenario(
        name="secrets-pinned",
        summary="a release pins the newest version of a secret, a rollback brings the older one back, the status tells",
        act=_secrets,
        expectations=(
            *COMMON,
            *serves("main"),
            *true("key of the release", lambda play: play.notes["key of the release"], "2"),
            *true("key after the rollback", lambda play: play.notes["key after the rollback"], "1"),
            *says("`shop-secret-key-staging` serves in version 1, the newest is 2", comments=3),
        ),
        instant=True,
    ),
)
