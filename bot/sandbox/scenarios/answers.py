"""Scenarios in which the bot only answers, or is not meant at all."""

from __future__ import annotations

from collections.abc import Callable

from bot.sandbox.github import payloads
from bot.sandbox.scenarios.expectations import COMMON, ended, ignored, nothing_changed, reacted, says, serves, spared
from bot.sandbox.scenarios.model import Play, Scenario
from bot.sandbox.scenarios.rollbacks import release

QUOTED = "Try\n\n```\n/deploy staging\n```\n\n> /deploy staging"


def _status(play: Play) -> None:
    play.release_main()
    play.pull_request("feature")
    play.say("/status")


def _status_of_gates(play: Play) -> None:
    """Ask on a draft whose check is red: one more person and a current base are wanted, too."""
    play.release_main()
    gates = "on: push, gates: {required_checks: [ci], approvals: 1, up_to_date: true}"
    play.world.configure(lambda config: config.replace("on: push", gates, 1))
    play.pull_request("feature", draft=True)
    play.repository.check_run(play.shas["feature"], name="ci", conclusion="failure")
    play.repository.commit("main", {"NOTES.md": "Meanwhile.\n"}, message="Meanwhile")
    play.begin()
    play.say("/status staging")


def _status_of_a_reader(play: Play) -> None:
    play.release_main()
    play.pull_request("feature")
    play.say("/status", author="rowan")


def _looked_back(name: str, summary: str, body: str, reason: str, *phrases: str | Callable[[Play], str]) -> Scenario:
    """Have main and a change released, then let a reader ask: the record answers."""

    def act(play: Play) -> None:
        play.release_main()
        release(play, "feature")
        play.pull_request("slow_pages")
        play.begin()
        play.say(body, author="rowan")

    expectations = (*COMMON, *ended("answered", reason), *nothing_changed(), *spared("run", "sts"), *says(*phrases))
    return Scenario(name=name, summary=summary, act=act, expectations=expectations, instant=True)


def _help(play: Play) -> None:
    play.pull_request("feature")
    play.say("/help")


def _edited(play: Play) -> None:
    number = play.pull_request("feature")
    comment = play.repository.add_comment(number, "Looks good.", author="dana")
    comment = play.repository.edit_comment(comment.id, "/deploy staging")
    payload = payloads.issue_comment(play.repository, comment, action="edited")
    payload["changes"] = {"body": {"from": "Looks good."}}
    play.event("issue_comment", payload)


def _bot(play: Play) -> None:
    number = play.pull_request("feature")
    play.world.github.add_user("helper[bot]", "Bot")
    play.repository.add_collaborator("helper[bot]", "write")
    play.event("issue_comment", play.repository.comment(number, "/deploy staging", author="helper[bot]"))


def _comment(body: str) -> Callable[[Play], None]:
    def act(play: Play) -> None:
        play.pull_request("feature")
        play.say(body)

    return act


def _ignored(name: str, summary: str, act: Callable[[Play], None]) -> Scenario:
    return Scenario(name=name, summary=summary, act=act, expectations=(*COMMON, *ignored()), instant=True)


SCENARIOS = (
    Scenario(
        name="status",
        summary="`/status`: what serves in each environment, as the clouds say it",
        act=_status,
        expectations=(
            *COMMON,
            *ended("answered", "status_shown"),
            *nothing_changed(),
            *serves("main"),
            *reacted("eyes", "rocket"),
            *says("staging", "production", "legacy", lambda play: f"`{play.sha('main')}`", "2/2 services"),
        ),
        instant=True,
    ),
    _looked_back(
        "history", "`/history`: the newest releases, how they went and how long they took", "/history staging",
        "history_shown", lambda play: f"`{play.sha('feature')}`", lambda play: f"`{play.sha('main')}`",
        "2 of 2 went well",
    ),
    _looked_back(
        "diff", "`/diff`: the commits that a release of this pull request would bring", "/diff staging", "diff_shown",
        lambda play: f"What `{play.sha('slow_pages')}` would bring", "1 commit", "It lacks 1 commit",
        "which was released last",
    ),
    _looked_back(
        "changelog", "`/changelog`: what the newest release has brought, with its migration", "/changelog staging",
        "diff_shown", lambda play: f"What `{play.sha('feature')}` brought", "**1 migration** among them",
    ),
    _looked_back(
        "whoami", "`/whoami`: one's role, and what one may do where", "/whoami", "rights_shown",
        "rowan has the role `read` here", "| `deploy` | — | — | — |", "| `history` | ✅ | ✅ | ✅ |",
    ),
    Scenario(
        name="status-of-gates",
        summary="`/status` on a pull request: every gate that says no, at once, each with what to do",
        act=_status_of_gates,
        expectations=(
            *COMMON,
            *ended("answered", "status_shown"),
            *nothing_changed(),
            *serves("main"),
            *reacted("eyes", "rocket"),
            *says(
                lambda play: f"`/deploy staging` (`{play.sha('feature')}`) would be refused",
                "brings 2 commits", "This pull request is a draft", "Required checks failed", "lacks 1 commit of",
                "has 0 of 1 approvals",
            ),
        ),
        instant=True,
    ),
    Scenario(
        name="status-of-a-reader",
        summary="`/status` by somebody who may only read, as all may in public: answered without asking any cloud",
        act=_status_of_a_reader,
        expectations=(
            *COMMON,
            *ended("answered", "status_shown"),
            *nothing_changed(),
            *spared("run", "sts", "heroku"),
            *reacted("eyes", "rocket"),
            *says("staging", lambda play: f"`{play.sha('main')}`", "from the record", never=("2/2 services",)),
        ),
        instant=True,
    ),
    Scenario(
        name="help",
        summary="`/help`: what there is, and what the asker may do",
        act=_help,
        expectations=(
            *COMMON,
            *ended("answered", "help_shown"),
            *nothing_changed(),
            *reacted("eyes", "rocket"),
            *says("deploy", "rollback", "status", never=("\n/deploy", "\n/rollback")),
        ),
        instant=True,
    ),
    _ignored("ordinary-comment", "an ordinary comment costs no call at all", _comment("Nice. See /usr/bin.")),
    _ignored("code-block", "a command in a code block, or quoted, is no command", _comment(QUOTED)),
    _ignored("edited-comment", "a command that is edited into a comment does not count", _edited),
    _ignored("bot-comment", "a command by a bot that is not allowed does not count", _bot),
)  # fmt: skip
