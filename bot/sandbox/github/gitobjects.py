"""Git's own values, parsed: objects, refs and diffs."""

from __future__ import annotations

import re
from dataclasses import dataclass

ZEROS = "0" * 40
SHA = re.compile(r"[0-9a-f]{40}")
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # what git hash-object -t tree /dev/null says
PERSON = re.compile(r"(?P<name>.*?) ?<(?P<email>[^>]*)> (?P<time>\d+) (?P<zone>[+-]\d{4})")


@dataclass(frozen=True, kw_only=True)
class Object:
    """A git object: its 40-hex sha, its type (blob, tree, commit, tag) and its bytes."""

    sha: str
    type: str
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Person:
    """An author, committer or tagger. ``time`` is in seconds since the epoch."""

    name: str
    email: str
    time: int


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit object, parsed."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str


@dataclass(frozen=True, kw_only=True)
class Tag:
    """An annotated tag object, parsed. ``target`` is the sha it points at."""

    sha: str
    target: str
    type: str
    name: str
    tagger: Person
    message: str


@dataclass(frozen=True, kw_only=True)
class TreeEntry:
    """One line of a tree. ``path`` is relative to the tree that was listed; ``size`` is of blobs only."""

    mode: str
    type: str
    sha: str
    path: str
    size: int | None = None


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """One file of a diff. ``status`` is GitHub's word for it; ``patch`` is None for binary files."""

    path: str
    previous: str | None
    status: str
    sha: str
    additions: int
    deletions: int
    patch: str | None


@dataclass(frozen=True, kw_only=True)
class RefUpdate:
    """One update of a ref; zeros in ``after`` delete it. ``before`` None means: whatever it is."""

    name: str
    after: str
    before: str | None = None


def valid_ref(name: str) -> bool:
    """Apply the rules of git-check-ref-format(1) that a ref from the network can break."""
    if not name.startswith("refs/") or name.count("/") < 2:
        return False
    if re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)", name):
        return False
    return not name.endswith(("/", "."))


def person_line(person: Person) -> str:
    """Return a person as objects hold it."""
    return f"{person.name} <{person.email}> {person.time} +0000"


def parse_person(text: str) -> Person:
    """Read a person as objects hold it. Raises ValueError."""
    match = PERSON.fullmatch(text)
    if match is None:
        raise ValueError(f"not a person: {text!r}")
    return Person(name=match["name"], email=match["email"], time=int(match["time"]))


def _split(found: Object) -> tuple[list[tuple[str, str]], str]:
    head, _, message = found.data.decode(errors="replace").partition("\n\n")
    # A line that begins with a space continues a signature.
    lines = [line.partition(" ") for line in head.split("\n") if not line.startswith(" ")]
    return [(key, value) for key, _, value in lines], message


def parse_commit(found: Object) -> Commit:
    """Read a commit object."""
    headers, message = _split(found)
    first = dict(reversed(headers))
    return Commit(
        sha=found.sha,
        tree=first["tree"],
        parents=tuple(value for key, value in headers if key == "parent"),
        author=parse_person(first["author"]),
        committer=parse_person(first["committer"]),
        message=message,
    )


def parse_tag(found: Object) -> Tag:
    """Read an annotated tag object."""
    headers, message = _split(found)
    first = dict(headers)
    return Tag(
        sha=found.sha,
        target=first["object"],
        type=first["type"],
        name=first["tag"],
        tagger=parse_person(first["tagger"]) if "tagger" in first else Person(name="", email="", time=0),
        message=message,
    )
