"""A comment in a terminal: what is shown, and what is worth a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.sandbox.github.model import Comment, Reaction
from bot.sandbox.scenarios.model import BOT
from bot.sandbox.terminal import changes, plain, unfolded

GOLDEN = Path(__file__).parents[2] / "golden"


def comment(body: str, author: str = BOT, *reactions: str) -> Comment:
    """Return a comment as the server keeps it."""
    given = [Reaction(id=1, author=BOT, content=one, created_at=0.0) for one in reactions]  # type: ignore[arg-type]
    return Comment(id=1, number=1, author=author, body=body, created_at=0, updated_at=0, reactions=given)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.md")), ids=lambda path: path.stem)
def test_no_markup_is_left_that_a_terminal_cannot_show(path: Path) -> None:
    shown = unfolded(path.read_text())
    for markup in ("<!--", "<details", "</details", "<summary", "<sub>", "```mermaid", "[!CAUTION]"):
        assert markup not in shown


def test_folds_are_left_out_or_become_headings() -> None:
    body = "top\n\n<details><summary>More</summary>\n\ninside\n\n</details>"
    assert unfolded(body, folded=True) == "top\n\n▸ More"
    assert unfolded(body) == "top\n\n#### More\n\ninside"


def test_plain_shows_words_not_addresses_and_escapes() -> None:
    assert plain("[diff](https://x) of `a` \\*b\\* &lt;i&gt; @\u200blee") == "diff of `a` *b* <i> @lee"


def test_steps_are_lines_and_checks_are_not() -> None:
    body = (
        "### 🟡 Deploying `4f9a1c2` to **staging** · step 2 of 3 · 2m 41s\n\n"
        "| | Step | Took | Detail |\n|:-:|---|--:|---|\n"
        "| ✅ | [Build](https://x) | 1m 52s | |\n| 🔄 | Run migrate | 0.4s | started |\n| ⬜ | Roll out web | | |\n\n"
        "| | Check | Expected | Found |\n|:-:|---|---|---|\n| ❌ | web /health/ | 200 | 500 |\n"
    )
    assert dict(changes(comment(body))) == {
        "heading": "🟡 Deploying `4f9a1c2` to **staging**",
        "step Build": "  ✅ Build 1m 52s",
        "step Run migrate": "  🔄 Run migrate",
    }


def test_what_people_say_and_how_the_bot_reacts() -> None:
    said = list(changes(comment("Ship it.\n\n/deploy staging", "dana", "eyes")))
    assert said == [("reaction eyes", "👀 on “Ship it.”"), ("said", "dana: Ship it.")]


def test_an_answer_without_a_heading_is_shown_whole() -> None:
    assert dict(changes(comment("<!-- slipway:v1 -->\n🚫 `/deploy x` was not run"))) == {
        "answer": "🚫 `/deploy x` was not run"
    }
