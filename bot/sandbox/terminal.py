"""A pull request's thread in a terminal: live on a screen, or one line for each change."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markdown import Markdown
from rich.panel import Panel
from rich.text import Text

from bot.sandbox.github.model import Comment
from bot.sandbox.scenarios.model import BOT, Play

INTERVAL = 0.15  # seconds between looks at the thread
# A row of the table of steps: its third cell is a time. Rows of checks have what was expected there.
_ROW = re.compile(
    r"^\| (?P<mark>\S+) \| (?P<title>[^|]+) \|(?P<took>(?: (?:\d+[hm] )?[\d.]+[sm])?) \|(?P<detail>[^|]*)\|$",
    re.MULTILINE,
)
_HEADING = re.compile(r"^### (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_ENTITY = {"&lt;": "<", "&gt;": ">", "&#124;": "|", "&#36;": "$", "&#47;": "/", "&amp;": "&"}


class Watcher(Protocol):
    """Shows a play until ``done`` is set."""

    def __call__(self, play: Play, done: threading.Event) -> None: ...


def unfolded(markdown: str, *, folded: bool = False) -> str:
    """Return a comment as a terminal can show it: no hidden lines, no diagrams, folds as headings or left out."""
    text = re.sub(r"<!--.*?-->\n?", "", markdown, flags=re.DOTALL)
    text = re.sub(r"```mermaid\n.*?```\n?", "", text, flags=re.DOTALL)
    if folded:
        text = re.sub(r"<details><summary>(.*?)</summary>.*?</details>", r"▸ \1", text, flags=re.DOTALL)
    text = re.sub(r"<details><summary>(.*?)</summary>", r"#### \1", text).replace("</details>", "")
    text = re.sub(r"</?su[bp]>", "", text)
    text = re.sub(r"> \[!(\w+)\]\n> ", lambda found: f"> **{found[1].capitalize()}:** ", text)
    text = re.sub(r"\n{3,}", "\n\n", text.replace("\u200b", ""))
    return text.strip()


def plain(markdown: str) -> str:
    """Return Markdown as lines to read: links without their addresses, entities as what they stand for."""
    text = _LINK.sub(r"\1", unfolded(markdown))
    for entity, char in _ENTITY.items():
        text = text.replace(entity, char)
    return re.sub(r"\\([\\`*_\[\]~#+=.)-])", r"\1", text)


class Screen:
    """Shows the thread as GitHub would, redrawn as it changes. Needs a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __call__(self, play: Play, done: threading.Event) -> None:
        with Live(console=self._console, refresh_per_second=8, transient=True, vertical_overflow="ellipsis") as live:
            while not done.wait(INTERVAL):
                live.update(self._thread(play))

    def _thread(self, play: Play) -> RenderableType:
        if not play.number:
            return Text("Making a world: a repository with history, a cloud project; main is being released …")
        issue = play.repository.state.issues[play.number]
        parts: list[RenderableType] = [Text(f"{issue.title} #{issue.number}", style="bold")]
        parts += [self._comment(comment) for comment in play.repository.thread(play.number)[-3:]]
        return Group(*parts)

    @staticmethod
    def _comment(comment: Comment) -> Panel:
        edited = f" · edited {len(comment.edits)} times" if comment.edits else ""
        reactions = " ".join(_EMOJI.get(reaction.content, "") for reaction in comment.reactions)
        return Panel(
            Markdown(unfolded(comment.body, folded=True)),
            title=f"{comment.author}{edited}", title_align="left", subtitle=reactions or None, subtitle_align="left",
            border_style="blue" if comment.author == BOT else "white",
        )  # fmt: skip


_EMOJI = {"eyes": "👀", "rocket": "🚀", "-1": "👎", "confused": "😕", "+1": "👍"}


class Lines:
    """Prints a line for each thing that changed. For logs, pipes and terminals that cannot redraw."""

    def __init__(self, console: Console) -> None:
        self._console, self._started = console, time.monotonic()
        self._seen: dict[tuple[int, str], str] = {}

    def __call__(self, play: Play, done: threading.Event) -> None:
        self._say("making a world: a repository with history, a cloud project")
        number = 0
        while not done.wait(INTERVAL):
            if play.number and play.number != number:
                number = play.number
                self._say(f"pull request #{number}: {play.repository.state.issues[number].title}")
            self._look(play)
        self._look(play)

    def _look(self, play: Play) -> None:
        for comment in play.repository.thread(play.number) if play.number else []:
            for key, line in changes(comment):
                if self._seen.get((comment.id, key)) != line:
                    self._seen[comment.id, key] = line
                    self._say(line)

    def _say(self, line: str) -> None:
        took = time.monotonic() - self._started
        self._console.print(Text(f"{took:5.1f}s  {line}"), soft_wrap=True)


def changes(comment: Comment) -> Iterator[tuple[str, str]]:
    """Yield ``(what, line)`` of everything in a comment whose change is worth a line."""
    for reaction in list(comment.reactions):
        yield f"reaction {reaction.content}", f"{_EMOJI.get(reaction.content, reaction.content)} on “{_first(comment)}”"
    if comment.author != BOT:
        yield "said", f"{comment.author}: {_first(comment)}"
        return
    heading = _HEADING.search(comment.body)
    if heading:
        yield "heading", plain(re.sub(r" · (step \d+ of \d+|[\dhms. ]+)(?= ·|$)", "", heading[1]))
    else:
        yield "answer", plain(comment.body)
    for row in _ROW.finditer(comment.body):
        if row["mark"] not in {"⬜", "⏭️"}:
            took = "" if row["mark"] == "🔄" else row["took"]
            yield f"step {plain(row['title'])}", f"  {row['mark']} {plain(row['title'])}{took}"


def _first(comment: Comment) -> str:
    line = next((line for line in comment.body.splitlines() if line.strip()), "")
    return line if len(line) <= 100 else f"{line[:99]}…"
