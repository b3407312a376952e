"""GitHub's limit on a comment, kept by cutting what is needed least.

GitHub refuses a body of more than 65,536 characters (``body is too long (maximum is 65536 characters)``). It does not
say which characters; here they are counted as UTF-16 units, of which a text never has fewer than code points. So the
answer is right by either count (and its UTF-8 form stays below the 262,144 bytes that are told of too).

The order: the beginnings of logs, whole folded sections, then lines from the end. The end of a log, the title and what
to type next are worth the most. A fence and a fold are never left open. The signed block (:mod:`bot.report.block`)
stays whole, or goes whole where it would take too much of the room.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bot.report.markdown import link

COMMENT_LIMIT = 65_536
BLOCK = "<!-- slipway-record:"
"""How the last line of a comment begins that has a signed block."""

_FENCE = re.compile(r"(`{3,})(\w*)$")
_FOLD = "<details><summary>"
_FOLD_END = "</details>"
_KEPT_LINES = 10  # of each log, before whole folds are dropped
_NEXT = "**Next:**"
_BLOCK_SHARE = 4  # a block may have this part of the room: people come first


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A body within the limit, and the Markdown that was cut from it (``""`` if nothing was)."""

    body: str
    overflow: str = ""


@dataclass(kw_only=True)
class _Block:
    """Lines that are kept or cut together. Of a log (``fence`` is set) the lines are those inside its fence."""

    lines: list[str]
    fence: str = ""
    fold: int = 0  # 0: in the open, else the number of the fold it is in
    cut: int = 0

    def text(self) -> list[str]:
        if not self.fence:
            return self.lines
        note = [f"… {self.cut} earlier lines, see the job summary"] if self.cut else []
        return [f"{self.fence}text", *note, *self.lines, self.fence]


@dataclass(kw_only=True)
class _Body:
    blocks: list[_Block]
    overflow: list[str] = field(default_factory=list)

    def text(self) -> str:
        return "\n".join(line for block in self.blocks for line in block.text())

    def excess(self, limit: int) -> int:
        return size(self.text()) - limit


def size(text: str) -> int:
    """Return a text's length in UTF-16 units."""
    return len(text) + sum(character > "\uffff" for character in text)


def fit(body: str, *, limit: int = COMMENT_LIMIT, rest_url: str = "") -> Fitted:
    """Return a body of at most ``limit`` UTF-16 units and what was cut. ``rest_url``: the page that shows the rest."""
    if size(body) <= limit:
        return Fitted(body=body)
    body, block = apart(body)
    if size(block) > limit // _BLOCK_SHARE:
        return fit(body, limit=limit, rest_url=rest_url)
    note = f"\n\n<sub>Cut to fit; the rest is in the {link('job summary', rest_url) or 'job summary'}.</sub>\n"
    room = limit - size(note) - size(block)
    parts = _Body(blocks=_blocks(body.rstrip("\n")))
    _cut_logs(parts, room, keep=_KEPT_LINES)
    _drop_folds(parts, room)
    _cut_logs(parts, room, keep=0)
    _drop_lines(parts, room)
    return Fitted(body=parts.text() + note + block, overflow="\n\n".join(parts.overflow))


def apart(body: str) -> tuple[str, str]:
    """Split a body into all that is for people, and its signed block with the line breaks around it (``""``: none).

    Joined again they are the body.
    """
    text, found, rest = body.rpartition(f"\n{BLOCK}")
    if not found or "\n" in rest.rstrip("\n"):
        return body, ""
    return text, f"{found}{rest}"


def _blocks(body: str) -> list[_Block]:
    """Split a body into lines in the open, lines in a fold, and logs. Other fences stay whole."""
    blocks: list[_Block] = []
    fence, log, fold, folds = "", False, 0, 0
    for line in body.split("\n"):
        if fence:
            if log and line == fence:
                fence = ""
            elif log:
                blocks[-1].lines.append(line)
            else:
                blocks[-1].lines.append(line)
                fence = "" if line == fence else fence
            continue
        opening = _FENCE.match(line)
        if opening:
            fence, log = opening[1], opening[2] == "text"
            blocks.append(_Block(lines=[] if log else [line], fence=fence if log else "", fold=fold))
            continue
        if line.startswith(_FOLD):
            folds += 1
            fold = folds
        blocks.append(_Block(lines=[line], fold=fold))
        if line == _FOLD_END:
            fold = 0
    return blocks


def _cut_logs(parts: _Body, room: int, *, keep: int) -> None:
    """Cut logs from their beginning, the largest first, leaving each its last ``keep`` lines."""
    logs = sorted((block for block in parts.blocks if block.fence), key=lambda log: -size("\n".join(log.lines)))
    for log in logs:
        excess = parts.excess(room)
        if excess <= 0:
            return
        excess += 60  # the note that takes the place of the lines
        gone: list[str] = []
        while excess > 0 and len(log.lines) > keep:
            gone.append(log.lines.pop(0))
            excess -= size(gone[-1]) + 1
        if gone:
            log.cut += len(gone)
            parts.overflow.append("\n".join([f"{log.fence}text", *gone, log.fence]))


def _drop_folds(parts: _Body, room: int) -> None:
    """Drop whole folded sections, the last first."""
    for fold in sorted({block.fold for block in parts.blocks if block.fold}, reverse=True):
        if parts.excess(room) <= 0:
            return
        dropped = _Body(blocks=[block for block in parts.blocks if block.fold == fold])
        parts.overflow.append(dropped.text())
        parts.blocks = [block for block in parts.blocks if block.fold != fold]


def _drop_lines(parts: _Body, room: int) -> None:
    """Drop blocks from the end, sparing what to type next, until the rest fits."""
    gone: list[str] = []
    excess = parts.excess(room)
    for spare in (True, False):
        for index in range(len(parts.blocks) - 1, -1, -1):
            block = parts.blocks[index]
            if excess <= 0:
                break
            if spare and (index == 0 or (block.lines[:1] and block.lines[0].startswith(_NEXT))):
                continue
            excess -= size("\n".join(block.text())) + 1
            gone[:0] = block.text()
            del parts.blocks[index]
    if gone:
        parts.overflow.append("\n".join(gone))
