import json
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from bot.errors import ConflictError, ForbiddenError, UpstreamError
from bot.github.api import Api
from bot.github.deployments import cut

A = "a" * 40


def node(number: Any, **over: Any) -> Any:
    return {
        "id": f"DE_{number}",
        "databaseId": number,
        "commitOid": A,
        "environment": "staging",
        "task": "deploy",
        "payload": json.dumps(json.dumps({"id": str(number)})),
        "createdAt": "2026-01-01T00:00:00Z",
        "ref": None,
        "creator": {"login": "github-actions"},
        "latestStatus": None,
        "statuses": {"nodes": []},
    } | over


def status(number: Any, state: Any, second: Any) -> Any:
    return {
        "id": f"DES_{number}",
        "state": state,
        "description": f"it is {state.lower()}",
        "environmentUrl": "https://staging.example",
        "createdAt": f"2026-01-01T00:00:{second:02}Z",
    }


def page(nodes: Any, cursor: Any = None) -> Any:
    turn = {"hasNextPage": cursor is not None, "endCursor": cursor}
    return {"repository": {"deployments": {"pageInfo": turn, "nodes": nodes}}}


def test_one_call_reads_deployments_with_their_statuses(wire: Any, api: Api) -> None:
    statuses = [status(3, "SUCCESS", 9), status(1, "PENDING", 1), status(2, "IN_PROGRESS", 5)]
    wire.graphql(page([node(4, latestStatus=statuses[0], statuses={"nodes": statuses[1:]}, ref={"name": "main"})]))
    (deployment,) = api.deployments("staging", 5)
    assert (deployment.id, deployment.sha, deployment.ref) == (4, A, "main")
    assert deployment.payload == {"id": "4"}
    assert deployment.created_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert (deployment.creator, deployment.state) == ("github-actions", "success")
    assert [one.state for one in deployment.statuses] == ["success", "in_progress", "pending"]
    assert deployment.statuses[0].environment_url == "https://staging.example"
    assert wire.body(0)["variables"] == {
        "owner": "acme",
        "name": "shop",
        "environments": ["staging"],
        "first": 5,
        "after": None,
    }
    assert len(wire.calls) == 1


def test_those_of_all_environments_are_read_at_once(wire: Any, api: Api) -> None:
    wire.graphql(page([node(4), node(5, environment="staging/pr-7")]))
    assert [one.environment for one in api.all_deployments(50)] == ["staging/pr-7", "staging"]
    assert (wire.body(0)["variables"]["environments"], wire.body(0)["variables"]["first"]) == (None, 50)


def pages(*several: Any) -> Any:
    return {"repository": {f"e{number}": one["repository"]["deployments"] for number, one in enumerate(several)}}


def test_those_of_several_environments_are_read_in_one_call(wire: Any, api: Api) -> None:
    wire.graphql(pages(page([node(4)], cursor="c1"), page([]), page([node(5, environment="qa"), node(6, task="x")])))
    found = api.deployments_of(("staging", "prod", "qa", "staging"), 1)
    assert {name: [one.id for one in deployments] for name, deployments in found.items()} == {
        "staging": [4],
        "prod": [],
        "qa": [5],
    }
    assert wire.body(0)["variables"] == {
        "owner": "acme",
        "name": "shop",
        "first": 1,
        "e0": "staging",
        "e1": "prod",
        "e2": "qa",
    }
    assert len(wire.calls) == 1


def test_of_many_environments_some_are_asked_for_in_one_call(wire: Any, api: Api) -> None:
    names = [f"env-{number:02}" for number in range(10)]
    wire.graphql(pages(*[page([]) for _ in range(8)]))
    wire.graphql(pages(page([]), page([])))
    assert sorted(api.deployments_of(names, 5)) == names
    asked = [wire.body(number)["variables"] for number in range(2)]
    assert sorted(name for each in asked for alias, name in each.items() if alias.startswith("e")) == names


def test_what_is_not_all_on_the_page_of_several_is_read_by_itself(wire: Any, api: Api) -> None:
    wire.graphql(pages(page([node(9, task="x")], cursor="c1"), page([node(3, environment="qa")])))
    wire.graphql(page([node(9, task="x"), node(8)]))
    found = api.deployments_of(("staging", "qa"), 5)
    assert [one.id for one in found["staging"]] == [8]
    assert [one.id for one in found["qa"]] == [3]
    assert wire.body(1)["variables"]["environments"] == ["staging"]


@pytest.mark.parametrize("data", [{"repository": {}}, pages(page([])), pages(page([None]), page([]))])
def test_several_of_an_unknown_shape(wire: Any, api: Api, data: Any) -> None:
    wire.graphql(data)
    with pytest.raises(UpstreamError, match="could not be understood"):
        api.deployments_of(("staging", "qa"), 5)


