"""The Platform API's resources, as far as the bot reads them, and the marks by which a release finds its own.

Names and types are the API's (Platform API reference; hyper-schema of version 3). Fields that are not read are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from bot.core.target import Known

SERVICE = "app"  # the key of the single service of an environment on Heroku
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Resource(BaseModel):
    model_config = ConfigDict(frozen=True)


class Ref(_Resource):
    """Another resource, named by its id."""

    id: str | None = None


class App(_Resource):
    """An app. ``web_url`` is where its users are, until it has a domain of its own."""

    web_url: str | None = None
    maintenance: bool = False


class SourceBlob(_Resource):
    """What a build was made from. ``version`` becomes the slug's ``commit``."""

    version: str | None = None


class Build(_Resource):
    """One build: ``pending``, ``succeeded`` or ``failed``. Its status says nothing of the release it makes."""

    id: str
    status: str
    created_at: datetime
    source_blob: SourceBlob = SourceBlob()
    slug: Ref | None = None
    output_stream_url: str | None = Field(None, repr=False)

    @property
    def slug_id(self) -> str:
        """The slug it made, ``""`` while there is none."""
        return (self.slug.id if self.slug else None) or ""


class Release(_Resource):
    """One release: code and config vars together. ``pending`` while its release phase runs."""

    id: str
    version: int
    status: str
    created_at: datetime
    current: bool = False
    slug: Ref | None = None
    output_stream_url: str | None = Field(None, repr=False)

    @property
    def name(self) -> str:
        """The version as Heroku writes it: ``v42``."""
        return f"v{self.version}"

    @property
    def slug_id(self) -> str:
        """The slug it runs, ``""`` for none."""
        return (self.slug.id if self.slug else None) or ""


class Slug(_Resource):
    """Code, built. ``commit`` is the version that the build was given."""

    commit: str | None = None


class DynoRelease(_Resource):
    """The release that a dyno runs."""

    version: int


class Dyno(_Resource):
    """A running process: ``starting``, ``up``, ``idle``, ``crashed`` or ``down``."""

    name: str
    type: str
    state: str
    release: DynoRelease


class Formation(_Resource):
    """How many dynos of a process type there should be."""

    type: str
    quantity: int


class Upload(_Resource):
    """Where a source goes and comes from. Both are secrets."""

    put_url: str = Field(repr=False)
    get_url: str = Field(repr=False)


class Source(_Resource):
    """A place for the source of one build."""

    source_blob: Upload


class LogSession(_Resource):
    """Where log lines are read. A secret."""

    logplex_url: str = Field(repr=False)


class Marks(_Resource):
    """What the newest things were before a release: all that is newer, and of its sha, is its own.

    The API keeps no label of ours on a build: ``version`` is the commit, which the app itself sees. So the marks are
    kept in the settings of the recorded serving state, which is written down before the first mutation. Times are
    in whole seconds, so the builds of the newest second are named.
    """

    last_release: int = 0
    last_build_at: datetime = _EPOCH
    last_builds: tuple[str, ...] = ()

    @classmethod
    def taken(cls, releases: list[Release], builds: list[Build]) -> Marks:
        """Take the marks now."""
        at = max((build.created_at for build in builds), default=_EPOCH)
        return cls(
            last_release=max((release.version for release in releases), default=0),
            last_build_at=at,
            last_builds=tuple(build.id for build in builds if build.created_at == at),
        )

    @classmethod
    def of(cls, known: Known) -> Marks:
        """Read the marks from what a release recorded; without any, everything is new."""
        settings: Mapping[str, Any] = known.before.service(SERVICE).settings
        return cls.model_validate({key: value for key, value in settings.items() if key in cls.model_fields})

    def is_own(self, build: Build, sha: str) -> bool:
        """Whether a build was made for the release of a sha."""
        new = build.created_at >= self.last_build_at and build.id not in self.last_builds
        return new and build.source_blob.version == sha
