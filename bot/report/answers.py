"""Comments that answer without releasing: refusals, ``/status``, ``/help``, hints, and problems."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.core.facts import Lock
from bot.core.outcome import EnvironmentStatus, HelpEntry, Readiness, Reason, Refusal, ServiceLine
from bot.core.titles import place
from bot.report.comment import instruction, paragraphs
from bot.report.markdown import cell, code, code_link, details, fence, link, prose, row
from bot.report.readiness import readiness_section
from bot.report.sections import serving_now
from bot.report.words import clock, count, day_time, duration, listing, short

_LAST = 8
_SQUARES = {"success": "🟩", "inactive": "🟩", "failure": "🟥", "error": "🟥"}  # inactive: a success that was replaced
_UNFINISHED = {"pending", "queued", "in_progress", "waiting"}
_FINAL_FAILURES = {"failure", "error"}
_PROBLEMS = 50
_PROBLEM_TITLES = {
    Reason.CONFIG_MISSING: "The configuration is missing",
    Reason.CONFIG_INVALID: "The configuration is not valid",
    Reason.EVENT_INVALID: "The event could not be read",
    Reason.SETTINGS_INVALID: "The action's settings are not usable",
    Reason.AUTH_FAILED: "There are no usable credentials",
    Reason.NOT_FOUND: "Something that is needed was not found",
    Reason.CONFLICT: "Somebody else was faster",
    Reason.UPSTREAM_FAILED: "A service that is needed did not answer as it should",
    Reason.UPSTREAM_FORBIDDEN: "A permission is missing",
    Reason.UNSUPPORTED_SETTING: "The configuration asks for something that is not supported yet",
    Reason.TIMED_OUT: "The time ran out",
    Reason.INTERNAL_ERROR: "Slipway made a mistake",
}


def refusal_comment(
    refusals: Sequence[Refusal], *, marker: str, command: str, environment: str = "", sha: str = ""
) -> str:
    """Return why a command is not carried out: every reason at once, each with what to do about it.

    One reason is one calm line. ``command`` is what was typed; ``sha`` is the commit it would have been about.
    """
    said = code(command)
    about = f" ({code(short(sha))})" if sha else ""
    if len(refusals) == 1:
        only = refusals[0]
        line = f"🚫 {said}{about} was not run: {prose(only.sentence)} Nothing was changed. {_advice(only)}"
        return paragraphs([f"{marker}\n{line.rstrip()}"])
    where = f" on **{cell(environment)}**" if environment else ""
    items = [" ".join(filter(None, [f"- {prose(one.sentence)}", _advice(one)])) for one in refusals]
    heading = f"{marker}\n🚫 {said}{about} was not run{where}, for {len(refusals)} reasons. Nothing was changed."
    return paragraphs([heading, "\n".join(items)])


def _advice(refusal: Refusal) -> str:
    if not refusal.next:
        return ""
    return f"**Next:** {instruction(refusal.next).removesuffix('.')}."


def status_comment(
    rows: Sequence[EnvironmentStatus], ready: Sequence[Readiness] = (), *, now: float, marker: str
) -> str:
    """Return what serves in each environment, and on a pull request what could be released from there.

    ``now``: seconds since the epoch. What the target was not asked for is marked as known from the record alone.
    """
    if not rows:
        return paragraphs([f"{marker}\nNo environment is configured that you may see."])
    heads = ["Environment", "Serving", "Since (UTC)", "Health", "Lock, line", f"Last {_LAST}"]
    table = [row(*heads), "|---" * len(heads) + "|"]
    for one in rows:
        squares = "".join(_SQUARES.get(state, "⬜") for state in one.history[-_LAST:])
        lock = f"🔒 {prose(one.lock, 120)}" if one.lock else "free"
        lock += f" · ⏳ {one.waiting} waiting" if one.waiting else ""
        table.append(
            row(code_link(one.environment, one.url), _serving(one), _since(one, now), _health(one), lock, squares)
        )
    notes = [f"- **{cell(one.environment)}**: {prose(note)}" for one in rows for note in one.notes]
    heading = f"{marker}\n### Environments · {clock(now)} UTC"
    return paragraphs([heading, "\n".join(table), "\n".join(notes), readiness_section(ready), _services(rows)])


def _services(rows: Sequence[EnvironmentStatus]) -> str:
    """Return what each service serves, by its digest, folded."""
    lines = [
        row(
            code(one.environment),
            code(place(line.service)),
            code(short(line.sha)) or "—",
            serving_now(line),
            code(line.digest[:19]),
        )
        for one in rows
        for line in one.services
    ]
    if not lines:
        return ""
    table = "\n".join([row("Environment", "Service", "Commit", "Serving", "Digest"), "|---" * 5 + "|", *lines])
    return details(f"{count(len(lines), 'service')} and their digests", table)


def _serving(one: EnvironmentStatus) -> str:
    if not one.sha:
        if one.services:
            return _apart(one.services)
        return "nothing yet" if one.asked else "not known"
    commit = code_link(short(one.sha), one.commit.url) if one.commit else code(short(one.sha))
    number = f"PR {one.pull_request}" if one.pull_request else ""
    subject = cell(one.commit.subject, 60) if one.commit else ""
    words = " ".join(filter(None, [commit, cell(one.version, 40), subject]))
    return " · ".join(filter(None, [words, number]))


def _apart(services: Sequence[ServiceLine]) -> str:
    """Return which commit each service serves, where that is not the same; some may not be released from here."""
    by_sha: dict[str, list[str]] = {}
    for line in services:
        by_sha.setdefault(line.sha, []).append(cell(place(line.service)))
    if len(by_sha) < 2:
        return "not one release"
    return "⚠️ " + " · ".join(f"{code(short(sha)) or 'unknown'} ({listing(names)})" for sha, names in by_sha.items())


def _since(one: EnvironmentStatus, now: float) -> str:
    if not one.since:
        return ""
    by = f" by {cell(one.actor, 60)}" if one.actor else ""
    return f"{day_time(one.since)} ({duration(now - one.since)}){by}"


def _health(one: EnvironmentStatus) -> str:
    """Return what the target said, after what the newest deployment is still doing or how it failed."""
    words = []
    if one.state in _UNFINISHED:
        words.append(f"🔄 {cell(one.state.replace('_', ' '))}")
    elif one.state in _FINAL_FAILURES:
        words.append("❌ the newest release failed")
    if not one.asked:
        words.append("❔ not asked, from the record")
    elif one.services:
        well = sum(line.healthy for line in one.services)
        bad = [f"{code(place(line.service))} {serving_now(line)}" for line in one.services if not line.healthy]
        words.append("; ".join([f"{'❌' if bad else '✅'} {well}/{len(one.services)} services", *bad]))
    return " · ".join(words)


@dataclass(frozen=True, kw_only=True)
class Rights:
    """Somebody's role, teams and those that could not be asked about, and what he may do by command and environment."""

    login: str
    role: str
    teams: tuple[str, ...]
    unknown: tuple[str, ...]
    may: Mapping[str, Mapping[str, bool]]


