"""Rollouts: the release's revision, ready beside what serves, without a share of it; a service's has a tag."""

from __future__ import annotations

from typing import Any

from bot.core.plan import Rollout
from bot.core.target import Absent, Broken, Done, Known, Observation, Running
from bot.errors import ConflictError, UpstreamError
from bot.targets import foreign
from bot.targets.run_condition import failed, ready, sentence, succeeded
from bot.targets.run_kind import Kind, R
from bot.targets.run_services import Services
from bot.targets.run_template import RELEASE, Place, revision_name
from bot.targets.run_traffic import short, with_candidate
from bot.targets.secret_versions import with_pins


def observe(services: Services, step: Rollout, known: Known) -> Observation:
    """Look at the release's revision, and at the tag that leads to it. One call, two once it is ready or missing."""
    key, kind = step.service, services.kind(step.service)
    name = revision_name(services.spec.service(key).name, known.release)
    link = services.console(key, "revisions")
    revision = services.revision(key, name)
    if revision is None:
        return _without_revision(services.get(key), name, link)
    condition = ready(revision)
    if failed(condition):
        return Broken(handle=name, detail=sentence(condition), link=link)
    if not succeeded(condition):
        return Running(handle=name, detail="starting", link=link)
    live = services.get(key)
    reach = "missing" if live is None else kind.reach(live, name, known.release.tag)
    if reach == "there":
        return Done(handle=name, link=link)
    if reach == "coming":
        return Running(handle=name, detail="its address is being set up", link=link)
    return Absent()


def _without_revision(live: R | None, name: str, link: str) -> Observation:
    """Judge a service whose revision is not there: not asked for, on its way, or refused."""
    if live is None or short(live.template.revision) != name:
        return Absent()
    if live.reconciling:
        return Running(handle=name, detail="being created", link=link)
    if failed(live.terminal_condition):
        return Broken(handle=name, detail=sentence(live.terminal_condition), link=link)
    return Absent()


def apply(services: Services, step: Rollout, known: Known) -> Running:
    """Have Cloud Run make the revision. Raises ConflictError when its name is taken by something else."""
    key, kind = step.service, services.kind(step.service)
    if known.artifact is None:
        raise UpstreamError("There is no image to roll out.", service="Cloud Run", operation="roll out")
    name = revision_name(services.spec.service(key).name, known.release)
    live = services.get(key)
    if live is None:
        services.create(key, _first(services, kind, step, known, name))
        return Running(handle=name, detail="being created", link=services.console(key, "revisions"))

    def with_template(now: R, update: R) -> list[str]:
        foreign.refuse(kind, now, key, known, name, percent=0)
        update.template = _template(services, kind, step, known, name, now)
        return ["template", *_share(now, update)]

    def _share(now: R, update: R) -> list[str]:
        return kind.allocate(update, with_candidate(kind.shares(now), name, known.release.tag))

    try:
        services.update(key, live, with_template)
    except ConflictError:
        # The name is taken: by this very release, if a former run of it was cut short. Then only the tag is missing.
        revision, live = services.revision(key, name), services.get(key)
        if revision is None or live is None or revision.labels.get(RELEASE) != known.release.key:
            raise
        services.update(key, live, _share)
    return Running(handle=name, detail="starting", link=services.console(key, "revisions"))


def _template(services: Services, kind: Kind[R], step: Rollout, known: Known, name: str, live: R | None) -> Any:
    assert known.artifact is not None
    return kind.template(
        with_pins(services.spec.service(step.service).config, known.pins),
        live,
        image=known.artifact.reference,
        name=name,
        release=known.release,
        place=Place.of(services.spec),
    )


def _first(services: Services, kind: Kind[R], step: Rollout, known: Known, name: str) -> R:
    """Return a service that does not exist yet. Nobody uses it, so its settings are there from the start.

    It has the traffic at once, for targets must add up to 100; without public access nobody reaches it before the
    traffic shifts. A worker pool works at once. That a share may name the revision that the same request creates is an
    assumption.
    """
    new = kind.blank()
    new.template = _template(services, kind, step, known, name, None)
    kind.allocate(new, with_candidate((), name, known.release.tag))
    kind.reconcile(kind.blank(), kind.declared(services.spec.service(step.service).config, {}), new)
    return new
