"""What is answered to `/approve` and `/reject`, and the issue that tells of overridden gates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.core.approvals import Voices
from bot.core.facts import Approval
from bot.core.outcome import Reason, Refusal
from bot.report.approvals import Standing, approval_comment
from bot.report.overriding import Overriding, issue_body, issue_title

SHA = "a" * 40
ADAS = Approval(verdict="approve", actor="ada", sha=SHA, since=datetime(2026, 1, 2, 10, 0, tzinfo=UTC), comment="IC_1")
STANDING = Standing(
    environment="production", said=ADAS, until=datetime(2026, 1, 2, 11, 0, tzinfo=UTC), voices=Voices(approved=("ada",)),
    wanted=1, who=("admin", "@acme/leads"), release="/deploy production @aaaaaaa",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "over", "says"),
    [
        (
            "approved",
            {},
            (
                "✅ ada has approved `aaaaaaa` for **production**, until 2026-01-02 11:00 UTC.",
                "1 of 1 approvals (ada).",
                "somebody who has not approved it: `/deploy production @aaaaaaa`",
            ),
        ),
        (
            "approved-of-several",
            {"wanted": 3},
            ("1 of 3 approvals", "2 more of those who may (admin or acme/leads): `/approve production @aaaaaaa`"),
        ),
        (
            "approved-in-vain",
            {"voices": Voices(discounted=(("ada", "may not approve"),))},
            ("0 of 1 approvals.", "ada's does not count: ada may not approve."),
        ),
        (
            "rejected",
            {"said": replace(ADAS, verdict="reject"), "voices": Voices(rejected=("ada",))},
            (
                "⛔ ada has rejected `aaaaaaa` for **production**.",
                "Rejected by ada.",
                "may take that back: `/approve production @aaaaaaa`",
            ),
        ),
    ],
)
def test_the_answer_says_how_it_stands_and_what_to_type(
    name: str, over: dict[str, Any], says: tuple[str, ...], golden: Callable[[str, str], None]
) -> None:
    body = approval_comment(replace(STANDING, **over), marker="<!-- m -->")
    golden(name, body)
    assert body.startswith("<!-- m -->\n")
    for phrase in says:
        assert phrase in body
    assert not any(line.startswith("/") for line in body.splitlines())  # no other bot takes it for a command


def test_the_issue_says_who_what_and_why_and_nobody_is_called_by_it() -> None:
    what = Overriding(
        environment="production", sha=SHA, verb="deploy", people=("ada",), gates=("required_checks", "in_window"),
        reason="down, see @everyone <!-- x -->",
        refusals=(Refusal(reason=Reason.CHECKS_FAILED, sentence="`ci` failed.", gate="required_checks"),),
    )  # fmt: skip
    assert issue_title(what) == "Break-glass: aaaaaaa to production, required_checks, in_window overridden"
    links = (("The run", "https://github.com/acme/shop/actions/runs/1"), ("Nowhere", ""))
    body = issue_body(what, marker="<!-- m -->", repository_url="https://github.com/acme/shop", links=links)
    lines = body.splitlines()
    assert lines[0] == "<!-- m -->"
    assert f"[`aaaaaaa`](https://github.com/acme/shop/commit/{SHA})" in body
    assert "- `required_checks`: `ci` failed." in lines
    assert "- `in_window`: would have let it pass." in lines
    assert "[The run](https://github.com/acme/shop/actions/runs/1)" in lines
    assert "Nowhere" not in body
    assert " @everyone" not in body
    assert body.count("<!--") == 1
