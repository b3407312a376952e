"""README.md and docs/ against the code: their commands, links, configurations, workflows and variables are real."""

from __future__ import annotations

import ast
import dataclasses
import pathlib
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.cli import _parser
from bot.core.commands import Command, parse_line
from bot.core.config import Config
from bot.core.config_file import load
from bot.core.registry import REGISTRY
from bot.targets.google import Endpoints

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
SOURCES = [
    *(ROOT / f"bot/{name}.py" for name in ("settings", "triage", "cli", "log")),
    *sorted(ROOT.glob("bot/targets/*.py")),
    *sorted(ROOT.glob("bot/github/*.py")),
]
SHELLCHECK = pathlib.Path(sysconfig.get_path("scripts")) / "shellcheck"
VARIABLE = re.compile(r"(?:GITHUB|ACTIONS|SLIPWAY|HEROKU|GOOGLE|CLOUDSDK|RUNNER)_[A-Z_]*[A-Z]|HOME")
MARKDOWN = MarkdownIt("commonmark").enable("table")


def plain(data: Any) -> Any:
    """Give keys that YAML 1.1 reads as true their name back: ``on``."""
    if isinstance(data, dict):
        return {"on" if key is True else key: plain(value) for key, value in data.items()}
    return [plain(item) for item in data] if isinstance(data, list) else data


EXAMPLES = [path.read_text("utf-8") for path in sorted(ROOT.glob("docs/examples/*.yml"))]
WORKFLOWS = [plain(yaml.safe_load(text)) for text in EXAMPLES]
# As they are where what is only for some is taken in: lines of a mapping that are commented out.
FULLER = [plain(yaml.safe_load(re.sub(r"# (?=[a-z-]+: \$\{\{)", "", text))) for text in EXAMPLES]


@dataclass(frozen=True)
class Fence:
    """A block of code in a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def name(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


def tokens(path: pathlib.Path) -> Iterator[Token]:
    for token in MARKDOWN.parse(path.read_text("utf-8")):
        yield token
        yield from token.children or ()


def fences(*languages: str) -> list[Fence]:
    return [
        Fence(name(path), token.map[0] + 1, token.info.strip(), token.content)
        for path in PAGES
        for token in tokens(path)
        if token.type == "fence" and token.map and token.info.strip() in languages
    ]


def inline_code(path: pathlib.Path) -> list[str]:
    return [token.content for token in tokens(path) if token.type == "code_inline"]


def command_lines(fence: Fence) -> list[str]:
    """Return the commands of a console block, continued lines joined."""
    return [line.strip() for line in fence.text.replace("\\\n", " ").splitlines() if line.strip()]


# -- links --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_lead_somewhere(path: pathlib.Path) -> None:
    for token in tokens(path):
        target = str(token.attrs.get("href") or token.attrs.get("src") or "")
        if not target or target.startswith(("https://", "http://")):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.is_relative_to(ROOT), target
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


def anchors(path: pathlib.Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and mkdocs make them of plain words."""
    found = re.findall(r"(?m)^#+ (.+)$", path.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in found}


def test_every_page_is_in_the_menu() -> None:
    settings = (ROOT / "mkdocs.yml").read_text("utf-8")
    menu = set(re.findall(r": ([\w/-]+\.md)$", settings, re.MULTILINE))
    pages = {str(path.relative_to(ROOT / "docs")) for path in ROOT.glob("docs/**/*.md")}
    assert pages - {"images/README.md"} == menu


@pytest.mark.parametrize("path", PAGES[1:], ids=name)
def test_blocks_stand_outside_of_lists(path: pathlib.Path) -> None:
    """Python-Markdown, which builds the pages, takes a fence in a list for text."""
    assert [token.map for token in tokens(path) if token.type == "fence" and token.level] == []


# -- commands -----------------------------------------------------------------------------------------------
def test_the_readme_shows_the_two_commands_first() -> None:
    shown = [command_lines(fence) for fence in fences("console") if fence.page == "README.md"]
    assert shown[:2] == [
        ["python3 -m pip install nox && nox -s demo"],
        ["python3 -m pip install nox && nox -s tests"],
    ]


def test_the_readme_counts_the_scenarios() -> None:
    listed = subprocess.run(
        [sys.executable, "-I", "-m", "bot.sandbox", "--list"], capture_output=True, text=True, check=True
    )
    assert f"one of {len(listed.stdout.splitlines())} stories" in (ROOT / "README.md").read_text("utf-8")


