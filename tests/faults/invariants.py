"""What has to be true after a run, judged on the servers' own state and on what people can read.

Each judge is about one environment. The matrix asks them after every cell, the random walk after every step.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from columns import SECRETS, Column
from stage import Stage

from bot.sandbox.github.model import Comment, Deployment
from bot.sandbox.google.cloud_build import CloudBuild
from bot.sandbox.scenarios import looking
from bot.sandbox.scenarios.model import BOT, MENTION, Play
from bot.sandbox.world import Ran

ENVIRONMENT = "staging"
SERVICES = ("web", "worker")
FINAL = frozenset({"success", "failure", "error"})
ALARM = "the comment raises a false alarm"
UNSAID = "it failed, and no comment says so"
EXIT = {"released": 0, "answered": 0, "done": 0, "ignored": 0, "release": 0, "failed": 1, "cancelled": 1}


@dataclass(frozen=True, kw_only=True)
class Before:
    """What was there before the run that a fault hits: nothing of it counts as the run's doing."""

    revisions: frozenset[str]

    @classmethod
    def of(cls, stage: Stage, environment: str = ENVIRONMENT) -> Before:
        """Look."""
        return cls(revisions=frozenset(each.revision for each in serving(stage, environment)))


@dataclass(frozen=True, kw_only=True)
class Served:
    """A revision with traffic. ``sha``: 7 digits of the commit that its image was built from."""

    service: str
    revision: str
    percent: int
    sha: str
    labels: Mapping[str, str] = field(default_factory=dict)


def serving(stage: Stage, environment: str = ENVIRONMENT) -> list[Served]:
    """Return every revision that has traffic."""
    found = ((name, looking.service(stage.world, name, environment)) for name in SERVICES)
    return [
        Served(
            service=name,
            revision=target.revision.name,
            percent=target.percent,
            sha=looking.version_of(target.revision),
            labels=target.revision.resource.get("labels", {}),
        )
        for name, service in found
        if service is not None
        for target in service.site.targets
        if target.percent
    ]


def deployments(stage: Stage, environment: str = ENVIRONMENT) -> list[Deployment]:
    """Return the bot's deployments to the environment, oldest first."""
    found = stage.world.repository.deployments()
    return [each for each in found if each.environment == environment and each.creator == BOT]


def succeeded(stage: Stage, environment: str = ENVIRONMENT) -> list[Deployment]:
    """Return those of them that were verified while they served."""
    found = deployments(stage, environment)
    return [each for each in found if any(status.state == "success" for status in each.statuses)]


def key(deployment: Deployment) -> str:
    """Return a deployment's id as it stands in labels and tags: in base 36."""
    number, digits = deployment.id, ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits


# -- at the end of a cell -----------------------------------------------------------------------------------
def at_the_end(stage: Stage, before: Before) -> Iterator[str]:
    """Yield what does not hold once everything is over."""
    yield from verified(stage, before)
    yield from together(stage)
    yield from once(stage)
    yield from left_over(stage)
    yield from true_words(stage, before)
    yield from mentioned(stage)
    yield from unseen(stage)


def verified(stage: Stage, before: Before, environment: str = ENVIRONMENT) -> Iterator[str]:
    """Users see only what was verified, and all of them see something."""
    good = {key(each) for each in succeeded(stage, environment)}
    served = serving(stage, environment)
    for each in served:
        if each.revision not in before.revisions and each.labels.get("slipway-release") not in good:
            yield f"traffic on what was not verified: {each.revision} {each.percent} %"
    for name in SERVICES:
        percent = sum(each.percent for each in served if each.service == name)
        if percent != 100:
            yield f"{name} serves {percent} %"


def together(stage: Stage, environment: str = ENVIRONMENT) -> Iterator[str]:
    """All services are of the same release, or as a release of some of them has left all."""
    served = serving(stage, environment)
    if any(left_by(deployment, served) for deployment in succeeded(stage, environment)):
        return
    if len({each.sha for each in served}) != 1:
        yield f"services of different releases: {', '.join(f'{each.service} {each.sha}' for each in served)}"
    if len({each.labels.get("slipway-release") for each in served}) != 1:
        yield f"services of different deployments: {', '.join(each.revision for each in served)}"


