"""The table in the documentation is what the simulation gives, and what it gives is what is promised."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from bot.core.canary import needed

SCRIPT = Path(__file__).with_name("canary.py")
SPEC = importlib.util.spec_from_file_location("canary_simulation", SCRIPT)
assert SPEC is not None
assert SPEC.loader is not None
CANARY: Any = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = CANARY  # dataclasses look their module up
SPEC.loader.exec_module(CANARY)

FEW = 20
TRUTHS = list(CANARY.truths())


def committed() -> tuple[list[str], list[list[str]], str]:
    """Return the head, the rows and the last line of the table in the documentation."""
    text = CANARY.PAGE.read_text("utf-8").split(CANARY.START)[1].split(CANARY.END)[0].strip()
    *lines, _, said = text.splitlines()
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return head, rows, said


HEAD, ROWS, SAID = committed()


@pytest.fixture(scope="module")
def played() -> Any:
    return CANARY.run(FEW)


def percent(cell: str) -> float:
    return float(cell.removesuffix(" %")) / 100


def test_it_has_every_row_and_says_how_many() -> None:
    assert [name for name, _ in CANARY.HEAD] == HEAD
    assert [row[:4] for row in ROWS] == [CANARY.described(truth) for truth in TRUTHS]
    assert SAID == "2,000 seeded rollouts a row."


@pytest.mark.parametrize("row", range(len(TRUTHS)), ids=lambda row: f"{TRUTHS[row].name}, {TRUTHS[row].rps}/s")
def test_few_rollouts_agree_with_the_many(row: int, played: Any) -> None:
    """The first of the many, played again: their counts must be likely where the committed shares are true."""
    rollouts, cells = played[TRUTHS[row]], dict(zip(HEAD, ROWS[row], strict=True))
    for name, hits in (
        *((end.capitalize(), [rollout.end == end for rollout in rollouts]) for end in CANARY.ENDS.values()),
        ("Fixed limit", [rollout.naive for rollout in rollouts]),
    ):
        share = min(max(percent(cells[name]), 0.001), 0.999)
        assert stats.binomtest(sum(hits), FEW, share).pvalue > 1e-3, name


def test_the_same_seed_plays_the_same(played: Any) -> None:
    assert CANARY.play(TRUTHS[4], (4, 0)) == played[TRUTHS[4]][0]
    assert len({rollout.failed for rollout in played[TRUTHS[4]]}) > 1


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}, {row[2]}, {row[1]} a second")
def test_what_is_promised_is_kept(row: list[str]) -> None:
    cells = dict(zip(HEAD, row, strict=True))
    back, released, undecided = (percent(cells[name]) for name in ("Rolled back", "Released", "Undecided"))
    decidable = cells["Stages that can decide"] != "none"
    if cells["Candidate"] == "as good":
        assert back < 1 - CANARY.ANALYSIS.confidence
        assert not decidable or released > 0.95
    elif cells["Candidate"] != "errors x 2" or cells["Errors in truth"].startswith("4 %"):
        assert released < 0.25
        assert not decidable or back > 0.75
    assert abs(back + released + undecided - 1) < 0.002


def test_the_page_says_how_many_requests_it_takes() -> None:
    requests = needed(CANARY.ANALYSIS, error_rate=0.005, share=0.05)
    assert f"must have {requests} requests" in " ".join(CANARY.PAGE.read_text("utf-8").split())
    assert requests / 0.5 / 60 == pytest.approx(12, abs=0.1)


def test_a_row_counts_what_was_played() -> None:
    """Nine of ten rolled back, after 2 to 18 minutes; one released."""
    played = [CANARY.Rollout(end="rolled back", minutes=2 * n, failed=n, naive=n < 3) for n in range(1, 10)]
    played.append(CANARY.Rollout(end="released", minutes=40, failed=0, naive=False))
    truth = CANARY.Truth(name="bad", rps=100, error_rate=0.005, candidate_rate=0.05)
    assert CANARY.line(truth, played) == (
        "| bad | 100 | 5 % against 0.5 % | 1 %, 5 %, 25 % | 90.0 % | 10.0 % | 0.0 % | 10 | 5 | 20.0 % |"
    )
    assert CANARY.line(truth, played[9:] * 30).endswith("| 0.0 % | 100.0 % | 0.0 % |  |  | 0.0 % |")


def test_only_the_table_of_the_page_is_renewed() -> None:
    page = f"a\n{CANARY.START}\nold\n\nolder\n{CANARY.END}\nb\n"
    assert CANARY.renewed(page, "new\\1") == f"a\n{CANARY.START}\nnew\\1\n{CANARY.END}\nb\n"
    assert CANARY.renewed(CANARY.renewed(page, "x"), "x") == CANARY.renewed(page, "x")
