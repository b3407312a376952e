"""Cloud Build's API: builds that are created, looked at, listed and cancelled; each runs in a thread.

Ground: cloudbuild.v1 (the discovery document). The error texts follow the service's own wording as far as public
reports show it. Builds made through ``projects.builds`` live in the location ``global``, whatever ``parent`` says in
the query: that is an assumption, and the stricter one.
"""

from __future__ import annotations

import base64
import copy
import re
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bot.sandbox.google import GoogleService, operation, paginate, rfc3339, seconds_of
from bot.sandbox.google.cloud_build_record import Record, Workshop
from bot.sandbox.google.cloud_build_text import compile_filter, named_options, substitute
from bot.sandbox.google.cloud_build_worker import Worker
from bot.sandbox.google.storage import Storage
from bot.sandbox.images import ImageStore
from bot.sandbox.wire import Request, Response, WireError, answer

Json = dict[str, Any]
PROJECT_NUMBER = "123456789012"
DEFAULT_TIMEOUT = "3600s"  # "Default time is 60 minutes." (Build.timeout)
MAX_TIMEOUT = 24 * 3600.0  # seconds ("Quotas and limits": build timeout)
FINAL = frozenset({"SUCCESS", "FAILURE", "INTERNAL_ERROR", "TIMEOUT", "CANCELLED", "EXPIRED"})
_CANCEL_SECONDS = 10.0  # how long a cancel waits for the build to stop
_OUTPUT_ONLY = frozenset(
    {"id", "name", "projectId", "status", "statusDetail", "results", "createTime", "startTime", "finishTime",
     "sourceProvenance", "buildTriggerId", "logUrl", "timing", "approval", "failureInfo", "warnings"}
)  # fmt: skip


