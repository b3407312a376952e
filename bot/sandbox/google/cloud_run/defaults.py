"""The values Cloud Run fills in where a template is silent, so that what is read back is what will run.

Sources, unless another is named: the field descriptions of run.v2 and the "default" sentences of
cloud.google.com/run/docs/configuring/*.
"""

from __future__ import annotations

import copy
from typing import Any

Json = dict[str, Any]

PROJECT_NUMBER = "123456789012"


def default_account(number: str = PROJECT_NUMBER) -> str:
    """The Compute Engine default service account, which a template without ``serviceAccount`` runs as."""
    return f"{number}-compute@developer.gserviceaccount.com"


def container(sent: Json) -> Json:
    """Fill in a container's resources."""
    result = copy.deepcopy(sent)
    limits = result.setdefault("resources", {}).setdefault("limits", {})
    limits.setdefault("cpu", "1000m")
    limits.setdefault("memory", "512Mi")
    return result


def ingress_container(sent: Json) -> Json:
    """Fill in the container that receives requests: its port and its startup probe.

    Source of the default probe: cloud.google.com/run/docs/configuring/healthchecks, a TCP probe with
    ``timeoutSeconds`` and ``periodSeconds`` 240 and ``failureThreshold`` 1.
    """
    result = container(sent)
    result["resources"].setdefault("startupCpuBoost", False)
    result["resources"].setdefault("cpuIdle", False)
    result["ports"] = [{"name": "http1", "containerPort": 8080, **port} for port in result.get("ports") or [{}]]
    port = result["ports"][0]["containerPort"]
    probe = result.setdefault(
        "startupProbe",
        {"timeoutSeconds": 240, "periodSeconds": 240, "failureThreshold": 1, "tcpSocket": {"port": port}},
    )
    probe.setdefault("timeoutSeconds", 1)
    probe.setdefault("periodSeconds", 10)
    probe.setdefault("failureThreshold", 3)
    if "httpGet" in probe:
        probe["httpGet"] = {"path": "/", "port": port, **probe["httpGet"]}
    elif "tcpSocket" in probe:
        probe["tcpSocket"] = {"port": port, **probe["tcpSocket"]}
    return result


def ingress_index(containers: list[Json]) -> int:
    """The index of the container that receives requests: the one that declares ports, else the only one."""
    return next((index for index, each in enumerate(containers) if each.get("ports")), 0)


def revision_template(sent: Json) -> Json:
    """Fill in a service's RevisionTemplate."""
    result = copy.deepcopy(sent)
    main = ingress_index(result["containers"])
    result["containers"] = [
        ingress_container(each) if index == main else container(each) for index, each in enumerate(result["containers"])
    ]
    result.setdefault("timeout", "300s")
    result.setdefault("serviceAccount", default_account())
    result.setdefault("maxInstanceRequestConcurrency", 80)
    result.setdefault("scaling", {}).setdefault("maxInstanceCount", 100)
    return result


def worker_template(sent: Json) -> Json:
    """Fill in a worker pool's template: no port, no probe."""
    result = copy.deepcopy(sent)
    result["containers"] = [container(each) for each in result["containers"]]
    result.setdefault("serviceAccount", default_account())
    return result


def execution_template(sent: Json) -> Json:
    """Fill in a job's ExecutionTemplate. ``maxRetries`` 0 is a value; protobuf's JSON sends it as such."""
    result = copy.deepcopy(sent)
    result.setdefault("taskCount", 1)
    task = result["template"]
    task["containers"] = [container(each) for each in task["containers"]]
    task.setdefault("maxRetries", 3)  # "Defaults to 3."
    task.setdefault("timeout", "600s")  # "Defaults to 600 seconds."
    task.setdefault("serviceAccount", default_account())
    return result
