"""The git database: refs, tags, commits, trees and blobs."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bot.sandbox.github import shapes
from bot.sandbox.github.context import Context, not_found
from bot.sandbox.github.git import GitError
from bot.sandbox.github.gitobjects import SHA, ZEROS, Object, Person, RefUpdate, parse_commit, parse_tag, valid_ref
from bot.sandbox.wire import Response, WireError, answer

if TYPE_CHECKING:
    from bot.sandbox.github.repository import Repository
    from bot.sandbox.github.server import GitHub

_MODES = {"100644", "100755", "040000", "160000", "120000"}


def register(github: GitHub) -> None:
    """Declare the operations."""
    root = "/repos/{owner}/{repo}/git"
    read, write = "contents:read", "contents:write"
    github.operation("GET", f"{root}/ref/{{ref+}}", get_ref, read)
    github.operation("GET", f"{root}/matching-refs/{{ref+}}", matching_refs, read)
    github.operation("GET", f"{root}/matching-refs/", all_refs, read)
    github.operation("POST", f"{root}/refs", create_ref, write)
    github.operation("PATCH", f"{root}/refs/{{ref+}}", update_ref, write)
    github.operation("DELETE", f"{root}/refs/{{ref+}}", delete_ref, write)
    github.operation("POST", f"{root}/tags", create_tag, write)
    github.operation("GET", f"{root}/tags/{{tag_sha}}", get_tag, read)
    github.operation("POST", f"{root}/commits", create_commit, write)
    github.operation("GET", f"{root}/commits/{{commit_sha}}", get_commit, read)
    github.operation("POST", f"{root}/trees", create_tree, write)
    github.operation("GET", f"{root}/trees/{{tree_sha+}}", get_tree, read)
    github.operation("POST", f"{root}/blobs", create_blob, write)
    github.operation("GET", f"{root}/blobs/{{file_sha}}", get_blob, read)


# -- refs -------------------------------------------------------------------------------------------------------
def get_ref(ctx: Context) -> Response:
    """Get a reference: the exact name only."""
    name = f"refs/{ctx.param('ref')}"
    sha = ctx.repo.git.ref(name)
    if sha is None:
        raise not_found()
    return answer(shapes.ref(ctx.repo, name, sha))


def matching_refs(ctx: Context) -> Response:
    """List the references whose name starts with what is asked; none is an empty list, not an error."""
    found = ctx.repo.git.refs(f"refs/{ctx.param('ref')}")
    return answer([shapes.ref(ctx.repo, name, sha) for name, sha in found.items()])


def all_refs(ctx: Context) -> Response:
    """List every reference."""
    return answer([shapes.ref(ctx.repo, name, sha) for name, sha in ctx.repo.git.refs().items()])


def create_ref(ctx: Context) -> Response:
    """Create a reference; an existing one is refused, which makes creation a claim only one caller wins."""
    name, sha = ctx.field("ref", str), ctx.field("sha", str)
    # "If it doesn't start with 'refs' and have at least two slashes, it will be rejected" (REST documentation).
    if not valid_ref(name):
        raise WireError(422, f"{name} is not a valid ref name.")
    found = ctx.repo.git.object(sha) if SHA.fullmatch(sha) else None
    if found is None:
        raise WireError(422, "Object does not exist")
    if ctx.repo.git.ref(name) is not None:
        raise WireError(422, "Reference already exists")
    _move(ctx, RefUpdate(name=name, after=sha, before=ZEROS))
    return answer(shapes.ref(ctx.repo, name, sha), 201, Location=f"{ctx.repo.api}/git/{quote(name)}")


def _existing(ctx: Context) -> tuple[str, str]:
    name = f"refs/{ctx.param('ref')}"
    sha = ctx.repo.git.ref(name)
    if sha is None:
        raise WireError(422, "Reference does not exist")
    return name, sha


def _move(ctx: Context, update: RefUpdate) -> None:
    try:
        ctx.repo.move_refs([update], actor=ctx.viewer.login)
    except GitError as error:
        # A branch that is not a commit, or a name that is a folder of another ref.
        raise WireError(422, f"Reference update failed: {error}") from None


def update_ref(ctx: Context) -> Response:
    """Move a reference; without force only to a commit that contains the old one."""
    name, before = _existing(ctx)
    sha = ctx.field("sha", str)
    if ctx.repo.git.object(sha if SHA.fullmatch(sha) else "") is None:
        raise WireError(422, "Object does not exist")
    if not ctx.field("force", bool, default=False) and not ctx.repo.fast_forward(before, sha) and before != sha:
        raise WireError(422, "Update is not a fast forward")
    _move(ctx, RefUpdate(name=name, after=sha, before=before))
    return answer(shapes.ref(ctx.repo, name, sha))


def delete_ref(ctx: Context) -> Response:
    """Delete a reference."""
    name, before = _existing(ctx)
    _move(ctx, RefUpdate(name=name, after=ZEROS, before=before))
    return Response(status=204)


# -- objects ----------------------------------------------------------------------------------------------------
def _object(ctx: Context, name: str, kind: str) -> Object:
    sha = ctx.param(name)
    found = ctx.repo.git.object(sha) if SHA.fullmatch(sha) else None
    if found is None or found.type != kind:
        raise not_found()
    return found


def _person(ctx: Context, field: str, default: Person) -> Person:
    given: dict[str, Any] = ctx.field(field, dict, default={})
    if not given:
        return default
    time = default.time
    if "date" in given:
        from datetime import datetime  # noqa: PLC0415  # a rare field

        try:
            time = int(datetime.fromisoformat(str(given["date"])).timestamp())
        except ValueError:
            raise WireError(422, f"Invalid request.\n\n{given['date']!r} is not a valid date-time.") from None
    return Person(name=str(given.get("name", default.name)), email=str(given.get("email", default.email)), time=time)


def create_tag(ctx: Context) -> Response:
    """Create an annotated tag object; no reference points at it yet."""
    name, message, target = (ctx.field(field, str) for field in ("tag", "message", "object"))
    kind = ctx.field("type", str)
    found = ctx.repo.git.object(target) if SHA.fullmatch(target) else None
    if found is None or found.type != kind:
        raise WireError(422, "Object does not exist" if found is None else f"Object is not a {kind}")
    tagger = _person(ctx, "tagger", ctx.repo.person(ctx.viewer.login))
    if not valid_ref(f"refs/tags/{name}"):
        raise WireError(422, f"{name} is not a valid tag name.")
    sha = ctx.repo.git.write_tag(target=target, kind=kind, name=name, tagger=tagger, message=message)
    return _created(ctx.repo, sha)


def _created(repo: Repository, sha: str) -> Response:
    found = repo.git.object(sha)
    assert found is not None
    if found.type == "tag":
        return answer(shapes.git_tag(repo, parse_tag(found)), 201)
    return answer(shapes.git_commit(repo, parse_commit(found)), 201)


def get_tag(ctx: Context) -> Response:
    """Get an annotated tag object by its own sha."""
    return answer(shapes.git_tag(ctx.repo, parse_tag(_object(ctx, "tag_sha", "tag"))))


def create_commit(ctx: Context) -> Response:
    """Create a commit object; no reference moves."""
    git = ctx.repo.git
    tree, parents = ctx.field("tree", str), ctx.field("parents", list, default=[])
    wanted = [("tree", tree), *(("commit", str(parent)) for parent in parents)]
    for kind, sha in wanted:
        found = git.object(sha) if SHA.fullmatch(sha) else None
        if found is None or found.type != kind:
            raise WireError(
                422, f"{kind.title()} SHA does not exist" if kind == "tree" else "Parent SHA does not exist"
            )
    author = _person(ctx, "author", ctx.repo.person(ctx.viewer.login))
    committer = _person(ctx, "committer", author)
    message = ctx.field("message", str)
    sha = git.write_commit(tree=tree, parents=parents, author=author, committer=committer, message=message)
    return _created(ctx.repo, sha)


def get_commit(ctx: Context) -> Response:
    """Get a commit object."""
    return answer(shapes.git_commit(ctx.repo, parse_commit(_object(ctx, "commit_sha", "commit"))))


def _tree(ctx: Context, revision: str, *, recursive: bool) -> dict[str, Any]:
    entries = []
    for entry in ctx.repo.git.tree(revision, recursive=recursive):
        shape = {"path": entry.path, "mode": entry.mode, "type": entry.type, "sha": entry.sha}
        if entry.type != "commit":  # a submodule has no address here
            shape["url"] = f"{ctx.repo.api}/git/{entry.type}s/{entry.sha}"
        entries.append({**shape, **({"size": entry.size} if entry.size is not None else {})})
    found = ctx.repo.git.object(f"{revision}^{{tree}}")
    assert found is not None
    url = f"{ctx.repo.api}/git/trees/{found.sha}"
    return {"sha": found.sha, "url": url, "tree": entries, "truncated": False}


def get_tree(ctx: Context) -> Response:
    """Get a tree by its sha, or the tree of a ref. Any ``recursive`` argument, even 0, lists all levels."""
    revision = ctx.param("tree_sha")
    if SHA.fullmatch(revision) is None:
        revision = ctx.repo.resolve(revision) or ""
    found = ctx.repo.git.object(revision)
    if found is None or found.type == "blob":
        raise not_found()
    return answer(_tree(ctx, found.sha, recursive="recursive" in ctx.request.query))


def create_tree(ctx: Context) -> Response:
    """Create a tree from entries, on top of ``base_tree`` when given; a null sha removes a path."""
    git, lines = ctx.repo.git, []
    for entry in ctx.field("tree", list):
        path, mode = str(entry.get("path", "")), str(entry.get("mode", ""))
        if not path or mode not in _MODES:
            raise WireError(422, "Must supply a valid tree.mode" if path else "tree.path is required")
        sha = entry.get("sha")
        if "content" in entry:
            sha = git.write("blob", str(entry["content"]).encode())
        elif sha is not None and git.object(str(sha)) is None:
            raise WireError(422, f"tree.sha {sha} is not a valid tree")
        lines.append((mode, sha or ZEROS, path))
    try:
        sha = git.write_tree(lines, ctx.optional("base_tree", str))
    except GitError as error:
        raise WireError(422, f"GitRPC::BadObjectState: {error}") from None
    return answer(_tree(ctx, sha, recursive=False), 201)


def create_blob(ctx: Context) -> Response:
    """Create a blob from text or base64."""
    content, encoding = ctx.field("content", str), ctx.field("encoding", str, default="utf-8")
    try:
        data = base64.b64decode("".join(content.split()), validate=True) if encoding == "base64" else content.encode()
    except binascii.Error:
        raise WireError(422, "content is not valid base64") from None
    sha = ctx.repo.git.write("blob", data)
    return answer({"sha": sha, "url": f"{ctx.repo.api}/git/blobs/{sha}"}, 201)


def get_blob(ctx: Context) -> Response:
    """Get a blob, in base64."""
    found = _object(ctx, "file_sha", "blob")
    return answer(
        {
            "sha": found.sha,
            "node_id": "B_" + found.sha,
            "size": len(found.data),
            "url": f"{ctx.repo.api}/git/blobs/{found.sha}",
            "content": base64.encodebytes(found.data).decode(),
            "encoding": "base64",
        }
    )