def test_the_latest_status_comes_first_whatever_the_order(wire: Any, api: Api) -> None:
    tied = [status(1, "IN_PROGRESS", 5), status(2, "SUCCESS", 5)]
    wire.graphql(page([node(4, latestStatus=tied[1], statuses={"nodes": tied})]))
    (deployment,) = api.deployments("staging", 5)
    assert [one.state for one in deployment.statuses] == ["success", "in_progress"]


def test_a_deployment_without_a_status_is_pending(wire: Any, api: Api) -> None:
    wire.graphql(page([node(4, statuses=None)]))
    (deployment,) = api.deployments("staging", 5)
    assert (deployment.state, deployment.ref) == ("pending", A)


def test_other_tasks_do_not_count_and_the_next_page_is_read(wire: Any, api: Api) -> None:
    wire.graphql(page([node(9, task="deploy:migrations"), node(8)], cursor="c1"))
    wire.graphql(page([node(7), node(6)], cursor="c2"))
    assert [one.id for one in api.deployments("staging", 2)] == [8, 7]
    assert wire.body(1)["variables"]["after"] == "c1"


def test_within_a_second_the_id_decides(wire: Any, api: Api) -> None:
    wire.graphql(page([node(4), node(6), node(5, createdAt="2026-01-01T00:00:01Z")]))
    assert [one.id for one in api.deployments("staging", 5)] == [5, 6, 4]


def test_ids_that_graphql_cannot_show_are_read_by_rest(wire: Any, api: Api) -> None:
    """`databaseId` is an Int, 32 bits."""
    errors = [{"message": "Int cannot represent non 32-bit signed integer value"}]
    wire.graphql(page([node(None)]), errors=errors)
    big = 3_000_000_000
    item = {
        "id": big,
        "sha": A,
        "ref": A,
        "environment": "staging",
        "payload": {"id": "x"},
        "created_at": "2026-01-01T00:00:00Z",
    }
    wire.rest("GET", "/deployments", [item])
    states = [
        {"state": "in_progress", "created_at": "2026-01-01T00:00:01Z"},
        {"state": "success", "created_at": "2026-01-01T00:00:02Z", "environment_url": "u"},
    ]
    wire.rest("GET", f"/deployments/{big}/statuses", states)
    (deployment,) = api.deployments("staging", 5)
    assert (deployment.id, deployment.payload, deployment.state) == (big, {"id": "x"}, "success")
    assert wire.asked[1:] == [
        "GET /deployments?environment=staging&per_page=5&task=deploy",
        f"GET /deployments/{big}/statuses?per_page=10",
    ]


@pytest.mark.parametrize(
    "data",
    [
        {"repository": None},
        {},
        page([{"databaseId": 1, "task": "deploy"}]),
        page([None]),
        {"repository": {"deployments": None}},
        {"repository": {"deployments": {"nodes": []}}},
    ],
)
def test_misshapen_deployments(wire: Any, api: Api, data: Any) -> None:
    wire.graphql(data)
    with pytest.raises(UpstreamError, match="could not be understood"):
        api.deployments("staging", 5)


def test_deployments_the_token_may_not_see(wire: Any, api: Api) -> None:
    wire.graphql(
        {"repository": None}, errors=[{"type": "FORBIDDEN", "message": "Resource not accessible by integration"}]
    )
    with pytest.raises(ForbiddenError) as caught:
        api.deployments("staging", 5)
    assert "deployments: read" in caught.value.hint


MADE = {
    "id": 4,
    "sha": A,
    "ref": A,
    "environment": "staging",
    "payload": {"id": "k1"},
    "created_at": "2026-01-01T00:00:00Z",
}


def create(api: Api) -> Any:
    return api.create_deployment(
        sha=A, environment="staging", payload={"id": "k1", "actor": "dana"}, description="d" * 200, production=False
    )


def test_create(wire: Any, api: Api) -> None:
    wire.rest("POST", "/deployments", MADE, status=201)
    assert create(api).id == 4
    assert wire.body(0) == {
        "ref": A,
        "task": "deploy",
        "auto_merge": False,
        "required_contexts": [],
        "payload": {"id": "k1", "actor": "dana"},
        "environment": "staging",
        "description": "d" * 139 + "…",
        "production_environment": False,
        "transient_environment": False,
    }
    assert len(wire.calls) == 1


