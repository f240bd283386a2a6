"""`AzureDriver`: files as blobs of one container."""

from __future__ import annotations

import os
from contextlib import aclosing
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast
from urllib.parse import quote, urlsplit

from jtc.storage.driver import CopySource
from jtc.storage.driver_support.loop_budget import next_iteration, over_budget
from jtc.storage.driver_support.pickling import NotPicklableException
from jtc.storage.driver_support.standalone import standalone
from jtc.storage.driver_support.traceback_scrubbing import ScrubbedLocals
from jtc.storage.drivers.azure_driver._environment import completed, container_of
from jtc.storage.drivers.azure_driver._objects import (
    copying,
    deleting,
    faking,
    listing,
    metadata,
    presigning,
    probing,
    reading,
    writing,
)
from jtc.storage.drivers.azure_driver._settings import MIB, Settings
from jtc.storage.drivers.azure_driver._transport.transport import Transport
from jtc.storage.exceptions import (
    FileNotFoundException,
    StorageException,
    UnsupportedOperationException,
)
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

    from jtc.storage.driver import DriverContent, FakeTraits, ReadStream
    from jtc.storage.driver_support.content import Content
    from jtc.storage.driver_support.findings import DiagnosisOptions, Finding
    from jtc.storage.drivers.azure_driver._settings import Credential
    from jtc.storage.models import Entry, FileInfo, PresignedRequest
    from jtc.storage.options import DeleteOptions, ListOptions, ReadOptions, SignOptions

__all__ = ["AzureDriver"]

_METADATA = frozenset(
    {"content_type", "cache_control", "content_disposition", "content_encoding", "metadata"}
)
_NEW_FILE = _METADATA | {"overwrite", "driver_options"}