def whoami_comment(rights: Rights, *, marker: str) -> str:
    """Return somebody's role, and what he may do in each environment."""
    environments = list(next(iter(rights.may.values()), {}))
    table = [row("Command", *[code(name) for name in environments]), "|---" + "|:-:" * len(environments) + "|"]
    table += [
        row(code(verb), *["✅" if where[name] else "—" for name in environments]) for verb, where in rights.may.items()
    ]
    known = f", of {_teams(rights.teams)}" if rights.teams else ""
    return paragraphs(
        [
            f"{marker}\n### {cell(rights.login, 60)} has the role {code(rights.role)} here{known}",
            "\n".join(table),
            f"Whether you are in {_teams(rights.unknown)} could not be asked, so it does not count."
            if rights.unknown
            else "",
            "Teams count only where the configuration names them. A release that you started you may cancel.",
        ]
    )


def _teams(names: Sequence[str]) -> str:
    return listing([cell(name.removeprefix("@")) for name in names])


def help_comment(entries: Sequence[HelpEntry], *, marker: str, verb: str | None = None) -> str:
    """Return the commands that the reader may run, or everything about one of them.

    No line begins with a command, and examples have no slash: two bots must never answer each other's help.
    """
    if verb is not None:
        chosen = [entry for entry in entries if entry.verb == verb]
        return paragraphs(
            [f"{marker}\n### The command {code(verb)}", *[block for one in chosen for block in _manual(one)]]
        )
    allowed = [entry for entry in entries if entry.allowed]
    table = [
        row("Command", "Does"),
        "|---|---|",
        *[row(code(_brief(one.usage)), prose(one.summary)) for one in allowed],
    ]
    denied = [f"{code(one.verb)}{f' ({cell(one.who)})' if one.who else ''}" for one in entries if not one.allowed]
    return paragraphs(
        [
            f"{marker}\n### Commands you can run here",
            "\n".join(table) if allowed else "None.",
            f"You may not run {listing(denied)}." if denied else "",
            "Write a command at the start of a line. What else one of them takes: `/help <command>`.",
        ]
    )


