from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.core.facts import OwnComment
from bot.core.outcome import ReleaseReport, StepResult
from bot.report.comment import marker, over, under_way
from bot.report.markdown import ZERO_WIDTH_SPACE
from bot.report.mention import mention_comment, outdated, told, wanted

GOLDEN = Path(__file__).parents[2] / "golden"
MARK = marker("ic-991-0", environment="staging", sha="4f9a1c2", told=1204)
RELEASES = (
    "released",
    "released-signed",
    "promoted",
    "rolled-back",
    "rollback-failed",
    "cancelled",
    "restore-failed",
    "build-failed",
)


def make_report(**over: Any) -> ReleaseReport:
    values: dict[str, Any] = {
        "verb": "deploy", "environment": "staging", "sha": "4f9a1c2" + "0" * 33, "actor": "dana", "state": "failed",
        "started": 0.0, "now": 60.0,
    }  # fmt: skip
    return ReleaseReport(**{**values, **over})


def make_comment(number: int, body: str, **over: Any) -> OwnComment:
    values: dict[str, Any] = {"id": number, "node": f"IC_{number}", "minimized": False, "body": body}
    return OwnComment(**{**values, **over})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, True),
        ({"actor": "dana-lee"}, True),
        ({"actor": "dana_acme"}, True),  # of an enterprise
        ({"actor": "dependabot[bot]"}, False),
        ({"actor": "acme/releasers"}, False),
        ({"actor": "dana @lee"}, False),
        ({"actor": ""}, False),
        ({"state": "released"}, False),
        ({"state": "released", "now": 600.0}, True),
        ({"state": "cancelled", "now": 900.0}, False),
        ({"state": "cancelled", "restored": False}, True),
    ],
)
def test_who_is_told(values: dict[str, Any], expected: bool) -> None:
    assert wanted(make_report(**values), after=600.0) is expected


def test_a_mention_says_how_it_ended_and_where() -> None:
    body = mention_comment(make_report(), url="https://github.com/acme/shop/issues/7#issuecomment-5", marker=MARK)
    assert body == (
        f"{MARK}\n@dana 🔴 `4f9a1c2` failed on **staging** · what served still does · 1m 00s · "
        "[how it went](https://github.com/acme/shop/issues/7#issuecomment-5)\n"
    )


HOSTILE = st.text(alphabet=st.sampled_from("@lea/#`*_|<>[]()!\\ -\n:."), max_size=30)


@given(title=HOSTILE, environment=HOSTILE)
def test_nobody_else_is_ever_mentioned(title: str, environment: str) -> None:
    step = StepResult(id="x", kind="build", title=title, state="failed")
    report = make_report(environment=environment, steps=(step,))
    body = mention_comment(report, url="https://github.com/acme/shop/issues/7", marker=MARK)
    tokens = MarkdownIt("commonmark").parse(body)
    shown = "".join(
        child.content for token in tokens for child in token.children or [] if child.type in {"text", "text_special"}
    )
    assert shown.startswith("@dana ")
    assert "@" not in shown.removeprefix("@dana ").replace(f"@{ZERO_WIDTH_SPACE}", "")


def test_a_mention_is_known_by_its_deployment() -> None:
    thread = [make_comment(5, f"{MARK}\n@dana …"), make_comment(6, "hello")]
    assert told(thread, 1204)
    assert not told(thread, 120)


def test_all_of_a_release_that_ended_is_outdated_once() -> None:
    ended = [make_comment(number, (GOLDEN / f"{name}.md").read_text("utf-8")) for number, name in enumerate(RELEASES)]
    mention = make_comment(10, f"{MARK}\n@dana …")
    found = outdated([*ended, mention], environment="staging", newest=11)
    assert found == (*ended, mention)
    assert outdated([*ended, mention], environment="staging", newest=10) == tuple(ended)
    assert outdated([*ended, mention], environment="production", newest=11) == ()
    assert outdated([make_comment(1, ended[0].body, minimized=True)], environment="staging", newest=11) == ()


def test_only_so_many_are_hidden_in_one_call() -> None:
    thread = [make_comment(number, f"{MARK}\n@dana …") for number in range(30)]
    assert outdated(thread, environment="staging", newest=30) == tuple(thread[10:])


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.md")), ids=lambda path: path.stem)
def test_what_is_over_is_a_release_that_ended_and_nothing_else(path: Path, reports: dict[str, ReleaseReport]) -> None:
    body = path.read_text("utf-8")
    name = path.stem.removesuffix("-signed")
    ended = name in reports and reports[name].state != "running"
    assert over(body) is ended
    assert not (over(body) and under_way(body))
