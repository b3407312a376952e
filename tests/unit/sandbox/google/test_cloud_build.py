"""Cloud Build, driven by google-cloud-build over REST."""

import io
import subprocess
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core.exceptions import BadRequest, Forbidden, GoogleAPICallError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud.devtools import cloudbuild_v1

from bot.sandbox.google.cloud_build import CloudBuild
from bot.sandbox.google.cloud_build_text import ENUMS, compile_filter, substitute
from bot.sandbox.google.storage import Storage
from bot.sandbox.images import ImageStore
from bot.sandbox.wire import WireError

PARENT = "projects/acme/locations/us-central1"
IMAGE = "us-central1-docker.pkg.dev/acme/shop/web:abc"
DOCKERFILE = "FROM scratch\nWORKDIR /app\nCOPY . .\nARG V=none\nRUN echo building $V\nCMD ['x']\n"


class Bench:
    """The server, its neighbours, and a client."""

    def __init__(self, root: Path) -> None:
        self.entries: list[dict[str, Any]] = []
        self.storage = Storage(root=root / "objects")
        self.images = ImageStore(root / "images")
        self.server = CloudBuild(
            images=self.images, storage=self.storage, sink=self.entries.append, root=root / "builds"
        )
        self.server.start()
        self.client = cloudbuild_v1.CloudBuildClient(
            transport="rest",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": self.server.url},
        )

    def source(self, files: dict[str, str], name: str = "source/a.tgz") -> dict[str, Any]:
        data = io.BytesIO()
        if name.endswith(".zip"):
            with zipfile.ZipFile(data, "w") as archive:
                for path, text in files.items():
                    archive.writestr(path, text)
        else:
            with tarfile.open(fileobj=data, mode="w:gz") as tar:
                for path, text in files.items():
                    info = tarfile.TarInfo(path)
                    info.size = len(text)
                    tar.addfile(info, io.BytesIO(text.encode()))
        made = self.storage.put("acme-source", name, data.getvalue())
        return {"storage_source": {"bucket": "acme-source", "object_": name, "generation": made["generation"]}}

    def create(self, **build: Any) -> Any:
        return self.client.create_build(parent=PARENT, build=cloudbuild_v1.Build(build), timeout=10)

    def run(self, **build: Any) -> Any:
        """Create a build and return it as it ended."""
        made = self.create(**build).metadata.build
        self.server.wait(made.id)
        return self.client.get_build(name=made.name, id=made.id, timeout=10)

    def text(self) -> str:
        return "\n".join(entry["textPayload"] for entry in self.entries)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.server.stop()


def docker(*args: str, **more: Any) -> dict[str, Any]:
    return {"name": "gcr.io/cloud-builders/docker", "args": list(args), **more}


def test_an_image_is_built_pushed_and_named_by_its_digest(bench: Bench) -> None:
    build = bench.run(
        source=bench.source({"Dockerfile": DOCKERFILE, "a.txt": "hello"}),
        steps=[docker("build", "-t", "$_IMAGE", "--build-arg", "V=${_V}", "--label", "sha=${COMMIT_SHA}x$$", ".")],
        images=["$_IMAGE"],
        substitutions={"_IMAGE": IMAGE, "_V": "7"},
        tags=["sha-1", "deployment-2"],
        options={"logging": "CLOUD_LOGGING_ONLY", "requested_verify_option": "VERIFIED"},
        service_account="projects/acme/serviceAccounts/builder@acme.iam.gserviceaccount.com",
    )
    assert build.status is cloudbuild_v1.Build.Status.SUCCESS
    pushed = bench.images.resolve(IMAGE)
    assert pushed is not None
    assert (pushed.root / "app/a.txt").read_text() == "hello"
    assert pushed.labels == {"sha": "x$"}
    (image,) = build.results.images
    assert (image.name, image.digest) == (IMAGE, pushed.digest)
    assert image.artifact_registry_package == f"{PARENT}/repositories/shop/packages/web"
    assert build.steps[0].status is cloudbuild_v1.Build.Status.SUCCESS
    assert build.source_provenance.resolved_storage_source.generation > 0
    assert build.start_time <= build.finish_time
    assert set(build.timing) == {"FETCHSOURCE", "BUILD", "PUSH"}
    assert f"builds;region=us-central1/{build.id}" in build.log_url
    assert "building 7" in bench.text()
    assert bench.entries[0]["resource"] == {
        "type": "build",
        "labels": {"build_id": build.id, "build_trigger_id": "", "project_id": "acme"},
    }
    assert not list((bench.server.shop.root).iterdir())


