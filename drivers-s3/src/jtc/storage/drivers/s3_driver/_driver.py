"""`S3Driver`: files as objects of one bucket."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast
from urllib.parse import quote, urlsplit

from jtc.storage.driver_support.error_translation import reraise
from jtc.storage.driver_support.standalone import standalone
from jtc.storage.driver_support.traceback_scrubbing import ScrubbedLocals
from jtc.storage.drivers.s3_driver._addresses import base_url
from jtc.storage.drivers.s3_driver._bucket import Bucket
from jtc.storage.drivers.s3_driver._copying import copy_file, move_file
from jtc.storage.drivers.s3_driver._deleting import delete_directory, delete_file, delete_files
from jtc.storage.drivers.s3_driver._listing import list_entries
from jtc.storage.drivers.s3_driver._metadata import file_info, size_of
from jtc.storage.drivers.s3_driver._reading import open_stream, read_all
from jtc.storage.drivers.s3_driver._settings import GIB, MIB, Settings
from jtc.storage.drivers.s3_driver._signing import download_url, upload_form, upload_request
from jtc.storage.drivers.s3_driver._stale import abort_stale_uploads
from jtc.storage.drivers.s3_driver._visibility import (
    ensure_visibility,
    set_visibility,
    visibility_of,
)
from jtc.storage.drivers.s3_driver._writing import write_file
from jtc.storage.exceptions import (
    FileNotFoundException,
    StorageConfigException,
    StorageException,
)
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from jtc.storage.driver import DriverContent, ReadStream
    from jtc.storage.driver_support.content import Content
    from jtc.storage.drivers.s3_driver._settings import AddressingStyle, CredentialsSource
    from jtc.storage.models import Entry, FileInfo, PresignedForm, PresignedRequest, Visibility
    from jtc.storage.options import ListOptions, ReadOptions, SignOptions

__all__ = ["S3Driver"]

_NEW_FILE = frozenset(
    {
        "content_type",
        "cache_control",
        "content_disposition",
        "metadata",
        "visibility",
        "overwrite",
        "driver_options",
    }
)


@standalone
class S3Driver:
    """Files as objects of one bucket, on AWS or any store that speaks S3.

    Any number of event loops and threads may share one: each loop gets a client of its own at its
    first use, closed by `aclose` or when the loop ends. The driver itself sends requests for
    objects; the SDK is imported at the first call that needs it.

    Args:
        bucket: The bucket's name.
        region: The bucket's region. ``"auto"`` for Cloudflare's R2.
        access_key: The key's id; with `secret_key`. Without it, keys come from the SDK's own
            chain: the environment, ``~/.aws``, the machine's role.
        secret_key: The key's secret.
        endpoint_url: The URL of a store other than AWS.
        public_url: What URLs by `url` begin with, such as a CDN's host; the key follows.
        session_token: The token of temporary keys.
        profile: A profile of ``~/.aws``.
        credentials: An async function that returns a mapping or an object with ``access_key``,
            ``secret_key`` and, where there are such, ``token`` and ``expires_at`` (seconds since
            1970 UTC). It is called again a minute before they expire, or every five minutes.
        addressing_style: Where the bucket's name goes: ``"path"``, ``"virtual"`` (before the
            host's name), or ``"auto"``: into the path with an `endpoint_url`, else before.
        signing_endpoint_url: The endpoint of presigned URLs, where clients reach the store by
            another name than this program does.
        multipart_threshold: Content of more bytes is uploaded in parts.
        part_size: Bytes of a part, from 5 MiB; a file of more than 10,000 parts gets larger ones.
        copy_threshold: Files of more bytes are copied in parts; S3 itself refuses above 5 GiB.
        max_concurrency: How many parts of one file are sent at once.
        max_connections: Connections of one event loop.
        max_attempts: How often a request is sent at most, and a broken read continued.
        connect_timeout: Seconds until a connection must be open.
        read_timeout: Seconds that may pass without a byte from the store.
        request_timeout: Seconds that a request may wait for the store, all its attempts included,
            and so may a chunk of a stream; plus one for each 64 KiB that it moves. Waiting for the
            caller's content or for one of `max_connections` does not count.
        checksums: Send a CRC-32 with all content and check it when reading. False for stores that
            refuse the headers.
        driver_options: Parameters of S3's PutObject for each file written, such as
            ``{"StorageClass": "STANDARD_IA", "ServerSideEncryption": "aws:kms"}``;
            `jtc.storage.drivers.s3_driver.DRIVER_OPTIONS` has all names.

    Raises:
        StorageConfigException: An option is invalid; no request is sent.
    """

    supported_options: Mapping[str, frozenset[str]] = {
        "write_file": _NEW_FILE | {"if_match"},
        "copy_file": _NEW_FILE | {"if_source_match"},
        "move_file": _NEW_FILE | {"if_source_match"},
        "temporary_upload_form": frozenset({"min_size"}),
    }

    def __init__(
        self,
        bucket: str,
        region: str = "us-east-1",
        access_key: str | None = None,
        secret_key: str | None = None,
        endpoint_url: str | None = None,
        *,
        public_url: str | None = None,
        session_token: str | None = None,
        profile: str | None = None,
        credentials: CredentialsSource | None = None,
        addressing_style: AddressingStyle = "auto",
        signing_endpoint_url: str | None = None,
        multipart_threshold: int = 16 * MIB,
        # Not 8: asyncio copies what the socket does not take at once, so that memory holds each
        # part twice, and a put of any length has to fit into 150 MiB with the SDK.
        part_size: int = 6 * MIB,
        copy_threshold: int = 5 * GIB,
        max_concurrency: int = 4,
        max_connections: int = 64,
        max_attempts: int = 3,
        connect_timeout: float = 3.0,
        read_timeout: float = 20.0,
        request_timeout: float = 30.0,
        checksums: bool = True,
        driver_options: Mapping[str, object] | None = None,
    ) -> None:
        options = dict(locals())  # first, while it holds the options alone
        del options["self"]
        try:
            with ScrubbedLocals():
                self._settings = Settings(**options)
        except Exception:
            # A traceback holds this function's variables. A URL may have a password in it.
            del options, access_key, secret_key, session_token
            del endpoint_url, public_url, signing_endpoint_url, driver_options
            raise
        self._bucket = Bucket(self._settings)
        self._base_url = base_url(self._settings)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Make a driver by the environment.

        AWS_BUCKET and AWS_DEFAULT_REGION; AWS_URL alone is the endpoint, and URLs begin with it;
        with AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, that is the endpoint, and AWS_URL is what
        URLs begin with. The SDK finds the keys, session tokens included.

        Raises:
            StorageConfigException: AWS_BUCKET is missing.
        """
        bucket = environ.get("AWS_BUCKET")
        region = environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        url = environ.get("AWS_URL") or None
        endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or None
        # It may hold the secret key, and a traceback holds this function's variables.
        del environ
        if not bucket:
            raise StorageConfigException(
                "The s3 driver needs a bucket: set AWS_BUCKET in the environment, or the option "
                "bucket"
            )
        try:
            return cls(
                bucket=bucket,
                region=region,
                endpoint_url=endpoint or url,
                public_url=url if endpoint else None,
            )
        except StorageConfigException:
            del url, endpoint
            raise

    def __repr__(self) -> str:
        settings: Settings | None = getattr(self, "_settings", None)
        if settings is None:
            # A traceback with variables also shows a driver whose options were refused.
            return f"<{type(self).__name__} that could not be made>"
        endpoint = ""
        if settings.endpoint_url is not None:
            endpoint = f", endpoint={urlsplit(settings.endpoint_url).netloc!r}"
        return f"{type(self).__name__}({settings.bucket!r}, region={settings.region!r}{endpoint})"

    @property
    def has_own_retries(self) -> bool:
        """Whether the driver retries by itself, so that a layer above need not."""
        return self._settings.max_attempts > 1

    @property
    def location(self) -> str:
        """Where the files are: drivers of one location keep the same files."""
        return (
            f"{self._settings.endpoint_url or 'https://s3.amazonaws.com'}/{self._settings.bucket}"
        )

    def __reduce__(self) -> NoReturn:
        raise _NotPicklableException(
            "An S3Driver holds connections and keys and is not pickled: pass its options, and "
            "make one there"
        )

    # The eight methods

    async def put(self, path: str, content: Content, /) -> str:
        """Store a file whole, in place of an existing one, and return its path.

        Args:
            path: Where to.
            content: Any `Content`; what does not fit in one request is uploaded in parts, with
                `max_concurrency` parts in memory.

        Raises:
            StorageException: It failed; the old file stays, unless a request that was under way
                still takes effect.
        """
        # `standalone` or `Disk` has converted it.
        await write_file(self._bucket, path, cast("DriverContent", content), WriteOptions())
        return path

    async def get(self, path: str, /) -> bytes:
        """Return a file's content, checked against its checksum where the store keeps one.

        Raises:
            FileNotFoundException: There is no file.
            IntegrityException: The content is not what was stored.
        """
        return await read_all(self._bucket, path)

    async def exists(self, path: str, /) -> bool:
        """Return whether there is a file.

        Raises:
            StoragePermissionException: AWS answers 403 also for a missing file if the caller may
                not list the bucket.
            StorageException: The store failed.
        """
        try:
            await self._bucket.head(path)
        except FileNotFoundException:
            return False
        return True

    async def delete(self, path: str, /) -> bool:
        """Delete a file; return False where there was none. One of concurrent deleters gets True.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StorageException: The store failed.
        """
        return await delete_file(self._bucket, path)

    async def size(self, path: str, /) -> int:
        """Return a file's length in bytes.

        Raises:
            FileNotFoundException: There is no file.
        """
        return size_of(await self._bucket.head(path))

    async def last_modified(self, path: str, /) -> float:
        """Return when a file was written, in whole seconds since 1970 UTC.

        Raises:
            FileNotFoundException: There is no file.
        """
        answer = await self._bucket.head(path)
        return float(answer["LastModified"].timestamp())

    def url(self, path: str, /) -> str:
        """Return the percent-encoded (RFC 3986) URL: under `public_url`, else at the store.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        return self._base_url + quote(path)

    def path(self, path: str, /) -> str:
        """Return ``s3://``, the bucket and the key, as AWS's command line writes it.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        return f"s3://{self._settings.bucket}/{path}"

    # The capabilities

    async def stat(self, path: str, /) -> FileInfo:
        """Return a file's metadata.

        Raises:
            FileNotFoundException: There is no file.
        """
        mode: dict[str, Any] = {"ChecksumMode": "ENABLED"} if self._settings.checksums else {}
        return file_info(path, await self._bucket.head(path, **mode))

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        """Open one version of a file for reading; a broken connection is replaced on the way.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: `if_match` names another version.
        """
        return await open_stream(self._bucket, path, options)

    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        """Store a file whole, or leave the existing one; return its etag.

        Args:
            path: Where to.
            content: Read while it is sent; a blocking file in a worker thread.
            options: See `supported_options`.

        Raises:
            FileExistsException: `overwrite` is False, and there is a file.
            PreconditionFailedException: `if_match` names another version, or there is no file.
            UnsupportedOperationException: `driver_options` has an unknown name.
            ValueError: A header or a value of `driver_options` is invalid.
            Exception: What the content itself raises comes unchanged.
        """
        etag = await write_file(self._bucket, path, content, options)
        await ensure_visibility(self._bucket, path, options.visibility)
        return etag

    def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
        """Return an iterator over what is below a directory, in the store's order, page by page.

        Returns:
            FileInfo, without content type and metadata, and DirectoryInfo. AWS sorts by the keys'
            UTF-8; a store with real directories may sort by those.

        Raises:
            InvalidPathException: The prefix breaks the path policy.
            StorageException: The store failed.
        """
        return list_entries(self._bucket, prefix, options)

    async def make_directory(self, path: str, /) -> None:
        """Make a directory visible, by an empty object whose key ends in ``/``.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
            PathConflictException: A file is there.
            StorageException: The store failed.
        """
        await self._bucket.call(
            "put_object", Key=f"{path}/", Body=b"", ContentType="application/x-directory"
        )

    async def delete_directory(self, path: str, /) -> None:
        """Delete all keys below a directory; a missing one is no error.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
            StorageException: The store failed; some files may be deleted.
        """
        await delete_directory(self._bucket, path)

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Have the store copy a file with its content type and metadata; return its etag.

        Args:
            src: The file.
            dst: Where to; the same path changes nothing.
            options: See `supported_options`. New metadata replaces the old as a whole.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
            PreconditionFailedException: `if_source_match` names another version, or the source
                was replaced while it was copied.
        """
        return await copy_file(self._bucket, src, dst, options)

    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Copy a file as `copy_file` does, then delete that version of the original.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
            PreconditionFailedException: `if_source_match` names another version, or the source
                was replaced meanwhile: then it stays, and so does the copy.
        """
        return await move_file(self._bucket, src, dst, options)

    async def visibility(self, path: str, /) -> Visibility:
        """Return who may read a file by its ACL; a bucket's policy is not looked at.

        Raises:
            FileNotFoundException: There is no file.
            UnsupportedOperationException: The bucket has no ACLs.
        """
        return await visibility_of(self._bucket, path)

    async def set_visibility(self, path: str, visibility: Visibility, /) -> None:
        """Set who may read a file by its URL.

        Raises:
            FileNotFoundException: There is no file.
            UnsupportedOperationException: The bucket has no ACLs, as new ones on AWS.
        """
        await set_visibility(self._bucket, path, visibility)

    async def temporary_url(self, path: str, options: SignOptions, /) -> str:
        """Return a presigned URL that reads a file; no look whether the file exists.

        The time is from 1 second to 7 days. Temporary keys may end it earlier.

        Raises:
            ValueError: The time, the type or the disposition is invalid.
        """
        return await download_url(self._bucket, path, options)

    async def temporary_upload_url(self, path: str, options: SignOptions, /) -> PresignedRequest:
        """Return a presigned PUT request that stores a file; see `temporary_url` for the time.

        Raises:
            ValueError: The time, the type or the size is invalid.
        """
        return await upload_request(self._bucket, path, options)

    async def temporary_upload_form(self, path: str, options: SignOptions, /) -> PresignedForm:
        """Return a presigned form, a POST policy, that uploads ``max_size`` bytes at most.

        See `temporary_url` for the time. The file's type is by its name where none is given.

        Raises:
            ValueError: The time, the type or a size is invalid.
        """
        return await upload_form(self._bucket, path, options)

    async def delete_many(self, paths: Sequence[str], /) -> Mapping[str, bool | Exception]:
        """Delete files, a thousand a request; return for each whether it was there, or its error.

        Raises:
            StorageException: The store failed for all of them.
        """
        return await delete_files(self._bucket, paths)

    async def aclose(self) -> None:
        """Close the connections of all event loops; a use afterwards opens them again."""
        await self._bucket.aclose()

    # Methods of S3 alone

    async def abort_stale_uploads(self, older_than: float = 24 * 3600) -> int:
        """Abort multipart uploads that a killed process left: the store charges for their parts.

        Args:
            older_than: Only those that began this many seconds ago or earlier. Later ones may
                be under way.

        Returns:
            How many there were.

        Raises:
            StorageException: The store failed.
        """
        try:
            return await abort_stale_uploads(self._bucket, time.time() - older_than)
        except Exception as error:
            reraise(error, operation="abort_stale_uploads")


class _NotPicklableException(StorageException, TypeError):
    """An object that must not be pickled; a TypeError, as pickle itself raises."""
