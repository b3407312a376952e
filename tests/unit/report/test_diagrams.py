"""The diagrams are read by mermaid itself, where `node` and the npm packages `mermaid` and `jsdom` are at hand.

They are looked for in ``NODE_PATH`` and in ``node_modules`` beside the project.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bot.core.facts import Deployment, DeploymentStatus
from bot.core.outcome import ReleaseReport, StepResult
from bot.core.record import Entry, Record
from bot.core.serving import Serving
from bot.report.history import Past, chart
from bot.report.sections import gantt

Parse = Callable[[str], str | None]
START = 1_767_276_000.0
ANYTHING = st.one_of(
    st.text(max_size=20),
    st.lists(
        st.sampled_from(
            [
                "section ",
                "title",
                "click",
                "gantt",
                "%%",
                "%%{init: {}}%%",
                ";",
                ":",
                ",",
                "#",
                '"',
                "]",
                "```",
                "\n",
                "call",
                "href",
                "accTitle: x",
                "end",
                "done",
                "-->",
                "{",
                "}",
                "<script>",
                "\u2028",
                "é",
                "漢",
                "😀",
                " ",
                "()",
            ]
        ),
        max_size=6,
    ).map("".join),
)


def _modules() -> Path | None:
    beside = Path(__file__).parents[3] / "node_modules"
    folders = [Path(name) for name in os.environ.get("NODE_PATH", "").split(os.pathsep) if name]
    return next(
        (one for one in [*folders, beside] if all((one / name).is_dir() for name in ("mermaid", "jsdom"))), None
    )


@pytest.fixture(scope="module")
def parse() -> Iterator[Parse]:
    """Return what parses a diagram; it says what is wrong, or None."""
    node, modules = shutil.which("node"), _modules()
    if node is None or modules is None:
        pytest.skip("node, mermaid or jsdom are not here")
    script = Path(__file__).with_name("mermaid.mjs")
    # Its complaints go nowhere: a pipe that nobody reads would stop it one day.
    with subprocess.Popen(
        [node, str(script), str(modules)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, encoding="utf-8",
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        read, write = process.stdout, process.stdin

        def ask(text: str) -> str | None:
            write.write(json.dumps(text) + "\n")
            write.flush()
            said: str | None = json.loads(read.readline())
            return said

        assert json.loads(read.readline()) == "ready"
        yield ask
        write.close()


def inside(block: str) -> str:
    """Return the diagram in its fence, which has to be one."""
    first, *lines, last = block.split("\n")
    assert (first, last) == ("```mermaid", "```")
    return "\n".join(lines)


def make_gantt(*steps: tuple[str, str]) -> str:
    told: Any = [
        StepResult(id=f"s{index}", kind=kind, title=title, state="done", started=START + index, ended=START + 60)  # type: ignore[arg-type]
        for index, (kind, title) in enumerate(steps)
    ]
    report = ReleaseReport(
        verb="deploy", environment="staging", sha="4f9a1c2", actor="dana", state="released", now=START + 99,
        started=START, steps=tuple(told),
    )  # fmt: skip
    return inside(gantt(report))


def make_entry(sha: str, minutes: float) -> Entry:
    made = datetime.fromtimestamp(START, UTC)
    status = DeploymentStatus(state="success", created_at=made + timedelta(minutes=minutes))
    record = Record(id="1", verb="deploy", sha=sha, actor="dana", run_id=1, run_attempt=1, plan=(), before=Serving())
    deployment = Deployment(
        id=1, sha=sha, ref="main", environment="staging", payload={}, created_at=made, statuses=(status,), creator="x"
    )
    return Entry(deployment=deployment, record=record)


def make_chart(*releases: tuple[str, float]) -> str:
    entries = [make_entry(sha, minutes) for sha, minutes in releases]
    return inside(chart(Past(environment="staging", entries=entries, shown=len(entries), now=START, repository_url="")))


STEPS = st.lists(
    st.tuples(st.sampled_from(["gates", "build", "run_job", "rollout", "verify", "shift", "restore"]), ANYTHING),
    min_size=1, max_size=4,
)  # fmt: skip
RELEASES = st.lists(st.tuples(ANYTHING, st.floats(0.001, 1e6)), min_size=3, max_size=6)
BOUNDED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_every_timeline_of_the_golden_comments_is_a_gantt_chart(
    parse: Parse, reports: dict[str, ReleaseReport]
) -> None:
    charts = [inside(block) for block in map(gantt, reports.values()) if block]
    assert len(charts) > 10
    assert [parse(one) for one in charts] == [None] * len(charts)


@BOUNDED
@given(steps=STEPS)
@example(steps=[("build", "section x"), ("build", "title: y")])
@example(steps=[("gates", "GANTT¹")])
@example(steps=[("shift", "Shift 25 % of the traffic"), ("shift", "%%"), ("shift", "%%{init: {}}%%")])
def test_a_timeline_parses_whatever_its_steps_are_called(parse: Parse, steps: list[tuple[str, str]]) -> None:
    assert parse(make_gantt(*steps)) is None


@BOUNDED
@given(releases=RELEASES)
@example(releases=[("4f9a1c2", 5.0), ("a81d0be", 1.0), ("4f9a1c2", 2.0)])
def test_a_bar_chart_parses_whatever_is_in_the_record(parse: Parse, releases: list[tuple[str, float]]) -> None:
    assert parse(make_chart(*releases)) is None


def test_mermaid_would_say_what_is_wrong(parse: Parse) -> None:
    assert parse("gantt\n    bogus bogus") is not None
    assert parse('xychart-beta\n    x-axis ["a]') is not None


# -- without mermaid ----------------------------------------------------------------------------------------------
@given(steps=STEPS)
def test_a_step_is_one_line_of_the_timeline(steps: list[tuple[str, str]]) -> None:
    lines = make_gantt(*steps).split("\n")
    tasks = [line for line in lines[3:] if not line.startswith("    section ")]
    assert len(tasks) == len(steps)
    assert all(line.count(":") == 3 for line in tasks)


@given(releases=RELEASES)
def test_every_bar_has_a_name_of_its_own(releases: list[tuple[str, float]]) -> None:
    lines = make_chart(*releases).split("\n")
    assert len(lines) == 5
    names = json.loads(lines[2].removeprefix("    x-axis "))
    assert len(set(names)) == len(names) == lines[4].count(",") + 1


def test_a_release_that_comes_again_is_numbered() -> None:
    made = make_chart(("4f9a1c2", 2.0), ("a81d0be", 1.0), ("4f9a1c2", 5.0))
    assert 'x-axis ["4f9a1c2", "a81d0be", "4f9a1c2 (2)"]' in made
