"""Templates of Cloud Run revisions and tasks. Pure: a declaration and the live template in, the new template out.

Declared fields are set; what is not declared keeps its live value. Environment variables and mounted secrets are
declared one by one: an annotation remembers which the bot set, so that one that is no longer declared goes away while
those that somebody else set stay (as ``kubectl apply`` does with its last-applied annotation).
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from google.cloud import run_v2

from bot.core.config import JobConfig, Probe, SecretRef, ServiceConfig, Vpc, Workload
from bot.core.spec import CloudRunSpec
from bot.core.target import ReleaseId
from bot.errors import ConfigError

RELEASE, SHA, ENVIRONMENT, STEP = "slipway-release", "slipway-sha", "slipway-environment", "slipway-step"
MANAGED = "slipway-managed"  # annotation: the variables and mounts that the bot set
REVISION_LIMIT = 63  # characters of a revision's name (a DNS label, RFC 1035)
_CLOUDSQL = "cloudsql"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where short names are completed: the project and region of the target."""

    project: str
    region: str

    @classmethod
    def of(cls, spec: CloudRunSpec) -> Place:
        """Return the place of a specification."""
        return cls(project=spec.project, region=spec.region)


def revision_name(service: str, release: ReleaseId) -> str:
    """Return the release's revision of a service. Raises ConfigError when the service's name is too long for it."""
    name = f"{service}-{release.sha[:7]}-{release.key}"
    if len(name) > REVISION_LIMIT:
        raise ConfigError(
            f"The service name {service} is too long: its revision {name} has {len(name)} characters.",
            hint=f"Cloud Run allows {REVISION_LIMIT}; shorten the service's `name`.",
        )
    return name


def label(text: str) -> str:
    """Return text as a label's value: lower case letters, digits, ``-`` and ``_``, at most 63 characters."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower())[:63].strip("-_")


def release_labels(release: ReleaseId) -> dict[str, str]:
    """Return the labels by which a release's things are found again."""
    return {RELEASE: release.key, SHA: release.sha, ENVIRONMENT: label(release.environment)}


def service_template(
    config: ServiceConfig,
    live: run_v2.RevisionTemplate | None,
    *,
    image: str,
    name: str,
    release: ReleaseId,
    place: Place,
) -> run_v2.RevisionTemplate:
    """Return the template of the release's revision. ``live`` is not changed; sidecars are kept."""
    template = run_v2.RevisionTemplate(live) if live is not None else run_v2.RevisionTemplate()
    container = _revision(template, config, image=image, name=name, release=release, place=place)
    _environment_of(template, config)
    if config.port is not None:
        ports = container.ports
        container.ports = [run_v2.ContainerPort(name=ports[0].name if ports else "", container_port=config.port)]
    if config.timeout is not None:
        template.timeout = {"seconds": int(config.timeout)}
    if config.concurrency is not None:
        template.max_instance_request_concurrency = config.concurrency
    if config.probe is not None and config.probe.startup is not None:
        container.startup_probe = _probe(config.probe.startup)
    if config.probe is not None and config.probe.liveness is not None:
        container.liveness_probe = _probe(config.probe.liveness)
    return template


def pool_template(
    config: ServiceConfig,
    live: run_v2.WorkerPoolRevisionTemplate | None,
    *,
    image: str,
    name: str,
    release: ReleaseId,
    place: Place,
) -> run_v2.WorkerPoolRevisionTemplate:
    """Return the template of the release's revision of a worker pool, which has no fields for requests."""
    template = run_v2.WorkerPoolRevisionTemplate(live) if live is not None else run_v2.WorkerPoolRevisionTemplate()
    _revision(template, config, image=image, name=name, release=release, place=place)
    return template


