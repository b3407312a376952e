"""The model of ``.github/slipway.yml``: what may be written, and what it means.

Strict: an unknown key, a wrong type or an impossible reference is an error with its place
(:mod:`bot.core.config_file`).
A field that is left out of a service or job is *not declared*: the bot leaves the live value alone. The JSON Schema and
the reference page are generated from these models, so each field's ``description`` is what its reader needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    Tag,
    WithJsonSchema,
)
from pydantic_core import CoreSchema

from bot.core import freezes, paths, windows

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?", re.ASCII)
_SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)
_UNITS = (86400.0, 3600.0, 60.0, 1.0, 0.001)
_LONGEST = 7 * 86400.0  # the longest that Cloud Run lets anything take: a job's task (run.v2 TaskTemplate.timeout)


def parse_duration(value: Any) -> float:
    """Read ``90s``, ``20m``, ``1h30m``, ``250ms`` or a number of seconds; returns seconds. Raises ValueError."""
    if isinstance(value, str) and _SECONDS.fullmatch(value):  # `1.50`: no number to YAML, but plainly one
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(min(value, 2 * _LONGEST))  # an int may be too large for a float
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError("should be a duration such as 90s, 20m or 1h30m")
    return sum(float(part) * unit for part, unit in zip(match.groups(), _UNITS, strict=True) if part)


def duration_between(text: str, shortest: float, longest: float) -> float | None:
    """Read a duration that somebody typed; returns seconds, None for what is none or not within these bounds."""
    try:
        seconds = parse_duration(text)
    except ValueError:
        return None
    return seconds if shortest <= seconds <= longest else None


def _text(value: Any) -> Any:
    """Take YAML's plain numbers as the text they were written as: ``WEB_CONCURRENCY: 1`` means ``"1"``."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _listed(value: Any) -> Any:
    """Take one text for a list of one. A tuple: strict models take no list once it has left the JSON."""
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, str) else value


def _tuple(value: Any) -> Any:
    """Take a list: behind a validator that runs before it, a strict model does not."""
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class _OrText:
    """Says in the JSON Schema that plain text is a short form of the model."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler(schema)]}


_DURATION_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {
            "type": "string",
            "pattern": r"^(\d+(\.\d+)?|(?=.)(\d+d)?(\d+h)?(\d+m)?(\d+(\.\d+)?s)?(\d+ms)?)$",
        },
        {"type": "number", "minimum": 0},
    ]
}
Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(gt=0, le=_LONGEST),
    WithJsonSchema(_DURATION_SCHEMA),
]
Delay = Annotated[float, BeforeValidator(parse_duration), Field(ge=0, le=_LONGEST), WithJsonSchema(_DURATION_SCHEMA)]
Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": ["string", "number"]})]
Filled = Annotated[str, StringConstraints(min_length=1)]
_WORDS_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}},
    ]
}
Words = Annotated[tuple[Filled, ...], BeforeValidator(_listed), WithJsonSchema(_WORDS_SCHEMA)]
# Names end up in names on Cloud Run: lower case, digits, hyphens, a letter first (RFC 1035, as run.v2 asks).
Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=49)]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
ValueName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]  # what may stand in single braces
ContextName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]  # as a stage in a Dockerfile
RepositoryName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*/[A-Za-z0-9_.-]+$")]
ROLES = ("read", "triage", "write", "maintain", "admin")
Role = Annotated[
    str, StringConstraints(pattern=r"^(read|triage|write|maintain|admin|@[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?)$")
]
Roles = Annotated[
    tuple[Role, ...],
    BeforeValidator(_listed),
    Field(min_length=1),  # an empty list would read as "nobody", and nothing means the default
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Regions = Annotated[
    tuple[Filled, ...],
    BeforeValidator(_listed),
    Field(min_length=1),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
            ]
        }
    ),
]
Ingress = Literal["all", "internal", "internal-and-cloud-load-balancing"]


class Model(BaseModel):
    """Base of all models: frozen, an unknown key or a wrong type is an error.

    Strict models are read as JSON, where a list is a tuple: :func:`bot.core.config_file.load` does.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Permissions(Model):
    """Who may run a command: a repository role (that role or a higher one), ``@login`` or ``@org/team``."""

    deploy: Roles | None = Field(None, description="Who may `/deploy`. Default: `write`.")
    promote: Roles | None = Field(None, description="Who may `/promote`. Default: those who may deploy.")
    rollback: Roles | None = Field(None, description="Who may `/rollback`. Default: those who may deploy.")
    retry: Roles | None = Field(None, description="Who may `/retry`. Default: those who may deploy.")
    cancel: Roles | None = Field(
        None, description="Who may `/cancel`, beside whoever started the release. Default: `admin`."
    )
    lock: Roles | None = Field(None, description="Who may `/lock`. Default: those who may deploy.")
    unlock: Roles | None = Field(None, description="Who may `/unlock`. Default: those who may deploy.")
    freeze: Roles | None = Field(None, description="Who may `/freeze`. Default: `admin`.")
    unfreeze: Roles | None = Field(None, description="Who may `/unfreeze`. Default: those who may freeze.")
    approve: Roles | None = Field(None, description="Who may `/approve`. Default: `admin`.")
    reject: Roles | None = Field(None, description="Who may `/reject`. Default: those who may approve.")
    override: Roles | None = Field(
        None, description="Who may skip gates with `--override`, beside being allowed the command. Default: `admin`."
    )
    status: Roles | None = Field(None, description="Who may ask `/status`. Default: `read`.")
    history: Roles | None = Field(None, description="Who may ask `/history`. Default: `read`.")
    diff: Roles | None = Field(None, description="Who may ask `/diff`. Default: `read`.")
    changelog: Roles | None = Field(None, description="Who may ask `/changelog`. Default: `read`.")
    verify: Roles | None = Field(None, description="Who may `/verify`. Default: `write`.")
    logs: Roles | None = Field(None, description="Who may ask for `/logs`. Default: those who may deploy.")
    doctor: Roles | None = Field(None, description="Who may call the `/doctor`. Default: `write`.")
    whoami: Roles | None = Field(None, description="Who may ask `/whoami`. Default: `read`.")
    preview: Roles | None = Field(
        None, description="Who may make and take away previews. Default: those who may deploy."
    )
    help: Roles | None = Field(None, description="Who may ask `/help`. Default: `read`.")


