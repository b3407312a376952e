from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bot.core.checks import ExposureCheck, HttpCheck, JobCheck, ServingCheck
from bot.core.config import SecretRef, ServiceConfig
from bot.core.name_references import MAX_JOB, MAX_SERVICE
from bot.core.registry import REGISTRY
from bot.core.resolve import Environment, not_yet, roles, wants_pyproject
from bot.core.spec import CloudRunSpec, HerokuSpec
from bot.errors import ConfigError

Make = Callable[..., Environment]
SHA = "4f9a1c2d3e5f60718293a4b5c6d7e8f901234567"


def cloud_run(environment: Environment) -> CloudRunSpec:
    assert isinstance(environment.spec, CloudRunSpec)
    return environment.spec


def web(environment: Environment) -> ServiceConfig:
    return cloud_run(environment).service("web").config


def test_the_least_on_cloud_run(make_environment: Make) -> None:
    environment = make_environment()
    spec = cloud_run(environment)
    assert (spec.app, spec.environment, spec.repository, spec.project, spec.region) == (
        "shop",
        "staging",
        "acme/shop",
        "p",
        "r",
    )
    assert (spec.image, spec.source_bucket, spec.auth) == ("r-docker.pkg.dev/p/shop/shop", "p_cloudbuild", None)
    assert [(one.key, one.name) for one in spec.services] == [
        ("web", "shop-web-staging"),
        ("worker", "shop-worker-staging"),
    ]
    assert environment.services == ("web", "worker")
    assert (environment.build_timeout, environment.rollout_timeout) == (1200.0, 300.0)
    assert (environment.url, environment.on_push, environment.production, environment.not_yet) == ("", False, False, ())
    assert environment.candidate_checks == ()
    assert environment.live_checks == (ServingCheck(name="serving", services=("web", "worker")),)
    # What is not declared stays undeclared.
    assert web(environment).model_fields_set <= {"env", "secrets"}
    with pytest.raises(KeyError):
        spec.service("other")
    with pytest.raises(KeyError):
        spec.job("other")


def test_the_least_on_heroku(make_environment: Make) -> None:
    environment = make_environment("legacy")
    assert environment.spec == HerokuSpec(environment="legacy", repository="acme/shop", app="shop-legacy")
    assert environment.services == ("app",)
    assert (environment.build_timeout, environment.rollout_timeout) == (540.0, 480.0)
    assert environment.candidate_checks == ()  # there is no candidate beside what serves
    assert [check.name for check in environment.live_checks] == ["serving", "app /health/"]
    assert make_environment("legacy", legacy="app: 'x-{env}'").spec == HerokuSpec(
        environment="legacy", repository="acme/shop", app="x-legacy"
    )


@pytest.mark.parametrize(
    ("name", "over", "expected"),
    [
        ("staging", {}, False),
        ("production", {}, True),
        ("production", {"production": "production: false"}, False),
        ("staging", {"staging": "production: true"}, True),
    ],
)
def test_production(make_environment: Make, name: str, over: dict[str, str], expected: bool) -> None:
    assert make_environment(name, **over).production is expected


# Each layer alone, and over the one before: defaults < target < service < environment < environment's service.
LAYERS = [
    ("target", "defaults: {{env: {{A: defaults, B: defaults, C: defaults, D: defaults, E: defaults}}}}"),
    ("target", "env: {{B: target, C: target, D: target, E: target}}"),
    ("web", "{{env: {{C: service, D: service, E: service}}}}"),
    ("staging", "env: {{D: environment, E: environment}}"),
    ("staging", "services: {{web: {{env: {{E: override}}}}}}"),
]


def test_each_layer_lies_over_the_one_before(make_environment: Make) -> None:
    texts = [(place, text.replace("{{", "{").replace("}}", "}")) for place, text in LAYERS]
    environment = make_environment(
        target=f"{texts[0][1]}\n    {texts[1][1]}", web=texts[2][1], staging=f"{texts[3][1]}, {texts[4][1]}"
    )
    assert web(environment).env == {
        "A": "defaults",
        "B": "target",
        "C": "service",
        "D": "environment",
        "E": "override",
    }
    worker = cloud_run(environment).service("worker").config.env
    assert worker == {"A": "defaults", "B": "target", "C": "target", "D": "environment", "E": "environment"}


