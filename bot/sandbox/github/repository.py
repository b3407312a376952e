"""A repository with deployments and workflow runs: what scenarios and tests hold in their hands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.sandbox.github import payloads
from bot.sandbox.github.model import Deployment, DeploymentStatus, Environment, Job, Run
from bot.sandbox.github.pulls import Pulls


class Repository(Pulls):
    """One repository of the server."""

    def fork(self, owner: str) -> Repository:
        """Fork this repository to an account and return the fork."""
        with self.github.lock:
            self.github.add_user(owner)
            full_name = f"{owner}/{self.name}"
            return self.github.import_repository(full_name, self.git.path, private=self.private, parent=self)

    # -- deployments ----------------------------------------------------------------------------------------
    def environment(self, name: str, *, reviewers: tuple[str, ...] = ()) -> Environment:
        """Return an environment, made when absent; reviewers are added to it."""
        with self.github.lock:
            if name not in self.state.environments:
                self.state.environments[name] = Environment(
                    id=self.github.new_id(), name=name, created_at=self.github.now()
                )
            environment = self.state.environments[name]
            environment.reviewers += [self.github.add_user(login).login for login in reviewers]
            return environment

    def deploy(
        self,
        ref: str,
        environment: str = "production",
        *,
        creator: str = "dana",
        payload: Any = None,
        task: str = "deploy",
        description: str | None = None,
        transient: bool = False,
        production: bool | None = None,
        state: str | None = None,
    ) -> Deployment:
        """Record a deployment of a ref, and its first status if one is named. Raises KeyError for no such ref."""
        with self.github.lock:
            sha = self.resolve(ref)
            if sha is None:
                raise KeyError(ref)
            now = self.github.now()
            deployment = Deployment(
                id=self.github.new_id(), sha=sha, ref=ref, task=task, environment=environment,
                original_environment=environment, payload={} if payload in (None, "") else payload,
                description=description, creator=self.github.add_user(creator).login, created_at=now,
                updated_at=now, transient=transient,
                production=environment == "production" if production is None else production,
            )  # fmt: skip
            self.state.deployments[deployment.id] = deployment
            self.environment(environment)
            if state is not None:
                self.set_deployment_status(deployment, state, creator=creator)
            return deployment

    def set_deployment_status(
        self,
        deployment: Deployment,
        state: str,
        *,
        creator: str = "dana",
        auto_inactive: bool = True,
        environment: str | None = None,
        description: str = "",
        environment_url: str = "",
        log_url: str = "",
    ) -> DeploymentStatus:
        """Add a status to a deployment.

        A success makes the earlier deployments inactive that had a success, are neither transient nor of a
        production environment, and share the environment's name, unless ``auto_inactive`` is off (GitHub's REST
        documentation, "Create a deployment status").
        """
        with self.github.lock:
            now = self.github.now()
            status = DeploymentStatus(
                id=self.github.new_id(), state=state, creator=self.github.add_user(creator).login, created_at=now,
                description=description, environment=environment or deployment.environment,
                environment_url=environment_url, log_url=log_url,
            )  # fmt: skip
            deployment.statuses.append(status)
            deployment.environment, deployment.updated_at = status.environment, now
            if state == "success" and auto_inactive:
                for other in self.state.deployments.values():
                    if self._superseded(other, by=deployment):
                        self.set_deployment_status(other, "inactive", creator=creator)
            return status

    @staticmethod
    def _superseded(other: Deployment, *, by: Deployment) -> bool:
        lasting = not other.transient and not other.production
        earlier = other.id < by.id and other.environment == by.environment
        return lasting and earlier and other.state == "success"

    def deployments(self) -> list[Deployment]:
        """Return the deployments with their statuses, oldest first."""
        with self.github.lock:
            return list(self.state.deployments.values())

    # -- workflow runs --------------------------------------------------------------------------------------
    def start_run(
        self,
        *,
        event: str = "issue_comment",
        actor: str = "dana",
        environment: str | None = None,
        ref: str | None = None,
        job: str = "release",
        pull: int | None = None,
    ) -> Run:
        """Start a workflow run. ``ref`` (a full name) is the default branch unless told, as for comments.

        With ``pull``, the number of a pull request, it is a run on an event of that pull request.
        """
        with self.github.lock:
            now = self.github.now()
            ref = ref or (self._pull_ref(event, pull) if pull else f"refs/heads/{self.default_branch}")
            sha = self.resolve(ref)
            assert sha is not None, f"no such ref: {ref}"
            run = Run(
                id=self.github.new_id(), number=len(self.state.runs) + 1, event=event, environment=environment,
                actor=self.github.add_user(actor).login, sha=sha, ref=ref, created_at=now, updated_at=now,
            )  # fmt: skip
            if pull:
                self._stand_under(run, pull)
            run.jobs.append(self._job(job))
            self.state.runs[run.id] = run
            return run

    def _pull_ref(self, event: str, number: int) -> str:
        """Return the ref that a run on a pull request's event has.

        ``pull_request``: the test merge, or after a merge the branch that it went into; nothing runs on a pull request
        with conflicts (docs.github.com, "Events that trigger workflows"). ``pull_request_target``: the default branch,
        whatever the base (github.blog/changelog, 7 November 2025).
        """
        issue, pull = self.pull(number)
        if event != "pull_request":
            return f"refs/heads/{self.default_branch}"
        if pull.merged_at is not None:
            return f"refs/heads/{pull.base_ref}"
        assert self.test_merge(issue) is not None, f"pull request {number} has conflicts: nothing runs on it"
        return f"refs/pull/{number}/merge"

    def _stand_under(self, run: Run, number: int) -> None:
        _, pull = self.pull(number)
        run.head_ref, run.base_ref, run.pull_sha = pull.head_ref, pull.base_ref, pull.head_sha
        run.head_repository = "" if pull.head_repository == self.full_name else pull.head_repository or ""

    def workflow_ref(self, run: Run) -> str:
        """Return the ref whose workflow file a run follows: a pull request's own for its event, else the default."""
        return run.ref if run.event == "pull_request" else f"refs/heads/{self.default_branch}"

    def _job(self, name: str) -> Job:
        return Job(
            id=self.github.new_id(), name=name, status="in_progress", conclusion=None,
            started_at=self.github.now(), completed_at=None,
        )  # fmt: skip

    def finish_run(self, run: Run, conclusion: str = "success") -> None:
        """End a workflow run and its jobs."""
        with self.github.lock:
            now = self.github.now()
            run.status, run.conclusion, run.updated_at = "completed", conclusion, now
            for job in run.jobs:
                job.status, job.conclusion, job.completed_at = "completed", conclusion, now

    def put_in_line(self, run: Run) -> None:
        """Let a run wait: a job of it is done, and the next one's concurrency group is taken.

        "any queued job or workflow in the concurrency group will be `pending`" (docs.github.com, workflow syntax,
        `concurrency`).
        """
        with self.github.lock:
            now = self.github.now()
            for job in run.jobs:
                job.status, job.conclusion, job.completed_at = "completed", "success", now
            run.status, run.updated_at = "pending", now

    def go_on(self, run: Run, job: str) -> None:
        """Start the next job of a run that waited."""
        with self.github.lock:
            run.jobs.append(self._job(job))
            run.status, run.updated_at = "in_progress", self.github.now()

    def rerun(self, run: Run) -> Run:
        """Start the next attempt of a run, finished or not; the id stays."""
        with self.github.lock:
            run.earlier[run.attempt] = run.conclusion or "cancelled"
            run.attempt += 1
            run.status, run.conclusion, run.cancel_requested = "in_progress", None, False
            run.updated_at = self.github.now()
            run.jobs = [self._job(job.name) for job in run.jobs]
            return run

    # -- events ---------------------------------------------------------------------------------------------
    def comment(self, number: int, body: str, *, author: str = "dana") -> dict[str, Any]:
        """Comment on a thread and return the payload of the ``issue_comment`` event it sends."""
        with self.github.lock:
            return payloads.issue_comment(self, self.add_comment(number, body, author=author))

    def push_payload(self, *, branch: str | None = None, actor: str = "dana") -> dict[str, Any]:
        """Return the payload of the ``push`` event of a branch's last recorded push."""
        with self.github.lock:
            return payloads.push(self, branch or self.default_branch, actor)

    def dispatch_payload(
        self, *, inputs: Mapping[str, str] | None = None, actor: str = "dana", ref: str | None = None
    ) -> dict[str, Any]:
        """Return the payload of a ``workflow_dispatch`` event."""
        with self.github.lock:
            return payloads.workflow_dispatch(self, inputs or {}, actor, ref or f"refs/heads/{self.default_branch}")

    def pull_request_payload(self, number: int, action: str, *, actor: str = "dana") -> dict[str, Any]:
        """Return the payload of a ``pull_request`` event, which is that of ``pull_request_target`` as well.

        ``closed`` tells what was done already; ``synchronize`` tells the last recorded push to the head's branch.
        """
        with self.github.lock:
            return payloads.pull_request(self, number, action, actor)

    def schedule_payload(self, cron: str = "0 5 * * *") -> dict[str, Any]:
        """Return the payload of a ``schedule`` event."""
        with self.github.lock:
            return payloads.schedule(self, cron)
