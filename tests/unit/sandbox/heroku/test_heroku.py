"""The Platform API sandbox, asked with plain requests."""

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
import requests

from bot.sandbox.heroku import Heroku
from bot.sandbox.runtime import InstantRuntime
from bot.sandbox.wire import Fault

SCHEMA = {  # field names of @heroku-cli/schema 2.0.1, by resource
    "account": "allow_tracking beta country_of_residence created_at default_organization default_team delinquent_at email"
    " federated id identity_provider last_login name sms_number suspended_at two_factor_authentication updated_at verified",
    "app": "acm archived_at build_stack buildpack_provided_description created_at git_url id internal_routing maintenance"
    " name organization owner region released_at repo_size slug_size space stack team updated_at web_url",
    "build": "app buildpacks created_at id output_stream_url release slug source_blob stack status updated_at user",
    "source_blob": "checksum url version version_description",
    "slug": "blob buildpack_provided_description checksum commit commit_description created_at id process_types size stack"
    " updated_at",
    "release": "addon_plan_names app created_at current description id output_stream_url slug status updated_at user version",
    "formation": "app command created_at id quantity size type updated_at",
    "dyno": "app attach_url command created_at id name release size state type updated_at",
    "domain": "acm_status acm_status_reason app cname created_at hostname id kind sni_endpoint status updated_at",
    "log_session": "created_at id logplex_url updated_at",
}


def has_only(resource: str, answer: Any) -> None:
    assert set(answer) <= set(SCHEMA[resource].split())


def test_answers_have_only_fields_of_the_schema(heroku: Heroku, api: Any, tarball: Any) -> None:
    app = heroku.create_app("shop")
    build = api.build("shop", tarball())
    has_only("account", api.get("/account"))
    has_only("app", api.get("/apps/shop"))
    has_only("build", build)
    has_only("source_blob", build["source_blob"])
    has_only("slug", api.get(f"/apps/shop/slugs/{build['slug']['id']}"))
    has_only("release", api.get("/apps/shop/releases/3"))
    has_only("formation", api.get("/apps/shop/formation/web"))
    has_only("dyno", api.get("/apps/shop/dynos/web.1"))
    has_only("domain", api.get("/apps/shop/domains")[0])
    has_only("log_session", api.call("POST", "/apps/shop/log-sessions", {}).json())
    assert api.get("/account/rate-limits") == {"remaining": heroku.remaining}
    assert api.get("/apps/shop/addons") == []
    assert api.get(f"/apps/{app.id}") == api.get("/apps/shop") == api.get("/apps")[0]


# -- manners --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Accept": "application/json"}, 406, "not_acceptable"),
        ({"Authorization": ""}, 401, "unauthorized"),
        ({"Authorization": "Bearer nonsense"}, 401, "unauthorized"),
        ({"Authorization": "Basic !"}, 401, "unauthorized"),
        ({"Authorization": "Digest x"}, 401, "unauthorized"),
        ({"Range": "colour ..;"}, 416, "requested_range_not_satisfiable"),
        ({"Range": "version ..; order=sideways"}, 416, "requested_range_not_satisfiable"),
        ({"Range": "version ..; max=many"}, 416, "requested_range_not_satisfiable"),
        ({"Range": "version x..y"}, 416, "requested_range_not_satisfiable"),
        ({"Range": "everything"}, 416, "requested_range_not_satisfiable"),
    ],
)
def test_refusals_are_in_the_dialect(heroku: Heroku, api: Any, headers: dict[str, str], status: int, code: str) -> None:
    heroku.create_app("shop")
    answer = api.call("GET", "/apps/shop/releases", **headers)
    assert (answer.status_code, answer.json()["id"]) == (status, code)
    assert set(answer.json()) == {"id", "message"}


