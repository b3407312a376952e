"""The GraphQL that the bot sends. Field names and types are those of GitHub's public schema."""

from __future__ import annotations

from collections.abc import Sequence

REVIEWS = """
query Reviews($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      author { login }
      headRefOid
      latestOpinionatedReviews(first: 100, writersOnly: true) {
        pageInfo { hasNextPage }
        nodes { author { login } state commit { oid } }
      }
    }
  }
}
"""


def refs(aliases: Sequence[str]) -> str:
    """Return a query for several refs: each under its alias, its full name in the variable of that name."""
    variables = "".join(f", ${alias}: String!" for alias in aliases)
    target = "target { oid ... on Tag { message } }"
    fields = "".join(f"    {alias}: ref(qualifiedName: ${alias}) {{ {target} }}\n" for alias in aliases)
    return (
        f"query Refs($owner: String!, $name: String!{variables}) {{\n"
        f"  repository(owner: $owner, name: $name) {{\n    id\n{fields}  }}\n}}"
    )


def remarks(aliases: Sequence[str]) -> str:
    """Return a query for several comments: each under its alias, its node id in the variable of that name."""
    variables = "".join(f", ${alias}: ID!" for alias in aliases)
    wanted = "author { login } body createdAt lastEditedAt repository { id } pullRequest { number }"
    fields = "".join(f"  {alias}: node(id: ${alias}) {{ ... on IssueComment {{ {wanted} }} }}\n" for alias in aliases)
    return (
        f"query Remarks($owner: String!, $name: String!{variables}) {{\n"
        f"  repository(owner: $owner, name: $name) {{ id }}\n{fields}}}"
    )


# `force`: a tag object is never a fast forward of another. That nobody was faster is what `beforeOid` is for.
MOVE_REF = """
mutation MoveRef($repository: ID!, $ref: GitRefname!, $before: GitObjectID!, $after: GitObjectID!) {
  updateRefs(
    input: {
      repositoryId: $repository
      refUpdates: [{name: $ref, beforeOid: $before, afterOid: $after, force: true}]
    }
  ) {
    clientMutationId
  }
}
"""

RELEASE_LOCK = """
mutation ReleaseLock($repository: ID!, $ref: GitRefname!, $before: GitObjectID!, $after: GitObjectID!) {
  updateRefs(input: {repositoryId: $repository, refUpdates: [{name: $ref, beforeOid: $before, afterOid: $after}]}) {
    clientMutationId
  }
}
"""

_RECORDS = """
fragment Records on DeploymentConnection {
  pageInfo { hasNextPage endCursor }
  nodes {
    id databaseId commitOid environment task payload createdAt
    ref { name }
    commit { messageHeadline }
    creator { login }
    latestStatus { id state description environmentUrl createdAt }
    statuses(first: 10) { nodes { id state description environmentUrl createdAt } }
  }
}
"""

DEPLOYMENTS = f"""
query Deployments($owner: String!, $name: String!, $environments: [String!], $first: Int!, $after: String) {{
  repository(owner: $owner, name: $name) {{
    deployments(
      environments: $environments, first: $first, after: $after, orderBy: {{field: CREATED_AT, direction: DESC}}
    ) {{ ...Records }}
  }}
}}{_RECORDS}"""


def deployments(aliases: Sequence[str]) -> str:
    """Return a query for the deployments of several environments: each under its alias, its name in that variable."""
    variables = "".join(f", ${alias}: String!" for alias in aliases)
    order = "orderBy: {field: CREATED_AT, direction: DESC}"
    fields = "".join(
        f"    {alias}: deployments(environments: [${alias}], first: $first, {order}) {{ ...Records }}\n"
        for alias in aliases
    )
    return (
        f"query Deployments($owner: String!, $name: String!, $first: Int!{variables}) {{\n"
        f"  repository(owner: $owner, name: $name) {{\n{fields}  }}\n}}{_RECORDS}"
    )


THREAD = """
query Thread($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) {
    issueOrPullRequest(number: $number) {
      ... on Issue { comments(last: 100) { ...Written } }
      ... on PullRequest { comments(last: 100) { ...Written } }
    }
  }
}
fragment Written on IssueCommentConnection { nodes { id fullDatabaseId viewerDidAuthor isMinimized body } }
"""


def minimize(aliases: Sequence[str]) -> str:
    """Return a mutation that hides several comments as outdated: each one's id in the variable of its alias."""
    variables = ", ".join(f"${alias}: ID!" for alias in aliases)
    fields = "".join(
        f"  {alias}: minimizeComment(input: {{subjectId: ${alias}, classifier: OUTDATED}}) {{ clientMutationId }}\n"
        for alias in aliases
    )
    return f"mutation Minimize({variables}) {{\n{fields}}}"
