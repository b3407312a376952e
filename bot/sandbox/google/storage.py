"""Cloud Storage's JSON API: buckets, objects, and uploads that can be resumed. Object bytes live on disk.

Ground: storage.v1 (the discovery document) and the pages "Resumable uploads", "Performing resumable uploads" and
"HTTP status and error codes for JSON" of cloud.google.com/storage/docs.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import google_crc32c

from bot.sandbox.google import GoogleService, paginate, rfc3339
from bot.sandbox.wire import Request, Response, WireError, answer

Json = dict[str, Any]
QUANTUM = 256 * 1024  # bytes; every chunk but the last is a multiple ("Performing resumable uploads")
_BLOCK = 1 << 20
_REASONS = {
    400: "invalid", 401: "required", 403: "forbidden", 404: "notFound", 409: "conflict", 410: "gone",
    412: "conditionNotMet", 416: "requestedRangeNotSatisfiable",
}  # fmt: skip
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")  # "Bucket names"


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """The live generation of one object: its resource in JSON, and its bytes."""

    resource: Json
    path: Path

    @property
    def generation(self) -> int:
        """The generation, which the JSON holds as a string."""
        return int(self.resource["generation"])


@dataclass(kw_only=True)
class _Upload:
    """One resumable session. ``done`` is the object once the last byte is in."""

    bucket: str
    metadata: Json
    arguments: Mapping[str, list[str]]
    path: Path
    received: int = 0
    done: StoredObject | None = None


@dataclass(kw_only=True)
class _Bucket:
    resource: Json
    objects: dict[str, StoredObject] = field(default_factory=dict)


class Storage(GoogleService):
    """``storage.googleapis.com``. ``root`` is the folder that holds the bytes."""

    name = "storage"

    def __init__(
        self,
        *,
        root: Path,
        authenticate: Callable[[str], object | None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(authenticate=authenticate)
        self.root, self.clock = root, clock
        root.mkdir(parents=True, exist_ok=True)
        self._buckets: dict[str, _Bucket] = {}
        self._uploads: dict[str, _Upload] = {}
        # The live service counts microseconds; two writes never share a number.
        self._generations = itertools.count(int(clock() * 1e6))
        base = "/storage/v1/b"
        self.route("GET", base, self._list_buckets)
        self.route("POST", base, self._insert_bucket)
        self.route("GET", f"{base}/{{bucket}}/o", self._list)
        for path in (f"{base}/{{bucket}}/o/{{object+}}", "/download/storage/v1/b/{bucket}/o/{object+}"):
            self.route("GET", path, self._get)
        self.route("DELETE", f"{base}/{{bucket}}/o/{{object+}}", self._delete)
        self.route("PATCH", f"{base}/{{bucket}}/o/{{object+}}", self._patch)
        self.route("GET", f"{base}/{{bucket}}", lambda request: answer(self._bucket(request).resource))
        self.route("DELETE", f"{base}/{{bucket}}", self._delete_bucket)
        for path in ("/upload/storage/v1/b/{bucket}/o", "/resumable/upload/storage/v1/b/{bucket}/o"):
            self.route("POST", path, self._insert)
            self.route("PUT", path, self._continue)
            self.route("DELETE", path, self._cancel)

    def render_error(self, error: WireError) -> Response:
        """Return the JSON API's error, which lists reasons instead of a google.rpc status."""
        reason = error.code if error.code[:1].islower() else _REASONS.get(error.status, "backendError")
        listed = {"message": error.message, "domain": "global", "reason": reason}
        out = answer({"error": {"code": error.status, "message": error.message, "errors": [listed]}}, error.status)
        if error.status == 416:  # the client tells an empty object by it
            out.headers["Content-Range"] = f"bytes */{error.extra['size']}"
        return out

    # -- for the other servers and for set-up ---------------------------------------------------------------
    def create_bucket(self, name: str, **fields: Any) -> Json:
        """Create a bucket and return its resource. Raises WireError 400 or 409."""
        if not _BUCKET_NAME.fullmatch(name):
            raise WireError(400, f"Invalid bucket name: '{name}'")
        with self.lock:
            if name in self._buckets:
                raise WireError(
                    409, "Your previous request to create the named bucket succeeded and you already own it."
                )
            now = rfc3339(self.clock())
            resource = {
                "kind": "storage#bucket", "id": name, "name": name, "selfLink": f"/storage/v1/b/{name}",
                "projectNumber": "123456789012", "metageneration": "1", "location": "US", "storageClass": "STANDARD",
                "locationType": "multi-region", "timeCreated": now, "updated": now, "etag": "CAE=", **fields,
            }  # fmt: skip
            self._buckets[name] = _Bucket(resource=resource)
            return resource

    def put(self, bucket: str, name: str, data: bytes, content_type: str = "application/octet-stream") -> Json:
        """Write an object, creating its bucket where it is missing; return the object's resource."""
        with self.lock:
            if bucket not in self._buckets:
                self.create_bucket(bucket)
        path = self._temporary()
        path.write_bytes(data)
        return self._commit(bucket, {"name": name, "contentType": content_type}, {}, path).resource

    def lookup(self, bucket: str, name: str, generation: int | None = None) -> StoredObject:
        """Return an object. Raises WireError 404 for a missing bucket, object or generation."""
        with self.lock:
            if bucket not in self._buckets:
                raise WireError(404, "The specified bucket does not exist.")
            found = self._buckets[bucket].objects.get(name)
        if found is None or (generation is not None and found.generation != generation):
            raise WireError(404, f"No such object: {bucket}/{name}")
        return found

    # -- buckets --------------------------------------------------------------------------------------------
    def _bucket(self, request: Request) -> _Bucket:
        found = self._buckets.get(request.params["bucket"])
        if found is None:
            raise WireError(404, "The specified bucket does not exist.")
        return found

    def _list_buckets(self, request: Request) -> Response:
        if not request.arg("project"):
            raise WireError(400, "Required parameter: project", "required")
        items = [bucket.resource for _, bucket in sorted(self._buckets.items())]
        return answer({"kind": "storage#buckets", **paginate(_sized(request), items, "items", default=1000)})

    def _insert_bucket(self, request: Request) -> Response:
        body = request.json()
        if not request.arg("project"):
            raise WireError(400, "Required parameter: project", "required")
        return answer(self.create_bucket(str(body.pop("name", "")), **body))

    def _delete_bucket(self, request: Request) -> Response:
        with self.lock:
            if self._bucket(request).objects:
                raise WireError(409, "The bucket you tried to delete is not empty.")
            del self._buckets[request.params["bucket"]]
        return answer(None, 204)

    # -- objects --------------------------------------------------------------------------------------------
    def _object(self, request: Request) -> StoredObject:
        generation = request.arg("generation")
        found = self.lookup(request.params["bucket"], request.params["object"], int(generation) if generation else None)
        _precondition(request.query, found)
        return found

    def _list(self, request: Request) -> Response:
        prefix = request.arg("prefix") or ""
        with self.lock:
            objects = self._bucket(request).objects
            items = [each.resource for name, each in sorted(objects.items()) if name.startswith(prefix)]
        return answer({"kind": "storage#objects", **paginate(_sized(request), items, "items", default=1000)})

    def _get(self, request: Request) -> Response:
        found = self._object(request)
        if request.arg("alt") != "media":
            return answer(found.resource)
        size = int(found.resource["size"])
        start, end, status = _range(request.headers.get("range"), size)
        headers = {
            "Content-Type": found.resource["contentType"], "ETag": found.resource["etag"],
            "X-Goog-Generation": found.resource["generation"],
            "X-Goog-Hash": f"crc32c={found.resource['crc32c']},md5={found.resource['md5Hash']}",
            "X-Goog-Stored-Content-Length": str(size),
        }  # fmt: skip
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        return Response(status=status, body=_blocks(found.path, start, end), headers=headers)

    def _delete(self, request: Request) -> Response:
        with self.lock:
            found = self._object(request)
            del self._bucket(request).objects[request.params["object"]]
        found.path.unlink(missing_ok=True)
        return answer(None, 204)

    def _patch(self, request: Request) -> Response:
        changes = request.json()
        if extra := set(changes) - {"metadata", "contentType", "cacheControl", "contentEncoding", "customTime"}:
            raise WireError(400, f"The sandbox can't change {min(extra)!r} of an object.")
        with self.lock:
            found = self._object(request)
            found.resource.update(
                changes, metageneration=str(int(found.resource["metageneration"]) + 1), updated=rfc3339(self.clock())
            )
        return answer(found.resource)

    # -- uploads --------------------------------------------------------------------------------------------
    def _temporary(self) -> Path:
        return self.root / uuid.uuid4().hex

    def _insert(self, request: Request) -> Response:
        self._bucket(request)
        match request.arg("uploadType"):
            case "resumable":
                return self._begin(request)
            case "multipart":
                metadata, data = _multipart(request)
            case "media":
                metadata, data = {"contentType": request.headers.get("content-type")}, request.body
            case other:
                raise WireError(400, f"Unknown uploadType: {other}")
        path = self._temporary()
        path.write_bytes(data)
        stored = self._commit(request.params["bucket"], _named(metadata, request), request.query, path)
        return answer(stored.resource)

    def _begin(self, request: Request) -> Response:
        metadata = _named(request.json(), request)
        metadata.setdefault("contentType", request.headers.get("x-upload-content-type"))
        self._check_precondition(request.params["bucket"], metadata["name"], request.query)
        session = uuid.uuid4().hex
        path = self._temporary()
        path.touch()
        self._uploads[session] = _Upload(
            bucket=request.params["bucket"], metadata=metadata, arguments=request.query, path=path
        )
        location = f"{request.base_url}{request.raw_path}?uploadType=resumable&upload_id={session}"
        return Response(status=200, headers={"Location": location, "X-GUploader-UploadID": session})

    def _upload(self, request: Request) -> _Upload:
        upload = self._uploads.get(request.arg("upload_id") or "")
        if upload is None:
            raise WireError(404, "Upload session not found.")
        return upload

    def _continue(self, request: Request) -> Response:
        """Take a chunk, or with ``bytes */total`` tell how far the session is."""
        upload = self._upload(request)
        with self.lock:
            if upload.done is None:
                self._take(upload, request)
            if upload.done is not None:
                return answer(upload.done.resource)
        headers = {"Range": f"bytes=0-{upload.received - 1}"} if upload.received else {}
        return Response(status=308, headers=headers)  # Resume Incomplete

    def _take(self, upload: _Upload, request: Request) -> None:
        start, total = _content_range(request.headers.get("content-range"), len(request.body))
        if start > upload.received:
            raise WireError(
                400, "Invalid request.  According to the Content-Range header, the upload offset is "
                f"{start} byte(s), which exceeds already uploaded size of {upload.received} byte(s).",
            )  # fmt: skip
        data = request.body[upload.received - start :]
        last = total is not None and upload.received + len(data) >= total
        if not last:  # only whole quanta are kept; the client reads the Range and sends the rest again
            data = data[: (upload.received + len(data)) // QUANTUM * QUANTUM - upload.received]
        with upload.path.open("ab") as file:
            file.write(data)
        upload.received += len(data)
        if last:
            sent = {**upload.metadata, **_hashes(request.headers.get("x-goog-hash", ""))}
            upload.done = self._commit(upload.bucket, sent, upload.arguments, upload.path)

    def _cancel(self, request: Request) -> Response:
        upload = self._upload(request)
        del self._uploads[request.arg("upload_id") or ""]
        if upload.done is None:
            upload.path.unlink(missing_ok=True)
        return answer(None, 499)  # "Performing resumable uploads", cancel

    def _check_precondition(self, bucket: str, name: str, arguments: Mapping[str, list[str]]) -> None:
        with self.lock:
            _precondition(arguments, self._buckets[bucket].objects.get(name))

    def _commit(self, bucket: str, metadata: Json, arguments: Mapping[str, list[str]], path: Path) -> StoredObject:
        """Make the bytes at ``path`` the live generation. Raises WireError 400 for a wrong hash, 412."""
        md5, crc, size = _digests(path)
        for key, found in (("md5Hash", md5), ("crc32c", crc)):
            if metadata.get(key) not in {None, found}:
                raise WireError(400, f"Provided {key} '{metadata[key]}' doesn't match calculated {key} '{found}'.")
        name = str(metadata["name"])
        with self.lock:
            self._check_precondition(bucket, name, arguments)
            generation, now = str(next(self._generations)), rfc3339(self.clock())
            link = f"{self.url if self._server else ''}/download/storage/v1/b/{bucket}/o/{quote(name, safe='')}"
            resource = {
                **metadata, "kind": "storage#object", "id": f"{bucket}/{name}/{generation}", "name": name,
                "bucket": bucket, "generation": generation, "metageneration": "1", "size": str(size),
                "contentType": metadata.get("contentType") or "application/octet-stream",
                "storageClass": "STANDARD", "md5Hash": md5, "crc32c": crc, "etag": _etag(generation),
                "timeCreated": now, "updated": now, "timeStorageClassUpdated": now,
                "selfLink": f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}",
                "mediaLink": f"{link}?generation={generation}&alt=media",
            }  # fmt: skip
            stored = StoredObject(resource=resource, path=path)
            former = self._buckets[bucket].objects.get(name)
            self._buckets[bucket].objects[name] = stored
        if former is not None:
            former.path.unlink(missing_ok=True)
        return stored

    def close(self) -> None:
        """Remove every object's bytes."""
        shutil.rmtree(self.root, ignore_errors=True)


