"""Reads the configuration's text: every problem at once, each with file, line, key path and the nearest valid name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from yaml import Node

from bot.core.config import ROLES, Config
from bot.core.references import references
from bot.core.words import listed, nearest
from bot.core.yaml_file import Path, Problem, compose, construct, dotted, locate
from bot.errors import ConfigError


def load(text: str, *, file: str) -> Config:
    """Read and check a configuration.

    Raises:
        ConfigError: with every problem found, as lines of ``file:line: key.path: sentence``.
    """
    problems: list[Problem] = []
    node = compose(text, problems)
    config: Config | None = None
    if node is not None and not problems:
        data = construct(node, problems)
        if not problems:
            try:
                config = Config.model_validate_json(json.dumps(data))
            except ValidationError as error:
                problems.extend(_explain(details, node) for details in _distinct(error.errors(include_url=False)))
    if config is not None and node is not None:
        problems.extend(Problem(line=locate(path, node)[0], path=dotted(path), sentence=sentence)
                        for path, sentence in references(config))  # fmt: skip
    if problems or config is None:
        ordered = sorted(set(problems), key=lambda problem: (problem.line, problem.path, problem.sentence))
        count = len(ordered)
        raise ConfigError(
            f"{file} has {count} problem{'s' if count != 1 else ''}.",
            problems=tuple(problem.render(file) for problem in ordered),
            hint="Correct it on the default branch; `slipway config check` explains it in a terminal.",
        )
    return config


def _distinct(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Drop what only repeats another complaint.

    A key is missing where the same place has a misspelling of it; a list is empty once its wrong items are left out;
    and where one word may stand for a list or a mapping, the other of the two is meant by what is written.
    """
    places = [error["loc"] for error in errors]
    unknown = [error["loc"] for error in errors if error["type"] == "extra_forbidden"]

    misspelt_forms = {
        error["loc"][:-1] for error in errors if _is_short_form(error) and isinstance(error["input"], str)
    }

    def misspelt(place: Path) -> bool:
        around = (other for other in unknown if other[:-1] == place[:-1])
        return any(nearest(str(other[-1]), [str(place[-1])]) for other in around)

    def emptied(place: Path) -> bool:
        return any(other[: len(place)] == place != other for other in places)

    return [
        error
        for error in errors
        if not (error["type"] == "missing" and misspelt(error["loc"]))
        and not (error["type"] == "too_short" and emptied(error["loc"]))
        and not (_is_short_form(error) and not isinstance(error["input"], str))
        and not (error["type"] == "model_type" and error["loc"][:-1] in misspelt_forms)
    ]


def _is_short_form(error: ErrorDetails) -> bool:
    """Whether what is missed is the one word that may stand here instead of a list or a mapping."""
    return error["type"] == "literal_error" and str(error["loc"][-1]).startswith("literal[")


def _explain(details: ErrorDetails, node: Node) -> Problem:
    """Turn one error of the model into a sentence with its place."""
    location = _without_tags(details["loc"])
    line, seen = locate(location, node)
    path = dotted(seen)
    given = details["input"]
    match details["type"]:
        case "extra_forbidden":
            sentence = _unknown_key(str(location[-1]), location, seen)
        case "missing":
            sentence = f"the key `{location[-1]}` is missing"
        case "union_tag_not_found":
            sentence = "the key `type` is missing: `cloud_run` or `heroku`"
        case "union_tag_invalid":
            sentence = _wrong_tag(details)
        case "string_pattern_mismatch":
            sentence = _wrong_name(details)
        case "string_type" if isinstance(given, bool):
            sentence = f'this is text, so write "{_shown(given)}" in quotes'
        case kind if given is None:
            sentence = f"{_SHOULD.get(kind, 'this should not be empty')}; nothing is written here"
        case kind:
            message = (
                details["msg"]
                .removeprefix("Value error, ")
                .removeprefix("Input ")
                .removeprefix("String ")
                .replace("'", "`")
            )
            quoted = (
                f'"{given}"' if isinstance(given, str) and given.isdigit() else given
            )  # text, where a number should be
            shown = (
                f", not `{_shown(quoted)}`"
                if isinstance(given, str | int | float) and kind != "string_too_short"
                else ""
            )
            sentence = _SHOULD.get(kind, f"{message[0].lower()}{message[1:]}") + shown
    return Problem(line=line, path=path, sentence=sentence)


