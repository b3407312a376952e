"""Builds over the wire: found, started once, and judged."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
import requests

from bot.core.plan import Build, Rollout
from bot.core.serving import Artifact, Serving
from bot.core.target import Absent, Broken, Diagnosis, Done, Known, Running
from bot.errors import NotFoundError, UpstreamError
from bot.targets.heroku import HerokuApp

SHA = "0123456789abcdef0123456789abcdef01234567"
STEP = Build()
LINK = "https://dashboard.heroku.com/apps/shop-staging/activity/builds/b2"
PUT, GET = "https://storage.example/put?Signature=secret", "https://storage.example/get?Signature=secret"


def test_a_build_of_this_release_is_found(wire: Any, target: HerokuApp, known: Known, make_build: Any) -> None:
    wire.on("GET", "/builds", [make_build("b3", source_blob={"version": "f" * 40}), make_build("b2")])
    assert target.observe(STEP, known) == Running(handle="b2", detail="building", link=LINK)
    assert wire.calls[0].headers["Range"] == "created_at ..; order=desc,max=20;"


@pytest.mark.parametrize(
    "over",
    [
        {"id_": "b0", "created_at": "2026-03-02T08:59:59Z"},  # older than the newest before
        {"id_": "b1", "created_at": "2026-03-02T09:00:00Z"},  # the newest before itself
        {"source_blob": {"version": None}},
        {"source_blob": {"version": "f" * 40}},
    ],
)
def test_another_releases_build_is_not_taken(
    wire: Any, target: HerokuApp, known: Known, make_build: Any, over: dict[str, Any]
) -> None:
    wire.on("GET", "/builds", [make_build(status="failed", **over)])
    assert target.observe(STEP, known) == Absent()


def test_a_build_of_the_same_second_is_told_apart(wire: Any, target: HerokuApp, known: Known, make_build: Any) -> None:
    at = "2026-03-02T09:00:00Z"
    wire.on("GET", "/builds", [make_build("b1", "failed", created_at=at), make_build("b2", created_at=at)])
    assert target.observe(STEP, known) == Running(handle="b2", detail="building", link=LINK)


def test_without_marks_every_build_of_the_sha_counts(
    wire: Any, target: HerokuApp, known: Known, make_build: Any
) -> None:
    wire.on("GET", "/builds", [make_build("b1", slug="s")])
    assert target.observe(STEP, replace(known, before=Serving())) == Running(
        handle="b1", detail="building", link=LINK.replace("b2", "b1")
    )


def test_a_known_build_is_asked_for_by_its_id(wire: Any, target: HerokuApp, built: Known, make_build: Any) -> None:
    wire.on("GET", "/builds/b2", make_build(status="succeeded", slug="slug-new"))
    artifact = Artifact(digest="slug-new", reference="slug-new", sha=SHA, link=LINK)
    assert target.observe(STEP, built) == Done(handle="b2", link=LINK, artifact=artifact)


def test_a_failed_build_has_its_own_words(wire: Any, target: HerokuApp, built: Known, make_build: Any) -> None:
    output = (
        '-----> Python app detected\n         File "x.py"\n       SyntaxError: invalid syntax\n'
        " !     bin/post_compile exited with status 1\n !     Push failed\n"
    )
    wire.on("GET", "/builds/b2", make_build(status="failed"))
    wire.on("GET", "//streams/b2", output)
    assert target.observe(STEP, built) == Broken(
        handle="b2", detail="The build failed: bin/post_compile exited with status 1", link=LINK
    )
    assert "Authorization" not in wire.made("GET", "/streams/b2")[0].headers  # it is another host's
    found = target.diagnose(STEP, built)
    assert (found.error, found.tail[-1], found.link) == ("SyntaxError: invalid syntax", " !     Push failed", LINK)


@pytest.mark.parametrize("reply", ["nothing of use", (404, "gone"), requests.ConnectionError()])
def test_a_failed_build_without_words_is_still_failed(
    wire: Any, target: HerokuApp, built: Known, make_build: Any, reply: Any
) -> None:
    wire.on("GET", "/builds/b2", make_build(status="failed"))
    wire.on("GET", "//streams/b2", reply)
    assert target.observe(STEP, built) == Broken(handle="b2", detail="The build failed.", link=LINK)


def test_a_build_of_a_container_is_not_for_the_bot(wire: Any, target: HerokuApp, built: Known, make_build: Any) -> None:
    wire.on("GET", "/builds/b2", make_build(status="succeeded", output_stream_url=None))
    seen = target.observe(STEP, built)
    assert isinstance(seen, Broken)
    assert "no slug" in seen.detail


def test_the_source_goes_up_and_a_build_starts(wire: Any, target: HerokuApp, known: Known, make_build: Any) -> None:
    wire.on("POST", "//sources", {"source_blob": {"put_url": PUT, "get_url": GET}})
    wire.on("PUT", PUT.partition("?")[0], (503, ""), (200, ""))
    wire.on("POST", "/builds", (201, make_build()))
    assert target.apply(STEP, known) == Running(handle="b2", detail="building", link=LINK)
    first, put = (call for call in wire.calls if call.method == "PUT")
    assert first.body == put.body == b"\x1f\x8bsource"
    assert put.headers["Content-Length"] == "8"
    assert not {"Content-Type", "Authorization", "Transfer-Encoding"} & set(put.headers)
    checksum = f"SHA256:{hashlib.sha256(put.body).hexdigest()}"
    (build,) = wire.made("POST", "/builds")
    assert build.body == {"source_blob": {"url": GET, "version": SHA, "checksum": checksum}}


@pytest.mark.parametrize("status", [302, 403])
def test_a_refused_upload_starts_nothing_and_hides_its_address(
    wire: Any, target: HerokuApp, known: Known, status: int
) -> None:
    wire.on("POST", "//sources", {"source_blob": {"put_url": PUT, "get_url": GET}})
    wire.on("PUT", PUT.partition("?")[0], (status, "<Error/>", {"Location": "https://elsewhere.example"}))
    with pytest.raises(UpstreamError) as caught:
        target.apply(STEP, known)
    assert str(caught.value) == f"Heroku refused to upload the source: status {status}"
    assert wire.made("POST", "/builds") == []


def test_an_empty_source_is_not_uploaded(wire: Any, make_target: Any, known: Known) -> None:
    with pytest.raises(UpstreamError, match="empty"):
        make_target(chunks=()).apply(STEP, known)
    assert wire.calls == []


def test_a_lost_reply_is_not_answered_by_a_second_build(
    wire: Any, target: HerokuApp, known: Known, make_build: Any
) -> None:
    wire.on("POST", "//sources", {"source_blob": {"put_url": PUT, "get_url": GET}})
    wire.on("PUT", PUT.partition("?")[0], (200, ""))
    wire.on("POST", "/builds", requests.ConnectionError())
    wire.on("GET", "/builds", [make_build()])
    with pytest.raises(UpstreamError) as caught:
        target.apply(STEP, known)
    assert caught.value.status == 0
    assert len(wire.made("POST", "/builds")) == 1
    assert target.observe(STEP, known) == Running(handle="b2", detail="building", link=LINK)


def test_an_app_that_is_not_there_is_named_by_heroku(wire: Any, target: HerokuApp, known: Known) -> None:
    wire.on("GET", "/builds", (404, {"id": "not_found", "message": "Couldn't find that app."}))
    with pytest.raises(NotFoundError, match="Couldn't find that app"):
        target.observe(STEP, known)


def test_cancelling_says_that_a_build_goes_on(wire: Any, target: HerokuApp, built: Known, make_build: Any) -> None:
    wire.on("GET", "/builds/b2", make_build(), make_build(status="succeeded", slug="slug-new"))
    with pytest.raises(UpstreamError, match="cannot cancel a build"):
        target.cancel(STEP, built)
    target.cancel(STEP, built)
    target.cancel(Rollout(id="rollout-app", service="app", timeout=1.0), built)
    assert {call.method for call in wire.calls} == {"GET"}


def test_there_is_nothing_to_read_of_a_build_that_is_not_there(wire: Any, target: HerokuApp, known: Known) -> None:
    wire.on("GET", "/builds", [], (404, {}))
    assert target.diagnose(STEP, known) == Diagnosis()
    assert target.diagnose(STEP, known) == Diagnosis()
