"""The source of a sha, from a stream of GitHub's tarball to an object in Cloud Storage. Memory stays bounded.

GitHub's tarball has one folder at its top (``owner-repo-sha7/``). Its name is read from the first file's header while
the stream passes, and kept as metadata of the object so that an object found later tells it too.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from google.api_core.exceptions import Conflict, NotFound

from bot.core.spec import CloudRunSpec
from bot.core.target import Source
from bot.errors import UpstreamError
from bot.targets.cloud_build_request import Upload
from bot.targets.google import Google
from bot.targets.google_errors import change, read

CHUNK = 2 << 20  # bytes of one part of the upload; a multiple of 256 KiB, as resumable uploads demand
_PARTS = 3.0  # how many times the time of another call one part may take
_HEAD = 1 << 20  # bytes of archive in which the first file's header must come
_FOLDER = "slipway-folder"
_BLOCK = tarfile.BLOCKSIZE
_SKIPPED = (tarfile.XGLTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


def upload(google: Google, spec: CloudRunSpec, sha: str, source: Source, *, repository: str = "") -> Upload:
    """Have the source of a sha in Cloud Storage; an object that is there is used again. Raises UpstreamError.

    ``repository`` is another one than the application's own.
    """
    name = f"source/{(repository or spec.repository).replace('/', '-')}-{sha}.tgz"
    bucket = google.storage.bucket(spec.source_bucket)
    found = _found(google, bucket, name)
    if found is not None:
        return found
    with source(sha) as chunks:
        stream = ChunkReader(chunks)
        folder = stream.top_folder()
        blob = bucket.blob(name, chunk_size=CHUNK)
        blob.metadata = {_FOLDER: folder}
        try:
            change("upload the source", lambda: _send(google, blob, stream))
        except UpstreamError as error:
            if error.status != 412:
                raise
            raced = _found(google, bucket, name)  # another release of the same sha was faster
            if raced is None:
                raise
            return raced
    return Upload(bucket=spec.source_bucket, name=name, generation=int(blob.generation), folder=folder)


def _send(google: Google, blob: Any, stream: ChunkReader) -> None:
    from google.cloud.storage.exceptions import DataCorruption  # noqa: PLC0415 - the client itself is imported late
    from google.cloud.storage.retry import DEFAULT_RETRY  # noqa: PLC0415

    seconds = _PARTS * google.timeout
    options: dict[str, Any] = {
        "content_type": "application/gzip",
        "if_generation_match": 0,
        "timeout": seconds,
        "retry": DEFAULT_RETRY.with_timeout(seconds),  # its own would go on for two minutes, part by part
    }
    try:
        try:
            blob.upload_from_file(stream, **options)
        except NotFound:
            # No such bucket: made as `gcloud builds submit` makes its own. Nothing of the stream was read yet, since a
            # resumable upload is opened by a request without content.
            bucket, where = (
                _new_bucket(google, blob.bucket.name),
                {"location": google.region, "timeout": google.timeout},
            )
            with suppress(Conflict):  # another upload was faster: of another source of this build, or another release
                google.storage.create_bucket(bucket, **where, retry=options["retry"])
            blob.upload_from_file(stream, **options)
    except DataCorruption as error:
        raise UpstreamError(
            "The source arrived damaged in Cloud Storage.", service="Cloud Storage", operation="upload the source"
        ) from error


def _new_bucket(google: Google, name: str) -> Any:
    bucket = google.storage.bucket(name)
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    return bucket


def _found(google: Google, bucket: Any, name: str) -> Upload | None:
    """Return an object that an earlier release uploaded whole, None if there is none."""
    blob = read("look for the source", lambda: bucket.get_blob(name, timeout=google.timeout, retry=None))
    folder = (blob.metadata or {}).get(_FOLDER) if blob is not None else None
    if blob is None or not folder:
        return None
    return Upload(bucket=bucket.name, name=name, generation=int(blob.generation), folder=folder)


class ChunkReader:
    """A file, as far as an upload reads one, over a stream of chunks. Holds a chunk or two at a time."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._buffer, self._position = chunks, bytearray(), 0

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes, fewer only at the end."""
        while size < 0 or len(self._buffer) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._buffer += chunk
        size = len(self._buffer) if size < 0 else size
        result = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._position += len(result)
        return result

    def top_folder(self) -> str:
        """Return the folder at the top of the archive, without consuming anything.

        Raises UpstreamError when the stream is no gzipped tar archive with a folder.
        """
        try:
            return self._top_folder()
        except (zlib.error, tarfile.TarError) as error:
            raise _no_archive(str(error)) from error

    def _top_folder(self) -> str:
        gunzip, head, fed = zlib.decompressobj(wbits=31), bytearray(), 0
        at = 0
        while len(head) < _HEAD:
            if fed == len(self._buffer):
                chunk = next(self._chunks, None)
                if chunk is None:
                    break
                self._buffer += chunk
            head += gunzip.decompress(bytes(self._buffer[fed:]), _HEAD)
            fed = len(self._buffer)
            while len(head) >= at + _BLOCK:
                member = tarfile.TarInfo.frombuf(bytes(head[at : at + _BLOCK]), "utf-8", "surrogateescape")
                if member.type not in _SKIPPED:
                    return _first_part(member.name)
                at += _BLOCK + -(-member.size // _BLOCK) * _BLOCK
        raise _no_archive("it ends too soon")


def _first_part(name: str) -> str:
    folder = name.strip("/").partition("/")[0]
    if folder in ("", ".", ".."):
        raise _no_archive("it has no folder at its top")
    return folder


def _no_archive(why: str) -> UpstreamError:
    return UpstreamError(f"GitHub's source archive is unusable: {why}.", service="GitHub", operation="read the source")
