"""The signed block: it can end nothing, it is believed only where it was said, and it is whole or not there."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.core.outcome import ReleaseReport, ServiceLine
from bot.core.target import Diagnosis
from bot.report.block import Origin, Untrusted, _signature, key_id, release_facts, seal, verified
from bot.report.comment import marker, over, read_marker, release_comment, under_way
from bot.report.limits import BLOCK, COMMENT_LIMIT, apart, fit, size

MARK = marker("ic-991-0", environment="staging", sha="4f9a1c2d3e5f60718293a4b5c6d7e8f901234567")
KEY, OLD_KEY = "0123456789abcdef" * 4, "an older key, which is as long as it must be"
ORIGIN = Origin(repository="acme/shop", thread=7, command_id="ic-991-0", run_id=77, run_attempt=2)
FACTS: dict[str, Any] = {"version": 1, "repository": "acme/shop", "pull_request": 7, "command_id": "ic-991-0"}
NAMES = st.lists(
    st.text(max_size=8)
    | st.sampled_from(
        ["-->", "--!>", "--", "---", "->", "<!--", "<", ">", "\n", "\r\n", "\u2028", "\ud800", "\\", '"']
    ),
    max_size=8,
).map("".join)


def signed(report: ReleaseReport, *, key: str = KEY, origin: Origin = ORIGIN) -> str:
    return release_comment(report, marker=MARK, block=seal(release_facts(report, origin), key))


def opened(body: str, *keys: str, **over: Any) -> dict[str, Any] | Untrusted:
    return verified(body, keys or (KEY,), **{"repository": "acme/shop", **over})


def refused(body: str, *keys: str, **over: Any) -> str:
    found = opened(body, *keys, **over)
    assert isinstance(found, Untrusted), found
    return found.sentence


class Pieces(HTMLParser):
    """What a browser would see: HTML comments, and all the rest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.comments: list[str] = []
        self.rest: list[str] = []
        self.feed(text)
        self.close()

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_data(self, data: str) -> None:
        self.rest.append(data)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.rest.append(tag)

    handle_startendtag = handle_starttag

    def handle_endtag(self, tag: str) -> None:
        self.rest.append(tag)


# -- what it says -------------------------------------------------------------------------------------------------
def test_a_release_with_a_block_reads_as_in_its_golden_file(
    reports: dict[str, ReleaseReport], golden: Callable[[str, str], None]
) -> None:
    report = reports["released"]
    services = tuple(replace(line, digest=report.digest) for line in report.services)
    golden("released-signed", signed(replace(report, services=services)))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("running", {"state": "running", "reason": None, "ended": None}),
        ("released", {"state": "released", "reason": "released", "ended": "2026-01-01T14:04:01Z", "verb": "deploy"}),
        ("rolled-back", {"state": "released", "reason": "rolled_back", "verb": "rollback"}),
        ("restore-failed", {"state": "failed", "reason": "restore_failed"}),
        ("cancelled", {"state": "cancelled", "reason": "cancelled"}),
    ],
)
def test_it_says_how_a_release_stands(name: str, said: dict[str, Any], reports: dict[str, ReleaseReport]) -> None:
    where = {
        "version": 1, "repository": "acme/shop", "pull_request": 7, "command_id": "ic-991-0", "run_id": 77,
        "run_attempt": 2, "environment": "staging", "sha": reports[name].sha, "deployment_id": 1204,
        "started": "2026-01-01T14:00:00Z",
    }  # fmt: skip
    found = opened(signed(reports[name]))
    assert isinstance(found, dict)
    assert {**found, **where, **said} == found


def test_before_there_is_a_deployment_it_names_none(reports: dict[str, ReleaseReport]) -> None:
    assert release_facts(replace(reports["running"], deployment_id=0), ORIGIN)["deployment_id"] is None


@pytest.mark.parametrize(
    ("state", "line", "said"),
    [
        ("released", {"now": "web-2", "digest": "sha256:2"}, ("web-2", 100, "sha256:2")),
        ("released", {"now": "web-2", "now_percent": 25}, ("web-2", 25, None)),
        ("failed", {"now": ""}, ("", None, None)),
        ("failed", {"now": "web-2", "digest": "sha256:2", "asked": False}, (None, None, None)),
        ("running", {"now": "", "digest": ""}, (None, None, None)),
    ],
)
def test_it_says_no_more_of_a_service_than_is_known(
    state: Any, line: dict[str, Any], said: tuple[Any, ...], make_report: Callable[..., ReleaseReport]
) -> None:
    report = make_report(state=state, services=(ServiceLine(service="web", before="web-1", **line),))
    [service] = release_facts(report, ORIGIN)["services"]
    assert (service["service"], service["before"]) == ("web", "web-1")
    assert (service["now"], service["now_percent"], service["now_digest"]) == said


