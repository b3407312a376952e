"""Reading while somebody writes: every answer is whole, however the threads are interleaved."""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.cloud import run_v2

PARENT = "projects/acme/locations/us-central1"
WORK = "import time; time.sleep(60)"


@pytest.fixture(autouse=True)
def _restless(world: Any) -> Iterator[None]:
    """Let threads take turns as often as they can, and let nothing wait for a worker to prove itself."""
    world.run.launcher.worker_patience = 0.0
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def read_during(work: Callable[[], None], *reads: Callable[[], object]) -> None:
    """Repeat every read in its own thread until ``work`` is done. Raises what the first of them raised."""
    over, failures = threading.Event(), list[RuntimeError]()

    def repeat(read: Callable[[], object]) -> None:
        while not over.is_set():
            try:
                read()
            except RuntimeError as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=repeat, args=(read,)) for read in reads]
    for thread in threads:
        thread.start()
    try:
        work()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


def test_a_worker_pool_and_its_revisions(world: Any) -> None:
    def template(number: int) -> run_v2.WorkerPoolRevisionTemplate:
        container = run_v2.Container(image=world.image("v1"), command=["python3", "-c"], args=[WORK])
        return run_v2.WorkerPoolRevisionTemplate(revision=f"worker-{number}", containers=[container])

    def work() -> None:
        world.result(
            world.pools.create_worker_pool(
                parent=PARENT, worker_pool=run_v2.WorkerPool(template=template(0)), worker_pool_id="worker", timeout=10
            )
        )
        for number in range(1, 6):
            pool = run_v2.WorkerPool(name=f"{PARENT}/workerPools/worker", template=template(number))
            world.result(world.pools.update_worker_pool(worker_pool=pool, timeout=10))

    pools = world.run.worker_pools.all

    def read() -> None:
        for pool in list(pools.values()):
            pool.shown()
            for revision in list(pool.revisions.values()):
                copy.deepcopy(revision.resource)

    read_during(work, read, read)
    assert len(pools["worker"].revisions) == 6