def _etag(generation: str) -> str:
    return base64.b64encode(generation.encode()).decode()


def _sized(request: Request) -> Request:
    """This API names its page size ``maxResults``."""
    return Request(**{**request.__dict__, "query": {**request.query, "pageSize": request.query.get("maxResults", [])}})


def _named(metadata: Json, request: Request) -> Json:
    name = request.arg("name") or metadata.get("name")
    if not name:
        raise WireError(400, "Required parameter: name", "required")
    return {**metadata, "name": name}


def _precondition(arguments: Mapping[str, list[str]], found: StoredObject | None) -> None:
    """``ifGenerationMatch=0`` asks that the object does not exist (objects.insert)."""
    generation = str(found.generation) if found else "0"
    meta = found.resource["metageneration"] if found else "0"
    checks = (
        ("ifGenerationMatch", generation, True), ("ifGenerationNotMatch", generation, False),
        ("ifMetagenerationMatch", meta, True), ("ifMetagenerationNotMatch", meta, False),
    )  # fmt: skip
    for name, value, wanted in checks:
        if (sent := arguments.get(name)) and (sent[-1] == value) is not wanted:
            raise WireError(412, "At least one of the pre-conditions you specified did not hold.")


def _digests(path: Path) -> tuple[str, str, int]:
    md5, crc, size = hashlib.md5(usedforsecurity=False), 0, 0
    for block in _blocks(path, 0, path.stat().st_size):
        md5.update(block)
        crc = google_crc32c.extend(crc, block)
        size += len(block)
    return base64.b64encode(md5.digest()).decode(), base64.b64encode(crc.to_bytes(4)).decode(), size


