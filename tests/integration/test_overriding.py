"""`--override`: who may, past what, and that everybody is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.core.facts import CheckState, Run
from bot.core.outcome import Decision, Reason
from bot.errors import ForbiddenError

from .conftest import CONFIG, sha_of

PAST_CHECKS = '/deploy staging --override=required_checks --reason="the shop is down"'


@pytest.fixture
def shop(world: Any) -> Any:
    """A shop whose check is red on dana's pull request, and where ada is admin."""
    world.github.check_states[sha_of(7)] = (CheckState(name="ci", state="failure"),)
    return world


def test_an_admin_gets_past_a_gate_and_everybody_is_told(shop: Any) -> None:
    assert shop.say("/deploy staging", author="ada").reason is Reason.CHECKS_FAILED
    outcome = shop.say(PAST_CHECKS, author="ada")
    assert (outcome.decision, outcome.reason) == (Decision.RELEASED, Reason.RELEASED)
    assert "**Break-glass**" in shop.shown
    assert "ada has overridden `required_checks`: the shop is down" in shop.shown
    assert "required_checks: Required checks failed on `0000007`: `ci`." in shop.shown
    assert "https://github.com/acme/shop/issues/901" in shop.shown
    assert shop.github.kept[-1].payload["overridden"] == ["required_checks"]
    assert shop.github.kept[-1].payload["reason"] == "the shop is down"
    ((title, body),) = shop.github.issues
    assert title == "Break-glass: 0000007 to staging, required_checks overridden"
    assert body.startswith("<!-- slipway:v1 id=")
    for said in (
        "ada released [`0000007`](https://github.com/acme/shop/commit/" + sha_of(7),
        "**Why:** the shop is down",
        "- `required_checks`: Required checks failed",
        "https://github.com/acme/shop/issues/7",
        "actions/runs/1",
    ):
        assert said in body
    assert any("Break-glass" in text for text in shop.summary)


def test_it_is_told_from_the_first_moment_on_and_before_anything_changes(shop: Any) -> None:
    seen: list[bool] = []
    shop.log.hooks["apply"] = lambda: seen.append(bool(shop.github.issues) and bool(shop.github.kept[-1].payload))
    shop.say(PAST_CHECKS, author="ada")
    assert seen
    assert all(seen)
    first = next(bodies for bodies in shop.github.bodies.values() if "**Break-glass**" in bodies[-1])
    assert len(first) > 1  # edited in place


def test_it_is_told_of_a_release_that_fails(shop: Any) -> None:
    shop.target.broken.add("build")
    assert shop.say(PAST_CHECKS, author="ada").reason is Reason.BUILD_FAILED
    assert "ada has overridden `required_checks`" in shop.shown
    assert "--override" not in shop.shown.partition("**Next:**")[2].partition("\n")[0]  # nobody is led to it


@pytest.mark.parametrize("who", ["dana", "max"])
def test_others_do_not(shop: Any, who: str) -> None:
    outcome = shop.say(PAST_CHECKS, author=who)
    assert outcome.reason is Reason.FORBIDDEN
    assert "`--override` needs `admin`" in shop.shown
    assert not shop.github.issues


def test_who_may_is_configured_and_the_command_is_asked_about_all_the_same(shop: Any) -> None:
    rules = "permissions: {override: [maintain], deploy: ['@dana', '@max']}, on: push"
    text = CONFIG.replace('on: push, permissions: {rollback: [maintain, "@acme/oncall"]}', rules)
    assert text != CONFIG
    shop.github.files[".github/slipway.yml", "main"] = text
    assert shop.say(PAST_CHECKS, author="dana").reason is Reason.FORBIDDEN
    assert shop.say(PAST_CHECKS, author="ada").reason is Reason.FORBIDDEN
    assert shop.say(PAST_CHECKS, author="max").reason is Reason.RELEASED


def test_whoever_starts_the_run_again_needs_the_right_too(shop: Any) -> None:
    again = Run(id=900, attempt=2, url="")
    assert shop.say(PAST_CHECKS, author="ada", run=again, actor="dana").reason is Reason.FORBIDDEN


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("/deploy staging --override=required_checks", "wants a reason"),
        ('/deploy staging --override=ci --reason="x"', "`ci` cannot be overridden"),
        ('/deploy staging --override=sha_binding,lock_free --reason="x"', "`sha_binding` and `lock_free` cannot"),
        ('/deploy staging --override= --reason="x"', "wants a value"),
    ],
)
def test_what_is_no_use_of_it(shop: Any, body: str, says: str) -> None:
    assert shop.say(body, author="ada").reason is Reason.BAD_ARGUMENTS
    assert says in shop.shown
    assert not shop.github.issues
    assert shop.mutations() == []


