"""The JSON of people, apps, repositories and git data, field by field as GitHub's REST description has it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bot.sandbox.github import gitobjects as gitlib
from bot.sandbox.github.model import iso

if TYPE_CHECKING:
    from bot.sandbox.github.model import User
    from bot.sandbox.github.repository import Repository
    from bot.sandbox.github.server import GitHub

_USER_LINKS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}
_REPOSITORY_LINKS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}


def node_id(prefix: str, number: int) -> str:
    """Return a global node id: opaque to callers, read back by :func:`read_node_id`."""
    return f"{prefix}_kw{number:x}"


def read_node_id(node: str) -> tuple[str, int]:
    """Return the prefix and number of a node id. Raises ValueError."""
    prefix, found, number = node.partition("_kw")
    if not found:
        raise ValueError(f"not a node id: {node!r}")
    return prefix, int(number, 16)


def user(github: GitHub, login: str) -> dict[str, Any]:
    """Return an account in short (``simple-user``)."""
    who: User = github.user(login)
    api = f"{github.url}/users/{quote(who.login)}"
    return {
        "login": who.login,
        "id": who.id,
        "node_id": node_id({"Bot": "BOT", "Organization": "O"}.get(who.type, "U"), who.id),
        "avatar_url": f"{github.url}/_avatars/u/{who.id}?v=4",
        "gravatar_id": "",
        "url": api,
        "html_url": html_user(github, who),
        **{name: f"{api}{path}" for name, path in _USER_LINKS.items()},
        "type": who.type,
        "user_view_type": "public",
        "site_admin": False,
    }


def html_user(github: GitHub, who: User) -> str:
    """Return the address of an account's page. A bot's page is its app's."""
    if who.type == "Bot":
        return f"{github.url}/apps/{who.login.removesuffix('[bot]')}"
    return f"{github.url}/{who.login}"


def full_user(github: GitHub, login: str) -> dict[str, Any]:
    """Return an account with its public profile (``public-user``)."""
    who = github.user(login)
    nothing = ("bio", "company", "email", "hireable", "location", "name", "twitter_username")
    return {
        **user(github, login),
        **dict.fromkeys(nothing),
        "blog": "",
        "followers": 0,
        "following": 0,
        "public_gists": 0,
        "public_repos": 0,
        "created_at": iso(who.created_at),
        "updated_at": iso(who.created_at),
    }


def app(github: GitHub, slug: str) -> dict[str, Any]:
    """Return a GitHub App (``integration``); the id of github-actions is the real one's."""
    return {
        "id": 15368 if slug == "github-actions" else 100_000 + sum(slug.encode()),
        "slug": slug,
        "client_id": f"Iv1.{slug.encode().hex()[:16]:0<16}",
        "node_id": node_id("A", sum(slug.encode())),
        "owner": user(github, "github"),
        "name": slug.replace("-", " ").title(),
        "description": "",
        "external_url": f"{github.url}/apps/{slug}",
        "html_url": f"{github.url}/apps/{slug}",
        "created_at": iso(github.created_at),
        "updated_at": iso(github.created_at),
        "permissions": {"checks": "write", "metadata": "read"},
        "events": [],
    }


def repository(repo: Repository) -> dict[str, Any]:
    """Return a repository (``full-repository``, which every shorter form is part of)."""
    github, api, html = repo.github, repo.api, repo.html
    host = github.url.partition("://")[2]
    open_issues = sum(issue.state == "open" for issue in repo.state.issues.values())
    return {
        "id": repo.id,
        "node_id": node_id("R", repo.id),
        "name": repo.name,
        "full_name": repo.full_name,
        "private": repo.private,
        "visibility": "private" if repo.private else "public",
        "owner": user(github, repo.owner),
        "html_url": html,
        "description": None,
        "fork": repo.parent is not None,
        "url": api,
        **{name: f"{api}{path}" for name, path in _REPOSITORY_LINKS.items()},
        "git_url": f"git://{host}/{repo.full_name}.git",
        "ssh_url": f"git@{host}:{repo.full_name}.git",
        "clone_url": f"{html}.git",
        "svn_url": html,
        "mirror_url": None,
        "homepage": None,
        "language": None,
        "license": None,
        "default_branch": repo.default_branch,
        **dict.fromkeys(("forks", "forks_count", "stargazers_count", "watchers", "watchers_count"), 0),
        **dict.fromkeys(("network_count", "subscribers_count", "size"), 0),
        "open_issues": open_issues,
        "open_issues_count": open_issues,
        **dict.fromkeys(("has_issues", "has_projects", "has_wiki", "has_downloads"), True),
        **dict.fromkeys(("has_pages", "has_discussions", "archived", "disabled", "is_template"), False),
        "web_commit_signoff_required": False,
        "allow_forking": True,
        "topics": [],
        "pushed_at": iso(repo.pushed_at),
        "created_at": iso(repo.created_at),
        "updated_at": iso(repo.pushed_at),
    }


