import json
import subprocess
import sys
from typing import Any

import pytest
from google.cloud.devtools import cloudbuild_v1

from bot.core.config import BuildConfig, Overlay
from bot.errors import ConfigError
from bot.targets.cloud_build_request import (
    Overlaid,
    Upload,
    build_request,
    config_hash,
    find_filter,
    is_of_release,
)

UPLOAD = Upload(bucket="b", name="source/x.tgz", generation=17, folder="octo-shop-0123456")
SHA = "0123456789abcdef0123456789abcdef01234567"
YAML = """
steps:
  - name: gcr.io/kaniko-project/executor
    args: ["--destination=$_IMAGE"]
  - name: bash
    dir: sub
  - name: bash
    dir: /elsewhere
images: ["$_IMAGE"]
substitutions: {_TIER: small}
timeout: 90s
"""


def as_json(build: Any) -> Any:
    return json.loads(
        cloudbuild_v1.Build.to_json(build, always_print_fields_with_no_presence=False, use_integers_for_enums=False)
    )


def test_a_dockerfile_is_built_inside_the_archives_folder(make_spec: Any, release: Any) -> None:
    config = BuildConfig(
        dockerfile="docker/web.Dockerfile",
        context="app",
        platform="linux/amd64",
        args={"VERSION": "1.0", "PRICE": "5$"},
        labels={"team": "blue"},
        timeout=1200,
        machine_type="E2_HIGHCPU_8",
        service_account="builder@acme.iam.gserviceaccount.com",
        provenance=True,
    )
    spec = make_spec(build=config)
    request = as_json(build_request(spec, release, UPLOAD))
    image = f"{spec.image}:{SHA}"
    assert request == {
        "source": {"storageSource": {"bucket": "b", "object": "source/x.tgz", "generation": "17"}},
        "steps": [
            {
                "id": "build",
                "name": "gcr.io/cloud-builders/docker",
                "dir": "octo-shop-0123456",
                "args": [
                    *("build", "--tag", image, "--file", "./docker/web.Dockerfile", "--platform", "linux/amd64"),
                    *("--build-arg", "VERSION=1.0", "--build-arg", "PRICE=5$$", "--label", "team=blue"),
                    *("--label", f"org.opencontainers.image.revision={SHA}"),
                    *("--label", "org.opencontainers.image.source=https://github.com/octo/shop", "app"),
                ],
            }
        ],
        "images": [image],
        "tags": ["slipway-shop", f"sha-{SHA}", f"config-{config_hash(spec)}", "release-zz"],
        "timeout": "1200s",
        "serviceAccount": "projects/acme/serviceAccounts/builder@acme.iam.gserviceaccount.com",
        "options": {
            "machineType": "E2_HIGHCPU_8",
            "requestedVerifyOption": "VERIFIED",
            "logging": "CLOUD_LOGGING_ONLY",
        },
    }


def test_the_request_is_of_the_documented_shape(make_spec: Any, release: Any, tmp_path: Any, judges: Any) -> None:
    request = as_json(build_request(make_spec(build=BuildConfig(machine_type="E2_MEDIUM")), release, UPLOAD))
    judges["cloudbuild"].judge("POST", "/v1/projects/acme/locations/us-central1/builds", {}, request)
    # The schema describes what is written into a cloudbuild.yaml: the source is given beside that.
    file = tmp_path / "cloudbuild.json"
    file.write_text(json.dumps({key: value for key, value in request.items() if key != "source"}))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.cloudbuild", str(file)]
    judged = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_a_connected_repository_gives_the_source_at_its_root(make_spec: Any, release: Any) -> None:
    repository = "projects/acme/locations/us-central1/connections/c/repositories/shop"
    request = as_json(build_request(make_spec(build=BuildConfig(repository=repository)), release, None))
    assert request["source"] == {"connectedRepository": {"repository": repository, "revision": SHA}}
    assert "dir" not in request["steps"][0]


def test_a_cloudbuild_yaml_keeps_its_own_words(make_spec: Any, release: Any) -> None:
    config = BuildConfig(config="ops/cloudbuild.yaml", substitutions={"_TIER": "large"})
    spec = make_spec(build=config, cloudbuild_yaml=YAML)
    request = as_json(build_request(spec, release, UPLOAD))
    assert [step["dir"] for step in request["steps"]] == ["octo-shop-0123456", "octo-shop-0123456/sub", "/elsewhere"]
    assert request["timeout"] == "90s"
    assert request["substitutions"] == {
        "_TIER": "large",
        "COMMIT_SHA": SHA,
        "REVISION_ID": SHA,
        "SHORT_SHA": "0123456",
        "REPO_NAME": "shop",
        "_IMAGE": f"{spec.image}:{SHA}",
    }
    assert request["options"] == {"substitutionOption": "ALLOW_LOOSE"}
    assert request["tags"][0] == "slipway-shop"
    unplaced = as_json(build_request(spec, release, None))
    assert [step.get("dir", "") for step in unplaced["steps"]] == ["", "sub", "/elsewhere"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("steps: [", "expected the node content"),
        ("[]", "no mapping"),
        ("steps: [{name: x, argz: []}]", "argz"),
        ("steps: [{name: x}]\nsource: {}", "source"),
        ("steps: 5", "steps"),
        ("timeout: 2020-01-01", "date"),
    ],
)
def test_an_unusable_cloudbuild_yaml_is_refused_with_its_problem(
    make_spec: Any, release: Any, text: Any, problem: Any
) -> None:
    spec = make_spec(build=BuildConfig(config="cloudbuild.yaml"), cloudbuild_yaml=text)
    with pytest.raises(ConfigError) as caught:
        build_request(spec, release, UPLOAD)
    assert any("cloudbuild.yaml" in line and problem in line for line in caught.value.problems)


