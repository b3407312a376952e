"""All of Google Cloud that a release meets, assembled for one project and region."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bot.sandbox.google.artifact_registry import ArtifactRegistry
from bot.sandbox.google.cloud_build import CloudBuild
from bot.sandbox.google.cloud_run import CloudRun
from bot.sandbox.google.container_analysis import ContainerAnalysis
from bot.sandbox.google.iam import Claims, IamCredentials, Provider, SecurityTokenService, TokenAuthority
from bot.sandbox.google.logging import Logging
from bot.sandbox.google.monitoring import Monitoring
from bot.sandbox.google.secret_manager import SecretManager
from bot.sandbox.google.storage import Storage
from bot.sandbox.images import ImageStore
from bot.sandbox.runtime import Runtime
from bot.sandbox.wire import Service

PROVIDER = "projects/123456789012/locations/global/workloadIdentityPools/github/providers/github"


class GoogleCloud:
    """One project.

    ``services`` holds every server by the name that gcloud's endpoint overrides use. With ``anonymous`` no server asks
    for a token, as emulators do. ``root`` is an empty folder for images and objects; ``clock`` gives seconds since the
    epoch.
    """

    def __init__(
        self,
        root: Path,
        runtime: Runtime,
        project: str = "acme",
        region: str = "us-central1",
        clock: Callable[[], float] = time.time,
        *,
        anonymous: bool = False,
    ) -> None:
        self.project, self.region, self.runtime = project, region, runtime
        self.images = ImageStore(root / "images", clock=clock)
        self.authority = TokenAuthority(clock=clock)
        asked = None if anonymous else self.authority.authenticate
        self.logging = Logging(authenticate=asked, clock=clock)
        self.monitoring = Monitoring(authenticate=asked, project=project, clock=clock)
        self.secrets = SecretManager(authenticate=asked, project=project, clock=clock)
        self.run = CloudRun(
            authority=self.authority, images=self.images, runtime=runtime, secrets=self.secrets,
            sink=self.logging.sink, project=project, region=region, clock=clock, meter=self.monitoring.record,
        )  # fmt: skip
        self.run.authenticate = asked
        self.storage = Storage(root=root / "objects", authenticate=asked, clock=clock)
        self.analysis = ContainerAnalysis(authenticate=asked, project=project, clock=clock)
        self.build = CloudBuild(
            images=self.images, storage=self.storage, sink=self.logging.sink, root=root / "builds", authenticate=asked,
            project=project, clock=clock, attest=self.analysis.attest,
        )  # fmt: skip
        self.registry = ArtifactRegistry(images=self.images, authenticate=asked, project=project, region=region)
        self.sts = SecurityTokenService(self.authority)
        self.iam = IamCredentials(self.authority)
        self.services: dict[str, Service] = {
            "run": self.run,
            "cloudbuild": self.build,
            "storage": self.storage,
            "artifactregistry": self.registry,
            "containeranalysis": self.analysis,
            "logging": self.logging,
            "monitoring": self.monitoring,
            "secretmanager": self.secrets,
            "sts": self.sts,
            "iamcredentials": self.iam,
        }

    def start(self) -> None:
        """Listen, each server on its own loopback port."""
        for service in self.services.values():
            service.start()

    def stop(self) -> None:
        """Stop every server and every process a revision or a job runs."""
        for service in self.services.values():
            service.stop()

    def environ(self) -> dict[str, str]:
        """Return the endpoint overrides, as gcloud reads its properties from the environment.

        Values end with a slash (cloud.google.com/sdk/gcloud/reference/config, ``api_endpoint_overrides``).
        """
        prefix = "CLOUDSDK_API_ENDPOINT_OVERRIDES_"
        return {f"{prefix}{name.upper()}": f"{service.url}/" for name, service in self.services.items()}

    def trust(
        self,
        issuer: str,
        jwks: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
        *,
        provider: str = PROVIDER,
        repository_id: str = "",
        service_account: str = "",
    ) -> None:
        """Trust an OIDC issuer's tokens, those of one repository where ``repository_id`` is given.

        With ``service_account`` that account may be impersonated by them: roles/iam.workloadIdentityUser for the
        repository's principal set (the whole pool without ``repository_id``).
        """

        def condition(claims: Claims) -> bool:
            return not repository_id or str(claims.get("repository_id")) == repository_id

        def fetch() -> Mapping[str, Any]:
            return jwks() if callable(jwks) else jwks

        self.authority.providers[provider] = Provider(
            resource=provider, issuer=issuer, fetch_jwks=fetch, condition=condition
        )
        if service_account:
            pool = f"principalSet://iam.googleapis.com/{provider.rsplit('/providers/', 1)[0]}"
            member = f"{pool}/attribute.repository_id/{repository_id}" if repository_id else f"{pool}/*"
            for permission in ("getAccessToken", "getOpenIdToken"):
                self.authority.grant(service_account, member, permission=permission)
