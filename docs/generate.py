"""Writes the reference pages that the code itself knows best: ``python docs/generate.py``.

Configuration comes from the models, commands from the registry, outputs from ``action.yml``, reasons from the enum.
A test says so when a committed page is not what this writes.
"""

# ruff: noqa: INP001 - a script beside the pages, in no package

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter

from bot.core.checks import CheckResult
from bot.core.commands import MAX_COMMANDS
from bot.core.config import Config, Duration
from bot.core.outcome import DECISIONS, REASONS, Decision, Outcome, Reason, ReleaseReport, ServiceLine, StepResult
from bot.core.registry import REGISTRY, Verb
from bot.report.summary import result_json

DOCS = Path(__file__).parent
GENERATED = "<!-- Written by docs/generate.py: change the code, not this page. -->\n"
DURATION = TypeAdapter(Duration).json_schema()


def pages() -> dict[Path, str]:
    """Return the text of every generated file by its path."""
    reference = DOCS / "reference"
    return {
        reference / "slipway.schema.json": schema(),
        reference / "configuration.md": configuration(),
        reference / "commands.md": commands(),
        reference / "outputs.md": outputs(yaml.safe_load((DOCS.parent / "action.yml").read_text("utf-8"))),
        reference / "reasons.md": reasons(),
    }


def schema() -> str:
    """Return the JSON Schema, as ``slipway config schema`` prints it."""
    model = Config.model_json_schema(by_alias=True)
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **model}, indent=2) + "\n"


# -- configuration --------------------------------------------------------------------------------------------
# A short example of each section, as it stands in the file.
EXAMPLES: Mapping[str, str] = {
    "Config": "version: 1\napp: shop\ndefault_environment: staging",
    "Permissions": "permissions:\n  deploy: write\n  status: [read, '@acme/support']",
    "BuildConfig": "build:\n  dockerfile: deploy/Dockerfile\n  args: {VERSION: '{short_sha}'}\n  timeout: 20m",
    "Overlay": "build:\n  overlay: {context: extras, repos: [acme/extras], args: {EXTRAS: cloud}}",
    "Gates": "gates:\n  required_checks: [ci]\n  require_sha: true",
    "CloudRunTarget": "targets:\n  gcp:\n    type: cloud_run\n    project: ${vars.GCP_PROJECT_ID}\n"
    "    region: europe-north1\n    suffix: {production: '', default: '-{env}'}\n    services: {web: {public: true}}",
    "HerokuTarget": "targets:\n  heroku:\n    type: heroku\n    app: shop-{env}\n    verify: [{http: /health/}]",
    "Auth": "targets:\n  gcp:\n    auth:\n      workload_identity_provider: ${vars.WIF_PROVIDER}\n"
    "      service_account: ${vars.DEPLOYER_SA}",
    "Defaults": "targets:\n  gcp:\n    defaults: {port: 8080, memory: 512Mi, timeout: 60s}",
    "ServiceConfig": "targets:\n  gcp:\n    services:\n      web:\n        public: true\n        env: {APP_ROLE: web}\n"
    "        scale: {min: 1, max: 4}\n      shipper: {kind: worker_pool, command: [python, manage.py, work]}",
    "JobConfig": "targets:\n  gcp:\n    jobs:\n      migrate: {when: release, run: migrate --noinput, timeout: 5m}",
    "SecretRef": "targets:\n  gcp:\n    secrets:\n      DATABASE_URL: shop-database-url{suffix}\n"
    "      /secrets/.env: {name: shop-env, version: 7}",
    "Vpc": "targets:\n  gcp:\n    vpc: {network: default, subnetwork: default, egress: private-ranges-only}",
    "Scale": "targets:\n  gcp:\n    services:\n      web: {scale: {min: 0, max: 3}}",
    "Probes": "targets:\n  gcp:\n    services:\n      web: {probe: {startup: /health/}}",
    "Probe": "targets:\n  gcp:\n    services:\n      web:\n"
    "        probe: {startup: {path: /health/, period: 2s, failures: 10}}",
    "HttpCheckConfig": "targets:\n  gcp:\n    verify:\n      - {http: /health/, json: {status: healthy}, passes: 3}\n"
    "      - {http: /api/me/, status: 401}",
    "JobCheckConfig": "targets:\n  gcp:\n    jobs: {smoke: {run: smoke_test}}\n    verify: [{job: smoke}]",
    "IamCheckConfig": "targets:\n  gcp:\n    verify: [{iam: web, no_public_invoker: false, ingress: all}]",
    "ServingCheckConfig": "targets:\n  gcp:\n    verify: [{serving: [web], deadline: 30s}]",
    "AllAtOnce": "targets:\n  gcp:\n    strategy: all-at-once",
    "Canary": "targets:\n  gcp:\n    strategy: {type: canary, stages: [5, 25], stage_time: 5m}",
    "Watch": "targets:\n  gcp:\n    watch: {time: 10m, then: rollback}",
    "Scheduler": "targets:\n  gcp:\n    scheduler: {source: shop/schedule.py, prefix: shop-}",
    "Dynos": "targets:\n  heroku:\n    type: heroku\n    app: shop-{env}\n"
    "    formation: {web: 2, beat: {qty: 1, max: 1}}",
    "EnvironmentConfig": "environments:\n  staging: {target: gcp, on: push}\n  production:\n    target: gcp\n"
    "    url: https://shop.example\n    permissions: {deploy: admin}",
    "PreviewConfig": "environments:\n  staging:\n    target: gcp\n"
    "    previews: {services: [web], env: {BANNER: preview}, ttl: 3d, verify: [{http: /health/}]}",
    "Promotion": "environments:\n  staging: {}\n  production: {promote_from: {environment: staging, soak: 1h}}",
    "Approvals": "environments:\n  production: {approvals: {environment: production}}",
}