class CloudBuild(GoogleService):
    """``cloudbuild.googleapis.com`` for one project.

    Args:
        images: where built images are pushed.
        storage: sources come from it, log files go to it.
        sink: takes each log line as a LogEntry in JSON.
        root: an empty folder for workspaces.
        attest: records the provenance of a build that asked for it.

    Knobs: ``build_seconds``, how long a build takes at least; ``queue_seconds``, how long it stays QUEUED.
    """

    name = "cloudbuild"

    def __init__(
        self,
        *,
        images: ImageStore,
        storage: Storage,
        sink: Callable[[Json], None],
        root: Path,
        authenticate: Callable[[str], object | None] | None = None,
        project: str = "acme",
        clock: Callable[[], float] = time.time,
        attest: Callable[[Json], None] = lambda _build: None,
    ) -> None:
        super().__init__(authenticate=authenticate)
        self.project, self.clock = project, clock
        self.build_seconds = self.queue_seconds = 0.0
        self.repositories: dict[str, Path] = {}
        self.shop = Workshop(
            root=root, images=images, storage=storage, sink=sink, clock=clock, repositories=self.repositories,
            attest=attest,
        )  # fmt: skip
        self._records: dict[str, Record] = {}
        regional = "/v1/projects/{project}/locations/{location}/builds"
        for base in (regional, "/v1/projects/{project}/builds"):
            self.route("POST", base, self._create)
            self.route("GET", base, self._list)
            self.route("POST", f"{base}/{{build}}:cancel", self._cancel)
            self.route("GET", f"{base}/{{build}}", lambda request: answer(self._shown(self._record(request))))
        self.route("GET", "/v1/operations/{operation+}", self._operation)
        self.route("GET", "/v1/projects/{project}/locations/{location}/operations/{operation+}", self._operation)

    # -- for set-up and for scenarios -----------------------------------------------------------------------
    def register_repository(self, name_or_url: str, git_dir: Path) -> None:
        """Connect a bare git folder under a repository's resource name or its URL."""
        self.repositories[name_or_url] = git_dir

    def builds(self) -> list[Json]:
        """Return every build as it is now, oldest first."""
        return [self._shown(record) for record in list(self._records.values())]

    def wait(self, build_id: str, timeout: float = 30.0) -> Json:
        """Return a build when it has ended, or after ``timeout`` seconds as it is."""
        record = self._records[build_id]
        record.finished.wait(timeout)
        return self._shown(record)

    def stop(self) -> None:
        """Stop listening and cancel what still runs."""
        super().stop()
        for record in list(self._records.values()):
            record.cancel.set()
        for record in list(self._records.values()):
            record.finished.wait(_CANCEL_SECONDS)

    # -- handlers -------------------------------------------------------------------------------------------
    def _create(self, request: Request) -> Response:
        project, location = self._place(request)
        body = {key: value for key, value in request.json().items() if key not in _OUTPUT_ONLY}
        build = self._accepted(copy.deepcopy(body))
        build_id, now = str(uuid.uuid4()), rfc3339(self.clock())
        account = build.get(
            "serviceAccount",
            f"projects/{project}/serviceAccounts/{PROJECT_NUMBER}-compute@developer.gserviceaccount.com",
        )
        built_in = {
            "PROJECT_ID": project, "PROJECT_NUMBER": PROJECT_NUMBER, "BUILD_ID": build_id, "LOCATION": location,
            "SERVICE_ACCOUNT": account, "SERVICE_ACCOUNT_EMAIL": account.rpartition("/")[2],
        }  # fmt: skip
        build = {
            "queueTtl": "3600s", "timeout": DEFAULT_TIMEOUT, "serviceAccount": account,
            **substitute(build, built_in),
            "id": build_id, "name": f"projects/{PROJECT_NUMBER}/locations/{location}/builds/{build_id}",
            "projectId": project, "status": "QUEUED", "createTime": now,
            "logUrl": f"https://console.cloud.google.com/cloud-build/builds;region={location}/{build_id}"
            f"?project={PROJECT_NUMBER}",
        }  # fmt: skip
        build.setdefault("logsBucket", f"gs://{PROJECT_NUMBER}.cloudbuild-logs.googleusercontent.com")
        _check_names(build)
        if build.get("images"):
            build.setdefault("artifacts", {}).setdefault("images", build["images"])
        record = Record(resource=build)
        with self.lock:
            self._records[build_id] = record
            first = self._shown(record)
        threading.Thread(target=self._run, args=(record,), name=f"build-{build_id}", daemon=True).start()
        return answer(self._as_operation(first))

    def _run(self, record: Record) -> None:
        record.cancel.wait(self.queue_seconds)
        Worker(self.shop, record, self.lock).run(at_least=self.build_seconds)

    def _accepted(self, build: Json) -> Json:
        """Return the build as it will be kept. Raises WireError 400."""
        if not build.get("steps"):
            raise _invalid("invalid build: must specify at least one build step")
        if any(not step.get("name") for step in build["steps"]):
            raise _invalid("invalid build: a build step must have a name")
        if "options" in build:
            build["options"] = named_options(build["options"])
        if not 0 < seconds_of(build.get("timeout", DEFAULT_TIMEOUT)) <= MAX_TIMEOUT:
            raise _invalid("invalid build timeout: must be greater than 0 and at most 24h")
        options = build.get("options", {})
        apart = options.get("logging") in {"CLOUD_LOGGING_ONLY", "NONE"}
        if build.get("serviceAccount") and not (
            build.get("logsBucket") or apart or options.get("defaultLogsBucketBehavior") == "REGIONAL_USER_OWNED_BUCKET"
        ):
            raise _invalid(
                "if 'build.service_account' is specified, the build must either (a) specify 'build.logs_bucket', "
                "(b) use the REGIONAL_USER_OWNED_BUCKET build.options.default_logs_bucket_behavior option, "
                "or (c) use either CLOUD_LOGGING_ONLY / NONE logging options"
            )
        return build

    def _place(self, request: Request) -> tuple[str, str]:
        project = request.params["project"]
        if project not in {self.project, PROJECT_NUMBER}:
            raise WireError(403, "The caller does not have permission", "PERMISSION_DENIED")
        return self.project, request.params.get("location", "global")

    def _record(self, request: Request) -> Record:
        _, location = self._place(request)
        found = self._records.get(request.params["build"])
        if found is None or f"/locations/{location}/" not in found.resource["name"]:
            raise WireError(404, "Requested entity was not found.", "NOT_FOUND")
        return found

    def _shown(self, record: Record) -> Json:
        with self.lock:
            return copy.deepcopy(record.resource)

    def _list(self, request: Request) -> Response:
        _, location = self._place(request)
        test = compile_filter(request.arg("filter") or "")
        with self.lock:
            found = [copy.deepcopy(record.resource) for record in self._records.values()]
        # ListBuildsResponse.builds is sorted by creation, the newest first.
        shown = [build for build in reversed(found) if f"/locations/{location}/" in build["name"] and test(build)]
        return answer(paginate(request, shown, "builds"))

    def _cancel(self, request: Request) -> Response:
        record = self._record(request)
        if record.finished.is_set():
            raise WireError(400, "cannot cancel build that's already completed", "FAILED_PRECONDITION")
        record.cancel.set()
        record.finished.wait(_CANCEL_SECONDS)
        return answer(self._shown(record))

    def _operation(self, request: Request) -> Response:
        encoded = request.params["operation"].rpartition("/")[2]
        try:
            record = self._records.get(base64.urlsafe_b64decode(encoded).decode())
        except ValueError:
            record = None
        if record is None:
            raise WireError(404, "Requested entity was not found.", "NOT_FOUND")
        return answer(self._as_operation(self._shown(record)))

    def _as_operation(self, build: Json) -> Json:
        """The operation of a build; one that did not succeed ends in an error."""
        done = build["status"] in FINAL
        encoded = base64.urlsafe_b64encode(build["id"].encode()).decode()
        kind = "google.devtools.cloudbuild.v1"
        error = None
        if done and build["status"] != "SUCCESS":
            # google.rpc.Code: CANCELLED 1, UNKNOWN 2, DEADLINE_EXCEEDED 4
            code = {"CANCELLED": 1, "TIMEOUT": 4}.get(build["status"], 2)
            error = {
                "code": code,
                "message": f"Build {build['status'].lower()}; {build.get('statusDetail', '')}".strip("; "),
            }
        return operation(
            f"operations/build/{build['projectId']}/{encoded}",
            metadata={"build": build}, metadata_type=f"{kind}.BuildOperationMetadata",
            done=done, response=build, response_type=f"{kind}.Build", error=error,
        )  # fmt: skip


def _check_names(build: Json) -> None:
    """Raise WireError 400 for an image or bucket name that is none, now that substitutions are done."""
    for name in build.get("images", []):
        if not re.fullmatch(r"[\w.-]+(?::\d+)?(/[\w.-]+)+(:[\w.-]+)?", name):
            raise _invalid(f'invalid build: invalid image name "{name}"')
    if not re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/.*)?", build["logsBucket"]):
        raise _invalid(f'invalid build: invalid logs bucket "{build["logsBucket"]}"')


def _invalid(message: str) -> WireError:
    return WireError(400, message, "INVALID_ARGUMENT")
