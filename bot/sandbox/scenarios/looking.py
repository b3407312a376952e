"""Looks at the end state of a world: what serves, what was said, what is left, and what must not be seen."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, cast

from bot.sandbox.google.cloud_build import CloudBuild
from bot.sandbox.google.cloud_run.revisions import Revision
from bot.sandbox.google.cloud_run.services import RunService
from bot.sandbox.google.cloud_run.worker_pools import Pool
from bot.sandbox.google.logging import Logging
from bot.sandbox.oci import Image
from bot.sandbox.scenarios.model import Play
from bot.sandbox.world import TOKEN, World

LOCKS = "refs/slipway/locks/"
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url: str) -> tuple[int, str]:
    """GET an address of this machine: ``(status, body)``, status 0 when nobody answers."""
    try:
        with _OPENER.open(url, timeout=10) as response:
            return response.status, response.read(65_536).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(65_536).decode("utf-8", "replace")
    except OSError as error:
        return 0, str(error)


# -- Cloud Run ----------------------------------------------------------------------------------------------
def service(world: World, name: str, environment: str, region: str = "") -> RunService | None:
    """Return a service of the sample by its short name, in a region (home by default)."""
    found = world.cloud.run.regions.get(region or world.cloud.region)
    return found.run_services.all.get(f"shop-{name}-{environment}") if found else None


def version_of(revision: Revision) -> str:
    """Return which commit a revision's image was built from: its Dockerfile keeps the build argument."""
    return revision.images[0].env.get("SHOP_VERSION", "?") if revision.images else "no image"


def digest_of(revision: Revision) -> str:
    """Return the digest that a revision runs."""
    return revision.images[0].digest if revision.images else ""


def health(url: str) -> str:
    """Return what ``/health/`` says: its status, and the version and role it names."""
    status, body = get(f"{url}/health/")
    try:
        said = json.loads(body)
    except ValueError:
        return str(status)
    return f"{status} {said.get('version', '')} {said.get('role', '')}".strip()


def serving(world: World, name: str, environment: str) -> str:
    """Say what a service serves by its traffic, and what answers at its address and, if private, behind it."""
    found = service(world, name, environment)
    targets = [target for target in found.site.targets if target.percent] if found else []
    if found is None or not targets:
        return "nothing"
    shares = ", ".join(f"{version_of(target.revision)} {target.percent} %" for target in targets)
    outside = health(found.site.url)
    if not outside.startswith("403"):
        return f"{shares}, answers {outside}"
    instance = targets[0].revision.running()
    inside = health(f"http://127.0.0.1:{instance.port}") if instance else "nothing"
    return f"{shares}, refuses strangers, answers {inside}"


def pool(world: World, name: str, environment: str) -> Pool | None:
    """Return a worker pool of the sample by its short name."""
    return world.cloud.run.worker_pools.all.get(f"shop-{name}-{environment}")


def working(world: World, name: str, environment: str) -> str:
    """Say who has the instances of a worker pool and how many there are, and what its live processes have said."""
    found = pool(world, name, environment)
    shown = found.shown() if found else {}
    splits = [split for split in shown.get("instanceSplitStatuses", ()) if split.get("percent")]
    if found is None or not splits:
        return "nothing"
    shares = ", ".join(f"{_version_of_split(found, split)} {split['percent']} %" for split in splits)
    alive = [one for one in found.revisions.values() if one.instance is not None and one.instance.alive()]
    said = ", ".join(f"{version_of(one)} {_said(world, one)}" for one in alive) or "nobody"
    return f"{shares} of {shown['scaling']['manualInstanceCount']}, at work: {said}"


def _version_of_split(found: Pool, split: Mapping[str, Any]) -> str:
    revision = found.revisions.get(split.get("revision", ""))
    return version_of(revision) if revision else "the latest"


def _said(world: World, revision: Revision) -> str:
    """Return the last line that a revision wrote."""
    logs = cast("Logging", world.services["logging"]).entries
    lines = [one for one in logs if one["resource"].get("labels", {}).get("revision_name") == revision.name]
    return str(lines[-1].get("textPayload", "")) if lines else "(silent)"


def digests(world: World, environment: str) -> set[str]:
    """Return the digests that have traffic, or are at work, in an environment."""
    services = [found for name in ("web", "worker") if (found := service(world, name, environment))]
    workers = pool(world, "worker", environment)
    serving = {digest_of(target.revision) for each in services for target in each.site.targets if target.percent}
    return serving | {digest_of(revision) for revision in (workers.working if workers else ())}


