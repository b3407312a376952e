"""The sample application: a small Django shop with a real history, and named changes for a feature branch.

``app/`` is the tree of ``main`` as it is read today. ``earlier/N/`` has the older text of the files that commit N of
the history wrote differently.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot.sandbox.sample.variants import HEAD, VARIANTS, Author, Variant

__all__ = ["COMMITS", "HEAD", "VARIANTS", "Author", "Commit", "History", "Variant", "files", "history"]

EARLIER = Path(__file__).parent / "earlier"
EPOCH = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

MIRA = Author(name="Mira Holm", email="mira@example.com")
JONAS = Author(name="Jonas Adeyemi", email="jonas@example.com")


@dataclass(frozen=True, kw_only=True)
class Commit:
    """One commit of ``main``: the paths it writes, and how long after :data:`EPOCH`.

    A path is read from ``app/``, or from ``earlier/{number}/`` when that has it; ``number`` counts from 1.
    """

    message: str
    author: Author
    after: timedelta
    paths: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class History:
    """What :func:`history` wrote: the commits of ``branch``, oldest first, as 40-hex ids."""

    git_dir: Path
    branch: str
    shas: tuple[str, ...]

    @property
    def head(self) -> str:
        """The newest commit."""
        return self.shas[-1]


COMMITS: tuple[Commit, ...] = (
    Commit(
        message="Start a shop that lists its products",
        author=MIRA,
        after=timedelta(),
        paths=(
            ".gitignore", "README.md", "gunicorn.conf.py", "manage.py", "requirements.txt", "shop/__init__.py",
            "shop/migrations/0001_initial.py", "shop/migrations/__init__.py", "shop/models.py", "shop/settings.py",
            "shop/templates/shop/front_page.html", "shop/urls.py", "shop/views.py", "shop/wsgi.py",
        ),
    ),
    Commit(
        message="Answer health checks, and refuse visitors without an account\n\nAn unapplied migration is unhealthy.",
        author=JONAS,
        after=timedelta(days=1, hours=5, minutes=12),
        paths=("shop/urls.py", "shop/views.py"),
    ),
    Commit(
        message="Keep the stock of each product",
        author=MIRA,
        after=timedelta(days=3, hours=1, minutes=40),
        paths=("shop/migrations/0002_product_stock.py", "shop/models.py", "shop/templates/shop/front_page.html"),
    ),
    Commit(
        message="Build a container image, and a slug",
        author=JONAS,
        after=timedelta(days=7, hours=2, minutes=3),
        paths=(".dockerignore", "Dockerfile", "Procfile", "bin/post_compile"),
    ),
    Commit(
        message="Take orders and let a worker ship them (#7)\n\nThe worker is the same image with APP_ROLE=worker.",
        author=MIRA,
        after=timedelta(days=9, hours=6, minutes=55),
        paths=(
            "Procfile", "shop/management/__init__.py", "shop/management/commands/__init__.py",
            "shop/management/commands/work.py", "shop/migrations/0003_order.py", "shop/models.py", "shop/settings.py",
            "shop/tasks.py", "shop/urls.py", "shop/urls_worker.py", "shop/views.py",
        ),
    ),
    Commit(
        message="Release from pull requests",
        author=JONAS,
        after=timedelta(days=10, hours=3, minutes=21),
        paths=(".github/slipway.yml", "README.md"),
    ),
)  # fmt: skip


def files(number: int = len(COMMITS)) -> dict[str, str]:
    """Return path → text of the tree after commit ``number`` (from 1); by default the tree of ``main`` today."""
    tree: dict[str, str] = {}
    for index, commit in enumerate(COMMITS[:number], start=1):
        for path in commit.paths:
            older = EARLIER / str(index) / path
            tree[path] = (older if older.is_file() else HEAD / path).read_text(encoding="utf-8")
    return tree


def history(git_dir: Path, *, branch: str = "main") -> History:
    """Write the commits onto ``branch`` of the bare repository ``git_dir``, which is made when absent.

    Dates and authors are fixed, so the commit ids are the same on every machine.

    Raises:
        subprocess.CalledProcessError: git refused; its words are in ``stderr``.
    """
    if not (git_dir / "HEAD").exists():
        subprocess.run(["git", "init", "-q", "--bare", "-b", branch, str(git_dir)], check=True, capture_output=True)
    stream = b"".join(_fast_import(branch))
    subprocess.run(
        ["git", "fast-import", "--quiet", "--force", "--date-format=raw"],
        cwd=git_dir, input=stream, check=True, capture_output=True, env={**os.environ, "GIT_DIR": str(git_dir)},
    )  # fmt: skip
    listed = subprocess.run(
        ["git", "rev-list", "--reverse", f"refs/heads/{branch}"],
        check=True, capture_output=True, text=True, env={**os.environ, "GIT_DIR": str(git_dir)},
    )  # fmt: skip
    return History(git_dir=git_dir, branch=branch, shas=tuple(listed.stdout.split()))


def _fast_import(branch: str) -> list[bytes]:
    """Return the stream of git-fast-import(1) for the whole history: one process writes all commits."""
    out = [f"reset refs/heads/{branch}\n".encode()]
    for number, commit in enumerate(COMMITS, start=1):
        seconds = int((EPOCH + commit.after).timestamp())
        who = f"{commit.author.name} <{commit.author.email}> {seconds} +0000"
        out.append(f"commit refs/heads/{branch}\nauthor {who}\ncommitter {who}\n".encode())
        out.append(_data(commit.message + "\n"))
        tree = files(number)
        for path in commit.paths:
            mode = "100755" if tree[path].startswith("#!") else "100644"
            out.append(f"M {mode} inline {path}\n".encode() + _data(tree[path]))
    return out


def _data(text: str) -> bytes:
    raw = text.encode()
    return f"data {len(raw)}\n".encode() + raw + b"\n"
