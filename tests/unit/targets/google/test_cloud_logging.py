from typing import Any

import pytest

from bot.core.plan import Build, Restore, Rollout, RunJob, Shift
from bot.core.questions import LogQuery
from bot.core.serving import Serving
from bot.core.target import Diagnosis
from bot.errors import ForbiddenError
from bot.targets.cloud_logging import Line, first_error

ENTRIES = "/v2/entries:list"
NAME = "projects/acme/locations/us-central1/builds/b1"
EXECUTION = "projects/acme/locations/us-central1/jobs/shop-migrate/executions/e1"


def entry(index: Any, severity: Any = "DEFAULT", **payload: Any) -> Any:
    return {
        "logName": "projects/acme/logs/x",
        "resource": {"type": "build", "labels": {}},
        "insertId": str(index),
        "timestamp": f"2026-01-01T00:00:{index:02d}Z",
        "severity": severity,
        **(payload or {"textPayload": f"line {index}"}),
    }


def test_the_last_lines_are_read_oldest_first(wire: Any, make_target: Any, make_spec: Any, known: Any) -> None:
    newest_first = [
        entry(4, jsonPayload={"message": "structured"}),
        entry(3, "ERROR", textPayload="boom\n\ntwo"),
        entry(
            2, protoPayload={"@type": "type.googleapis.com/google.cloud.audit.AuditLog", "status": {"message": "audit"}}
        ),
        entry(1, jsonPayload={"other": 1}),
    ]
    wire.on("POST", "logging", ENTRIES, {"entries": newest_first})
    found = make_target(make_spec()).diagnose(Build(), known.with_handle("build", NAME))
    assert found.error == "boom"
    assert found.tail == ("audit", "boom", "two", "structured")
    assert found.link.startswith("https://console.cloud.google.com/logs/query;query=resource.type%3D%22build%22")
    sent = wire.calls[0].body
    assert 'resource.labels.build_id="b1"' in sent["filter"]
    assert (sent["orderBy"], sent["resourceNames"], sent["pageSize"]) == ("timestamp desc", ["projects/acme"], 40)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], ""),
        ([("", "fine")], ""),
        ([("INFO", "x"), ("ERROR", "first"), ("CRITICAL", "second")], "first"),
        (
            [("", "ValueError: early"), ("", "  django.db.utils.OperationalError: late"), ("", "bye")],
            "django.db.utils.OperationalError: late",
        ),
        ([("", "Error handling is fine")], ""),
        ([("", "MyException")], "MyException"),
    ],
)
def test_the_line_that_says_why(lines: Any, expected: Any) -> None:
    assert first_error([Line(severity=severity, text=text) for severity, text in lines]) == expected


def test_late_lines_are_waited_for(wire: Any, make_target: Any, make_spec: Any, known: Any) -> None:
    wire.on("POST", "logging", ENTRIES, {}, {}, {"entries": [entry(1)]})
    found = make_target(make_spec()).diagnose(Build(), known.with_handle("build", NAME))
    assert found.tail == ("line 1",)
    assert wire.slept == [0.5, 0.5]


def test_no_lines_is_an_empty_diagnosis_after_three_seconds(
    wire: Any, make_target: Any, make_spec: Any, known: Any
) -> None:
    wire.on("POST", "logging", ENTRIES, {})
    found = make_target(make_spec()).diagnose(Build(), known.with_handle("build", NAME))
    assert (found.error, found.tail, bool(found.link)) == ("", (), True)
    assert sum(wire.slept) == 3


def test_a_failure_to_read_never_raises(
    wire: Any, make_target: Any, make_spec: Any, known: Any, api_error: Any
) -> None:
    wire.on("POST", "logging", ENTRIES, api_error(403, "PERMISSION_DENIED"))
    assert make_target(make_spec()).diagnose(Build(), known.with_handle("build", NAME)).tail == ()


def test_a_failure_to_find_what_failed_never_raises(
    wire: Any, make_target: Any, make_spec: Any, known: Any, api_error: Any
) -> None:
    wire.on("GET", "cloudbuild", "/v1/projects/acme/locations/us-central1/builds", api_error(403, "PERMISSION_DENIED"))
    assert make_target(make_spec()).diagnose(Build(), known) == Diagnosis()


ERRORS = 'resource.labels.revision_name=("shop-web-0123456-zz") AND severity>=ERROR'


