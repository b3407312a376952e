"""Cloud Logging as the real client drives it, and its query language."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from google.cloud import logging as cloud_logging
from google.oauth2.credentials import Credentials

from bot.sandbox.google.iam import TokenAuthority
from bot.sandbox.google.logging import Logging
from bot.sandbox.google.logging_query import QueryError, compile_query


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def token(clock: Clock) -> tuple[TokenAuthority, str]:
    authority = TokenAuthority(clock=clock)
    return authority, authority.issue_token("reader@acme.iam.gserviceaccount.com")


@pytest.fixture
def logging(clock: Clock, token: tuple[TokenAuthority, str]) -> Iterator[Logging]:
    server = Logging(authenticate=token[0].authenticate, clock=clock)
    server.start()
    yield server
    server.stop()
    assert server.unknown == []


@pytest.fixture
def client(logging: Logging, token: tuple[TokenAuthority, str]) -> Any:
    credentials = Credentials(token[1])  # type: ignore[no-untyped-call]
    options = {"api_endpoint": logging.url}
    made: Any = cloud_logging.Client(  # type: ignore[no-untyped-call]
        project="acme", credentials=credentials, _use_grpc=False, client_options=options
    )
    return made


def entry(text: str, *, second: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "logName": "projects/acme/logs/run.googleapis.com%2Fstderr",
        "resource": {"type": "cloud_run_revision", "labels": {"service_name": "web"}},
        "timestamp": f"2027-01-15T08:00:{second:02d}.123456789Z",
        "textPayload": text,
        **fields,
    }


def test_entries_come_back_by_filter_and_in_order(logging: Logging, client: Any) -> None:
    logging.sink(entry("second", second=2))
    logging.sink(entry("first", second=1))
    logging.sink(entry("other", resource={"type": "build", "labels": {}}))
    logging.sink(entry("foreign", logName="projects/other/logs/x"))
    wanted = 'resource.type="cloud_run_revision"'
    assert [each.payload for each in client.list_entries(filter_=wanted)] == ["first", "second"]
    newest = client.list_entries(filter_=wanted, order_by="timestamp desc")
    assert [each.payload for each in newest] == ["second", "first"]


def test_a_listing_goes_on_to_the_next_page(logging: Logging, client: Any) -> None:
    for second in range(5):
        logging.sink(entry(str(second), second=second))
    assert [each.payload for each in client.list_entries(page_size=2)] == list("01234")
    assert logging.count("entries:list") == 3


def test_what_the_client_writes_can_be_read_and_deleted(client: Any) -> None:
    logger = client.logger("deploys", resource=None)
    logger.log_text("released", severity="NOTICE", labels={"sha": "abc", "team": "shop"})
    (found,) = client.list_entries(filter_='severity>=NOTICE AND labels.team="shop" AND labels.sha:*')
    assert found.payload == "released"
    logger.delete()
    assert list(client.list_entries()) == []


def test_entries_take_their_time_to_be_seen(logging: Logging, client: Any, clock: Clock) -> None:
    logging.ingestion_seconds = 5.0
    logging.sink(entry("late"))
    assert list(client.list_entries(filter_='textPayload:"late"')) == []
    clock.now += 5
    assert len(list(client.list_entries(filter_='textPayload:"late"'))) == 1


def test_an_entry_can_be_waited_for(logging: Logging) -> None:
    assert logging.wait_for(lambda each: True, timeout=0.01) is None
    logging.sink(entry("here"))
    found = logging.wait_for(lambda each: each["textPayload"] == "here")
    assert found is not None
    assert found["insertId"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"resourceNames": ["projects/acme"], "pageSize": -1},
        {"resourceNames": ["projects/acme"], "orderBy": "severity"},
        {"resourceNames": ["projects/acme"], "pageToken": "?"},
        {"resourceNames": ["projects/acme"], "filter": "severity>=LOUD"},
    ],
)
def test_a_malformed_listing_is_refused(
    logging: Logging, token: tuple[TokenAuthority, str], body: dict[str, Any]
) -> None:
    headers = {"Authorization": f"Bearer {token[1]}"}
    reply = requests.post(f"{logging.url}/v2/entries:list", json=body, headers=headers, timeout=5)
    assert (reply.status_code, reply.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_a_write_without_a_log_is_refused(logging: Logging, token: tuple[TokenAuthority, str]) -> None:
    headers = {"Authorization": f"Bearer {token[1]}"}
    reply = requests.post(f"{logging.url}/v2/entries:write", json={"entries": [{}]}, headers=headers, timeout=5)
    assert reply.status_code == 400
    body = {"entries": [{"logName": "projects/acme/logs/x", "severity": 500, "textPayload": "bad"}]}
    assert requests.post(f"{logging.url}/v2/entries:write", json=body, headers=headers, timeout=5).status_code == 200
    assert logging.entries[-1]["severity"] == "ERROR"


def test_a_caller_needs_a_token(logging: Logging) -> None:
    assert requests.post(f"{logging.url}/v2/entries:list", json={}, timeout=5).status_code == 401


SAMPLE = {
    "severity": "ERROR",
    "timestamp": "2027-01-15T08:00:05.123456789Z",
    "resource": {"type": "cloud_run_job", "labels": {"job_name": "migrate"}},
    "labels": {"run.googleapis.com/execution_name": "migrate-abcde"},
    "jsonPayload": {"message": "Column missing", "count": 12, "ok": False},
    "httpRequest": {"status": 503},
}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", True),
        ('resource.type="cloud_run_job"', True),
        ('resource.type="CLOUD_RUN_JOB"', True),
        ("resource.type=cloud_run_job", True),
        ('resource.type!="cloud_run_job"', False),
        ('resource.labels.service_name!="web"', True),
        ('resource.type="cloud_run_job" resource.labels.job_name="migrate"', True),
        ('resource.type="cloud_run_job"\nresource.labels.job_name="other"', False),
        ("severity>=ERROR", True),
        ("severity>ERROR", False),
        ("severity<=error AND severity<CRITICAL", True),
        ('timestamp>="2027-01-15T08:00:05Z"', True),
        ('timestamp<"2027-01-15T08:00:05+00:00"', False),
        ('timestamp>"2027-01-15"', True),
        ('labels."run.googleapis.com/execution_name"="migrate-abcde"', True),
        ('labels."run.googleapis.com/execution_name"="migrate-other"', False),
        ("jsonPayload.count>9", True),
        ("jsonPayload.message>9", False),
        ("jsonPayload.ok=false", True),
        ('jsonPayload.message:"column"', True),
        ("jsonPayload:missing", True),
        ("jsonPayload.absent:*", False),
        ('jsonPayload.message=~"^Column"', True),
        ('jsonPayload.message!~"^Column"', False),
        ("NOT severity=ERROR", False),
        ("-severity=INFO", True),
        ("severity=INFO OR severity=ERROR", True),
        ("severity=ERROR OR severity=INFO AND httpRequest.status=200", False),  # OR binds before AND
        ("(severity=ERROR) AND (httpRequest.status>=500 OR severity=INFO)", True),
        ('resource.labels.job_name=("migrate" OR "smoke")', True),
        ('resource.labels.job_name=("web" OR "smoke")', False),
        ('"column missing"', True),
        ("nothing", False),
        ("severity=ERROR -- a remark", True),
    ],
)  # fmt: skip
def test_the_query_language(query: str, expected: bool) -> None:
    assert compile_query(query)(SAMPLE) is expected


def test_an_entry_without_severity_is_at_default() -> None:
    assert compile_query("severity=DEFAULT")({})
    assert not compile_query("severity>=INFO")({})


@pytest.mark.parametrize(
    "query", ['a="', "a=", "(a=1", "a=(1 OR 2", "a=1)", "=1", "severity=LOUD", 'timestamp>"yesterday"']
)
def test_a_query_that_cannot_be_read(query: str) -> None:
    with pytest.raises(QueryError):
        compile_query(query)({"timestamp": "2027-01-15T08:00:05Z"})
