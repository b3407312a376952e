"""How a command ended, and everything its report needs. Values only: :mod:`bot.report` renders them.

``Decision`` and ``Reason`` are outputs of the action: closed sets, never renamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from bot.core.changes import Change
from bot.core.checks import CheckResult
from bot.core.facts import Commit, Comparison
from bot.core.images import Provenance
from bot.core.target import Diagnosis


class Decision(StrEnum):
    """What became of the event. The output ``decision``."""

    IGNORED = "ignored"
    ANSWERED = "answered"
    REFUSED = "refused"
    RELEASE = "release"
    RELEASED = "released"
    PREVIEW = "preview"
    ASK = "ask"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


DECISIONS: Mapping[Decision, str] = {
    Decision.IGNORED: "The event is none of the bot's business. Nothing was said and nothing was changed.",
    Decision.ANSWERED: "A question was answered. Nothing was changed.",
    Decision.REFUSED: "A command was not carried out. Nothing was changed.",
    Decision.RELEASE: "Phase `command`: the command passed the gates, and the release job may go on.",
    Decision.RELEASED: "The environment was released, or rolled back, and verified.",
    Decision.PREVIEW: "Phase `command`: a command about a preview passed the gates, and the preview's job may go on.",
    Decision.ASK: "Phase `command`: a question that only the clouds can answer passed the gates.",
    Decision.DONE: "What was asked for was done, and it was no release: a preview, or a sweep.",
    Decision.FAILED: "Something failed. After a failed release the report says what serves now.",
    Decision.CANCELLED: "A release was stopped. The report says what serves now.",
}


class Reason(StrEnum):
    """Why. The output ``reason``. Each has a sentence in ``docs/reference/reasons.md``, generated from ``REASONS``."""

    NOT_A_COMMAND = "not_a_command"
    EVENT_NOT_SUPPORTED = "event_not_supported"
    HELP_SHOWN = "help_shown"
    STATUS_SHOWN = "status_shown"
    HISTORY_SHOWN = "history_shown"
    DIFF_SHOWN = "diff_shown"
    RIGHTS_SHOWN = "rights_shown"
    VERIFIED = "verified"
    NOT_AS_EXPECTED = "not_as_expected"
    LOGS_SHOWN = "logs_shown"
    EXAMINED = "examined"
    TROUBLE_FOUND = "trouble_found"
    LOCK_SET = "lock_set"
    UNLOCKED = "unlocked"
    FROZEN_NOW = "frozen_now"
    UNFROZEN = "unfrozen"
    CANCEL_SENT = "cancel_sent"
    DEQUEUED = "dequeued"
    APPROVED = "approved"
    REJECTED_NOW = "rejected_now"
    PLAN_SHOWN = "plan_shown"
    READY = "ready"
    RELEASED = "released"
    ROLLED_BACK = "rolled_back"
    PREVIEW_UP = "preview_up"
    PREVIEW_EXTENDED = "preview_extended"
    PREVIEW_REMOVED = "preview_removed"
    SWEPT = "swept"
    ALREADY_DONE = "already_done"
    NOTHING_TO_RELEASE = "nothing_to_release"
    UNKNOWN_COMMAND = "unknown_command"
    BAD_ARGUMENTS = "bad_arguments"
    TOO_MANY_COMMANDS = "too_many_commands"
    UNKNOWN_ENVIRONMENT = "unknown_environment"
    UNKNOWN_SERVICE = "unknown_service"
    FORBIDDEN = "forbidden"
    NOT_A_PULL_REQUEST = "not_a_pull_request"
    PULL_REQUEST_CLOSED = "pull_request_closed"
    PULL_REQUEST_DRAFT = "pull_request_draft"
    PULL_REQUEST_CONFLICTS = "pull_request_conflicts"
    WRONG_BASE = "wrong_base"
    FORK = "fork"
    SHA_REQUIRED = "sha_required"
    SHA_UNKNOWN = "sha_unknown"
    HEAD_MOVED = "head_moved"
    PUSH_UNKNOWN = "push_unknown"
    CHECKS_FAILED = "checks_failed"
    CHECKS_PENDING = "checks_pending"
    CHECKS_MISSING = "checks_missing"
    REVIEWS_MISSING = "reviews_missing"
    CHANGES_REQUESTED = "changes_requested"
    APPROVAL_MISSING = "approval_missing"
    RUN_UNREVIEWED = "run_unreviewed"
    REJECTED = "rejected"
    OWN_WORK = "own_work"
    NO_APPROVALS = "no_approvals"
    BEHIND_BASE = "behind_base"
    OUTSIDE_WINDOW = "outside_window"
    PROMOTION_UNVERIFIED = "promotion_unverified"
    PROMOTION_SOAKING = "promotion_soaking"
    PROMOTION_UNAVAILABLE = "promotion_unavailable"
    TOO_LITTLE_TRAFFIC = "too_little_traffic"
    PLAN_CHANGED = "plan_changed"
    LOCKED = "locked"
    REPLACED = "replaced"
    WAITED_TOO_LONG = "waited_too_long"
    CLAIMED = "claimed"
    FROZEN = "frozen"
    NOTHING_TO_CANCEL = "nothing_to_cancel"
    NOTHING_TO_RETRY = "nothing_to_retry"
    NOTHING_RECORDED = "nothing_recorded"
    ON_HOLD = "on_hold"
    SUPERSEDED = "superseded"
    NOTHING_TO_ROLL_BACK_TO = "nothing_to_roll_back_to"
    NO_PREVIEW = "no_preview"
    TOO_MANY_PREVIEWS = "too_many_previews"
    UNSUPPORTED_SETTING = "unsupported_setting"
    CONFIG_MISSING = "config_missing"
    CONFIG_INVALID = "config_invalid"
    EVENT_INVALID = "event_invalid"
    SETTINGS_INVALID = "settings_invalid"
    BUILD_FAILED = "build_failed"
    JOB_FAILED = "job_failed"
    ROLLOUT_FAILED = "rollout_failed"
    VERIFICATION_FAILED = "verification_failed"
    CANARY_FAILED = "canary_failed"
    CANARY_UNDECIDED = "canary_undecided"
    WATCH_FAILED = "watch_failed"
    SHIFT_FAILED = "shift_failed"
    RESTORE_FAILED = "restore_failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    AUTH_FAILED = "auth_failed"
    CONFLICT = "conflict"
    NOT_FOUND = "not_found"
    UPSTREAM_FAILED = "upstream_failed"
    UPSTREAM_FORBIDDEN = "upstream_forbidden"
    INTERNAL_ERROR = "internal_error"


REASONS: Mapping[Reason, str] = {
    Reason.NOT_A_COMMAND: "The comment holds no command, or it was edited, or a bot that is not allowed wrote it.",
    Reason.EVENT_NOT_SUPPORTED: "The workflow ran for an event that the bot does not act on.",
    Reason.HELP_SHOWN: "`/help` was answered.",
    Reason.STATUS_SHOWN: "`/status` was answered.",
    Reason.HISTORY_SHOWN: "`/history` was answered.",
    Reason.DIFF_SHOWN: "`/diff` or `/changelog` was answered.",
    Reason.RIGHTS_SHOWN: "`/whoami` was answered.",
    Reason.VERIFIED: "`/verify`: every check of what serves passed.",
    Reason.NOT_AS_EXPECTED: "`/verify`: a check of what serves did not pass, or nothing serves. Nothing was changed.",
    Reason.LOGS_SHOWN: "`/logs` was answered.",
    Reason.EXAMINED: "`/doctor` found everything as it should be.",
    Reason.TROUBLE_FOUND: "`/doctor` found something that a release needs to be amiss. The comment says what to do.",
    Reason.LOCK_SET: "The environment is kept for a pull request, or for somebody.",
    Reason.UNLOCKED: "The lock and the hold on the environment were lifted, or there were none.",
    Reason.FROZEN_NOW: "Nothing is released to the environment until it is unfrozen.",
    Reason.UNFROZEN: "The environment may be released to again, or it was not frozen.",
    Reason.CANCEL_SENT: "The run of a release was asked to stop.",
    Reason.DEQUEUED: "A release that waited in line was taken out of it.",
    Reason.APPROVED: "Somebody has approved a commit for an environment.",
    Reason.REJECTED_NOW: "Somebody has rejected a commit for an environment.",
    Reason.PLAN_SHOWN: "`--dry-run`: what would be done was said, and nothing was done.",
    Reason.READY: "Every gate was passed; the next job may go on.",
    Reason.RELEASED: "The sha serves, and every check passed.",
    Reason.ROLLED_BACK: "The recorded release serves again, and every check passed.",
    Reason.PREVIEW_UP: "The preview is up at its own address, and every check passed.",
    Reason.PREVIEW_EXTENDED: "The preview lives longer.",
    Reason.PREVIEW_REMOVED: "The preview was taken away.",
    Reason.SWEPT: "Previews that were over and revisions that nobody needs were removed, or there were none.",
    Reason.ALREADY_DONE: "This very command was carried out before (the event was delivered again). Nothing was done.",
    Reason.NOTHING_TO_RELEASE: "A push, and no environment says `on: push`.",
    Reason.UNKNOWN_COMMAND: "The comment holds something close to a command. What was probably meant was said.",
    Reason.BAD_ARGUMENTS: "The command was understood, but something after it was not.",
    Reason.TOO_MANY_COMMANDS: "The comment holds too many commands, or two that change one environment.",
    Reason.UNKNOWN_ENVIRONMENT: "There is no environment of that name, or none was named and there is no default.",
    Reason.UNKNOWN_SERVICE: "The environment has no service of that name.",
    Reason.FORBIDDEN: "The author has not got the role that the command needs.",
    Reason.NOT_A_PULL_REQUEST: "The command needs a pull request, and the comment stands on an issue.",
    Reason.PULL_REQUEST_CLOSED: "The pull request was closed without being merged.",
    Reason.PULL_REQUEST_DRAFT: "The pull request is a draft.",
    Reason.PULL_REQUEST_CONFLICTS: "The pull request conflicts with its base branch.",
    Reason.WRONG_BASE: "The pull request does not go into the default branch.",
    Reason.FORK: "The head is in a fork, or a sha that was typed is on no branch here, and that is not allowed.",
    Reason.SHA_REQUIRED: "The command must name the sha it means.",
    Reason.SHA_UNKNOWN: "The named sha is not in the repository.",
    Reason.HEAD_MOVED: "The branch moved after the command was written, or the named sha is not its head.",
    Reason.PUSH_UNKNOWN: "GitHub has no record of when the head was pushed, so it may be newer than the command.",
    Reason.CHECKS_FAILED: "A required check failed on the sha.",
    Reason.CHECKS_PENDING: "A required check is still running on the sha.",
    Reason.CHECKS_MISSING: "A required check has not reported on the sha.",
    Reason.REVIEWS_MISSING: "Too few others have approved the very head of the pull request.",
    Reason.CHANGES_REQUESTED: "A reviewer asks for changes.",
    Reason.APPROVAL_MISSING: "Too few others have approved the very commit for the environment, or too long ago.",
    Reason.RUN_UNREVIEWED: "Nobody else has approved the run as a reviewer of its GitHub environment.",
    Reason.REJECTED: "Somebody has rejected the commit for the environment, and has not taken that back.",
    Reason.OWN_WORK: "Nobody approves what he asks for, or what comes by his own pull request.",
    Reason.NO_APPROVALS: "The environment wants no approvals.",
    Reason.BEHIND_BASE: "The pull request lacks commits of the default branch.",
    Reason.OUTSIDE_WINDOW: "It is no time at which the environment may be released to.",
    Reason.PROMOTION_UNVERIFIED: "The commit is not verified on the environment whose image would be promoted.",
    Reason.PROMOTION_SOAKING: "The commit has not been on the environment that it is promoted from for long enough.",
    Reason.PROMOTION_UNAVAILABLE: "The image that would be promoted is not known, or it is not one image.",
    Reason.TOO_LITTLE_TRAFFIC: "A stage could not be decided by its deadline at today's traffic.",
    Reason.PLAN_CHANGED: "The plan is no longer the one that `--plan` names.",
    Reason.LOCKED: "Another release holds the environment.",
    Reason.REPLACED: "While it waited in line, a newer command on the same pull request took its place.",
    Reason.WAITED_TOO_LONG: "It waited in line for longer than `gates.queue_time`.",
    Reason.CLAIMED: "The environment is locked for another pull request, or by somebody else.",
    Reason.FROZEN: "The environment is frozen.",
    Reason.NOTHING_TO_CANCEL: "No release of the environment runs.",
    Reason.NOTHING_TO_RETRY: "The newest release did not fail, or it was not released from here.",
    Reason.NOTHING_RECORDED: "No release of the environment is recorded that went well.",
    Reason.ON_HOLD: "Automatic releases of the environment are on hold: it was rolled back, and not unlocked since.",
    Reason.SUPERSEDED: "A push whose run came late or was started again: what was released since holds it already.",
    Reason.NOTHING_TO_ROLL_BACK_TO: "No earlier release is recorded that was verified while it served.",
    Reason.NO_PREVIEW: "The environment has no previews, or the pull request has none there.",
    Reason.TOO_MANY_PREVIEWS: "As many previews are up as the environment allows.",
    Reason.UNSUPPORTED_SETTING: "The configuration asks for something that is parsed but not acted on yet.",
    Reason.CONFIG_MISSING: "There is no configuration on the default branch.",
    Reason.CONFIG_INVALID: "The configuration is wrong. Every problem was named with its line and key.",
    Reason.EVENT_INVALID: "The event's payload is not of the shape that GitHub documents.",
    Reason.SETTINGS_INVALID: "The action's own inputs or environment are unusable.",
    Reason.BUILD_FAILED: "The image could not be built.",
    Reason.JOB_FAILED: "A job of the release failed. No traffic had moved.",
    Reason.ROLLOUT_FAILED: "A revision of the release did not become ready.",
    Reason.VERIFICATION_FAILED: "A check of the release did not pass.",
    Reason.CANARY_FAILED: "With a share of the traffic the candidate was worse than what served beside it.",
    Reason.CANARY_UNDECIDED: "A stage could not be decided by its deadline.",
    Reason.WATCH_FAILED: "After the release there were more errors in the log than before it.",
    Reason.SHIFT_FAILED: "The traffic could not be moved to the release.",
    Reason.RESTORE_FAILED: "What served before could not be brought back. Somebody must look.",
    Reason.TIMED_OUT: "A step did not end in its time.",
    Reason.CANCELLED: "The run was stopped.",
    Reason.AUTH_FAILED: "There are no usable credentials.",
    Reason.CONFLICT: "Somebody else changed it first.",
    Reason.NOT_FOUND: "Something that is needed does not exist, or the credentials may not see it.",
    Reason.UPSTREAM_FAILED: "GitHub, Google or Heroku answered with an error, or not at all.",
    Reason.UPSTREAM_FORBIDDEN: "The credentials lack a permission. The message names it where the provider does.",
    Reason.INTERNAL_ERROR: "The bot itself made a mistake. The log has the place.",
}


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a command is not carried out: a reason, the sentence for its reader, and what to type or do next."""

    reason: Reason
    sentence: str
    next: str = ""
    gate: str = ""


