"""Each class of mistake in a configuration, with its line, its key path and what is said about it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.core.config import Config, parse_duration
from bot.core.config_file import load
from bot.errors import ConfigError

BASE = """\
version: 1
app: shop
targets:
  gcp:
    type: cloud_run
    project: p
    region: r
    services: {web: {}}
environments:
  staging: {}
"""
EXAMPLES = Path(__file__).parents[3] / "docs/examples/configurations"
VALIDIBOT = (EXAMPLES / "validibot.yml").read_text("utf-8")
WEB = "services: {web: {}}"


def put(old: str, new: str) -> str:
    assert BASE.count(old) == 1
    return BASE.replace(old, new)


def checks(*items: str) -> str:
    return put(WEB, f"{WEB}\n    verify:\n" + "".join(f"      - {item}\n" for item in items))


def here(text: str) -> str:
    return put("staging: {}", f"staging: {{{text}}}")


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text, file="s.yml")
    count = len(caught.value.problems)
    assert caught.value.message == f"s.yml has {count} problem{'' if count == 1 else 's'}."
    assert all("\n" not in line for line in caught.value.problems)
    return [line.removeprefix("s.yml:") for line in caught.value.problems]


@pytest.mark.parametrize(
    "text",
    [
        BASE,
        "\ufeff" + BASE,
        BASE.replace("\n", "\r\n"),
        BASE.replace("\n", "\r"),
        "--- \n" + BASE + "...\n",
        BASE + "# \u00e9 \u65e5\u672c \U0001f600\n",
    ],
)
def test_the_same_in_every_dress(text: str) -> None:
    assert load(text, file="s.yml") == load(BASE, file="s.yml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1: the file should be a mapping that begins with `version: 1`"),
        ("# nothing\n", "1: the file should be a mapping that begins with `version: 1`"),
        ("- a", "1: the file should be a mapping that begins with `version: 1`"),
        ("word", "1: the file should be a mapping that begins with `version: 1`"),
        ("version: 1\n\tapp: x", "2: this is not YAML: found character '\\t' that cannot start any token"),
        ("version: 1\napp: [x", "2: this is not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 'x", "1: this is not YAML: found unexpected end of stream"),
        ("a: b\n c: d\n", "2: this is not YAML: mapping values are not allowed here"),
        ("a: *b", "1: this is not YAML: found undefined alias 'b'"),
        (BASE + "---\n" + BASE, "11: this is not YAML: but found another document"),
        (BASE + "\0", "11: this is not YAML: the character U+0000 may not stand in it"),
        (BASE + "a: \x07", "11: this is not YAML: the character U+0007 may not stand in it"),
        ("a: \ufffe", "1: this is not YAML: the character U+FFFE may not stand in it"),
        ("#" * 300_000, "1: the file is larger than 256 KiB"),
        ("[" * 5_000, "1: the file is nested more than 50 deep"),
        ("{a: " * 5_000, "1: the file is nested more than 50 deep"),
        ("\n".join(" " * deep + "a:" for deep in range(600)), "1: the file is nested more than 50 deep"),
        ("- " * 60 + "a", "1: the file should be a mapping that begins with `version: 1`"),
        (BASE + "config_vars: {a: " + "[" * 60 + "]" * 60 + "}", "1: the file is nested more than 50 deep"),
        ("a: &a [*a]", "1: the file is nested more than 50 deep"),
        ("a: &a {<<: *a}", "1: the file is nested more than 50 deep"),
        (BASE + "app: other", "11: app: the key stands here twice"),
        (BASE + "? [a]\n: b", "11: a key should be plain text"),
        (BASE + "a: {<<: 5}", "11: a: `<<` should name a mapping, or a list of them"),
        (BASE + "a: {<<: [5]}", "11: a: `<<` should name a mapping, or a list of them"),
        (here("env: {A: !!binary aGk=}"), "10: environments.staging.env.A: `!!binary` is not a kind of value that is known here"),
        (here("env: {A: !x y}"), "10: environments.staging.env.A: `!x` is not a kind of value that is known here"),
        (here("env: !!set {a}"), "10: environments.staging.env: `!!set` is not a kind of value that is known here"),
        (here('env: {A: "\\ud800"}'), "10: environments.staging.env.A: half of a surrogate pair is no character"),
    ],
)  # fmt: skip
def test_what_is_no_yaml_of_ours(text: str, expected: str) -> None:
    assert problems(text) == [expected]


def test_aliases_do_not_explode() -> None:
    laughs = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for one, other in zip("bcdefghi", "abcdefgh", strict=True):
        laughs.append(f"{one}: &{one} [{', '.join([f'*{other}'] * 9)}]")
    assert problems("\n".join(laughs)) == ["1: the file is too large once its aliases are expanded"]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1", "1"),
        ("1.5", "1.5"),
        ("1.10", "1.10"),
        ("1.0", "1.0"),
        ("0755", "0755"),
        ("0o7", "0o7"),
        ("0x1F", "0x1F"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("+1", "+1"),
        ("1e3", "1e3"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("-0", "-0"),
        ("9" * 5_000, "9" * 5_000),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("2026-01-02", "2026-01-02"),
        ("=", "="),
        ("<<", "<<"),
        ("'true'", "true"),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ("''", ""),
        ("!!str 5", "5"),
        ("!!int x", "x"),
        ("!!float ''", ""),
        ("!!bool x", "x"),
    ],
)
def test_text_stays_as_it_was_written(written: str, value: str) -> None:
    assert load(here(f"env: {{A: {written}}}"), file="s.yml").environments["staging"].env == {"A": value}


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90", 90.0),
        ("90s", 90.0),
        ("1.5", 1.5),
        ("1.50", 1.5),
        ("'90'", 90.0),
        ("20m", 1200.0),
        ("1h30m", 5400.0),
        ("1d", 86400.0),
        ("250ms", 0.25),
        ("1s500ms", 1.5),
        ("7d", 604800.0),
    ],
)
def test_durations(written: str, seconds: float) -> None:
    assert load(f"{BASE}build: {{timeout: {written}}}", file="s.yml").build.timeout == seconds


@pytest.mark.parametrize(
    ("written", "place", "says"),
    [
        ("", "", "should be a list; nothing is written here"),
        ("[1]", "[0]", "should be text, not `1`"),
        ("''", "", "should not be empty"),
        ("[ci, '']", "[1]", "should not be empty"),
        ("5", "", "should be a list, not `5`"),
    ],
)
def test_what_are_no_required_checks(written: str, place: str, says: str) -> None:
    assert problems(f"{BASE}gates: {{required_checks: {written}}}") == [f"11: gates.required_checks{place}: {says}"]


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("0", "should be greater than 0, not `0`"),
        ("-1", "should be greater than 0, not `-1`"),
        ("0s", "should be greater than 0, not `0s`"),
        ("8d", "should be less than or equal to 604800, not `8d`"),
        ("abc", "should be a duration such as 90s, 20m or 1h30m, not `abc`"),
        ("''", "should be a duration such as 90s, 20m or 1h30m, not ``"),
        ("1 h", "should be a duration such as 90s, 20m or 1h30m, not `1 h`"),
        ("1m1h", "should be a duration such as 90s, 20m or 1h30m, not `1m1h`"),
        ("\u0665s", "should be a duration such as 90s, 20m or 1h30m, not `\u0665s`"),
        (".inf", "should be a duration such as 90s, 20m or 1h30m, not `.inf`"),
        ("true", "should be a duration such as 90s, 20m or 1h30m, not `true`"),
        ("[1]", "should be a duration such as 90s, 20m or 1h30m"),
        ("", "this should not be empty; nothing is written here"),
        ("9" * 400, f"should be less than or equal to 604800, not `{'9' * 60}…`"),
        ("9" * 400 + "s", f"should be less than or equal to 604800, not `{'9' * 60}…`"),
    ],
)
def test_what_is_no_duration(written: str, says: str) -> None:
    assert problems(f"{BASE}build: {{timeout: {written}}}") == [f"11: build.timeout: {says}"]


def test_a_duration_is_read_outside_a_file_as_well() -> None:
    assert parse_duration(5) == 5.0
    with pytest.raises(ValueError, match="duration"):
        parse_duration(True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # unknown keys, at each level
        (BASE + "gate: {}", ["11: gate: there is no key `gate` here; did you mean `gates`?"]),
        (BASE + "gates: {require_checks: [ci]}", ["11: gates.require_checks: there is no key `require_checks` here; did you mean `required_checks`?"]),
        (put("{web: {}}", "{web: {prot: 80}}"), ["8: targets.gcp.services.web.prot: there is no key `prot` here; did you mean `port`?"]),
        (put("{web: {}}", "{web: {scale: {mim: 1}}}"), ["8: targets.gcp.services.web.scale.mim: there is no key `mim` here; did you mean `min`?"]),
        (put("{web: {}}", "{web: {probe: {startup: {pth: /}}}}"), ["8: targets.gcp.services.web.probe.startup.pth: there is no key `pth` here; did you mean `path`?"]),
        (put("{web: {}}", "{web: {probe: {startup: {zzzzz: /}}}}"), ["8: targets.gcp.services.web.probe.startup.zzzzz: there is no key `zzzzz` in targets.gcp.services.web.probe.startup; it may hold `delay`, `failures`, `path`, `period` and `timeout`",
                                                                     "8: targets.gcp.services.web.probe.startup: the key `path` is missing"]),
        (here("permission: {}"), ["10: environments.staging.permission: there is no key `permission` here; did you mean `permissions`?"]),
        (BASE + "build: {zzzzzzzz: 1}", [("11: build.zzzzzzzz: there is no key `zzzzzzzz` in build; it may hold `args`, `builder`, `config`, `context`, `dockerfile`, "
                                         "`labels`, `machine_type`, `overlay`, `platform`, `provenance`, `repository`, `service_account`, `substitutions` and `timeout`")]),
        (put("    region: r", "    region: r\n    formation: {}"), ["8: targets.gcp.formation: the key `formation` does not go with the others here"]),
        (BASE + "1: x", [("11: 1: there is no key `1` in the top level; it may hold `app`, `build`, `config_vars`, `default_environment`, `environments`, `gates`, "
                         "`notify`, `permissions`, `targets` and `version`")]),
        # wrong types
        (BASE + "gates: {allow_forks: yes}", ["11: gates.allow_forks: should be `true` or `false`, not `yes`"]),
        (BASE + "gates: {up_to_date: ['!docs/']}", ["11: gates.up_to_date: patterns that begin with `!` leave out what others pick, and there is none that picks"]),
        (BASE + "gates: {up_to_date: 3}", ["11: gates.up_to_date: should be `true`, `false` or a list of paths, not `3`"]),
        (BASE + "gates: []", ["11: gates: should be a mapping"]),
        (put("staging: {}", "staging:"), ["10: environments.staging: should be a mapping; nothing is written here"]),
        (put("app: shop", "app:"), ["2: app: should be text; nothing is written here"]),
        (put("app: shop", "app: [shop]"), ["2: app: should be text"]),
        (put("app: shop", "app: 5"), ["2: app: should be text, not `5`"]),
        (here("env: {A: true}"), ['10: environments.staging.env.A: this is text, so write "true" in quotes']),
        (here("env: [A]"), ["10: environments.staging.env: should be a mapping"]),
        (here("on: true"), ["10: environments.staging.on: should be `push`, not `true`"]),
        (put("{web: {}}", "{web: {port: '80'}}"), ['8: targets.gcp.services.web.port: should be a whole number, not `"80"`']),
        (put("{web: {}}", "{web: {port: 080}}"), ['8: targets.gcp.services.web.port: should be a whole number, not `"080"`']),
        (put("{web: {}}", "{web: {port: 8.5}}"), ["8: targets.gcp.services.web.port: should be a whole number, not `8.5`"]),
        (put("{web: {}}", "{web: {port: 0}}"), ["8: targets.gcp.services.web.port: should be greater than or equal to 1, not `0`"]),
        (put("{web: {}}", "{web: {args: x}}"), ["8: targets.gcp.services.web.args: should be a list, not `x`"]),
        (put("{web: {}}", "{web: {ingress: public}}"), ["8: targets.gcp.services.web.ingress: should be `all`, `internal` or `internal-and-cloud-load-balancing`, not `public`"]),
        (put("version: 1", "version: 2"), ["1: version: should be 1, not `2`"]),
        (put("version: 1", "version: '1'"), ['1: version: should be 1, not `"1"`']),
        (put("version: 1\n", ""), ["1: the key `version` is missing"]),
        (put("  staging: {}", "  {}"), ["9: environments: should not be empty"]),
        (put("{web: {}}", "{}"), ["8: targets.gcp.services: should not be empty"]),
        # discriminators
        (put("cloud_run", "cloudrun"), ["4: targets.gcp: `type: cloudrun` is not one of `cloud_run`, `heroku`; did you mean `cloud_run`?"]),
        (put("cloud_run", "kubernetes"), ["4: targets.gcp: `type: kubernetes` is not one of `cloud_run`, `heroku`"]),
        (put("    type: cloud_run\n", ""), ["4: targets.gcp: the key `type` is missing: `cloud_run` or `heroku`"]),
        (checks("{htp: /x}"), ["10: targets.gcp.verify[0]: should have one of the keys http, job, iam or serving"]),
        (checks("/health"), ["10: targets.gcp.verify[0]: should have one of the keys http, job, iam or serving, not `/health`"]),
        (checks("{http: /x}", "{http: /x, job: y}"), ["11: targets.gcp.verify[1].job: the key `job` does not go with the others here"]),
        (checks("{http: /x, passess: 2}"), ["10: targets.gcp.verify[0].passess: there is no key `passess` here; did you mean `passes`?"]),
        (checks("{http: /x, status: '200'}"), ['10: targets.gcp.verify[0].status: should be a whole number, not `"200"`']),
        (checks("{serving: [web], digest: x}"), ["10: targets.gcp.verify[0].digest: should be `{release.digest}`, not `x`"]),
        # names
        (put("app: shop", "app: Shop_x"), ["2: app: `Shop_x` is not a name: lower case letters, digits and hyphens, a letter first"]),
        (put("app: shop", f"app: {'x' * 1000}"), [f"2: app: should have at most 49 characters, not `{'x' * 60}…`"]),
        (put("app: shop", 'app: "a\\nb`c"'), ["2: app: `a b'c` is not a name: lower case letters, digits and hyphens, a letter first"]),
        (put("{web: {}}", "{Web: {}}"), ["8: targets.gcp.services.Web: `Web` is not a name: lower case letters, digits and hyphens, a letter first"]),
        (put("  staging:", "  Staging:"), ["10: environments.Staging: `Staging` is not a name: lower case letters, digits and hyphens, a letter first"]),
        (here("env: {A-B: x}"), ["10: environments.staging.env.A-B: `A-B` is not a variable's name: letters, digits and underscores, no digit first"]),
        (here("values: {Q: x}"), ["10: environments.staging.values.Q: `Q` is not a value's name: lower case letters, digits and underscores, a letter first"]),
        (BASE + "build: {overlay: {context: Extras, repos: [acme]}}", ["11: build.overlay.context: `Extras` is not a context's name: lower case letters, digits, `.`, `_` and `-`",
                                                                       "11: build.overlay.repos[0]: `acme` is no repository: write `owner/name`"]),
        (BASE + "build: {overlay: {context: extras, repos: []}}", ["11: build.overlay.repos: should not be empty"]),
        (here("promote_from: {enviroment: x}"), ["10: environments.staging.promote_from.enviroment: there is no key `enviroment` here; did you mean `environment`?"]),
        (here("promote_from: {environment: x, soak: 0}"), ["10: environments.staging.promote_from.soak: should be greater than 0, not `0`"]),
        (BASE + "permissions: {deploy: wirte}", ["11: permissions.deploy: `wirte` is no role: write read, triage, write, maintain, admin, @login or @org/team; did you mean `write`?"]),
        (BASE + "permissions: {deploy: [write, '@a/b/c']}", ["11: permissions.deploy[1]: `@a/b/c` is no role: write read, triage, write, maintain, admin, @login or @org/team"]),
        (BASE + "permissions: {deploy: []}", ["11: permissions.deploy: should not be empty"]),
        (here("secrets: {A: {name: x, version: newest}, B: 5}"), ["10: environments.staging.secrets.A.version: `newest` is no version: write `latest` or a number",
                                                                  "10: environments.staging.secrets.B: should be a mapping, not `5`"]),
    ],
)  # fmt: skip
def test_what_is_wrong_in_itself(text: str, expected: list[str]) -> None:
    assert sorted(problems(text)) == sorted(expected)


def test_every_problem_is_told_at_once_and_in_the_files_order() -> None:
    text = "version: 2\napp: Shop\ntargets:\n  gcp: {type: heroku, ap: x}\nenvironments:\n  staging: {on: pull}\n"
    assert [re.match(r"\d+", line)[0] for line in problems(text)] == ["1", "2", "4", "6"]  # type: ignore[index]


def test_merge_keys_are_yamls_own() -> None:
    text = put(
        WEB,
        "services:\n      a: &a {port: 80, memory: 1Gi}\n      b: &b {<<: *a, port: 81}\n      c: {port: 82, <<: [*b, *a]}\n      d: {<<: [*b, *a]}",
    )
    target = load(text, file="s.yml").targets["gcp"]
    assert {key: (service.port, service.memory) for key, service in target.services.items()} == {  # type: ignore[union-attr]
        "a": (80, "1Gi"),
        "b": (81, "1Gi"),
        "c": (82, "1Gi"),
        "d": (81, "1Gi"),
    }


def test_a_quoted_merge_key_is_a_key() -> None:
    assert problems(put("{web: {}}", '{web: {"<<": {}}}'))[0].startswith(
        "8: targets.gcp.services.web.<<: there is no key `<<`"
    )


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.text(max_size=300) | st.text("{}[]&*!|>'\"%@`:#-? \n\ta1", max_size=120))
def test_arbitrary_text_is_an_error_that_says_so(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text, file="s.yml")
    assert caught.value.problems


LINES = VALIDIBOT.splitlines()
MUTATIONS = st.one_of(
    st.tuples(st.just("drop"), st.integers(0, len(LINES) - 1), st.just("")),
    st.tuples(st.just("twice"), st.integers(0, len(LINES) - 1), st.just("")),
    st.tuples(st.just("cut"), st.integers(0, len(LINES) - 1), st.just("")),
    st.tuples(st.just("value"), st.integers(0, len(LINES) - 1), st.sampled_from(["", "5", "true", "[x]", "{a: b}", "x", "null", "-1", "{nope}"])),
    st.tuples(st.just("key"), st.integers(0, len(LINES) - 1), st.sampled_from(["x", "On", "verify", "<<"])),
)  # fmt: skip


def mutate(lines: list[str], kind: str, place: int, word: str) -> None:
    place %= len(lines)
    line = lines[place]
    match kind:
        case "drop":
            del lines[place]
        case "twice":
            lines.insert(place, line)
        case "cut":
            lines[place] = line[: len(line) // 2]
        case "value":
            lines[place] = re.sub(r": .*", f": {word}", line)
        case _:
            lines[place] = re.sub(r"\w+:", f"{word}:", line, count=1)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(st.lists(MUTATIONS, min_size=1, max_size=3))
def test_a_broken_file_is_read_or_refused_and_nothing_else(mutations: list[tuple[str, int, str]]) -> None:
    lines = list(LINES)
    for kind, place, word in mutations:
        mutate(lines, kind, place, word)
    broken: tuple[str, ...] = ()
    try:
        assert isinstance(load("\n".join(lines), file="s.yml"), Config)
    except ConfigError as error:
        broken = error.problems or ("",)
    for problem in broken:
        assert re.match(r"s\.yml:[1-9]\d*: ", problem), problem
        assert "\n" not in problem
