"""The last words of what failed, from Heroku's streams. Best effort: no answer is an empty diagnosis."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime

import requests

from bot.core.questions import LogLine
from bot.core.target import Diagnosis
from bot.errors import SlipwayError
from bot.targets.heroku_api import Platform
from bot.targets.heroku_model import Build, LogSession, Release

_LINES = 40
_NEWEST = 200  # lines that are read for somebody who asks
_LONGEST = 20_000  # characters of such a line that are looked at: it is cut once it is masked
_WIDTH = 500  # characters of a line that are kept
_SECONDS = 3.0  # how long a stream is read, and how long lines are waited for
_POLL = 0.5
_BYTES = 4 << 20  # of a stream that are read at most
_EXCEPTION = re.compile(r"\w+(\.\w+)*(Error|Exception)(: |$)")
_ERROR = re.compile(r"\berror\b", re.IGNORECASE)
_REFUSAL = re.compile(r"^\s*!\s+(?P<words>\S.*)")  # how a buildpack and the build system write what went wrong
# 2026-03-02T09:00:00.123456+00:00 app[web.1]: text (Dev Center, "Logging"; RFC 5424's timestamp)
_PROCESS = re.compile(r"^[a-z][\w-]*\.\d+: ")  # as `_since` leaves a line
_LOG = re.compile(r"(?P<at>\S+) (?P<source>[\w-]+)\[(?P<process>[^\]]+)\]: ?(?P<text>.*)")


def build_failure(platform: Platform, build: Build) -> str:
    """Return why a build failed in a sentence, from its output: the API has no field for it."""
    for line in _lines(platform, build.output_stream_url):
        found = _REFUSAL.match(line)
        if found:
            return f"The build failed: {found['words'][:_WIDTH]}"
    return "The build failed."


def of_build(platform: Platform, build: Build, link: str) -> Diagnosis:
    """Read the end of a build's output."""
    return _diagnosis(_lines(platform, build.output_stream_url), link)


def of_release_phase(platform: Platform, release: Release, link: str) -> Diagnosis:
    """Read the end of a release phase's output."""
    return _diagnosis(_lines(platform, release.output_stream_url), link)


def of_dynos(platform: Platform, app: str, *, since: datetime, crashed: str, link: str) -> Diagnosis:
    """Read the app's log since a release was made; ``crashed`` is the dyno to ask about, ``""`` for all.

    Waits up to three seconds for the first lines, of a crashed dyno for an error: Logplex is a little late.
    """
    body: dict[str, object] = {"lines": 1500 if not crashed else 200, "tail": False}
    body |= {"dyno": crashed} if crashed else {"source": "app"}
    deadline = platform.clock() + _SECONDS
    while True:
        session = platform.ask("read the log", LogSession, "apps", app, "log-sessions", body=body)
        found = _diagnosis(list(_since(_lines(platform, session.logplex_url), since)), link)
        if found.error or (found.tail and not crashed) or platform.clock() >= deadline:
            return found
        platform.sleep(_POLL)


def newest(platform: Platform, app: str, *, since: datetime) -> tuple[LogLine, ...]:
    """Return the newest lines that an app has logged since a time, oldest first.

    Raises UpstreamError (or a subclass) or AuthError where there is no log session.
    """
    body = {"lines": _NEWEST, "tail": False, "source": "app"}
    session = platform.ask("read the log", LogSession, "apps", app, "log-sessions", body=body)
    lines = []
    for line in _lines(platform, session.logplex_url, _LONGEST):
        found = _LOG.match(line)
        at = _time(found["at"], since) if found is not None else None
        text = f"{found['process']}: {found['text']}" if found is not None else line
        if at is None or at >= since:
            lines.append(LogLine(text=text, at=at))
    return tuple(lines)


def first_error(lines: Sequence[str]) -> str:
    """Return the last line that is an exception, else the first that speaks of an error; ``""`` if none does.

    The last exception of a chained traceback is the one that ended the process.
    """
    texts = [line.strip() for line in (_text(line) for line in lines)]
    last = next((text for text in reversed(texts) if _EXCEPTION.match(text)), "")
    return last or next((text for text in texts if _ERROR.search(text)), "")


def _diagnosis(lines: Sequence[str], link: str) -> Diagnosis:
    return Diagnosis(error=first_error(lines), tail=tuple(lines[-_LINES:]), link=link)


def _text(line: str) -> str:
    """Return what a process wrote, without the name that the log puts before it."""
    return _PROCESS.sub("", line, count=1)


def _since(lines: Sequence[str], at: datetime) -> Iterator[str]:
    """Yield ``web.1: text`` of the log's lines that are not older; a line without a time is kept."""
    for line in lines:
        found = _LOG.match(line)
        if found is None:
            yield line
        elif _time(found["at"], at) >= at:
            yield f"{found['process']}: {found['text']}"


def _time(text: str, otherwise: datetime) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return otherwise
    return found if found.tzinfo else otherwise


def _lines(platform: Platform, url: str | None, width: int = _WIDTH) -> list[str]:
    """Return the last lines of a stream that are there within three seconds; none when it cannot be read."""
    if not url:
        return []
    deadline, size = platform.clock() + _SECONDS, 0
    parts: deque[bytes] = deque()
    try:
        with platform.follow(url, timeout=_SECONDS) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_content(chunk_size=None):
                parts.append(chunk)
                size += len(chunk)
                if platform.clock() >= deadline or size >= _BYTES:
                    break
    except (requests.RequestException, SlipwayError):
        pass  # what was read until then is better than nothing
    text = b"".join(parts).decode("utf-8", "replace")
    return [line.rstrip()[:width] for line in text.splitlines() if line.strip()]
