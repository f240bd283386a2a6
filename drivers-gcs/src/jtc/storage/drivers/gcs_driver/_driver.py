"""`GCSDriver`: files as objects of one bucket of Google Cloud Storage."""

from __future__ import annotations

import os
from contextlib import aclosing
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast
from urllib.parse import quote, urlsplit

from jtc.storage.driver import CopySource
from jtc.storage.driver_support.loop_budget import next_iteration, over_budget
from jtc.storage.driver_support.pickling import NotPicklableException
from jtc.storage.driver_support.standalone import standalone
from jtc.storage.driver_support.traceback_scrubbing import ScrubbedLocals
from jtc.storage.drivers.gcs_driver._environment import bucket_of, completed
from jtc.storage.drivers.gcs_driver._objects import (
    copying,
    deleting,
    faking,
    folders,
    listing,
    metadata,
    presigning,
    probing,
    reading,
    writing,
)
from jtc.storage.drivers.gcs_driver._objects.visibility import set_visibility, visibility_of
from jtc.storage.drivers.gcs_driver._settings import GOOGLE, Settings, emulator_url
from jtc.storage.drivers.gcs_driver._transport.operations import insert_object
from jtc.storage.drivers.gcs_driver._transport.transport import Transport
from jtc.storage.exceptions import UnsupportedOperationException
from jtc.storage.http_support.settings import MIB
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
    from types import ModuleType

    from google.auth.credentials import Credentials

    from jtc.storage.driver import DriverContent, FakeTraits, ReadStream
    from jtc.storage.driver_support.content import Content
    from jtc.storage.driver_support.findings import DiagnosisOptions, Finding
    from jtc.storage.models import Entry, FileInfo, PresignedForm, PresignedRequest, Visibility
    from jtc.storage.options import DeleteOptions, ListOptions, ReadOptions, SignOptions

__all__ = ["GCSDriver"]

_METADATA = frozenset(
    {"content_type", "cache_control", "content_disposition", "content_encoding", "metadata"}
)
_NEW_FILE = _METADATA | {"visibility", "overwrite", "driver_options"}

_OF_SIGNING = frozenset({"temporary_urls", "temporary_uploads", "upload_forms"})
"""Capabilities that an anonymous disk lacks."""


