"""The filter of timeSeries.list, as a predicate over the identity of a time series.

Source: cloud.google.com/monitoring/api/v3/filters. Supported: the selectors ``project``, ``metric.type``,
``metric.labels.KEY``, ``resource.type`` and ``resource.labels.KEY`` (``label`` is another spelling), the comparisons
``=``, ``!=`` and ``:`` with a string, with ``one_of``, ``starts_with``, ``ends_with``, ``has_substring`` and
``monitoring.regex.full_match``, joined by ``AND`` (which may be left out), ``OR``, ``NOT`` and parentheses. NOT binds
strongest, then OR, then AND, as documented.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Identity = Mapping[str, str]  # "metric.type", "resource.labels.location", … to the value
Predicate = Callable[[Identity], bool]

MAX_VALUES = 100  # of one_of, as documented
_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<op>!=|>=|<=|[=<>:])|(?P<paren>[(),])"""
    r"""|(?P<word>[\w./-]+))"""
)
_LABEL = re.compile(r"(metric|resource)\.labels?\.(\w+)")


class FilterError(ValueError):
    """The filter can't be read, or asks for something that is not there to be asked for."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """A filter that was read: its test, the metric type it names, and the selectors it speaks of."""

    test: Predicate
    metric_type: str
    selectors: frozenset[str]


@dataclass(kw_only=True)
class _Parser:
    """Recursive descent over the tokens. ``types`` are the metric types that a whole filter insists on."""

    tokens: list[tuple[str, str]]
    types: list[str] = field(default_factory=list)
    selectors: set[str] = field(default_factory=set)
    depth: int = 0  # of parentheses, NOT and OR, below which a comparison need not hold

    def peek(self) -> tuple[str, str]:
        return self.tokens[0] if self.tokens else ("end", "")

    def take(self) -> tuple[str, str]:
        if not self.tokens:
            raise FilterError("it ends too early")
        return self.tokens.pop(0)

    def skip(self, *token: str) -> bool:
        if self.peek() != token:
            return False
        self.tokens.pop(0)
        return True

    def conjunction(self) -> Predicate:
        parts = [self.disjunction()]
        while self.peek() not in {("end", ""), ("paren", ")")}:
            self.skip("word", "AND")
            parts.append(self.disjunction())
        return lambda identity: all(part(identity) for part in parts)

    def disjunction(self) -> Predicate:
        known = len(self.types)
        parts = [self.negation()]
        while self.skip("word", "OR"):
            del self.types[known:]  # one side of an OR insists on nothing
            parts.append(self.inside(self.negation))
        return lambda identity: any(part(identity) for part in parts)

    def inside(self, parse: Callable[[], Predicate]) -> Predicate:
        self.depth += 1
        try:
            return parse()
        finally:
            self.depth -= 1

    def negation(self) -> Predicate:
        if self.skip("word", "NOT"):
            inner = self.inside(self.negation)
            return lambda identity: not inner(identity)
        if self.skip("paren", "("):
            inside = self.inside(self.conjunction)
            if not self.skip("paren", ")"):
                raise FilterError("a parenthesis is not closed")
            return inside
        return self.comparison()

    def comparison(self) -> Predicate:
        selector = self.selector()
        kind, operator = self.take()
        if kind != "op" or operator not in {"=", "!=", ":"}:
            raise FilterError(f"the sandbox compares by =, != and :, not by {operator!r}")
        literal = self.peek()[0] == "quoted"
        test, first = self.value()
        if selector == "metric.type" and operator == "=" and literal and self.depth == 0:
            self.types.append(first)
        if operator == ":":
            if not literal:
                raise FilterError("a function can't be compared by :")
            return lambda identity: first in identity.get(selector, "")
        return lambda identity: test(identity.get(selector, "")) == (operator == "=")

    def selector(self) -> str:
        kind, text = self.take()
        if found := _LABEL.fullmatch(text):
            text = f"{found[1]}.labels.{found[2]}"
        elif kind != "word" or text not in {"project", "metric.type", "resource.type"}:
            raise FilterError(f"unknown selector {text!r}")
        self.selectors.add(text)
        return text

    def value(self) -> tuple[Callable[[str], bool], str]:
        """Return the test of a literal or a function, and the (first) text in it."""
        kind, text = self.take()
        if kind == "quoted":
            wanted = _unquoted(text)
            return lambda found: found == wanted, wanted
        if kind != "word" or self.peek() != ("paren", "("):
            raise FilterError(f"a string in quotes is wanted, not {text!r}")
        arguments = self.arguments()
        return _function(text, arguments), arguments[0]

    def arguments(self) -> list[str]:
        self.take()
        found: list[str] = []
        while not self.skip("paren", ")"):
            kind, text = self.take()
            if kind != "quoted":
                raise FilterError(f"a string in quotes is wanted, not {text!r}")
            found.append(_unquoted(text))
            if not self.skip("paren", ",") and self.peek() != ("paren", ")"):
                raise FilterError("a list of arguments is not closed")
        if not found:
            raise FilterError("a function needs an argument")
        return found


def compile_filter(text: str) -> Filter:
    """Return what a filter means. It must name one metric type (timeSeries.list, ``filter``). Raises FilterError."""
    parser = _Parser(tokens=_tokenize(text))
    if not parser.tokens:
        raise FilterError("it is empty")
    test = parser.conjunction()
    if parser.tokens:
        raise FilterError(f"unexpected {parser.tokens[0][1]!r}")
    if len(set(parser.types)) != 1:
        raise FilterError('it must specify a single metric type, by metric.type = "…"')
    return Filter(test=test, metric_type=parser.types[0], selectors=frozenset(parser.selectors))


def _function(name: str, arguments: list[str]) -> Callable[[str], bool]:
    if name == "one_of":
        if len(arguments) > MAX_VALUES:
            raise FilterError(f"one_of takes at most {MAX_VALUES} values")
        return lambda found: found in arguments
    if len(arguments) != 1:
        raise FilterError(f"{name} takes one argument")
    wanted = arguments[0]
    match name:
        case "starts_with":
            return lambda found: found.startswith(wanted)
        case "ends_with":
            return lambda found: found.endswith(wanted)
        case "has_substring":
            return lambda found: wanted in found
        case "monitoring.regex.full_match":
            pattern = re.compile(wanted)
            return lambda found: pattern.fullmatch(found) is not None
        case _:
            raise FilterError(f"unknown function {name!r}")


def _tokenize(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position, text = 0, text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise FilterError(f"unparseable at {text[position : position + 20]!r}")
        kind = str(match.lastgroup)
        tokens.append((kind, match[kind]))
        position = match.end()
    return tokens


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])