@pytest.mark.parametrize("verb", ["rollback", "retry"])
def test_it_is_for_what_releases_something_new(shop: Any, verb: str) -> None:
    body = f"/{verb} staging --override=required_checks --reason=x"
    assert shop.say(body, author="ada").reason is Reason.BAD_ARGUMENTS


def test_another_gate_still_stands(shop: Any) -> None:
    shop.say('/freeze staging --reason="holidays"', author="ada")
    assert shop.say(PAST_CHECKS, author="ada").reason is Reason.FROZEN
    assert not shop.github.issues
    both = PAST_CHECKS.replace("required_checks", "required_checks,not_frozen")
    assert shop.say(both, author="ada").reason is Reason.RELEASED
    assert "overridden `required_checks` and `not_frozen`" in shop.shown
    assert "not_frozen: `staging` is frozen by ada: holidays." in shop.shown


def test_a_gate_that_would_have_let_it_pass_is_told_too(shop: Any) -> None:
    shop.github.check_states.clear()
    assert shop.say(PAST_CHECKS, author="ada").reason is Reason.RELEASED
    assert "- `required_checks`: would have let it pass." in shop.github.issues[0][1]


def test_an_issue_that_cannot_be_opened_fails_nothing_and_is_told(shop: Any) -> None:
    error = ForbiddenError(
        "GitHub refused.", service="GitHub", operation="open_issue", status=403, hint="The token needs issues: write."
    )
    shop.log.fail("open_issue", error=error)
    assert shop.say(PAST_CHECKS, author="ada").reason is Reason.RELEASED
    assert "No issue could be opened about it: GitHub refused. The token needs issues: write." in shop.shown


def test_a_release_that_goes_on_opens_no_second_issue(shop: Any) -> None:
    event = shop.comment(PAST_CHECKS, author="ada")

    class Killed(BaseException):
        """The runner is gone."""

    def kill() -> None:
        shop.log.hooks.clear()
        raise Killed

    shop.log.hooks["open_issue"] = kill
    with pytest.raises(Killed):
        shop.handle(event)
    assert [kept.state for kept in shop.github.kept] == ["pending"]
    assert shop.handle(event).reason is Reason.RELEASED
    assert len(shop.github.issues) == 1
    done = shop.github.kept[-1]
    shop.github.kept[-1] = replace(done, statuses=())  # as if the first one had been killed after the issue
    assert shop.handle(event).reason is Reason.RELEASED
    assert len(shop.github.issues) == 1


def test_a_dry_run_opens_none(shop: Any) -> None:
    assert shop.say(f"{PAST_CHECKS} --dry-run", author="ada").reason is Reason.PLAN_SHOWN
    assert not shop.github.issues


def test_the_command_job_lets_it_through_and_opens_none(shop: Any) -> None:
    assert shop.say(PAST_CHECKS, author="ada", phase="command").decision is Decision.RELEASE
    assert not shop.github.issues


def test_approvals_can_be_overridden_and_a_soak(shop: Any) -> None:
    text = CONFIG.replace(
        "production: {target: gcp,",
        "production: {target: gcp, gates: {approvals: 1}, promote_from: {environment: staging, soak: 1h},",
    )
    shop.github.files[".github/slipway.yml", "main"] = text
    shop.github.check_states.clear()
    assert shop.say("/deploy staging").reason is Reason.RELEASED
    shop.clock.sleep(60)
    promote = '/promote production --override=soaked,approvals --reason="the shop is down"'
    refused = shop.say("/promote production", author="ada")
    assert refused.reason is Reason.PROMOTION_SOAKING
    assert "has 0 of 1 approvals" in refused.message
    assert shop.say(promote, author="ada").reason is Reason.RELEASED
    assert "soaked: `0000007` has soaked 1 of 60 minutes on `staging`." in shop.shown


def test_secrets_reach_no_issue(shop: Any) -> None:
    shop.say('/deploy staging --override=required_checks --reason="s3cretS3cret"', author="ada")
    assert "s3cretS3cret" not in "".join(shop.github.issues[0])
