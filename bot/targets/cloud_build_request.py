"""What Cloud Build is asked to build. Pure: a specification in, a request out.

A build is found again by its tags: ``slipway-APP``, ``sha-SHA``, ``config-HASH`` (everything beside the sha that
changes the image) and ``release-KEY``. Cloud Build's tags are words of letters, digits, ``_``, ``-`` and ``.`` of at
most 128 characters.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from google.cloud.devtools import cloudbuild_v1
from google.protobuf import json_format

from bot.core.spec import CloudRunSpec
from bot.core.target import ReleaseId
from bot.errors import ConfigError

DOCKER = "gcr.io/cloud-builders/docker"
GCLOUD = "gcr.io/cloud-builders/gcloud"
_SOURCES = "slipway-sources"  # a folder of the workspace, beside that of the application's source
_RELEASE_TAG = "release-"
# What the bot decides itself in a `cloudbuild.yaml`: where the source comes from, and what names the result.
_OURS = ("source", "name", "id", "projectId", "status", "results")


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A source in Cloud Storage. ``folder`` is the one folder at the archive's top."""

    bucket: str
    name: str
    generation: int
    folder: str


@dataclass(frozen=True, kw_only=True)
class Overlaid:
    """A source of another repository that joins the build."""

    repository: str
    sha: str
    upload: Upload


def config_hash(spec: CloudRunSpec, sources: Mapping[str, str] | None = None) -> str:
    """Return 12 hex digits that change when anything but the sha changes the image.

    ``sources`` are the shas of the other repositories that join the build.
    """
    build = spec.build
    parts: dict[str, Any] = {
        "image": spec.image,
        "dockerfile": build.dockerfile,
        "context": build.context,
        "platform": build.platform,
        "args": dict(build.args),
        "labels": dict(build.labels),
        "substitutions": dict(build.substitutions),
        "provenance": build.provenance,
        "cloudbuild": spec.cloudbuild_yaml,
    }
    if build.overlay is not None:
        shas = {name: (sources or {}).get(name, "") for name in build.overlay.repos}
        parts["overlay"] = {"context": build.overlay.context, "args": dict(build.overlay.args), "sources": shas}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def find_filter(spec: CloudRunSpec, sha: str, sources: Mapping[str, str] | None = None) -> str:
    """Return the list filter for builds of a sha, and of ``sources``, with this configuration."""
    return " AND ".join(f'tags="{tag}"' for tag in _identity(spec, sha, sources or {}))


def is_of_release(build: cloudbuild_v1.Build, release: ReleaseId) -> bool:
    """Whether a build was started by this release."""
    return _RELEASE_TAG + release.key in build.tags


def _identity(spec: CloudRunSpec, sha: str, sources: Mapping[str, str]) -> tuple[str, ...]:
    return (f"slipway-{spec.app}", f"sha-{sha}", f"config-{config_hash(spec, sources)}")


def build_request(
    spec: CloudRunSpec, release: ReleaseId, upload: Upload | None, overlaid: Sequence[Overlaid] = ()
) -> cloudbuild_v1.Build:
    """Return the build of a release's sha, from an upload or (None) from the connected repository.

    ``overlaid`` are the sources of other repositories that join it. Raises ConfigError for a `cloudbuild.yaml` that
    cannot be used.
    """
    if spec.cloudbuild_yaml is None:
        fetching = [_fetch_step(overlaid)] if overlaid else []
        build = cloudbuild_v1.Build(
            steps=[*fetching, _docker_step(spec, release.sha, upload, overlaid)],
            images=[f"{spec.image}:{release.sha}"],
        )
    else:
        build = _from_yaml(spec, release.sha, upload)
    build.source = _source(spec, release.sha, upload)
    sources = {one.repository: one.sha for one in overlaid}
    build.tags = [*build.tags, *_identity(spec, release.sha, sources), _RELEASE_TAG + release.key]
    _options(build, spec)
    return build


def _fetch_step(overlaid: Sequence[Overlaid]) -> cloudbuild_v1.BuildStep:
    """Return the step that unpacks the other sources beside the application's own, each under its repository's name.

    `gcloud storage cp OBJECT -` writes to standard output (Cloud Storage documentation, "Streaming downloads"). The
    archives have one folder at their top, with the sha in its name.
    """
    lines = ["set -euo pipefail"]
    for one in overlaid:
        folder = f"{_SOURCES}/{one.repository.partition('/')[2]}"
        url = f"gs://{one.upload.bucket}/{one.upload.name}#{one.upload.generation}"
        lines += [
            f"mkdir -p {shlex.quote(folder)}",
            f"gcloud storage cp {shlex.quote(url)} - | tar -xz --strip-components=1 -C {shlex.quote(folder)}",
        ]
    return cloudbuild_v1.BuildStep(
        id="sources", name=GCLOUD, entrypoint="bash", args=["-c", _literal("\n".join(lines))]
    )


