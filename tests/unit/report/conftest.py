"""Factories of reports, and golden files: ``pytest tests/unit/report --renew-golden`` writes them anew to be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.core.checks import CheckResult
from bot.core.facts import Commit, Comparison
from bot.core.images import Provenance
from bot.core.outcome import Reason, ReleaseReport, ServiceLine, StepResult
from bot.core.target import Diagnosis

GOLDEN = Path(__file__).parents[2] / "golden"
SHA = "4f9a1c2d3e5f60718293a4b5c6d7e8f901234567"
BEFORE = "a81d0be0c1d2e3f405162738495a6b7c8d9e0f12"
START = 1_767_276_000.0  # 2026-01-01 14:00:00 UTC
REPOSITORY = "https://github.com/acme/shop"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--renew-golden", action="store_true", help="write the golden files of the reports anew")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    def compare(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.md"
        if request.config.getoption("--renew-golden", default=False):
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text, f"{path.name} differs: read it, then renew it"

    return compare


def _step(
    name: str, kind: Any, title: str, state: Any = "waiting", at: float = 0, length: float = 0, **over: Any
) -> StepResult:
    started = START + at if state not in ("waiting", "skipped") else 0.0
    ended = started + length if length else 0.0
    return StepResult(id=name, kind=kind, title=title, state=state, started=started, ended=ended, **over)


def _check(
    name: str, expected: str, found: str, *, passed: bool = True, attempts: int = 1, seconds: float = 0.0
) -> CheckResult:
    return CheckResult(name=name, passed=passed, expected=expected, found=found, attempts=attempts, seconds=seconds)


GATES = _step("gates", "gates", "Gates", "done", 0.2, 0.9, detail="14/14 checks green, dana may deploy, lock taken")
BUILD = _step(
    "build",
    "build",
    "Build",
    "done",
    1.2,
    112,
    detail="`sha256:9c1e07d2a8b1`",
    link="https://console.cloud.google.com/build/1",
)
MIGRATE = _step("job-migrate", "run_job", "Job migrate", "done", 113.5, 61, detail="execution `migrate-x7k2p`")
ROLL_WEB = _step(
    "rollout-web", "rollout", "Roll out web", "done", 175, 41, detail="`web-4f9a1c2-1` is ready, no traffic yet"
)
ROLL_WORKER = _step(
    "rollout-worker",
    "rollout",
    "Roll out worker",
    "done",
    175,
    38.5,
    detail="`worker-4f9a1c2-1` is ready, no traffic yet",
)
VERIFY = _step(
    "verify-candidate",
    "verify",
    "Verify before traffic",
    "done",
    216.4,
    6.1,
    detail="2 of 2 passed",
    checks=(
        _check("web `/healthz`", "200, 3 times", "200, 3 times", attempts=3, seconds=2.2),
        _check("web front page", "200, says `Shop`", "200, says `Shop`", seconds=0.4),
    ),
)
SHIFT = _step("shift", "shift", "Shift traffic", "done", 222.7, 9.4, detail="web, worker to 100 %")
LIVE = _step(
    "verify-live",
    "verify",
    "Verify live",
    "done",
    232.3,
    8.2,
    detail="3 of 3 passed",
    checks=(
        _check("every service serves this release", "web, worker: 100 %", "web, worker: 100 %", seconds=1.1),
        _check("web `/healthz`", "200, 5 times", "200, 5 times", attempts=5, seconds=4.1),
        _check("worker refuses strangers", "403", "403", seconds=0.2),
    ),
)
DONE = (GATES, BUILD, MIGRATE, ROLL_WEB, ROLL_WORKER, VERIFY, SHIFT, LIVE)
COMMITS = (
    Commit(sha="1" * 40, subject="Add the order page", author="dana", url=f"{REPOSITORY}/commit/{'1' * 40}"),
    Commit(sha=SHA, subject="Ask @lee about #12 | `now`", author="dana", url=f"{REPOSITORY}/commit/{SHA}"),
)
SERVICES = (
    ServiceLine(
        service="web",
        before="web-a81d0be-0",
        tried="web-4f9a1c2-1",
        now="web-4f9a1c2-1",
        url="https://staging.example.app",
    ),
    ServiceLine(service="worker", before="worker-a81d0be-0", tried="worker-4f9a1c2-1", now="worker-4f9a1c2-1"),
)
FORMER = (
    ServiceLine(
        service="web",
        before="web-a81d0be-0",
        tried="web-4f9a1c2-1",
        now="web-a81d0be-0",
        url="https://staging.example.app",
    ),
    ServiceLine(service="worker", before="worker-a81d0be-0", tried="worker-4f9a1c2-1", now="worker-a81d0be-0"),
)
UNTRIED = tuple(ServiceLine(service=line.service, before=line.before, now=line.before, url=line.url) for line in FORMER)
ERROR = "KeyError: 'SITE_URL'"
TAIL = (
    '  File "/app/shop/settings.py", line 88, in <module>',
    "    SITE_URL = os.environ['SITE_URL']",
    ERROR,
    "/deploy production",
    "[2026-01-01 14:03:55 +0000] [1] [ERROR] Worker (pid:7) exited with code 3",
)


def _report(**over: Any) -> ReleaseReport:
    values: dict[str, Any] = {
        "verb": "deploy",
        "environment": "staging",
        "sha": SHA,
        "actor": "dana",
        "state": "released",
        "now": START + 241,
        "started": START,
        "steps": DONE,
        "services": SERVICES,
        "repository_url": REPOSITORY,
        "previous_sha": BEFORE,
        "comparison": Comparison(ahead_by=2, behind_by=0, commits=COMMITS),
        "url": "https://staging.example.app",
        "run_url": f"{REPOSITORY}/actions/runs/77",
        "deployment_id": 1204,
        "digest": "sha256:" + "9c1e07d2" * 8,
    }
    if "reason" in over:
        over["reason"] = Reason(over["reason"])
    return ReleaseReport(**{**values, **over})


def _failed(step: StepResult, *after: StepResult, **over: Any) -> ReleaseReport:
    before = tuple(one for one in DONE if one.started < step.started and one.id != step.id)
    values: dict[str, Any] = {"state": "failed", "steps": (*before, step, *after), "services": FORMER, "restored": True}
    return _report(**{**values, **over})


@pytest.fixture
def make_report() -> Callable[..., ReleaseReport]:
    return _report


@pytest.fixture
def make_step() -> Callable[..., StepResult]:
    return _step


@pytest.fixture
def reports() -> dict[str, ReleaseReport]:
    """Every meaningful end and middle of a release, by the name of its golden file."""
    waiting = {"next": ()}
    live_failed = _step(
        "verify-live",
        "verify",
        "Verify live",
        "failed",
        232.3,
        48,
        detail="1 of 2 failed",
        checks=(
            _check("every service serves this release", "web, worker: 100 %", "web, worker: 100 %", seconds=1.1),
            _check("web `/healthz`", "200, 5 times", "500", passed=False, attempts=24, seconds=46.8),
        ),
        diagnosis=Diagnosis(error=ERROR, tail=TAIL, link="https://console.cloud.google.com/logs/web"),
    )
    restore = _step("restore", "restore", "Restore", "done", 280.5, 6.2, detail="web, worker to their former revisions")
    build_failed = _step(
        "build",
        "build",
        "Build",
        "failed",
        1.2,
        20,
        detail="step 2 exited with 1",
        link="https://console.cloud.google.com/build/1",
        diagnosis=Diagnosis(
            error="ERROR: No matching distribution found for djago==5.2",
            tail=("Step 3/9 : RUN pip install", "ERROR: No matching distribution found for djago==5.2"),
        ),
    )
    rest = tuple(_step(one.id, one.kind, one.title) for one in DONE)
    crash = _step(
        "rollout-web",
        "rollout",
        "Roll out web",
        "failed",
        175,
        31,
        detail="the container did not listen on its port in time",
        diagnosis=Diagnosis(error=ERROR, tail=TAIL, link="https://console.cloud.google.com/logs/web"),
    )
    return {
        "running": _report(
            state="running",
            now=START + 161.4,
            usual_seconds=320,
            services=UNTRIED,
            digest="",
            url="",
            steps=(
                GATES,
                BUILD,
                _step("job-migrate", "run_job", "Job migrate", "running", 113.5, detail="execution `migrate-x7k2p`"),
                *rest[3:],
            ),
            **waiting,
        ),
        "running-first-words": _report(
            state="running",
            now=START + 0.4,
            steps=(),
            services=(),
            comparison=None,
            previous_sha="",
            digest="",
            url="",
            deployment_id=0,
        ),
        "running-late-and-behind": _report(
            state="running",
            now=START + 415,
            usual_seconds=320,
            behind_by=1,
            services=UNTRIED,
            digest="",
            url="",
            steps=(GATES, BUILD, _step("job-migrate", "run_job", "Job migrate", "running", 113.5), *rest[3:]),
        ),
        "running-restoring": _report(
            state="running",
            now=START + 282,
            services=FORMER,
            steps=(*DONE[:7], live_failed, _step("restore", "restore", "Restore", "running", 280.5)),
        ),
        "released": _report(reason="released", next=("/rollback staging", "/status")),
        "released-first": _report(
            reason="released",
            previous_sha="",
            comparison=None,
            next=("/status",),
            services=tuple(
                ServiceLine(service=line.service, tried=line.tried, now=line.now, url=line.url) for line in SERVICES
            ),
        ),
        "released-already": _report(
            reason="already_done",
            steps=(GATES,),
            now=START + 1.3,
            previous_sha=SHA,
            comparison=None,
            services=UNTRIED,
            sentence="Every service serves this commit already, so nothing was changed.",
            next=("/status",),
        ),
        "released-behind": _report(reason="released", behind_by=2, next=("/deploy staging", "/rollback staging")),
        "released-one-service": _report(
            reason="released",
            only=("web",),
            notes=("`worker`, which stays as it is.",),
            steps=tuple(step for step in DONE if "worker" not in step.id),
            services=(SERVICES[0], replace(SERVICES[1], tried="", now=SERVICES[1].before)),
            next=("/rollback staging", "/status"),
        ),
        "promoted": _report(
            environment="production",
            promoted_from="staging",
            steps=(_step("build", "build", "Take the image of staging", "done", 1, 0.3), *DONE[2:]),
            next=("/rollback production", "/status"),
        ),
        "attested": _report(
            reason="released",
            sources={"acme/extras": "3c1d2e0f" + "0" * 32},
            provenance=Provenance(
                image=f"europe-docker.pkg.dev/acme/shop/shop@sha256:{'9c1e07d2' * 8}",
                builder="https://cloudbuild.googleapis.com/GoogleHostedWorker@v0.3",
                format="SLSA v0.1",
                source=f"gs://acme_cloudbuild/source/acme-shop-{SHA}.tgz",
            ),
            next=("/rollback staging", "/status"),
        ),
        "build-failed": _failed(
            build_failed,
            *rest[2:],
            reason="build_failed",
            now=START + 22,
            restored=None,
            services=UNTRIED,
            sentence="The image could not be built.",
            next=("after a fix: /deploy staging",),
            digest="",
        ),
        "job-failed": _failed(
            _step(
                "job-migrate",
                "run_job",
                "Job migrate",
                "failed",
                113.5,
                12,
                detail="exit code 1",
                diagnosis=Diagnosis(
                    error='django.db.utils.ProgrammingError: column "stock" already exists', tail=TAIL[:3]
                ),
            ),
            *rest[3:],
            reason="job_failed",
            now=START + 126,
            restored=None,
            services=UNTRIED,
            sentence="The job `migrate` failed, so no service was touched.",
            not_undone=("what `migrate` had done before it failed",),
            next=("after a fix: /deploy staging",),
        ),
        "rollout-failed": _failed(
            crash,
            *rest[5:],
            reason="rollout_failed",
            now=START + 209,
            restored=True,
            sentence="`web-4f9a1c2-1` did not start.",
            restore_detail="The candidates' tags were removed.",
            not_undone=("migrations that `migrate` ran",),
            next=("after a fix: /deploy staging",),
        ),
        "verification-failed-before-traffic": _failed(
            _step(
                "verify-candidate",
                "verify",
                "Verify before traffic",
                "failed",
                216.4,
                60,
                detail="1 of 1 failed",
                checks=(
                    _check(
                        "web `/healthz`", "200, 3 times", "no answer within 10s", passed=False, attempts=6, seconds=60
                    ),
                ),
            ),
            *rest[6:],
            reason="verification_failed",
            now=START + 279,
            restored=None,
            services=tuple(
                ServiceLine(service=line.service, before=line.before, tried=line.tried, now=line.now, url=line.url)
                for line in FORMER
            ),
            sentence="`/healthz` of web never passed.",
            not_undone=("migrations that `migrate` ran",),
            next=("after a fix: /deploy staging",),
        ),
        "verification-failed-restored": _failed(
            live_failed,
            restore,
            reason="verification_failed",
            now=START + 287,
            exposed_seconds=57.6,
            sentence="`/healthz` of web gave 500 in 24 attempts.",
            not_undone=("migrations that `migrate` ran",),
            next=("after a fix: /deploy staging", "if it was transient: /deploy staging", "/status"),
        ),
        "restore-failed": _failed(
            live_failed,
            _step(
                "restore",
                "restore",
                "Restore",
                "failed",
                280.5,
                90,
                detail="worker: the service changed meanwhile (409)",
            ),
            reason="restore_failed",
            now=START + 371,
            restored=False,
            exposed_seconds=141,
            sentence="`/healthz` of web gave 500 in 24 attempts.",
            restore_detail="worker could not be brought back: somebody else changed it meanwhile.",
            services=(
                FORMER[0],
                ServiceLine(
                    service="worker",
                    before="worker-a81d0be-0",
                    tried="worker-4f9a1c2-1",
                    now="worker-4f9a1c2-1",
                    healthy=False,
                ),
            ),
            not_undone=("migrations that `migrate` ran",),
            next=("/rollback staging", "/status"),
        ),
        "first-release-failed": _failed(
            build_failed,
            *rest[2:],
            reason="build_failed",
            now=START + 22,
            restored=None,
            previous_sha="",
            comparison=None,
            digest="",
            services=(ServiceLine(service="web"), ServiceLine(service="worker")),
            sentence="The image could not be built.",
            next=("after a fix: /deploy staging",),
        ),
        "upstream-failed": _failed(
            _step("shift", "shift", "Shift traffic", "failed", 222.7, 30, detail="Cloud Run answered 503 four times"),
            rest[7],
            reason="upstream_failed",
            now=START + 262,
            restored=True,
            sentence="Cloud Run did not move the traffic.",
            exposed_seconds=4.2,
            not_undone=("migrations that `migrate` ran",),
            next=("/deploy staging",),
        ),
        "timed-out": _failed(
            _step("job-migrate", "run_job", "Job migrate", "failed", 113.5, 600, detail="still running after 10m 00s"),
            *rest[3:],
            reason="timed_out",
            now=START + 715,
            restored=None,
            services=UNTRIED,
            sentence="The job `migrate` did not end within 10m 00s and was stopped.",
            not_undone=("what `migrate` had done until then",),
            next=("/deploy staging",),
        ),
        "cancelled": _report(
            state="cancelled",
            reason="cancelled",
            now=START + 130,
            restored=None,
            services=UNTRIED,
            steps=(GATES, BUILD, _step("job-migrate", "run_job", "Job migrate", "cancelled", 113.5, 14), *rest[3:]),
            sentence="The workflow run was cancelled.",
            not_undone=("what `migrate` had done until then",),
            next=("/deploy staging",),
        ),
        "cancelled-not-restored": _report(
            state="cancelled",
            reason="cancelled",
            now=START + 250,
            restored=False,
            restore_detail="The runner was stopped before web was back.",
            services=(
                ServiceLine(
                    service="web", before="web-a81d0be-0", tried="web-4f9a1c2-1", now="web-4f9a1c2-1", healthy=False
                ),
                FORMER[1],
            ),
            sentence="The workflow run was cancelled.",
            next=("/rollback staging",),
        ),
        "rolled-back": _report(
            verb="rollback",
            reason="rolled_back",
            sha=BEFORE,
            previous_sha=SHA,
            now=START + 14,
            comparison=Comparison(ahead_by=0, behind_by=2),
            steps=(
                GATES,
                _step(
                    "restore", "restore", "Restore", "done", 1.2, 6, detail="web, worker to their revisions of 29 May"
                ),
                _step("verify-live", "verify", "Verify live", "done", 7.4, 6, checks=LIVE.checks[:1]),
            ),
            services=tuple(
                ServiceLine(service=line.service, before=line.tried, tried=line.before, now=line.before, url=line.url)
                for line in FORMER
            ),
            digest="",
            not_undone=("migrations that `4f9a1c2` ran",),
            next=("/status", "/deploy staging"),
        ),
        "rollback-running": _report(
            verb="rollback",
            state="running",
            sha=BEFORE,
            previous_sha=SHA,
            now=START + 4,
            comparison=Comparison(ahead_by=0, behind_by=2),
            services=SERVICES,
            digest="",
            steps=(
                GATES,
                _step("restore", "restore", "Restore", "running", 1.2),
                _step("verify-live", "verify", "Verify live"),
            ),
        ),
        "rollback-failed": _report(
            verb="rollback",
            state="failed",
            reason="shift_failed",
            sha=BEFORE,
            previous_sha=SHA,
            now=START + 40,
            comparison=None,
            services=tuple(
                ServiceLine(service=line.service, before=line.now, tried=line.before, now=line.now, url=line.url)
                for line in SERVICES
            ),
            steps=(
                GATES,
                _step("restore", "restore", "Restore", "failed", 1.2, 30, detail="revision web-a81d0be-0 is gone"),
                _step("verify-live", "verify", "Verify live"),
            ),
            sentence="The revision `web-a81d0be-0` does not exist any more.",
            restored=None,
            digest="",
            next=("/deploy staging @a81d0be",),
        ),
    }
