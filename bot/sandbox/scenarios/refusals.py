"""Scenarios in which a command is not carried out: nothing is changed, and the author learns why and what to do."""

from __future__ import annotations

from collections.abc import Callable

from bot.sandbox.sample import VARIANTS
from bot.sandbox.scenarios.expectations import (
    COMMON,
    deployments,
    ended,
    nothing_changed,
    reacted,
    says,
    serves,
    silent,
    spared,
    true,
)  # fmt: skip
from bot.sandbox.scenarios.model import Expectation, Play, Scenario
from bot.sandbox.scenarios.moments import COMMENTS, CREATE_REF, Moment

CONFIG = ".github/slipway.yml"
Prepare = Callable[[Play], object]
Phrase = str | Callable[[Play], str]


def _feature(play: Play) -> None:
    play.pull_request("feature")


def _checks(*conclusions: str | None) -> Prepare:
    """Prepare a head whose check ``ci`` has these conclusions (None: it runs); with none it never reported."""

    def prepare(play: Play) -> None:
        play.pull_request("feature")
        state = play.repository.state
        state.check_runs = {key: run for key, run in state.check_runs.items() if run.sha != play.shas["feature"]}
        for conclusion in conclusions:
            play.repository.check_run(play.shas["feature"], name="ci", conclusion=conclusion)

    return prepare


def _awaited(play: Play) -> None:
    """The check of the head still runs when dana comments; it ends once she has been told that it is waited for."""
    play.release_main()
    _checks(None)(play)
    play.begin()
    (check,) = (run for run in play.repository.state.check_runs.values() if run.sha == play.shas["feature"])

    def end() -> None:
        play.notes["while it waits"] = play.comments()[-1].body
        play.repository.check_run(play.shas["feature"], name=check.name, conclusion="success")

    Moment(play.world.github, "after", "POST", COMMENTS, act=end)
    play.say("/deploy staging --wait")


def _gates(text: str) -> Callable[[Play], None]:
    """Prepare a head where the configuration asks for more than green checks."""

    def prepare(play: Play) -> None:
        play.world.configure(lambda config: config.replace("on: push", f"on: push, gates: {{{text}}}", 1))
        play.pull_request("feature")

    return prepare


def _approved_too_early(play: Play) -> None:
    """Have lee approve what dana then adds to."""
    _gates("reviews: 1")(play)
    play.repository.review(play.number, author="lee")
    with play.world.earlier(30):
        _push_more(play)


def _behind(play: Play) -> None:
    """Merge, meanwhile, what does not matter to the environment, and what does."""
    _gates("up_to_date: [shop/, Dockerfile]")(play)
    play.repository.commit("main", {"NOTES.md": "Meanwhile.\n"}, message="Meanwhile")
    play.repository.commit("main", {"shop/extra.py": "MORE = True\n"}, message="More")


def _push_more(play: Play) -> None:
    """Push another commit onto the branch, green like the first."""
    play.shas["newer"] = play.repository.commit("feature", {"NOTES.md": "One more thing.\n"}, message="One more thing")
    play.repository.check_run(play.shas["newer"], name="ci", conclusion="success")


def _head_moved(play: Play) -> None:
    number = play.pull_request("feature")
    payload = play.repository.comment(number, "/deploy staging")
    _push_more(play)
    play.event("issue_comment", payload)


def _push_before_the_lock(play: Play) -> None:
    """Push when the bot is about to take the lock: its gates have been asked, nothing has been changed."""
    play.pull_request("feature")
    Moment(play.world.github, "before", "POST", CREATE_REF, act=lambda: _push_more(play))


def _fork(play: Play) -> None:
    fork = play.repository.fork("mallory")
    play.shas["feature"] = fork.commit("feature", {"README.md": "Mine.\n"}, message="Take over", author="mallory")
    play.number = play.repository.open_pull_request(head="mallory:feature", title="A gift", author="mallory")
    play.repository.check_run(play.shas["feature"], name="ci", conclusion="success")


def _closed(play: Play) -> None:
    play.repository.close(play.pull_request("feature"))


def _other_base(play: Play) -> None:
    play.repository.commit("release", {"NOTES.md": "1.0\n"}, message="Cut 1.0", base="main")
    play.pull_request("feature", base="release")


