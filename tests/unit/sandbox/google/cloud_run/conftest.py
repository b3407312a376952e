"""A Cloud Run of one project on loopback, driven by Google's own clients."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient
import pytest
from google.api_core.future.polling import DEFAULT_POLLING
from google.cloud import run_v2
from google.oauth2.credentials import Credentials

from bot.sandbox.google.cloud_run import CloudRun
from bot.sandbox.google.iam import TokenAuthority
from bot.sandbox.google.logging import Logging
from bot.sandbox.google.secret_manager import SecretManager
from bot.sandbox.images import Image, ImageStore
from bot.sandbox.runtime import ProcessRuntime
from bot.sandbox.wire import Call

REPOSITORY = "us-central1-docker.pkg.dev/acme/shop/web"
PARENT = "projects/acme/locations/us-central1"
TYPES: dict[str, Any] = {"string": str, "boolean": bool, "integer": int, "number": (int, float)}
POLLING = DEFAULT_POLLING.with_delay(initial=0.01, maximum=0.05).with_timeout(20)
SERVER = """
import http.server, json, os, sys
mode = os.environ.get("MODE", "")
if mode == "crash":
    print("RuntimeError: no database", file=sys.stderr, flush=True)
    sys.exit(3)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = 500 if mode == "unhealthy" else 200
        if self.path == "/die":
            os._exit(4)
        if self.path.startswith("/file"):
            body = open(os.environ["SECRET_FILE"]).read()
        else:
            body = json.dumps({"revision": os.environ["K_REVISION"], "color": os.environ.get("COLOR", "")})
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *args):
        pass
