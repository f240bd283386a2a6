"""Writes: content of each kind into a staged file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from jtc.storage.driver_support.content import in_thread, raised_by_source
from jtc.storage.drivers.sftp_driver._errors import ConnectionEnded
from jtc.storage.drivers.sftp_driver._staged_file import StagedFile
from jtc.storage.drivers.sftp_driver._sweeping import sweep_soon
from jtc.storage.exceptions import StorageUnavailableException

if TYPE_CHECKING:
    from typing import BinaryIO

    from jtc.storage.driver import DriverContent
    from jtc.storage.drivers.sftp_driver._looks import Root
    from jtc.storage.drivers.sftp_driver._sessions import Session, Sessions
    from jtc.storage.options import WriteOptions

__all__ = ["write_file"]

_READ_BYTES = 1024 * 1024


async def write_file(
    client: Sessions, root: Root, path: str, content: DriverContent, options: WriteOptions
) -> None:
    """Write a file whole, or leave the existing one."""
    staged = StagedFile(client, root, path, options)
    await client.take_place()
    try:
        if isinstance(content, bytes):
            await client.run_in_place(lambda session: _write_bytes(session, staged, content))
        else:
            await _write_stream(client, staged, content)
    except BaseException:
        await staged.discard()
        raise
    finally:
        client.release_place()
    sweep_soon(client, staged.session, root)


async def _write_bytes(session: Session, staged: StagedFile, content: bytes) -> None:
    """Write content that may be written again, to another staged file."""
    if not staged.is_placing:
        await staged.open(session)
        await staged.write(content)
        await staged.finish(rechecks=len(content) > _READ_BYTES)
    await staged.place(session)


async def _write_stream(
    client: Sessions, staged: StagedFile, content: BinaryIO | AsyncIterator[bytes]
) -> None:
    await client.run_in_place(staged.open)
    try:
        async for block in _blocks(content, staged.session.block):
            await staged.write(block)
        await staged.finish(rechecks=True)
    except ConnectionEnded as error:
        if raised_by_source(content, error):
            raise
        # What was read of the content cannot be read again.
        raise StorageUnavailableException(
            "The connection to the SFTP server ended while content was sent"
        ) from error
    await client.run_in_place(staged.place)


async def _blocks(content: BinaryIO | AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """Yield content in blocks that are multiples of a size, but for the last one."""
    chunks = content if isinstance(content, AsyncIterator) else _chunks(content)
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        if len(held) >= size:
            whole = len(held) // size * size
            yield bytes(held[:whole])
            del held[:whole]
    if held:
        yield bytes(held)


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := await in_thread(file.read, _READ_BYTES):
        yield chunk