def test_the_operation_carries_the_build_and_ends_with_it(bench: Bench) -> None:
    operation = bench.create(
        source=bench.source({"Dockerfile": DOCKERFILE}), steps=[docker("build", "-t", IMAGE, ".")], images=[IMAGE]
    )
    assert operation.metadata.build.status is cloudbuild_v1.Build.Status.QUEUED
    bench.server.wait(operation.metadata.build.id)
    assert operation.result(timeout=10).results.images[0].digest.startswith("sha256:")


def test_a_failing_build_says_where_and_keeps_its_log(bench: Bench) -> None:
    operation = bench.create(
        source=bench.source({"Dockerfile": "FROM a\nRUN echo because; exit 3\n"}),
        steps=[docker("build", "-t", IMAGE, ".", id="image"), docker("push", IMAGE, id="push")],
        images=[IMAGE],
        logs_bucket="gs://acme-logs",
    )
    build = bench.server.wait(operation.metadata.build.id)
    detail = 'build step 0 "gcr.io/cloud-builders/docker" failed: step exited with non-zero status: 3'
    assert build["failureInfo"] == {"type": "USER_BUILD_STEP", "detail": detail}
    assert (build["status"], build["statusDetail"]) == ("FAILURE", detail)
    assert [step["status"] for step in build["steps"]] == ["FAILURE", "QUEUED"]
    assert "images" not in build.get("results", {})
    log = bench.storage.lookup("acme-logs", f"log-{build['id']}.txt").path.read_text()
    assert 'Step #0 - "image": because' in log.splitlines()
    assert log.splitlines()[-1] == f"ERROR: {detail}"
    with pytest.raises(GoogleAPICallError, match="failed"):
        operation.result(timeout=10)


def test_tag_push_all_and_subdirectories(bench: Bench) -> None:
    build = bench.run(
        source=bench.source({"src/docker/web.Dockerfile": DOCKERFILE, "src/b": "b"}, "a.zip"),
        steps=[
            docker("build", "-t", "local", "-f", "docker/web.Dockerfile", "--platform", "linux/amd64", ".", dir="src"),
            docker("tag", "local", IMAGE),
            docker("push", "--all-tags", IMAGE.rpartition(":")[0]),
        ],
        options={"logging": "NONE"},
    )
    assert build.status is cloudbuild_v1.Build.Status.SUCCESS
    pushed = bench.images.resolve(IMAGE)
    assert pushed is not None
    assert (pushed.root / "app/b").is_file()
    assert not bench.entries


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"name": "gcr.io/cloud-builders/npm"}, 'the sandbox has no builder "gcr.io/cloud-builders/npm"'),
        ({"name": "gcr.io/cloud-builders/docker", "script": "echo"}, "docker by its args only"),
        ({"name": "gcr.io/cloud-builders/docker", "entrypoint": "bash"}, "docker by its args only"),
        ({"name": "gcr.io/cloud-builders/gcloud", "args": ["version"]}, "gcloud's image only as bash"),
        (docker("system", "prune"), "can't run: docker system prune"),
        (docker("build", "--nonsense", "."), "unrecognized arguments: --nonsense"),
        (docker("build", "absent"), "path 'absent' not found"),
        (docker("build", ".", dir="../.."), "is not in the workspace"),
        (docker("push", "absent"), "An image does not exist locally with the tag: absent:latest"),
        (docker("tag", "absent", "b"), "No such image: absent:latest"),
        (docker("build", "."), "failed to read dockerfile"),
    ],
)
def test_a_step_that_can_not_run_says_so(bench: Bench, step: dict[str, Any], said: str) -> None:
    build = bench.run(steps=[step])
    assert build.failure_info.type_ is cloudbuild_v1.Build.FailureInfo.FailureType.USER_BUILD_STEP
    assert said in bench.text()


def test_allowed_failures_and_missing_images(bench: Bench) -> None:
    build = bench.run(
        steps=[docker("push", "a", allow_failure=True), docker("push", "b", allow_exit_codes=[1])], images=[IMAGE]
    )
    assert [step.exit_code for step in build.steps] == [1, 1]
    assert build.failure_info.type_ is cloudbuild_v1.Build.FailureInfo.FailureType.PUSH_IMAGE_NOT_FOUND


