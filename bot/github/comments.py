"""Comments and reactions. A comment whose reply was lost is looked for before it is sent again: never two of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

from bot.core.facts import CommentRef, OwnComment, Remark
from bot.errors import NotFoundError
from bot.github import mapping, queries
from bot.github.failures import shaped
from bot.github.retry import repeat
from bot.github.transport import PER_PAGE, GraphQL, Request, Transport

CLOCK_SKEW = timedelta(minutes=5)
"""How far this machine's clock may be ahead of GitHub's when a comment is looked for by its time."""

_NEEDS = "pull-requests: write"


class Comments:
    """The comments of one repository. The methods are those of :class:`bot.core.ports.GitHub`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, number: int, body: str, *, known: Collection[int] = ()) -> CommentRef:
        """Comment on an issue or pull request (1 call).

        ``known``: ids of comments that were there before. Of a body without a marker, an older one may say the same.
        """
        what = f"comment on #{number}"
        path = f"/issues/{number}/comments"
        started = datetime.fromtimestamp(self._transport.waiting.now(), UTC)
        request = Request(verb="POST", path=path, what=what, needs=_NEEDS, body={"body": body})

        def send() -> CommentRef:
            answer = self._transport.once(request)
            with shaped(what, acted=True):
                return mapping.comment(answer.data)

        def made() -> CommentRef | None:
            for page in self._pages(number, started, what):
                same = [one for one in page if one.id not in known and marker(one.body) == marker(body)]
                if same:
                    return same[-1]
            return None

        return repeat(send, self._transport.waiting, after_loss=made)

    def since(self, number: int, moment: datetime) -> tuple[CommentRef, ...]:
        """Return a thread's comments that were written or changed since a time by our clock (1 call for each 100)."""
        pages = self._pages(number, moment, f"read the comments on #{number}")
        return tuple(comment for page in pages for comment in page)

    def _pages(self, number: int, moment: datetime, what: str) -> Iterator[list[CommentRef]]:
        since = (moment.astimezone(UTC) - CLOCK_SKEW).strftime("%Y-%m-%dT%H:%M:%SZ")
        path = f"/issues/{number}/comments"
        for page in count(1):
            answer = self._transport.get(path, what=what, needs=_NEEDS, since=since, per_page=PER_PAGE, page=page)
            with shaped(what):
                comments = [mapping.comment(item) for item in mapping.listed(answer)]
            yield comments
            if len(comments) < PER_PAGE:
                return

    def own(self, number: int) -> tuple[OwnComment, ...]:
        """Return the token's own among a thread's last hundred comments (1 call)."""
        what = f"read the comments on #{number}"
        variables = {"owner": self._transport.owner, "name": self._transport.name, "number": number}
        query = GraphQL(text=queries.THREAD, variables=variables, what=what, needs="pull-requests: read")
        data = self._transport.graphql(query)
        with shaped(what):
            thread = mapping.need(mapping.need(data, "repository", dict), "issueOrPullRequest", dict)
            nodes = mapping.listed(mapping.need(thread, "comments", dict).get("nodes"))
            return tuple(mapping.own_comment(node) for node in nodes if node.get("viewerDidAuthor") is True)

    def minimize(self, comments: Sequence[OwnComment]) -> None:
        """Hide comments as outdated (1 call; repeated on failure)."""
        variables = {f"c{index}": comment.node for index, comment in enumerate(comments)}
        text = queries.minimize(list(variables))
        what = f"hide {len(comments)} outdated comments"
        self._transport.graphql(GraphQL(text=text, variables=variables, what=what, needs=_NEEDS))

    def remarks(self, ids: Sequence[str]) -> dict[str, Remark]:
        """Return comments by their node ids, as far as they are there and on this repository (1 call)."""
        what = "read the comments of the approvals"
        wanted = {f"c{number}": one for number, one in enumerate(dict.fromkeys(ids))}
        if not wanted:
            return {}
        query = GraphQL(
            text=queries.remarks(tuple(wanted)),
            variables={"owner": self._transport.owner, "name": self._transport.name, **wanted},
            what=what,
            needs="pull-requests: read",
            partial=True,  # one that was deleted is null, and an error beside it
        )
        data = self._transport.graphql(query)
        with shaped(what):
            here = mapping.need(mapping.need(data, "repository", dict), "id", str)
            nodes = ((one, data.get(alias)) for alias, one in wanted.items())
            return {one: mapping.remark(node) for one, node in nodes if mapping.text(node, "repository", "id") == here}

    def edit(self, comment_id: int, body: str) -> None:
        """Replace a comment's body (1 call; repeated on failure)."""
        self._write("PATCH", f"/issues/comments/{comment_id}", f"edit comment {comment_id}", {"body": body})

    def react(self, comment_id: int, content: str) -> None:
        """Add a reaction (1 call; repeated on failure, GitHub keeps one of each kind)."""
        path = f"/issues/comments/{comment_id}/reactions"
        self._write("POST", path, f"react to comment {comment_id}", {"content": content})

    def unreact(self, comment_id: int, reaction_id: int) -> None:
        """Take a reaction back (1 call); gone already is fine."""
        path = f"/issues/comments/{comment_id}/reactions/{reaction_id}"
        try:
            self._write("DELETE", path, f"take a reaction to comment {comment_id} back", None)
        except NotFoundError:
            return

    def _write(self, verb: str, path: str, what: str, body: dict[str, str] | None) -> None:
        self._transport.call(Request(verb=verb, path=path, what=what, needs=_NEEDS, body=body))


def marker(body: str) -> str:
    """What tells a comment of the bot from any other: its hidden first line, or all of it when there is none."""
    body = body.replace("\r\n", "\n").strip()
    first = body.partition("\n")[0]
    return first if first.startswith("<!--") else body
