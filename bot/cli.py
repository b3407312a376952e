"""The command line: wires the adapters, and turns an outcome into outputs, summary, annotations and an exit code.

Heavy libraries are imported in the functions that need them: an ignored comment or ``config check`` pays for none.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.errors import ConfigError, SettingsError, SlipwayError
from bot.settings import Settings, signing_keys

if TYPE_CHECKING:
    from bot.app import Context
    from bot.core.events import Event
    from bot.core.notices import Notice
    from bot.core.outcome import Outcome
    from bot.core.redaction import Masker
    from bot.core.spec import Spec
    from bot.core.target import Target
    from bot.engine.clock import RealClock
    from bot.engine.gathering import Gatherer
    from bot.github.api import Api
    from bot.github.runner import Commands

EXIT_FAILED = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code. Never raises for a fault: this is the only catch-all."""
    argv = sys.argv[1:] if argv is None else argv
    completing = "_ARGCOMPLETE" in os.environ
    parser = _parser(speaking=completing or argv[:1] == ["say"])
    if completing:
        _complete(parser)
    arguments, rest = parser.parse_known_args(argv)
    words = [] if arguments.run is not _say else [word for word in rest if not word.startswith("-")]
    if arguments.run is not _demo and len(words) < len(rest):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest  # the sandbox has a command line of its own
    try:
        code: int = arguments.run(arguments)
    except KeyboardInterrupt:
        return 130
    except SlipwayError as error:
        lines = [f"slipway: {error.message}", *getattr(error, "problems", ()), error.hint]
        print(*filter(None, lines), sep="\n  ", file=sys.stderr)
        return EXIT_FAILED
    return code


