"""Runs checks: requests, what serves, access, jobs. Each gives what was expected beside what was found."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, Protocol, assert_never

from bot.core.checks import Check, CheckResult, ExposureCheck, HttpCheck, JobCheck, ServingCheck
from bot.core.plan import RunJob
from bot.core.serving import ServiceState, Serving
from bot.core.target import Broken, Done, Known, Target
from bot.core.titles import place
from bot.engine.clock import Clock
from bot.engine.reconcile import StepTimeoutError
from bot.errors import CancelledError, SlipwayError

MAX_BODY = 1 << 20  # bytes of an answer that are looked at


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer. ``status`` 0: there was none, and ``error`` says why. ``seconds``: how long it took."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] | None = None
    seconds: float = 0.0
    error: str = ""


class Prober(Protocol):
    """Makes one request, without following redirects and without raising. ``timeout`` is in seconds."""

    def __call__(self, method: str, url: str, headers: Mapping[str, str], timeout: float) -> Answer:
        """Return the answer."""
        ...


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a service must serve: the digest, and where it is known the very revision."""

    digest: str
    revision: str = ""


class Verifier:
    """Runs the checks of one ``Verify`` step, in parallel.

    ``expected`` tells what each service must serve; ``run_job`` runs a job through the engine's loop.
    """

    def __init__(
        self,
        target: Target,
        clock: Clock,
        probe: Prober,
        *,
        expected: Callable[[str], Expected],
        run_job: Callable[[RunJob], Done | Broken],
        halted: Callable[[], bool],
    ) -> None:
        self._target, self._clock, self._probe = target, clock, probe
        self._expected, self._run_job, self._halted = expected, run_job, halted
        self.seen: Serving | None = None  # what served when it was last asked

    def run(
        self, phase: Literal["candidate", "live"], checks: tuple[Check, ...], known: Known
    ) -> tuple[CheckResult, ...]:
        """Return the results in the order of the checks.

        Raises:
            CancelledError: the run was asked to stop.
            UpstreamError: the target could not be asked.
        """
        if not checks:
            return ()
        with ThreadPoolExecutor(max_workers=min(16, len(checks)), thread_name_prefix="check") as pool:
            return tuple(
                r for results in pool.map(lambda check: self._one(phase, check, known), checks) for r in results
            )

    def _one(self, phase: Literal["candidate", "live"], check: Check, known: Known) -> tuple[CheckResult, ...]:
        started = self._clock.now()
        match check:
            case HttpCheck():
                return (self._http(phase, check, known, started),)
            case ServingCheck():
                return self._serving(check, started)
            case JobCheck():
                return (self._job(check, started),)
            case ExposureCheck():
                return (self._exposure(check, started),)
            case _:
                assert_never(check)

    # -- requests -------------------------------------------------------------------------------------------
    def _http(self, phase: Literal["candidate", "live"], check: HttpCheck, known: Known, started: float) -> CheckResult:
        url, private = check.url, False
        if url.startswith("/"):
            endpoint = self._target.endpoint(check.service, phase, known)
            if not endpoint:
                return CheckResult(
                    name=check.name,
                    passed=False,
                    expected=describe(check),
                    found=f"{check.service} cannot be reached from here: check it with a job",
                    service=check.service,
                )
            url, private = endpoint + url, not check.anonymous
        deadline, passes, attempts, misses = started + check.deadline, 0, 0, ""
        answer = Answer(status=0, error="not asked")
        while True:
            if self._clock.stopping or self._halted():
                raise CancelledError("The run was asked to stop.")
            headers = self._target.authorization(check.service, url) if private else {}
            answer = self._probe(check.method, url, headers, check.within + 5.0)
            attempts += 1
            misses = judge(check, answer)
            passes = 0 if misses else passes + 1
            if passes >= check.passes or self._clock.now() + check.interval > deadline:
                break
            self._clock.wait(check.interval)
        passed = passes >= check.passes
        repeated = f" x{passes}" if check.passes > 1 else ""
        return CheckResult(
            name=check.name,
            passed=passed,
            expected=describe(check),
            found=misses or f"{answer.status}{repeated} in {answer.seconds * 1000:.0f} ms",
            attempts=attempts,
            seconds=self._clock.now() - started,
            service=check.service,
        )

    # -- what serves ----------------------------------------------------------------------------------------
    def _serving(self, check: ServingCheck, started: float) -> tuple[CheckResult, ...]:
        deadline = started + check.deadline
        while True:
            if self._clock.stopping or self._halted():
                raise CancelledError("The run was asked to stop.")
            self.seen = serving = self._target.serving()
            found = tuple(self._serves(serving.service(name), name) for name in check.services)
            if all(result.passed for result in found) or self._clock.now() + 1.0 > deadline:
                return found
            self._clock.wait(1.0)

    def _serves(self, state: ServiceState, name: str) -> CheckResult:
        want = self._expected(name)
        share = next((share for share in state.traffic if share.revision == state.revision), None)
        percent = sum(item.percent for item in state.traffic if item.revision == state.revision)
        right = state.digest == want.digest and (not want.revision or state.revision == want.revision)
        return CheckResult(
            name=f"{place(name)} serves the release",
            passed=bool(share) and percent == 100 and bool(want.digest) and right,
            expected=f"{short_digest(want.digest)} 100 %",
            found=f"{short_digest(state.digest)} {percent} % ({state.revision})" if share else "nothing serves",
            service=name,
        )

    # -- access and jobs ------------------------------------------------------------------------------------
    def _exposure(self, check: ExposureCheck, started: float) -> CheckResult:
        found = self._target.exposure(check.service)
        wanted, seen, passed = [], [], True
        if check.public is not None:
            words = {True: "public", False: "no public access"}
            wanted.append(words[check.public])
            seen.append(words[found.public])
            passed = found.public == check.public
        if check.ingress is not None:
            wanted.append(f"ingress {check.ingress}")
            seen.append(f"ingress {found.ingress}")
            passed = passed and found.ingress == check.ingress
        return CheckResult(
            name=check.name,
            passed=passed,
            expected=", ".join(wanted) or "known",
            found=", ".join(seen) or f"ingress {found.ingress}",
            seconds=self._clock.now() - started,
            service=check.service,
        )

    def _job(self, check: JobCheck, started: float) -> CheckResult:
        try:
            ended = self._run_job(job_step(check))
        except CancelledError:
            raise
        except (SlipwayError, StepTimeoutError) as error:
            ended = Broken(detail=str(error))
        return CheckResult(
            name=check.name,
            passed=isinstance(ended, Done),
            expected="succeeds",
            found="succeeded" if isinstance(ended, Done) else ended.detail or "failed",
            seconds=self._clock.now() - started,
        )