def left_by(deployment: Deployment, served: list[Served]) -> bool:
    """Whether what serves is what a release of some services leaves: those are its own, the others as before it."""
    payload: dict[str, Any] = (
        json.loads(deployment.payload) if isinstance(deployment.payload, str) else deployment.payload
    )
    own = set(payload.get("services") or ())
    before = {
        (state["service"], share["revision"], share["percent"])
        for state in payload.get("before", {}).get("services", ())
        for share in state.get("traffic", ())
        if share["percent"]
    }
    return bool(own) and all(
        each.labels.get("slipway-release") == key(deployment)
        if each.service in own
        else (each.service, each.revision, each.percent) in before
        for each in served
    )


def left_over(stage: Stage, environment: str = ENVIRONMENT) -> Iterator[str]:
    """Nothing is left open: every deployment is closed, nothing is locked, no comment says that something goes on."""
    yield from closed(stage, environment)
    yield from [f"still locked: {name}" for name in looking.locks(stage.world) if name == environment]
    about = f"**{environment}**"
    for title in (headline(each.body) for each in comments(stage)):
        if _RUNNING.match(title) and about in title:
            yield f"a comment says for ever: {title}"


def closed(stage: Stage, environment: str = ENVIRONMENT) -> Iterator[str]:
    """Every deployment has exactly one final status, unless somebody else has closed it before."""
    for deployment in deployments(stage, environment):
        final = [status for status in deployment.statuses if status.state in FINAL]
        ours = [status for status in final if status.creator == BOT]
        if not final or len(ours) > 1:
            states = " ".join(status.state for status in deployment.statuses)
            yield f"deployment {deployment.id} has {len(ours)} final states: {states or 'none at all'}"


def once(stage: Stage) -> Iterator[str]:
    """A deployment has at most one build and one execution of each job."""
    builds = cast("CloudBuild", stage.world.services["cloudbuild"]).builds()
    tags = Counter(tag for build in builds for tag in build.get("tags", ()) if tag.startswith("release-"))
    runs = Counter(
        f"{job.name} {execution.resource.get('labels', {}).get('slipway-release')}"
        for job in stage.world.cloud.run.jobs.all.values()
        for execution in job.executions.values()
    )
    yield from [f"{count} builds for {tag}" for tag, count in tags.items() if count > 1]
    yield from [f"{count} executions of {run}" for run, count in runs.items() if count > 1]


def mentioned(stage: Stage) -> Iterator[str]:
    """Nobody is told twice of the end of one release."""
    written = stage.world.repository.state.comments.values()
    told = Counter(found[1] for each in written if (found := MENTION.match(each.body)))
    yield from [f"{count} mentions of deployment {number}" for number, count in told.items() if count > 1]


def unseen(stage: Stage, *, runs: int = 0) -> Iterator[str]:
    """No secret can be read anywhere: of the runs, in what the last few have written, or all of them."""
    play = Play(world=stage.world, runs=stage.runs[-runs:])
    known = looking.secrets(stage.world) | _more_secrets(stage)
    for place, text in looking.shown(play):
        yield from [f"{what} can be read in {place}" for what, value in known.items() if value in text]


def _more_secrets(stage: Stage) -> dict[str, str]:
    """Return the one-time tokens of archives, and the access tokens that were sent to Google's services."""
    found = {f"{name} planted one": value for name, value in SECRETS.items()}
    for name, service in stage.world.services.items():
        for call in list(service.calls):
            token = re.search(r"[?&]token=(\w+)", call.response_headers.get("Location", ""))
            if token:
                found[f"an archive's token {token[1][:4]}"] = token[1]
            bearer = call.request_headers.get("authorization", "").partition(" ")[2]
            if bearer:
                found[f"a credential for {name} {bearer[-4:]}"] = bearer
    return found


