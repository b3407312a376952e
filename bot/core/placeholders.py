"""Fills ``{name}`` and ``${vars.NAME}`` in the configuration's texts.

Braces that hold anything but a name (JSON, shell) are left alone, and so is ``${NAME}``, which is the shell's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bot.core.words import nearest, there_is
from bot.errors import ConfigError

PATTERN = re.compile(r"\$\{(vars\.[A-Za-z_][A-Za-z0-9_]*)\}|(?<![${])\{([a-z][a-z0-9_]*(?:\.[a-z0-9_-]+)*)\}")

# What `{…}` may name wherever the configuration is filled; environments add their own `values`.
BUILT_IN = frozenset(
    {"app", "env", "suffix", "project", "region", "name", "sha", "short_sha", "version", "pyproject.version"}
    | {"url", "site_url"}
)


@dataclass(frozen=True, kw_only=True)
class Values:
    """``variables`` is GitHub's ``vars`` context, ``names`` everything in single braces."""

    variables: Mapping[str, str]
    names: Mapping[str, str]

    def with_names(self, names: Mapping[str, str]) -> Values:
        """Return a copy that knows more names."""
        return replace(self, names={**self.names, **names})


def fill(value: Any, values: Values, at: str) -> Any:
    """Fill every text in a value of plain data. ``at`` is its key path, for the error.

    Raises:
        ConfigError: a placeholder has no value.
    """
    if isinstance(value, str):
        return PATTERN.sub(lambda match: _value(match, values, at), value)
    if isinstance(value, Mapping):
        return {key: fill(item, values, f"{at}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(fill(item, values, f"{at}[{index}]") for index, item in enumerate(value))
    return value


def _value(match: re.Match[str], values: Values, at: str) -> str:
    if match[1]:
        name = match[1].removeprefix("vars.")
        if name in values.variables:
            return values.variables[name]
        raise ConfigError(
            f"The configuration uses `${{vars.{name}}}`, which has no value.",
            problems=(f"{at}: there is no variable `{name}`",),
            hint="Set it in the repository's variables, and give the action `vars: ${{ toJSON(vars) }}`.",
        )
    if match[2] in values.names:
        return values.names[match[2]]
    guess = nearest(match[2], values.names)
    known = f"did you mean `{{{guess}}}`?" if guess else there_is(sorted(values.names))
    raise ConfigError(
        f"The configuration uses `{{{match[2]}}}`, which has no value here.",
        problems=(f"{at}: `{{{match[2]}}}` has no value; {known}",),
        hint="Write the value out, or give it under `values` of the environment.",
    )


def names_in(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield ``(key path, name)`` of every single-brace placeholder in plain data."""
    if isinstance(value, str):
        yield from ((path, match[2]) for match in PATTERN.finditer(value) if match[2])
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from names_in(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from names_in(item, (*path, index))
