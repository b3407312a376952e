from typing import Any

import pytest

from bot.errors import SettingsError
from bot.github.endpoint import allowed, endpoint, endpoint_with_query, loopback, origin


@pytest.mark.parametrize(
    ("url", "ok"),
    [
        ("https://api.github.com", True),
        ("https://git.example:8443/api/v3", True),
        ("http://127.0.0.1:8080", True),
        ("http://127.9.9.9", True),
        ("http://localhost:1", True),
        ("http://[::1]:8080", True),
        ("http://api.github.com", False),
        ("http://10.0.0.1", False),
        ("http://localhost.evil.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://127.0.0.1@evil.example", False),
        ("ftp://127.0.0.1", False),
        ("file:///etc/passwd", False),
        ("api.github.com", False),
        ("https://", False),
        ("https://host:port", False),
        ("https://[::1", False),
        ("", False),
    ],
)
def test_allowed(url: Any, ok: Any) -> None:
    assert allowed(url) is ok


@pytest.mark.parametrize(("host", "ok"), [("localhost", True), ("::1", True), ("0.0.0.0", False), ("example", False)])
def test_loopback(host: Any, ok: Any) -> None:
    assert loopback(host) is ok


def test_an_endpoint_loses_its_slash() -> None:
    assert endpoint("https://git.example/api/v3/", "GITHUB_API_URL") == "https://git.example/api/v3"


@pytest.mark.parametrize(
    "url", ["http://git.example", "https://me:secret@git.example", "https://git.example/#x", "https://git.example/?x=1"]
)
def test_unusable_endpoints_are_named_by_their_variable_and_not_quoted(url: Any) -> None:
    with pytest.raises(SettingsError, match="GITHUB_API_URL") as caught:
        endpoint(url, "GITHUB_API_URL")
    assert "secret" not in str(caught.value)


def test_a_query_may_be_allowed() -> None:
    assert endpoint_with_query("https://x.example/?a=1", "X") == "https://x.example/?a=1"


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://x/y", ("https", "x", 443)),
        ("http://x", ("http", "x", 80)),
        ("https://x:9/", ("https", "x", 9)),
        ("ws://x", ("ws", "x", 0)),
    ],
)
def test_origin(url: Any, parts: Any) -> None:
    assert origin(url) == parts
