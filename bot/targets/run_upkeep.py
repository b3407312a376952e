"""What the bot has made on Cloud Run, and taking away what nobody needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from google.cloud import run_v2

from bot.core.previews import moment
from bot.core.serving import TrafficShare
from bot.core.target import READS_PER_SECOND
from bot.core.upkeep import Holding, Made
from bot.errors import CancelledError, ConflictError, NotFoundError, SlipwayError, UpstreamError
from bot.targets.google_errors import change, read
from bot.targets.parallel import together
from bot.targets.run_services import Services
from bot.targets.run_template import ENVIRONMENT, PREVIEW, RELEASE, SHA, UNTIL, label
from bot.targets.run_traffic import retagged, shares, short

_PAGE = 100  # revisions a page; a service has a thousand at most
_SETTLED_WITHIN = 60.0  # seconds for Cloud Run to take a tag off
_POLL = 0.3


class RunUpkeep:
    """The :class:`bot.core.upkeep.Upkeep` of one specification's services. Worker pools have no tags."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._google = services.google

    def holdings(self) -> tuple[Holding, ...]:
        """Ask for all services at once."""
        keys = [spec.key for spec in self._services.spec.services if not spec.pool]
        return tuple(found for found in together(self._holding, keys) if found is not None)

    def _holding(self, key: str) -> Holding | None:
        # The revisions first: one that is made meanwhile is then in the service at most, and what is in use stays.
        revisions = self._revisions(key)
        service = self._services.get(key)
        if service is None:
            return None
        spec = self._services.spec
        made = [_made(one) for one in revisions if _is_ours(one, spec.service(key).name, spec.environment)]
        return Holding(
            service=key,
            serving=shares(service),
            asked=tuple(
                TrafficShare(revision=short(target.revision), percent=target.percent, tag=target.tag)
                for target in service.traffic
                if target.revision
            ),
            made=tuple(sorted(made, key=lambda one: one.created, reverse=True)),
            latest=short(service.latest_created_revision),
        )

    def _revisions(self, key: str) -> list[run_v2.Revision]:
        client = self._google.revisions
        request = run_v2.ListRevisionsRequest(parent=self._services.name(key), page_size=_PAGE)
        try:
            return read(
                "list the revisions",
                lambda: list(client.list_revisions(request=request, retry=None, timeout=self._google.timeout)),
            )
        except NotFoundError:  # there is no such service
            return []

    def retag(self, changes: Mapping[str, Mapping[str, str]]) -> None:
        """Change tags under the services' etags, and wait until they are as they should be."""
        wanted = [key for key, tags in changes.items() if tags]
        changed = together(lambda key: self._retag(key, changes[key]), wanted)
        self._await_settled([key for key, sent in zip(wanted, changed, strict=True) if sent])

    def _retag(self, service: str, tags: Mapping[str, str]) -> bool:
        def prepare(now: run_v2.Service, update: run_v2.Service) -> list[str]:
            wanted = retagged(now.traffic, tags)
            if wanted == list(now.traffic):
                return []
            update.traffic = wanted
            return ["traffic"]

        live = self._services.get(service)
        return live is not None and bool(self._services.update(service, live, prepare))

    def _await_settled(self, keys: Sequence[str]) -> None:
        """Wait until Cloud Run is done with changes, or has given them up (run.v2 Service.reconciling)."""
        deadline = self._google.clock() + _SETTLED_WITHIN
        while True:
            found = together(self._services.get, keys)
            keys = [key for key, live in zip(keys, found, strict=True) if live is not None and live.reconciling]
            if not keys:
                return
            if self._google.clock() >= deadline:
                raise UpstreamError(
                    f"The tags of {', '.join(keys)} did not change within {_SETTLED_WITHIN:.0f} s.",
                    service="Cloud Run",
                    operation="change the tags",
                )
            try:
                self._google.sleep(max(_POLL, len(keys) / READS_PER_SECOND))
            except CancelledError:  # it is on its way: nobody waits for it any more
                return

    def delete(self, service: str, revision: str) -> bool:
        """Delete a revision.

        Cloud Run keeps what can receive traffic, and the latest one (docs, "Manage revisions"): that is no failure.
        """
        client, name = self._google.revisions, f"{self._services.name(service)}/revisions/{revision}"
        try:
            change(
                "delete the revision",
                lambda: client.delete_revision(name=name, retry=None, timeout=self._google.timeout),
            )
        except NotFoundError:
            return True
        except ConflictError:
            return False
        except UpstreamError as error:
            if error.status != 400:
                raise
            return False
        return True

    def put_back_templates(self) -> None:
        """Write the templates that services had before this run made a preview of them.

        Whoever edits a service by hand starts from its template: that should be what serves, not a pull request's.
        Such a template names a revision that exists with this very content, so that none is made (Knative, on which
        Cloud Run's model rests, compares the two: ``CheckNameAvailability``). One without a name would make a
        revision, and is left; so is one that Cloud Run refuses. Then the next release takes the preview's marks off.
        """
        former = dict(self._services.former)
        changed = together(lambda key: self._put_back(key, former[key]), former)
        self._await_settled([key for key, sent in zip(former, changed, strict=True) if sent])
        self._services.former.clear()

    def _put_back(self, key: str, former: run_v2.RevisionTemplate) -> bool:
        """Write a template, if that makes no revision; tells whether it was sent."""

        def prepare(now: run_v2.Service, update: run_v2.Service) -> list[str]:
            if PREVIEW not in now.template.labels:
                return []  # somebody was faster
            update.template = former
            return ["template"]

        live = self._services.get(key)
        if live is None or not former.revision or self._services.revision(key, short(former.revision)) is None:
            return False
        try:
            return bool(self._services.update(key, live, prepare))
        except SlipwayError:
            return False


def _is_ours(revision: run_v2.Revision, service: str, environment: str) -> bool:
    """Whether the bot made a revision: by its labels, and by the name that it gives what has these labels.

    The labels alone do not tell. Whoever edits a service by hand starts from its template, and takes them along.
    """
    labels = revision.labels
    named = f"{service}-{labels.get(SHA, '')[:7]}-{labels.get(RELEASE, '')}"
    return labels.get(ENVIRONMENT) == label(environment) and short(revision.name) == named


def _made(revision: run_v2.Revision) -> Made:
    labels = revision.labels
    number = labels.get(PREVIEW, "")
    return Made(
        name=short(revision.name),
        created=revision.create_time.timestamp() if revision.create_time else math.inf,  # not known: not old
        release=labels.get(RELEASE, ""),
        sha=labels.get(SHA, ""),
        preview=int(number) if number.isdecimal() else 0,
        until=_time(revision.annotations.get(UNTIL, "")),
    )


def _time(text: str) -> float:
    try:
        return moment(text) if text else 0.0
    except ValueError:
        return 0.0
