"""Bare git repositories through the git command line.

Everything the server says about objects, refs and history comes from here. Reads of single objects go through one
long-lived ``git cat-file --batch`` for each repository (it sees new objects and refs at once, and costs no process
start); objects never change, so those read by their full sha are kept.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from bot.sandbox.github.gitobjects import (
    SHA,
    ZEROS,
    Commit,
    FileChange,
    Object,
    Person,
    RefUpdate,
    TreeEntry,
    parse_commit,
    parse_tag,
    person_line,
    valid_ref,
)

T = TypeVar("T")

KEPT_OBJECT = 1 << 16  # bytes; larger objects are read again each time


class GitError(Exception):
    """git refused; the message is its standard error, ``code`` its exit status, ``output`` what it said before."""

    def __init__(self, message: str, code: int = 0, output: bytes = b"") -> None:
        super().__init__(message)
        self.code, self.output = code, output


_ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
    # What commit-tree and friends fall back to; every real author is given explicitly.
    "GIT_AUTHOR_NAME": "GitHub",
    "GIT_AUTHOR_EMAIL": "noreply@github.com",
    "GIT_COMMITTER_NAME": "GitHub",
    "GIT_COMMITTER_EMAIL": "noreply@github.com",
}


def git(*arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> bytes:
    """Run git and return its standard output. Raises GitError with its standard error."""
    done = subprocess.run(
        ["git", *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        env={**_ENVIRONMENT, **(environment or {})},
    )
    if done.returncode:
        text = done.stderr.decode(errors="replace").strip()
        raise GitError(text or f"git {arguments[0]}: exit {done.returncode}", done.returncode, done.stdout)
    return done.stdout


@dataclass(kw_only=True)
class Git:
    """One bare repository."""

    path: Path
    _kept: dict[str, Object] = field(default_factory=dict, repr=False)
    _facts: dict[tuple[str, ...], object] = field(default_factory=dict, repr=False)
    _batch: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def create(cls, path: Path, default_branch: str) -> Git:
        """Make an empty bare repository."""
        git("init", "--quiet", "--bare", f"--initial-branch={default_branch}", "--template=", str(path))
        return cls(path=path)

    @classmethod
    def copy(cls, source: Path, path: Path) -> Git:
        """Make a bare copy of a repository with all of its refs."""
        git("clone", "--quiet", "--mirror", "--template=", str(source.resolve()), str(path))
        return cls(path=path)

    def close(self) -> None:
        """Stop the reader process."""
        with self._lock:
            batch, self._batch = self._batch, None
        if batch is not None:
            batch.communicate()

    def run(self, *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> bytes:
        """Run a git command in this repository. Raises GitError."""
        return git(f"--git-dir={self.path}", *arguments, stdin=stdin, environment=environment)

    def text(self, *arguments: str) -> str:
        """Run a git command and return its output as text without the last line end. Raises GitError."""
        return self.run(*arguments).decode(errors="replace").removesuffix("\n")

    # -- objects --------------------------------------------------------------------------------------------
    def object(self, revision: str) -> Object | None:
        """Return the object a revision names, or None."""
        if revision in self._kept:
            return self._kept[revision]
        if not revision or any(character in revision for character in "\n\0"):
            return None
        found = self._read(revision)
        if found is not None and len(found.data) <= KEPT_OBJECT:
            self._kept[found.sha] = found
        return found

    def _read(self, revision: str) -> Object | None:
        with self._lock:
            if self._batch is None:
                self._batch = subprocess.Popen(
                    ["git", f"--git-dir={self.path}", "cat-file", "--batch"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_ENVIRONMENT,
                )  # fmt: skip
            batch = self._batch
            assert batch.stdin is not None
            assert batch.stdout is not None
            batch.stdin.write(revision.encode() + b"\n")
            batch.stdin.flush()
            header = batch.stdout.readline().decode(errors="replace").split()
            if len(header) != 3 or not SHA.fullmatch(header[0]):
                return None  # "NAME missing" or "NAME ambiguous"
            data = batch.stdout.read(int(header[2]))
            batch.stdout.read(1)
            return Object(sha=header[0], type=header[1], data=data)

    def commit(self, revision: str) -> Commit | None:
        """Return the commit a revision peels to, or None."""
        found = self.object(revision)
        while found is not None and found.type == "tag":
            found = self.object(parse_tag(found).target)
        return parse_commit(found) if found is not None and found.type == "commit" else None

    def write(self, kind: str, data: bytes) -> str:
        """Store an object and return its sha. Raises GitError when it is malformed."""
        return self.run("hash-object", "-w", "-t", kind, "--stdin", stdin=data).decode().strip()

    def write_commit(
        self, *, tree: str, parents: Sequence[str], author: Person, committer: Person, message: str
    ) -> str:
        """Store a commit object and return its sha. Raises GitError."""
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        lines += [f"author {person_line(author)}", f"committer {person_line(committer)}"]
        return self.write("commit", ("\n".join(lines) + f"\n\n{message}").encode())

    def write_tag(self, *, target: str, kind: str, name: str, tagger: Person, message: str) -> str:
        """Store an annotated tag object (no ref) and return its sha. Raises GitError."""
        head = f"object {target}\ntype {kind}\ntag {name}\ntagger {person_line(tagger)}\n\n"
        return self.write("tag", (head + message).encode())

    def write_tree(self, entries: Iterable[tuple[str, str, str]], base: str | None) -> str:
        """Store a tree of ``(mode, sha, path)`` on top of a base tree; zeros remove a path. Raises GitError."""
        index = self.path / f"index.{threading.get_ident()}"
        environment = {"GIT_INDEX_FILE": str(index)}
        try:
            self.run("read-tree", base or "--empty", environment=environment)
            lines = "".join(f"{mode if sha != ZEROS else 0} {sha}\t{path}\0" for mode, sha, path in entries)
            self.run("update-index", "-z", "--index-info", stdin=lines.encode(), environment=environment)
            return self.run("write-tree", environment=environment).decode().strip()
        finally:
            index.unlink(missing_ok=True)

    def commit_files(
        self, *, ref: str, parent: str | None, files: Mapping[str, str | bytes | None], author: Person, message: str
    ) -> str:
        """Commit files (None removes one) on top of a parent, move the ref there, and return the sha."""
        who, text = person_line(author), message.encode()
        parts = [f"commit {ref}\nmark :1\nauthor {who}\ncommitter {who}\ndata {len(text)}\n".encode(), text, b"\n"]
        if parent:
            parts.append(f"from {parent}\n".encode())
        for path, content in files.items():
            if content is None:
                parts.append(f"D {path}\n".encode())
            else:
                data = content if isinstance(content, bytes) else content.encode()
                parts += [f"M 100644 inline {path}\ndata {len(data)}\n".encode(), data, b"\n"]
        parts.append(b"\nget-mark :1\ndone\n")
        return self.run("fast-import", "--quiet", "--done", "--force", stdin=b"".join(parts)).decode().strip()

    # -- refs -----------------------------------------------------------------------------------------------
    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """Return ``{full name: sha}`` of the refs whose name starts with a prefix (any characters), by name."""
        folder = prefix[: prefix.rfind("/") + 1]
        listed = self.text("for-each-ref", "--format=%(refname) %(objectname)", folder).splitlines()
        pairs = (line.split(" ") for line in listed)
        return {name: sha for name, sha in pairs if name.startswith(prefix)}

    def ref(self, name: str) -> str | None:
        """Return what a fully named ref points at (a tag object is not peeled), or None."""
        if not valid_ref(name):
            return None
        found = self.object(name)
        return found.sha if found else None

    def update_refs(self, updates: Iterable[RefUpdate]) -> None:
        """Apply all updates or none. Raises GitError, for instance when a ref is not where ``before`` says."""
        lines = ["start"]
        for update in updates:
            if update.before == ZEROS and update.after == ZEROS:
                lines.append(f"verify {update.name} {ZEROS}")
            elif update.after == ZEROS:
                lines.append(f"delete {update.name} {update.before or ''}".rstrip())
            else:
                lines.append(f"update {update.name} {update.after} {update.before or ''}".rstrip())
        self.run("update-ref", "--stdin", stdin="\n".join([*lines, "prepare", "commit", ""]).encode())

    # -- history --------------------------------------------------------------------------------------------
    def _once(self, key: tuple[str, ...], work: Callable[[], T]) -> T:
        """Return a fact about full shas, worked out once: history below a commit never changes."""
        if key not in self._facts:
            self._facts[key] = work()
        return cast("T", self._facts[key])

    def is_ancestor(self, old: str, new: str) -> bool:
        """Tell whether one commit is reachable from another, by full shas. Raises GitError for other objects."""
        return old == new or not self.between(new, old)

    def merge_base(self, left: str, right: str) -> str | None:
        """Return the best common ancestor of two commits by full shas, or None for unrelated histories."""
        return self._once(("merge-base", left, right), lambda: self._merge_base(left, right))

    def _merge_base(self, left: str, right: str) -> str | None:
        try:
            return self.text("merge-base", left, right)
        except GitError:
            return None

    def between(self, base: str, head: str) -> list[str]:
        """Return the commits of head that base lacks, by full shas, oldest first. Raises GitError."""
        options = ("rev-list", "--reverse", "--topo-order", head, f"^{base}")
        return list(self._once(options, lambda: self.text(*options).split()))

    def merged_tree(self, ours: str, theirs: str) -> str | None:
        """Return the tree of a clean merge of two commits by full shas, or None on conflict. Needs git 2.38."""
        return self._once(("merge-tree", ours, theirs), lambda: self._merged_tree(ours, theirs))

    def _merged_tree(self, ours: str, theirs: str) -> str | None:
        try:
            return self.text("merge-tree", "--write-tree", ours, theirs).splitlines()[0]
        except GitError as error:
            if error.code == 1 and error.output:  # a conflict; anything else is a failure of git's
                return None
            raise

    def tree(self, revision: str, *, recursive: bool = False) -> list[TreeEntry]:
        """List a tree. Raises GitError."""
        options = ["-r", "-t"] if recursive else []
        entries = []
        for line in self.run("ls-tree", "-z", "--long", *options, revision).decode(errors="replace").split("\0"):
            if line:
                head, path = line.split("\t", 1)
                mode, kind, sha, size = head.split()
                number = int(size) if size != "-" else None
                entries.append(TreeEntry(mode=mode, type=kind, sha=sha, path=path, size=number))
        return entries

    def changes(self, base: str, head: str) -> list[FileChange]:
        """Return the files that differ between two commits or trees by full shas, renames found."""
        return list(self._once(("diff", base, head), lambda: list(_changes(self, base, head))))

    def archive(self, sha: str, prefix: str) -> bytes:
        """Return a gzipped tar of a commit, all below one folder. Raises GitError."""
        return self.run("archive", "--format=tar.gz", f"--prefix={prefix}/", sha)


_STATUS = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "C": "copied", "T": "changed"}


def _patches(repository: Git, base: str, head: str) -> tuple[str, ...]:
    text = repository.run("diff-tree", "-r", "-M", "-p", base, head).decode(errors="replace")
    found = re.split(r"^diff --git .*\n", text, flags=re.MULTILINE)[1:]
    return tuple(part[part.find("@@") :].rstrip("\n") if "\n@@" in part else "" for part in found)


def _changes(repository: Git, base: str, head: str) -> Iterable[FileChange]:
    raw = repository.run("diff-tree", "-r", "-M", "--raw", "--numstat", "-z", "--no-abbrev", base, head)
    fields = iter(raw.decode(errors="replace").split("\0"))
    changed: list[tuple[str, str, str, str | None]] = []
    counts: dict[str, tuple[int, int]] = {}
    for entry in fields:
        if entry.startswith(":"):
            _, _, old_sha, new_sha, status = entry.split(" ")
            first = next(fields)
            path, previous = (next(fields), first) if status[0] in "RC" else (first, None)
            changed.append((_STATUS.get(status[0], "changed"), old_sha if status == "D" else new_sha, path, previous))
        elif entry:
            added, deleted, path = entry.split("\t")
            if not path:  # a rename: the two names follow
                _, path = next(fields), next(fields)
            counts[path] = tuple(int(count) if count != "-" else 0 for count in (added, deleted))  # type: ignore[assignment] # two of them
    for (status, sha, path, previous), patch in zip(changed, _patches(repository, base, head), strict=True):
        additions, deletions = counts[path]
        yield FileChange(
            path=path, previous=previous, status=status, sha=sha,
            additions=additions, deletions=deletions, patch=patch or None,
        )  # fmt: skip
