"""Each method: what it asks, in how many calls, and what it makes of the answers. The wire judges every request."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from bot.core.facts import Checks, CheckState
from bot.core.ports import GitHub
from bot.errors import ForbiddenError, NotFoundError, UpstreamError
from bot.github.api import Api

A, B = "a" * 40, "b" * 40


def test_it_is_the_port(api: Api) -> None:
    port: GitHub = api
    assert port is api


def test_permission(wire: Any, api: Api) -> None:
    wire.rest("GET", "/collaborators/dana/permission", {"permission": "write", "role_name": "maintain"})
    assert api.permission("dana") == "maintain"
    assert wire.asked == ["GET /collaborators/dana/permission"]


def test_an_unknown_user_has_no_permission(wire: Any, api: Api) -> None:
    wire.rest("GET", "/collaborators/app%5Bbot%5D/permission", {"message": "Not Found"}, status=404)
    assert api.permission("app[bot]") == "none"


@pytest.mark.parametrize("private", [True, False])
def test_private(wire: Any, api: Api, private: bool) -> None:
    wire.rest("GET", "", {"full_name": "acme/shop", "private": private})
    assert api.private() is private


def test_a_repository_that_does_not_say_whether_it_is_private_raises(wire: Any, api: Api) -> None:
    wire.rest("GET", "", {"full_name": "acme/shop"})
    with pytest.raises(UpstreamError):
        api.private()


@pytest.mark.parametrize(
    ("status", "data", "member"),
    [(200, {"state": "active"}, True), (200, {"state": "pending"}, False), (200, {}, False), (404, {}, False)],
)
def test_team_member(wire: Any, api: Api, status: Any, data: Any, member: Any) -> None:
    wire.add("GET", "https://api.github.com:443/orgs/acme/teams/releasers/memberships/dana", json=data, status=status)
    assert api.team_member("acme", "releasers", "dana") is member


def test_a_team_the_token_may_not_see_raises(wire: Any, api: Api) -> None:
    wire.add("GET", "https://api.github.com:443/orgs/acme/teams/releasers/memberships/dana", json={}, status=403)
    with pytest.raises(ForbiddenError) as caught:
        api.team_member("acme", "releasers", "dana")
    assert "members: read" in caught.value.hint


def test_file(wire: Any, api: Api) -> None:
    answer = {"type": "file", "encoding": "base64", "content": base64.encodebytes(b"version: 1\n").decode()}
    wire.rest("GET", "/contents/.github/slip%20way.yml", answer)
    assert api.file(".github/slip way.yml", "main") == "version: 1\n"
    assert wire.asked == ["GET /contents/.github/slip way.yml?ref=main"]


def test_a_file_that_is_not_there(wire: Any, api: Api) -> None:
    wire.rest("GET", "/contents/x", {"message": "Not Found"}, status=404)
    assert api.file("x", "main") is None


def test_a_ref_that_is_not_there_is_not_an_absent_file(wire: Any, api: Api) -> None:
    wire.rest("GET", "/contents/x", {"message": "No commit found for the ref nope"}, status=404)
    with pytest.raises(NotFoundError, match="nope"):
        api.file("x", "nope")


def test_a_folder_is_no_file(wire: Any, api: Api) -> None:
    wire.rest("GET", "/contents/x", [])
    with pytest.raises(UpstreamError, match="it is a folder"):
        api.file("x", "main")


@pytest.mark.parametrize("path", ["../../user", "a//b", "/etc", "a/./b"])
def test_a_path_cannot_leave_the_contents(wire: Any, api: Api, path: Any) -> None:
    with pytest.raises(NotFoundError):
        api.file(path, "main")
    assert wire.asked == []


def test_pull_request(wire: Any, api: Api, make_pull: Callable[..., dict[str, Any]]) -> None:
    wire.rest("GET", "/pulls/7", make_pull())
    assert api.pull_request(7).head_sha == A
    assert wire.asked == ["GET /pulls/7"]


@pytest.mark.parametrize("answer", [{"number": 7}, [], "x", None])
def test_a_misshapen_pull_request(wire: Any, api: Api, answer: Any) -> None:
    wire.rest("GET", "/pulls/7", answer)
    with pytest.raises(UpstreamError, match="could not be understood"):
        api.pull_request(7)


def test_commit(wire: Any, api: Api) -> None:
    wire.rest("GET", "/commits/feature%2Fx", {"sha": A, "commit": {"message": "One\ntwo"}, "html_url": "u"})
    commit = api.commit("feature/x")
    assert (commit.sha, commit.subject, commit.url) == (A, "One", "u")
    assert wire.asked == ["GET /commits/feature/x?per_page=1"]


@pytest.mark.parametrize("status", [404, 409, 422])
def test_a_commit_that_is_not_there(wire: Any, api: Api, status: Any) -> None:
    wire.rest("GET", "/commits/nope", {"message": "No commit found for SHA: nope"}, status=status)
    with pytest.raises(NotFoundError, match="nope"):
        api.commit("nope")


def test_a_commit_that_cannot_be_read(wire: Any, api: Api) -> None:
    wire.rest("GET", "/commits/nope", {}, status=403)
    with pytest.raises(ForbiddenError):
        api.commit("nope")


def commit(number: Any) -> Any:
    return {"sha": f"{number:040x}", "commit": {"message": f"{number}"}}


def comparison(numbers: Any, total: Any) -> Any:
    return {
        "ahead_by": total,
        "behind_by": 2,
        "total_commits": total,
        "html_url": "u",
        "commits": [*map(commit, numbers)],
    }


def test_compare(wire: Any, api: Api) -> None:
    wire.rest("GET", f"/compare/main...{A}", comparison(range(3), 3))
    found = api.compare("main", A)
    assert (found.ahead_by, found.behind_by, found.url) == (3, 2, "u")
    assert [one.subject for one in found.commits] == ["0", "1", "2"]
    assert wire.asked == [f"GET /compare/main...{A}?page=1&per_page=100"]


def test_the_files_of_a_comparison(wire: Any, api: Api) -> None:
    changed = {"filename": "b", "status": "renamed", "previous_filename": "a"}
    removed = {"filename": "c", "status": "removed"}
    for base, files in (("few", [changed, removed]), ("none", []), ("many", [changed] * 300), ("unknown", None)):
        wire.rest("GET", f"/compare/{base}...{A}", {**comparison(range(1), 1), "files": files})
    few = api.compare("few", A)
    assert (few.files, few.touched) == (("b",), ("b", "a", "c"))
    assert api.compare("none", A).touched == ()
    assert api.compare("many", A).touched is None
    assert api.compare("unknown", A).touched is None


def test_compare_reads_the_newest_of_many(wire: Any, api: Api) -> None:
    pages = {1: range(100), 2: range(100, 200), 3: range(200, 230)}
    for page, numbers in pages.items():
        url = f"https://api.github.com:443/repos/acme/shop/compare/main...{A}?page={page}&per_page=100"
        wire.add("GET", url, json=comparison(numbers, 230))
    found = api.compare("main", A)
    assert [one.subject for one in found.commits] == [str(number) for number in range(130, 230)]
    assert found.ahead_by == 230
    assert len(wire.asked) == 3


def test_pull_requests_of(wire: Any, api: Api) -> None:
    wire.rest("GET", f"/commits/{A}/pulls", [{"number": 5}, {"number": 7}])
    assert api.pull_requests_of(A) == (5, 7)


def push(after: Any, when: Any) -> Any:
    return {"after": after, "timestamp": when, "activity_type": "push"}


def test_pushed_at_is_the_newest_push_of_the_sha(wire: Any, api: Api) -> None:
    pushes = [push(B, "2026-01-03T00:00:00Z"), push(A, "2026-01-02T00:00:00Z"), push(A, "2026-01-01T00:00:00Z")]
    wire.rest("GET", "/activity", pushes)
    assert api.pushed_at("feature/x", A) == datetime(2026, 1, 2, tzinfo=UTC)
    assert wire.asked == ["GET /activity?per_page=100&ref=refs/heads/feature/x"]


def test_pushed_at_follows_the_cursor(wire: Any, api: Api) -> None:
    link = (
        '<https://api.github.com/repositories/1/activity?after=abc&x=1>; rel="next", <https://x/?before=1>; rel="prev"'
    )
    base = "https://api.github.com:443/repos/acme/shop/activity"
    ref = quote("refs/heads/x", safe="")
    wire.add("GET", f"{base}?per_page=100&ref={ref}", json=[push(B, "2026-01-03T00:00:00Z")], headers={"Link": link})
    wire.add("GET", f"{base}?after=abc&per_page=100&ref={ref}", json=[push(A, "2026-01-01T00:00:00Z")])
    assert api.pushed_at("x", A) == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("link", ["", '<https://x/?before=1>; rel="prev"'])
def test_no_record_of_a_push(wire: Any, api: Api, link: Any) -> None:
    wire.rest("GET", "/activity", [push(B, "2026-01-03T00:00:00Z")], headers={"Link": link})
    assert api.pushed_at("x", A) is None
    assert len(wire.asked) == 1


def test_the_search_for_a_push_ends(wire: Any, api: Api) -> None:
    wire.rest("GET", "/activity", [], headers={"Link": '<https://x/?after=abc>; rel="next"'})
    assert api.pushed_at("x", A) is None
    assert len(wire.asked) == 5


def run(number: Any, **over: Any) -> Any:
    return {"id": number, "name": f"c{number}", "status": "completed", "conclusion": "success", "app": {"id": 1}} | over


def test_checks(wire: Any, api: Api) -> None:
    wire.rest("GET", f"/commits/{A}/check-runs", {"total_count": 1, "check_runs": [run(1, conclusion="failure")]})
    context = {"context": "cov", "state": "success", "updated_at": "2026-01-01T00:00:00Z"}
    wire.rest("GET", f"/commits/{A}/status", {"total_count": 1, "statuses": [context]})
    assert api.checks(A) == Checks(
        states=(
            CheckState(name="c1", state="failure", conclusion="failure"),
            CheckState(name="cov", state="success", conclusion="success"),
        )
    )
    assert sorted(wire.asked) == [
        f"GET /commits/{A}/check-runs?filter=latest&page=1&per_page=100",
        f"GET /commits/{A}/status?page=1&per_page=100",
    ]


@pytest.mark.parametrize(("total", "more"), [(100, False), (101, True)])
def test_of_very_many_checks_the_first_are_read(wire: Any, api: Api, total: int, more: bool) -> None:
    runs = [run(number) for number in range(100)]
    wire.rest("GET", f"/commits/{A}/check-runs", {"total_count": total, "check_runs": runs})
    wire.rest("GET", f"/commits/{A}/status", {"total_count": 0, "statuses": []})
    found = api.checks(A)
    assert (len(found.states), found.more) == (0 if more else 100, more)
    assert len(wire.asked) == 2


def test_checks_are_read_by_name(wire: Any, api: Api) -> None:
    url = f"https://api.github.com:443/repos/acme/shop/commits/{A}/check-runs?check_name={{}}&filter=latest&page=1&per_page=100"
    for name, runs in {"ci": [run(1, name="ci"), run(2, name="ci", conclusion="failure")], "a%2Fb": []}.items():
        wire.add("GET", url.format(name), json={"total_count": len(runs), "check_runs": runs})
    states = api.check_runs(A, ("ci", "a/b"))
    assert [(check.name, check.state) for check in states] == [("ci", "failure")]  # the newest of the app
    assert len(wire.asked) == 2


def test_fewer_checks_than_counted_are_no_evidence(wire: Any, api: Api) -> None:
    wire.rest("GET", f"/commits/{A}/check-runs", {"total_count": 2, "check_runs": [run(1)]})
    wire.rest("GET", f"/commits/{A}/status", {"total_count": 0, "statuses": []})
    with pytest.raises(UpstreamError, match="1 of 2 came"):
        api.checks(A)


@pytest.mark.parametrize("answer", [{}, {"total_count": 1}, [], {"total_count": 0, "check_runs": None}])
def test_checks_that_cannot_be_read_raise(wire: Any, api: Api, answer: Any) -> None:
    wire.rest("GET", f"/commits/{A}/check-runs", answer)
    wire.rest("GET", f"/commits/{A}/status", {"total_count": 0, "statuses": []})
    with pytest.raises(UpstreamError):
        api.checks(A)


def test_required_checks(wire: Any, api: Api) -> None:
    rule = {"type": "required_status_checks", "parameters": {"required_status_checks": [{"context": "ci"}]}}
    wire.rest("GET", "/rules/branches/main", [rule])
    wire.rest(
        "GET", "/branches/main", {"protected": True, "protection": {"required_status_checks": {"contexts": ["lint"]}}}
    )
    assert api.required_checks("main") == ("ci", "lint")
    assert len(wire.asked) == 2


def test_a_free_plan_has_no_rules(wire: Any, api: Api) -> None:
    message = "Upgrade to GitHub Pro or make this repository public to enable this feature."
    wire.rest("GET", "/rules/branches/main", {"message": message}, status=403)
    wire.rest("GET", "/branches/main", {"protected": False})
    assert api.required_checks("main") == ()


def test_rules_that_cannot_be_read_raise(wire: Any, api: Api) -> None:
    wire.rest("GET", "/rules/branches/main", {"message": "Resource not accessible by integration"}, status=403)
    wire.rest("GET", "/branches/main", {"protected": False})
    with pytest.raises(ForbiddenError):
        api.required_checks("main")


@pytest.mark.parametrize(
    ("data", "status", "alive"),
    [
        ({"status": "in_progress", "run_attempt": 2}, 200, True),
        ({"status": "queued", "run_attempt": 2}, 200, True),
        ({"status": "waiting", "run_attempt": 2}, 200, True),
        ({"status": "completed", "run_attempt": 2}, 200, False),
        ({"status": "in_progress", "run_attempt": 3}, 200, False),
        ({"status": "in_progress", "run_attempt": 1}, 200, False),
        ({"status": "in_progress"}, 200, True),
        ({"message": "Not Found"}, 404, False),
    ],
)
def test_run_alive(wire: Any, api: Api, data: Any, status: Any, alive: Any) -> None:
    wire.rest("GET", "/actions/runs/11", data, status=status)
    assert api.run_alive(11, 2) is alive
    assert wire.asked == ["GET /actions/runs/11"]


def review(login: Any, state: str = "approved", *environments: str) -> Any:
    return {
        "state": state,
        "comment": "",
        "environments": [{"name": name} for name in environments or ("prod",)],
        "user": login and {"login": login},
    }


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ([], ()),
        ([review("lee")], ("lee",)),
        ([review("lee", "approved", "staging", "Prod"), review("max")], ("lee", "max")),
        ([review("lee", "rejected"), review("max", "pending")], ()),
        ([review("lee", "approved", "staging"), review(None)], ()),
    ],
)
def test_who_has_approved_a_run(wire: Any, api: Api, data: Any, found: Any) -> None:
    wire.rest("GET", "/actions/runs/11/approvals", data)
    assert api.run_reviewers(11, "prod") == found


@pytest.mark.parametrize("data", [{}, [3], [{"state": "approved"}], [{"environments": [{"name": "prod"}]}]])
def test_reviews_of_a_run_of_another_shape(wire: Any, api: Api, data: Any) -> None:
    wire.rest("GET", "/actions/runs/11/approvals", data)
    with pytest.raises(UpstreamError, match="could not be understood"):
        api.run_reviewers(11, "prod")


def test_the_uninterrupted_adapter_asks_the_same_server(
    wire: Any, api: Api, make_pull: Callable[..., dict[str, Any]]
) -> None:
    wire.rest("GET", "/pulls/7", make_pull())
    assert api.uninterrupted().pull_request(7) == api.pull_request(7)