def job_template(
    config: JobConfig, live: run_v2.ExecutionTemplate | None, *, image: str, step: str, release: ReleaseId, place: Place
) -> run_v2.ExecutionTemplate:
    """Return the template of the release's execution of a job. ``step`` tells two runs of one job apart."""
    template = run_v2.ExecutionTemplate(live) if live is not None else run_v2.ExecutionTemplate()
    template.labels = {**template.labels, **config.labels, **release_labels(release), STEP: label(step)}
    task = template.template
    if not task.containers:
        task.containers = [run_v2.Container()]
    container = task.containers[0]
    _workload(task, container, config, place, annotations=template)
    _identity(task, config)
    _environment_of(task, config)
    container.image = image
    if config.run is not None:
        container.command = ["/bin/bash", "-c"]
        container.args = [script(config)]
    task.timeout = {"seconds": int(config.timeout)}
    task.max_retries = config.max_retries
    return template


def script(config: JobConfig) -> str:
    """Return the shell's program for ``run``: the first failure stops it, also one inside a pipe."""
    start = ["set -o pipefail"]
    if config.env_file:
        start += ["set -a", f"source {shlex.quote(config.env_file)}", "set +a"]
    return " && ".join([*start, *(f"{config.run_with} {command}".strip() for command in config.run or ())])


def main_container(containers: Iterable[run_v2.Container]) -> run_v2.Container | None:
    """Return the container that takes requests: the one with a port; a lone container needs none."""
    found = list(containers)
    return next((container for container in found if container.ports), found[0] if found else None)


Revision = run_v2.RevisionTemplate | run_v2.WorkerPoolRevisionTemplate
Template = Revision | run_v2.TaskTemplate


def _revision(
    template: Revision, config: ServiceConfig, *, image: str, name: str, release: ReleaseId, place: Place
) -> run_v2.Container:
    """Set what revisions of services and of worker pools have in common; returns the main container."""
    template.revision = name  # gcloud leaves its own name there, and a name is good for one revision only
    template.labels = {**template.labels, **config.labels, **release_labels(release)}
    container = main_container(template.containers)
    if container is None:
        template.containers = [run_v2.Container()]
        container = template.containers[0]
    _workload(template, container, config, place)
    _identity(template, config)
    container.image = image
    return container


def _workload(
    template: Template,
    container: run_v2.Container,
    config: Workload,
    place: Place,
    *,
    annotations: Revision | run_v2.ExecutionTemplate | None = None,
) -> None:
    """Set what services and jobs have in common. ``annotations``: the template that carries them."""
    if config.command is not None:
        container.command = list(config.command)
    if config.args is not None:
        container.args = list(config.args)
    holder = annotations if annotations is not None else template
    before = json.loads(holder.annotations.get(MANAGED, "{}"))
    managed = {
        "env": _environment(container, config, frozenset(before.get("env", ()))),
        "mounts": _mounts(template, container, config, frozenset(before.get("mounts", ())), place),
    }
    if any(managed.values()) or before:
        holder.annotations = {**holder.annotations, MANAGED: json.dumps(managed, separators=(",", ":"))}
    limits = {"memory": config.memory, "cpu": config.cpu}
    declared = {name: value for name, value in limits.items() if value is not None}
    if declared:
        container.resources.limits = {**container.resources.limits, **declared}


def _identity(template: Template, config: Workload) -> None:
    """Set the account and the network."""
    if config.service_account is not None:
        template.service_account = config.service_account
    if isinstance(config.vpc, Vpc):
        template.vpc_access = _vpc(config.vpc, template.vpc_access)


def _environment_of(template: run_v2.RevisionTemplate | run_v2.TaskTemplate, config: Workload) -> None:
    """Set the execution environment."""
    if config.execution_env is not None:
        environments: dict[str, Any] = {
            "gen1": run_v2.ExecutionEnvironment.EXECUTION_ENVIRONMENT_GEN1,
            "gen2": run_v2.ExecutionEnvironment.EXECUTION_ENVIRONMENT_GEN2,
        }
        template.execution_environment = environments[config.execution_env]


