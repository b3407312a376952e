"""Reads that any answer will want, asked for while the libraries that judge them are still being imported.

Nothing is decided here and nothing is written: each read is kept by its name and arguments, and the application, which
asks for the same, finds the answer there.
"""

from __future__ import annotations

from concurrent.futures import Future

from bot.core.commands import Command, parse_comment
from bot.core.events import CommentEvent, Event
from bot.core.facts import PullRequest
from bot.core.ports import HISTORY, GitHub
from bot.core.registry import REGISTRY
from bot.engine.gathering import Gatherer


def ask_early(gatherer: Gatherer, github: GitHub, event: Event, *, config_path: str) -> None:
    """Ask for the configuration, the permission, the pull request, the environment and the head's checks."""
    if not isinstance(event, CommentEvent):
        if event.actor:  # nobody asks for what a schedule does
            gatherer.once(github.permission, event.actor)
        gatherer.once(github.file, config_path, event.default_branch)
        return
    asked = parse_comment(event.body)
    if not asked:
        return
    gatherer.once(github.permission, event.author)
    gatherer.once(github.file, config_path, event.default_branch)
    first = next((item for item in asked if isinstance(item, Command)), None)
    if event.is_pull_request and (first is None or REGISTRY[first.verb].about_head):
        pull = gatherer.once(github.pull_request, event.number)
        if first is not None and first.verb in {"deploy", "status"}:
            pull.add_done_callback(lambda found: _of_head(gatherer, github, found, named=bool(first.sha)))
    if first is not None and first.environment and first.verb != "preview":  # whose record is another
        gatherer.once(github.held, (first.environment,))
        gatherer.once(github.deployments, first.environment, HISTORY)


def _of_head(gatherer: Gatherer, github: GitHub, found: Future[PullRequest], *, named: bool) -> None:
    """Ask for what is known of a pull request's head as soon as there is one."""
    if found.cancelled() or found.exception() is not None:
        return
    pull = found.result()
    gatherer.once(github.checks, pull.merge_sha if pull.merged else pull.head_sha)
    if not (named or pull.merged or pull.from_fork):
        gatherer.once(github.pushed_at, pull.head_ref, pull.head_sha)
