"""Every task of the project, each in an environment of its own: ``python3 -m pip install nox && nox -s demo``."""

from __future__ import annotations

import sys
from pathlib import Path

import nox

if sys.version_info < (3, 11):  # noqa: UP036 - nox may run on an older Python than the project's
    raise SystemExit(f"Slipway needs Python 3.11 or newer; nox runs on {sys.version.split()[0]} ({sys.executable}).")

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"  # uv where it is at hand; plain pip does as well
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "docs", "tests"]
nox.options.error_on_missing_interpreters = True

WORKFLOWS = [
    str(path) for folder in (".github/workflows", "docs/examples") for path in sorted(Path(folder).glob("*.yml"))
]
LOCKS = {"run": (), "demo": ("--group", "demo"), "dev": ("--group", "dev"), "fuzz": ("--group", "fuzz")}


def prepare(session: nox.Session, lock: str) -> None:
    """Install a lock file, then the project itself by the build back end that the lock holds."""
    session.install("--require-hashes", "-r", f"requirements/{lock}.txt")
    session.install("--no-deps", "--no-build-isolation", "-e", ".")


@nox.session
def demo(session: nox.Session) -> None:
    """Release a sample application in the sandbox: the whole way, with no account anywhere."""
    prepare(session, "demo")
    session.run("slipway", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests and hold the bot's branch coverage; with arguments, hand them to pytest and measure nothing."""
    prepare(session, "dev")
    if session.posargs:
        session.run("python", "-m", "pytest", *session.posargs)
        return
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "--ignore=tests/bench", "-n", "2", "--dist", "loadgroup")
    session.run("coverage", "combine", "--quiet")
    session.log("The sandbox, reported apart:")
    session.run("coverage", "report", "--include=bot/sandbox/*")
    session.log("The bot:")
    session.run("coverage", "report", "--omit=bot/sandbox/*", "--fail-under=95")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types, import contracts, and the action's, workflows' and examples' schemas and security."""
    prepare(session, "dev")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("lint-imports")
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml")
    for schema in ("vendor.github-workflows", "custom.github-workflows-require-timeout"):
        session.run("check-jsonschema", "--builtin-schema", schema, *WORKFLOWS)
    session.run("check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml")
    # Without strict collection a file that zizmor cannot read would only be a warning.
    session.run("zizmor", "--offline", "--strict-collection", "--quiet", "action.yml", ".github", *WORKFLOWS)
    session.run("shellcheck", ".ci/run")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a broken link or a page in no menu is an error."""
    settings = Path("docs/mkdocs.yml") if Path("docs/mkdocs.yml").exists() else Path("mkdocs.yml")
    if not settings.exists():
        session.skip("There is no mkdocs.yml.")
    prepare(session, "dev")
    session.run(
        "mkdocs", "build", "--strict", "--config-file", str(settings), "--site-dir", str(Path("site").resolve())
    )


@nox.session
def bench(session: nox.Session) -> None:
    """Measure speed and size, and renew the table in docs/performance.md."""
    prepare(session, "dev")
    # The bot runs as the action installs it: with its own lock and nothing of the development's.
    shipped = Path(session.create_tmp()).resolve() / "shipped"
    session.run("python", "-m", "venv", "--clear", str(shipped))
    python = str(shipped / "bin" / "python")
    session.run(
        python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", "requirements/run.txt", external=True
    )
    packages = next((shipped / "lib").glob("python*/site-packages"))
    (packages / "slipway.pth").write_text(f"{Path.cwd()}\n")
    session.run("python", "tests/bench/bench.py", "--write", "--python", python, *session.posargs)


@nox.session
def canary(session: nox.Session) -> None:
    """Simulate canary rollouts, and renew the table in docs/explanation/canary.md."""
    prepare(session, "dev")
    session.run("python", "tests/simulation/canary.py", "--write", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Break every call of every story in every way, and renew docs/reliability.md; with arguments, only some cells."""
    prepare(session, "dev")
    session.run("python", "tests/faults/matrix.py", *(session.posargs or ["--write"]))


@nox.session
def walk(session: nox.Session) -> None:
    """Walk at random through releases, kills, faults and other people's edits: ``-- --steps 5000 --seed 7``."""
    prepare(session, "dev")
    session.run("python", "tests/faults/walk.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Read comments made at random, with GitHub's own parser as the judge: ``-- --seed 7 --count 100000``."""
    prepare(session, "fuzz")
    session.run("python", "tests/fuzz/fuzz.py", *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Renew the lock files from pyproject.toml. They record no download address: the hashes decide."""
    session.install("--require-hashes", "-r", "requirements/nox.txt")
    command = [
        "uv",
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--python-version",
        "3.11",
        "--generate-hashes",
        "--no-header",
    ]
    command += session.posargs or ["--upgrade"]
    for name, groups in LOCKS.items():
        bound = () if name == "run" else ("-c", "requirements/run.txt")
        session.run(*command, "pyproject.toml", *groups, *bound, "-o", f"requirements/{name}.txt")
    session.run(*command, "--group", "command", "-c", "requirements/run.txt", "-o", "requirements/command.txt")
    session.run(*command, "--group", "nox", "-o", "requirements/nox.txt")
