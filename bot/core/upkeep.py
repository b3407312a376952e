"""The port to what the bot has made of a service: its revisions and its tags, and taking away what nobody needs.

Only what carries the bot's own labels is spoken of here. Tags and revisions of other people are never touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bot.core.serving import TrafficShare


@dataclass(frozen=True, kw_only=True)
class Made:
    """A revision that the bot made, as its labels tell. Times are seconds since the epoch.

    ``release`` is the key of the deployment that made it. ``preview`` is the pull request that it is a preview of, 0
    for a release's; ``until`` is when that preview was to end.
    """

    name: str
    created: float
    release: str = ""
    sha: str = ""
    preview: int = 0
    until: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Holding:
    """A service, and what the bot has made of it, newest first.

    ``serving`` is what is, ``asked`` what its targets ask for (it may name a revision that never became ready).
    ``latest``: the newest revision, whoever made it.
    """

    service: str
    serving: tuple[TrafficShare, ...] = ()
    asked: tuple[TrafficShare, ...] = ()
    made: tuple[Made, ...] = ()
    latest: str = ""

    def leads(self, tag: str) -> str:
        """Return the revision that a tag leads to, or is asked to lead to; ``""`` if there is none."""
        return next((share.revision for share in (*self.serving, *self.asked) if share.tag == tag), "")

    def by_name(self, revision: str) -> Made | None:
        """Return one of the bot's revisions, None if it is none."""
        return next((made for made in self.made if made.name == revision), None)

    @property
    def used(self) -> frozenset[str]:
        """The revisions that have traffic or a tag, or are asked to."""
        return frozenset(share.revision for share in (*self.serving, *self.asked) if share.percent or share.tag)

    @property
    def tags(self) -> Mapping[str, str]:
        """Every tag, with the revision that it leads to."""
        return {share.tag: self.leads(share.tag) for share in (*self.asked, *self.serving) if share.tag}


class Upkeep(Protocol):
    """What can be kept tidy on a target. Methods block, and raise as :class:`bot.core.target.Target`'s do."""

    def holdings(self) -> tuple[Holding, ...]:
        """Ask for every configured service that exists."""
        ...

    def retag(self, changes: Mapping[str, Mapping[str, str]]) -> None:
        """Let tags of services lead to revisions (``""``: take the tag off), of all services at once.

        Nobody's traffic changes, nor any other tag. Raises ConflictError when somebody else keeps changing a service.
        """
        ...

    def delete(self, service: str, revision: str) -> bool:
        """Delete a revision; gone already is fine. False where the provider does not let it go now."""
        ...

    def put_back_templates(self) -> None:
        """Give services whose template was made a preview's the one they had before."""
        ...