@standalone
class GCSDriver:
    """Files as objects of one bucket of Google Cloud Storage.

    Any number of event loops and threads may share one: each loop gets connections of its own at
    its first use, closed by `aclose` or when the loop ends. Tokens are obtained once for all of
    them.

    Args:
        bucket: The bucket's name.
        project: The project that pays with `requester_pays`. None: GOOGLE_CLOUD_PROJECT.
        credentials_file: The path of a JSON file of credentials: a service account's key, a
            configuration of workload identity federation, or a user's. None, and nothing else
            given: application default credentials, as Google's libraries find them
            (GOOGLE_APPLICATION_CREDENTIALS, gcloud's, the machine's).
        credentials_info: What such a file has, as a mapping or JSON.
        credentials: Credentials of google-auth.
        anonymous: Send no credentials, for public buckets and emulators; presigning is then
            refused.
        signing_email: The service account that signs URLs. None: that of the credentials. Without
            its key, IAM signs, for which the credentials need the role
            ``roles/iam.serviceAccountTokenCreator`` on it.
        endpoint_url: The URL of the store. None: STORAGE_EMULATOR_HOST, without credentials unless
            some are passed; else Google.
        signing_endpoint_url: The endpoint of presigned URLs, where clients reach the store by
            another name than this program does.
        iam_endpoint_url: Where IAM signs.
        public_url: What URLs by `url` begin with, such as a CDN's host; the path follows.
        requester_pays: Have `project` pay for requests to a bucket whose owner does not.
        hierarchical_namespace: The bucket has one, so that directories are folders, which stay
            when they are empty.
        visibility: ``"public"`` or ``"private"``: the ACL of new files, copies and presigned
            uploads without a visibility of their own, in a bucket with fine-grained access. None
            sends none, and the bucket decides.
        multipart_threshold: Content of more bytes is uploaded in chunks.
        part_size: Bytes of a chunk, a multiple of 256 KiB.
        proxy: The URL of an HTTP proxy, user and password included. None: HTTPS_PROXY, HTTP_PROXY
            and NO_PROXY.
        ca_bundle: The path of a PEM file with the certificates of authorities. None: those of
            certifi, or the system's.
        verify: Check the certificate of the store. False is for tests.
        max_concurrency: The most ranges of one file that are read at once.
        max_connections: Connections of one event loop.
        max_transfer_memory: Bytes that the chunks of all uploads, and what is read ahead, of one
            event loop may take in memory; twice the `part_size` at least.
        max_attempts: How often a request is sent at most, and a broken read continued.
        connect_timeout: Seconds until a connection must be open.
        read_timeout: Seconds that may pass without a byte from the store.
        request_timeout: Seconds that a request may wait for the store, all its attempts included,
            and so may a chunk of a stream; plus one for each 64 KiB that it moves.
        copy_timeout: Seconds for a request by which the store copies content.
        pool_timeout: Seconds that a call waits for one of `max_connections`, or a chunk of an
            upload for its `max_transfer_memory`.
        driver_options: Fields of Google's objects for each file written, such as
            ``{"storageClass": "NEARLINE"}``; `jtc.storage.drivers.gcs_driver.DRIVER_OPTIONS` has
            all names.

    Attributes:
        supported_options: The options that methods accept beyond the contract's.
        unsupported: Capabilities that this disk lacks.

    Raises:
        StorageConfigException: An option is invalid; no request is sent.
    """

    lists_in_key_order = True

    supported_options: Mapping[str, frozenset[str]] = {
        "write_file": _NEW_FILE | {"if_match"},
        "update_metadata": _METADATA | {"if_match"},
        "open_read": frozenset({"if_none_match"}),
        "list_entries": frozenset({"directories", "itself", "left_out"}),
        "temporary_url": frozenset({"stable_for"}),
        "copy_file": _NEW_FILE | {"if_source_match"},
        "copy_from": _NEW_FILE | {"if_source_match"},
        "move_file": _NEW_FILE | {"if_source_match"},
        "temporary_upload_form": frozenset({"min_size"}),
    }

    def __init__(
        self,
        bucket: str,
        project: str | None = None,
        *,
        credentials_file: str | None = None,
        credentials_info: Mapping[str, Any] | str | None = None,
        credentials: Credentials | None = None,
        anonymous: bool = False,
        signing_email: str | None = None,
        endpoint_url: str | None = None,
        signing_endpoint_url: str | None = None,
        iam_endpoint_url: str = "https://iamcredentials.googleapis.com",
        public_url: str | None = None,
        requester_pays: bool = False,
        hierarchical_namespace: bool = False,
        visibility: Visibility | str | None = None,
        multipart_threshold: int = 8 * MIB,
        part_size: int = 8 * MIB,
        proxy: str | None = None,
        ca_bundle: str | None = None,
        verify: bool = True,
        max_concurrency: int = 32,
        max_connections: int = 64,
        max_transfer_memory: int = 256 * MIB,
        max_attempts: int = 3,
        connect_timeout: float = 3.0,
        read_timeout: float = 20.0,
        request_timeout: float = 30.0,
        copy_timeout: float = 60.0,
        pool_timeout: float = 60.0,
        driver_options: Mapping[str, object] | None = None,
    ) -> None:
        options = {name: value for name, value in locals().items() if name != "self"}  # first
        try:
            with ScrubbedLocals():
                self._settings = Settings(**completed(options, os.environ))
        except Exception:  # its traceback holds these variables; a URL may have a password in it
            del options, credentials_info, credentials, endpoint_url, signing_endpoint_url
            del iam_endpoint_url, public_url, proxy, driver_options
            raise
        self._transport = Transport(self._settings)
        if hierarchical_namespace:
            # Empty folders are in listings of one level only.
            own = {"list_entries": frozenset({"itself", "left_out"})}
            self.supported_options = {**self.supported_options, **own}
        self.unsupported = _OF_SIGNING if self._settings.anonymous else frozenset[str]()

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Make a driver by the environment.

        GCS_BUCKET, else GOOGLE_CLOUD_STORAGE_BUCKET or GS_BUCKET_NAME; GOOGLE_CLOUD_PROJECT;
        GOOGLE_APPLICATION_CREDENTIALS, and what else Google's libraries find credentials by;
        STORAGE_EMULATOR_HOST.

        Raises:
            StorageConfigException: GCS_BUCKET is missing, or a variable is invalid.
        """
        return cls(
            bucket_of(environ),
            environ.get("GOOGLE_CLOUD_PROJECT") or None,
            credentials_file=None
            if emulator_url(environ)
            else environ.get("GOOGLE_APPLICATION_CREDENTIALS") or None,
            endpoint_url=emulator_url(environ),
            anonymous=emulator_url(environ) is not None,
        )

    @classmethod
    def for_fake(cls, options: Mapping[str, Any] | None) -> Self:
        """Return a driver for a fake to ask, without credentials; see `FakeTraits`.

        Raises:
            StorageConfigException: An option is invalid.
        """
        if options is None:
            return cls.from_env({"GCS_BUCKET": "fake", **os.environ})
        return cls(**faking.options_without_keys(options))

    @property
    def fake_traits(self) -> FakeTraits:
        """How a fake behaves: as a bucket with fine-grained access."""
        return faking.traits(self._settings)

    @property
    def default_visibility(self) -> Visibility | None:
        """The visibility of new files; None where the bucket decides."""
        return self._settings.visibility

    def __repr__(self) -> str:
        settings: Settings | None = getattr(self, "_settings", None)
        if settings is None:
            # A traceback with variables also shows a driver whose options were refused.
            return f"<{type(self).__name__} that could not be made>"
        endpoint = ""
        if settings.endpoint_url != GOOGLE:
            endpoint = f", endpoint={urlsplit(settings.endpoint_url).netloc!r}"
        return f"{type(self).__name__}({settings.bucket!r}{endpoint})"

    @property
    def has_own_retries(self) -> bool:
        """Whether the driver retries by itself, so that a layer above need not."""
        return self._settings.max_attempts > 1

    @property
    def location(self) -> str:
        """Where the files are: drivers of one location keep the same files."""
        return f"{self._settings.endpoint_url}/{self._settings.bucket}"

    def __reduce__(self) -> NoReturn:
        raise NotPicklableException(
            "A GCSDriver holds connections and credentials and is not pickled: pass its options, "
            "and make one there"
        )

    # The eight methods

    async def put(self, path: str, content: Content, /) -> str:
        """Store a file whole, in place of an existing one, and return its path.

        Args:
            path: Where to.
            content: Any `Content`; more than `multipart_threshold` is uploaded in chunks.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StorageException: The store failed; the file is what it was before.
            Exception: What the content itself raises comes unchanged.
        """
        if over_budget():
            await next_iteration()
        # The decorator has converted it.
        await writing.write_file(
            self._transport, path, cast("DriverContent", content), WriteOptions()
        )
        return path

    async def get(self, path: str, /) -> bytes:
        """Return a file's content, checked against its CRC-32C.

        Raises:
            FileNotFoundException: There is no file.
            IntegrityException: The content is not what was stored.
        """
        if over_budget():
            await next_iteration()
        return await reading.read_all(self._transport, path)

    async def exists(self, path: str, /) -> bool:
        """Return whether there is a file.

        Raises:
            StoragePermissionException: Google answers 403 also for a missing file if the caller may
                not list the bucket.
            StorageException: The store failed.
        """
        return await metadata.resource_now(self._transport, path) is not None

    async def delete(self, path: str, /) -> bool:
        """Delete a file; return False where there was none. One of concurrent deleters gets True.

        Raises:
            StoragePermissionException: A hold or a retention policy keeps the file.
            StorageException: The store failed.
        """
        return await deleting.delete_file(self._transport, path)

    async def size(self, path: str, /) -> int:
        """Return a file's length in bytes, as it is stored.

        Raises:
            FileNotFoundException: There is no file.
        """
        return (await metadata.stat(self._transport, path)).size

    async def last_modified(self, path: str, /) -> float:
        """Return when a file was written, in whole seconds since 1970 UTC.

        Raises:
            FileNotFoundException: There is no file.
        """
        return (await metadata.stat(self._transport, path)).last_modified

    def url(self, path: str, /) -> str:
        """Return the percent-encoded (RFC 3986) URL: under `public_url`, else at the store.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        return self._settings.public_base + quote(path)

    def path(self, path: str, /) -> str:
        """Return ``gs://``, the bucket and the path, as Google's command line writes it.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        return f"gs://{self._settings.bucket}/{path}"

    # The capabilities

    async def stat(self, path: str, /) -> FileInfo:
        """Return a file's metadata.

        Raises:
            FileNotFoundException: There is no file.
        """
        return await metadata.stat(self._transport, path)

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        """Open one version of a file for reading; a broken connection is replaced on the way.

        What is stored compressed comes compressed.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: `if_match` names another version.
        """
        return await reading.open_stream(self._transport, path, options)

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
            UnsupportedOperationException: `driver_options` has an unknown name; or `visibility` is
                set, and the bucket has uniform access.
            ValueError: A header or a value of `driver_options` is invalid.
            Exception: What the content itself raises comes unchanged.
        """
        return await writing.write_file(self._transport, path, content, options)

    def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
        """Return an iterator over what is below a directory, by the keys' UTF-8, page by page.

        Returns:
            FileInfo, without content type and metadata, and DirectoryInfo.

        Raises:
            InvalidPathException: The prefix breaks the path policy.
            StorageException: The store failed.
        """
        if options.itself:
            return listing.list_itself(self._transport, prefix)
        return listing.list_entries(self._transport, prefix, options)

    async def make_directory(self, path: str, /) -> None:
        """Make a directory and its parents, each an empty object whose name ends in ``/``.

        With `hierarchical_namespace` they are folders.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
            StorageException: The store failed.
        """
        if self._settings.hierarchical_namespace:
            await folders.make_directory(self._transport, path)
            return
        for made in accumulate(path.split("/"), "{}/{}".format):
            fields = {"name": f"{made}/", "contentType": "application/x-directory"}
            await self._transport.send(insert_object(self._settings.bucket, fields, b"", {}))

    async def delete_directory(self, path: str, /) -> None:
        """Delete all files below a directory; a missing one is no error.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
            StorageException: The store failed; some files may be deleted.
        """
        await self._of_directories.delete_directory(self._transport, path)

    async def remove_empty_directory(self, path: str, /) -> bool:
        """Delete a directory's marker if nothing else is in it; return False where there is none.

        A file that is written there meanwhile stays: it needs no marker. A folder of a bucket with
        a hierarchical namespace is removed by Google, in one step, only if it is empty.

        Raises:
            PathConflictException: The directory has entries, or only a file is there.
            StorageException: The store failed.
        """
        return bool(await self._of_directories.remove_empty_directory(self._transport, path))

    @property
    def _of_directories(self) -> ModuleType:
        return folders if self._settings.hierarchical_namespace else deleting

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Have the store copy a file with its content type and metadata; return its etag.

        Args:
            src: The file.
            dst: Where to. The same path is no copy: without options nothing changes, and with new
                metadata or visibility it is what `update_metadata` does.
            options: See `supported_options`.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
            PreconditionFailedException: `if_source_match` names another version, or the source
                was replaced while it was copied.
        """
        return await copying.copy_file(self._transport, src, dst, options)

    def copy_source(self, path: str, /) -> CopySource:
        """Return where a file is, for `copy_from` of another driver of the store.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        return CopySource(self, path)

    async def copy_from(self, dst: str, source: CopySource, options: WriteOptions, /) -> str | None:
        """Have the store copy a file of another bucket, as `copy_file` does; return its etag.

        Both drivers have the same endpoint and the same credentials.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
            PreconditionFailedException: `if_source_match` names another version, or the source
                was replaced while it was copied.
            UnsupportedOperationException: The source is of another store, or the store refuses to
                copy from there.
        """
        if not isinstance(source.driver, GCSDriver):
            raise UnsupportedOperationException("The source is in no bucket of this store")
        place = source.driver._transport  # noqa: SLF001 - a driver of this class
        return await copying.copy_from(self._transport, dst, place, source.path, options)

    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Have the store rename a file in one step; return its etag.

        With options that change the file, or on a store that does not know how, it is copied and
        that version of the original deleted.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
            PreconditionFailedException: `if_source_match` names another version, or the source
                was replaced meanwhile: then it stays, and so does the copy.
        """
        return await copying.move_file(self._transport, src, dst, options)

    async def update_metadata(self, path: str, options: WriteOptions, /) -> str | None:
        """Replace what the options declare, in one step; return the etag, which is another one.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: `if_match` names another version.
        """
        return await copying.update_metadata(self._transport, path, options)

    async def visibility(self, path: str, /) -> Visibility:
        """Return who may read a file by its ACL; the bucket's IAM policy is not looked at.

        Raises:
            FileNotFoundException: There is no file.
            UnsupportedOperationException: The bucket has uniform access.
        """
        return await visibility_of(self._transport, path)

    async def set_visibility(self, path: str, visibility: Visibility, /) -> None:
        """Set who may read a file by its URL.

        Raises:
            FileNotFoundException: There is no file.
            UnsupportedOperationException: The bucket has uniform access.
        """
        await set_visibility(self._transport, path, visibility)

    async def temporary_url(self, path: str, options: SignOptions, /) -> str:
        """Return a presigned URL (V4) that reads a file; no look whether the file exists.

        The time is from 1 second to 7 days. With `stable_for`, all URLs of one such period are the
        same while the key is; both times together are 7 days at most. Nothing is sent where the
        credentials have the service account's key; else IAM signs.

        Raises:
            StorageConfigException: There are no credentials, or they name no service account.
            StoragePermissionException: IAM does not sign for the credentials.
            ValueError: A time, the type or the disposition is invalid.
        """
        return await presigning.download_url(self._transport, path, options)

    async def temporary_upload_url(self, path: str, options: SignOptions, /) -> PresignedRequest:
        """Return a presigned PUT request that stores a file; see `temporary_url` for the time.

        The disk's `driver_options` are signed too: the client must send all of its `headers`.

        Raises:
            UnsupportedOperationException: The disk's `driver_options` have a hold.
            ValueError: The time, the type or the size is invalid.
        """
        return await presigning.upload_request(self._transport, path, options)

    async def temporary_upload_form(self, path: str, options: SignOptions, /) -> PresignedForm:
        """Return a presigned form, a POST policy, that uploads ``max_size`` bytes at most.

        See `temporary_url` for the time. The file's type is by its name where none is given. The
        disk's `driver_options` and `visibility` are among the `fields`.

        Raises:
            InvalidPathException: The path has ``${filename}``, which Google would replace.
            ValueError: The time, the type or a size is invalid.
        """
        return await presigning.upload_form(self._transport, path, options)

    async def delete_many(self, paths: Sequence[str], /) -> Mapping[str, bool | Exception]:
        """Delete files, over half of the connections at once; return whether each was there.

        Raises:
            StorageException: The store failed for all of them.
        """
        return await deleting.delete_files(self._transport, paths)

    async def delete_file(self, path: str, options: DeleteOptions, /) -> bool:
        """Delete a file if it is the version that `if_match` names; False where there is none.

        Raises:
            PreconditionFailedException: The file is another version, and stays.
        """
        if options.if_match is None:
            return await deleting.delete_file(self._transport, path)
        return await deleting.delete_if_match(self._transport, path, options.if_match)

    async def check(self, path: str, /) -> None:
        """Find out whether the store keeps conditions; a warning says what it ignores.

        Google keeps all of them; an emulator may not.

        Args:
            path: A path that nothing uses, where a file is written and deleted.

        Raises:
            StorageException: The store failed.
        """
        await probing.check(self._transport, path)

    async def diagnose(self, options: DiagnosisOptions, /) -> AsyncGenerator[Finding, None]:
        """Look for faults of the credentials, the way to the store and the bucket's settings.

        Args:
            options: What may be done.

        Raises:
            StorageConfigException: The file of `ca_bundle` has no certificates.
        """
        from jtc.storage.drivers.gcs_driver import _diagnosis  # noqa: PLC0415 - seldom needed

        async with aclosing(_diagnosis.diagnose(self._transport, options)) as findings:
            async for finding in findings:
                yield finding

    async def aclose(self) -> None:
        """Close the connections of all event loops; a use afterwards opens them again.

        Requests under way have five seconds to end.
        """
        await self._transport.aclose()
