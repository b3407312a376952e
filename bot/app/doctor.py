"""``/doctor``: whether everything is there that a release needs, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Callable

from bot.app.asking import answered, elsewhere, environment_of, go_on
from bot.app.context import Context, Request
from bot.core.config import Config
from bot.core.outcome import Outcome, Reason
from bot.core.questions import Finding
from bot.core.resolve import Environment, not_yet
from bot.core.spec import CloudRunSpec
from bot.errors import ConfigError, SlipwayError
from bot.report.questions import Examination, doctor_comment

_GRANT = "Give the job `permissions: {}: read`."


def doctor(context: Context, config: Config, request: Request) -> Outcome:
    """Look at everything that a release needs, at once. One that is amiss keeps nothing else from being looked at."""
    if elsewhere(context):
        return go_on(request)
    github = context.gatherer.ask(_github, context, config)
    asked = [(name, context.gatherer.ask(_environment, context, config, name)) for name in config.environments]
    report = Examination(parts=(("GitHub", github.result()), *((name, future.result()) for name, future in asked)))
    context.say(request, doctor_comment(report, marker=context.marker(request)))
    return answered(context, request, Reason.EXAMINED if report.well else Reason.TROUBLE_FOUND, well=report.well)


# -- GitHub ---------------------------------------------------------------------------------------------------
def _github(context: Context, config: Config) -> tuple[Finding, ...]:
    """Read once with each permission of the job's token. Whether it may write cannot be asked without writing."""
    github, run, branch = context.github, context.settings.run, context.default_branch
    path, first = context.settings.config_path, next(iter(config.environments))
    reads: tuple[tuple[str, Callable[[], object]], ...] = (
        ("contents", lambda: github.held(tuple(config.environments))),
        ("deployments", lambda: github.deployments(first, 1)),
        ("actions", lambda: github.run_alive(run.id, run.attempt)),
        ("pull-requests", lambda: github.pull_requests_of(github.commit(branch).sha)),
        ("checks`, `statuses", lambda: github.checks(github.commit(branch).sha)),
    )
    valid = Finding(what="the configuration", well=True, found=f"`{path}` on `{branch}` is valid")
    return (valid, *(_token(names, read) for names, read in reads))


def _token(names: str, read: Callable[[], object]) -> Finding:
    what = f"the token: `{names}`"
    try:
        read()
    except SlipwayError as error:
        return Finding(what=what, well=False, found=error.message, todo=error.hint or _GRANT.format(names))
    return Finding(what=what, well=True, found="may read")


# -- environments ---------------------------------------------------------------------------------------------
def _environment(context: Context, config: Config, name: str) -> tuple[Finding, ...]:
    """Look at an environment: its settings first, for they say whom to ask."""
    later = not_yet(config, name)
    findings = (
        [Finding(what="its settings", well=False, found="; ".join(later), todo="Take them out.")] if later else []
    )
    try:
        environment = environment_of(context, config, name)
    except ConfigError as error:
        return (*findings, _variables(error))
    findings.append(Finding(what="variables", well=True, found="each that is used has a value"))
    login = _login(context, environment)
    findings += [login] if login is not None else []
    if login is not None and not login.well:
        return tuple(findings)
    return (*findings, *_target(context, environment))


def _variables(error: ConfigError) -> Finding:
    return Finding(what="variables", well=False, found="; ".join(error.problems) or error.message, todo=error.hint)


def _login(context: Context, environment: Environment) -> Finding | None:
    """Return whether the job was given what it logs in with; None where it is to use what the runner has."""
    if isinstance(environment.spec, CloudRunSpec):
        if environment.spec.auth is None:
            return None
        if context.settings.oidc_url and context.settings.oidc_token:
            return Finding(what="the OIDC token", well=True, found="can be asked for")
        todo = "Give the job `permissions: id-token: write`."
        return Finding(what="the OIDC token", well=False, found="this run cannot ask for one", todo=todo)
    if context.settings.heroku_api_key:
        return Finding(what="the Heroku key", well=True, found="is given")
    todo = "Give the action `heroku-api-key`, from a secret that this job may see."
    return Finding(what="the Heroku key", well=False, found="is not given", todo=todo)


def _target(context: Context, environment: Environment) -> tuple[Finding, ...]:
    try:
        return context.connect(environment.spec).examine()
    except SlipwayError as error:
        return (Finding(what="the target", well=False, found=error.message, todo=error.hint),)
