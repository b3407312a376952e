import json
from typing import Any

import pytest
from google.cloud import run_v2

from bot.core.config import JobConfig, ServiceConfig
from bot.errors import ConfigError
from bot.targets.run_template import (
    MANAGED,
    Place,
    job_template,
    label,
    pool_template,
    release_labels,
    revision_name,
    script,
    service_template,
)

PLACE = Place(project="acme", region="us-central1")
IMAGE = "repo@sha256:1"


@pytest.fixture
def build(release: Any) -> Any:
    def build(config: Any, live: Any = None) -> Any:
        config = ServiceConfig.model_validate(config)
        return service_template(config, live, image=IMAGE, name="web-1", release=release, place=PLACE)

    return build


def live(**over: Any) -> Any:
    container = {
        "name": "web",
        "image": "repo@sha256:0",
        "ports": [{"name": "h2c", "container_port": 9000}],
        "env": [{"name": "KEPT", "value": "1"}, {"name": "A", "value": "old"}],
        "resources": {"limits": {"memory": "512Mi", "cpu": "2"}, "cpu_idle": True},
        **over,
    }
    return run_v2.RevisionTemplate(
        revision="left-by-gcloud",
        labels={"team": "blue"},
        containers=[{"name": "proxy", "image": "sidecar"}, container],
        service_account="kept@acme.iam.gserviceaccount.com",
        max_instance_request_concurrency=33,
    )


def main(template: Any) -> Any:
    return template.containers[1]


def test_what_is_not_declared_keeps_its_live_value(build: Any) -> None:
    before = live()
    after = build({}, before)
    assert after.revision == "web-1"
    assert dict(after.labels) == {
        "team": "blue",
        "slipway-release": "zz",
        "slipway-sha": "0123456789abcdef0123456789abcdef01234567",
        "slipway-environment": "staging",
    }
    assert main(after).image == IMAGE
    after.revision, after.labels, main(after).image = before.revision, before.labels, main(before).image
    assert after == before == live()


@pytest.mark.parametrize(
    ("config", "path", "expected"),
    [
        ({"port": 8000}, "ports", [run_v2.ContainerPort(name="h2c", container_port=8000)]),
        ({"command": ("gunicorn",)}, "command", ["gunicorn"]),
        ({"args": ("-b", "x,y")}, "args", ["-b", "x,y"]),
    ],
)
def test_a_declared_field_of_the_container_is_set(build: Any, config: Any, path: Any, expected: Any) -> None:
    assert list(getattr(main(build(config, live())), path)) == expected


def test_limits_are_declared_one_by_one(build: Any) -> None:
    resources = main(build({"memory": "1Gi"}, live())).resources
    assert (dict(resources.limits), resources.cpu_idle) == ({"memory": "1Gi", "cpu": "2"}, True)


def test_fields_of_the_revision(build: Any) -> None:
    template = build(
        {
            "timeout": "1h",
            "concurrency": 8,
            "service_account": "run@acme",
            "execution_env": "gen2",
            "labels": {"tier": "front"},
            "probe": {"startup": "/health/", "liveness": {"path": "/live", "period": "30s", "failures": 2, "delay": 5}},
        },
        live(),
    )
    assert template.timeout.total_seconds() == 3600
    assert template.max_instance_request_concurrency == 8
    assert template.service_account == "run@acme"
    assert template.execution_environment.name == "EXECUTION_ENVIRONMENT_GEN2"
    assert template.labels["tier"] == "front"
    assert main(template).startup_probe.http_get.path == "/health/"
    liveness = main(template).liveness_probe
    assert (liveness.period_seconds, liveness.failure_threshold, liveness.initial_delay_seconds) == (30, 2, 5)
    assert build({"execution_env": "gen1"}).execution_environment.name == "EXECUTION_ENVIRONMENT_GEN1"


