"""The sample application runs for real, its history is a real one, and each variant shows its fault."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.core.config_file import load
from bot.sandbox.sample import COMMITS, HEAD, VARIANTS, files, history

ENVIRON = {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "DJANGO_SECRET_KEY": "for-tests",
    "SHOP_VERSION": "abc1234",
    "BIND_HOST": "127.0.0.1",
}

Tree = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Write a tree, with the changes of a variant."""

    def write(variant: str = "", number: int = len(COMMITS)) -> Path:
        root = tmp_path / "tree"
        changed: dict[str, str | None] = {**files(number), **(VARIANTS[variant].files if variant else {})}
        for path, text in changed.items():
            if text is not None:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="utf-8")
        return root

    return write


def run(root: Path, *argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, cwd=root, env={**ENVIRON, "DATABASE_PATH": str(root.parent / "db.sqlite3"), **environ},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@contextmanager
def serve(root: Path, **environ: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    line = re.search(r"(?m)^web: (.*)$", (root / "Procfile").read_text())
    assert line
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {line[1]}"], cwd=root, text=True, stderr=subprocess.PIPE, start_new_session=True,
        env={**ENVIRON, "DATABASE_PATH": str(root.parent / "db.sqlite3"), "PORT": str(port), **environ},
    )  # fmt: skip
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=20)


def get(url: str, *, data: bytes | None = None, within: float = 15.0) -> tuple[int, str]:
    """Ask until the port answers."""
    deadline = time.monotonic() + within
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=within) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise


def migrate(root: Path) -> None:
    done = run(root, "python", "manage.py", "migrate", "--noinput")
    assert done.returncode == 0, done.stderr


def test_the_web_role_serves_its_pages(tree: Tree) -> None:
    root = tree()
    migrate(root)
    with serve(root) as (_, url):
        assert get(f"{url}/health/") == (200, '{"status": "healthy", "version": "abc1234", "role": "web"}')
        status, page = get(url)
        assert status == 200
        assert '<code id="version">abc1234</code>' in page
        assert "Rope, 20 m: 1800 cents, 40 in stock" in page
        assert get(f"{url}/api/me/")[0] == 401
        assert get(f"{url}/tasks/ship-orders/", data=b"")[0] == 404


def test_the_worker_role_does_its_task(tree: Tree) -> None:
    root = tree()
    migrate(root)
    script = "from shop.models import *; Order.objects.create(product=Product.objects.first())"
    assert run(root, "python", "manage.py", "shell", "-c", script).returncode == 0
    with serve(root, APP_ROLE="worker") as (_, url):
        assert json.loads(get(f"{url}/health/")[1])["role"] == "worker"
        assert get(f"{url}/tasks/ship-orders/")[0] == 405
        assert get(f"{url}/tasks/ship-orders/", data=b"") == (200, '{"shipped": 1}')
        assert get(url)[0] == 404


@pytest.mark.parametrize(
    ("environ", "words"),
    [({}, "unapplied_migrations"), ({"DATABASE_URL": "sqlite:////nowhere/db.sqlite3"}, "unable to open database file")],
)
def test_an_unmigrated_or_absent_database_is_unhealthy(tree: Tree, environ: Mapping[str, str], words: str) -> None:
    with serve(tree(), **environ) as (_, url):
        status, body = get(f"{url}/health/")
    assert (status, json.loads(body)["status"]) == (503, "unhealthy")
    assert words in body


def test_the_models_have_no_change_without_a_migration(tree: Tree) -> None:
    done = run(tree("feature"), "python", "manage.py", "makemigrations", "--check", "--dry-run")
    assert done.stdout == "No changes detected\n"


def test_a_database_of_another_kind_is_refused(tree: Tree) -> None:
    done = run(tree(), "python", "manage.py", "check", DATABASE_URL="postgres://u:p@h/d")
    assert done.returncode == 1
    assert "this shop speaks sqlite, not 'postgres'" in done.stderr


def test_serving_without_a_secret_key_is_refused(tree: Tree) -> None:
    with serve(tree(), DJANGO_SECRET_KEY="") as (process, _):
        assert process.wait(20) == 3
        assert process.stderr
        assert "DJANGO_SECRET_KEY is not set" in process.stderr.read()


