"""Measures how a command grows with what it works on: the same command in a small world and in a large one.

``python tests/bench/growth.py [--only NAME]`` prints the table; ``bench.py`` puts it into docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bot.sandbox.images import Image
from bot.sandbox.runtime import InstantRuntime
from bot.sandbox.world import TOKEN, World, read_outputs

LATENCY = 0.05  # seconds that every call takes, GitHub's and the clouds'
ROLLOUT = 4.0  # seconds that Cloud Run takes for a change
MEMORY = 150.0  # MiB
_PATIENCE = 300.0  # seconds
DOCKERFILE = 'FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nARG VERSION\nENV SHOP_VERSION=$VERSION\nCMD ["serve"]\n'


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one run took: seconds, peak memory in MiB, and calls by server."""

    seconds: float
    memory: float
    calls: Mapping[str, int]
    reason: str

    @property
    def github(self) -> int:
        return self.calls.get("github", 0)

    @property
    def clouds(self) -> int:
        return sum(self.calls.values()) - self.github


@dataclass(frozen=True, kw_only=True)
class Growth:
    """One way to be large. ``grow`` makes a world of a size ready and returns the pull request to speak on.

    ``calls`` is how many more calls the large one may need at most for each unit that it is larger; ``seconds`` how many
    times as long it may take.
    """

    name: str
    what: str
    command: str
    reason: str
    sizes: tuple[int, int]
    unit: str
    grow: Callable[[World, int], int]
    calls: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A growth, measured at both sizes."""

    growth: Growth
    small: Cost
    large: Cost

    @property
    def more(self) -> float:
        """Calls more for each unit more."""
        before, after = self.growth.sizes
        return (sum(self.large.calls.values()) - sum(self.small.calls.values())) / (after - before)

    @property
    def times(self) -> float:
        return self.large.seconds / self.small.seconds

    def broken(self) -> list[str]:
        """Return the bounds that are not kept."""
        found = []
        if self.more > self.growth.calls:
            found.append(f"{self.more:.2f} calls for each more, not {self.growth.calls:g}")
        if self.times > self.growth.seconds:
            found.append(f"{self.times:.1f} times as long, not {self.growth.seconds:g}")
        if max(self.small.memory, self.large.memory) > MEMORY:
            found.append(f"{max(self.small.memory, self.large.memory):.0f} MiB, not {MEMORY:g}")
        return found

    def cells(self) -> str:
        """Return the row of the table."""
        small, large = self.small, self.large
        verdict = "❌ " + "; ".join(self.broken()) if self.broken() else "✅"
        sizes = " → ".join(f"{size:,}" for size in self.growth.sizes)
        return (
            f"| {self.growth.what} | {sizes} {self.growth.unit} | {small.seconds:.1f} → {large.seconds:.1f} s"
            f" | {small.github} → {large.github} | {small.clouds} → {large.clouds}"
            f" | {small.memory:.0f} → {large.memory:.0f} MiB | {verdict} |"
        )


HEAD = (
    "| What | Size | Time | Calls to GitHub | Calls to the clouds | Peak memory | |",
    "|---|---|---|---|---|---|---|",
)


# -- worlds -----------------------------------------------------------------------------------------------------------
def respond(image: Image, env: Mapping[str, str], _method: str, path: str) -> tuple[int, bytes]:
    """Answer as the shop does, at once."""
    if path.startswith("/api/me/"):
        return 401, b"{}"
    version = {**image.env, **env}.get("SHOP_VERSION", "")
    return 200, json.dumps({"status": "healthy", "version": version, "role": env.get("APP_ROLE", "")}).encode()


def pull(world: World, branch: str, dockerfile: str = DOCKERFILE) -> int:
    """Push a change with a green check, and open its pull request."""
    with world.earlier(60.0):
        sha = world.repository.commit(
            branch, {"Dockerfile": dockerfile, "note": branch}, message=branch, author="dana", base="main"
        )
    world.repository.check_run(sha, name="ci", conclusion="success")
    return world.repository.open_pull_request(head=branch, title=branch, author="dana", base="main")


def services(world: World, size: int) -> int:
    """Have that many services. Each has a check before it gets traffic."""
    names = [f"part-{number:02}" for number in range(size)]

    def change(text: str) -> str:
        head, rest = text.split("    services:\n")
        _, tail = rest.split("\n  heroku:\n")
        lines = [f"      {name}: {{public: true, env: {{APP_ROLE: {name}}}}}" for name in names]
        checks = [
            f"      - {{http: /health/, service: {name}, json: {{status: healthy}}, deadline: 10s}}" for name in names
        ]
        return "\n".join([f"{head}    services:", *lines, "    verify:", *checks, "", "  heroku:", tail])

    world.configure(change)
    number = _released(world)
    world.cloud.run.operation_seconds = ROLLOUT
    return number


def deployments(world: World, size: int) -> int:
    """Have that many releases behind you, each with its record and its statuses."""
    number = _released(world)
    state, (newest,) = world.repository.state, world.repository.deployments()
    state.deployments.clear()
    for index in range(1, size):
        ago = 3600.0 * (size - index)
        payload = {**newest.payload, "id": f"earlier-{index}", "sha": f"{index:040x}"}
        statuses = [replace(status, created_at=status.created_at - ago) for status in newest.statuses]
        state.deployments[index] = replace(
            newest, id=index, sha=payload["sha"], ref=payload["sha"], payload=payload, statuses=statuses,
            created_at=newest.created_at - ago, updated_at=newest.updated_at - ago,
        )  # fmt: skip
    state.deployments[newest.id] = newest
    return number


def checks(world: World, size: int) -> int:
    """Have that many check runs on the head, the required one among the first."""
    number = _released(world)
    sha = world.repository.git.text("rev-parse", "refs/heads/next")
    for index in range(size - 1):
        world.repository.check_run(sha, name=f"shard {index}", conclusion="success")
    return number


def build_log(world: World, size: int) -> int:
    """Have a build that fails after printing that many MiB, in lines of 200 KiB."""
    code = f"import sys; [print(chr(120) * 204800) for _ in range({size} * 5)]; print('Error: no such package'); sys.exit(1)"
    return pull(world, "noisy", f'FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nRUN python -c "{code}"\n')


def environments(world: World, size: int) -> int:
    """Have that many environments; each is asked what serves in it."""
    names = [f"  place-{index:02}: {{target: gcp}}" for index in range(size)]
    world.configure(lambda text: text.split("environments:\n")[0] + "environments:\n" + "\n".join(names) + "\n")
    return pull(world, "next")


def _released(world: World) -> int:
    """Release main, so that something serves, and open a pull request."""
    first = pull(world, "first")
    cost = run(world, sys.executable, "/deploy staging", first)
    if cost.reason != "released":
        raise RuntimeError(f"the first release went wrong: {cost.reason}")
    return pull(world, "next")


GROWTHS = (
    Growth(name="services", what="`/deploy`: services", command="/deploy staging", reason="released", sizes=(1, 50),
           unit="services", grow=services, calls=50, seconds=1.5),
    Growth(name="deployments", what="`/deploy`: releases so far", command="/deploy staging", reason="released",
           sizes=(100, 10_000), unit="deployments", grow=deployments, calls=0.001, seconds=1.5),
    Growth(name="checks", what="`/deploy`: checks on the commit", command="/deploy staging", reason="released",
           sizes=(30, 3000), unit="check runs", grow=checks, calls=0.001, seconds=1.5),
    Growth(name="log", what="`/deploy`: log of a build that fails", command="/deploy staging", reason="build_failed",
           sizes=(1, 100), unit="MiB", grow=build_log, calls=0.1, seconds=4.0),
    Growth(name="environments", what="`/status`: environments", command="/status", reason="status_shown",
           sizes=(3, 30), unit="environments", grow=environments, calls=5, seconds=3.0),  # two services, two secrets, the record
)  # fmt: skip


# Starts a command and writes its peak memory into a file. It is small itself: on Linux a process counts the peak of the
# one that started it as its own (wait4's ru_maxrss), and this one has held worlds.
_MEASURED = (
    "import os, sys; pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ); _, status, usage = os.wait4(pid, 0); "
    "open('peak', 'w').write(str(usage.ru_maxrss)); sys.exit(os.waitstatus_to_exitcode(status))"
)


# -- measuring --------------------------------------------------------------------------------------------------------
def run(world: World, python: str, body: str, number: int) -> Cost:
    """Say something on a thread, and measure the bot's process."""
    payload = world.repository.comment(number, body, author="dana")
    record = world.repository.start_run(actor="dana")
    folder = world.root / f"run-{record.id}"
    folder.mkdir()
    environ = world.environ(
        **world.github.environ(
            world.repository, record, event_name="issue_comment", payload=payload,
            event_path=folder / "event.json", token=TOKEN,
        )
    )  # fmt: skip
    before, start = world.calls(), time.monotonic()
    with (folder / "said").open("w") as said:
        command = [sys.executable, "-I", "-S", "-c", _MEASURED, python, "-I", "-m", "bot", "act"]
        subprocess.run(command, env=environ, cwd=folder, stdout=said, stderr=said, check=False)
    seconds = time.monotonic() - start
    world.repository.finish_run(record)
    scale = 1024 if sys.platform != "darwin" else 1 << 20
    reason = read_outputs(Path(environ["GITHUB_OUTPUT"])).get("reason", "")
    return Cost(
        seconds=seconds,
        memory=int((folder / "peak").read_text()) / scale,
        calls={name: count - before.get(name, 0) for name, count in world.calls().items()},
        reason=reason or (folder / "said").read_text()[-2000:],
    )


def cost(growth: Growth, size: int, python: str) -> Cost:
    """Measure one size in a world of its own."""
    with tempfile.TemporaryDirectory() as root, World(root=Path(root), runtime=InstantRuntime(respond)) as world:
        world.github.warm_up()
        world.configure(lambda text: text.replace(", passes: 2", ""))
        number = growth.grow(world, size)
        for service in world.services.values():
            service.latency = LATENCY
        found = run(world, python, growth.command, number)
        if found.reason != growth.reason:
            raise RuntimeError(f"{growth.name} at {size}: {found.reason} instead of {growth.reason}")
        return found


def measure(python: str, growths: Sequence[Growth] = GROWTHS) -> list[Measured]:
    """Measure each growth at both sizes."""
    return [
        Measured(
            growth=growth, small=cost(growth, growth.sizes[0], python), large=cost(growth, growth.sizes[1], python)
        )
        for growth in growths
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--only", default="", help="one of " + ", ".join(growth.name for growth in GROWTHS))
    arguments = parser.parse_args()
    chosen = [growth for growth in GROWTHS if arguments.only in {"", growth.name}]
    found = measure(arguments.python, chosen)
    print("\n".join([*HEAD, *(each.cells() for each in found)]))
    return 1 if any(each.broken() for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
