from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from bot.core.facts import Commit, Comparison
from bot.core.outcome import EnvironmentStatus, HelpEntry, Readiness, Reason, Refusal, ServiceLine
from bot.report.answers import help_comment, hint_comment, problem_comment, refusal_comment, status_comment
from bot.report.comment import marker

Golden = Callable[[str, str], None]
MARK = marker("ic-991-0", environment="staging")
SHA = "4f9a1c2d3e5f60718293a4b5c6d7e8f901234567"
NOW = 1_767_276_000.0

REFUSALS = {
    Reason.FORBIDDEN: Refusal(
        reason=Reason.FORBIDDEN,
        sentence="lee has the role `read`; releasing to staging needs `write` or the team `releasers`.",
        gate="permission",
    ),
    Reason.HEAD_MOVED: Refusal(
        reason=Reason.HEAD_MOVED,
        sentence="The branch was pushed to after your comment: its head is `4f9a1c2` now, by mallory.",
        next="look at the new commits, then type: /deploy staging @4f9a1c2",
        gate="head",
    ),
    Reason.CHECKS_FAILED: Refusal(
        reason=Reason.CHECKS_FAILED,
        sentence="The check `test` is red on `4f9a1c2`.",
        next="push a fix, or run the check again",
        gate="checks",
    ),
    Reason.UNKNOWN_ENVIRONMENT: Refusal(
        reason=Reason.UNKNOWN_ENVIRONMENT,
        sentence="There is no environment `stagin`; there are `staging` and `production`.",
        next="/deploy staging",
    ),
    Reason.LOCKED: Refusal(
        reason=Reason.LOCKED,
        sentence="lee holds staging since 13:05:11 UTC (pull request 41).",
        next="wait for it, or ask lee.",
    ),
}
TYPED = {Reason.UNKNOWN_ENVIRONMENT: "/deploy stagin"}


@pytest.mark.parametrize("reason", REFUSALS)
def test_one_refusal_is_one_calm_line(reason: Reason, golden: Golden) -> None:
    body = refusal_comment(
        [REFUSALS[reason]], marker=MARK, command=TYPED.get(reason, "/deploy staging"), environment="staging", sha=SHA
    )
    assert len(body.strip().split("\n")) == 2
    golden(f"refused-{reason.value.replace('_', '-')}", body)


def test_every_refusal_is_listed_with_what_to_do(golden: Golden) -> None:
    refusals = [REFUSALS[Reason.CHECKS_FAILED], REFUSALS[Reason.HEAD_MOVED], REFUSALS[Reason.LOCKED]]
    golden(
        "refused-for-several-reasons",
        refusal_comment(refusals, marker=MARK, command="/deploy staging", environment="staging", sha=SHA),
    )


SERVICES = (
    ServiceLine(service="web", now="web-4f9a1c2-1", digest="sha256:" + "9c" * 32),
    ServiceLine(service="worker", now="worker-4f9a1c2-1"),
)
STATUSES = (
    EnvironmentStatus(
        environment="staging",
        sha=SHA,
        version="1.9.2|@lee",
        commit=Commit(sha=SHA, subject="Ask @lee | now", url="https://github.com/acme/shop/commit/4f9a1c2"),
        since=NOW - 5400,
        actor="dana",
        state="success",
        pull_request=412,
        asked=True,
        services=SERVICES,
        history=("failure", "error", "success", "inactive", "inactive", "failure", "inactive", "inactive", "success"),
        url="https://staging.example.app",
    ),
    EnvironmentStatus(
        environment="production",
        sha="a" * 40,
        since=NOW - 3 * 86_400,
        actor="lee",
        state="in_progress",
        asked=True,
        services=(SERVICES[0], ServiceLine(service="worker", now="worker-old-1", now_percent=90, healthy=False)),
        lock='lee, until 16:00 UTC, "demo"',
        history=("success", "weird"),
        notes=(
            "The bot did not make the revision `worker-old-1`.",
            "the secret `key` serves in version 3, the newest is 5",
        ),
    ),
    EnvironmentStatus(environment="preview", asked=True),
    EnvironmentStatus(environment="heroku", sha="b" * 40, state="failure", since=NOW - 60),
    EnvironmentStatus(environment="offline"),
)


def test_status_says_what_serves_and_how_it_is_known(golden: Golden) -> None:
    golden("status", status_comment(STATUSES, now=NOW, marker=MARK))