def test_the_worker_command_stops_when_told(tree: Tree) -> None:
    root = tree()
    migrate(root)
    process = subprocess.Popen(
        ["python", "manage.py", "work", "--every", "0.05"], cwd=root, text=True, stdout=subprocess.PIPE,
        env={**ENVIRON, "DATABASE_PATH": str(root.parent / "db.sqlite3"), "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == "worker ready\n"
    process.terminate()
    assert process.wait(10) == 0
    process.stdout.close()


# -- variants ---------------------------------------------------------------------------------------------------


def test_the_feature_variant_is_good(tree: Tree) -> None:
    root = tree("feature")
    migrate(root)
    assert run(root, "python", "manage.py", "check").returncode == 0
    with serve(root) as (_, url):
        assert get(f"{url}/health/")[0] == 200
        assert get(url)[0] == 200


def test_the_old_code_still_works_after_the_feature_is_migrated(tree: Tree) -> None:
    migrate(tree("feature"))
    root = tree()
    (root / "shop/migrations/0004_product_featured.py").unlink()
    with serve(root) as (_, url):
        assert get(f"{url}/health/")[0] == 200


def test_broken_health_answers_500_and_logs_why(tree: Tree) -> None:
    root = tree("broken_health")
    migrate(root)
    with serve(root) as (process, url):
        assert get(f"{url}/health/")[0] == 500
        assert get(url)[0] == 200
        os.killpg(process.pid, signal.SIGTERM)
        assert "Cannot resolve keyword 'visible' into field" in process.communicate(timeout=20)[1]


def test_crash_on_boot_passes_the_build_and_the_migration_then_exits(tree: Tree) -> None:
    root = tree("crash_on_boot")
    assert run(root, "python", "manage.py", "check").returncode == 0
    migrate(root)
    with serve(root) as (process, _):
        assert process.wait(20) == 3
        assert process.stderr
        assert "KeyError: 'SITE_URL'" in process.stderr.read()


def test_failing_migration_is_refused_by_the_database(tree: Tree) -> None:
    done = run(tree("failing_migration"), "python", "manage.py", "migrate", "--noinput")
    assert done.returncode == 1
    assert "django.db.utils.OperationalError: duplicate column name: name" in done.stderr


@pytest.mark.parametrize(("variant", "status"), [("", 0), ("failing_build", 1)])
def test_failing_build_does_not_compile(tree: Tree, variant: str, status: int) -> None:
    root = tree(variant)
    build = run(root, "python", "-m", "compileall", "-q", "-f", "manage.py", "shop")
    assert build.returncode == status
    assert ("SyntaxError" in build.stdout) == bool(status)
    assert run(root, "bash", "bin/post_compile").returncode == status


def test_worker_broken_leaves_web_whole(tree: Tree) -> None:
    root = tree("worker_broken")
    migrate(root)
    with serve(root) as (_, url):
        assert get(f"{url}/health/")[0] == 200
    with serve(root, APP_ROLE="worker") as (_, url):
        assert get(f"{url}/health/")[0] == 500
    done = run(root, "python", "manage.py", "work")
    assert done.returncode == 1
    assert "KeyError: 'TASK_QUEUE'" in done.stderr


def test_slow_start_holds_the_first_answer_back(tree: Tree) -> None:
    root = tree("slow_start")
    migrate(root)
    began = time.monotonic()
    with serve(root, SHOP_WARM_UP_SECONDS="0.7") as (_, url):
        assert get(f"{url}/health/")[0] == 200
    assert time.monotonic() - began > 0.7


def test_failing_pages_is_healthy_while_every_fifth_visitor_sees_an_error(tree: Tree) -> None:
    root = tree("failing_pages")
    migrate(root)
    with serve(root) as (process, url):
        answers = [get(url) for _ in range(10)]
        assert [status for status, _ in answers] == [200, 200, 200, 200, 500] * 2
        assert "LANTERNS at half price" in answers[3][1]
        assert get(f"{url}/health/")[0] == 200
        assert sum(status != 200 for status, _ in answers) / 10 == VARIANTS["failing_pages"].failing
        os.killpg(process.pid, signal.SIGTERM)
        assert "'NoneType' object has no attribute 'upper'" in process.communicate(timeout=20)[1]


def test_slow_pages_are_slow_only_on_the_front(tree: Tree) -> None:
    root = tree("slow_pages")
    migrate(root)
    with serve(root) as (_, url):
        seconds = []
        for path in ("", "/health/"):
            begun = time.monotonic()
            assert [get(f"{url}{path}")[0] for _ in range(5)] == [200] * 5
            seconds.append((time.monotonic() - begun) / 5)
    front, health = seconds
    assert front >= VARIANTS["slow_pages"].slower > health


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variant_changes_something(variant: str) -> None:
    tree = files()
    assert VARIANTS[variant].files
    for path, text in VARIANTS[variant].files.items():
        assert tree.get(path) != text
    assert VARIANTS[variant].message.startswith(VARIANTS[variant].title + "\n\n")


# -- history ----------------------------------------------------------------------------------------------------


def git(git_dir: Path, *argv: str) -> str:
    return subprocess.run(["git", "--git-dir", git_dir, *argv], check=True, capture_output=True, text=True).stdout


def test_the_history_ends_in_the_tree_of_today(tmp_path: Path) -> None:
    written = history(tmp_path / "shop.git")
    on_disk = {
        path.relative_to(HEAD).as_posix(): path.read_text()
        for path in HEAD.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    listed = git(written.git_dir, "ls-tree", "-r", "--name-only", "main").splitlines()
    assert {path: git(written.git_dir, "show", f"main:{path}") for path in listed} == on_disk
    assert git(written.git_dir, "rev-parse", "main").strip() == written.head
    assert "100755 blob" in git(written.git_dir, "ls-tree", "main", "bin/post_compile")
    git(written.git_dir, "fsck", "--strict")


def test_the_history_is_the_same_everywhere_and_reads_like_one(tmp_path: Path) -> None:
    written = history(tmp_path / "shop.git")
    assert written.shas == history(tmp_path / "again.git").shas == history(tmp_path / "shop.git").shas
    lines = git(written.git_dir, "log", "--format=%an %at", "main").splitlines()
    assert len(lines) == len(COMMITS) == 6
    assert lines[0] == f"Jonas Adeyemi {int(datetime(2026, 3, 12, 12, 21, tzinfo=UTC).timestamp())}"
    assert {line.rsplit(" ", 1)[0] for line in lines} == {"Mira Holm", "Jonas Adeyemi"}


@pytest.mark.parametrize("number", range(1, len(COMMITS) + 1))
def test_every_commit_of_the_history_works(tree: Tree, number: int) -> None:
    root = tree(number=number)
    migrate(root)
    done = run(root, "python", "manage.py", "makemigrations", "--check", "--dry-run")
    assert done.stdout == "No changes detected\n"
    assert run(root, "python", "-c", "import shop.wsgi, shop.urls").returncode == 0


def test_the_configuration_of_the_sample_is_accepted() -> None:
    config = load(files()[".github/slipway.yml"], file=".github/slipway.yml")
    assert {"staging", "production"} <= set(config.environments)
