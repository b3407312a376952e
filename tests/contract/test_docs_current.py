"""The generated pages are what the code says now."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from bot.core.config import Config
from bot.core.config_file import load
from bot.core.outcome import DECISIONS, REASONS, Decision, Outcome, Reason, ReleaseReport, ServiceLine
from bot.core.registry import REGISTRY
from bot.core.yaml_file import compose, construct
from bot.report.block import VERSION, Origin, release_facts
from bot.report.limits import BLOCK
from bot.report.summary import outputs

ROOT = Path(__file__).parents[2]


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE: Any = _generator()
PAGES: dict[Path, str] = GENERATE.pages()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_each_page_is_current(path: Path) -> None:
    assert path.read_text("utf-8") == PAGES[path], "run `python docs/generate.py`"


def test_every_decision_and_reason_has_its_sentence() -> None:
    assert list(DECISIONS) == list(Decision)
    assert list(REASONS) == list(Reason)
    for sentence in [*DECISIONS.values(), *REASONS.values()]:
        assert sentence[0].isupper() or sentence.startswith("`")
        assert sentence.rstrip("*").endswith(".")
    assert len({*REASONS.values()}) == len(REASONS)


def test_the_outputs_of_the_action_are_those_that_are_written() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    written = outputs(Outcome(decision=Decision.IGNORED, reason=Reason.NOT_A_COMMAND))
    assert set(action["outputs"]) == set(written)


def test_a_field_of_the_result_that_is_not_described_is_an_error() -> None:
    with pytest.raises(ValueError, match="release\\.verb"):
        GENERATE.outputs({"outputs": {}}, {name: "x" for name in GENERATE.RESULT if name != "release.verb"})


def test_the_page_about_blocks_lists_exactly_their_fields() -> None:
    page = (ROOT / "docs/how-to/read-the-comment.md").read_text("utf-8")
    report = ReleaseReport(
        verb="deploy", environment="", sha="", actor="", state="released", now=0.0, started=0.0,
        services=(ServiceLine(service=""),),
    )  # fmt: skip
    facts = release_facts(report, Origin(repository="", thread=1, command_id="", run_id=1, run_attempt=1))
    assert re.findall(r"(?m)^\| `([^`]+)` \|", page) == list(GENERATE._fields(facts))
    assert f"`{BLOCK}v{VERSION} KEY_ID SIGNATURE JSON -->`" in page.replace("```text\n", "`").replace("\n```", "`")


def test_every_command_has_its_section() -> None:
    page = PAGES[ROOT / "docs/reference/commands.md"]
    for name in REGISTRY:
        assert f"\n## {name}\n" in page


def test_every_model_has_its_section_and_its_example() -> None:
    models = {"Config", *Config.model_json_schema(by_alias=True)["$defs"]}
    assert set(GENERATE.EXAMPLES) == models
    headings = [line for line in PAGES[ROOT / "docs/reference/configuration.md"].splitlines() if line.startswith("#")]
    assert len(headings) == len(set(headings)) >= len(models)


def laid_over(base: Any, over: Any) -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{key: laid_over(base.get(key), value) for key, value in over.items()}}
    return over


@pytest.mark.parametrize("name", GENERATE.EXAMPLES)
def test_each_example_is_part_of_a_valid_file(name: str) -> None:
    base = {
        "version": 1,
        "app": "shop",
        "targets": {"gcp": {"type": "cloud_run", "project": "p", "region": "r", "services": {"web": {}}}},
        "environments": {"staging": {"target": "gcp"}, "production": {"target": "gcp"}},
    }
    node = compose(GENERATE.EXAMPLES[name], [])
    assert node is not None
    example = construct(node, [])
    changed = laid_over(base, example)
    if "heroku" in changed["targets"]:
        changed["environments"]["legacy"] = {"target": "heroku"}
    load(json.dumps(changed), file="example.yml")
    assert all(key in changed for key in example)