class Overlay(Model):
    """Sources of other repositories that join the build, each at the head of its default branch."""

    context: ContextName = Field(
        description="Name of the additional build context: `COPY --from=<context> <repository's name>/…`."
    )
    repos: Annotated[tuple[RepositoryName, ...], BeforeValidator(_tuple)] = Field(
        min_length=1, description="Repositories, `owner/name`."
    )
    args: dict[EnvName, Text] = Field(default_factory=dict, description="Build arguments that come with the overlay.")


class BuildConfig(Model):
    """How an image is made of a sha."""

    dockerfile: str = Field("Dockerfile", description="Path of the Dockerfile in the repository.")
    context: str = Field(".", description="Folder of the repository that is the build context.")
    platform: str | None = Field(None, description="Platform of the image, e.g. `linux/amd64`.")
    args: dict[EnvName, Text] = Field(default_factory=dict, description="Build arguments.")
    labels: dict[str, Text] = Field(default_factory=dict, description="Labels of the image, beside the bot's own.")
    config: str | None = Field(
        None, description="A `cloudbuild.yaml` on the default branch that builds the image, instead of `dockerfile`."
    )
    substitutions: dict[str, Text] = Field(
        default_factory=dict, description="Substitutions for `config`, e.g. `_TIER`."
    )
    repository: str | None = Field(
        None,
        description="A connected repository (`projects/…/connections/…/repositories/…`) to take the source from, "
        "instead of uploading it.",
    )
    timeout: Duration = Field(1200.0, description="How long a build may take.")
    machine_type: str | None = Field(None, description="Cloud Build machine type, e.g. `E2_HIGHCPU_8`.")
    service_account: str | None = Field(None, description="Service account that the build runs as (e-mail).")
    provenance: bool = Field(
        default=False, description="Ask Cloud Build for provenance; a build without it then fails."
    )
    builder: Literal["cloudbuild"] = Field("cloudbuild", description="What builds.")
    overlay: Overlay | None = Field(None, description="Sources of other repositories.")


def _names_or_branch(value: Any) -> Any:
    return value if value == "branch" else _listed(value)


def _window(text: str) -> str:
    windows.read(text)
    return text


