"""Provenance: what a build that asked for it leaves in Container Analysis, judged by its discovery document."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from google.auth.credentials import AnonymousCredentials
from google.cloud.devtools import cloudbuild_v1

from bot.sandbox.google.cloud import GoogleCloud
from bot.sandbox.runtime import InstantRuntime
from bot.sandbox.wire import Call

PARENT = "projects/acme/locations/us-central1"
REPOSITORY = "us-central1-docker.pkg.dev/acme/shop/web"
VERIFIED = cloudbuild_v1.BuildOptions.VerifyOption.VERIFIED
BEST_EFFORT = 3  # BEST_EFFORT, which this client's version has no name for
SUCCESS, FAILURE = cloudbuild_v1.Build.Status.SUCCESS, cloudbuild_v1.Build.Status.FAILURE


class Bench:
    def __init__(self, root: Path) -> None:
        self.now = 1_790_000_000.0
        self.cloud = GoogleCloud(root, InstantRuntime(), clock=lambda: self.now, anonymous=True)
        self.cloud.start()
        self.client = cloudbuild_v1.CloudBuildClient(
            transport="rest",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": self.cloud.build.url},
        )
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as tar:
            text = b"FROM scratch\nCOPY . .\nCMD ['x']\n"
            info = tarfile.TarInfo("Dockerfile")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
        self.archive = data.getvalue()
        self.generation = self.cloud.storage.put("acme-source", "a.tgz", self.archive)["generation"]

    def build(self, *names: str, images: bool = True, source: Any = None, **options: Any) -> Any:
        """Return a build of the archive, or of another source, as it ended."""
        archive = {"bucket": "acme-source", "object_": "a.tgz", "generation": self.generation}
        tags = [argument for name in names for argument in ("-t", name)]
        push = [] if images else [["push", name] for name in names]
        build = cloudbuild_v1.Build(
            source=source or {"storage_source": archive},
            steps=[
                {"name": "gcr.io/cloud-builders/docker", "args": args} for args in [["build", *tags, "."], *push]
            ],
            images=names if images else [],
            options=options,
            substitutions={"_SHA": "abc"},
            tags=["$_SHA"],
        )  # fmt: skip
        made = self.client.create_build(parent=PARENT, build=build, timeout=10).metadata.build
        self.cloud.build.wait(made.id)
        return self.client.get_build(name=made.name, id=made.id, timeout=10)

    def ask(self, **query: Any) -> requests.Response:
        url = self.cloud.environ()["CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINERANALYSIS"]
        return requests.get(f"{url}v1/projects/acme/occurrences", params=query, timeout=5)

    def occurrences(self, digest: str, repository: str = REPOSITORY) -> list[Any]:
        wanted = f'kind="BUILD" AND resourceUrl="https://{repository}@{digest}"'
        answer = self.ask(filter=wanted)
        assert answer.status_code == 200, answer.text
        found: list[Any] = answer.json().get("occurrences", [])
        return found


@pytest.fixture
def bench(tmp_path: Path, misfits: Callable[[str, Call], list[str]]) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.cloud.stop()
    calls = made.cloud.analysis.calls
    assert [wrong for call in calls for wrong in misfits("containeranalysis.v1", call)] == []


def test_a_verified_build_leaves_provenance_of_each_image(bench: Bench) -> None:
    build = bench.build(f"{REPOSITORY}:one", f"{REPOSITORY}:two", requested_verify_option=VERIFIED)
    assert build.status == SUCCESS
    digest = build.results.images[0].digest
    (found,) = bench.occurrences(digest)
    assert found["name"].startswith("projects/acme/occurrences/")
    assert (found["kind"], found["resourceUri"]) == ("BUILD", f"https://{REPOSITORY}@{digest}")
    assert found["noteName"] == f"projects/verified-builder/notes/intoto_{build.id}"
    statement = found["build"]["intotoStatement"]
    assert statement["subject"] == [
        {"name": f"https://{REPOSITORY}:{tag}", "digest": {"sha256": digest.removeprefix("sha256:")}}
        for tag in ("one", "two")
    ]
    slsa = statement["slsaProvenance"]
    assert slsa["builder"]["id"] == "https://cloudbuild.googleapis.com/GoogleHostedWorker@v0.3"
    assert slsa["metadata"]["buildInvocationId"] == build.id
    assert slsa["materials"] == [
        {
            "uri": f"gs://acme-source/a.tgz#{bench.generation}",
            "digest": {"md5": hashlib.md5(bench.archive).hexdigest()},
        }
    ]
    arguments = slsa["recipe"]["arguments"]
    assert (arguments["id"], arguments["substitutions"]) == (build.id, {"_SHA": "abc"})
    assert arguments["options"]["requestedVerifyOption"] == "VERIFIED"
    assert arguments["steps"][0]["args"][:2] == ["build", "-t"]


def test_the_envelope_is_signed(bench: Bench) -> None:
    build = bench.build(f"{REPOSITORY}:one", requested_verify_option=VERIFIED)
    (found,) = bench.occurrences(build.results.images[0].digest)
    envelope = found["envelope"]
    payload = base64.b64decode(envelope["payload"])
    assert json.loads(payload) == found["build"]["intotoStatement"]
    (signature,) = envelope["signatures"]
    assert "locations/us-central1/keyRings/attestor/cryptoKeys/builtByGCB" in signature["keyid"]
    signed = f"DSSEv1 {len(envelope['payloadType'])} {envelope['payloadType']} {len(payload)} ".encode() + payload
    key = bench.cloud.analysis.key.public_key()
    key.verify(base64.urlsafe_b64decode(signature["sig"]), signed, ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        key.verify(base64.urlsafe_b64decode(signature["sig"]), signed + b" ", ec.ECDSA(hashes.SHA256()))


def test_slsa_v1_comes_beside_it(bench: Bench) -> None:
    bench.cloud.analysis.slsa_v1 = True
    build = bench.build(f"{REPOSITORY}:one", requested_verify_option=VERIFIED, source_provenance_hash=["SHA256"])
    digest = build.results.images[0].digest
    first, second = bench.occurrences(digest)
    assert "intotoStatement" in first["build"]
    assert second["noteName"] == f"projects/verified-builder/notes/intoto_slsa_v1_{build.id}"
    statement = second["build"]["inTotoSlsaProvenanceV1"]
    assert (statement["_type"], statement["predicateType"]) == (
        "https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1",
    )  # fmt: skip
    definition, run = statement["predicate"]["buildDefinition"], statement["predicate"]["runDetails"]
    assert definition["buildType"] == "https://cloud.google.com/build/gcb-buildtypes/google-worker/v1"
    assert definition["externalParameters"]["substitutions"] == {"_SHA": "abc"}
    assert definition["internalParameters"]["systemSubstitutions"]["BUILD_ID"] == build.id
    assert definition["resolvedDependencies"][0]["digest"] == {
        "sha256": hashlib.sha256(bench.archive).hexdigest(), "md5": hashlib.md5(bench.archive).hexdigest(),
    }  # fmt: skip
    assert run["builder"]["id"] == "https://cloudbuild.googleapis.com/GoogleHostedWorker"
    assert run["metadata"]["invocationId"] == f"https://cloudbuild.googleapis.com/v1/{build.name}"


def test_a_commit_is_a_material(bench: Bench, tmp_path: Path) -> None:
    source, bare = tmp_path / "source", tmp_path / "shop.git"
    source.mkdir()
    (source / "Dockerfile").write_text("FROM scratch\nCOPY . .\nCMD ['x']\n")
    who = ["-c", "user.name=Sam", "-c", "user.email=sam@example.com"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "Begin"]):
        subprocess.run(["git", *command], cwd=source, check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(source), str(bare)], check=True)
    sha = subprocess.run(["git", "rev-parse", "HEAD"], cwd=source, check=True, capture_output=True, text=True).stdout
    url = "https://github.com/acme/shop"
    bench.cloud.build.register_repository(url, bare)
    git = {"git_source": {"url": url, "revision": sha.strip()}}
    build = bench.build(f"{REPOSITORY}:one", source=git, requested_verify_option=VERIFIED)
    assert build.status == SUCCESS, build.status_detail
    (found,) = bench.occurrences(build.results.images[0].digest)
    materials = found["build"]["intotoStatement"]["slsaProvenance"]["materials"]
    assert materials == [{"uri": f"git+{url}", "digest": {"sha1": sha.strip()}}]


def test_no_provenance_without_asking_nor_for_what_a_step_pushed(bench: Bench) -> None:
    plain = bench.build(f"{REPOSITORY}:one")
    assert bench.occurrences(plain.results.images[0].digest) == []
    assert not plain.source_provenance.file_hashes
    pushed = bench.build(f"{REPOSITORY}:two", images=False, requested_verify_option=VERIFIED)
    assert pushed.status == SUCCESS
    assert bench.ask().json() == {}
    bench.build("gcr.io/acme/web:one", requested_verify_option=VERIFIED)  # another registry
    assert bench.ask().json() == {}


@pytest.mark.parametrize(("asked", "status"), [(VERIFIED, FAILURE), (BEST_EFFORT, SUCCESS)])
def test_a_build_that_must_be_verified_fails_without_provenance(bench: Bench, asked: Any, status: Any) -> None:
    bench.cloud.analysis.broken = True
    build = bench.build(f"{REPOSITORY}:one", requested_verify_option=asked)
    assert build.status == status
    assert ("failed to generate provenance" in build.status_detail) == (status == FAILURE)
    assert bench.ask().json() == {}


def test_an_occurrence_is_seen_after_the_delay(bench: Bench) -> None:
    bench.cloud.analysis.delay = 3.0
    build = bench.build(f"{REPOSITORY}:one", requested_verify_option=VERIFIED)
    digest = build.results.images[0].digest
    assert bench.occurrences(digest) == []
    bench.now += 3
    (found,) = bench.occurrences(digest)
    url = f"{bench.cloud.analysis.url}/v1"
    assert requests.get(f"{url}/{found['name']}", timeout=5).json() == found
    assert requests.get(f"{url}/projects/acme/occurrences/none", timeout=5).status_code == 404
    assert requests.get(f"{url}/projects/other/occurrences", timeout=5).status_code == 403
    regional = requests.get(f"{url}/{PARENT}/occurrences", timeout=5)
    assert regional.json()["occurrences"] == [found]


def test_filters_and_pages(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.build(f"{REPOSITORY}-{name}:x", requested_verify_option=VERIFIED)
    whole = bench.ask().json()["occurrences"]
    assert len(whole) == 2
    digest = whole[1]["resourceUri"].partition("@")[2]
    assert bench.occurrences(digest, f"{REPOSITORY}-b") == [whole[1]]
    assert bench.occurrences(f"sha256:{'0' * 64}") == []
    assert bench.ask(filter='kind="VULNERABILITY"').json() == {}
    assert bench.ask(filter='kind = "BUILD"').json()["occurrences"] == whole
    page = bench.ask(pageSize=1).json()
    assert page["occurrences"] == whole[:1]
    assert bench.ask(pageSize=1, pageToken=page["nextPageToken"]).json() == {"occurrences": whole[1:]}
    for wrong in ("kind=BUILD", 'kind="BUILD" OR kind="X"', 'noteId="x"', 'kind="BUILD" AND kind="IMAGE"', "AND"):
        assert bench.ask(filter=wrong).status_code == 400, wrong
