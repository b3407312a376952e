"""Traffic: to the release's revisions of all services, or back to what served before."""

from __future__ import annotations

from typing import Any

from google.cloud import run_v2

from bot.core.plan import Restore, Shift
from bot.core.serving import ServiceState, TrafficShare
from bot.core.target import Absent, Broken, Done, Known, Observation, Running
from bot.errors import NotFoundError, UpstreamError
from bot.targets import foreign
from bot.targets.parallel import together
from bot.targets.run_condition import failed, sentence
from bot.targets.run_service import declared, reconcile, settings
from bot.targets.run_services import Services, overall
from bot.targets.run_template import revision_name
from bot.targets.run_traffic import asked, has_percent, is_wanted, matches, restored, shares, staged, targets

_POLL = 0.3


def observe_shift(services: Services, step: Shift, known: Known) -> Observation:
    """Look whether all services send the share to the release's revisions and are as declared."""
    return overall(together(lambda key: _shift_of(services, key, step, known), step.services))


def apply_shift(services: Services, step: Shift, known: Known) -> Running:
    """Move the traffic of all services at once; what is declared of the service itself changes with it."""
    together(lambda key: _shift(services, key, step, known), step.services)
    return Running(detail=f"{step.percent} %")


def observe_restore(services: Services, step: Restore, known: Known) -> Observation:
    """Look whether all recorded services are as they were recorded. Whatever can be brought back is, first of all."""
    return overall(together(lambda state: _restored_of(services, state, known), _known(services, step)), patient=True)


def apply_restore(services: Services, step: Restore, known: Known) -> Running:
    """Put all recorded services back at once. Safe to repeat: what is back already is left alone."""
    together(lambda state: _restore(services, state, known), _known(services, step))
    return Running(detail="restoring")


def _known(services: Services, step: Restore) -> list[ServiceState]:
    """Return the recorded services that are still configured; the others are nobody's here any more."""
    keys = {spec.key for spec in services.spec.services}
    return [state for state in step.to.services if state.service in keys]


def _shift_of(services: Services, key: str, step: Shift, known: Known) -> Observation:
    service, name = services.get(key), revision_name(services.spec.service(key).name, known.release)
    if service is None:
        return Broken(detail=f"The service {key} is gone.")
    # What belongs to the service and not to a revision changes with the last of the traffic.
    wanted = declared(services.spec.service(key).config) if step.percent == 100 else {}
    if not has_percent(asked(service), name, step.percent) or reconcile(service, wanted, run_v2.Service()):
        return Absent()
    if not _moved(service, name, step.percent):
        if failed(service.terminal_condition) and not service.reconciling:
            return Broken(detail=f"{key}: {sentence(service.terminal_condition)}")
        return Running(detail=f"{key}: traffic is moving")
    if "public" in wanted and services.public(key, service) != wanted["public"]:
        return Absent()
    return Done()


def _moved(service: run_v2.Service, name: str, percent: int) -> bool:
    """Whether the traffic really is where it should be (run.v2 Service.reconciling tells how to read a service)."""
    settled = not service.reconciling and service.observed_generation >= service.generation
    return settled and has_percent(shares(service), name, percent) and not failed(service.terminal_condition)


def _shift(services: Services, key: str, step: Shift, known: Known) -> None:
    config = services.spec.service(key).config
    name = revision_name(services.spec.service(key).name, known.release)
    live = _existing(services, key)

    def prepare(now: run_v2.Service, update: run_v2.Service) -> list[str]:
        paths = reconcile(now, declared(config), update) if step.percent == 100 else []
        if not has_percent(asked(now), name, step.percent):
            foreign.refuse_to_shift(now, key, step, known, name)
            start = known.start.service(key).traffic
            update.traffic = targets(staged(shares(now), start, name, known.release.tag, step.percent))
            paths = ["traffic", *paths]
        return paths

    services.update(key, live, prepare)
    if step.percent == 100 and config.public is not None and services.public(key, live) != config.public:
        # The door opens only on what was verified, so not before the traffic has moved.
        _await_moved(services, key, name, step)
        services.set_public(key, public=config.public)


