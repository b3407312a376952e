"""The moment of a call to a server, at which a story lets something happen."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from typing import Literal

from bot.sandbox.wire import Service

PATIENCE = 60.0  # seconds; a moment that never comes must not hang a scenario

BUILDS = "/v1/projects/{project}/locations/{location}/builds"
JOB_RUN = "/v2/projects/{project}/locations/{location}/jobs/{job}:run"
SERVICE = "/v2/projects/{project}/locations/{location}/services/{service}"
COMMENTS = "/repos/{owner}/{repo}/issues/{issue_number}/comments"
CREATE_REF = "/repos/{owner}/{repo}/git/refs"


class Moment:
    """The first call of one kind to a server.

    With ``hold`` that call waits until :attr:`go` is set; ``act`` is done in it, before it goes on.
    """

    def __init__(
        self,
        server: Service,
        when: Literal["before", "after"],
        method: str,
        template: str,
        *,
        hold: bool = False,
        act: Callable[[], object] | None = None,
    ) -> None:
        self.come, self.go = threading.Event(), threading.Event()
        self._wanted, self._hold, self._act = (when, method, template), hold, act
        self._once = threading.Lock()
        server.observers.append(self._see)

    def _see(self, when: str, method: str, template: str) -> None:
        if (when, method, template) != self._wanted or not self._once.acquire(blocking=False):
            return
        if self._act is not None:
            self._act()
        self.come.set()
        if self._hold:
            self.go.wait(PATIENCE)

    def then(self, act: Callable[[subprocess.Popen[str]], None]) -> Callable[[subprocess.Popen[str]], None]:
        """Return what does ``act`` with the bot's process once the moment has come."""

        def follow(process: subprocess.Popen[str]) -> None:
            if self.come.wait(PATIENCE):
                act(process)

        return follow
