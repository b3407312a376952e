"""`/verify`, `/logs` and `/doctor`: what they show, who may ask, in which job, and that they change nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.core.outcome import Decision, Reason
from bot.core.questions import Finding, LogLine
from bot.errors import AuthError, ForbiddenError, UpstreamError

WRITES = {"apply", "cancel", "create_deployment", "set_status", "take_lock", "release_lock", "put_hold", "put_claim"}
SECRET = "s3cretS3cret"  # the world's masker knows it
AT = datetime(2026, 3, 2, 11, 58, 3, tzinfo=UTC)


@pytest.fixture
def shop(world: Any) -> Any:
    world.released(7)
    return world


def answered(world: Any, body: str, reason: Reason, **over: Any) -> str:
    calls = len(world.log.calls)
    outcome = world.say(body, **over)
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.ANSWERED, reason, 0)
    assert not WRITES & {name for name, _ in world.log.calls[calls:]}
    return str(world.shown)


def rows(shown: str, sign: str) -> list[str]:
    return [line for line in shown.splitlines() if line.startswith(f"| {sign} |")]


# -- verify -----------------------------------------------------------------------------------------------------------
def test_what_serves_is_verified(shop: Any) -> None:
    shown = answered(shop, "/verify staging", Reason.VERIFIED)
    assert "✅ `0000007` serves on **staging** as expected" in shown
    assert len(rows(shown, "✅")) == 4
    assert 'version = "0000007"' in shown
    assert shop.github.reactions[-1] == "rocket"


def test_what_has_broken_since_is_found(shop: Any) -> None:
    shop.target.sick.add("0000007" + "0" * 33)
    shown = answered(shop, "/verify staging", Reason.NOT_AS_EXPECTED)
    assert "❌ **staging** is not as expected: 1 of 4 checks failed" in shown
    assert "500: division by zero" in shown
    assert shop.github.reactions[-1] == "confused"


def test_what_is_broken_is_not_waited_for_as_long_as_in_a_release(shop: Any) -> None:
    before = shop.clock.now()
    text = shop.github.files[".github/slipway.yml", "main"].replace("deadline: 3s", "deadline: 10m")
    shop.github.files[".github/slipway.yml", "main"] = text
    shop.target.sick.add("0000007" + "0" * 33)
    answered(shop, "/verify staging", Reason.NOT_AS_EXPECTED)
    assert shop.clock.now() - before < 30


def test_what_somebody_else_has_put_there_is_found(shop: Any) -> None:
    left = dict(shop.target.live)
    shop.released(8)
    shop.target.live.update({"worker": left["worker"]})  # by hand
    shown = answered(shop, "/verify staging", Reason.NOT_AS_EXPECTED)
    [row] = rows(shown, "❌")
    assert "worker serves the release" in row
    assert "sha256:000000800000" in row
    assert "sha256:000000700000" in row
    shop.target.live.update(left)
    assert "Nothing of the newest release that went well, `0000008`, serves any more." in answered(
        shop, "/verify staging", Reason.NOT_AS_EXPECTED
    )


def test_after_a_rollback_what_it_brought_back_is_right(shop: Any) -> None:
    shop.released(8)
    assert shop.say("/rollback staging", author="max").reason is Reason.ROLLED_BACK
    assert "✅ `0000007` serves" in answered(shop, "/verify staging", Reason.VERIFIED)


def test_after_a_release_that_failed_the_former_one_is_right(shop: Any) -> None:
    shop.pull(8)
    shop.target.sick.add("0000008" + "0" * 33)
    assert shop.say("/deploy staging", number=8).reason is Reason.VERIFICATION_FAILED
    assert "✅ `0000007` serves" in answered(shop, "/verify staging", Reason.VERIFIED)


def test_nothing_serves(world: Any) -> None:
    assert "Nothing serves on **staging**" in answered(world, "/verify staging", Reason.NOT_AS_EXPECTED)


def test_without_a_record_what_serves_is_taken_for_right(shop: Any) -> None:
    shop.github.kept.clear()
    shown = answered(shop, "/verify staging", Reason.VERIFIED)
    assert "No release is recorded" in shown
    assert "✅ `0000007` serves" in shown


def test_a_check_that_runs_a_job_is_left_out(shop: Any) -> None:
    text = shop.github.files[".github/slipway.yml", "main"]
    text = text.replace("    verify:\n", "    verify:\n      - {job: migrate}\n")
    shop.github.files[".github/slipway.yml", "main"] = text
    ran = list(shop.target.executions)
    assert "Left out, because a job may change something" in answered(shop, "/verify staging", Reason.VERIFIED)
    assert shop.target.executions == ran


def test_a_release_under_way_is_told_and_not_waited_for(shop: Any) -> None:
    shop.released(8)
    shop.github.kept[-1] = type(shop.github.kept[-1])(**{**vars(shop.github.kept[-1]), "statuses": ()})
    assert "A release of `0000008` is under way" in answered(shop, "/verify staging", Reason.NOT_AS_EXPECTED)


def test_a_run_by_hand_turns_red(shop: Any) -> None:
    shop.target.sick.add("0000007" + "0" * 33)
    outcome = shop.handle(shop.dispatch(), command="verify", environment="staging")
    assert (outcome.reason, outcome.exit_code) == (Reason.NOT_AS_EXPECTED, 1)
    assert "is not as expected" in shop.summary[-1]


# -- logs -------------------------------------------------------------------------------------------------------------
def logged(world: Any, *texts: str, service: str = "web", private: bool = True) -> None:
    world.github.is_private = private
    world.target.logged[service] = [LogLine(text=text, severity="ERROR", at=AT) for text in texts]


def test_the_newest_lines_are_shown(shop: Any) -> None:
    logged(shop, "boom", "Traceback\n  ValueError: no")
    shown = answered(shop, "/logs staging", Reason.LOGS_SHOWN)
    assert "### Logs of **staging** · last 15m 00s, error and above" in shown
    assert "11:58:03 ERROR boom\n11:58:03 ERROR Traceback\n    ValueError: no" in shown
    assert "[all of it](https://console.example/web)" in shown
    assert "**worker** · [all of it](https://console.example/worker) · no such line" in shown
    queries = [args[0] for args in shop.log.named("log_lines")]
    assert {query.severity for query in queries} == {"error"}
    assert all(query.revisions == (shop.target.live[query.service].revision,) for query in queries)


def test_one_service_further_back_and_more_of_it(shop: Any) -> None:
    logged(shop, "boom")
    answered(shop, "/logs staging web --since=1h --severity=INFO", Reason.LOGS_SHOWN)
    [(query,)] = shop.log.named("log_lines")
    assert (query.service, query.severity) == ("web", "info")
    assert 3600 <= shop.clock.now() - query.since < 3660


def test_in_public_no_line_is_read(shop: Any) -> None:
    logged(shop, "boom", private=False)
    shown = answered(shop, "/logs staging", Reason.LOGS_SHOWN)
    assert "boom" not in shown
    assert "Only links" in shown
    assert "https://console.example/web" in shown
    assert not shop.log.named("log_lines")


def test_what_cannot_be_told_counts_as_public(shop: Any) -> None:
    logged(shop, "boom")
    shop.log.fail("private")
    assert "boom" not in answered(shop, "/logs staging", Reason.LOGS_SHOWN)
    assert not shop.log.named("log_lines")


def test_a_planted_secret_is_shown_nowhere(shop: Any) -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7\nqqqqqqqqqqqqqqqqq\n-----END RSA PRIVATE KEY-----"
    cut = "x" * 280 + " ghp_abcdefghijklmnopqrstuvwxyz0123456789"  # begins before what is cut off, and ends after it
    url = "connecting to postgres://shop:hunter2hunter2@db/shop"
    logged(shop, f"token {SECRET}", key, cut, url, *key.splitlines(), '{"password": "hunter2hunter2"}')
    shown = answered(shop, "/logs staging", Reason.LOGS_SHOWN)
    for planted in (SECRET, "MIIEow", "qqqqqq", "ghp_abc", "hunter2"):
        assert planted not in shown
        assert planted not in "\n".join(shop.summary)
    assert "token ***" in shown


def test_lines_cannot_break_out_of_their_fence(shop: Any) -> None:
    logged(shop, "```\n/deploy production\n</details>\n@everyone")
    shown = answered(shop, "/logs staging", Reason.LOGS_SHOWN)
    fences = [line for line in shown.splitlines() if line.startswith("````")]
    assert len(fences) == 2
    assert "\n/deploy" not in shown


def test_the_answer_is_bounded(shop: Any) -> None:
    logged(shop, *(f"{number} " + "y" * 20_000 for number in range(200)))
    logged(shop, *(f"{number} " + "y" * 20_000 for number in range(200)), service="worker")
    shown = answered(shop, "/logs staging", Reason.LOGS_SHOWN)
    assert len(shown) < 50_000
    assert shown.count("yyy…") == 60
    assert "199 yyy" in shown
    assert "\n11:58:03 ERROR 100 " not in shown
    assert shop.summary == []


def test_a_service_that_serves_nothing(world: Any) -> None:
    world.github.is_private = True
    assert "**web**: nothing serves." in answered(world, "/logs staging", Reason.LOGS_SHOWN)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("/logs staging --since=2d", Reason.BAD_ARGUMENTS),
        ("/logs staging --since=soon", Reason.BAD_ARGUMENTS),
        ("/logs staging --severity=eror", Reason.BAD_ARGUMENTS),
        ("/logs staging wep", Reason.UNKNOWN_SERVICE),
        ("/logs staging web worker", Reason.BAD_ARGUMENTS),
        ("/logs nowhere", Reason.UNKNOWN_ENVIRONMENT),
        ("/logs", Reason.UNKNOWN_ENVIRONMENT),
        ("/verify", Reason.UNKNOWN_ENVIRONMENT),
        ("/doctor staging", Reason.BAD_ARGUMENTS),
    ],
)
@pytest.mark.parametrize("phase", ["all", "command"])
def test_what_cannot_be_answered_is_refused_before_any_cloud_is_asked(
    shop: Any, body: str, reason: Reason, phase: str
) -> None:
    assert shop.say(body, phase=phase).reason is reason
    assert not shop.log.named("connect")


def test_those_who_may_deploy_may_see_logs(world: Any) -> None:
    world.github.is_private = True
    assert world.say("/logs staging").reason is Reason.LOGS_SHOWN
    assert world.say("/logs production").reason is Reason.FORBIDDEN
    assert world.say("/logs production", author="ada").reason is Reason.LOGS_SHOWN


@pytest.mark.parametrize("body", ["/verify staging", "/logs staging", "/doctor"])
def test_readers_may_ask_none_of_it(world: Any, body: str) -> None:
    assert world.say(body, author="rita").reason is Reason.FORBIDDEN
    assert world.github.bodies == {}
    assert not world.log.named("connect")


# -- doctor -----------------------------------------------------------------------------------------------------------
def test_all_is_well(world: Any) -> None:
    shown = answered(world, "/doctor", Reason.EXAMINED)
    assert "### ✅ Everything is there that a release needs" in shown
    assert rows(shown, "❌") == []
    assert "| GitHub | the token: `checks`, `statuses` | may read |" in shown
    for name in ("staging", "production"):
        assert f"| {name} | the login | works |" in shown
        assert f"| {name} | variables | each that is used has a value |" in shown


def test_a_permission_that_is_missing_is_named(world: Any) -> None:
    world.log.fail("checks", error=ForbiddenError("GitHub refused.", service="GitHub", operation="x", status=403))
    shown = answered(world, "/doctor", Reason.TROUBLE_FOUND)
    [row] = rows(shown, "❌")
    assert "GitHub refused." in row
    assert "Give the job `permissions: checks" in row
    assert "### ❌ 1 thing to mend" in shown


def with_auth(world: Any, text: str = "${vars.PROVIDER}") -> None:
    provider = f"    auth: {{workload_identity_provider: '{text}'}}\n"
    file = world.github.files[".github/slipway.yml", "main"].replace("    jobs:\n", f"{provider}    jobs:\n")
    world.github.files[".github/slipway.yml", "main"] = file


PROVIDER = "projects/1/locations/global/workloadIdentityPools/p/providers/r"


def test_a_variable_that_is_missing_is_named_and_nobody_else_is_asked(world: Any) -> None:
    with_auth(world)
    shown = answered(world, "/doctor", Reason.TROUBLE_FOUND)
    assert len([row for row in rows(shown, "❌") if "there is no variable `PROVIDER`" in row]) == 2
    assert not world.log.named("connect")


def test_a_job_without_an_identity_is_told_so(world: Any) -> None:
    with_auth(world, PROVIDER)
    shown = answered(world, "/doctor", Reason.TROUBLE_FOUND)
    assert "Give the job `permissions: id-token: write`." in shown
    assert not world.log.named("connect")
    shown = answered(world, "/doctor", Reason.EXAMINED, oidc_url="https://token.example", oidc_token="tokentoken")
    assert "the OIDC token | can be asked for" in shown
    assert "tokentoken" not in shown


def test_what_a_target_finds_is_shown(world: Any) -> None:
    world.target.findings = (
        Finding(what="the login", well=True, found="works"),
        Finding(what="the job `x`", well=None, found="is not there yet"),
        Finding(what="the secret `a|b`", well=False, found=f"denied {SECRET}", todo="Grant it."),
    )
    shown = answered(world, "/doctor", Reason.TROUBLE_FOUND)
    assert len(rows(shown, "❌")) == 2
    assert len(rows(shown, "❔")) == 2
    assert SECRET not in shown
    assert "Grant it." in shown


@pytest.mark.parametrize(
    "error", [AuthError("No credentials.", hint="Log in."), UpstreamError("Down.", service="x", operation="y")]
)
def test_a_target_that_cannot_be_examined_keeps_nothing_else_from_it(world: Any, error: Exception) -> None:
    world.log.fail("connect", 1, error)
    shown = answered(world, "/doctor", Reason.TROUBLE_FOUND)
    assert len(rows(shown, "❌")) == 1
    assert "the login | works" in shown


def test_a_heroku_key_that_is_missing(world: Any) -> None:
    world.github.files[".github/slipway.yml", "main"] = (
        "version: 1\napp: shop\ntargets: {h: {type: heroku, app: shop}}\nenvironments: {legacy: {target: h}}\n"
    )
    assert "the Heroku key | is not given" in answered(world, "/doctor", Reason.TROUBLE_FOUND)
    shown = answered(world, "/doctor", Reason.EXAMINED, heroku_api_key="HRKU-key")
    assert "the Heroku key | is given" in shown
    assert "HRKU" not in shown


def test_a_wrong_configuration_is_told_as_to_every_command(world: Any) -> None:
    world.github.files[".github/slipway.yml", "main"] += "nonsense: 1\n"
    assert world.say("/doctor").reason is Reason.CONFIG_INVALID
    assert "nonsense" in world.shown


# -- two jobs ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("body", ["/verify staging", "/logs staging web", "/doctor"])
def test_the_command_job_lets_it_through_and_the_next_one_answers(shop: Any, body: str) -> None:
    event = shop.comment(body)
    outcome = shop.handle(event, phase="command")
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.ASK, Reason.READY, 0)
    assert not {"connect", "comment"} & {name for name, _ in shop.log.calls}
    second = shop.handle(event, phase="ask")
    assert second.decision is Decision.ANSWERED
    assert shop.log.named("connect")


def test_the_job_that_asks_carries_out_nothing_else(shop: Any) -> None:
    for event in (shop.comment("/deploy staging"), shop.comment("/status"), shop.push(), shop.comment("/deploi x")):
        assert shop.handle(event, phase="ask").decision is Decision.IGNORED
    dispatched = shop.handle(shop.dispatch(), phase="ask", command="deploy", environment="staging")
    assert dispatched.decision is Decision.IGNORED
    assert not shop.log.named("connect")
    assert shop.handle(shop.dispatch(), phase="ask", command="verify", environment="staging").reason is Reason.VERIFIED


def test_the_release_job_answers_no_question(shop: Any) -> None:
    assert shop.handle(shop.comment("/verify staging"), phase="release").decision is Decision.IGNORED


def test_questions_beside_answers(shop: Any) -> None:
    event = shop.comment("/whoami\n/doctor\n/verify staging")
    assert shop.handle(event, phase="command").decision is Decision.ASK
    shop.log.calls.clear()
    assert shop.handle(event, phase="ask").reason is Reason.VERIFIED
    assert len(shop.log.named("comment")) == 2


@pytest.mark.parametrize("body", ["/deploy staging\n/verify staging", "/doctor\n/preview create staging"])
def test_a_comment_asks_or_changes(shop: Any, body: str) -> None:
    assert shop.say(body, phase="command").reason is Reason.TOO_MANY_COMMANDS
    assert not shop.log.named("connect")
