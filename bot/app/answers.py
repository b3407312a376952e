"""Answers without releasing: ``/help`` and ``/status``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.app import queueing
from bot.app.asking import elsewhere, environment_of
from bot.app.context import Context, Request
from bot.app.marks import in_force
from bot.app.readiness import readiness, skew
from bot.core.config import Config
from bot.core.facts import Commit, Deployment, Held, Lock, LockRecord, QueueEntry
from bot.core.marks import until
from bot.core.outcome import Decision, EnvironmentStatus, HelpEntry, Outcome, Reason, ServiceLine
from bot.core.permissions import allowed, teams_of
from bot.core.record import Entry, entries, serving_entry, serving_sha, serving_shas
from bot.core.registry import REGISTRY
from bot.core.resolve import roles
from bot.core.serving import Serving
from bot.core.target import Target
from bot.core.words import short
from bot.errors import ConfigError, SlipwayError
from bot.report.answers import Rights, help_comment, status_comment, whoami_comment
from bot.report.words import clock, day_time


def answer_help(context: Context, config: Config, request: Request) -> Outcome:
    """Show the commands, and which of them the asker may run."""
    permission = context.permission(request.actor).result()
    rules = roles(config)
    shown = []
    for verb in REGISTRY.values():
        may = allowed(request.actor, permission, rules[verb.name])
        shown.append(
            HelpEntry(
                verb=verb.name,
                usage=verb.usage.removeprefix("/"),
                summary=verb.summary,
                examples=tuple(example.removeprefix("/") for example in verb.examples),
                allowed=may,
                who=", ".join(rules[verb.name]),
                flags=tuple(
                    (f"--{flag.name}={flag.value}" if flag.value else f"--{flag.name}", flag.summary)
                    for flag in verb.flags
                ),
            )
        )
    topic = request.command.topic if request.command.topic in REGISTRY else None
    context.say(request, help_comment(shown, marker=context.marker(request), verb=topic))
    return context.ended(request, Decision.ANSWERED, Reason.HELP_SHOWN)


def whoami(context: Context, config: Config, request: Request) -> Outcome:
    """Show the asker's role, and what he may do in each environment."""
    permission = context.permission(request.actor).result()
    rules = {name: roles(config, name) for name in config.environments}
    teams = {team for each in rules.values() for wanted in each.values() for team in teams_of(wanted)}
    member, unknown = _member_of(context, request.actor, teams)
    may = {
        verb.name: {name: allowed(request.actor, permission, rules[name][verb.name], member) for name in rules}
        for verb in REGISTRY.values()
    }
    known = Rights(login=request.actor, role=permission, teams=tuple(sorted(member)), unknown=unknown, may=may)
    context.say(request, whoami_comment(known, marker=context.marker(request)))
    return context.ended(request, Decision.ANSWERED, Reason.RIGHTS_SHOWN)


def _member_of(
    context: Context, login: str, teams: Collection[tuple[str, str]]
) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the teams that somebody is in, and those that could not be asked about: a job's own token reads none."""
    member, unknown = [], []
    for organization, team in sorted(teams):
        name = f"@{organization}/{team}"
        try:
            member += [name] if context.github.team_member(organization, team, login) else []
        except SlipwayError:
            unknown.append(name)
    return frozenset(member), tuple(unknown)


def answer_status(context: Context, config: Config, request: Request) -> Outcome:
    """Show what serves in each environment: asked of the target where there are credentials, else as recorded."""
    names = [request.command.environment] if request.command.environment else list(config.environments)
    # On a public repository everybody may read: whoever may do no more makes us use no rights to the cloud.
    permission = context.permission(request.actor).result()
    ask: Callable[[Context, Config, str], Asked | str] = _ask
    if permission in {"none", "read"}:
        ask = _only_recorded
    elif elsewhere(context):
        ask = _without_rights
    held, now = context.held(*names), datetime.fromtimestamp(context.clock.now(), UTC)
    sources = (config.environments[name].promote_from for name in names)
    context.deployments_of(dict.fromkeys([*names, *(rule.environment for rule in sources if rule is not None)]))
    asked = {name: (context.deployments(name), context.gatherer.ask(ask, context, config, name)) for name in names}
    lines = {name: queueing.line(held.result()[name]) for name in names}
    living = queueing.alive(context, [one for line in lines.values() for one in line])
    skews = {name: context.gatherer.ask(skew, context, config, name) for name in names}
    ready = []
    if request.number and permission not in {"none", "read"}:
        read = context.gatherer.ask
        ready = [read(readiness, context, config, request, name, held, permission) for name in names]
    rows = [
        _row(
            context,
            name,
            deployments.result(),
            in_force(context, held.result()[name], now),
            said.result(),
            config,
            waiting=[one for one in lines[name] if one in living],
            notes=skews[name].result(),
        )
        for name, (deployments, said) in asked.items()
    ]
    rows, found = context.masker.mask_all((rows, [one.result() for one in ready]))
    body = status_comment(rows, found, now=context.clock.now(), marker=context.marker(request))
    context.say(request, body)
    return context.ended(request, Decision.ANSWERED, Reason.STATUS_SHOWN)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a target says of an environment. ``newest``: its secrets' newest versions, as far as they may be seen."""

    serving: Serving
    newest: Mapping[str, str]


def _only_recorded(_context: Context, _config: Config, _name: str) -> str:
    return "only those who may do more than read are told what the target says"


def _without_rights(_context: Context, _config: Config, name: str) -> str:
    return f"the job that answers has no rights to the cloud; `/verify {name}` asks what serves"


