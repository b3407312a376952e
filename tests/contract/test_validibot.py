"""The first user's configuration: what it asks for is expressed, and what is not done yet is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.core.checks import ExposureCheck, HttpCheck, JobCheck
from bot.core.config import Config
from bot.core.config_file import load
from bot.core.resolve import Environment, not_yet, resolve
from bot.core.spec import CloudRunSpec, HerokuSpec, JobSpec, ServiceSpec

PATH = Path(__file__).parents[2] / "docs/examples/configurations/validibot.yml"
SHA = "4f9a1c2d3e5f60718293a4b5c6d7e8f901234567"
VARIABLES = {
    "GCP_PROJECT_ID": "acme-1",
    "GCP_REGION": "us-west1",
    "WIF_PROVIDER": "projects/1/locations/global/workloadIdentityPools/p/providers/q",
    "DEPLOYER_SA": "deployer@acme-1.iam.gserviceaccount.com",
    "HEROKU_APP": "validibot-legacy",
}


@pytest.fixture(scope="module")
def config() -> Config:
    return load(PATH.read_text("utf-8"), file=PATH.name)


def environment(config: Config, name: str) -> Environment:
    return resolve(config, name, repository="a/validibot", sha=SHA, variables=VARIABLES, version="1.2.3")


def spec(config: Config, name: str) -> CloudRunSpec:
    found = environment(config, name).spec
    assert isinstance(found, CloudRunSpec)
    return found


# Production has no suffix, but its service accounts do.
@pytest.mark.parametrize(("name", "suffix"), [("dev", "-dev"), ("staging", "-staging"), ("prod", "")])
def test_names_and_their_irregularities(config: Config, name: str, suffix: str) -> None:
    found = spec(config, name)
    assert found.image == "us-west1-docker.pkg.dev/acme-1/validibot/validibot-web"
    assert [one.name for one in found.services] == [f"validibot-web{suffix}", f"validibot-worker{suffix}"]
    assert [one.name for one in found.jobs] == [
        f"validibot-{key}{suffix}" for key in ("migrate", "setup", "doctor", "smoke")
    ]
    workloads: list[ServiceSpec | JobSpec] = [*found.services, *found.jobs]
    for one in workloads:
        assert one.config.service_account == f"validibot-cloudrun-{name}@acme-1.iam.gserviceaccount.com"
        assert one.config.cloudsql == (f"validibot-db{suffix}",)
        assert one.config.secrets["/secrets/.env"].name == f"django-env{suffix}"
        assert one.config.env["VALIDIBOT_STAGE"] == name
        assert one.config.env["VALIDIBOT_VERSION"] == "1.2.3"
        assert (one.config.memory, one.config.execution_env) == ("1Gi", "gen2")


def test_web_and_worker(config: Config) -> None:
    found = spec(config, "staging")
    web, worker = found.service("web").config, found.service("worker").config
    assert (web.public, web.ingress, web.concurrency, web.port, web.timeout) == (True, "all", 8, 8000, 3600.0)
    assert (worker.public, worker.ingress, worker.concurrency, worker.port) == (False, "internal", 1, 8000)
    assert (web.env["APP_ROLE"], worker.env["APP_ROLE"], worker.env["WEB_CONCURRENCY"]) == ("web", "worker", "1")
    assert web.probe is not None
    assert web.probe.startup is not None
    assert web.probe.startup.path == "/health/"


def test_production_is_behind_its_load_balancer(config: Config) -> None:
    web = spec(config, "prod").service("web").config
    assert web.ingress == "internal-and-cloud-load-balancing"
    assert web.scale is not None
    assert (web.scale.min, web.scale.max) == (1, 4)
    found = environment(config, "prod")
    assert (found.url, found.production) == ("https://app.validibot.com", True)
    urls = [check.url for check in found.live_checks if isinstance(check, HttpCheck)]
    assert urls == ["https://app.validibot.com/health/", "https://app.validibot.com/api/v1/auth/me/"]


def test_the_migration_gates_the_services(config: Config) -> None:
    found = environment(config, "staging")
    assert found.release_jobs == ("migrate",)
    job = spec(config, "staging").job("migrate").config
    assert job.run is not None
    assert (job.run[0], job.run[-1]) == ("check_mcp_configuration --role=web", "seed_weather_files --strict")
    assert (len(job.run), job.env_file, job.timeout, job.max_retries) == (8, "/secrets/.env", 300.0, 0)


def test_verification(config: Config) -> None:
    found = environment(config, "staging")
    assert [check.name for check in found.candidate_checks] == ["web /health/", "web /api/v1/auth/me/"]
    jobs = [check.job for check in found.live_checks if isinstance(check, JobCheck)]
    assert jobs == ["doctor", "smoke"]
    exposure = [check for check in found.live_checks if isinstance(check, ExposureCheck)]
    assert [(check.service, check.public, check.ingress) for check in exposure] == [("worker", False, "internal")]


def test_the_build_and_the_rest(config: Config) -> None:
    found = spec(config, "staging")
    assert found.build.dockerfile == "compose/production/django/Dockerfile"
    assert (found.build.platform, found.build.provenance, found.build.builder) == ("linux/amd64", False, "cloudbuild")
    assert found.build.args == {"VALIDIBOT_VERSION": "1.2.3", "VALIDIBOT_REVISION": "4f9a1c2"}
    assert environment(config, "dev").on_push
    assert not environment(config, "staging").on_push
    assert environment(config, "staging").gates.required_checks == ("ci",)
    assert set(config.config_vars) == {"required", "one_of", "unique_per_env", "distinct", "formats", "overrides"}


def test_heroku(config: Config) -> None:
    assert environment(config, "legacy").spec == HerokuSpec(
        environment="legacy", repository="a/validibot", app="validibot-legacy"
    )


COMMON = {"gates.preflight", "gates.interface"}
CLOUD = {"targets.gcp.scheduler", "targets.gcp: vpc: auto"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("staging", COMMON | CLOUD),
        ("dev", COMMON | CLOUD),
        ("prod", COMMON | CLOUD | {"environments.prod.backup"}),
        ("legacy", COMMON | {f"targets.heroku.{key}" for key in ("first_deploy", "formation", "backup")}),
    ],
)
def test_what_is_not_done_yet_is_refused_by_name(config: Config, name: str, expected: set[str]) -> None:
    assert set(not_yet(config, name)) == expected
