"""Comments about previews, and the summary of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from bot.core.preview_report import PreviewReport, Swept
from bot.report.comment import next_line, paragraphs
from bot.report.markdown import cell, code, code_link, details, fence, link, prose, row, tail
from bot.report.sections import STEP_SIGNS, checks_table, took
from bot.report.words import clock, count, day_time, duration, listing, short

_TAIL = 40
_SHOWN = 20

WHY = {
    "closed": "the pull request is closed",
    "expired": "its time was over",
    "destroyed": "somebody took it away",
    "replaced": "a newer one takes its place",
}


def preview_comment(report: PreviewReport, *, marker: str) -> str:
    """Return the comment of a preview as it stands."""
    heading = f"{marker}\n### {_verdict(report)}\n{_subline(report)}".rstrip()
    return paragraphs([heading, *_blocks(report), _footer(report)])


def preview_summary(report: PreviewReport) -> str:
    """Return a preview for the job summary: its comment with every log in full."""
    return paragraphs([f"### {_verdict(report)}\n{_subline(report)}".rstrip(), *_blocks(report, lines=10_000)])


def preview_over_comment(*, sha: str, environment: str, why: str, marker: str, again: bool = True) -> str:
    """Return what a preview's comment says once it is gone. ``why``: a key of :data:`WHY`; ``again``: it may return."""
    where = f"Preview of {code(short(sha))} beside **{cell(environment)}**"
    create = next_line([f"/preview create {environment}"]) if again else ""
    return paragraphs([f"{marker}\n⚪ {where} is gone: {prose(WHY[why])}.", create])


def extended_comment(*, sha: str, environment: str, until: float, now: float, url: str, marker: str) -> str:
    """Return that a preview lives longer. Times are seconds since the epoch."""
    where = f"preview of {code(short(sha))} beside **{cell(environment)}**"
    place = f" · **{link(urlsplit(url).netloc, url)}**" if url else ""
    said = f"The {where} is up until {day_time(until)} UTC ({duration(until - now)}){place}"
    return paragraphs([f"{marker}\n🟢 {said}"])


def sweep_summary(swept: Sequence[Swept]) -> str:
    """Return what a sweep did, environment by environment."""
    blocks = [block for one in swept for block in _swept(one)]
    return paragraphs(["### Clean-up", *(blocks or ["Nothing was to be removed."])])


def tidied(one: Swept) -> str:
    """Return what was cleaned up after a release, ``""`` if there was nothing."""
    return paragraphs(_swept(one)) if not one.idle else ""


def _swept(one: Swept) -> list[str]:
    if one.idle:
        return []
    lines = [f"- {prose(preview)}" for preview in one.previews]
    lines += [f"- {prose(mark)}" for mark in one.marks]
    lines += [f"- tag {prose(tag)}" for tag in one.tags]
    lines += [f"- revision {code(name)}" for name in one.revisions[:_SHOWN]]
    lines += [f"- {count(one.left, 'revision')} more with the next run"] if one.left else []
    problems = [f"- ⚠️ {prose(problem)}" for problem in one.problems]
    return [
        f"**Removed from {cell(one.environment)}:**" if lines else f"**{cell(one.environment)}:**",
        "\n".join([*lines, *problems]),
    ]


# -- the parts --------------------------------------------------------------------------------------------------------
def _verdict(report: PreviewReport) -> str:
    what = f"{code(short(report.sha))} beside **{cell(report.environment)}**"
    failed = next((step for step in report.steps if step.state == "failed"), None)
    took_time = duration(report.now - report.started)
    match report.state:
        case "running":
            said = f"🟡 Making a preview of {what}"
        case "up":
            said = f"🟢 Preview of {what}"
        case "cancelled":
            said = f"⚪ The preview of {what} was cancelled"
        case "over":
            said = f"⚪ The preview of {what} was taken away at once"
        case "failed":
            said = f"🔴 No preview of {what}: {cell(failed.title)} failed" if failed else f"🔴 No preview of {what}"
    return f"{said} · {took_time}"


