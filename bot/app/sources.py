"""The other repositories whose sources join a build: each is resolved to a commit once."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future

from bot.app.context import Context
from bot.app.decision import Case
from bot.core.spec import CloudRunSpec
from bot.engine.gathering import known as given


def resolve(context: Context, case: Case) -> Future[Mapping[str, str]]:
    """Ask for the heads of the other repositories; a release that goes on builds what it has recorded.

    The answer is empty where nothing is built.
    """
    if case.resumed is not None:
        return given(case.resumed.record.sources)
    build = case.build
    return given({}) if build is None or build.promoted is not None else heads(context, case.environment.spec)


def heads(context: Context, spec: object) -> Future[Mapping[str, str]]:
    """Ask for the heads of the other repositories of a specification; the answer is empty where there are none."""
    overlay = spec.build.overlay if isinstance(spec, CloudRunSpec) else None
    return given({}) if overlay is None else context.gatherer.ask(_heads, context, overlay.repos)


def _heads(context: Context, repositories: tuple[str, ...]) -> Mapping[str, str]:
    asked = {name: context.gatherer.ask(context.sources.head, name) for name in repositories}
    return {name: head.result() for name, head in asked.items()}
