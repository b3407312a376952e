"""Reads YAML with the place of everything in it.

YAML here is YAML 1.2's core schema where people trip: only ``true`` and ``false`` are booleans, so ``on: push`` means
what it says, and a number is one only if it is written as Python writes it: ``1.10``, ``0755``, ``12:30`` and ``1_000``
stay the text they are. Duplicate keys are refused; aliases are allowed, but not so many that the document explodes.
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
MAX_DEPTH = 50  # a configuration is six or seven deep; the JSON reader of pydantic stops at 200


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong. ``path`` is the key path, ``line`` counts from 1 (0: unknown)."""

    line: int
    path: str
    sentence: str

    def render(self, file: str) -> str:
        """Return ``file:line: key.path: sentence``."""
        return f"{file}:{self.line}: {self.path + ': ' if self.path else ''}{self.sentence}"


_YAML = "tag:yaml.org,2002:"
_VALUES = frozenset(_YAML + name for name in ("str", "int", "float", "bool", "null"))
_NUMBERS = frozenset(_YAML + name for name in ("int", "float"))


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans, and no duplicate keys."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag.removeprefix(_YAML) not in {"bool", "timestamp", "merge", "value"}
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_YAML + "bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF")


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
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        sentence = f"this is not YAML: the character U+{ord(text[int(error.position)]):04X} may not stand in it"
        problems.append(Problem(line=line, path="", sentence=sentence))
        return None
    except RecursionError:
        problems.append(Problem(line=1, path="", sentence=_TOO_DEEP))
        return None
    if not isinstance(node, yaml.MappingNode):
        problems.append(Problem(line=1, path="", sentence="the file should be a mapping that begins with `version: 1`"))
        return None
    return node


_TOO_DEEP = f"the file is nested more than {MAX_DEPTH} deep"


class _TooLargeError(Exception):
    """The value would be too large or too deep. The message says which."""


class _Builder:
    """Turns nodes into values, refusing duplicate and non-text keys. ``problems`` collects what is wrong."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._budget = MAX_NODES

    def build(self, node: yaml.Node, path: Path) -> Any:
        self._budget -= 1
        if self._budget < 0:
            raise _TooLargeError("the file is too large once its aliases are expanded")
        if len(path) > MAX_DEPTH:
            raise _TooLargeError(_TOO_DEEP)
        if isinstance(node, yaml.MappingNode) and node.tag == _YAML + "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _YAML + "seq":
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        if node.tag not in _VALUES or not isinstance(node, yaml.ScalarNode):
            self._problem(node, path, f"`{node.tag.replace(_YAML, '!!')}` is not a kind of value that is known here")
            return None
        return self._scalar(node, path)

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        try:
            value = _Loader("").construct_object(node)
        except (ValueError, LookupError):  # `!!int x`, `!!bool x`, or a number of thousands of digits
            value = node.value
        if node.tag in _NUMBERS:
            return value if str(value) == node.value else node.value
        try:  # `"\\ud83d\\ude00"` is one character, as in JSON
            return value.encode("utf-16", "surrogatepass").decode("utf-16") if isinstance(value, str) else value
        except UnicodeDecodeError:
            self._problem(node, path, "half of a surrogate pair is no character")
            return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, path, "a key should be plain text")
            elif key_node.value == "<<" and key_node.style is None:
                merged = {**self._merged(value_node, path), **merged}
            elif key_node.value in result:
                self._problem(key_node, (*path, key_node.value), "the key stands here twice")
            else:
                result[key_node.value] = self.build(value_node, (*path, key_node.value))
        return {**merged, **result}

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        """Return what `<<` brings in: a mapping, or several of which the earlier win (YAML's merge key type)."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for source in sources:
            if isinstance(source, yaml.MappingNode):
                merged = {**self.build(source, (*path, "<<")), **merged}
            else:
                self._problem(source, path, "`<<` should name a mapping, or a list of them")
        return merged

    def _problem(self, node: yaml.Node, path: Path, sentence: str) -> None:
        self.problems.append(Problem(line=node.start_mark.line + 1, path=dotted(path), sentence=sentence))


def construct(node: yaml.Node, problems: list[Problem]) -> Any:
    """Return the value of a node; what is wrong with it goes to ``problems``."""
    builder = _Builder()
    try:
        return builder.build(node, ())
    except _TooLargeError as error:
        problems.append(Problem(line=1, path="", sentence=str(error)))
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