# -- what is said -------------------------------------------------------------------------------------------
_RUNNING = re.compile(r"^### (🟡|🟠)")
_LIVE = re.compile(r"^### 🟢 `(\w{7})` (?:is live on|already serves) (?:`\w+` of )?\*\*\w+\*\*")
_BACK = re.compile(r"^### 🟢 (?:`\w+` of )?\*\*\w+\*\* is (?:back|already) on `(\w{7})`")
_ONLY = re.compile(r"`(\w+)` of \*\*")
_AFTER = re.compile(r"^### [🔴⚪].* · `(\w{7})` (?:still serves|serves again)")
_AS_BEFORE = re.compile(r"^### [🔴⚪].* · (?:what served still does|as it was before)")
_DOUBT = re.compile(r"^### [🔴⚪].*\*\*(?:not restored|look at what serves now)\*\*")
_NOTHING = re.compile(r"^\| (?:\[`(\w+)`\]\([^)]*\)|`(\w+)`) \|.*\| (?:❌ )?nothing \|$", re.MULTILINE)
_ROW = re.compile(r"^\| (?:\[`(\w+)`\]\([^)]*\)|`(\w+)`) \|.*\| (?:✅|❌) `([\w-]+)` (\d+) % \|$", re.MULTILINE)


def headline(body: str) -> str:
    """Return a comment's heading, or its first visible line."""
    lines = [line for line in body.splitlines() if line and not line.startswith("<!--")]
    return next((line for line in lines if line.startswith("### ")), lines[0] if lines else "")


def comments(stage: Stage, since: float = 0.0) -> list[Comment]:
    """Return the bot's comments but mentions that were written since a time, on all threads, the last one last."""
    written = stage.world.repository.state.comments.values()
    found = [each for each in written if each.author == BOT and not MENTION.match(each.body)]
    return sorted((each for each in found if each.updated_at >= since), key=lambda each: (each.updated_at, each.id))


def true_words(stage: Stage, before: Before, environment: str = ENVIRONMENT, *, since: float = 0.0) -> Iterator[str]:
    """The last comment says what serves."""
    written = comments(stage, since)
    if written:
        yield from judged(written[-1].body, serving(stage, environment), before)


def judged(body: str, served: list[Served], before: Before) -> Iterator[str]:
    """Yield what a comment says of ``served`` that is not so."""
    title, shas = headline(body), {each.sha for each in served}
    claim, only = _LIVE.match(title) or _BACK.match(title) or _AFTER.match(title), _ONLY.search(title)
    if only is not None:
        shas = {each.sha for each in served if each.service == only[1]}
    if claim is not None and shas != {claim[1]}:
        yield f"the comment says {claim[1]}, but {' and '.join(sorted(shas)) or 'nothing'} serves: {title}"
    unchanged = bool(_AS_BEFORE.match(title)) or "Nothing was changed" in body
    if unchanged and not {each.revision for each in served} <= before.revisions:
        yield f"the comment says that nothing was changed, but {' and '.join(sorted(shas))} serves: {title}"
    if _DOUBT.match(title) and {each.revision for each in served} == before.revisions:
        yield f"{ALARM}: {title}"
    for match in _NOTHING.finditer(body):
        if any(each.service == (match[1] or match[2]) for each in served):
            yield f"the comment's table says that {match[1] or match[2]} serves nothing, which is not so"
    real = {(each.service, each.revision): each.percent for each in served}
    for match in _ROW.finditer(body):
        service, revision, percent = match[1] or match[2], match[3], int(match[4])
        if real.get((service, revision), 0) != percent:
            yield f"the comment's table says {service} {revision} {percent} %, which is not so"


# -- after one run ------------------------------------------------------------------------------------------
def after_a_run(stage: Stage, ran: Ran, before: Before, column: Column | None, call: str) -> Iterator[str]:
    """Yield what does not hold after a run that came to its own end. ``call`` is the one that was hit.

    During an outage nothing can be brought back, and what serves cannot be asked: it must be said so, and no more.
    """
    out = column is not None and column.kind == "outage"
    if not out:
        yield from verified(stage, before)
        yield from together(stage)
    yield from [words for words in true_words(stage, before) if not (out and words.startswith(ALARM))]
    yield from answered(stage, ran, column, call)


