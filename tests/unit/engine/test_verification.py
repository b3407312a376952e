from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from bot.core.checks import ExposureCheck, HttpCheck, JobCheck, ServingCheck
from bot.core.serving import ServiceState, Serving, TrafficShare
from bot.core.target import Broken, Done, Exposure
from bot.engine.verification import Answer, Expected, Verifier, describe, judge, short_digest
from bot.errors import AuthError, CancelledError, UpstreamError


class Probe:
    """Gives its answers one after the other, the last one again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers) or [Answer(status=200, seconds=0.012)]
        self.asked: list[tuple[str, str, dict[str, str], float]] = []

    def __call__(self, method: str, url: str, headers: Mapping[str, str], timeout: float) -> Answer:
        self.asked.append((method, url, dict(headers), timeout))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def verify(
    target: Any, clock: Any, known: Any, *checks: Any, probe: Any = None, phase: Any = "live", **over: Any
) -> Any:
    defaults: dict[str, Any] = {
        "expected": lambda _: Expected(digest="sha256:1"),
        "run_job": lambda _: Done(),
        "halted": lambda: False,
    }
    made = Verifier(target, clock, probe or Probe(), **{**defaults, **over})
    return made.run(phase, checks, known)


def http(**over: Any) -> HttpCheck:
    return HttpCheck(**{"name": "/", "url": "/", "service": "web", "deadline": 10.0, **over})


OK, ERROR = Answer(status=200, seconds=0.012), Answer(status=500, body=b"boom")


# -- judging an answer --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("check", "answer", "misses"),
    [
        ({}, {}, ""),
        ({}, {"status": 0, "error": "timed out"}, "no answer: timed out"),
        ({}, {"status": 500, "body": b"division\n by   zero"}, "500: division by zero"),
        ({}, {"status": 500, "body": b"<html>nothing to read</html>"}, "500"),
        ({}, {"status": 302}, "302"),
        ({"status": 302}, {"status": 302}, ""),
        ({"status": 401}, {"status": 200}, "200"),
        ({"within": 0.5}, {"seconds": 0.7}, "200, but after 0.7 s"),
        ({"within": 0.5}, {"seconds": 0.5}, ""),
        ({"contains": "Shop"}, {"body": b"<h1>Shop</h1>"}, ""),
        ({"contains": "größer"}, {"body": "größer".encode()}, ""),
        ({"contains": "Shop"}, {"body": b"Maintenance"}, "200, without “Shop”: Maintenance"),
        ({"headers": {"X-Frame-Options": "deny"}}, {"headers": {"x-frame-options": "DENY"}}, ""),
        ({"headers": {"Strict": "max-age"}}, {"headers": {}}, "200, Strict: absent"),
        ({"headers": {"Strict": "max-age"}}, {"headers": None}, "200, Strict: absent"),
        ({"headers": {"Server": "nginx"}}, {"headers": {"server": "caddy"}}, "200, Server: caddy"),
        ({"json": {"a": 1}}, {"body": b'{"a": 1}'}, ""),
        ({"json": {"a.b.c": "x"}}, {"body": b'{"a": {"b": {"c": "x"}}}'}, ""),
        ({"json": {"checks.1.ok": True}}, {"body": b'{"checks": [{"ok": false}, {"ok": true}]}'}, ""),
        ({"json": {"checks.2.ok": True}}, {"body": b'{"checks": []}'}, "200, checks.2.ok = absent"),
        ({"json": {"checks.-1": 1}}, {"body": b'{"checks": [1]}'}, "200, checks.-1 = absent"),
        ({"json": {"a": None}}, {"body": b'{"a": null}'}, ""),
        ({"json": {"a": None}}, {"body": b"{}"}, "200, a = absent"),
        ({"json": {"a": "1"}}, {"body": b'{"a": 1}'}, "200, a = 1"),
        ({"json": {"a": True}}, {"body": b'{"a": 1}'}, "200, a = 1"),
        ({"json": {"a": 0}}, {"body": b'{"a": false}'}, "200, a = false"),
        ({"json": {"a": 1}}, {"body": b"[]"}, "200, a = absent"),
        ({"json": {"a": 1}}, {"body": b"not json"}, "200, but no JSON: not json"),
        ({"json": {"a": 1}}, {"body": b"\xff\xfe"}, "200, but no JSON: \ufffd\ufffd"),
        ({"json": {"a": 1}}, {"body": b"[" * 200_000}, "200, but no JSON: " + "[" * 80),
    ],
)
def test_an_answer_is_held_against_the_check(check: Any, answer: Any, misses: str) -> None:
    assert judge(http(**check), Answer(**{"status": 200, **answer})) == misses


def test_what_is_found_is_short_enough_for_a_cell() -> None:
    big = json.dumps({"a": "x" * 5000}).encode()
    assert len(judge(http(json={"a": 1}), Answer(status=200, body=big))) < 120
    assert len(judge(http(), Answer(status=500, body=b"y" * 5000))) < 120


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({}, "200"),
        ({"passes": 3}, "200 x3"),
        ({"json": {"status": "ok", "n": 1}}, '200, status = "ok", n = 1'),
        ({"contains": "Shop", "headers": {"Server": "x"}, "within": 0.8}, "200, “Shop”, Server: x, < 0.8 s"),
    ],
)
def test_what_is_expected_is_said(check: Any, words: str) -> None:
    assert describe(http(**check)) == words


@pytest.mark.parametrize(
    ("digest", "words"),
    [("sha256:" + "ab" * 32, "sha256:abababababab"), ("", "unknown"), ("0123456789abcdef", "0123456789ab")],
)
def test_digests_are_cut_for_people(digest: str, words: str) -> None:
    assert short_digest(digest) == words


# -- asking until it is well ----------------------------------------------------------------------------------------
def test_one_pass_is_enough(target: Any, clock: Any, known: Any) -> None:
    probe = Probe()
    (result,) = verify(target, clock, known, http(), probe=probe)
    assert (result.passed, result.attempts, result.service) == (True, 1, "web")
    assert result.found == "200 in 12 ms"
    assert clock.waits == []


@pytest.mark.parametrize(
    ("phase", "url"), [("candidate", "https://web-candidate.test/x"), ("live", "https://web-live.test/x")]
)
def test_a_path_is_asked_of_the_phases_own_url_with_a_token(
    target: Any, clock: Any, known: Any, phase: str, url: str
) -> None:
    probe = Probe()
    verify(target, clock, known, http(url="/x", method="HEAD", within=2.0), probe=probe, phase=phase)
    assert probe.asked == [("HEAD", url, {"Authorization": "Bearer t"}, 7.0)]
    assert target.tokens == [("web", url)]


def test_expected_refusals_are_asked_without_a_token(target: Any, clock: Any, known: Any) -> None:
    probe = Probe(Answer(status=401))
    (result,) = verify(target, clock, known, http(status=401, anonymous=True), probe=probe)
    assert result.passed
    assert probe.asked[0][2] == {}
    assert target.tokens == []


def test_an_absolute_url_never_gets_a_token(target: Any, clock: Any, known: Any) -> None:
    probe = Probe()
    verify(target, clock, known, http(url="https://elsewhere.test/", service=""), probe=probe)
    assert probe.asked[0][1:3] == ("https://elsewhere.test/", {})
    assert target.calls == []


def test_a_service_that_cannot_be_reached_fails_without_being_asked(target: Any, clock: Any, known: Any) -> None:
    target.endpoints["web"] = ""
    probe = Probe()
    (result,) = verify(target, clock, known, http(), probe=probe)
    assert (result.passed, result.found) == (False, "web cannot be reached from here: check it with a job")
    assert probe.asked == []


def test_passes_must_follow_each_other(target: Any, clock: Any, known: Any) -> None:
    probe = Probe(OK, OK, ERROR, OK, OK, OK)
    (result,) = verify(target, clock, known, http(passes=3), probe=probe)
    assert (result.passed, result.attempts) == (True, 6)
    assert result.found == "200 x3 in 12 ms"
    assert clock.waits == [1.0] * 5


def test_the_deadline_ends_it_with_what_was_seen_last(target: Any, clock: Any, known: Any) -> None:
    probe = Probe(Answer(status=0, error="connection refused"), ERROR)
    (result,) = verify(target, clock, known, http(deadline=3.0), probe=probe)
    assert (result.passed, result.found, result.attempts) == (False, "500: boom", 4)
    assert result.seconds == pytest.approx(3.0)


def test_too_few_passes_in_time_are_no_pass(target: Any, clock: Any, known: Any) -> None:
    (result,) = verify(target, clock, known, http(passes=9, deadline=2.0))
    assert (result.passed, result.expected, result.found) == (False, "200 x9", "200 x3 in 12 ms")


def test_a_slow_start_may_use_its_time(target: Any, clock: Any, known: Any) -> None:
    probe = Probe(*[ERROR] * 5, OK)
    (result,) = verify(target, clock, known, http(interval=0.5), probe=probe)
    assert (result.passed, result.attempts, clock.waits) == (True, 6, [0.5] * 5)


def test_a_token_that_cannot_be_had_is_an_error(target: Any, clock: Any, known: Any) -> None:
    class NoTokens:
        def __getattr__(self, name: str) -> Any:
            return getattr(target, name)

        def authorization(self, _service: str, _url: str) -> Any:
            raise AuthError("No identity token.")

    with pytest.raises(AuthError):
        verify(NoTokens(), clock, known, http())


@pytest.mark.parametrize("how", ["stop", "halt"])
@pytest.mark.parametrize("check", [http(), ServingCheck(name="serving", services=("web",))])
def test_checks_end_when_the_run_does(target: Any, clock: Any, known: Any, how: str, check: Any) -> None:
    if how == "stop":
        clock.stop()
    with pytest.raises(CancelledError):
        verify(target, clock, known, check, halted=lambda: how == "halt")


def test_no_checks_are_no_results(target: Any, clock: Any, known: Any) -> None:
    assert verify(target, clock, known) == ()


def test_results_come_in_the_order_of_the_checks(target: Any, clock: Any, known: Any, make_state: Any) -> None:
    target.live = [Serving(services=(make_state("web", "w2"), make_state("worker", "k2")))]
    target.exposures["web"] = Exposure(public=True, ingress="all")
    checks = (
        http(name="a"),
        ServingCheck(name="serving", services=("web", "worker")),
        ExposureCheck(name="access", service="web"),
        JobCheck(name="job smoke", job="smoke", timeout=5.0),
    )
    names = [result.name for result in verify(target, clock, known, *checks)]
    assert names == ["a", "web serves the release", "worker serves the release", "access", "job smoke"]


# -- what serves ----------------------------------------------------------------------------------------------------
def test_what_serves_may_take_a_while(target: Any, clock: Any, known: Any, make_state: Any) -> None:
    old, new = (
        Serving(services=(make_state("web", name, digest),)) for name, digest in (("w1", "x"), ("w2", "sha256:1"))
    )
    target.live = [old, old, new]
    (result,) = verify(target, clock, known, ServingCheck(name="s", services=("web",), deadline=10.0))
    assert (result.passed, result.expected, result.found) == (True, "sha256:1 100 %", "sha256:1 100 % (w2)")
    assert clock.waits == [1.0, 1.0]


SPLIT = ServiceState(
    service="web",
    traffic=(TrafficShare(revision="w2", percent=90), TrafficShare(revision="w1", percent=10)),
    digests={"w2": "sha256:1"},
)
TWICE = ServiceState(
    service="web",
    traffic=(TrafficShare(revision="w2", percent=60), TrafficShare(revision="w2", percent=40, tag="pr-7")),
    digests={"w2": "sha256:1"},
)


@pytest.mark.parametrize(
    ("state", "expected", "passed", "found"),
    [
        (SPLIT, Expected(digest="sha256:1"), False, "sha256:1 90 % (w2)"),
        (TWICE, Expected(digest="sha256:1"), True, "sha256:1 100 % (w2)"),
        (TWICE, Expected(digest="sha256:2"), False, "sha256:1 100 % (w2)"),
        (TWICE, Expected(digest="sha256:1", revision="w1"), False, "sha256:1 100 % (w2)"),
        (TWICE, Expected(digest="sha256:1", revision="w2"), True, "sha256:1 100 % (w2)"),
        (ServiceState(service="web", exists=False), Expected(digest="sha256:1"), False, "nothing serves"),
        (ServiceState(service="web", exists=False), Expected(digest=""), False, "nothing serves"),
        (
            ServiceState(service="web", traffic=(TrafficShare(revision="w9", percent=100),)),
            Expected(digest=""),
            False,
            "unknown 100 % (w9)",
        ),
    ],
)
def test_what_serves_is_held_against_what_was_released(
    target: Any, clock: Any, known: Any, state: Any, expected: Any, passed: bool, found: str
) -> None:
    target.live = [Serving(services=(state,))]
    check = ServingCheck(name="s", services=("web",), deadline=0.5)
    (result,) = verify(target, clock, known, check, expected=lambda _: expected)
    assert (result.passed, result.found, result.service) == (passed, found, "web")


# -- access and jobs --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("over", "exposure", "passed", "expected", "found"),
    [
        ({"public": False}, Exposure(public=False, ingress="all"), True, "no public access", "no public access"),
        ({"public": False}, Exposure(public=True, ingress="all"), False, "no public access", "public"),
        ({"ingress": "internal"}, Exposure(public=True, ingress="all"), False, "ingress internal", "ingress all"),
        (
            {"public": True, "ingress": "all"},
            Exposure(public=True, ingress="all"),
            True,
            "public, ingress all",
            "public, ingress all",
        ),
        ({"public": True, "ingress": "all"}, Exposure(public=False, ingress="all"), False, "public, ingress all",
         "no public access, ingress all"),
        ({}, Exposure(public=True, ingress="internal"), True, "known", "ingress internal"),
    ],
)  # fmt: skip
def test_who_can_reach_a_service(
    target: Any, clock: Any, known: Any, over: Any, exposure: Any, passed: bool, expected: str, found: str
) -> None:
    target.exposures["worker"] = exposure
    (result,) = verify(target, clock, known, ExposureCheck(name="access", service="worker", **over))
    assert (result.passed, result.expected, result.found, result.service) == (passed, expected, found, "worker")


@pytest.mark.parametrize(
    ("ended", "passed", "found"),
    [
        (Done(), True, "succeeded"),
        (Broken(detail="exit code 3"), False, "exit code 3"),
        (Broken(), False, "failed"),
        (UpstreamError("It said no.", service="s", operation="o", status=403), False, "It said no."),
    ],
)
def test_a_job_as_a_check(target: Any, clock: Any, known: Any, ended: Any, passed: bool, found: str) -> None:
    asked: list[Any] = []

    def run_job(step: Any) -> Any:
        asked.append(step)
        if isinstance(ended, Exception):
            raise ended
        return ended

    (result,) = verify(target, clock, known, JobCheck(name="job smoke", job="smoke", timeout=5.0), run_job=run_job)
    assert (result.passed, result.expected, result.found) == (passed, "succeeds", found)
    assert (asked[0].id, asked[0].job, asked[0].timeout) == ("check-smoke", "smoke", 5.0)


def test_a_cancelled_job_cancels_the_check(target: Any, clock: Any, known: Any) -> None:
    def run_job(_: Any) -> Any:
        raise CancelledError("Stop.")

    with pytest.raises(CancelledError):
        verify(target, clock, known, JobCheck(name="job smoke", job="smoke", timeout=5.0), run_job=run_job)
