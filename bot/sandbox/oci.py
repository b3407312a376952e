"""An image: a directory tree with an OCI configuration, and how a process sees that tree without a root of its own.

The digest is that of an OCI image manifest over a configuration and one layer, where the layer's digest is taken over
the tree's paths, modes and bytes (no tar file is written).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image. ``created`` is in seconds of ``time.time()``; ``manifest`` is the document ``digest`` is of."""

    digest: str
    root: Path
    workdir: str = "/"
    env: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    created: float = 0.0
    manifest: bytes = b""


def pack(
    root: Path,
    *,
    workdir: str = "/",
    env: Mapping[str, str] | None = None,
    entrypoint: tuple[str, ...] = (),
    command: tuple[str, ...] = (),
    labels: Mapping[str, str] | None = None,
    port: int | None = None,
    created: float | None = None,
) -> Image:
    """Return the image of a tree, with its digest (OCI image specification: config and manifest)."""
    when = time.time() if created is None else created
    layer, size = _tree_digest(root)
    config = _json(
        {
            "architecture": "amd64", "os": "linux", "created": _rfc3339(when),
            "config": {
                "Env": [f"{key}={value}" for key, value in sorted((env or {}).items())],
                "Entrypoint": list(entrypoint), "Cmd": list(command), "Labels": dict(sorted((labels or {}).items())),
                "WorkingDir": workdir, "ExposedPorts": {f"{port}/tcp": {}} if port else {},
            },
            "rootfs": {"type": "layers", "diff_ids": [layer]},
        }
    )  # fmt: skip
    manifest = _json(
        {
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json", "digest": _sha256(config), "size": len(config),
            },
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": size}],
        }
    )  # fmt: skip
    return Image(
        digest=_sha256(manifest), root=root, workdir=workdir, env=dict(env or {}), entrypoint=entrypoint,
        command=command, labels=dict(labels or {}), port=port, created=when, manifest=manifest,
    )  # fmt: skip


def _json(data: object) -> bytes:
    return json.dumps(data, separators=(",", ":"), sort_keys=True).encode()


def _sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def walk(root: Path) -> Iterator[Path]:
    """Yield a tree's files and symbolic links in a fixed order."""
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted([*files, *(each for each in folders if (Path(folder) / each).is_symlink())]):
            yield Path(folder) / name


def _tree_digest(root: Path) -> tuple[str, int]:
    total, size = hashlib.sha256(), 0
    for path in walk(root):
        mode = path.lstat().st_mode
        data = bytes(path.readlink()) if path.is_symlink() else path.read_bytes()
        size += len(data)
        total.update(f"{path.relative_to(root)}\0{mode:o}\0{hashlib.sha256(data).hexdigest()}\n".encode())
    return "sha256:" + total.hexdigest(), size


def interpreter_path() -> str:
    """Return a PATH with this interpreter's folder first: its packages are the images' packages."""
    return f"{Path(sys.executable).parent}:{SYSTEM_PATH}"


def place(text: str, root: Path, prefixes: Iterable[str]) -> str:
    """Rewrite container paths to their place under ``root``.

    A process here has no root file system of its own. An absolute path is rewritten when it is one of ``prefixes``,
    lies below one, or names a file that the tree holds; any other path (``/bin/sh``, ``/tmp``) is the machine's own.
    """
    known = [prefix.rstrip("/") for prefix in prefixes if prefix.rstrip("/")]

    def one(found: re.Match[str]) -> str:
        path = found[0]
        inside = any(path == prefix or path.startswith(prefix + "/") for prefix in known)
        return f"{root}{path}" if inside or (root / path[1:]).is_file() else path

    return re.sub(r"(?<![\w./~$}@-])(?:/[\w.@+-]+)+", one, text)
