"""The repository's own files: locks with hashes, a licence, tasks that exist, owners of what grants rights."""

from __future__ import annotations

import ast
import os
import pathlib
import re
import tomllib
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).parents[2]
LOCKS = sorted(ROOT.glob("requirements/*.txt"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def pins(path: pathlib.Path) -> dict[str, str]:
    return dict(re.findall(r"(?m)^([a-z0-9][a-z0-9.-]*)==(\S+)", path.read_text(encoding="utf-8")))


def names(requirements: list[Any]) -> set[str]:
    plain = [item for item in requirements if isinstance(item, str)]
    return {re.split(r"[\[<>=~ ]", item)[0].lower().replace("_", "-") for item in plain}


def test_there_is_a_lock_for_every_use() -> None:
    assert [path.stem for path in LOCKS] == ["command", "demo", "dev", "fuzz", "nox", "run"]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_locks_hold_hashes_and_no_addresses(path: pathlib.Path) -> None:
    entries = re.split(r"(?m)^(?=[a-z0-9])", path.read_text(encoding="utf-8"))[1:]
    assert entries
    for entry in entries:
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
        assert "://" not in entry, entry.splitlines()[0]
    assert not (ROOT / "uv.lock").exists()


def test_locks_hold_what_is_declared() -> None:
    groups = PROJECT["dependency-groups"]
    run, demo, dev = (pins(ROOT / f"requirements/{name}.txt") for name in ("run", "demo", "dev"))
    assert names(PROJECT["project"]["dependencies"]) <= set(run)
    assert names(groups["sample"]) | names(groups["build"]) | names(groups["demo"]) <= set(demo)
    assert names(groups["dev"]) <= set(dev)
    assert names(groups["nox"]) <= set(pins(ROOT / "requirements/nox.txt"))
    assert names(groups["fuzz"]) <= set(pins(ROOT / "requirements/fuzz.txt"))


def test_what_is_tested_is_what_runs() -> None:
    run, demo, dev = (pins(ROOT / f"requirements/{name}.txt") for name in ("run", "demo", "dev"))
    assert run.items() <= demo.items()
    assert demo.items() <= dev.items()
    assert run.items() <= pins(ROOT / "requirements/fuzz.txt").items()
    command = pins(ROOT / "requirements/command.txt")
    assert command.items() <= run.items()
    assert set(PROJECT["dependency-groups"]["command"]) <= set(PROJECT["project"]["dependencies"])
    assert not {name for name in command if name.startswith(("google", "grpc", "heroku", "proto"))}


def test_the_demo_stays_light() -> None:
    assert "google-api-python-client" not in pins(ROOT / "requirements/demo.txt")
    assert "django" not in pins(ROOT / "requirements/run.txt")


def test_licence_and_changelog() -> None:
    assert read("LICENSE").startswith("MIT License\n\nCopyright (c) 2026 The Slipway authors\n")
    assert PROJECT["project"]["license"] == "MIT"
    assert re.search(r"(?m)^## \[Unreleased\]$", read("CHANGELOG.md"))


def test_the_tasks_that_are_named_exist() -> None:
    sessions = {
        node.name
        for node in ast.parse(read("noxfile.py")).body
        if isinstance(node, ast.FunctionDef) and any("session" in ast.unparse(item) for item in node.decorator_list)
    }
    assert {"demo", "tests", "lint", "docs", "bench", "faults", "lock"} <= sessions
    named = re.findall(
        r"nox (?:-s|--session) (\w+)", read(".github/CONTRIBUTING.md") + read(".github/workflows/selftest.yml")
    )
    assert named
    assert set(named) <= sessions
    [listed] = re.findall(r"--sessions ([a-z ]+?) <", read(".ci/run"))
    assert set(listed.split()) <= sessions


def test_the_gates_can_be_run() -> None:
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_owned_paths_exist() -> None:
    owned = [line.split()[0] for line in read(".github/CODEOWNERS").splitlines() if line and not line.startswith("#")]
    assert owned
    for path in owned:
        assert (ROOT / path.lstrip("/")).exists(), path


def test_links_between_the_community_files_lead_somewhere() -> None:
    for path in (ROOT / ".github").glob("*.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
