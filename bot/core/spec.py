"""What a target is asked to run: the configuration of one environment, merged and with its placeholders filled.

The adapters see only this. Inside, the configuration's own models are used: a field that is ``None`` (or an empty
mapping) was not declared, and the live value stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from bot.core.config import Auth, BuildConfig, JobConfig, ServiceConfig


@dataclass(frozen=True, kw_only=True)
class ServiceSpec:
    """A service in a region: ``key`` is its name in the configuration, ``name`` on Cloud Run.

    In all regions but the first the key is ``name@region``. ``config`` has no placeholders.
    """

    key: str
    name: str
    region: str
    config: ServiceConfig

    @property
    def pool(self) -> bool:
        """Whether it is a worker pool."""
        return self.config.kind == "worker_pool"


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """A job: ``key`` is its name in the configuration, ``name`` on Cloud Run. ``config`` has no placeholders."""

    key: str
    name: str
    config: JobConfig


@dataclass(frozen=True, kw_only=True)
class CloudRunSpec:
    """One environment on Cloud Run. ``image`` is a repository without tag, ``source_bucket`` a bucket's name.

    ``region`` is the first, where builds and jobs are.
    """

    app: str
    environment: str
    repository: str  # owner/name on GitHub
    project: str
    region: str
    image: str
    source_bucket: str
    build: BuildConfig
    auth: Auth | None = None
    services: tuple[ServiceSpec, ...] = ()
    jobs: tuple[JobSpec, ...] = ()
    cloudbuild_yaml: str | None = None  # text of ``build.config``, from the default branch

    def service(self, key: str) -> ServiceSpec:
        """Return a service by its key. Raises KeyError."""
        return {spec.key: spec for spec in self.services}[key]

    def job(self, key: str) -> JobSpec:
        """Return a job by its key. Raises KeyError."""
        return {spec.key: spec for spec in self.jobs}[key]


@dataclass(frozen=True, kw_only=True)
class HerokuSpec:
    """One environment on Heroku. The app is its single service, under the key ``app``."""

    environment: str
    repository: str  # owner/name on GitHub
    app: str
    config_vars: Mapping[str, str] = field(default_factory=dict)


Spec: TypeAlias = CloudRunSpec | HerokuSpec