@pytest.mark.parametrize(
    ("over", "field", "expected"),
    [
        ({"target": "defaults: {memory: 1Gi}"}, "memory", "1Gi"),
        ({"target": "defaults: {memory: 1Gi}", "web": "{memory: 2Gi}"}, "memory", "2Gi"),
        ({"web": "{memory: 2Gi}", "staging": "services: {web: {memory: 3Gi}}"}, "memory", "3Gi"),
        ({"target": "defaults: {port: 80, timeout: 5s, concurrency: 7}"}, "port", 80),
        ({"target": "defaults: {port: 80, timeout: 5s, concurrency: 7}"}, "timeout", 5.0),
        ({"target": "runtime_sa: '{app}-{env}@x'"}, "service_account", "shop-staging@x"),
        ({"target": "runtime_sa: a", "web": "{service_account: b}"}, "service_account", "b"),
        ({"target": "defaults: {service_account: c}\n    runtime_sa: a"}, "service_account", "a"),
        ({"target": "cloudsql: 'db{suffix}'"}, "cloudsql", ("db-staging",)),
        ({"target": "cloudsql: [a, b]", "web": "{cloudsql: c}"}, "cloudsql", ("c",)),
        ({"web": "{args: [a, b]}", "staging": "services: {web: {args: [c]}}"}, "args", ("c",)),
        ({"web": "{labels: {a: '{short_sha}', b: 1}}"}, "labels", {"a": "4f9a1c2", "b": "1"}),
        ({"web": "{env: {N: '{name}', S: '{sha}', J: '{\"a\": 1}', H: '${HOME}'}}"}, "env", {"N": "web", "S": SHA, "J": '{"a": 1}', "H": "${HOME}"}),
        ({"web": "{env: {V: '${vars.X}'}}"}, "env", {"V": "y"}),
        ({"web": "{env: {U: '{url}/'}}", "staging": "url: 'https://{env}.{project}.x'", "production": "url: u"}, "env", {"U": "https://staging.p.x/"}),
        ({"web": "{env: {Q: '{queue}'}}", "staging": "values: {queue: 'q-{env}'}", "production": "values: {queue: p}"}, "env", {"Q": "q-staging"}),
        ({"web": "{public: true}", "staging": "services: {web: {public: false}}"}, "public", False),
        ({"web": "{default_url: false}"}, "default_url", False),
        ({"web": "{execution_env: gen2}"}, "execution_env", "gen2"),
        ({"web": "{ingress: all}", "staging": "services: {web: {ingress: internal}}"}, "ingress", "internal"),
        ({"web": "{cpu: 2}"}, "cpu", "2"),
        ({"web": "{command: [sh]}"}, "command", ("sh",)),
    ],
)  # fmt: skip
def test_fields(make_environment: Make, over: dict[str, str], field: str, expected: object) -> None:
    assert getattr(web(make_environment(variables={"X": "y"}, **over)), field) == expected


def test_a_secret_and_a_vpc_are_replaced_whole(make_environment: Make) -> None:
    environment = make_environment(
        target="secrets: {A: {name: a, version: 7}, B: b}\n    vpc: {network: n, subnetwork: s}",
        web="{secrets: {A: 'other{suffix}', C: c}, vpc: {connector: k}, scale: {min: 1, max: 2}}",
        staging="secrets: {B: {name: bb, version: 3}}, services: {web: {scale: {max: 5}}}",
    )
    config = web(environment)
    assert config.secrets == {
        "A": SecretRef(name="other-staging", version="latest"),
        "B": SecretRef(name="bb", version="3"),
        "C": SecretRef(name="c"),
    }
    assert config.vpc is not None
    assert config.vpc != "auto"
    assert (config.vpc.network, config.vpc.connector) == (None, "k")
    assert config.scale is not None
    assert (config.scale.min, config.scale.max) == (1, 5)
    worker = cloud_run(environment).service("worker").config
    assert worker.vpc is not None
    assert worker.vpc != "auto"
    assert worker.vpc.network == "n"