READY = (
    Readiness(
        environment="staging", command="/deploy staging", sha=SHA, comparison=Comparison(ahead_by=3, behind_by=1),
        approved=("lee", "@max|"), wanted=2,
    ),
    Readiness(
        environment="production",
        command="/promote production",
        sha="a" * 40,
        refusals=(REFUSALS[Reason.CHECKS_FAILED], REFUSALS[Reason.LOCKED]),
        comparison=Comparison(ahead_by=0, behind_by=0),
    ),
    Readiness(environment="heroku", command="/deploy heroku", refusals=(REFUSALS[Reason.HEAD_MOVED],)),
)  # fmt: skip


def test_status_on_a_pull_request_says_what_could_be_released(golden: Golden) -> None:
    golden("status-on-a-pull-request", status_comment(STATUSES[:2], READY, now=NOW, marker=MARK))


def test_status_without_environments(golden: Golden) -> None:
    golden("status-empty", status_comment([], now=NOW, marker=MARK))


ENTRIES = (
    HelpEntry(
        verb="deploy",
        usage="/deploy <environment> [@sha]",
        summary="Build, roll out and verify this pull request.",
        examples=("deploy staging", "/deploy staging @4f9a1c2"),
        who="those with write access",
        flags=(("--reason", "why, for the record"),),
    ),
    HelpEntry(verb="status", usage="/status", summary="What serves in each environment."),
    HelpEntry(
        verb="rollback",
        usage="/rollback <environment>",
        summary="Back to the last verified release.",
        allowed=False,
        who="the team releasers",
    ),
)


def test_help_shows_what_the_reader_may_run(golden: Golden) -> None:
    golden("help", help_comment(ENTRIES, marker=MARK))


@pytest.mark.parametrize("verb", ["deploy", "rollback"])
def test_help_for_one_command(verb: str, golden: Golden) -> None:
    golden(f"help-{verb}", help_comment(ENTRIES, marker=MARK, verb=verb))


def test_help_for_somebody_who_may_run_nothing() -> None:
    assert "None." in help_comment(ENTRIES[2:], marker=MARK)


def test_help_never_prints_a_bare_command() -> None:
    texts = [
        help_comment(ENTRIES, marker=MARK),
        *[help_comment(ENTRIES, marker=MARK, verb=one.verb) for one in ENTRIES],
    ]
    assert not any(re.search(r"^\s*/", text, re.MULTILINE) for text in texts)


def test_a_near_miss_gets_a_hint(golden: Golden) -> None:
    golden(
        "hint",
        hint_comment(
            typed="/deploi stagin", suggestion="/deploy staging", marker=MARK, environments=("staging", "production")
        ),
    )
    assert "Environments" not in hint_comment(typed="/staus", suggestion="/status", marker=MARK)


PROBLEMS = {
    "config-invalid": problem_comment(
        "`.github/slipway.yml` on the default branch has 2 mistakes.",
        "correct them on the default branch, then try again",
        (
            ".github/slipway.yml:7: environments.staging.servces: no such key; did you mean services?",
            ".github/slipway.yml:12: jobs.migrate.timeout: must be a duration such as 10m",
        ),
        marker=MARK,
        reason=Reason.CONFIG_INVALID,
        unchanged=True,
    ),
    "upstream-failed-before-anything": problem_comment(
        "GitHub answered 502 four times to `read the pull request`.",
        "/deploy staging",
        marker=MARK,
        reason=Reason.UPSTREAM_FAILED,
        unchanged=True,
        run_url="https://github.com/acme/shop/actions/runs/77",
    ),
    "auth-failed": problem_comment(
        "There is no identity token: the job has no `id-token: write`.",
        "add it to the job's `permissions`",
        marker=MARK,
        reason=Reason.AUTH_FAILED,
        unchanged=True,
    ),
    "internal-error": problem_comment(
        "A mistake in the bot itself stopped this command (`KeyError`).",
        "/status",
        marker=MARK,
        run_url="https://github.com/acme/shop/actions/runs/77",
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_names_its_place_and_what_to_do(name: str, golden: Golden) -> None:
    golden(f"problem-{name}", PROBLEMS[name])


def test_a_problem_without_more_to_say_is_two_lines_and_many_are_cut() -> None:
    assert (
        problem_comment("Gone.", marker=MARK, reason=Reason.READY) == f"{MARK}\n### ⚠️ Something went wrong\n\nGone.\n"
    )
    many = problem_comment("No.", problems=[f"line {number}" for number in range(60)], marker=MARK)
    assert "line 49" in many
    assert "line 50" not in many
    assert "… and 10 more" in many