def ref(repo: Repository, name: str, sha: str) -> dict[str, Any]:
    """Return a ref; its object is the tag object for an annotated tag."""
    found = repo.git.object(sha)
    assert found is not None
    return {
        "ref": name,
        "node_id": "REF_" + base64.urlsafe_b64encode(f"{repo.id}:{name}".encode()).decode(),
        "url": f"{repo.api}/git/{quote(name)}",
        "object": {"sha": sha, "type": found.type, "url": f"{repo.api}/git/{found.type}s/{sha}"},
    }


def git_person(person: gitlib.Person) -> dict[str, Any]:
    """Return who wrote a commit or tag, and when."""
    return {"name": person.name, "email": person.email, "date": iso(person.time)}


UNSIGNED = {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}


def git_tag(repo: Repository, tag: gitlib.Tag) -> dict[str, Any]:
    """Return an annotated tag object."""
    return {
        "node_id": "TA_" + tag.sha,
        "tag": tag.name,
        "sha": tag.sha,
        "url": f"{repo.api}/git/tags/{tag.sha}",
        "message": tag.message,
        "tagger": git_person(tag.tagger),
        "object": {"sha": tag.target, "type": tag.type, "url": f"{repo.api}/git/{tag.type}s/{tag.target}"},
        "verification": UNSIGNED,
    }


def git_commit(repo: Repository, commit: gitlib.Commit) -> dict[str, Any]:
    """Return a commit as the git database has it."""
    return {
        "sha": commit.sha,
        "node_id": "C_" + commit.sha,
        "url": f"{repo.api}/git/commits/{commit.sha}",
        "html_url": f"{repo.html}/commit/{commit.sha}",
        "author": git_person(commit.author),
        "committer": git_person(commit.committer),
        "message": commit.message.rstrip("\n"),
        "tree": {"sha": commit.tree, "url": f"{repo.api}/git/trees/{commit.tree}"},
        "parents": [
            {
                "sha": parent,
                "url": f"{repo.api}/git/commits/{parent}",
                "html_url": f"{repo.html}/commit/{parent}",
            }
            for parent in commit.parents
        ],
        "verification": UNSIGNED,
    }


def commit(repo: Repository, found: gitlib.Commit) -> dict[str, Any]:
    """Return a commit with the accounts behind its addresses, without files."""
    api = f"{repo.api}/commits/{found.sha}"
    author, committer = (repo.github.user_of(person.email) for person in (found.author, found.committer))
    return {
        "sha": found.sha,
        "node_id": "C_" + found.sha,
        "url": api,
        "html_url": f"{repo.html}/commit/{found.sha}",
        "comments_url": f"{api}/comments",
        "commit": {
            "url": f"{repo.api}/git/commits/{found.sha}",
            "author": git_person(found.author),
            "committer": git_person(found.committer),
            "message": found.message.rstrip("\n"),
            "comment_count": 0,
            "tree": {"sha": found.tree, "url": f"{repo.api}/git/trees/{found.tree}"},
            "verification": UNSIGNED,
        },
        "author": user(repo.github, author.login) if author else None,
        "committer": user(repo.github, committer.login) if committer else None,
        "parents": [
            {
                "sha": parent,
                "url": f"{repo.api}/commits/{parent}",
                "html_url": f"{repo.html}/commit/{parent}",
            }
            for parent in found.parents
        ],
    }


def file_change(repo: Repository, change: gitlib.FileChange, sha: str) -> dict[str, Any]:
    """Return one file of a diff (``diff-entry``)."""
    path = quote(change.path)
    shape: dict[str, Any] = {
        "sha": change.sha,
        "filename": change.path,
        "status": change.status,
        "additions": change.additions,
        "deletions": change.deletions,
        "changes": change.additions + change.deletions,
        "blob_url": f"{repo.html}/blob/{sha}/{path}",
        "raw_url": f"{repo.html}/raw/{sha}/{path}",
        "contents_url": f"{repo.api}/contents/{path}?ref={sha}",
    }
    if change.patch is not None:
        shape["patch"] = change.patch
    if change.previous is not None:
        shape["previous_filename"] = change.previous
    return shape


def commit_summary(found: gitlib.Commit) -> dict[str, Any]:
    """Return a commit in short (``simple-commit``)."""
    return {
        "id": found.sha,
        "tree_id": found.tree,
        "message": found.message.rstrip("\n"),
        "timestamp": iso(found.committer.time),
        "author": {"name": found.author.name, "email": found.author.email},
        "committer": {"name": found.committer.name, "email": found.committer.email},
    }
