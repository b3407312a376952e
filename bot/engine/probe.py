"""Makes the requests of checks, over pooled connections and without raising."""

from __future__ import annotations

import time
from collections.abc import Mapping

import urllib3

from bot.engine.verification import MAX_BODY, Answer

NO_URL = "this is no URL"


class HttpProber:
    """One request at a time per call; safe to call from several threads.

    ``connect`` bounds connecting, in seconds; how long an answer may take is the check's own business.
    """

    def __init__(self, *, connect: float = 5.0) -> None:
        self._connect = connect
        self._pool = urllib3.PoolManager(num_pools=8, maxsize=8, retries=False, headers={"User-Agent": "slipway"})

    def __call__(self, method: str, url: str, headers: Mapping[str, str], timeout: float) -> Answer:
        """Return the answer; redirects are answers. ``timeout`` bounds connecting and each read, in seconds."""
        started = time.monotonic()
        if not url.lower().startswith(("http://", "https://")):
            return Answer(status=0, error=NO_URL)
        try:
            response = self._pool.request(
                method,
                url,
                headers={"User-Agent": "slipway", **headers},
                timeout=urllib3.Timeout(connect=min(self._connect, timeout), read=timeout),
                redirect=False,
                preload_content=False,
            )
            body = response.read(MAX_BODY)
            if response.length_remaining:  # longer than is looked at: not worth reading to keep the connection
                response.close()
            response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            return Answer(status=0, seconds=time.monotonic() - started, error=_words(error))
        return Answer(
            status=response.status,
            body=body,
            headers=dict(response.headers.items()),
            seconds=time.monotonic() - started,
        )


def _words(error: urllib3.exceptions.HTTPError) -> str:
    """Return what happened in a few words, without the object's address that urllib3 prints."""
    match error:
        # A connection that is refused is a kind of timeout to urllib3, so it comes first.
        case urllib3.exceptions.NewConnectionError() | urllib3.exceptions.NameResolutionError():
            return "connection refused or host unknown"
        case urllib3.exceptions.TimeoutError():
            return "timed out"
        case urllib3.exceptions.SSLError():
            return "the TLS handshake failed"
        case urllib3.exceptions.LocationParseError():
            return NO_URL
        case _:
            return "the connection broke"
