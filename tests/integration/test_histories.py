"""`/history`, `/diff`, `/changelog` and `/whoami`: what they show, and that they change nothing and ask no cloud."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.core.facts import Commit, Comparison
from bot.core.outcome import Decision, Reason


def sha(number: int) -> str:
    return f"{number:07x}" + "0" * 33


def answered(world: Any, body: str, reason: Reason, **over: Any) -> str:
    calls = len(world.log.calls)
    outcome = world.say(body, phase="command", **over)
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.ANSWERED, reason, 0)
    assert "connect" not in {name for name, _ in world.log.calls[calls:]}
    assert world.mutations() == []
    return str(world.shown)


@pytest.fixture
def shop(world: Any) -> Any:
    """A shop with five releases, one of them failed, and a rollback."""
    for number in (2, 3, 4):
        world.released(number)
    world.pull(5)
    world.target.sick.add(sha(5))
    assert world.say("/deploy staging", number=5).reason is Reason.VERIFICATION_FAILED
    world.released(6)
    world.say('/rollback staging --reason="checkout is slow"', author="max")
    world.log.calls.clear()
    world.pull(7)
    return world


def test_the_newest_releases_are_shown(shop: Any) -> None:
    shown = answered(shop, "/history staging", Reason.HISTORY_SHOWN)
    rows = [line for line in shown.splitlines() if line.startswith(("| 🟩", "| 🟥"))]
    assert [row.split("`")[1] for row in rows] == ["0000004", "0000006", "0000005", "0000004", "0000003", "0000002"]
    assert "rolled back to" in rows[0]
    assert "checkout is slow" in rows[0]
    assert "max" in rows[0]
    assert [row[2] for row in rows] == ["🟩", "🟩", "🟥", "🟩", "🟩", "🟩"]
    assert "PR 6" in rows[1]
    assert "5 of 6 went well" in shown
    assert "xychart-beta" in shown
    assert shown.index('"0000002"') < shown.index('"0000006"')  # oldest first


def test_so_many_as_are_wanted(shop: Any) -> None:
    shown = answered(shop, "/history staging --limit=2", Reason.HISTORY_SHOWN)
    assert shown.count("| 🟩") == 2
    assert "xychart" not in shown  # two bars tell nothing


@pytest.mark.parametrize("limit", ["0", "31", "ten", "-1", "9" * 5000])
def test_a_limit_that_cannot_be(shop: Any, limit: str) -> None:
    assert shop.say(f"/history staging --limit={limit}").reason is Reason.BAD_ARGUMENTS


def test_nothing_was_released_yet(world: Any) -> None:
    assert "There are none yet." in answered(world, "/history production", Reason.HISTORY_SHOWN)
    assert "all of it would be new" in answered(world, "/diff production", Reason.DIFF_SHOWN)
    assert world.say("/changelog production").reason is Reason.NOTHING_RECORDED


COMPARED = Comparison(
    ahead_by=1, behind_by=2, commits=(Commit(sha=sha(7), subject="Sell *more*", author="dana"),),
    files=("shop/migrations/0007_more.py",), url="https://github.com/acme/shop/compare/x",
)  # fmt: skip


def test_what_a_release_would_bring(shop: Any) -> None:
    shop.github.comparison = COMPARED
    shown = answered(shop, "/diff staging", Reason.DIFF_SHOWN)
    assert "### What `0000007` would bring to **staging**" in shown
    assert ("compare", (sha(4), sha(7))) in shop.log.calls  # what the rollback went back to serves
    assert "Sell \\*more\\*" in shown
    assert "**1 migration** among them: `0007_more`" in shown
    assert "It lacks 2 commits that `0000004` has" in shown


def test_on_an_issue_it_is_about_the_default_branch(shop: Any) -> None:
    shop.github.commits["main"] = sha(9)
    shop.github.comparison = replace(COMPARED, behind_by=0)
    shop.say("/diff staging", number=3, is_pull_request=False)
    assert "What `0000009` would bring" in shop.github.thread(3)[-1]
    assert "lacks" not in shop.github.thread(3)[-1]


def test_a_commit_may_be_named(shop: Any) -> None:
    shop.github.commits["feedfee"] = "feedfee" + "0" * 33
    assert "What `feedfee` would" in answered(shop, "/diff staging @feedfee", Reason.DIFF_SHOWN)
    assert shop.say("/diff staging @abcabca").reason is Reason.SHA_UNKNOWN


def test_what_serves_would_bring_nothing(shop: Any) -> None:
    shop.pull(7, head_sha=sha(4))
    assert "Nothing: `0000004` is what was released last." in answered(shop, "/diff staging", Reason.DIFF_SHOWN)


def test_what_the_newest_release_has_brought(world: Any) -> None:
    world.released(6)
    world.released(7)
    world.github.comparison = replace(COMPARED, behind_by=0)
    shown = answered(world, "/changelog staging", Reason.DIFF_SHOWN)
    assert "### What `0000007` brought to **staging**" in shown
    assert ("compare", (sha(6), sha(7))) in world.log.calls


def test_the_first_release_has_nothing_before_it(world: Any) -> None:
    world.released(7)
    assert "Nothing was there before it." in answered(world, "/changelog staging", Reason.DIFF_SHOWN)


# -- who may ----------------------------------------------------------------------------------------------------------
def cells(shown: str) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in shown.splitlines() if line[:1] == "|"]
    return {row[0].strip("`"): row[1:] for row in rows[2:]}


def test_somebody_sees_what_he_may(world: Any) -> None:
    shown = answered(world, "/whoami", Reason.RIGHTS_SHOWN)
    assert "### dana has the role `write` here" in shown
    may = cells(shown)
    assert may["deploy"] == ["✅", "—"]  # production is for admins
    assert may["rollback"] == ["—", "—"]  # on staging for those on call
    assert may["status"] == ["✅", "✅"]
    assert may["freeze"] == ["—", "—"]


def test_teams_count(world: Any) -> None:
    world.github.teams.add(("acme", "oncall", "dana"))
    shown = answered(world, "/whoami", Reason.RIGHTS_SHOWN)
    assert "of acme/oncall" in shown
    assert cells(shown)["rollback"] == ["✅", "—"]


def test_a_stranger_gets_no_answer(world: Any) -> None:
    assert world.say("/whoami", author="otto").reason is Reason.FORBIDDEN
    assert world.github.bodies == {}


def test_teams_that_cannot_be_asked_about_do_not_count_and_are_named(world: Any) -> None:
    world.log.fail("team_member")
    shown = answered(world, "/whoami", Reason.RIGHTS_SHOWN)
    assert "Whether you are in acme/oncall could not be asked" in shown
    assert cells(shown)["rollback"] == ["—", "—"]


def test_what_was_released_last_is_not_said_to_serve(shop: Any) -> None:
    """The record does not know: nobody has asked the clouds."""
    shop.github.comparison = COMPARED
    shown = answered(shop, "/diff staging", Reason.DIFF_SHOWN)
    assert "`0000004`, which was released last." in shown
    assert "serves" not in shown
    assert "in this release" not in shown


def test_a_difference_names_the_pull_requests_that_it_brings(world: Any) -> None:
    world.released(6)
    world.pull(7)
    subjects = ("Sell more (#398)", "Merge pull request #401 from dana/cart", "Mend it")
    commits = tuple(Commit(sha=f"{number}" * 40, subject=subject) for number, subject in enumerate(subjects))
    world.github.comparison = Comparison(ahead_by=3, behind_by=0, commits=commits)
    world.say("/diff staging")
    assert "**2 pull requests**: PR 398 and PR 401." in world.shown
    assert "#398" not in world.shown.replace("#\u200b398", "")
