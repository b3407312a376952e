"""Streaming a commit's tarball, without ever holding it whole and without handing the token to another host.

PyGithub's own stream reads the whole body first (github/Requester.py never passes ``stream`` to requests), so this goes
through requests directly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urljoin

import requests

from bot.errors import ForbiddenError, NotFoundError, UpstreamError
from bot.github.endpoint import allowed, origin
from bot.github.retry import Failed, Waiting, repeat
from bot.github.transport import API_VERSION, USER_AGENT

CHUNK_BYTES = 256 * 1024
_HOPS = 5
_GZIP = b"\x1f\x8b"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@contextmanager
def stream(url: str, *, token: str, waiting: Waiting, what: str, timeout: float = 20.0) -> Iterator[Iterator[bytes]]:
    """Open ``url`` (GitHub redirects it to a host of archives) and yield an iterator of chunks of gzip.

    Opening is repeated like any read. A stream that breaks raises and is not resumed. ``timeout`` bounds each wait for
    bytes, in seconds.

    Raises:
        UpstreamError: or the subclass that says more, here or while iterating.
    """
    with requests.Session() as session:
        response = repeat(lambda: _open(session, url, token, what, timeout), waiting)
        with response:
            yield _chunks(response, what)


def _open(session: requests.Session, url: str, token: str, what: str, timeout: float) -> requests.Response:
    """Follow redirects to the archive. Raises Failed.

    The addresses carry one-time tokens, so no message names one and no cause, which would, is kept.
    """
    start = origin(url)
    for _ in range(_HOPS):
        headers = {"User-Agent": USER_AGENT, "X-GitHub-Api-Version": API_VERSION, "Accept-Encoding": "identity"}
        if token and origin(url) == start:
            headers["Authorization"] = f"token {token}"
        try:
            response = session.get(
                url, headers=headers, stream=True, timeout=timeout, allow_redirects=False, auth=_no_netrc
            )
        except ValueError:  # requests parses where a redirect leads even when it does not go there
            raise Failed(_error(what, "it redirects to an address that is no URL")) from None
        except requests.RequestException:
            raise Failed(_error(what, "the archive's server could not be reached"), transient=True) from None
        if response.status_code not in _REDIRECTS:
            return _accept(response, what)
        response.close()
        url = urljoin(url, response.headers.get("location", ""))
        # Plain http is for loopback, and only for a GitHub that is on loopback itself.
        if not allowed(url) or (start[0] == "https" and not url.startswith("https:")):
            raise Failed(_error(what, "it redirects to an address that is not https"))
    raise Failed(_error(what, f"more than {_HOPS} redirects"))


def _accept(response: requests.Response, what: str) -> requests.Response:
    status = response.status_code
    if status == 200:
        return response
    response.close()
    known = {"service": "GitHub", "operation": what}
    message = f"GitHub answered {status} to the request to {what}."
    if status in {401, 403}:
        raise Failed(
            ForbiddenError(message, status=status, hint="The token needs the permission `contents: read`.", **known)
        )
    if status == 404:
        raise Failed(NotFoundError(message, status=status, **known))
    raise Failed(UpstreamError(message, status=status, **known), transient=status == 429 or status >= 500)


def _chunks(response: requests.Response, what: str) -> Iterator[bytes]:
    first = True
    try:
        for chunk in response.iter_content(CHUNK_BYTES):
            if first and not _GZIP.startswith(chunk[:2]):
                raise _error(what, "the answer is no gzip archive", response.status_code)
            first = False
            yield chunk
    except requests.RequestException:
        raise _error(what, "the stream broke off") from None
    if first:
        raise _error(what, "the archive is empty", response.status_code)


def _error(what: str, why: str, status: int = 0) -> UpstreamError:
    return UpstreamError(f"GitHub failed to {what}: {why}.", service="GitHub", operation=what, status=status)


def _no_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Stand in for an auth, so that requests does not replace the header by what a .netrc file says."""
    return request
