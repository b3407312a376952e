"""Jobs and executions as the real clients meet them, and their lines as the logging client reads them."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import logging as cloud_logging
from google.cloud import run_v2

PARENT = "projects/acme/locations/us-central1"
MIGRATE = f"{PARENT}/jobs/migrate"
SUCCEEDED = run_v2.Condition.State.CONDITION_SUCCEEDED
FAILED = run_v2.Condition.State.CONDITION_FAILED


def run(world: Any, name: str = MIGRATE, **overrides: Any) -> Any:
    request = run_v2.RunJobRequest(name=name)
    if overrides:
        request.overrides = run_v2.RunJobRequest.Overrides(**overrides)
    return world.jobs.run_job(request=request, timeout=10)


def failed(world: Any, operation: Any) -> tuple[exceptions.GoogleAPICallError, run_v2.Execution]:
    with pytest.raises(exceptions.GoogleAPICallError) as caught:
        world.result(operation)
    return caught.value, world.executions.get_execution(name=operation.metadata.name, timeout=10)


def lines(world: Any, execution: run_v2.Execution) -> list[str]:
    name = execution.name.rsplit("/", 1)[-1]
    client: Any = cloud_logging.Client(  # type: ignore[no-untyped-call]
        project="acme",
        credentials=world.credentials,
        _use_grpc=False,
        client_options={"api_endpoint": world.logging.url},
    )
    found = client.list_entries(
        filter_=(
            'resource.type="cloud_run_job" AND resource.labels.job_name="migrate" '
            f'AND labels."run.googleapis.com/execution_name"="{name}"'
        ),
        order_by="timestamp asc",
    )
    return [str(entry.payload) for entry in found]


def test_a_job_runs_to_its_end(world: Any) -> None:
    job = world.job("check")
    assert job.terminal_condition.state == SUCCEEDED
    assert (job.template.template.max_retries, job.template.template.timeout.seconds) == (0, 600)
    operation = run(world)
    execution = world.result(operation)
    assert operation.metadata.log_uri.startswith("https://console.cloud.google.com/logs/viewer?project=acme")
    (condition,) = execution.conditions
    assert (condition.type_, condition.state) == ("Completed", SUCCEEDED)
    assert (execution.succeeded_count, execution.failed_count, execution.running_count) == (1, 0, 0)
    assert execution.labels == {"deployment": "7"}
    assert execution.job == "migrate"
    assert not execution.reconciling
    assert execution.start_time <= execution.completion_time
    assert lines(world, execution) == ["task 0 attempt 0 check", "MODE -"]
    again = world.jobs.get_job(name=MIGRATE, timeout=10)
    assert again.execution_count == 1
    assert again.latest_created_execution.completion_status.name == "EXECUTION_SUCCEEDED"


def test_a_failing_task_fails_the_execution_and_its_last_words_are_kept(world: Any) -> None:
    world.job("fail")
    error, execution = failed(world, run(world))
    assert "failed with message: The container exited with an error." in str(error)
    (condition,) = execution.conditions
    assert condition.state == FAILED
    assert condition.execution_reason.name == "NON_ZERO_EXIT_CODE"
    assert (execution.failed_count, execution.succeeded_count, execution.retried_count) == (1, 0, 0)
    assert "django.db.utils.ProgrammingError: column is missing" in lines(world, execution)
    (task,) = world.tasks.list_tasks(parent=execution.name, timeout=10)
    assert task.last_attempt_result.exit_code == 1
    assert world.tasks.get_task(name=task.name, timeout=10) == task
    status = world.jobs.get_job(name=MIGRATE, timeout=10).latest_created_execution.completion_status
    assert status.name == "EXECUTION_FAILED"


def test_a_task_is_retried_as_often_as_it_may_be(world: Any) -> None:
    world.job("once", max_retries=2)
    execution = world.result(run(world))
    assert (execution.succeeded_count, execution.retried_count) == (1, 1)
    (task,) = world.tasks.list_tasks(parent=execution.name, timeout=10)
    assert task.retried == 1
    assert "task 0 attempt 1 once" in lines(world, execution)


def test_a_task_that_takes_too_long_is_killed(world: Any) -> None:
    world.job("sleep", timeout={"seconds": 1})
    error, execution = failed(world, run(world))
    assert "timeout" in str(error)
    assert execution.conditions[0].reason.name == "PROGRESS_DEADLINE_EXCEEDED"


def test_a_cancelled_execution_is_killed(world: Any) -> None:
    world.job("sleep")
    operation = run(world)
    cancelled = world.result(world.executions.cancel_execution(name=operation.metadata.name, timeout=10))
    assert cancelled.cancelled_count == 1
    assert cancelled.conditions[0].execution_reason.name == "CANCELLED"
    error, _ = failed(world, operation)
    assert "cancelled" in str(error)
    with pytest.raises(exceptions.BadRequest, match="already completed"):
        world.executions.cancel_execution(name=operation.metadata.name, timeout=10)
    status = world.jobs.get_job(name=MIGRATE, timeout=10).latest_created_execution.completion_status
    assert status.name == "EXECUTION_CANCELLED"


def test_a_run_overrides_arguments_environment_and_count(world: Any) -> None:
    world.job("fail")
    override = run_v2.RunJobRequest.Overrides.ContainerOverride(
        args=["other"], env=[run_v2.EnvVar(name="MODE", value="fast")]
    )
    execution = world.result(run(world, container_overrides=[override], task_count=3, timeout={"seconds": 30}))
    assert (execution.task_count, execution.succeeded_count) == (3, 3)
    assert execution.template.timeout.seconds == 30
    said = lines(world, execution)
    assert sorted(line for line in said if line.startswith("task")) == [f"task {n} attempt 0 other" for n in range(3)]
    assert said.count("MODE fast") == 3
    assert list(world.jobs.get_job(name=MIGRATE, timeout=10).template.template.containers[0].args) == ["fail"]


def test_a_run_can_clear_the_arguments(world: Any) -> None:
    world.job("fail")
    override = run_v2.RunJobRequest.Overrides.ContainerOverride(clear_args=True)
    assert world.result(run(world, container_overrides=[override])).succeeded_count == 1


def test_an_override_of_an_unknown_container_is_refused(world: Any) -> None:
    world.job("check")
    override = run_v2.RunJobRequest.Overrides.ContainerOverride(name="other", args=["x"])
    with pytest.raises(exceptions.BadRequest, match="no container"):
        run(world, container_overrides=[override])


def test_a_job_is_reconciled_whole(world: Any) -> None:
    job = world.job("check")
    job.template.template.containers[0].args = ["two"]
    job.template.labels = {"deployment": "8"}
    updated = world.result(world.jobs.update_job(job=job, timeout=10))
    assert (updated.generation, dict(updated.template.labels)) == (2, {"deployment": "8"})
    stale = run_v2.Job(job)
    with pytest.raises(exceptions.Conflict) as caught:
        world.jobs.update_job(job=stale, timeout=10)
    assert caught.value.response.json()["error"]["status"] == "ABORTED"


def test_an_update_may_create_the_job(world: Any) -> None:
    template = run_v2.TaskTemplate(containers=[run_v2.Container(image=world.image())])
    job = run_v2.Job(name=f"{PARENT}/jobs/late", template=run_v2.ExecutionTemplate(template=template))
    request = run_v2.UpdateJobRequest(job=job, allow_missing=True)
    created = world.result(world.jobs.update_job(request=request, timeout=10))
    assert created.template.template.max_retries == 3


def test_a_job_without_its_image_is_not_ready(world: Any) -> None:
    world.images.untag(world.image().rsplit(":", 1)[0], "v1")
    with pytest.raises(exceptions.GoogleAPICallError, match="not found"):
        world.job("check")
    job = world.jobs.get_job(name=MIGRATE, timeout=10)
    assert job.terminal_condition.reason.name == "CONTAINER_MISSING"
    _, execution = failed(world, run(world))
    assert execution.conditions[0].reason.name == "CONTAINER_MISSING"


def test_what_is_missing_is_not_found(world: Any) -> None:
    world.job("check")
    execution = world.result(run(world))
    with pytest.raises(exceptions.NotFound, match="of kind 'JOB'"):
        run(world, f"{PARENT}/jobs/absent")
    with pytest.raises(exceptions.NotFound, match="of kind 'EXECUTION'"):
        world.executions.get_execution(name=f"{MIGRATE}/executions/absent", timeout=10)
    with pytest.raises(exceptions.NotFound, match="of kind 'TASK'"):
        world.tasks.get_task(name=f"{execution.name}/tasks/absent", timeout=10)


def test_jobs_exist_once_are_listed_and_deleted(world: Any) -> None:
    world.job("check")
    with pytest.raises(exceptions.Conflict):
        world.job("check")
    assert [job.name for job in world.jobs.list_jobs(parent=PARENT, timeout=10)] == [MIGRATE]
    execution = world.result(run(world))
    assert [each.name for each in world.executions.list_executions(parent=MIGRATE, timeout=10)] == [execution.name]
    world.result(world.executions.delete_execution(name=execution.name, timeout=10))
    assert list(world.executions.list_executions(parent=MIGRATE, timeout=10)) == []
    world.result(world.jobs.delete_job(name=MIGRATE, timeout=10))
    with pytest.raises(exceptions.NotFound):
        world.jobs.get_job(name=MIGRATE, timeout=10)


def test_validate_only_changes_nothing(world: Any) -> None:
    job = world.job("check")
    request = run_v2.UpdateJobRequest(job=job, validate_only=True)
    assert world.result(world.jobs.update_job(request=request, timeout=10)).generation == 1
    checked = world.jobs.run_job(request=run_v2.RunJobRequest(name=MIGRATE, validate_only=True), timeout=10)
    assert world.result(checked).job == "migrate"
    assert list(world.executions.list_executions(parent=MIGRATE, timeout=10)) == []


def test_a_job_has_one_container(world: Any) -> None:
    container = run_v2.Container(image=world.image())
    template = run_v2.ExecutionTemplate(template=run_v2.TaskTemplate(containers=[container, container]))
    with pytest.raises(exceptions.BadRequest, match="exactly one container"):
        world.jobs.create_job(parent=PARENT, job=run_v2.Job(template=template), job_id="two", timeout=10)
