"""Keeps the comment of a preview true while it is made."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace

from bot.app.context import Context, Request
from bot.core.outcome import StepResult
from bot.core.preview_report import PreviewReport
from bot.engine.live_comment import LiveComment
from bot.report.previews import preview_comment, preview_summary

TITLES = {"verify-preview": "Check the preview"}


class PreviewReporter:
    """Follows one preview. :meth:`changed` may be called from any thread."""

    def __init__(self, context: Context, request: Request, report: PreviewReport) -> None:
        self._context, self._request, self._report = context, request, report
        self._lock = threading.Lock()
        self._live: LiveComment | None = None

    @property
    def report(self) -> PreviewReport:
        """The report as it stands, without secrets."""
        with self._lock:
            report = replace(self._report, now=self._context.clock.now())
        return self._context.masker.mask_all(report)

    def begin(self) -> int:
        """Make the comment and follow changes from now on; returns its id (0: nowhere to comment)."""
        comment = self._context.say(self._request, self._render(), rest=False) if self._request.issue else None
        if comment is None:
            return 0
        self._live = LiveComment(self._edit, self._render)
        self._live.start()
        return comment.id

    def update(self, **changes: object) -> None:
        """Take what is known meanwhile."""
        with self._lock:
            self._report = replace(self._report, **changes)  # type: ignore[arg-type]  # the callers name its own fields
        if self._live is not None:
            self._live.changed()

    def changed(self, steps: Iterable[StepResult]) -> None:
        """Take some of the steps as they stand."""
        news = {step.id: replace(step, title=TITLES.get(step.id, step.title)) for step in steps}
        with self._lock:
            before = {step.id: step.state for step in self._report.steps}
            self._report = replace(self._report, steps=tuple(news.get(step.id, step) for step in self._report.steps))
        for step in news.values():
            if step.state != before.get(step.id, "waiting"):
                self._context.log("step", step=step.id, state=step.state, detail=step.detail, link=step.link)
        if self._live is not None:
            self._live.changed()

    def _render(self) -> str:
        report = self.report
        return preview_comment(report, marker=self._context.marker(self._request, report.sha))

    def _edit(self, body: str) -> None:
        self._context.say(self._request, body, rest=False)

    def write_last(self) -> int:
        """Write the last comment and the summary; returns the comment's id."""
        self._context.summary.append(self._context.clean(preview_summary(self.report)))
        if self._live is not None:
            self._live.finish(self._render())
        comment = self._context.comment_of(self._request)
        return comment.id if comment else 0

    def close(self) -> None:
        """Stop following, however it ended."""
        if self._live is not None:
            self._live.stop()
