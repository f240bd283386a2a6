"""The layer that sends failed calls again: `Retry`."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import io
import logging
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import tenacity
from tenacity.stop import stop_base

from jtc.storage.driver import METHODS, ReadStream
from jtc.storage.driver_support.content import driver_content, in_thread
from jtc.storage.driver_support.error_translation import translated
from jtc.storage.driver_support.ranges import resolve_range
from jtc.storage.exceptions import StorageConfigException, StorageException
from jtc.storage.layer import Layer, layers_of
from jtc.storage.models import DirectoryInfo
from jtc.storage.options import DEFAULT_CHUNK_SIZE

if TYPE_CHECKING:
    from jtc.storage.driver import DriverContent, StorageDriver
    from jtc.storage.models import Entry
    from jtc.storage.options import ListOptions, ReadOptions, WriteOptions

__all__ = ["Retry"]

_log = logging.getLogger("jtc.storage.retry")

_TOKENS = 10.0
"""How many retries a full token bucket allows."""

_SAFE_WRITES = frozenset(
    {
        "delete_directory",
        "make_directory",
        "set_visibility",
        "temporary_upload_form",
        "temporary_upload_url",
    }
)
"""Methods with the effect ``write`` that leave the same behind when they are called twice."""

_UNLESS_CONDITIONAL = frozenset({"copy_file", "copy_from", "update_metadata"})
"""Methods that are safe to call twice unless their options, the last argument, have a condition."""


class Retry(Layer):
    """Retry calls that failed with a retryable error, after growing waits with jitter.

    These are retried: everything that reads; a stream from where it broke off, if the driver has
    etags, so that the rest is of the same version; a listing after its last entry;
    `make_directory`, `delete_directory` and `set_visibility`; and a put, a copy or a change of
    metadata without a condition. The content of a put must be such that it can be sent again:
    bytes, a seekable file, or at most `buffer` bytes of a stream.

    These are not, because their first attempt may have succeeded while only its answer was lost,
    and a second one would report the wrong result: `delete`, `remove_empty_directory`, `move`,
    `move_directory`, a driver's own health check, and writes with `overwrite=False`, `if_match` or
    `if_source_match`.

    For drivers without retries of their own. The S3 driver has its own: both together multiply the
    attempts, which is a RuntimeWarning.

    Args:
        inner: The driver within.
        attempts: The most attempts per call.
        delay: The longest first wait in seconds. The limit doubles with each further wait, and the
            wait itself is random below it, so that many clients do not return at once
            (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
        max_delay: The longest wait in seconds.
        budget: How much of a retry each successful call pays for. Ten retries are free, and paid
            ones are kept up to ten, so that a storage that is down gets few of them.
        buffer: How many bytes of a stream to keep, so that they can be sent again.

    Raises:
        StorageConfigException: An option is invalid.
    """

    has_own_retries = True

    def __init__(
        self,
        inner: StorageDriver,
        *,
        attempts: int = 4,
        delay: float = 0.1,
        max_delay: float = 5.0,
        budget: float = 0.2,
        buffer: int = 1024 * 1024,
    ) -> None:
        for name, value, least in (
            ("attempts", attempts, 1),
            ("delay", delay, 0),
            ("max_delay", max_delay, 0),
            ("budget", budget, 0),
            ("buffer", buffer, 0),
        ):
            if not isinstance(value, (int, float)) or not value >= least:
                raise StorageConfigException(f"{name} is {least} or more, not {value!r}")
        _warn_of_own_retries(inner)
        self._attempts = attempts
        self._buffer = buffer
        self._tokens = _TokenBucket(budget)
        self._retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_is_retryable),
            stop=tenacity.stop_any(tenacity.stop_after_attempt(attempts), self._tokens),
            wait=tenacity.wait_random_exponential(multiplier=delay, max=max_delay),
            before_sleep=self._log_attempt,
            reraise=True,
        )
        super().__init__(inner)

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method with retries, where a second call is safe."""
        wrappers: dict[str, Callable[..., Any]] = {
            "put": self._put,
            "write_file": self._write_file,
            "open_read": self._open_read,
            "list_entries": self._list_entries,
            **dict.fromkeys(_UNLESS_CONDITIONAL, self._call_unless_conditional),
        }
        wrapper = wrappers.get(name, self._call if _is_safe(name) else None)
        if wrapper is None:
            return method
        return functools.wraps(method)(functools.partial(wrapper, name, method))

    async def _retried(
        self, call: Callable[[], Awaitable[Any]], name: str, path: str, *, earns: bool = True
    ) -> Any:
        # A copy for each call: tenacity's object has a state of its own.
        retrying = self._retrying.copy()

        async def attempt() -> Any:
            return await call()

        attempt.__dict__.update(name=name, path=path)
        result: Any = await retrying(attempt)
        if earns:
            self._tokens.earn()
        return result

    async def _call(
        self, name: str, method: Callable[..., Any], path: str, /, *arguments: Any
    ) -> Any:
        return await self._retried(lambda: method(path, *arguments), name, path)

    async def _call_unless_conditional(
        self, name: str, method: Callable[..., Any], path: str, /, *arguments: Any
    ) -> Any:
        if _is_conditional(arguments[-1]):
            return await method(path, *arguments)
        return await self._call(name, method, path, *arguments)

    async def _put(self, name: str, method: Callable[..., Any], path: str, content: Any, /) -> Any:
        if isinstance(content, (bytes, bytearray, memoryview, str)):
            return await self._call(name, method, path, content)
        # Other content is read once: async files, iterators, files that cannot seek.
        if not isinstance(content, io.IOBase) or content.closed or not content.seekable():
            return await method(path, content)
        start = content.tell()

        async def rewound() -> Any:
            content.seek(start)
            return await method(path, content)

        return await self._retried(rewound, name, path)

    async def _write_file(
        self,
        name: str,
        method: Callable[..., Any],
        path: str,
        content: DriverContent,
        options: WriteOptions,
        /,
    ) -> Any:
        if _is_conditional(options):
            return await method(path, content, options)
        if not isinstance(content, bytes):
            content = await self._buffered(content)
        if not isinstance(content, bytes):
            return await method(path, content, options)
        return await self._call(name, method, path, content, options)

    async def _open_read(
        self, name: str, method: Callable[..., Any], path: str, options: ReadOptions, /
    ) -> ReadStream:
        async def open_(options: ReadOptions) -> ReadStream:
            stream: ReadStream = await self._call(name, method, path, options)
            return stream

        async def wait(error: Exception, failures: int) -> None:
            await self._wait(name, path, error, failures)

        stream = await open_(options)
        resuming = _ResumingStream(stream, options, open_, self._may_resume, wait)
        return ReadStream(stream.info, resuming.chunks(), resuming.aclose)

    def _may_resume(self, error: Exception, failures: int) -> bool:
        return _is_retryable(error) and failures < self._attempts and self._tokens.spend()

    async def _wait(self, name: str, path: str, error: Exception, failures: int) -> None:
        state = tenacity.RetryCallState(self._retrying, None, (), {})
        state.attempt_number = failures
        delay = self._retrying.wait(state)
        self._log(name, path, error, failures, delay)
        await asyncio.sleep(delay)

    async def _list_entries(
        self, name: str, method: Callable[..., Any], prefix: str, options: ListOptions, /
    ) -> AsyncIterator[Entry]:
        last = options.start_after
        entries: AsyncIterator[Entry] | None = None

        async def next_entry() -> Entry | None:
            nonlocal entries
            if entries is None:
                entries = aiter(method(prefix, dataclasses.replace(options, start_after=last)))
            try:
                return await anext(entries, None)
            except Exception:
                entries = None  # a generator that raised is at its end
                raise

        earns = True  # once, however many entries there are
        try:
            while (entry := await self._retried(next_entry, name, prefix, earns=earns)) is not None:
                earns = False
                last = f"{entry.path}/" if isinstance(entry, DirectoryInfo) else entry.path
                yield entry
        finally:
            close = getattr(entries, "aclose", None)
            if close is not None:
                await close()

    async def _buffered(self, content: DriverContent) -> DriverContent:
        """Return content as bytes if it is short, else as an iterator over all of it."""
        chunks = _chunks(driver_content(content))
        pieces: list[bytes] = []
        length = 0
        async for chunk in chunks:
            pieces.append(chunk)
            length += len(chunk)
            if length > self._buffer:
                return _chained(pieces, chunks)
        return b"".join(pieces)

    def _log_attempt(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        delay = state.next_action.sleep if state.next_action is not None else 0.0
        about = vars(state.fn)
        self._log(about["name"], about["path"], error, state.attempt_number, delay)

    def _log(
        self, operation: str, path: str, error: BaseException | None, attempt: int, delay: float
    ) -> None:
        _log.info(
            "%s of %r on the disk %r failed (%s): attempt %d follows in %.2f s",
            operation,
            path,
            self.disk,
            type(error).__name__,
            attempt + 1,
            delay,
            extra={
                "disk": self.disk,
                "driver": self.driver_name,
                "operation": operation,
                "path": path,
                "attempt": attempt,
                "delay": delay,
            },
        )


class _ResumingStream:
    """A stream that is opened again where it broke off, for the same version of the file.

    Args:
        stream: The open stream.
        options: What it was opened with.
        open_: Opens the file again.
        may_resume: Whether an error is worth another attempt, by the number of failures in a row.
        wait: Waits before that attempt.
    """

    def __init__(
        self,
        stream: ReadStream,
        options: ReadOptions,
        open_: Callable[[ReadOptions], Awaitable[ReadStream]],
        may_resume: Callable[[Exception, int], bool],
        wait: Callable[[Exception, int], Awaitable[None]],
    ) -> None:
        self._stream = stream
        self._options = options
        self._open = open_
        self._may_resume = may_resume
        self._wait = wait
        size = stream.info.size
        self._position, self._end = resolve_range(options.start, options.end, size)
        self._etag = stream.info.etag

    async def chunks(self) -> AsyncIterator[bytes]:
        failures = 0  # since the last chunk
        while True:
            try:
                async for chunk in self._stream:
                    self._position += len(chunk)
                    failures = 0
                    yield chunk
            except Exception as error:
                failures += 1
                # Without an etag the rest could be another version's.
                resumable = self._etag is not None and self._position < self._end
                if not resumable or not self._may_resume(error, failures):
                    raise
                broken = error
            else:
                return
            with contextlib.suppress(Exception):  # closing a broken stream may fail too
                await self._stream.aclose()
            await self._wait(broken, failures)
            self._stream = await self._open(self._rest())

    def _rest(self) -> ReadOptions:
        return dataclasses.replace(
            self._options,
            start=self._position,
            end=self._end,
            if_match=self._etag,
            if_none_match=None,
        )

    async def aclose(self) -> None:
        await self._stream.aclose()


class _TokenBucket(stop_base):
    """A token bucket: each retry spends one token, each success earns a part of one."""

    def __init__(self, earned: float) -> None:
        self._earned = earned
        self._left = _TOKENS

    def earn(self) -> None:
        self._left = min(_TOKENS, self._left + self._earned)

    def spend(self) -> bool:
        """Take one token; return False if there is none."""
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def __call__(self, _state: tenacity.RetryCallState) -> bool:
        """Return whether tenacity must stop."""
        return not self.spend()


def _is_safe(name: str) -> bool:
    """Return whether a second call leaves the same behind, and returns the same, as one."""
    method = METHODS[name]
    reads = "path" in method.effects and "write" not in method.effects
    return method.kind == "awaitable" and (reads or name in _SAFE_WRITES)


def _is_retryable(error: BaseException) -> bool:
    ours = translated(error) if isinstance(error, Exception) else error
    return isinstance(ours, StorageException) and ours.retryable


def _is_conditional(options: WriteOptions) -> bool:
    return (
        not options.overwrite or options.if_match is not None or options.if_source_match is not None
    )


def _warn_of_own_retries(driver: StorageDriver) -> None:
    for each in layers_of(driver):
        if getattr(each, "has_own_retries", False):
            warnings.warn(
                f"{type(each).__name__} has retries of its own: with the layer 'retry' around it "
                "the attempts multiply. Leave one of them out",
                RuntimeWarning,
                stacklevel=3,
            )
            return


async def _chunks(content: DriverContent) -> AsyncIterator[bytes]:
    if isinstance(content, AsyncIterator):
        async for chunk in content:
            yield chunk
    else:
        while chunk := await in_thread(content.read, DEFAULT_CHUNK_SIZE):  # type: ignore[union-attr]
            yield chunk


async def _chained(first: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while first:
        yield first.pop(0)
    async for chunk in rest:
        yield chunk