def test_the_rate_limit_counts_down_and_ends(heroku: Heroku, api: Any) -> None:
    heroku.create_app("shop")
    before = int(api.call("GET", "/apps").headers["RateLimit-Remaining"])
    assert int(api.call("GET", "/apps").headers["RateLimit-Remaining"]) == before - 1
    heroku.remaining = 0
    answer = api.call("GET", "/apps")
    assert (answer.status_code, answer.json()["id"]) == (429, "rate_limit")
    assert api.get("/account/rate-limits") == {"remaining": 0}
    assert len(answer.headers["Request-Id"]) == 36


def test_malformed_json_and_other_shapes_are_refused(heroku: Heroku, api: Any) -> None:
    heroku.create_app("shop")
    url = f"{heroku.url}/apps/shop/config-vars"
    assert api.session.patch(url, data=b"{", timeout=9).json()["id"] == "bad_request"
    assert api.session.patch(url, data=b"[]", timeout=9).json()["id"] == "bad_request"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/apps/absent", None, 404),
        ("GET", "/apps/shop/builds/absent", None, 404),
        ("GET", "/apps/shop/slugs/absent", None, 404),
        ("GET", "/apps/shop/releases/99", None, 404),
        ("GET", "/apps/shop/formation/web", None, 404),
        ("GET", "/apps/shop/dynos/web.1", None, 404),
        ("PATCH", "/apps/shop", {"name": "other"}, 422),
        ("PATCH", "/apps/shop", {"maintenance": "yes"}, 422),
        ("POST", "/apps/shop/builds", {}, 422),
        ("POST", "/apps/shop/builds", {"source_blob": {"version": "1"}}, 422),
        ("POST", "/apps/shop/releases", {}, 422),
        ("POST", "/apps/shop/releases", {"slug": "absent"}, 422),
        ("POST", "/apps/shop/releases", {"release": "99"}, 404),
        ("PATCH", "/apps/shop/config-vars", {"A": 1}, 422),
        ("PATCH", "/apps/shop/formation", {}, 422),
        ("PATCH", "/apps/shop/formation", {"updates": [{"type": "web", "quantity": 1}]}, 404),
        ("POST", "/apps/shop/dynos", {}, 422),
        ("POST", "/apps/shop/dynos", {"command": "true"}, 422),
        ("POST", "/apps/shop/dynos", {"command": "true", "attach": True}, 422),
        ("POST", "/apps/shop/dynos", {"command": "true", "size": "huge"}, 422),
        ("POST", "/apps/shop/dynos", {"command": "true", "type": "release"}, 422),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(
    heroku: Heroku, api: Any, method: str, path: str, body: Any, status: int
) -> None:
    heroku.create_app("shop")
    answer = api.call(method, path, body)
    assert answer.status_code == status
    assert answer.json()["message"]
    assert len(heroku.apps["shop"].releases) == 2


def test_long_lists_come_in_ranges(heroku: Heroku, api: Any) -> None:
    heroku.create_app("shop")
    for number in range(8):
        heroku.apps["shop"].set_config({"N": str(number)})
    page = api.call("GET", "/apps/shop/releases", Range="version ..; order=desc,max=4;")
    assert page.status_code == 206
    assert [release["version"] for release in page.json()] == [10, 9, 8, 7]
    assert page.headers["Content-Range"] == "version 10..7"
    page = api.call("GET", "/apps/shop/releases", Range=page.headers["Next-Range"])
    assert [release["version"] for release in page.json()] == [6, 5, 4, 3]
    page = api.call("GET", "/apps/shop/releases", Range=page.headers["Next-Range"])
    assert (page.status_code, [release["version"] for release in page.json()]) == (200, [2, 1])
    assert "Next-Range" not in page.headers
    assert [release["version"] for release in api.get("/apps/shop/releases", Range="version 3..5")] == [3, 4, 5]
    assert [release["version"] for release in api.get("/apps/shop/releases", Range="version ]8..")] == [9, 10]
    assert [r["version"] for r in api.get("/apps/shop/releases", Range="version 4..2; order=desc")] == [4, 3, 2]


