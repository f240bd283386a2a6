"""The layers `Scan`, of any scanner, and `ClamAV`."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from jtc.storage.driver_support.content import (
    Spool,
    driver_content,
    in_thread,
    length_read,
    watch_content,
)
from jtc.storage.driver_support.content_checks import limits
from jtc.storage.driver_support.derived import resolve
from jtc.storage.driver_support.error_translation import temporary_file_errors
from jtc.storage.exceptions import (
    RejectedException,
    StorageConfigException,
    StorageException,
    StorageUnavailableException,
    UnsupportedOperationException,
)
from jtc.storage.layer import Layer
from jtc.storage.layers.clamav_layer._clamd import DEFAULT_ADDRESS, DEFAULT_MAX_SIZE, Clamd
from jtc.storage.layers.clamav_layer._quarantine import Quarantine
from jtc.storage.layers.clamav_layer._scanner import Scanner, ScannerAbsentException
from jtc.storage.layers.clamav_layer._staging import Staging

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jtc.storage import Disk
    from jtc.storage.driver import DriverContent, StorageDriver
    from jtc.storage.models import PresignedForm, PresignedRequest
    from jtc.storage.options import SignOptions, WriteOptions

__all__ = ["ClamAV", "Scan"]

_log = logging.getLogger("jtc.storage.clamav")

_BLOCK = 1024 * 1024
_IN_MEMORY = 1024 * 1024
_LONGEST_NAME = 200


class Scan(
    Layer,
    guards={"write"},
    passes={
        "delete",
        "delete_directory",
        "delete_file",
        "delete_many",
        "make_directory",
        "remove_empty_directory",
        "set_visibility",
        "update_metadata",
    },
    adds={"health_check"},
):
    """Store only files that a scanner finds clean.

    What is written is read to its end, into memory or a temporary file; the scanner judges it
    whole; then exactly that is stored. Files that were in the storage before are not judged.

    A copy and a move within the disk are read, judged and written as a new file, since what is
    there may have come by another way, or before the scanner knew it.

    With `staging`, presigned uploads go below that directory, where nothing reads them through the
    layer, until `release` scans and stores them. Without it they are unsupported.

    Args:
        inner: The driver within.
        scanner: The scanner.
        max_size: The longest file in bytes; None is any.
        when_absent: ``"refuse"`` refuses files while the scanner cannot be reached; ``"pass"``
            stores them unscanned, which is logged.
        quarantine: A disk, or the name of another disk of the same manager, on which infected
            files are kept. They are refused all the same.
        staging: The directory of direct uploads, such as ``"unscanned"``.
        rescan_copies: False lets the driver copy and move by itself what is in the storage.
        memory: How many bytes of a file are kept in memory; longer ones are in a temporary file.

    Raises:
        StorageConfigException: An option is invalid.
        RejectedException: From each method that stores. Its `reason` is ``"virus"``, ``"size"`` for
            a file above `max_size`, or ``"unscannable"`` for one that exceeds the scanner's limits.
        ScannerAbsentException: From each method that stores.
        StorageUnavailableException: From each method that stores: the scanner failed.
    """

    def __init__(
        self,
        inner: StorageDriver,
        *,
        scanner: Scanner,
        max_size: int | None = None,
        when_absent: Literal["refuse", "pass"] = "refuse",
        quarantine: Disk | str | None = None,
        staging: str | None = None,
        rescan_copies: bool = True,
        memory: int = _IN_MEMORY,
    ) -> None:
        if not isinstance(scanner, Scanner):
            raise StorageConfigException(
                f"'scanner' is an object with the methods scan() and check(), not {scanner!r}"
            )
        if when_absent not in ("refuse", "pass"):
            raise StorageConfigException(
                f"'when_absent' is 'refuse' or 'pass', not {when_absent!r}"
            )
        try:
            limits(max_size=max_size)
            limits(max_size=memory)
        except TypeError as error:
            raise StorageConfigException(str(error)) from error
        self.scanner = scanner
        self.staging = None if staging is None else Staging(staging)
        self._max_size = max_size
        self._passes_unscanned = when_absent == "pass"
        self._quarantine = None if quarantine is None else Quarantine(quarantine)
        self._memory = memory
        super().__init__(inner)
        if self.staging is None:
            self.unsupported |= {"temporary_uploads", "upload_forms"}
        if not rescan_copies:
            names = resolve(inner).capabilities.names
            if "copy" in names:
                self.copy_file = self.wrap("copy_file", self.inner.copy_file)
            if "move" in names:
                self.move_file = self.wrap("move_file", self.inner.move_file)

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return a method for which staged files do not exist."""
        return method if self.staging is None else self.staging.guarded(name, method)

    async def put(self, path: str, content: bytes | str | BinaryIO, /) -> str:
        """Store a file that is clean."""
        async with self._clean(path, content) as (whole, _):
            return await self.inner.put(path, whole)

    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        """Store a file that is clean."""
        async with self._clean(path, content) as (whole, size):
            known = dataclasses.replace(options, size=size)
            return await self.inner.write_file(path, driver_content(whole), known)

    async def temporary_upload_url(self, path: str, options: SignOptions, /) -> PresignedRequest:
        """Return a presigned PUT request that stages a file."""
        limits(size=options.size, max_size=self._max_size)
        return await self.inner.temporary_upload_url(self._staged(path), options)

    async def temporary_upload_form(self, path: str, options: SignOptions, /) -> PresignedForm:
        """Return a presigned form that stages a file of `max_size` bytes at most."""
        if self._max_size is not None:
            limits(size=options.min_size, max_size=self._max_size)
            most = self._max_size if options.max_size is None else options.max_size
            options = dataclasses.replace(options, max_size=min(most, self._max_size))
        return await self.inner.temporary_upload_form(self._staged(path), options)

    async def check(self, path: str, /) -> None:
        """Check the scanner, the quarantine disk, and what the inner driver checks by itself."""
        await self.scanner.check()
        if self._quarantine is not None:
            await self._quarantine.check(self)
        if "health_check" in resolve(self.inner).capabilities:
            await self.inner.check(path)

    def _staged(self, path: str) -> str:
        if self.staging is None:
            raise UnsupportedOperationException(
                "Presigned uploads do not pass through the scanner: give the layer the option "
                "staging, a directory for them"
            )
        return self.staging.path_of(path)

    @contextlib.asynccontextmanager
    async def _clean(self, path: str, content: Any) -> AsyncIterator[tuple[bytes | BinaryIO, int]]:
        """Read content to its end, and have it judged; yield it if it is clean, and its length."""
        source = driver_content(content)
        watch = limits(max_size=self._max_size)
        if watch is not None:
            watch_content(source, watch)
        async with Spool(source, memory=self._memory) as whole:
            size = length_read(source)
            await self._judge(path, whole, size)
            yield whole, size

    async def _judge(self, path: str, whole: bytes | BinaryIO, size: int) -> None:
        try:
            found = await self.scanner.scan(_blocks(whole), size)
        except ScannerAbsentException as error:
            if not self._passes_unscanned:
                raise
            _log.warning(
                "A file is stored unscanned (disk %s, path %r): %s", self.disk, path, error.message
            )
            return
        except StorageException:
            raise
        except OSError as error:
            raise StorageUnavailableException(f"The scanner failed: {error}") from error
        if found is not None:
            # It may be of another program, and goes into a log.
            name = "".join(c if c.isprintable() else "?" for c in str(found)[:_LONGEST_NAME])
            await self._refuse(path, whole, name)

    async def _refuse(self, path: str, whole: bytes | BinaryIO, found: str) -> None:
        kept = None
        if self._quarantine is not None:
            kept = await self._quarantine.keep(
                self, whole, signature=found, disk=self.disk or "", path=path
            )
        where = f"; it is kept in quarantine as {kept}" if kept else ""
        _log.warning("Infected: %s (disk %s, path %r)%s", found, self.disk, path, where)
        raise RejectedException(f"The content is infected: {found}{where}", reason="virus")