def answered(
    stage: Stage,
    ran: Ran,
    column: Column | None,
    call: str,
    environment: str = ENVIRONMENT,
    *,
    since: float = 0.0,
) -> Iterator[str]:
    """Whoever asked knows how it ended: by the exit code, the outputs, an annotation and a comment."""
    decision = ran.outputs.get("decision", "")
    wanted = EXIT.get(decision)
    if decision == "refused":
        held = ran.outputs.get("reason") == "on_hold"  # that is what somebody wanted
        wanted = 0 if ran.run.event == "issue_comment" or held else 1
    if wanted is None and ran.exit_code == 0:
        yield f"exit 0 with the decision {decision!r}"
    if wanted is not None and ran.exit_code != wanted:
        yield f"exit {ran.exit_code} with the decision {decision}"
    sha = ran.outputs.get("sha", "")[:7]
    only = json.loads(ran.outputs.get("result") or "{}").get("release", {}).get("only", ())
    released = {each.sha for each in serving(stage, environment) if not only or each.service in only}
    if decision == "released" and released != {sha}:
        yield f"released {sha}, which does not serve"
    if any(mark in ran.stdout + ran.stderr for mark in ("Traceback (most recent call last)", "internal_error")):
        yield "a mistake of the bot's own: " + _last_line(ran)
    if ran.exit_code != 0:
        yield from _told(stage, ran, column, call, since)


def _last_line(ran: Ran) -> str:
    lines = [line for line in ran.stderr.splitlines() if line and not line.startswith((" ", "{"))]
    return lines[-1][:200] if lines else ran.outputs.get("reason", "")


def _told(stage: Stage, ran: Ran, column: Column | None, call: str, since: float) -> Iterator[str]:
    """A failure is told: by an annotation always, and in a comment unless GitHub itself is what failed."""
    if "::error" not in ran.stdout:
        yield "it failed without an annotation"
    written = comments(stage, since)
    said = bool(written) and not _RUNNING.match(headline(written[-1].body))
    if not said and (column is None or not call.startswith("github ")):
        yield UNSAID


def as_without_faults(stage: Stage, ran: Ran, decision: str, shas: Mapping[str, str]) -> Iterator[str]:
    """What follows a fault ends as it would have without it. ``shas``: what each service is to serve then."""
    ended = ran.outputs.get("decision")
    if ended != decision and ran.outputs.get("reason") != "already_done":
        said = {name: value for name, value in ran.outputs.items() if name in {"decision", "reason"}}
        yield f"afterwards: {said or 'nothing'} instead of {decision} (exit {ran.exit_code})"
    found = {(each.service, each.sha) for each in serving(stage)}
    if found != {(name, sha[:7]) for name, sha in shas.items()}:
        serves = " and ".join(sorted(f"{name} {sha}" for name, sha in found))
        yield f"afterwards {serves} serve instead of {' and '.join(f'{name} {sha[:7]}' for name, sha in shas.items())}"


def describe(stage: Stage, environment: str = ENVIRONMENT) -> dict[str, Any]:
    """Return what a person wants to see where something does not hold."""
    return {
        "serving": [
            f"{each.service} {each.revision} {each.percent} % ({each.sha})" for each in serving(stage, environment)
        ],
        "deployments": [
            f"{each.id} ({key(each)}) {each.sha[:7]}: {' '.join(status.state for status in each.statuses)}"
            for each in deployments(stage, environment)
        ],
        "comments": [f"#{each.number} {headline(each.body)}" for each in comments(stage)],
        "runs": [
            {
                "exit": ran.exit_code,
                "seconds": round(ran.seconds, 2),
                "outputs": {k: v for k, v in ran.outputs.items() if k in {"decision", "reason", "sha"}},
                "stdout": ran.stdout[-3000:],
                "stderr": ran.stderr[-6000:],
            }
            for ran in stage.runs
        ],
        "bodies": [each.body for each in comments(stage)][-2:],
    }