# -- builds ---------------------------------------------------------------------------------------------------


def test_a_build_becomes_a_slug_a_release_and_a_web_dyno(heroku: Heroku, api: Any, tarball: Any) -> None:
    app = heroku.create_app("shop", config_vars={"GREETING": "ahoy"}, formation={"web": 1, "worker": 1})
    build = api.build("shop", tarball(version="7"))
    assert build["status"] == "succeeded"
    slug = api.get(f"/apps/shop/slugs/{build['slug']['id']}")
    assert slug["commit"] == "0123456789abcdef"
    assert set(slug["process_types"]) == {"web", "worker"}
    release = api.get(f"/apps/shop/releases/{build['release']['id']}")
    assert (release["version"], release["description"], release["status"]) == (4, "Deploy 01234567", "succeeded")
    assert release["current"] is True
    assert release["output_stream_url"] is None
    assert requests.get(api.get("/apps/shop")["web_url"], timeout=30).text == "ahoy 7"
    assert api.get("/apps/shop/dynos/web.1")["state"] == "up"
    api.await_line("shop", "app[worker.1]: working")
    output = app.builds[0].output.text
    assert "Procfile declares types -> web, worker" in output
    assert "Released v4" in output
    assert api.get("/apps/shop/builds") == [build]


@pytest.mark.parametrize("top", ["", "./", "shop-0123456/"])
def test_a_top_folder_is_stripped_only_when_it_holds_everything(
    heroku: Heroku, api: Any, tarball: Any, top: str
) -> None:
    app = heroku.create_app("shop")
    assert api.build("shop", tarball(top=top))["status"] == "succeeded"
    (slug,) = app.slugs.values()
    assert {path.name for path in (slug.root / "app").iterdir()} == {
        "Procfile",
        "VERSION",
        "requirements.txt",
        "server.py",
    }


def test_post_compile_runs_with_the_config_vars(heroku: Heroku, api: Any, tarball: Any) -> None:
    app = heroku.create_app("shop", config_vars={"COLOUR": "red"})
    api.build("shop", tarball({"bin/post_compile": "echo painted $COLOUR | tee painted\n"}))
    (slug,) = app.slugs.values()
    assert (slug.root / "app" / "painted").read_text() == "painted red\n"
    assert "       painted red\n" in app.builds[0].output.text


def hostile_tarball() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name in ("../outside", "manage.py"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    return out.getvalue()


def empty_tarball() -> bytes:
    out = io.BytesIO()
    tarfile.open(fileobj=out, mode="w:gz").close()
    return out.getvalue()


@pytest.mark.parametrize(
    ("make", "more", "words"),
    [
        (
            lambda tarball: tarball({"bin/post_compile": "echo no disk; exit 3\n"}),
            {},
            "bin/post_compile exited with status 3",
        ),
        (lambda tarball: b"this is no archive", {}, "not a gzipped tar archive"),
        (lambda tarball: tarball()[:-200], {}, "not a gzipped tar archive"),
        (lambda tarball: empty_tarball(), {}, "The source archive is empty"),
        (lambda tarball: hostile_tarball(), {}, "outside the destination"),
        (lambda tarball: tarball(), {"checksum": "SHA256:00"}, "is not SHA256:00"),
        (lambda tarball: tarball(), {"url": "http://127.0.0.1:9/source.tgz"}, "Could not fetch the source"),
        (lambda tarball: tarball(), {"url": "not a url"}, "Could not fetch the source"),
    ],
)
def test_a_build_that_cannot_become_a_slug_fails_and_changes_nothing(
    heroku: Heroku, api: Any, tarball: Any, make: Any, more: Any, words: str
) -> None:
    app = heroku.create_app("shop")
    build = api.build("shop", make(tarball), **more)
    assert (build["status"], build["slug"], build["release"]) == ("failed", None, None)
    assert words in app.builds[0].output.text
    assert len(app.releases) == 2


def test_an_app_no_buildpack_takes_is_refused(heroku: Heroku, api: Any, tmp_path: Path) -> None:
    app = heroku.create_app("shop")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("index.html"), io.BytesIO())
    assert api.build("shop", out.getvalue())["status"] == "failed"
    assert "App not compatible with buildpack" in app.builds[0].output.text


