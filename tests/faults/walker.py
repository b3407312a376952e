"""Takes the steps of a random walk in one world, and judges after each.

A step is data. What a step may leave behind is kept in mind: people who move traffic are answerable for it, and what
a killed or failed run leaves is the next command's to mend, so that is judged once one has come to its end.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import invariants
from columns import CALL_TIMEOUT, CANCEL, COLUMNS, PATIENT, Column
from company import ENVIRONMENTS, Company, chosen, words_of
from invariants import Before
from stage import Stage
from stories import Event

from bot.sandbox.github import Run
from bot.sandbox.world import Ran

HOLDS = "refs/slipway/holds/"
FAULTS = {name: column for name, column in COLUMNS.items() if not name.endswith("kill-n")} | {"cancel": CANCEL}
USUAL = {
    "deploy": 120,
    "one": 100,
    "rollback": 60,
    "push": 110,
    "dispatch": 110,
    "status": 24,
    "unlock": 14,
    "rerun": 60,
}
MOVING = frozenset({"shift", "split", "env", "revision"})  # edits that may move traffic
UNFORESEEN = MOVING | {
    "tag",
    "untag",
    "close",
    "commit",
    "delete-lock",
}  # edits after which a run may end in several ways
DISPATCHED = ("deploy", "rollback")


@dataclass(frozen=True, kw_only=True)
class Step:
    """What happens next. ``what``: a command or an edit; ``number`` chooses what it is about.

    While the bot runs, ``fault`` hits the first call that it can from ``at`` on, and somebody does ``edit`` at the call
    ``edit_at``; both are thousandths of how many calls there usually are.
    """

    what: str
    environment: str = "staging"
    number: int = 0
    health: str = "fine"
    fault: str = ""
    at: int = 0
    edit: str = ""
    edit_at: int = 0

    @property
    def words(self) -> str:
        """The step in short, without what it does not say."""
        shown = {name: value for name, value in vars(self).items() if value != getattr(Step(what=""), name)}
        return ", ".join(f"{name}={value}" if name != "what" else str(value) for name, value in shown.items())


@dataclass(kw_only=True)
class Situation:
    """What is known of an environment. ``open``: a run may have left what the next one mends.

    ``moved``: somebody has sent traffic elsewhere since the last release. ``back`` is the commit that a rollback would
    bring back now, where that is known.
    """

    open: bool = False
    moved: bool = False
    back: str = ""


@dataclass(kw_only=True)
class Done:
    """A run of the bot and what was there before it."""

    event: Event
    ran: Ran
    environment: str
    expected: frozenset[str]
    since: float
    before: dict[str, frozenset[tuple[str, str, int]]]
    column: Column | None = None  # the fault, if it came
    call: str = ""
    edit: str = ""  # what somebody did meanwhile, if he did

    @property
    def decision(self) -> str:
        """How it ended, by its own words."""
        return self.ran.outputs.get("decision", "")

    @property
    def killed(self) -> bool:
        """Whether it did not end by itself."""
        return self.ran.exit_code == -signal.SIGKILL

    @property
    def out(self) -> bool:
        """Whether a whole server was out."""
        return self.column is not None and self.column.kind == "outage"

    @property
    def as_expected(self) -> bool:
        """Whether it ended in a way that it may end without a fault."""
        return self.decision in self.expected and not self.killed


@dataclass(kw_only=True)
class Walker:
    """Walks in the world of a stage."""

    stage: Stage
    company: Company = field(init=False)
    situations: dict[str, Situation] = field(default_factory=lambda: {name: Situation() for name in ENVIRONMENTS})
    last: tuple[Event, Run, str, dict[str, str]] | None = None
    _seen: dict[str, list[invariants.Served]] = field(default_factory=dict)  # what served before the run

    def __post_init__(self) -> None:
        self.company = Company(stage=self.stage)

    def take(self, step: Step) -> dict[str, Any]:
        """Take a step; returns it in words and what does not hold, with all that is to be seen if something does not."""
        words, problems = getattr(self, f"_take_{step.what}", self._take_edit)(step)
        told: dict[str, Any] = {"words": words, "problems": list(dict.fromkeys(problems))}
        if problems:
            told["described"] = invariants.describe(self.stage, step.environment) | {"runs": self._last_run()}
        return told

    def _last_run(self) -> list[str]:
        ran = self.stage.runs[-1]
        return [*ran.stdout.splitlines(), *ran.stderr.splitlines(), *self.stage.wires.calls]

    # -- steps without the bot ------------------------------------------------------------------------------
    def _take_propose(self, step: Step) -> tuple[str, list[str]]:
        return self.company.propose(step.health), []

    def _take_amend(self, step: Step) -> tuple[str, list[str]]:
        return self.company.amend(step.number, step.health), []

    def _take_configure(self, _: Step) -> tuple[str, list[str]]:
        return self.company.configure(), []

    def _take_edit(self, step: Step) -> tuple[str, list[str]]:
        self._edited(step.what, step.environment)
        return self.company.edit(step.what, step.environment, step.number), []

    def _edited(self, edit: str, environment: str) -> None:
        situation = self.situations[environment]
        situation.moved = situation.moved or edit in MOVING
        if edit in MOVING | {"status"}:
            situation.back = ""

    # -- steps of the bot -----------------------------------------------------------------------------------
    def _take_deploy(self, step: Step) -> tuple[str, list[str]]:
        return self._deploy(step)

    def _take_one(self, step: Step) -> tuple[str, list[str]]:
        """Release one service alone. What makes a commit ill is seen in the web, so the worker is well whatever it is."""
        return self._deploy(step, invariants.SERVICES[step.number // 3 % 2])

    def _deploy(self, step: Step, service: str = "") -> tuple[str, list[str]]:
        issue = self.company.pull(step.number)
        assert issue.pull is not None
        event = self.company.say(f"/deploy {step.environment} {service}".rstrip(), step.number)
        sha = issue.pull.merge_sha if issue.pull.merged_at else issue.pull.head_sha
        refused = issue.state != "open" and not issue.pull.merged_at
        refused = refused or (not issue.pull.merged_at and self._conflicts(issue.number))
        if refused:
            return self._run(step, event, {"refused"})
        return self._run(step, event, {"released"} if service == "worker" else self._released(step, sha or ""))

    def _take_push(self, step: Step) -> tuple[str, list[str]]:
        words = self.company.merge(step.number) if step.number % 2 else self.company.commit_to_main(step.health)
        event = self.company.push()
        held = f"{HOLDS}staging" in self.stage.world.repository.refs(HOLDS)
        expected = {"refused"} if held else self._released(step, str(event.payload["after"]))
        said, problems = self._run(step, event, expected)
        return f"{words}; {said}", problems

    def _take_dispatch(self, step: Step) -> tuple[str, list[str]]:
        verb = DISPATCHED[step.number % 2]
        inputs = {"SLIPWAY_COMMAND": verb, "SLIPWAY_ENVIRONMENT": step.environment}
        head = self.stage.world.repository.resolve("main") or ""
        expected = self._released(step, head) if verb == "deploy" else self._back(step)
        return self._run(step, self.company.dispatch(), expected, inputs=inputs)

    def _take_rollback(self, step: Step) -> tuple[str, list[str]]:
        wanted = self.situations[step.environment].back
        said, problems = self._run(step, self.company.say(f"/rollback {step.environment}", 0), self._back(step))
        served = {each.sha for each in invariants.serving(self.stage, step.environment)}
        if wanted and "-> released" in said and step.edit not in MOVING and served != {wanted}:
            problems.append(f"{' and '.join(sorted(served))} is back instead of {wanted}")
        return said, problems

    def _take_rollback_to(self, step: Step) -> tuple[str, list[str]]:
        deployment = chosen(invariants.deployments(self.stage, step.environment), step.number)
        assert deployment is not None
        body = f"/rollback {step.environment} --to={deployment.id if step.number % 2 else deployment.sha[:7]}"
        return self._run(step, self.company.say(body, 0), {"released", "refused"} | self._back(step))

    def _take_status(self, step: Step) -> tuple[str, list[str]]:
        said, problems = self._run(step, self.company.say("/status", 0, author="dana"), {"answered"})
        written = invariants.comments(self.stage)
        if not step.edit and "-> answered" in said and written:
            problems += self._shown(written[-1].body)
        return said, problems

    def _shown(self, body: str) -> Iterator[str]:
        """Yield where ``/status`` shows another commit than the one that serves."""
        for match in _STATUS.finditer(body):
            name, sha = match[1] or match[2], match[3]
            if name in ENVIRONMENTS and {sha} != {each.sha for each in invariants.serving(self.stage, name)}:
                yield f"the status of {name} shows {sha}, and that is not what serves"

    def _take_unlock(self, step: Step) -> tuple[str, list[str]]:
        said, problems = self._run(step, self.company.say(f"/unlock {step.environment}", 0), {"done"})
        if f"{HOLDS}{step.environment}" in self.stage.world.repository.refs(HOLDS) and "done" in said:
            problems.append("unlocked, and still on hold")
        return said, problems

    def _take_rerun(self, step: Step) -> tuple[str, list[str]]:
        if self.last is None:
            return "nothing: there was no run", []
        event, run, environment, inputs = self.last
        anything = {"released", "failed", "refused", "answered", "cancelled", "done"}
        return self._run(step, event, anything, again=run, environment=environment, inputs=inputs)

    def _take_end(self, step: Step) -> tuple[str, list[str]]:
        """Let somebody release a healthy commit: whatever happened, that goes well and leaves nothing behind."""
        if self.company.staged():
            self.company.configure()
        self.company.propose("fine", author="lee")
        event = self.company.say(f"/deploy {step.environment}", 0)
        said, problems = self._run(step, event, {"released"})
        if self.situations[step.environment].open:
            problems.append(f"not mended by a release: {said}")
        return said, problems

    def _conflicts(self, number: int) -> bool:
        repository = self.stage.world.repository
        return repository.mergeability(repository.pull(number)[0])[1] == "dirty"

    def _released(self, step: Step, sha: str) -> set[str]:
        """Return how a release of a commit may end. By stages it may be refused: too few visitors in production."""
        ended = "released" if self.company.health(sha) == "fine" else "failed"
        return {ended, "refused"} if self.company.staged() else {ended}

    def _back(self, step: Step) -> set[str]:
        """Return how a rollback may end. What people have made by hand may be ill."""
        if self.situations[step.environment].back:
            return {"released"}
        return {"released", "refused", "failed"} if self.company.sent else {"released", "refused"}

    def _run(
        self,
        step: Step,
        event: Event,
        expected: set[str],
        *,
        again: Run | None = None,
        inputs: dict[str, str] | None = None,
        environment: str = "",
    ) -> tuple[str, list[str]]:
        environment = environment or step.environment
        column, usual = FAULTS.get(step.fault), USUAL.get(step.what.removesuffix("_to"), 100)
        since, before = time.time(), {name: self._traffic(name) for name in ENVIRONMENTS}
        self._seen = {name: invariants.serving(self.stage, name) for name in ENVIRONMENTS}
        edited: list[str] = []

        def edit() -> None:
            edited.append(self.company.edit(step.edit, environment, step.number))

        self.stage.wires.listen(
            column,
            number=1 + step.at * usual // 1000,
            deed=edit if step.edit else None,
            deed_at=1 + step.edit_at * usual // 1000,
        )
        timeout = CALL_TIMEOUT if step.fault == "stall" else PATIENT
        ran = self.stage.act(event, again=again, call_timeout=timeout, inputs=inputs)
        self.stage.wires.hush()
        self.last = (event, ran.run, environment, inputs or {})
        done = Done(
            event=event, ran=ran, environment=environment, expected=frozenset(expected), since=since, before=before,
            column=column if self.stage.wires.hit else None, call=self.stage.wires.hit, edit=step.edit if edited else "",
        )  # fmt: skip
        problems = list(self._judged(done))
        return self._words(done, edited), problems

    def _words(self, done: Done, edited: list[str]) -> str:
        """Return a run in words."""
        ran, words = done.ran, words_of(done.event)
        words += f" (attempt {ran.run.attempt})" if ran.run.attempt > 1 else ""
        words += f"; {done.column.name} at {done.call}" if done.column else ""
        words += f"; meanwhile {edited[0]}" if edited else ""
        said = " ".join(filter(None, [done.decision, ran.outputs.get("reason"), ran.outputs.get("sha", "")[:7]]))
        return f"{words} -> {said or 'nothing said'} (exit {ran.exit_code}, {ran.seconds:.1f} s)"

    def _traffic(self, environment: str) -> frozenset[tuple[str, str, int]]:
        served = invariants.serving(self.stage, environment)
        return frozenset((each.service, each.revision, each.percent) for each in served)

    # -- judging --------------------------------------------------------------------------------------------
    def _judged(self, done: Done) -> Iterator[str]:
        """Yield what does not hold after a run, and keep in mind what it leaves."""
        if done.edit:
            self._edited(done.edit, done.environment)
        yield from invariants.once(self.stage)
        yield from invariants.unseen(self.stage, runs=1)
        yield from self._left_alone(done)
        if done.killed:
            self.situations[done.environment].open, self.situations[done.environment].back = True, ""
            return
        if done.column is CANCEL and not done.decision:  # in the triage, which has nothing to bring back or to tell
            return
        undisturbed = done.column is None and done.edit not in UNFORESEEN
        if undisturbed and not done.as_expected:
            yield f"it ended as {done.decision or 'nothing'} instead of {' or '.join(sorted(done.expected))}"
        yield from self._answered(done)
        yield from self._true(done)
        yield from self._ended(done)

    def _left_alone(self, done: Done) -> Iterator[str]:
        """Nothing changes where nothing was asked for: in other environments, and people's tags."""
        for name in ENVIRONMENTS:
            if name != done.environment and self._traffic(name) != done.before[name]:
                yield f"the traffic of {name} has changed"
        for name, tags in self.company.tags.items():
            services = self.stage.world.cloud.run.run_services.all
            found = {target.tag: target.revision.name for target in services[name].site.targets if target.tag}
            yield from [
                f"{name} has lost the tag {tag} of {revision}"
                for tag, revision in tags.items()
                if found.get(tag) != revision
            ]

    def _answered(self, done: Done) -> Iterator[str]:
        """Whoever asked was told, if there is a thread to tell him on."""
        found = invariants.answered(self.stage, done.ran, done.column, done.call, done.environment, since=done.since)
        for words in found:
            no_thread = words == invariants.UNSAID and not done.event.number
            moved = words.startswith("released ") and done.edit in MOVING
            if not (no_thread or moved):
                yield words

    def _true(self, done: Done) -> Iterator[str]:
        """What the run has said is so, unless somebody has moved traffic since it looked."""
        moving = done.edit in MOVING
        if done.edit == "edit-comment" or (moving and not self._looked_since(done)):
            return
        before = Before(revisions=frozenset(revision for _, revision, _ in done.before[done.environment]))
        # Or the run has taken back what a former one left.
        moving = moving or self.situations[done.environment].open or not self._all_verified(done.environment)
        for words in invariants.true_words(self.stage, before, done.environment, since=done.since):
            excused = (done.out and words.startswith(invariants.ALARM)) or (moving and "nothing was changed" in words)
            if not excused:
                yield words

    def _looked_since(self, done: Done) -> bool:
        """Whether a run that failed has looked at what serves, as it does last of all, after somebody moved traffic."""
        calls = self.stage.wires.calls[self.stage.wires.deeds_done :]
        looks = {f"run GET services/{name}" for name in invariants.SERVICES}
        return done.decision in {"failed", "cancelled"} and looks <= {call.partition(" #")[0] for call in calls}

    def _ended(self, done: Done) -> Iterator[str]:
        """Judge what the run has left, if it was to leave nothing; else keep in mind that it may have."""
        situation = self.situations[done.environment]
        was_open = situation.open
        settled = done.decision == "released" or done.as_expected or done.column in {None, CANCEL}
        mended = done.decision == "released" or done.decision in {"failed", "cancelled"}
        situation.open = done.out or not settled or (was_open and not mended)
        if not situation.open:
            yield from self._strictly(done, situation, was_open=was_open)
        if situation.open or done.decision == "released":
            situation.back = "" if was_open or situation.open else self._found(done)

    def _strictly(self, done: Done, situation: Situation, *, was_open: bool) -> Iterator[str]:
        name, released, moving = done.environment, done.decision == "released", done.edit in MOVING
        yield from invariants.verified(self.stage, Before(revisions=frozenset(self.company.sent)), name)
        yield from invariants.left_over(self.stage, name)
        situation.moved = situation.moved and (moving or not released)
        if not situation.moved:
            yield from invariants.together(self.stage, name)
        # What a failed release has left is taken back, also where it was somebody who had sent traffic there.
        took_back = was_open or moving or not self._all_verified(name)
        if not (released or took_back) and self._traffic(name) != done.before[name]:
            yield f"it was not released, and {_said(done.before[name])} serves no more"

    def _all_verified(self, environment: str) -> bool:
        """Whether all that served before the run was of releases that went well."""
        good = {invariants.key(each) for each in invariants.succeeded(self.stage, environment)}
        return {each.labels.get("slipway-release") for each in self._seen[environment]} <= good

    def _found(self, done: Done) -> str:
        """Return which verified commit a release has found, so that a rollback brings that back; "" if not known."""
        name = done.environment
        served = [each for each in self._seen.get(name, ()) if each.revision not in self.company.sent]
        shas = {each.sha for each in served}
        rolled = done.ran.outputs.get("reason") != "released"
        known = not rolled and not done.edit and not self.situations[name].moved and len(served) == 2
        return shas.pop() if known and len(shas) == 1 else ""


def _said(traffic: frozenset[tuple[str, str, int]]) -> str:
    return ", ".join(f"{revision} {percent} %" for _, revision, percent in sorted(traffic))


_STATUS = re.compile(r"^\| (?:\[`(\w+)`\]\([^)]*\)|`(\w+)`) \| \[?`(\w{7})`", re.MULTILINE)
