from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.core.outcome import ReleaseReport
from bot.core.target import Diagnosis
from bot.report.comment import marker, next_line, paragraphs, release_comment
from bot.report.limits import COMMENT_LIMIT, fit, size
from bot.report.markdown import details, fence, tail

MARK = marker("1", environment="staging")
LINES = st.lists(
    st.text(max_size=40) | st.sampled_from(["</details>", "```", "````text", "😀" * 30, "<details><summary>"]),
    max_size=60,
)


def balanced(body: str) -> bool:
    """Whether every fence and fold is closed, as a Markdown parser sees them."""
    opened = 0
    for token in MarkdownIt("commonmark", {"html": True}).parse(body):
        if token.type == "html_block":
            opened += token.content.count("<details>") - token.content.count("</details>")
        if token.type == "fence":
            last = body.split("\n")[(token.map or [0, 1])[1] - 1]
            if last.strip() != token.markup:
                return False
    return opened == 0


def make_body(logs: list[list[str]], sentence: str = "") -> str:
    folds = [details(f"Log {number}", fence(tail(lines, 10_000))) for number, lines in enumerate(logs)]
    chart = details("Timeline", fence("gantt\n    a :done, 00:00:00, 1s", "mermaid"))
    return paragraphs([f"{MARK}\n### Title", sentence, next_line(["/status"]), *folds, chart, "<sub>updated</sub>"])


def test_what_fits_is_left_alone() -> None:
    body = make_body([["a"]])
    assert fit(body).body == body
    assert fit(body).overflow == ""


def test_characters_beyond_the_first_plane_count_twice() -> None:
    assert size("a😀é") == 4
    assert size(fit("😀\n" * 40_000).body) <= COMMENT_LIMIT


@settings(deadline=None, max_examples=150)
@given(logs=st.lists(LINES, max_size=3), limit=st.integers(400, 3000))
def test_a_fitted_body_is_within_its_limit_and_balanced(logs: list[list[str]], limit: int) -> None:
    fitted = fit(make_body(logs), limit=limit)
    assert size(fitted.body) <= limit
    assert fitted.body.startswith(f"{MARK}\n### Title\n")
    assert "**Next:** `/status`" in fitted.body
    assert balanced(fitted.body)
    assert balanced(fitted.overflow)


def test_a_log_loses_its_beginning_first_and_nothing_is_lost() -> None:
    lines = [f"line {number:04d} of the log" for number in range(200)]
    fitted = fit(make_body([lines]), limit=3000, rest_url="https://x.example/run")
    assert lines[-1] in fitted.body
    assert lines[0] not in fitted.body
    assert re.search(r"^… \d+ earlier lines, see the job summary$", fitted.body, re.MULTILINE)
    assert "gantt" in fitted.body
    assert "[job summary](https://x.example/run)" in fitted.body
    shown = {line for line in (fitted.body + "\n" + fitted.overflow).split("\n") if line.startswith("line ")}
    assert shown == set(lines)


def test_the_largest_log_is_cut_first() -> None:
    small, large = [f"small {number}" for number in range(30)], [f"large {number}" for number in range(300)]
    fitted = fit(make_body([small, large]), limit=2500)
    assert all(line in fitted.body.split("\n") for line in small)


def test_folds_go_whole_when_the_ends_of_logs_are_still_too_much() -> None:
    long = ["x" * 300] * 30
    fitted = fit(make_body([long, long]), limit=4500)
    assert "<summary>Timeline</summary>" not in fitted.body
    assert "<summary>Timeline</summary>" in fitted.overflow
    assert fitted.body.count("<summary>Log") == 1
    assert balanced(fitted.body)


def test_a_log_in_the_open_is_cut_to_nothing_rather_than_losing_what_to_do_next() -> None:
    body = paragraphs([f"{MARK}\n### Title", fence("\n".join(["y" * 200] * 20)), next_line(["/status"])])
    fitted = fit(body, limit=600)
    assert size(fitted.body) <= 600
    assert "**Next:** `/status`" in fitted.body
    assert (fitted.body + fitted.overflow).count("y" * 200) == 20


def test_lines_go_from_the_end_when_nothing_else_is_left() -> None:
    rows = [f"| row {number} |" for number in range(300)]
    body = paragraphs([f"{MARK}\n### Title", "\n".join(rows), next_line(["/status"])])
    fitted = fit(body, limit=1000)
    assert size(fitted.body) <= 1000
    assert rows[0] in fitted.body
    assert rows[-1] in fitted.overflow
    assert "**Next:** `/status`" in fitted.body


def test_even_one_line_too_long_is_no_way_out() -> None:
    assert size(fit("z" * 5000, limit=500).body) <= 500


def test_a_release_with_a_huge_log_still_says_what_serves_and_what_to_type(
    reports: dict[str, ReleaseReport], make_report: Callable[..., ReleaseReport]
) -> None:
    report = reports["verification-failed-restored"]
    noise = Diagnosis(error="KeyError: 'SITE_URL'", tail=tuple("`" * 9 + "n" * 450 for _ in range(4000)))
    steps = tuple(replace(step, state="failed", diagnosis=noise) for step in report.steps)
    fitted = fit(release_comment(replace(report, steps=steps), marker=MARK))
    assert size(fitted.body) <= COMMENT_LIMIT
    assert balanced(fitted.body)
    for wanted in ("serves again", "`web-a81d0be-0`", "**Next:**", "KeyError: 'SITE_URL'"):
        assert wanted in fitted.body


@pytest.mark.parametrize("name", ["released", "running"])
def test_ordinary_comments_fit(name: str, reports: dict[str, ReleaseReport]) -> None:
    body = release_comment(reports[name], marker=MARK)
    assert fit(body).body == body
