"""What a build machine needs of docker and git: a command line, the names of images, a commit."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Never

from bot.sandbox.images import BuildFailed, split_tag


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Never:
        raise BuildFailed(f"docker: {message}", 125)


def build_arguments(args: Sequence[str]) -> argparse.Namespace:
    """Read the arguments of ``docker build``; those that change nothing here are accepted."""
    parser = _Parser(prog="docker build", add_help=False, allow_abbrev=False)
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
