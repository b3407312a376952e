"""One environment of the configuration: merged, its placeholders filled, ready for a target and for policy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from bot.core.checks import Check
from bot.core.config import (
    BuildConfig,
    CheckConfig,
    CloudRunTarget,
    Config,
    EnvironmentConfig,
    Gates,
    HerokuTarget,
    JobConfig,
    Model,
    PreviewConfig,
    Promotion,
    SecretRef,
    ServiceConfig,
    Watch,
)
from bot.core.name_references import MAX_JOB, MAX_SERVICE, same_names, wrong_name
from bot.core.overrides import FLAG
from bot.core.placeholders import Values, fill
from bot.core.previews import Previews
from bot.core.references import is_production
from bot.core.registry import REGISTRY
from bot.core.spec import CloudRunSpec, HerokuSpec, JobSpec, ServiceSpec, Spec
from bot.core.units import Region, preview_checks, regions_of
from bot.core.words import short
from bot.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An environment as the bot acts on it. Timeouts are in seconds; ``url`` is ``""`` when none is configured.

    ``left`` are services that a release of the others leaves as they are: then ``regions`` have only those others.
    ``version`` is the project's own at the released commit, where the configuration asks for it. ``reviewers`` is the
    GitHub environment whose reviewers have to approve the run, ``""``: none.
    """

    name: str
    spec: Spec
    gates: Gates
    production: bool
    regions: tuple[Region, ...]
    url: str = ""
    on_push: bool = False
    watch: Watch | None = None
    previews: Previews | None = None
    promotion: Promotion | None = None
    build_timeout: float = 1200.0
    rollout_timeout: float = 300.0
    keep_revisions: int = 20
    keep_releases: int = 10
    mention_after: float = 600.0
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notify: tuple[str, ...] = ()
    not_yet: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    version: str = ""
    reviewers: str = ""

    @property
    def services(self) -> tuple[str, ...]:
        """The services' keys, region by region."""
        return tuple(unit.key for region in self.regions for unit in region.units)

    @property
    def candidate_checks(self) -> tuple[Check, ...]:
        """The checks before traffic, region by region."""
        return tuple(check for region in self.regions for check in region.candidate_checks)

    @property
    def live_checks(self) -> tuple[Check, ...]:
        """The checks of what serves, region by region."""
        return tuple(check for region in self.regions for check in region.live_checks)

    @property
    def release_jobs(self) -> tuple[str, ...]:
        """The keys of the jobs that run before any traffic moves."""
        jobs = self.spec.jobs if isinstance(self.spec, CloudRunSpec) else ()
        return tuple(job.key for job in jobs if job.config.when == "release")


# Those who may deploy may undo it, and go on; and a preview runs code with the same secrets as a release. Whoever
# deploys a line that logs a secret could read it there.
_LIKE = {
    "promote": "deploy",
    "rollback": "deploy",
    "preview": "deploy",
    "retry": "deploy",
    "lock": "deploy",
    "unlock": "deploy",
    "unfreeze": "freeze",
    "logs": "deploy",
    "reject": "approve",
}


def roles(config: Config, environment: str | None = None) -> dict[str, tuple[str, ...]]:
    """Return who may run each verb, and who may override gates.

    The environment's rule, else the general one, else the verb's own default.
    """
    special = config.environments[environment].permissions if environment in config.environments else None
    found: dict[str, tuple[str, ...]] = {}
    for name, role in {**{verb.name: verb.role for verb in REGISTRY.values()}, FLAG: "admin"}.items():
        rules = [getattr(source, name, None) for source in (special, config.permissions) if source is not None]
        like = _LIKE.get(name)
        if like is not None:
            rules += [getattr(source, like) for source in (special, config.permissions) if source is not None]
        found[name] = next((rule for rule in rules if rule), (role,))
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
    build_timeout, rollout_timeout = _timeouts(config, target)
    return Environment(
        name=name,
        spec=spec,
        gates=_gates(declared, config),
        reviewers=fill(declared.approvals.environment or "", values, f"environments.{name}.approvals.environment")
        if declared.approvals is not None
        else "",
        production=is_production(name, declared),
        regions=regions_of(spec, target, checks, values),
        url=url,
        on_push=declared.on == "push",
        previews=_previews(declared.previews, spec, checks, values, f"environments.{name}.previews"),
        watch=declared.watch or (target.watch if isinstance(target, CloudRunTarget) else None),
        promotion=declared.promote_from,
        build_timeout=build_timeout,
        rollout_timeout=rollout_timeout,
        keep_revisions=target.keep_revisions if isinstance(target, CloudRunTarget) else 0,
        keep_releases=target.keep_releases if isinstance(target, CloudRunTarget) else 0,
        mention_after=declared.mention_after,
        roles=roles(config, name),
        notify=config.notify if declared.notify is None else declared.notify,
        not_yet=not_yet(config, name),
        version=version if version != short(sha) else "",
    )


