"""The queries and mutations of a bot, in GraphQL."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.sandbox.github.gitobjects import ZEROS
from bot.sandbox.github.shapes import node_id

LOCK = "refs/slipway/locks/staging"
FACTS = """
query($owner: String!, $name: String!, $number: Int!, $environments: [String!], $after: String) {
  repository(owner: $owner, name: $name) {
    id databaseId nameWithOwner isPrivate defaultBranchRef { name target { oid } } viewerPermission
    pullRequest(number: $number) {
      headRefOid headRefName isDraft mergeable mergeStateStatus state reviewDecision isCrossRepository
      author { login __typename } headRepository { nameWithOwner } headRef { name } additions deletions changedFiles
      commits(last: 1) { totalCount nodes { commit { oid committedDate pushedDate author { user { login } } } } }
      comments(last: 10) { nodes { databaseId fullDatabaseId body isMinimized lastEditedAt author { login } } }
      reviews(first: 10) { nodes { state author { login } commit { oid } } }
      statusCheckRollup {
        state
        contexts(first: 2, after: $after) {
          totalCount checkRunCount statusContextCount pageInfo { hasNextPage endCursor }
          nodes {
            __typename
            ... on CheckRun { name status conclusion isRequired(pullRequestNumber: $number) checkSuite { app { slug } } }
            ... on StatusContext { context state isRequired(pullRequestNumber: $number) }
          }
        }
      }
    }
    config: object(expression: "HEAD:README.md") { ... on Blob { text isBinary byteSize } }
    head: object(expression: "feature") { ... on Commit { oid messageHeadline parents(first: 1) { nodes { oid } } } }
    lock: ref(qualifiedName: "refs/slipway/locks/staging") { name prefix target { oid ... on Tag { message target { oid } } } }
    deployments(environments: $environments, first: 5, orderBy: {field: CREATED_AT, direction: DESC}) {
      nodes { databaseId state payload environment commitOid creator { login } latestStatus { state environmentUrl } }
    }
  }
}
"""


@pytest.fixture
def sha(repo: Any) -> str:
    return str(repo.commit("feature", {"a": "1\n"}))


@pytest.fixture
def number(repo: Any, sha: str) -> int:
    return int(repo.open_pull_request(head="feature"))


def test_all_facts_of_a_release_come_in_one_query(graphql: Any, remote: Any, repo: Any, sha: str, number: int) -> None:
    repo.protect("main", required_checks=["ci"])
    repo.check_run(sha, name="ci", conclusion="success")
    repo.check_run(sha, name="slow")
    repo.commit_status(sha, context="ext/ci", state="success")
    repo.review(number, author="dana")
    repo.comment(number, "/deploy staging")
    tag = remote.create_git_tag("lock", '{"run": 1}', sha, "commit").sha
    remote.create_git_ref(LOCK, tag)
    old = repo.deploy("main", "staging", payload={"v": 1}, state="success")
    new = repo.deploy("feature", "staging", payload={"v": 2})
    repo.set_deployment_status(new, "success", environment_url="https://x.example.org")
    repo.deploy("main", "production")

    answer = graphql(FACTS, owner="acme", name="shop", number=number, environments=["staging"])

    assert "errors" not in answer
    found = answer["data"]["repository"]
    pull = found["pullRequest"]
    assert (pull["headRefOid"], pull["mergeable"], pull["state"], pull["isDraft"]) == (sha, "MERGEABLE", "OPEN", False)
    assert (pull["reviewDecision"], pull["mergeStateStatus"]) == ("APPROVED", "UNSTABLE")
    assert pull["author"] == {"login": "dana", "__typename": "User"}
    assert pull["commits"]["nodes"][0]["commit"]["pushedDate"] is None
    rollup = pull["statusCheckRollup"]
    assert rollup["state"] == "PENDING"
    assert rollup["contexts"]["totalCount"] == 3
    assert [(one["name"], one["conclusion"], one["isRequired"]) for one in rollup["contexts"]["nodes"]] == [
        ("slow", None, False),
        ("ci", "SUCCESS", True),
    ]
    assert found["config"] == {"text": "# Shop\n", "isBinary": False, "byteSize": 7}
    assert found["head"]["oid"] == sha
    assert found["lock"]["target"] == {"oid": tag, "message": '{"run": 1}', "target": {"oid": sha}}
    assert [(one["databaseId"], one["state"], json.loads(one["payload"])) for one in found["deployments"]["nodes"]] == [
        (new.id, "ACTIVE", {"v": 2}),
        (old.id, "INACTIVE", {"v": 1}),
    ]
    assert found["deployments"]["nodes"][0]["latestStatus"]["environmentUrl"] == "https://x.example.org"

    rest = graphql(FACTS, owner="acme", name="shop", number=number, after=rollup["contexts"]["pageInfo"]["endCursor"])
    [status] = rest["data"]["repository"]["pullRequest"]["statusCheckRollup"]["contexts"]["nodes"]
    assert status == {"__typename": "StatusContext", "context": "ext/ci", "state": "SUCCESS", "isRequired": False}


def test_what_does_not_exist_is_null_with_or_without_an_error(graphql: Any, repo: Any, sha: str) -> None:
    query = """{ repository(owner: "acme", name: "shop") {
      ref(qualifiedName: "refs/heads/none") { name } short: ref(qualifiedName: "feature") { name }
      object(expression: "main:none") { oid } none: object(expression: "none") { oid } oid: object(oid: "12") { oid }
      environment(name: "none") { name }
      head: object(expression: "feature") { ... on Commit { statusCheckRollup { state } } } } }"""
    assert graphql(query) == {
        "data": {
            "repository": {
                "ref": None, "short": {"name": "feature"}, "object": None, "none": None, "oid": None,
                "environment": None, "head": {"statusCheckRollup": None},
            }
        }
    }  # fmt: skip
    missing = graphql('{ repository(owner: "acme", name: "none") { id } }')
    assert missing["data"] == {"repository": None}
    assert missing["errors"][0]["type"] == "NOT_FOUND"
    assert missing["errors"][0]["message"] == "Could not resolve to a Repository with the name 'acme/none'."
    pull = graphql('{ repository(owner: "acme", name: "shop") { pullRequest(number: 9) { id } } }')
    assert pull["errors"][0]["path"] == ["repository", "pullRequest"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{", "Syntax Error"),
        ("{ repository(owner: 1) { nothing } }", "Cannot query field 'nothing'"),
    ],
)
def test_queries_that_are_not_of_the_schema(graphql: Any, query: str, message: str) -> None:
    answer = graphql(query)
    assert "data" not in answer
    assert any(message in error["message"] for error in answer["errors"])


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ("", "MISSING_PAGINATION_BOUNDARIES"),
        ("(first: 101)", "EXCESSIVE_PAGINATION"),
        ("(last: 101)", "EXCESSIVE_PAGINATION"),
    ],
)
def test_lists_are_bounded(graphql: Any, repo: Any, page: str, kind: str) -> None:
    answer = graphql(f'{{ repository(owner: "acme", name: "shop") {{ deployments{page} {{ totalCount }} }} }}')
    assert [error["type"] for error in answer["errors"]] == [kind]


def test_refs_are_listed_in_pages(graphql: Any, repo: Any) -> None:
    for name in ("a", "b", "c"):
        repo.commit(name, {name: "1"})
    query = """query($first: Int, $last: Int, $before: String, $direction: OrderDirection, $query: String) {
      repository(owner: "acme", name: "shop") {
        refs(refPrefix: "refs/heads/", first: $first, last: $last, before: $before, direction: $direction, query: $query) {
          nodes { name } pageInfo { hasPreviousPage startCursor } } } }"""

    def names(**variables: Any) -> list[str]:
        found = graphql(query, **variables)["data"]["repository"]["refs"]
        return [node["name"] for node in found["nodes"]]

    assert names(first=2) == ["a", "b"]
    assert names(last=2) == ["c", "main"]
    assert names(last=2, before="2") == ["a", "b"]
    assert names(first=9, direction="DESC", query="a") == ["main", "a"]


@pytest.mark.parametrize(
    ("evidence", "state"),
    [
        ([("check", "success"), ("check", "skipped")], "SUCCESS"),
        ([("check", "success"), ("check", None)], "PENDING"),
        ([("check", "timed_out"), ("check", None)], "FAILURE"),
        ([("status", "error"), ("check", "failure")], "ERROR"),
    ],
)
def test_the_rollup_of_a_commit(graphql: Any, repo: Any, sha: str, evidence: Any, state: str) -> None:
    for place, (kind, value) in enumerate(evidence):
        if kind == "check":
            repo.check_run(sha, name=f"c{place}", conclusion=value)
        else:
            repo.commit_status(sha, context=f"c{place}", state=value)
    query = '{ repository(owner: "acme", name: "shop") { object(expression: "feature") { ... on Commit { statusCheckRollup { state commit { oid } } } } } }'
    rollup = graphql(query)["data"]["repository"]["object"]["statusCheckRollup"]
    assert rollup == {"state": state, "commit": {"oid": sha}}


def test_is_required_wants_a_pull_request(graphql: Any, repo: Any, sha: str) -> None:
    repo.check_run(sha)
    query = '{ repository(owner: "acme", name: "shop") { object(expression: "feature") { ... on Commit { statusCheckRollup { contexts(first: 1) { nodes { ... on CheckRun { isRequired } } } } } } } }'
    assert graphql(query)["errors"][0]["type"] == "UNPROCESSABLE"


@pytest.mark.parametrize(
    ("reviews", "needed", "decision"),
    [
        ([], 0, None),
        ([], 1, "REVIEW_REQUIRED"),
        ([("dana", "APPROVED")], 2, "REVIEW_REQUIRED"),
        ([("dana", "APPROVED"), ("dana", "COMMENTED")], 1, "APPROVED"),
        ([("dana", "APPROVED"), ("erin", "CHANGES_REQUESTED")], 1, "CHANGES_REQUESTED"),
        ([("erin", "CHANGES_REQUESTED"), ("erin", "APPROVED")], 1, "APPROVED"),
        ([("stranger", "APPROVED")], 1, "REVIEW_REQUIRED"),
    ],
)
def test_review_decisions(
    graphql: Any, repo: Any, number: int, reviews: Any, needed: int, decision: str | None
) -> None:
    repo.add_collaborator("erin", "admin")
    repo.protect("main", required_reviews=needed)
    for author, state in reviews:
        repo.review(number, author=author, state=state)
    query = f'{{ repository(owner: "acme", name: "shop") {{ pullRequest(number: {number}) {{ reviewDecision }} }} }}'
    assert graphql(query)["data"]["repository"]["pullRequest"]["reviewDecision"] == decision


def test_a_merged_pull_request_and_a_draft(graphql: Any, repo: Any, number: int) -> None:
    query = f"""{{ repository(owner: "acme", name: "shop") {{ pullRequest(number: {number}) {{
        state merged closed mergeable mergeStateStatus mergeCommit {{ oid }} }} }} }}"""
    repo.state.issues[number].pull.draft = True
    assert graphql(query)["data"]["repository"]["pullRequest"]["mergeStateStatus"] == "BLOCKED"
    sha = repo.merge(number)
    assert graphql(query)["data"]["repository"]["pullRequest"] == {
        "state": "MERGED", "merged": True, "closed": True, "mergeable": "UNKNOWN", "mergeStateStatus": "UNKNOWN",
        "mergeCommit": {"oid": sha},
    }  # fmt: skip


def test_a_binary_file_has_no_text_and_a_long_one_is_cut(graphql: Any, repo: Any) -> None:
    repo.commit("main", {"bin": b"\0\1", "long": "x" * 600_000})
    query = """{ repository(owner: "acme", name: "shop") {
      bin: object(expression: "main:bin") { ... on Blob { text isBinary isTruncated } }
      long: object(expression: "main:long") { ... on Blob { text isTruncated } } } }"""
    found = graphql(query)["data"]["repository"]
    assert found["bin"] == {"text": None, "isBinary": True, "isTruncated": False}
    assert (len(found["long"]["text"]), found["long"]["isTruncated"]) == (512_000, True)


def test_deployments_by_their_states(graphql: Any, repo: Any) -> None:
    for state in (None, "in_progress", "failure"):
        repo.deploy("main", "staging", state=state)
    repo.deploy("main", "review", transient=True, state="inactive")
    query = '{ repository(owner: "acme", name: "shop") { deployments(last: 9) { nodes { state ref { name } commit { oid } statuses(first: 1) { nodes { state deployment { id } } } } } } }'
    nodes = graphql(query)["data"]["repository"]["deployments"]["nodes"]
    assert [node["state"] for node in nodes] == ["PENDING", "IN_PROGRESS", "FAILURE", "DESTROYED"]
    assert nodes[0]["ref"] == {"name": "main"}


def test_a_node_is_found_by_its_id(graphql: Any, call: Any, repo: Any, number: int) -> None:
    comment = repo.comment(number, "hi")["comment"]
    deployment = repo.deploy("main")
    ids = {
        "IssueComment": comment["node_id"], "Repository": call("GET", "/repos/acme/shop").json()["node_id"],
        "PullRequest": call("GET", f"/repos/acme/shop/pulls/{number}").json()["node_id"],
        "Deployment": node_id("DE", deployment.id),
    }  # fmt: skip
    for kind, node in ids.items():
        assert graphql("query($id: ID!) { node(id: $id) { __typename id } }", id=node)["data"]["node"] == {
            "__typename": kind,
            "id": node,
        }
    for node in ("nonsense", "IC_kw1", "PR_kw1", "XX_kw1"):
        assert graphql("query($id: ID!) { node(id: $id) { id } }", id=node)["errors"][0]["type"] == "NOT_FOUND"


def test_the_viewer_and_the_rate_limit(graphql: Any, server: Any) -> None:
    server.add_token("t-dana", login="dana", permissions=None)
    found = graphql("{ viewer { login } rateLimit { limit used remaining } }", token="t-dana")["data"]
    assert found == {"viewer": {"login": "dana"}, "rateLimit": {"limit": 5000, "used": 1, "remaining": 4999}}


def test_an_issue_and_a_pull_request_by_their_number(remote: Any, repo: Any, number: int, graphql: Any) -> None:
    remote.get_pull(number).create_issue_comment("ours")
    repo.comment(number, "theirs", author="dana")
    query = """query($number: Int!) { repository(owner: "acme", name: "shop") { issueOrPullRequest(number: $number) {
      __typename ... on Issue { number comments(last: 9) { totalCount } }
      ... on PullRequest { number comments(last: 9) { nodes { body viewerDidAuthor } } } } } }"""
    found = graphql(query, number=number)["data"]["repository"]["issueOrPullRequest"]
    said = {one["body"]: one["viewerDidAuthor"] for one in found["comments"]["nodes"]}
    assert (found["__typename"], said) == ("PullRequest", {"ours": True, "theirs": False})
    issue = remote.create_issue("Broken").number
    found = graphql(query, number=issue)["data"]["repository"]["issueOrPullRequest"]
    assert found == {"__typename": "Issue", "number": issue, "comments": {"totalCount": 0}}
    assert graphql(query, number=999)["errors"][0]["type"] == "NOT_FOUND"


# -- mutations --------------------------------------------------------------------------------------------------
def test_a_comment_is_minimized_by_the_real_client(remote: Any, repo: Any, number: int, graphql: Any) -> None:
    comment = remote.get_pull(number).create_issue_comment("old")
    assert comment.minimize("OUTDATED")
    assert repo.thread(number)[0].minimized == "outdated"
    assert comment.unminimize()
    assert repo.thread(number)[0].minimized is None
    mutation = "mutation($id: ID!) { minimizeComment(input: {subjectId: $id, classifier: OFF_TOPIC}) { minimizedComment { isMinimized minimizedReason } } }"
    assert graphql(mutation, id=comment.node_id)["data"]["minimizeComment"] == {
        "minimizedComment": {"isMinimized": True, "minimizedReason": "off-topic"}
    }
    assert graphql(mutation, id="PR_kw1")["errors"][0]["type"] == "NOT_FOUND"


@pytest.fixture
def update(graphql: Any, call: Any, repo: Any) -> Any:
    repository = call("GET", "/repos/acme/shop").json()["node_id"]
    mutation = "mutation($input: UpdateRefsInput!) { updateRefs(input: $input) { clientMutationId } }"

    def send(*updates: dict[str, Any], node: str = repository, **options: Any) -> Any:
        return graphql(
            mutation, input={"repositoryId": node, "refUpdates": list(updates), "clientMutationId": "m"}, **options
        )

    return send


def test_a_lock_is_claimed_passed_on_and_released_by_compare_and_swap(update: Any, repo: Any, remote: Any) -> None:
    one, two = (remote.create_git_tag("lock", text, repo.resolve("main"), "commit").sha for text in ("1", "2"))
    assert update({"name": LOCK, "beforeOid": ZEROS, "afterOid": one}) == {
        "data": {"updateRefs": {"clientMutationId": "m"}}
    }
    assert update({"name": LOCK, "beforeOid": ZEROS, "afterOid": two})["errors"][0]["type"] == "STALE_DATA"
    assert update({"name": LOCK, "beforeOid": one, "afterOid": two})["errors"][0]["type"] == "UNPROCESSABLE"
    assert "errors" not in update({"name": LOCK, "beforeOid": one, "afterOid": two, "force": True})
    assert update({"name": LOCK, "beforeOid": one, "afterOid": ZEROS})["errors"][0]["type"] == "STALE_DATA"
    assert repo.refs("refs/slipway/") == {LOCK: two}
    assert "errors" not in update({"name": LOCK, "beforeOid": two, "afterOid": ZEROS})
    assert repo.refs("refs/slipway/") == {}
    assert "errors" not in update({"name": LOCK, "beforeOid": ZEROS, "afterOid": ZEROS})


def test_updates_are_all_or_none(update: Any, repo: Any) -> None:
    main, feature = repo.resolve("main"), repo.commit("feature", {"a": "1"})
    bad = {"name": "refs/heads/main/x", "afterOid": main}
    answer = update({"name": "refs/heads/new", "afterOid": main}, bad)
    assert answer["errors"][0]["type"] == "UNPROCESSABLE"
    assert set(repo.branches()) == {"main", "feature"}
    update(
        {"name": "refs/heads/main", "beforeOid": main, "afterOid": feature},
        {"name": "refs/heads/feature", "afterOid": ZEROS},
    )
    assert repo.branches() == {"main": feature}


@pytest.mark.parametrize(
    "update_of", [{"name": "main", "afterOid": "SHA"}, {"name": "refs/heads/x", "afterOid": "1" * 40}]
)
def test_updates_that_make_no_sense(update: Any, repo: Any, update_of: dict[str, str]) -> None:
    answer = update({key: value.replace("SHA", repo.resolve("main")) for key, value in update_of.items()})
    assert answer["errors"][0]["type"] == "UNPROCESSABLE"


def test_mutations_and_fields_ask_for_permissions(update: Any, graphql: Any, server: Any, repo: Any) -> None:
    server.add_token("t-read", permissions={"contents": "read"})
    refused = update({"name": LOCK, "afterOid": repo.resolve("main")}, token="t-read")
    assert (refused["errors"][0]["type"], refused["errors"][0]["message"]) == (
        "FORBIDDEN",
        "Resource not accessible by integration",
    )
    assert update({"name": LOCK, "afterOid": repo.resolve("main")}, node="R_kw1")["errors"][0]["type"] == "NOT_FOUND"
    query = '{ repository(owner: "acme", name: "shop") { viewerPermission ref(qualifiedName: "main") { name } pullRequest(number: 1) { id } } }'
    answer = graphql(query, token="t-read")
    assert answer["data"]["repository"] == {"viewerPermission": "READ", "ref": {"name": "main"}, "pullRequest": None}
    assert [error["type"] for error in answer["errors"]] == ["FORBIDDEN"]


def test_a_private_repository_gives_a_stranger_no_permission(graphql: Any, server: Any) -> None:
    server.create_repository("acme/secret", private=True)
    query = '{ repository(owner: "acme", name: "secret") { viewerPermission } }'
    assert graphql(query)["data"]["repository"] == {"viewerPermission": None}
