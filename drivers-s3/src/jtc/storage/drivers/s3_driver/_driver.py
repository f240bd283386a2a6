"""`S3Driver`: files as objects of one bucket."""

from __future__ import annotations

import os
import time
from contextlib import aclosing
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast
from urllib.parse import quote, urlsplit

from jtc.storage.driver import CopySource
from jtc.storage.driver_support.error_translation import reraise
from jtc.storage.driver_support.loop_budget import next_iteration, over_budget
from jtc.storage.driver_support.pickling import NotPicklableException
from jtc.storage.driver_support.standalone import standalone
from jtc.storage.driver_support.traceback_scrubbing import ScrubbedLocals
from jtc.storage.drivers.s3_driver._environment import completed
from jtc.storage.drivers.s3_driver._objects import (
    conditions,
    copying,
    deleting,
    faking,
    listing,
    metadata,
    presigning,
    probing,
    public_urls,
    reading,
    stale_uploads,
    writing,
)
from jtc.storage.drivers.s3_driver._objects.visibility import (
    ensure_visibility,
    set_visibility,
    visibility_of,
)
from jtc.storage.drivers.s3_driver._settings import Settings
from jtc.storage.drivers.s3_driver._transport.endpoint import endpoint_of
from jtc.storage.drivers.s3_driver._transport.operations import put_marker
from jtc.storage.drivers.s3_driver._transport.transport import Transport
from jtc.storage.exceptions import StorageConfigException, UnsupportedOperationException
from jtc.storage.http_support.settings import GIB, MIB
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Callable,
        Collection,
        Mapping,
        Sequence,
    )

    from jtc.storage.driver import DriverContent, FakeTraits, ReadStream
    from jtc.storage.driver_support.content import Content
    from jtc.storage.driver_support.findings import DiagnosisOptions, Finding
    from jtc.storage.drivers.s3_driver._settings import AddressingStyle, CredentialsSource
    from jtc.storage.drivers.s3_driver._transport.sigv4 import Signing
    from jtc.storage.models import Entry, FileInfo, PresignedForm, PresignedRequest, Visibility
    from jtc.storage.options import DeleteOptions, ListOptions, ReadOptions, SignOptions

__all__ = ["S3Driver"]

_PART_SIZE = 5 * MIB
"""The least that S3 allows: the same memory holds more parts, and more connections carry more."""

_METADATA = frozenset(
    {"content_type", "cache_control", "content_disposition", "content_encoding", "metadata"}
)
_NEW_FILE = _METADATA | {"visibility", "overwrite", "driver_options"}


