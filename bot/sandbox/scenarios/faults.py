"""Scenarios of a world that misbehaves: lost replies, dead runs, events that come twice, hostile words."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.sandbox.scenarios.expectations import COMMON, deployments, ended, made, reacted, says, serves, true
from bot.sandbox.scenarios.model import Play, Scenario
from bot.sandbox.scenarios.moments import JOB_RUN, Moment
from bot.sandbox.wire import Fault


# -- who holds the environment ------------------------------------------------------------------------------
def _locked(play: Play) -> None:
    """Let lee ask for the environment while dana's release waits in the middle of its migration."""
    play.pull_request("feature")
    moment = Moment(play.world.cloud.run, "before", "POST", JOB_RUN, hold=True)
    first = threading.Thread(target=play.say, args=("/deploy staging",))
    first.start()
    moment.come.wait(60)
    play.branch("broken_health")
    play.number = play.repository.open_pull_request(head="broken_health", title="Count products", author="lee")
    play.notes["refused"] = play.say("/deploy staging", author="lee")
    moment.go.set()
    first.join()


def _dead(play: Play) -> None:
    """Kill a release in the middle of its migration: its lock and its open deployment stay behind."""
    play.release_main()
    play.pull_request("feature")
    moment = Moment(play.world.cloud.run, "after", "POST", JOB_RUN)
    play.say("/deploy staging", started=moment.then(lambda process: process.kill()))
    play.say("/deploy staging")


# -- calls that go wrong ------------------------------------------------------------------------------------
def _lost(play: Play) -> None:
    play.pull_request("feature")
    play.world.github.fail(Fault(route=r"^POST .*/deployments$", kind="lose_reply"))
    play.world.github.fail(Fault(route=r"^POST .*/issues/.*/comments$", kind="lose_reply"))
    play.world.cloud.run.fail(Fault(route=r"^POST .*:run$", kind="lose_reply"))
    play.say("/deploy staging")


def _redelivered(play: Play) -> None:
    number = play.pull_request("feature")
    payload = play.repository.comment(number, "/deploy staging")
    play.event("issue_comment", payload)
    play.begin()
    play.event("issue_comment", payload)


# -- hostile words ------------------------------------------------------------------------------------------
EVIL = "evil.example"
TITLE = (
    f"</details><img src=https://{EVIL}/x onerror=alert(1)> [click](https://{EVIL}) @acme/everyone #1 "
    "\u202egnihtyna\u202c | `code` <!-- slipway:v1 --> ![](https://evil.example/p.png)"
)
MESSAGE = f"{TITLE}\n\n/deploy production\n\n::error::pwned\n"
BRANCH = "feature/$(touch-pwned)`id`@lee"


def _hostile(play: Play) -> None:
    play.release_main()
    with play.world.earlier(60):
        play.shas["evil"] = play.repository.commit(
            BRANCH, {"NOTES.md": "Nothing.\n"}, message=MESSAGE, author="dana", base="main"
        )
    play.repository.check_run(play.shas["evil"], name="ci", conclusion="success")
    play.number = play.repository.open_pull_request(head=BRANCH, title=TITLE, author="dana")
    play.say("/deploy staging")


ALLOWED_HTML = re.compile(r"</?(details|summary|sub|code)>|<!-- slipway:v1 [^<>]*-->|\s")


def harm(text: str) -> list[str]:
    """Return what in a Markdown text would be more than text: foreign links, images, HTML, mentions, bidi marks."""
    found = [f"mark U+{ord(mark):04X}" for mark in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068" if mark in text]
    for token in _tokens(MarkdownIt("commonmark").enable("table").parse(text)):
        found += _of_token(token)
    return found


def _of_token(token: Token) -> Iterator[str]:
    if token.type == "image":
        yield f"image {token.attrGet('src')}"
    elif token.type == "link_open" and EVIL in str(token.attrGet("href")):
        yield f"link {token.attrGet('href')}"
    elif token.type in {"html_block", "html_inline"}:
        rest = re.sub(r"(?s)(?<=>)[^<>]+(?=<)", "", ALLOWED_HTML.sub("", token.content))
        yield from [f"html {rest}"] if "<" in rest else []
    elif token.type == "text" and (mention := re.search(r"(?<!\w)@(?=[\w-])[\w/-]+", token.content)):
        yield f"mention {mention[0]}"


def _tokens(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _tokens(token.children or [])


SCENARIOS = (
    Scenario(
        name="locked",
        summary="another release holds the environment: the second is refused and told who holds it",
        act=_locked,
        expectations=(
            *COMMON,
            *ended("refused", "locked", run=0),
            *ended("released", "released", run=1),
            *made(builds=1, executions=1, deployments=1),
            *deployments("success"),
            *serves("feature"),
            *reacted("eyes", "-1"),
            *says("`staging` is held by dana for #\u200b1", "Nothing was changed"),
        ),
        instant=True,
    ),
    Scenario(
        name="dead-lock-reaped",
        summary="a run was killed and left its lock: the next command takes over and closes what it left open",
        act=_dead,
        expectations=(
            *COMMON,
            *true("the first run was killed", lambda play: play.runs[1].exit_code, -9),
            *ended("released", "released"),
            *deployments("error", "success"),
            *serves("feature"),
            *reacted("eyes", "rocket"),
            *says(lambda play: f"🟢 `{play.sha('feature')}` is live on **staging**", comments=2),
            *says("was interrupted", never=("🟡",), comments=2, comment=0),
        ),
        instant=True,
    ),
    Scenario(
        name="lost-reply",
        summary="the replies to the deployment, the comment and the execution are lost: there is one of each",
        act=_lost,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *made(builds=1, executions=1, deployments=1),
            *deployments("success"),
            *serves("feature"),
            *says(lambda play: f"🟢 `{play.sha('feature')}` is live on **staging**"),
            *true(
                "faults that hit",
                lambda play: [
                    call.fault for name in ("github", "run") for call in play.world.services[name].calls if call.fault
                ],
                ["lose_reply"] * 3,
            ),
        ),
        instant=True,
    ),
    Scenario(
        name="redelivery",
        summary="the same event comes twice: nothing is done twice",
        act=_redelivered,
        expectations=(
            *COMMON,
            *ended("answered", "already_done"),
            *made(builds=0, executions=0, deployments=0),
            *serves("feature"),
            *reacted("eyes", "rocket"),
            *says(lambda play: f"🟢 `{play.sha('feature')}` is live on **staging**"),
        ),
        instant=True,
    ),
    Scenario(
        name="hostile-title",
        summary="titles, branches and commit messages full of Markdown, HTML, mentions and bidi marks stay text",
        act=_hostile,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *deployments("success"),
            *serves("evil"),
            *serves("", environment="production"),
            *true("harm in the comment", lambda play: [each for one in play.comments() for each in harm(one.body)], []),
            *true("harm in the summary", lambda play: harm(play.last.summary), []),
            *true(
                "workflow commands from outside",
                lambda play: [line for line in play.last.stdout.splitlines() if line.startswith("::error::pwned")],
                [],
            ),
            *says(lambda play: f"🟢 `{play.sha('evil')}` is live on **staging**"),
        ),
        instant=True,
    ),
)  # fmt: skip
