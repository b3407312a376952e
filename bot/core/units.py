"""What an environment is made of for planning: its regions, their services, and the checks of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from bot.core.checks import Check, ExposureCheck, HttpCheck, JobCheck, ServingCheck
from bot.core.config import (
    AllAtOnce,
    Canary,
    CheckConfig,
    CloudRunTarget,
    HerokuTarget,
    HttpCheckConfig,
    IamCheckConfig,
    JobCheckConfig,
    ServingCheckConfig,
)
from bot.core.placeholders import Values, fill
from bot.core.spec import CloudRunSpec, ServiceSpec, Spec

Phase = Literal["candidate", "live"]


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A service of a region, as planning sees it: ``after`` are keys of services that have their traffic before it."""

    key: str
    after: tuple[str, ...] = ()
    strategy: AllAtOnce | Canary | None = None


@dataclass(frozen=True, kw_only=True)
class Region:
    """The services of an environment in one region: they are verified and moved together.

    ``primary``: the first region, released before the others. On Heroku there is one, without a name.
    """

    name: str
    primary: bool
    units: tuple[Unit, ...]
    candidate_checks: tuple[Check, ...] = ()
    live_checks: tuple[Check, ...] = ()


def regions_of(
    spec: Spec, target: CloudRunTarget | HerokuTarget, checks: Iterable[CheckConfig], values: Values
) -> tuple[Region, ...]:
    """Return the regions of an environment, the first one first."""
    checks = tuple(checks)
    if not isinstance(spec, CloudRunSpec) or not isinstance(target, CloudRunTarget):
        _, live = _checks(checks, {"app": "app"}, spec, values, primary=True)
        return (Region(name="", primary=True, units=(Unit(key="app"),), live_checks=live),)
    by_region: dict[str, list[ServiceSpec]] = {spec.region: []}
    for service in spec.services:
        by_region.setdefault(service.region, []).append(service)
    return tuple(
        _region(name, services, spec, target, checks, values) for name, services in by_region.items() if services
    )


def _region(
    name: str,
    services: list[ServiceSpec],
    spec: CloudRunSpec,
    target: CloudRunTarget,
    checks: tuple[CheckConfig, ...],
    values: Values,
) -> Region:
    primary = name == spec.services[0].region
    keys = {service.key.partition("@")[0]: service.key for service in services}
    candidate, live = _checks(checks, keys, spec, values.with_names({"region": name}), primary=primary)
    ordered = _ordered(target.order, keys)
    units = tuple(
        Unit(
            key=service.key,
            after=tuple(keys[key] for key in service.config.after if key in keys)
            if service.config.after is not None
            else ordered.get(service.key, ()),
            strategy=service.config.strategy,
        )
        for service in services
    )
    return Region(name=name, primary=primary, units=units, candidate_checks=candidate, live_checks=live)