def test_variables_of_others_stay_and_the_bots_own_go_when_undeclared(build: Any) -> None:
    first = build(
        {"env": {"A": "new", "B": "b,=\nc"}, "secrets": {"KEY": {"name": "django-key", "version": 3}}}, live()
    )
    assert [v.name for v in main(first).env] == ["KEPT", "A", "B", "KEY"]
    assert main(first).env[2].value == "b,=\nc"
    ref = main(first).env[3].value_source.secret_key_ref
    assert (ref.secret, ref.version) == ("django-key", "3")
    assert json.loads(first.annotations[MANAGED])["env"] == ["A", "B", "KEY"]

    second = build({"env": {"A": "newer"}}, first)
    assert [(v.name, v.value) for v in main(second).env] == [("KEPT", "1"), ("A", "newer")]
    third = build({}, second)
    assert [v.name for v in main(third).env] == ["KEPT"]
    assert json.loads(third.annotations[MANAGED]) == {"env": [], "mounts": []}


def test_secret_files_and_database_sockets_are_volumes(build: Any) -> None:
    config = {
        "secrets": {"/secrets/.env": "django-env", "/secrets/old.env": {"name": "django-env", "version": 2}},
        "cloudsql": ("shop-db", "other:europe-west1:db"),
    }
    first = build(config, live(volume_mounts=[{"name": "cache", "mount_path": "/cache"}]))
    mounts = {m.mount_path: m.name for m in main(first).volume_mounts}
    assert list(mounts) == ["/cache", "/secrets", "/cloudsql"]
    volumes = {v.name: v for v in first.volumes}
    secret = volumes[mounts["/secrets"]].secret
    assert (secret.secret, [(i.path, i.version) for i in secret.items]) == (
        "django-env",
        [(".env", "latest"), ("old.env", "2")],
    )
    assert list(volumes["cloudsql"].cloud_sql_instance.instances) == [
        "acme:us-central1:shop-db",
        "other:europe-west1:db",
    ]

    second = build({"secrets": {"/secrets/.env": "django-env-2"}}, first)
    assert [m.mount_path for m in main(second).volume_mounts] == ["/cache", "/secrets"]
    assert [v.secret.secret for v in second.volumes] == ["django-env-2"]


def test_a_mount_that_somebody_else_made_gives_way_to_a_declared_one(build: Any) -> None:
    before = live(volume_mounts=[{"name": "by-hand", "mount_path": "/secrets"}])
    before.volumes = [run_v2.Volume(name="by-hand", secret=run_v2.SecretVolumeSource(secret="old"))]
    after = build({"secrets": {"/secrets/.env": "django-env"}}, before)
    assert [v.secret.secret for v in after.volumes] == ["django-env"]
    assert len(main(after).volume_mounts) == 1


def test_two_secrets_in_one_folder_are_refused(build: Any) -> None:
    with pytest.raises(ConfigError, match=r"/secrets cannot hold the secrets a and b"):
        build({"secrets": {"/secrets/x": "a", "/secrets/y": "b"}})


@pytest.mark.parametrize(
    ("vpc", "connector", "networks", "egress"),
    [
        ({"connector": "c"}, "c", [], "PRIVATE_RANGES_ONLY"),
        ({"network": "n", "subnetwork": "s", "egress": "all-traffic"}, "", [("n", "s", ["kept"])], "ALL_TRAFFIC"),
    ],
)
def test_vpc(build: Any, vpc: Any, connector: Any, networks: Any, egress: Any) -> None:
    before = live()
    before.vpc_access = {"network_interfaces": [{"network": "old", "tags": ["kept"]}]}
    access = build({"vpc": vpc}, before).vpc_access
    found = [(i.network, i.subnetwork, list(i.tags)) for i in access.network_interfaces]
    assert (access.connector, found, access.egress.name) == (connector, networks, egress)


def test_a_first_revision_needs_no_live_template(build: Any) -> None:
    template = build({"port": 8000})
    assert [c.image for c in template.containers] == [IMAGE]
    assert template.containers[0].ports[0].container_port == 8000


def test_a_container_without_ports_is_the_main_one_if_it_is_the_first(build: Any) -> None:
    before = run_v2.RevisionTemplate(containers=[{"image": "old"}])
    assert [c.image for c in build({}, before).containers] == [IMAGE]


