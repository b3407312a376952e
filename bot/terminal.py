"""``slipway say``: a command on a pull request, said in a terminal in one's own name; and its completion in a shell.

Nothing is decided here. What is said is a comment like any other: the bot reads it on GitHub, and asks there whether
its author may.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bot.core.commands import Misread
from bot.core.registry import REGISTRY, Verb
from bot.core.spoken import line, next_words, read_back, values_of
from bot.errors import SettingsError, SlipwayError

CONFIG = Path(".github/slipway.yml")
_FLAG = "flag_"
_GITHUB = "github.com"
_TENANTS = ".ghe.com"  # GitHub Enterprise Cloud with data residency
_PATIENCE = 10.0  # seconds that git and gh may take
_REMOTE = re.compile(
    r"(?:https?://(?:[^/@]+@)?|(?:ssh|git)://(?:[^/@]+@)?|[^/@:]+@)(?P<host>[^/:]+)(?::\d+)?[/:](?P<path>[^/]+/[^/]+?)(?:\.git)?/?"
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A repository on a host: ``owner/name``, and where GitHub's API is there."""

    host: str
    repository: str

    @property
    def api(self) -> str:
        """The address of the REST API (docs.github.com: on GitHub Enterprise Server it is below ``/api/v3``)."""
        return f"https://api.{self.host}" if self.githubs_own else f"https://{self.host}/api/v3"

    @property
    def githubs_own(self) -> bool:
        """Whether GitHub itself runs the host."""
        return self.host == _GITHUB or self.host.endswith(_TENANTS)

    @property
    def server(self) -> str:
        """The address of the pages."""
        return f"https://{self.host}"


def remote_place(url: str) -> Place | None:
    """Read where a git remote is; None for one that is no ``owner/name`` on a host."""
    found = _REMOTE.fullmatch(url.strip())
    if found is None:
        return None
    host = found["host"].lower()
    return Place(host=_GITHUB if host == f"ssh.{_GITHUB}" else host, repository=found["path"])  # ssh on port 443


# -- the command line ---------------------------------------------------------------------------------------
def add_verbs(parser: argparse.ArgumentParser) -> None:
    """Give ``slipway say`` a command for each of the registry's."""
    parser.add_argument(
        "--pull", type=int, default=0, metavar="N", help="pull request or issue (default: the branch's)"
    )
    parser.add_argument("--repository", default="", metavar="OWNER/NAME", help="repository (default: origin's)")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND", dest="verb")
    for verb in REGISTRY.values():
        _add_verb(verbs.add_parser(verb.name, help=_plain(verb.summary), allow_abbrev=False), verb)


def _add_verb(parser: argparse.ArgumentParser, verb: Verb) -> None:
    parser.description = _plain(verb.summary)
    parser.epilog = _plain(f"In a comment: {verb.usage}")
    words: Any = parser.add_argument("words", nargs="*", metavar="WORD", help="as in the comment, in its order")
    words.completer = partial(_words, verb)
    for flag in verb.flags:
        options: dict[str, Any] = {"dest": f"{_FLAG}{flag.name}", "help": _plain(flag.summary)}
        if flag.value:
            added: Any = parser.add_argument(f"--{flag.name}", metavar=flag.value, **options)
            added.completer = partial(_values, flag.name)
        else:
            parser.add_argument(f"--{flag.name}", action="store_true", **options)


def _plain(text: str) -> str:
    """Take Markdown's code marks off; argparse has percent signs of its own."""
    return text.replace("`", "").replace("%", "%%")


def _words(verb: Verb, *, parsed_args: argparse.Namespace, **_: object) -> tuple[str, ...]:
    environments, services = declared(CONFIG)
    return next_words(verb, getattr(parsed_args, "words", None) or (), environments=environments, services=services)


def _values(flag: str, **_: object) -> tuple[str, ...]:
    return values_of(flag)


