"""What people read of previews and of a sweep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.checks import CheckResult
from bot.core.outcome import Reason, StepResult
from bot.core.preview_report import PreviewLine, PreviewReport, Swept
from bot.core.target import Diagnosis
from bot.report.comment import marker
from bot.report.previews import (
    extended_comment,
    preview_comment,
    preview_over_comment,
    preview_summary,
    sweep_summary,
    tidied,
)

Golden = Callable[[str, str], None]
SHA = "4f9a1c2d3e5f60718293a4b5c6d7e8f901234567"
BEFORE = "a81d0be0c1d2e3f405162738495a6b7c8d9e0f12"
START = 1_767_276_000.0  # 2026-01-01 14:00:00 UTC
MARKER = marker("7-1", environment="staging", sha=SHA)
URL = "https://pr-7---shop-web-abc-ew.a.run.app"


def step(name: str, kind: Any, title: str, state: Any, at: float = 0, length: float = 0, **over: Any) -> StepResult:
    started = START + at if state not in ("waiting", "skipped") else 0.0
    ended = started + length if length else 0.0
    return StepResult(id=name, kind=kind, title=title, state=state, started=started, ended=ended, **over)


BUILD = step("build", "build", "Build", "done", 1, 112, link="https://console.cloud.google.com/build/1")
ROLLOUT = step("rollout-web", "rollout", "Roll out web", "done", 114, 20)
WELL = CheckResult(name="web /health/", passed=True, expected="200", found="200 in 84 ms")
CHECKED = step(
    "verify-preview", "verify", "Check the preview", "done", 135, 1, detail="1 of 1 checks passed", checks=(WELL,)
)
REPORT = PreviewReport(
    environment="staging", number=7, sha=SHA, actor="dana", state="up", now=START + 138, started=START,
    steps=(BUILD, ROLLOUT, CHECKED), services=(PreviewLine(service="web", revision="shop-web-4f9a1c2-zz", url=URL),),
    until=START + 3 * 86_400, differs=("BANNER", "DATABASE_URL"), on_push=True,
    run_url="https://github.com/acme/shop/actions/runs/1", deployment_id=42, digest="sha256:9c1e07d2a8b1",
    reason=Reason.PREVIEW_UP, next=("/preview extend staging", "/preview destroy staging"),
)  # fmt: skip
FAILED = replace(
    CHECKED,
    state="failed",
    detail="web /health/: 500: division by zero",
    checks=(replace(WELL, passed=False, found="500: division by zero", attempts=3),),
    diagnosis=Diagnosis(
        error="ZeroDivisionError: division by zero", tail=("one", "ZeroDivisionError: division by zero")
    ),
)
WAITING = tuple(
    replace(one, state="waiting", started=0.0, ended=0.0, detail="", checks=()) for one in (ROLLOUT, CHECKED)
)


@pytest.mark.parametrize(
    ("name", "over"),
    [
        ("running", {"state": "running", "now": START + 30, "steps": (replace(BUILD, state="running", ended=0.0), *WAITING), "services": (), "sentence": "Waiting for its turn on `staging`."}),
        ("up", {}),
        ("up-without-checks", {"steps": (BUILD, ROLLOUT), "differs": (), "on_push": False, "digest": ""}),
        ("up-with-two-services", {"services": (*REPORT.services, PreviewLine(service="docs", url="https://pr-7---docs-abc-ew.a.run.app"))}),
        ("failed", {"state": "failed", "steps": (BUILD, ROLLOUT, FAILED), "sentence": "web /health/: 500: division by zero.", "next": ("after a fix: /preview create staging",)}),
        ("failed-renewal", {"state": "failed", "steps": (BUILD, ROLLOUT, FAILED), "sentence": "web /health/: 500.", "former_sha": BEFORE}),
        ("refused", {"state": "failed", "steps": (BUILD, *WAITING), "services": (), "sentence": "`staging` has 10 previews, as many as it may have: of the pull requests `1`, `2`.", "next": ("`/preview destroy staging` on one of them", "/preview create staging")}),
        ("cancelled", {"state": "cancelled", "steps": (replace(BUILD, state="cancelled"), *WAITING), "services": (), "sentence": "The workflow run was stopped.", "next": ("/preview create staging",)}),
        ("over", {"state": "over", "sentence": "The pull request was closed before its preview was finished.", "next": ()}),
    ],
)  # fmt: skip
def test_a_preview_as_it_stands(golden: Golden, name: str, over: dict[str, Any]) -> None:
    golden(f"preview-{name}", preview_comment(replace(REPORT, **over), marker=MARKER))


@pytest.mark.parametrize("why", ["closed", "expired", "destroyed", "replaced"])
def test_a_preview_that_is_gone(golden: Golden, why: str) -> None:
    body = preview_over_comment(sha=SHA, environment="staging", why=why, marker=MARKER, again=why == "expired")
    golden(f"preview-gone-{why}", body)


def test_a_preview_that_lives_longer(golden: Golden) -> None:
    body = extended_comment(sha=SHA, environment="staging", until=START + 86_400, now=START, url=URL, marker=MARKER)
    golden("preview-extended", body)
    assert "](" not in extended_comment(sha=SHA, environment="s", until=START, now=START, url="", marker=MARKER)


def test_a_sweep(golden: Golden) -> None:
    swept = (
        Swept(environment="staging", previews=("preview of pull request 7 (expired)",), tags=("`sha-a81d0be` of web",),
              revisions=tuple(f"shop-web-{number}" for number in range(25)), left=3),
        Swept(environment="idle"),
        Swept(environment="production", problems=("`production` is held by lee. It is left for the next time.",)),
    )  # fmt: skip
    golden("sweep", sweep_summary(swept))


def test_a_sweep_with_nothing_to_do_says_so() -> None:
    assert sweep_summary([Swept(environment="staging")]) == "### Clean-up\n\nNothing was to be removed.\n"
    assert tidied(Swept(environment="staging")) == ""
    assert "revision `a`" in tidied(Swept(environment="staging", revisions=("a",)))


def test_the_summary_has_the_whole_log() -> None:
    long = replace(FAILED, diagnosis=Diagnosis(error="e", tail=tuple(f"line {number}" for number in range(200))))
    report = replace(REPORT, state="failed", steps=(BUILD, ROLLOUT, long))
    assert "line 3\n" in preview_summary(report)
    assert "line 3\n" not in preview_comment(report, marker=MARKER)
    assert "line 199" in preview_comment(report, marker=MARKER)
    assert "<!--" not in preview_summary(report)


@given(st.text(max_size=40))
def test_no_text_from_elsewhere_makes_a_line_or_a_mention_of_its_own(text: str) -> None:
    report = replace(REPORT, state="failed", sentence=f"x {text}", actor=f"x{text}", differs=(text,), next=())
    body = preview_comment(report, marker=MARKER)
    assert "@dana" not in preview_comment(replace(report, sentence="@dana said"), marker=MARKER)
    assert not any(line.startswith("/") for line in body.split("\n"))
