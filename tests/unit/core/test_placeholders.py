from __future__ import annotations

from typing import Any

import pytest

from bot.core.placeholders import Values, fill, names_in
from bot.errors import ConfigError

VALUES = Values(
    variables={"PROJECT": "acme-1", "BRACES": "{app}"},
    names={"app": "shop", "pyproject.version": "1.2", "nested": "{app}", "queue_name": "q"},
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{app}", "shop"),
        ("a-{app}-{app}", "a-shop-shop"),
        ("{pyproject.version}", "1.2"),
        ("{queue_name}", "q"),
        ("${vars.PROJECT}", "acme-1"),
        ("${vars.PROJECT}/{app}", "acme-1/shop"),
        ("${vars.BRACES}", "{app}"),  # a value is not read again
        ("{nested}", "{app}"),
        ("{ app }", "{ app }"),
        ("{APP}", "{APP}"),
        ("{}", "{}"),
        ("{app", "{app"),
        ("{{app}}", "{{app}}"),
        ('{"app": 1}', '{"app": 1}'),
        ("${app}", "${app}"),
        ("${HOME}", "${HOME}"),
        ("$vars.X", "$vars.X"),
        ("a{1,3}", "a{1,3}"),
        (["{app}", 5, None, True], ["shop", 5, None, True]),
        (("{app}",), ("shop",)),
        ({"{app}": {"x": "{app}"}}, {"{app}": {"x": "shop"}}),
        (1.5, 1.5),
    ],
)
def test_fill(value: Any, expected: Any) -> None:
    assert fill(value, VALUES, "at") == expected


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("{ap}", "at: `{ap}` has no value; did you mean `{app}`?"),
        (
            "{zzzzzzzzz}",
            "at: `{zzzzzzzzz}` has no value; there are `app`, `nested`, `pyproject.version` and `queue_name`",
        ),
        ("${vars.OTHER}", "at: there is no variable `OTHER`"),
        ({"a": ["x", "{ap}"]}, "at.a[1]: `{ap}` has no value; did you mean `{app}`?"),
    ],
)
def test_what_has_no_value(value: Any, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        fill(value, VALUES, "at")
    assert caught.value.problems == (problem,)
    assert caught.value.hint


def test_names_in() -> None:
    data = {"a": "{x} ${vars.Y} {z.w}", "b": ["{v}", 5], "c": None}
    assert list(names_in(data)) == [(("a",), "x"), (("a",), "z.w"), (("b", 0), "v")]
