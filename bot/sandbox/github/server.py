"""The server: accounts, credentials, repositories, and what every answer carries."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from bot.sandbox.github import graphql, payloads
from bot.sandbox.github.context import Context
from bot.sandbox.github.git import Git
from bot.sandbox.github.gitobjects import Person
from bot.sandbox.github.model import Run, Token, User
from bot.sandbox.github.oidc import Oidc
from bot.sandbox.github.repository import Repository
from bot.sandbox.github.routes import register
from bot.sandbox.wire import Request, Response, Route, Service, WireError, answer

API_VERSION = "2022-11-28"
ACTIONS_BOT = "github-actions[bot]"
# What `permissions:` in a workflow can give the token of a run, as this bot's own workflow asks for it.
RUN_PERMISSIONS: Mapping[str, str] = {
    "actions": "write",
    "checks": "write",
    "contents": "write",
    "deployments": "write",
    "issues": "write",
    "pull_requests": "write",
    "statuses": "write",
}
Api = Callable[[Context], Response]


class GitHub(Service):
    """GitHub on loopback, over bare git repositories below a folder.

    ``clock`` gives seconds since the epoch. Handlers run one at a time under ``lock``, so each call is atomic.
    """

    name = "github"

    def __init__(self, root: Path, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.root, self._clock = root, clock
        self.created_at = clock()
        self.repositories: dict[str, Repository] = {}
        self.tokens: dict[str, Token] = {}
        self.teams: dict[tuple[str, str], dict[str, str]] = {}
        self.rate_limit = 5000
        """Calls each token may make; the next ones are refused with 403 and ``X-RateLimit-Remaining: 0``."""
        self.oidc = Oidc(self)
        self._users: dict[str, User] = {}
        self._needs: dict[tuple[str, str], tuple[str, ...]] = {}
        self._last_id = 1_000_000_000  # above what a small integer field holds by luck, below GraphQL's Int
        self.add_user("github", "Organization")
        self.add_user(ACTIONS_BOT, "Bot")
        register(self)

    def stop(self) -> None:
        """Stop listening, and stop the readers of the repositories."""
        super().stop()
        for repository in self.repositories.values():
            repository.git.close()

    def warm_up(self) -> None:
        """Do now what the first GraphQL call and the first identity token would else wait for (about 0.3 s)."""
        graphql.warm_up()
        self.oidc.key()

    # -- the world ------------------------------------------------------------------------------------------
    def now(self) -> float:
        """Return the server's time in seconds."""
        return self._clock()

    def new_id(self) -> int:
        """Return an id no other object has; later ones are larger."""
        with self.lock:
            self._last_id += 7
            return self._last_id

    def add_user(self, login: str, type: str = "User") -> User:  # noqa: A002  # GitHub's own word
        """Return an account, made when absent."""
        with self.lock:
            if login.lower() not in self._users:
                user = User(id=self.new_id(), login=login, type=type, created_at=self.now())
                self._users[login.lower()] = user
            return self._users[login.lower()]

    def user(self, login: str) -> User:
        """Return an account. Raises KeyError."""
        return self._users[login.lower()]

    def user_of(self, email: str) -> User | None:
        """Return the account whose no-reply address a commit carries."""
        match = re.fullmatch(r"\d+\+(.+)@users\.noreply\.github\.com", email)
        return self._users.get(match[1].lower()) if match else None

    def person_of_merges(self) -> Person:
        """Return whom test merge commits name. The time is fixed: the same merge is the same commit."""
        return Person(name="GitHub", email="noreply@github.com", time=int(self.created_at))

    def add_token(
        self,
        token: str,
        *,
        login: str = ACTIONS_BOT,
        permissions: Mapping[str, str] | None = RUN_PERMISSIONS,
        repositories: Iterable[str] | None = None,
    ) -> Token:
        """Make a token known. ``permissions`` None lets it do everything, as a classic personal token.

        ``repositories`` are full names of the only ones that it is for, None for all.
        """
        only = None if repositories is None else frozenset(name.lower() for name in repositories)
        with self.lock:
            self.add_user(login)
            self.tokens[token] = Token(value=token, login=login, permissions=permissions, repositories=only)
            return self.tokens[token]

    def add_team(self, organization: str, slug: str, members: Iterable[str]) -> None:
        """Make a team with its members."""
        with self.lock:
            self.add_user(organization, "Organization")
            logins = {self.add_user(login).login.lower(): "member" for login in members}
            self.teams[organization.lower(), slug.lower()] = logins

    def create_repository(
        self,
        full_name: str,
        *,
        files: Mapping[str, str | bytes] | None = None,
        default_branch: str = "main",
        private: bool = False,
        author: str = "dana",
    ) -> Repository:
        """Make a repository with a first commit of some files. A new owner is an organization."""
        with self.lock:
            git = Git.create(self._folder(full_name), default_branch)
            repository = self._add(full_name, git, default_branch, private=private)
            repository.commit(
                default_branch, files or {"README.md": f"# {full_name}\n"}, message="Begin", author=author
            )
            return repository

    def import_repository(
        self, full_name: str, bare: Path, *, private: bool = False, parent: Repository | None = None
    ) -> Repository:
        """Take a copy of an existing git repository with its whole history. Raises GitError."""
        with self.lock:
            git = Git.copy(bare, self._folder(full_name))
            default_branch = git.text("symbolic-ref", "--short", "HEAD")
            fork_of = parent.full_name if parent else None
            return self._add(full_name, git, default_branch, private=private, parent=fork_of)

    def _folder(self, full_name: str) -> Path:
        folder = self.root / f"{full_name}.git"
        folder.parent.mkdir(parents=True, exist_ok=True)
        return folder

    def _add(
        self, full_name: str, git: Git, default_branch: str, *, private: bool, parent: str | None = None
    ) -> Repository:
        self.add_user(full_name.partition("/")[0], "Organization")
        repository = Repository(
            github=self, full_name=full_name, git=git, default_branch=default_branch, private=private, parent=parent
        )
        self.repositories[full_name.lower()] = repository
        return repository

    def delete_repository(self, full_name: str) -> None:
        """Delete a repository. Pull requests from it stay, with their head's repository null."""
        with self.lock:
            gone = self.repositories.pop(full_name.lower())
            gone.git.close()
            for repository in self.repositories.values():
                for issue in repository.state.issues.values():
                    if issue.pull and issue.pull.head_repository == gone.full_name:
                        issue.pull.head_repository = None

    def environ(
        self,
        repo: Repository,
        run: Run,
        *,
        event_name: str,
        payload: Mapping[str, Any],
        event_path: Path,
        token: str,
    ) -> dict[str, str]:
        """Write the event file and return the variables a runner gives the steps of a job."""
        with self.lock:
            return payloads.environ(
                repo, run, event_name=event_name, payload=payload, event_path=event_path, token=token
            )

    # -- the wire -------------------------------------------------------------------------------------------
    def operation(self, method: str, template: str, handler: Api, *needs: str) -> None:
        """Declare an operation. ``needs`` are ``permission:level``, any one of which will do."""
        self._needs[method, template] = needs
        self.route(
            method,
            template,
            lambda request: handler(Context(github=self, request=request, viewer=self.viewer(request))),
        )

    def open_operation(self, method: str, template: str, handler: Callable[[Request], Response]) -> None:
        """Declare an operation that takes no API token."""
        self.route(method, template, handler)

    def viewer(self, request: Request) -> Token:
        """Return the token a request carries. Raises WireError 401."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if not value:
            raise WireError(401, "Requires authentication")
        token = self.tokens.get(value.strip())
        if scheme.lower() not in {"token", "bearer"} or token is None:
            raise WireError(401, "Bad credentials")
        return token

    def authorize(self, request: Request, route: Route) -> None:
        """Refuse unknown tokens, tokens over their limit, and tokens without the permission."""
        needs = self._needs.get((route.method, route.template))
        if needs is None:
            return
        token = self.viewer(request)
        if token.used >= self.rate_limit:
            raise WireError(403, f"API rate limit exceeded for user ID {self.user(token.login).id}.")
        token.used += 1
        pairs = [need.partition(":") for need in needs]
        if pairs and not any(token.may(permission, level) for permission, _, level in pairs):
            raise WireError(403, "Resource not accessible by integration")

    def render_error(self, error: WireError) -> Response:
        """Return an error as GitHub words it; the status is a string in the body."""
        body: dict[str, Any] = {"message": error.message}
        if "errors" in error.extra:
            body["errors"] = error.extra["errors"]
        body["documentation_url"] = "https://docs.github.com/rest"
        return answer({**body, "status": str(error.status)}, error.status)

    def handle(self, request: Request) -> Response:
        """Handle one call at a time, and add the headers every answer of the API has."""
        with self.lock:
            response = super().handle(request)
            response.headers |= self._headers(request)
            return response

    def _headers(self, request: Request) -> dict[str, str]:
        value = request.headers.get("authorization", "").partition(" ")[2].strip()
        used = self.tokens[value].used if value in self.tokens else 0
        return {
            "X-GitHub-Request-Id": ":".join(secrets.token_hex(2).upper() for _ in range(5)),
            "X-GitHub-Media-Type": "github.v3; format=json",
            "X-GitHub-Api-Version-Selected": request.headers.get("x-github-api-version", API_VERSION),
            "X-RateLimit-Limit": str(self.rate_limit),
            "X-RateLimit-Remaining": str(max(0, self.rate_limit - used)),
            "X-RateLimit-Used": str(used),
            "X-RateLimit-Reset": str(self.rate_reset()),
            "X-RateLimit-Resource": "graphql" if request.path == "/graphql" else "core",
        }

    def rate_reset(self) -> int:
        """Return when the current window of the rate limit ends, in whole seconds since the epoch."""
        return int(self.now() // 3600 + 1) * 3600
