"""A process whose lines are heard while it runs, and that dies with all it has started once it is not wanted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def run_lines(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Callable[[str], None],
    stopped: Callable[[], bool],
) -> int:
    """Run a command in its own process group and return its exit code; ``stopped`` is asked all the time."""
    with subprocess.Popen(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        done = threading.Event()
        watcher = threading.Thread(target=_kill_when, args=(process, stopped, done), daemon=True)
        watcher.start()
        assert process.stdout is not None
        for text in process.stdout:
            log(text.rstrip("\n"))
        code = process.wait()
        done.set()
        watcher.join()
    return code


def _kill_when(process: subprocess.Popen[str], stopped: Callable[[], bool], done: threading.Event) -> None:
    while not done.wait(0.05):
        if stopped():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return
