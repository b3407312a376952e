import traceback
from typing import Any

import pytest
import requests

from bot.errors import ForbiddenError, NotFoundError, UpstreamError
from bot.github import archive
from bot.github.api import Api

A = "a" * 40
URL = f"https://api.github.com/repos/acme/shop/tarball/{A}"
ELSEWHERE = f"https://codeload.example/acme/shop/tar.gz/{A}?token=one-time"
GZIP = b"\x1f\x8b" + bytes(range(256)) * 3000


def read(api: Api) -> Any:
    with api.tarball(A) as chunks:
        return list(chunks)


def redirect(wire: Any, url: Any, to: Any, status: Any = 302) -> Any:
    wire.add("GET", url, status=status, headers={"Location": to})


def test_it_comes_in_chunks_and_the_token_stays_at_home(wire: Any, api: Api) -> None:
    redirect(wire, URL, ELSEWHERE)
    wire.add("GET", ELSEWHERE, body=GZIP)
    chunks = read(api)
    assert b"".join(chunks) == GZIP
    assert [len(chunk) for chunk in chunks] == [
        archive.CHUNK_BYTES,
        archive.CHUNK_BYTES,
        len(GZIP) - 2 * archive.CHUNK_BYTES,
    ]
    home, away = (call.request for call in wire.calls)
    assert home.headers["Authorization"] == "token s3cret"
    assert "Authorization" not in away.headers
    assert away.headers["Accept-Encoding"] == "identity"
    assert home.req_kwargs["stream"] is True
    assert home.req_kwargs["timeout"] == 20.0


def test_a_redirect_at_home_keeps_the_token(wire: Any, api: Api) -> None:
    redirect(wire, URL, "/repos/acme/shop/tarball/main")
    wire.add("GET", "https://api.github.com/repos/acme/shop/tarball/main", body=GZIP)
    assert b"".join(read(api)) == GZIP
    assert wire.calls[1].request.headers["Authorization"] == "token s3cret"


@pytest.mark.parametrize(
    "to", ["http://codeload.example/x", "http://127.0.0.1:80/x", "ftp://x/y", "//[", "http://api.github.com/x"]
)
def test_a_redirect_to_plain_http_is_refused(wire: Any, api: Api, to: Any) -> None:
    redirect(wire, URL, to)
    with pytest.raises(UpstreamError, match="redirects to an address that is"):
        read(api)


def test_a_circle_of_redirects_ends(wire: Any, api: Api) -> None:
    redirect(wire, URL, URL)
    with pytest.raises(UpstreamError, match="redirects"):
        read(api)
    assert len(wire.calls) == 5


def test_a_redirect_to_nowhere_ends(wire: Any, api: Api) -> None:
    wire.add("GET", URL, status=302)
    with pytest.raises(UpstreamError, match="redirects"):
        read(api)


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"PK"])
def test_what_is_no_gzip_is_refused(wire: Any, api: Api, body: Any) -> None:
    wire.add("GET", URL, body=body)
    with pytest.raises(UpstreamError, match="no gzip"):
        read(api)


def test_an_empty_answer_is_refused(wire: Any, api: Api) -> None:
    wire.add("GET", URL, body=b"")
    with pytest.raises(UpstreamError, match="empty"):
        read(api)


@pytest.mark.parametrize(
    ("status", "kind"), [(401, ForbiddenError), (403, ForbiddenError), (404, NotFoundError), (410, UpstreamError)]
)
def test_refusals(wire: Any, api: Api, slept: list[float], status: Any, kind: Any) -> None:
    wire.add("GET", URL, status=status)
    with pytest.raises(kind) as caught:
        read(api)
    assert caught.value.status == status
    assert slept == []


@pytest.mark.parametrize("fault", [requests.ConnectionError("reset"), 502, 429])
def test_opening_is_repeated(wire: Any, api: Api, slept: list[float], fault: Any) -> None:
    if isinstance(fault, int):
        wire.add("GET", URL, status=fault)
    else:
        wire.add("GET", URL, body=fault)
    wire.add("GET", URL, body=GZIP)
    assert b"".join(read(api)) == GZIP
    assert slept == [0.2]


def test_no_address_is_told(wire: Any, api: Api) -> None:
    redirect(wire, URL, ELSEWHERE)
    wire.add("GET", ELSEWHERE, body=requests.ConnectionError(f"cannot reach {ELSEWHERE}"))
    with pytest.raises(UpstreamError) as caught:
        read(api)
    assert "one-time" not in "".join(traceback.format_exception(caught.value))


def test_a_stream_that_breaks_off_raises(wire: Any, api: Api) -> None:
    wire.add("GET", URL, body=GZIP[:300], headers={"Content-Length": "5000"}, auto_calculate_content_length=False)
    with pytest.raises(UpstreamError, match="broke off"):
        read(api)
