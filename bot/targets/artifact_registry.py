"""Images in Artifact Registry: whether one is still there, and the tags by which a clean-up policy keeps it.

Asked by hand: a few calls do not pay for another client's import. A ``/`` inside an image's name is written ``%2F`` in
resource names (artifactregistry.v1, "If the package part contains slashes, the slashes are escaped"; AIP-122).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bot.core.target import ReleaseId
from bot.errors import ConflictError, NotFoundError
from bot.targets.google import Google
from bot.targets.google_errors import change, check, listed, read
from bot.targets.parallel import together

_NAME = re.compile(
    r"(?P<location>[a-z0-9-]+)-docker\.pkg\.dev/(?P<project>[^/]+)/(?P<repository>[^/]+)/(?P<image>[^@]+)@(?P<digest>.+)"
)
_RELEASE = re.compile(r"[0-9a-z]+(\.\d+)?")  # a deployment in base 36, and which of its images
_PAGE = 1000  # tags; "Maximum page size is 1,000." (tags.list)


@dataclass(frozen=True, kw_only=True)
class Image:
    """The parts of ``LOCATION-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE@DIGEST``."""

    location: str
    project: str
    repository: str
    image: str
    digest: str

    @classmethod
    def parse(cls, reference: str) -> Image | None:
        """Read a reference; None for one that is not of Artifact Registry."""
        match = _NAME.fullmatch(reference)
        return cls(**match.groupdict()) if match else None

    @property
    def parent(self) -> str:
        """The resource name of the repository."""
        return f"projects/{self.project}/locations/{self.location}/repositories/{self.repository}"

    @property
    def escaped(self) -> str:
        """The image's name as a part of a resource name."""
        return self.image.replace("/", "%2F")

    @property
    def package(self) -> str:
        """The resource name of the image in all its versions."""
        return f"{self.parent}/packages/{self.escaped}"


def exists(google: Google, reference: str) -> bool:
    """Whether an image is still there. One that cannot be asked for is not there."""
    image = Image.parse(reference)
    if image is None:
        return False
    name = f"{image.parent}/dockerImages/{image.escaped}@{image.digest}"
    url = f"{google.endpoints.artifactregistry}/v1/{name}"
    try:
        read("look for the image", lambda: check(google.http.get(url, timeout=google.timeout)))
    except NotFoundError:
        return False
    return True


def keep(google: Google, release: ReleaseId, references: Collection[str], newest: int) -> None:
    """Tag a release's images ``released-ENVIRONMENT-KEY``; so many releases keep theirs, older ones lose them.

    Images beyond the first get ``.2``, ``.3``, … behind their tag; images that are not of Artifact Registry get none.
    The environment has to be held. Raises UpstreamError (or a subclass) or AuthError.
    """
    images = [image for image in map(Image.parse, sorted(set(references))) if image is not None]
    tags = [tag_of(release, number) for number in range(1, len(images) + 1)]
    together(lambda pair: _tag(google, *pair), zip(images, tags, strict=True))
    packages = sorted({image.package for image in images})
    found = [(package, tag) for package in packages for tag in _tags(google, package, release.environment)]
    releases = sorted({_key(tag) for _, tag in found}, reverse=True)
    older = set(releases[newest:])
    together(lambda pair: _untag(google, *pair), [(package, tag) for package, tag in found if _key(tag) in older])


def tag_of(release: ReleaseId, number: int = 1) -> str:
    """Return the tag of a release's image."""
    return f"{_prefix(release.environment)}{release.key}{f'.{number}' if number > 1 else ''}"


def _prefix(environment: str) -> str:
    return f"released-{environment}-"


def _key(tag: str) -> int:
    """Return the deployment of a tag. Deployments count upwards, so later releases have greater ones."""
    return int(tag.rpartition("-")[2].partition(".")[0], 36)


def _tag(google: Google, image: Image, tag: str) -> None:
    url = f"{google.endpoints.artifactregistry}/v1/{image.package}/tags"
    body = {"name": f"{image.package}/tags/{tag}", "version": f"{image.package}/versions/{image.digest}"}
    options: dict[str, Any] = {"json": body, "timeout": google.timeout}
    try:
        change("tag the image", lambda: check(google.http.post(url, params={"tagId": tag}, **options)))
    except ConflictError:  # the tag is there: this release was interrupted after it was verified
        moved = {"updateMask": "version"}
        change("tag the image", lambda: check(google.http.patch(f"{url}/{tag}", params=moved, **options)))


def _tags(google: Google, package: str, environment: str) -> list[str]:
    """Return the tags of an environment's releases, as far as one page shows them."""
    prefix = _prefix(environment)
    url = f"{google.endpoints.artifactregistry}/v1/{package}/tags"
    wanted = {"filter": f'name="{package}/tags/{prefix}*"', "pageSize": str(_PAGE)}
    operation = "list the tags"
    answer = read(operation, lambda: check(google.http.get(url, params=wanted, timeout=google.timeout)))
    names = [str(each.get("name", "")).rpartition("/")[2] for each in listed(answer, "tags", operation)]
    # `released-eu-…` is also how a tag of the environment `eu-west` begins, which has one more hyphen.
    return [name for name in names if name.startswith(prefix) and _RELEASE.fullmatch(name.removeprefix(prefix))]


def _untag(google: Google, package: str, tag: str) -> None:
    url = f"{google.endpoints.artifactregistry}/v1/{package}/tags/{tag}"
    with suppress(NotFoundError):
        change("take an old tag off", lambda: check(google.http.delete(url, timeout=google.timeout)))
