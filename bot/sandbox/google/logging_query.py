"""The part of Cloud Logging's query language that people and programs type, as a predicate over entries.

Source: cloud.google.com/logging/docs/view/logging-query-language. Supported: comparisons (``= != > >= < <= : =~ !~``)
on dotted and quoted paths, value lists ``field=("a" OR "b")``, ``AND``, ``OR``, ``NOT``, ``-``, parentheses, adjacency
(which means AND) and a bare word (a search in the whole entry). NOT binds strongest, then OR, then AND, as documented.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

Entry = Mapping[str, Any]
Predicate = Callable[[Entry], bool]

SEVERITIES = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")
_TIMES = {"timestamp", "receiveTimestamp"}
_TOKEN = re.compile(
    r"""\s*(?:(?P<comment>--[^\n]*)|(?P<quoted>"(?:\\.|[^"\\])*")|(?P<op>=~|!~|!=|>=|<=|[=<>:])"""
    r"""|(?P<paren>[()])|(?P<minus>-(?=[A-Za-z("]))|(?P<dot>\.)|(?P<word>[^\s"()=<>:!~.]+))""",
    re.VERBOSE,
)


class QueryError(ValueError):
    """The filter can't be parsed."""


def parse_time(text: str) -> datetime:
    """Return an RFC 3339 time, nanoseconds cut to microseconds. Raises QueryError."""
    short = re.sub(r"(\.\d{6})\d+", r"\1", text.strip())
    try:
        found = datetime.fromisoformat(short)
    except ValueError:
        raise QueryError(f"not a time: {text}") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def compile_query(text: str) -> Predicate:
    """Return the predicate a filter means; an empty filter matches everything. Raises QueryError."""
    tokens = _tokenize(text)
    if not tokens:
        return lambda _entry: True
    parser = _Parser(tokens)
    predicate = parser.conjunction()
    if parser.peek() is not None:
        raise QueryError(f"unexpected {parser.peek()!r}")
    return predicate


def _tokenize(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position, text = 0, text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.end() == position:
            raise QueryError(f"unparseable at {text[position : position + 20]!r}")
        kind = str(match.lastgroup)
        if kind != "comment":
            tokens.append((kind, match[kind]))
        position = match.end()
    return tokens


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.at = 0

    def peek(self) -> tuple[str, str] | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self) -> tuple[str, str]:
        token = self.peek()
        if token is None:
            raise QueryError("the filter ends too early")
        self.at += 1
        return token

    def skip(self, *token: str) -> bool:
        if self.peek() == token:
            self.at += 1
            return True
        return False

    def conjunction(self) -> Predicate:
        parts = [self.disjunction()]
        while self.peek() not in {None, ("paren", ")")}:
            self.skip("word", "AND")
            parts.append(self.disjunction())
        return lambda entry: all(part(entry) for part in parts)

    def disjunction(self) -> Predicate:
        parts = [self.negation()]
        while self.skip("word", "OR"):
            parts.append(self.negation())
        return lambda entry: any(part(entry) for part in parts)

    def negation(self) -> Predicate:
        if self.skip("word", "NOT") or self.skip("minus", "-"):
            inner = self.negation()
            return lambda entry: not inner(entry)
        if self.skip("paren", "("):
            inner = self.conjunction()
            if not self.skip("paren", ")"):
                raise QueryError("a parenthesis is not closed")
            return inner
        return self.comparison()

    def comparison(self) -> Predicate:
        path = self.path()
        token = self.peek()
        if token is None or token[0] != "op":
            wanted = ".".join(path).lower()
            return lambda entry: wanted in json.dumps(entry).lower()
        operator = self.take()[1]
        if self.skip("paren", "("):
            return self.value_list(path, operator)
        return _compare(path, operator, self.value())

    def value_list(self, path: list[str], operator: str) -> Predicate:
        parts = [_compare(path, operator, self.value())]
        while self.skip("word", "OR"):
            parts.append(_compare(path, operator, self.value()))
        if not self.skip("paren", ")"):
            raise QueryError("a list of values is not closed")
        return lambda entry: any(part(entry) for part in parts)

    def path(self) -> list[str]:
        parts = [self.text()]
        while self.skip("dot", "."):
            parts.append(self.text())
        return parts

    def value(self) -> str:
        """Read one value; an unquoted one may hold dots, as ``cloud_run.v1`` does."""
        return ".".join(self.path())

    def text(self) -> str:
        kind, text = self.take()
        if kind == "quoted":
            return re.sub(r"\\(.)", r"\1", text[1:-1])
        if kind != "word":
            raise QueryError(f"unexpected {text!r}")
        return text


def _lookup(entry: Entry, path: list[str]) -> Any:
    found: Any = entry
    for part in path:
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def _compare(path: list[str], operator: str, wanted: str) -> Predicate:
    test = _test(path, operator, wanted)
    negative = operator in {"!=", "!~"}

    def predicate(entry: Entry) -> bool:
        found = _lookup(entry, path)
        if found is None and path == ["severity"]:
            found = "DEFAULT"  # logging.v2, LogEntry.severity: "The default value is LogSeverity.DEFAULT."
        if found is None:
            return negative
        return test(found)

    return predicate


def _test(path: list[str], operator: str, wanted: str) -> Callable[[Any], bool]:
    if operator in {"=~", "!~"}:
        pattern = re.compile(wanted)
        return lambda found: (pattern.search(str(found)) is not None) == (operator == "=~")
    if operator == ":":
        if wanted == "*":  # `field:*` tests presence
            return lambda _found: True
        return lambda found: wanted.lower() in (found if isinstance(found, str) else json.dumps(found)).lower()
    key = _key(path, wanted)
    right = key(wanted)
    return lambda found: _ordered(operator, key(found), right)


def _key(path: list[str], wanted: str) -> Callable[[Any], Any]:
    """Return how values of a field compare: by rank, time, number, or text without case."""
    if path == ["severity"]:
        if wanted.upper() not in SEVERITIES:
            raise QueryError(f"not a severity: {wanted}")
        return lambda value: SEVERITIES.index(str(value).upper())
    if path[-1] in _TIMES:
        return lambda value: parse_time(str(value))
    if re.fullmatch(r"-?\d+(\.\d+)?", wanted):
        return _number
    return lambda value: str(value).lower()


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _ordered(operator: str, left: Any, right: Any) -> bool:
    tests: dict[str, Callable[[], bool]] = {
        "=": lambda: bool(left == right),
        "!=": lambda: bool(left != right),
        ">": lambda: bool(left > right),
        ">=": lambda: bool(left >= right),
        "<": lambda: bool(left < right),
        "<=": lambda: bool(left <= right),
    }
    return tests[operator]()
