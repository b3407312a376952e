"""The sweep: in every environment, previews and locks that are over, pointless tags, revisions that nobody needs.

It asks Cloud Run what there is, so that it finds what no record speaks of; and it asks GitHub whether it is still
wanted. Where that cannot be read, everything stays. An environment that a release holds is left for the next time.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bot.app import marks
from bot.app.context import Context, Request
from bot.app.facts import resolved_at
from bot.app.moments import SHORT, HeldError, moment
from bot.app.preview_life import ANY_SHA
from bot.app.upkeep import close_records, delete, past, retagged, rules_of, untag
from bot.core import cleanup
from bot.core.config import CloudRunTarget, Config
from bot.core.facts import Lock, MarkKind
from bot.core.outcome import Decision, Outcome, Reason
from bot.core.preview_report import Swept
from bot.core.previews import Kept, kept, number_in
from bot.core.record import Entry
from bot.core.resolve import Environment, target_of
from bot.core.upkeep import Holding, Upkeep
from bot.errors import NotFoundError, SlipwayError
from bot.report.previews import sweep_summary

RECORDS = 100  # newest deployments among which the records of previews are looked for
_TAKES = 120.0  # seconds that taking tags off may take


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is over in an environment. ``over``: pull requests with why; ``stale``: records without a preview."""

    over: Mapping[int, cleanup.Why]
    stale: tuple[Kept, ...]
    pointless: Mapping[str, Mapping[str, str]]

    @property
    def tags(self) -> bool:
        """Whether any tag has to go."""
        return bool(self.over) or any(self.pointless.values())


def sweep(context: Context, config: Config, request: Request) -> Outcome:
    """Clean up everywhere, and return what was done. One environment's failure keeps no other from its turn."""
    names = [name for name in config.environments if isinstance(target_of(config, name), CloudRunTarget)]
    ended = context.gatherer.ask(_unmarked, context, tuple(config.environments))
    deployments = context.github.all_deployments(RECORDS) if names else ()
    sha = context.github.commit(context.default_branch).sha if names else ""
    swept = [_environment(context, config, request.for_environment(name), kept(deployments), sha) for name in names]
    swept = _with_marks(swept, ended.result())
    context.summary.append(context.clean(sweep_summary(swept)))
    problems = [f"{one.environment}: {problem}" for one in swept for problem in one.problems]
    counts = [
        f"{len(found)} {what}"
        for what, found in (
            ("previews", [each for one in swept for each in one.previews]),
            ("tags", [each for one in swept for each in one.tags]),
            ("revisions", [each for one in swept for each in one.revisions]),
        )
    ]
    lifted = sum(len(one.marks) for one in swept)
    counts += [f"{lifted} locks and freezes"] if lifted else []
    return Outcome(
        decision=Decision.FAILED if problems else Decision.DONE,
        reason=Reason.UPSTREAM_FAILED if problems else Reason.SWEPT,
        environments=tuple(names),
        exit_code=1 if problems else 0,
        message=context.clean(" ".join([f"Removed: {', '.join(counts)}.", *problems])),
    )


def _environment(context: Context, config: Config, request: Request, records: tuple[Kept, ...], sha: str) -> Swept:
    name = request.command.environment
    swept = Swept(environment=name)
    try:
        environment = resolved_at(context, config, request, ANY_SHA)
        upkeep = context.connect(environment.spec).upkeep
        if upkeep is None:
            return swept
        history = past(context, name, environment.keep_releases)
        return _Sweep(context, environment, upkeep, history, sha).run(records)
    except HeldError as error:
        return replace(swept, problems=(f"{error.message} It is left for the next time.",))
    except SlipwayError as error:
        return replace(swept, problems=(error.message,))


# -- locks and freezes ------------------------------------------------------------------------------------------------
def _unmarked(context: Context, names: tuple[str, ...]) -> list[Swept]:
    """Lift the locks and freezes that hold nobody up any more. One that is in its place by then stays."""
    now = datetime.fromtimestamp(context.clock.now(), UTC)
    try:
        stored = context.held(*names).result()
    except SlipwayError as error:
        return [Swept(environment=names[0], problems=(error.message,))]
    found: list[Swept] = []
    for name in names:
        swept = Swept(environment=name)
        try:
            before, after = stored[name], marks.in_force(context, stored[name], now)
            pairs: dict[MarkKind, tuple[Lock | None, Lock | None]] = {
                "claim": (before.claim, after.claim),
                "freeze": (before.freeze, after.freeze),
            }
            gone = [(kind, there) for kind, (there, stays) in pairs.items() if there is not None and stays is None]
            said = [_ended(kind, mark) for kind, mark in gone if context.github.lift_mark(kind, mark)]
            swept = replace(swept, marks=tuple(said))
        except SlipwayError as error:
            swept = replace(swept, problems=(error.message,))
        found.append(swept)
    return found


