"""Issues. One whose reply was lost is looked for before it is sent again: never two of them."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

from bot.core.facts import IssueRef
from bot.github import mapping
from bot.github.comments import CLOCK_SKEW, marker
from bot.github.failures import shaped
from bot.github.retry import repeat
from bot.github.transport import PER_PAGE, Request, Transport

_NEEDS = "issues: write"


def create(transport: Transport, title: str, body: str, since: datetime | None) -> IssueRef:
    """Open an issue (1 call). ``since``: an earlier run may have opened it since then, so it is looked for first."""
    what = "open an issue"
    started = datetime.fromtimestamp(transport.waiting.now(), UTC)
    request = Request(verb="POST", path="/issues", what=what, needs=_NEEDS, body={"title": title, "body": body})

    def send() -> IssueRef:
        answer = transport.once(request)
        with shaped(what, acted=True):
            return _issue(answer.data)

    def made() -> IssueRef | None:
        return find(transport, body, started)

    earlier = find(transport, body, since) if since is not None else None
    return earlier or repeat(send, transport.waiting, after_loss=made)


def find(transport: Transport, body: str, since: datetime) -> IssueRef | None:
    """Return the issue with a body's hidden first line that was changed since a time (1 call for each hundred)."""
    what = "look for an issue"
    params = {
        "state": "all",
        "sort": "created",
        "direction": "desc",
        "since": (since.astimezone(UTC) - CLOCK_SKEW).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "per_page": PER_PAGE,
    }
    for page in count(1):
        answer = transport.get("/issues", what=what, needs=_NEEDS, page=page, **params)
        with shaped(what):
            items = mapping.listed(answer)
            for item in items:
                if item.get("pull_request") is None and marker(mapping.text(item, "body")) == marker(body):
                    return _issue(item)
        if len(items) < PER_PAGE:
            return None
    raise AssertionError("unreachable: the last page is not full")  # pragma: no cover


def _issue(data: object) -> IssueRef:
    return IssueRef(number=mapping.need(data, "number", int), url=mapping.text(data, "html_url"))
