"""The text of a Dockerfile: instructions, words, variables, and the patterns of a .dockerignore.

Ground: the Dockerfile reference (docs.docker.com/reference/dockerfile) for instructions, environment replacement and
escapes; the build context page (docs.docker.com/build/concepts/context) for .dockerignore.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

KNOWN = frozenset(
    {"FROM", "ARG", "ENV", "LABEL", "WORKDIR", "COPY", "RUN", "EXPOSE", "USER", "ENTRYPOINT", "CMD"},
)


class BuildFailed(Exception):  # noqa: N818 - an outcome of a build, as Docker words it
    """A build that ended in failure. ``exit_code`` is the failing command's, 1 for a bad Dockerfile."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message, self.exit_code = message, exit_code


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction. ``line`` counts from 1; ``flags`` are ``--name=value`` before the text."""

    line: int
    keyword: str
    flags: Mapping[str, str]
    text: str

    def fail(self, why: str, exit_code: int = 1) -> BuildFailed:
        """Return the error that names this line."""
        return BuildFailed(f"Dockerfile:{self.line}: {self.keyword}: {why}", exit_code)


def parse(text: str) -> list[Instruction]:
    """Return the instructions of a Dockerfile.

    Raises:
        BuildFailed: an instruction outside the subset, a here-document, another escape character, or no FROM.
    """
    out: list[Instruction] = []
    pending, start = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        stripped = raw.strip()
        if stripped.startswith("#"):
            if re.match(r"#\s*escape\s*=\s*`", stripped):
                raise BuildFailed(f"Dockerfile:{number}: only the backslash is supported as escape")
            continue
        if not stripped:
            continue
        start = start or number
        if re.search(r"\\\s*$", raw):
            pending += re.sub(r"\\\s*$", "", raw)
            continue
        out.append(_instruction(start, pending + raw))
        pending, start = "", 0
    if pending:
        out.append(_instruction(start, pending))
    if not any(item.keyword == "FROM" for item in out):
        raise BuildFailed("Dockerfile: no FROM instruction")
    return out


def _instruction(line: int, source: str) -> Instruction:
    keyword, _, rest = source.strip().partition(" ")
    keyword, rest, flags = keyword.upper(), rest.strip(), {}
    if keyword not in KNOWN:
        raise BuildFailed(f"Dockerfile:{line}: the instruction {keyword} is not supported by the sandbox")
    while found := re.match(r"--(\w[\w-]*)(?:=(\S*))?\s+", rest):
        if keyword not in {"COPY", "FROM", "RUN"}:
            break
        flags[found[1]] = found[2] or ""
        rest = rest[found.end() :]
    item = Instruction(line=line, keyword=keyword, flags=flags, text=rest)
    if not rest:
        raise item.fail("requires an argument")
    if keyword in {"RUN", "COPY"} and re.search(r"<<-?[\"']?\w", rest):
        raise item.fail("here-documents are not supported by the sandbox")
    allowed = {"COPY": {"from", "chown", "chmod", "link"}, "FROM": {"platform"}}.get(keyword, set())
    if extra := set(flags) - allowed:
        raise item.fail(f"the flag --{min(extra)} is not supported by the sandbox")
    return item


def expand(text: str, variables: Mapping[str, str]) -> str:
    r"""Replace ``$name``, ``${name}``, ``${name:-word}`` and ``${name:+word}``; ``\$`` stays a dollar sign."""

    def one(found: re.Match[str]) -> str:
        if found["escaped"]:
            return "$"
        name = found["plain"] or found["name"]
        value = variables.get(name, "")
        match found["operator"]:
            case ":-":
                return value or expand(found["word"], variables)
            case ":+":
                return expand(found["word"], variables) if value else ""
            case _:
                return value

    return re.sub(
        r"(?P<escaped>\\\$)|\$(?P<plain>[A-Za-z_]\w*)|\$\{(?P<name>[A-Za-z_]\w*)(?:(?P<operator>:[-+])(?P<word>[^}]*))?\}",
        one,
        text,
    )


def words(text: str, variables: Mapping[str, str]) -> list[str]:
    """Split at blanks outside quotes, drop the quotes, and expand outside single quotes."""
    return [
        "".join(_unquoted(piece, variables) for piece in re.findall(_PIECE, word))
        for word in re.findall(rf"(?:{_PIECE})+", text)
    ]


_PIECE = r"'[^']*'|\"(?:\\.|[^\"\\])*\"|(?:\\.|[^\s'\"\\])+|\\"


def _unquoted(piece: str, variables: Mapping[str, str]) -> str:
    if piece.startswith("'"):
        return piece[1:-1]
    inner = piece[1:-1] if piece.startswith('"') else piece
    # A "\$" is left to expand(); every other escaped character stands for itself.
    return expand(re.sub(r"\\([^$])", r"\1", inner), variables)


def pairs(item: Instruction, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the names and values of an ENV or LABEL: ``k=v k2="v w"``, or the old form ``k the rest``."""
    first = re.match(r"[^\s=]+(=?)", item.text)
    if first and not first[1]:
        name, _, value = item.text.partition(" ")
        return {name: expand(value.strip(), variables)}
    out = {}
    for word in words(item.text, variables):
        name, equals, value = word.partition("=")
        if not equals:
            raise item.fail(f"{word!r} has no '='")
        out[name] = value
    return out


def argv(text: str) -> tuple[str, ...]:
    """Return the command of RUN, CMD or ENTRYPOINT: a JSON array is the exec form, all else runs in ``/bin/sh -c``."""
    if text.startswith("["):
        try:
            data = json.loads(text)
        except ValueError:
            data = None
        if isinstance(data, list) and all(isinstance(part, str) for part in data):
            return tuple(data)
    return ("/bin/sh", "-c", text)


def ignore(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return a test for context-relative paths (``a/b``) from the lines of a .dockerignore.

    The last matching line decides; ``!`` takes back; ``**`` matches any number of directories; a matched directory
    takes its content along.
    """
    rules: list[tuple[bool, re.Pattern[str]]] = []
    for line in patterns:
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        keep = pattern.startswith("!")
        pattern = pattern.lstrip("!").strip().strip("/").removeprefix("./")
        if pattern not in {"", "."}:
            rules.append((keep, re.compile(glob_pattern(pattern) + r"(?:/.*)?")))

    def ignored(path: str) -> bool:
        verdict = False
        for keep, rule in rules:
            if rule.fullmatch(path):
                verdict = not keep
        return verdict

    return ignored


def glob_pattern(pattern: str) -> str:
    """Return the regular expression of a Go ``filepath.Match`` pattern, with ``**`` as Docker adds it."""
    out = ""
    for part in re.findall(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|\\.|.", pattern):
        match part:
            case "**/":
                out += r"(?:.*/)?"
            case "**":
                out += r".*"
            case "*":
                out += r"[^/]*"
            case "?":
                out += r"[^/]"
            case _ if part.startswith("[") and len(part) > 1:
                out += part
            case _:
                out += re.escape(part[-1])
    return out