def test_a_right_checksum_is_taken(heroku: Heroku, api: Any, tarball: Any) -> None:
    heroku.create_app("shop")
    packed = tarball()
    checksum = f"SHA256:{hashlib.sha256(packed).hexdigest()}"
    assert api.build("shop", packed, checksum=checksum)["status"] == "succeeded"


def test_source_addresses_are_signed(heroku: Heroku, api: Any) -> None:
    put_url = api.call("POST", "/sources").json()["source_blob"]["put_url"]
    assert requests.put(put_url, data=b"x", headers={"Content-Type": "application/gzip"}, timeout=9).status_code == 403
    assert requests.put(put_url + "x", data=b"x", timeout=9).status_code == 403
    assert requests.get(put_url, timeout=9).status_code == 404
    assert requests.put(put_url, data=b"x", timeout=9).status_code == 200
    assert requests.get(put_url, timeout=9).content == b"x"


def test_output_streams_while_it_is_written(heroku: Heroku, api: Any, tarball: Any) -> None:
    app = heroku.create_app("shop")
    go = app.root / "go"
    hook = f'echo first\nwhile [ ! -e "{go}" ]; do sleep 0.02; done\necho second\n'
    procfile = f"release: echo first; while [ ! -e '{go}' ]; do sleep 0.02; done; echo second\n"
    blob = {"url": api.upload(tarball({"unused": hook}, procfile=procfile)), "version": None}
    build = api.call("POST", "/apps/shop/builds", {"source_blob": blob}).json()
    api.read(build["output_stream_url"])
    release = api.get("/apps/shop/releases/3")
    assert (release["status"], release["current"]) == ("pending", False)
    assert api.get(f"/apps/shop/builds/{build['id']}")["status"] == "succeeded", (
        "the build does not wait for its release"
    )
    with requests.get(release["output_stream_url"], stream=True, timeout=30) as answer:
        lines = answer.iter_lines(chunk_size=1, decode_unicode=True)
        assert next(lines) == "first"
        go.touch()
        assert next(lines) == "second"
        assert list(lines) == []
    assert api.get("/apps/shop/releases/3")["status"] == "succeeded"
    assert api.read(release["output_stream_url"], Range="bytes=6-") == "second\n"
    assert requests.get(release["output_stream_url"] + "x", timeout=9).status_code == 404


# -- releases -------------------------------------------------------------------------------------------------


def test_a_failed_release_phase_leaves_the_former_release_serving(heroku: Heroku, api: Any, tarball: Any) -> None:
    app = heroku.create_app("shop")
    api.build("shop", tarball(version="1"))
    web_url = api.get("/apps/shop")["web_url"]
    assert requests.get(web_url, timeout=30).text == "hello 1"
    build = api.build("shop", tarball(version="2", procfile="release: echo no such table >&2; exit 1\nweb: false\n"))
    assert build["status"] == "succeeded"
    release = api.get(f"/apps/shop/releases/{build['release']['id']}")
    assert (release["status"], release["current"]) == ("failed", False)
    assert api.read(release["output_stream_url"]) == "no such table\n"
    assert api.current("shop") == 3
    assert requests.get(web_url, timeout=30).text == "hello 1"
    assert [dyno.release.version for dyno in app.dynos] == [3]
    refused = api.call("POST", "/apps/shop/releases", {"release": "4"})
    assert (refused.status_code, refused.json()["message"]) == (422, "Cannot roll back to v4: it is failed.")