def git(folder: Path, *args: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *args], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize("kind", ["git_source", "connected_repository"])
def test_a_connected_repository_is_fetched_at_its_revision(bench: Bench, tmp_path: Path, kind: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    (work / "Dockerfile").write_text(DOCKERFILE)
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", "one")
    sha = git(work, "rev-parse", "HEAD")
    name = "https://example.com/acme/shop.git" if kind == "git_source" else f"{PARENT}/connections/g/repositories/shop"
    bench.server.register_repository(name, work / ".git")
    key = "url" if kind == "git_source" else "repository"
    build = bench.run(source={kind: {key: name, "revision": "main"}}, steps=[docker("build", ".")])
    assert build.status is cloudbuild_v1.Build.Status.SUCCESS
    assert getattr(build.source_provenance, f"resolved_{kind}").revision == sha
    for revision in ("absent", "--output=/tmp/x"):
        build = bench.run(source={kind: {key: name, "revision": revision}}, steps=[docker("build", ".")])
        assert build.failure_info.type_ is cloudbuild_v1.Build.FailureInfo.FailureType.FETCH_SOURCE_FAILED


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"storage_source": {"bucket": "none", "object_": "a.tgz"}}, "The specified bucket does not exist"),
        ({"storage_source": {"bucket": "acme-source", "object_": "bad.tgz"}}, "not a gzip file"),
        ({"storage_source": {"bucket": "acme-source", "object_": "up.tgz"}}, "outside the destination"),
        ({"git_source": {"url": "https://example.com/none"}}, "is not connected"),
        ({"repo_source": {"repo_name": "a", "branch_name": "b"}}, "can't fetch a repoSource"),
    ],
)
def test_a_source_that_can_not_be_fetched(bench: Bench, source: dict[str, Any], said: str) -> None:
    bench.storage.put("acme-source", "bad.tgz", b"no archive")
    bench.source({"../../up": "x"}, "up.tgz")
    build = bench.run(source=source, steps=[docker("build", ".")])
    assert build.failure_info.type_ is cloudbuild_v1.Build.FailureInfo.FailureType.FETCH_SOURCE_FAILED
    assert said in build.failure_info.detail


def test_cancel_kills_the_running_step(bench: Bench) -> None:
    begun = threading.Event()
    bench.server.shop.__dict__["sink"] = lambda entry: begun.set() if entry["textPayload"] == "now" else None
    operation = bench.create(
        source=bench.source({"Dockerfile": "FROM a\nRUN echo now; exec sleep 60\n"}), steps=[docker("build", ".")]
    )
    assert begun.wait(10)
    name = operation.metadata.build.name
    started = time.monotonic()
    build = bench.client.cancel_build(name=name, id=operation.metadata.build.id, timeout=30)
    assert time.monotonic() - started < 10
    assert build.status is cloudbuild_v1.Build.Status.CANCELLED
    assert build.steps[0].status is cloudbuild_v1.Build.Status.CANCELLED
    with pytest.raises(BadRequest, match="already completed"):
        bench.client.cancel_build(name=name, id=build.id)


def test_a_build_over_time_is_stopped(bench: Bench) -> None:
    build = bench.run(
        source=bench.source({"Dockerfile": "FROM a\nRUN sleep 60\n"}),
        steps=[docker("build", ".")],
        timeout={"seconds": 1},
    )
    assert build.status is cloudbuild_v1.Build.Status.TIMEOUT
    assert build.finish_time.timestamp() - build.start_time.timestamp() < 10


def test_a_slow_build_can_be_cancelled_while_queued_and_is_working_meanwhile(bench: Bench) -> None:
    bench.server.queue_seconds = 60
    queued = bench.create(steps=[docker("push", "a", allow_failure=True)]).metadata.build
    assert bench.client.get_build(name=queued.name).status is cloudbuild_v1.Build.Status.QUEUED
    assert bench.client.cancel_build(name=queued.name).status is cloudbuild_v1.Build.Status.CANCELLED
    bench.server.queue_seconds, bench.server.build_seconds = 0, 60
    begun = threading.Event()
    bench.server.shop.__dict__["sink"] = lambda entry: begun.set() if entry["textPayload"] == "BUILD" else None
    working = bench.create(steps=[docker("push", "a", allow_failure=True)]).metadata.build
    assert begun.wait(10)
    assert bench.client.get_build(name=working.name).status is cloudbuild_v1.Build.Status.WORKING
    bench.server.stop()
    assert bench.server.wait(working.id)["status"] == "CANCELLED"


