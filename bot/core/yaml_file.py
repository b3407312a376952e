"""Reads YAML with the place of everything in it.

YAML here is YAML 1.2's core schema where people trip: only ``true`` and ``false`` are booleans, so ``on: push`` means
what it says. Duplicate keys are refused; aliases are allowed, but not so many that the document explodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

Path = tuple[str | int, ...]

MAX_SIZE = 256 * 1024  # characters; a configuration is a page or two
MAX_NODES = 50_000  # after aliases are expanded ("billion laughs")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong. ``path`` is the key path, ``line`` counts from 1 (0: unknown)."""

    line: int
    path: str
    sentence: str

    def render(self, file: str) -> str:
        """Return ``file:line: key.path: sentence``."""
        return f"{file}:{self.line}: {self.path + ': ' if self.path else ''}{self.sentence}"


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans, and no duplicate keys."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in {"tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp"}
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF")


def compose(text: str, problems: list[Problem]) -> yaml.Node | None:
    """Parse a text into nodes; None, and a problem, when it is no YAML mapping."""
    if len(text) > MAX_SIZE:
        problems.append(Problem(line=1, path="", sentence=f"the file is larger than {MAX_SIZE // 1024} KiB"))
        return None
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        sentence = f"this is not YAML: {error.problem or error.context}"
        problems.append(Problem(line=mark.line + 1 if mark else 1, path="", sentence=sentence))
        return None
    except yaml.YAMLError as error:
        problems.append(Problem(line=1, path="", sentence=f"this is not YAML: {error}"))
        return None
    if not isinstance(node, yaml.MappingNode):
        problems.append(Problem(line=1, path="", sentence="the file should be a mapping that begins with `version: 1`"))
        return None
    return node


class _Builder:
    """Turns nodes into values, refusing duplicate and non-text keys. ``problems`` collects what is wrong."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._budget = MAX_NODES

    def build(self, node: yaml.Node, path: Path) -> Any:
        self._budget -= 1
        if self._budget < 0:
            raise OverflowError
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        try:
            return _Loader("").construct_object(node)
        except (yaml.YAMLError, ValueError):
            self._problem(node, path, f"`{node.value}` is not a value of a configuration")
            return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                self._problem(key_node, path, "a key should be plain text")
            elif key == "<<":
                merged = self.build(value_node, path)
                result = {**merged, **result} if isinstance(merged, dict) else result
            elif key in result:
                self._problem(key_node, (*path, key), "the key stands here twice")
            else:
                result[key] = self.build(value_node, (*path, key))
        return result

    def _problem(self, node: yaml.Node, path: Path, sentence: str) -> None:
        self.problems.append(Problem(line=node.start_mark.line + 1, path=dotted(path), sentence=sentence))


def construct(node: yaml.Node, problems: list[Problem]) -> Any:
    """Return the value of a node; what is wrong with it goes to ``problems``."""
    builder = _Builder()
    try:
        return builder.build(node, ())
    except (OverflowError, RecursionError):
        problems.append(Problem(line=1, path="", sentence="the file is too large once its aliases are expanded"))
        return None
    finally:
        problems.extend(builder.problems)


def locate(path: Iterable[str | int], node: yaml.Node) -> tuple[int, tuple[str | int, ...]]:
    """Return the line of the deepest node that a path reaches, and the part of the path that exists in the file.

    Parts that the model adds (the tag of a union) are passed over.
    """
    line, seen = node.start_mark.line + 1, []
    for part in path:
        if isinstance(node, yaml.MappingNode):
            match = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if match is None:
                continue
            node = match[1]
            line = match[0].start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            continue
        seen.append(part)
    return line, tuple(seen)


def dotted(path: Iterable[str | int]) -> str:
    """Return a key path as people write it: ``targets.gcp.verify[0].http``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text
