"""One environment of the configuration: merged, its placeholders filled, ready for a target and for policy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from bot.core.checks import Check, ExposureCheck, HttpCheck, JobCheck, ServingCheck
from bot.core.commands import REGISTRY
from bot.core.config import (
    BuildConfig,
    CloudRunTarget,
    Config,
    EnvironmentConfig,
    Gates,
    HerokuTarget,
    HttpCheckConfig,
    IamCheckConfig,
    JobCheckConfig,
    JobConfig,
    Model,
    ServiceConfig,
    ServingCheckConfig,
)
from bot.core.placeholders import Values, fill
from bot.core.references import is_production
from bot.core.spec import CloudRunSpec, HerokuSpec, JobSpec, ServiceSpec, Spec
from bot.core.words import short
from bot.errors import ConfigError

Phase = Literal["candidate", "live"]


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An environment as the bot acts on it. Timeouts are in seconds; ``url`` is ``""`` when none is configured."""

    name: str
    spec: Spec
    gates: Gates
    production: bool
    url: str = ""
    on_push: bool = False
    candidate_checks: tuple[Check, ...] = ()
    live_checks: tuple[Check, ...] = ()
    release_jobs: tuple[str, ...] = ()
    build_timeout: float = 1200.0
    rollout_timeout: float = 300.0
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    not_yet: tuple[str, ...] = ()

    @property
    def services(self) -> tuple[str, ...]:
        """The services' keys."""
        return tuple(spec.key for spec in self.spec.services) if isinstance(self.spec, CloudRunSpec) else ("app",)


def roles(config: Config, environment: str | None = None) -> dict[str, tuple[str, ...]]:
    """Return who may run each verb: the environment's rule, else the general one, else the verb's own default."""
    special = config.environments[environment].permissions if environment in config.environments else None
    found: dict[str, tuple[str, ...]] = {}
    for verb in REGISTRY.values():
        rules = [getattr(source, verb.name, None) for source in (special, config.permissions) if source is not None]
        if verb.name == "rollback":  # those who may deploy may undo it
            rules += [source.deploy for source in (special, config.permissions) if source is not None]
        found[verb.name] = next((rule for rule in rules if rule), (verb.role,))
    return found


def target_of(config: Config, name: str) -> CloudRunTarget | HerokuTarget:
    """Return the target of an environment (references were checked on load)."""
    environment = config.environments[name]
    return config.targets[environment.target or next(iter(config.targets))]


def wants_pyproject(text: str) -> bool:
    """Whether a configuration's text uses a value that is read from ``pyproject.toml`` at the released sha."""
    return "{pyproject." in text


def resolve(
    config: Config,
    name: str,
    *,
    repository: str,
    sha: str,
    variables: Mapping[str, str],
    version: str = "",
    cloudbuild_yaml: str | None = None,
) -> Environment:
    """Return an environment for releasing ``sha``.

    ``variables`` is GitHub's ``vars`` context; ``version`` is the project's own version at that sha, ``""`` if it is
    not asked for. Raises ConfigError for a placeholder without a value.
    """
    declared = config.environments[name]
    target = target_of(config, name)
    values = Values(variables=variables, names={"app": config.app, "env": name, "sha": sha, "short_sha": short(sha)})
    values = values.with_names({"version": version or short(sha)})
    values = values.with_names({"pyproject.version": version} if version else {})
    values = values.with_names(fill(declared.values, values, f"environments.{name}.values"))
    if isinstance(target, CloudRunTarget):
        values = _place(config, name, target, values)
    url = fill(declared.url, values, f"environments.{name}.url") if declared.url else ""
    values = values.with_names({"url": url, "site_url": url} if url else {})
    match target:
        case CloudRunTarget():
            spec: Spec = _cloud_run(config, name, values, repository=repository, cloudbuild_yaml=cloudbuild_yaml)
        case HerokuTarget():
            app = fill(declared.app or target.app, values, f"environments.{name}.app")
            spec = HerokuSpec(environment=name, repository=repository, app=app)
    checks = declared.verify if declared.verify is not None else target.verify
    candidate, live = _checks(checks, spec, values)
    jobs = target.jobs if isinstance(target, CloudRunTarget) else {}
    build_timeout, rollout_timeout = _timeouts(config, target)
    return Environment(
        name=name,
        spec=spec,
        gates=declared.gates or config.gates,
        production=is_production(name, declared),
        url=url,
        on_push=declared.on == "push",
        candidate_checks=candidate if isinstance(target, CloudRunTarget) else (),
        live_checks=live,
        release_jobs=tuple(key for key, job in jobs.items() if job.when == "release"),
        build_timeout=build_timeout,
        rollout_timeout=rollout_timeout,
        roles=roles(config, name),
        not_yet=not_yet(config, name),
    )