_SHOULD = {
    "string_type": "should be text",
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "bool_type": "should be `true` or `false`",
    "tuple_type": "should be a list",
    "dict_type": "should be a mapping",
    "model_type": "should be a mapping",
    "model_attributes_type": "should be a mapping",
    "too_short": "should not be empty",
    "string_too_short": "should not be empty",
}


def _shown(value: object) -> str:
    """Return a value as it stands in the file, on one line and not too long."""
    text = str(value).lower() if isinstance(value, bool) else " ".join(str(value).replace("`", "'").split())
    return text if len(text) <= 60 else f"{text[:60]}…"


def _wrong_tag(details: ErrorDetails) -> str:
    expected = str(details.get("ctx", {}).get("expected_tags", "")).replace("'", "`")
    given = _shown(details.get("ctx", {}).get("tag", ""))
    guess = nearest(given, re.findall(r"`([^`]+)`", expected))
    return f"`type: {given}` is not one of {expected}" + (f"; did you mean `{guess}`?" if guess else "")


def _wrong_name(details: ErrorDetails) -> str:
    pattern = str(details.get("ctx", {}).get("pattern", ""))
    given = f"`{_shown(details['input'])}`"
    sentence = next(sentence for start, sentence in _PATTERNS.items() if pattern.startswith(start))
    guess = nearest(str(details["input"]), ROLES) if "role" in sentence else None
    return f"{given} is {sentence}" + (f"; did you mean `{guess}`?" if guess else "")


_PATTERNS = {
    "^[a-z]([a-z0-9-]": "not a name: lower case letters, digits and hyphens, a letter first",
    "^[a-z][a-z0-9_]": "not a value's name: lower case letters, digits and underscores, a letter first",
    "^[a-z0-9][a-z0-9._-]": "not a context's name: lower case letters, digits, `.`, `_` and `-`",
    "^[A-Za-z0-9_-][A-Za-z0-9_.-]": "no repository: write `owner/name`",
    "^[A-Za-z_]": "not a variable's name: letters, digits and underscores, no digit first",
    "^(read|": "no role: write read, triage, write, maintain, admin, @login or @org/team",
    "^(latest|": "no version: write `latest` or a number",
}


def _without_tags(location: Path) -> Path:
    """Drop the name of the check's kind, which pydantic puts after its index (it is a key of the check as well)."""
    return tuple(
        part
        for place, part in enumerate(location)
        if not (place > 1 and location[place - 2] == "verify" and isinstance(location[place - 1], int))
    )


def _unknown_key(key: str, location: Path, seen: Path) -> str:
    names = _fields_at(location[:-1])
    if key in names:  # known to another kind of target or check
        return f"the key `{_shown(key)}` does not go with the others here"
    guess = nearest(key, names)
    if guess:
        return f"there is no key `{_shown(key)}` here; did you mean `{guess}`?"
    where = dotted(seen[:-1]) or "the top level"
    return f"there is no key `{_shown(key)}` in {where}; it may hold {listed(sorted(names))}"


def _fields_at(location: Path) -> tuple[str, ...]:
    """Return the keys that the model knows at a place, by walking its JSON Schema."""
    schema = Config.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    nodes: list[dict[str, Any]] = [schema]
    for part in location:
        reached = [child for node in nodes for child in _children(node, part, definitions)]
        nodes = reached or nodes  # a union's tag is no part of the file
    return tuple({key for node in _flatten(nodes, definitions) for key in node.get("properties", {})})


def _flatten(nodes: Iterable[dict[str, Any]], definitions: Mapping[str, Any]) -> list[dict[str, Any]]:
    flat: list[dict[str, Any]] = []
    for node in nodes:
        if "$ref" in node:
            flat += _flatten([definitions[node["$ref"].rsplit("/", 1)[1]]], definitions)
        for kind in ("anyOf", "oneOf", "allOf"):
            flat += _flatten(node.get(kind, []), definitions)
        flat.append(node)
    return flat


def _children(node: dict[str, Any], part: str | int, definitions: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for flat in _flatten([node], definitions):
        if isinstance(part, int):
            found += [flat["items"]] if "items" in flat else []
        elif part in flat.get("properties", {}):
            found.append(flat["properties"][part])
        elif isinstance(flat.get("additionalProperties"), dict):
            found.append(flat["additionalProperties"])
        else:  # keys that must be names
            found += flat.get("patternProperties", {}).values()
    return found