def _conflicting(play: Play) -> None:
    """Lee writes another text into the file that the branch has changed."""
    play.branch("feature", seconds_ago=60)
    path = next(iter(VARIANTS["feature"].files))
    play.repository.commit("main", {path: "Another text.\n"}, message="Say it otherwise", author="lee")
    play.number = play.repository.open_pull_request(head="feature", title="Sell more", author="dana")


def _of_a_fork(play: Play) -> None:
    """Somebody types a fork's commit into the workflow's form: GitHub finds it in this repository as well."""
    _fork(play)
    play.repository.check_run(play.repository.branches()["main"], name="ci", conclusion="success")
    inputs = {"command": "deploy", "environment": "staging", "sha": play.shas["feature"], "reason": ""}
    extra = {"SLIPWAY_COMMAND": "deploy", "SLIPWAY_ENVIRONMENT": "staging", "SLIPWAY_SHA": play.shas["feature"]}
    payload = play.repository.dispatch_payload(inputs=inputs, actor="lee")
    play.event("workflow_dispatch", payload, actor="lee", extra=extra)


def _draft(play: Play) -> None:
    play.pull_request("feature", draft=True)


def _config_invalid(play: Play) -> None:
    play.pull_request("feature")
    play.world.configure(
        lambda text: text.replace("    services:", "    servces:").replace("passes: 2", "passes: twice")
    )


def _config_missing(play: Play) -> None:
    play.pull_request("feature")
    play.repository.commit("main", {CONFIG: None}, message="Release by hand again", author="lee")


def _refused(
    name: str,
    summary: str,
    prepare: Prepare,
    reason: str,
    *phrases: Phrase,
    command: str = "/deploy staging",
    author: str = "dana",
    reactions: tuple[str, ...] = ("eyes", "-1"),
    recorded: int = 0,
    exit_code: int = 0,
    more: tuple[Expectation, ...] = (),
) -> Scenario:
    """A story in which something is prepared and a command is refused with one comment."""

    def act(play: Play) -> None:
        prepare(play)
        if not play.runs:
            play.say(command, author=author)

    return Scenario(
        name=name,
        summary=summary,
        act=act,
        expectations=(
            *COMMON,
            *ended("refused", reason, exit_code=exit_code),
            *(nothing_changed() if not recorded else ()),
            *serves(""),
            *reacted(*reactions),
            *says(*phrases, "Nothing was changed", never=("🟢", "🔴")),
            *more,
        ),
        instant=True,
    )


