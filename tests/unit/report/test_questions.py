from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.core.checks import CheckResult
from bot.core.questions import Finding, LogLine
from bot.report.questions import (
    Examination,
    Logged,
    Logs,
    Verified,
    doctor_comment,
    logs_comment,
    verify_comment,
)

MARKER = "<!-- slipway:v1 id=1 -->"
GOOD = CheckResult(name="health", passed=True, expected="200", found="200 in 12 ms")
BAD = CheckResult(name="version | a", passed=False, expected="`x`", found="500: <b>no</b>", attempts=3)


def verified(*checks: CheckResult, sha: str = "a" * 40, notes: tuple[str, ...] = ()) -> Verified:
    return Verified(environment="staging", sha=sha, checks=checks, notes=notes, now=0.0)


@pytest.mark.parametrize(
    ("found", "title"),
    [
        (verified(GOOD), "✅ `aaaaaaa` serves on **staging** as expected"),
        (verified(GOOD, sha=""), "✅ **staging** is as expected"),
        (verified(GOOD, BAD), "❌ **staging** is not as expected: 1 of 2 checks failed"),
        (verified(), "❌ Nothing serves on **staging**"),
    ],
)
def test_the_title_says_how_it_is(found: Verified, title: str) -> None:
    assert verify_comment(found, marker=MARKER).startswith(f"{MARKER}\n### {title}\n")
    assert found.well is title.startswith("✅")


def test_what_was_found_stands_beside_what_was_expected() -> None:
    shown = verify_comment(verified(GOOD, BAD, notes=("Left out: `smoke`.",)), marker=MARKER)
    assert "| ✅ | health | 200 | 200 in 12 ms |" in shown
    assert "| ❌ | version &#124; a | `x` | 500: &lt;b&gt;no&lt;/b&gt; · 3 attempts |" in shown
    assert "- Left out: `smoke`." in shown


def logs(*services: Logged, severity: str = "error", shown: bool = True) -> Logs:
    return Logs(environment="staging", since=900.0, severity=severity, shown=shown, services=services)


def line(text: str) -> LogLine:
    return LogLine(text=text, severity="ERROR", at=datetime(2026, 3, 2, 9, 5, tzinfo=UTC))


def test_a_line_without_time_and_severity() -> None:
    one = Logged(service="app", revisions=("v1",), link="", lines=(LogLine(text="web.1: hello"),))
    shown = logs_comment(logs(one, severity=""), marker=MARKER)
    assert "\nweb.1: hello\n" in shown
    assert "and above" not in shown
    assert "**app** · all of it" in shown  # no link where there is no address


def test_what_there_is_when_there_is_no_line() -> None:
    one = Logged(service="web", revisions=("r",), link="https://x.example/")
    assert "no such line; lines without a level: `--severity=default`" in logs_comment(logs(one), marker=MARKER)
    for severity in ("", "default"):
        assert "no such line\n" in logs_comment(logs(one, severity=severity), marker=MARKER)


def test_lines_are_never_shown_where_they_may_not_be() -> None:
    one = Logged(service="web", revisions=("r",), link="https://x.example/", lines=(line("boom"),))
    assert "boom" not in logs_comment(logs(one, shown=False), marker=MARKER)


def test_many_services_share_the_room() -> None:
    lines = tuple(line(f"{number} " + "z" * 250) for number in range(100))
    services = [Logged(service=f"s{index}", revisions=("r",), link="", lines=lines) for index in range(40)]
    shown = logs_comment(logs(*services), marker=MARKER)
    assert len(shown) < 60_000
    assert shown.count("99 zzz") == 40


def test_what_is_amiss_comes_first() -> None:
    found = Examination(
        parts=(
            ("GitHub", (Finding(what="a", well=True, found="yes", todo="never shown"), Finding(what="b", well=False, found="no", todo="Do it."))),
            ("staging", (Finding(what="c", well=None, found="not yet"),)),
        )
    )  # fmt: skip
    shown = doctor_comment(found, marker=MARKER)
    assert "### ❌ 1 thing to mend" in shown
    assert shown.index("| ❌ | GitHub | b | no | Do it. |") < shown.index("| ✅ | GitHub | a | yes | |")
    assert "| ❔ | staging | c | not yet | |" in shown
    assert "never shown" not in shown