# -- Cloud Build --------------------------------------------------------------------------------------------
def builds(world: World) -> list[dict[str, Any]]:
    """Return the builds, oldest first, as the API shows them."""
    return [
        json.loads(json.dumps(record.resource))
        for record in list(cast("CloudBuild", world.services["cloudbuild"])._records.values())
    ]


def images(world: World) -> list[Image]:
    """Return the images that the registry has, oldest first."""
    store = world.cloud.images
    return sorted((each for name in store.repositories() for each in store.images(name)), key=lambda each: each.created)


def references(world: World) -> list[str]:
    """Return the names by digest of the images that the registry has."""
    store = world.cloud.images
    return [f"{name}@{image.digest}" for name in store.repositories() for image in store.images(name)]


# -- Heroku -------------------------------------------------------------------------------------------------
def heroku_serving(world: World) -> str:
    """Say which release of the Heroku app is current, and what answers."""
    app = world.heroku.apps["shop-legacy"]
    current = app.current
    commit = (current.slug.commit or "")[:7] if current and current.slug else "no code"
    return f"{commit}, answers {health(app.gateway.url)}"


# -- GitHub -------------------------------------------------------------------------------------------------
def locks(world: World) -> list[str]:
    """Return the environments that are held."""
    return [name.removeprefix(LOCKS) for name in world.repository.refs(LOCKS)]


def reactions(play: Play) -> list[str]:
    """Return the bot's reactions to the last comment of a person."""
    commands = play.commands()
    return [reaction.content for reaction in commands[-1].reactions] if commands else []


# -- what must not be seen ----------------------------------------------------------------------------------
_TOKENS = re.compile(r'"(?:value|access_token|accessToken|token)"\s*:\s*"([^"]{16,})"')


def secrets(world: World) -> dict[str, str]:
    """Return every secret of a world by what it is: tokens that were handed out, and the application's own."""
    found = {"GitHub token": TOKEN, "Heroku key": world.heroku.token}
    others = [token for token in world.github.tokens if token != TOKEN]
    found |= {f"other GitHub token {number}": token for number, token in enumerate(others, start=1)}
    for environment in ("staging", "production", "legacy"):
        found[f"database URL of {environment}"] = world.database(environment)
        found[f"Django key of {environment}"] = f"key-of-{environment}"
    for name in ("github", "sts", "iamcredentials"):
        for call in world.services[name].calls:
            if name == "github" and "_actions" not in call.path:
                continue
            for token in _TOKENS.findall(call.response_body.decode("utf-8", "replace")):
                found[f"token from {name} {len(found)}"] = token
            bearer = call.request_headers.get("authorization", "").partition(" ")[2]
            if bearer:
                found[f"credential sent to {name} {len(found)}"] = bearer
    return found


def shown(play: Play) -> Iterator[tuple[str, str]]:
    """Yield ``(place, text)`` of everything that people can see. A mask command is taken out by the runner itself."""
    for comment in play.repository.state.comments.values():
        yield f"comment {comment.id}", "\n".join([comment.body, *(edit.body for edit in comment.edits)])
    for deployment in play.repository.deployments():
        words: list[Any] = [deployment.description, deployment.payload]
        words += [(status.description, status.environment_url) for status in deployment.statuses]
        yield f"deployment {deployment.id}", json.dumps(words)
    for number, ran in enumerate(play.runs, start=1):
        lines = [line for line in ran.stdout.splitlines() if not line.startswith("::add-mask::")]
        yield f"log of run {number}", "\n".join([*lines, ran.stderr])
        yield f"summary of run {number}", ran.summary
        yield f"outputs of run {number}", "\n".join(ran.outputs.values())


def leaks(play: Play) -> list[str]:
    """Return each secret that can be seen, by where and what it is, never by its value."""
    known = secrets(play.world)
    return [f"{what} in {place}" for place, text in shown(play) for what, value in known.items() if value in text]


def tracebacks(play: Play) -> list[str]:
    """Return the runs whose log holds a traceback: a fault that nobody thought of."""
    marks = ("Traceback (most recent call last)", "internal_error")
    return [
        f"run {number}"
        for number, ran in enumerate(play.runs, start=1)
        if any(mark in ran.stderr + ran.stdout for mark in marks)
    ]
