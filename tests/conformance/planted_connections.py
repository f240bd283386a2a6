"""Drivers with one fault each: connections that are dropped, cut or stalled. See `planting`."""

# The faults have the signatures of the driver that they are planted in.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from __future__ import annotations

import asyncio
import pickle

from jtc.storage.exceptions import StorageException
from planting import caught_by, planted_in
from remote_memory import RemoteMemoryDriver


@caught_by("test_reads_after_idle_connections_were_dropped_reconnect", when_networked=True)
class NeverReconnects(RemoteMemoryDriver):
    attempts = 1


@caught_by("test_put_after_idle_connections_were_dropped_reconnects", when_networked=True)
class NeverPutsAgain(RemoteMemoryDriver):
    async def put(self, path, content, /):
        self.attempts = 1
        try:
            return await super().put(path, content)
        finally:
            self.attempts = 8


@caught_by("test_reads_after_idle_connections_were_dropped_reconnect", when_networked=True)
class TriesOneMoreIdleConnection(RemoteMemoryDriver):
    attempts = 2


@caught_by("test_read_whose_connection_is_cut_before_the_answer_is_sent_again", when_networked=True)
class LooksForAFileOnce(RemoteMemoryDriver):
    async def exists(self, path, /):
        self.attempts = 1
        return await super().exists(path)


@caught_by("test_content_whose_connection_is_cut_is_whole_or_fails", when_networked=True)
class TheEndOfAConnectionIsThatOfTheFile(RemoteMemoryDriver):
    async def content(self, reader, length):
        try:
            return await reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            partial = getattr(error, "partial", b"")
            return pickle.dumps((partial[10:], 0.0))


@caught_by("test_put_whose_connection_is_cut_is_whole_or_fails", when_networked=True)
class APutThatIsCutIsDone(RemoteMemoryDriver):
    attempts = 1

    async def put(self, path, content, /):
        try:
            return await super().put(path, content)
        except ConnectionError:
            return path


@caught_by("test_calls_to_stalled_server_end_with_a_typed_timeout", when_networked=True)
class WaitsForEver(RemoteMemoryDriver):
    timeout = None


@caught_by("test_calls_to_stalled_server_end_with_a_typed_timeout", when_networked=True)
class AStalledServerHasNoFiles(RemoteMemoryDriver):
    async def exists(self, path, /):
        try:
            return await super().exists(path)
        except TimeoutError:
            return False


@caught_by("test_calls_to_stalled_server_end_with_a_typed_timeout", when_networked=True)
class ATimeoutIsAnyFailure(RemoteMemoryDriver):
    async def delete(self, path, /):
        try:
            return await super().delete(path)
        except TimeoutError as error:
            raise StorageException("The storage failed") from error


@caught_by("test_stream_that_stalls_ends_with_a_typed_timeout", when_networked=True)
class WaitsForTheRestOfAStream(RemoteMemoryDriver):
    async def get(self, path, /):
        content = await super().get(path)
        await asyncio.sleep(3600)
        return content


@caught_by("test_call_to_stalled_server_can_be_cancelled", when_networked=True)
class CannotBeCancelled(RemoteMemoryDriver):
    async def exists(self, path, /):
        return await asyncio.shield(asyncio.ensure_future(self._uncancelled(path)))

    async def _uncancelled(self, path):
        return await super().exists(path)

    async def get(self, path, /):
        try:
            return await super().get(path)
        except asyncio.CancelledError:
            return b""


globals().update(planted_in(__name__))