# -- its form -----------------------------------------------------------------------------------------------------
@given(name=NAMES, other=NAMES)
@example(name="x --> <script>alert(1)</script>", other="<!--")
@example(name="-", other="->")
@example(name="\\--", other="-----")
def test_no_name_ends_it_or_changes_what_it_says(name: str, other: str) -> None:
    facts = {**FACTS, "environment": name, "services": [{"service": other, "before": name + other}]}
    block = seal(facts, KEY)
    pieces = Pieces(block)
    assert (len(pieces.comments), pieces.rest) == (1, [])
    assert "--" not in block[4:-3]
    assert block.isascii()
    assert "\n" not in block
    assert opened(f"{MARK}\n### Title\n\n{block}\n") == facts
    assert apart(f"text\n\n{block}\n") == ("text\n", f"\n{block}\n")


def test_a_key_is_named_by_its_hash() -> None:
    assert key_id("abc") == "ba7816bf"  # FIPS 180-4, the example of SHA-256
    assert f" {key_id(KEY)} " in seal(FACTS, KEY)


def test_a_signature_is_that_of_the_rfc() -> None:
    """RFC 4231, test case 2. Its text is no JSON, so the function is held to it and not the block."""
    wanted = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert _signature("what do ya want for nothing?", "Jefe") == wanted


# -- what is believed ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("keys", "over"),
    [
        ((KEY,), {}),
        ((OLD_KEY, KEY), {"pull_request": 7}),
        ((KEY, OLD_KEY), {"repository": "Acme/SHOP"}),
    ],
)
@pytest.mark.parametrize("ends", ["", "\n", "\r\n", "\n\n  \n"])
def test_what_the_bot_has_signed_is_believed(
    keys: tuple[str, ...], over: dict[str, Any], ends: str, reports: dict[str, ReleaseReport]
) -> None:
    body = signed(reports["released"]).rstrip("\n") + ends
    assert isinstance(opened(body, *keys, **over), dict)
    assert isinstance(opened(body.replace("\n", "\r\n"), *keys, **over), dict)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda body: apart(body)[0], "no signed block"),
        (lambda _: "", "no signed block"),
        (lambda body: f"{body}\nOh, and one more thing.", "no signed block"),
        (lambda body: body.replace('"staging"', '"production"'), "The signature is wrong"),
        (lambda body: body.replace('"deployment_id":1204', '"deployment_id":1205'), "The signature is wrong"),
        (lambda body: re.sub(r"(?<=[0-9a-f]{8} )[0-9a-f]{64}", "0" * 64, body), "The signature is wrong"),
        (lambda body: re.sub(r"(?<=[0-9a-f]{8} )[0-9a-f]{64}", "0" * 63, body), "damaged"),
        (lambda body: body.rstrip()[:-5], "damaged"),
        (lambda body: body.replace(f"{BLOCK}v1", f"{BLOCK}v2"), "another version"),
        (lambda body: body.replace(f" {key_id(KEY)} ", f" {key_id(OLD_KEY)} "), "is not given"),
    ],
    ids=["none", "empty", "not last", "other environment", "other deployment", "other signature", "short", "cut",
         "version", "other key"],
)  # fmt: skip
def test_what_was_changed_is_not(change: Callable[[str], str], said: str, reports: dict[str, ReleaseReport]) -> None:
    body = signed(reports["released"])
    assert change(body) != body
    assert said in refused(change(body))


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"repository": "acme/other"}, "The block was signed for acme/shop, not for acme/other."),
        ({"repository": "acme"}, "not for acme."),
        ({"pull_request": 8}, "The block was signed for #7, not for #8."),
    ],
)
def test_what_was_said_elsewhere_is_not(over: dict[str, Any], said: str, reports: dict[str, ReleaseReport]) -> None:
    assert said in refused(signed(reports["released"]), **over)


