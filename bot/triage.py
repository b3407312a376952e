"""Decide from the event alone whether a run is for us, before anything is installed.

It runs as ``python3 -I -S bot/triage.py`` on the runner's own Python (3.9 or newer) with nothing but the standard
library, so that an ordinary comment costs neither an install nor a call. For the same reason ``typing``,
``dataclasses`` and ``pathlib`` are not imported: they would double the time.

It errs to one side: what it lets pass is read again by the full parser (:mod:`bot.core.commands`), so every doubt about
the Markdown counts as ours. Only what is certainly no command is left out here.
"""

from __future__ import annotations

import json
import os
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

# A contract test holds both equal to the command registry, which cannot be imported before the install.
VERBS = frozenset(
    {"deploy", "promote", "rollback", "retry", "cancel", "lock", "unlock", "freeze", "unfreeze", "preview"}
    | {"approve", "reject"}
    | {"status", "history", "diff", "changelog", "verify", "logs", "doctor", "whoami", "help"}
)
RESERVED = frozenset(
    {"scale", "run", "maintenance", "backup", "release", "config"}
    # Prow's, PR-Agent's and others', each a letter or two off one of ours.
    | {"retest", "recheck", "rerun", "rebase", "refresh", "review", "test", "check", "merge", "hold", "close"}
    | {"project", "improve"}
)

MAX_BODY = 65_536  # GitHub's limit on a comment; what is longer did not come from it
MAX_WORDS = 200  # a comment with more different slash words than this holds no typo of ours, only junk
TIMEOUT_S = 5.0

# `/usr/bin` and `/deploy.sh` are paths: a command word is followed by the line's end, white space or `@`.
_COMMAND = re.compile(r"/([A-Za-z]+)(?=[\s@]|$)")
_CANDIDATE = re.compile(r"(?m)^[^\S\n]*/([A-Za-z]+)(?=[\s@]|$)")
_FENCE = re.compile(r"(`{3,})[^`]*$|(~{3,})")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


class TriageError(Exception):
    """The run cannot be judged. The message names the file or variable and what is wrong with it."""


class Verdict:
    """Whether the run is ours, and the id of the comment to react to (0: no reaction)."""

    def __init__(self, *, ours: bool, react_to: int = 0) -> None:
        self.ours = ours
        self.react_to = react_to


def main(environ: Mapping[str, str]) -> int:
    """Judge the run that ``environ`` describes; write the step's outputs; return the exit status."""
    try:
        verdict = judge(environ.get("GITHUB_EVENT_NAME", ""), read_event(environ), allowed_bots(environ))
        reaction = react(environ, verdict.react_to) if _reacts(environ, verdict) else 0
        outputs = {"ours": "true" if verdict.ours else "false", "reaction-id": str(reaction or "")}
        if not verdict.ours:
            outputs.update({"decision": "ignored", "reason": "not_a_command"})
        write_outputs(environ, outputs)
    except TriageError as error:
        _annotate("error", "Slipway cannot read the event", str(error))
        return 1
    return 0


