"""What is said of a release that waits, and of one that was taken out of the line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from bot.core.facts import LockRecord, QueueEntry
from bot.report.queueing import Place, checked_comment, checks_comment, dequeued_comment, queued_comment

Golden = Callable[[str, str], None]
MARK = "<!-- slipway:v1 id=9-1 env=staging -->"
SINCE = datetime(2026, 1, 2, 10, 0, 5, tzinfo=UTC)
RUNNING = LockRecord(
    environment="staging", run_id=77, run_attempt=1, actor="lee", pull_request=8, sha="8" * 40, since=SINCE
)
OURS = QueueEntry(
    id="9-1", verb="deploy", run_id=80, run_attempt=1, actor="dana", thread=7, sha="7" * 40,
    since=SINCE.replace(minute=3),
)  # fmt: skip
OTHER = replace(OURS, id="8-1", run_id=79, actor="@max`|", thread=0, sha="9" * 40, since=SINCE.replace(minute=2))


def place(*ahead: QueueEntry, running: LockRecord | None = RUNNING) -> str:
    where = Place(environment="staging", waits=OURS, running=running, ahead=ahead, limit=3600.0)
    return queued_comment(where, marker=MARK)


def test_the_place_in_the_line(golden: Golden) -> None:
    golden("queued", place(OTHER))


def test_each_place_has_its_number() -> None:
    assert [place(*[OTHER] * ahead).partition(" · ")[2].split()[0] for ahead in range(5)] == [
        "1st", "2nd", "3rd", "4th", "5th",
    ]  # fmt: skip
    assert "🔄" not in place(OTHER, running=None)


def test_out_of_the_line(golden: Golden) -> None:
    golden("dequeued", dequeued_comment("staging", (OURS, OTHER), running=RUNNING, marker=MARK))
    assert "goes on" not in dequeued_comment("staging", (OURS,), running=None, marker=MARK)


def test_waiting_for_checks(golden: Golden) -> None:
    sentence = "Required checks are still running on `7777777`: `ci`."
    body = checks_comment(
        "staging", "7" * 40, sentence, until=SINCE.timestamp(), run_url="https://example.test/runs/1", marker=MARK
    )
    golden("waiting-for-checks", body)
    assert "on to **staging**" in checked_comment("staging", "7" * 40, marker=MARK)
