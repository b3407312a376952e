"""The machine that runs one build: source, steps, push, logs.

It has two builders: ``gcr.io/cloud-builders/docker`` with ``build``, ``tag`` and ``push``, over
:func:`bot.sandbox.images.build`; and ``gcr.io/cloud-builders/gcloud`` with a shell, over
:mod:`bot.sandbox.google.cloud_build_shell`. Steps run one after another, which every ``waitFor`` allows.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
import tarfile
import threading
import time
import uuid
import zipfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bot.sandbox.google import rfc3339, seconds_of
from bot.sandbox.google.cloud_build_record import Ended, Record, Workshop
from bot.sandbox.google.cloud_build_shell import run_shell
from bot.sandbox.google.cloud_build_tools import (
    build_arguments,
    file_hashes,
    git,
    named_contexts,
    package,
    pairs,
    tagged,
)
from bot.sandbox.images import BuildFailed, Image, build, split_tag
from bot.sandbox.unpack import unpack
from bot.sandbox.wire import WireError

Json = dict[str, Any]
DOCKER = re.compile(r"gcr\.io/cloud-builders/docker(?:[:@].*)?")
GCLOUD = re.compile(r"gcr\.io/cloud-builders/gcloud(?:[:@].*)?")


class Worker:
    """Runs one build to its end; the record's resource tells the story."""

    def __init__(self, shop: Workshop, record: Record, lock: threading.RLock) -> None:
        self.shop, self.record, self.lock = shop, record, lock
        self.folder = shop.root / uuid.uuid4().hex
        self.ended: list[Json] = []  # what became of each step that was begun
        self.local: dict[str, Image] = {}  # what `docker images` would list

    def run(self, *, at_least: float) -> None:
        """Run the build. It takes at least ``at_least`` seconds unless it is cancelled."""
        build_, started = self.record.resource, time.monotonic()
        self.record.deadline = started + seconds_of(build_["timeout"])
        self._update(status="WORKING", startTime=rfc3339(self.shop.clock()))
        try:
            self.record.check()
            self._work(started + at_least)
            outcome = Ended("SUCCESS", "")
        except Ended as ended:
            outcome = ended
        except OSError as error:
            outcome = Ended("INTERNAL_ERROR", f"the machine failed: {error}")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._finish(outcome)

    def _work(self, not_before: float) -> None:
        build_ = self.record.resource
        self._log(f'starting build "{build_["id"]}"')
        self.folder.mkdir(parents=True)
        if source := build_.get("source"):
            with self._timed("FETCHSOURCE"):
                self._log("\nFETCHSOURCE")
                self._fetch(source)
        with self._timed("BUILD"):
            self._log("BUILD")
            for number, step in enumerate(build_["steps"]):
                self._step(number, step)
            self._wait_until(not_before)
        with self._timed("PUSH"):
            self._log("PUSH")
            self._push_images(build_.get("images", []))
        self._attest()

    def _wait_until(self, moment: float) -> None:
        until = min(moment, self.record.deadline + 0.01)
        self.record.cancel.wait(max(0.0, until - time.monotonic()))
        self.record.check()

    def _finish(self, outcome: Ended) -> None:
        changes: Json = {"status": outcome.status, "finishTime": rfc3339(self.shop.clock())}
        match outcome.status:
            case "SUCCESS":
                self._log("DONE")
            case "CANCELLED":
                self._log("CANCELLED")
                self._log("ERROR: context canceled")
            case "TIMEOUT":
                self._log("TIMEOUT")
                self._log("ERROR: context deadline exceeded")
            case _:
                self._log("ERROR")
                self._log(f"ERROR: {outcome.detail}")
                changes["failureInfo"] = {"type": outcome.failure, "detail": outcome.detail}
        if outcome.detail:
            changes["statusDetail"] = outcome.detail
        # BuildStep.status: it is only updated on build completion, not in real time.
        with self.lock:
            for step in self.record.resource["steps"]:
                step["status"] = "QUEUED"
            for step, ended in zip(self.record.resource["steps"], self.ended, strict=False):
                step.update(ended)
        self._store_log()
        self._update(**changes)
        self.record.finished.set()

    def _update(self, **changes: Any) -> None:
        with self.lock:
            self.record.resource.update(changes)

    def _timed(self, phase: str) -> _Phase:
        return _Phase(self, phase)

    # -- logs -----------------------------------------------------------------------------------------------
    def _log(self, line: str, step: str = "") -> None:
        self.record.log.append(f"{step}: {line}" if step else line)
        build_ = self.record.resource
        mode = build_.get("options", {}).get("logging", "LEGACY")
        if mode in {"LEGACY", "CLOUD_LOGGING_ONLY", "STACKDRIVER_ONLY"}:
            labels = {"build_id": build_["id"], "build_trigger_id": "", "project_id": build_["projectId"]}
            self.shop.sink(
                {
                    "logName": f"projects/{build_['projectId']}/logs/cloudbuild", "severity": "INFO",
                    "timestamp": rfc3339(self.shop.clock()), "textPayload": self.record.log[-1],
                    "resource": {"type": "build", "labels": labels},
                    "labels": {"build_step": step or "MAIN"},
                }
            )  # fmt: skip

    def _store_log(self) -> None:
        """``${logs_bucket}/log-${build_id}.txt`` (Build.logsBucket)."""
        build_ = self.record.resource
        if build_.get("options", {}).get("logging", "LEGACY") not in {"LEGACY", "GCS_ONLY"}:
            return
        bucket, _, folder = build_["logsBucket"].removeprefix("gs://").partition("/")
        text = "\n".join(self.record.log) + "\n"
        name = f"{folder}/log-{build_['id']}.txt".lstrip("/")
        self.shop.storage.put(bucket, name, text.encode(), "text/plain")

    # -- source ---------------------------------------------------------------------------------------------
    def _fetch(self, source: Json) -> None:
        try:
            match source:
                case {"storageSource": found}:
                    resolved = self._fetch_object(found)
                    self._provenance(resolvedStorageSource=resolved, **self._file_hashes(resolved))
                case {"connectedRepository": found}:
                    revision = self._fetch_git(found["repository"], found.get("revision", ""))
                    self._provenance(resolvedConnectedRepository={**found, "revision": revision})
                case {"gitSource": found}:
                    revision = self._fetch_git(found["url"], found.get("revision") or "HEAD")
                    self._provenance(resolvedGitSource={**found, "revision": revision})
                case _:
                    raise Ended("FAILURE", f"the sandbox can't fetch a {', '.join(source)}", "FETCH_SOURCE_FAILED")
        except (WireError, OSError, ValueError, tarfile.TarError, zipfile.BadZipFile) as error:
            detail = f"failed to fetch source: {error}"
            raise Ended("FAILURE", detail, "FETCH_SOURCE_FAILED") from error

    def _provenance(self, **resolved: Json) -> None:
        self._update(sourceProvenance=resolved)

    def _fetch_object(self, source: Json) -> Json:
        generation = source.get("generation")
        found = self.shop.storage.lookup(source["bucket"], source["object"], int(generation) if generation else None)
        self._log(f"Fetching storage object: gs://{source['bucket']}/{source['object']}#{found.generation}")
        if source["object"].endswith(".zip"):
            with zipfile.ZipFile(found.path) as archive:
                archive.extractall(self.folder)
        else:
            with tarfile.open(found.path, "r:gz") as archive:
                unpack(archive, self.folder)
        return {**source, "generation": str(found.generation)}

    def _file_hashes(self, source: Json) -> Json:
        """Return the hashes of an archive: those that were asked for, and for a verifiable build its MD5.

        The latter is what real provenance has (slsa-framework/slsa-verifier, gcloud-container-gcs.json).
        """
        options = self.record.resource.get("options", {})
        kinds = [*options.get("sourceProvenanceHash", []), *(["MD5"] if options.get("requestedVerifyOption") else [])]
        if not kinds:
            return {}
        found = self.shop.storage.lookup(source["bucket"], source["object"], int(source["generation"]))
        path = f"gs://{source['bucket']}/{source['object']}#{source['generation']}"
        return {"fileHashes": {path: file_hashes(found.path, kinds)}}

    def _fetch_git(self, repository: str, revision: str) -> str:
        folder = self.shop.repositories.get(repository)
        if folder is None:
            raise ValueError(f"repository {repository} is not connected")
        sha = git(folder, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}").decode().strip()
        self._log(f"Fetching {repository} at {sha}")
        archive = self.folder / ".source.tar"
        archive.write_bytes(git(folder, "archive", "--format=tar", sha))
        with tarfile.open(archive) as tar:
            unpack(tar, self.folder)
        archive.unlink()
        return sha

    # -- steps ----------------------------------------------------------------------------------------------
    def _step(self, number: int, step: Json) -> None:
        self.record.check()
        many = len(self.record.resource["steps"]) > 1
        label = f"Step #{number}" + (f' - "{step["id"]}"' if step.get("id") else "") if many else ""
        started = self.shop.clock()
        code, allowed = 0, bool(step.get("allowFailure"))
        try:
            if many:
                self._log(f"Starting {label}")
            self._tool(step, lambda line: self._log(line, label))
        except BuildFailed as failed:
            code = failed.exit_code
            self._log(failed.message, label)
        timing = {"startTime": rfc3339(started), "endTime": rfc3339(self.shop.clock())}
        status = "SUCCESS" if code == 0 else "CANCELLED" if self.record.stopped() else "FAILURE"
        self.ended.append({"status": status, "timing": timing, "exitCode": code})
        self.record.check()
        if code not in {0, *step.get("allowExitCodes", [])} and not allowed:
            detail = f'build step {number} "{step["name"]}" failed: step exited with non-zero status: {code}'
            raise Ended("FAILURE", detail, "USER_BUILD_STEP")
        if many:
            self._log(f"Finished {label}")

    def _tool(self, step: Json, log: Callable[[str], None]) -> None:
        docker = bool(DOCKER.fullmatch(step["name"]))
        if not docker and not GCLOUD.fullmatch(step["name"]):
            raise BuildFailed(f'the sandbox has no builder "{step["name"]}": only docker and gcloud of cloud-builders')
        if "script" in step or step.get("entrypoint", "docker" if docker else "") != ("docker" if docker else "bash"):
            raise BuildFailed("the sandbox runs docker by its args only, and gcloud's image only as bash")
        log(f"Already have image (with digest): {step['name']}")
        here = (self.folder / self._directory(step)).resolve()
        if not here.is_dir() or not here.is_relative_to(self.folder.resolve()):
            raise BuildFailed(f"the directory {step.get('dir')!r} is not in the workspace")
        if docker:
            self._docker(step.get("args", []), here, log)
        else:
            run_shell(step.get("args", []), here, self.shop.storage, log=log, stopped=self.record.stopped)

    def _docker(self, args: Sequence[str], here: Path, log: Callable[[str], None]) -> None:
        match args:
            case ["buildx", "build", *rest]:
                self._docker_build(build_arguments(rest, buildx=True), here, log)
            case ["build", *rest] | ["image", "build", *rest]:
                self._docker_build(build_arguments(rest), here, log)
            case ["tag", source, target]:
                self.local[tagged(target)] = self._image(source)
            case ["push", *rest]:
                for name in self._pushed(rest):
                    self._push(name, log)
            case other:
                raise BuildFailed(f"the sandbox can't run: docker {' '.join(other)}", 125)

    def _directory(self, step: Json) -> str:
        source = self.record.resource.get("source", {})
        base = next((found.get("dir", "") for found in source.values() if isinstance(found, dict)), "")
        return str(Path(base) / str(step.get("dir", "")).removeprefix("/workspace").lstrip("/"))

    def _docker_build(self, options: Namespace, here: Path, log: Callable[[str], None]) -> None:
        context = (here / options.context).resolve()
        if not context.is_dir():
            raise BuildFailed(f"unable to prepare context: path {options.context!r} not found")
        file = here / options.file if options.file else context / "Dockerfile"
        image = build(
            context, dockerfile=os.path.relpath(file, context), build_args=pairs(options.build_arg),
            labels=pairs(options.label), contexts=named_contexts(options, here, self.folder),
            store_root=self.shop.images.root, log=log, cancelled=self.record.stopped,
        )  # fmt: skip
        log(f"Successfully built {image.digest.removeprefix('sha256:')[:12]}")
        for tag in options.tag:
            self.local[tagged(tag)] = image
            log(f"Successfully tagged {tagged(tag)}")
            if options.push:
                self._push(tagged(tag), log)

    def _image(self, name: str) -> Image:
        found = self.local.get(tagged(name)) or self.shop.images.resolve(name)
        if found is None:
            raise BuildFailed(f"Error response from daemon: No such image: {tagged(name)}")
        return found

    # -- push -----------------------------------------------------------------------------------------------
    def _pushed(self, args: Sequence[str]) -> list[str]:
        names = [arg for arg in args if not arg.startswith("-")]
        if {"--all-tags", "-a"} & set(args):
            return [name for name in self.local if split_tag(name)[0] in names]
        return [tagged(name) for name in names]

    def _push(self, name: str, log: Callable[[str], None]) -> Image:
        repository, tag = split_tag(name)
        log(f"The push refers to repository [{repository}]")
        if name not in self.local:
            raise BuildFailed(f"An image does not exist locally with the tag: {name}")
        image = self.local[name]
        self.shop.images.put(repository, image, [tag])
        log(f"{tag}: digest: {image.digest} size: {len(image.manifest)}")
        return image

    def _push_images(self, names: Sequence[str]) -> None:
        pushed = []
        for name in names:
            self.record.check()
            started = rfc3339(self.shop.clock())
            try:
                image = self._push(tagged(name), self._log)
            except BuildFailed as failed:
                detail = f'failed to find one or more images after execution of build steps: ["{name}"]'
                raise Ended("FAILURE", detail, "PUSH_IMAGE_NOT_FOUND") from failed
            timing = {"startTime": started, "endTime": rfc3339(self.shop.clock())}
            built: Json = {"name": name, "digest": image.digest, "pushTiming": timing}
            if found := package(name):
                built["artifactRegistryPackage"] = found
            pushed.append(built)
        steps = [""] * len(self.record.resource["steps"])
        self._update(results={"images": pushed, "buildStepImages": steps})

    # -- provenance -------------------------------------------------------------------------------------------
    def _attest(self) -> None:
        """Record the provenance when it was asked for.

        "If a verified build is requested, and any part of the process to generate and upload provenance fails, the
        build will also fail." (BuildOptions.VerifyOption) With BEST_EFFORT it does not.
        """
        asked = self.record.resource.get("options", {}).get("requestedVerifyOption")
        if asked is None:
            return
        with self.lock:
            build_ = copy.deepcopy(self.record.resource)
        try:
            self.shop.attest(build_)
        except WireError as error:
            if asked == "VERIFIED":
                raise Ended("FAILURE", f"failed to generate provenance: {error.message}") from error


class _Phase:
    """Adds one phase to Build.timing, however it ends."""

    def __init__(self, worker: Worker, name: str) -> None:
        self.worker, self.name = worker, name
        self.started = ""

    def __enter__(self) -> None:
        self.started = rfc3339(self.worker.shop.clock())

    def __exit__(self, *_: object) -> None:
        with self.worker.lock:
            timing = self.worker.record.resource.setdefault("timing", {})
            timing[self.name] = {"startTime": self.started, "endTime": rfc3339(self.worker.shop.clock())}
