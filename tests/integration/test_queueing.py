"""The line in front of an environment: who is let through to wait, what is said of it, and who is taken out again."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.core import queueing
from bot.core.events import CommentEvent
from bot.core.facts import Lock, LockRecord, Queue, QueueEntry, Run
from bot.core.outcome import Decision, Outcome, Reason
from bot.errors import UpstreamError

THEN = (
    "It starts by itself at its turn, and the gates are asked again then; "
    "after 1h 00m in line it is not started any more."
)


@dataclass
class Waiting:
    """A command that was let through (or not), and its run."""

    event: CommentEvent
    run: Run
    outcome: Outcome


class Line:
    """A shop with open pull requests, whose workflow has two jobs; lee's release of pull request 8 runs."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.ids = itertools.count(601)
        for number in (7, 8, 9):
            world.pull(number)
        world.github.permissions.update({"lee": "write", "max": "admin", "ada": "admin"})
        self.lock = LockRecord(
            environment="staging", run_id=77, run_attempt=1, actor="lee", pull_request=8, sha="8" * 40,
            since=datetime(2026, 3, 2, 11, 59, tzinfo=UTC),
        )  # fmt: skip
        world.github.locks["staging"] = Lock(environment="staging", oid="f" * 40, record=self.lock)
        world.github.alive.add((77, 1))

    def ask(self, body: str = "/deploy staging", number: int = 7, **over: Any) -> Waiting:
        """The first job: it reads a comment and lets it through, or not."""
        event, run = self.world.comment(body, number=number, **over), Run(id=next(self.ids), attempt=1)
        self.world.github.alive.add((run.id, run.attempt))
        return Waiting(event, run, self.world.handle(event, phase="command", run=run))

    def turn(self, waiting: Waiting, environment: str = "staging", **over: Any) -> Outcome:
        """The second job, once nobody is before it."""
        outcome: Outcome = self.world.handle(
            waiting.event, phase="release", run=waiting.run, environment=environment,
            **{"pinned_sha": waiting.outcome.sha, **over},
        )  # fmt: skip
        self.world.github.alive.discard((waiting.run.id, waiting.run.attempt))
        return outcome

    def over(self) -> None:
        """What runs has ended."""
        self.world.github.locks.pop("staging", None)
        self.world.github.alive.discard((77, 1))

    def entries(self, environment: str = "staging") -> tuple[QueueEntry, ...]:
        found: Queue = self.world.github.queues.get(environment, Queue())
        return found.entries or ()

    def said(self, number: int = 7) -> str:
        thread: list[str] = self.world.github.thread(number)
        return thread[-1]


@pytest.fixture
def line(world: Any) -> Line:
    return Line(world)


# -- waiting ----------------------------------------------------------------------------------------------------------
def test_while_a_release_runs_another_one_waits_and_is_told_its_place(line: Line) -> None:
    waiting = line.ask()
    assert (waiting.outcome.decision, waiting.outcome.reason) == (Decision.RELEASE, Reason.READY)
    assert line.said().splitlines()[1:] == [
        "### ⏳ `0000007` waits for **staging** · 1st in line",
        "",
        "| | Before it | Since (UTC) |",
        "|:-:|---|---|",
        "| 🔄 | `8888888` by lee, PR 8 | 11:59:00 |",
        "",
        f"{THEN} Take it out of the line: `/cancel staging`",
        "",
        "<sub>as of 12:00:05 UTC · `/status staging` shows the line</sub>",
    ]
    assert line.world.github.reactions == []
    (entry,) = line.entries()
    assert (entry.actor, entry.thread, entry.run_id, entry.ahead, entry.sha) == (
        "dana",
        7,
        601,
        1,
        f"{7:07x}" + "0" * 33,
    )


def test_its_own_comment_goes_on_at_its_turn_and_the_line_is_empty(line: Line) -> None:
    waiting = line.ask()
    line.over()
    assert line.turn(waiting).reason is Reason.RELEASED
    assert len(line.world.github.thread(7)) == 1
    assert "is live on **staging**" in line.said()
    assert line.world.github.queues == {}


def test_the_second_in_line_is_told_of_both_before_it(line: Line) -> None:
    line.ask(number=9, author="ada")
    line.ask()
    assert "· 2nd in line" in line.said()
    assert "| ⏳ | `0000009` by ada, PR 9 | 12:00:05 |" in line.said()


