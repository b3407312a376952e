from dataclasses import replace
from typing import Any

import pytest
import requests

from bot.core.plan import RunJob
from bot.core.target import Absent, Broken, Done, Running
from bot.errors import UpstreamError

STEP = RunJob(id="job:migrate", job="migrate", timeout=60)
JOBS = "/v2/projects/acme/locations/us-central1/jobs"
JOB = f"{JOBS}/shop-migrate"
FULL = JOB.removeprefix("/v2/")
NAME = f"{FULL}/executions/e1"
OPERATION = {"name": "projects/acme/locations/us-central1/operations/1"}


def job(generation: Any = 1, observed: Any = 1, *, reconciling: Any = False, **over: Any) -> Any:
    return {
        "name": FULL,
        "etag": '"e1"',
        "generation": str(generation),
        "observedGeneration": str(observed),
        "reconciling": reconciling,
        "template": {"taskCount": 1, "template": {"maxRetries": 3, "containers": [{"image": "old"}]}},
        **over,
    }


def execution(state: Any = "", release: Any = "zz", step: Any = "job-migrate", **over: Any) -> Any:
    conditions = [{"type": "Completed", "state": state, **over.pop("condition", {})}] if state else []
    return {
        "name": NAME,
        "logUri": "https://log",
        "labels": {"slipway-release": release, "slipway-step": step},
        "startTime": "1970-01-12T13:46:30Z",
        "conditions": conditions,
        **over,
    }


@pytest.fixture
def target(make_target: Any, make_spec: Any) -> Any:
    return make_target(make_spec())


def test_a_job_is_updated_whole_then_run_once_cloud_run_has_it(wire: Any, target: Any, known: Any) -> None:
    wire.on("GET", "run", JOB, job(), job(2, 1, reconciling=True), job(2, 2))
    wire.on("PATCH", "run", JOB, OPERATION)
    metadata = {"@type": "type.googleapis.com/google.cloud.run.v2.Execution", **execution()}
    wire.on("POST", "run", f"{JOB}:run", {**OPERATION, "metadata": metadata})
    assert target.apply(STEP, known) == Running(handle=NAME, detail="started", link="https://log")
    assert [f"{c.method} {c.path}" for c in wire.calls] == [
        f"GET {JOB}",
        f"PATCH {JOB}",
        f"GET {JOB}",
        f"GET {JOB}",
        f"POST {JOB}:run",
    ]
    sent = wire.made("PATCH", "")[0] if wire.made("PATCH", "") else wire.made("PATCH", JOB)[0]
    assert sent.body["etag"] == '"e1"'
    task = sent.body["template"]["template"]
    assert task["maxRetries"] == 0
    assert task["containers"][0]["image"] == known.artifact.reference
    assert sent.body["template"]["labels"]["slipway-release"] == "zz"
    assert wire.slept == [0.3]


def test_a_job_that_is_missing_is_created(wire: Any, target: Any, known: Any, api_error: Any) -> None:
    wire.on("GET", "run", JOB, api_error(404, "NOT_FOUND"), job())
    wire.on("POST", "run", JOBS, OPERATION)
    wire.on("POST", "run", f"{JOB}:run", OPERATION)
    target.apply(STEP, known)
    created = wire.made("POST", JOBS)[0]
    assert created.query["jobId"] == ["shop-migrate"]
    assert created.body["template"]["template"]["timeout"] == "600s"


def test_a_job_that_is_as_declared_is_not_written_again(wire: Any, target: Any, known: Any, api_error: Any) -> None:
    def as_created(call: Any) -> Any:
        return job(template=wire.made("POST", JOBS)[0].body["template"])

    wire.on("GET", "run", JOB, api_error(404, "NOT_FOUND"), as_created)
    wire.on("POST", "run", JOBS, OPERATION)
    wire.on("POST", "run", f"{JOB}:run", OPERATION)
    target.apply(STEP, known)
    target.apply(STEP, known)
    assert not wire.made("PATCH", JOB)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (job(2, 1, reconciling=True), "did not take over the job shop-migrate within 120 s"),
        (
            job(
                terminalCondition={
                    "state": "CONDITION_FAILED",
                    "reason": "SECRETS_ACCESS_CHECK_FAILED",
                    "message": "no\naccess",
                }
            ),
            "did not accept the job shop-migrate: SECRETS_ACCESS_CHECK_FAILED: no access",
        ),
    ],
)
def test_a_job_that_is_not_ready_is_not_run(wire: Any, target: Any, known: Any, answer: Any, message: Any) -> None:
    wire.on("GET", "run", JOB, answer)
    wire.on("PATCH", "run", JOB, OPERATION)
    with pytest.raises(UpstreamError, match=message):
        target.apply(STEP, known)
    assert not wire.made("POST", ":run")


