"""The layer that traces and measures calls: `OpenTelemetry`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from jtc.storage.driver import METHODS, ReadStream
from jtc.storage.layer import Layer
from jtc.storage.layers.otel_layer._content_length import measured
from jtc.storage.layers.otel_layer._traced_call import READ, WRITE, Instruments, TracedCall

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from jtc.storage.driver import StorageDriver

__all__ = ["OpenTelemetry"]

_WRITING = frozenset({"put", "write_file"})


class OpenTelemetry(Layer):
    """Make a span of each call of the driver within, and measure it.

    The span is current while the driver works, so that the spans of its client become its children,
    and not while the reader of a stream or a listing works. It ends with the call, and that of a
    stream when the stream is closed, fails or is dropped. ``url`` and ``path`` only compute, and
    have no span.

    Some answers look like errors and are none: a missing file, a condition that does not hold
    (``overwrite=False``, ``if_match``, ``if_none_match``), a directory that is not empty, a
    cancelled call, content that a rule refuses, and content that cannot be read to its end. The
    outcome says which one it is.

    Args:
        inner: The driver within.
        paths: Record paths, and the messages of errors, which may hold paths. They are recorded in
            spans only, never in metrics.
        tracer_provider: Where spans go; by default the process's own provider.
        meter_provider: Where metrics go; by default the process's own provider.

    Raises:
        TypeError: `paths` is no bool. A string would be true whatever it says.
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
        """Return the method within a span, unless it only computes."""
        if name in _WRITING:
            return self._write(name, method)
        match METHODS[name].kind:
            case "awaitable":
                return self._awaitable(name, method)
            case "stream":
                return self._stream(name, method)
            case "iterator":
                return self._iterator(name, method)
            case "value":
                return method

    def _begin(self, name: str, arguments: tuple[Any, ...]) -> TracedCall:
        attributes = {
            "storage.disk.name": self.disk,
            "storage.driver.name": self.driver_name,
            "storage.operation.name": name,
        }
        of_span: dict[str, Any] = {}
        paths = METHODS[name].paths
        if paths < 0:
            of_span["storage.operation.batch.size"] = len(arguments[0])
        elif self._paths:
            names = ("storage.path", "storage.target.path")[:paths]
            of_span = dict(zip(names, arguments, strict=False))
        return TracedCall(
            self._instruments,
            {key: value for key, value in attributes.items() if value is not None},
            of_span,
            messages=self._paths,
        )

    def _awaitable(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        async def traced(*arguments: Any) -> Any:
            call = self._begin(name, arguments)
            with call.step():
                result = await method(*arguments)
            if name == "get":
                call.moved(READ, len(result))
            elif name == "read_ranges":
                call.moved(READ, sum(map(len, result)))
            elif name == "delete_many":
                call.fail_partly([e for e in result.values() if isinstance(e, Exception)])
            call.end()
            return result

        return traced

    def _write(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        async def traced(path: str, content: Any, /, *options: Any) -> Any:
            call = self._begin(name, (path,))
            with call.step():
                content, length = measured(content)
                call.source = content
                result = await method(path, content, *options)
            call.moved(WRITE, length())
            call.end()
            return result

        return traced

    def _stream(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        async def traced(*arguments: Any) -> ReadStream:
            call = self._begin(name, arguments)
            with call.step():
                stream = await method(*arguments)

            async def chunks() -> AsyncIterator[bytes]:
                iterator = aiter(stream)
                while True:
                    try:
                        chunk = await _next(call, iterator)
                    except StopAsyncIteration:
                        return
                    call.moved(READ, len(chunk))
                    yield chunk

            async def close() -> None:
                with call.step():
                    await stream.aclose()
                call.end()

            return ReadStream(stream.info, chunks(), close)

        return traced

    def _iterator(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        async def traced(*arguments: Any) -> AsyncIterator[Any]:
            call = self._begin(name, arguments)
            with call.step():
                iterator = aiter(method(*arguments))
            try:
                while True:
                    try:
                        item = await _next(call, iterator)
                    except StopAsyncIteration:
                        return
                    yield item
            finally:
                if hasattr(iterator, "aclose"):
                    with call.step():
                        await iterator.aclose()
                call.end()

        return traced


async def _next(call: TracedCall, iterator: AsyncIterator[Any]) -> Any:
    """Return the next item; the span is current until then, and not for the reader."""
    with call.step():
        return await anext(iterator)
