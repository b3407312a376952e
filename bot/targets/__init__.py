"""Where an application runs. :func:`connect` gives the adapter of a target; nothing heavy is imported before it."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, assert_never, cast

from bot.core.spec import CloudRunSpec, HerokuSpec, Spec

if TYPE_CHECKING:
    from bot.core.target import Others, Source, Target

T = TypeVar("T")


class Logins:
    """What targets log in as, so that those which do it alike do it once. Safe to share between threads."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the login of a key; the first to ask makes it. Raises what that raises."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
            return cast("T", self._kept[key])


def connect(
    spec: Spec,
    *,
    source: Source,
    others: Others | None = None,
    environ: Mapping[str, str],
    oidc: Callable[[str], str] | None = None,
    logins: Logins | None = None,
    sleep: Callable[[float], None] = time.sleep,
    timeout: float = 20.0,
) -> Target:
    """Return the adapter of a target. Makes no call yet.

    ``source`` streams the tarball of a sha, ``others`` that of another repository; ``environ`` holds endpoints and
    credentials, ``oidc`` gives the run's OIDC token for an audience (None: the run has none), ``logins`` are those of
    other targets. ``sleep`` waits some seconds inside a step; it raises CancelledError to end the wait when the run was
    asked to stop. ``timeout`` bounds one call, in seconds. Raises SettingsError for an endpoint that is not allowed.
    """
    match spec:
        case CloudRunSpec():
            cloud_run = importlib.import_module("bot.targets.cloud_run")
            target: Target = cloud_run.connect(
                spec, source=source, others=others, environ=environ, oidc=oidc, logins=logins, sleep=sleep,
                timeout=timeout,
            )  # fmt: skip
        case HerokuSpec():
            heroku = importlib.import_module("bot.targets.heroku")
            target = heroku.connect(spec, source=source, environ=environ, oidc=oidc, sleep=sleep, timeout=timeout)
        case _:
            assert_never(spec)
    return target


def prepare(target: Target) -> threading.Thread | None:
    """Have a target log in and import what its first steps need, in a thread beside other waiting.

    Returns the thread; None for a target that has nothing to prepare.
    """
    work = getattr(target, "prepare", None)
    if work is None:
        return None
    thread = threading.Thread(target=work, name="prepare", daemon=True)
    thread.start()
    return thread
