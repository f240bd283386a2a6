"""`Retry`: what is safe to repeat is tried again where the storage could not be reached."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import tenacity
from tenacity.stop import stop_base

from jtc.storage.driver import DEFAULT_CHUNK_SIZE, ReadStream
from jtc.storage.driver_support.content import driver_content
from jtc.storage.driver_support.error_translation import translate
from jtc.storage.driver_support.ranges import resolve_range
from jtc.storage.exceptions import StorageConfigException, StorageException
from jtc.storage.layer import Layer
from jtc.storage.models import DirectoryInfo

if TYPE_CHECKING:
    from jtc.storage.driver import DriverContent, StorageDriver
    from jtc.storage.models import Entry
    from jtc.storage.options import WriteOptions

__all__ = ["Retry"]

_log = logging.getLogger("jtc.storage.retry")

_RESERVE = 10.0

_SIMPLY = frozenset(
    {
        "exists",
        "get",
        "last_modified",
        "make_directory",
        "set_visibility",
        "size",
        "stat",
        "temporary_upload_form",
        "temporary_upload_url",
        "temporary_url",
        "visibility",
        "delete_directory",
    }
)
"""Methods that change nothing, or that leave the same behind when they are done twice."""


class Retry(Layer):
    """Repeat calls that failed with a retryable error, after a while that grows, with jitter.

    Repeated are: everything that reads, a stream from where it broke off (where the driver tells
    etags, so that it is the same file), a listing after its last entry, `make_directory`,
    `delete_directory`, `set_visibility`; and a put or a copy without conditions, where the content
    can be sent again: bytes, a file that can be rewound, and what is no longer than `buffer`.

    Not repeated are `delete` and `move`, which would find nothing where the first attempt has
    succeeded and only its answer was lost, and writes with `overwrite=False` or `if_match`, for the
    same reason.

    For drivers that do not try again themselves. The S3 driver does: both together multiply the
    attempts, and warn.

    Args:
        inner: The driver within.
        attempts: How often a call is tried at most.
        delay: The longest first wait, in seconds; each further one may be twice as long. How long
            it really is, chance decides, so that many clients do not come back at once
            (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
        max_delay: The longest wait, in seconds.
        budget: The share of calls that may be repeats, when many fail: a storage that is down is
            not asked several times as often. Ten repeats are free.
        buffer: How many bytes of a streamed content to keep, so that they can be sent again.

    Raises:
        StorageConfigException: An option cannot be so.
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
        _warn_of_others(inner)
        self._attempts = attempts
        self._buffer = buffer
        self._budget = _Budget(budget)
        self._retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_may_succeed_later),
            stop=tenacity.stop_any(tenacity.stop_after_attempt(attempts), self._budget),
            wait=tenacity.wait_random_exponential(multiplier=delay, max=max_delay),
            before_sleep=self._tell,
            reraise=True,
        )
        super().__init__(inner)

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method, repeated where that is safe."""
        repeated: dict[str, Callable[..., Any]] = {
            "put": self._put,
            "write_file": self._write_file,
            "copy_file": self._copy_file,
            "open_read": self._open_read,
            "list_entries": self._list_entries,
        }
        wrapper = repeated.get(name, self._call if name in _SIMPLY else None)
        if wrapper is None:
            return method
        return functools.wraps(method)(functools.partial(wrapper, name, method))

    async def _repeat(
        self, call: Callable[[], Awaitable[Any]], name: str, path: str, *, earns: bool = True
    ) -> Any:
        # A copy for each call: tenacity's object has a state of its own.
        retrying = self._retrying.copy()

        async def attempt() -> Any:
            return await call()

        attempt.__dict__.update(name=name, path=path)
        result: Any = await retrying(attempt)
        if earns:
            self._budget.earn()
        return result

    async def _call(
        self, name: str, method: Callable[..., Any], path: str, *args: Any, **options: Any
    ) -> Any:
        return await self._repeat(lambda: method(path, *args, **options), name, path)

    async def _put(self, name: str, method: Callable[..., Any], path: str, content: Any, /) -> Any:
        if isinstance(content, (bytes, bytearray, memoryview, str)):
            return await self._repeat(lambda: method(path, content), name, path)
        seekable = getattr(content, "seekable", None)
        if not callable(seekable) or not seekable():
            return await method(path, content)
        start = content.tell()

        async def again() -> Any:
            content.seek(start)
            return await method(path, content)

        return await self._repeat(again, name, path)

    async def _write_file(
        self,
        name: str,
        method: Callable[..., Any],
        path: str,
        content: DriverContent,
        options: WriteOptions,
        /,
    ) -> Any:
        if _has_conditions(options):
            return await method(path, content, options)
        if not isinstance(content, bytes):
            content = await self._kept(content)
        if not isinstance(content, bytes):
            return await method(path, content, options)
        return await self._repeat(lambda: method(path, content, options), name, path)

    async def _copy_file(
        self, name: str, method: Callable[..., Any], src: str, dst: str, options: WriteOptions, /
    ) -> Any:
        if _has_conditions(options):
            return await method(src, dst, options)
        return await self._repeat(lambda: method(src, dst, options), name, src)

    async def _open_read(
        self,
        name: str,
        method: Callable[..., Any],
        path: str,
        /,
        *,
        start: int = 0,
        end: int | None = None,
        if_match: str | None = None,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
    ) -> ReadStream:
        async def open_at(start: int, end: int | None, etag: str | None) -> ReadStream:
            stream: ReadStream = await self._repeat(
                lambda: method(path, start=start, end=end, if_match=etag, chunk_size=chunk_size),
                name,
                path,
            )
            return stream

        stream = await open_at(start, end, if_match)
        current = [stream]
        first, last = resolve_range(start, end, stream.info.size)
        etag = stream.info.etag

        async def chunks() -> AsyncIterator[bytes]:
            position = first
            failures = 0  # since the last chunk
            while True:
                try:
                    async for chunk in current[0]:
                        position += len(chunk)
                        failures = 0
                        yield chunk
                except Exception as error:
                    failures += 1
                    # Only of the same version can the rest follow.
                    if etag is None or not _may_succeed_later(error) or position >= last:
                        raise
                    if failures >= self._attempts or not self._budget.spend():
                        raise
                    with contextlib.suppress(Exception):
                        await current[0].aclose()  # of a broken stream it may fail too
                    broken = error
                else:
                    return
                await self._wait(name, path, broken, failures)
                current[0] = await open_at(position, last, etag)

        async def close() -> None:
            await current[0].aclose()

        return ReadStream(stream.info, chunks(), close)

    async def _wait(self, name: str, path: str, error: Exception, failures: int) -> None:
        state = tenacity.RetryCallState(self._retrying, None, (), {})
        state.attempt_number = failures
        delay = self._retrying.wait(state)
        self._log(name, path, error, failures, delay)
        await asyncio.sleep(delay)

    async def _list_entries(
        self,
        name: str,
        method: Callable[..., Any],
        prefix: str,
        /,
        *,
        recursive: bool = False,
        start_after: str | None = None,
    ) -> AsyncIterator[Entry]:
        last = start_after
        entries: AsyncIterator[Entry] | None = None

        async def following() -> Entry | None:
            nonlocal entries
            if entries is None:
                entries = aiter(method(prefix, recursive=recursive, start_after=last))
            try:
                return await anext(entries, None)
            except Exception:
                entries = None  # a generator that raised is at its end
                raise

        earns = True  # once, however many entries there are
        while (entry := await self._repeat(following, name, prefix, earns=earns)) is not None:
            earns = False
            last = f"{entry.path}/" if isinstance(entry, DirectoryInfo) else entry.path
            yield entry

    async def _kept(self, content: Any) -> DriverContent:
        """Read content to its end where it is short; else return what goes on with all of it."""
        chunks = _chunks(driver_content(content))
        pieces: list[bytes] = []
        length = 0
        async for chunk in chunks:
            pieces.append(chunk)
            length += len(chunk)
            if length > self._buffer:
                return _chained(pieces, chunks)
        return b"".join(pieces)

    def _tell(self, state: tenacity.RetryCallState) -> None:
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


class _Budget(stop_base):
    """How many repeats there may be: each takes one, each success gives a part of one back."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._left = _RESERVE

    def earn(self) -> None:
        self._left = min(_RESERVE, self._left + self._share)

    def spend(self) -> bool:
        """Take one repeat; return False where there is none."""
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def __call__(self, _state: tenacity.RetryCallState) -> bool:
        """Tell tenacity whether to stop."""
        return not self.spend()


def _may_succeed_later(error: BaseException) -> bool:
    if isinstance(error, OSError) and not isinstance(error, StorageException):
        error = translate(error)
    return isinstance(error, StorageException) and error.retryable


def _has_conditions(options: WriteOptions) -> bool:
    return (
        not options.overwrite or options.if_match is not None or options.if_source_match is not None
    )


def _warn_of_others(driver: Any) -> None:
    while driver is not None:
        if getattr(driver, "has_own_retries", False):
            warnings.warn(
                f"{type(driver).__name__} tries again by itself: with the layer 'retry' around it "
                "the attempts multiply. Leave one of them out",
                RuntimeWarning,
                stacklevel=3,
            )
            return
        driver = getattr(driver, "inner", None)


async def _chunks(content: DriverContent) -> AsyncIterator[bytes]:
    if isinstance(content, AsyncIterator):
        async for chunk in content:
            yield chunk
    else:
        while chunk := await asyncio.to_thread(content.read, DEFAULT_CHUNK_SIZE):  # type: ignore[union-attr]
            yield chunk


async def _chained(first: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while first:
        yield first.pop(0)
    async for chunk in rest:
        yield chunk