@standalone
class S3Driver:
    """Files as objects of one bucket, on AWS or any store that speaks S3.

    Any number of event loops and threads may share one: each loop gets connections of its own at
    its first use, closed by `aclose` or when the loop ends. Keys are found once for all of them.

    What is left open here (region, endpoint, profile, certificates) is what the environment and
    ``~/.aws`` say, by the names that the AWS SDKs read.

    Args:
        bucket: The bucket's name, or the ARN of an access point.
        region: The bucket's region, or ``"auto"`` for Cloudflare's R2. None: the region of
            `session`, the one in the host of `endpoint_url` where that is AWS's, AWS_REGION,
            AWS_DEFAULT_REGION, the profile's, else ``"us-east-1"``. Where the store says that the
            bucket is in another region, requests are signed for that one.
        access_key: The key's id; with `secret_key`. Without it, keys come from the SDK's own
            chain: the environment, ``~/.aws``, the role of the container or machine.
        secret_key: The key's secret.
        endpoint_url: The URL of a store other than AWS. None: AWS_ENDPOINT_URL_S3,
            AWS_ENDPOINT_URL, the profile's, else AWS. The bucket is added unless the URL has it,
            at the end of its path or before the name of a known store.
        public_url: What URLs by `url` begin with, such as a CDN's host; the key follows.
        session_token: The token of temporary keys.
        profile: A profile of ``~/.aws``. None: AWS_PROFILE, else the default one.
        credentials: An async function that returns a mapping or an object with ``access_key``,
            ``secret_key`` and, where there are such, ``token`` and ``expires_at`` (seconds since
            1970 UTC, or a datetime). It is called again five minutes before they expire, or in the
            last quarter of their life if that is shorter; every five minutes if no end is given.
            Where it fails, the old keys sign until they end.
        session: An aioboto3.Session or an aiobotocore session whose credentials sign;
            ``"aioboto3"`` makes one with ``aioboto3.Session()`` at first use, and raises
            StorageConfigException if aioboto3 is not installed.
        anonymous: Sign nothing, for public buckets; presigning is then refused.
        addressing_style: Where the bucket's name goes: ``"path"``, ``"virtual"`` (before the
            host's name), or ``"auto"``: into the path with an `endpoint_url`, else before. A name
            that cannot be part of a host's goes into the path in any case.
        signing_endpoint_url: The endpoint of presigned URLs, where clients reach the store by
            another name than this program does.
        use_dualstack: Use AWS's hosts that are reached by IPv6 too. None: as
            AWS_USE_DUALSTACK_ENDPOINT or the profile says.
        use_fips: Use AWS's hosts with cryptography by FIPS 140. None: as AWS_USE_FIPS_ENDPOINT or
            the profile says.
        use_accelerate: Use AWS's Transfer Acceleration, which the bucket must have. None: as
            ``use_accelerate_endpoint`` below ``s3`` in the profile says.
        proxy: The URL of an HTTP proxy, user and password included. None: HTTPS_PROXY, HTTP_PROXY
            and NO_PROXY.
        ca_bundle: The path of a PEM file with the certificates of authorities. None:
            AWS_CA_BUNDLE, the profile's, REQUESTS_CA_BUNDLE, else those of certifi or botocore.
        verify: Check the certificate of the store. False is for tests.
        requester_pays: Accept the charges of a bucket whose owner does not pay for requests.
        sse_customer_key: A key of 32 bytes, or their base64, by which the store encrypts each file
            and which it does not keep (SSE-C). It goes over https only, and is needed for each
            read; presigning is refused.
        visibility: ``"public"`` or ``"private"``: the ACL that each put, copy and presigned upload
            without a visibility of its own sends. None sends none, and the bucket decides.
        conditions: Which conditional requests the store keeps: some of ``"put"``, ``"parts"``
            (completions of uploads in parts), ``"copy"`` and ``"delete"``, and what needs another
            one is refused; ``"delete_any"`` and ``"delete_many"`` (``If-Match: *`` of one deletion,
            and of each key in a bulk deletion) spare the look whether there is a file. None: what
            `check` finds; before it has run, all of the first four.
        multipart_threshold: Content of more bytes is uploaded in parts.
        part_size: Bytes of a part, from 5 MiB; a file of more than 10,000 parts gets larger ones.
        copy_threshold: Files of more bytes are copied in parts; S3 itself refuses above 5 GiB.
        max_concurrency: The most parts or ranges of one file at once. Each transfer finds out how
            many the path carries, and uses no more.
        max_connections: Connections of one event loop.
        max_transfer_memory: Bytes that the parts of all uploads and downloads of one event loop may
            take in memory. A further part of an upload waits; a download takes what is free of the
            half, and else reads over one connection. `part_size` at least.
        max_attempts: How often a request is sent at most, and a broken read continued.
        connect_timeout: Seconds until a connection must be open.
        read_timeout: Seconds that may pass without a byte from the store.
        request_timeout: Seconds that a request may wait for the store, all its attempts included,
            and so may a chunk of a stream; plus one for each 64 KiB that it moves. Waiting for the
            caller's content or for one of `max_connections` does not count.
        copy_timeout: Seconds for a request by which the store copies content or completes an
            upload; it may be silent meanwhile. One more for each 8 MiB that it copies.
        pool_timeout: Seconds that a call waits for one of `max_connections`, or a part of an upload
            for its `max_transfer_memory`.
        checksums: Send a CRC-32 with all content and check it when reading. False for stores that
            refuse the headers.
        driver_options: Parameters of S3's PutObject for each file written, such as
            ``{"StorageClass": "STANDARD_IA", "ServerSideEncryption": "aws:kms"}``;
            `jtc.storage.drivers.s3_driver.DRIVER_OPTIONS` has all names. Clients must send those
            of a presigned upload too, as its `headers` or `fields` say.

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
        "temporary_upload_form": frozenset({"min_size"}),
    }

    def __init__(
        self,
        bucket: str,
        region: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        endpoint_url: str | None = None,
        *,
        public_url: str | None = None,
        session_token: str | None = None,
        profile: str | None = None,
        credentials: CredentialsSource | None = None,
        session: object | None = None,
        anonymous: bool = False,
        addressing_style: AddressingStyle | None = None,
        signing_endpoint_url: str | None = None,
        use_dualstack: bool | None = None,
        use_fips: bool | None = None,
        use_accelerate: bool | None = None,
        proxy: str | None = None,
        ca_bundle: str | None = None,
        verify: bool = True,
        requester_pays: bool = False,
        sse_customer_key: bytes | str | None = None,
        visibility: Visibility | str | None = None,
        conditions: Collection[str] | None = None,
        multipart_threshold: int = 16 * MIB,
        part_size: int = _PART_SIZE,
        copy_threshold: int = 5 * GIB,
        max_concurrency: int = 32,
        max_connections: int = 64,
        max_transfer_memory: int = 96 * MIB,
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
            del options, access_key, secret_key, session_token, sse_customer_key, session
            del credentials, endpoint_url, public_url, signing_endpoint_url, proxy, driver_options
            raise
        self._transport = Transport(self._settings)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Make a driver by the environment.

        AWS_BUCKET, and AWS_REGION or AWS_DEFAULT_REGION. AWS_URL alone is the endpoint, and URLs
        begin with it; with AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, that is the endpoint, and
        AWS_URL is what URLs begin with. The rest, such as AWS_PROFILE and keys, is found as for
        every `S3Driver`.

        Raises:
            StorageConfigException: AWS_BUCKET is missing, or a variable is invalid.
        """
        bucket, url = environ.get("AWS_BUCKET"), environ.get("AWS_URL") or None
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or None
        endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or None
        # It may hold the secret key, and a traceback holds this function's variables.
        del environ
        try:
            return cls(
                bucket=bucket or "",
                region=region,
                endpoint_url=endpoint or url,
                public_url=url if endpoint else None,
            )
        except StorageConfigException:
            del url, endpoint
            raise

    @classmethod
    def for_fake(cls, options: Mapping[str, Any] | None) -> Self:
        """Return a driver for a fake to ask, without keys; see `jtc.storage.driver.FakeTraits`.

        Raises:
            StorageConfigException: An option is invalid.
        """
        if options is None:
            return cls.from_env(
                {**os.environ, "AWS_BUCKET": os.environ.get("AWS_BUCKET") or "fake"}
            )
        return cls(**faking.options_without_keys(options))

    @property
    def fake_traits(self) -> FakeTraits:
        """How a fake behaves: as a bucket with ACLs."""
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
        if settings.endpoint_url is not None:
            endpoint = f", endpoint={urlsplit(settings.endpoint_url).netloc!r}"
        return f"{type(self).__name__}({settings.bucket!r}, region={settings.region!r}{endpoint})"

    @property
    def has_own_retries(self) -> bool:
        """Whether the driver retries by itself, so that a layer above need not."""
        return self._settings.max_attempts > 1

    @property
    def lists_in_key_order(self) -> bool:
        """Whether listings are in the order of keys: Amazon promises it, other stores may not."""
        return self._settings.endpoint_url is None

    @property
    def location(self) -> str:
        """Where the files are: drivers of one location keep the same files."""
        return self._settings.location

    def __reduce__(self) -> NoReturn:
        raise NotPicklableException(
            "An S3Driver holds connections and keys and is not pickled: pass its options, and "
            "make one there"
        )

    # The eight methods

    async def put(self, path: str, content: Content, /) -> str:
        """Store a file whole, in place of an existing one, and return its path.

        Args:
            path: Where to.
            content: Any `Content`; what does not fit in one request is uploaded in parts, several
                at once: see `max_concurrency` and `max_transfer_memory`.

        Raises:
            StorageException: It failed; the old file stays, unless a request that was under way
                still takes effect.
        """
        # `standalone` or `Disk` has converted it.
        driver_content = cast("DriverContent", content)
        await writing.write_file(self._transport, path, driver_content, WriteOptions())
        if self._settings.visibility is not None:
            await ensure_visibility(self._transport, path, None)
        return path

    async def get(self, path: str, /) -> bytes:
        """Return a file's content, checked against its checksum where the store keeps one.

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
            StoragePermissionException: AWS answers 403 also for a missing file if the caller may
                not list the bucket.
            StorageException: The store failed.
        """
        return await conditions.etag_now(self._transport, path) is not None

    async def delete(self, path: str, /) -> bool:
        """Delete a file; return False where there was none. One of concurrent deleters gets True.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StorageException: The store failed.
        """
        return await deleting.delete_file(self._transport, path)

    async def size(self, path: str, /) -> int:
        """Return a file's length in bytes.

        Raises:
            FileNotFoundException: There is no file.
        """
        return (await metadata.stat(self._transport, path)).size

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
        return public_urls.base_url(self._settings, endpoint_of(self._settings))

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
            UnsupportedOperationException: `driver_options` has an unknown name; or the store
                ignores the condition, as `check` found or the option `conditions` says.
            ValueError: A header or a value of `driver_options` is invalid.
            Exception: What the content itself raises comes unchanged.
        """
        etag = await writing.write_file(self._transport, path, content, options)
        await ensure_visibility(self._transport, path, options.visibility)
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
        if options.itself:
            return listing.list_itself(self._transport, prefix)
        return listing.list_entries(self._transport, prefix, options)

    async def make_directory(self, path: str, /) -> None:
        """Make a directory and its parents, each an empty object whose key ends in ``/``.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
            PathConflictException: A file is there.
            StorageException: The store failed.
        """
        for made in accumulate(path.split("/"), "{}/{}".format):
            headers = {"content-type": "application/x-directory"}
            await self._transport.send(put_marker(made, headers))

    async def delete_directory(self, path: str, /) -> None:
        """Delete all keys below a directory; a missing one is no error.

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

        Args:
            src: The file.
            dst: Where to. The same path is no copy: without options nothing changes, and with new
                metadata, visibility or `driver_options` it is what `update_metadata` does.
            options: See `supported_options`. New metadata replaces the old as a whole.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
            PreconditionFailedException: `if_source_match` names another version, or the source
                was replaced while it was copied.
            UnsupportedOperationException: `overwrite` is False, and the store ignores conditions
                of copies.
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

        Both drivers have the same endpoint and the same keys, or the same source of keys.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
            PreconditionFailedException: `if_source_match` names another version, or the source
                was replaced while it was copied.
            UnsupportedOperationException: The source is of another store, or the store refuses to
                copy from there; or it ignores conditions of copies, and `overwrite` is False.
        """
        if not isinstance(source.driver, S3Driver):
            raise UnsupportedOperationException("The source is in no bucket of S3")
        from_bucket = source.driver._transport  # noqa: SLF001 - a driver of this class
        return await copying.copy_from(self._transport, dst, from_bucket, source.path, options)

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
        """Have the store copy a file onto itself with other headers; return its etag.

        No content goes over the network. Storage class, encryption, tags and visibility stay; tags
        do not above `copy_threshold`, where the copy is made in parts.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: `if_match` names another version, or the file was replaced
                meanwhile.
        """
        return await copying.update_metadata(self._transport, path, options)

    async def visibility(self, path: str, /) -> Visibility:
        """Return who may read a file by its ACL; a bucket's policy is not looked at.

        Raises:
            FileNotFoundException: There is no file.
            UnsupportedOperationException: The bucket has no ACLs.
        """
        return await visibility_of(self._transport, path)

    async def set_visibility(self, path: str, visibility: Visibility, /) -> None:
        """Set who may read a file by its URL.

        Raises:
            FileNotFoundException: There is no file.
            UnsupportedOperationException: The bucket has no ACLs, as new ones on AWS.
        """
        await set_visibility(self._transport, path, visibility)

    async def temporary_url(self, path: str, options: SignOptions, /) -> str:
        """Return a presigned URL that reads a file; no look whether the file exists.

        The time is from 1 second to 7 days. Temporary keys may end it earlier. With `stable_for`,
        all URLs of one such period are the same while the keys are; both times together are 7 days
        at most. Nothing is sent, and nothing waited for except for keys at the first use, and for
        new ones when those have ended.

        Raises:
            StorageConfigException: There are no keys.
            UnsupportedOperationException: The disk is `anonymous` or has an `sse_customer_key`.
            ValueError: A time, the type or the disposition is invalid.
        """
        pays = self._settings.requester_pays
        return presigning.download_url(await self._signing(), path, options, requester_pays=pays)

    async def temporary_upload_url(self, path: str, options: SignOptions, /) -> PresignedRequest:
        """Return a presigned PUT request that stores a file; see `temporary_url` for the time.

        The disk's `driver_options` are signed too: the client must send all of its `headers`.

        Raises:
            UnsupportedOperationException: The disk is `anonymous` or has an `sse_customer_key`.
            ValueError: The time, the type or the size is invalid.
        """
        signing = await self._signing()
        return presigning.upload_request(signing, path, options, self._upload_headers())

    async def temporary_upload_form(self, path: str, options: SignOptions, /) -> PresignedForm:
        """Return a presigned form, a POST policy, that uploads ``max_size`` bytes at most.

        See `temporary_url` for the time. The file's type is by its name where none is given. The
        disk's `driver_options` and `visibility` are among the `fields`.

        Raises:
            InvalidPathException: The path has ``${filename}``, which S3 would replace.
            UnsupportedOperationException: The disk is `anonymous` or has an `sse_customer_key`.
            ValueError: The time, the type or a size is invalid.
        """
        signing, bucket = await self._signing(), self._settings.bucket
        return presigning.upload_form(signing, bucket, path, options, self._upload_headers())

    def _upload_headers(self) -> dict[str, str]:
        pays = {"x-amz-request-payer": "requester"} if self._settings.requester_pays else {}
        return {**self._settings.driver_headers, **pays}

    async def _signing(self) -> Signing:
        presigning.check_presignable(self._settings)
        return await self._transport.signing()

    async def delete_many(self, paths: Sequence[str], /) -> Mapping[str, bool | Exception]:
        """Delete files, a thousand a request; return for each whether it was there, or its error.

        Each is looked at first, unless `check` has shown that a bulk deletion says it truthfully.

        Raises:
            StorageException: The store failed for all of them.
        """
        return await deleting.delete_files(self._transport, paths)

    async def delete_file(self, path: str, options: DeleteOptions, /) -> bool:
        """Delete a file if it is the version that `if_match` names; False where there is none.

        Until `check` or the option `conditions` has said that the store keeps the condition, the
        file is looked at first.

        Raises:
            PreconditionFailedException: The file is another version, and stays.
            UnsupportedOperationException: The store ignores conditions of deletions.
        """
        if options.if_match is None:
            return await deleting.delete_file(self._transport, path)
        return await deleting.delete_if_match(self._transport, path, options.if_match)

    async def check(self, path: str, /) -> None:
        """Find out which conditional requests the store keeps; others are refused from then on.

        A store may ignore the conditions of some requests, and then `overwrite=False`, `if_match`
        and `append` would lose files in silence. What it ignores is logged as a warning. With the
        option `conditions`, nothing is tried. Where the store says truthfully whether a deleted
        file was there, `delete` is one request afterwards instead of two. A store that breaks
        conditions only where requests race may not be found out.

        Args:
            path: A path that nothing uses, where files are written and deleted.

        Raises:
            StorageException: The store failed.
        """
        await probing.check(self._transport, path)

    async def diagnose(self, options: DiagnosisOptions, /) -> AsyncGenerator[Finding, None]:
        """Look for faults of the keys, the way to the store and the bucket's settings.

        Args:
            options: What may be done. Without ``probe``, nothing but GET, HEAD and LIST is sent.

        Raises:
            StorageConfigException: The file of `ca_bundle` has no certificates.
        """
        from jtc.storage.drivers.s3_driver import _diagnosis  # noqa: PLC0415 - seldom needed

        async with aclosing(_diagnosis.diagnose(self._transport, options)) as findings:
            async for finding in findings:
                yield finding

    async def aclose(self) -> None:
        """Close the connections of all event loops; a use afterwards opens them again.

        Requests under way have five seconds to end.
        """
        await self._transport.aclose()

    # Methods of S3 alone

    async def abort_stale_uploads(
        self,
        older_than: float = 24 * 3600,
        *,
        dry_run: bool = False,
        report: Callable[[str, float], object] | None = None,
    ) -> int:
        """Abort multipart uploads that a killed process left: the store charges for their parts.

        Args:
            older_than: Only those that began this many seconds ago or earlier. Later ones may
                be under way.
            dry_run: Abort none.
            report: Called with the path of each, and when it began, in seconds since 1970 UTC.

        Returns:
            How many there were.

        Raises:
            StorageException: The store failed.
        """
        try:
            return await stale_uploads.abort_stale_uploads(
                self._transport, time.time() - older_than, dry_run=dry_run, report=report
            )
        except Exception as error:
            reraise(error, operation="abort_stale_uploads")