SCENARIOS = (
    _refused(
        "red-ci", "a required check failed on the head", _checks("failure"), "checks_failed", "`ci`", "failed"
    ),
    _refused(
        "missing-check", "a required check never reported on the head: that is not green", _checks(), "checks_missing",
        "have not reported", "`ci`",
    ),
    _refused(
        "pending-ci", "a required check still runs", _checks(None), "checks_pending", "still running", "`ci`"
    ),
    Scenario(
        name="wait-for-checks",
        summary="`/deploy staging --wait` while a required check still runs: the release begins once it is green",
        act=_awaited,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *deployments("success"),
            *serves("feature"),
            *true("it says what it waits for", lambda play: "still running on" in play.notes["while it waits"]),
            *says("is live on **staging**", comments=1),
        ),
        instant=True,
    ),
    _refused(
        "unknown-environment", "an environment that does not exist: the nearest name is suggested", _feature,
        "unknown_environment", "`stagin`", "`/deploy staging`", command="/deploy stagin",
    ),
    _refused(
        "production-needs-admin", "somebody who may write asks for production, which wants an admin", _feature,
        "forbidden", "`admin`", "dana", command="/deploy production", more=spared("run", "sts", "cloudbuild"),
    ),
    _refused(
        "head-moved", "the branch is pushed to after the comment: what its author saw is not what would be released",
        _head_moved, "head_moved", lambda play: f"/deploy staging @{play.sha('newer')}",
    ),
    _refused(
        "head-moved-in-between", "the branch is pushed to between the gates and the first change: the record is closed",
        _push_before_the_lock, "head_moved", lambda play: f"/deploy staging @{play.sha('newer')}", recorded=1,
        more=spared("cloudbuild"),
    ),
    _refused(
        "unreviewed", "production-like: nobody but the author has approved it", _gates("reviews: 1"), "reviews_missing",
        "0 of 1 approving reviews",
    ),
    _refused(
        "approved-before", "the approval is of an older commit: it is none of what would be released",
        _approved_too_early, "reviews_missing", lambda play: f"lee's is of `{play.sha('feature')}`",
    ),
    _refused(
        "behind-main", "the branch lacks what was merged meanwhile, and the environment wants it up to date", _behind,
        "behind_base", "lacks 2 commits of `main`, with changes to `shop/extra.py`", "Merge `main`",
    ),
    _refused(
        "outside-window", "it is no time for releases: the comment says when there is one",
        _gates("windows: 'Mon 00:00-00:01 Pacific/Kiritimati'"), "outside_window", "Come back at",
    ),
    _refused(
        "configured-freeze", "the configuration freezes the environment over these days: the comment says until when",
        _gates("freezes: '2020-01-01 to 2099-12-31 (the long holidays)'"), "frozen",
        "frozen until 2100-01-01 00:00 UTC (the long holidays)",
    ),
    _refused("fork-refused", "the head is in a fork", _fork, "fork", "fork"),
    _refused("closed", "the pull request is closed", _closed, "pull_request_closed", "closed"),
    _refused(
        "wrong-base", "the pull request goes into another branch than main", _other_base, "wrong_base",
        "goes into `release`, not into `main`", "Change its base to `main`",
    ),
    _refused(
        "conflicts", "the branch conflicts with main", _conflicting, "pull_request_conflicts", "conflicts with `main`",
        "Merge `main` into it",
    ),
    _refused(
        "sha-required", "the environment wants the commit named", _gates("require_sha: true"),
        "sha_required", "wants the sha named", lambda play: f"`/deploy staging @{play.sha('feature')}`",
    ),
    _refused(
        "not-acted-on", "the configuration asks for what is not done yet: nothing is released as if it were",
        _gates("preflight: [shop-ready]"), "unsupported_setting", "what this version does not do yet", "preflight",
    ),
    _refused(
        "too-many-commands", "two commands of one comment would change the same environment: none is run", _feature,
        "too_many_commands", "Two commands in one comment would change `staging`",
        command="/deploy staging\n/rollback staging",
    ),
    Scenario(
        name="commit-of-a-fork",
        summary="somebody types a fork's commit into the workflow's form: it is on no branch here, and is not released",
        act=_of_a_fork,
        expectations=(
            *COMMON,
            *ended("refused", "fork", exit_code=1),
            *nothing_changed(),
            *serves(""),
            *silent(),
            *true("the log says why", lambda play: "it may be a fork's" in play.last.stdout),
        ),
        instant=True,
    ),
    _refused("draft", "the pull request is a draft", _draft, "pull_request_draft", "draft", "ready for review"),
    _refused(
        "config-invalid", "the configuration on main is wrong: each mistake is shown with its line", _config_invalid,
        "config_invalid", f"{CONFIG}:", "servces", "services", "passes", reactions=("eyes", "confused"), exit_code=1,
    ),
    _refused(
        "config-missing", "there is no configuration on main", _config_missing, "config_missing", CONFIG,
        reactions=("eyes", "confused"), exit_code=1,
    ),
    Scenario(
        name="typo",
        summary="`/deploi staging`: the right spelling is suggested, nothing is run on a guess",
        act=lambda play: (play.pull_request("feature"), play.say("/deploi staging"), None)[-1],
        expectations=(
            *COMMON,
            *ended("refused", "unknown_command"),
            *nothing_changed(),
            *serves(""),
            *says("`/deploi staging`", "`/deploy staging`", "Nothing was run"),
            *spared("run", "sts", "cloudbuild"),
        ),
        instant=True,
    ),
    Scenario(
        name="no-permission",
        summary="somebody who may only read asks: a reaction, no word",
        act=lambda play: (play.pull_request("feature"), play.say("/deploy staging", author="rowan"), None)[-1],
        expectations=(
            *COMMON,
            *ended("refused", "forbidden"),
            *nothing_changed(),
            *serves(""),
            *reacted("eyes", "-1"),
            *silent(),
            *spared("run", "sts", "cloudbuild"),
        ),
        instant=True,
    ),
)  # fmt: skip
