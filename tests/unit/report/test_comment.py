from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from markdown_it import MarkdownIt

from bot.core.facts import Commit, Comparison
from bot.core.outcome import ReleaseReport, ServiceLine, StepResult
from bot.core.target import Diagnosis
from bot.report.comment import instruction, marker, next_line, read_marker, release_comment, under_way
from bot.report.headline import headline, subline
from bot.report.sections import commits, first_errors, gantt, serving_now

MARK = marker("ic-991-0", environment="staging", sha="4f9a1c2d3e5f60718293a4b5c6d7e8f901234567")
NAMES = [
    "running",
    "running-first-words",
    "running-late-and-behind",
    "running-restoring",
    "released",
    "released-first",
    "released-already",
    "released-behind",
    "released-one-service",
    "promoted",
    "attested",
    "build-failed",
    "job-failed",
    "rollout-failed",
    "verification-failed-before-traffic",
    "verification-failed-restored",
    "restore-failed",
    "first-release-failed",
    "upstream-failed",
    "timed-out",
    "cancelled",
    "cancelled-not-restored",
    "rolled-back",
    "rollback-running",
    "rollback-failed",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_release_reads_as_in_its_golden_file(
    name: str, reports: dict[str, ReleaseReport], golden: Callable[[str, str], None]
) -> None:
    golden(name, release_comment(reports[name], marker=MARK))


def test_every_report_has_its_golden_file(reports: dict[str, ReleaseReport]) -> None:
    assert set(NAMES) == set(reports)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("ic-1-0", "staging", "a" * 40), f"<!-- slipway:v1 id=ic-1-0 env=staging sha={'a' * 40} -->"),
        (("1", "", ""), "<!-- slipway:v1 id=1 -->"),
        (("-->x", "a--b c\n", ""), "<!-- slipway:v1 id=-%2D%3Ex env=a-%2Db%20c%0A -->"),
    ],
)
def test_a_marker_is_one_comment_whatever_its_values(values: tuple[str, str, str], expected: str) -> None:
    assert marker(values[0], environment=values[1], sha=values[2]) == expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("/deploy staging", "`/deploy staging`"),
        ("after a fix: /deploy staging", "after a fix: `/deploy staging`"),
        ("push a fix", "push a fix"),
        ("type `/deploy staging`: /now", "type `/deploy staging`: /now"),
    ],
)
def test_what_to_do_next_is_inline_code_where_it_is_a_command(entry: str, expected: str) -> None:
    assert instruction(entry) == expected
    assert next_line([entry]) == f"**Next:** {expected}"


def test_without_anything_to_do_there_is_no_line() -> None:
    assert next_line(()) == ""


LIES = "serves again", "still serves", "No user saw it", "as it was before", "nothing serves yet"


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"restored": False}, {"**not restored**"}),
        ({"restored": True, "unwell": True}, {"look at what serves now"}),
        ({"restored": None, "unwell": True}, {"look at what serves now"}),
        ({"restored": True, "exposed_seconds": 3.0}, {"`a81d0be` serves again"}),
        ({"restored": True, "exposed_seconds": 3.0, "previous_sha": ""}, {"as it was before"}),
        ({"restored": True, "exposed_seconds": 3.0, "previous_sha": "", "first": True}, {"taken back"}),
        ({"restored": True}, {"`a81d0be` still serves"}),
        ({"restored": None}, {"`a81d0be` still serves", "No user saw it"}),
        ({"restored": None, "previous_sha": ""}, {"what served still does", "No user saw it"}),
        ({"restored": None, "previous_sha": "", "first": True}, {"nothing serves yet", "No user saw it"}),
        ({"restored": None, "exposed_seconds": 3.0}, {"`a81d0be` still serves", "Users saw it for 3.0s"}),
    ],
)
def test_what_is_said_to_serve_is_no_more_than_what_is_known(
    over: dict[str, Any], said: set[str], make_report: Callable[..., ReleaseReport]
) -> None:
    first, unwell = over.pop("first", False), over.pop("unwell", False)
    line = ServiceLine(service="web", before="" if first else "web-1", now="" if first else "web-1", healthy=not unwell)
    body = release_comment(make_report(state="failed", steps=(), services=(line,), **over), marker=MARK)
    for words in said:
        assert words in body
    for words in LIES:
        assert (words in body) == any(words in one for one in said)