def declared(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the environments and services that a configuration names; none where it cannot be read."""
    import yaml  # noqa: PLC0415 - only for completing

    with suppress(OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError):
        data = yaml.safe_load(path.read_text("utf-8"))
        targets = (data.get("targets") or {}).values()
        services = [name for target in targets for name in target.get("services") or ()]
        return tuple(map(str, data.get("environments") or ())), tuple(map(str, dict.fromkeys(services)))
    return (), ()


def script(shell: str) -> str:
    """Return the script that has a shell complete ``slipway``.

    Raises:
        SettingsError: the library for it is not installed.
    """
    try:
        import argcomplete.shell_integration  # noqa: PLC0415 - not in the action
    except ModuleNotFoundError:
        raise SettingsError(
            "The library argcomplete is not installed here.", hint="Install it beside slipway: pip install argcomplete"
        ) from None
    return str(argcomplete.shell_integration.shellcode(["slipway"], shell=shell))


# -- saying it ----------------------------------------------------------------------------------------------
def say(arguments: argparse.Namespace, more: Iterable[str] = ()) -> str:
    """Say a command on a pull request; returns what was said and the comment's address, on a line each.

    ``more``: words that came after flags.

    Raises:
        SlipwayError: the bot could not carry it out as it stands, or it could not be said.
    """
    flags = {name.removeprefix(_FLAG): value for name, value in vars(arguments).items() if name.startswith(_FLAG)}
    said = line(arguments.verb, (*arguments.words, *more), flags)
    read = read_back(said)
    if isinstance(read, Misread):
        raise SlipwayError(
            f"{read.sentence} Nothing was said.".replace("`", ""), hint=f"As in {read.suggestion}".strip()
        )
    place = where(arguments.repository, os.environ)
    number, comment = _post(place, arguments.pull, said)
    return f"{said}\n{place.server}/{place.repository}/issues/{number}#issuecomment-{comment}"


def where(repository: str, environ: Mapping[str, str], run: Callable[..., str] | None = None) -> Place:
    """Return the repository that is meant: the one named, ``GH_REPO``'s, else origin's.

    Raises:
        SettingsError: none can be told.
    """
    named = repository or environ.get("GH_REPO", "")
    if named:
        *host, owner, name = ("", "", *named.split("/"))[-3:] if named.count("/") in {1, 2} else ("", "", "")
        if not owner or not name:
            raise SettingsError(f"{named} is no repository.", hint="Write it as owner/name.")
        return Place(host=host[0] or environ.get("GH_HOST", "") or _GITHUB, repository=f"{owner}/{name}")
    url = (run or _run)("git", "remote", "get-url", "origin")
    place = remote_place(url)
    if place is None:
        raise SettingsError(
            "Which repository? There is no git remote `origin` here that names one.",
            hint="Name it: --repository OWNER/NAME",
        )
    return place


def _post(place: Place, number: int, said: str) -> tuple[int, int]:
    """Comment; returns the thread's number and the comment's id. After a lost reply it is looked for, not repeated."""
    from bot.github import api  # noqa: PLC0415 - heavy, and not wanted for completing

    token = token_for(place, os.environ)
    address = os.environ.get("GITHUB_API_URL", "") or place.api
    with api.connect(token=token, repository=place.repository, api_url=address) as github:
        if not number:
            number = _of_branch(github.pull_requests_from)
        return number, github.say(number, said, datetime.now(UTC)).id


def _of_branch(find: Callable[[str], tuple[int, ...]]) -> int:
    branch = _run("git", "branch", "--show-current")
    found = find(branch) if branch else ()
    if len(found) == 1:
        return found[0]
    if not branch:
        sentence = "Which pull request? No branch is checked out here."
    elif not found:
        sentence = f"There is no open pull request from the branch {branch}."
    else:
        sentence = f"There are {len(found)} open pull requests from the branch {branch}."
    raise SettingsError(sentence, hint="Say which one: --pull N")


def token_for(place: Place, environ: Mapping[str, str], run: Callable[..., str] | None = None) -> str:
    """Return the person's own token for a host: from the environment, else from GitHub's own command line.

    The host may be whatever a clone's remote says, so a token for GitHub goes to no other (cli.github.com,
    ``gh help environment``), unless the person has named the API, too.

    Raises:
        SettingsError: there is none.
    """
    if place.githubs_own or environ.get("GITHUB_API_URL", ""):
        names = ("GH_TOKEN", "GITHUB_TOKEN")
    else:
        names = ("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
    token = next((environ[name] for name in names if environ.get(name, "")), "")
    token = token or (run or _run)("gh", "auth", "token", "--hostname", place.host)
    if not token:
        raise SettingsError(
            f"There is no token for {place.host}.",
            hint=f"Log in by `gh auth login --hostname {place.host}`, or set {names[0]}.",
        )
    return token


def _run(*command: str) -> str:
    """Return what a program says, ``""`` where it is not there or fails. No shell, and nothing of anybody's is run."""
    program = shutil.which(command[0])
    if program is None:
        return ""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            [program, *command[1:]],
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
