"""Issues, pull requests, their comments and reviews."""

from __future__ import annotations

from bot.sandbox.github.checks import PASSING, Checks
from bot.sandbox.github.git import GitError
from bot.sandbox.github.gitobjects import ZEROS, FileChange, Person, RefUpdate
from bot.sandbox.github.model import Comment, Edit, Issue, Protection, Pull, Review


class Pulls(Checks):
    """Threads, and how a pull request follows its branch."""

    pending_mergeability = 0
    """How many reads of a pull request still find ``mergeable`` null, as after a push on GitHub."""

    def open_issue(self, title: str, *, body: str = "", author: str = "dana") -> int:
        """Open an issue and return its number."""
        with self.github.lock:
            now = self.github.now()
            number = len(self.state.issues) + 1
            self.state.issues[number] = Issue(
                id=self.github.new_id(), number=number, title=title, body=body,
                author=self.github.add_user(author).login, created_at=now, updated_at=now,
            )  # fmt: skip
            return number

    def open_pull_request(
        self,
        *,
        head: str,
        title: str = "Change something",
        body: str = "",
        author: str = "dana",
        base: str | None = None,
        draft: bool = False,
    ) -> int:
        """Open a pull request and return its number.

        ``head`` is a branch here, or ``owner:branch`` of a fork. Raises GitError when it does not exist.
        """
        with self.github.lock:
            owner, _, branch = head.rpartition(":")
            source = self.github.repositories[f"{owner or self.owner}/{self.name}".lower()]
            into = base or self.default_branch
            sha, base_sha = source.git.ref(f"refs/heads/{branch}"), self.git.ref(f"refs/heads/{into}")
            if sha is None or base_sha is None:
                raise GitError(f"no such branch: {head if sha is None else into}")
            number = self.open_issue(title, body=body, author=author)
            issue = self.state.issues[number]
            issue.pull = Pull(
                id=issue.id, head_repository=source.full_name, head_owner=source.owner, head_ref=branch,
                head_sha=sha, base_ref=into, base_sha=base_sha, draft=draft,
            )  # fmt: skip
            self._follow(issue, sha)
            return number

    def pull(self, number: int) -> tuple[Issue, Pull]:
        """Return a pull request. Raises KeyError."""
        issue = self.state.issues[number]
        if issue.pull is None:
            raise KeyError(number)
        return issue, issue.pull

    def head_moved(self, full_name: str, branch: str, sha: str) -> None:
        """Follow a push: open pull requests from the branch get its new head."""
        for issue in self.state.issues.values():
            pull = issue.pull
            if pull is None or issue.state != "open":
                continue
            if (pull.head_repository, pull.head_ref) != (full_name, branch):
                continue
            if sha == ZEROS:
                self.close(issue.number)
            else:
                self._follow(issue, sha)

    def _follow(self, issue: Issue, sha: str) -> None:
        pull = issue.pull
        assert pull is not None
        source = self.github.repositories[(pull.head_repository or "").lower()]
        ref = f"refs/pull/{issue.number}/head"
        if self.git.commit(sha) is None:
            # A fork's commits become reachable here through the pull request's own ref.
            self.git.run("fetch", "--quiet", str(source.git.path), f"+refs/heads/{pull.head_ref}:{ref}")
        else:
            self.git.update_refs([RefUpdate(name=ref, after=sha)])
        pull.head_sha, pull.base_sha = sha, self.git.ref(f"refs/heads/{pull.base_ref}") or pull.base_sha
        pull.merge_sha = None
        issue.updated_at = self.github.now()

    def close(self, number: int, *, actor: str = "dana") -> None:
        """Close an issue or pull request unmerged."""
        with self.github.lock:
            issue = self.state.issues[number]
            issue.state, issue.closed_at = "closed", self.github.now()
            issue.updated_at, issue.closed_by = issue.closed_at, self.github.add_user(actor).login

    def merge(self, number: int, *, actor: str = "dana") -> str:
        """Merge a pull request with a merge commit, record the push, and return the commit's sha.

        Raises GitError on conflict.
        """
        with self.github.lock:
            issue, pull = self.pull(number)
            base = self.git.ref(f"refs/heads/{pull.base_ref}") or pull.base_sha
            message = f"Merge pull request #{number} from {pull.head_owner}/{pull.head_ref}\n\n{issue.title}\n"
            sha = self.merge_commit(base, pull.head_sha, message, self.person(actor))
            if sha is None:
                raise GitError(f"pull request {number} does not merge cleanly")
            pull.merged_at, pull.merged_by = self.github.now(), self.github.add_user(actor).login
            pull.base_sha = base
            self.close(number, actor=actor)
            pull.merge_sha = sha
            self.move_refs([RefUpdate(name=f"refs/heads/{pull.base_ref}", after=sha)], actor=actor, kind="pr_merge")
            return sha

    def merge_commit(self, ours: str, theirs: str, message: str, who: Person) -> str | None:
        """Store a merge of two commits and return its sha, None on conflict. No ref moves."""
        tree = self.git.merged_tree(ours, theirs)
        if tree is None:
            return None
        return self.git.write_commit(tree=tree, parents=(ours, theirs), author=who, committer=who, message=message)

    # -- facts about a pull request -------------------------------------------------------------------------
    def _base(self, pull: Pull) -> str:
        live = self.git.ref(f"refs/heads/{pull.base_ref}") if pull.merged_at is None else None
        return live or pull.base_sha

    def pull_commits(self, issue: Issue) -> list[str]:
        """Return the shas of a pull request's commits, oldest first."""
        assert issue.pull is not None
        return self.git.between(self._base(issue.pull), issue.pull.head_sha)

    def pull_changes(self, issue: Issue) -> list[FileChange]:
        """Return the files a pull request changes, against its merge base."""
        assert issue.pull is not None
        start = self.git.merge_base(self._base(issue.pull), issue.pull.head_sha)
        return self.git.changes(start, issue.pull.head_sha) if start else []

    def mergeability(self, issue: Issue) -> tuple[bool | None, str]:
        """Return ``mergeable`` and ``mergeable_state``, and store the test merge commit as GitHub does."""
        pull = issue.pull
        assert pull is not None
        if issue.state != "open":
            return None, "unknown"
        if self.pending_mergeability > 0:
            self.pending_mergeability -= 1
            return None, "unknown"
        base = self._base(pull)
        pull.merge_sha = self.test_merge(issue)
        if pull.merge_sha is None:
            return False, "dirty"
        return True, self._merge_state(issue, pull, base)

    def test_merge(self, issue: Issue) -> str | None:
        """Return the test merge of a pull request, stored as ``refs/pull/N/merge`` as GitHub does; None on conflict."""
        pull = issue.pull
        assert pull is not None
        base = self._base(pull)
        key = (base, pull.head_sha)
        if key not in self._test_merges:
            message = f"Merge {pull.head_sha} into {base}"
            merged = self.merge_commit(base, pull.head_sha, message, self.github.person_of_merges())
            self._test_merges[key] = merged
            if merged is not None:
                self.git.update_refs([RefUpdate(name=f"refs/pull/{issue.number}/merge", after=merged)])
        return self._test_merges[key]

    def _merge_state(self, issue: Issue, pull: Pull, base: str) -> str:
        contexts = self.contexts(pull.head_sha)
        rule = self.state.protections.get(pull.base_ref, Protection())
        passed = {name for name, state in contexts if state in PASSING}
        if pull.draft:
            return "draft"
        wanting = rule.required_reviews and self.review_decision(issue) != "APPROVED"
        if wanting or set(rule.required_checks) - passed:
            return "blocked"
        if rule.strict and not self.git.is_ancestor(base, pull.head_sha):
            return "behind"
        return "unstable" if any(state not in PASSING for _, state in contexts) else "clean"

    def review(
        self, number: int, *, author: str, state: str = "APPROVED", sha: str | None = None, body: str = ""
    ) -> Review:
        """Review a pull request: APPROVED, CHANGES_REQUESTED, COMMENTED or DISMISSED."""
        with self.github.lock:
            issue, pull = self.pull(number)
            review = Review(
                id=self.github.new_id(), author=self.github.add_user(author).login, state=state,
                sha=sha or pull.head_sha, body=body, submitted_at=self.github.now(),
            )  # fmt: skip
            pull.reviews.append(review)
            issue.updated_at = review.submitted_at
            return review

    def review_decision(self, issue: Issue) -> str | None:
        """Return GraphQL's ``reviewDecision``: each writer's last opinion counts; None where none is asked."""
        assert issue.pull is not None
        opinions = {
            review.author: review.state
            for review in issue.pull.reviews
            if review.state != "COMMENTED" and self.role(review.author) in {"write", "maintain", "admin"}
        }
        needed = self.state.protections.get(issue.pull.base_ref, Protection()).required_reviews
        if "CHANGES_REQUESTED" in opinions.values():
            return "CHANGES_REQUESTED"
        approvals = sum(state == "APPROVED" for state in opinions.values())
        if approvals and approvals >= needed:
            return "APPROVED"
        return "REVIEW_REQUIRED" if needed else None

    # -- threads --------------------------------------------------------------------------------------------
    def add_comment(self, number: int, body: str, *, author: str) -> Comment:
        """Put a comment on an issue or pull request. Raises KeyError."""
        with self.github.lock:
            issue = self.state.issues[number]
            now = self.github.now()
            comment = Comment(
                id=self.github.new_id(), number=number, author=self.github.add_user(author).login,
                body=body, created_at=now, updated_at=now,
            )  # fmt: skip
            self.state.comments[comment.id] = comment
            issue.updated_at = now
            return comment

    def edit_comment(self, comment_id: int, body: str) -> Comment:
        """Change a comment's body and keep the earlier one. Raises KeyError."""
        with self.github.lock:
            comment, now = self.state.comments[comment_id], self.github.now()
            comment.edits.append(Edit(body=comment.body, until=now))
            comment.body, comment.updated_at = body, now
            return comment

    def thread(self, number: int) -> list[Comment]:
        """Return the comments of an issue or pull request, oldest first."""
        with self.github.lock:
            return [comment for comment in self.state.comments.values() if comment.number == number]
