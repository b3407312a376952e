"""The base of Google's servers: tokens, the error dialect, judging, pages, operations."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from bot.sandbox.google import Discovery, GoogleService, operation, paginate, rfc3339, seconds_of
from bot.sandbox.wire import Request, WireError, answer


def request(method: str, path: str, **query: str) -> Request:
    return Request(
        method=method,
        path=path,
        raw_path=path,
        query={key: [value] for key, value in query.items()},
        headers={},
        body=b"",
    )


@pytest.fixture
def server() -> Iterator[GoogleService]:
    class Echo(GoogleService):
        document = "run.v2"

    service = Echo(authenticate={"good": "me"}.get)
    path = "/v2/projects/{project}/locations/{location}/services"
    service.route("POST", path, lambda request: answer({"who": service.principal(request), "body": request.json()}))
    service.route("GET", path, lambda request: answer(paginate(request, [{"n": n} for n in range(3)], "services")))
    service.route("GET", "/unknown/to/the/document", lambda _request: answer({}))
    service.start()
    yield service
    service.stop()


URL = "/v2/projects/acme/locations/us-central1/services"


@pytest.mark.parametrize(
    ("header", "reason"),
    [(None, "CREDENTIALS_MISSING"), ("Bearer bad", "ACCESS_TOKEN_TYPE_UNSUPPORTED"), ("Basic good", "ACCESS_TOKEN_TYPE_UNSUPPORTED")],
)  # fmt: skip
def test_who_has_no_known_token_is_told_so(server: GoogleService, header: str | None, reason: str) -> None:
    found = requests.get(server.url + URL, headers={"Authorization": header} if header else {}, timeout=5)
    error = found.json()["error"]
    assert (found.status_code, error["code"], error["status"]) == (401, 401, "UNAUTHENTICATED")
    assert error["details"][0]["reason"] == reason
    assert found.headers["WWW-Authenticate"].startswith("Bearer realm")


@pytest.mark.parametrize(
    ("body", "query", "said"),
    [
        ({"template": {"containers": [{"image": "a", "resources": {"limits": {"cpu": "1"}}}]}}, "?serviceId=a", None),
        ({"launch_stage": 4, "ingress": "INGRESS_TRAFFIC_ALL", "labels": {"a": "b"}}, "?$alt=json;enum-encoding=int", None),
        ({"traffic": [{"percent": 100, "tag": None}], "generation": "5", "reconciling": True}, "?validate_only=true", None),
        ({"nope": 1}, "", 'Unknown name "nope": Cannot find field.'),
        ({"template": {"containers": [{"nope": 1}]}}, "", "Unknown name \"nope\" at 'template.containers[0]'"),
        ({}, "?nope=1", 'Unknown name "nope": Cannot bind query parameter.'),
        ({"ingress": "EVERYWHERE"}, "", "Invalid value at 'ingress' (an enum value), \"EVERYWHERE\""),
        ({"labels": {"a": 1}}, "", "Invalid value at 'labels.a' (string), 1"),
        ({"template": []}, "", "Invalid value at 'template' (object)"),
        ({"traffic": {}}, "", "Invalid value at 'traffic' (array)"),
        ({"traffic": [{"percent": "many"}]}, "", "Invalid value at 'traffic[0].percent' (int32)"),
        ({"generation": "x"}, "", "Invalid value at 'generation' (int64)"),
        ({"reconciling": "yes"}, "", "Invalid value at 'reconciling' (boolean)"),
    ],
)  # fmt: skip
def test_requests_are_judged_by_the_discovery_document(
    server: GoogleService, body: dict[str, Any], query: str, said: str | None
) -> None:
    found = requests.post(server.url + URL + query, json=body, headers={"Authorization": "Bearer good"}, timeout=5)
    if said is None:
        assert found.json() == {"who": "me", "body": body}
    else:
        error = found.json()["error"]
        assert (found.status_code, error["status"]) == (400, "INVALID_ARGUMENT")
        assert said in error["message"]
        assert error["details"][0]["@type"] == "type.googleapis.com/google.rpc.BadRequest"


def test_what_no_document_describes_is_not_judged(server: GoogleService) -> None:
    url = f"{server.url}/unknown/to/the/document?anything=1"
    assert requests.get(url, headers={"Authorization": "Bearer good"}, timeout=5).status_code == 200
    assert Discovery.load("none.v9") is None
    assert Discovery.load("") is None
    assert GoogleService().principal(request("GET", "/")) is None


def test_custom_methods_are_told_from_names_with_colons() -> None:
    document = Discovery.load("artifactregistry.v1")
    assert document is not None
    image = document.method("GET", "/v1/projects/a/locations/b/repositories/c/dockerImages/web@sha256:1")
    assert image is not None
    assert image["id"].endswith("dockerImages.get")
    policy = document.method("GET", "/v1/projects/a/locations/b/repositories/c:getIamPolicy")
    assert policy is not None
    assert policy["id"].endswith("repositories.getIamPolicy")


def test_pages() -> None:
    items = [{"n": number} for number in range(5)]
    found: list[dict[str, Any]] = []
    token = ""
    sizes = []
    while True:
        page = paginate(request("GET", "/", pageSize="2", pageToken=token), items, "items")
        found += page["items"]
        sizes.append(len(page["items"]))
        if not (token := page.get("nextPageToken", "")):
            break
    assert (found, sizes) == (items, [2, 2, 1])
    assert paginate(request("GET", "/", pageSize="9"), items, "items", maximum=3)["nextPageToken"]
    assert paginate(request("GET", "/"), [], "items") == {}
    for bad in ({"pageSize": "-1"}, {"pageToken": "nonsense"}):
        with pytest.raises(WireError):
            paginate(request("GET", "/", **bad), items, "items")


def test_times_and_durations() -> None:
    assert rfc3339(1_760_000_000.25) == "2025-10-09T08:53:20.250000Z"
    assert seconds_of("1.5s") == 1.5
    with pytest.raises(WireError):
        seconds_of("5")


def test_operations() -> None:
    assert operation("o", metadata={"a": 1}, metadata_type="x.M") == {
        "name": "o", "metadata": {"@type": "type.googleapis.com/x.M", "a": 1},
    }  # fmt: skip
    ended = operation("o", done=True, response={"a": 1}, response_type="x.R")
    assert ended == {"name": "o", "done": True, "response": {"@type": "type.googleapis.com/x.R", "a": 1}}
    assert operation("o", done=True, error={"code": 2})["error"] == {"code": 2}
