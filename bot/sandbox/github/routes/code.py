"""The repository itself, its files, and its source as an archive."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bot.sandbox.github import shapes
from bot.sandbox.github.context import Context, not_found
from bot.sandbox.github.git import GitError
from bot.sandbox.github.gitobjects import TreeEntry
from bot.sandbox.wire import Request, Response, WireError, answer

if TYPE_CHECKING:
    from bot.sandbox.github.repository import Repository
    from bot.sandbox.github.server import GitHub

INLINE = 1 << 20  # bytes; larger files come without content ("1-100 MB: only raw or object", REST documentation)
_KINDS = {"blob": "file", "tree": "dir", "commit": "submodule"}


class Archives:
    """Archive links: a redirect to a second address, as GitHub's codeload; a private one needs the link's token."""

    def __init__(self, github: GitHub) -> None:
        self.github = github
        self.secrets: dict[str, str] = {}

    def redirect(self, ctx: Context) -> Response:
        """Answer 302 to the address of a ref's tarball."""
        ref = ctx.request.params.get("ref") or ctx.repo.default_branch
        if ctx.repo.resolve(ref) is None:
            raise not_found()
        query = ""
        if ctx.repo.private:
            token = secrets.token_hex(10).upper()
            self.secrets[token] = ctx.repo.full_name
            query = f"?token={token}"
        where = f"{self.github.url}/_codeload/{ctx.repo.full_name}/legacy.tar.gz/{quote(ref)}{query}"
        return Response(status=302, headers={"Location": where})

    def download(self, request: Request) -> Response:
        """Answer the gzipped tar; its one top folder is named ``owner-repo-sha7``."""
        full_name = f"{request.params['owner']}/{request.params['repo']}"
        repo = self.github.repositories.get(full_name.lower())
        if repo is None or (repo.private and self.secrets.get(request.arg("token") or "") != repo.full_name):
            raise not_found()
        sha = repo.resolve(request.params["ref"])
        if sha is None:
            raise not_found()
        name = f"{repo.owner}-{repo.name}-{sha[:7]}"
        return Response(
            body=repo.git.archive(sha, name),
            headers={
                "Content-Type": "application/x-gzip",
                "Content-Disposition": f"attachment; filename={name}.tar.gz",
                "ETag": f'W/"{sha}"',
            },
        )


def register(github: GitHub) -> None:
    """Declare the operations."""
    root, read, archives = "/repos/{owner}/{repo}", "contents:read", Archives(github)
    github.operation("GET", root, get_repository, "metadata:read")
    github.operation("GET", f"{root}/contents/{{path+}}", get_contents, read)
    github.operation("GET", f"{root}/contents", get_contents, read)
    github.operation("GET", f"{root}/contents/", get_contents, read)
    github.operation("GET", f"{root}/tarball/{{ref+}}", archives.redirect, read)
    github.operation("GET", f"{root}/tarball", archives.redirect, read)
    github.open_operation("GET", "/_codeload/{owner}/{repo}/legacy.tar.gz/{ref+}", archives.download)


def get_repository(ctx: Context) -> Response:
    """Get a repository."""
    return answer(shapes.repository(ctx.repo))


def _links(repo: Repository, path: str, ref: str, entry: TreeEntry) -> dict[str, Any]:
    where, page = quote(path), "tree" if entry.type == "tree" else "blob"
    url = f"{repo.api}/contents/{where}?ref={quote(ref)}"
    git_url, html_url = f"{repo.api}/git/{entry.type}s/{entry.sha}", f"{repo.html}/{page}/{quote(ref)}/{where}"
    raw = f"{repo.html}/raw/{quote(ref)}/{where}" if entry.type == "blob" else None
    return {
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": entry.sha,
        "size": entry.size or 0,
        "url": url,
        "html_url": html_url,
        "git_url": git_url,
        "download_url": raw,
        "type": _KINDS[entry.type],
        "_links": {"self": url, "git": git_url, "html": html_url},
    }


def _entry(repo: Repository, sha: str, path: str) -> TreeEntry | None:
    if not path:
        tree = repo.git.object(f"{sha}^{{tree}}")
        return TreeEntry(mode="040000", type="tree", sha=tree.sha, path="") if tree else None
    parent, _, name = path.rpartition("/")
    try:
        entries = repo.git.tree(f"{sha}:{parent}")
    except GitError:
        return None
    return next((entry for entry in entries if entry.path == name), None)


def get_contents(ctx: Context) -> Response:
    """Get a file, in base64 or raw by media type, or list a folder."""
    path, ref = ctx.request.params.get("path", "").strip("/"), ctx.request.arg("ref") or ctx.repo.default_branch
    sha = ctx.repo.resolve(ref)
    if sha is None:
        raise WireError(404, f"No commit found for the ref {ref}")
    entry = _entry(ctx.repo, sha, path)
    if entry is None:
        raise not_found()
    if entry.type == "tree":
        entries = ctx.repo.git.tree(f"{sha}:{path}")
        return answer([_links(ctx.repo, f"{path}/{one.path}".lstrip("/"), ref, one) for one in entries])
    found = ctx.repo.git.object(entry.sha)
    if found is None:
        raise not_found()
    if "raw" in ctx.request.headers.get("accept", ""):
        return Response(body=found.data, headers={"Content-Type": "application/vnd.github.raw+json; charset=utf-8"})
    large = len(found.data) > INLINE
    content = "" if large else base64.encodebytes(found.data).decode()
    shape = _links(ctx.repo, path, ref, entry)
    return answer({**shape, "content": content, "encoding": "none" if large else "base64"})
