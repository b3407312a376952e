"""A repository: its git, its people, and how its refs move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bot.sandbox.github.git import Git, GitError
from bot.sandbox.github.gitobjects import SHA, ZEROS, Person, RefUpdate, valid_ref
from bot.sandbox.github.model import ROLES, Activity, Protection, State

if TYPE_CHECKING:
    from bot.sandbox.github.server import GitHub


class Base:
    """Identity, git data, collaborators, and pushes recorded by the server's clock."""

    def __init__(
        self,
        *,
        github: GitHub,
        full_name: str,
        git: Git,
        default_branch: str,
        private: bool = False,
        parent: str | None = None,
    ) -> None:
        self.github, self.full_name, self.git = github, full_name, git
        self.owner, _, self.name = full_name.partition("/")
        self.id = github.new_id()
        self.default_branch, self.private, self.parent = default_branch, private, parent
        self.created_at = self.pushed_at = github.now()
        self.state = State()
        self._test_merges: dict[tuple[str, str], str | None] = {}

    @property
    def api(self) -> str:
        """The address of the repository in the REST API."""
        return f"{self.github.url}/repos/{self.full_name}"

    @property
    def html(self) -> str:
        """The address of the repository's page."""
        return f"{self.github.url}/{self.full_name}"

    # -- people ---------------------------------------------------------------------------------------------
    def add_collaborator(self, login: str, role: str = "write") -> None:
        """Give someone a role: read, triage, write, maintain or admin."""
        assert role in ROLES, role
        with self.github.lock:
            self.github.add_user(login)
            self.state.collaborators[login.lower()] = role

    def remove_collaborator(self, login: str) -> None:
        """Take someone's role away."""
        with self.github.lock:
            self.state.collaborators.pop(login.lower(), None)

    def role(self, login: str) -> str:
        """Return someone's role; anyone reads a public repository, ``none`` is left for a private one."""
        if login.lower() == self.owner.lower():
            return "admin"
        return self.state.collaborators.get(login.lower(), "none" if self.private else "read")

    def association(self, login: str) -> str:
        """Return how an author relates to the repository (``author_association``)."""
        if login.lower() == self.owner.lower():
            return "OWNER"
        return "COLLABORATOR" if login.lower() in self.state.collaborators else "NONE"

    def person(self, login: str) -> Person:
        """Return an account as commits name it, now."""
        user = self.github.add_user(login)
        return Person(name=user.login, email=user.email, time=int(self.github.now()))

    # -- refs -----------------------------------------------------------------------------------------------
    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """Return ``{full name: sha}`` of the refs below a prefix."""
        return self.git.refs(prefix)

    def branches(self) -> dict[str, str]:
        """Return ``{branch: sha}``."""
        return {name.removeprefix("refs/heads/"): sha for name, sha in self.git.refs("refs/heads/").items()}

    def resolve(self, ref: str) -> str | None:
        """Return the commit a REST ``ref`` names: full sha, ref, branch, tag or short sha; or None."""
        if SHA.fullmatch(ref):
            found = self.git.commit(ref)
            return found.sha if found else None
        if ref == "HEAD":
            ref = self.default_branch
        names = [ref, *(prefix + ref for prefix in ("refs/heads/", "refs/tags/", "refs/"))]
        candidates = [name for name in names if valid_ref(name)]
        if 4 <= len(ref) < 40 and all(letter in "0123456789abcdef" for letter in ref):
            candidates.append(ref)
        for name in candidates:
            if found := self.git.commit(name):
                return found.sha
        return None

    def fast_forward(self, old: str, new: str) -> bool:
        """Tell whether a ref may go from old to new unforced: both are commits, and new contains old."""
        kinds = [found.type if (found := self.git.object(sha)) else "" for sha in (old, new)]
        return kinds == ["commit", "commit"] and self.git.is_ancestor(old, new)

    def move_refs(self, updates: Sequence[RefUpdate], *, actor: str, kind: str | None = None) -> None:
        """Apply ref updates, all or none, and record those of branches as pushes. Raises GitError."""
        before = {update.name: self.git.ref(update.name) or ZEROS for update in updates}
        self.git.update_refs(updates)
        for update in updates:
            self._pushed(update.name, before[update.name], update.after, actor=actor, kind=kind)

    def _pushed(self, ref: str, before: str, after: str, *, actor: str, kind: str | None = None) -> None:
        if not ref.startswith("refs/heads/") or before == after:
            return
        if kind is None:
            kind = self._activity_type(before, after)
        now = self.github.now()
        self.pushed_at = now
        self.state.activity.append(
            Activity(
                id=self.github.new_id(), before=before, after=after, ref=ref, timestamp=now,
                activity_type=kind, actor=self.github.add_user(actor).login,
            )
        )  # fmt: skip
        for repository in self.github.repositories.values():
            repository.head_moved(self.full_name, ref.removeprefix("refs/heads/"), after)

    def _activity_type(self, before: str, after: str) -> str:
        if before == ZEROS:
            return "branch_creation"
        if after == ZEROS:
            return "branch_deletion"
        return "push" if self.fast_forward(before, after) else "force_push"

    def commit(
        self,
        branch: str,
        files: Mapping[str, str | bytes | None] | None = None,
        *,
        message: str = "Change something",
        author: str = "dana",
        base: str | None = None,
        time: float | None = None,
    ) -> str:
        """Commit files on a branch and push it; None as a file's content removes it.

        The branch is made from ``base`` (the default branch unless told) when it is absent. ``time`` forges the
        commit's date, in seconds; the push is recorded by the server's clock all the same. Returns the sha.
        """
        with self.github.lock:
            ref = f"refs/heads/{branch}"
            before = self.git.ref(ref)
            parent = before or self.resolve(base or self.default_branch)
            who = self.person(author)
            if time is not None:
                who = Person(name=who.name, email=who.email, time=int(time))
            sha = self.git.commit_files(ref=ref, parent=parent, files=files or {}, author=who, message=message)
            self._pushed(ref, before or ZEROS, sha, actor=author)
            return sha

    def force_push(self, branch: str, to: str, *, actor: str = "dana") -> str:
        """Move a branch to any commit, as ``git push --force`` does, and return the sha. Raises GitError."""
        with self.github.lock:
            sha = self.resolve(to)
            if sha is None:
                raise GitError(f"no such commit: {to}")
            self.move_refs([RefUpdate(name=f"refs/heads/{branch}", after=sha)], actor=actor)
            return sha

    def delete_branch(self, branch: str, *, actor: str = "dana") -> None:
        """Delete a branch. Raises GitError."""
        with self.github.lock:
            self.move_refs([RefUpdate(name=f"refs/heads/{branch}", after=ZEROS)], actor=actor)

    def tag(self, name: str, ref: str) -> str:
        """Make a lightweight tag and return the commit's sha. Raises GitError."""
        with self.github.lock:
            sha = self.resolve(ref)
            if sha is None:
                raise GitError(f"no such commit: {ref}")
            self.git.update_refs([RefUpdate(name=f"refs/tags/{name}", after=sha)])
            return sha

    def protect(
        self,
        branch: str,
        *,
        required_checks: Sequence[str] = (),
        strict: bool = False,
        required_reviews: int = 0,
        kind: str = "both",
    ) -> None:
        """Ask a branch's pull requests for checks and reviews, by a classic rule, a ruleset or both."""
        assert kind in {"classic", "ruleset", "both"}, kind
        with self.github.lock:
            self.state.protections[branch] = Protection(
                required_checks=tuple(required_checks), strict=strict, required_reviews=required_reviews, kind=kind
            )