def test_a_job_needs_an_image(target: Any, known: Any) -> None:
    with pytest.raises(UpstreamError, match="no image"):
        target.apply(STEP, replace(known, artifact=None))


def test_a_lost_reply_leaves_the_execution_to_be_found(wire: Any, target: Any, known: Any) -> None:
    wire.on("GET", "run", JOB, job())
    wire.on("PATCH", "run", JOB, OPERATION)
    wire.on("POST", "run", f"{JOB}:run", requests.ConnectionError("reset by peer"))
    with pytest.raises(UpstreamError) as caught:
        target.apply(STEP, known)
    assert caught.value.status == 0
    assert len(wire.made("POST", ":run")) == 1
    wire.on("GET", "run", f"{JOB}/executions", {"executions": [execution("CONDITION_RECONCILING")]})
    assert target.observe(STEP, known) == Running(handle=NAME, detail="10 s", link="https://log")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"executions": []}, Absent()),
        ({"executions": [execution("CONDITION_SUCCEEDED", release="older")]}, Absent()),
        ({"executions": [execution("CONDITION_SUCCEEDED", step="check-migrate")]}, Absent()),
        (
            {"executions": [execution(startTime=None)]},
            Running(handle=NAME, detail="waiting to start", link="https://log"),
        ),
        (
            {"executions": [execution("CONDITION_SUCCEEDED", completionTime="1970-01-12T13:46:33Z")]},
            Done(handle=NAME, detail="3 s", link="https://log"),
        ),
    ],
)
def test_the_releases_execution_is_found_by_its_labels(
    wire: Any, target: Any, known: Any, found: Any, expected: Any
) -> None:
    wire.on("GET", "run", f"{JOB}/executions", found)
    assert target.observe(STEP, known) == expected


def test_a_job_that_does_not_exist_has_not_run(wire: Any, target: Any, known: Any, api_error: Any) -> None:
    wire.on("GET", "run", f"{JOB}/executions", api_error(404, "NOT_FOUND"))
    assert target.observe(STEP, known) == Absent()


FAILED = {"reason": "", "executionReason": "NON_ZERO_EXIT_CODE", "message": "Task shop-0 failed"}


@pytest.mark.parametrize(
    ("tasks", "detail"),
    [
        ({"tasks": [{"lastAttemptResult": {"exitCode": 3}}]}, "NON_ZERO_EXIT_CODE: Task shop-0 failed (exit code 3)"),
        ({"tasks": [{}]}, "NON_ZERO_EXIT_CODE: Task shop-0 failed"),
        ((403, {"error": {"message": "no"}}), "NON_ZERO_EXIT_CODE: Task shop-0 failed"),
    ],
)
def test_a_failed_execution_says_why(wire: Any, target: Any, known: Any, tasks: Any, detail: Any) -> None:
    condition = {"executionReason": "NON_ZERO_EXIT_CODE", "message": "Task shop-0 failed"}
    wire.on("GET", "run", f"{JOB}/executions/e1", execution("CONDITION_FAILED", condition=condition))
    wire.on("GET", "run", f"{JOB}/executions/e1/tasks", tasks)
    found = target.observe(STEP, known.with_handle(STEP.id, NAME))
    assert found == Broken(handle=NAME, detail=detail, link="https://log")


@pytest.mark.parametrize(("over", "cancelled"), [({}, 1), ({"completionTime": "1970-01-12T13:46:33Z"}, 0)])
def test_an_execution_under_way_is_cancelled(wire: Any, target: Any, known: Any, over: Any, cancelled: Any) -> None:
    wire.on("GET", "run", f"{JOB}/executions/e1", execution("CONDITION_RECONCILING", **over))
    wire.on("POST", "run", f"{JOB}/executions/e1:cancel", OPERATION)
    target.cancel(STEP, known.with_handle(STEP.id, NAME))
    assert len(wire.made("POST", ":cancel")) == cancelled