def _gates(declared: EnvironmentConfig, config: Config) -> Gates:
    """Return the gates; a typed confirmation is the commit's name."""
    gates = declared.gates or config.gates
    confirm = declared.approvals is not None and declared.approvals.confirm
    return gates.model_copy(update={"require_sha": True}) if confirm else gates


def _previews(
    declared: PreviewConfig | None, spec: Spec, checks: tuple[CheckConfig, ...], values: Values, at: str
) -> Previews | None:
    """Return how previews are to be made: in the first region, where the pull request's image is built."""
    if declared is None or not isinstance(spec, CloudRunSpec):
        return None
    here = [one for one in spec.services if one.region == spec.region and not one.pool]
    public = [one.key for one in here if one.config.public]
    chosen = declared.services or public or [one.key for one in here]
    env = fill(dict(declared.env), values, f"{at}.env")
    secrets = {
        name: _rebuild(SecretRef, fill(_declared(secret), values, f"{at}.secrets.{name}"))
        for name, secret in declared.secrets.items()
    }

    def differing(service: ServiceConfig) -> ServiceConfig:
        """Lay over a service what differs; a name is either a variable or a secret."""
        kept_env = {name: value for name, value in service.env.items() if name not in secrets}
        kept_secrets = {name: ref for name, ref in service.secrets.items() if name not in env}
        return service.model_copy(update={"env": {**kept_env, **env}, "secrets": {**kept_secrets, **secrets}})

    services = tuple(replace(one, config=differing(one.config)) for one in here if one.key in chosen)
    of_preview = replace(spec, services=services, jobs=())
    return Previews(
        spec=of_preview,
        checks=preview_checks(declared.verify, checks, of_preview, values),
        ttl=declared.ttl,
        on_push=declared.renew == "push",
        limit=declared.max,
        differs=(*env, *secrets),
    )


def _timeouts(config: Config, target: CloudRunTarget | HerokuTarget) -> tuple[float, float]:
    match target:
        case CloudRunTarget():
            return config.build.timeout, target.rollout_timeout
        case HerokuTarget():
            return target.build_timeout, target.release_timeout


M = TypeVar("M", bound=Model)

_OF_REQUESTS = frozenset({"port", "timeout", "concurrency"})
# What is said for all services is not meant for worker pools: nothing they take could be sent in stages, and they run
# in the second generation only (cloud.google.com/run/docs/configuring/execution-environments).
_NOT_OF_POOLS = _OF_REQUESTS | {"strategy", "execution_env"}


def _declared(model: Model) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_unset=True, by_alias=True)


def _rebuild(kind: type[M], data: Mapping[str, Any]) -> M:
    return kind.model_validate_json(json.dumps(data))


def _merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one declaration over another: mappings join, everything else is replaced.

    A secret is one thing (the version belongs to the name), and so are the access to a VPC and a strategy.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict) and key not in {"vpc", "strategy"}
            if not both:
                merged[key] = value
            elif key == "secrets":
                merged[key] = {**merged[key], **value}
            else:
                merged[key] = _merge(merged[key], value)
    return merged


def _cloud_run(
    config: Config, name: str, values: Values, *, repository: str, cloudbuild_yaml: str | None
) -> CloudRunSpec:
    declared, target = config.environments[name], target_of(config, name)
    assert isinstance(target, CloudRunTarget)
    at = f"targets.{declared.target or next(iter(config.targets))}"
    regions = declared.region or target.region
    services = tuple(
        spec for number in range(len(regions)) for spec in _services(declared, target, values, at, number, regions)
    )
    jobs = tuple(
        JobSpec(
            key=key,
            name=_name(target, key, merged, values, f"{at}.jobs.{key}", MAX_JOB),
            config=_rebuild(JobConfig, fill(merged, values.with_names({"name": key}), f"{at}.jobs.{key}")),
        )
        for key, merged in _workloads(target, declared, "jobs")
    )
    _distinct(at, services, jobs)
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


def _services(
    declared: EnvironmentConfig,
    target: CloudRunTarget,
    values: Values,
    at: str,
    number: int,
    regions: tuple[str, ...],
) -> Iterable[ServiceSpec]:
    """Yield the services of one region; all but the first region's have it in their key."""
    region = fill(regions[number], values, f"{at}.region")
    for key, merged in _workloads(target, declared, "services"):
        where = f"{at}.services.{key}"
        here = values.with_names({"name": key, "region": region})
        config = _rebuild(ServiceConfig, fill(merged, here, where))
        if config.regions is None or region in config.regions:
            yield ServiceSpec(
                key=key if number == 0 else f"{key}@{region}",
                name=_name(target, key, merged, here, where, MAX_SERVICE),
                region=region,
                config=config,
            )