def _await_moved(services: Services, key: str, name: str, step: Shift) -> None:
    google = services.google
    deadline = google.clock() + step.timeout
    while not _moved(_existing(services, key), name, step.percent):
        if google.clock() >= deadline:
            raise UpstreamError(
                f"The traffic of {key} did not move within {step.timeout:.0f} s.",
                service="Cloud Run",
                operation="shift traffic",
            )
        google.sleep(_POLL)


def _existing(services: Services, key: str) -> run_v2.Service:
    service = services.get(key)
    if service is None:
        raise NotFoundError(
            f"The service {key} does not exist.", service="Cloud Run", operation="get the service", status=404
        )
    return service


def _restored_of(services: Services, state: ServiceState, known: Known) -> Observation:
    key = state.service
    service = services.get(key)
    if not state.exists:
        return _left_private(services, key, service)
    if service is None:
        return Broken(detail=f"The service {key} is gone.")
    stranger = foreign.stranger(service, key, known, revision_name(services.spec.service(key).name, known.release))
    if stranger:
        return Broken(detail=stranger)
    wanted = _wanted(service, state, known)
    if matches(service, wanted) and not service.reconciling:
        return Done() if _as_recorded(services, state, service, known) else Absent()
    if not is_wanted(service, wanted):
        return Absent()
    if service.reconciling:
        return Running(detail=f"{key}: traffic is moving back")
    return Broken(detail=f"{key}: {sentence(service.terminal_condition)}")


def _left_private(services: Services, key: str, service: run_v2.Service | None) -> Observation:
    """Judge a service that the failed release made: it stays in place, but nobody gets in."""
    if service is None:
        return Done()
    if services.public(key, service):
        return Absent()
    return Done(detail=f"{key} did not exist before: it is left in place, and private")


def _wanted(service: run_v2.Service, state: ServiceState, known: Known) -> tuple[TrafficShare, ...]:
    """Return the traffic to have again; a service that served nothing keeps what it has, for it cannot have none."""
    now = shares(service)
    served = any(share.percent for share in state.traffic)
    return restored(now, state.traffic, known.release.tag) if served else now


def _as_recorded(services: Services, state: ServiceState, service: run_v2.Service, known: Known) -> bool:
    if reconcile(service, _ours(services, state, service, known), run_v2.Service()):
        return False
    public = state.settings.get("public")
    return public is None or services.public(state.service, service) == public


def _ours(services: Services, state: ServiceState, service: run_v2.Service, known: Known) -> dict[str, Any]:
    """Return the recorded settings that are to be put back: all but those that somebody else has changed meanwhile."""
    wanted = declared(services.spec.service(state.service).config)
    found = known.start.service(state.service).settings
    now = settings(service, public=False)
    return {
        name: value
        for name, value in state.settings.items()
        if name not in found or now.get(name) in (found[name], wanted.get(name, value), value)
    }


def _restore(services: Services, state: ServiceState, known: Known) -> None:
    key = state.service
    live = services.get(key)
    if not state.exists:
        if live is not None and services.public(key, live):
            services.set_public(key, public=False)
        return
    live = live if live is not None else _existing(services, key)
    name = revision_name(services.spec.service(key).name, known.release)

    def prepare(now: run_v2.Service, update: run_v2.Service) -> list[str]:
        if foreign.stranger(now, key, known, name):
            return []
        paths = reconcile(now, _ours(services, state, now, known), update)
        wanted = _wanted(now, state, known)
        if not is_wanted(now, wanted) and not matches(now, wanted):
            update.traffic = targets(wanted)
            paths = ["traffic", *paths]
        return paths

    services.update(key, live, prepare)
    public = state.settings.get("public")
    if foreign.stranger(live, key, known, name):
        return
    if public is not None and services.public(key, live) != public:
        services.set_public(key, public=public)
