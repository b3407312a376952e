"""What a build machine needs of docker and git: a command line, the names of images, a commit."""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Never

from bot.sandbox.images import BuildFailed, split_tag


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Never:
        raise BuildFailed(f"docker: {message}", 125)


def build_arguments(args: Sequence[str], *, buildx: bool = False) -> argparse.Namespace:
    """Read the arguments of ``docker build``, or of ``docker buildx build``; those that change nothing are accepted.

    Named contexts are for the latter alone: the builder's Docker is 20.10.24 (GoogleCloudPlatform/cloud-builders,
    docker/cloudbuild.yaml, ``latest``), whose own ``docker build`` does not know them, with BuildKit or without
    (crashappsec/chalk#206), and whose package brings buildx along (Docker Engine's release notes of 23.0).
    """
    parser = _Parser(prog="docker build", add_help=False, allow_abbrev=False)
    if buildx:
        parser.add_argument("--build-context", action="append", default=[])
    else:
        parser.set_defaults(build_context=[])
    for names in (("-t", "--tag"), ("--build-arg",), ("--label",), ("--cache-from",), ("--cache-to",)):
        parser.add_argument(*names, action="append", default=[])
    for names in (("-f", "--file"), ("--platform",), ("--provenance",), ("--sbom",), ("--progress",), ("--network",)):
        parser.add_argument(*names)
    for names in (("--no-cache",), ("--pull",), ("--push",), ("--load",), ("-q", "--quiet"), ("--rm",)):
        parser.add_argument(*names, action="store_true")
    parser.add_argument("context")
    return parser.parse_args(list(args))


def pairs(items: Sequence[str]) -> dict[str, str]:
    """Read ``KEY=VALUE`` items."""
    return {key: value for key, _, value in (item.partition("=") for item in items)}


def named_contexts(options: argparse.Namespace, here: Path, workspace: Path) -> dict[str, Path]:
    """Return the folders of ``--build-context``. Raises BuildFailed for one that is not in the workspace."""
    found = {name: (here / path).resolve() for name, path in pairs(options.build_context).items()}
    for path in found.values():
        if not path.is_dir() or not path.is_relative_to(workspace.resolve()):
            raise BuildFailed(f"failed to get build context path: {path.name}: no such directory")
    return found


def file_hashes(path: Path, kinds: Iterable[str]) -> dict[str, Any]:
    """Return the hashes of a file as SourceProvenance.fileHashes has them."""
    data = path.read_bytes()
    values = {kind: base64.b64encode(hashlib.new(kind.lower(), data).digest()).decode() for kind in kinds}
    return {"fileHash": [{"type": kind, "value": value} for kind, value in values.items()]}


def tagged(name: str) -> str:
    """Return an image's name with the tag or digest that it means."""
    return name if "@" in name or split_tag(name)[1] else f"{name}:latest"


def package(name: str) -> str:
    """Return the resource name of an image's package in Artifact Registry, "" for another registry's."""
    found = re.fullmatch(r"([\w-]+)-docker\.pkg\.dev/([^/]+)/([^/]+)/(.+)", split_tag(name)[0])
    return "projects/{1}/locations/{0}/repositories/{2}/packages/{3}".format(*found.groups()) if found else ""


def git(folder: Path, *args: str) -> bytes:
    """Run git on a bare folder and return what it prints. Raises ValueError with its words."""
    done = subprocess.run(
        ["git", "--git-dir", str(folder), *args],
        capture_output=True, check=False, timeout=60,
        env={"PATH": os.environ.get("PATH", ""), "GIT_CONFIG_NOSYSTEM": "1", "HOME": os.devnull},
    )  # fmt: skip
    if done.returncode != 0:
        raise ValueError(done.stderr.decode(errors="replace").strip())
    return done.stdout