def _ordered(order: Iterable[str], keys: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return for each service that an order names the one before it there."""
    named = [keys[name] for name in order if name in keys]
    return {later: (earlier,) for earlier, later in pairwise(named)}


# -- checks ---------------------------------------------------------------------------------------------------
def _checks(
    configs: Iterable[CheckConfig], keys: Mapping[str, str], spec: Spec, values: Values, *, primary: bool
) -> tuple[tuple[Check, ...], tuple[Check, ...]]:
    """Return a region's checks before and after traffic. What serves is always checked, first.

    ``keys`` are the region's services: names in the configuration to keys. Jobs are checked in the first region only.
    """
    found: dict[Phase, list[Check]] = {"candidate": [], "live": []}
    configs = tuple(configs)
    found["live"].append(_serving(configs, keys))
    for index, item in enumerate(configs):
        match item:
            case HttpCheckConfig():
                check = _http(item, keys, spec, values, f"verify[{index}]")
                for phase in _phases(item) if check is not None else ():
                    found[phase].append(check)  # type: ignore[arg-type]  # it is no None here
            case JobCheckConfig() if primary:
                assert isinstance(spec, CloudRunSpec)
                job = spec.job(item.job).config
                timeout = job.timeout * (job.max_retries + 1) + 60.0  # its tries, and a minute to be scheduled
                found[item.when].append(JobCheck(name=f"job {item.job}", job=item.job, timeout=timeout))
            case IamCheckConfig() if item.iam in keys:
                public = None if item.no_public_invoker is None else not item.no_public_invoker
                name = f"access to {_said(keys[item.iam])}"
                found["live"].append(
                    ExposureCheck(name=name, service=keys[item.iam], public=public, ingress=item.ingress)
                )
            case _:
                pass
    return tuple(found["candidate"]), tuple(found["live"])


def preview_checks(
    configs: Iterable[CheckConfig] | None, general: Iterable[CheckConfig], spec: CloudRunSpec, values: Values
) -> tuple[Check, ...]:
    """Return the requests that a preview must answer: those declared for it, else those made before traffic.

    ``spec`` has the services of a preview only; what asks another one is left out.
    """
    keys = {service.key: service.key for service in spec.services}
    if configs is not None:
        found = [_http(item, keys, spec, values, f"verify[{index}]")
                 for index, item in enumerate(configs) if isinstance(item, HttpCheckConfig)]  # fmt: skip
        return tuple(check for check in found if check is not None)
    candidate, _ = _checks(general, keys, spec, values, primary=False)
    return candidate


def _serving(configs: Iterable[CheckConfig], keys: Mapping[str, str]) -> ServingCheck:
    declared = next((item for item in configs if isinstance(item, ServingCheckConfig)), None)
    check = ServingCheck(name="serving", services=tuple(keys.values()))
    if declared is None:
        return check
    # A region that has none of those that are named is not left unlooked at.
    named = tuple(keys[name] for name in declared.serving if name in keys) or check.services
    return replace(check, services=named, deadline=declared.deadline)


def _phases(item: HttpCheckConfig) -> tuple[Phase, ...]:
    when = item.when or ("both" if item.http.startswith("/") else "live")
    return ("candidate", "live") if when == "both" else (when,)


def _http(item: HttpCheckConfig, keys: Mapping[str, str], spec: Spec, values: Values, at: str) -> HttpCheck | None:
    """Return a request on a region's service, or to an absolute URL; None for a service that is not in the region."""
    url = fill(item.http, values, f"{at}.http")
    path = url.startswith("/")
    name = item.service or (_first(spec) if path else "")
    if name and name not in keys:
        return None
    service = keys.get(name, "")
    return HttpCheck(
        name=f"{_said(service)} {url}" if path else url,
        url=url,
        service=service,
        method=item.method,
        status=item.status,
        json=fill(item.json_, values, f"{at}.json"),
        contains=fill(item.contains, values, f"{at}.contains"),
        headers=fill(item.headers, values, f"{at}.headers"),
        within=item.within,
        passes=item.passes,
        deadline=item.deadline,
        interval=item.interval,
        anonymous=item.status == 403 and not _declared_public(spec, service),
        of_commit=_of_commit(item, values),
    )


_COMMIT_NAMES = ("{sha}", "{short_sha}", "{version}", "{pyproject.version}")


def _of_commit(item: HttpCheckConfig, values: Values) -> bool:
    """Whether a check expects the commit, by a placeholder or by a value that has been filled with it."""
    declared = [item.http, item.contains, *map(str, item.json_.values()), *item.headers.values()]
    own = {name for name, value in values.names.items() if values.names.get("short_sha", "\0") in value}
    marks = (*_COMMIT_NAMES, *(f"{{{name}}}" for name in own))
    return any(mark in text for text in declared for mark in marks)


def _first(spec: Spec) -> str:
    """Return the service that a path is asked of which names none: the first that takes requests."""
    services = spec.services if isinstance(spec, CloudRunSpec) else ()
    return next((one.key.partition("@")[0] for one in services if not one.pool), "app")


def _said(service: str) -> str:
    name, _, region = service.partition("@")
    return f"{name} in {region}" if region else name


def _declared_public(spec: Spec, service: str) -> bool:
    """Whether anyone may call a service once it is released.

    Until the shift of its first release it is private all the same: Cloud Run itself answers a stranger with 403. So a
    refusal that is expected of a public service, and a 401 of any, is the application's own: it is asked with an
    identity token that the application does not see.
    """
    services = spec.services if isinstance(spec, CloudRunSpec) else ()
    return any(one.key == service and one.config.public is True for one in services)
