"""Rollouts: the release's revision of a service, ready beside what serves, without traffic and under a tag."""

from __future__ import annotations

from google.cloud import run_v2

from bot.core.plan import Rollout
from bot.core.target import Absent, Broken, Done, Known, Observation, Running
from bot.errors import ConflictError, UpstreamError
from bot.targets.run_condition import failed, ready, sentence, succeeded
from bot.targets.run_service import declared, reconcile
from bot.targets.run_services import Services
from bot.targets.run_template import RELEASE, Place, revision_name, service_template
from bot.targets.run_traffic import shares, short, targets, with_candidate
from bot.targets.secret_versions import with_pins


def observe(services: Services, step: Rollout, known: Known) -> Observation:
    """Look at the release's revision, and at the tag that leads to it. One call, two once it is ready or missing."""
    key = step.service
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
    service = services.get(key)
    if service is None:
        return Absent()
    tagged = [share for share in shares(service) if share.tag == known.release.tag and share.revision == name]
    if any(share.url for share in tagged) or (tagged and service.default_uri_disabled):
        return Done(handle=name, link=link)  # with the default URL turned off, tags have none either
    if service.reconciling or tagged:
        return Running(handle=name, detail="its address is being set up", link=link)
    return Absent()


def _without_revision(service: run_v2.Service | None, name: str, link: str) -> Observation:
    """Judge a service whose revision is not there: not asked for, on its way, or refused."""
    if service is None or short(service.template.revision) != name:
        return Absent()
    if service.reconciling:
        return Running(handle=name, detail="being created", link=link)
    if failed(service.terminal_condition):
        return Broken(handle=name, detail=sentence(service.terminal_condition), link=link)
    return Absent()


def apply(services: Services, step: Rollout, known: Known) -> Running:
    """Have Cloud Run make the revision. Raises ConflictError when its name is taken by something else."""
    key = step.service
    if known.artifact is None:
        raise UpstreamError("There is no image to roll out.", service="Cloud Run", operation="roll out")
    name = revision_name(services.spec.service(key).name, known.release)
    live = services.get(key)
    if known.release.preview:
        live = services.beside_what_serves(key, live)
    if live is None:
        services.create(key, _first(services, step, known, name))
        return Running(handle=name, detail="being created", link=services.console(key, "revisions"))
    template = _template(services, step, known, name, live.template)

    def with_template(now: run_v2.Service, update: run_v2.Service) -> list[str]:
        update.template = template
        return ["template", *_tag(now, update)]

    def _tag(now: run_v2.Service, update: run_v2.Service) -> list[str]:
        update.traffic = targets(with_candidate(shares(now), name, known.release.tag))
        return ["traffic"]

    try:
        services.update(key, live, with_template)
    except ConflictError:
        # The name is taken: by this very release, if a former run of it was cut short. Then only the tag is missing.
        revision, live = services.revision(key, name), services.get(key)
        if revision is None or live is None or revision.labels.get(RELEASE) != known.release.key:
            raise
        services.update(key, live, _tag)
    return Running(handle=name, detail="starting", link=services.console(key, "revisions"))


def _template(
    services: Services, step: Rollout, known: Known, name: str, live: run_v2.RevisionTemplate | None
) -> run_v2.RevisionTemplate:
    assert known.artifact is not None
    return service_template(
        with_pins(services.spec.service(step.service).config, known.pins),
        live,
        image=known.artifact.reference,
        name=name,
        release=known.release,
        place=Place.of(services.spec),
    )


def _first(services: Services, step: Rollout, known: Known, name: str) -> run_v2.Service:
    """Return a service that does not exist yet. Nobody uses it, so its settings are there from the start.

    It has the traffic at once, for targets must add up to 100; without public access nobody reaches it before the
    traffic shifts. That a target may name the revision that the same request creates is an assumption.
    """
    service = run_v2.Service(
        template=_template(services, step, known, name, None),
        traffic=targets(with_candidate((), name, known.release.tag)),
    )
    reconcile(run_v2.Service(), declared(services.spec.service(step.service).config), service)
    return service