def test_jobs_take_what_concerns_them(make_environment: Make) -> None:
    environment = make_environment(
        target="defaults: {port: 80, timeout: 5s, concurrency: 7, memory: 1Gi}\n    runtime_sa: sa",
        jobs="{b: {when: release, run: x}, a: {when: release, command: [y], timeout: 9s}, c: {}}",
        staging="jobs: {c: {max_retries: 2}}",
    )
    assert environment.release_jobs == ("b", "a")  # as written
    config = cloud_run(environment).job("b").config
    assert (config.memory, config.service_account, config.timeout, config.run) == ("1Gi", "sa", 600.0, ("x",))
    assert cloud_run(environment).job("a").config.timeout == 9.0
    assert cloud_run(environment).job("c").config.max_retries == 2
    assert cloud_run(environment).job("c").name == "shop-c-staging"


def test_a_worker_pool_takes_nothing_that_is_about_requests(make_environment: Make) -> None:
    environment = make_environment(
        target="defaults: {port: 80, timeout: 5s, concurrency: 7, execution_env: gen1, memory: 1Gi}\n    strategy: canary",
        worker="{kind: worker_pool}",
        staging="strategy: {type: canary, stages: [9]}",
    )
    pool = cloud_run(environment).service("worker")
    assert pool.pool
    assert pool.config == ServiceConfig(kind="worker_pool", memory="1Gi")
    assert web(environment).port == 80
    assert [unit.strategy is None for unit in environment.regions[0].units] == [False, True]


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({}, "shop-web-staging"),
        (
            {"target": "service_name: '{name}-{app}'\n    suffix: {default: 'x{env}'}", "production": "project: q"},
            "web-shop",
        ),
        ({"target": "suffix: {staging: '', default: '-{env}'}"}, "shop-web"),
        ({"web": "{name: 'front-{env}'}"}, "front-staging"),
        ({"web": "{name: a}", "staging": "services: {web: {name: b}}"}, "b"),
    ],
)
def test_names(make_environment: Make, over: dict[str, str], expected: str) -> None:
    if "service_name" in over.get("target", ""):
        over = over | {"production": "project: q"}
    assert cloud_run(make_environment(**over)).service("web").name == expected


@pytest.mark.parametrize(("length", "fits"), [(MAX_SERVICE, True), (MAX_SERVICE + 1, False)])
def test_a_name_leaves_room_for_its_revisions(make_environment: Make, length: int, fits: bool) -> None:
    over = {"web": "{name: '${vars.NAME}'}", "production": "project: q"}
    variables = {"NAME": "x" * length}
    assert MAX_SERVICE + len("sha-4f9a1c2") == 46  # a tag and its service
    assert MAX_JOB + len("-4f9a1c2-") + 8 == 63
    if fits:
        assert len(cloud_run(make_environment(variables=variables, **over)).service("web").name) == length
        return
    with pytest.raises(ConfigError) as caught:
        make_environment(variables=variables, **over)
    assert caught.value.problems[0].startswith("targets.gcp.services.web.name: `xxx")


def test_a_variable_may_give_no_name_that_cannot_be(make_environment: Make) -> None:
    over = {"web": "{name: '${vars.NAME}'}", "production": "project: q"}
    with pytest.raises(ConfigError) as caught:
        make_environment(variables={"NAME": "Web_1"}, **over)
    assert caught.value.problems[0].startswith("targets.gcp.services.web.name: `Web_1` is no name on Cloud Run")


@pytest.mark.parametrize(("kind", "first", "second"), [("services", "web", "worker"), ("jobs", "m", "n")])
def test_a_variable_may_give_no_two_the_same_name(make_environment: Make, kind: str, first: str, second: str) -> None:
    names = {first: "{name: '${vars.NAME}'}", second: "{name: x}"}
    over = names if kind == "services" else {"jobs": f"{{m: {names['m']}, n: {names['n']}}}"}
    with pytest.raises(ConfigError) as caught:
        make_environment(variables={"NAME": "x"}, **over, production="project: q")
    said = (
        f"targets.gcp.{kind}.{second}.name: `{first}` and `{second}` are both called `x`: one would replace the other"
    )
    assert caught.value.problems == (said,)


