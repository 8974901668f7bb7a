"""A folder in object storage: `s3://bucket/prefix`, through the client in pyarrow.

Ray and MLflow bring pyarrow along, so this costs no further library. Keys and region come from the
standard AWS variables and files, the address of another server than Amazon's from
`AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`. A short outage is waited out here; what is written is
never changed, so that a request sent twice does no harm.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from sweep.errors import StorageError, UsageError
from sweep.util.redaction import redact

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem

SCHEME = "s3://"
#: An outage that lasts longer halts the sweep.
PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 1.0
_CONNECT_SECONDS, _REQUEST_SECONDS = 5.0, 15.0
_CHUNK = 8 << 20
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*")
#: What waiting does not mend, in the words of the servers.
_REFUSALS = re.compile(
    r"ACCESS_DENIED|AccessDenied|NO_SUCH_BUCKET|NoSuchBucket|INVALID_ACCESS_KEY|InvalidAccessKeyId|"
    r"SIGNATURE_DOES_NOT_MATCH|SignatureDoesNotMatch|HTTP status 40[013]\b|HTTP status 30\d\b"
)
_Answer = TypeVar("_Answer")


def is_bucket(text: object) -> bool:
    """Whether an address is of object storage rather than a folder."""
    return isinstance(text, str) and "://" in text


def check_address(address: str, what: str = "storage") -> str:
    """An address without a slash at its end.

    Args:
        address: Address of object storage.
        what: Named in the message.

    Raises:
        UsageError: It is not `s3://bucket` or `s3://bucket/prefix`.
    """
    found = address.rstrip("/")
    if "@" in address or "?" in address:
        raise UsageError(
            f"{what}: found an address with a user, key or parameters, expected "
            "s3://bucket/prefix; keys belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or "
            "~/.aws/credentials of every host, a server into AWS_ENDPOINT_URL"
        )
    bucket, _, prefix = found.removeprefix(SCHEME).partition("/")
    fits = not prefix or (_PREFIX.fullmatch(prefix) and ".." not in prefix.split("/"))
    if not found.startswith(SCHEME) or not _NAME.fullmatch(bucket) or not fits:
        raise UsageError(
            f"{what}: found {redact(address)!r}, expected a folder or s3://bucket/prefix with a "
            "bucket of 3 to 63 lower-case letters, digits, '.' and '-'"
        )
    return found


class Bucket:
    """Objects below an address. Every key is relative to it."""

    def __init__(self, address: str, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Touches nothing; the first request connects.

        Raises:
            UsageError: It is no such address.
        """
        self.address = check_address(address)
        self._root = self.address.removeprefix(SCHEME)
        self._patience_seconds = patience_seconds

    def check(self, key: str) -> None:
        """Write, read and remove an object, so that what is wrong shows before a sweep starts.

        Args:
            key: Key of an object that is used for this alone.

        Raises:
            UsageError: The bucket is missing, or may not be written; says so.
        """
        try:
            self.put(key, b"ptxsweep")
            whole = self.get(key) == b"ptxsweep"
            self.remove([key])
        except StorageError as error:
            raise UsageError(f"--storage: {error}") from error
        if not whole:
            raise UsageError(f"--storage: {self.address} gives back other bytes than were written")

    def put(self, key: str, content: bytes) -> None:
        """Write an object, whole or not at all.

        Raises:
            StorageError: The storage cannot be used.
        """

        def write() -> None:
            # Not a `with` block: leaving it through an error would complete the object.
            stream = self._files.open_output_stream(self._path(key))
            stream.write(content)
            stream.close()

        self._asking(write)

    def put_file(self, key: str, file: Path) -> None:
        """Write a file of any size; what is left of one that was broken off has another size.

        Raises:
            StorageError: The storage cannot be used.
            OSError: The file cannot be read.
        """
        with file.open("rb") as content:

            def write() -> None:
                content.seek(0)
                stream = self._files.open_output_stream(self._path(key))
                while chunk := content.read(_CHUNK):
                    stream.write(chunk)
                stream.close()

            self._asking(write)

    def get(self, key: str) -> bytes | None:
        """An object's bytes, None where there is none.

        Raises:
            StorageError: The storage cannot be used.
        """

        def read() -> bytes | None:
            if self._size(key) is None:
                return None
            with self._files.open_input_file(self._path(key)) as stream:
                content = bytes(stream.read())
                return content if len(content) == stream.size() else None

        return self._asking(read)

    def get_file(self, key: str, file: Path) -> str | None:
        """Write an object of any size into a file, piece by piece.

        Returns:
            SHA-256 of what was written; None where there is no object, or it went meanwhile.

        Raises:
            StorageError: The storage cannot be used.
            OSError: The file cannot be written.
        """
        size, digest = self._asking(lambda: self._size(key)), hashlib.sha256()
        with file.open("wb") as content:
            for start in range(0, size or 0, _CHUNK):
                piece = self._asking(lambda start=start: self._piece(key, start))  # type: ignore[misc]
                if piece is None:
                    return None
                digest.update(piece)
                content.write(piece)
        return None if size is None else digest.hexdigest()

    def keys(self, folder: str) -> list[str]:
        """Sorted keys of all objects below a folder.

        Raises:
            StorageError: The storage cannot be used.
        """
        return sorted(self.sizes(folder))

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of every object below a folder, by key.

        Raises:
            StorageError: The storage cannot be used.
        """
        from pyarrow.fs import FileSelector, FileType

        def find() -> dict[str, int]:
            where = FileSelector(self._path(folder), allow_not_found=True, recursive=True)
            found = self._files.get_file_info(where)
            start = len(self._root) + 1
            return {file.path[start:]: file.size for file in found if file.type == FileType.File}

        return self._asking(find)

    def remove(self, keys: list[str]) -> None:
        """Remove objects; one that is gone already is no error.

        Raises:
            StorageError: The storage cannot be used.
        """
        for key in keys:
            self._asking(lambda key=key: self._remove(key))  # type: ignore[misc]

    def _remove(self, key: str) -> None:
        try:
            self._files.delete_file(self._path(key))
        except FileNotFoundError:
            if self._size(key) is not None:
                raise

    def _size(self, key: str) -> int | None:
        """Bytes of an object, None where there is none."""
        from pyarrow.fs import FileType

        found = self._files.get_file_info(self._path(key))
        return int(found.size) if found.type == FileType.File else None

    def _piece(self, key: str, start: int) -> bytes | None:
        """Bytes of an object from a place on; None if it is gone."""
        try:
            with self._files.open_input_file(self._path(key)) as stream:
                return bytes(stream.read_at(_CHUNK, start))
        except FileNotFoundError:
            return None

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    @cached_property
    def _files(self) -> S3FileSystem:
        from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

        more: dict[str, Any] = {}
        server = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if server:
            parts = urlsplit(server)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
                raise UsageError(
                    f"AWS_ENDPOINT_URL: found {redact(server)!r}, expected http(s)://host:port"
                )
            more = {"scheme": parts.scheme, "endpoint_override": parts.netloc}
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if region or server:
            more["region"] = region or "us-east-1"
        return S3FileSystem(
            connect_timeout=_CONNECT_SECONDS,
            request_timeout=_REQUEST_SECONDS,
            retry_strategy=AwsStandardS3RetryStrategy(max_attempts=2),
            **more,
        )

    def _asking(self, request: Callable[[], _Answer]) -> _Answer:
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                return request()
            except OSError as error:
                said = redact(" ".join(str(error).split()))
                if isinstance(error, FileNotFoundError) or _REFUSALS.search(said):
                    raise StorageError(
                        f"{self.address} refuses ({said[:300]}); expected a bucket that exists and "
                        "keys that may read, write, list and delete in it, in the environment or "
                        "~/.aws of every host"
                    ) from error
                if time.monotonic() >= deadline:
                    raise StorageError(
                        f"{self.address} cannot be used since {self._patience_seconds:.0f} s "
                        f"({said[:300]}); once it answers, `ptxsweep resume` goes on"
                    ) from error
            time.sleep(_PAUSE_SECONDS)