def test_a_rollback_is_a_release_of_the_old_slug_and_config(heroku: Heroku, api: Any, tarball: Any) -> None:
    heroku.create_app("shop", config_vars={"GREETING": "one"})
    procfile = "release: echo migrated >> $LEDGER\nweb: exec python server.py\n"
    ledger = heroku.root / "ledger"
    api.call("PATCH", "/apps/shop/config-vars", {"LEDGER": str(ledger)})
    first = api.build("shop", tarball(version="1", procfile=procfile))
    api.call("PATCH", "/apps/shop/config-vars", {"GREETING": "two", "EXTRA": "x"})
    api.settle("shop", "6")
    api.build("shop", tarball(version="2", procfile=procfile))
    assert requests.get(api.get("/apps/shop")["web_url"], timeout=30).text == "two 2"

    answer = api.call("POST", "/apps/shop/releases", {"release": first["release"]["id"]})
    assert answer.status_code == 201
    assert (answer.json()["version"], answer.json()["description"]) == (8, "Rollback to v5")
    release = api.settle("shop", "8")
    assert (release["status"], release["current"], release["slug"]) == ("succeeded", True, first["slug"])
    assert requests.get(api.get("/apps/shop")["web_url"], timeout=30).text == "one 1"
    assert api.get("/apps/shop/config-vars") == {"GREETING": "one", "LEDGER": str(ledger)}
    assert ledger.read_text() == "migrated\n" * 4, (
        "deploy, config change, deploy and rollback each ran the release phase"
    )


def test_config_changes_are_releases_in_one_batch(heroku: Heroku, api: Any) -> None:
    heroku.create_app("shop", config_vars={"A": "1", "B": "2"})
    assert api.call("PATCH", "/apps/shop/config-vars", {"A": None, "C": "3", "B": "2"}).json() == {"B": "2", "C": "3"}
    assert api.call("PATCH", "/apps/shop/config-vars", {"C": "3"}).json() == {"B": "2", "C": "3"}
    described = [release["description"] for release in api.get("/apps/shop/releases")]
    assert described == [
        "Initial release", "Enable Logplex", "Set A, B config vars", "Set C config vars; Remove A config vars",
    ]  # fmt: skip


def test_a_slug_can_be_released_again(heroku: Heroku, api: Any, tarball: Any) -> None:
    heroku.create_app("shop")
    first = api.build("shop", tarball(version="1"))
    api.build("shop", tarball(version="2"))
    answer = api.call("POST", "/apps/shop/releases", {"slug": first["slug"]["id"], "description": "again"}).json()
    assert (answer["version"], answer["description"], answer["current"]) == (5, "again", True)
    answer = api.call("POST", "/apps/shop/releases", {"slug": first["slug"]["id"]}).json()
    assert answer["description"] == "Deploy 01234567"
    assert requests.get(api.get("/apps/shop")["web_url"], timeout=30).text == "hello 1"


# -- formation, dynos, logs -----------------------------------------------------------------------------------


def names(api: Any) -> list[str]:
    return sorted(dyno["name"] for dyno in api.get("/apps/shop/dynos"))


def test_scaling_starts_and_stops_dynos_without_a_release(heroku: Heroku, api: Any, tarball: Any) -> None:
    heroku.create_app("shop")
    api.build("shop", tarball())
    assert names(api) == ["web.1"]
    updates = [{"type": "web", "quantity": 2}, {"type": "worker", "quantity": 1, "size": "standard-2x"}]
    scaled = api.call("PATCH", "/apps/shop/formation", {"updates": updates}).json()
    assert [(kind["type"], kind["quantity"], kind["size"]) for kind in scaled] == [
        ("web", 2, "Standard-1X"), ("worker", 1, "Standard-2X"),
    ]  # fmt: skip
    assert names(api) == ["web.1", "web.2", "worker.1"]
    before = api.get("/apps/shop/dynos/web.1")["id"]
    assert api.call("PATCH", "/apps/shop/formation/web", {"quantity": 1}).json()["quantity"] == 1
    assert names(api) == ["web.1", "worker.1"]
    assert api.get("/apps/shop/dynos/web.1")["id"] == before
    assert api.call("PATCH", "/apps/shop/formation/web", {"size": "Performance-M"}).json()["size"] == "Performance-M"
    assert api.get("/apps/shop/dynos/web.1")["id"] != before
    assert api.call("PATCH", "/apps/shop/formation/web", {"quantity": -1}).status_code == 422
    assert api.call("PATCH", "/apps/shop/formation/web", {"quantity": 0}).ok
    assert requests.get(api.get("/apps/shop")["web_url"], timeout=30).status_code == 503
    assert len(api.get("/apps/shop/releases")) == 3