def test_where_it_is(make_environment: Make) -> None:
    over = {
        "target": "image: '{region}/{project}/{app}'\n    source_bucket: '{project}-x'",
        "staging": "project: pp, region: rr",
    }
    spec = cloud_run(make_environment(**over))
    assert (spec.project, spec.region, spec.image, spec.source_bucket) == ("pp", "rr", "rr/pp/shop", "pp-x")


def test_auth_and_build_are_filled(make_environment: Make) -> None:
    spec = cloud_run(
        make_environment(
            top="build: {args: {V: '{version}', R: '{short_sha}'}, labels: {e: '{env}'}, timeout: 2m}",
            target="auth: {workload_identity_provider: '${vars.WIF}', service_account: 'd@{project}'}",
            variables={"WIF": "projects/1/x"},
            version="1.2",
        )
    )
    assert spec.build.args == {"V": "1.2", "R": "4f9a1c2"}
    assert (spec.build.labels, spec.build.timeout) == ({"e": "staging"}, 120.0)
    assert spec.auth is not None
    assert (spec.auth.workload_identity_provider, spec.auth.service_account) == ("projects/1/x", "d@p")


def test_the_version_is_the_projects_or_the_sha(make_environment: Make) -> None:
    assert web(make_environment(web="{env: {V: '{version}'}}")).env == {"V": "4f9a1c2"}
    assert web(make_environment(web="{env: {V: '{pyproject.version}'}}", version="1.2")).env == {"V": "1.2"}
    assert wants_pyproject("a: '{pyproject.version}'")
    assert not wants_pyproject("a: '{version}'")


