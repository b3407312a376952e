"""The JSON Schema and the examples are those of the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from bot.cli import main
from bot.core.config import Config
from bot.core.config_file import load
from bot.core.resolve import not_yet, resolve
from bot.core.yaml_file import compose, construct
from bot.errors import ConfigError

ROOT = Path(__file__).parents[2]
SCHEMA_FILE = ROOT / "docs/reference/slipway.schema.json"
SCHEMA = json.loads(SCHEMA_FILE.read_text("utf-8"))
SAMPLE = ROOT / "bot/sandbox/sample/app/.github/slipway.yml"
FILES = [*sorted((ROOT / "docs/examples/configurations").glob("*.yml")), SAMPLE]
VARIABLES = {
    "GCP_PROJECT_ID": "acme-1",
    "GCP_REGION": "europe-north1",
    "WIF_PROVIDER": "projects/1/locations/global/workloadIdentityPools/p/providers/q",
    "DEPLOYER_SA": "deployer@acme-1.iam.gserviceaccount.com",
    "HEROKU_APP": "shop-legacy",
}
named = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def data(text: str) -> Any:
    node = compose(text, [])
    assert node is not None
    return construct(node, [])


def accepts(value: Any) -> bool:
    return bool(Draft202012Validator(SCHEMA).is_valid(value))


def test_the_committed_schema_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    assert capsys.readouterr().out == SCHEMA_FILE.read_text("utf-8"), "run `python docs/generate.py`"


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@named
def test_the_examples_are_valid_to_the_schema(path: Path) -> None:
    text = path.read_text("utf-8")
    errors = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(SCHEMA).iter_errors(data(text))]
    assert errors == []


@named
def test_the_examples_resolve_in_each_environment(path: Path) -> None:
    config = load(path.read_text("utf-8"), file=path.name)
    for name in config.environments:
        resolve(config, name, repository="acme/shop", sha="a" * 40, variables=VARIABLES, version="1.2.3")


@pytest.mark.parametrize("path", [path for path in FILES if path.stem != "validibot"], ids=lambda path: path.stem)
def test_these_examples_can_be_released_today(path: Path) -> None:
    config = load(path.read_text("utf-8"), file=path.name)
    assert [not_yet(config, name) for name in config.environments] == [()] * len(config.environments)


BASE = yaml.safe_load((ROOT / "docs/examples/configurations/minimal.yml").read_text("utf-8"))


def with_value(path: str, value: Any) -> Any:
    changed = json.loads(json.dumps(BASE))
    node = changed
    *parents, last = path.split(".")
    for key in parents:
        node = node.setdefault(key, {})
    node[last] = value
    return changed


def model_accepts(value: Any) -> bool:
    try:
        return isinstance(load(json.dumps(value), file="x"), Config)
    except ConfigError:
        return False


WEB = "targets.gcp.services.web"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("build.timeout", "20m"),
        ("build.timeout", 90),
        ("build.timeout", "90"),
        ("build.timeout", ""),
        ("build.timeout", "soon"),
        ("build.timeout", True),
        ("build.timeout", -1),
        ("build.args", {"A": 1, "B": "x", "C": 1.5}),
        ("build.args", {"A": True}),
        ("build.args", {"A": None}),
        ("build.dockerfil", "x"),
        ("gates.required_checks", "branch"),
        ("gates.required_checks", "ci"),
        ("gates.required_checks", ["ci"]),
        ("gates.required_checks", 5),
        ("gates.allow_forks", "yes"),
        ("permissions.deploy", "admin"),
        ("permissions.deploy", ["write", "@acme/team"]),
        ("permissions.deploy", []),
        (f"{WEB}.secrets", {"A": "a", "B": {"name": "b", "version": 3}}),
        (f"{WEB}.secrets", {"A": 5}),
        (f"{WEB}.secrets", {"A": {"nam": "b"}}),
        (f"{WEB}.probe", {"startup": "/health/"}),
        (f"{WEB}.probe", {"startup": {"path": "/", "period": "2s", "delay": 0}}),
        (f"{WEB}.probe", {"startup": {"pth": "/"}}),
        (f"{WEB}.vpc", "auto"),
        (f"{WEB}.vpc", {"network": "default"}),
        (f"{WEB}.vpc", "default"),
        (f"{WEB}.port", 8080),
        (f"{WEB}.port", "8080"),
        (f"{WEB}.port", 0),
        (f"{WEB}.cloudsql", "db"),
        (f"{WEB}.cloudsql", ["a", "b"]),
        (f"{WEB}.cloudsql", {}),
        (f"{WEB}.ingress", "public"),
        ("targets.gcp.verify", [{"http": "/", "status": 200}, {"iam": "web"}, {"serving": ["web"]}]),
        ("targets.gcp.verify", [{"http": "/", "iam": "web"}]),
        ("targets.gcp.verify", [{}]),
        ("targets.gcp.type", "kubernetes"),
        ("targets.gcp.formation", {"web": 1}),
        ("environments.staging.on", "push"),
        ("environments.staging.on", "pull"),
        ("environments.staging.values", {"queue": "x"}),
        ("version", 2),
        ("version", "1"),
        ("config_vars", {"anything": [1]}),
        ("unknown", 1),
    ],
)
def test_the_schema_and_the_model_judge_alike(path: str, value: Any) -> None:
    changed = with_value(path, value)
    assert accepts(changed) == model_accepts(changed)