def test_a_process_type_that_leaves_the_procfile_leaves_the_formation(heroku: Heroku, api: Any, tarball: Any) -> None:
    heroku.create_app("shop", formation={"worker": 1})
    api.build("shop", tarball())
    assert names(api) == ["web.1", "worker.1"]
    api.build("shop", tarball(procfile="web: exec python server.py\n# worker: gone\n"))
    assert [kind["type"] for kind in api.get("/apps/shop/formation")] == ["web"]
    assert names(api) == ["web.1"]


def test_a_one_off_dyno_runs_detached_and_its_end_is_in_the_log(heroku: Heroku, api: Any, tarball: Any) -> None:
    heroku.create_app("shop")
    api.build("shop", tarball(version="5"))
    body = {"command": "echo $WORD $(cat VERSION) $DYNO; exit 4", "env": {"WORD": "ran"}, "attach": False}
    dyno = api.call("POST", "/apps/shop/dynos", body).json()
    assert dyno["type"] == "run"
    api.await_line("shop", f"app[{dyno['name']}]: ran 5 {dyno['name']}")
    api.await_line("shop", f"heroku[{dyno['name']}]: Process exited with status 4")
    api.await_line("shop", f"heroku[{dyno['name']}]: State changed from up to complete")
    only = api.logs("shop", dyno=dyno["name"], source="app")
    assert len(only.splitlines()) == 1
    assert api.logs("shop", lines=2).count("\n") == 2


def test_a_crashing_web_dyno_answers_503_and_says_so(heroku: Heroku, api: Any, tarball: Any) -> None:
    heroku.create_app("shop")
    api.build("shop", tarball(procfile="web: echo KeyError >&2; exit 3\n"))
    assert requests.get(api.get("/apps/shop")["web_url"], timeout=30).status_code == 503
    assert api.get("/apps/shop/dynos/web.1")["state"] == "crashed"
    api.await_line("shop", "app[web.1]: KeyError")
    api.await_line("shop", "heroku[web.1]: Process exited with status 3")


def test_dynos_restart_under_their_names(heroku: Heroku, api: Any, tarball: Any) -> None:
    heroku.create_app("shop")
    api.build("shop", tarball())
    seen = {api.get("/apps/shop/dynos/web.1")["id"]}
    for method, path in [
        ("DELETE", "/apps/shop/dynos/web.1"),
        ("DELETE", "/apps/shop/dynos"),
        ("POST", "/apps/shop/dynos/web.1/actions/stop"),
    ]:
        assert api.call(method, path).status_code == 202
        seen.add(api.get("/apps/shop/dynos/web.1")["id"])
    assert len(seen) == 4
    assert requests.get(api.get("/apps/shop")["web_url"], timeout=30).text == "hello 1"


def test_maintenance_mode_answers_503_to_everybody(heroku: Heroku, api: Any, tarball: Any) -> None:
    heroku.create_app("shop")
    api.build("shop", tarball())
    web_url = api.get("/apps/shop")["web_url"]
    assert api.call("PATCH", "/apps/shop", {"maintenance": True}).json()["maintenance"] is True
    assert requests.get(web_url, timeout=30).status_code == 503
    assert api.call("PATCH", "/apps/shop", {"maintenance": False}).ok
    assert requests.get(web_url, timeout=30).text == "hello 1"