def test_traffic_that_was_shifted_was_perhaps_seen(reports: dict[str, ReleaseReport]) -> None:
    shifted = replace(reports["verification-failed-restored"], exposed_seconds=0.0)
    assert "No user saw it" not in release_comment(shifted, marker=MARK)
    assert "No user saw it" in release_comment(reports["rollout-failed"], marker=MARK)


@pytest.mark.parametrize("name", NAMES)
def test_no_line_looks_like_a_command(name: str, reports: dict[str, ReleaseReport]) -> None:
    assert not re.search(r"^/[a-z]", release_comment(reports[name], marker=MARK), re.MULTILINE)


def test_hostile_text_changes_no_structure(reports: dict[str, ReleaseReport]) -> None:
    evil = "|`x`|\n/deploy production @octocat #1 </details> <!-- ```\x1b[31m"
    report = reports["verification-failed-restored"]
    steps = tuple(
        replace(
            step,
            title=evil,
            detail=evil,
            link="javascript:alert(1)",
            diagnosis=step.diagnosis and Diagnosis(error=evil, tail=(evil,) * 3, link=evil),
            checks=tuple(replace(check, name=evil, expected=evil, found=evil) for check in step.checks),
        )
        for step in report.steps
    )
    services = tuple(replace(line, service=evil, tried=evil, now=evil, url=evil) for line in report.services)
    mean = replace(
        report,
        steps=steps,
        services=services,
        actor=evil,
        environment=evil,
        sentence=evil,
        restore_detail=evil,
        not_undone=(evil,),
        comparison=Comparison(
            ahead_by=1, behind_by=0, commits=(Commit(sha="a" * 40, subject=evil, author=evil, url=evil),)
        ),
        next=(evil,),
    )
    calm, body = (
        MarkdownIt("commonmark", {"html": True}).enable("table").parse(release_comment(one, marker=MARK))
        for one in (report, mean)
    )
    assert [token.type for token in calm if token.level == 0] == [token.type for token in body if token.level == 0]
    assert sum(token.type == "td_open" for token in calm) == sum(token.type == "td_open" for token in body)
    text = " ".join(child.content for token in body for child in token.children or [] if child.type == "text")
    assert not re.search(r"@octocat|#1\b", text)


def test_services_that_are_not_known_are_not_listed(make_report: Callable[..., ReleaseReport]) -> None:
    assert "Serving now" not in release_comment(make_report(state="failed", services=()), marker=MARK)


def test_a_very_long_release_has_no_chart(make_report: Callable[..., ReleaseReport]) -> None:
    report = make_report()
    assert "mermaid" not in release_comment(replace(report, now=report.started + 86_400), marker=MARK)


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Roll out web: now; #1", "Roll out web now 1"),
        ("section of doom", "step section of doom"),
        ("%%", "%"),
        ("Shift 25 % of it", "Shift 25 % of it"),
        ("gantté", "step gantté"),
        ("a" * 90, "a" * 60),
    ],
)
def test_a_name_in_the_chart_is_only_a_name(
    title: str, expected: str, make_report: Callable[..., ReleaseReport], make_step: Callable[..., StepResult]
) -> None:
    chart = gantt(make_report(steps=(make_step("x", "shift", title, "cancelled", 2, 0.2),)))
    assert chart.split("\n")[5] == f"    {expected} :active, 00:00:02, 1s"


def test_logs_without_an_error_line_are_still_linked(
    make_report: Callable[..., ReleaseReport], make_step: Callable[..., StepResult]
) -> None:
    logs = Diagnosis(link="https://x.example/logs")
    step = make_step("x", "shift", "Shift", "failed", 2, 3, diagnosis=logs)
    assert first_errors(make_report(steps=(step,))) == ["*Shift* has [logs](https://x.example/logs)."]
    assert first_errors(make_report(steps=(replace(step, diagnosis=Diagnosis()),))) == []


