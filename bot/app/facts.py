"""The facts of a release: everything that its gates and its record want to know, asked for at once."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime

from bot.app import approving, marks, promoting
from bot.app.context import Context, Request
from bot.core.commands import spelled
from bot.core.config import Config
from bot.core.facts import Checks, CheckState, Comparison, Deployment, Held, Lock, PullRequest, QueueEntry, Reviews
from bot.core.outcome import Reason, Refusal
from bot.core.partial import narrowed
from bot.core.policy import Facts, judge
from bot.core.ports import HISTORY
from bot.core.promotion import newest
from bot.core.record import entries
from bot.core.resolve import Environment, resolve, wants_pyproject
from bot.core.target import Target
from bot.core.words import short
from bot.engine.gathering import known as given
from bot.errors import NotFoundError


def resolve_sha(context: Context, config: Config, request: Request, pull: PullRequest | None) -> str | Refusal:
    """Resolve the commit that is meant, once."""
    if request.command.verb == "promote":
        return promoting.sha(context, config, request)
    if pull is not None:
        sha = pull.merge_sha if pull.merged else pull.head_sha
        binding = context.settings.phase == "release" and request.command.verb == "deploy"
        pinned = context.settings.pinned_sha if binding else ""
        if pinned and not sha.startswith(pinned):
            return Refusal(
                reason=Reason.HEAD_MOVED,
                sentence=f"The branch moved from `{short(pinned)}` to `{short(sha)}` after the command was accepted.",
                next=f"Look at it; if that is what you mean: `{spelled(request.command, sha=short(sha))}`",
            )
        return sha
    if len(request.sha) == 40 and not context.settings.pinned_sha:  # the event's own; one that was typed may not be
        return request.sha
    try:
        return context.github.commit(request.sha or context.default_branch).sha
    except NotFoundError:
        return Refusal(
            reason=Reason.SHA_UNKNOWN,
            sentence=f"There is no commit `{short(request.sha)}` in this repository.",
            next="Give a sha of it, 7 to 40 hex digits.",
        )


def gather(
    context: Context,
    config: Config,
    request: Request,
    pull: PullRequest | None,
    sha: str,
    *,
    turn: QueueEntry | None = None,
    held: Future[Mapping[str, Held]] | None = None,
    looking: bool = False,
) -> tuple[Facts, Future[Target]]:
    """Ask for everything at once, and have the target connected meanwhile (its libraries are heavy).

    ``turn``: what is written down of the release's wait in line; ``held``: what is on the environment, where that was
    asked for already. ``looking``: nothing will be released, so nothing is asked of the clouds.
    """
    github, name = context.github, request.command.environment
    gates = config.environments[name].gates or config.gates
    deploying, now = request.command.verb != "rollback", datetime.fromtimestamp(context.clock.now(), UTC)
    source = promoting.history(context, config, request)
    # The command job has no cloud rights.
    releasing = context.settings.phase != "command" and not looking
    promoted = promoting.image(context, config, request, sha, now) if releasing else given(None)
    version = context.ask(_version, context, sha) if deploying and _uses_version(context) else given("")
    recipe = (
        context.ask(github.file, config.build.config, context.default_branch) if config.build.config else given(None)
    )
    environment = context.gatherer.ask(_resolve, context, config, name, sha, version, recipe)
    target = context.gatherer.ask(_connect, context, environment) if releasing else _never()
    pushed = _pushed_at(context, request, pull, sha)
    required = given(gates.required_checks)
    if deploying and gates.required_checks == "branch":
        required = context.ask(github.required_checks, context.default_branch)
    checks = context.ask(github.checks, sha) if deploying and gates.required_checks else given(Checks())
    reviews = context.ask(_reviews, context, pull, sha) if deploying and gates.reviews else given(None)
    lacks = context.ask(_lacks, context, pull) if deploying and gates.up_to_date else given(None)
    newer = given("")
    if request.trigger == "push":
        newer = context.gatherer.ask(lambda: _newer(context, context.deployments(name).result(), sha))
    stray = _stray(context, request, sha)
    reviewers: Future[tuple[str, ...] | None] = given(None)
    if releasing and deploying:
        reviewers = context.gatherer.ask(_run_reviewers, context, request, environment)
    there = marks.in_force(context, (held or context.held(name)).result()[name], now)
    lock = there.lock
    alive = _lock_alive(context, lock)
    names = required.result()
    names = names if isinstance(names, tuple) else ()
    facts = Facts(
        trigger=request.trigger,
        command=request.command,
        environment=narrowed(environment.result(), request.command.services),
        sha=sha,
        default_branch=context.default_branch,
        pull_request=pull,
        commented_at=request.commented_at,
        head_pushed_at=pushed.result(),
        checks=_all_that_matter(context, sha, checks.result(), names),
        required=names,
        lock=lock,
        lock_alive=alive,
        hold=there.hold,
        claim=there.claim,
        freeze=there.freeze,
        actor=request.actor,
        thread=request.issue,
        source=source.result(),
        promoted=promoted.result(),
        now=now,
        reviews=reviews.result(),
        lacks=lacks.result(),
        stray=stray.result(),
        newer=newer.result(),
        run_reviews=reviewers.result(),
        turn=turn,
        queues=context.settings.phase == "command",
    )
    return approving.with_voices(context, facts, there.approvals), target


def with_checks(context: Context, facts: Facts, *, now: datetime) -> Facts:
    """Return the facts with the checks as they are now (1 call, 2 where there are very many)."""
    checks = context.github.checks(facts.sha)
    return replace(facts, checks=_all_that_matter(context, facts.sha, checks, facts.required), now=now)


def overtaken(context: Context, facts: Facts) -> tuple[Refusal, ...]:
    """Ask once more, while the environment is ours, for what somebody may have changed while we waited for it.

    Somebody may have locked or frozen it; a rollback may have put it on hold, or a later push been released; and the
    environment that the image is taken from may have been rolled back. Nothing of it matters to a rollback.
    """
    if facts.command.verb == "rollback":
        return ()
    github, name, rule = context.github, facts.environment.name, facts.environment.promotion
    found = context.gatherer.ask(lambda: github.held((name,))[name])
    if rule is not None:
        facts = replace(facts, source=promoting.record_of(context, rule.environment))
    if facts.trigger == "push":
        facts = replace(facts, newer=_newer(context, github.deployments(name, HISTORY), facts.sha))
    held = marks.in_force(context, found.result(), datetime.fromtimestamp(context.clock.now(), UTC))
    facts = replace(facts, hold=held.hold, claim=held.claim, freeze=held.freeze)
    return judge(approving.with_voices(context, facts, held.approvals))


def _newer(context: Context, deployments: tuple[Deployment, ...], sha: str) -> str:
    """Return what was released last if it holds a pushed commit. ``""``: not so, or the branch was set back to it."""
    last = newest(entries(deployments))
    if last is None or last.record.sha == sha or not _holds(context, last.record.sha, sha):
        return ""
    return "" if context.github.commit(context.default_branch).sha == sha else last.record.sha


def _stray(context: Context, request: Request, sha: str) -> Future[bool]:
    """Ask whether a typed commit is on no branch that is known. The head of what the workflow runs on is on one."""
    typed = request.trigger == "dispatch" and request.command.verb == "deploy" and bool(context.settings.pinned_sha)
    if not typed or sha == context.settings.sha:
        return given(value=False)
    ref = context.settings.ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
    branches = tuple(dict.fromkeys(filter(None, (context.default_branch, ref))))
    return context.gatherer.ask(lambda: not any(_holds(context, branch, sha) for branch in branches))


def _holds(context: Context, ref: str, sha: str) -> bool:
    """Whether a ref has a commit among its own."""
    try:
        return context.github.compare(sha, ref).behind_by == 0
    except NotFoundError:  # a branch that is gone, or a commit
        return False


def _reviews(context: Context, pull: PullRequest | None, sha: str) -> Reviews | None:
    """Return what was said of the pull request that brings a commit, or by which it came."""
    if pull is not None:
        return context.github.reviews(pull.number)
    numbers = context.ask(context.github.pull_requests_of, sha).result()
    return context.github.reviews(numbers[0]) if numbers else None


def _run_reviewers(context: Context, request: Request, environment: Future[Environment]) -> tuple[str, ...] | None:
    """Return who else has approved this run where that is wanted. A second person, so not who has started it again."""
    wanted = environment.result().reviewers
    if not wanted:
        return None
    own = {request.actor.lower(), context.settings.started_again_by.lower()}
    found = context.github.run_reviewers(context.settings.run.id, wanted)
    return tuple(login for login in found if login.lower() not in own)


def _lacks(context: Context, pull: PullRequest | None) -> Comparison | None:
    """Compare a pull request's head with the default branch: what that is ahead by, the head lacks."""
    if pull is None or pull.merged:
        return None
    return context.github.compare(pull.head_sha, context.default_branch)


