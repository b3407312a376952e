"""What handling an event has at hand: the ports, the reads already asked for, and the ways to tell people."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from bot.core.commands import Command, Misread
from bot.core.events import CommentEvent, Event
from bot.core.facts import CommentRef, Deployment, Held, Permission, PullRequest
from bot.core.notices import Notice
from bot.core.outcome import Decision, Outcome, Reason, Refusal
from bot.core.policy import Trigger
from bot.core.ports import HISTORY, GitHub, Sources
from bot.core.redaction import Masker
from bot.core.registry import REGISTRY
from bot.core.spec import Spec
from bot.core.target import Target
from bot.engine.clock import Clock
from bot.engine.gathering import Gatherer
from bot.engine.persistence import insist
from bot.engine.verification import Prober
from bot.errors import ConfigError, NotFoundError, SlipwayError
from bot.report.answers import answer_body, hint_comment, problem_comment, refusal_comment
from bot.report.comment import marker, read_marker
from bot.report.limits import apart, fit
from bot.report.markdown import prose
from bot.settings import Settings

T = TypeVar("T")
_NO_FAILURES = frozenset({Reason.ON_HOLD, Reason.SUPERSEDED, Reason.REPLACED, Reason.DEQUEUED})


@dataclass(frozen=True, kw_only=True)
class Request:
    """One command with where it came from.

    ``id`` names it for ever: the same comment and line, push or run is the same request. ``number`` is the pull request
    (0: none), ``issue`` where to answer (0: nowhere), ``sha`` the commit where the event names one.
    """

    command: Command
    actor: str
    trigger: Trigger
    id: str
    number: int = 0
    issue: int = 0
    source_comment: int = 0
    source_node: str = ""  # the same comment's node id
    commented_at: datetime | None = None
    sha: str = ""
    by_bot: bool = False

    def for_environment(self, name: str) -> Request:
        """Return the same request for a named environment."""
        several = self.trigger in {"push", "pull_request"}  # one event, and a request for each environment
        request_id = f"{self.id}-{name}" if several else self.id
        return replace(self, id=request_id, command=replace(self.command, environment=name))


@dataclass(kw_only=True, eq=False)  # equal to itself alone, so that reads can be keyed by it
class Context:
    """The ports and what was read through them. One for each event.

    ``connect`` gives the target of a spec (its libraries are imported then); ``prepare`` has one imported what a
    release needs besides, while others are waited for, which a question does not pay for. ``masker`` takes secrets out
    of what is told. ``summary`` collects what goes to the job summary.
    """

    settings: Settings
    github: GitHub
    final: GitHub  # the same, whose waits go on when the run is being cancelled: for telling how it ended
    sources: Sources  # other repositories
    connect: Callable[[Spec], Target]
    probe: Prober
    clock: Clock
    default_branch: str
    masker: Masker
    prepare: Callable[[Target], None] = lambda _target: None
    notify: Callable[[Notice], tuple[str, ...]] = lambda _notice: ()
    log: Callable[..., None] = lambda _event, **_values: None
    summary: list[str] = field(default_factory=list)
    gatherer: Gatherer = field(default_factory=Gatherer)
    _comments: dict[str, CommentRef] = field(default_factory=dict)
    _first: Request | None = None

    def clean(self, text: str) -> str:
        """Take secrets out of a text."""
        return self.masker.mask(text)

    def connect_to_release(self, spec: Spec) -> Target:
        """Connect a target, and have it prepare for its first steps."""
        target = self.connect(spec)
        self.prepare(target)
        return target

    # -- reading --------------------------------------------------------------------------------------------
    def ask(self, read: Callable[..., T], *args: Hashable) -> Future[T]:
        """Ask for something once; later askers get the same answer."""
        return self.gatherer.once(read, *args)

    def prefetch(self, requests: tuple[Request, ...]) -> None:
        """Ask for everything that the first answer will depend on, at once."""
        self._first = requests[0] if requests else None
        self.config_text()
        for request in requests[:1]:
            if request.actor:
                self.permission(request.actor)
            if request.trigger == "push":
                self.ask(self.github.pull_requests_of, request.sha)
            if request.number and REGISTRY[request.command.verb].about_head:
                self.pull_request(request.number)
            if request.command.environment and request.command.verb != "preview":  # whose record is another
                self.held(request.command.environment)
                self.deployments(request.command.environment)

    def addressed(self, request: Request) -> Request:
        """Give a push the pull request it came in by, to report there: the one that merged it, if any did."""
        if request.trigger != "push":
            return request
        try:
            numbers = self.ask(self.github.pull_requests_of, request.sha).result()
        except SlipwayError:  # then the job summary is where it is told
            return request
        return replace(request, issue=numbers[0]) if numbers else request

    def permission(self, login: str) -> Future[Permission]:
        """A user's role."""
        return self.ask(self.github.permission, login)

    def config_text(self) -> Future[str | None]:
        """The configuration's text on the default branch."""
        return self.ask(self.github.file, self.settings.config_path, self.default_branch)

    def pull_request(self, number: int) -> Future[PullRequest]:
        """A pull request as it was when first asked for."""
        return self.ask(self.github.pull_request, number)

    def held(self, *environments: str) -> Future[Mapping[str, Held]]:
        """What was on environments when first asked for."""
        return self.ask(self.github.held, environments)

    def deployments(self, environment: str) -> Future[tuple[Deployment, ...]]:
        """An environment's newest deployments."""
        return self.ask(self.github.deployments, environment, HISTORY)

    def deployments_of(self, environments: Iterable[str]) -> None:
        """Ask for the newest deployments of several environments at once, for those who ask for one of them later."""
        names = tuple(environments)
        if len(names) < 2:
            return
        asked = self.ask(self.github.deployments_of, names, HISTORY)
        for name in names:
            self.gatherer.give(lambda name=name: asked.result()[name], self.github.deployments, name, HISTORY)  # type: ignore[misc]

    # -- telling --------------------------------------------------------------------------------------------
    @property
    def refused_exit(self) -> int:
        """A refused comment is answered and no failure; a refused push or dispatch has only its exit code to show.

        (A hold is what somebody wanted, and a later release too: a push that meets one does not turn the branch red.)
        """
        return 0 if self.settings.event_name == "issue_comment" else 1

    def react(self, content: str) -> None:
        """React to the comment that the event is about. A reaction that fails is no matter."""
        if self._first is not None and self._first.source_comment:
            with suppress(SlipwayError):
                self.final.react(self._first.source_comment, content)

    def unreact(self, event: Event) -> None:
        """Take the first reaction back: the comment was not for us after all."""
        if self.settings.reaction_id and isinstance(event, CommentEvent):
            with suppress(SlipwayError):
                self.final.unreact(event.comment_id, self.settings.reaction_id)

    def marker(self, request: Request, sha: str = "") -> str:
        """Return the hidden first line of the request's comment."""
        return marker(request.id, environment=request.command.environment, sha=sha)

    def say(self, request: Request, body: str, *, rest: bool = True) -> CommentRef | None:
        """Write the request's one comment: the first time it is made, then it is edited.

        What does not fit goes to the job summary, if ``rest``. Without a pull request or issue, all of it does.
        """
        fitted = fit(self._cleaned(body), rest_url=self.settings.run.url)
        if not request.issue:
            self.summary.append(answer_body(fitted.body, fitted.overflow))
            return None
        if fitted.overflow and rest:
            self.summary.append(fitted.overflow)
        known = self._comments.get(request.id) or self._said_before(request)
        if known is None:
            known = self.final.comment(request.issue, fitted.body)
        elif known.body != fitted.body:
            known = self._edited(request, known, fitted.body)
        self._comments[request.id] = known
        return known

    def _cleaned(self, body: str) -> str:
        """Take secrets out of a comment. A signed block is whole or not there: a change would break its signature."""
        text, block = apart(body)
        return self.clean(text) + (block if self.clean(block) == block else "")

    def _said_before(self, request: Request) -> CommentRef | None:
        """Find the comment that an earlier attempt of this run has made: one command has one comment."""
        if self.settings.run.attempt == 1:
            return None
        with suppress(SlipwayError):
            for one in self.final.own_comments(request.issue):
                marks = read_marker(one.body)
                if marks.get("id") == request.id and not marks.get("told"):
                    return CommentRef(id=one.id, body=one.body)
        return None

    def _edited(self, request: Request, known: CommentRef, body: str) -> CommentRef:
        try:
            insist(lambda: self.final.edit_comment(known.id, body), self.clock)
        except NotFoundError:  # somebody deleted it, and still has to be told
            return self.final.comment(request.issue, body)
        return replace(known, body=body)

    def note(self, texts: Iterable[str]) -> None:
        """Put sentences into the job summary, each as a paragraph. They may quote others, so they are no Markdown."""
        self.summary += [prose(self.clean(text)) for text in texts]

    def adopt_comment(self, request: Request, comment_id: int) -> None:
        """Go on with a comment that an earlier run of the same request has made."""
        if comment_id and request.id not in self._comments:
            self._comments[request.id] = CommentRef(id=comment_id)

    def comment_of(self, request: Request) -> CommentRef | None:
        """Return the request's comment, if there is one yet."""
        return self._comments.get(request.id)

    def refuse(
        self, request: Request, refusals: tuple[Refusal, ...], *, silent: bool = False, sha: str = ""
    ) -> Outcome:
        """Say why a command is not carried out. ``silent``: a reaction is all an outsider gets."""
        command, refusals = request.command, self.masker.mask_all(refusals)
        if not silent:
            body = refusal_comment(
                refusals,
                marker=self.marker(request, sha),
                command=command.text,
                environment=command.environment,
                sha=sha,
            )
            self.say(request, body)
        self.react("-1")
        comment = self.comment_of(request)
        return Outcome(
            decision=Decision.REFUSED,
            reason=refusals[0].reason,
            environment=command.environment,
            sha=sha,
            comment_id=comment.id if comment else 0,
            exit_code=0 if {refusal.reason for refusal in refusals} <= _NO_FAILURES else self.refused_exit,
            message=" ".join(refusal.sentence for refusal in refusals),
        )

    def ended(
        self,
        request: Request,
        decision: Decision,
        reason: Reason,
        *,
        sha: str = "",
        exit_code: int = 0,
        sign: str = "rocket",
    ) -> Outcome:
        """Show at the command that it was carried out, and return how."""
        self.react(sign)
        comment = self.comment_of(request)
        return Outcome(
            decision=decision,
            reason=reason,
            environment=request.command.environment,
            sha=sha,
            comment_id=comment.id if comment else 0,
            exit_code=exit_code,
        )

    def tell_problem(self, request: Request, error: SlipwayError, *, unchanged: bool = False) -> None:
        """Tell the request's author of a fault, if that can be done. ``unchanged``: for certain nothing was changed."""
        problems = error.problems if isinstance(error, ConfigError) else ()
        # Before it is rendered: what a report does to a text may hide a secret's shape.
        body = problem_comment(
            self.clean(error.message),
            self.clean(error.hint),
            self.masker.mask_all(problems),
            marker=self.marker(request),
            reason=Reason(error.reason),
            unchanged=unchanged,
            run_url=self.settings.run.url,
        )
        with suppress(SlipwayError):
            self.say(request, body)

    def tell_misread(self, request: Request, misread: Misread, environments: tuple[str, ...]) -> None:
        """Answer a line that was nearly a command."""
        if misread.unknown and misread.suggestion:
            body = hint_comment(
                typed=misread.text,
                suggestion=misread.suggestion,
                marker=self.marker(request),
                environments=environments,
            )
            self.say(request, body)
        else:
            next_ = f"`{misread.suggestion}`" if misread.suggestion else ""
            refusal = Refusal(reason=Reason.BAD_ARGUMENTS, sentence=misread.sentence, next=next_)
            self.say(request, refusal_comment((refusal,), marker=self.marker(request), command=misread.text))
