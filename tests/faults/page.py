"""The page docs/reliability.md: what was counted, a table for each story, and how to play one cell again."""

from __future__ import annotations

import os
import re
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from columns import COLUMNS
from stories import STORIES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
HOLDS, FAILS, ABSENT, NONE = "✅", "❌", "–", ""
_ROW = re.compile(r"^\| (\d+) \| `([^`]+)` \|")

WORDS = """
Renewed by `nox -s faults` (last time {took}).

A cell is one call of the bot to GitHub or Google, in one story, hit by one fault, in a world of its own
([the sandbox](explanation/architecture.md#the-sandbox)). The bot is a real process, and a kill is a real SIGKILL.

What would really follow is let happen. After a kill the job is run again (same run, attempt 2), or somebody else gives the
next command while the API says that the first run is over. After any other fault the job is run again if the bot gave up;
after an outage that a green run has met, the next command comes. {sign} says that in the end:

- users are served only what was verified, or what served before, and by all services the same release (after one of some
  services, by the others what they served);
- every deployment has exactly one final status;
- the last comment says what serves, and no comment says for ever that something is under way;
- no lock is left;
- a release was built once at most, and each of its jobs run once at most;
- no secret can be read in a comment, an output, a summary, a log, or a deployment (the failing answers show the token that
  they were sent);
- the exit code fits, and who asked was told: in a comment, and by an annotation, which is all there is when GitHub itself
  is what fails;
- what followed the fault ended as it would have without it.

{absent} is a call that did not come in that run: how often something is polled is partly chance. A blank is a fault that
cannot be there: secondary limits are GitHub's alone, and a call that only reads has no effect that could be lost.

| Fault | What happens |
|---|---|
{faults}
"""

AGAIN = """
## One cell again

```bash
python tests/faults/matrix.py --scenario success --call "github POST deployments #1" --fault lost
```

`--call` also takes the number in the table above, and each of the three may be left out. `--json FILE` writes what is known
of the cells that do not hold, and of all where they are few: what serves, the deployments, the comments, the logs. A call
is named by its server, method and path, and by how many of its kind came before it; the stories are in
`tests/faults/stories.py`.
"""


@dataclass(frozen=True, kw_only=True)
class Took:
    """What playing took: wall seconds, and processor seconds of all processes together."""

    wall: float
    processor: float

    @classmethod
    def since(cls, begun: float) -> Took:
        """Measure from a moment of ``time.monotonic()`` on. Call it when every worker has ended."""
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return cls(wall=time.monotonic() - begun, processor=sum(each.ru_utime + each.ru_stime for each in usages))

    @property
    def words(self) -> str:
        """Say it, with the cores that there were."""
        return f"{self.wall:.0f} s on {os.cpu_count()} cores, {self.processor:.0f} s of processor time"


def mark(hit: bool, problems: Sequence[str]) -> str:
    """Return a cell's sign."""
    if problems:
        return FAILS
    return HOLDS if hit else ABSENT


def render(calls: Mapping[str, Sequence[str]], results: Mapping[tuple[str, str, str], str], *, took: Took) -> str:
    """Return the page. ``results``: the sign of each story, call and fault."""
    came = [sign for sign in results.values() if sign in {HOLDS, FAILS}]
    faults = "\n".join(f"| {column.name} | {column.words} |" for column in COLUMNS.values())
    words = WORDS.format(took=took.words, faults=faults, sign=HOLDS, absent=ABSENT)
    tables = [line for story, names in calls.items() for line in _table(story, names, results)]
    first = f"{len(came)} cells, {came.count(HOLDS)} hold"
    return "\n".join(["# Reliability", "", first, words.rstrip(), "", *tables, AGAIN.strip()]) + "\n"


def _table(story: str, names: Sequence[str], results: Mapping[tuple[str, str, str], str]) -> Iterator[str]:
    summary = STORIES[story].summary
    yield from (f"## {story}", "", f"{summary[0].upper()}{summary[1:]}.")
    yield from ("", f"| # | Call | {' | '.join(COLUMNS)} |", f"|--:|---|{':-:|' * len(COLUMNS)}")
    for number, name in enumerate(names, 1):
        signs = " | ".join(results.get((story, name, column), NONE) for column in COLUMNS)
        yield f"| {number} | `{name}` | {signs} |"
    yield ""


def calls_on(page: str, story: str) -> list[str]:
    """Return the calls of a story's table, in its order."""
    _, _, rest = page.partition(f"\n## {story}\n")
    rows = (_ROW.match(line) for line in rest.partition("\n## ")[0].splitlines())
    return [row[2] for row in rows if row]