INTRODUCTION = """\
The configuration is `.github/slipway.yml` on the **default branch**. What a pull request changes in it counts once it
is merged. `slipway config check` explains a file, or everything that is wrong with it; the
[JSON Schema](slipway.schema.json) lets editors do so while you type:

```yaml
# yaml-language-server: $schema=slipway.schema.json
```

- A key that is not listed here is an error, and so are a wrong type and a name that leads nowhere.
- What a service or job does not declare is left as it is on Cloud Run.
- Only `true` and `false` are booleans. Numbers may stand where text is asked for and stay as written: `1.10`, `0755`.
- A *duration* is `90s`, `20m`, `1h30m`, `3d`, `250ms` or a number of seconds, seven days at most.
- *Parsed; not acted on yet*: the key is understood, but a release that it bears on is refused rather than done
  without it.

## Placeholders

| Written | Stands for | Where |
|---|---|---|
| `${vars.NAME}` | A variable of the repository (the input `vars`). | Everywhere. |
| `{app}` `{env}` | Name of the application and of the environment. | Everywhere. |
| `{sha}` `{short_sha}` | The released sha, whole and in seven digits. | Everywhere. |
| `{version}` | As `{pyproject.version}` where the file uses that, else the short sha. | Everywhere. |
| `{pyproject.version}` | `project.version` of `pyproject.toml` at the released sha. | Everywhere. |
| `{project}` `{region}` `{suffix}` | As the environment has them. | Cloud Run. |
| `{name}` | Key of the service or job. | In services and jobs, `service_name`. |
| `{url}` `{site_url}` | The environment's `url`. | Where one is given. |
| `{queue}` | What `values` of the environment says. | Everywhere. |

Other braces, such as those of JSON or of the shell's `${NAME}`, are left alone.

## What wins

For a service or a job, from the weakest to the strongest: `defaults` of the target, what the target says for all of
them (`env`, `secrets`, `runtime_sa`, `cloudsql`, `vpc`), the service's or job's own keys, `env` and `secrets` of the
environment, and the environment's own entry under `services` or `jobs`. Mappings are joined key by key; lists, secrets
and `vpc` are replaced whole. `verify` and `gates` of an environment replace the general ones whole.
"""


