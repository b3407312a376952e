"""Comments of threads and the reactions to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.sandbox.github import shapes_threads
from bot.sandbox.github.context import Context, invalid, not_found
from bot.sandbox.github.model import CONTENTS, Comment, Reaction
from bot.sandbox.wire import Response, answer

if TYPE_CHECKING:
    from bot.sandbox.github.server import GitHub

BODY = 65536  # characters


def register(github: GitHub) -> None:
    """Declare the operations. A pull request's thread is open to either permission."""
    root = "/repos/{owner}/{repo}/issues"
    read, write = ("issues:read", "pull_requests:read"), ("issues:write", "pull_requests:write")
    one = f"{root}/comments/{{comment_id}}"
    github.operation("GET", f"{root}/{{issue_number}}/comments", list_comments, *read)
    github.operation("POST", f"{root}/{{issue_number}}/comments", create_comment, *write)
    github.operation("GET", one, get_comment, *read)
    github.operation("PATCH", one, update_comment, *write)
    github.operation("DELETE", one, delete_comment, *write)
    github.operation("GET", f"{one}/reactions", list_reactions, *read)
    github.operation("POST", f"{one}/reactions", create_reaction, *write)
    github.operation("DELETE", f"{one}/reactions/{{reaction_id}}", delete_reaction, *write)


def _body(ctx: Context) -> str:
    body = ctx.field("body", str)
    if not body.strip():
        raise invalid("IssueComment", "body", "custom", "body can't be blank")
    if len(body) > BODY:
        # Live answers name the field "data", whatever was sent.
        text = f"Body is too long (maximum is {BODY} characters)"
        raise invalid("IssueComment", "data", "unprocessable", text)
    return body


def _comment(ctx: Context) -> Comment:
    return ctx.find(ctx.repo.state.comments, "comment_id")


def list_comments(ctx: Context) -> Response:
    """List a thread's comments, oldest first; ``since`` is of their last change."""
    found = [comment for comment in ctx.repo.thread(ctx.issue().number) if comment.updated_at >= ctx.since()]
    return ctx.page(found, lambda comment: shapes_threads.comment(ctx.repo, comment))


def create_comment(ctx: Context) -> Response:
    """Comment on an issue or pull request."""
    comment = ctx.repo.add_comment(ctx.issue().number, _body(ctx), author=ctx.viewer.login)
    shape = shapes_threads.comment(ctx.repo, comment)
    return answer(shape, 201, Location=shape["url"])


def get_comment(ctx: Context) -> Response:
    """Get a comment."""
    return answer(shapes_threads.comment(ctx.repo, _comment(ctx)))


def update_comment(ctx: Context) -> Response:
    """Change a comment's body."""
    comment = _comment(ctx)
    return answer(shapes_threads.comment(ctx.repo, ctx.repo.edit_comment(comment.id, _body(ctx))))


def delete_comment(ctx: Context) -> Response:
    """Delete a comment."""
    del ctx.repo.state.comments[_comment(ctx).id]
    return Response(status=204)


def list_reactions(ctx: Context) -> Response:
    """List the reactions to a comment, oldest first."""
    content = ctx.request.arg("content")
    found = [one for one in _comment(ctx).reactions if content in {None, one.content}]
    return ctx.page(found, lambda one: shapes_threads.reaction(ctx.repo, one))


def create_reaction(ctx: Context) -> Response:
    """React to a comment: 201, or 200 with the reaction this account had already."""
    comment, content = _comment(ctx), ctx.field("content", str)
    if content not in CONTENTS:
        raise invalid("Reaction", "content", "invalid")
    for found in comment.reactions:
        if (found.author, found.content) == (ctx.viewer.login, content):
            return answer(shapes_threads.reaction(ctx.repo, found))
    reaction = Reaction(id=ctx.github.new_id(), author=ctx.viewer.login, content=content, created_at=ctx.github.now())
    comment.reactions.append(reaction)
    return answer(shapes_threads.reaction(ctx.repo, reaction), 201)


def delete_reaction(ctx: Context) -> Response:
    """Take a reaction back."""
    comment, number = _comment(ctx), ctx.number("reaction_id")
    if number not in {one.id for one in comment.reactions}:
        raise not_found()
    comment.reactions = [one for one in comment.reactions if one.id != number]
    return Response(status=204)