def _parser(*, speaking: bool = False) -> argparse.ArgumentParser:
    """Return the parser. ``speaking``: with the commands of ``say``, which the action does not pay for."""
    parser = argparse.ArgumentParser(prog="slipway", description="Releases an application from its pull requests.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    act = commands.add_parser("act", help="handle the event that the workflow runs for (inside GitHub Actions)")
    act.set_defaults(run=_act)
    demo = commands.add_parser("demo", help="run a release on this machine, without any account", add_help=False)
    demo.set_defaults(run=_demo)
    config = commands.add_parser("config", help="check a configuration, or print its JSON Schema")
    actions = config.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("check", help="explain a configuration file, or what is wrong with it")
    check.add_argument("file", nargs="?", type=Path, default=Path(".github/slipway.yml"))
    check.set_defaults(run=_config_check)
    schema = actions.add_parser("schema", help="print the JSON Schema of the configuration")
    schema.set_defaults(run=_config_schema)
    say = commands.add_parser("say", help="say a command on a pull request, as a comment of your own")
    say.set_defaults(run=_say)
    if speaking:
        from bot.terminal import add_verbs

        add_verbs(say)
    completion = commands.add_parser("completion", help="print what lets a shell complete these commands")
    completion.add_argument("shell", choices=("bash", "zsh", "fish", "powershell"))
    completion.set_defaults(run=_completion)
    comment = commands.add_parser("comment", help="read what the bot has signed in a comment")
    uses = comment.add_subparsers(required=True, metavar="ACTION")
    verify = uses.add_parser("verify", help="print a comment's signed block as JSON, if its signature is right")
    verify.add_argument("file", nargs="?", default="-", help="file with the comment's body; - reads standard input")
    verify.add_argument("--repository", required=True, metavar="OWNER/NAME", help="where the comment stands")
    verify.add_argument("--pull", type=int, default=0, metavar="N", help="number of its pull request or issue")
    verify.add_argument(
        "--key-env",
        default="SLIPWAY_SIGNING_KEY",
        metavar="NAME",
        help="environment variable that holds the key, or several on a line each (%(default)s)",
    )
    verify.set_defaults(run=_comment_verify)
    return parser


# -- act ----------------------------------------------------------------------------------------------------
def _act(_: argparse.Namespace) -> int:
    """Handle the event. Whatever happens, the outputs are written and somebody is told."""
    from bot.github.runner import Commands

    runner = Commands(sys.stdout)
    try:
        settings = Settings.from_environ(os.environ)
        for secret in settings.secrets:
            runner.mask(secret)
        event = settings.event()
    except SlipwayError as error:
        return _report(runner, os.environ, _failed(error))
    if event is None:
        return _report(runner, os.environ, _unsupported())
    return _handle(runner, settings, event)


def _handle(runner: Commands, settings: Settings, event: Event) -> int:
    """Handle the event, and report whatever became of it."""
    from bot.core.redaction import Masker
    from bot.engine.gathering import Gatherer
    from bot.github.runner import inert

    gatherer, masker = Gatherer(), Masker(settings.secrets)
    logging.getLogger().addHandler(logging.NullHandler())  # no library writes past the masker
    gc.disable()  # what is imported now stays: looking it through again and again costs a fifth of the start
    summary: list[str] = []
    try:
        outcome = _outcome(settings, event, gatherer, masker, summary)
    except SlipwayError as error:
        outcome = _failed(error)
    except Exception as error:  # noqa: BLE001 - the one catch-all: a bug must not end in silence
        print(inert(masker.mask(traceback.format_exc())), file=sys.stderr)
        outcome = _mistaken(error)
    finally:
        gatherer.close()
    return _report(runner, os.environ, replace(outcome, message=masker.mask(outcome.message)), summary)


def _outcome(settings: Settings, event: Event, gatherer: Gatherer, masker: Masker, summary: list[str]) -> Outcome:
    """Ask GitHub what any answer will need, import the rest while it answers, and handle the event."""
    from bot.engine.clock import RealClock
    from bot.engine.early import ask_early
    from bot.github import api
    from bot.github.retry import Policy, Waiting

    clock = RealClock()
    _listen(clock)
    github = api.connect(
        token=settings.token,
        repository=settings.repository,
        api_url=settings.api_url,
        graphql_url=settings.graphql_url,
        waiting=Waiting(stop=clock.stopped, policy=Policy(total=2 * settings.call_timeout)),
        timeout=settings.call_timeout,
    )
    ask_early(gatherer, github, event, config_path=settings.config_path)

    from bot.app import handle

    context = _context(settings, event, clock, gatherer, github, masker)
    context.summary = summary
    return handle(event, context)


def _context(
    settings: Settings, event: Event, clock: RealClock, gatherer: Gatherer, github: Api, masker: Masker
) -> Context:
    """Wire the ports."""
    from bot import targets
    from bot.app import Context
    from bot.core.spec import CloudRunSpec
    from bot.engine.probe import HttpProber
    from bot.github import api, oidc
    from bot.github.others import Others
    from bot.github.retry import Waiting

    def identity(audience: str) -> str:
        # Not told to the masker: it knows a JSON Web Token by its shape, and learning one of this length costs 0.2 s.
        return oidc.token(
            audience,
            request_url=settings.oidc_url,
            request_token=settings.oidc_token,
            timeout=settings.call_timeout,
        )

    def log(event: str, **values: object) -> None:
        gatherer.once(_logging, settings.log_level, masker, settings.repository, settings.run.id).result().info(
            event, **values
        )

    def notify(notice: Notice) -> tuple[str, ...]:
        from bot.notify import Notifier

        return Notifier(
            slack_url=settings.slack_url,
            webhook_url=settings.webhook_url,
            webhook_secret=settings.webhook_secret,
            timeout=settings.call_timeout,
            now=clock.now,
        ).send(notice)

    def other(repository: str) -> Api:
        return api.connect(
            token=settings.sources_token or settings.token,
            repository=repository,
            api_url=settings.api_url,
            graphql_url=settings.graphql_url,
            waiting=Waiting(stop=clock.stopped),
            timeout=settings.call_timeout,
        )

    tokens, others, logins = oidc.Kept(identity), Others(other), targets.Logins()

    def connect(spec: Spec) -> Target:
        auth = spec.auth if isinstance(spec, CloudRunSpec) else None
        if auth is not None and settings.oidc_url:
            gatherer.ask(tokens, auth.audience)  # while the libraries are imported
        target = targets.connect(
            spec,
            source=github.tarball,
            others=others.source,
            environ=os.environ,
            oidc=tokens if settings.oidc_url else None,
            logins=logins,
            sleep=clock.pause,
            timeout=settings.call_timeout,
        )
        gc.freeze()
        gc.enable()
        return target

    def prepare(target: Target) -> None:
        gatherer.once(_logging, settings.log_level, masker, settings.repository, settings.run.id)
        targets.prepare(target)

    return Context(
        settings=settings,
        github=github,
        final=github.uninterrupted(),
        sources=others,
        connect=connect,
        prepare=prepare,
        probe=HttpProber(connect=min(5.0, settings.call_timeout)),
        clock=clock,
        default_branch=event.default_branch,
        masker=masker,
        notify=notify,
        log=log,
        gatherer=gatherer,
    )


def _logging(level: str, masker: Masker, repository: str, run: int) -> Any:
    """Set up the log and return a logger. Asked for beside other waiting: its library takes time to import."""
    import structlog

    from bot.log import configure

    configure(level=level, masker=masker).bind(repository=repository, run=run)
    return structlog.get_logger()


def _listen(clock: RealClock) -> None:
    """Take a cancelled workflow's SIGINT and SIGTERM as the wish to stop: what served before is brought back."""

    def stop(_number: int, _frame: object) -> None:
        clock.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _unsupported() -> Outcome:
    from bot.core.outcome import Decision, Outcome, Reason

    return Outcome(decision=Decision.IGNORED, reason=Reason.EVENT_NOT_SUPPORTED)


def _mistaken(error: Exception) -> Outcome:
    from bot.core.outcome import Decision, Outcome, Reason

    return Outcome(
        decision=Decision.FAILED,
        reason=Reason.INTERNAL_ERROR,
        exit_code=EXIT_FAILED,
        message=f"{type(error).__name__} in the bot itself; the log has the place.",
    )


def _failed(error: SlipwayError) -> Outcome:
    from bot.core.outcome import Decision, Outcome, Reason

    reason = Reason(error.reason)
    decision = Decision.CANCELLED if reason is Reason.CANCELLED else Decision.FAILED
    lines = [error.message, *(error.problems if isinstance(error, ConfigError) else ()), error.hint]
    return Outcome(
        decision=decision, reason=reason, exit_code=EXIT_FAILED, message="\n".join(line for line in lines if line)
    )


def _report(runner: Commands, environ: Mapping[str, str], outcome: Outcome, summary: Sequence[str] = ()) -> int:
    """Write outputs, summary and annotation; return the exit code."""
    from bot.github.runner import append_summary, write_outputs
    from bot.report.markdown import prose
    from bot.report.summary import outputs

    shown = list(summary) or [prose(line) for line in outcome.message.splitlines() if line.strip()]
    unwritten = None
    try:
        if environ.get("GITHUB_OUTPUT"):
            write_outputs(Path(environ["GITHUB_OUTPUT"]), outputs(outcome))
        if environ.get("GITHUB_STEP_SUMMARY") and shown:
            append_summary(Path(environ["GITHUB_STEP_SUMMARY"]), "\n\n".join(shown))
    except SettingsError as error:  # the annotation is what is left to say anything with
        unwritten = error
        runner.error(error.message, title="Slipway: settings_invalid")
    if outcome.exit_code:
        runner.error(outcome.message or outcome.reason.value, title=f"Slipway: {outcome.reason.value}")
    else:
        runner.notice(outcome.message or outcome.reason.value, title=f"Slipway: {outcome.decision.value}")
    return EXIT_FAILED if unwritten else outcome.exit_code


# -- on a person's own machine ------------------------------------------------------------------------------
def _demo(arguments: argparse.Namespace) -> int:
    """Start the sandbox as a process of its own: it shares no code with the bot."""
    command = [sys.executable, "-I", "-m", "bot.sandbox", *arguments.rest]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own module, no shell


def _config_check(arguments: argparse.Namespace) -> int:
    """Explain a configuration file."""
    from bot.core.config_file import load
    from bot.core.resolve import not_yet, roles, target_of

    path: Path = arguments.file
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text.") from None
    config = load(text, file=str(path))
    print(f"{path} is valid.\n\napp {config.app}")
    for name, environment in config.environments.items():
        target = target_of(config, name)
        print(f"\n{name}: {target.type}" + (", released on push" if environment.on == "push" else ""))
        for verb, rules in roles(config, name).items():
            print(f"  /{verb}: {', '.join(rules)}")
        later = not_yet(config, name)
        if later:
            print("  not acted on yet, so a release is refused:", *later, sep="\n    ")
    return 0


def _config_schema(_: argparse.Namespace) -> int:
    """Print the JSON Schema, as it is committed under docs/."""
    from bot.core.config import Config

    schema = Config.model_json_schema(by_alias=True)
    print(json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2))
    return 0


