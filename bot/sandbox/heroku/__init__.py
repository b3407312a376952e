"""A wire-level Heroku: the Platform API v3, slugs from real tarballs, and dynos that are real processes.

Not modelled: pipelines, review apps, add-on provisioning, attached one-off dynos (Rendezvous), preboot, dyno restarts
after a crash, container images.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bot.sandbox.heroku.apps import App
from bot.sandbox.heroku.dynos import Dyno
from bot.sandbox.heroku.model import SIZES, USER, Build, Formation, Json, Release, new_id, stamp
from bot.sandbox.heroku.service import PlatformService, body_of, listing
from bot.sandbox.heroku.streams import StreamServer
from bot.sandbox.runtime import Runtime
from bot.sandbox.wire import Request, Response, WireError, answer

__all__ = ["App", "Heroku"]


class Heroku(PlatformService):
    """The Platform API over apps that really run.

    Args:
        root: folder for sources and slugs.
        runtime: starts dynos.
        clock: seconds of the epoch, for every ``created_at``.
    """

    def __init__(self, root: Path, runtime: Runtime, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.root, self.runtime, self.clock = root, runtime, clock
        self.apps: dict[str, App] = {}
        self.streams = StreamServer()
        self.signatures: dict[str, str] = {}  # of source blobs
        (root / "blobs").mkdir(parents=True, exist_ok=True)
        self._declare()

    def start(self, port: int = 0) -> None:
        """Listen, and serve streams."""
        self.streams.start()
        super().start(port)

    def stop(self) -> None:
        """Stop listening and end every dyno."""
        super().stop()
        for app in self.apps.values():
            app.stop()
        self.streams.stop()

    def environ(self) -> dict[str, str]:
        """Return what a client needs to speak to this server."""
        return {"HEROKU_API_URL": self.url, "HEROKU_API_KEY": self.token}

    def create_app(
        self, name: str, *, config_vars: Mapping[str, str] | None = None, formation: Mapping[str, int] | None = None
    ) -> App:
        """Make an app as its owner would have by hand; call it after :meth:`start`.

        Args:
            name: the app's name.
            config_vars: set as one release after the first.
            formation: dynos of each process type once code runs; an unnamed ``web`` gets one, others none.
        """
        app = App(name, root=self.root / "apps" / name, runtime=self.runtime, streams=self.streams, clock=self.clock)
        app.first_formation = dict(formation or {})
        app.gateway.start()
        app.release("Initial release", None, {})
        app.release("Enable Logplex", None, {})
        if config_vars:
            app.set_config(config_vars)
        self.apps[name] = app
        return app

    # -- routes ---------------------------------------------------------------------------------------------
    def _declare(self) -> None:
        a = "/apps/{app}"
        for method, template, handler in (
            ("GET", "/account", self._account),
            ("GET", "/account/rate-limits", self._rate_limits),
            ("GET", "/apps", self._apps),
            ("GET", a, self._app),
            ("PATCH", a, self._app_update),
            ("POST", "/sources", self._source),
            ("POST", f"{a}/sources", self._source),
            ("PUT", "/source-blobs/{blob}", self._blob_put),
            ("GET", "/source-blobs/{blob}", self._blob_get),
            ("GET", f"{a}/builds", self._builds),
            ("POST", f"{a}/builds", self._build_create),
            ("GET", f"{a}/builds/{{build}}", self._build),
            ("GET", f"{a}/slugs/{{slug}}", self._slug),
            ("GET", f"{a}/releases", self._releases),
            ("POST", f"{a}/releases", self._release_create),
            ("GET", f"{a}/releases/{{release}}", self._release),
            ("GET", f"{a}/config-vars", self._config_vars),
            ("PATCH", f"{a}/config-vars", self._config_vars_update),
            ("GET", f"{a}/formation", self._formation),
            ("PATCH", f"{a}/formation", self._formation_batch),
            ("GET", f"{a}/formation/{{type}}", self._formation_one),
            ("PATCH", f"{a}/formation/{{type}}", self._formation_update),
            ("GET", f"{a}/dynos", self._dynos),
            ("POST", f"{a}/dynos", self._dyno_create),
            ("DELETE", f"{a}/dynos", self._dynos_restart),
            ("GET", f"{a}/dynos/{{dyno}}", self._dyno),
            ("DELETE", f"{a}/dynos/{{dyno}}", self._dyno_restart),
            ("POST", f"{a}/dynos/{{dyno}}/actions/stop", self._dyno_stop),
            ("GET", f"{a}/domains", self._domains),
            ("GET", f"{a}/addons", self._addons),
            ("POST", f"{a}/log-sessions", self._log_session),
        ):
            self.route(method, template, handler)

    # -- account and apps -----------------------------------------------------------------------------------
    def _account(self, _request: Request) -> Response:
        born = stamp(0)
        return answer(USER | {"name": "Deployer", "created_at": born, "updated_at": born, "verified": True})

    def _rate_limits(self, _request: Request) -> Response:
        return answer({"remaining": self.remaining})

    def _of(self, request: Request) -> App:
        wanted = request.params["app"]
        for app in self.apps.values():
            if wanted in {app.name, app.id}:
                return app
        raise WireError(404, "Couldn't find that app.", "not_found", resource="app")

    def _apps(self, request: Request) -> Response:
        return listing(request, [app.to_json() for app in self.apps.values()], ("name", "id", "updated_at"))

    def _app(self, request: Request) -> Response:
        return answer(self._of(request).to_json())

    def _app_update(self, request: Request) -> Response:
        app, body = self._of(request), body_of(request)
        if set(body) != {"maintenance"} or body["maintenance"] not in (True, False):  # heroku3 sends 0 for false
            raise WireError(422, "The sandbox updates `maintenance` (true or false) only.", "invalid_params")
        app.maintenance, app.updated = body["maintenance"], self.clock()
        return answer(app.to_json())

    # -- sources --------------------------------------------------------------------------------------------
    def _source(self, request: Request) -> Response:
        if "app" in request.params:
            self._of(request)
        blob, signature = new_id(), secrets.token_urlsafe(24)
        self.signatures[blob] = signature
        url = f"{self.url}/source-blobs/{blob}?Signature={signature}"
        return answer({"source_blob": {"get_url": url, "put_url": url}}, 201)

    def _blob_path(self, request: Request) -> Path:
        """Check the signed URL. It is signed without a content type, so one that is sent breaks the signature.

        Ground: the uploads of https://devcenter.heroku.com/articles/build-and-release-using-the-api send an empty
        ``Content-Type``.
        """
        blob = request.params["blob"]
        signed = hmac.compare_digest(request.arg("Signature") or "", self.signatures.get(blob, "-"))
        if not signed or request.headers.get("content-type"):
            raise WireError(403, "The request signature we calculated does not match.", "SignatureDoesNotMatch")
        return self.root / "blobs" / blob

    def _blob_put(self, request: Request) -> Response:
        self._blob_path(request).write_bytes(request.body)
        return Response(status=200)

    def _blob_get(self, request: Request) -> Response:
        path = self._blob_path(request)
        if not path.is_file():
            raise WireError(404, "The specified key does not exist.", "NoSuchKey")
        return Response(body=path.read_bytes(), headers={"Content-Type": "application/octet-stream"})

    # -- builds and slugs -----------------------------------------------------------------------------------
    def _builds(self, request: Request) -> Response:
        return listing(request, [build.to_json() for build in self._of(request).builds], ("id", "created_at"))

    def _build_create(self, request: Request) -> Response:
        app, blob = self._of(request), body_of(request).get("source_blob")
        if not isinstance(blob, dict) or not isinstance(blob.get("url"), str):
            raise WireError(422, "source_blob.url is required", "invalid_params")
        build = app.build(url=blob["url"], version=blob.get("version"), checksum=blob.get("checksum"))
        return answer(build, 201)

    def _build(self, request: Request) -> Response:
        build: Build = _find(self._of(request).builds, request.params["build"], "build")
        return answer(build.to_json())

    def _slug(self, request: Request) -> Response:
        slug = self._of(request).slugs.get(request.params["slug"])
        if slug is None:
            raise WireError(404, "Couldn't find that slug.", "not_found", resource="slug")
        return answer(slug.to_json())

    # -- releases and config vars ---------------------------------------------------------------------------
    def _releases(self, request: Request) -> Response:
        app = self._of(request)
        return listing(request, [app.release_json(release) for release in list(app.releases)], ("version", "id"))

    def _release(self, request: Request) -> Response:
        app = self._of(request)
        return answer(app.release_json(_release_of(app, request.params["release"])))

    def _release_create(self, request: Request) -> Response:
        """Roll back (``release``) or release a slug (``slug``): one path, told apart by the body."""
        app, body = self._of(request), body_of(request)
        if "release" in body:
            old = _release_of(app, str(body["release"]))
            if old.status != "succeeded":  # assumed; the reference does not speak of it
                raise WireError(422, f"Cannot roll back to v{old.version}: it is {old.status}.", "invalid_params")
            return self._released(app, app.release(f"Rollback to v{old.version}", old.slug, old.config_vars))
        slug = app.slugs.get(str(body.get("slug")))
        if slug is None:
            raise WireError(422, "slug or release is required, and has to exist", "invalid_params")
        description = body.get("description") or f"Deploy {(slug.commit or slug.id)[:8]}"
        return self._released(app, app.release(description, slug, app.config_vars))

    def _released(self, app: App, release: Release) -> Response:
        return answer(app.release_json(release), 201)

    def _config_vars(self, request: Request) -> Response:
        return answer(self._of(request).config_vars)

    def _config_vars_update(self, request: Request) -> Response:
        app, body = self._of(request), body_of(request)
        if not all(value is None or isinstance(value, str) for value in body.values()):
            raise WireError(422, "Config vars are strings, or null to remove one.", "invalid_params")
        app.set_config(body)
        return answer(app.config_vars)

    # -- formation ------------------------------------------------------------------------------------------
    def _formation(self, request: Request) -> Response:
        app = self._of(request)
        return listing(request, [kind.to_json(app=app.ref) for kind in app.formation.values()], ("id", "type"))

    def _kind(self, app: App, wanted: Any) -> Formation:
        for kind in app.formation.values():
            if wanted in {kind.type, kind.id}:
                return kind
        raise WireError(404, f"Couldn't find that process type ({wanted}).", "not_found", resource="formation")

    def _formation_one(self, request: Request) -> Response:
        app = self._of(request)
        return answer(self._kind(app, request.params["type"]).to_json(app=app.ref))

    def _formation_update(self, request: Request) -> Response:
        app, body = self._of(request), body_of(request)
        return answer(self._scale(app, [(self._kind(app, request.params["type"]), body)])[0])

    def _formation_batch(self, request: Request) -> Response:
        app, updates = self._of(request), body_of(request).get("updates")
        if not isinstance(updates, list):
            raise WireError(422, "updates is required", "invalid_params")
        return answer(self._scale(app, [(self._kind(app, update.get("type")), update) for update in updates]))

    def _scale(self, app: App, updates: list[tuple[Formation, Mapping[str, Any]]]) -> list[Json]:
        """Apply updates after all of them were found good."""
        for _, update in updates:
            quantity = update.get("quantity")
            if quantity is not None and (not isinstance(quantity, int) or quantity < 0):
                raise WireError(422, "Invalid quantity.", "invalid_params")
            _size(update.get("size"))
        for kind, update in updates:
            app.scale(kind, quantity=update.get("quantity"), size=_size(update.get("size")))
        return [kind.to_json(app=app.ref) for kind, _ in updates]

    # -- dynos ----------------------------------------------------------------------------------------------
    def _dynos(self, request: Request) -> Response:
        app = self._of(request)
        return listing(request, [dyno.to_json(app=app.ref) for dyno in list(app.dynos)], ("id", "name"))

    def _dyno_of(self, request: Request) -> tuple[App, Dyno]:
        app = self._of(request)
        wanted = request.params["dyno"]
        for dyno in list(app.dynos):
            if wanted in {dyno.name, dyno.id}:
                return app, dyno
        raise WireError(404, "Couldn't find that dyno.", "not_found", resource="dyno")

    def _dyno(self, request: Request) -> Response:
        app, dyno = self._dyno_of(request)
        return answer(dyno.to_json(app=app.ref))

    def _dyno_create(self, request: Request) -> Response:
        app, body = self._of(request), body_of(request)
        command, type_ = body.get("command"), body.get("type") or "run"
        if not isinstance(command, str) or not command:
            raise WireError(422, "command is required", "invalid_params")
        if body.get("attach"):
            raise WireError(422, "The sandbox runs one-off dynos detached: attach has to be false.", "invalid_params")
        if type_ in app.formation or type_ == "release":
            raise WireError(422, f"{type_} is not a type of one-off dynos.", "invalid_params")
        size = _size(body.get("size")) or "Standard-1X"
        try:
            dyno = app.run(command, env=body.get("env") or {}, size=size, type_=type_)
        except LookupError as error:
            raise WireError(422, f"Cannot run a dyno: {error.args[0]}.", "invalid_params") from error
        return answer(dyno.to_json(app=app.ref), 201)

    def _dynos_restart(self, request: Request) -> Response:
        app = self._of(request)
        for dyno in list(app.dynos):
            if dyno.type in app.formation:
                app.restart(dyno)
        return answer({}, 202)

    def _dyno_restart(self, request: Request) -> Response:
        app, dyno = self._dyno_of(request)
        app.restart(dyno)
        return answer({}, 202)

    def _dyno_stop(self, request: Request) -> Response:
        """Stop a dyno. One of the formation is started again, as the reference says of stopping."""
        return self._dyno_restart(request)

    # -- the rest -------------------------------------------------------------------------------------------
    def _domains(self, request: Request) -> Response:
        app = self._of(request)
        return listing(request, [domain.to_json(app=app.ref) for domain in app.domains], ("hostname", "id"))

    def _addons(self, request: Request) -> Response:
        self._of(request)
        return listing(request, [], ("id", "name"))

    def _log_session(self, request: Request) -> Response:
        """Open a log session; its URL answers the last ``lines`` that match and, with ``tail``, what follows."""
        app, body = self._of(request), body_of(request)
        log, now = app.launcher.log, stamp(self.clock())
        count, tail = int(body.get("lines") or 100), bool(body.get("tail"))
        dyno, source = body.get("dyno"), body.get("source")

        def matches(line: str) -> bool:
            return (not dyno or f"[{dyno}]:" in line) and (not source or f" {source}[" in line)

        def lines() -> Iterator[str]:
            known = log.lines()
            yield from [line for line in known if matches(line)][-count:]
            if tail:
                yield from filter(matches, log.follow(start=len(known), open_=lambda: self.streams.open))

        url = self.streams.publish("logs", lines)
        return answer({"id": new_id(), "created_at": now, "updated_at": now, "logplex_url": url}, 201)


def _find(items: list[Any], wanted: str, resource: str) -> Any:
    for item in items:
        if item.id == wanted:
            return item
    raise WireError(404, f"Couldn't find that {resource}.", "not_found", resource=resource)


def _release_of(app: App, wanted: str) -> Release:
    """Find a release by id or version."""
    for release in app.releases:
        if wanted in {release.id, str(release.version)}:
            return release
    raise WireError(404, "Couldn't find that release.", "not_found", resource="release")


def _size(wanted: Any) -> str | None:
    """Return the size as Heroku spells it; any case is accepted, ``None`` stays."""
    if wanted is None:
        return None
    for size in SIZES:
        if str(wanted).lower() == size.lower():
            return size
    raise WireError(422, "Couldn't find that size.", "invalid_params")
