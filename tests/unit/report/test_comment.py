from __future__ import annotations

from collections.abc import Callable

import pytest

from bot.core.outcome import ReleaseReport
from bot.report.comment import marker, release_comment

MARK = marker("ic-991-0", environment="staging", sha="4f9a1c2d3e5f60718293a4b5c6d7e8f901234567")
NAMES = ["running", "running-first-words", "running-late-and-behind", "running-restoring", "released", "released-first", "released-already", "released-behind", "build-failed", "job-failed", "rollout-failed", "verification-failed-before-traffic", "verification-failed-restored", "restore-failed", "first-release-failed", "upstream-failed", "timed-out", "cancelled", "cancelled-not-restored", "rolled-back", "rollback-running", "rollback-failed"]


@pytest.mark.parametrize("name", NAMES)
def test_a_release_reads_as_in_its_golden_file(
    name: str, reports: dict[str, ReleaseReport], golden: Callable[[str, str], None]
) -> None:
    golden(name, release_comment(reports[name], marker=MARK))
