"""Shares: to the release's revisions of all services and worker pools, or back to what served before."""

from __future__ import annotations

from typing import Any

from bot.core.plan import Restore, Shift
from bot.core.serving import ServiceState, TrafficShare
from bot.core.target import READS_PER_SECOND, Absent, Broken, Done, Known, Observation, Running
from bot.errors import UpstreamError
from bot.targets import foreign
from bot.targets.parallel import together
from bot.targets.run_condition import failed, sentence
from bot.targets.run_kind import Kind, R
from bot.targets.run_services import Services, overall
from bot.targets.run_template import revision_name
from bot.targets.run_traffic import has_percent, is_wanted, matches, restored, staged

_POLL = 0.3


def observe_shift(services: Services, step: Shift, known: Known) -> Observation:
    """Look whether all services send the share to the release's revisions and are as declared."""
    return overall(together(lambda key: _shift_of(services, key, step, known), step.services))


def apply_shift(services: Services, step: Shift, known: Known) -> Running:
    """Move the traffic of all services at once; what is declared of the service itself changes with it."""
    operations = together(lambda key: _shift(services, key, step, known), step.services)
    return Running(detail=f"{step.percent} %", operations=tuple(filter(None, operations)))


def observe_restore(services: Services, step: Restore, known: Known) -> Observation:
    """Look whether all recorded services are as they were recorded. Whatever can be brought back is, first of all."""
    return overall(together(lambda state: _restored_of(services, state, known), _known(services, step)), patient=True)


def apply_restore(services: Services, step: Restore, known: Known) -> Running:
    """Put all recorded services back at once. Safe to repeat: what is back already is left alone."""
    operations = together(lambda state: _restore(services, state, known), _known(services, step))
    return Running(detail="restoring", operations=tuple(filter(None, operations)))


def _known(services: Services, step: Restore) -> list[ServiceState]:
    """Return the recorded services that are still configured; the others are nobody's here any more."""
    keys = {spec.key for spec in services.spec.services}
    return [state for state in step.to.services if state.service in keys]


def _shift_of(services: Services, key: str, step: Shift, known: Known) -> Observation:
    kind, live = services.kind(key), services.get(key)
    name = revision_name(services.spec.service(key).name, known.release)
    if live is None:
        return Broken(detail=f"The {kind.noun} {key} is gone.")
    # What belongs to the service and not to a revision changes with the last of the traffic.
    config = services.spec.service(key).config
    wanted = kind.declared(config, kind.settings(live)) if step.percent == 100 else {}
    percent = _percent(key, step, known)
    if not has_percent(kind.asked(live), name, percent) or kind.reconcile(live, wanted, kind.blank()):
        return Absent()
    if not _moved(kind, live, name, percent):
        if failed(live.terminal_condition) and not live.reconciling:
            return Broken(detail=f"{key}: {sentence(live.terminal_condition)}")
        return Running(detail=f"{key}: {kind.moving}")
    if "public" in wanted and services.public(key, live) != wanted["public"]:
        return Absent()
    return Done()


def _percent(key: str, step: Shift, known: Known) -> int:
    """Return the share that a step gives the release: all of it where nothing served before."""
    return step.percent if any(share.percent for share in known.before.service(key).traffic) else 100


def _moved(kind: Kind[R], live: R, name: str, percent: int) -> bool:
    """Whether the shares really are where they should be (run.v2 Service.reconciling tells how to read a service)."""
    settled = not live.reconciling and live.observed_generation >= live.generation
    return settled and has_percent(kind.shares(live), name, percent) and not failed(live.terminal_condition)


def _shift(services: Services, key: str, step: Shift, known: Known) -> str:
    kind, config = services.kind(key), services.spec.service(key).config
    name = revision_name(services.spec.service(key).name, known.release)
    live, percent = services.existing(key), _percent(key, step, known)

    def prepare(now: R, update: R) -> list[str]:
        wanted = kind.declared(config, kind.settings(now)) if step.percent == 100 else {}
        paths = kind.reconcile(now, wanted, update)
        if not has_percent(kind.asked(now), name, percent):
            foreign.refuse(kind, now, key, known, name, percent=step.since.get(key, 0))
            before = known.before.service(key).traffic
            paths = [*kind.allocate(update, staged(kind.shares(now), before, name, known.release.tag, percent)), *paths]
        return paths

    operation = services.update(key, live, prepare)
    if step.percent == 100 and config.public is not None and services.public(key, live) != config.public:
        # The door opens only on what was verified, so not before the traffic has moved.
        _await_moved(services, key, name, step, percent)
        services.set_public(key, public=config.public)
    return operation