print(json.dumps({"severity": "NOTICE", "message": "listening"}), flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
TASK = """
import os, sys, time
print("task", os.environ["CLOUD_RUN_TASK_INDEX"], "attempt", os.environ["CLOUD_RUN_TASK_ATTEMPT"], *sys.argv[1:], flush=True)
if "sleep" in sys.argv:
    time.sleep(60)
if "once" in sys.argv and os.environ["CLOUD_RUN_TASK_ATTEMPT"] != "0":
    sys.exit(0)
if "fail" in sys.argv or "once" in sys.argv:
    print("django.db.utils.ProgrammingError: column is missing", file=sys.stderr, flush=True)
    sys.exit(1)
print("MODE", os.environ.get("MODE", "-"))
"""


@cache
def discovery() -> Any:
    folder = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
    return json.loads((folder / "run.v2.json").read_text())


def method_of(call: Call) -> Any:
    """Return the discovery document's method for a call."""
    pending = [discovery()["resources"]["projects"]]
    while pending:
        resource = pending.pop()
        pending.extend(resource.get("resources", {}).values())
        for method in resource.get("methods", {}).values():
            pattern = re.sub(r"\\\{\w+\\\}", "[^/:]+", re.escape(f"/{method['flatPath']}"))
            if method["httpMethod"] == call.method and re.fullmatch(pattern, call.path):
                return method
    return None


def judge(schema: Any, value: Any, place: str) -> Iterator[str]:
    """Yield what in an answer does not fit the discovery document."""
    schemas = discovery()["schemas"]
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    if schema.get("type") == "array":
        for index, item in enumerate(value):
            yield from judge(schema["items"], item, f"{place}[{index}]")
    elif schema.get("type") == "object":
        for key, item in value.items():
            if key == "@type":
                continue
            inner = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
            if inner is None:
                yield f"{place}.{key}: unknown"
            else:
                yield from judge(inner, item, f"{place}.{key}")
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{place}: {value!r} is not in the enum"
    elif schema.get("type") == "any":
        return
    elif not isinstance(value, TYPES[schema["type"]]):
        yield f"{place}: {value!r} is no {schema['type']}"


def misfits(call: Call) -> list[str]:
    """Return what is wrong with one answer of the Admin API, operations' contents included."""
    if call.status != 200:
        return []
    method = method_of(call)
    if method is None:
        return [f"{call.method} {call.path}: no such method"]
    body = json.loads(call.response_body)
    found = list(judge(method["response"], body, call.path))
    for part in ("metadata", "response"):
        if "@type" in body.get(part, {}):
            kind = body[part]["@type"].rsplit(".", 1)[-1]
            found += judge({"$ref": f"GoogleCloudRunV2{kind}"}, body[part], f"{call.path} {part}")
    return found


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def fetch(url: str, token: str = "", *, method: str = "GET", body: Any = None) -> Reply:
    sent = {"Authorization": f"Bearer {token}"} if token else {}
    data = json.dumps(body).encode() if body is not None else None
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, data=data, headers=sent, method=method), timeout=10
        ) as response:
            return Reply(status=response.status, body=response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(status=error.code, body=error.read().decode())


@dataclass(kw_only=True)
class World:
    authority: TokenAuthority
    logging: Logging
    secrets: SecretManager
    images: ImageStore
    run: CloudRun
    credentials: Credentials
    services: run_v2.ServicesClient
    revisions: run_v2.RevisionsClient
    jobs: run_v2.JobsClient
    executions: run_v2.ExecutionsClient
    tasks: run_v2.TasksClient
    pools: run_v2.WorkerPoolsClient
    digests: dict[str, str] = field(default_factory=dict)

    def fetch(self, url: str, token: str = "") -> Reply:
        return fetch(url, token)

    def call(self, method: str, path: str, body: Any = None) -> Reply:
        """Call the Admin API by hand, for what the client has no words for yet."""
        return fetch(f"{self.run.url}/v2/{path}", str(self.credentials.token), method=method, body=body)

    def image(self, tag: str = "v1") -> str:
        return f"{REPOSITORY}:{tag}"

    def template(self, revision: str = "", *, tag: str = "v1", **env: str) -> run_v2.RevisionTemplate:
        return run_v2.RevisionTemplate(
            revision=revision,
            containers=[
                run_v2.Container(
                    image=self.image(tag),
                    env=[run_v2.EnvVar(name=name, value=value) for name, value in env.items()],
                )
            ],
        )

    def path(self, name: str = "web") -> str:
        return f"{PARENT}/services/{name}"

    def create(self, name: str = "web", **fields: Any) -> Any:
        fields.setdefault("template", self.template(f"{name}-one"))
        operation = self.services.create_service(
            parent=PARENT, service=run_v2.Service(**fields), service_id=name, timeout=10
        )
        return self.result(operation)

    def update(self, service: run_v2.Service, mask: str = "", **options: Any) -> Any:
        request = run_v2.UpdateServiceRequest(service=service, **options)
        if mask:
            request.update_mask = {"paths": mask.split(",")}
        return self.services.update_service(request=request, timeout=10)

    def get(self, name: str = "web") -> run_v2.Service:
        return self.services.get_service(name=self.path(name), timeout=10)

    def result(self, operation: Any) -> Any:
        """Wait for an operation without the library's long pauses."""
        return operation.result(polling=POLLING)

    def open(self, name: str = "web") -> None:
        self.services.set_iam_policy(
            request={
                "resource": self.path(name),
                "policy": {"bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}]},
            },
            timeout=10,
        )

    def job(self, *arguments: str, name: str = "migrate", **task: Any) -> Any:
        count = task.pop("task_count", 1)
        task.setdefault("max_retries", 0)
        container = run_v2.Container(image=self.image(), command=["python3", "task.py"], args=list(arguments))
        template = run_v2.TaskTemplate(containers=[container], **task)
        job = run_v2.Job(
            template=run_v2.ExecutionTemplate(template=template, task_count=count, labels={"deployment": "7"})
        )
        return self.result(self.jobs.create_job(parent=PARENT, job=job, job_id=name, timeout=10))


@pytest.fixture
def make_image(tmp_path: Path) -> Callable[..., Image]:
    def make(digit: str) -> Image:
        root = tmp_path / f"image-{digit}"
        (root / "app").mkdir(parents=True)
        (root / "app" / "server.py").write_text(SERVER)
        (root / "app" / "task.py").write_text(TASK)
        return Image(
            digest=f"sha256:{digit * 64}",
            root=root,
            workdir="/app",
            env={},
            entrypoint=("python3", "server.py"),
            command=(),
            labels={},
            port=8080,
            created=0.0,
        )

    return make


@pytest.fixture
def world(tmp_path: Path, make_image: Callable[..., Image]) -> Iterator[World]:
    authority = TokenAuthority()
    logging = Logging(authenticate=authority.authenticate)
    secrets = SecretManager(authenticate=authority.authenticate)
    images = ImageStore(tmp_path / "store")
    for digit in "12":
        images.put(REPOSITORY, make_image(digit), [f"v{digit}"])
    run = CloudRun(authority=authority, images=images, runtime=ProcessRuntime(), secrets=secrets, sink=logging.sink)
    run.launcher.time_scale = 0.01
    run.launcher.startup_limit = 5.0
    run.start()
    logging.start()
    credentials: Credentials = Credentials(authority.issue_token("deployer@acme.iam.gserviceaccount.com"))  # type: ignore[no-untyped-call]
    options = {"api_endpoint": run.url}

    def client(kind: Any) -> Any:
        return kind(credentials=credentials, transport="rest", client_options=options)

    yield World(
        authority=authority,
        logging=logging,
        secrets=secrets,
        images=images,
        run=run,
        credentials=credentials,
        services=client(run_v2.ServicesClient),
        revisions=client(run_v2.RevisionsClient),
        jobs=client(run_v2.JobsClient),
        executions=client(run_v2.ExecutionsClient),
        tasks=client(run_v2.TasksClient),
        pools=client(run_v2.WorkerPoolsClient),
    )
    run.stop()
    logging.stop()
    assert [wrong for call in run.calls for wrong in misfits(call)] == []
    assert run.unknown == []
    assert logging.unknown == []


@pytest.fixture
def web(world: Any) -> Any:
    """A public service whose revision web-one has all the traffic."""
    service = world.create(traffic=[run_v2.TrafficTarget(type_=2, revision="web-one", percent=100)])
    world.open()
    return service