def _docker_step(
    spec: CloudRunSpec, sha: str, upload: Upload | None, overlaid: Sequence[Overlaid]
) -> cloudbuild_v1.BuildStep:
    build, overlay = spec.build, spec.build.overlay
    args, more = ["build"], {}
    if overlay is not None and overlaid:
        # The builder's Docker is 20.10 (GoogleCloudPlatform/cloud-builders, docker/cloudbuild.yaml): its `docker build`
        # knows no named contexts, not even with DOCKER_BUILDKIT=1 (crashappsec/chalk#206). The buildx beside it
        # does (Docker Engine 23.0 release notes). `--load`: Cloud Build pushes what the daemon has.
        args = ["buildx", "build", "--load", "--build-context", f"{overlay.context}=../{_SOURCES}"]
        more = dict(overlay.args)
    args += ["--tag", f"{spec.image}:{sha}", "--file", posixpath.join(".", build.dockerfile)]
    if build.platform:
        args += ["--platform", build.platform]
    for name, value in {**build.args, **more}.items():
        args += ["--build-arg", f"{name}={_literal(value)}"]
    for name, value in {**build.labels, **_labels(spec, sha), **_source_labels(overlaid)}.items():
        args += ["--label", f"{name}={_literal(value)}"]
    return cloudbuild_v1.BuildStep(
        id="build", name=DOCKER, args=[*args, build.context], dir=upload.folder if upload is not None else ""
    )


def _source_labels(overlaid: Sequence[Overlaid]) -> dict[str, str]:
    return {f"slipway.source.{one.repository.replace('/', '.')}": one.sha for one in overlaid}


def _labels(spec: CloudRunSpec, sha: str) -> dict[str, str]:
    """Return the labels that say where an image comes from (OCI image specification, pre-defined annotations)."""
    return {
        "org.opencontainers.image.revision": sha,
        "org.opencontainers.image.source": f"https://github.com/{spec.repository}",
    }


def _literal(value: str) -> str:
    """Keep Cloud Build from taking ``$`` in a value for a substitution: ``$$`` stands for ``$``."""
    return value.replace("$", "$$")


def _from_yaml(spec: CloudRunSpec, sha: str, upload: Upload | None) -> cloudbuild_v1.Build:
    """Read the default branch's `cloudbuild.yaml`; its steps run inside the source's folder."""
    where = spec.build.config or "cloudbuild.yaml"
    try:
        data = yaml.safe_load(spec.cloudbuild_yaml or "")
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not readable as YAML.", problems=(f"{where}: {error}",)) from error
    if not isinstance(data, dict):
        raise ConfigError(f"{where} should be a mapping with `steps`.", problems=(f"{where}: no mapping",))
    taken = [key for key in _OURS if key in data]
    if taken:
        raise ConfigError(f"{where} sets what the release sets.", problems=tuple(f"{where}: {key}" for key in taken))
    try:
        build: cloudbuild_v1.Build = cloudbuild_v1.Build.from_json(json.dumps(data), ignore_unknown_fields=False)
    except (json_format.ParseError, TypeError) as error:
        raise ConfigError(f"{where} is not a Cloud Build configuration.", problems=(f"{where}: {error}",)) from error
    for step in build.steps:
        if upload is not None and not step.dir.startswith("/"):
            step.dir = posixpath.normpath(posixpath.join(upload.folder, step.dir))
    _substitute(build, spec, sha)
    return build


def _substitute(build: cloudbuild_v1.Build, spec: CloudRunSpec, sha: str) -> None:
    """Give the values that a trigger would: those of the source, ours and the configured ones.

    A build from an upload has no ``COMMIT_SHA`` of its own; Cloud Build refuses unused substitutions unless it is told
    to be loose (``substitutionOption``).
    """
    given = {
        "COMMIT_SHA": sha,
        "REVISION_ID": sha,
        "SHORT_SHA": sha[:7],
        "REPO_NAME": spec.repository.partition("/")[2],
        "_IMAGE": f"{spec.image}:{sha}",
    }
    build.substitutions = {**build.substitutions, **given, **spec.build.substitutions}
    loose: Any = cloudbuild_v1.BuildOptions.SubstitutionOption.ALLOW_LOOSE
    build.options.substitution_option = loose


def _source(spec: CloudRunSpec, sha: str, upload: Upload | None) -> cloudbuild_v1.Source:
    if upload is None:
        return cloudbuild_v1.Source(
            connected_repository=cloudbuild_v1.ConnectedRepository(repository=spec.build.repository or "", revision=sha)
        )
    return cloudbuild_v1.Source(
        storage_source=cloudbuild_v1.StorageSource(
            bucket=upload.bucket, object_=upload.name, generation=upload.generation
        )
    )


def _options(build: cloudbuild_v1.Build, spec: CloudRunSpec) -> None:
    """Set what the release's configuration says about the build's machine, account and time."""
    config = spec.build
    options: dict[str, Any] = {}
    if "timeout" in config.model_fields_set or not build.timeout:
        build.timeout = {"seconds": int(config.timeout)}
    if config.machine_type:
        options["machine_type"] = _machine(config.machine_type)
    if config.provenance:
        options["requested_verify_option"] = cloudbuild_v1.BuildOptions.VerifyOption.VERIFIED
    if config.service_account:
        build.service_account = _account(config.service_account, spec.project)
        # A build with an account of its own must say where its logs go; this needs no bucket (Cloud Build docs,
        # "Configure user-specified service accounts").
        if not build.logs_bucket and not int(build.options.logging):
            options["logging"] = cloudbuild_v1.BuildOptions.LoggingMode.CLOUD_LOGGING_ONLY
    for name, value in options.items():
        setattr(build.options, name, value)


def _machine(name: str) -> Any:
    known = cloudbuild_v1.BuildOptions.MachineType.__members__
    if name not in known:
        raise ConfigError(f"{name} is no machine type of Cloud Build.", problems=(f"one of {', '.join(known)}",))
    return known[name]


def _account(email: str, project: str) -> str:
    return (
        email if re.match(r"projects/[^/]+/serviceAccounts/", email) else f"projects/{project}/serviceAccounts/{email}"
    )