def configuration() -> str:
    """Return the reference of the configuration: one section for each model, with all places it may stand at."""
    model = Config.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = {"Config": {**model, "$defs": {}}, **model["$defs"]}
    places = _places(definitions)
    text = f"{GENERATED}# Configuration\n\n{INTRODUCTION}"
    for name, where in places.items():
        text += f"\n## {_title(name, where)}\n\n{_prose(definitions[name]['description'])}\n"
        if len(where) > 1:
            text += "\nAlso at " + ", ".join(f"`{path}`" for path in where[1:]) + ".\n"
        text += f"\n```yaml\n{EXAMPLES[name]}\n```\n\n| Key | Type | Default | Meaning |\n|---|---|---|---|\n"
        required = definitions[name].get("required", ())
        for key, value in definitions[name]["properties"].items():
            default = "*required*" if key in required else _default(value)
            text += f"| `{key}` | {_type(value, places)} | {default} | {_cell(value.get('description', ''))} |\n"
    return text


# Models that may stand at the same place, and what tells them apart.
KINDS: Mapping[str, str] = {
    "CloudRunTarget": " with `type: cloud_run`",
    "HerokuTarget": " with `type: heroku`",
    "AllAtOnce": " with `type: all-at-once`",
    "Canary": " with `type: canary`",
    "HttpCheckConfig": " with `http`",
    "JobCheckConfig": " with `job`",
    "IamCheckConfig": " with `iam`",
    "ServingCheckConfig": " with `serving`",
}


def _title(name: str, places: list[str]) -> str:
    return f"`{places[0]}`{KINDS.get(name, '')}" if places[0] else "The file"


def _places(definitions: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return every model with the key paths it may stand at, in the order in which a reader meets them."""
    places: dict[str, list[str]] = {"Config": [""]}
    waiting = [("Config", "")]
    while waiting:
        name, path = waiting.pop(0)
        for key, value in definitions[name]["properties"].items():
            for found, suffix in _references(value, key):
                place = f"{path}.{key}{suffix}".lstrip(".")
                if place not in places.setdefault(found, []):
                    places[found].append(place)
                    waiting.append((found, place))
    return places


def _references(node: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield each model that a value may be, with what comes after the key to reach it: ``[]`` or ``.<name>``."""
    if "$ref" in node:
        yield node["$ref"].rsplit("/", 1)[1], ""
    for kind in ("anyOf", "oneOf"):
        for choice in node.get(kind, ()):
            yield from _references(choice, key)
    if isinstance(node.get("items"), dict):
        yield from ((name, f"[]{rest}") for name, rest in _references(node["items"], key))
    for child in _values(node):
        yield from ((name, f".<{key.removesuffix('s')}>{rest}") for name, rest in _references(child, key))


def _values(node: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the schemas of a mapping's values."""
    free = node.get("additionalProperties")
    return [*node.get("patternProperties", {}).values(), *([free] if isinstance(free, dict) else [])]


_PLAIN = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
    "object": "mapping",
    "array": "list",
    "null": "",
}


def _type(node: Mapping[str, Any], places: Mapping[str, list[str]]) -> str:
    """Return a type in words, with links to the models."""
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        title = _title(name, places[name])
        return f"[{name.removesuffix('Config')}](#{_slug(title)})"
    if "const" in node or "enum" in node:
        return " or ".join(f"`{value}`" for value in node.get("enum", [node.get("const")]))
    choices = [choice for kind in ("anyOf", "oneOf") for choice in node.get(kind, ()) if choice != {"type": "null"}]
    if choices == DURATION["anyOf"]:
        return "duration"
    if choices:
        return " or ".join(dict.fromkeys(filter(None, (_type(choice, places) for choice in choices))))
    if isinstance(node.get("items"), dict):
        return f"list of {_type(node['items'], places)}"
    if _values(node):
        return f"mapping of {' or '.join(dict.fromkeys(_type(child, places) for child in _values(node)))}"
    kind = node.get("type")
    return "text" if isinstance(kind, list) else _PLAIN.get(str(kind), "anything")


def _slug(title: str) -> str:
    """Return a heading's anchor, as Python-Markdown and GitHub both make it."""
    return re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower())


