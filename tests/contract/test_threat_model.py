"""The threat model names a test for every threat, and each of those is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/threat-model.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| Threat |")]
# What an issue asked to be named: each word stands somewhere among the threats.
NAMED = (
    "moved head", "Dates of commits are forged", "fork", "changes the rules", "workflow injection", "Markdown injection",
    "output injection", "Secrets come out", "lock theft", "delivered twice", "confused deputy", "dependency hijack",
    "forged block",
)  # fmt: skip


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("line", ROWS, ids=lambda line: line[2:40])
def test_every_threat_has_a_test_that_is_there(line: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", line)
    assert named, line
    for path, name in named:
        assert name.startswith("test_")
        assert name in functions(ROOT / path), f"{path}::{name}"


@pytest.mark.parametrize("threat", NAMED)
def test_the_threats_that_were_thought_of_are_there(threat: str) -> None:
    assert any(threat in line for line in ROWS)
