"""The judge itself: it must see a wrong answer, or the rest of this folder proves nothing."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest


def test_the_judge_accepts_the_true_answer_and_sees_a_wrong_one(call: Any, server: Any, repo: Any, judge: Any) -> None:
    if judge is None:
        pytest.skip("GitHub's REST description is not here")
    call("GET", "/repos/acme/shop/git/ref/heads/main")
    true = server.calls[-1]
    assert judge.problems(true) == []
    body = json.loads(true.response_body)
    body["object"]["sha"] = 7
    del body["url"]
    wrong = dataclasses.replace(true, response_body=json.dumps(body).encode())
    assert sorted(problem.partition(": ")[2] for problem in judge.problems(wrong)) == [
        "$.object.sha: 7 is not of type 'string'",
        "$: 'url' is a required property",
    ]


def test_most_declared_operations_are_in_the_description(server: Any, judge: Any) -> None:
    if judge is None:
        pytest.skip("GitHub's REST description is not here")
    ours = {(route.method, judge._key(route.template)) for route in server.routes}
    outside = {path for _, path in ours - set(judge.operations)}
    assert outside == {
        "/.well-known/jwks",
        "/.well-known/openid-configuration",
        "/_actions/token",
        "/_codeload/{}/{}/legacy.tar.gz/{}",
        "/graphql",
        "/repos/{}/{}/actions/runs/{}/attempts/{}",  # real, and not in the shortened description
        "/repos/{}/{}/contents",
        "/repos/{}/{}/contents/",
        "/repos/{}/{}/git/matching-refs/",
        "/repos/{}/{}/pulls/{}/requested_reviewers",  # the same
        "/repos/{}/{}/statuses/{}",  # read at its older address
        "/repos/{}/{}/tarball",
    }