def test_builds_are_listed_by_location_newest_first_and_filtered(bench: Bench) -> None:
    ids = [bench.run(steps=[docker("push", "a")], tags=["all", f"n{number}"]).id for number in range(3)]
    elsewhere = bench.client.create_build(
        project_id="acme", build=cloudbuild_v1.Build(steps=[docker("push", "a")], tags=["all"])
    ).metadata.build
    assert "/locations/global/" in elsewhere.name
    assert [build["id"] for build in bench.server.builds()] == [*ids, elsewhere.id]

    def listed(text: str, size: int = 0) -> list[str]:
        query = cloudbuild_v1.ListBuildsRequest(parent=PARENT, filter=text, page_size=size)
        return [build.id for build in bench.client.list_builds(query)]

    assert listed("", 2) == ids[::-1]
    assert listed('tags="all" AND status="FAILURE" AND tags="n1"') == [ids[1]]
    assert listed('tags="n0" OR tags="n2"') == [ids[2], ids[0]]
    with pytest.raises(NotFound):
        bench.client.get_build(name=f"{PARENT}/builds/{elsewhere.id}")
    with pytest.raises(BadRequest, match="unknown field"):
        listed("colour=red")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('status="SUCCESS"', "ab"),
        ('status!="SUCCESS"', "c"),
        ('NOT status="SUCCESS"', "c"),
        ('tags="x" status="SUCCESS"', "a"),
        ('status="SUCCESS" AND tags="x" OR tags="y"', "ab"),
        ('(status="SUCCESS" AND tags="x") OR tags="z"', "ac"),
        ('create_time>="2026-01-02T00:00:00Z"', "bc"),
        ('createTime<"2026-01-02T00:00:00Z"', "a"),
        ('createTime<="2026-01-02T00:00:00Z"', "ab"),
        ("createTime>2026-01-02T00:00:00Z", None),
        ('substitutions.COMMIT_SHA="1"', "a"),
        ("tags:y", "b"),
        ('status="SUCCESS" )', None),
        ("status", None),
        ('(status="SUCCESS"', None),
        ('="x"', None),
        ("status=(", None),
    ],
)
def test_filters(text: str, found: str | None) -> None:
    builds: list[dict[str, Any]] = [
        {"id": "a", "status": "SUCCESS", "tags": ["x"], "createTime": "2026-01-01T00:00:00.5Z",
         "substitutions": {"COMMIT_SHA": "1"}},
        {"id": "b", "status": "SUCCESS", "tags": ["y"], "createTime": "2026-01-02T00:00:00.000000Z"},
        {"id": "c", "status": "FAILURE", "tags": ["x", "z"], "createTime": "2026-01-02T00:00:00.1Z"},
    ]  # fmt: skip
    if found is None:
        with pytest.raises(WireError):
            compile_filter(text)
    else:
        test: Callable[[dict[str, Any]], bool] = compile_filter(text)
        assert "".join(str(build["id"]) for build in builds if test(build)) == found


