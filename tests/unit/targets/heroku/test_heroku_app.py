"""What serves, releases, dynos, the way back and logs over the wire."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from bot.core.plan import Restore, Rollout, RunJob, Shift
from bot.core.questions import LogLine, LogQuery
from bot.core.serving import ServiceState, Serving, TrafficShare, serving_from_json, serving_to_json
from bot.core.spec import HerokuSpec
from bot.core.target import Absent, Broken, Diagnosis, Done, Exposure, Known, Running, Target, Traits
from bot.errors import ForbiddenError, UpstreamError
from bot.targets import connect, prepare
from bot.targets.heroku import HerokuApp

SHA = "0123456789abcdef0123456789abcdef01234567"
ROLLOUT = Rollout(id="rollout-app", service="app", timeout=60.0)
APP = {"web_url": "https://shop.example/", "maintenance": False}
WEB = [{"type": "web", "quantity": 1}, {"type": "worker", "quantity": 0}]


def seen_again(wire: Any, target: HerokuApp, known: Known) -> Any:
    """Observe a rollout twice, three seconds apart."""
    first = target.observe(ROLLOUT, known)
    assert isinstance(first, Running)
    assert first.detail.endswith(": staying up?")
    wire.now += 3.0
    return target.observe(ROLLOUT, known)


def page(version: int) -> str:
    return f"https://dashboard.heroku.com/apps/shop-staging/activity/releases/r{version}"


def dyno(name: str, state: str, version: int) -> dict[str, Any]:
    return {"name": name, "type": name.partition(".")[0], "state": state, "release": {"version": version}}


# -- what serves ---------------------------------------------------------------------------------------------
def test_what_serves_is_the_current_release_and_its_commit(
    wire: Any, target: HerokuApp, make_release: Any, make_build: Any
) -> None:
    wire.on("GET", "", APP | {"maintenance": True})
    wire.on("GET", "/releases", [make_release(43, "slug-bad", "failed"), make_release(42, "slug-old", current=True)])
    wire.on("GET", "/builds", [make_build("b1", "failed"), make_build("b0", created_at="2026-03-01T00:00:00Z")])
    wire.on("GET", "/slugs/slug-old", {"commit": SHA})
    serving = target.serving()
    assert serving.services == (
        ServiceState(
            service="app",
            url="https://shop.example",
            traffic=(TrafficShare(revision="v42", percent=100),),
            digests={"v42": "slug-old"},
            labels={"v42": {"slipway-sha": SHA}},
            settings={
                "maintenance": True,
                "last_release": 43,
                "last_build_at": "2026-03-02T10:00:00Z",
                "last_builds": ["b1"],
            },
        ),
    )
    assert serving_from_json(serving_to_json(serving)) == serving
    assert target.serving() == serving
    assert len(wire.made("GET", "/slugs/slug-old")) == 1  # a slug never changes


def test_a_slug_without_a_commit_has_no_sha(wire: Any, target: HerokuApp, make_release: Any) -> None:
    wire.on("GET", "", APP)
    wire.on("GET", "/builds", [])
    wire.on("GET", "/releases", [make_release(42, "slug-old", current=True)])
    wire.on("GET", "/slugs/slug-old", {"commit": None})
    assert target.serving().service("app").labels == {"v42": {}}


def test_an_app_without_code_serves_nothing(wire: Any, target: HerokuApp, make_release: Any) -> None:
    wire.on("GET", "", {"web_url": None})
    wire.on("GET", "/builds", [])
    wire.on("GET", "/releases", [make_release(2, None, current=True)])
    state = target.serving().service("app")
    assert (state.exists, state.revision, state.url, state.settings["last_release"]) == (False, "", "", 2)


def test_an_app_that_is_not_there_serves_nothing(wire: Any, target: HerokuApp) -> None:
    for path in ("", "/builds", "/releases"):
        wire.on("GET", path, (404, {"message": "Couldn't find that app."}))
    assert target.serving() == Serving(services=(ServiceState(service="app", exists=False),))


# -- the release of a build ----------------------------------------------------------------------------------
def test_a_rollout_waits_for_the_release_phase_and_the_dynos(
    wire: Any, target: HerokuApp, built: Known, make_release: Any
) -> None:
    old, new = make_release(42, "slug-old", current=True), make_release(44, "slug-new", "pending")
    ended = make_release(44, "slug-new")
    now = [ended | {"current": True}, old | {"current": False}]
    wire.on("GET", "/releases", [old], [new, old], [ended, old], now)
    wire.on("GET", "/formation", WEB)
    wire.on(
        "GET",
        "/dynos",
        [dyno("web.1", "up", 42), dyno("run.7", "crashed", 44)],  # one still of the old release, and a one-off
        [dyno("web.1", "starting", 44)],
        [dyno("web.1", "up", 44)],
    )
    assert [target.observe(ROLLOUT, built) for _ in range(6)] == [
        Running(detail="waiting for the release"),
        Running(detail="v44: release phase", handle="v44", link=page(44)),
        Running(detail="v44 takes its place", handle="v44", link=page(44)),
        Running(detail="v44: starting dynos (web 0/1)", handle="v44", link=page(44), serves=True),
        Running(detail="v44: starting dynos (web 0/1)", handle="v44", link=page(44), serves=True),
        Running(detail="v44 (web 1/1): staying up?", handle="v44", link=page(44), serves=True),
    ]
    wire.now += 2.9
    assert target.observe(ROLLOUT, built) == Running(
        detail="v44 (web 1/1): staying up?", handle="v44", link=page(44), serves=True
    )
    wire.now += 0.1
    assert target.observe(ROLLOUT, built) == Done(detail="v44 (web 1/1)", handle="v44", link=page(44))
    assert wire.made("GET", "/releases")[0].headers["Range"] == "version ..; order=desc,max=50;"
    assert target.apply(ROLLOUT, built) == Running(detail="waiting for the release")
    assert {call.method for call in wire.calls} == {"GET"}


def test_without_a_slug_no_release_is_taken_for_ones_own(
    wire: Any, target: HerokuApp, known: Known, make_release: Any
) -> None:
    wire.on("GET", "/releases", [make_release(2, None, current=True)])
    assert target.observe(ROLLOUT, known) == Running(detail="waiting for the release")


@pytest.mark.parametrize(
    ("crashed", "words"),
    [
        ("web.1", "web.1 crashed while starting v44. Visitors get H10 (App crashed)."),
        ("worker.1", "worker.1 crashed while starting v44."),
    ],
)
def test_a_crashed_dyno_breaks_a_rollout(
    wire: Any, target: HerokuApp, built: Known, make_release: Any, crashed: str, words: str
) -> None:
    wire.on("GET", "/releases", [make_release(44, "slug-new", current=True)])
    wire.on("GET", "/formation", [{"type": "web", "quantity": 1}, {"type": "worker", "quantity": 1}])
    dynos = [dyno("web.1", "up", 44), dyno("worker.1", "up", 44)]
    wire.on("GET", "/dynos", [item | {"state": "crashed"} if item["name"] == crashed else item for item in dynos])
    assert target.observe(ROLLOUT, built) == Broken(handle="v44", detail=words, link=page(44), serves=True)


def test_a_dyno_that_crashes_after_it_was_up_breaks_a_rollout(
    wire: Any, target: HerokuApp, built: Known, make_release: Any
) -> None:
    wire.on("GET", "/releases", [make_release(44, "slug-new", current=True)])
    wire.on("GET", "/formation", WEB)
    wire.on("GET", "/dynos", [dyno("web.1", "up", 44)], [dyno("web.1", "crashed", 44)])
    assert isinstance(seen_again(wire, target, built), Broken)


def test_an_app_scaled_to_nothing_is_rolled_out(wire: Any, target: HerokuApp, built: Known, make_release: Any) -> None:
    wire.on("GET", "/releases", [make_release(44, "slug-new", current=True)])
    wire.on("GET", "/formation", [])
    wire.on("GET", "/dynos", [])
    assert seen_again(wire, target, built) == Done(handle="v44", detail="v44 (no dynos)", link=page(44))


@pytest.mark.parametrize(
    ("slug", "words"),
    [("slug-old", "The release phase of v44 failed; v42 still serves."), (None, "The release phase of v44 failed.")],
)
def test_a_failed_release_phase_breaks_a_rollout(
    wire: Any, target: HerokuApp, built: Known, make_release: Any, slug: str | None, words: str
) -> None:
    wire.on("GET", "/releases", [make_release(44, "slug-new", "failed"), make_release(42, slug, current=True)])
    assert target.observe(ROLLOUT, built) == Broken(handle="v44", detail=words, link=page(44))


def test_a_release_that_somebody_replaced_is_broken(
    wire: Any, target: HerokuApp, built: Known, make_release: Any
) -> None:
    wire.on("GET", "/releases", [make_release(45, "slug-x", current=True), make_release(44, "slug-new")])
    seen = target.observe(ROLLOUT, built)
    assert isinstance(seen, Broken)
    assert "v45, which is not of this release" in seen.detail


def test_new_config_vars_of_somebody_do_not_break_a_rollout(
    wire: Any, target: HerokuApp, built: Known, make_release: Any
) -> None:
    wire.on("GET", "/releases", [make_release(45, "slug-new", current=True), make_release(44, "slug-new")])
    wire.on("GET", "/formation", WEB)
    wire.on("GET", "/dynos", [dyno("web.1", "up", 45)])
    assert seen_again(wire, target, built) == Done(handle="v45", detail="v45 (web 1/1)", link=page(45))


# -- the way back --------------------------------------------------------------------------------------------
@pytest.fixture
def restore(before: Serving) -> Restore:
    return Restore(id="undo", to=before, timeout=60.0)


def test_a_failed_release_phase_left_the_old_release_serving(
    wire: Any, target: HerokuApp, built: Known, restore: Restore, make_release: Any, make_build: Any
) -> None:
    wire.on("GET", "/builds", [make_build(status="succeeded", slug="slug-new")])
    wire.on("GET", "/releases", [make_release(44, "slug-new", "failed"), make_release(42, "slug-old", current=True)])
    assert target.observe(restore, built) == Done(
        handle="v42", detail="v42 still serves: v44 never served", link=page(42)
    )


def test_nothing_new_was_released(
    wire: Any, target: HerokuApp, built: Known, restore: Restore, make_release: Any, make_build: Any
) -> None:
    wire.on("GET", "/builds", [make_build(status="failed")])
    wire.on("GET", "/releases", [make_release(42, "slug-old", current=True)])
    assert target.observe(restore, built) == Done(handle="v42", detail="v42 still serves", link=page(42))


def test_without_a_release_before_there_is_no_way_back(wire: Any, target: HerokuApp, built: Known) -> None:
    for to in (Serving(), Serving(services=(ServiceState(service="app"),))):
        seen = target.observe(Restore(id="undo", to=to, timeout=1.0), built)
        assert seen == Done(detail="There was no release before: nothing to go back to.")
    assert wire.calls == []


def test_a_bad_release_is_rolled_back(
    wire: Any, target: HerokuApp, built: Known, restore: Restore, make_release: Any, make_build: Any
) -> None:
    bad, back = make_release(44, "slug-new", current=True), make_release(45, "slug-old", "pending")
    ended = back | {"status": "succeeded", "current": True, "output_stream_url": "https://output.example/x"}
    wire.on("GET", "/builds", [make_build(status="succeeded", slug="slug-new")])
    wire.on("GET", "/releases", [bad], [back, bad], [ended, bad | {"current": False}])
    wire.on("GET", "/releases/42", make_release(42, "slug-old"))
    wire.on("POST", "/releases", (201, back))
    wire.on("GET", "/formation", WEB)
    wire.on("GET", "/dynos", [dyno("web.1", "starting", 45)], [dyno("web.1", "up", 45)])
    phase = Running(handle="v45", detail="v45: release phase", link=page(45))
    assert target.observe(restore, built) == Absent()
    assert target.apply(restore, built) == phase
    assert [call.body for call in wire.made("POST", "/releases")] == [{"release": "r42"}]
    assert target.observe(restore, built) == phase
    assert target.observe(restore, built) == Running(
        handle="v45", detail="v45: starting dynos (web 0/1)", link=page(45), serves=True
    )
    assert target.observe(restore, built) == Done(
        handle="v45", detail="v45 has the code and config vars of v42; its release phase ran again", link=page(45)
    )
    assert len(wire.made("GET", "/releases")) == 4  # the list is never read to its end


def test_a_rollback_without_a_release_phase_says_nothing_of_one(
    wire: Any, target: HerokuApp, built: Known, restore: Restore, make_release: Any
) -> None:
    wire.on("GET", "/builds", [])
    wire.on("GET", "/releases", [make_release(45, "slug-old", current=True)])
    wire.on("GET", "/formation", [])
    wire.on("GET", "/dynos", [])
    assert target.observe(restore, built) == Done(
        handle="v45", detail="v45 has the code and config vars of v42", link=page(45)
    )


def test_what_was_rolled_back_is_broken_if_it_crashes(
    wire: Any, target: HerokuApp, built: Known, restore: Restore, make_release: Any
) -> None:
    wire.on("GET", "/builds", [])
    wire.on("GET", "/releases", [make_release(45, "slug-old", current=True)])
    wire.on("GET", "/formation", WEB)
    wire.on("GET", "/dynos", [dyno("web.1", "crashed", 45)])
    assert isinstance(target.observe(restore, built), Broken)


def test_a_lost_reply_does_not_roll_back_twice(
    wire: Any, target: HerokuApp, built: Known, restore: Restore, make_release: Any
) -> None:
    wire.on("GET", "/releases/42", make_release(42, "slug-old"))
    wire.on("POST", "/releases", requests.ReadTimeout())
    with pytest.raises(UpstreamError) as caught:
        target.apply(restore, built)
    assert caught.value.status == 0
    assert len(wire.made("POST", "/releases")) == 1


@pytest.mark.parametrize(("version", "seen"), [(45, Broken), (43, Absent)])
def test_only_this_runs_failed_rollback_counts(
    wire: Any,
    target: HerokuApp,
    built: Known,
    restore: Restore,
    make_release: Any,
    version: int,
    seen: type[Broken] | type[Absent],
) -> None:
    releases = [make_release(version, "slug-old", "failed"), make_release(44, "slug-new", current=True)]
    wire.on("GET", "/builds", [])
    wire.on("GET", "/releases", releases)
    found = target.observe(restore, built)
    assert isinstance(found, seen)
    if isinstance(found, Broken):
        assert found.detail == "The release phase of v45 failed; v44 still serves."


@pytest.mark.parametrize(("status", "slug"), [("pending", None), ("succeeded", "slug-new")])
def test_the_way_back_waits_for_a_build_that_will_be_released(
    wire: Any,
    target: HerokuApp,
    built: Known,
    restore: Restore,
    make_release: Any,
    make_build: Any,
    status: str,
    slug: str | None,
) -> None:
    wire.on("GET", "/builds", [make_build(status=status, slug=slug)])
    wire.on("GET", "/releases", [make_release(42, "slug-old", current=True)])
    assert target.observe(restore, built) == Running(detail="waiting for the build, which Heroku releases when it ends")


# -- logs ----------------------------------------------------------------------------------------------------
def test_a_failed_release_phase_is_read_from_its_output(
    wire: Any, target: HerokuApp, built: Known, make_release: Any
) -> None:
    output = "https://output.example/secret"
    wire.on("GET", "/releases", [make_release(44, "slug-new", "failed", output_stream_url=output)])
    wire.on("GET", output, "Applying shop.0004\ndjango.db.utils.OperationalError: duplicate column name: name\n")
    assert target.diagnose(ROLLOUT, built) == Diagnosis(
        error="django.db.utils.OperationalError: duplicate column name: name",
        tail=("Applying shop.0004", "django.db.utils.OperationalError: duplicate column name: name"),
        link=page(44),
    )


def test_a_crash_is_read_from_the_dynos_log_of_this_release(
    wire: Any, target: HerokuApp, built: Known, make_release: Any
) -> None:
    wire.on("GET", "/releases", [make_release(44, "slug-new", current=True)])
    wire.on("GET", "/dynos", [dyno("web.1", "crashed", 44), dyno("worker.1", "up", 44)])
    wire.on("POST", "/log-sessions", (201, {"logplex_url": "https://logs.example/secret"}))
    early = (
        "2026-03-02T10:00:59.999999+00:00 app[web.1]: ValueError: of the release before\n"
        "2026-03-02T10:01:00.000001+00:00 heroku[web.1]: Starting process\n"
    )
    late = "2026-03-02T10:01:05+00:00 app[web.1]: KeyError: 'SITE_URL'\nno time at all\nlater app[web.1]: bye\n"
    wire.on("GET", "https://logs.example/secret", early, early + late)
    assert target.diagnose(ROLLOUT, built) == Diagnosis(
        error="KeyError: 'SITE_URL'",
        tail=("web.1: Starting process", "web.1: KeyError: 'SITE_URL'", "no time at all", "web.1: bye"),
        link=page(44),
    )
    assert wire.slept == [0.5]
    assert wire.made("POST", "/log-sessions")[0].body == {"lines": 200, "tail": False, "dyno": "web.1"}


def test_a_failed_check_is_read_from_all_that_the_app_wrote(
    wire: Any, target: HerokuApp, built: Known, make_release: Any
) -> None:
    wire.on("GET", "/releases", [make_release(44, "slug-new", current=True)])
    wire.on("GET", "/dynos", [dyno("web.1", "up", 44)])
    wire.on("POST", "/log-sessions", {"logplex_url": "https://logs.example/secret"})
    lines = [f"2026-03-02T10:02:00Z app[web.1]: line {number}" for number in range(50)]
    wire.on("GET", "https://logs.example/secret", "\n".join([*lines, "2026-03-02T10:02:00Z app[web.1]: Some error"]))
    found = target.diagnose(ROLLOUT, built)
    assert (found.error, len(found.tail), wire.slept) == ("Some error", 40, [])
    assert wire.made("POST", "/log-sessions")[0].body == {"lines": 1500, "tail": False, "source": "app"}


def test_a_silent_log_is_waited_for_three_seconds(
    wire: Any, target: HerokuApp, built: Known, make_release: Any
) -> None:
    wire.on("GET", "/releases", [make_release(44, "slug-new", current=True)])
    wire.on("GET", "/dynos", [])
    wire.on("POST", "/log-sessions", {"logplex_url": "https://logs.example/secret"})
    wire.on("GET", "https://logs.example/secret", "")
    assert target.diagnose(ROLLOUT, built) == Diagnosis(link=page(44))
    assert sum(wire.slept) == 3.0


@pytest.mark.parametrize("reply", [[], (403, {"message": "no"})])
def test_a_diagnosis_never_raises(wire: Any, target: HerokuApp, built: Known, reply: Any) -> None:
    wire.on("GET", "/releases", reply)
    assert target.diagnose(ROLLOUT, built) == Diagnosis()


def test_a_release_before_this_one_is_not_diagnosed(
    wire: Any, target: HerokuApp, built: Known, make_release: Any
) -> None:
    wire.on("GET", "/releases", [make_release(43, "slug-old", "failed")])
    assert target.diagnose(ROLLOUT, built) == Diagnosis()


# -- the rest ------------------------------------------------------------------------------------------------
def test_an_app_is_public_and_has_no_candidate(wire: Any, target: HerokuApp, known: Known) -> None:
    wire.on("GET", "", APP)
    assert target.endpoint("app", "candidate", known) == ""
    assert target.endpoint("app", "live", known) == "https://shop.example"
    assert target.authorization("app", "https://shop.example") == {}
    assert target.exposure("app") == Exposure(public=True, ingress="all")
    assert target.traits == Traits(kind="heroku", separate_build=False, traffic_split=False, jobs=False)


def test_the_adapter_is_found_by_its_specification() -> None:
    def source(sha: str) -> Any:
        raise AssertionError(sha)

    spec = HerokuSpec(environment="staging", repository="acme/shop", app="shop")
    target: Target = connect(spec, source=source, environ={})
    assert isinstance(target, HerokuApp)
    assert prepare(target) is None


@pytest.mark.parametrize("method", ["observe", "apply"])
def test_steps_that_an_app_does_not_have_are_a_bug(target: HerokuApp, known: Known, method: str) -> None:
    call: Callable[..., Any] = getattr(target, method)
    for step in (
        RunJob(id="job-migrate", job="migrate", timeout=1.0),
        Shift(id="shift", services=("app",), percent=100, timeout=1.0),
    ):
        with pytest.raises(TypeError, match="no such step"):
            call(step, known)


# -- for somebody who asks -------------------------------------------------------------------------------------
def test_the_newest_lines_have_times_and_no_severity(wire: Any, target: HerokuApp) -> None:
    wire.on("POST", "/log-sessions", {"logplex_url": "https://logs.example/secret"})
    long = "y" * 900
    lines = f"2026-03-02T09:59:59Z app[web.1]: old\n2026-03-02T10:00:00.5+00:00 app[web.1]: {long}\nno time\n"
    wire.on("GET", "https://logs.example/secret", lines)
    since = datetime(2026, 3, 2, 10, tzinfo=UTC)
    query = LogQuery(service="app", revisions=("v42",), since=since.timestamp(), severity="error")
    at = datetime(2026, 3, 2, 10, 0, 0, 500_000, tzinfo=UTC)
    assert target.log_lines(query) == (LogLine(text=f"web.1: {long}", at=at), LogLine(text="no time"))
    assert wire.made("POST", "/log-sessions")[0].body == {"lines": 200, "tail": False, "source": "app"}
    assert target.log_link(query) == "https://dashboard.heroku.com/apps/shop-staging/logs"


def test_somebody_who_asks_is_told_when_there_is_no_log(wire: Any, target: HerokuApp) -> None:
    wire.on("POST", "/log-sessions", (403, {"message": "no"}))
    with pytest.raises(ForbiddenError):
        target.log_lines(LogQuery(service="app", revisions=("v42",), since=0.0, severity="error"))


def test_an_app_that_can_be_read_is_well(wire: Any, target: HerokuApp, make_release: Any) -> None:
    wire.on("GET", "", {"web_url": "https://shop.example/"})
    wire.on("GET", "/releases", [make_release(42, "slug-old", current=True)])
    wire.on("GET", "/builds", [])
    found = target.examine()
    assert [(each.what, each.well) for each in found] == [
        ("the app `shop-staging`", True), ("its releases", True), ("its builds", True),
    ]  # fmt: skip


@pytest.mark.parametrize(("status", "word"), [(401, "key"), (403, "key"), (404, "name")])
def test_a_key_that_will_not_do_is_told_once(wire: Any, target: HerokuApp, status: int, word: str) -> None:
    wire.on("GET", "", (status, {"message": "no"}))
    [found] = target.examine()
    assert found.well is False
    assert word in found.todo
