"""What a release needs of Google Cloud, asked for one thing after the other: ``/doctor`` shows it as a table.

Reads are simply made. Whether something may be changed is asked by ``testIamPermissions`` (google.iam.v1), which
answers with those of the permissions that the caller has.
"""

# mypy: disallow-untyped-calls=False
# (google-auth and google-api-core ship types for a part of their functions only.)

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from google.iam.v1 import iam_policy_pb2  # type: ignore[import-untyped]

from bot.core.questions import Finding
from bot.core.spec import CloudRunSpec, JobSpec, ServiceSpec
from bot.core.titles import place
from bot.errors import NotFoundError, SlipwayError
from bot.targets import secret_versions
from bot.targets.artifact_registry import Image
from bot.targets.google import Google
from bot.targets.google_errors import check, or_none, read
from bot.targets.parallel import together
from bot.targets.run_services import Services

_SERVICE = ("run.services.update", "run.services.getIamPolicy", "run.services.setIamPolicy")
_POOL = ("run.workerpools.update",)
_JOB = ("run.jobs.update", "run.jobs.run")
_RUN_ROLE = "Grant the account `roles/run.admin` on the project."
_LOGIN = "the login"


def examine(google: Google, services: Services) -> tuple[Finding, ...]:
    """Log in, then ask for everything at once. Never raises for what is amiss."""
    spec = services.spec
    login = _asked(
        _LOGIN, partial(read, "log in", google.log_in), "works", "See docs/how-to/workload-identity-federation.md."
    )
    if not login.well:
        return (login,)
    questions: list[Callable[[], Finding]] = [
        *(partial(_service, google, services, one) for one in spec.services),
        *(partial(_job, google, one) for one in spec.jobs),
        *(partial(_secret, google, name) for name in secret_versions.names(spec)),
        partial(_registry, google, spec.image),
        partial(_builds, google),
        *([partial(_bucket, google, spec)] if not spec.build.repository else []),
        partial(_logs, google),
    ]
    return (login, *together(lambda question: question(), questions))


def _asked(what: str, call: Callable[[], object], found: str, todo: str) -> Finding:
    """Make a call, and return how that went."""
    try:
        call()
    except SlipwayError as error:
        return Finding(what=what, well=False, found=error.message, todo=todo or error.hint)
    return Finding(what=what, well=True, found=found)


def _granted(what: str, wanted: Collection[str], call: Callable[[], Collection[str]]) -> Finding:
    """Return whether all permissions on something that exists are there."""
    try:
        missing = sorted(set(wanted) - set(call()))
    except SlipwayError as error:
        return Finding(what=what, well=False, found=error.message, todo=_RUN_ROLE)
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        return Finding(what=what, well=False, found=f"{names} is not granted", todo=_RUN_ROLE)
    return Finding(what=what, well=True, found="may be changed")


def _absent(what: str) -> Finding:
    return Finding(what=what, well=None, found="is not there yet: the first release makes it")


# -- Cloud Run ------------------------------------------------------------------------------------------------
def _service(google: Google, services: Services, spec: ServiceSpec) -> Finding:
    what = f"the {services.kind(spec.key).noun} `{place(spec.key)}`"
    try:
        if services.get(spec.key) is None:
            return _absent(what)
    except SlipwayError as error:
        return Finding(what=what, well=False, found=error.message, todo=_RUN_ROLE)
    wanted = _POOL if spec.pool else _SERVICE
    client = google.worker_pools if spec.pool else google.services
    return _granted(what, wanted, lambda: _tested(google, client.test_iam_permissions, services.name(spec.key), wanted))


def _job(google: Google, spec: JobSpec) -> Finding:
    what, name, client = f"the job `{spec.key}`", f"{google.location}/jobs/{spec.name}", google.jobs
    try:
        if or_none("get the job", lambda: client.get_job(name=name, retry=None, timeout=google.timeout)) is None:
            return _absent(what)
    except SlipwayError as error:
        return Finding(what=what, well=False, found=error.message, todo=_RUN_ROLE)
    return _granted(what, _JOB, lambda: _tested(google, client.test_iam_permissions, name, _JOB))


def _tested(google: Google, test: Callable[..., object], name: str, wanted: Collection[str]) -> Collection[str]:
    request = iam_policy_pb2.TestIamPermissionsRequest(resource=name, permissions=list(wanted))
    answer = read("ask which permissions there are", lambda: test(request=request, retry=None, timeout=google.timeout))
    return tuple(getattr(answer, "permissions", ()))


# -- around it ------------------------------------------------------------------------------------------------
def _secret(google: Google, name: str) -> Finding:
    """The version that is the newest can be seen. Contents are never read."""
    todo = "Grant the account `roles/secretmanager.viewer` on it, or add a version that is enabled."
    return _asked(f"the secret `{name}`", lambda: secret_versions.newest(google, (name,)), "has a version", todo)


def _registry(google: Google, image: str) -> Finding:
    parsed = Image.parse(f"{image}@any")
    what = "the image repository"
    if parsed is None:
        return Finding(what=what, well=None, found=f"`{image}` is in no Artifact Registry, and cannot be asked for")
    url = f"{google.endpoints.artifactregistry}/v1/{parsed.parent}"
    todo = "Make it, and grant the account `roles/artifactregistry.repoAdmin` on it."
    return _asked(
        what, lambda: _got(google, "look for the image repository", url), f"`{parsed.repository}` is there", todo
    )


def _builds(google: Google) -> Finding:
    url = f"{google.endpoints.cloudbuild}/v1/{google.location}/builds?pageSize=1"
    todo = "Enable the API `cloudbuild.googleapis.com`, and grant the account `roles/cloudbuild.builds.editor`."
    return _asked("Cloud Build", lambda: _got(google, "list the builds", url), "can be asked", todo)


def _bucket(google: Google, spec: CloudRunSpec) -> Finding:
    """Objects are listed: the role that uploads them may not look at the bucket itself."""
    what, url = (
        "the bucket of the sources",
        f"{google.endpoints.storage}/storage/v1/b/{spec.source_bucket}/o?maxResults=1",
    )
    try:
        _got(google, "look for the bucket of the sources", url)
    except NotFoundError:
        found = f"`{spec.source_bucket}` is not there yet: the first build makes it, which takes `roles/storage.admin`"
        return Finding(what=what, well=None, found=found)
    except SlipwayError as error:
        return Finding(
            what=what, well=False, found=error.message, todo="Grant the account `roles/storage.objectUser` on it."
        )
    return Finding(what=what, well=True, found=f"`{spec.source_bucket}` is there")


def _logs(google: Google) -> Finding:
    url = f"{google.endpoints.logging}/v2/entries:list"
    body = {"resourceNames": [f"projects/{google.project}"], "filter": "severity>=EMERGENCY", "pageSize": 1}

    def call() -> object:
        return read("read the logs", lambda: check(google.http.post(url, json=body, timeout=google.timeout)))

    return _asked("Cloud Logging", call, "can be read", "Grant the account `roles/logging.viewer` on the project.")


def _got(google: Google, operation: str, url: str) -> object:
    return read(operation, lambda: check(google.http.get(url, timeout=google.timeout)))
