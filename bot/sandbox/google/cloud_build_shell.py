"""A shell in a build step: bash with the machine's own tools, and a ``gcloud`` that copies objects to its output.

Ground: the image ``gcr.io/cloud-builders/gcloud`` has the Cloud SDK on a whole Ubuntu (GoogleCloudPlatform/
cloud-builders, gcloud/Dockerfile); "gcloud storage cp gs://BUCKET/OBJECT -" writes an object to standard output (Cloud
Storage documentation, "Streaming downloads"), and ``#GENERATION`` after an object names one of its versions ("Use
versioned objects"). The script runs with the rights of whoever runs the sandbox, as RUN of a Dockerfile does.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bot.sandbox.google.storage import Storage
from bot.sandbox.images import BuildFailed
from bot.sandbox.oci import SYSTEM_PATH
from bot.sandbox.processes import run_lines
from bot.sandbox.wire import WireError

# What stands in for gcloud: the objects that the script names are told by a variable, as files of this machine.
_GCLOUD = """\
#!{python} -I
import json, os, shutil, sys
match sys.argv[1:]:
    case ["storage", "cp", url, "-"]:
        path = json.loads(os.environ["SANDBOX_OBJECTS"]).get(url)
        if path is None:
            sys.exit(f"ERROR: (gcloud.storage.cp) The following URLs matched no objects or files:\\n{{url}}")
        with open(path, "rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
    case other:
        sys.exit(f"the sandbox can't run: gcloud {{' '.join(other)}}")
"""
_URL = re.compile(r"gs://([a-z0-9._-]+)/([^\s'\"#]+)(?:#(\d+))?")


def run_shell(
    args: Sequence[str],
    here: Path,
    storage: Storage,
    *,
    log: Callable[[str], None],
    stopped: Callable[[], bool],
) -> None:
    """Run ``bash`` with some arguments in a folder of the workspace. Raises BuildFailed with its exit code."""
    tools = here / ".sandbox-tools"
    tools.mkdir(exist_ok=True)
    gcloud = tools / "gcloud"
    gcloud.write_text(_GCLOUD.format(python=sys.executable))
    gcloud.chmod(0o755)
    env = {
        "PATH": f"{tools}:{SYSTEM_PATH}", "HOME": str(tools), "LANG": "C.UTF-8",
        "SANDBOX_OBJECTS": json.dumps(_objects(" ".join(args), storage)),
    }  # fmt: skip
    code = run_lines(["bash", *args], cwd=here, env=env, log=log, stopped=stopped)
    if code:
        raise BuildFailed(f"bash ended with {code}", code if code > 0 else 137)


def _objects(script: str, storage: Storage) -> dict[str, str]:
    """Return the file of each object that a script names; those that are not there are left out."""
    found = {}
    for match in _URL.finditer(script):
        with contextlib.suppress(WireError):
            found[match[0]] = str(storage.lookup(match[1], match[2], int(match[3]) if match[3] else None).path)
    return found
