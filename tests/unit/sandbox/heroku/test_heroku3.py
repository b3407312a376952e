"""The Platform API sandbox driven by the real heroku3, with the sample application."""

import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import heroku3.api
import pytest
import requests

from bot.sandbox.heroku import App, Heroku
from bot.sandbox.sample import VARIANTS, files


@pytest.fixture
def client(heroku: Heroku, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A heroku3 connection; heroku3 takes the address from a module constant."""
    environ = heroku.environ()
    monkeypatch.setattr(heroku3.api, "HEROKU_URL", environ["HEROKU_API_URL"])
    with requests.session() as session:
        connection = heroku3.from_key(environ["HEROKU_API_KEY"], session=session)
        assert connection.is_authenticated
        yield connection


def pack(changes: Mapping[str, str | None] | None = None) -> bytes:
    """Pack the sample as GitHub does: one top folder, named after the commit."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, text in (files() | dict(changes or {})).items():
            member = tarfile.TarInfo(f"acme-shop-0123456/{path}")
            member.size = len((text or "").encode())
            archive.addfile(member, io.BytesIO((text or "").encode()))
    return out.getvalue()


@pytest.fixture
def shop(heroku: Heroku, tmp_path: Path) -> App:
    secrets = {"DJANGO_SECRET_KEY": "for-tests", "DATABASE_URL": f"sqlite:///{tmp_path}/shop.sqlite3"}
    return heroku.create_app("shop-staging", config_vars=secrets, formation={"web": 1, "worker": 1})


def deploy(client: Any, api: Any, version: str, changes: Any = None) -> Any:
    """Build as heroku3 does and wait for the end; return the app's newest release."""
    app = client.app("shop-staging")
    build = app.create_build(api.upload(pack(changes)), version=version)
    assert build.status == "pending"
    for _ in api.read(build.output_stream_url).splitlines():
        pass
    (newest,) = app.releases(order_by="version", limit=1, sort="desc")
    api.settle("shop-staging", newest.id)
    (newest,) = app.releases(order_by="version", limit=1, sort="desc")
    return newest


def health(client: Any) -> tuple[int, Any]:
    answer = requests.get(f"{client.app('shop-staging').web_url}health/", timeout=30)
    return answer.status_code, answer.json() if answer.ok else None


def test_a_wrong_key_is_not_authenticated(heroku: Heroku, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heroku3.api, "HEROKU_URL", heroku.url)
    with requests.session() as session:
        assert not heroku3.from_key("wrong", session=session).is_authenticated


def test_the_sample_is_deployed_fails_and_is_rolled_back(heroku: Heroku, shop: App, client: Any, api: Any) -> None:
    first = deploy(client, api, "1" * 40)
    assert (first.status, first.current) == ("succeeded", True)
    assert health(client) == (200, {"status": "healthy", "version": "1111111", "role": "web"})
    assert sorted(dyno.name for dyno in client.app("shop-staging").dynos()) == ["web.1", "worker.1"]
    api.await_line("shop-staging", "app[worker.1]: worker ready")

    good = deploy(client, api, "2" * 40, VARIANTS["feature"].files)
    assert health(client) == (200, {"status": "healthy", "version": "2222222", "role": "web"})

    bad = deploy(client, api, "3" * 40, VARIANTS["failing_migration"].files)
    assert (bad.status, bad.current) == ("failed", False)
    output = api.get(f"/apps/shop-staging/releases/{bad.id}")["output_stream_url"]
    assert "duplicate column name: name" in api.read(output)
    assert health(client)[1]["version"] == "2222222"

    crash = deploy(client, api, "4" * 40, VARIANTS["crash_on_boot"].files)
    assert (crash.status, crash.current) == ("succeeded", True)
    assert health(client) == (503, None)
    api.await_line("shop-staging", "KeyError: 'SITE_URL'")

    client.app("shop-staging").rollback(good.id)
    (back,) = client.app("shop-staging").releases(order_by="version", limit=1, sort="desc")
    assert back.description == f"Rollback to v{good.version}"
    api.settle("shop-staging", back.id)
    assert health(client)[1]["version"] == "2222222"


def test_a_build_that_does_not_compile_fails(heroku: Heroku, shop: App, client: Any, api: Any) -> None:
    newest = deploy(client, api, "5" * 40, VARIANTS["failing_build"].files)
    assert newest.description == "Set DATABASE_URL, DJANGO_SECRET_KEY config vars"
    (build,) = client.app("shop-staging").builds()
    assert build.status == "failed"
    assert "SyntaxError" in shop.builds[0].output.text


def test_config_formation_and_maintenance(heroku: Heroku, shop: App, client: Any, api: Any) -> None:
    deploy(client, api, "6" * 40)
    app = client.app("shop-staging")
    config = app.update_config({"SHOP_VERSION": "named"})
    assert config["SHOP_VERSION"] == "named"
    api.settle("shop-staging", app.releases(order_by="version", limit=1, sort="desc")[0].id)
    assert health(client)[1]["version"] == "named"
    app.process_formation()["worker"].scale(0)
    assert [dyno.name for dyno in app.dynos()] == ["web.1"]
    app.enable_maintenance_mode()
    assert health(client) == (503, None)
    app.disable_maintenance_mode()
    dyno = app.run_command_detached("python manage.py check")
    api.await_line("shop-staging", f"app[{dyno.name}]: System check identified no issues")
    assert client.ratelimit_remaining() < 4500
    assert [found.name for found in client.apps()] == ["shop-staging"]
    assert client.account().email == "deployer@example.com"
    assert "State changed" in client.get_app_log("shop-staging", lines=1000)


def test_heroku3_pages_through_ranges(heroku: Heroku, shop: App, client: Any) -> None:
    for number in range(205):
        shop.set_config({"N": str(number)})
    assert len(client.app("shop-staging").releases()) == 208
