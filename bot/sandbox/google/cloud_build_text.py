"""The small languages of a build request: substitutions, the list filter, and the numbers of its enums.

Ground: cloud.google.com/build/docs/configuring-builds/substitute-variable-values, google.aip.dev/160 (filters),
google/devtools/cloudbuild/v1/cloudbuild.proto (numbers).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bot.sandbox.wire import WireError

Json = dict[str, Any]

BUILT_IN = frozenset(
    {"PROJECT_ID", "PROJECT_NUMBER", "BUILD_ID", "LOCATION", "SERVICE_ACCOUNT", "SERVICE_ACCOUNT_EMAIL"}
)
"""Always set by Cloud Build, and not for the caller to set."""
OF_A_TRIGGER = frozenset(
    {"REPO_NAME", "REPO_FULL_NAME", "BRANCH_NAME", "TAG_NAME", "REF_NAME", "REVISION_ID", "COMMIT_SHA", "SHORT_SHA",
     "TRIGGER_NAME", "TRIGGER_BUILD_CONFIG_PATH"}
)  # fmt: skip
"""Set by a trigger or given by the caller; else they are the empty string."""
SUBSTITUTED = ("steps", "images", "tags", "logsBucket", "artifacts", "serviceAccount")
_VARIABLE = re.compile(r"\$(?:(\$)|([A-Z_][A-Z0-9_]*)|\{([A-Z_][A-Z0-9_]*)\})")

ENUMS: Mapping[str, Mapping[int, str]] = {
    "logging": {
        0: "LOGGING_UNSPECIFIED", 1: "LEGACY", 2: "GCS_ONLY", 3: "STACKDRIVER_ONLY", 5: "CLOUD_LOGGING_ONLY", 4: "NONE",
    },
    "machineType": {
        0: "UNSPECIFIED", 1: "N1_HIGHCPU_8", 2: "N1_HIGHCPU_32", 5: "E2_HIGHCPU_8", 6: "E2_HIGHCPU_32", 7: "E2_MEDIUM",
        11: "E2_STANDARD_2",
    },
    "requestedVerifyOption": {0: "NOT_VERIFIED", 1: "VERIFIED", 3: "BEST_EFFORT"},
    "substitutionOption": {0: "MUST_MATCH", 1: "ALLOW_LOOSE"},
    "logStreamingOption": {0: "STREAM_DEFAULT", 1: "STREAM_ON", 2: "STREAM_OFF"},
    "defaultLogsBucketBehavior": {
        0: "DEFAULT_LOGS_BUCKET_BEHAVIOR_UNSPECIFIED", 1: "REGIONAL_USER_OWNED_BUCKET", 2: "LEGACY_BUCKET",
    },
    "sourceProvenanceHash": {0: "NONE", 1: "SHA256", 2: "MD5", 3: "GO_MODULE_H1", 4: "SHA512"},
}  # fmt: skip
"""The enums of BuildOptions: the REST transport of the Python client sends numbers."""


def named_options(options: Json) -> Json:
    """Return BuildOptions with each enum by name; the zero value is left out, as protobuf's JSON does."""

    def name(field: str, value: Any) -> Any:
        if isinstance(value, list):
            return [name(field, item) for item in value]
        return ENUMS[field].get(value, value) if isinstance(value, int) and not isinstance(value, bool) else value

    out = {field: name(field, value) if field in ENUMS else value for field, value in options.items()}
    return {field: value for field, value in out.items() if field not in ENUMS or value != ENUMS[field][0]}


def substitute(build: Json, built_in: Mapping[str, str]) -> Json:
    """Return a build with ``$NAME`` and ``${NAME}`` replaced; ``$$`` stands for a dollar sign.

    Raises:
        WireError: a name that is neither built in nor given, or a given one that is nowhere used (MUST_MATCH).
    """
    given: Mapping[str, str] = build.get("substitutions", {})
    loose = build.get("options", {}).get("substitutionOption") == "ALLOW_LOOSE"
    for name in given:
        if not re.fullmatch(r"_[A-Z0-9_]+", name) and name not in OF_A_TRIGGER:
            raise _invalid(f'key "{name}" in the substitution data is not a valid user-defined substitution')
    used: set[str] = set()

    def one(found: re.Match[str]) -> str:
        if found[1]:
            return "$"
        name = found[2] or found[3]
        used.add(name)
        if name in given or name in built_in:
            return {**given, **built_in}[name]
        if name in OF_A_TRIGGER or loose:
            return ""
        raise _invalid(f'key in the template "{name}" is not a valid built-in substitution')

    out = {
        **build,
        **{key: _deep(build[key], lambda text: _VARIABLE.sub(one, text)) for key in SUBSTITUTED if key in build},
    }
    unused = sorted(name for name in given if name.startswith("_") and name not in used)
    if unused and not loose:
        raise _invalid(f'key "{unused[0]}" in the substitution data is not matched in the template')
    return out


