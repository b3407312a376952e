"""Somebody with the Cloud console open: what a person does by hand to a service, between the bot's calls or during one.

Everything goes over the wire, as the user's own calls, so it meets every rule that the bot's calls meet. To act at the
moment of a call, put it into a :class:`bot.sandbox.wire.Act`::

    world.cloud.run.when(Act(route="^PATCH .*/services/", before=lambda _: world.console.shift("web", {"web-1": 100})))
"""

from __future__ import annotations

import copy
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from bot.sandbox.google.cloud import GoogleCloud
from bot.sandbox.google.cloud_run.rules import BY_REVISION, LATEST
from bot.sandbox.google.iam import user

Json = dict[str, Any]
SAM = "sam@example.com"
PATIENCE = "30s"  # how long an operation is waited for
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(Exception):  # noqa: N818 - an outcome
    """A call was refused, or its operation ended badly. The text is the server's."""


class Console:
    """A person's hands on the services of a project, in its home region unless another is named.

    Each deed reads the service, changes what it is about, and waits until that has come about. Raises Refused.
    """

    def __init__(self, cloud: GoogleCloud, *, email: str = SAM) -> None:
        self.cloud, self.email = cloud, email

    # -- traffic --------------------------------------------------------------------------------------------
    def shift(self, service: str, shares: Mapping[str, int], *, region: str = "") -> Json:
        """Send percentages of the traffic to revisions by name, ``LATEST`` for the latest one. Tags stay."""
        tags = [{**target, "percent": 0} for target in self._targets(service, region) if target.get("tag")]
        return self._patch(service, region, "traffic", {"traffic": [*map(_target, shares, shares.values()), *tags]})

    def add_tag(self, service: str, tag: str, revision: str, *, region: str = "") -> Json:
        """Give a revision a tag, and so an address of its own. Nobody's percentage changes."""
        targets = [*self._without(service, tag, region), {**_target(revision, 0), "tag": tag}]
        return self._patch(service, region, "traffic", {"traffic": targets})

    def drop_tag(self, service: str, tag: str, *, region: str = "") -> Json:
        """Take a tag off its revision. Its percentage stays."""
        return self._patch(service, region, "traffic", {"traffic": self._without(service, tag, region)})

    def _without(self, service: str, tag: str, region: str) -> list[Json]:
        return [
            {key: value for key, value in target.items() if (key, value) != ("tag", tag)}
            for target in self._targets(service, region)
            if target.get("tag") != tag or target.get("percent")
        ]

    def _targets(self, service: str, region: str) -> list[Json]:
        found: list[Json] = self.get(service, region=region).get("traffic", [])
        return found or [_target("LATEST", 100)]

    # -- revisions and settings -----------------------------------------------------------------------------
    def deploy(
        self,
        service: str,
        *,
        image: str = "",
        env: Mapping[str, str | None] | None = None,
        serve: bool = True,
        region: str = "",
    ) -> Json:
        """Edit and deploy a new revision: another image, other variables (None removes one).

        With ``serve`` it gets all traffic, as the latest revision: the console's "Serve this revision immediately".
        """
        found = self.get(service, region=region)
        template = copy.deepcopy(found["template"])
        template.pop("revision", None)  # the console lets the server find a name
        container = template["containers"][0]
        container["image"] = image or container["image"]
        variables = {variable["name"]: variable for variable in container.get("env", [])}
        for name, value in (env or {}).items():
            variables.pop(name, None)
            if value is not None:
                variables[name] = {"name": name, "value": value}
        container["env"] = list(variables.values())
        if not serve:
            return self._patch(service, region, "template", {"template": template})
        tags = [{**target, "percent": 0} for target in found.get("traffic", []) if target.get("tag")]
        return self._patch(
            service, region, "template,traffic", {"template": template, "traffic": [_target("LATEST", 100), *tags]}
        )

    def set_env(self, service: str, *, region: str = "", **env: str | None) -> Json:
        """Change variables; that deploys a new revision, which serves."""
        return self.deploy(service, env=env, region=region)

    def scale(self, service: str, *, region: str = "", **scaling: Any) -> Json:
        """Change the scaling of the service itself (ServiceScaling: ``minInstanceCount``, …); no new revision."""
        kept = self.get(service, region=region).get("scaling", {})
        return self._patch(service, region, "scaling", {"scaling": {**kept, **scaling}})

    # -- images ---------------------------------------------------------------------------------------------
    def set_cleanup_policies(self, repository: str, policies: Mapping[str, Json]) -> Json:
        """Set the clean-up policies of a repository of Artifact Registry in the home region."""
        name = f"projects/{self.cloud.project}/locations/{self.cloud.region}/repositories/{repository}"
        url = f"{self.cloud.registry.url}/v1/{name}?updateMask=cleanupPolicies"
        return self._request("PATCH", url, {"cleanupPolicies": policies})

    # -- calling --------------------------------------------------------------------------------------------
    def get(self, service: str, *, region: str = "") -> Json:
        """Return a service as the API shows it."""
        return self._call("GET", self._path(service, region))

    def _patch(self, service: str, region: str, mask: str, body: Json) -> Json:
        operation = self._call("PATCH", f"{self._path(service, region)}?updateMask={mask}", body)
        done = self._call("POST", f"{operation['name']}:wait", {"timeout": PATIENCE})
        if not done.get("done"):
            raise Refused(f"{operation['name']} is not done after {PATIENCE}")
        if "error" in done:
            raise Refused(done["error"]["message"])
        response: Json = done["response"]
        return response

    def _path(self, service: str, region: str) -> str:
        return f"projects/{self.cloud.project}/locations/{region or self.cloud.region}/services/{service}"

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        return self._request(method, f"{self.cloud.run.url}/v2/{path}", body)

    def _request(self, method: str, url: str, body: Json | None) -> Json:
        request = urllib.request.Request(
            url,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.cloud.authority.issue_token(user(self.email))}",
                "Content-Type": "application/json",
            },
            method=method,
        )
        try:
            with _OPENER.open(request, timeout=60) as response:
                found: Json = json.load(response)
                return found
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(json.load(error)["error"]["message"]) from None


def _target(revision: str, percent: int) -> Json:
    if revision == "LATEST":
        return {"type": LATEST, "percent": percent}
    return {"type": BY_REVISION, "revision": revision, "percent": percent}