@pytest.mark.parametrize(
    ("build", "said"),
    [
        ({}, "must specify at least one build step"),
        ({"steps": [{}]}, "must have a name"),
        ({"steps": [docker("$_A")]}, 'key in the template "_A" is not a valid built-in'),
        ({"steps": [docker()], "substitutions": {"_A": "1"}}, '"_A" in the substitution data is not matched'),
        ({"steps": [docker()], "substitutions": {"a": "1"}}, '"a" in the substitution data is not a valid'),
        ({"steps": [docker()], "substitutions": {"PROJECT_ID": "1"}}, "is not a valid user-defined"),
        ({"steps": [docker()], "service_account": "projects/acme/serviceAccounts/a@b"}, "build.service_account"),
        ({"steps": [docker()], "images": ["no image!"]}, "invalid image name"),
        ({"steps": [docker()], "timeout": {"seconds": 90_000}}, "invalid build timeout"),
        ({"steps": [docker()], "logs_bucket": "nowhere"}, "invalid logs bucket"),
    ],
)
def test_a_bad_request_is_refused_at_once(bench: Bench, build: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        bench.create(**build)


def test_loose_substitutions_and_built_in_names() -> None:
    build: dict[str, Any] = {
        "steps": [{"args": ["$_A${COMMIT_SHA}$PROJECT_ID", "$$x", 3]}],
        "substitutions": {"_B": "1"},
        "options": {"substitutionOption": "ALLOW_LOOSE"},
    }
    assert substitute(build, {"PROJECT_ID": "acme"})["steps"] == [{"args": ["acme", "$x", 3]}]


def test_unknown_fields_and_foreign_projects_are_refused(bench: Bench) -> None:
    url = f"{bench.server.url}/v1/{PARENT}/builds"
    for body, query in (({"stepz": []}, ""), ({"options": {"nope": 1}}, ""), ({"timeout": 5}, ""), ({}, "?nope=1")):
        refused = requests.post(url + query, json=body, timeout=5)
        assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT"), body
    with pytest.raises(Forbidden):
        bench.client.get_build(name="projects/other/locations/us-central1/builds/1")
    for operation in ("operations/build/acme/bm9uZQ==", f"{PARENT}/operations/!"):
        assert requests.get(f"{bench.server.url}/v1/{operation}", timeout=5).status_code == 404


@pytest.mark.parametrize(
    ("field", "enum"),
    [
        ("logging", cloudbuild_v1.BuildOptions.LoggingMode),
        ("machineType", cloudbuild_v1.BuildOptions.MachineType),
        ("requestedVerifyOption", cloudbuild_v1.BuildOptions.VerifyOption),
        ("substitutionOption", cloudbuild_v1.BuildOptions.SubstitutionOption),
        ("logStreamingOption", cloudbuild_v1.BuildOptions.LogStreamingOption),
        ("defaultLogsBucketBehavior", cloudbuild_v1.BuildOptions.DefaultLogsBucketBehavior),
        ("sourceProvenanceHash", cloudbuild_v1.Hash.HashType),
    ],
)
def test_enum_numbers_are_the_clients(field: str, enum: Any) -> None:
    assert ENUMS[field] == {int(member): member.name for member in enum}


# -- several sources ------------------------------------------------------------------------------------------
OVERLAID = "FROM scratch\nWORKDIR /app\nCOPY --from=extras shop/greeting /app/greeting\nCMD ['x']\n"


def sources(bench: Bench, script: str, *docker: str) -> Any:
    """Run a build whose first step fetches a second source by a script, and whose second one is docker."""
    shop = bench.source({"shop-1/Dockerfile": OVERLAID})
    return bench.run(
        source=shop,
        steps=[
            {"name": "gcr.io/cloud-builders/gcloud", "entrypoint": "bash", "args": ["-c", script]},
            {"name": "gcr.io/cloud-builders/docker", "dir": "shop-1", "args": [*docker, "--tag", IMAGE, "."]},
        ],
        images=[IMAGE],
    )


@pytest.fixture
def fetch(bench: Bench) -> str:
    extras = bench.source({"acme-extras-1/greeting": "hello\n"}, "source/extras.tgz")["storage_source"]
    url = f"gs://{extras['bucket']}/{extras['object_']}#{extras['generation']}"
    return (
        f"set -euo pipefail\nmkdir -p all/shop\ngcloud storage cp '{url}' - | tar -xz --strip-components=1 -C all/shop"
    )


def test_a_second_source_is_fetched_and_named(bench: Bench, fetch: str) -> None:
    build = sources(bench, fetch, "buildx", "build", "--load", "--build-context", "extras=../all")
    assert build.status.name == "SUCCESS", bench.text()
    image = bench.images.resolve(IMAGE)
    assert image is not None
    assert (image.root / "app/greeting").read_text() == "hello\n"


def test_plain_docker_build_knows_no_named_contexts(bench: Bench, fetch: str) -> None:
    build = sources(bench, fetch, "build", "--build-context", "extras=../all")
    assert (build.status.name, build.steps[1].exit_code) == ("FAILURE", 125)
    assert "--build-context" in bench.text()


@pytest.mark.parametrize(
    ("context", "said"),
    [("extras=../absent", "absent: no such directory"), ("extras=../../..", "no such directory"), ("other=../all", "--from=extras: only")],
)  # fmt: skip
def test_a_context_that_is_not_there(bench: Bench, fetch: str, context: str, said: str) -> None:
    build = sources(bench, fetch, "buildx", "build", "--build-context", context)
    assert build.status.name == "FAILURE"
    assert said in bench.text()


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("echo begun; exit 3", 3, "begun"),
        ("set -e; gcloud storage cp gs://acme-source/absent.tgz - | cat; set -o pipefail; gcloud storage cp gs://acme-source/absent.tgz - | cat", 1, "matched no objects"),
        ("gcloud config list", 1, "the sandbox can't run: gcloud config list"),
    ],
)  # fmt: skip
def test_a_shell_that_fails_ends_the_build(bench: Bench, script: str, code: int, said: str) -> None:
    build = sources(bench, script, "build")
    assert (build.status.name, build.steps[0].exit_code) == ("FAILURE", code)
    assert said in bench.text()


def test_a_cancelled_build_kills_its_shell(bench: Bench) -> None:
    made = bench.create(
        source=bench.source({"Dockerfile": DOCKERFILE}),
        steps=[{"name": "gcr.io/cloud-builders/gcloud", "entrypoint": "bash", "args": ["-c", "echo up; sleep 60"]}],
    ).metadata.build
    while "up" not in bench.text():
        time.sleep(0.01)
    bench.client.cancel_build(name=made.name, id=made.id, timeout=15)
    assert bench.server.wait(made.id)["status"] == "CANCELLED"