def _default(node: Mapping[str, Any]) -> str:
    value = node.get("default")
    if value is None or value in ("", [], {}):
        return "none"
    if isinstance(value, float) and node.get("type") != "number":  # a duration
        units = ((86400, "d"), (60, "m"))
        whole, unit = next(((value / s, u) for s, u in units if value >= 2 * s and value % s == 0), (value, "s"))
        return f"`{whole:g}{unit}`"
    return f"`{json.dumps(value) if isinstance(value, bool) else value}`"


# -- commands -------------------------------------------------------------------------------------------------
def commands() -> str:
    """Return the reference of the commands."""
    text = f"""{GENERATED}# Commands

A command stands at the beginning of a line of a comment on a pull request: a slash, the verb, and what it is about.

- Several commands in one comment are carried out in their order, {MAX_COMMANDS} at most. One line that cannot be read
  stops all of them before any is begun.
- Code, quotes, lists, tables, headings, links, emphasis and HTML hold no commands. So a command can be spoken of
  without being given.
- Verbs and flags may be written in any case. Curly quotes and long dashes count as what they stand for.
- Edited comments are ignored, and so are those of bots that are not allowed.
- Who may give a command is set under `permissions` of the [configuration](configuration.md). Others get a thumbs-down,
  or a line that says which role it takes.

| Command | Does | Least role |
|---|---|---|
"""
    for verb in REGISTRY.values():
        text += f"| [`{verb.name}`](#{verb.name}) | {_cell(verb.summary)} | {verb.role} |\n"
    return text + "".join(_verb(verb) for verb in REGISTRY.values())


def _verb(verb: Verb) -> str:
    text = f"\n## {verb.name}\n\n{verb.summary}\n\n```text\n{verb.usage}\n```\n"
    if verb.flags:
        text += "\n| Flag | Meaning |\n|---|---|\n"
        text += "".join(
            f"| `--{flag.name}{f'={flag.value}' if flag.value else ''}` | {_cell(flag.summary)} |\n"
            for flag in verb.flags
        )
    if verb.notes:
        text += "\n" + "".join(f"- {note}\n" for note in verb.notes)
    return text + "\nExamples:\n\n```text\n" + "\n".join(verb.examples) + "\n```\n"