def _deep(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case list():
            return [_deep(item, change) for item in value]
        case dict():
            return {key: _deep(item, change) for key, item in value.items()}
        case _:
            return value


def _invalid(message: str) -> WireError:
    return WireError(400, f"generic::invalid_argument: {message}", "INVALID_ARGUMENT")


# -- the filter of builds.list ----------------------------------------------------------------------------------
Test = Callable[[Json], bool]
_TOKEN = re.compile(r'\s*(?:(\()|(\))|(!=|>=|<=|=|>|<|:)|"((?:\\.|[^"\\])*)"|([^\s()"=<>!:]+))')
_FIELDS = {
    "status": "status", "tags": "tags", "build_id": "id", "id": "id", "trigger_id": "buildTriggerId",
    "build_trigger_id": "buildTriggerId", "create_time": "createTime", "start_time": "startTime",
    "finish_time": "finishTime", "images": "images", "service_account": "serviceAccount",
}  # fmt: skip


def compile_filter(text: str) -> Test:
    """Return a test for builds. OR binds tighter than AND, and adjacent terms are joined by AND (AIP-160).

    Raises:
        WireError: 400 for a filter that can't be read or names an unknown field.
    """
    tokens = list(_tokens(text))
    if not tokens:
        return lambda _build: True
    test = _all(tokens)
    if tokens:
        raise _bad_filter(text)
    return test


def _bad_filter(text: str) -> WireError:
    return WireError(400, f"invalid filter: {text!r}", "INVALID_ARGUMENT")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at, text = 0, text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _bad_filter(text)
        at = found.end()
        kind = ("open", "close", "operator", "string", "word")[(found.lastindex or 1) - 1]
        yield kind, found[found.lastindex or 1]


def _all(tokens: list[tuple[str, str]]) -> Test:
    tests = [_any(tokens)]
    while tokens and tokens[0][0] != "close":
        if tokens[0] == ("word", "AND"):
            tokens.pop(0)
        tests.append(_any(tokens))
    return lambda build: all(test(build) for test in tests)


def _any(tokens: list[tuple[str, str]]) -> Test:
    tests = [_term(tokens)]
    while tokens and tokens[0] == ("word", "OR"):
        tokens.pop(0)
        tests.append(_term(tokens))
    return lambda build: any(test(build) for test in tests)


def _term(tokens: list[tuple[str, str]]) -> Test:
    kind, value = _next(tokens)
    if (kind, value) == ("word", "NOT"):
        inner = _term(tokens)
        return lambda build: not inner(build)
    if kind == "open":
        inside = _all(tokens)
        if _next(tokens)[0] != "close":
            raise _bad_filter("missing )")
        return inside
    if kind != "word":
        raise _bad_filter(value)
    operator, wanted = _next(tokens), _next(tokens)
    if operator[0] != "operator" or wanted[0] not in {"string", "word"}:
        raise _bad_filter(f"{value}{operator[1]}{wanted[1]}")
    return _comparison(value, operator[1], re.sub(r"\\(.)", r"\1", wanted[1]))


def _next(tokens: list[tuple[str, str]]) -> tuple[str, str]:
    if not tokens:
        raise _bad_filter("unexpected end")
    return tokens.pop(0)


def _comparison(field: str, operator: str, wanted: str) -> Test:
    path = re.sub(r"(?<!^)(?=[A-Z])", "_", field).lower() if "." not in field else field
    key = _FIELDS.get(path)
    if key is None and not path.startswith("substitutions."):
        raise _bad_filter(f"unknown field {field!r}")

    def values(build: Json) -> list[str]:
        found = build.get(key, "") if key else build.get("substitutions", {}).get(path.partition(".")[2], "")
        return [str(item) for item in found] if isinstance(found, list) else [str(found)]

    match operator:
        case "=" | ":":
            return lambda build: wanted in values(build)
        case "!=":
            return lambda build: wanted not in values(build)
        case ">" | ">=" | "<" | "<=":
            return lambda build: any(_ordered(value, operator, wanted) for value in values(build) if value)
        case _:
            raise _bad_filter(operator)


def _ordered(value: str, operator: str, wanted: str) -> bool:
    """RFC 3339 times of one zone order as text, once the fractions have the same length."""

    def padded(time: str) -> str:
        whole, _, fraction = time.removesuffix("Z").partition(".")
        return f"{whole}.{fraction:0<9}"

    left, right = padded(value), padded(wanted)
    return (left > right) if ">" in operator and left != right else (left < right) if left != right else "=" in operator