def test_an_unknown_machine_type_is_refused(make_spec: Any, release: Any) -> None:
    with pytest.raises(ConfigError, match="HUGE is no machine type"):
        build_request(make_spec(build=BuildConfig(machine_type="HUGE")), release, UPLOAD)


@pytest.mark.parametrize(
    "over",
    [
        {"dockerfile": "other"},
        {"context": "app"},
        {"args": {"A": "2"}},
        {"labels": {"a": "b"}},
        {"platform": "linux/arm64"},
        {"substitutions": {"_A": "b"}},
        {"provenance": True},
    ],
)
def test_whatever_changes_the_image_changes_the_hash(make_spec: Any, over: Any) -> None:
    assert config_hash(make_spec()) != config_hash(make_spec(build=BuildConfig(**over)))


@pytest.mark.parametrize("over", [{"timeout": "5m"}, {"machine_type": "E2_MEDIUM"}, {"service_account": "x@y"}])
def test_whatever_does_not_change_the_image_does_not_change_the_hash(make_spec: Any, over: Any) -> None:
    assert config_hash(make_spec()) == config_hash(make_spec(build=BuildConfig(**over)))


def test_a_build_is_found_by_its_tags(make_spec: Any, release: Any) -> None:
    spec = make_spec()
    assert find_filter(spec, SHA) == f'tags="slipway-shop" AND tags="sha-{SHA}" AND tags="config-{config_hash(spec)}"'
    assert is_of_release(build_request(spec, release, UPLOAD), release)
    assert not is_of_release(cloudbuild_v1.Build(tags=["release-other"]), release)


# -- several sources ----------------------------------------------------------------------------------------------
OVERLAY = Overlay(context="extras", repos=("acme/pro", "acme/c.loud"), args={"EXTRAS": "cl$oud"})
PRO = Overlaid(
    repository="acme/pro",
    sha="a" * 40,
    upload=Upload(bucket="b", name="source/acme-pro-a.tgz", generation=1, folder="x"),
)
CLOUD = Overlaid(
    repository="acme/c.loud", sha="c" * 40, upload=Upload(bucket="b", name="source/it's.tgz", generation=2, folder="y")
)  # fmt: skip


def test_other_sources_are_laid_beside_the_checkout_and_named(make_spec: Any, release: Any, judges: Any) -> None:
    spec = make_spec(build=BuildConfig(args={"VERSION": "1", "EXTRAS": "none"}, overlay=OVERLAY))
    request = as_json(build_request(spec, release, UPLOAD, (PRO, CLOUD)))
    judges["cloudbuild"].judge("POST", "/v1/projects/acme/locations/us-central1/builds", {}, request)
    fetch, docker = request["steps"]
    script = fetch["args"][1]
    assert (fetch["name"], fetch["entrypoint"], fetch["args"][0]) == ("gcr.io/cloud-builders/gcloud", "bash", "-c")
    assert "dir" not in fetch
    assert script.splitlines() == [
        "set -euo pipefail",
        "mkdir -p slipway-sources/pro",
        "gcloud storage cp 'gs://b/source/acme-pro-a.tgz#1' - | tar -xz --strip-components=1 -C slipway-sources/pro",
        "mkdir -p slipway-sources/c.loud",
        "gcloud storage cp 'gs://b/source/it'\"'\"'s.tgz#2' - | tar -xz --strip-components=1 -C slipway-sources/c.loud",
    ]
    assert docker["dir"] == "octo-shop-0123456"
    assert docker["args"][:5] == ["buildx", "build", "--load", "--build-context", "extras=../slipway-sources"]
    assert docker["args"][-1] == "."
    assert [
        value for name, value in zip(docker["args"], docker["args"][1:], strict=False) if name == "--build-arg"
    ] == [
        "VERSION=1",
        "EXTRAS=cl$$oud",
    ]
    labels = [value for name, value in zip(docker["args"], docker["args"][1:], strict=False) if name == "--label"]
    assert labels[2:] == [f"slipway.source.acme.pro={'a' * 40}", f"slipway.source.acme.c.loud={'c' * 40}"]
    assert request["tags"][2] == f"config-{config_hash(spec, {'acme/pro': 'a' * 40, 'acme/c.loud': 'c' * 40})}"


def test_an_image_is_the_same_only_if_all_sources_are(make_spec: Any) -> None:
    plain = make_spec(build=BuildConfig())
    spec = make_spec(build=BuildConfig(overlay=OVERLAY))
    shas = {"acme/pro": "a" * 40, "acme/c.loud": "c" * 40}
    moved = {**shas, "acme/pro": "b" * 40}
    other = make_spec(build=BuildConfig(overlay=OVERLAY.model_copy(update={"args": {}})))
    hashes = {config_hash(plain, shas), config_hash(spec, shas), config_hash(spec, moved), config_hash(other, shas)}
    assert len({*hashes, config_hash(spec)}) == 5
    assert config_hash(plain, shas) == config_hash(plain)
    assert find_filter(spec, SHA, shas) != find_filter(spec, SHA, moved)