def read_event(environ: Mapping[str, str]) -> Any:
    """Return the event's payload. Raises TriageError when there is no readable JSON."""
    path = environ.get("GITHUB_EVENT_PATH", "")
    if not path:
        raise TriageError("GITHUB_EVENT_PATH is not set: this runs as a step of a GitHub Actions job.")
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return json.loads(file.read())
    except OSError as error:
        raise TriageError(f"{path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise TriageError(f"{path} is not JSON: {error}.") from error


def allowed_bots(environ: Mapping[str, str]) -> frozenset[int]:
    """Return the ids of the bots whose comments count; what is no id is left out with a warning."""
    ids = set()
    for word in environ.get("SLIPWAY_ALLOWED_BOTS", "").replace(",", " ").split():
        if word.isascii() and word.isdecimal():
            ids.add(int(word))
        else:
            _annotate("warning", "Slipway: allowed-bots", f"{word!r} is not a numeric user id.")
    return frozenset(ids)


def judge(name: str, event: Any, bots: frozenset[int] = frozenset()) -> Verdict:
    """Return whether the event is ours. A payload of an unexpected shape is not."""
    judges: dict[str, Callable[[Any, frozenset[int]], Verdict]] = {
        "issue_comment": _judge_comment,
        "push": lambda event, _: Verdict(ours=_is_push_to_default(event)),
        "pull_request": lambda event, _: Verdict(ours=_may_have_a_preview(event)),
        "pull_request_target": lambda event, _: Verdict(ours=_may_have_a_preview(event)),
        "schedule": lambda _event, _: Verdict(ours=True),
        "workflow_dispatch": lambda _event, _: Verdict(ours=True),
    }
    if name not in judges:
        return Verdict(ours=False)
    return judges[name](event, bots)


def _judge_comment(event: Any, bots: frozenset[int]) -> Verdict:
    comment = _get(event, "comment")
    body = _get(comment, "body")
    # Only a new comment counts: an edit would run under the author's name on the word of whoever edited.
    if _get(event, "action") != "created" or not isinstance(body, str):
        return Verdict(ours=False)
    if _get(comment, "user", "type") == "Bot" and _get(comment, "user", "id") not in bots:
        return Verdict(ours=False)
    found = find_command(body)
    # A near miss is only answered when its author may write, which is not known yet: no reaction.
    react_to = _number(_get(comment, "id")) if found in VERBS else 0
    return Verdict(ours=found is not None, react_to=react_to)


def _is_push_to_default(event: Any) -> bool:
    branch = _get(event, "repository", "default_branch")
    return isinstance(branch, str) and _get(event, "ref") == f"refs/heads/{branch}" and not _get(event, "deleted")


def _may_have_a_preview(event: Any) -> bool:
    """Whether a pull request's preview may want renewing or removing. A fork never has one."""
    head, base = _get(event, "pull_request", "head", "repo", "id"), _get(event, "repository", "id")
    return _get(event, "action") in ("closed", "synchronize") and head is not None and head == base


def _get(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def find_command(body: str) -> str | None:
    """Return the verb of the first line that may be a command, else the word of the first near miss, else None.

    A command is a line that begins with ``/verb`` outside fences, indented code, quotes and HTML comments.
    """
    if "/" not in body:
        return None
    body = body[:MAX_BODY].replace("\r\n", "\n").replace("\r", "\n")
    words = {match[1].lower() for match in _CANDIDATE.finditer(body)}
    exact = words & VERBS
    close = _near_misses(words - VERBS - RESERVED)
    if not exact and not close:
        return None
    first_close = None
    for word in _command_words(body):
        if word in exact:
            return word
        if first_close is None and word in close:
            first_close = word
    return first_close


def _near_misses(words: set[str]) -> set[str]:
    if len(words) > MAX_WORDS:
        return set()
    return {word for word in words if any(_is_near(word, verb) for verb in VERBS)}


def _is_near(word: str, verb: str) -> bool:
    """Return whether ``word`` may be a slip of ``verb``: two edits at most, one in words of up to four letters."""
    allowed = 2 if len(word) > 4 else 1
    return abs(len(word) - len(verb)) <= allowed and edits(word, verb) <= allowed


def edits(one: str, other: str) -> int:
    """Return the Damerau-Levenshtein distance (a swap of neighbours counts one)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _command_words(body: str) -> Iterator[str]:
    """Yield the word of each line that may be a command."""
    block = _Block()
    for line in body.split("\n"):
        if not block.hides(line):
            match = _COMMAND.match(line.lstrip())
            if match:
                yield match[1].lower()


class _Block:
    """The block of CommonMark that a line stands in, as far as it can be told without parsing lists and quotes.

    ``doubtful``: an HTML block, or a fence whose list item may have ended. From there on nothing is hidden.
    """

    def __init__(self) -> None:
        self.doubtful = False
        self.paragraph = False  # an indented line after one goes on with it: it is no code
        self.until = ""  # the fence that ends the code block, or `-->`
        self.indent = 0  # of the line that opened it

    def hides(self, line: str) -> bool:
        """Take the next line; return whether nothing on it can be a command."""
        text = line.lstrip(" \t")  # white space as CommonMark has it: a no-break space is text
        if self.doubtful:
            return False
        if not text:
            self.paragraph = False
            return True
        indent = _columns(line)
        if self.until:
            return self._inside(text, indent)
        if indent > 3 and not self.paragraph:
            return True
        if indent <= 3 and self._opens(text, indent):
            return True
        self.paragraph = True
        return False

    def _inside(self, text: str, indent: int) -> bool:
        if indent < self.indent:  # the opener may have stood in a list item, which this line ends
            self.doubtful = True
            return False
        if self.until == "-->":
            self.until = "" if "-->" in text else self.until
        elif indent <= 3 and _closes(text, self.until):
            self.until = ""
        return True

    def _opens(self, text: str, indent: int) -> bool:
        """Return whether the line opens (or is) a block that holds no commands."""
        fence = _FENCE.match(text)
        if fence:
            self.until = fence[1] or fence[2]
        elif text.startswith("<!--"):
            self.until = "" if "-->" in text else "-->"
        elif text.startswith("<"):
            self.doubtful = True
            return False
        else:
            return False
        self.indent, self.paragraph = indent, False
        return True


def _closes(text: str, fence: str) -> bool:
    run = text.rstrip(" \t")
    return len(run) >= len(fence) and not run.strip(fence[0])


def _columns(line: str) -> int:
    """Return how far a line is indented; a tab goes to the next multiple of four."""
    return len(line[: len(line) - len(line.lstrip(" \t"))].expandtabs(4))


def _reacts(environ: Mapping[str, str], verdict: Verdict) -> bool:
    # The other jobs run on the same event: their command has its reaction from the command job.
    return bool(verdict.react_to) and environ.get("SLIPWAY_PHASE", "") not in ("release", "ask")


def react(environ: Mapping[str, str], comment: int) -> int:
    """Put the reaction ``eyes`` on a comment; return its id, 0 when that failed (a warning says why).

    POST /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions: repeating it returns the same reaction.
    """
    import urllib.error  # noqa: PLC0415 - a run that is not ours must not pay for it
    import urllib.request  # noqa: PLC0415

    class NoRedirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any, **__: Any) -> None:  # urllib would send the token along
            return None

    try:
        base, is_loopback = _api(environ)
        request = urllib.request.Request(  # noqa: S310 - _api let only https and loopback pass
            f"{base}/repos/{_repository(environ)}/issues/comments/{comment}/reactions",
            data=b'{"content":"eyes"}',
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {environ.get('GITHUB_TOKEN', '').strip()}",
                "Content-Type": "application/json",
                "User-Agent": "slipway",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            method="POST",
        )
        proxies = [urllib.request.ProxyHandler({})] if is_loopback else []
        with urllib.request.build_opener(NoRedirects, *proxies).open(request, timeout=TIMEOUT_S) as response:
            return _number(_get(json.loads(response.read(100_000)), "id"))
    except urllib.error.HTTPError as error:
        error.close()
        problem = f"GitHub answered {error.code}."
    except (TriageError, OSError) as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001 - a reaction is a courtesy: whatever broke, the command goes on
        problem = f"{type(error).__name__}."  # its text may hold the token, as http.client's does
    _annotate("warning", "Slipway could not react to the comment", problem)
    return 0


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _repository(environ: Mapping[str, str]) -> str:
    name = environ.get("GITHUB_REPOSITORY", "")
    if not _REPOSITORY.fullmatch(name):
        raise TriageError(f"GITHUB_REPOSITORY is not owner/name: {name!r}")
    return name


def _api(environ: Mapping[str, str]) -> tuple[str, bool]:
    """Return the API's base URL and whether it is on this machine. Plain http is accepted only there."""
    import ipaddress  # noqa: PLC0415
    import urllib.parse  # noqa: PLC0415

    base = environ.get("GITHUB_API_URL", "https://api.github.com").rstrip("/")
    parts = urllib.parse.urlsplit(base)
    host = parts.hostname or ""
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback):
        raise TriageError(f"GITHUB_API_URL must be https, or http on loopback: {base!r}")
    return base, is_loopback


def write_outputs(environ: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """Append the step's outputs, each in a heredoc whose delimiter nobody can guess. Raises TriageError."""
    path = environ.get("GITHUB_OUTPUT", "")
    if not path:
        raise TriageError("GITHUB_OUTPUT is not set: this runs as a step of a GitHub Actions job.")
    try:
        with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123
            for name, value in outputs.items():
                delimiter = f"ghadelimiter_{os.urandom(16).hex()}"
                file.write(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")
    except OSError as error:
        raise TriageError(f"{path}: {error.strerror}.") from error


def _annotate(level: str, title: str, message: str) -> None:
    """Print a workflow command. GitHub unescapes ``%25 %0D %0A``, and ``%3A %2C`` in properties."""
    title = _escape(title).replace(":", "%3A").replace(",", "%2C")
    sys.stdout.write(f"::{level} title={title}::{_escape(message)}\n")


def _escape(text: str) -> str:
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")  # a lone surrogate cannot be printed
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


if __name__ == "__main__":
    sys.exit(main(os.environ))