def test_whoever_has_another_key_is_not_the_bot(reports: dict[str, ReleaseReport]) -> None:
    body = signed(reports["released"], key=OLD_KEY)
    assert refused(body) == (
        f"The comment's block is signed with the key {key_id(OLD_KEY)}, which is not given (given: {key_id(KEY)})."
    )
    assert isinstance(opened(body, KEY, OLD_KEY), dict)
    posing = body.replace(f" {key_id(OLD_KEY)} ", f" {key_id(KEY)} ")
    assert "The signature is wrong" in refused(posing)


def test_a_signed_text_of_another_version_is_not_guessed_at() -> None:
    assert "another version" in refused(seal({**FACTS, "version": 2}, KEY))


def test_a_block_that_a_log_holds_is_none(reports: dict[str, ReleaseReport]) -> None:
    """What an application logs stands in the comment: be it a block of yesterday's, only the last line counts."""
    genuine = seal({**FACTS, "state": "released"}, KEY)
    report = reports["verification-failed-restored"]
    steps = tuple(
        replace(step, diagnosis=Diagnosis(error=genuine, tail=("one", genuine))) if step.diagnosis else step
        for step in report.steps
    )
    report = replace(report, steps=steps)
    unsigned = release_comment(report, marker=MARK)
    assert f"\n{genuine}\n" in unsigned
    assert apart(unsigned) == (unsigned, "")
    assert "no signed block" in refused(unsigned)
    found = opened(signed(report))
    assert isinstance(found, dict)
    assert found["state"] == "failed"


# -- what the bot itself reads ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "body",
    ["{block}", "{block}\n### 🟢 `4f9a1c2` is live", "Look:\n\n{block}\n", "> {block}", "{block}{marker}\n### 🟡 x"],
)
def test_a_block_is_no_marker(body: str) -> None:
    text = body.format(block=seal({**FACTS, "state": "released"}, KEY), marker=MARK)
    assert (read_marker(text), under_way(text), over(text)) == ({}, False, False)


@pytest.mark.parametrize("name", ["running", "released", "restore-failed"])
def test_a_comment_says_the_same_of_itself_with_a_block(name: str, reports: dict[str, ReleaseReport]) -> None:
    plain, body = release_comment(reports[name], marker=MARK), signed(reports[name])
    assert body.startswith(plain.rstrip("\n"))
    for read in (read_marker, under_way, over):
        assert read(body) == read(plain)


# -- its length ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("width", [450, 20])
def test_a_long_comment_is_cut_before_its_block(width: int, reports: dict[str, ReleaseReport]) -> None:
    report = reports["verification-failed-restored"]
    noise = Diagnosis(error="KeyError: 'SITE_URL'", tail=tuple("n" * width for _ in range(9000)))
    body = signed(replace(report, steps=tuple(replace(step, state="failed", diagnosis=noise) for step in report.steps)))
    lines = [f"| row {number} |" for number in range(9000)]
    for long in (body.replace("**Next:**", "\n".join(lines) + "\n\n**Next:**"), "x" * 70_000 + f"\n{apart(body)[1]}"):
        fitted = fit(long)
        assert size(fitted.body) <= COMMENT_LIMIT
        assert BLOCK not in fitted.overflow
        found = opened(fitted.body)
        assert isinstance(found, dict)
        assert found["state"] == "failed"


@given(logs=st.lists(st.text(max_size=60), max_size=40), limit=st.integers(300, 4000), services=st.integers(0, 6))
def test_a_block_is_whole_or_not_there(logs: list[str], limit: int, services: int) -> None:
    block = seal({**FACTS, "services": [{"service": f"web-{number}"} for number in range(services)]}, KEY)
    text = "\n".join([MARK, "### Title", *("".join(log.splitlines()) for log in logs), ""])
    fitted = fit(f"{text}\n{block}\n", limit=limit)
    assert size(fitted.body) <= limit
    assert BLOCK not in fitted.overflow
    assert fitted.body.count(BLOCK) == fitted.body.endswith(f"\n{block}\n")
    if size(block) + 2 <= limit // 4:
        assert block in fitted.body


def test_a_block_that_would_crowd_people_out_is_left_out(make_report: Callable[..., ReleaseReport]) -> None:
    many = tuple(ServiceLine(service=f"service-{number}", now="x" * 60) for number in range(400))
    fitted = fit(signed(make_report(services=many)))
    assert BLOCK not in fitted.body + fitted.overflow
    assert "is live" in fitted.body