def _await_moved(services: Services, key: str, name: str, step: Shift, percent: int) -> None:
    google = services.google
    deadline = google.clock() + step.timeout
    while not _moved(services.kind(key), services.existing(key), name, percent):
        if google.clock() >= deadline:
            raise UpstreamError(
                f"The traffic of {key} did not move within {step.timeout:.0f} s.",
                service="Cloud Run",
                operation="shift traffic",
            )
        google.sleep(max(_POLL, len(step.services) / READS_PER_SECOND))


def _restored_of(services: Services, state: ServiceState, known: Known) -> Observation:
    key, kind = state.service, services.kind(state.service)
    live = services.get(key)
    if not state.exists:
        return _left_shut(services, kind, key, live)
    if live is None:
        return Broken(detail=f"The {kind.noun} {key} is gone.")
    stranger = foreign.stranger(kind, live, key, known, revision_name(services.spec.service(key).name, known.release))
    if stranger:
        return Broken(detail=stranger)
    wanted = _wanted(kind, live, state, known)
    if matches(kind.shares(live), wanted) and not live.reconciling:
        return Done() if _as_recorded(services, state, live, known) else Absent()
    if not is_wanted(kind.asked(live), wanted):
        return Absent()
    if live.reconciling:
        return Running(detail=f"{key}: {kind.moving} back")
    return Broken(detail=f"{key}: {sentence(live.terminal_condition)}")


def _left_shut(services: Services, kind: Kind[R], key: str, live: R | None) -> Observation:
    """Judge what the failed release made: it stays in place, but out of action."""
    if live is None:
        return Done()
    if not kind.is_shut(live, public=services.public(key, live)):
        return Absent()
    return Done(detail=f"{key} did not exist before: it is left in place, {kind.left}")


def _wanted(kind: Kind[R], live: R, state: ServiceState, known: Known) -> tuple[TrafficShare, ...]:
    """Return the shares to have again; a service that served nothing keeps what it has, for it cannot have none."""
    now = kind.shares(live)
    served = any(share.percent for share in state.traffic)
    return restored(now, state.traffic, known.release.tag) if served else now


def _as_recorded(services: Services, state: ServiceState, live: Any, known: Known) -> bool:
    kind = services.kind(state.service)
    if kind.reconcile(live, _ours(services, state, live, known), kind.blank()):
        return False
    public = state.settings.get("public")
    return public is None or services.public(state.service, live) == public


def _ours(services: Services, state: ServiceState, live: Any, known: Known) -> dict[str, Any]:
    """Return the recorded settings that are to be put back: all but those that somebody else has changed meanwhile."""
    kind = services.kind(state.service)
    seen = known.found if known.found.services else known.before
    found = seen.service(state.service).settings
    wanted = kind.declared(services.spec.service(state.service).config, found)
    now = kind.settings(live)
    return {
        name: value
        for name, value in state.settings.items()
        if name not in found or now.get(name) in (found[name], wanted.get(name, value), value)
    }


def _restore(services: Services, state: ServiceState, known: Known) -> str:
    key, kind = state.service, services.kind(state.service)
    live = services.get(key)
    if not state.exists:
        return _shut(services, kind, key, live) if live is not None else ""
    live = live if live is not None else services.existing(key)
    name = revision_name(services.spec.service(key).name, known.release)

    def prepare(now: R, update: R) -> list[str]:
        if foreign.stranger(kind, now, key, known, name):
            return []
        paths = kind.reconcile(now, _ours(services, state, now, known), update)
        wanted = _wanted(kind, now, state, known)
        # What is still on its way is called off, though it may not show in what serves yet.
        serves = matches(kind.shares(now), wanted) and not now.reconciling
        if not is_wanted(kind.asked(now), wanted) and not serves:
            paths = [*kind.allocate(update, wanted), *paths]
        return paths

    operation = services.update(key, live, prepare)
    public = state.settings.get("public")
    ours = not foreign.stranger(kind, live, key, known, name)
    if ours and public is not None and services.public(key, live) != public:
        services.set_public(key, public=public)
    return operation


def _shut(services: Services, kind: Kind[R], key: str, live: R) -> str:
    operation = services.update(key, live, kind.shut)
    if services.public(key, live):
        services.set_public(key, public=False)
    return operation