def _blocks(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (block := file.read(min(_BLOCK, end - start))):
            start += len(block)
            yield block


def _range(header: str | None, size: int) -> tuple[int, int, int]:
    """Return start, end (exclusive) and status of a download."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if not found or not (found[1] or found[2]):
        return 0, size, 200
    if not found[1]:
        return max(0, size - int(found[2])), size, 206
    if int(found[1]) >= size:
        raise WireError(416, "The requested range cannot be satisfied.", size=size)
    return int(found[1]), min(size, int(found[2]) + 1 if found[2] else size), 206


def _content_range(header: str | None, length: int) -> tuple[int, int | None]:
    """Return the first byte's offset and the total size, None while it is unknown."""
    if header is None:
        return 0, length
    found = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", header)
    if not found or (found[1] and int(found[2]) - int(found[1]) + 1 != length):
        raise WireError(400, f"Failed to parse Content-Range header: {header}")
    total = None if found[3] == "*" else int(found[3])
    if found[1] is None:  # a status query; it ends an upload only when nothing is missing
        return 0, total
    return int(found[1]), total


def _hashes(header: str) -> Json:
    """Read ``x-goog-hash: crc32c=…,md5=…``."""
    pairs = (part.strip().partition("=") for part in header.split(",") if part.strip())
    return {{"md5": "md5Hash", "crc32c": "crc32c"}[key]: value for key, _, value in pairs if key in {"md5", "crc32c"}}


def _multipart(request: Request) -> tuple[Json, bytes]:
    """Return metadata and bytes of a multipart/related body (RFC 2387)."""
    boundary = re.search(r'boundary="?([^";]+)"?', request.headers.get("content-type", ""))
    parts = request.body.split(b"--" + boundary[1].encode())[1:-1] if boundary else []
    if len(parts) != 2:
        raise WireError(400, "Invalid multipart request with 0 mime parts.")
    head, data = (part.removeprefix(b"\r\n").removesuffix(b"\r\n").partition(b"\r\n\r\n") for part in parts)
    media = re.search(rb"(?im)^content-type:\s*(\S+)", data[0])
    metadata: Json = json.loads(head[2])
    if media:
        metadata.setdefault("contentType", media[1].decode())
    return metadata, data[2]