@pytest.mark.parametrize(
    ("over", "problem"),
    [
        ({"web": "{env: {V: '${vars.NO}'}}"}, "targets.gcp.services.web.env.V: there is no variable `NO`"),
        (
            {"web": "{env: {V: '{pyproject.version}'}}"},
            "targets.gcp.services.web.env.V: `{pyproject.version}` has no value",
        ),
        ({"target": "image: '{name}'"}, "targets.gcp.image: `{name}` has no value"),
        ({"verify": "[{http: '{url}/x'}]"}, "verify[0].http: `{url}` has no value"),
        ({"staging": "url: '${vars.NO}'"}, "environments.staging.url: there is no variable `NO`"),
        ({"staging": "values: {q: '${vars.NO}'}"}, "environments.staging.values.q: there is no variable `NO`"),
    ],
)
def test_what_has_no_value_is_named(make_environment: Make, over: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_environment(**over)
    assert caught.value.problems[0].startswith(problem)


def test_checks_by_phase(make_environment: Make) -> None:
    environment = make_environment(
        verify="[{http: /a}, {http: /b, when: live, service: worker}, {http: /c, when: candidate}, {http: 'https://x/'}, {http: '{url}/d', status: 401}, "
        "{job: smoke}, {job: early, when: candidate}, {iam: web, no_public_invoker: false, ingress: all}, {iam: worker, no_public_invoker: true}, {iam: worker}]",
        jobs="{smoke: {timeout: 30s}, early: {}}",
        staging="url: 'https://{env}.x'",
        production="url: 'https://x'",
    )
    assert [check.name for check in environment.candidate_checks] == ["web /a", "web /c", "job early"]
    names = [check.name for check in environment.live_checks]
    assert names == [
        "serving",
        "web /a",
        "worker /b",
        "https://x/",
        "https://staging.x/d",
        "job smoke",
        "access to web",
        "access to worker",
        "access to worker",
    ]
    by_name = {check.name: check for check in environment.live_checks}
    first = by_name["web /a"]
    assert isinstance(first, HttpCheck)
    assert (first.service, first.anonymous) == ("web", False)
    other = by_name["worker /b"]
    assert isinstance(other, HttpCheck)
    assert other.service == "worker"
    refused = by_name["https://staging.x/d"]
    assert isinstance(refused, HttpCheck)
    assert (refused.service, refused.status) == ("", 401)
    assert by_name["job smoke"] == JobCheck(name="job smoke", job="smoke", timeout=90.0)
    assert environment.live_checks[-3:] == (
        ExposureCheck(name="access to web", service="web", public=True, ingress="all"),
        ExposureCheck(name="access to worker", service="worker", public=False),
        ExposureCheck(name="access to worker", service="worker"),
    )


@pytest.mark.parametrize(
    ("web", "staging", "status", "anonymous"),
    [
        ("{public: false}", "", 403, True),
        ("{}", "", 403, True),
        ("{public: true}", "", 403, False),
        ("{public: true}", "services: {web: {public: false}}", 403, True),
        ("{public: false}", "services: {web: {public: true}}", 403, False),
        ("{public: false}", "", 401, False),
        ("{public: false}", "", 200, False),
    ],
)
def test_a_stranger_asks_where_cloud_run_itself_should_refuse(
    make_environment: Make, web: str, staging: str, status: int, anonymous: bool
) -> None:
    check = make_environment(web=web, staging=staging, verify=f"[{{http: /, status: {status}}}]").live_checks[-1]
    assert isinstance(check, HttpCheck)
    assert check.anonymous is anonymous


def test_a_region_without_the_services_that_are_named_is_looked_at_all_the_same(make_environment: Make) -> None:
    environment = make_environment(staging="region: [a, b, r]", web="{regions: [b, r]}", verify="[{serving: [web]}]")
    served = [check.services for check in environment.live_checks if isinstance(check, ServingCheck)]
    assert served == [("worker",), ("web@b",), ("web@r",)]


def test_a_job_as_a_check_may_take_the_time_of_all_its_tries(make_environment: Make) -> None:
    environment = make_environment(
        jobs="{m: {timeout: 10s}}", verify="[{job: m}]", staging="jobs: {m: {timeout: 20s, max_retries: 1}}"
    )
    assert environment.live_checks[-1] == JobCheck(name="job m", job="m", timeout=100.0)


def test_every_field_of_an_http_check(make_environment: Make) -> None:
    text = "{http: /, method: POST, status: 201, json: {a.b: '{app}', n: 1}, contains: '{env}', headers: {X: '{sha}'}, within: 2s, passes: 3, deadline: 4s, interval: 500ms}"
    check = make_environment(verify=f"[{text}]").candidate_checks[0]
    assert check == HttpCheck(
        name="web /",
        url="/",
        service="web",
        method="POST",
        status=201,
        json={"a.b": "shop", "n": 1},
        contains="staging",
        headers={"X": SHA},
        within=2.0,
        passes=3,
        deadline=4.0,
        interval=0.5,
        of_commit=True,
    )


def test_checks_of_an_environment_replace_the_targets(make_environment: Make) -> None:
    environment = make_environment(verify="[{http: /a}]", staging="verify: [{serving: [web], deadline: 9s}]")
    assert environment.candidate_checks == ()
    assert environment.live_checks == (ServingCheck(name="serving", services=("web",), deadline=9.0),)
    assert make_environment(verify="[{http: /a}]", staging="verify: []").candidate_checks == ()
    assert len(make_environment("production", verify="[{http: /a}]", staging="verify: []").candidate_checks) == 1


def test_gates_of_an_environment_replace_the_general_ones(make_environment: Make) -> None:
    over = {"top": "gates: {required_checks: [ci], allow_drafts: true}", "production": "gates: {require_sha: true}"}
    assert make_environment(**over).gates.required_checks == ("ci",)
    here = make_environment("production", **over).gates
    assert (here.required_checks, here.allow_drafts, here.require_sha) == ((), False, True)


@pytest.mark.parametrize(
    ("top", "staging", "expected"),
    [
        ("", "", {"deploy": ("write",), "rollback": ("write",), "unlock": ("write",), "status": ("read",), "help": ("read",)}),
        ("permissions: {deploy: admin}", "", {"deploy": ("admin",), "rollback": ("admin",), "unlock": ("admin",)}),
        ("permissions: {deploy: admin, rollback: write}", "", {"deploy": ("admin",), "rollback": ("write",)}),
        ("", "permissions: {deploy: admin}", {"deploy": ("admin",), "preview": ("admin",)}),
        ("permissions: {preview: write}", "permissions: {deploy: admin}", {"deploy": ("admin",), "preview": ("write",)}),
        ("permissions: {deploy: admin}", "permissions: {deploy: '@dana'}", {"deploy": ("@dana",), "rollback": ("@dana",)}),
        ("", "permissions: {deploy: '@dana'}", {"approve": ("admin",), "reject": ("admin",), "override": ("admin",)}),
        ("permissions: {approve: maintain}", "permissions: {override: '@dana'}", {"approve": ("maintain",), "reject": ("maintain",), "override": ("@dana",)}),
        ("permissions: {rollback: write}", "permissions: {deploy: admin}", {"deploy": ("admin",), "rollback": ("write",)}),
        ("permissions: {deploy: [maintain, '@a/b'], status: write}", "", {"deploy": ("maintain", "@a/b"), "status": ("write",), "help": ("read",)}),
    ],
)  # fmt: skip
def test_roles(
    make_environment: Make,
    make_config: Callable[..., Any],
    top: str,
    staging: str,
    expected: dict[str, tuple[str, ...]],
) -> None:
    found = make_environment(top=top, staging=staging).roles
    assert {verb: found[verb] for verb in expected} == expected
    assert set(found) == {*REGISTRY, "override"}
    general = roles(make_config(top=top))
    assert general == roles(make_config(top=top), "legacy")
    assert roles(make_config(top=top), "nowhere") == general


@pytest.mark.parametrize(
    ("name", "over", "expected"),
    [
        ("staging", {}, ()),
        ("staging", {"top": "build: {overlay: {context: x, repos: [a/b]}}"}, ()),
        ("staging", {"top": "gates: {preflight: [x], interface: {expect: asgi}}"}, ("gates.preflight", "gates.interface")),
        ("staging", {"top": "gates: {preflight: [x]}", "staging": "gates: {}"}, ()),
        ("staging", {"staging": "promote_from: production"}, ()),
        ("staging", {"staging": "backup: {before: x}"}, ("environments.staging.backup",)),
        ("production", {"staging": "backup: {before: x}"}, ()),
        ("staging", {"target": "scheduler: {source: x}\n    order: [web]"}, ("targets.gcp.scheduler",)),
        ("staging", {"target": "vpc: auto"}, ("targets.gcp: vpc: auto",)),
        ("staging", {"target": "vpc: auto", "web": "{vpc: {network: n}}", "worker": "{vpc: {network: n}}"}, ()),
        ("staging", {"staging": "services: {web: {vpc: auto}}"}, ("targets.gcp: vpc: auto",)),
        ("staging", {"target": "secrets: {A: {name: a, version: pin}}"}, ()),
        ("staging", {"top": "config_vars: {required: [x]}"}, ()),
    ],
)  # fmt: skip
def test_what_is_not_acted_on_yet(
    make_config: Callable[..., Any], make_environment: Make, name: str, over: dict[str, str], expected: tuple[str, ...]
) -> None:
    assert not_yet(make_config(**over), name) == make_environment(name, **over).not_yet == expected


@pytest.mark.parametrize(
    ("approvals", "reviewers", "named"),
    [
        ("", "", False),
        ("approvals: {environment: 'prod-{app}'}", "prod-shop", False),
        ("approvals: {confirm: true}", "", True),
    ],
)
def test_approvals_on_github_and_the_typed_confirmation(
    make_environment: Make, approvals: str, reviewers: str, named: bool
) -> None:
    environment = make_environment(staging=approvals, top="gates: {reviews: 1}")
    assert (environment.reviewers, environment.gates.require_sha, environment.gates.reviews) == (reviewers, named, 1)
    assert environment.not_yet == ()