def test_every_nox_session_exists() -> None:
    sessions = {
        node.name
        for node in ast.parse((ROOT / "noxfile.py").read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.decorator_list
    }
    for path in PAGES:
        named = set(re.findall(r"nox (?:-s|--session) (\w+)", path.read_text("utf-8")))
        assert named <= sessions, name(path)


def test_every_command_of_the_command_line_parses() -> None:
    lines = [line for fence in fences("console") for line in command_lines(fence)]
    lines += [code for path in PAGES for code in inline_code(path) if re.match(r"slipway [a-z]+", code)]
    lines += [f"slipway demo {options}" for options in re.findall(r"nox -s demo -- ([^`\n]+)", "\n".join(texts()))]
    own = [shlex.split(re.split(r" [|>] ", line)[0])[1:] for line in lines if line.startswith("slipway ")]
    assert own
    for words in own:
        arguments, rest = _parser(speaking=words[0] == "say").parse_known_args(words)
        assert callable(arguments.run), words
        if rest:  # the demo has a command line of its own
            assert words[0] == "demo", words
            assert demo_takes(rest), words


def texts() -> list[str]:
    return [path.read_text("utf-8") for path in PAGES]


def demo_takes(words: list[str]) -> bool:
    """Whether the demo knows the options, asked of its own help, and the scenario."""
    asked = [[sys.executable, "-I", "-m", "bot.sandbox", option] for option in ("--help", "--list")]
    told, listed = (subprocess.run(call, capture_output=True, text=True, timeout=60, check=True) for call in asked)
    scenarios = {line.split()[0] for line in listed.stdout.splitlines()} | {"all", "NAME"}
    options = [word for word in words if word.startswith("--")]
    named = [words[place + 1] for place, word in enumerate(words) if word == "--scenario"]
    return all(option in told.stdout for option in options) and set(named) <= scenarios


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_console_blocks_are_shell(path: pathlib.Path) -> None:
    for fence in fences("console"):
        if fence.page == name(path):
            call = [
                str(SHELLCHECK),
                "--shell=bash",
                "--exclude=SC2016,SC2034,SC2154",
                "-",
            ]  # names of other blocks; queries
            done = subprocess.run(call, input=fence.text, capture_output=True, text=True, timeout=60, check=False)
            assert (done.returncode, done.stdout) == (0, ""), str(fence)


def slash_commands() -> Iterator[tuple[str, str]]:
    verbs = "|".join(REGISTRY)
    for path in PAGES:
        for code in inline_code(path):
            if re.match(rf"/({verbs})\b.", code):  # a verb alone names the command
                yield name(path), code
    for fence in fences("text", "console"):
        for line in command_lines(fence):
            typed = re.search(r'--body "(/[^"]+)"', line)
            if typed or re.match(rf"/({verbs})\b", line):
                yield str(fence), typed[1] if typed else line


def test_every_command_of_a_comment_parses() -> None:
    found = list(slash_commands())
    assert len(found) > 10
    for place, text in found:
        typed = re.sub(r"\s*\[[^\]]*\]", "", text).replace("<", "").replace(">", "")  # how a usage is written
        for word in re.findall(r"\w+(?:\|\w+)+", typed):
            typed = typed.replace(word, word.partition("|")[0])  # any of these would do
        assert isinstance(parse_line(typed), Command), f"{place}: {text}"


# -- YAML ---------------------------------------------------------------------------------------------------
def is_workflow(data: dict[Any, Any]) -> bool:
    return bool({"jobs", "steps", "on"} & set(data))


PARSED = [(fence, plain(yaml.safe_load(fence.text))) for fence in fences("yaml", "yml")]
YAML = [(fence, data) for fence, data in PARSED if data is not None]  # one is a comment for editors, and nothing else
CONFIGURATIONS = [(fence, data) for fence, data in YAML if not is_workflow(data)]
WHOLE = [(fence, data) for fence, data in CONFIGURATIONS if {"version", "environments"} <= set(data)]
PARTS = [(fence, data) for fence, data in CONFIGURATIONS if not {"version", "environments"} <= set(data)]
# What the parts in the pages are parts of.
BASE: dict[str, Any] = {
    "version": 1,
    "app": "hello",
    "targets": {
        "gcp": {
            "type": "cloud_run",
            "project": "p",
            "region": "r",
            "services": {"web": {"public": True}, "worker": {"public": False}},
        }
    },
    "environments": {"staging": {"target": "gcp"}, "production": {"target": "gcp"}},
}


def laid_over(base: Any, part: Any) -> Any:
    if isinstance(base, dict) and isinstance(part, dict):
        return {key: laid_over(base.get(key), part.get(key, base.get(key))) for key in {**base, **part}}
    return base if part is None else part


def test_there_are_configurations_of_both_kinds() -> None:
    assert len(WHOLE) >= 3
    assert len(PARTS) >= 3


@pytest.mark.parametrize(("fence", "data"), WHOLE, ids=[str(fence) for fence, _ in WHOLE])
def test_configurations_load(fence: Fence, data: dict[str, Any]) -> None:
    assert load(fence.text, file=fence.page).app == data["app"]


@pytest.mark.parametrize(("fence", "data"), PARTS, ids=[str(fence) for fence, _ in PARTS])
def test_parts_of_configurations_load(fence: Fence, data: dict[str, Any]) -> None:
    assert set(data) <= set(Config.model_fields)
    load(yaml.safe_dump(laid_over(BASE, data), sort_keys=False), file=fence.page)


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/examples/configurations/*.yml")), ids=name)
def test_example_configurations_load(path: pathlib.Path) -> None:
    assert load(path.read_text("utf-8"), file=name(path)).environments


def part_of(part: Any, whole: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and part_of(part[key], whole[key]) for key in part)
    if isinstance(part, list):
        return isinstance(whole, list) and all(any(part_of(item, other) for other in whole) for item in part)
    return bool(part == whole)


def test_workflows_are_parts_of_the_examples() -> None:
    for fence, data in YAML:
        if is_workflow(data):
            assert any(part_of(data, workflow) for workflow in [*WORKFLOWS, *FULLER]), str(fence)


def test_a_part_is_told_from_what_is_none() -> None:
    whole = {"on": {"push": {"branches": ["main"]}}, "jobs": {"a": 1, "b": 2}}
    assert part_of({"jobs": {"b": 2}}, whole)
    assert part_of({"on": {"push": {"branches": ["main"]}}}, whole)
    assert not part_of({"jobs": {"b": 3}}, whole)
    assert not part_of({"on": {"push": {"branches": ["dev"]}}}, whole)


def test_the_readme_names_each_jobs_permissions() -> None:
    [workflow] = [workflow for workflow in WORKFLOWS if "release" in workflow["jobs"]]
    table = re.findall(r"(?m)^\| (`[^|]+`) \| (\w+) \| (\w+) \|", (ROOT / "README.md").read_text("utf-8"))
    for column, job in enumerate(("command", "release"), start=1):
        shown = {right: row[column] for row in table for right in re.findall(r"`([a-z-]+)`", row[0])}
        granted = workflow["jobs"][job]["permissions"]
        assert {right: level for right, level in shown.items() if level != "no"} == granted


# -- variables ----------------------------------------------------------------------------------------------
def read_by_the_bot() -> set[str]:
    """Return the names that stand in the code as whole texts, and gcloud's, which are put together."""
    found = {
        node.value
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and VARIABLE.fullmatch(node.value)
    }
    overrides = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{field.name.upper()}" for field in dataclasses.fields(Endpoints)}
    return found | overrides


def documented() -> set[str]:
    page = (ROOT / "docs/reference/environment.md").read_text("utf-8")
    cells = re.findall(r"(?m)^\| ([^|]+) \|", page)
    return {match for cell in cells for match in re.findall(r"`([^`]+)`", cell)}


def test_every_variable_that_is_read_is_documented_and_no_other() -> None:
    assert documented() == read_by_the_bot()


def test_the_inputs_variables_are_those_that_the_action_sets(action: dict[str, Any]) -> None:
    page = (ROOT / "docs/reference/environment.md").read_text("utf-8")
    shown = dict(re.findall(r"(?m)^\| `([A-Z_]+)` \| `([a-z-]+)` \|", page))
    passed = {
        variable: match[1]
        for step in action["runs"]["steps"]
        for variable, value in step.get("env", {}).items()
        if (match := re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) \}\}", value))
    }
    assert shown == passed


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_no_page_names_a_variable_that_nobody_knows(path: pathlib.Path) -> None:
    known = documented() | set(re.findall(r"\b[A-Z_]+\b", (ROOT / "action.yml").read_text("utf-8")))
    named = {code for code in inline_code(path) if VARIABLE.fullmatch(code)}
    assert named <= known