StepState = Literal["waiting", "running", "done", "failed", "skipped", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """A step as it stands. Times are seconds since the epoch, 0 when not reached.

    ``kind`` is short for the step's class (``build``, ``run_job``, ``rollout``, ``verify``, ``shift``, ``analysis``,
    ``watch``, ``restore``); ``title`` its name for people.
    """

    id: str
    kind: Literal["gates", "build", "run_job", "rollout", "verify", "shift", "analysis", "watch", "restore"]
    title: str
    state: StepState = "waiting"
    detail: str = ""
    link: str = ""
    started: float = 0.0
    ended: float = 0.0
    checks: tuple[CheckResult, ...] = ()
    diagnosis: Diagnosis | None = None


@dataclass(frozen=True, kw_only=True)
class ServiceLine:
    """One service in the report: what served before, what was tried, what serves now (revision names, ``""`` = none).

    ``healthy`` is whether what serves now is what was wanted (the release, or after a failure the former revision).
    ``asked`` is False when what serves now could not be asked: then ``now`` says nothing. ``digest``: what it runs,
    ``sha``: the commit that it is of.
    """

    service: str
    before: str = ""
    tried: str = ""
    now: str = ""
    now_percent: int = 100
    url: str = ""
    healthy: bool = True
    asked: bool = True
    digest: str = ""
    sha: str = ""


@dataclass(frozen=True, kw_only=True)
class ReleaseReport:
    """A release (or rollback) as it stands, for its comment, its summary and the output ``result``.

    ``now`` is the time of the report in seconds since the epoch. ``state``: ``running`` until the end. ``restored``:
    None while nothing had to be brought back, else whether it was. ``took_back``: an earlier release had left
    something that served, and it is back to what was before that. ``exposed_seconds``: how long users saw a revision
    that failed. ``not_undone``: what a restore does not take back (migrations that ran). ``on_hold``: pushes release
    no more until somebody unlocks. ``next``: commands to type. ``promoted_from``: the environment whose image it takes.
    ``sources``: the shas of other repositories that have joined the build. ``only``: the services that are released
    where others are left as they are.
    """

    verb: Literal["deploy", "rollback"]
    environment: str
    sha: str
    actor: str
    state: Literal["running", "released", "failed", "cancelled"]
    now: float
    started: float
    steps: tuple[StepResult, ...] = ()
    services: tuple[ServiceLine, ...] = ()
    repository_url: str = ""
    previous_sha: str = ""
    comparison: Comparison | None = None
    url: str = ""
    run_url: str = ""
    deployment_id: int = 0
    digest: str = ""
    reason: Reason = Reason.READY
    sentence: str = ""
    restored: bool | None = None
    restore_detail: str = ""
    exposed_seconds: float = 0.0
    took_back: bool = False
    not_undone: tuple[str, ...] = ()
    on_hold: bool = False
    behind_by: int = 0
    next: tuple[str, ...] = ()
    usual_seconds: float = 0.0  # median of earlier releases, 0 when unknown
    promoted_from: str = ""
    only: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    provenance: Provenance | None = None  # what is attested of the image, where that was asked for
    notes: tuple[str, ...] = ()  # what was left out of the plan, and why
    warnings: tuple[str, ...] = ()  # what went well, but wants a look
    overridden: tuple[str, ...] = ()  # by whom which gates were, why, and what they would have said
    issue_url: str = ""  # where that is told, too


@dataclass(frozen=True, kw_only=True)
class PlanReport:
    """What a dry run shows. ``waves``: titles of steps, those together that run at the same time.

    ``again`` is the command that runs it, ``fingerprint`` names the very plan. ``notes``: what was left out and why.
    """

    verb: Literal["deploy", "rollback"]
    environment: str
    sha: str
    previous_sha: str
    fingerprint: str
    again: str
    waves: tuple[tuple[str, ...], ...] = ()
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    digest: str = ""
    comparison: Comparison | None = None
    migrations: tuple[str, ...] = ()
    usual_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class EnvironmentStatus:
    """One row of ``/status``. ``asked`` is False when the target could not be asked and only the record is shown.

    ``history`` holds the final states of the newest deployments, oldest first. ``since``: seconds since the epoch.
    ``waiting``: how many releases wait in line. ``version``: the project's own, as far as it is on record.
    """

    environment: str
    waiting: int = 0
    sha: str = ""
    version: str = ""
    commit: Commit | None = None
    since: float = 0.0
    actor: str = ""
    state: str = ""
    pull_request: int | None = None
    asked: bool = False
    services: tuple[ServiceLine, ...] = ()
    lock: str = ""
    history: tuple[str, ...] = ()
    url: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """Whether a release to an environment would be let through now, as ``command`` would ask for it.

    ``refusals`` are those of every gate that says no. ``sha`` is what would be released (``""``: not known).
    ``approved`` is who has approved it, of ``wanted``. ``comparison`` is from what was released last (None: not known).
    """

    environment: str
    command: str
    sha: str = ""
    refusals: tuple[Refusal, ...] = ()
    approved: tuple[str, ...] = ()
    wanted: int = 0
    comparison: Comparison | None = None


@dataclass(frozen=True, kw_only=True)
class HelpEntry:
    """One command of ``/help``. ``examples`` are shown without their slash, so that no bot answers another."""

    verb: str
    usage: str
    summary: str
    examples: tuple[str, ...] = ()
    allowed: bool = True
    who: str = ""
    flags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an event ended: the action's outputs and its exit code.

    ``result`` is the JSON of the output ``result`` (its ``version`` is 1).
    """

    decision: Decision
    reason: Reason
    environment: str = ""
    environments: tuple[str, ...] = ()
    sha: str = ""
    deployment_id: int = 0
    url: str = ""
    comment_id: int = 0
    exit_code: int = 0
    message: str = ""
    result: dict[str, Any] = field(default_factory=dict)