@pytest.mark.parametrize(
    ("step", "handles", "query"),
    [
        (
            RunJob(id="migrate", job="migrate", timeout=1),
            {"migrate": EXECUTION},
            'resource.type="cloud_run_job" AND labels."run.googleapis.com/execution_name"="e1"',
        ),
        (
            Rollout(id="rollout", service="web", timeout=1),
            {},
            'resource.labels.service_name="shop-web" AND resource.labels.location="us-central1" AND resource.labels.revision_name=("shop-web-0123456-zz")',
        ),
        (Shift(id="shift", services=("web",), percent=100, timeout=1), {}, ERRORS),
        (Restore(id="undo", to=Serving(), timeout=1), {}, ERRORS),
        (Restore(id="restore", to=Serving(), timeout=1), {}, ERRORS),
    ],
)
def test_each_step_has_its_log(
    wire: Any, make_target: Any, make_spec: Any, known: Any, step: Any, handles: Any, query: Any
) -> None:
    wire.on("POST", "logging", ENTRIES, {"entries": [entry(1)]})
    for name, handle in handles.items():
        known = known.with_handle(name, handle)
    assert make_target(make_spec()).diagnose(step, known).tail == ("line 1",)
    assert query in wire.calls[0].body["filter"]


def test_the_applications_words_come_before_the_platforms() -> None:
    exited = Line(severity="ERROR", text="Container called exit(1).", system=True)
    assert first_error([exited]) == "Container called exit(1)."
    assert first_error([exited, Line(text="KeyError: 'x'")]) == "KeyError: 'x'"
    assert first_error([Line(severity="ERROR", text="boom"), exited, Line(text="KeyError: 'x'")]) == "boom"


# -- for somebody who asks --------------------------------------------------------------------------------------------
QUERY = LogQuery(service="web", revisions=("shop-web-1", "shop-web-2"), since=1_767_225_600.0, severity="warning")


def test_the_newest_entries_are_read_whole(wire: Any, make_target: Any, make_spec: Any) -> None:
    newest_first = [
        entry(6, textPayload=" "),
        entry(5, httpRequest={"requestMethod": "GET", "requestUrl": "https://a/b?token=x", "status": 500}),
        entry(4, jsonPayload={"event": "sold", "n": 2}),
        entry(3, "ERROR", textPayload="x" * 30_000),
        entry(2, jsonPayload={"message": "structured", "other": 1}),
        entry(1, textPayload="one\ntwo\n"),
        entry(0, textPayload="short\n" * 5000),
    ]
    wire.on("POST", "logging", ENTRIES, {"entries": newest_first})
    found = make_target(make_spec()).log_lines(QUERY)
    cut, *texts = [line.text for line in found]
    assert set(cut.split("\n")) == {"short"}  # none of them is half of a line
    assert 19_000 < len(cut) < 20_000
    assert texts == ["one\ntwo", "structured", "x" * 20_000, '{"event": "sold", "n": 2}', "GET https://a/b 500"]
    assert (found[3].severity, str(found[3].at)) == ("ERROR", "2026-01-01 00:00:03+00:00")
    sent = wire.calls[0].body
    assert sent["filter"] == (
        'resource.type="cloud_run_revision" AND resource.labels.service_name="shop-web"'
        ' AND resource.labels.location="us-central1"'
        ' AND resource.labels.revision_name=("shop-web-1" OR "shop-web-2")'
        ' AND severity>=WARNING AND timestamp>="2026-01-01T00:00:00+00:00"'
    )
    assert (sent["orderBy"], sent["pageSize"]) == ("timestamp desc", 200)


def test_somebody_who_asks_is_told_when_the_log_cannot_be_read(
    wire: Any, make_target: Any, make_spec: Any, api_error: Any
) -> None:
    wire.on("POST", "logging", ENTRIES, api_error(403, "PERMISSION_DENIED"))
    with pytest.raises(ForbiddenError):
        make_target(make_spec()).log_lines(QUERY)


def test_the_way_to_the_lines_reads_none(wire: Any, make_target: Any, make_spec: Any) -> None:
    link = make_target(make_spec()).log_link(QUERY)
    assert link.startswith("https://console.cloud.google.com/logs/query;query=resource.type%3D")
    assert link.endswith("?project=acme")
    assert wire.calls == []