def test_what_will_be_gone_one_day_says_so(wire: Any, api: Api) -> None:
    wire.rest("POST", "/deployments", MADE, status=201)
    api.create_deployment(
        sha=A, environment="staging/pr-7", payload={"id": "k1"}, description="d", production=False, transient=True
    )
    assert wire.body(0)["transient_environment"] is True
    assert wire.body(0)["environment"] == "staging/pr-7"


LOSSES = [
    requests.ConnectionError("reset"),
    requests.ReadTimeout("slow"),
    (502, {}, "<html>"),
    (201, {}, "{"),
    (201, {}, "{}"),
]


def lossy(wire: Any, loss: Any, *, kept: Any) -> Any:
    made = [MADE | {"id": 3, "payload": "{}"}, MADE | {"id": 2, "payload": '{"id": "k0"}'}]
    posts = []

    def post(request: Any) -> Any:
        posts.append(request)
        if kept or len(posts) > 1:
            made.append(MADE)
        if len(posts) > 1:
            return 201, {}, json.dumps(MADE)
        if isinstance(loss, BaseException):
            raise loss
        return loss

    url = "https://api.github.com:443/repos/acme/shop/deployments"
    wire.add_callback("POST", url, post)
    wire.add_callback("GET", url, lambda request: (200, {}, json.dumps(made)))
    return made


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kept", [True, False])
def test_a_deployment_whose_reply_was_lost_is_made_once(wire: Any, api: Api, loss: Any, kept: Any) -> None:
    made = lossy(wire, loss, kept=kept)
    assert create(api).id == 4
    assert made.count(MADE) == 1
    assert wire.asked[1] == f"GET /deployments?environment=staging&per_page=100&sha={A}&task=deploy"


@pytest.mark.parametrize(
    ("status_code", "message", "kind", "hint"),
    [
        (403, "Resource not accessible by integration", ForbiddenError, "deployments: write"),
        (409, "Conflict: Commit status checks failed", ConflictError, ""),
        (422, "No ref found", UpstreamError, ""),
    ],
)
def test_a_deployment_refused(wire: Any, api: Api, status_code: Any, message: Any, kind: Any, hint: Any) -> None:
    wire.rest("POST", "/deployments", {"message": message}, status=status_code)
    with pytest.raises(kind, match=message) as caught:
        create(api)
    assert hint in caught.value.hint
    assert len(wire.calls) == 1


def test_an_answer_202_is_no_deployment(wire: Any, api: Api) -> None:
    """It says that the branch was merged first, which the bot never asks for."""
    wire.rest("POST", "/deployments", {"message": "Auto-merged main into topic"}, status=202)
    wire.rest("GET", "/deployments", [])
    with pytest.raises(UpstreamError, match="could not be understood"):
        create(api)


def test_set_status_leaves_out_what_is_empty(wire: Any, api: Api) -> None:
    wire.rest("POST", "/deployments/4/statuses", {"id": 1}, status=201)
    api.set_status(4, "in_progress")
    assert wire.body(0) == {"state": "in_progress"}


def test_set_status_is_repeated(wire: Any, api: Api, slept: list[float]) -> None:
    wire.fail("POST", "/deployments/4/statuses", requests.ConnectionError("reset"))
    wire.rest("POST", "/deployments/4/statuses", {"id": 1}, status=201)
    wire.rest("GET", "/deployments/4/statuses", [{"state": "in_progress", "description": "all good"}])
    api.set_status(
        4, "success", description="all good", environment_url="https://s.example", log_url="https://l.example"
    )
    assert wire.body(2) == {
        "state": "success",
        "description": "all good",
        "environment_url": "https://s.example",
        "log_url": "https://l.example",
    }
    assert slept == [0.2]


@pytest.mark.parametrize("loss", LOSSES[:4])
@pytest.mark.parametrize("description", ["all good", "d" * 200, ""])
def test_a_status_whose_reply_was_lost_is_set_once(wire: Any, api: Api, loss: Any, description: str) -> None:
    kept: list[Any] = []

    def post(request: Any) -> Any:
        kept.append({"id": 1, "description": "", **json.loads(request.body)})
        if isinstance(loss, BaseException):
            raise loss
        return loss

    url = "https://api.github.com:443/repos/acme/shop/deployments/4/statuses"
    wire.add_callback("POST", url, post)
    wire.add_callback("GET", url, lambda request: (200, {}, json.dumps(kept)))
    api.set_status(4, "success", description=description)
    assert len(kept) == 1


@pytest.mark.parametrize(
    ("given", "kept"), [("a\nb  c", "a b c"), ("x" * 140, "x" * 140), ("x" * 141, "x" * 139 + "…"), ("", "")]
)
def test_cut(given: Any, kept: Any) -> None:
    assert cut(given) == kept