def _environment(container: run_v2.Container, config: Workload, ours: frozenset[str]) -> list[str]:
    """Set variables and secret variables; returns the names that are the bot's now."""
    wanted = [run_v2.EnvVar(name=name, value=value) for name, value in config.env.items()]
    wanted += [
        run_v2.EnvVar(
            name=name,
            value_source=run_v2.EnvVarSource(
                secret_key_ref=run_v2.SecretKeySelector(secret=secret.name, version=secret.version)
            ),
        )
        for name, secret in config.secrets.items()
        if not name.startswith("/")
    ]
    names = {variable.name for variable in wanted}
    if names or ours:
        container.env = [v for v in container.env if v.name not in names | ours] + wanted
    return sorted(names)


def _mounts(
    template: Template, container: run_v2.Container, config: Workload, ours: frozenset[str], place: Place
) -> list[str]:
    """Set secret files and Cloud SQL sockets; returns the mount paths that are the bot's now."""
    volumes = _secret_volumes(config.secrets)
    if config.cloudsql is not None:
        instances = [_instance(name, place) for name in config.cloudsql]
        source = run_v2.CloudSqlInstance(instances=instances)
        volumes["/cloudsql"] = run_v2.Volume(name=_CLOUDSQL, cloud_sql_instance=source)
    gone = {m.name for m in container.volume_mounts if m.mount_path in ours | volumes.keys()}
    if not gone and not volumes:
        return []
    fresh = {volume.name for volume in volumes.values()}
    container.volume_mounts = [m for m in container.volume_mounts if m.name not in gone | fresh] + [
        run_v2.VolumeMount(name=volume.name, mount_path=path) for path, volume in volumes.items()
    ]
    template.volumes = [v for v in template.volumes if v.name not in gone | fresh] + list(volumes.values())
    return sorted(volumes)


def _secret_volumes(secrets: Mapping[str, SecretRef]) -> dict[str, run_v2.Volume]:
    """Return a volume for each folder that secret files are declared in.

    A volume shows one secret, and a folder takes one volume: two secrets in one folder are refused.
    """
    volumes: dict[str, run_v2.Volume] = {}
    for path, secret in secrets.items():
        if not path.startswith("/"):
            continue
        folder, file = posixpath.split(posixpath.normpath(path))
        item = run_v2.VersionToPath(path=file, version=secret.version)
        if folder not in volumes:
            name = "slipway-" + hashlib.sha256(folder.encode()).hexdigest()[:8]
            source = run_v2.SecretVolumeSource(secret=secret.name, items=[item])
            volumes[folder] = run_v2.Volume(name=name, secret=source)
        elif volumes[folder].secret.secret == secret.name:
            volumes[folder].secret.items.append(item)
        else:
            raise ConfigError(
                f"{folder} cannot hold the secrets {volumes[folder].secret.secret} and {secret.name} at once.",
                hint="Cloud Run mounts one secret in a folder: use a folder for each.",
            )
    return volumes


def _instance(name: str, place: Place) -> str:
    return name if ":" in name else f"{place.project}:{place.region}:{name}"


def _vpc(vpc: Vpc, live: run_v2.VpcAccess) -> run_v2.VpcAccess:
    egress = {
        "all-traffic": run_v2.VpcAccess.VpcEgress.ALL_TRAFFIC,
        "private-ranges-only": run_v2.VpcAccess.VpcEgress.PRIVATE_RANGES_ONLY,
    }[vpc.egress]
    if vpc.connector is not None:
        return run_v2.VpcAccess(connector=vpc.connector, egress=egress)
    tags = [tag for interface in live.network_interfaces for tag in interface.tags]
    interface = run_v2.VpcAccess.NetworkInterface(network=vpc.network or "", subnetwork=vpc.subnetwork or "", tags=tags)
    return run_v2.VpcAccess(network_interfaces=[interface], egress=egress)


def _probe(probe: Probe) -> run_v2.Probe:
    return run_v2.Probe(
        http_get=run_v2.HTTPGetAction(path=probe.path),
        period_seconds=max(1, round(probe.period)),
        timeout_seconds=max(1, round(probe.timeout)),
        failure_threshold=probe.failures,
        initial_delay_seconds=round(probe.delay),
    )
