"""From a template to a running process: image, secrets, environment, files, logs, startup probe."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.sandbox.google.cloud_run import conditions
from bot.sandbox.google.cloud_run.conditions import RunError
from bot.sandbox.google.logging_query import SEVERITIES
from bot.sandbox.google.secret_manager import SecretManager
from bot.sandbox.images import Image, ImageStore
from bot.sandbox.runtime import Instance, Runtime
from bot.sandbox.wire import WireError

Json = dict[str, Any]
Sink = Callable[[Json], None]
QUICK = 0.02  # seconds between two looks at a port nobody listens on yet


@dataclass(frozen=True, kw_only=True)
class LogSource:
    """Where lines come from, as Cloud Logging labels them.

    Resource labels: cloud.google.com/monitoring/api/resources, ``cloud_run_revision`` and ``cloud_run_job``.
    """

    project: str
    resource: Json
    labels: Mapping[str, str] = field(default_factory=dict)

    def entry(self, log: str, payload: Json) -> Json:
        """Return a LogEntry in the log ``run.googleapis.com/<log>``."""
        name = f"projects/{self.project}/logs/run.googleapis.com%2F{log.replace('/', '%2F')}"
        return {"logName": name, "resource": self.resource, "labels": dict(self.labels), **payload}

    def line(self, stream: Literal["stdout", "stderr"], line: str) -> Json:
        """Return the entry of one line a container wrote.

        A line that is a JSON object becomes ``jsonPayload`` and gives its ``severity``; any other is ``textPayload`` at
        severity DEFAULT, on stderr too (cloud.google.com/run/docs/logging, structured JSON; a traceback on stderr is
        shown as DEFAULT in GoogleCloudPlatform/genai-for-marketing#155).
        """
        try:
            data = json.loads(line) if line.startswith("{") else None
        except ValueError:
            data = None
        if not isinstance(data, dict):
            return self.entry(stream, {"textPayload": line})
        severity = str(data.pop("severity", "DEFAULT")).upper()
        return self.entry(
            stream,
            {"jsonPayload": data, "severity": severity if severity in SEVERITIES else "DEFAULT"},
        )

    def system(self, severity: str, text: str) -> Json:
        """Return the entry of something the platform says about a container."""
        return self.entry("varlog/system", {"textPayload": text, "severity": severity})


@dataclass(frozen=True, kw_only=True)
class Started:
    """A container that is up, and what it was started from."""

    instance: Instance
    image: Image


class Launcher:
    """Starts containers of templates.

    Knobs: ``startup_limit`` (seconds) caps how long a container may take to listen, whatever its probe allows, and
    ``time_scale`` multiplies the waits between failing probes, so that a test need not live through 240 seconds.
    ``worker_patience`` (seconds) is how long a worker is looked at before it counts as started: it listens nowhere, so
    only its end can tell that it did not; what the live service looks at is not documented.
    """

    def __init__(self, *, images: ImageStore, runtime: Runtime, secrets: SecretManager, sink: Sink) -> None:
        self.images, self.runtime, self.secrets, self.sink = images, runtime, secrets, sink
        self.startup_limit = 240.0
        self.time_scale = 1.0
        self.worker_patience = 2.0
        self.stopping = threading.Event()

    # -- what a template needs ----------------------------------------------------------------------------
    def resolve(self, reference: str) -> Image:
        """Return the image a reference means now. Raises RunError CONTAINER_MISSING."""
        image = self.images.resolve(reference)
        if image is None:
            message = f"Image '{reference}' not found."
            raise RunError(code=conditions.NOT_FOUND, message=message, reasons={"reason": "CONTAINER_MISSING"})
        return image

    def check_secrets(self, template: Json) -> None:
        """Read every secret a template names, once. Raises RunError SECRETS_ACCESS_CHECK_FAILED."""
        for container in template["containers"]:
            self.environment(container)
            self.files(template, container)

    def environment(self, container: Json) -> dict[str, str]:
        """Return the container's variables, secrets included. Raises RunError."""
        result: dict[str, str] = {}
        for index, variable in enumerate(container.get("env", [])):
            selector = variable.get("valueSource", {}).get("secretKeyRef")
            place = f"env[{index}].value_from.secret_key_ref.name"
            value = self._secret(selector, place).decode() if selector else variable.get("value", "")
            result[variable["name"]] = value
        return result

    def files(self, template: Json, container: Json) -> dict[str, bytes]:
        """Return the files of mounted secret volumes by absolute path. Raises RunError.

        Other volumes (Cloud SQL, empty directories, buckets) are accepted and bring no files.
        """
        volumes = {volume["name"]: volume.get("secret") for volume in template.get("volumes", [])}
        result: dict[str, bytes] = {}
        for mount in container.get("volumeMounts", []):
            source = volumes[mount["name"]]
            if source is None:
                continue
            # SecretVolumeSource.items: "If unspecified, the volume will expose a file whose name is the secret".
            items = source.get("items") or [{"path": source["secret"].rsplit("/", 1)[-1], "version": "latest"}]
            for item in items:
                selector = {"secret": source["secret"], "version": item.get("version", "latest")}
                path = f"{mount['mountPath'].rstrip('/')}/{item['path']}"
                result[path] = self._secret(selector, f"volumes[{mount['name']}].secret")
        return result

    def _secret(self, selector: Json, place: str) -> bytes:
        try:
            return self.secrets.access(selector["secret"], selector.get("version") or "latest")
        except WireError as error:
            message = f"spec.template.spec.{place}: {error.message}"
            raise RunError(
                code=conditions.FAILED_PRECONDITION,
                message=message,
                reasons={"reason": "SECRETS_ACCESS_CHECK_FAILED"},
            ) from None

    # -- running ------------------------------------------------------------------------------------------
    def serve(
        self, template: Json, container: Json, image: Image, env: Mapping[str, str], source: LogSource
    ) -> Instance:
        """Start the container that receives requests and wait for its startup probe. Raises RunError."""
        port = container.get("ports", [{}])[0].get("containerPort", 8080)
        instance = self.runtime.serve(
            image,
            command=container.get("command", []),
            args=container.get("args", []),
            env={**self.environment(container), **env},
            port=port,
            files=self.files(template, container),
            log=lambda stream, line: self.sink(source.line(stream, line)),
        )
        failure = self._wait_until_started(instance, container["startupProbe"], port)
        if failure is not None:
            instance.stop()  # first, so that its last lines come before what the platform says about it
            self.sink(source.system("ERROR", failure.log))
            raise failure.error
        return instance

    def work(
        self, template: Json, container: Json, image: Image, env: Mapping[str, str], source: LogSource
    ) -> Instance:
        """Start a worker pool's container. Raises RunError when it fails within ``worker_patience``."""
        instance = self.run(template, container, image, env, source)
        code = instance.wait(self.worker_patience)
        if code:
            self.sink(source.system("ERROR", f"Container called exit({code})."))
            message = f"The container exited with an error: exit({code}). Logs for this revision might contain more."
            raise _unhealthy(message)
        return instance

    def run(self, template: Json, container: Json, image: Image, env: Mapping[str, str], source: LogSource) -> Instance:
        """Start a container that ends by itself or works without requests. Raises RunError."""
        return self.runtime.run(
            image,
            command=container.get("command", []),
            args=container.get("args", []),
            env={**self.environment(container), **env},
            files=self.files(template, container),
            log=lambda stream, line: self.sink(source.line(stream, line)),
        )

    # -- the startup probe ----------------------------------------------------------------------------------
    def _wait_until_started(self, instance: Instance, probe: Json, port: int) -> _NotStarted | None:
        """Probe until it passes; return why the container did not start, or None.

        While nothing listens the port is looked at often, up to periodSeconds x failureThreshold in all; an answer that
        fails counts against failureThreshold and the next try comes after periodSeconds.
        """
        self.stopping.wait(probe.get("initialDelaySeconds", 0) * self.time_scale)
        threshold, period = probe["failureThreshold"], probe["periodSeconds"]
        deadline = time.monotonic() + min(float(threshold * period), self.startup_limit)
        failures = 0
        while (verdict := self._probe(instance, probe)) is not None:
            if not instance.alive():
                return _not_listening(port, "the container exited")
            if verdict:  # it answered, and badly
                failures += 1
                if failures >= threshold:
                    return _probe_failed(probe, port, verdict)
            self.stopping.wait(period * self.time_scale if verdict else QUICK)
            if self.stopping.is_set() or time.monotonic() > deadline:
                return _not_listening(port, "nothing listens")
        return None

    @staticmethod
    def _probe(instance: Instance, probe: Json) -> str | None:
        """Return None for a pass, "" when nothing listens, else what was wrong with the answer."""
        timeout = float(probe["timeoutSeconds"])
        try:
            socket.create_connection(("127.0.0.1", instance.port), timeout=min(timeout, 5.0)).close()
        except OSError:
            return ""
        if "httpGet" not in probe:
            return None
        action = probe["httpGet"]
        headers = {header["name"]: header.get("value", "") for header in action.get("httpHeaders", [])}
        connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=timeout)
        try:
            connection.request("GET", action["path"], headers=headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"connection failed: {type(error).__name__}"
        finally:
            connection.close()
        # cloud.google.com/run/docs/configuring/healthchecks: any 2xx or 3xx is a success.
        return None if 200 <= status < 400 else f"HTTP status {status}"


@dataclass(frozen=True, kw_only=True)
class _NotStarted:
    """Why a container did not start: the platform's line in the log, and the failure of the revision."""

    log: str
    error: RunError


def _not_listening(port: int, why: str) -> _NotStarted:
    return _NotStarted(
        log=(
            f"Default STARTUP TCP probe failed 1 time consecutively for container on port {port} ({why}). "
            "The instance was not started."
        ),
        error=_unhealthy(
            "The user-provided container failed to start and listen on the port defined provided by the "
            f"PORT={port} environment variable within the allocated timeout. This can happen when the container port "
            "is misconfigured or if the timeout is too short. The health check timeout can be extended. Logs for this "
            "revision might contain more information."
        ),
    )


def _probe_failed(probe: Json, port: int, verdict: str) -> _NotStarted:
    path = probe.get("httpGet", {}).get("path", "")
    return _NotStarted(
        log=(
            f"STARTUP HTTP probe failed {probe['failureThreshold']} times consecutively for container on port {port} "
            f'path "{path}" ({verdict}). The instance was not started.'
        ),
        error=_unhealthy(
            "The user-provided container failed the configured startup probe checks. "
            "Logs for this revision might contain more information."
        ),
    )


def _unhealthy(message: str) -> RunError:
    # Terraform's reports show "Error code 9" for this message since 2025 (code 13 before).
    return RunError(
        code=conditions.FAILED_PRECONDITION,
        message=message,
        reasons={"revisionReason": "HEALTH_CHECK_CONTAINER_ERROR"},
    )
