"""Check runs, commit statuses and what they say together."""

from __future__ import annotations

from typing import Any

from bot.sandbox.github.base import Base
from bot.sandbox.github.model import CheckRun, CommitStatus

PASSING = {"success", "neutral", "skipped"}


class Checks(Base):
    """The evidence on commits."""

    def check_run(
        self,
        sha: str,
        *,
        name: str = "ci",
        conclusion: str | None = None,
        status: str | None = None,
        app: str = "github-actions",
        started_at: float | None = None,
        completed_at: float | None = None,
        details_url: str | None = None,
        external_id: str = "",
        output: dict[str, Any] | None = None,
    ) -> CheckRun:
        """Add a check run. With a conclusion it is completed, without one in progress, unless told."""
        with self.github.lock:
            now = self.github.now()
            done = conclusion is not None
            run = CheckRun(
                id=self.github.new_id(),
                suite=self.state.suites.setdefault((sha, app), self.github.new_id()),
                sha=sha, name=name, app=app,
                status="completed" if done else status or "in_progress",
                conclusion=conclusion,
                started_at=started_at if started_at is not None else now,
                completed_at=(completed_at if completed_at is not None else now) if done else None,
                details_url=details_url, external_id=external_id, output=dict(output or {}),
            )  # fmt: skip
            self.state.check_runs[run.id] = run
            return run

    def commit_status(
        self,
        sha: str,
        *,
        context: str = "default",
        state: str = "success",
        creator: str = "dana",
        description: str | None = None,
        target_url: str | None = None,
    ) -> CommitStatus:
        """Add a commit status."""
        with self.github.lock:
            status = CommitStatus(
                id=self.github.new_id(), sha=sha, state=state, context=context,
                creator=self.github.add_user(creator).login, created_at=self.github.now(),
                description=description, target_url=target_url,
            )  # fmt: skip
            self.state.statuses.append(status)
            return status

    def latest_check_runs(self, sha: str) -> list[CheckRun]:
        """Return the newest run of each name in each suite, newest first."""
        latest: dict[tuple[int, str], CheckRun] = {}
        for run in self.state.check_runs.values():
            if run.sha == sha:
                latest[run.suite, run.name] = run
        return sorted(latest.values(), key=lambda run: -run.id)

    def latest_statuses(self, sha: str) -> list[CommitStatus]:
        """Return the newest status of each context, newest first."""
        latest = {status.context: status for status in self.state.statuses if status.sha == sha}
        return sorted(latest.values(), key=lambda status: -status.id)

    def contexts(self, sha: str) -> list[tuple[str, str]]:
        """Return ``(context, state)`` of all evidence on a commit; an unfinished check run is ``pending``."""
        runs = [(run.name, run.conclusion or "pending") for run in self.latest_check_runs(sha)]
        return runs + [(status.context, status.state) for status in self.latest_statuses(sha)]