def _brief(usage: str) -> str:
    """Return how a command is written, without the flags that may be left out."""
    return re.sub(r" \[--[^\]]*\]", "", usage)


def _manual(entry: HelpEntry) -> list[str]:
    flags = [row(code(flag), prose(text)) for flag, text in entry.flags]
    examples = ", ".join(code(example.lstrip("/")) for example in entry.examples)
    who = f" Allowed for {cell(entry.who)}." if entry.who else ""
    return [
        f"Usage: {code(entry.usage)}",
        f"{prose(entry.summary)}{who}{'' if entry.allowed else ' You may not run it here.'}",
        "\n".join([row("Flag", "Meaning"), "|---|---|", *flags]) if flags else "",
        f"Examples (put a slash before them): {examples}" if examples else "",
    ]


def unlocked_comment(environment: str, hold: Lock | None, *, marker: str) -> str:
    """Return that pushes release an environment again. ``hold``: the one that was lifted, None if there was none."""
    where = f"**{cell(environment)}**"
    if hold is None:
        return paragraphs([f"{marker}\n🔓 {where} was not on hold. Nothing was changed."])
    record = hold.record
    by = f" that {cell(record.actor)} left at {day_time(record.since.timestamp())} UTC" if record else ""
    why = f" ({prose(record.reason, 120)})" if record and record.reason else ""
    return paragraphs([f"{marker}\n🔓 The hold on {where}{by}{why} is lifted: pushes release it again."])


def hint_comment(*, typed: str, suggestion: str, marker: str, environments: Sequence[str] = ()) -> str:
    """Return the answer to something close to a command: what was probably meant. Nothing is ever run on a guess."""
    known = f" Environments: {', '.join(code(name) for name in environments)}." if environments else ""
    return paragraphs([f"{marker}\n❓ {code(typed)}: did you mean {code(suggestion)}? Nothing was run.{known}"])


def interrupted_comment(*, sha: str, environment: str, taken_over_by: str, url: str, marker: str) -> str:
    """Return what a release's comment says once its run is known to have ended before it did."""
    then = link("the next command", url)
    return paragraphs(
        [
            f"{marker}\n### ⚪ {code(short(sha))} on **{cell(environment)}** was interrupted",
            f"Its workflow run ended before it did. {prose(taken_over_by)} went on: {then} says what serves now.",
        ]
    )


def problem_comment(
    message: str,
    hint: str = "",
    problems: Sequence[str] = (),
    *,
    marker: str,
    reason: Reason = Reason.INTERNAL_ERROR,
    unchanged: bool = False,
    run_url: str = "",
) -> str:
    """Return a fault that is not the fault of a release: its place, its lines, and what to do.

    ``problems`` are lines of ``file:line: key.path: what``. That nothing was changed is said only if ``unchanged``.
    """
    title = _PROBLEM_TITLES.get(reason, "Something went wrong")
    shown = [*problems[:_PROBLEMS], *([f"… and {len(problems) - _PROBLEMS} more"] if len(problems) > _PROBLEMS else [])]
    log = f"details are in {link('the log', run_url)}" if run_url else ""
    advice = [*([instruction(hint)] if hint else []), *([log] if log else [])]
    return paragraphs(
        [
            f"{marker}\n### ⚠️ {title}",
            " ".join(filter(None, [prose(message), "Nothing was changed." if unchanged else ""])),
            fence("\n".join(shown)) if shown else "",
            f"**Next:** {' · '.join(advice)}" if advice else "",
        ]
    )


def answer_body(body: str, overflow: str = "") -> str:
    """Return a comment that is no release (an answer, a refusal, a problem) for the job summary, with what was cut."""
    lines = body.split("\n")
    visible = "\n".join(lines[1:] if lines[0].startswith("<!--") else lines)
    return paragraphs([visible.strip("\n"), overflow])