def _place(config: Config, name: str, target: CloudRunTarget, values: Values) -> Values:
    """Return the values that say where an environment is on Cloud Run as well."""
    declared = config.environments[name]
    at = f"targets.{declared.target or next(iter(config.targets))}"
    suffix = target.suffix.get(name, target.suffix.get("default", ""))
    values = values.with_names({"suffix": fill(suffix, values, f"{at}.suffix")})
    values = values.with_names({"project": fill(declared.project or target.project, values, f"{at}.project")})
    return values.with_names({"region": fill((declared.region or target.region)[0], values, f"{at}.region")})


def _workloads(
    target: CloudRunTarget, declared: EnvironmentConfig, kind: Literal["services", "jobs"]
) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield each service or job with every layer that speaks of it laid over the one before."""
    defaults = _declared(target.defaults)
    if kind == "jobs":  # requests are no concern of jobs, and a job has a timeout of its own
        defaults = _without(defaults, _OF_REQUESTS)
    general: dict[str, Any] = {"env": dict(target.env), "secrets": _declared(target).get("secrets", {})}
    for key, value in (("service_account", target.runtime_sa), ("cloudsql", target.cloudsql)):
        if value is not None:
            general[key] = list(value) if isinstance(value, tuple) else value
    if target.vpc is not None:
        general["vpc"] = target.vpc if isinstance(target.vpc, str) else _declared(target.vpc)
    here: dict[str, Any] = {"env": dict(declared.env), "secrets": _declared(declared).get("secrets", {})}
    if kind == "services":
        for layer, source in ((general, target), (here, declared)):
            if source.strategy is not None:
                layer["strategy"] = _declared(source.strategy)
    overrides: Mapping[str, Model] = getattr(declared, kind)
    workloads: Mapping[str, Model] = getattr(target, kind)
    for key, workload in workloads.items():
        special = _declared(overrides[key]) if key in overrides else {}
        layers = [defaults, general, _declared(workload), here, special]
        if getattr(workload, "kind", None) == "worker_pool":
            layers = [_without(layer, _NOT_OF_POOLS) for layer in layers]
        yield key, _merge(*layers)


def _without(layer: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in layer.items() if name not in names}


def _name(target: CloudRunTarget, key: str, merged: Mapping[str, Any], values: Values, at: str, most: int) -> str:
    """Return the name on Cloud Run, which has ``most`` characters at most."""
    name: str = fill(merged.get("name") or target.service_name, values.with_names({"name": key}), f"{at}.name")
    wrong = wrong_name(name, most)
    if wrong:
        raise ConfigError(
            f"Cloud Run takes no service or job that is called `{name}`.",
            problems=(f"{at}.name: {wrong}",),
            hint="Give it another `name`.",
        )
    return name


def _distinct(at: str, services: Iterable[ServiceSpec], jobs: Iterable[JobSpec]) -> None:
    """Refuse two services or jobs that only the repository's variables give the same name."""
    regions: dict[str, dict[str, str]] = {}
    for service in services:
        regions.setdefault(service.region, {})[service.key] = service.name
    for kind, names in (
        *(("services", names) for names in regions.values()),
        ("jobs", {job.key: job.name for job in jobs}),
    ):
        key, sentence = same_names(names)
        if sentence:
            raise ConfigError(
                f"Two {kind} have the same name.",
                problems=(f"{at}.{kind}.{key.partition('@')[0]}.name: {sentence}",),
                hint="Give one of them another `name`.",
            )


def not_yet(config: Config, name: str) -> tuple[str, ...]:
    """Return the key paths that would bear on releasing an environment but are not acted on yet.

    A release is refused rather than done without them.
    """
    environment, target = config.environments[name], target_of(config, name)
    key = environment.target or next(iter(config.targets))
    wanted: list[tuple[str, object]] = [
        ("gates.preflight", (environment.gates or config.gates).preflight),
        ("gates.interface", (environment.gates or config.gates).interface),
        (f"environments.{name}.backup", environment.backup),
    ]
    match target:
        case CloudRunTarget():
            wanted.append((f"targets.{key}.scheduler", target.scheduler))
            kinds: tuple[Literal["services", "jobs"], ...] = ("services", "jobs")
            for kind in kinds:
                for _, merged in _workloads(target, environment, kind):
                    wanted.append((f"targets.{key}: vpc: auto", merged.get("vpc") == "auto"))
        case HerokuTarget():
            wanted += [
                (f"targets.{key}.{field}", getattr(target, field)) for field in ("first_deploy", "formation", "backup")
            ]
    return tuple(dict.fromkeys(path for path, value in wanted if value))
