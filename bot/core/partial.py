"""Releases of some services only: ``/deploy staging web``. Pure.

The image is built and the jobs run as always; the other services go on serving what they serve, and nothing is expected
of them. What such a release leaves behind is a mixture, and known to be good as that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import assert_never

from bot.core.checks import Check, ExposureCheck, HttpCheck, JobCheck, ServingCheck
from bot.core.outcome import Reason, Refusal
from bot.core.resolve import Environment
from bot.core.titles import place
from bot.core.units import Region
from bot.core.words import listed, nearest, there_is


def services_named(
    wanted: Collection[str], known: tuple[str, ...], environment: str, *, verb: str
) -> tuple[str, ...] | Refusal:
    """Return the keys of the services that are meant: all, or the named ones in each of their regions."""
    if not wanted:
        return known
    for name in wanted:
        if not _called(name, known):
            guess = nearest(name, known)
            said = " ".join(dict.fromkeys(guess if word == name and guess else word for word in wanted))
            return Refusal(
                reason=Reason.UNKNOWN_SERVICE,
                sentence=f"`{environment}` has no service `{name}`; {there_is(known)}.",
                next=f"`/{verb} {environment} {said}`" if guess else "",
            )
    meant = {key for name in wanted for key in _called(name, known)}
    return tuple(key for key in known if key in meant)


def _called(name: str, known: Iterable[str]) -> list[str]:
    return [key for key in known if name in {key, key.partition("@")[0]}]


def narrowed(environment: Environment, wanted: Collection[str]) -> Environment:
    """Return an environment of the services that a command names, as it is when it names none or all.

    One that is not there changes nothing: the gate ``known_services`` refuses it.
    """
    keys = services_named(wanted, environment.services, environment.name, verb="")
    if isinstance(keys, Refusal) or keys == environment.services:
        return environment
    regions = [region for region in environment.regions if any(unit.key in keys for unit in region.units)]
    # Jobs are checked in the first region, whichever that is.
    jobs = [region for region in environment.regions if region not in regions]
    kept = [_narrowed(region, keys, jobs if place == 0 else []) for place, region in enumerate(regions)]
    left = tuple(key for key in environment.services if key not in keys)
    return replace(environment, regions=tuple(kept), left=left)


def _narrowed(region: Region, keys: Collection[str], others: Iterable[Region]) -> Region:
    candidate = [check for one in others for check in one.candidate_checks if isinstance(check, JobCheck)]
    live = [check for one in others for check in one.live_checks if isinstance(check, JobCheck)]
    here = tuple(unit for unit in region.units if unit.key in keys)
    names = tuple(unit.key for unit in here)
    return replace(
        region,
        units=here,
        candidate_checks=(*about(region.candidate_checks, names), *candidate),
        live_checks=(*about(region.live_checks, names), *live),
    )


def left_alone(services: Collection[str]) -> tuple[str, ...]:
    """Return what a release has left out: the services that stay as they are."""
    if not services:
        return ()
    stay = "stays as it is" if len(services) == 1 else "stay as they are"
    return (f"{listed(map(place, services))}, which {stay}.",)


def about(checks: Iterable[Check], services: Collection[str], *, mixed: bool = True) -> tuple[Check, ...]:
    """Return the checks that are about some of the services, or about none in particular.

    ``mixed``: the others serve other commits. Then an address that belongs to no service is not expected to show the
    commit, and what is to serve is looked at even where the configuration names others.
    """
    kept: list[Check] = []
    for check in checks:
        match check:
            case ServingCheck():
                named = tuple(name for name in check.services if name in services)
                named = named or (tuple(services) if mixed else ())
                kept += [replace(check, services=named)] if named else []
            case HttpCheck():
                shown = check.service in services if check.service else not (mixed and check.of_commit)
                kept += [check] if shown else []
            case ExposureCheck():
                kept += [check] if check.service in services else []
            case JobCheck():
                kept.append(check)
            case _:
                assert_never(check)
    return tuple(kept)


def unlike(checks: Iterable[Check], others: Collection[str]) -> tuple[Check, ...]:
    """Return the checks without those that would want the commit of services which serve another one.

    ``others``: those services. Where there are some, an address that belongs to no service may be any one's.
    """
    odd = {"", *others} if others else set()
    return tuple(
        check for check in checks if not (isinstance(check, HttpCheck) and check.of_commit and check.service in odd)
    )