def test_job(release: Any) -> None:
    config = JobConfig.model_validate(
        {
            "run": ("check", "migrate --noinput"),
            "env_file": "/secrets/my .env",
            "timeout": "5m",
            "max_retries": 0,
            "memory": "1Gi",
        }
    )
    before = run_v2.ExecutionTemplate(
        task_count=2, template={"max_retries": 3, "containers": [{"image": "old", "name": "kept"}]}
    )
    template = job_template(config, before, image=IMAGE, step="job:migrate", release=release, place=PLACE)
    task = template.template
    assert template.task_count == 2
    assert template.labels["slipway-step"] == "job-migrate"
    assert template.labels["slipway-release"] == "zz"
    assert (task.max_retries, task.timeout.total_seconds()) == (0, 300)
    container = task.containers[0]
    assert (container.name, container.image, list(container.command)) == ("kept", IMAGE, ["/bin/bash", "-c"])
    assert " ".join(container.args) == (
        "set -o pipefail && set -a && source '/secrets/my .env' && set +a && "
        "python manage.py check && python manage.py migrate --noinput"
    )
    assert before.template.containers[0].image == "old"


def test_a_new_job_with_a_command_of_its_own(release: Any) -> None:
    config = JobConfig.model_validate({"command": ("./migrate",), "env": {"A": 1}})
    template = job_template(config, None, image=IMAGE, step="migrate", release=release, place=PLACE)
    assert list(template.template.containers[0].command) == ["./migrate"]
    assert json.loads(template.annotations[MANAGED])["env"] == ["A"]


def test_a_script_without_run_with() -> None:
    assert script(JobConfig(run=("./a", "./b | tee x"), run_with="")) == "set -o pipefail && ./a && ./b | tee x"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Staging/EU", "staging-eu"), ("a" * 70, "a" * 63), ("-x-", "x"), ("prod_1", "prod_1")],
)
def test_label(text: Any, expected: Any) -> None:
    assert label(text) == expected


def test_names(release: Any) -> None:
    assert revision_name("shop-web", release) == "shop-web-0123456-zz"
    assert release_labels(release)["slipway-environment"] == "staging"
    with pytest.raises(ConfigError, match="has 66 characters"):
        revision_name("w" * 55, release)


# Worker pools


def test_a_worker_pools_revision_keeps_what_is_not_declared(release: Any) -> None:
    before = run_v2.WorkerPoolRevisionTemplate(
        revision="left-by-gcloud",
        labels={"team": "blue"},
        containers=[
            {"name": "work", "image": "repo@sha256:0", "env": [{"name": "KEPT", "value": "1"}]},
            {"name": "proxy"},
        ],
        node_selector={"accelerator": "nvidia-l4"},
    )
    config = ServiceConfig(kind="worker_pool", env={"A": "b"}, args=("--every", "5"), execution_env="gen2")
    after = pool_template(config, before, image=IMAGE, name="worker-1", release=release, place=PLACE)
    assert (after.revision, after.labels["team"], after.labels["slipway-release"]) == ("worker-1", "blue", "zz")
    work, proxy = after.containers
    assert (work.image, work.args) == (IMAGE, ["--every", "5"])
    assert [(one.name, one.value) for one in work.env] == [("KEPT", "1"), ("A", "b")]
    assert json.loads(after.annotations[MANAGED])["env"] == ["A"]
    assert (proxy.name, after.node_selector.accelerator) == ("proxy", "nvidia-l4")
    assert before.revision == "left-by-gcloud"


def test_a_worker_pools_first_revision(release: Any) -> None:
    vpc = {"network": "default", "egress": "all-traffic"}
    config = ServiceConfig.model_validate({"kind": "worker_pool", "service_account": "w@acme", "vpc": vpc})
    made = pool_template(config, None, image=IMAGE, name="worker-1", release=release, place=PLACE)
    assert [(one.image, list(one.ports)) for one in made.containers] == [(IMAGE, [])]
    assert made.service_account == "w@acme"
    assert made.vpc_access.network_interfaces[0].network == "default"
