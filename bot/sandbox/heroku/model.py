"""The Platform API's resources as state, and their JSON.

Field names and types follow the hyper-schema of Platform API v3 as ``@heroku-cli/schema`` 2.0.1 gives it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from bot.sandbox.heroku.streams import Stream

Status = Literal["pending", "succeeded", "failed"]
DynoState = Literal["starting", "up", "crashed", "down"]
Json = dict[str, Any]

EMAIL = "deployer@example.com"
USER: Json = {"email": EMAIL, "id": str(uuid.uuid5(uuid.NAMESPACE_DNS, EMAIL))}
STACK: Json = {"id": str(uuid.uuid5(uuid.NAMESPACE_DNS, "heroku-24")), "name": "heroku-24"}
REGION: Json = {"id": str(uuid.uuid5(uuid.NAMESPACE_DNS, "us")), "name": "us"}
SIZES = ("Eco", "Basic", "Standard-1X", "Standard-2X", "Performance-M", "Performance-L")


def new_id() -> str:
    """Return a resource's id: Heroku uses lower-case UUIDs."""
    return str(uuid.uuid4())


def stamp(seconds: float) -> str:
    """Return a time as the API writes it, in whole seconds with a ``Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(kw_only=True, eq=False)
class Resource:
    """What every resource has. Times are seconds of the epoch."""

    created: float
    updated: float
    id: str = field(default_factory=new_id)

    def base(self) -> Json:
        """Return the fields common to all resources."""
        return {"id": self.id, "created_at": stamp(self.created), "updated_at": stamp(self.updated)}


@dataclass(kw_only=True, eq=False)
class Slug(Resource):
    """A built tree, ready to run. ``root`` has the code under ``app/``."""

    root: Path
    commit: str | None
    process_types: dict[str, str]
    checksum: str
    size: int

    def to_json(self) -> Json:
        return self.base() | {
            "blob": {"method": "GET", "url": f"https://slugs.invalid/{self.id}"},
            "buildpack_provided_description": "Python",
            "checksum": self.checksum,
            "commit": self.commit,
            "commit_description": None,
            "process_types": self.process_types,
            "size": self.size,
            "stack": STACK,
        }


@dataclass(kw_only=True, eq=False)
class Build(Resource):
    """One run of the buildpack over a source tarball."""

    app_id: str
    url: str
    version: str | None
    checksum: str | None
    output_url: str
    output: Stream
    status: Status = "pending"
    slug_id: str | None = None
    release_id: str | None = None

    def to_json(self) -> Json:
        return self.base() | {
            "app": {"id": self.app_id},
            "buildpacks": [{"name": "heroku/python", "url": "urn:buildpack:heroku/python"}],
            "output_stream_url": self.output_url,
            "release": {"id": self.release_id} if self.release_id else None,
            "slug": {"id": self.slug_id} if self.slug_id else None,
            "source_blob": {
                "checksum": self.checksum,
                "url": self.url,
                "version": self.version,
                "version_description": None,
            },
            "stack": STACK["name"],
            "status": self.status,
            "user": USER,
        }


@dataclass(kw_only=True, eq=False)
class Release(Resource):
    """Code and config vars together. ``config_vars`` is the whole set of this release."""

    app_id: str
    app_name: str
    version: int
    description: str
    slug: Slug | None
    config_vars: dict[str, str]
    status: Status = "pending"
    output_url: str | None = None

    def to_json(self, *, current: bool) -> Json:
        return self.base() | {
            "addon_plan_names": [],
            "app": {"id": self.app_id, "name": self.app_name},
            "current": current,
            "description": self.description,
            "output_stream_url": self.output_url,
            "slug": {"id": self.slug.id} if self.slug else None,
            "status": self.status,
            "user": USER,
            "version": self.version,
        }


@dataclass(kw_only=True, eq=False)
class Formation(Resource):
    """How many dynos of one process type run, and of which size."""

    type: str
    command: str
    quantity: int
    size: str = "Standard-1X"

    def to_json(self, *, app: Json) -> Json:
        return self.base() | {
            "app": app,
            "command": self.command,
            "quantity": self.quantity,
            "size": self.size,
            "type": self.type,
        }


@dataclass(kw_only=True, eq=False)
class Domain(Resource):
    """A host name of an app."""

    hostname: str

    def to_json(self, *, app: Json) -> Json:
        return self.base() | {
            "acm_status": None,
            "acm_status_reason": None,
            "app": app,
            "cname": None,
            "hostname": self.hostname,
            "kind": "heroku",
            "sni_endpoint": None,
            "status": "succeeded",
        }
