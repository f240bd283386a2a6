"""The driver itself: files as objects of one bucket."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import quote, urlsplit

from jtc.storage.driver import DEFAULT_CHUNK_SIZE
from jtc.storage.driver_support.content import driver_content, raised_by_source
from jtc.storage.driver_support.error_translation import reraise
from jtc.storage.driver_support.traceback_scrubbing import ForgottenLocals
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
    InvalidPathException,
    StorageConfigException,
    StorageException,
)
from jtc.storage.options import WriteOptions
from jtc.storage.paths import check_directory, check_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from jtc.storage.driver import DriverContent, ReadStream
    from jtc.storage.driver_support.content import Content
    from jtc.storage.drivers.s3_driver._settings import AddressingStyle, CredentialsSource
    from jtc.storage.models import Entry, FileInfo, PresignedForm, PresignedRequest, Visibility

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


class S3Driver:
    """Files as objects of one bucket, on AWS or any store that speaks S3.

    Any number of event loops and threads may share one: each loop gets a client of its own at its
    first use, closed by `aclose` or when the loop ends. Object calls are sent by the driver itself;
    the SDK is imported when what it alone can do is first asked for.

    Args:
        bucket: The bucket's name.
        region: Where it is. ``"auto"`` for Cloudflare's R2.
        access_key: The key's id; with `secret_key`. Without, the SDK's own chain is asked: the
            environment, ``~/.aws``, the machine's role.
        secret_key: The key's secret.
        endpoint_url: Where another store than AWS answers.
        public_url: What addresses by `url` begin with, such as a CDN's host; the key follows.
        session_token: What comes with temporary keys.
        profile: A profile of ``~/.aws``.
        credentials: An async function that returns a mapping or an object with ``access_key``,
            ``secret_key`` and, where there are such, ``token`` and ``expires_at`` (seconds since
            1970 UTC). It is called again a minute before they expire, or every five minutes.
        addressing_style: Where the bucket's name goes: ``"path"``, ``"virtual"`` (before the
            host's name), or ``"auto"``: into the path with an `endpoint_url`, else before.
        signing_endpoint_url: The endpoint that signed addresses are for, where those who use them
            reach the store by another name than this program does.
        multipart_threshold: Content of more bytes is uploaded in parts.
        part_size: Bytes of a part, from 5 MiB; larger by itself for more than 10,000 parts.
        copy_threshold: Files of more bytes are copied in parts; S3 itself refuses above 5 GiB.
        max_concurrency: Parts of one file on their way at once.
        max_connections: Connections of one event loop.
        max_attempts: How often a request is sent at most, and a broken read continued.
        connect_timeout: Seconds until a connection must stand.
        read_timeout: Seconds that may pass without a byte from the store.
        request_timeout: Seconds that a request may wait for the store, with all its attempts, and
            so may a chunk of a stream; plus one for each 64 KiB that it moves. Waiting for the
            caller's content or for one of `max_connections` does not count.
        checksums: Send a CRC-32 with all content and check it when reading. False for stores that
            refuse the headers.
        driver_options: Parameters of S3's PutObject for each file written, such as
            ``{"StorageClass": "STANDARD_IA", "ServerSideEncryption": "aws:kms"}``;
            `jtc.storage.drivers.s3_driver._metadata.DRIVER_OPTIONS` has all names.

    Raises:
        StorageConfigException: An option cannot be so; nothing is asked over the network.
    """

    supported_options: Mapping[str, frozenset[str]] = {
        "write_file": _NEW_FILE | {"if_match"},
        "copy_file": _NEW_FILE | {"if_source_match"},
        "move_file": _NEW_FILE | {"if_source_match"},
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
        # Not 8: asyncio keeps a copy of what the socket does not take at once, so that each part on
        # its way counts twice, and a put of any length has to fit into 150 MiB with the SDK.
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
        try:
            with ForgottenLocals():
                self._settings = Settings(
                    bucket=bucket,
                    region=region,
                    endpoint_url=endpoint_url,
                    public_url=public_url,
                    signing_endpoint_url=signing_endpoint_url,
                    access_key=access_key,
                    secret_key=secret_key,
                    session_token=session_token,
                    profile=profile,
                    credentials=credentials,
                    addressing_style=addressing_style,
                    multipart_threshold=multipart_threshold,
                    part_size=part_size,
                    copy_threshold=copy_threshold,
                    max_concurrency=max_concurrency,
                    max_connections=max_connections,
                    max_attempts=max_attempts,
                    connect_timeout=connect_timeout,
                    read_timeout=read_timeout,
                    request_timeout=request_timeout,
                    checksums=checksums,
                    driver_options=dict(driver_options or {}),
                )
        except StorageConfigException:
            # A traceback holds this function's variables. An address may have a password in it.
            del access_key, secret_key, session_token
            del endpoint_url, public_url, signing_endpoint_url, driver_options
            raise
        self._bucket = Bucket(self._settings)
        self._base_url = base_url(self._settings)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Make a driver by the environment.

        AWS_BUCKET and AWS_DEFAULT_REGION; AWS_URL alone is the endpoint, and addresses begin with
        it; with AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, that is the endpoint, and AWS_URL is
        what addresses begin with. Keys are left to the SDK, which knows of session tokens too.

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
            # A traceback with variables shows also what its constructor refused.
            return f"<{type(self).__name__} that could not be made>"
        endpoint = ""
        if settings.endpoint_url is not None:
            endpoint = f", endpoint={urlsplit(settings.endpoint_url).netloc!r}"
        return f"{type(self).__name__}({settings.bucket!r}, region={settings.region!r}{endpoint})"

    @property
    def has_own_retries(self) -> bool:
        """Whether a request is tried again here, so that a layer around need not do so."""
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
        """Store a file whole, in place of one that is there, and return its path.

        Args:
            path: Where to.
            content: Any `Content`; what does not fit in one request is uploaded in parts, with
                `max_concurrency` parts in memory.

        Raises:
            StorageException: It failed; the old file stays, unless a request that was under way
                still lands.
        """
        await self._write(path, driver_content(content), WriteOptions(), "put")
        return check_path(path)

    async def get(self, path: str, /) -> bytes:
        """Return a file's content, checked against its checksum where the store keeps one.

        Raises:
            FileNotFoundException: There is no file.
            IntegrityException: The content is not what was stored.
        """
        try:
            return await read_all(self._bucket, check_path(path))
        except Exception as error:
            reraise(error, operation="get", path=path)

    async def exists(self, path: str, /) -> bool:
        """Tell whether there is a file.

        Raises:
            StoragePermissionException: AWS says 403 also for a missing file, to who may not list.
            StorageException: The store did not say.
        """
        try:
            await self._bucket.head(check_path(path))
        except FileNotFoundException:
            return False
        except Exception as error:
            reraise(error, operation="exists", path=path)
        return True

    async def delete(self, path: str, /) -> bool:
        """Delete a file; False where there was none. Of concurrent deleters one gets True.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StorageException: The store failed.
        """
        try:
            return await delete_file(self._bucket, check_path(path))
        except Exception as error:
            reraise(error, operation="delete", path=path)

    async def size(self, path: str, /) -> int:
        """Return a file's length in bytes.

        Raises:
            FileNotFoundException: There is no file.
        """
        try:
            return size_of(await self._bucket.head(check_path(path)))
        except Exception as error:
            reraise(error, operation="size", path=path)

    async def last_modified(self, path: str, /) -> float:
        """Return when a file was written, in whole seconds since 1970 UTC.

        Raises:
            FileNotFoundException: There is no file.
        """
        try:
            answer = await self._bucket.head(check_path(path))
            return float(answer["LastModified"].timestamp())
        except Exception as error:
            reraise(error, operation="last_modified", path=path)

    def url(self, path: str, /) -> str:
        """Return the percent-encoded (RFC 3986) address: under `public_url`, else at the store.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        try:
            return self._base_url + quote(check_path(path))
        except Exception as error:
            reraise(error, operation="url", path=path)

    def path(self, path: str, /) -> str:
        """Return ``s3://``, the bucket and the key, as AWS's command line writes it.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        try:
            return f"s3://{self._settings.bucket}/{check_path(path)}"
        except Exception as error:
            reraise(error, operation="path", path=path)

    # The capabilities

    async def stat(self, path: str, /) -> FileInfo:
        """Return a file's facts.

        Raises:
            FileNotFoundException: There is no file.
        """
        try:
            checked = check_path(path)
            mode: dict[str, Any] = {"ChecksumMode": "ENABLED"} if self._settings.checksums else {}
            return file_info(checked, await self._bucket.head(checked, **mode))
        except Exception as error:
            reraise(error, operation="stat", path=path)

    async def open_read(
        self,
        path: str,
        /,
        *,
        start: int = 0,
        end: int | None = None,
        if_match: str | None = None,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
    ) -> ReadStream:
        """Open one version of a file for reading; a broken connection is replaced on the way.

        Args:
            path: The file.
            start: The first byte; below 0, so many bytes from the end. Past the end: no bytes.
            end: The byte after the last, cut at the file's end; None is the end.
            if_match: The etag that the file must have.
            chunk_size: The length of a chunk in bytes.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: `if_match` names another version.
            ValueError: The range ends before it begins, or `chunk_size` is below 1.
        """
        try:
            return await open_stream(
                self._bucket,
                check_path(path),
                start=start,
                end=end,
                if_match=if_match,
                chunk_size=chunk_size,
            )
        except Exception as error:
            reraise(error, operation="open_read", path=path)

    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        """Store a file whole, or leave what was there; return its etag.

        Args:
            path: Where to.
            content: Read while it is sent; a blocking file in a worker thread.
            options: See `supported_options`.

        Raises:
            FileExistsException: `overwrite` is False, and there is a file.
            PreconditionFailedException: `if_match` names another version, or there is no file.
            UnsupportedOperationException: `driver_options` has an unknown name.
            ValueError: A header or a `driver_options` value cannot be.
            Exception: What the content itself raises comes unchanged.
        """
        return await self._write(path, content, options, "write_file")

    async def _write(
        self, path: str, content: DriverContent, options: WriteOptions, operation: str
    ) -> str | None:
        try:
            checked = check_path(path)
            etag = await write_file(self._bucket, checked, content, options)
            await ensure_visibility(self._bucket, checked, options.visibility)
        except Exception as error:
            if raised_by_source(content, error):
                raise
            reraise(error, operation=operation, path=path)
        return etag

    async def list_entries(
        self, prefix: str, /, *, recursive: bool = False, start_after: str | None = None
    ) -> AsyncIterator[Entry]:
        """Yield what is below a directory, in the store's order, page by page.

        Args:
            prefix: The directory's path, "" for the root.
            recursive: Yield files at any depth, and no directories.
            start_after: A key (a directory's ends in ``/``): yield only what comes after it.

        Yields:
            FileInfo, without content type and metadata, and DirectoryInfo. AWS goes by the keys'
            UTF-8; a store with real directories may go by those.

        Raises:
            InvalidPathException: The prefix breaks the path policy.
            StorageException: The store failed.
        """
        try:
            entries = list_entries(
                self._bucket, check_directory(prefix), recursive=recursive, start_after=start_after
            )
            # Or, left early, the inner generator would be finished some time by a task of its own.
            async with aclosing(entries):
                async for entry in entries:
                    yield entry
        except Exception as error:
            reraise(error, operation="list_entries", path=prefix)

    async def make_directory(self, path: str, /) -> None:
        """Make a directory visible, by an empty object whose key ends in ``/``.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
            PathConflictException: A file stands there.
            StorageException: The store failed.
        """
        try:
            await self._bucket.call(
                "put_object",
                Key=f"{check_path(path)}/",
                Body=b"",
                ContentType="application/x-directory",
            )
        except Exception as error:
            reraise(error, operation="make_directory", path=path)

    async def delete_directory(self, path: str, /) -> None:
        """Delete all keys below a directory; one that is not there is fine.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
            StorageException: The store failed; some files may be gone.
        """
        try:
            await delete_directory(self._bucket, check_path(path))
        except Exception as error:
            reraise(error, operation="delete_directory", path=path)

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Have the store copy a file with its content type and metadata; return its etag.

        Args:
            src: From where.
            dst: Where to. The same as `src` changes nothing.
            options: See `supported_options`. New metadata replaces the old as a whole.

        Raises:
            FileNotFoundException: There is no file `src`.
            FileExistsException: `overwrite` is False, and there is a file `dst`.
            PreconditionFailedException: `src` is another version, or became one.
        """
        try:
            source, target = check_path(src), check_path(dst)
            etag = await copy_file(self._bucket, source, target, options)
            if source != target:
                await ensure_visibility(self._bucket, target, options.visibility)
        except Exception as error:
            reraise(error, operation="copy_file", path=src)
        return etag

    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Copy a file as `copy_file` does, then delete that version of the original.

        Raises:
            FileNotFoundException: There is no file `src`.
            FileExistsException: `overwrite` is False, and there is a file `dst`.
            PreconditionFailedException: `src` is another version, or became one: then it stays,
                and so does the copy.
        """
        try:
            source, target = check_path(src), check_path(dst)
            etag = await move_file(self._bucket, source, target, options)
            if source != target:
                await ensure_visibility(self._bucket, target, options.visibility)
        except Exception as error:
            reraise(error, operation="move_file", path=src)
        return etag

    async def visibility(self, path: str, /) -> Visibility:
        """Tell whether everybody may read a file by its ACL; a bucket's policy is not asked.

        Raises:
            FileNotFoundException: There is no file.
            UnsupportedOperationException: The bucket has no ACLs.
        """
        try:
            return await visibility_of(self._bucket, check_path(path))
        except Exception as error:
            reraise(error, operation="visibility", path=path)

    async def set_visibility(self, path: str, visibility: Visibility, /) -> None:
        """Let everybody read a file, or only its owner.

        Raises:
            FileNotFoundException: There is no file.
            UnsupportedOperationException: The bucket has no ACLs, as new ones on AWS.
        """
        try:
            await set_visibility(self._bucket, check_path(path), visibility)
        except Exception as error:
            reraise(error, operation="set_visibility", path=path)

    async def temporary_url(
        self,
        path: str,
        expires_in: float,
        /,
        *,
        content_type: str | None = None,
        content_disposition: str | None = None,
    ) -> str:
        """Return an address that reads a file, whether it exists or not.

        Args:
            path: The file.
            expires_in: Seconds, from 1 to 7 days. Temporary keys may end it earlier.
            content_type: The header of that name to answer with.
            content_disposition: The header of that name to answer with.

        Raises:
            ValueError: A value cannot be.
        """
        try:
            return await download_url(
                self._bucket,
                check_path(path),
                expires_in,
                content_type=content_type,
                content_disposition=content_disposition,
            )
        except Exception as error:
            reraise(error, operation="temporary_url", path=path)

    async def temporary_upload_url(
        self,
        path: str,
        expires_in: float,
        /,
        *,
        content_type: str | None = None,
        size: int | None = None,
    ) -> PresignedRequest:
        """Return a PUT request that stores a file.

        Args:
            path: The file.
            expires_in: Seconds, from 1 to 7 days. Temporary keys may end it earlier.
            content_type: The type that the upload must declare; any if None.
            size: The length in bytes that it must have; any if None.

        Raises:
            ValueError: A value cannot be.
        """
        try:
            return await upload_request(
                self._bucket, check_path(path), expires_in, content_type=content_type, size=size
            )
        except Exception as error:
            reraise(error, operation="temporary_upload_url", path=path)

    async def temporary_upload_form(
        self, path: str, expires_in: float, /, *, max_size: int, content_type: str | None = None
    ) -> PresignedForm:
        """Return a form that uploads a file (a POST policy).

        Args:
            path: The file.
            expires_in: Seconds, from 1 to 7 days. Temporary keys may end it earlier.
            max_size: The largest length in bytes.
            content_type: The type that the file gets; by its name if None.

        Raises:
            ValueError: A value cannot be.
        """
        try:
            return await upload_form(
                self._bucket,
                check_path(path),
                expires_in,
                max_size=max_size,
                content_type=content_type,
            )
        except Exception as error:
            reraise(error, operation="temporary_upload_form", path=path)

    async def delete_many(self, paths: Sequence[str], /) -> Mapping[str, bool | Exception]:
        """Delete files, a thousand a request; say of each whether it was there, or what failed.

        Raises:
            StorageException: The store failed for all; what is wrong with one file is its answer.
        """
        keys: dict[str, str] = {}
        results: dict[str, bool | Exception] = {}
        for path in paths:
            try:
                keys[path] = check_path(path)
            except InvalidPathException as error:
                results[path] = error
        try:
            answers = await delete_files(self._bucket, list(dict.fromkeys(keys.values())))
        except Exception as error:
            reraise(error, operation="delete_many")
        return results | {path: _placed(answers[key], path) for path, key in keys.items()}

    async def aclose(self) -> None:
        """Close the connections of all event loops; a use afterwards opens them afresh."""
        await self._bucket.aclose()

    # What S3 alone has

    async def abort_stale_uploads(self, older_than: float = 24 * 3600) -> int:
        """Abort multipart uploads that a killed process left: the store charges for their parts.

        Args:
            older_than: Only those begun so many seconds ago or earlier. Others of this bucket may
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
    """What must not be pickled, by the type of error that pickle itself raises."""


def _placed(answer: bool | Exception, path: str) -> bool | Exception:
    if isinstance(answer, StorageException):
        answer.path = path
        answer.operation = "delete_many"
    return answer