def test_where_nobody_is_before_it_nothing_is_said_but_it_can_be_seen(line: Line) -> None:
    line.over()
    waiting = line.ask()
    assert line.world.github.thread(7) == []
    assert [one.ahead for one in line.entries()] == [0]
    line.ask(number=9)
    assert "| ⏳ | `0000007` by dana, PR 7 |" in line.said(9)  # its job has not begun yet
    assert line.turn(waiting).reason is Reason.RELEASED


def test_a_run_that_is_gone_is_before_nobody_and_is_forgotten(line: Line) -> None:
    gone = line.ask(number=9)
    line.world.github.alive.discard((gone.run.id, 1))
    line.over()
    line.ask()
    assert line.world.github.thread(7) == []
    assert [one.thread for one in line.entries()] == [7]


def test_what_has_the_lock_and_has_not_left_the_line_is_counted_once(line: Line) -> None:
    line.over()
    first = line.ask(number=8, author="lee")
    record = replace(line.lock, run_id=first.run.id)
    line.world.github.locks["staging"] = Lock(environment="staging", oid="f" * 40, record=record)
    line.ask()
    assert "· 1st in line" in line.said()


def test_what_was_written_down_a_day_ago_is_forgotten(line: Line) -> None:
    line.ask(number=9)
    line.world.clock.sleep(86_400)
    line.ask()
    assert [one.thread for one in line.entries()] == [7]


def test_a_push_waits_too_and_says_so_where_it_came_in(line: Line) -> None:
    line.world.github.came_by["1" * 40] = (5,)
    line.world.github.commits["main"] = "1" * 40
    run = Run(id=700, attempt=1)
    event = line.world.push("1" * 40)
    assert line.world.handle(event, phase="command", run=run).decision is Decision.RELEASE
    assert "### ⏳ `1111111` waits for **staging**" in line.said(5)
    line.over()
    assert line.world.handle(event, phase="release", run=run, environment="staging").reason is Reason.RELEASED
    assert len(line.world.github.thread(5)) == 1


def test_a_dry_run_is_in_nobodys_way(line: Line) -> None:
    first = line.ask()
    line.ask("/deploy staging --dry-run")
    assert [one.run_id for one in line.entries()] == [first.run.id]
    assert not line.entries()[0].dropped


def test_a_previews_moment_is_waited_for_by_itself(line: Line) -> None:
    record = replace(line.lock, expires=datetime(2026, 3, 2, 12, 5, tzinfo=UTC))
    line.world.github.locks["staging"] = Lock(environment="staging", oid="f" * 40, record=record)
    line.ask()
    assert line.world.github.thread(7) == []


def test_the_first_job_started_again_goes_on_with_its_comment(line: Line) -> None:
    line.world.log.fail("put_queue")
    with pytest.raises(UpstreamError):
        line.ask()
    line.world.log.heal()
    event = line.world.comment("/deploy staging", comment_id=9001)
    again = Run(id=601, attempt=2)
    assert line.world.handle(event, phase="command", run=again).decision is Decision.RELEASE
    assert len(line.world.github.thread(7)) == 1
    assert "1st in line" in line.said()


def test_in_one_job_whoever_holds_the_environment_is_named(line: Line) -> None:
    assert line.world.say("/deploy staging").reason is Reason.LOCKED
    assert line.world.github.queues == {}


def test_each_environment_has_a_line_of_its_own(line: Line) -> None:
    line.ask("/deploy staging\n/deploy production", author="ada")
    assert [len(line.entries(name)) for name in ("staging", "production")] == [1, 1]
    assert len(line.world.github.thread(7)) == 1  # only staging is held


# -- at its turn ------------------------------------------------------------------------------------------------------
def test_at_its_turn_the_gates_are_asked_again(line: Line) -> None:
    waiting = line.ask()
    line.over()
    line.world.say("/freeze staging --reason=fair", author="max", number=9)
    assert line.turn(waiting).reason is Reason.FROZEN
    assert "is frozen" in line.said()
    assert len(line.world.github.thread(7)) == 1
    assert line.world.github.queues == {}


def test_at_its_turn_the_head_must_not_have_moved(line: Line) -> None:
    waiting = line.ask()
    line.over()
    line.world.pull(7, head_sha="7" * 40)
    assert line.turn(waiting).reason is Reason.HEAD_MOVED
    assert line.world.github.queues == {}