Windows = Annotated[
    tuple[Annotated[str, AfterValidator(_window)], ...],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


def _freeze(text: str) -> str:
    freezes.read(text)
    return text


Freezes = Annotated[
    tuple[Annotated[str, AfterValidator(_freeze)], ...],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


def _paths(value: object) -> object:
    """Read patterns of paths, or whether all of them are meant."""
    if isinstance(value, bool):
        return value
    found = _listed(value)
    if not isinstance(found, tuple):
        raise ValueError("should be `true`, `false` or a list of paths")  # noqa: TRY004 - pydantic lets a TypeError through
    paths.check_patterns([each for each in found if isinstance(each, str)])
    return found


class Gates(Model):
    """What must hold before a release starts."""

    required_checks: Annotated[
        tuple[Filled, ...] | Literal["branch"],
        BeforeValidator(_names_or_branch),
        WithJsonSchema(_WORDS_SCHEMA),
    ] = Field(
        (),
        description="Names of check runs or status contexts that must be green on the very sha, or `branch`: "
        "those that the rules of the base branch require.",
    )
    allow_forks: bool = Field(
        default=False, description="Whether a pull request from a fork may be released (by `@sha` only)."
    )
    allow_drafts: bool = Field(default=False, description="Whether a draft pull request may be released.")
    require_sha: bool = Field(default=False, description="Whether `@sha` must be named in the command.")
    reviews: int = Field(
        default=0,
        ge=0,
        le=10,
        description="How many people with write access, other than its author, must have approved the very head of the "
        "pull request. One who asks for changes keeps it out. Of a commit that was pushed, the pull request counts by "
        "which it came.",
    )
    approvals: int = Field(
        default=0,
        ge=0,
        le=10,
        description="How many people must have said `/approve` for the very commit, other than whoever asks for the "
        "release and whoever opened its pull request. One who said `/reject` keeps it out.",
    )
    wait_for_checks: Delay = Field(
        1800.0,
        description="How long a push, or a command with `--wait`, waits for required checks that have not ended. "
        "`0s`: not at all.",
    )
    approval_time: Duration = Field(3600.0, description="How long an approval holds.")
    up_to_date: Annotated[
        bool | tuple[Filled, ...],
        BeforeValidator(_paths),
        WithJsonSchema({"anyOf": [{"type": "boolean"}, *_WORDS_SCHEMA["anyOf"]]}),
    ] = Field(
        default=False,
        description="Whether a pull request must have all of the default branch in it, or only all that changes these "
        'paths, e.g. `[app/*, Dockerfile, "!app/docs/*"]`; `*` stands for slashes, too.',
    )
    windows: Windows = Field(
        (), description="When it may be released to, e.g. `Mon-Fri 09:00-17:00 Europe/Berlin`. Default: always."
    )
    freezes: Freezes = Field(
        (),
        description="When nothing but rollbacks is possible, e.g. `2026-12-23 to 2027-01-02 Europe/Berlin (holidays)`: "
        "whole days, or with times as in `2026-12-23 18:00 to 2027-01-02 08:00`.",
    )
    queue_time: Duration = Field(
        3600.0, description="How long a release may wait in line behind others; what waited longer is not started."
    )
    preflight: tuple[str, ...] = Field((), description="Further checks of the source. *Parsed; not acted on yet.*")
    interface: dict[str, str] = Field(
        default_factory=dict, description="ASGI/WSGI expectation. *Parsed; not acted on yet.*"
    )


class SecretRef(Model):
    """A secret in Secret Manager. ``pin`` resolves ``latest`` to a number at release."""

    name: Filled = Field(description="Name of the secret.")
    version: Annotated[
        str,
        BeforeValidator(_text),
        StringConstraints(pattern=r"^(latest|pin|[1-9][0-9]*)$"),
        WithJsonSchema({"type": ["string", "integer"], "pattern": "^(latest|pin|[1-9][0-9]*)$"}),
    ] = Field(
        "latest",
        description="A version number; `pin`: the number that is newest when a release begins, which a way back and a "
        "rollback keep; `latest`: whatever is newest when an instance starts, so that nothing can bring it back.",
    )


def _secret(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Secret = Annotated[
    SecretRef,
    BeforeValidator(_secret),
    _OrText(),
]


class Vpc(Model):
    """Direct VPC egress, or a connector."""

    network: str | None = Field(None, description="VPC network.")
    subnetwork: str | None = Field(None, description="Subnetwork.")
    connector: str | None = Field(None, description="Serverless VPC Access connector, instead of a network.")
    egress: Literal["all-traffic", "private-ranges-only"] = Field(
        "private-ranges-only", description="What goes through it."
    )


class Scale(Model):
    """Instances of a service, at the service level (revisions share it)."""

    min: int | None = Field(None, ge=0, description="Fewest instances.")
    max: int | None = Field(None, ge=1, description="Most instances.")


class Probe(Model):
    """A container probe over HTTP."""

    path: str = Field(description="Path that must answer 2xx or 3xx.")
    period: Duration = Field(10.0, description="Seconds between probes.")
    timeout: Duration = Field(1.0, description="Seconds one probe may take.")
    failures: int = Field(3, ge=1, description="Failures in a row that count as failed.")
    delay: Delay = Field(0.0, description="Seconds before the first probe.")


def _probe(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


HttpProbe = Annotated[Probe, BeforeValidator(_probe), _OrText()]


class Probes(Model):
    """Probes of a service's container."""

    startup: HttpProbe | None = Field(None, description="A path, or a probe: the revision is ready once it passes.")
    liveness: HttpProbe | None = Field(None, description="A path, or a probe: the instance is restarted when it fails.")


class Workload(Model):
    """What services and jobs have in common. What is left out is not declared: the live value stays."""

    env: dict[EnvName, Text] = Field(default_factory=dict, description="Environment variables.")
    secrets: dict[str, Secret] = Field(
        default_factory=dict,
        description="Secrets: an environment variable's name, or an absolute path of a file, to a secret's name "
        "(or `{name, version}`).",
    )
    service_account: str | None = Field(None, description="Service account that it runs as (e-mail).")
    cloudsql: Words | None = Field(
        None,
        description="Cloud SQL instances to connect: `PROJECT:REGION:NAME`, or a name in the target's region.",
    )
    vpc: Vpc | Literal["auto"] | None = Field(None, description="VPC access. `auto` is *parsed; not acted on yet*.")
    memory: str | None = Field(None, description="Memory limit, e.g. `1Gi`.")
    cpu: Text | None = Field(None, description="CPU limit, e.g. `1` or `2`.")
    execution_env: Literal["gen1", "gen2"] | None = Field(None, description="Execution environment.")
    command: tuple[str, ...] | None = Field(None, description="Entry point of the container, instead of the image's.")
    args: tuple[str, ...] | None = Field(None, description="Arguments of the entry point, instead of the image's.")
    labels: dict[str, Text] = Field(default_factory=dict, description="Labels, beside the bot's own.")


class Defaults(Workload):
    """Values for every service and job of a target that declares none of its own."""

    port: int | None = Field(None, ge=1, le=65535, description="Port that the container listens on.")
    timeout: Duration | None = Field(None, description="Request timeout of services.")
    concurrency: int | None = Field(None, ge=1, le=1000, description="Requests that one instance takes at once.")


class AllAtOnce(Model):
    """All traffic in one step, once the candidate's checks have passed."""

    type: Literal["all-at-once"] = Field(description="`all-at-once`")


def _stages(value: Any) -> Any:
    """Take a list of stages, with or without the 100 that comes last."""
    return tuple(value[:-1] if len(value) > 1 and value[-1] == 100 else value) if isinstance(value, list) else value


class Canary(Model):
    """Traffic in stages. At each the candidate is compared with the version that serves beside it."""

    type: Literal["canary"] = Field(description="`canary`")
    stages: Annotated[tuple[Annotated[int, Field(ge=1, le=100)], ...], BeforeValidator(_stages)] = Field(
        (5, 25), min_length=1, description="Percents of the traffic, rising. 100 comes last, written or not."
    )
    stage_time: Duration = Field(300.0, description="How long a stage is watched at least.")
    deadline: Duration = Field(
        1200.0, description="How long a stage that cannot be decided yet is held, counted from its beginning."
    )
    look_every: Duration = Field(
        60.0, description="Time between two looks. Each has its share of the false alarms, so more are not better."
    )
    source: Literal["monitoring", "probes"] = Field(
        "monitoring",
        description="`monitoring`: what users' requests got, by Cloud Monitoring. `probes`: requests of the bot's own "
        "to both versions, where there is too little traffic.",
    )
    delay: Duration = Field(
        180.0, description="How long Cloud Monitoring may take to show a request. A look goes no closer to the present."
    )
    probe: str = Field("/", description="Path that `probes` ask.")
    probe_every: Duration = Field(0.5, description="Time between two probes of each version.")
    metrics: Annotated[tuple[Literal["errors", "latency"], ...], BeforeValidator(_tuple)] = Field(
        ("errors", "latency"), min_length=1, description="What is compared."
    )
    confidence: float = Field(
        0.95,
        gt=0.5,
        lt=1.0,
        description="Chance to let a release through that is as good as what serves, over the whole rollout.",
    )
    power: float = Field(0.8, gt=0.5, lt=1.0, description="Chance to see a regression as large as the margins below.")
    error_rise: float = Field(
        0.01, gt=0.0, lt=1.0, description="The least rise of the share of failing requests that matters (0.01: 1 %)."
    )
    slowdown: float = Field(
        0.1,
        gt=0.0,
        lt=0.5,
        description="The least slowdown that matters: how much more often than every other time the candidate is the "
        "slower one.",
    )
    undecided: Literal["fail", "pass"] = Field(
        "fail", description="What a stage means that is still undecided at its deadline."
    )
    too_little_traffic: Literal["refuse", "skip"] = Field(
        "refuse",
        description="What becomes of a stage that cannot be decided by its deadline at today's traffic: the release is "
        "refused, or the stage is left out.",
    )


def _strategy(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


Strategy: TypeAlias = Annotated[
    Annotated[AllAtOnce | Canary, Field(discriminator="type")],
    BeforeValidator(_strategy),
    _OrText(),
]


class Watch(Model):
    """After a release its error log is compared with that of the version before."""

    time: Duration = Field(600.0, description="How long the log is watched.")
    then: Literal["rollback", "suggest"] = Field(
        "suggest", description="What more errors mean: the way back, or a word in the comment."
    )
    confidence: float = Field(
        0.99, gt=0.5, lt=1.0, description="Chance not to be alarmed by what is as good as before."
    )
    factor: float = Field(
        2.0, ge=1.0, description="How many times as fast error lines must come, at least, for it to matter."
    )
    fewest: int = Field(5, ge=1, description="Fewer new error lines than these are never an alarm.")
    look_every: Duration = Field(30.0, description="Time between two looks.")
    delay: Delay = Field(15.0, description="How long a line may take to arrive. A look goes no closer to the present.")


def _watch(value: Any) -> Any:
    """Take a duration for a watch of that time."""
    return {"time": value} if isinstance(value, str | int | float) and not isinstance(value, bool) else value


WatchConfig = Annotated[Watch, BeforeValidator(_watch), _OrText()]


class ServiceConfig(Workload):
    """A Cloud Run service, or a worker pool."""

    kind: Literal["service", "worker_pool"] | None = Field(
        None, description="`service` (the default), or `worker_pool`: it takes no requests."
    )
    name: Filled | None = Field(None, description="Name on Cloud Run. Default: the target's `service_name`.")
    regions: Words | None = Field(None, description="Those of the target's regions that it runs in. Default: all.")
    after: Words | None = Field(
        None, description="Services that have all their traffic on the release before this one gets any."
    )
    strategy: Strategy | None = Field(None, description="How its traffic moves. Default: the target's.")
    public: bool | None = Field(None, description="Whether anyone may call it (the `allUsers` invoker).")
    ingress: Ingress | None = Field(None, description="Where requests may come from.")
    port: int | None = Field(None, ge=1, le=65535, description="Port that the container listens on.")
    timeout: Duration | None = Field(None, description="Request timeout.")
    concurrency: int | None = Field(None, ge=1, le=1000, description="Requests that one instance takes at once.")
    scale: Scale | None = Field(
        None,
        description="Instances. A worker pool does not scale by itself: a release leaves its number of instances alone "
        "within these bounds, and sets any other to the nearer one.",
    )
    probe: Probes | None = Field(None, description="HTTP probes.")
    default_url: bool | None = Field(None, description="Whether the `run.app` URL is served.")


class JobConfig(Workload):
    """A Cloud Run job."""

    name: Filled | None = Field(None, description="Name on Cloud Run. Default: the target's `service_name`.")
    when: Literal["release", "after", "manual"] = Field(
        "manual",
        description="`release`: run on the new image before any traffic moves. `after`: run once the release serves "
        "and is verified. `manual`: only as a check or by hand.",
    )
    after: Words | None = Field(
        None, description="Jobs of the same time that end before this one starts. Default: the one before it here."
    )
    compatible: Literal["expand-contract", "breaking"] = Field(
        "expand-contract",
        description="Whether the former release can live with what the job changes. After a `breaking` one there are "
        "no stages, and a way back comes with a warning.",
    )
    run: Words | None = Field(
        None,
        description="Commands that a shell runs one after the other until one fails. Instead of `command` and `args`.",
    )
    run_with: str = Field("python manage.py", description="What each command of `run` is given to.")
    env_file: str | None = Field(None, description="A file that the shell reads into the environment before `run`.")
    timeout: Duration = Field(600.0, description="How long one task may take.")
    max_retries: int = Field(0, ge=0, le=10, description="How often a failed task is tried again.")


class Auth(Model):
    """Workload Identity Federation. Without it: application-default credentials."""

    workload_identity_provider: str = Field(
        description="`projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`"
    )
    service_account: str | None = Field(
        None, description="Service account to act as (e-mail). Default: the federated identity itself."
    )

    @property
    def audience(self) -> str:
        """The audience of the OIDC token that is exchanged: the provider's full https name (its default)."""
        return f"https://iam.googleapis.com/{self.workload_identity_provider}"


class HttpCheckConfig(Model):
    """A request, and what its answer must be."""

    http: str = Field(description="An absolute URL (asked once the release is live), or a path on `service`.")
    service: str | None = Field(None, description="Service of a path. Default: the first service.")
    when: Literal["candidate", "live", "both"] | None = Field(
        None,
        description="Before traffic (at the candidate's own URL), after it, or both. "
        "Default: `both` for a path, `live` for a URL.",
    )
    method: Literal["GET", "HEAD", "POST"] = Field("GET", description="Request method.")
    status: int = Field(
        200, ge=100, le=599, description="Expected status. 403 of a private service is asked without credentials."
    )
    json_: dict[str, Any] = Field(
        default_factory=dict, alias="json", description="Expected fields of a JSON answer, by dotted path."
    )
    contains: str = Field("", description="Text that the body must contain.")
    headers: dict[str, str] = Field(
        default_factory=dict, description="Response headers and the text they must contain."
    )
    within: Duration = Field(10.0, description="Bound on one answer's latency.")
    passes: int = Field(1, ge=1, le=100, description="Consecutive passes wanted.")
    deadline: Duration = Field(60.0, description="Time in which they must be reached.")
    interval: Duration = Field(1.0, description="Time between attempts.")


class JobCheckConfig(Model):
    """A job that must succeed on the released image."""

    job: str = Field(description="Name of a job of the target.")
    when: Literal["candidate", "live"] = Field("live", description="Before or after traffic.")


class IamCheckConfig(Model):
    """Who may reach a service."""

    iam: str = Field(description="Name of a service.")
    no_public_invoker: bool | None = Field(None, description="Whether `allUsers` must not be able to call it.")
    ingress: Ingress | None = Field(None, description="Expected ingress.")


class ServingCheckConfig(Model):
    """What serves equals what was released. This is always checked; naming it sets which services and how long."""

    serving: tuple[str, ...] = Field(min_length=1, description="Services.")
    digest: Literal["{release.digest}"] = Field("{release.digest}", description="Expected digest: the released one.")
    deadline: Duration = Field(60.0, description="Time in which it must be so.")


def _check_kind(value: Any) -> str | None:
    """Tell the four checks apart by the key that names each, so that an error speaks of that one alone."""
    kinds = ("http", "job", "iam", "serving")
    if isinstance(value, dict):
        return next((kind for kind in kinds if kind in value), None)
    return next((kind for kind in kinds if hasattr(value, kind)), None)


CheckConfig: TypeAlias = Annotated[
    Annotated[HttpCheckConfig, Tag("http")]
    | Annotated[JobCheckConfig, Tag("job")]
    | Annotated[IamCheckConfig, Tag("iam")]
    | Annotated[ServingCheckConfig, Tag("serving")],
    Discriminator(
        _check_kind,
        custom_error_type="check_kind",
        custom_error_message="should have one of the keys http, job, iam or serving",
    ),
]


class Scheduler(Model):
    """Cloud Scheduler jobs kept in step with the code."""

    source: str = Field(description="File that declares them.")
    uri: str = Field("", description="URL they post to.")
    prefix: str = Field("", description="Prefix of their names.")
    timezone: str = Field("UTC", description="Time zone.")


class CloudRunTarget(Model):
    """Google Cloud Run."""

    type: Literal["cloud_run"] = Field(description="`cloud_run`")
    project: Filled = Field(description="Project id.")
    region: Regions = Field(
        description="Region. Of several the first is released and verified, then the others together."
    )
    auth: Auth | None = Field(
        None, description="Workload Identity Federation. Default: application-default credentials."
    )
    image: str = Field("{region}-docker.pkg.dev/{project}/{app}/{app}", description="Image repository, without a tag.")
    service_name: str = Field(
        "{app}-{name}{suffix}", description="Name of a service or job on Cloud Run that sets none of its own."
    )
    suffix: dict[str, str] = Field(
        default_factory=lambda: {"default": "-{env}"},
        description="What `{suffix}` means: an environment's name to a text; `default` for the others.",
    )
    source_bucket: str = Field("{project}_cloudbuild", description="Bucket that sources are uploaded to.")
    runtime_sa: str | None = Field(None, description="Service account of every service and job that declares none.")
    cloudsql: Words | None = Field(None, description="Cloud SQL instances of every service and job that declares none.")
    vpc: Vpc | Literal["auto"] | None = Field(
        None, description="VPC access of every service and job that declares none."
    )
    env: dict[EnvName, Text] = Field(
        default_factory=dict, description="Environment variables of every service and job."
    )
    secrets: dict[str, Secret] = Field(default_factory=dict, description="Secrets of every service and job.")
    defaults: Defaults = Field(
        default_factory=Defaults, description="Values for every service and job that declares none."
    )
    services: dict[Name, ServiceConfig] = Field(min_length=1, description="Services. They are released as one unit.")
    jobs: dict[Name, JobConfig] = Field(
        default_factory=dict, description="Jobs. Those with `when: release` run in this order."
    )
    strategy: Strategy | None = Field(
        None, description="How the traffic of every service moves that declares nothing else. Default: `all-at-once`."
    )
    watch: WatchConfig | None = Field(
        None, description="A time, or more: how long the error log is watched after a release."
    )
    verify: tuple[CheckConfig, ...] = Field((), description="Checks of every environment on this target.")
    rollout_timeout: Duration = Field(
        300.0, description="How long a revision may take to be ready, and traffic to move."
    )
    keep_revisions: int = Field(
        20,
        ge=0,
        le=900,
        description="How many of the bot's newest revisions of a service are kept though they serve nothing.",
    )
    keep_releases: int = Field(
        10, ge=1, le=100, description="How many successful releases can be gone back to: what they served is kept."
    )
    scheduler: Scheduler | None = Field(None, description="Scheduler sync. *Parsed; not acted on yet.*")
    order: tuple[str, ...] = Field(
        (),
        description="Order of the release: services get their traffic one after the other as they stand here. Jobs "
        "come before services and `verify` comes last, whatever the order says; `scheduler` is *not acted on yet*.",
    )


class Dynos(Model):
    """Dynos of one process type."""

    qty: int = Field(ge=0, description="Dynos.")
    max: int | None = Field(None, description="Never more than this.")


class HerokuTarget(Model):
    """A Heroku app."""

    type: Literal["heroku"] = Field(description="`heroku`")
    app: str = Field(description="Name of the app.")
    verify: tuple[CheckConfig, ...] = Field((), description="Checks of every environment on this target.")
    build_timeout: Duration = Field(1200.0, description="How long a build may take.")
    release_timeout: Duration = Field(
        3600.0, description="How long the release phase may take (Heroku's own cap is an hour)."
    )
    legacy: bool = Field(default=False, description="A note to readers.")
    release_phase: str | None = Field(None, description="What the `Procfile` runs on release: a note to readers.")
    first_deploy: str | None = Field(None, description="One-off command of a first deploy. *Parsed; not acted on yet.*")
    formation: dict[str, int | Dynos] = Field(
        default_factory=dict, description="Dynos by process type. *Parsed; not acted on yet.*"
    )
    backup: dict[str, str] = Field(default_factory=dict, description="Backups. *Parsed; not acted on yet.*")
    review_apps: dict[str, Any] = Field(
        default_factory=dict, description="Review apps. *Parsed; no release looks at it.*"
    )


TargetConfig: TypeAlias = Annotated[CloudRunTarget | HerokuTarget, Field(discriminator="type")]


class Approvals(Model):
    """Approval of a release on GitHub's own page, and the confirmation of whoever asks for it."""

    environment: Filled | None = Field(
        None,
        description="GitHub environment of the job that releases: one of its reviewers, other than who asks, must have "
        "approved the run.",
    )
    confirm: bool = Field(
        default=False, description="The command must name the commit: that is the confirmation, as with `require_sha`."
    )


class PreviewConfig(Model):
    """Previews of pull requests: revisions of an environment's services without traffic, at addresses of their own."""

    services: Words | None = Field(
        None, description="Services that a preview has. Default: the public ones; if none is, all that take requests."
    )
    env: dict[EnvName, Text] = Field(
        default_factory=dict, description="Environment variables that differ in a preview."
    )
    secrets: dict[str, Secret] = Field(default_factory=dict, description="Secrets that differ in a preview.")
    ttl: Duration = Field(259200.0, description="How long a preview lives, from when it was made, renewed or extended.")
    renew: Literal["push"] | None = Field(
        None, description="`push`: a push to the pull request's branch renews its preview."
    )
    max: int = Field(10, ge=1, le=100, description="Most previews at once.")
    verify: tuple[CheckConfig, ...] | None = Field(
        None,
        description="Requests that a preview must answer. Default: those of the environment that are made before "
        "traffic.",
    )


class Promotion(Model):
    """Where an environment's image comes from: it is never built, but taken from where it was verified."""

    environment: Name = Field(description="Environment whose image is taken: the very digest that was verified there.")
    soak: Duration | None = Field(
        None, description="How long a release must have been there, neither failed nor rolled back since. Default: 0."
    )


def _promotion(value: Any) -> Any:
    return {"environment": value} if isinstance(value, str) else value


PromoteFrom = Annotated[Promotion, BeforeValidator(_promotion), _OrText()]


Moments = Annotated[
    tuple[Literal["released", "rolled_back", "failed", "cancelled"], ...],
    BeforeValidator(_listed),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["released", "rolled_back", "failed", "cancelled"]},
                {"type": "array", "items": {"enum": ["released", "rolled_back", "failed", "cancelled"]}},
            ]
        }
    ),
]


class EnvironmentConfig(Model):
    """An environment: where a target's application runs for somebody."""

    target: str | None = Field(None, description="Name of a target. Default: the only one.")
    on: Literal["push"] | None = Field(None, description="`push`: a push to the default branch releases it.")
    url: str | None = Field(
        None,
        description="Where users find it: `{url}` in checks, and the deployment's link. "
        "Default: the first service's own URL.",
    )
    production: bool | None = Field(
        None, description="Whether it is production. Default: it is if named `prod` or `production`."
    )
    permissions: Permissions = Field(
        default_factory=Permissions, description="Who may do what here, instead of the general rule."
    )
    gates: Gates | None = Field(None, description="Gates here, instead of the general ones.")
    values: dict[ValueName, Text] = Field(
        default_factory=dict, description="Values of your own: `queue: x` gives `{queue}`."
    )
    env: dict[EnvName, Text] = Field(
        default_factory=dict, description="Environment variables of every service and job here."
    )
    secrets: dict[str, Secret] = Field(default_factory=dict, description="Secrets of every service and job here.")
    services: dict[str, ServiceConfig] = Field(
        default_factory=dict, description="What differs from the target's services."
    )
    jobs: dict[str, JobConfig] = Field(default_factory=dict, description="What differs from the target's jobs.")
    project: Filled | None = Field(None, description="Project id, instead of the target's.")
    region: Regions | None = Field(None, description="Region or regions, instead of the target's.")
    strategy: Strategy | None = Field(None, description="How traffic moves here, instead of the target's or services'.")
    watch: WatchConfig | None = Field(None, description="Watch of the error log here, instead of the target's.")
    app: str | None = Field(None, description="Heroku app, instead of the target's.")
    verify: tuple[CheckConfig, ...] | None = Field(None, description="Checks here, instead of the target's.")
    previews: PreviewConfig | None = Field(None, description="Previews of pull requests beside what serves here.")
    promote_from: PromoteFrom | None = Field(
        None,
        description="Environment, or more: a release takes the image that was verified there, and builds nothing.",
    )
    notify: Moments | None = Field(
        None, description="Which ends of releases are told here, instead of the general rule."
    )
    mention_after: Duration = Field(
        600.0,
        description="A release that took as long mentions whoever asked for it when it is over. One that failed always "
        "does.",
    )
    approvals: Approvals | None = Field(
        None, description="Approval by the reviewers of a GitHub environment, and a typed confirmation."
    )
    backup: dict[str, str] = Field(default_factory=dict, description="Backups. *Parsed; not acted on yet.*")


class Config(Model):
    """The configuration of a repository's releases, read from the default branch."""

    version: Literal[1] = Field(description="Version of this format.")
    app: Name = Field(description="Name of the application: `{app}`.")
    default_environment: str | None = Field(None, description="What `/deploy` alone means. Never production.")
    permissions: Permissions = Field(default_factory=Permissions, description="Who may do what.")
    notify: Moments = Field(
        ("failed", "rolled_back"),
        description="Which ends of releases are told to the action's `slack-webhook-url` and `webhook-url`: "
        "`released`, `rolled_back`, `failed`, `cancelled`.",
    )
    build: BuildConfig = Field(default_factory=BuildConfig, description="How an image is made.")
    gates: Gates = Field(
        default_factory=Gates, description="What must hold before any release; environments may differ."
    )
    targets: dict[Name, TargetConfig] = Field(min_length=1, description="Where the application can run.")
    environments: dict[Name, EnvironmentConfig] = Field(min_length=1, description="The environments.")
    config_vars: dict[str, Any] = Field(
        default_factory=dict, description="Rules for config vars. *Parsed; no release looks at it.*"
    )
