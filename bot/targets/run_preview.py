"""What a release would change on Cloud Run: the live services and jobs beside what they would become. Changes nothing.

The same functions make the templates here and in a release, so that what is shown is what will be done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from google.cloud import run_v2

from bot.core.changes import Change, Preview, differences
from bot.core.serving import Artifact
from bot.core.target import Done, Known
from bot.targets.parallel import together
from bot.targets.run_jobs import Jobs
from bot.targets.run_services import Services
from bot.targets.run_template import Place, Revision, Template, job_template, main_container, revision_name
from bot.targets.run_traffic import said
from bot.targets.secret_versions import newest, pinned_names, with_pins

if TYPE_CHECKING:
    from bot.targets.cloud_build import Builds

_UNBUILT = "IMAGE"  # stands for an image that does not exist yet


def preview(services: Services, jobs: Jobs, builds: Builds, wanted: Collection[str], known: Known) -> Preview:
    """Return what a release of ``known`` would change in all services, and in the jobs that it runs."""
    spec = services.spec
    pins = known.pins or newest(services.google, pinned_names(spec))
    artifact = known.artifact or _found(builds, known)
    image = artifact.reference if artifact is not None else _UNBUILT
    changed = together(lambda key: _service(services, key, known, pins, image), [one.key for one in spec.services])
    changed += together(lambda key: _job(jobs, services, key, known, pins, image), list(wanted))
    changes = tuple(_shown(change, artifact) for group in changed for change in group)
    return Preview(artifact=artifact, changes=changes, pins=pins)


def _found(builds: Builds, known: Known) -> Artifact | None:
    """Return the image of the sha, if there is one already."""
    found = builds.observe("", known)
    return found.artifact if isinstance(found, Done) else None


def _service(services: Services, key: str, known: Known, pins: Mapping[str, str], image: str) -> tuple[Change, ...]:
    spec, kind, live = services.spec.service(key), services.kind(key), services.get(key)
    template = kind.template(
        with_pins(spec.config, pins),
        live,
        image=image,
        name=revision_name(spec.name, known.release),
        release=known.release,
        place=Place.of(services.spec),
    )
    if live is None:
        new = Change(where=key, what=kind.noun, after=f"{spec.name} is made")
        return (new, *differences(key, {}, _revision(template) | _variables(template.containers, {})))
    settings = kind.settings(live)
    wanted = kind.declared(spec.config, settings)
    settings |= {"public": services.public(key, live)} if "public" in wanted else {}
    now = {name: str(value).lower() for name, value in settings.items() if name in wanted}
    variables = _changed_variables(live.template.containers, template.containers)
    return (
        *differences(key, _revision(live.template), _revision(template)),
        *differences(key, *variables),
        *differences(key, now, {name: str(value).lower() for name, value in wanted.items()}),
        Change(where=key, what=kind.shared, before=said(kind.shares(live)), after="100 % on the new revision"),
    )


def _job(
    jobs: Jobs, services: Services, key: str, known: Known, pins: Mapping[str, str], image: str
) -> tuple[Change, ...]:
    spec, live = services.spec.job(key), jobs.get(key)
    template = job_template(
        with_pins(spec.config, pins),
        live.template if live is not None else None,
        image=image,
        step=f"job-{key}",
        release=known.release,
        place=Place.of(services.spec),
    )
    where = f"job {key}"
    if live is None:
        new = Change(where=where, what="job", after=f"{spec.name} is made")
        return (new, *differences(where, {}, _task(template) | _variables(template.template.containers, {})))
    variables = _changed_variables(live.template.template.containers, template.template.containers)
    return (*differences(where, _task(live.template), _task(template)), *differences(where, *variables))


def _shown(change: Change, artifact: Artifact | None) -> Change:
    """Say in words that an image has yet to be built."""
    if change.what != "image" or artifact is not None:
        return change
    return Change(where=change.where, what="image", before=change.before, after="will be built")


# -- descriptions -----------------------------------------------------------------------------------------------------
def _revision(template: Revision) -> dict[str, str]:
    facts = _container(main_container(template.containers)) | _identity(template)
    if isinstance(template, run_v2.RevisionTemplate):  # a worker pool's has no fields for these
        facts |= {
            "timeout": f"{template.timeout.seconds} s" if template.timeout else "",
            "concurrency": str(template.max_instance_request_concurrency or ""),
            "execution environment": _environment(template),
        }
    return {name: value for name, value in facts.items() if value}


def _task(template: run_v2.ExecutionTemplate) -> dict[str, str]:
    task = template.template
    facts = _container(main_container(task.containers)) | {
        "timeout": f"{task.timeout.seconds} s" if task.timeout else "",
        "retries": str(task.max_retries),
        **_identity(task),
        "execution environment": _environment(task),
    }
    return {name: value for name, value in facts.items() if value}


def _container(container: run_v2.Container | None) -> dict[str, str]:
    if container is None:
        return {}
    probes = {"startup probe": container.startup_probe, "liveness probe": container.liveness_probe}
    return {
        "image": container.image.partition("@")[2] or container.image,
        "command": " ".join(container.command),
        "args": " ".join(container.args),
        "port": ", ".join(str(port.container_port) for port in container.ports),
        **{name: container.resources.limits.get(name, "") for name in ("memory", "cpu")},
        **{name: probe.http_get.path for name, probe in probes.items()},
    }


def _environment(template: run_v2.RevisionTemplate | run_v2.TaskTemplate) -> str:
    found = template.execution_environment
    return found.name.rpartition("_")[2].lower() if int(found) else ""


def _identity(template: Template) -> dict[str, str]:
    access = template.vpc_access
    networks = ", ".join(f"{one.network}/{one.subnetwork}".strip("/") for one in access.network_interfaces)
    sql = [instance for volume in template.volumes for instance in volume.cloud_sql_instance.instances]
    return {
        "service account": template.service_account,
        "vpc": access.connector or networks,
        "cloud sql": ", ".join(sorted(sql)),
        **{
            f"secret {volume.secret.secret.rpartition('/')[2]} in {item.path}": f"version {item.version or 'latest'}"
            for volume in template.volumes
            for item in volume.secret.items
        },
    }


def _variables(containers: Iterable[run_v2.Container], values: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by name: a secret's with its version, any other with what ``values`` say of it."""
    container = main_container(containers)
    facts: dict[str, str] = {}
    for variable in container.env if container is not None else ():
        secret = variable.value_source.secret_key_ref
        if secret.secret:
            facts[f"secret {secret.secret.rpartition('/')[2]} in {variable.name}"] = (
                f"version {secret.version or 'latest'}"
            )
        else:
            facts[f"variable {variable.name}"] = values.get(variable.name, "set")
    return facts


def _changed_variables(
    before: Iterable[run_v2.Container], after: Iterable[run_v2.Container]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the variables before and after. A changed value is said to be new, and never shown."""
    before, after = list(before), list(after)
    old, new = _values(before), _values(after)
    changed = {name: "a new value" for name, value in new.items() if name in old and old[name] != value}
    return _variables(before, {}), _variables(after, changed)


def _values(containers: Iterable[run_v2.Container]) -> dict[str, str]:
    container = main_container(containers)
    return {variable.name: variable.value for variable in container.env} if container is not None else {}