def _ask(context: Context, config: Config, name: str) -> Asked | str:
    """Ask what serves, or return why it cannot be asked."""
    try:
        environment = environment_of(context, config, name)
        target = context.connect(environment.spec)
        newest = context.gatherer.ask(_newest, target)
        return Asked(serving=target.serving(), newest=newest.result())
    except ConfigError as error:
        return error.problems[0] if error.problems else error.message
    except SlipwayError as error:
        return error.message


def _newest(target: Target) -> Mapping[str, str]:
    """Ask for the newest versions of the secrets. Nice to know: ``{}`` where they may not be seen."""
    try:
        return target.newest_secrets(pinned=False)
    except SlipwayError:
        return {}


def _drift(said: Asked) -> tuple[str, ...]:
    """Return in words which secrets have a newer version than the one that serves. ``latest`` follows by itself."""
    used = {name: version for state in said.serving.services for name, version in state.secrets.items()}
    newest = {name.rpartition("/")[2]: version for name, version in said.newest.items()}
    return tuple(
        f"the secret `{name}` serves in version {version}, the newest is {newest[name]}"
        for name, version in sorted(used.items())
        if name in newest and version not in {newest[name], "latest"}
    )


def _row(
    context: Context,
    name: str,
    deployments: tuple[Deployment, ...],
    held: Held,
    said: Asked | str,
    config: Config,
    *,
    waiting: Sequence[QueueEntry] = (),
    notes: tuple[str, ...] = (),
) -> EnvironmentStatus:
    """Return what is said of an environment. ``notes`` are said besides."""
    history, hold = entries(deployments), held.hold
    serving = said.serving if isinstance(said, Asked) else said
    asked = isinstance(serving, Serving)
    notes = (*notes, *(_drift(said) if isinstance(said, Asked) else (said,)))
    notes = (*(_waits(number, one) for number, one in enumerate(waiting, 1)), *notes)
    if hold is not None:
        notes = (f"{_on_hold(hold)}: `/unlock {name}` lets pushes release again", *notes)
    current = serving_entry(history, serving) if isinstance(serving, Serving) else _last_success(history)
    lines = _lines(serving) if isinstance(serving, Serving) and serving.exists else ()
    mixed = isinstance(serving, Serving) and len(serving_shas(serving)) > 1
    current = None if mixed else current
    sha = (serving_sha(serving) if isinstance(serving, Serving) else "") or (current.record.sha if current else "")
    url = config.environments[name].url or next((line.url for line in lines if line.url), "")
    return EnvironmentStatus(
        environment=name,
        sha=sha,
        version=next((one.record.version for one in history if one.record.sha == sha), ""),
        commit=_commit(context, history, sha),
        since=current.deployment.created_at.timestamp() if current else 0.0,
        actor=current.record.actor if current else "",
        state=history[0].outcome if history else "",
        pull_request=(current.record.pull_request or None) if current else None,
        asked=asked,
        services=lines,
        lock="; ".join(filter(None, (_frozen(held.freeze), _claimed(held.claim), _held(held.lock)))),
        history=tuple(entry.outcome for entry in reversed(history[:8])),
        url=url if "{" not in url else "",
        notes=notes,
        waiting=len(waiting),
    )


def _commit(context: Context, history: tuple[Entry, ...], sha: str) -> Commit | None:
    """Return a commit with its subject, as far as a deployment of it tells that."""
    subject = next((one.deployment.subject for one in history if one.deployment.sha == sha), "")
    url = f"{context.settings.server_url}/{context.settings.repository}/commit/{sha}"
    return Commit(sha=sha, subject=subject, url=url) if sha else None


def _waits(number: int, one: QueueEntry) -> str:
    where = f", PR {one.thread}" if one.thread else ""
    since = clock(one.since.timestamp())
    return f"in line at place {number}: `{short(one.sha)}` by {one.actor}{where}, since {since} UTC"


def _last_success(history: tuple[Entry, ...]) -> Entry | None:
    return next((entry for entry in history if entry.succeeded), None)


def _lines(serving: Serving) -> tuple[ServiceLine, ...]:
    shares: Mapping[str, int] = {
        state.service: sum(share.percent for share in state.traffic if share.revision == state.revision)
        for state in serving.services
    }
    return tuple(
        ServiceLine(
            service=state.service,
            now=state.revision,
            now_percent=shares[state.service],
            url=state.url,
            healthy=state.exists and shares[state.service] == 100,
            digest=state.digest,
            sha=state.sha,
        )
        for state in serving.services
    )


def _on_hold(hold: Lock) -> str:
    if hold.record is None:
        return "automatic releases are on hold"
    why = f" ({hold.record.reason})" if hold.record.reason else ""
    return (
        f"{hold.record.actor} has put automatic releases on hold at {day_time(hold.record.since.timestamp())} UTC{why}"
    )


def _frozen(freeze: Lock | None) -> str:
    if freeze is None:
        return ""
    record = freeze.record
    return f"frozen by {record.actor}{until(record)}{_why(record)}" if record else "frozen"


def _claimed(claim: Lock | None) -> str:
    if claim is None:
        return ""
    record = claim.record
    if record is None:
        return "kept, unreadable"
    whose = f"PR {record.pull_request}" if record.pull_request else record.actor
    return f"kept for {whose}{until(record)}{_why(record)}"


def _why(record: LockRecord) -> str:
    return f" ({record.reason})" if record.reason else ""


def _held(lock: Lock | None) -> str:
    if lock is None:
        return ""
    if lock.record is None:
        return "held, unreadable"
    return f"{lock.record.actor}, since {clock(lock.record.since.timestamp())} UTC"
