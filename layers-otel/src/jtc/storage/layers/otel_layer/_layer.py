"""The layer: what is around each kind of method."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from jtc.storage.driver import ReadStream
from jtc.storage.layer import METHODS, Layer
from jtc.storage.layers.otel_layer._contents import measured
from jtc.storage.layers.otel_layer._operation import READ, WRITE, Instruments, Operation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from jtc.storage.driver import StorageDriver

__all__ = ["OpenTelemetry"]

_STORES = frozenset({"put", "write_file"})
_OF_TWO_FILES = frozenset({"copy_file", "move_file"})


class OpenTelemetry(Layer):
    """Make a span of each call of the driver within, and measure it.

    The span is current while the driver works, so that those of its client become its children; it
    is not while the reader of a stream or of a listing has the turn. It ends when the call does,
    and that of a stream when it is closed, fails or is dropped. What only computes (``url`` and
    ``path``) is no operation.

    A file that is not there, and a condition that does not hold (``overwrite=False``,
    ``if_match``), are answers: the outcome says so, and neither is an error. Nor is a cancelled
    call, content that a rule refuses, or content that cannot be read to its end.

    Args:
        inner: The driver within.
        paths: Also tell paths, and the messages of errors, which may hold some. They are in spans
            only, never in metrics.
        tracer_provider: Where spans go; the process's own unless told.
        meter_provider: Where metrics go; the process's own unless told.

    Raises:
        TypeError: `paths` is no bool. A text would be true whatever it says.
    """

    def __init__(
        self,
        inner: StorageDriver,
        *,
        paths: bool = False,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        if not isinstance(paths, bool):
            raise TypeError(f"paths is a bool, not {paths!r}")
        self._paths = paths
        self._instruments = Instruments(tracer_provider, meter_provider)
        super().__init__(inner)

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method within a span; what only computes is returned as it is."""
        if name in _STORES:
            return self._storing(name, method)
        match _kind(name, method):
            case "awaitable":
                return self._awaitable(name, method)
            case "stream":
                return self._stream(name, method)
            case "iterator":
                return self._iterator(name, method)
        return method

    def _begin(self, name: str, args: tuple[Any, ...]) -> Operation:
        facts = {
            "storage.disk.name": self.disk,
            "storage.driver.name": self.driver_name,
            "storage.operation.name": name,
        }
        more: dict[str, Any] = {}
        if name == "delete_many":
            more["storage.operation.batch.size"] = len(args[0])
        elif self._paths and name in METHODS and "path" in METHODS[name].effects:
            more["storage.path"] = args[0]
            if name in _OF_TWO_FILES:
                more["storage.target.path"] = args[1]
        return Operation(
            self._instruments,
            {key: fact for key, fact in facts.items() if fact is not None},
            more,
            messages=self._paths,
            missing_is_an_answer=name not in _STORES,
        )

    def _awaitable(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        async def traced(*args: Any, **options: Any) -> Any:
            operation = self._begin(name, args)
            with operation.step():
                result = await method(*args, **options)
            if name == "get":
                operation.moved(READ, len(result))
            elif name == "delete_many":
                operation.fail_partly([e for e in result.values() if isinstance(e, Exception)])
            operation.end()
            return result

        return traced

    def _storing(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        async def traced(path: str, content: Any, /, *args: Any) -> Any:
            operation = self._begin(name, (path,))
            with operation.step():
                content, length = measured(content)
                operation.source = content
                result = await method(path, content, *args)
            operation.moved(WRITE, length())
            operation.end()
            return result

        return traced

    def _stream(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        async def traced(*args: Any, **options: Any) -> ReadStream:
            operation = self._begin(name, args)
            with operation.step():
                stream = await method(*args, **options)

            async def chunks() -> AsyncIterator[bytes]:
                iterator = aiter(stream)
                while True:
                    try:
                        chunk = await _next(operation, iterator)
                    except StopAsyncIteration:
                        return
                    operation.moved(READ, len(chunk))
                    yield chunk

            async def close() -> None:
                with operation.step():
                    await stream.aclose()
                operation.end()

            return ReadStream(stream.info, chunks(), close)

        return traced

    def _iterator(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        async def traced(*args: Any, **options: Any) -> AsyncIterator[Any]:
            operation = self._begin(name, args)
            with operation.step():
                iterator = aiter(method(*args, **options))
            try:
                while True:
                    try:
                        item = await _next(operation, iterator)
                    except StopAsyncIteration:
                        return
                    yield item
            finally:
                if hasattr(iterator, "aclose"):
                    with operation.step():
                        await iterator.aclose()
                operation.end()

        return traced


async def _next(operation: Operation, iterator: AsyncIterator[Any]) -> Any:
    """Take one step: the span is current within, and no longer when the reader goes on."""
    with operation.step():
        return await anext(iterator)


def _kind(name: str, method: Callable[..., Any]) -> str:
    if name in METHODS:
        return METHODS[name].kind
    # Newer than this layer: by its looks. What gives a stream that way is timed until it is open.
    if inspect.isasyncgenfunction(method):
        return "iterator"
    return "awaitable" if inspect.iscoroutinefunction(method) else "value"