class ClamAV(Scan):
    """Store only files that ClamAV finds clean.

    See `Scan` for what the layer does, and `Clamd` for the connection to the daemon.

    Args:
        inner: The driver within.
        address: As for `Clamd`, like `max_size`, `alerts`, `concurrency` and the times.
        max_size: The longest file in bytes, at most the daemon's MaxFileSize, unless it has
            ``AlertExceedsMax yes``; None is any.
        alerts: Require ``AlertExceedsMax yes``.
        concurrency: The most files that are judged at once, in each event loop.
        connect_timeout: Seconds until the daemon has answered once.
        scan_timeout: Seconds to judge one file.
        probe_interval: Seconds after which the daemon is probed again.
        when_absent: As for `Scan`, like the others.
        quarantine: A disk, or its name.
        staging: The directory of direct uploads.
        rescan_copies: Whether copies and moves are judged.
        memory: How many bytes of a file are kept in memory.

    Raises:
        StorageConfigException: An option is invalid; or, from each method that stores, the daemon
            would say of some files that it does not look at that they are clean.
    """

    def __init__(
        self,
        inner: StorageDriver,
        *,
        address: str = DEFAULT_ADDRESS,
        max_size: int | None = DEFAULT_MAX_SIZE,
        alerts: bool = False,
        concurrency: int = 8,
        connect_timeout: float = 5.0,
        scan_timeout: float = 180.0,
        probe_interval: float = 3600.0,
        when_absent: Literal["refuse", "pass"] = "refuse",
        quarantine: Disk | str | None = None,
        staging: str | None = None,
        rescan_copies: bool = True,
        memory: int = _IN_MEMORY,
    ) -> None:
        super().__init__(
            inner,
            scanner=Clamd(
                address,
                max_size=max_size,
                alerts=alerts,
                concurrency=concurrency,
                connect_timeout=connect_timeout,
                scan_timeout=scan_timeout,
                probe_interval=probe_interval,
            ),
            max_size=max_size,
            when_absent=when_absent,
            quarantine=quarantine,
            staging=staging,
            rescan_copies=rescan_copies,
            memory=memory,
        )


async def _blocks(whole: bytes | BinaryIO) -> AsyncIterator[bytes]:
    """Yield content from its beginning; a file is read in a thread."""
    if isinstance(whole, bytes):
        for at in range(0, len(whole), _BLOCK):
            yield whole[at : at + _BLOCK]
        return
    with temporary_file_errors():
        await in_thread(whole.seek, 0)
        while block := await in_thread(whole.read, _BLOCK):
            yield block
