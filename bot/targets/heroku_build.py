"""Builds: a slug of the release's sha. On Heroku a build that succeeds releases its slug at once."""

from __future__ import annotations

import hashlib
import tempfile

from bot.core import plan
from bot.core.serving import Artifact
from bot.core.target import Absent, Broken, Done, Known, Observation, Running
from bot.core.target import Source as SourceOf
from bot.errors import UpstreamError
from bot.targets.heroku_api import Platform
from bot.targets.heroku_logs import build_failure
from bot.targets.heroku_model import Build, Marks, Source

STEP = plan.Build().id
LOOKED_AT = 20  # newest builds that are looked at; one release makes one


class Builds:
    """Builds of one app."""

    def __init__(self, platform: Platform, app: str, source: SourceOf) -> None:
        self._platform, self._app, self._source = platform, app, source

    def newest(self) -> list[Build]:
        """Return the newest builds, newest first."""
        return self._platform.newest(
            "list the builds", Build, "apps", self._app, "builds", by="created_at", limit=LOOKED_AT
        )

    def own(self, known: Known) -> Build | None:
        """Return the release's build, looked up if the release did not get to know it."""
        handle = known.handles.get(STEP, "")
        if handle:
            return self._platform.get("get the build", Build, "apps", self._app, "builds", handle)
        marks = Marks.of(known)
        return next((build for build in self.newest() if marks.is_own(build, known.release.sha)), None)

    def observe(self, known: Known) -> Observation:
        """Look at the release's build. One call."""
        build = self.own(known)
        if build is None:
            return Absent()
        link = self.link(build)
        if build.status == "pending":
            return Running(handle=build.id, detail="building", link=link)
        if build.status != "succeeded":
            return Broken(handle=build.id, detail=build_failure(self._platform, build), link=link)
        if not build.slug_id:
            return Broken(
                handle=build.id, link=link, detail="The build made no slug. Apps of the container stack are not for me."
            )
        artifact = Artifact(digest=build.slug_id, reference=build.slug_id, sha=known.release.sha, link=link)
        return Done(handle=build.id, link=link, artifact=artifact)

    def apply(self, known: Known) -> Running:
        """Upload the source and start a build. Only the last call, which starts it, changes anything."""
        with tempfile.TemporaryFile(prefix="slipway-source-") as file:
            digest = hashlib.sha256()
            with self._source(known.release.sha) as chunks:
                for chunk in chunks:
                    digest.update(chunk)
                    file.write(chunk)
            if not file.tell():  # requests would announce no length at all
                raise UpstreamError("GitHub's source archive is empty.", service="GitHub", operation="read the source")
            place = self._platform.ask("get a place for the source", Source, "sources", body={}).source_blob
            self._platform.upload(place.put_url, file)
        blob = {
            "url": place.get_url,
            "version": known.release.sha,
            "checksum": f"SHA256:{digest.hexdigest()}",
        }
        build = self._platform.send("start the build", Build, "apps", self._app, "builds", body={"source_blob": blob})
        return Running(handle=build.id, detail="building", link=self.link(build))

    def link(self, build: Build) -> str:
        """Return the page of a build on Heroku's dashboard."""
        return f"https://dashboard.heroku.com/apps/{self._app}/activity/builds/{build.id}"