def test_the_router_logs_each_request_with_its_code(heroku: Heroku, api: Any, tarball: Any) -> None:
    heroku.create_app("shop")
    api.build("shop", tarball())
    web_url = api.get("/apps/shop")["web_url"]
    requests.get(f"{web_url}some/page", timeout=30)
    line = api.await_line("shop", "heroku[router]: at=info")
    assert 'method=GET path="/some/page" dyno=web.1 ' in line
    assert line.endswith("status=200 bytes=7")
    api.call("PATCH", "/apps/shop", {"maintenance": True})
    requests.get(web_url, timeout=30)
    api.await_line("shop", "code=H80")
    api.call("PATCH", "/apps/shop", {"maintenance": False})
    api.call("PATCH", "/apps/shop/formation/web", {"quantity": 0})
    requests.get(web_url, timeout=30)
    api.await_line("shop", "code=H14")
    api.build("shop", tarball(procfile="web: exit 1\n"))
    api.call("PATCH", "/apps/shop/formation/web", {"quantity": 1})
    requests.get(web_url, timeout=30)
    api.await_line("shop", "code=H10")


def test_without_processes_everything_is_instant(tmp_path: Path, tarball: Any, connect: Any) -> None:
    server = Heroku(tmp_path, InstantRuntime())
    server.start()
    try:
        server.create_app("shop")
        client = connect(server)
        build = client.build("shop", tarball(procfile="release: migrate\nweb: serve\n"))
        assert build["status"] == "succeeded"
        assert client.current("shop") == 3
        assert requests.get(client.get("/apps/shop")["web_url"], timeout=30).json() == {"status": "healthy"}
    finally:
        server.stop()


def test_a_web_process_that_never_listens_is_stopped(heroku: Heroku, api: Any, tarball: Any) -> None:
    heroku.create_app("shop").launcher.boot_timeout = 0.3
    api.build("shop", tarball(procfile="web: exec python -c 'import time; time.sleep(600)'\n"))
    api.await_line("shop", "heroku[web.1]: Error R10 (Boot timeout)")
    api.await_line("shop", "heroku[web.1]: State changed from starting to crashed")
    assert requests.get(api.get("/apps/shop")["web_url"], timeout=30).status_code == 503


def test_a_release_phase_has_an_end(heroku: Heroku, api: Any, tarball: Any) -> None:
    heroku.create_app("shop").release_timeout = 0.3
    build = api.build("shop", tarball(procfile="release: exec python -c 'import time; time.sleep(600)'\n"))
    assert api.get(f"/apps/shop/releases/{build['release']['id']}")["status"] == "failed"


def test_the_newest_success_stays_current_whichever_ended_last(heroku: Heroku, api: Any, tarball: Any) -> None:
    app = heroku.create_app("shop")
    go = app.root / "go"
    slow = f"release: while [ ! -e '{go}' ]; do sleep 0.02; done\nweb: exec python server.py\n"
    blob = {"url": api.upload(tarball(version="1", procfile=slow)), "version": "1" * 40}
    first = api.call("POST", "/apps/shop/builds", {"source_blob": blob}).json()
    api.read(first["output_stream_url"])
    api.build("shop", tarball(version="2"))
    assert api.current("shop") == 4
    go.touch()
    assert api.settle("shop", "3")["status"] == "succeeded"
    assert api.current("shop") == 4
    assert requests.get(api.get("/apps/shop")["web_url"], timeout=30).text == "hello 2"


def test_a_lost_answer_leaves_its_effect(heroku: Heroku, api: Any) -> None:
    heroku.create_app("shop")
    heroku.fail(Fault(route="PATCH .*/config-vars", kind="lose_reply"))
    with pytest.raises(requests.ConnectionError):
        api.call("PATCH", "/apps/shop/config-vars", {"A": "1"})
    assert api.get("/apps/shop/config-vars") == {"A": "1"}
    assert heroku.count("PATCH .*config-vars") == 1