# -- outputs --------------------------------------------------------------------------------------------------
RESULT: Mapping[str, str] = {
    "version": "Version of this format. It rises when a field changes its meaning or goes.",
    "decision": "As the output `decision`.",
    "reason": "As the output `reason`.",
    "message": "What people were told, in one or two sentences.",
    "environment": "As the output `environment`.",
    "environments": "As the output `environments`.",
    "sha": "As the output `sha`.",
    "deployment_id": "Id of the GitHub deployment, null when there is none.",
    "url": "As the output `url`.",
    "release": "Only after a release or rollback was begun.",
    "release.verb": "`deploy` or `rollback`.",
    "release.state": "`released`, `failed` or `cancelled`.",
    "release.only": "Services that alone were released, empty when all of them were.",
    "release.previous_sha": "Sha that served before, empty when it is not known.",
    "release.digest": "What was released: an image's digest, or a slug's id.",
    "release.restored": "Whether what served before was brought back; null when that was not needed.",
    "release.exposed_seconds": "How long users saw a revision that failed.",
    "release.not_undone": "What a restore does not take back, such as migrations.",
    "release.behind_by": "Commits by which the sha is behind its branch by now.",
    "release.seconds": "How long it took.",
    "release.steps[].id": "Step: `build`, `job-migrate`, `rollout-web`, `shift`, …",
    "release.steps[].kind": "`gates`, `build`, `run_job`, `rollout`, `verify`, `shift` or `restore`.",
    "release.steps[].state": "`waiting`, `running`, `done`, `failed`, `skipped` or `cancelled`.",
    "release.steps[].seconds": "How long it took.",
    "release.steps[].checks[].name": "Check.",
    "release.steps[].checks[].passed": "Whether it passed.",
    "release.steps[].checks[].expected": "What was expected.",
    "release.steps[].checks[].found": "What was found.",
    "release.services[].service": "Service.",
    "release.services[].before": "Revision that served before, empty when there was none.",
    "release.services[].tried": "Revision of this release.",
    "release.services[].now": "Revision that serves now.",
    "release.services[].now_percent": "Its share of the traffic.",
    "release.services[].healthy": "Whether that is what was wanted.",
    "release.services[].url": "Where it serves.",
}


def outputs(action: Mapping[str, Any], result: Mapping[str, str] = RESULT) -> str:
    """Return the reference of the action's outputs and of the JSON in ``result``.

    Raises ValueError when ``result`` does not describe exactly the fields that there are.
    """
    described, there = {name for name in result if name != "release"}, set(_fields(_example_result()))
    if described != there:
        raise ValueError(f"describe exactly what is in the result: {sorted(described ^ there)}")
    text = f"{GENERATED}# Outputs\n\nWhat is not known is an empty string.\n\n| Output | Meaning |\n|---|---|\n"
    text += "".join(f"| `{name}` | {_cell(value['description'])} |\n" for name, value in action["outputs"].items())
    text += "\nThe values of `decision` and `reason` are listed under [reason codes](reasons.md).\n"
    text += "\n## The JSON in `result`\n\nFields may be added at any time; those listed here keep their meaning.\n"
    text += "\n| Field | Meaning |\n|---|---|\n"
    return text + "".join(f"| `{name}` | {_cell(meaning)} |\n" for name, meaning in result.items())


def _example_result() -> dict[str, Any]:
    check = CheckResult(name="", passed=True, expected="", found="")
    report = ReleaseReport(
        verb="deploy",
        environment="",
        sha="",
        actor="",
        state="released",
        now=0.0,
        started=0.0,
        steps=(StepResult(id="", kind="verify", title="", checks=(check,)),),
        services=(ServiceLine(service=""),),
    )
    return result_json(report, Outcome(decision=Decision.RELEASED, reason=Reason.RELEASED))


def _fields(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every field of a JSON value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _fields(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and value:
        for item in value:
            yield from _fields(item, f"{path}[]")
    else:
        yield path


# -- reasons --------------------------------------------------------------------------------------------------
def reasons() -> str:
    """Return the reference of decisions and reasons."""
    text = (
        f"{GENERATED}# Reason codes\n\nThe outputs `decision` and `reason` take these values. None is ever renamed.\n"
    )
    for title, sentences in (("Decisions", DECISIONS.items()), ("Reasons", REASONS.items())):
        text += f"\n## {title}\n\n{_table(title[:-1], ((code.value, sentence) for code, sentence in sentences))}"
    return text


def _table(head: str, rows: Iterable[tuple[str, str]]) -> str:
    return f"| {head} | Meaning |\n|---|---|\n" + "".join(f"| `{code}` | {_cell(text)} |\n" for code, text in rows)


# -- text -----------------------------------------------------------------------------------------------------
def _prose(docstring: str) -> str:
    """Return a docstring as Markdown."""
    return docstring.replace("``", "`")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write every page."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