def _timeouts(config: Config, target: CloudRunTarget | HerokuTarget) -> tuple[float, float]:
    match target:
        case CloudRunTarget():
            return config.build.timeout, target.rollout_timeout
        case HerokuTarget():
            return target.build_timeout, target.release_timeout


M = TypeVar("M", bound=Model)


def _declared(model: Model) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_unset=True, by_alias=True)


def _rebuild(kind: type[M], data: Mapping[str, Any]) -> M:
    return kind.model_validate_json(json.dumps(data))


def _merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one declaration over another: mappings join, everything else is replaced.

    A secret is one thing (the version belongs to the name), and so is the access to a VPC.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict) and key != "vpc"
            if both:
                value = {**merged[key], **value} if key == "secrets" else _merge(merged[key], value)  # noqa: PLW2901
            merged[key] = value
    return merged


def _cloud_run(
    config: Config, name: str, values: Values, *, repository: str, cloudbuild_yaml: str | None
) -> CloudRunSpec:
    declared, target = config.environments[name], target_of(config, name)
    assert isinstance(target, CloudRunTarget)
    at = f"targets.{declared.target or next(iter(config.targets))}"
    services = tuple(
        ServiceSpec(
            key=key,
            name=_name(target, key, merged, values, f"{at}.services.{key}"),
            config=_rebuild(ServiceConfig, fill(merged, values.with_names({"name": key}), f"{at}.services.{key}")),
        )
        for key, merged in _workloads(target, declared, "services")
    )
    jobs = tuple(
        JobSpec(
            key=key,
            name=_name(target, key, merged, values, f"{at}.jobs.{key}"),
            config=_rebuild(JobConfig, fill(merged, values.with_names({"name": key}), f"{at}.jobs.{key}")),
        )
        for key, merged in _workloads(target, declared, "jobs")
    )
    auth = type(target.auth)(**fill(_declared(target.auth), values, f"{at}.auth")) if target.auth else None
    return CloudRunSpec(
        app=config.app,
        environment=name,
        repository=repository,
        project=values.names["project"],
        region=values.names["region"],
        image=fill(target.image, values, f"{at}.image"),
        source_bucket=fill(target.source_bucket, values, f"{at}.source_bucket"),
        build=_rebuild(BuildConfig, fill(_declared(config.build), values, "build")),
        auth=auth,
        services=services,
        jobs=jobs,
        cloudbuild_yaml=cloudbuild_yaml,
    )


def _place(config: Config, name: str, target: CloudRunTarget, values: Values) -> Values:
    """Return the values that say where an environment is on Cloud Run as well."""
    declared = config.environments[name]
    at = f"targets.{declared.target or next(iter(config.targets))}"
    suffix = target.suffix.get(name, target.suffix.get("default", ""))
    values = values.with_names({"suffix": fill(suffix, values, f"{at}.suffix")})
    for key in ("project", "region"):
        values = values.with_names({key: fill(getattr(declared, key) or getattr(target, key), values, f"{at}.{key}")})
    return values


def _workloads(
    target: CloudRunTarget, declared: EnvironmentConfig, kind: Literal["services", "jobs"]
) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield each service or job with every layer that speaks of it laid over the one before."""
    defaults = _declared(target.defaults)
    if kind == "jobs":  # requests are no concern of jobs, and a job has a timeout of its own
        defaults = {key: value for key, value in defaults.items() if key not in {"port", "timeout", "concurrency"}}
    general: dict[str, Any] = {"env": dict(target.env), "secrets": _declared(target).get("secrets", {})}
    for key, value in (("service_account", target.runtime_sa), ("cloudsql", target.cloudsql)):
        if value is not None:
            general[key] = list(value) if isinstance(value, tuple) else value
    if target.vpc is not None:
        general["vpc"] = target.vpc if isinstance(target.vpc, str) else _declared(target.vpc)
    here = {"env": dict(declared.env), "secrets": _declared(declared).get("secrets", {})}
    overrides: Mapping[str, Model] = getattr(declared, kind)
    workloads: Mapping[str, Model] = getattr(target, kind)
    for key, workload in workloads.items():
        special = _declared(overrides[key]) if key in overrides else {}
        yield key, _merge(defaults, general, _declared(workload), here, special)


def _name(target: CloudRunTarget, key: str, merged: Mapping[str, Any], values: Values, at: str) -> str:
    """Return the name on Cloud Run. Room for ``-<sha7>-<deployment>`` is kept: a revision's name has 63 characters."""
    name: str = fill(merged.get("name") or target.service_name, values.with_names({"name": key}), f"{at}.name")
    if len(name) > MAX_NAME:
        raise ConfigError(
            f"The name `{name}` is too long.",
            problems=(f"{at}.name: `{name}` has {len(name)} characters; {MAX_NAME} leave room for a revision's name",),
            hint="Give the service or job a shorter `name`.",
        )
    return name


