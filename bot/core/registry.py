"""The commands: one registry, from which the parser, ``/help``, the docs and the dispatch inputs come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

EVERY = "all"  # in the place of an environment: each of them
# google.logging.type, LogSeverity, the least first.
SEVERITIES = ("default", "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


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
    ``service``, ``services`` (any number of them), ``sha``, ``verb``. ``actions``: one of these has to come first.
    ``names_environment``: the default environment will not do, somebody has to write which one.
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

    @property
    def about_head(self) -> bool:
        """Whether it may be about a pull request's head; what is promoted is not that of the thread."""
        return (self.mutates or "sha" in self.takes or self.name == "status") and self.name != "promote"


_REASON = Flag(name="reason", value="TEXT", summary="Why, for the record.")
_DRY_RUN = Flag(name="dry-run", summary="Say what would be done, and do nothing.")
_OVERRIDE = Flag(
    name="override", value="GATES", summary="Skip these gates, with a reason, in an emergency. For admins."
)
_WAIT = Flag(name="wait", summary="Wait for required checks that still run, instead of being refused.")
_PLAN = Flag(name="plan", value="NAME", summary="Run the plan that a dry run has shown, or nothing at all.")

REGISTRY: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb(
            name="deploy",
            summary="Build, migrate, roll out and verify this pull request's head.",
            usage="/deploy <environment> [service…] [@sha] [--wait] [--dry-run] [--plan=NAME] [--reason=TEXT] "
            "[--override=GATES]",
            role="write",
            mutates=True,
            job="release",
            takes=frozenset({"environment", "services", "sha"}),
            needs_environment=True,
            flags=(_WAIT, _DRY_RUN, _PLAN, _REASON, _OVERRIDE),
            examples=(
                "/deploy staging",
                "/deploy production @4f9a1c2",
                "/deploy staging worker",
                '/deploy staging --reason="demo at ten"',
            ),
            notes=(
                "Only the services that are named are released: the image is built and the jobs run, the others stay.",
                "On a merged pull request it means the merge commit.",
                "A head that was pushed after the comment is refused; naming the sha settles which one is meant.",
                "If a step fails, what served before is restored.",
            ),
        ),
        Verb(
            name="promote",
            summary="Release to an environment what the one that it takes its image from serves.",
            usage="/promote <environment> [@sha] [--wait] [--dry-run] [--plan=NAME] [--reason=TEXT] [--override=GATES]",
            role="write",
            mutates=True,
            job="release",
            takes=frozenset({"environment", "sha"}),
            needs_environment=True,
            flags=(_WAIT, _DRY_RUN, _PLAN, _REASON, _OVERRIDE),
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
            summary="Stop the release that runs, or take one out of the line; what served before is brought back.",
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
                "While a release of this pull request waits in line, that one is meant, and what runs goes on.",
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
            summary="Show what serves in each environment, who holds it, and what this pull request still lacks.",
            usage="/status [environment]",
            role="read",
            mutates=False,
            takes=frozenset({"environment"}),
            examples=("/status", "/status staging"),
            notes=(
                "On a pull request every gate is asked for each environment, as if its release were asked for now.",
                "Whoever may do no more than read is told what is recorded: the target is not asked for him.",
            ),
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
            summary="Show the commits, pull requests and migrations that a release of this pull request would bring.",
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
            summary="Show what the newest release that went well has brought.",
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
