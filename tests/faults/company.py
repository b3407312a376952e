"""The people of a walk: what they push, say and change by hand, by their own calls or in GitHub's and Google's pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import invariants
import stories
from stage import Stage
from stories import Event

from bot.sandbox.console import Refused
from bot.sandbox.github.git import GitError
from bot.sandbox.github.gitobjects import ZEROS, RefUpdate
from bot.sandbox.github.model import Comment, Issue
from bot.sandbox.google.cloud_run.services import RunService
from bot.sandbox.scenarios import looking
from bot.sandbox.scenarios.model import Play
from bot.sandbox.scenarios.rollouts import past
from bot.sandbox.wire import Act

ENVIRONMENTS = ("staging", "production")
HEALTHS = ("fine", "never", "unseen")
STATES = ("success", "failure", "error", "inactive", "in_progress")
_ROLE = "        env: {APP_ROLE: web}"
_STAGED = f"{_ROLE}\n        strategy: {stories.CANARY}"
T = TypeVar("T")


def chosen(items: Sequence[T], number: int) -> T | None:
    """Return an item by a number, counted round; None if there are none. The last is number 0."""
    return items[-1 - number % len(items)] if items else None


# -- the world ----------------------------------------------------------------------------------------------
def prepare(stage: Stage) -> None:
    """Have something serve in both environments and pull requests open; web has enough visitors for stages."""
    stories.begin(stage)
    for health in HEALTHS:
        stories.open_pull(stage, health, health=health)
    for environment, name in (("production", "other"), ("staging", "fine")):
        stage.released(stories.said(stage, f"/deploy {environment}", name=name, author="lee"))
    world = stage.world
    past(Play(world=world))
    world.cloud.monitoring.when(
        Act(route=r"^GET .*/timeSeries$", before=lambda _: stories.visit(world), times=1_000_000)
    )


STORY = stories.Story(
    name="walk",
    summary="whatever happens",
    prepare=prepare,  # type: ignore[arg-type]  # a walk's scene is always a stage
    event=stories.next_command,
    decision="released",
    serves="other",
)


@dataclass(kw_only=True)
class Company:
    """Does what a step says. ``tags`` are those that people have given, ``sent`` the revisions they sent traffic to."""

    stage: Stage
    healths: dict[str, str] = field(default_factory=dict)  # of a sha
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)
    _count: int = 0

    # -- commits --------------------------------------------------------------------------------------------
    def pulls(self) -> list[Issue]:
        """Return the pull requests, oldest first."""
        return [issue for issue in self.stage.world.repository.state.issues.values() if issue.pull]

    def pull(self, number: int, *, among: Sequence[Issue] = ()) -> Issue:
        """Return a pull request by a number, counted round."""
        issue = chosen(among or self.pulls(), number)
        assert issue is not None
        return issue

    def open_pulls(self) -> list[Issue]:
        """Return the pull requests that are open, oldest first."""
        return [issue for issue in self.pulls() if issue.state == "open"]

    def propose(self, health: str, author: str = "dana") -> str:
        """Push a branch and open its pull request."""
        name = self._name()
        stories.open_pull(self.stage, name, author=author, health=health)
        self.healths[self.stage.shas[name]] = health
        return f"#{len(self.pulls())} is opened, {health}"

    def amend(self, number: int, health: str) -> str:
        """Push one more commit to an open pull request's branch."""
        issue = self.pull(number, among=self.open_pulls())
        assert issue.pull is not None
        name = self._name()
        stories.commit(self.stage, name, issue.pull.head_ref, health)
        self.healths[self.stage.shas[name]] = health
        return f"#{issue.number} gets another commit, {health}"

    def merge(self, number: int) -> str:
        """Merge a healthy pull request, with a green check on the merge commit, or else push to main."""
        found = [issue for issue in self.open_pulls() if issue.pull and self.health(issue.pull.head_sha) == "fine"]
        repository = self.stage.world.repository
        with suppress(GitError):  # it has conflicts
            if found:
                issue = self.pull(number, among=found)
                with self.stage.world.earlier(30.0):
                    sha = repository.merge(issue.number, actor="lee")
                repository.check_run(sha, name="ci", conclusion="success")
                return f"#{issue.number} is merged as {sha[:7]}"
        return self.commit_to_main("fine")

    def commit_to_main(self, health: str) -> str:
        """Push a commit to main."""
        name = self._name()
        stories.commit(self.stage, name, "main", health)
        self.healths[self.stage.shas[name]] = health
        return f"main gets {self.stage.shas[name][:7]}, {health}"

    def configure(self) -> str:
        """Give web stages, or take them from it."""
        world = self.stage.world
        staged = self.staged()
        old, new = (_STAGED, _ROLE) if staged else (_ROLE, _STAGED)
        with world.earlier(30.0):
            sha = world.configure(lambda text: text.replace(old, new))
        world.repository.check_run(sha, name="ci", conclusion="success")
        self.healths[sha] = self.health(self.stage.world.repository.git.text("rev-parse", f"{sha}^"))
        return f"web is released {'at once' if staged else 'by stages'} from now on"

    def staged(self) -> bool:
        """Whether web is released by stages."""
        return "type: canary" in self.stage.world.repository.git.text("show", "main:.github/slipway.yml")

    def health(self, sha: str) -> str:
        """Return how a commit behaves, by its Dockerfile."""
        if sha not in self.healths:
            text = self.stage.world.repository.git.text("show", f"{sha}:Dockerfile")
            self.healths[sha] = next((one for one in HEALTHS if f"SHOP_HEALTH={one}" in text), "fine")
        return self.healths[sha]

    def _name(self) -> str:
        self._count += 1
        return f"walk-{self._count}"

    # -- events ---------------------------------------------------------------------------------------------
    def say(self, body: str, number: int, author: str = "lee") -> Event:
        """Comment on a pull request."""
        issue = self.pull(number)
        payload = self.stage.world.repository.comment(issue.number, body, author=author)
        return Event(name="issue_comment", payload=payload, actor=author, number=issue.number)

    def push(self) -> Event:
        """Tell of the last push to main."""
        payload = self.stage.world.repository.push_payload(actor="lee")
        return Event(name="push", payload=payload, actor="lee", number=0)

    def dispatch(self) -> Event:
        """Run the workflow by hand."""
        payload = self.stage.world.repository.dispatch_payload(actor="lee")
        return Event(name="workflow_dispatch", payload=payload, actor="lee", number=0)

    # -- by hand --------------------------------------------------------------------------------------------
    def edits(self) -> Mapping[str, Callable[[str, int], str]]:
        """Return what people change by hand, by name. Each takes an environment and a number that chooses."""
        return {
            "shift": self._shift,
            "split": self._split,
            "env": self._set_env,
            "revision": self._deploy,
            "tag": self._tag,
            "untag": self._untag,
            "scale": self._scale,
            "status": self._status,
            "deployment": self._deployment,
            "delete-comment": self._delete_comment,
            "edit-comment": self._edit_comment,
            "delete-lock": self._delete_lock,
            "close": self._close,
            "commit": self._commit,
        }

    def edit(self, name: str, environment: str, number: int) -> str:
        """Change something by hand. What Google refuses is not done."""
        try:
            return self.edits()[name](environment, number)
        except Refused as error:
            return f"nothing: refused, {error}"

    def _service(self, environment: str, number: int) -> RunService:
        name = invariants.SERVICES[number % len(invariants.SERVICES)]
        found = looking.service(self.stage.world, name, environment)
        assert found is not None
        return found

    def _moved(self, service: RunService, move: Callable[[str], object]) -> None:
        """Move traffic, and keep in mind which revisions have it because of that."""
        before = _with_traffic(service)
        move(service.name)
        self.sent |= _with_traffic(service) - before

    def _shift(self, environment: str, number: int) -> str:
        service = self._service(environment, number)
        revision = chosen(list(service.revisions), number // 2)
        assert revision is not None
        self.sent.add(revision)
        self._moved(service, lambda name: self.stage.world.console.shift(name, {revision: 100}))
        return f"sam moves {service.name} to {revision}"

    def _split(self, environment: str, number: int) -> str:
        service = self._service(environment, number)
        names = list(service.revisions)
        one, other = chosen(names, number // 2), chosen(names, number // 3)
        if one is None or other is None or one == other:
            return "nothing: one revision cannot be split"
        self.sent |= {one, other}
        self._moved(service, lambda name: self.stage.world.console.shift(name, {one: 60, other: 40}))
        return f"sam splits {service.name}: 60 % {one}, 40 % {other}"

    def _set_env(self, environment: str, number: int) -> str:
        service = self._service(environment, number)
        self._moved(service, lambda name: self.stage.world.console.set_env(name, SAM=str(number)))
        return f"sam sets a variable of {service.name}, and that serves"

    def _deploy(self, environment: str, number: int) -> str:
        service = self._service(environment, number)
        self._moved(service, lambda name: self.stage.world.console.deploy(name, env={"SAM": "x"}, serve=False))
        return f"sam deploys a revision of {service.name} that does not serve"

    def _tag(self, environment: str, number: int) -> str:
        service = self._service(environment, number)
        revision = chosen(list(service.revisions), number // 2)
        assert revision is not None
        tag = f"sam-{number % 3}"
        self._moved(service, lambda name: self.stage.world.console.add_tag(name, tag, revision))
        self.tags.setdefault(service.name, {})[tag] = revision
        return f"sam tags {revision} as {tag}"

    def _untag(self, environment: str, number: int) -> str:
        service = self._service(environment, number)
        tag = chosen(sorted(target.tag for target in service.site.targets if target.tag), number // 2)
        if tag is None:
            return "nothing: there is no tag"
        self._moved(service, lambda name: self.stage.world.console.drop_tag(name, tag))
        self.tags.get(service.name, {}).pop(tag, None)
        return f"sam takes the tag {tag} off {service.name}"

    def _scale(self, environment: str, number: int) -> str:
        service = self._service(environment, number)
        self.stage.world.console.scale(service.name, minInstanceCount=number % 3)
        return f"sam scales {service.name}"

    def _status(self, environment: str, number: int) -> str:
        deployment = chosen(invariants.deployments(self.stage, environment), number // 5 % 3)
        if deployment is None:
            return "nothing: there is no deployment"
        state = STATES[number % 5]
        self.stage.world.repository.set_deployment_status(deployment, state, creator="lee")
        return f"lee sets deployment {deployment.id} to {state}"

    def _deployment(self, environment: str, number: int) -> str:
        self.stage.world.repository.deploy("main", environment, creator="lee", state=STATES[number % 2])
        return f"lee records a deployment to {environment}, {STATES[number % 2]}"

    def _comment(self, number: int) -> Comment | None:
        return chosen(invariants.comments(self.stage), number % 3)

    def _delete_comment(self, _: str, number: int) -> str:
        comment = self._comment(number)
        if comment is None:
            return "nothing: there is no comment"
        del self.stage.world.repository.state.comments[comment.id]
        return f"lee deletes the bot's comment {comment.id}"

    def _edit_comment(self, _: str, number: int) -> str:
        comment = self._comment(number)
        if comment is None:
            return "nothing: there is no comment"
        text = "Thanks!" if number % 2 else f"{comment.body}\n\nLooks good."
        self.stage.world.repository.edit_comment(comment.id, text)
        return f"lee edits the bot's comment {comment.id}"

    def _delete_lock(self, environment: str, _: int) -> str:
        repository = self.stage.world.repository
        if environment not in looking.locks(self.stage.world):
            return "nothing: there is no lock"
        with suppress(GitError):
            repository.git.update_refs([RefUpdate(name=f"{looking.LOCKS}{environment}", after=ZEROS)])
        return f"lee deletes the lock of {environment}"

    def _close(self, _: str, number: int) -> str:
        if len(self.open_pulls()) < 3:
            return "nothing: it is one of the last"
        issue = self.pull(number, among=self.open_pulls())
        self.stage.world.repository.close(issue.number)
        return f"#{issue.number} is closed"

    def _commit(self, _: str, number: int) -> str:
        return self.amend(number, "fine")


def _with_traffic(service: RunService) -> set[str]:
    return {target.revision.name for target in service.site.targets if target.percent}


def words_of(event: Event) -> str:
    """Return an event in words."""
    if event.name == "issue_comment":
        return f"#{event.number} {json.dumps(event.payload['comment']['body'])} by {event.actor}"
    return event.name
