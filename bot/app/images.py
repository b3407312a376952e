"""The images of a release that is live and verified: what is attested of them, and that no clean-up takes them away.

The release does not hang on either: what goes wrong here is told, whatever it is.
"""

from __future__ import annotations

from concurrent.futures import Future

from bot.app import records
from bot.app.context import Context
from bot.app.decision import Case
from bot.core.images import Images, Provenance
from bot.core.spec import CloudRunSpec
from bot.core.target import ReleaseId
from bot.engine.execution import Ended
from bot.engine.gathering import known as given
from bot.errors import SlipwayError


def provenance(context: Context, case: Case, ended: Ended) -> Future[Provenance | None]:
    """Ask what is attested of the image that was released; None where no build was asked for that."""
    spec, registry, artifact = case.environment.spec, case.target.registry, ended.known.artifact
    wanted = isinstance(spec, CloudRunSpec) and spec.build.provenance
    if not wanted or registry is None or artifact is None or _not_released(ended):
        return given(None)
    return context.gatherer.ask(_provenance, registry, artifact.reference)


def _provenance(registry: Images, image: str) -> Provenance:
    try:
        return registry.provenance(image)
    except Exception as error:  # noqa: BLE001 - the image is released already, and stays so
        return Provenance(image=image, trouble=_words(error))


def keep(context: Context, case: Case, ended: Ended) -> Future[tuple[str, ...]]:
    """Have the registry keep what was released; the answer says what could not be done."""
    images, registry = _images(case, ended), case.target.registry
    if not images or registry is None or _not_released(ended):
        return given(())
    return context.gatherer.ask(_keep, registry, ended.known.release, images, case.environment.keep_releases)


def _images(case: Case, ended: Ended) -> tuple[str, ...]:
    """Return the images that serve after a release.

    That is what it built or took, or what a rollback has brought back, and what the services run that it left alone.
    """
    artifact, repository = ended.known.artifact, records.image_of(case)
    back = ended.known.goal if artifact is None else ended.known.before.of(case.environment.left)
    digests = sorted({state.digest for state in back.services if state.digest}) if repository else []
    built = [artifact.reference] if artifact is not None else []
    return tuple(dict.fromkeys([*built, *(f"{repository}@{digest}" for digest in digests)]))


def _keep(registry: Images, release: ReleaseId, images: tuple[str, ...], newest: int) -> tuple[str, ...]:
    try:
        registry.keep(release, images, newest)
    except Exception as error:  # noqa: BLE001 - the image is released already, and stays so
        return (f"The tags that keep released images from clean-up are not as they should be: {_words(error)}",)
    return ()


def _not_released(ended: Ended) -> bool:
    return ended.cancelled or ended.failed is not None


def _words(error: Exception) -> str:
    """Return an error's own sentences; of one that nobody thought of its kind."""
    if isinstance(error, SlipwayError):
        return f"{error.message} {error.hint}".strip()
    return f"The bot itself failed: {type(error).__name__}."