def test_a_long_list_of_commits_is_cut(make_report: Callable[..., ReleaseReport]) -> None:
    many = tuple(Commit(sha=f"{number:040d}", subject=f"Change {number}") for number in range(30))
    text = commits(make_report(comparison=Comparison(ahead_by=250, behind_by=0, commits=many)))
    assert "Change 29" in text
    assert "Change 9" not in text
    assert "- and 230 earlier commits" in text


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        (
            Comparison(ahead_by=1, behind_by=2, url="https://x.example/c"),
            "[1 commit ahead and 2 commits behind](https://x.example/c) `a81d0be`",
        ),
        (Comparison(ahead_by=0, behind_by=0, url="https://x.example/c"), "no commits apart from `a81d0be`"),
        (None, "served before: `a81d0be` ([diff]("),
    ],
)
def test_the_difference_to_what_serves(
    comparison: Comparison | None, expected: str, make_report: Callable[..., ReleaseReport]
) -> None:
    assert expected in subline(make_report(state="running", comparison=comparison))


def test_without_addresses_there_are_no_links(make_report: Callable[..., ReleaseReport]) -> None:
    bare = make_report(repository_url="", run_url="", url="", actor="", comparison=None)
    assert subline(bare) == "verified 5/5 · was `a81d0be`"


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({"verb": "rollback", "state": "cancelled"}, "⚪ Rolling **staging** back to `4f9a1c2` was cancelled"),
        ({"verb": "rollback", "state": "cancelled", "restored": False}, "🔴 Rolling **staging** back"),
        ({"verb": "rollback", "reason": "already_done"}, "🟢 **staging** is already on `4f9a1c2`"),
        ({"reason": "already_done"}, "🟢 `4f9a1c2` already serves **staging**"),
        ({"state": "failed", "steps": (), "services": ()}, "🔴 `4f9a1c2` failed on **staging**"),
    ],
)
def test_headlines(over: dict[str, Any], expected: str, make_report: Callable[..., ReleaseReport]) -> None:
    assert expected in headline(make_report(**over))


def test_a_rollback_that_failed_is_being_restored(reports: dict[str, ReleaseReport]) -> None:
    again = replace(reports["rollback-failed"], state="running")
    assert "🟠 Rolling **staging** back to `a81d0be` failed at *Restore* · restoring `4f9a1c2`" in headline(again)
    assert "· restoring ·" in headline(replace(again, previous_sha=""))


def test_steps_that_failed_alike_share_one_error_and_one_log(reports: dict[str, ReleaseReport]) -> None:
    report = reports["rollout-failed"]
    failed = next(step for step in report.steps if step.state == "failed")
    twin = replace(failed, id="rollout-worker", title="Roll out worker")
    body = release_comment(replace(report, steps=(failed, twin)), marker=MARK)
    assert body.count("**First error** in") == body.count("<details><summary>Last") == 1
    assert "in *Roll out web* and *Roll out worker* (" in body
    assert failed.diagnosis is not None
    other = replace(twin, diagnosis=replace(failed.diagnosis, error="ValueError"))
    body = release_comment(replace(report, steps=(failed, other)), marker=MARK)
    assert body.count("**First error** in") == body.count("<details><summary>Last") == 2


@pytest.mark.parametrize(
    "marks",
    [{}, {"id": "991-0"}, {"id": "push-4f9a1c2-staging", "env": "a--b", "sha": "4f9a1c2"}, {"id": "a b%=<>-->"}],
)
def test_a_marker_is_read_as_it_was_written(marks: dict[str, str]) -> None:
    line = marker(marks.get("id", ""), environment=marks.get("env", ""), sha=marks.get("sha", ""))
    assert read_marker(f"{line}\n### Any\n") == marks


@pytest.mark.parametrize("body", ["", "text", f"text\n{MARK}", "<!-- slipway:v2 id=1 -->", "<!-- slipway:v1 id=1"])
def test_what_has_no_marker_is_not_read(body: str) -> None:
    assert read_marker(body) == {}
    assert not under_way(body)


@pytest.mark.parametrize("name", NAMES)
def test_a_comment_says_whether_its_release_is_under_way(name: str, reports: dict[str, ReleaseReport]) -> None:
    report = reports[name]
    assert under_way(release_comment(report, marker=MARK)) is (report.state == "running")


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"now": "web-2"}, "✅ `web-2` 100 %"),
        ({"now": "web-2", "now_percent": 5, "healthy": False}, "❌ `web-2` 5 %"),
        ({}, "nothing"),
        ({"healthy": False}, "❌ nothing"),
        ({"healthy": False, "asked": False}, "❔ could not be asked"),
    ],
)
def test_what_a_service_serves_is_said_as_far_as_it_is_known(over: dict[str, Any], said: str) -> None:
    assert serving_now(ServiceLine(service="web", **over)) == said