def _subline(report: PreviewReport) -> str:
    until = ""
    if report.state == "up" and report.until:
        until = f"up until {day_time(report.until)} UTC, unless it is extended"
    checks = [check for step in report.steps for check in step.checks] if report.state == "up" else []
    verified = f"verified {sum(check.passed for check in checks)}/{len(checks)}" if checks else ""
    by = f"by {cell(report.actor)}" if report.actor else ""
    log = link("live log" if report.state == "running" else "log", report.run_url) if report.run_url else ""
    return " · ".join(filter(None, [_addresses(report), until, verified, by, log]))


def _addresses(report: PreviewReport) -> str:
    lines = [line for line in report.services if line.url] if report.state == "up" else []
    if len(lines) == 1:
        return f"**{link(urlsplit(lines[0].url).netloc, lines[0].url)}**"
    return listing([f"**{link(line.service, line.url)}**" for line in lines])


def _blocks(report: PreviewReport, *, lines: int = _TAIL) -> list[str]:
    if report.state == "running":
        return [prose(report.sentence), _steps(report)]
    if report.state == "up":
        return [
            checks_table(report.steps),
            _runs_on(report),
            next_line(report.next),
            details("What runs, and steps", "\n\n".join(filter(None, [_services(report), _steps(report)]))),
        ]
    kind = "CAUTION" if report.state == "failed" else "NOTE"
    said = " ".join(filter(None, [prose(report.sentence), _left(report)]))
    return [
        f"> [!{kind}]\n> {said}",
        checks_table(report.steps, failed_only=True),
        *_errors(report),
        next_line(report.next),
        *_logs(report, lines),
        details("Steps", _steps(report)) if report.steps else "",
    ]


def _left(report: PreviewReport) -> str:
    """Return what can be seen after a preview that failed. What serves was never touched."""
    where = cell(report.environment)
    if report.former_sha:
        return f"The preview still shows {code(short(report.former_sha))}; what serves on {where} was not touched."
    return f"What serves on {where} was not touched."


def _runs_on(report: PreviewReport) -> str:
    """Return what a preview runs on, which its visitors have to know."""
    where = cell(report.environment)
    own = f"It runs on the settings, secrets and data of **{where}**"
    differs = f", but for {listing([code(name) for name in report.differs])}" if report.differs else ""
    push = "A push renews it." if report.on_push else "A push does not renew it."
    return f"{own}{differs}. No jobs were run, and {where} sends it no traffic. {push}"


def _services(report: PreviewReport) -> str:
    if not report.services:
        return ""
    table = [row("Service", "Revision"), "|---|---|"]
    table += [row(code_link(line.service, line.url), code(line.revision) or "—") for line in report.services]
    return "\n".join([*table, *(["", f"Artifact: {code(report.digest)}"] if report.digest else [])])


def _steps(report: PreviewReport) -> str:
    if not report.steps:
        return ""
    lines = [row("", "Step", "Took", "Detail"), "|:-:|---|--:|---|"]
    for step in report.steps:
        detail = "not reached" if step.state == "waiting" and report.state != "running" else prose(step.detail, 200)
        lines.append(row(STEP_SIGNS[step.state], link(step.title, step.link), took(step, report.now), detail))
    return "\n".join(lines)


def _errors(report: PreviewReport) -> list[str]:
    found = [step for step in report.steps if step.state == "failed" and step.diagnosis and step.diagnosis.error]
    return [f"**First error** in *{cell(step.title)}*:\n{fence(tail([step.diagnosis.error], 6))}"
            for step in found if step.diagnosis]  # fmt: skip


def _logs(report: PreviewReport, lines: int) -> list[str]:
    return [
        details(f"Last lines of {step.title}", fence(tail(step.diagnosis.tail, lines)))
        for step in report.steps
        if step.state == "failed" and step.diagnosis and step.diagnosis.tail
    ]


def _footer(report: PreviewReport) -> str:
    number = f"deployment {report.deployment_id} · " if report.deployment_id else ""
    return f"<sub>{number}updated {clock(report.now)} UTC</sub>"