def test_who_waited_too_long_does_not_start(line: Line) -> None:
    waiting = line.ask()
    line.world.clock.sleep(3700)
    line.over()
    assert line.turn(waiting).reason is Reason.WAITED_TOO_LONG
    assert "It waited in line for `staging` for 62 minutes, and may for 60 (`gates.queue_time`)." in line.said()
    assert line.world.mutations() == []


def test_who_waited_for_reviewers_alone_may_have_waited_long(line: Line) -> None:
    line.over()
    waiting = line.ask()
    line.world.clock.sleep(7200)
    assert line.turn(waiting).reason is Reason.RELEASED


def test_how_long_one_may_wait_can_be_configured(line: Line) -> None:
    files, path = line.world.github.files, (".github/slipway.yml", "main")
    files[path] = files[path].replace("required_checks: [ci]", "required_checks: [ci], queue_time: 3h")
    waiting = line.ask()
    line.world.clock.sleep(3700)
    line.over()
    assert line.turn(waiting).reason is Reason.RELEASED


def test_the_line_that_cannot_be_left_keeps_nobody_from_being_released(line: Line) -> None:
    waiting = line.ask()
    line.over()
    line.world.log.fail("put_queue")
    assert line.turn(waiting).reason is Reason.RELEASED
    assert [one.thread for one in line.entries()] == [7]


# -- replaced ---------------------------------------------------------------------------------------------------------
def test_a_newer_command_of_the_pull_request_takes_the_place_of_the_older(line: Line) -> None:
    older = line.ask()
    line.world.pull(7, head_sha="7" * 40)
    newer = line.ask()
    first, second = line.world.github.thread(7)
    assert "`/deploy staging` (`0000007`) was not run: While it waited for `staging`, a newer command" in first
    assert "`7777777` waits for **staging** · 1st in line" in second
    line.over()
    outcome = line.turn(older)
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.REFUSED, Reason.REPLACED, 0)
    assert line.turn(newer).reason is Reason.RELEASED
    assert len(line.world.github.thread(7)) == 2
    assert "a newer command" in line.world.github.thread(7)[0]
    assert "`7777777` is live" in line.said()


def test_another_pull_requests_stays(line: Line) -> None:
    line.ask(number=9)
    line.ask()
    assert [one.dropped for one in line.entries()] == ["", ""]


def test_what_runs_is_not_replaced(line: Line) -> None:
    line.over()
    first = line.ask()
    record = replace(line.lock, run_id=first.run.id)
    line.world.github.locks["staging"] = Lock(environment="staging", oid="f" * 40, record=record)
    line.ask()
    assert [one.dropped for one in line.entries()] == ["", ""]


def test_of_one_that_had_no_comment_its_job_says_it(line: Line) -> None:
    line.over()
    older = line.ask()
    line.ask()
    assert len(line.world.github.thread(7)) == 0  # the newer one is the first in line
    assert line.turn(older).reason is Reason.REPLACED
    assert "a newer command on this thread took its place" in line.said()


def test_the_same_event_again_is_the_same_command(line: Line) -> None:
    first = line.ask()
    again = Run(id=800, attempt=1)
    line.world.github.alive.add((800, 1))
    assert line.world.handle(first.event, phase="command", run=again).decision is Decision.RELEASE
    assert [one.run_id for one in line.entries()] == [800]
    line.over()
    assert line.turn(first).reason is Reason.RELEASED


def test_both_runs_of_an_event_that_came_twice_find_it_taken_out(line: Line) -> None:
    first = line.ask()
    again = Run(id=800, attempt=1)
    line.world.github.alive.add((800, 1))
    line.world.handle(first.event, phase="command", run=again)
    assert line.ask("/cancel staging").outcome.reason is Reason.DEQUEUED
    line.over()
    assert line.turn(first).reason is Reason.DEQUEUED
    assert line.turn(replace(first, run=again)).reason is Reason.DEQUEUED
    assert line.world.github.queues == {}


def test_it_is_dropped_while_its_job_is_asking_the_gates(line: Line) -> None:
    """The newer command was written down after the job had read the line, and before it left it."""
    older = line.ask()
    line.over()

    def newer() -> None:
        line.world.log.hooks.pop("put_queue")
        entries = queueing.dropped(line.entries(), {f"{older.event.comment_id}-1"}, "replaced", "dana")
        line.world.github.queues["staging"] = Queue(oid="e" * 40, entries=entries)

    line.world.log.hooks["put_queue"] = newer
    assert line.turn(older).reason is Reason.REPLACED
    assert line.world.mutations() == []
    assert line.world.github.locks == {}


