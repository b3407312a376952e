"""Google's discovery documents as judges of answers, by code that shares nothing with the sandbox's own reading."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient
import pytest

from bot.sandbox.wire import Call

TYPES: dict[str, Any] = {"string": str, "boolean": bool, "integer": int, "number": (int, float)}


@cache
def document(name: str) -> Any:
    folder = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
    return json.loads((folder / f"{name}.json").read_text())


@cache
def methods(name: str) -> list[Any]:
    """Custom methods first: a resource's own name may hold a colon too (web@sha256:…)."""
    found: list[Any] = []
    pending = [document(name)]
    while pending:
        resource = pending.pop()
        pending.extend(resource.get("resources", {}).values())
        found.extend(resource.get("methods", {}).values())
    return sorted(found, key=lambda method: ":" not in method["flatPath"])


def method_of(name: str, call: Call) -> Any:
    for method in methods(name):
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(f"/{method['flatPath']}"))
        if method["httpMethod"] == call.method and re.fullmatch(pattern, call.path):
            return method
    return None


def judge(name: str, schema: Any, value: Any, place: str) -> Iterator[str]:
    schema = document(name)["schemas"][schema["$ref"]] if "$ref" in schema else schema
    if schema.get("type") == "array":
        for index, item in enumerate(value):
            yield from judge(name, schema["items"], item, f"{place}[{index}]")
    elif schema.get("type") == "object":
        for key, item in value.items():
            inner = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
            if inner is None:
                yield f"{place}.{key}: unknown"
            else:
                yield from judge(name, inner, item, f"{place}.{key}")
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{place}: {value!r} is not in the enum"
    elif schema.get("type") != "any" and not isinstance(value, TYPES[schema["type"]]):
        yield f"{place}: {value!r} is no {schema['type']}"


@pytest.fixture(scope="session")
def misfits() -> Callable[[str, Call], list[str]]:
    """Return what is wrong with an answer, by a document's name (``monitoring.v3``)."""

    def find(name: str, call: Call) -> list[str]:
        if call.status != 200:
            return []
        method = method_of(name, call)
        if method is None:
            return [f"{call.method} {call.path}: no such method"]
        return list(judge(name, method["response"], json.loads(call.response_body), call.path))

    return find