def _ended(kind: MarkKind, mark: Lock) -> str:
    record = mark.record
    whose = f" of {record.actor}" if record is not None else ""
    return f"{'lock' if kind == 'claim' else 'freeze'}{whose} that had ended"


def _with_marks(swept: list[Swept], ended: list[Swept]) -> list[Swept]:
    """Put what was lifted beside what else was done in an environment; some have nothing else to be cleaned up."""
    marked = {one.environment: one for one in ended}
    both = [
        replace(one, marks=(there := marked.pop(one.environment)).marks, problems=(*there.problems, *one.problems))
        for one in swept
    ]
    return [*both, *(one for one in marked.values() if not one.idle)]


class _Sweep:
    """The sweep of one environment."""

    def __init__(
        self, context: Context, environment: Environment, upkeep: Upkeep, history: tuple[Entry, ...], sha: str
    ) -> None:
        self._context, self._environment, self._upkeep = context, environment, upkeep
        self._history, self._sha = history, sha

    def run(self, records: tuple[Kept, ...]) -> Swept:
        """Take away what is over; ``records`` are those of all environments' previews."""
        context, upkeep = self._context, self._upkeep
        swept = Swept(environment=self._environment.name)
        records = self._ours(records)
        holdings = upkeep.holdings()
        found = _look(context, holdings, records, self._history)
        if found.tags:
            with self._held():
                # Seen again while nobody changes anything: a preview may have been renewed or extended meanwhile.
                records = self._ours(kept(context.github.all_deployments(RECORDS))) if found.over else records
                found = _look(context, upkeep.holdings(), records, self._history)
                untag(upkeep, tuple(found.over))
                tags = retagged(upkeep, found.pointless)
            holdings = upkeep.holdings()
            previews = tuple(f"preview of pull request {number} ({why})" for number, why in found.over.items())
            swept = replace(swept, tags=tuple(tags), previews=previews)
        rules = rules_of(self._environment, context.clock.now())
        swept = delete(upkeep, holdings, self._history, rules, swept, ended=tuple(found.over))
        return replace(swept, problems=(*swept.problems, *_close(context, found, records)))

    def _ours(self, records: tuple[Kept, ...]) -> tuple[Kept, ...]:
        name = self._environment.name
        return tuple(one for one in records if number_in(one.deployment.environment, name))

    def _held(self) -> AbstractContextManager[None]:
        name = self._environment.name
        return moment(self._context, name, sha=self._sha, actor="", number=0, takes=_TAKES, patience=SHORT)


def _look(
    context: Context, holdings: tuple[Holding, ...], records: tuple[Kept, ...], history: tuple[Entry, ...]
) -> Found:
    """Say what is over. A pull request that cannot be read keeps its preview."""
    reachable, now = cleanup.previews_of(holdings), context.clock.now()
    over: dict[int, cleanup.Why] = {}
    for number, revisions in reachable.items():
        until = cleanup.until_of(number, revisions, records)
        why = cleanup.why_over(state=_state(context, number), until=until, now=now)
        if why is not None:
            over[number] = why
    stale = tuple(
        one for one in records if not one.over and one.record.number not in reachable and not _under_way(context, one)
    )
    pointless = {holding.service: cleanup.pointless(holding, history) for holding in holdings}
    return Found(over=over, stale=stale, pointless=pointless)


def _state(context: Context, number: int) -> str:
    try:
        return context.github.pull_request(number).state
    except NotFoundError:  # it was never ours to judge: somebody's label, or rights that are missing
        return ""


def _under_way(context: Context, one: Kept) -> bool:
    """Whether a preview is being made at this moment."""
    record = one.record
    return not one.finished and context.github.run_alive(record.run_id, record.run_attempt)


def _close(context: Context, found: Found, records: tuple[Kept, ...]) -> list[str]:
    """Make the records of what is gone say so."""
    untold: list[str] = []
    for number, why in found.over.items():
        of_it = [one for one in records if one.record.number == number and not _under_way(context, one)]
        untold += close_records(context, of_it, why, again=why != "closed")
    for one in found.stale:
        closed = _state(context, one.record.number) == "closed"
        untold += close_records(context, (one,), "closed" if closed else "expired", again=not closed)
    return untold
