"""A short comment that tells whoever asked for a release how it ended, and which older comments that makes outdated.

GitHub notifies of a new comment. Of a name that is written into an old one by an edit, reports differ; and the report
of a release is one comment that is edited all along. So the name stands in a comment of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.core.facts import OwnComment
from bot.core.outcome import ReleaseReport
from bot.report.comment import over, read_marker
from bot.report.headline import headline
from bot.report.markdown import link

# A user's name, with the suffix of an enterprise's managed users. An app's (`name[bot]`) is none, nor is a team's.
_LOGIN = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}(?:_[A-Za-z0-9]{1,20})?", re.ASCII)
_AT_ONCE = 20  # comments that are hidden in one call; what is left goes at the next release


def wanted(report: ReleaseReport, *, after: float) -> bool:
    """Whether the end of a release is news to whoever asked: it failed, is not brought back, or took ``after`` seconds.

    Of a cancelled one it is not: somebody sat there and stopped it.
    """
    if not _LOGIN.fullmatch(report.actor):
        return False
    match report.state:
        case "failed":
            return True
        case "released":
            return report.now - report.started >= after
        case _:
            return report.restored is False


def mention_comment(report: ReleaseReport, *, url: str, marker: str) -> str:
    """Return the comment that mentions whoever asked, and nobody else. ``url``: the release's own comment."""
    title = headline(report).removeprefix("### ")
    return f"{marker}\n@{report.actor} {title} · {link('how it went', url)}\n"


def told(thread: Sequence[OwnComment], deployment_id: int) -> bool:
    """Whether a thread holds the mention of a deployment's end already."""
    return any(read_marker(one.body).get("told") == str(deployment_id) for one in thread)


def outdated(thread: Sequence[OwnComment], *, environment: str, newest: int) -> tuple[OwnComment, ...]:
    """Return what is older than the comment ``newest`` of a release, and of earlier releases of its environment.

    Never one that is under way. Refusals and answers stay: each answers somebody, and claims nothing of what serves.
    """
    found = [
        one
        for one in thread
        if one.id < newest and not one.minimized and read_marker(one.body).get("env") == environment and over(one.body)
    ]
    return tuple(found[-_AT_ONCE:])