# -- cancelled --------------------------------------------------------------------------------------------------------
def test_cancelling_takes_what_waits_here_out_of_the_line(line: Line) -> None:
    waiting = line.ask()
    outcome = line.ask("/cancel staging").outcome
    assert (outcome.decision, outcome.reason) == (Decision.DONE, Reason.DEQUEUED)
    first, second = line.world.github.thread(7)
    assert "While it waited for `staging`, dana took it out of the line." in first
    assert (
        "Out of the line for **staging**: `0000007` by dana. The release of `8888888` by lee that runs goes on."
        in second
    )
    assert line.world.log.named("cancel_run") == []
    line.over()
    outcome = line.turn(waiting)
    assert (outcome.reason, outcome.exit_code) == (Reason.DEQUEUED, 0)
    assert len(line.world.github.thread(7)) == 2
    assert line.world.mutations() == []


def test_on_another_thread_what_runs_is_meant(line: Line) -> None:
    line.ask()
    assert line.ask("/cancel staging", number=8, author="lee").outcome.reason is Reason.CANCEL_SENT
    assert [one.dropped for one in line.entries()] == [""]


def test_somebody_else_may_not(line: Line) -> None:
    line.ask()
    assert line.ask("/cancel staging", author="lee").outcome.reason is Reason.FORBIDDEN
    assert "dana started it, and may cancel it." in line.said()
    assert [one.dropped for one in line.entries()] == [""]


def test_an_admin_may(line: Line) -> None:
    line.ask()
    assert line.ask("/cancel staging", author="max").outcome.reason is Reason.DEQUEUED
    assert [one.dropped_by for one in line.entries()] == ["max"]


def test_it_has_begun_meanwhile(line: Line) -> None:
    waiting = line.ask()
    line.over()

    def begun() -> None:
        line.world.log.hooks.pop("put_queue")
        line.turn(waiting)

    line.world.log.hooks["put_queue"] = begun
    assert line.ask("/cancel staging").outcome.reason is Reason.NOTHING_TO_CANCEL
    assert "What waited for `staging` has just begun." in line.said()


def test_a_run_that_is_gone_waits_no_more(line: Line) -> None:
    waiting = line.ask()
    line.world.github.alive.discard((waiting.run.id, 1))
    line.over()
    assert line.ask("/cancel staging").outcome.reason is Reason.NOTHING_TO_CANCEL


# -- looking ----------------------------------------------------------------------------------------------------------
def test_the_status_shows_the_line(line: Line) -> None:
    line.ask(number=9, author="ada")
    gone = line.ask(number=8, author="lee")
    line.ask()
    line.world.github.alive.discard((gone.run.id, 1))
    assert line.ask("/status", author="max").outcome.reason is Reason.STATUS_SHOWN
    said = line.said()
    assert "🔒 lee, since 11:59:00 UTC · ⏳ 2 waiting |" in said
    assert "- **staging**: in line at place 1: `0000009` by ada, PR 9, since 12:00:05 UTC" in said
    assert "- **staging**: in line at place 2: `0000007` by dana, PR 7, since 12:00:15 UTC" in said
    assert said.count("waiting") == 1


# -- writing it down --------------------------------------------------------------------------------------------------
def test_two_come_at_once(line: Line) -> None:
    def other() -> None:
        line.world.log.hooks.pop("put_queue")
        line.ask(number=9)

    line.world.log.hooks["put_queue"] = other
    line.ask()
    assert [one.thread for one in line.entries()] == [9, 7]


def test_it_cannot_be_written_down(line: Line) -> None:
    line.world.log.fail("put_queue")
    with pytest.raises(UpstreamError):
        line.ask()
    assert "502" in line.said()
    assert len(line.world.github.thread(7)) == 1


def test_others_are_faster_every_time(line: Line) -> None:
    count = itertools.count(1)

    def faster() -> None:
        line.world.github.queues["staging"] = Queue(oid=f"{next(count):040x}", entries=())

    line.world.log.hooks["put_queue"] = faster
    with pytest.raises(UpstreamError, match="changed by others 5 times"):
        line.ask()


def test_a_line_that_cannot_be_read_is_begun_anew(line: Line) -> None:
    line.world.github.queues["staging"] = Queue(oid="e" * 40, entries=None)
    assert line.ask().outcome.decision is Decision.RELEASE
    assert [one.thread for one in line.entries()] == [7]