def job_step(check: JobCheck) -> RunJob:
    """Return the step that runs a check's job."""
    return RunJob(id=f"check-{check.job}", job=check.job, timeout=check.timeout)


def short_digest(digest: str) -> str:
    """Return what people can compare by eye: ``sha256:9c1e4f0a2b77``."""
    head, colon, rest = digest.partition(":")
    return f"{head}:{rest[:12]}" if colon else head[:12] or "unknown"


def describe(check: HttpCheck) -> str:
    """Return what a check expects, in a table cell's length."""
    parts = [str(check.status)]
    if check.passes > 1:
        parts[0] += f" x{check.passes}"
    parts += [f"{path} = {json.dumps(value)}" for path, value in check.json.items()]
    parts += [f"“{check.contains}”"] if check.contains else []
    parts += [f"{name}: {value}" for name, value in check.headers.items()]
    parts += [f"< {check.within:g} s"] if check.within != 10.0 else []
    return ", ".join(parts)


def judge(check: HttpCheck, answer: Answer) -> str:
    """Return what is not as expected, ``""`` when all is."""
    if answer.status == 0:
        return f"no answer: {answer.error}"
    if answer.status != check.status:
        return f"{answer.status}{_excerpt(answer.body)}"
    if answer.seconds > check.within:
        return f"{answer.status}, but after {answer.seconds:.1f} s"
    headers = {name.lower(): value for name, value in (answer.headers or {}).items()}
    for name, text in check.headers.items():
        if text.lower() not in headers.get(name.lower(), "").lower():
            return f"{answer.status}, {name}: {headers.get(name.lower(), 'absent')}"
    if check.contains and check.contains.encode() not in answer.body:
        return f"{answer.status}, without “{check.contains}”{_excerpt(answer.body)}"
    return _judge_json(check, answer) if check.json else ""


def _judge_json(check: HttpCheck, answer: Answer) -> str:
    try:
        data = json.loads(answer.body)
    except (ValueError, RecursionError):  # the latter of a thousand nested brackets
        return f"{answer.status}, but no JSON{_excerpt(answer.body)}"
    for path, wanted in check.json.items():
        found = _field(data, path)
        if found != wanted or isinstance(found, bool) is not isinstance(wanted, bool):  # to Python, 1 is True
            shown = "absent" if found is _ABSENT else json.dumps(found)
            return f"{answer.status}, {path} = {shown[:80]}"
    return ""


_ABSENT = object()


def _field(data: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(data, dict) and part in data:
            data = data[part]
        elif isinstance(data, list) and part.isdecimal() and int(part) < len(data):
            data = data[int(part)]
        else:
            return _ABSENT
    return data


def _excerpt(body: bytes) -> str:
    text = " ".join(body[:400].decode("utf-8", "replace").split())
    return f": {text[:80]}" if text and not text.startswith("<") else ""
