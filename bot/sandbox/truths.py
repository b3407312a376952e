"""Where each truth of a release lies, read from the servers that hold it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bot.sandbox.github.model import Deployment
from bot.sandbox.scenarios import looking
from bot.sandbox.scenarios.model import Play

CONFIG = ".github/slipway.yml"
CREATE_REF = "/repos/{owner}/{repo}/git/refs"


def truths(play: Play) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield ``(truth, where it lies, what is there)``."""
    repository = play.repository
    config = repository.git.text("rev-list", "-1", "main", "--", CONFIG)[:7]
    yield "configuration", f"{CONFIG} on {repository.default_branch}", (f"last changed by {config}",)
    for deployment in play.deployments():
        yield "a release and its outcome", f"GitHub deployment {deployment.id}", tuple(_deployment(deployment))
    yield "who holds the environment", "the ref refs/slipway/locks/<environment>", tuple(_lock(play))
    yield "a build", "Cloud Build and Artifact Registry", tuple(_builds(play))
    yield "a migration", "an execution of a Cloud Run job", tuple(_executions(play))
    yield "a rollout", "revisions and traffic of Cloud Run services", tuple(_services(play))
    if play.world.cloud.run.worker_pools.all:
        yield "a rollout of workers", "revisions and instance splits of worker pools", tuple(_pools(play))
    app = play.world.heroku.apps["shop-legacy"]
    if app.slugs:
        yield "a release on Heroku", "releases of the app shop-legacy", tuple(_heroku(play))


def addresses(play: Play) -> Iterator[str]:
    """Yield the public addresses that serve, those of the last release first."""
    environment = (play.last.outputs.get("environment") or "staging") if play.runs else "staging"
    if environment == "legacy":
        yield play.world.heroku.apps["shop-legacy"].gateway.url
        return
    found = looking.service(play.world, "web", environment)
    if found is not None and found.site.targets:
        yield found.site.url


def _deployment(deployment: Deployment) -> Iterator[str]:
    payload = deployment.payload if isinstance(deployment.payload, dict) else json.loads(deployment.payload or "{}")
    yield f"{deployment.environment} at {deployment.sha[:7]}: {' → '.join(one.state for one in deployment.statuses)}"
    yield f"written down before the first change: {payload.get('verb')} by {payload.get('actor')}"
    yield f"plan: {', '.join(payload.get('plan', ()))}"
    yield f"to return to: {payload.get('before_sha', '')[:7] or 'nothing served before'}"


def _lock(play: Play) -> Iterator[str]:
    for call in play.world.github.calls:
        if call.method == "POST" and call.template == CREATE_REF and call.status == 201:
            yield f"{json.loads(call.request_body)['ref']} was taken at {_clock(call.started)}"
    held = looking.locks(play.world)
    yield f"held now: {', '.join(held)}" if held else "held now: none"


def _builds(play: Play) -> Iterator[str]:
    for build in looking.builds(play.world):
        yield f"{build['id'][:8]} {build['status'].lower()}: tags {', '.join(build.get('tags', ()))}"
        for image in build.get("results", {}).get("images", ()):
            yield f"{image['name']} is {image['digest']}"


def _executions(play: Play) -> Iterator[str]:
    for job in play.world.cloud.run.jobs.all.values():
        for execution in job.executions.values():
            shown = execution.shown()
            state = shown["conditions"][0]["state"].removeprefix("CONDITION_").lower()
            labels = {**job.shown().get("labels", {}), **shown.get("labels", {})}
            yield f"{execution.name} {state}: {_labels(labels)}"


def _services(play: Play) -> Iterator[str]:
    for name, service in play.world.cloud.run.everywhere():
        for target in service.site.targets:
            revision = target.revision
            digest = looking.digest_of(revision)[:19]
            tag = f", tag {target.tag}" if target.tag else ""
            yield f"{name}: {target.percent} % {revision.name} ({digest}){tag}"
            yield f"  {_labels(revision.resource.get('labels', {}))}"


def _pools(play: Play) -> Iterator[str]:
    for name, pool in play.world.cloud.run.worker_pools.all.items():
        shown = pool.shown()
        for split in shown.get("instanceSplitStatuses", ()):
            revision = split.get("revision") or "the latest revision"
            yield f"{name}: {split['percent']} % of {shown['scaling']['manualInstanceCount']} on {revision}"
            if revision in pool.revisions:
                yield f"  {_labels(pool.revisions[revision].resource.get('labels', {}))}"


def _heroku(play: Play) -> Iterator[str]:
    app = play.world.heroku.apps["shop-legacy"]
    for release in app.releases:
        mark = " (current)" if release is app.current else ""
        yield f"v{release.version} {release.status}: {release.description}{mark}"


def _labels(labels: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) or "no labels"


def _clock(seconds: float) -> str:
    import time  # noqa: PLC0415

    return time.strftime("%H:%M:%S UTC", time.gmtime(seconds))
