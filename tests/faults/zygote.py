"""The bot's process, without its start: a server that has imported everything and forks a child for each run.

It reads one line of JSON for each run (``what``: ``triage`` or ``act``, ``environ``, ``folder``) and answers two: the
child's ``pid`` at once, and its ``code`` when it has ended (negative: the signal that ended it). A child is a real
process with its own environment, folder and files for what it prints; it can be killed like any other.

It imports nothing of the sandbox, and starts no thread: what is forked is what a fresh start would be, imports done.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import bot.cli
import bot.triage

# What the bot imports late, where it is needed: here it is to be there before the fork.
LATE = (
    "bot.app", "bot.engine.early", "bot.engine.probe", "bot.github.api", "bot.github.oidc", "bot.github.runner", "bot.log",
    "bot.report.summary", "bot.targets.cloud_build", "bot.targets.cloud_run", "google.cloud.devtools.cloudbuild_v1",
    "google.cloud.logging", "google.cloud.storage", "google.cloud.storage.exceptions", "markdown_it", "statistics",
    "structlog", "tomllib",
)  # fmt: skip


def serve() -> None:
    """Answer requests until standard input ends."""
    for name in LATE:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # no collection may touch, and so copy, what the children share
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _run(**request)
        _say(pid=pid)
        _, status = os.waitpid(pid, 0)
        _say(code=os.waitstatus_to_exitcode(status))


def _say(**values: int) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _run(what: str, environ: dict[str, str], folder: str) -> None:
    """Be the bot, in the child. Ends the process."""
    for name, number in (("stdout", 1), ("stderr", 2)):
        file = os.open(Path(folder) / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, number)
        os.close(file)
    os.close(0)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    code: Any = 1
    try:
        code = bot.triage.main(os.environ) if what == "triage" else bot.cli.main(["act"])
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001 - the interpreter would print it and end with 1
        sys.excepthook(*sys.exc_info())
    finally:
        threading._shutdown()  # type: ignore[attr-defined]  # what the interpreter waits for at its end: other threads
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    serve()
