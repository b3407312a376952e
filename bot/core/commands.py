"""What people may type: one registry, from which the parser, ``/help``, the docs and the dispatch inputs come.

Grammar (docs: reference/commands): ``/verb [environment] [service…] [@sha] [--flag[=value]]`` on a line of its own in a
comment, outside code, quotes and HTML comments, as CommonMark sees them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from bot.core.words import listed, nearest

MAX_COMMANDS = 5
EVERY = "all"  # in the place of an environment: each of them
MAX_BODY = 65_536  # GitHub's own limit on a comment; anything longer did not come from it


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A flag of a command. ``value`` names its value (``TEXT``), ``""`` for a switch. ``required``: always there."""

    name: str
    summary: str
    value: str = ""
    required: bool = False


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One command as people know it. ``role`` is the least repository role by default, ``mutates``: it changes things.

    ``exclusive``: not beside another command that changes the same environment. ``job`` is where it is carried out when
    the work is divided: ``command`` has no cloud rights and waits for nobody, ``release`` has them and waits its turn,
    ``ask`` has them, waits for nobody and changes nothing. ``takes`` says which words may follow: ``environment``,
    ``service``, ``sha``, ``verb``. ``actions``: one of these has to come first. ``names_environment``: the default
    environment will not do, somebody has to write which one.
    """

    name: str
    summary: str
    usage: str
    role: str
    mutates: bool
    exclusive: bool = True
    job: Literal["command", "release", "ask"] = "command"
    every: bool = False  # whether `all` may stand for each environment
    starter: bool = False  # whether who started what it is about may use it, too
    takes: frozenset[str] = frozenset()
    needs_environment: bool = False
    names_environment: bool = False
    actions: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    examples: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


_REASON = Flag(name="reason", value="TEXT", summary="Why, for the record.")
_DRY_RUN = Flag(name="dry-run", summary="Say what would be done, and do nothing.")
_OVERRIDE = Flag(
    name="override", value="GATES", summary="Skip these gates, with a reason, in an emergency. For admins."
)
_PLAN = Flag(name="plan", value="NAME", summary="Run the plan that a dry run has shown, or nothing at all.")

REGISTRY: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb(
            name="deploy",
            summary="Build, migrate, roll out and verify this pull request's head.",
            usage="/deploy <environment> [@sha] [--dry-run] [--plan=NAME] [--reason=TEXT] [--override=GATES]",
            role="write",
            mutates=True,
            job="release",
            takes=frozenset({"environment", "sha"}),
            needs_environment=True,
            flags=(_DRY_RUN, _PLAN, _REASON, _OVERRIDE),
            examples=("/deploy staging", "/deploy production @4f9a1c2", '/deploy staging --reason="demo at ten"'),
            notes=(
                "On a merged pull request it means the merge commit.",
                "A head that was pushed after the comment is refused; naming the sha settles which one is meant.",
                "If a step fails, what served before is restored.",
            ),
        ),
        Verb(
            name="promote",
            summary="Release to an environment what the one that it takes its image from serves.",
            usage="/promote <environment> [@sha] [--dry-run] [--plan=NAME] [--reason=TEXT] [--override=GATES]",
            role="write",
            mutates=True,
            job="release",
            takes=frozenset({"environment", "sha"}),
            needs_environment=True,
            flags=(_DRY_RUN, _PLAN, _REASON, _OVERRIDE),
            examples=("/promote production", "/promote production @4f9a1c2"),
            notes=(
                "Nothing is built: the image that was verified where `promote_from` points is taken, by its digest.",
                "It may be said on any issue or pull request: what that is about does not matter.",
                "What was verified there only after the comment is refused; naming the sha settles which one is meant.",
            ),
        ),
        Verb(
            name="rollback",
            summary="Bring back the release that served before the present one.",
            usage="/rollback <environment> [--to=RELEASE] [--dry-run] [--plan=NAME] [--reason=TEXT]",
            role="write",
            mutates=True,
            job="release",
            takes=frozenset({"environment"}),
            needs_environment=True,
            flags=(
                Flag(
                    name="to",
                    value="RELEASE",
                    summary="A recorded release: its deployment's number, its sha, or one of its revisions.",
                ),
                _DRY_RUN,
                _PLAN,
                _REASON,
            ),
            examples=(
                "/rollback staging",
                "/rollback staging --to=4f9a1c2",
                '/rollback production --reason="checkout is slow"',
            ),
            notes=(
                "It goes back to a recorded release that was verified while it served, never to a mere second newest.",
                "All services go back together, with their digests and the versions of their secrets.",
                "Checks of the sha are skipped, authorization never is. Migrations are not undone.",
                "Automatic releases are on hold afterwards, until somebody unlocks the environment.",
            ),
        ),
        Verb(
            name="retry",
            summary="Release once more what failed last: the same commit, through every gate again.",
            usage="/retry <environment>",
            role="write",
            mutates=True,
            job="release",
            takes=frozenset({"environment"}),
            needs_environment=True,
            examples=("/retry staging",),
            notes=(
                "An image that was built is used again.",
                "Once the branch has moved there is nothing to retry: deploy the new head.",
            ),
        ),
        Verb(
            name="cancel",
            summary="Stop the release that runs; what served before is brought back.",
            usage="/cancel <environment>",
            role="admin",
            mutates=True,
            exclusive=False,
            starter=True,
            takes=frozenset({"environment"}),
            needs_environment=True,
            examples=("/cancel staging",),
            notes=(
                "Whoever started the release may cancel it, and admins.",
                "The build or the job that runs is cancelled, too. Migrations that have run are not undone.",
                "Said again while it still runs, it ends the workflow run by force: then nothing is brought back.",
            ),
        ),
        Verb(
            name="approve",
            summary="Say that a commit may be released to an environment that wants a second person's word.",
            usage="/approve <environment> [@sha]",
            role="admin",
            mutates=True,
            exclusive=False,
            takes=frozenset({"environment", "sha"}),
            needs_environment=True,
            names_environment=True,
            examples=("/approve production", "/approve production @4f9a1c2"),
            notes=(
                "It holds for the very commit in that environment, an hour unless `gates.approval_time` differs.",
                "It takes back one's own `/reject`.",
                "Neither whoever asks for the release nor whoever opened the pull request counts.",
                "A head that was pushed after the comment is refused; naming the sha settles which one is meant.",
                "A rollback needs no approval.",
            ),
        ),
        Verb(
            name="reject",
            summary="Say that a commit may not be released to an environment; it takes back one's own approval.",
            usage="/reject <environment> [@sha]",
            role="admin",
            mutates=True,
            exclusive=False,
            takes=frozenset({"environment", "sha"}),
            needs_environment=True,
            names_environment=True,
            examples=("/reject production", "/reject production @4f9a1c2"),
            notes=(
                "It stands until whoever said it says `/approve`, thirty days at most. Another commit is not meant.",
            ),
        ),
        Verb(
            name="lock",
            summary="Keep an environment for this pull request: no other may be released to it meanwhile.",
            usage="/lock <environment>|all --reason=TEXT [--for=TIME]",
            role="write",
            mutates=True,
            exclusive=False,
            every=True,
            takes=frozenset({"environment"}),
            needs_environment=True,
            flags=(
                replace(_REASON, summary="Why. The others will want to know.", required=True),
                Flag(name="for", value="TIME", summary="For how long: `30m`, `4h`, `2d`. Default: four hours."),
            ),
            examples=('/lock staging --reason="demo at ten"', '/lock staging --for=2h --reason="load test"'),
            notes=(
                "It is over when its time is, when the pull request is merged or closed, or by `/unlock`.",
                "On an issue it is yours instead of a pull request's.",
                "A rollback is never kept out.",
            ),
        ),
        Verb(
            name="unlock",
            summary="Give an environment free: its lock goes, and pushes release it again.",
            usage="/unlock <environment>|all [--force]",
            role="write",
            mutates=True,
            exclusive=False,
            every=True,
            takes=frozenset({"environment"}),
            needs_environment=True,
            flags=(Flag(name="force", summary="Take away somebody else's lock. For admins."),),
            examples=("/unlock staging", "/unlock all"),
            notes=(
                "A rollback leaves a hold behind: people may release all the same, pushes may not. This lifts it.",
                "A lock is lifted by whoever set it, or on the pull request that it is for.",
            ),
        ),
        Verb(
            name="freeze",
            summary="Let nothing be released to an environment; rollbacks are still possible.",
            usage="/freeze <environment>|all --reason=TEXT [--for=TIME]",
            role="admin",
            mutates=True,
            exclusive=False,
            every=True,
            takes=frozenset({"environment"}),
            needs_environment=True,
            flags=(
                replace(_REASON, summary="Why. The others will want to know.", required=True),
                Flag(name="for", value="TIME", summary="For how long: `4h`, `2d`. Default: until `/unfreeze`."),
            ),
            examples=(
                '/freeze production --reason="the database moves"',
                "/freeze all --for=2d --reason=holidays",
            ),
            notes=("A release that runs already goes on; `/cancel` stops it.",),
        ),
        Verb(
            name="unfreeze",
            summary="Let an environment be released to again.",
            usage="/unfreeze <environment>|all",
            role="admin",
            mutates=True,
            exclusive=False,
            every=True,
            takes=frozenset({"environment"}),
            needs_environment=True,
            examples=("/unfreeze production", "/unfreeze all"),
        ),
        Verb(
            name="preview",
            summary="Run this pull request's head beside what serves, at an address of its own and without traffic.",
            usage="/preview create|destroy|extend [environment] [@sha] [--ttl=TIME]",
            role="write",
            mutates=True,
            job="release",
            takes=frozenset({"environment", "sha"}),
            actions=("create", "destroy", "extend"),
            flags=(Flag(name="ttl", value="TIME", summary="How long it lives from now, seven days at most."),),
            examples=("/preview create", "/preview extend --ttl=3d", "/preview destroy staging"),
            notes=(
                "There are previews where an environment says `previews` in the configuration.",
                "It runs on the environment's own settings, secrets and data, but for what `previews` says.",
                "No jobs are run, so it must get along with the data as they are.",
                "It goes when the pull request is closed, when its time is over, or when you say so.",
                "A pull request from a fork never has one.",
            ),
        ),
        Verb(
            name="status",
            summary="Show what serves in each environment, since when, and who holds it.",
            usage="/status [environment]",
            role="read",
            mutates=False,
            takes=frozenset({"environment"}),
            examples=("/status", "/status staging"),
            notes=("Whoever may do no more than read is told what is recorded: the target is not asked for him.",),
        ),
        Verb(
            name="history",
            summary="Show the newest releases of an environment: how they went and how long they took.",
            usage="/history <environment> [--limit=N]",
            role="read",
            mutates=False,
            takes=frozenset({"environment"}),
            needs_environment=True,
            flags=(Flag(name="limit", value="N", summary="How many, 30 at most. Default: ten."),),
            examples=("/history staging", "/history production --limit=30"),
        ),
        Verb(
            name="diff",
            summary="Show the commits and migrations that a release of this pull request would bring.",
            usage="/diff <environment> [@sha]",
            role="read",
            mutates=False,
            takes=frozenset({"environment", "sha"}),
            needs_environment=True,
            examples=("/diff production", "/diff production @4f9a1c2"),
            notes=("It goes by the record. What would change in the services is shown by `--dry-run`.",),
        ),
        Verb(
            name="changelog",
            summary="Show what the release that serves has brought.",
            usage="/changelog <environment>",
            role="read",
            mutates=False,
            takes=frozenset({"environment"}),
            needs_environment=True,
            examples=("/changelog production",),
        ),
        Verb(
            name="verify",
            summary="Run the checks of what serves now, as after a release, and change nothing.",
            usage="/verify <environment>",
            role="write",
            mutates=False,
            job="ask",
            takes=frozenset({"environment"}),
            needs_environment=True,
            examples=("/verify staging",),
            notes=(
                "What should serve is what the newest release that went well has left.",
                "Checks that run a job are left out: a job may change something.",
                "It takes no lock. While a release is under way, it may see two revisions at once.",
            ),
        ),
        Verb(
            name="logs",
            summary="Show the newest lines that what serves has logged.",
            usage="/logs <environment> [service] [--since=TIME] [--severity=LEVEL]",
            role="write",
            mutates=False,
            job="ask",
            takes=frozenset({"environment", "service"}),
            needs_environment=True,
            flags=(
                Flag(name="since", value="TIME", summary="How far back: `15m`, `2h`, a day at most. Default: `15m`."),
                Flag(
                    name="severity", value="LEVEL", summary="The least severity: `info`, `error`, … Default: `error`."
                ),
            ),
            examples=("/logs staging", "/logs production web --since=1h --severity=warning"),
            notes=(
                "In a public repository only the link to the console is shown, never a line.",
                "What has the shape of a credential is masked. What else an application logs is shown as it is.",
                "Heroku's lines have no severity: all of them are shown.",
            ),
        ),
        Verb(
            name="doctor",
            summary="Check what a release needs: configuration, variables, tokens, logins and rights in the clouds.",
            usage="/doctor",
            role="write",
            mutates=False,
            job="ask",
            examples=("/doctor",),
            notes=("Whether a token may write cannot be asked; whether an account may change a service can.",),
        ),
        Verb(
            name="whoami",
            summary="Show your role here, and what you may do in each environment.",
            usage="/whoami",
            role="read",
            mutates=False,
            examples=("/whoami",),
        ),
        Verb(
            name="help",
            summary="Show the commands that you may run here.",
            usage="/help [verb]",
            role="read",
            mutates=False,
            takes=frozenset({"verb"}),
            examples=("/help", "/help deploy"),
        ),
    )
}

# Words that other bots and later versions use: never answered with a hint, so that two bots do not talk to each other.
RESERVED = frozenset(
    {"scale", "run", "maintenance", "backup", "release", "config"}
    # Prow's, PR-Agent's and others', each a letter or two off one of ours.
    | {"retest", "recheck", "rerun", "rebase", "refresh", "review", "test", "check", "merge", "hold", "close"}
    | {"project", "improve"}
)


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command as it was typed. ``line`` is its line in the comment, from 1; ``sha`` is 7 to 40 hex digits."""

    verb: str
    action: str = ""  # of a verb that has several
    environment: str = ""
    services: tuple[str, ...] = ()
    sha: str = ""
    topic: str = ""  # the verb after ``help``
    flags: Mapping[str, str] = field(default_factory=dict)
    line: int = 1
    text: str = ""

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be changed."""
        return "dry-run" in self.flags


@dataclass(frozen=True, kw_only=True)
class Misread:
    """A line that was meant for us but cannot be carried out. ``unknown``: not one of our verbs."""

    text: str
    sentence: str
    suggestion: str = ""
    unknown: bool = False
    line: int = 1


def spelled(command: Command, *, environment: str = "", sha: str | None = None) -> str:
    """Return a command as somebody would type it, for another environment or sha (``""``: without one).

    The reason is left out: whoever says it again has one of his own. So is what was overridden: nobody is led to that.
    """
    sha = command.sha if sha is None else sha
    words = [f"/{command.verb}", command.action, environment or command.environment, *command.services]
    words += [f"@{sha}"] if sha else []
    flags = [
        f"--{name}={shlex.quote(value)}" if value else f"--{name}"
        for name, value in command.flags.items()
        if name not in {_REASON.name, _OVERRIDE.name}
    ]
    return " ".join([word for word in words if word] + flags)


def parse_comment(body: str) -> tuple[Command | Misread, ...]:
    """Return what a comment asks for, in order; empty when it asks for nothing. Never raises."""
    found = []
    for line, text in _lines(body[:MAX_BODY]):
        parsed = parse_line(text, line=line)
        if parsed is not None:
            found.append(parsed)
    return tuple(found)


def parse_line(text: str, *, line: int = 1) -> Command | Misread | None:
    """Read one line that begins with ``/``; None when it is no command of ours (paths are common in prose)."""
    text = text.strip()
    match = re.match(r"/([A-Za-z]+)(?=\s|@|$)", text)
    if match is None:
        return None
    name, rest = match[1].lower(), _heal(text[match.end() :])
    text = match[0] + rest
    if name not in REGISTRY:
        guess = None if name in RESERVED else nearest(name, REGISTRY, distance=2 if len(name) > 4 else 1)
        if guess is None:
            return None
        return Misread(
            text=text,
            sentence=f"There is no command `{name}`.",
            suggestion=f"/{guess}{rest}",
            unknown=True,
            line=line,
        )
    try:
        words = shlex.split(rest)
    except ValueError as error:
        return Misread(text=text, sentence=f"The quotes are not closed: {error}.", line=line)
    return _bind(REGISTRY[name], words, text, line)


def _bind(verb: Verb, words: list[str], text: str, line: int) -> Command | Misread:
    flags: dict[str, str] = {}
    places: dict[str, str] = {}
    for word in words:
        problem = _flag(verb, word, flags) if word.startswith("--") else _place(verb, word, places)
        if problem:
            return Misread(text=text, sentence=problem, suggestion=verb.usage, line=line)
    if verb.actions and "action" not in places:
        sentence = f"`{verb.name}` wants one of {listed(verb.actions)}."
        return Misread(text=text, sentence=sentence, suggestion=verb.usage, line=line)
    for flag in verb.flags:
        if flag.required and flag.name not in flags:
            sentence = f"`{verb.name}` wants `--{flag.name}={flag.value}`."
            return Misread(text=text, sentence=sentence, suggestion=verb.usage, line=line)
    return Command(
        verb=verb.name,
        action=places.get("action", ""),
        environment=places.get("environment", ""),
        services=(places["service"],) if "service" in places else (),
        sha=places.get("sha", ""),
        topic=places.get("verb", ""),
        flags=flags,
        line=line,
        text=text,
    )


def _flag(verb: Verb, word: str, flags: dict[str, str]) -> str:
    name, equals, value = word[2:].partition("=")
    known = {flag.name: flag for flag in verb.flags}
    flag = known.get(name.lower())
    if flag is None:
        guess = nearest(name.lower(), known, distance=2)
        hint = f" Did you mean `--{guess}`?" if guess else ""
        return f"`{verb.name}` has no flag `--{name}`.{hint}"
    if flag.value and not value:
        return f"`--{flag.name}` wants a value: `--{flag.name}={flag.value}`."
    if equals and not flag.value:
        return f"`--{flag.name}` takes no value."
    flags[flag.name] = value
    return ""


def _place(verb: Verb, word: str, places: dict[str, str]) -> str:
    if verb.actions and "action" not in places:
        if word.lower() not in verb.actions:
            return f"`{verb.name}` wants one of {listed(verb.actions)} first, not `{word}`."
        places["action"] = word.lower()
        return ""
    if word.startswith("@") and "sha" in verb.takes:
        if not re.fullmatch(r"@[0-9a-fA-F]{7,40}", word):
            return f"`{word}` is not a sha: write 7 to 40 hex digits after the `@`."
        places["sha"] = word[1:].lower()
        return ""
    for kind in ("environment", "service", "verb"):
        if kind in verb.takes and kind not in places:
            places[kind] = word.lstrip("/").lower() if kind == "verb" else word
            return ""
    return f"`{verb.name}` does not know what to do with `{word}`."


_QUOTES = str.maketrans(
    {"\u201c": '"', "\u201d": '"', "\u201e": '"', "\u2018": "'", "\u2019": "'"}
    | dict.fromkeys(map(chr, (0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF)), ""),
)


def _heal(text: str) -> str:
    """Undo what phones and copying do to commands: curly quotes, dashes for ``--``, odd and invisible spaces."""
    text = re.sub(r"\s", " ", text.translate(_QUOTES))
    return re.sub(r"(?<=\s)[\u2013\u2014](?=\w)", "--", text)


def _lines(body: str) -> Iterable[tuple[int, str]]:
    """Yield ``(line number, text)`` of each line that is a command.

    A comment of one line that begins with a slash is a plain paragraph to CommonMark whatever follows. It is by far the
    commonest command, so it is not made to wait for the Markdown library.
    """
    body = body.replace("\r\n", "\n").replace("\r", "\n")
    text = body.strip()  # and no pattern: on a long run of spaces that would take seconds
    before = body[: len(body) - len(body.lstrip())]
    if text.startswith("/") and "\n" not in text and before.rpartition("\n")[2] in ("", " ", "  ", "   "):
        return [(before.count("\n") + 1, text)]
    from bot.core.comment_lines import command_lines  # noqa: PLC0415 - see above

    return command_lines(body)