MAX_NAME = 63 - len("-0123456-") - 8


def _checks(configs: Iterable[object], spec: Spec, values: Values) -> tuple[tuple[Check, ...], tuple[Check, ...]]:
    """Return the checks before and after traffic. What serves is always checked, first."""
    services = tuple(one.key for one in spec.services) if isinstance(spec, CloudRunSpec) else ("app",)
    found: dict[Phase, list[Check]] = {"candidate": [], "live": []}
    configs = tuple(configs)
    serving = next((item for item in configs if isinstance(item, ServingCheckConfig)), None)
    found["live"].append(
        ServingCheck(
            name="serving",
            services=serving.serving if serving else services,
            deadline=serving.deadline if serving else 60.0,
        )
    )
    for index, item in enumerate(configs):
        at = f"verify[{index}]"
        match item:
            case HttpCheckConfig():
                for phase in _phases(item):
                    found[phase].append(_http(item, services, spec, values, at))
            case JobCheckConfig():
                assert isinstance(spec, CloudRunSpec)
                job = spec.job(item.job).config
                timeout = job.timeout * (job.max_retries + 1) + 60.0  # its tries, and a minute to be scheduled
                found[item.when].append(JobCheck(name=f"job {item.job}", job=item.job, timeout=timeout))
            case IamCheckConfig():
                public = None if item.no_public_invoker is None else not item.no_public_invoker
                found["live"].append(
                    ExposureCheck(name=f"access to {item.iam}", service=item.iam, public=public, ingress=item.ingress)
                )
            case _:
                pass
    return tuple(found["candidate"]), tuple(found["live"])


def _phases(item: HttpCheckConfig) -> tuple[Phase, ...]:
    when = item.when or ("both" if item.http.startswith("/") else "live")
    return ("candidate", "live") if when == "both" else (when,)


def _http(item: HttpCheckConfig, services: tuple[str, ...], spec: Spec, values: Values, at: str) -> HttpCheck:
    url = fill(item.http, values, f"{at}.http")
    service = item.service or (services[0] if url.startswith("/") else "")
    return HttpCheck(
        name=f"{service} {url}" if url.startswith("/") else url,
        url=url,
        service=service,
        method=item.method,
        status=item.status,
        json=fill(item.json_, values, f"{at}.json"),
        contains=fill(item.contains, values, f"{at}.contains"),
        headers=fill(item.headers, values, f"{at}.headers"),
        within=item.within,
        passes=item.passes,
        deadline=item.deadline,
        interval=item.interval,
        anonymous=item.status == 403 and not _declared_public(spec, service),
    )


def _declared_public(spec: Spec, service: str) -> bool:
    """Whether anyone may call a service once it is released.

    Until the shift of its first release it is private all the same: Cloud Run itself answers a stranger with 403. So a
    refusal that is expected of a public service, and a 401 of any, is the application's own: it is asked with an
    identity token that the application does not see.
    """
    services = spec.services if isinstance(spec, CloudRunSpec) else ()
    return any(one.key == service and one.config.public is True for one in services)


def not_yet(config: Config, name: str) -> tuple[str, ...]:
    """Return the key paths that would bear on releasing an environment but are not acted on yet.

    A release is refused rather than done without them.
    """
    environment, target = config.environments[name], target_of(config, name)
    key = environment.target or next(iter(config.targets))
    wanted: list[tuple[str, object]] = [
        ("build.overlay", config.build.overlay),
        ("gates.preflight", (environment.gates or config.gates).preflight),
        ("gates.interface", (environment.gates or config.gates).interface),
        (f"environments.{name}.promote_from", environment.promote_from),
        (f"environments.{name}.approvals", environment.approvals),
        (f"environments.{name}.backup", environment.backup),
    ]
    match target:
        case CloudRunTarget():
            wanted += [(f"targets.{key}.scheduler", target.scheduler), (f"targets.{key}.order", target.order)]
            for kind in ("services", "jobs"):
                for _, merged in _workloads(target, environment, "services" if kind == "services" else "jobs"):
                    secrets = merged.get("secrets", {})
                    pins = [path for path, secret in secrets.items() if secret.get("version") == "pin"]
                    wanted += [(f"targets.{key}: version: pin (of {path})", True) for path in pins]
                    wanted.append((f"targets.{key}: vpc: auto", merged.get("vpc") == "auto"))
        case HerokuTarget():
            wanted += [
                (f"targets.{key}.{field}", getattr(target, field)) for field in ("first_deploy", "formation", "backup")
            ]
    return tuple(dict.fromkeys(path for path, value in wanted if value))
