"""Artifact Registry over the sandbox's image store, and the registry protocol that ``docker pull`` speaks.

Ground: artifactregistry.v1 (the discovery document); the OCI distribution specification for ``/v2/…/manifests``.
A repository of the store is ``<location>-docker.pkg.dev/<project>/<repository>/<package>``. Clean-up policies are kept
with their repository, and carried out when a story says so (:meth:`ArtifactRegistry.clean_up`); the live service has "a
background job that runs periodically".
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, unquote

from bot.sandbox.google import GoogleService, operation, paginate, rfc3339
from bot.sandbox.google.artifact_cleanup import Version, accepted, doomed
from bot.sandbox.images import MANIFEST_TYPE, Image, ImageStore
from bot.sandbox.wire import Request, Response, Route, WireError, answer

Json = dict[str, Any]
SETTABLE = ("description", "labels", "cleanupPolicies", "cleanupPolicyDryRun")  # of a Repository; the rest is fixed
_TAG = re.compile(r"[\w][\w.-]{0,127}")  # distribution specification, "Pulling manifests"


class ArtifactRegistry(GoogleService):
    """``artifactregistry.googleapis.com`` and, on the same port, ``<location>-docker.pkg.dev``."""

    name = "artifactregistry"

    def __init__(
        self,
        *,
        images: ImageStore,
        authenticate: Callable[[str], object | None] | None = None,
        project: str = "acme",
        region: str = "us-central1",
    ) -> None:
        super().__init__(authenticate=authenticate)
        self.images, self.project, self.region = images, project, region
        self._repositories: dict[str, Json] = {}  # by host/project/repository: the fields that somebody has set
        self._operations: dict[str, Json] = {}
        repository = "/v1/projects/{project}/locations/{location}/repositories/{repository}"
        package = f"{repository}/packages/{{package+}}"
        self.route("GET", repository.rpartition("/")[0], self._list_repositories)
        self.route("POST", repository.rpartition("/")[0], self._create_repository)
        self.route("GET", "/v1/projects/{project}/locations/{location}/operations/{operation}", self._operation)
        self.route("GET", f"{repository}/dockerImages", self._list_images)
        self.route("GET", f"{repository}/dockerImages/{{image+}}", self._get_image)
        self.route("GET", f"{package}/tags", self._list_tags)
        self.route("POST", f"{package}/tags", self._create_tag)
        self.route("GET", f"{package}/tags/{{tag}}", self._get_tag)
        self.route("PATCH", f"{package}/tags/{{tag}}", self._patch_tag)
        self.route("DELETE", f"{package}/tags/{{tag}}", self._delete_tag)
        self.route("GET", f"{package}/versions", self._list_versions)
        self.route("GET", f"{package}/versions/{{version}}", self._get_version)
        self.route("DELETE", f"{package}/versions/{{version}}", self._delete_version)
        self.route("GET", f"{repository}/packages", self._list_packages)
        self.route("GET", package, lambda request: answer(self._package(self._known(request))))
        self.route("GET", repository, lambda request: answer(self._repository(self._host(request))))
        self.route("PATCH", repository, self._patch_repository)
        for method in ("GET", "HEAD"):
            self.route(method, "/v2/{name+}/manifests/{reference}", self._manifest)
        self.route("GET", "/v2/", lambda _request: answer({}))

    def declare(self, repository: str) -> None:
        """Let ``<location>-docker.pkg.dev/<project>/<repository>`` exist before anything was pushed to it."""
        self._repositories.setdefault(repository, {})

    def clean_up(self, at: float | None = None) -> list[str]:
        """Carry out the clean-up policies of all repositories as of a time, now by default.

        Returns what was deleted as ``repository@sha256:…``, with a dry run what would have been.
        """
        now, found = self.images.clock() if at is None else at, []
        for host, fields in list(self._repositories.items()):
            versions = [version for name in self._packages(host) for version in self._versions_of(name)]
            for version in doomed(versions, fields.get("cleanupPolicies", {}).values(), now):
                if not fields.get("cleanupPolicyDryRun"):
                    self.images.delete(f"{host}/{version.package}", version.name)
                found.append(f"{host}/{version.package}@{version.name}")
        return found

    def _versions_of(self, repository: str) -> list[Version]:
        return [
            Version(
                package=self._parent(repository)[1],
                name=image.digest,
                tags=tuple(self._tags_of(repository, image.digest)),
                uploaded=self.images.uploaded(repository, image.digest),
            )
            for image in self.images.images(repository)
        ]

    def authorize(self, request: Request, route: Route) -> None:
        """The registry protocol also takes Basic with the user ``oauth2accesstoken`` (as ``docker login`` sends)."""
        header = request.headers.get("authorization", "")
        if route.template.startswith("/v2/") and header.lower().startswith("basic "):
            user, _, token = base64.b64decode(header[6:]).decode(errors="replace").partition(":")
            header = f"Bearer {token}" if user == "oauth2accesstoken" else "Bearer "
            request = Request(**{**request.__dict__, "headers": {**request.headers, "authorization": header}})
        super().authorize(request, route)

    def render_error(self, error: WireError) -> Response:
        """Errors of the registry protocol have their own form (distribution specification, "Error Codes")."""
        if error.code == "MANIFEST_UNKNOWN":
            out = answer({"errors": [{"code": error.code, "message": error.message}]}, error.status)
            out.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
            return out
        return super().render_error(error)

    # -- names ----------------------------------------------------------------------------------------------
    def _host(self, request: Request) -> str:
        """Return ``location-docker.pkg.dev/project/repository``. Raises WireError 404 when it does not exist."""
        params = request.params
        host = f"{params['location']}-docker.pkg.dev/{params['project']}/{params['repository']}"
        if host not in self._hosts():
            name = "projects/{project}/locations/{location}/repositories/{repository}".format(**params)
            raise WireError(404, f'Repository "{name}" not found', "NOT_FOUND")
        return host

    def _hosts(self) -> list[str]:
        """Return every repository: those that were declared or made, and those that something was pushed to."""
        pushed = {"/".join(name.split("/", 3)[:3]) for name in self.images.repositories()}
        return sorted(pushed | set(self._repositories))

    def _packages(self, host: str) -> list[str]:
        return [name for name in self.images.repositories() if name.startswith(f"{host}/")]

    def _known(self, request: Request) -> str:
        """Return the store's repository of the package in the path. Raises WireError 404."""
        # A name holds its slashes escaped, and a client escapes the name once more for the path.
        found = f"{self._host(request)}/{unquote(request.params['package'])}"
        if not self.images.images(found):
            raise _missing()
        return found

    @staticmethod
    def _parent(repository: str) -> tuple[str, str]:
        """Return the resource name of a store's repository, and the package in it."""
        host, project, name, package = repository.split("/", 3)
        location = host.removesuffix("-docker.pkg.dev")
        return f"projects/{project}/locations/{location}/repositories/{name}", package

    def _package_name(self, repository: str) -> str:
        parent, package = self._parent(repository)
        return f"{parent}/packages/{quote(package, safe='')}"  # slashes in a package's id are escaped (Package.name)

    # -- resources ------------------------------------------------------------------------------------------
    def _docker_image(self, repository: str, image: Image) -> Json:
        parent, package = self._parent(repository)
        size = sum(layer["size"] for layer in json.loads(image.manifest)["layers"]) if image.manifest else 0
        uploaded = rfc3339(self.images.uploaded(repository, image.digest))
        shown = {
            "name": f"{parent}/dockerImages/{quote(package, safe='')}@{image.digest}",
            "uri": f"{repository}@{image.digest}", "imageSizeBytes": str(size), "uploadTime": uploaded,
            "updateTime": uploaded, "buildTime": rfc3339(image.created), "mediaType": MANIFEST_TYPE,
        }  # fmt: skip
        tags = self._tags_of(repository, image.digest)
        return {**shown, "tags": tags} if tags else shown

    def _tags_of(self, repository: str, digest: str) -> list[str]:
        return sorted(tag for tag, of in self.images.tags(repository).items() if of == digest)

    def _tag(self, repository: str, tag: str, digest: str) -> Json:
        name = self._package_name(repository)
        return {"name": f"{name}/tags/{tag}", "version": f"{name}/versions/{digest}"}

    def _version(self, repository: str, image: Image, view: str | None) -> Json:
        docker = self._docker_image(repository, image)
        shown = {
            "name": f"{self._package_name(repository)}/versions/{image.digest}",
            "createTime": docker["uploadTime"], "updateTime": docker["updateTime"],
            "metadata": {key: docker[key] for key in ("imageSizeBytes", "mediaType", "buildTime")},
        }  # fmt: skip
        shown["metadata"]["name"] = shown["name"]
        tags = self._tags_of(repository, image.digest)
        # BASIC, the default: "basic information about the version, but not any related tags"
        if view in {"FULL", "2"} and tags:
            shown["relatedTags"] = [self._tag(repository, tag, image.digest) for tag in tags]
        return shown

    def _package(self, repository: str) -> Json:
        times = [self.images.uploaded(repository, image.digest) for image in self.images.images(repository)]
        return {
            "name": self._package_name(repository),
            "createTime": rfc3339(min(times)), "updateTime": rfc3339(max(times)),
        }  # fmt: skip

    # -- handlers -------------------------------------------------------------------------------------------
    def _repository(self, host: str) -> Json:
        return {
            "name": self._parent(f"{host}/")[0], "format": "DOCKER", "mode": "STANDARD_REPOSITORY", "registryUri": host,
            **self._repositories.get(host, {}),
        }  # fmt: skip

    def _list_repositories(self, request: Request) -> Response:
        prefix = "{location}-docker.pkg.dev/{project}/".format(**request.params)
        found = [self._repository(host) for host in self._hosts() if host.startswith(prefix)]
        return answer(paginate(request, found, "repositories"))

    def _create_repository(self, request: Request) -> Response:
        name, body = request.arg("repositoryId") or "", request.json()
        if not re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", name) or body.get("format") not in {"DOCKER", 1}:
            raise WireError(
                400, f"invalid repository {name!r}: the sandbox has Docker repositories", "INVALID_ARGUMENT"
            )
        host = "{location}-docker.pkg.dev/{project}/{name}".format(**request.params, name=name)
        if host in self._hosts():
            raise WireError(409, "the repository already exists", "ALREADY_EXISTS")
        self._repositories[host] = {}
        self._write(host, body, SETTABLE)
        kind = "google.devtools.artifactregistry.v1.Repository"
        return self._done(request, response=self._repository(host), response_type=kind)

    def _patch_repository(self, request: Request) -> Response:
        """Update the fields of the mask, without one those that are sent (google.aip.dev/134)."""
        host, body = self._host(request), request.json()
        mask = [_camel(path.strip()) for path in (request.arg("updateMask") or "").split(",") if path.strip()]
        if unknown := set(mask) - {*SETTABLE, "*"}:
            raise WireError(400, f"can't update {', '.join(sorted(unknown))}", "INVALID_ARGUMENT")
        self._repositories.setdefault(host, {})
        self._write(host, body, SETTABLE if mask == ["*"] else mask or [name for name in SETTABLE if name in body])
        return answer(self._repository(host))

    def _write(self, host: str, body: Json, names: Iterable[str]) -> None:
        fields = dict(self._repositories[host])
        for name in names:
            fields.pop(name, None)
            if body.get(name):
                fields[name] = accepted(body[name]) if name == "cleanupPolicies" else body[name]
        self._repositories[host] = fields

    def _list_images(self, request: Request) -> Response:
        found = [(name, image) for name in self._packages(self._host(request)) for image in self.images.images(name)]
        shown = [self._docker_image(*each) for each in found]
        match (request.arg("orderBy") or "").split():
            case []:
                pass
            case ["update_time" | "updateTime" | "upload_time" | "uploadTime", *direction]:
                shown.sort(key=lambda each: each["updateTime"], reverse=direction == ["desc"])
            case _:
                raise WireError(400, f"invalid order_by: {request.arg('orderBy')}", "INVALID_ARGUMENT")
        return answer(paginate(request, shown, "dockerImages", default=100))

    def _get_image(self, request: Request) -> Response:
        package, _, digest = unquote(request.params["image"]).partition("@")
        repository = f"{self._host(request)}/{package}"
        image = self.images.resolve(f"{repository}@{digest}") if digest else None
        if image is None:
            raise _missing()
        return answer(self._docker_image(repository, image))

    def _list_packages(self, request: Request) -> Response:
        names = [name for name in self._packages(self._host(request)) if self.images.images(name)]
        return answer(paginate(request, [self._package(name) for name in names], "packages"))

    def _list_versions(self, request: Request) -> Response:
        repository, view = self._known(request), request.arg("view")
        shown = [self._version(repository, image, view) for image in self.images.images(repository)]
        return answer(paginate(request, shown, "versions"))

    def _image(self, repository: str, digest: str) -> Image:
        image = self.images.resolve(f"{repository}@{digest}")
        if image is None:
            raise _missing()
        return image

    def _get_version(self, request: Request) -> Response:
        repository = self._known(request)
        image = self._image(repository, request.params["version"])
        return answer(self._version(repository, image, request.arg("view")))

    def _delete_version(self, request: Request) -> Response:
        repository, digest = self._known(request), request.params["version"]
        self._image(repository, digest)
        # "By default, a version that is tagged may not be deleted. If force=true, the version and any tags pointing
        # to the version are deleted." (versions.delete, force)
        if self._tags_of(repository, digest) and request.arg("force") != "true":
            raise WireError(400, "The version is tagged and can't be deleted without force.", "FAILED_PRECONDITION")
        self.images.delete(repository, digest)
        return self._done(request)

    def _done(self, request: Request, **result: Any) -> Response:
        """Answer an operation that is over already."""
        name = "projects/{project}/locations/{location}/operations/{id}".format(**request.params, id=uuid.uuid4())
        kind = "google.devtools.artifactregistry.v1.OperationMetadata"
        self._operations[name] = operation(name, metadata_type=kind, done=True, **result)
        return answer(self._operations[name])

    def _operation(self, request: Request) -> Response:
        found = self._operations.get(request.path.removeprefix("/v1/"))
        if found is None:
            raise _missing()
        return answer(found)

    def _list_tags(self, request: Request) -> Response:
        repository = self._known(request)
        shown = [self._tag(repository, tag, digest) for tag, digest in sorted(self.images.tags(repository).items())]
        wanted = _filter(request.arg("filter") or "")
        return answer(paginate(request, [tag for tag in shown if wanted(tag)], "tags"))

    def _get_tag(self, request: Request) -> Response:
        repository, tag = self._known(request), request.params["tag"]
        digest = self.images.tags(repository).get(tag)
        if digest is None:
            raise _missing()
        return answer(self._tag(repository, tag, digest))

    def _create_tag(self, request: Request) -> Response:
        repository, tag = self._known(request), request.arg("tagId") or ""
        if not _TAG.fullmatch(tag):
            raise WireError(400, f"invalid tag {tag!r}", "INVALID_ARGUMENT")
        if tag in self.images.tags(repository):
            raise WireError(409, "the tag already exists", "ALREADY_EXISTS")
        return self._move(request, repository, tag)

    def _patch_tag(self, request: Request) -> Response:
        self._get_tag(request)
        return self._move(request, self._known(request), request.params["tag"])

    def _move(self, request: Request, repository: str, tag: str) -> Response:
        image = self._image(repository, str(request.json().get("version", "")).rpartition("/")[2])
        self.images.put(repository, image, [tag])
        return answer(self._tag(repository, tag, image.digest))

    def _delete_tag(self, request: Request) -> Response:
        self._get_tag(request)
        self.images.untag(self._known(request), request.params["tag"])
        return answer({})

    def _manifest(self, request: Request) -> Response:
        """A caller names the registry by its host, which is loopback's here: this region's is meant."""
        name, reference = request.params["name"], request.params["reference"]
        joint = "@" if reference.startswith("sha256:") else ":"
        image = self.images.resolve(f"{self.region}-docker.pkg.dev/{name}{joint}{reference}")
        if image is None:
            raise WireError(404, f'Failed to fetch "{reference}"', "MANIFEST_UNKNOWN")
        headers = {
            "Content-Type": MANIFEST_TYPE, "Docker-Content-Digest": image.digest,
            "Docker-Distribution-Api-Version": "registry/2.0", "Content-Length": str(len(image.manifest)),
        }  # fmt: skip
        return Response(body=image.manifest, headers=headers)


def _filter(text: str) -> Callable[[Json], bool]:
    """Return what a filter of tags lets through. Raises WireError 400 for what the sandbox does not know.

    Ground: tags.list, ``filter``: "case insensitive", of ``name`` or ``version``, and for ``name`` "you can also use
    wildcards to match any number of characters before or after the value": they stand in the tag, not before it.
    """
    if not text:
        return lambda _tag: True
    found = re.fullmatch(r'(name|version)="([^"]+)"', text)
    before, _, last = found[2].rpartition("/") if found else ("", "", "")
    if found is None or "*" in before or "*" in last[1:-1] or (found[1] == "version" and "*" in last):
        raise WireError(400, 'the sandbox filters tags by name="…" or version="…" only', "INVALID_ARGUMENT")
    pattern = re.compile(re.escape(found[2]).replace(r"\*", ".*"), re.IGNORECASE)
    return lambda tag: pattern.fullmatch(tag[found[1]]) is not None


def _camel(path: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), path)


def _missing() -> WireError:
    return WireError(404, "Requested entity was not found.", "NOT_FOUND")
