"""The looks at a world find what they are there to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.sandbox.runtime import InstantRuntime
from bot.sandbox.scenarios import looking
from bot.sandbox.scenarios.expectations import COMMON, ended, made, reacted, says, serves, serves_with_pool
from bot.sandbox.scenarios.faults import harm
from bot.sandbox.scenarios.model import BOT, Expectation, Play, shop
from bot.sandbox.world import TOKEN, Ran, World


@pytest.fixture
def play(tmp_path: Path) -> object:
    with World(root=tmp_path, runtime=InstantRuntime(shop)) as world:
        yield Play(world=world)


def ran(play: Play, **changes: object) -> Ran:
    """Return a run that said nothing."""
    run = play.repository.start_run()
    values = {"exit_code": 0, "outputs": {}, "stdout": "", "stderr": "", "summary": "", "seconds": 0.0, "run": run}
    return Ran(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("by dana, see `@lee` and @\u200blee", []),
        ("<!-- slipway:v1 id=1 env=staging -->\n### Fine\n\n<details><summary>More</summary>\n\nx\n\n</details>", []),
        ("<sub>deployment 1 · updated 09:00</sub>", []),
        ("| a | b |\n|---|---|\n| <code>x</code> | y |", []),
        ("[click](https://evil.example/x)", ["link https://evil.example/x"]),
        ("![](https://evil.example/p.png)", ["image https://evil.example/p.png"]),
        ("thanks @acme/everyone", ["mention @acme/everyone"]),
        ("<img src=x onerror=alert(1)>", ["html <imgsrc=xonerror=alert(1)>"]),
        ("\u202eabc", ["mark U+202E"]),
    ],
)
def test_harm(text: str, found: list[str]) -> None:
    assert harm(text) == found


@pytest.mark.parametrize("place", ["comment", "log", "summary", "outputs"])
def test_a_secret_is_found_wherever_it_is_seen(play: Play, place: str) -> None:
    number = play.pull_request("feature")
    secret = f"the key is {TOKEN}"
    if place == "comment":
        play.repository.add_comment(number, secret, author=BOT)
    else:
        key, value = {
            "log": ("stderr", secret),
            "summary": ("summary", secret),
            "outputs": ("outputs", {"url": secret}),
        }[place]
        play.runs.append(ran(play, **{key: value}))
    assert len(looking.leaks(play)) == 1
    assert looking.leaks(play)[0].startswith("GitHub token in ")
    assert TOKEN not in looking.leaks(play)[0]


def test_tokens_for_other_repositories_are_secrets_too(play: Play) -> None:
    play.world.github.add_token("github_pat_of_another", repositories=["acme/words"])
    play.runs.append(ran(play, stdout="reading with github_pat_of_another"))
    (leak,) = looking.leaks(play)
    assert leak.startswith("other GitHub token ")


def test_an_edited_comment_still_shows_its_secret(play: Play) -> None:
    number = play.pull_request("feature")
    comment = play.repository.add_comment(number, play.world.database("staging"), author=BOT)
    play.repository.edit_comment(comment.id, "nothing to see")
    assert looking.leaks(play) == [f"database URL of staging in comment {comment.id}"]


def test_a_mask_command_is_no_leak(play: Play) -> None:
    play.runs.append(ran(play, stdout=f"::add-mask::{TOKEN}\n::notice::fine"))
    assert looking.leaks(play) == []


def test_a_traceback_is_found(play: Play) -> None:
    play.runs += [ran(play), ran(play, stderr="Traceback (most recent call last):\n  boom")]
    assert looking.tracebacks(play) == ["run 2"]


def test_nothing_serves_in_a_new_world(play: Play) -> None:
    assert looking.serving(play.world, "web", "staging") == "nothing"
    assert looking.working(play.world, "worker", "staging") == "nothing"
    assert looking.locks(play.world) == []
    assert looking.builds(play.world) == []


def test_an_address_where_nobody_listens() -> None:
    assert looking.get("http://127.0.0.1:9/")[0] == 0


def judged(expectations: tuple[Expectation, ...], play: Play) -> list[bool]:
    """Return whether each holds."""
    return [expectation.judge(play).holds for expectation in expectations]


def test_expectations_fail_where_the_world_is_otherwise(play: Play) -> None:
    number = play.pull_request("feature")
    play.repository.comment(number, "/deploy staging")
    play.runs.append(ran(play, outputs={"decision": "refused", "reason": "locked"}))
    assert judged(ended("refused", "locked"), play) == [True]
    assert judged(ended("refused", "locked", exit_code=1), play) == [False]
    assert judged(made(builds=0, deployments=1), play) == [True, False]
    assert judged(reacted("eyes"), play) == [False]
    assert judged(serves("feature"), play) == [False, False, False]
    assert judged(serves_with_pool("feature", instances=2), play) == [False, False, False]
    play.repository.add_comment(number, "all is well", author=BOT)
    assert judged(says("all is", never=("well",)), play) == [True, True, False]
    assert judged(says("nothing", comments=2), play) == [False, False]


def test_what_no_scenario_may_leave_behind(play: Play) -> None:
    sha = play.branch("feature")
    assert judged(COMMON, play) == [True] * len(COMMON)
    play.repository.git.run("update-ref", f"{looking.LOCKS}staging", sha)
    play.repository.deploy(sha, "staging", state="in_progress")
    play.world.github.unknown.append("GET /nowhere")
    found = {one.judge(play).name: one.judge(play).holds for one in COMMON}
    assert found == {
        "no environment stays locked": False,
        "no call that a server does not know": False,
        "no secret can be seen": True,
        "no traceback in a log": True,
        "no deployment is left open": False,
    }