@standalone
class AzureDriver:
    """Files as blobs of one container of Azure Blob Storage.

    Any number of event loops and threads may share one: each loop gets connections of its own at
    its first use, closed by `aclose` or when the loop ends. Tokens are found once for all of them.

    Which account it is, and how to sign, say the options; where they do not name the account, the
    environment does, by the names that the Azure CLI reads: AZURE_STORAGE_CONNECTION_STRING, else
    AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN.

    Args:
        container: The container's name.
        connection_string: All of the next four, as the Azure portal shows it:
            ``"AccountName=…;AccountKey=…"``, ``"BlobEndpoint=…;SharedAccessSignature=…"``, or
            ``"UseDevelopmentStorage=true"`` for Azurite at its usual port.
        account: The storage account's name.
        account_key: One of its two keys. It can do everything with the account.
        sas_token: A shared access signature for the container or the account.
        endpoint_url: The account's URL of another cloud, a private endpoint or an emulator. None:
            ``https://ACCOUNT.blob.core.windows.net``.
        credential: Entra ID: a credential of azure-identity, async or not, or any object with such
            a ``get_token``; ``"default"`` makes a DefaultAzureCredential at first use, which knows
            managed identities, workload identities and what the Azure CLI has logged in to.
        anonymous: Sign nothing, for containers that all may read.
        public_url: What URLs by `url` begin with, such as a CDN's host; the path follows.
        signing_endpoint_url: The account's URL in presigned URLs, where clients reach it by another
            name than this program does.
        proxy: The URL of an HTTP proxy, user and password included. None: HTTPS_PROXY, HTTP_PROXY
            and NO_PROXY.
        ca_bundle: The path of a PEM file with the certificates of authorities. None: those of
            certifi, or the system's.
        verify: Check the certificate of the store. False is for tests.
        delete_snapshots: Delete a file's snapshots with it. False: a file that has some is not
            deleted.
        multipart_threshold: Content of more bytes is sent in blocks.
        part_size: Bytes of a block; a file of more than 50,000 blocks gets larger ones.
        max_concurrency: The most blocks or ranges of one file at once. Each transfer finds out how
            many the path carries, and uses no more.
        max_connections: Connections of one event loop.
        max_transfer_memory: Bytes that the blocks and ranges of all uploads and downloads of one
            event loop may take in memory. A further block waits; a download takes what is free of
            the half, and else reads over one connection. `part_size` at least.
        max_attempts: How often a request is sent at most, and a broken read continued.
        connect_timeout: Seconds until a connection must be open.
        read_timeout: Seconds that may pass without a byte from the store.
        request_timeout: Seconds that a request may wait for the store, all its attempts included,
            and so may a chunk of a stream; plus one for each 64 KiB that it moves. Waiting for the
            caller's content or for one of `max_connections` does not count.
        copy_timeout: Seconds for a request by which the store copies content; it may be silent
            meanwhile. One more for each 8 MiB that it copies.
        pool_timeout: Seconds that a call waits for one of `max_connections`, or a block for its
            `max_transfer_memory`.
        checksums: Send an MD5 with all content, which Azure checks and, of files that are sent in
            one request, keeps.
        driver_options: Parameters of Azure's Put Blob for each file written, such as
            ``{"AccessTier": "Cool", "Tags": {"project": "a"}}``;
            `jtc.storage.drivers.azure_driver.DRIVER_OPTIONS` has all names.

    Raises:
        StorageConfigException: An option is invalid; no request is sent.
    """

    supported_options: Mapping[str, frozenset[str]] = {
        "write_file": _NEW_FILE | {"if_match"},
        "update_metadata": _METADATA | {"if_match"},
        "open_read": frozenset({"if_none_match"}),
        "list_entries": frozenset({"directories", "itself", "left_out"}),
        "temporary_url": frozenset({"stable_for"}),
        "copy_file": _NEW_FILE | {"if_source_match"},
        "copy_from": _NEW_FILE | {"if_source_match"},
        "move_file": _NEW_FILE | {"if_source_match"},
    }

    def __init__(
        self,
        container: str,
        connection_string: str | None = None,
        *,
        account: str | None = None,
        account_key: str | None = None,
        sas_token: str | None = None,
        endpoint_url: str | None = None,
        credential: Credential | str | None = None,
        anonymous: bool = False,
        public_url: str | None = None,
        signing_endpoint_url: str | None = None,
        proxy: str | None = None,
        ca_bundle: str | None = None,
        verify: bool = True,
        delete_snapshots: bool = False,
        multipart_threshold: int = 16 * MIB,
        part_size: int = 8 * MIB,
        max_concurrency: int = 32,
        max_connections: int = 64,
        max_transfer_memory: int = 256 * MIB,
        max_attempts: int = 3,
        connect_timeout: float = 3.0,
        read_timeout: float = 20.0,
        request_timeout: float = 30.0,
        copy_timeout: float = 60.0,
        pool_timeout: float = 60.0,
        checksums: bool = True,
        driver_options: Mapping[str, object] | None = None,
    ) -> None:
        options = {name: value for name, value in locals().items() if name != "self"}  # first
        try:
            with ScrubbedLocals():
                self._settings = Settings(**completed(options, os.environ))
        except Exception:  # its traceback holds these variables; a URL may have a password in it
            del options, connection_string, account_key, sas_token, credential, endpoint_url
            del public_url, signing_endpoint_url, proxy, driver_options
            raise
        self._transport = Transport(self._settings)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Make a driver by the environment.

        AZURE_STORAGE_CONTAINER, and AZURE_STORAGE_CONNECTION_STRING; or AZURE_STORAGE_ACCOUNT with
        AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, and Entra ID without both. django-storages'
        names, such as AZURE_CONTAINER and AZURE_ACCOUNT_NAME, are read where these are missing.

        Raises:
            StorageConfigException: AZURE_STORAGE_CONTAINER is missing, or a variable is invalid.
        """
        container = container_of(environ)
        # It may hold a key, and a traceback holds this function's variables.
        with ScrubbedLocals():
            options = completed({}, environ)
        is_signed = bool(options.get("account_key") or options.get("sas_token"))
        del environ
        try:
            options.pop("sources")
            if options.get("account") and not is_signed:
                options["credential"] = "default"
            return cls(container, **options)
        except StorageException:
            options.clear()
            raise

    @classmethod
    def for_fake(cls, options: Mapping[str, Any] | None) -> Self:
        """Return a driver for a fake to ask, without keys; see `jtc.storage.driver.FakeTraits`.

        Raises:
            StorageConfigException: An option is invalid.
        """
        if options is None:
            options = {"container": container_of(os.environ) or "fake"}
        return cls(**faking.options_without_keys(options))

    @property
    def fake_traits(self) -> FakeTraits:
        """How a fake behaves: as a container."""
        return faking.traits(self._transport)

    def __repr__(self) -> str:
        settings: Settings | None = getattr(self, "_settings", None)
        if settings is None:
            # A traceback with variables also shows a driver whose options were refused.
            return f"<{type(self).__name__} that could not be made>"
        endpoint = urlsplit(settings.endpoint_url or "").netloc
        return f"{type(self).__name__}({settings.container!r}, endpoint={endpoint!r})"

    @property
    def has_own_retries(self) -> bool:
        """Whether the driver retries by itself, so that a layer above need not."""
        return self._settings.max_attempts > 1

    @property
    def location(self) -> str:
        """Where the files are: drivers of one location keep the same files."""
        return f"{(self._settings.endpoint_url or '').rstrip('/')}/{self._settings.container}"

    def __reduce__(self) -> NoReturn:
        raise NotPicklableException(
            "An AzureDriver holds connections and keys and is not pickled: pass its options, and "
            "make one there"
        )

    # The eight methods

    async def put(self, path: str, content: Content, /) -> str:
        """Store a file whole, in place of an existing one, and return its path.

        Args:
            path: Where to.
            content: Any `Content`; what does not fit in one request is sent in blocks, several at
                once: see `max_concurrency` and `max_transfer_memory`.

        Raises:
            StorageException: It failed; the old file stays, unless a request that was under way
                still takes effect.
        """
        # `standalone` or `Disk` has converted it.
        driver_content = cast("DriverContent", content)
        await writing.write_file(self._transport, path, driver_content, WriteOptions())
        return path

    async def get(self, path: str, /) -> bytes:
        """Return a file's content, checked against its MD5 where the store keeps one.

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
            StorageException: The store failed.
        """
        try:
            await metadata.head(self._transport, path)
        except FileNotFoundException:
            return False
        return True

    async def delete(self, path: str, /) -> bool:
        """Delete a file; return False where there was none. One of concurrent deleters gets True.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StorageException: The store failed, or the file has snapshots: see `delete_snapshots`.
        """
        return await deleting.delete_file(self._transport, path)

    async def size(self, path: str, /) -> int:
        """Return a file's length in bytes.

        Raises:
            FileNotFoundException: There is no file.
        """
        return (await metadata.head(self._transport, path)).known_size

    async def last_modified(self, path: str, /) -> float:
        """Return when a file was written, in whole seconds since 1970 UTC.

        Raises:
            FileNotFoundException: There is no file.
        """
        return (await metadata.head(self._transport, path)).last_modified

    def url(self, path: str, /) -> str:
        """Return the percent-encoded (RFC 3986) URL: under `public_url`, else at the store.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        return self._base_url + quote(path)

    @cached_property
    def _base_url(self) -> str:
        settings = self._settings
        return f"{(settings.public_url or self.location).rstrip('/')}/"

    def path(self, path: str, /) -> str:
        """Return ``az://``, the container and the path, as fsspec writes it.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        return f"az://{self._settings.container}/{path}"

    # The capabilities

    async def stat(self, path: str, /) -> FileInfo:
        """Return a file's metadata.

        Raises:
            FileNotFoundException: There is no file.
        """
        return await metadata.stat(self._transport, path)

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        """Open one version of a file for reading; a broken connection is replaced on the way.

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
            StorageUnavailableException: Another write to the path ended while blocks were sent,
                and Azure dropped these; what is passed as bytes is sent again.
            UnsupportedOperationException: `driver_options` has an unknown name.
            ValueError: A header or a value of `driver_options` is invalid.
            Exception: What the content itself raises comes unchanged.
        """
        return await writing.write_file(self._transport, path, content, options)

    def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
        """Return an iterator over what is below a directory, by the UTF-16 of keys, page by page.

        A service that is too old to begin at `start_after` lists the names before it, too, which
        are left out here.

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
        """Make a directory and its parents, each an empty blob whose name ends in ``/``.

        An account that keeps directories, as for Data Lake, makes one of its own.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
            PathConflictException: A file is there.
            StorageException: The store failed.
        """
        transport = self._transport
        slash = "" if await transport.is_hierarchical() else "/"
        headers = {} if slash else {"x-ms-meta-hdi_isfolder": "true", "if-none-match": "*"}
        for made in accumulate(path.split("/"), "{}/{}".format):
            await writing.make_marker(transport, f"{made}{slash}", headers)

    async def delete_directory(self, path: str, /) -> None:
        """Delete all files below a directory; a missing one is no error.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
            StorageException: The store failed; some files may be deleted.
        """
        await deleting.delete_directory(self._transport, path)

    async def remove_empty_directory(self, path: str, /) -> bool:
        """Delete a directory's marker if nothing else is in it; return False where there is none.

        A file that is written there meanwhile stays: it needs no marker.

        Raises:
            PathConflictException: The directory has entries, or only a file is there.
            StorageException: The store failed.
        """
        return await deleting.remove_empty_directory(self._transport, path)

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Have the store copy a file with its content type and metadata; return its etag.

        The copy appears when it is whole. With other headers, or above 256 MiB, it is made of
        blocks that the store copies.

        Args:
            src: The file.
            dst: Where to. The same path is no copy: without options nothing changes, and with new
                metadata or `driver_options` it is what `update_metadata` does.
            options: See `supported_options`. New metadata replaces the old as a whole.

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
        """Have the store copy a file of another container, as `copy_file` does; return its etag.

        Both drivers are of the same account; each reads or writes by its own credentials.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
            PreconditionFailedException: `if_source_match` names another version, or the source
                was replaced while it was copied.
            UnsupportedOperationException: The source is of another store, or the store refuses to
                copy from there.
        """
        if not isinstance(source.driver, AzureDriver):
            raise UnsupportedOperationException("The source is in no container of this store")
        place = source.driver._transport  # noqa: SLF001 - a driver of this class
        return await copying.copy_from(self._transport, dst, place, source.path, options)

    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Copy a file as `copy_file` does, then delete that version of the original.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
            PreconditionFailedException: `if_source_match` names another version, or the source
                was replaced meanwhile: then it stays, and so does the copy.
        """
        return await copying.move_file(self._transport, src, dst, options)

    async def update_metadata(self, path: str, options: WriteOptions, /) -> str | None:
        """Replace what is declared of a file; return its etag.

        No content goes over the network. Headers alone, or metadata alone, are one request; both
        together are a block list of the same bytes, which the store copies for it.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: `if_match` names another version, or the file was replaced
                meanwhile.
        """
        return await copying.update_metadata(self._transport, path, options)

    async def temporary_url(self, path: str, options: SignOptions, /) -> str:
        """Return a presigned URL that reads a file; no look whether the file exists.

        The time is from 1 second to 7 days. With `stable_for`, all URLs of one such period are the
        same, with Entra ID while its key is; both times together are 7 days at most. Nothing is
        sent, except with Entra ID for a key that signs for 7 days.

        Raises:
            UnsupportedOperationException: The disk is `anonymous` or has a `sas_token`.
            ValueError: A time, the type or the disposition is invalid.
        """
        return await presigning.download_url(self._transport, path, options)

    async def temporary_upload_url(self, path: str, options: SignOptions, /) -> PresignedRequest:
        """Return a presigned PUT request that stores a file; see `temporary_url` for the time.

        The client must send all of its `headers`. Azure's signatures bind the file and the time;
        a client may send another type or another length than the headers say.

        Raises:
            UnsupportedOperationException: The disk is `anonymous` or has a `sas_token`.
            ValueError: The time, the type or the size is invalid.
        """
        headers = self._settings.driver_headers
        return await presigning.upload_request(self._transport, path, options, headers)

    async def delete_many(self, paths: Sequence[str], /) -> Mapping[str, bool | Exception]:
        """Delete files, many at once; return for each whether it was there, or its error."""
        return await deleting.delete_files(self._transport, paths)

    async def delete_file(self, path: str, options: DeleteOptions, /) -> bool:
        """Delete a file if it is the version that `if_match` names; False where there is none.

        Raises:
            PreconditionFailedException: The file is another version, and stays.
        """
        if options.if_match is None:
            return await deleting.delete_file(self._transport, path)
        return await deleting.delete_version(self._transport, path, options.if_match)

    async def check(self, path: str, /) -> None:
        """Check that the container exists, and that files can be listed, written and deleted.

        Args:
            path: A path that nothing uses, where a file is written and deleted.

        Raises:
            StorageException: One of them failed.
        """
        await probing.check(self._transport, path)

    async def diagnose(self, options: DiagnosisOptions, /) -> AsyncGenerator[Finding, None]:
        """Look for faults of the signature, the way to the account and the container's settings.

        Args:
            options: What may be done.

        Raises:
            StorageConfigException: The file of `ca_bundle` has no certificates.
        """
        from jtc.storage.drivers.azure_driver import _diagnosis  # noqa: PLC0415 - seldom needed

        async with aclosing(_diagnosis.diagnose(self._transport, options)) as findings:
            async for finding in findings:
                yield finding

    async def aclose(self) -> None:
        """Close the connections of all event loops; a use afterwards opens them again.

        Requests under way have five seconds to end.
        """
        await self._transport.aclose()
