"""From a source tarball to a slug: fetch, unpack, and what the Python buildpack does that an app can notice.

Dependencies are not installed: processes run on the sandbox's own interpreter, which has what the sample needs.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from bot.sandbox.unpack import unpack as unpack_members

FETCH_TIMEOUT = 60.0  # seconds without a byte
PROCFILE_LINE = re.compile(r"^([A-Za-z0-9_-]+):\s*(.+?)\s*$")
# What makes the buildpack take an app for Python: https://devcenter.heroku.com/articles/python-support
PYTHON_SIGNS = ("requirements.txt", "Pipfile", "poetry.lock", "uv.lock", "pyproject.toml", "setup.py", "manage.py")

Log = Callable[[str], None]


class BuildError(Exception):
    """The build cannot become a slug; the message is the last line of its output."""


def fetch(url: str, target: Path, *, checksum: str | None) -> str:
    """Store the tarball at ``url`` in ``target`` and return its ``SHA256:…``.

    Args:
        url: anything that answers GET without credentials, as a presigned URL does.
        target: file to write.
        checksum: "an optional checksum of the gzipped tarball" (schema of ``source_blob``); ``None`` is not checked.

    Raises:
        BuildError: the address does not answer with 200, or the checksum differs.
    """
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=FETCH_TIMEOUT) as answer, target.open("wb") as out:
            while chunk := answer.read(1 << 16):
                digest.update(chunk)
                out.write(chunk)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise BuildError(f"Could not fetch the source: {error}") from error
    found = f"SHA256:{digest.hexdigest()}"
    if checksum and checksum.lower() != found.lower():
        raise BuildError(f"Source checksum {found} is not {checksum}")
    return found


def unpack(tarball: Path, target: Path) -> None:
    """Unpack a gzipped tarball; one top folder that holds everything is stripped, as for GitHub's archives.

    Raises:
        BuildError: not a gzipped tarball, empty, or a member that leaves the folder.
    """
    target.mkdir(parents=True)
    try:
        with tarfile.open(tarball, "r:gz") as archive:
            members = [member for member in archive.getmembers() if PurePosixPath(member.name).parts]
            tops = {PurePosixPath(member.name).parts[0] for member in members}
            if not members:
                raise BuildError("The source archive is empty")
            strip = len(tops) == 1 and all(len(_parts(member)) > 1 or member.isdir() for member in members)
            chosen = []
            for member in members:
                kept = _parts(member)[1:] if strip else _parts(member)
                if kept:
                    member.name = str(PurePosixPath(*kept))
                    chosen.append(member)
            unpack_members(archive, target, chosen)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BuildError(f"The source is not a gzipped tar archive that can be unpacked: {error}") from error


def _parts(member: tarfile.TarInfo) -> tuple[str, ...]:
    return PurePosixPath(member.name).parts


def compile_app(app: Path, config_vars: Mapping[str, str], log: Log) -> dict[str, str]:
    """Do the buildpack's part in place and return the process types of the Procfile.

    ``bin/post_compile`` is run with the config vars in its environment, as the Python buildpack does.

    Raises:
        BuildError: no buildpack takes the app, or ``bin/post_compile`` failed.
    """
    if not any((app / sign).is_file() for sign in PYTHON_SIGNS):
        raise BuildError("App not compatible with buildpack: heroku/python")
    log("-----> Building on the Heroku-24 stack")
    log("-----> Using buildpack: heroku/python")
    log("-----> Python app detected")
    hook = app / "bin" / "post_compile"
    if hook.is_file():
        log("-----> Running bin/post_compile hook")
        _run_hook(hook, app, config_vars, log)
    types = process_types(app)
    log("-----> Discovering process types")
    log(f"       Procfile declares types -> {', '.join(types) or '(none)'}")
    return types


def _run_hook(hook: Path, app: Path, config_vars: Mapping[str, str], log: Log) -> None:
    hook.chmod(0o755)
    python = str(Path(sys.executable).parent)
    environ = {**config_vars, "PATH": f"{python}{os.pathsep}{os.environ.get('PATH', os.defpath)}", "HOME": str(app)}
    done = subprocess.run(
        ["/usr/bin/env", "bash", str(hook)], cwd=app, env=environ, check=False, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    for line in done.stdout.splitlines():
        log(f"       {line}")
    if done.returncode:
        raise BuildError(f"bin/post_compile exited with status {done.returncode}")


def process_types(app: Path) -> dict[str, str]:
    """Read the Procfile: ``name: command`` lines; anything else is skipped, as Heroku skips it."""
    procfile = app / "Procfile"
    if not procfile.is_file():
        return {}
    lines = procfile.read_text(encoding="utf-8").splitlines()
    return {match[1]: match[2] for line in lines if (match := PROCFILE_LINE.match(line))}


def size_of(root: Path) -> int:
    """Return the bytes of all files under a folder."""
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink())