def _say(arguments: argparse.Namespace) -> int:
    """Say a command on a pull request."""
    from bot.terminal import say

    print(say(arguments, arguments.rest))
    return 0


def _completion(arguments: argparse.Namespace) -> int:
    """Print a shell's script."""
    from bot.terminal import script

    print(script(arguments.shell))
    return 0


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks what could come next, and leave. Without the library nothing is offered."""
    with suppress(ModuleNotFoundError):
        import argcomplete

        argcomplete.autocomplete(parser)


def _comment_verify(arguments: argparse.Namespace) -> int:
    """Print what a comment's signed block says, or say why it is not to be believed."""
    from bot.report.block import Untrusted, verified

    keys = signing_keys(os.environ, arguments.key_env)
    if not keys:
        raise SettingsError(
            f"{arguments.key_env} holds no key to verify with.",
            hint="Set it to the key that the action is given as `signing-key`, or name another with --key-env.",
        )
    found = verified(_body_of(arguments.file), keys, repository=arguments.repository, pull_request=arguments.pull)
    if isinstance(found, Untrusted):
        raise SlipwayError(found.sentence, hint=found.next)
    print(json.dumps(found))
    return 0


def _body_of(file: str) -> str:
    """Read a comment's body from a file, or from standard input.

    Raises:
        SlipwayError: it cannot be read, or is no text.
    """
    name = "Standard input" if file == "-" else file
    try:
        return (sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()).decode()
    except OSError as error:
        raise SlipwayError(f"{name} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SlipwayError(f"{name} is not UTF-8 text.") from None