def _all_that_matter(context: Context, sha: str, checks: Checks, names: tuple[str, ...]) -> tuple[CheckState, ...]:
    """Return the checks; where there are very many, those that are required are asked for by name."""
    return (*checks.states, *context.github.check_runs(sha, names)) if checks.more else checks.states


def _pushed_at(context: Context, request: Request, pull: PullRequest | None, sha: str) -> Future[datetime | None]:
    """Ask when the head was pushed, where that has to be known: it was not named, and it can move."""
    if pull is None or pull.merged or pull.from_fork or request.command.sha or request.command.verb != "deploy":
        return given(None)
    return context.ask(context.github.pushed_at, pull.head_ref, sha)


def _uses_version(context: Context) -> bool:
    return wants_pyproject(context.config_text().result() or "")


def _version(context: Context, sha: str) -> str:
    """Read the project's version at a sha. Text of the pull request, and nothing is done with it but to show it."""
    import tomllib  # noqa: PLC0415 - few configurations ask for the version

    text = context.github.file("pyproject.toml", sha)
    try:
        project = tomllib.loads(text or "").get("project", {})
        return str(project.get("version", "")) or short(sha)
    except (tomllib.TOMLDecodeError, AttributeError):
        return short(sha)


def _resolve(
    context: Context, config: Config, name: str, sha: str, version: Future[str], recipe: Future[str | None]
) -> Environment:
    return resolve(
        config,
        name,
        repository=context.settings.repository,
        sha=sha,
        variables=context.settings.variables,
        version=version.result(),
        cloudbuild_yaml=recipe.result(),
    )


def resolved_at(context: Context, config: Config, request: Request, sha: str, *, building: bool = False) -> Environment:
    """Return the request's environment as it is for another sha: its checks then expect that one.

    ``building``: an image will be built for it, so a recipe of the configuration's own is read.
    """
    version = _version(context, sha) if _uses_version(context) else ""
    path = config.build.config if building else None
    recipe = context.github.file(path, context.default_branch) if path else None
    return _resolve(context, config, request.command.environment, sha, given(version), given(recipe))


def _connect(context: Context, environment: Future[Environment]) -> Target:
    return context.connect_to_release(environment.result().spec)


def _never() -> Future[Target]:
    """Return what the command job must not ask for: it has no cloud rights."""
    future: Future[Target] = Future()
    future.cancel()
    return future


def _lock_alive(context: Context, lock: Lock | None) -> bool:
    """Whether the lock's owner still runs. This very run is another attempt, or a lost reply: not somebody else."""
    if lock is None or lock.record is None:
        return True
    record, run = lock.record, context.settings.run
    if record.run_id == run.id:
        return False
    return context.github.run_alive(record.run_id, record.run_attempt)
