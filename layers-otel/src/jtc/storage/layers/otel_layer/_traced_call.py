"""A call of the driver: its span, and what is measured of it."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from opentelemetry import context as current
from opentelemetry import metrics, trace

from jtc.storage.driver import METHODS
from jtc.storage.driver_support.content import raised_by_source
from jtc.storage.driver_support.error_translation import translated
from jtc.storage.exceptions import (
    NotModifiedException,
    PathConflictException,
    PreconditionFailedException,
    RejectedException,
)
from jtc.storage.layers.otel_layer._errors import describe, error_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["READ", "WRITE", "Instruments", "TracedCall"]

READ = "read"
WRITE = "write"

_OPERATION = "storage.operation.name"
_OUTCOME = "storage.operation.outcome"

# Seconds: from a read of memory to a large upload. The SDK's defaults are meant for milliseconds.
_BUCKETS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300)


class Instruments:
    """A tracer, and one instrument for each metric."""

    def __init__(
        self, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None
    ) -> None:
        scope = "jtc.storage", version("jtc-storage-otel")
        self.tracer = trace.get_tracer(*scope, tracer_provider=tracer_provider)
        meter = metrics.get_meter(*scope, meter_provider=meter_provider)
        self.operations = meter.create_counter(
            "storage.operations", "{operation}", "Operations that have ended."
        )
        self.io = meter.create_counter("storage.io", "By", "Bytes of files, read and written.")
        self.errors = meter.create_counter("storage.errors", "{error}", "Operations that failed.")
        self.duration = meter.create_histogram(
            "storage.operation.duration",
            "s",
            "How long the storage took, without the time of a stream's or listing's reader.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop, or None: the sync API presigns without one."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class TracedCall:
    """A call's span, and what is measured until it ends.

    It ends once: by `end`, by an error within `step`, or when it is dropped.

    Args:
        instruments: The tracer and the metrics.
        attributes: Attributes of the span and of all metrics.
        of_span: Further attributes of the span.
        messages: Whether messages of errors are recorded.

    Attributes:
        source: The content that is written; its errors are no failure of the storage.
    """

    _ended = True  # until there is something to end

    def __init__(
        self,
        instruments: Instruments,
        attributes: Mapping[str, Any],
        of_span: Mapping[str, Any],
        *,
        messages: bool,
    ) -> None:
        self._instruments = instruments
        self._attributes = attributes
        self._messages = messages
        self.source: object = None
        self._loop = _running_loop()
        name = " ".join(
            str(attributes[key]) for key in (_OPERATION, "storage.disk.name") if key in attributes
        )
        self._span = instruments.tracer.start_span(name, attributes={**attributes, **of_span})
        self._context = trace.set_span_in_context(self._span)
        self._direction: str | None = None
        self._bytes = 0
        self._seconds = 0.0
        self._ended = False

    @contextmanager
    def step(self) -> Iterator[None]:
        """Make the span current for a block; an error that leaves the block ends the call."""
        token = current.attach(self._context)
        began = time.perf_counter()
        try:
            yield
        except StopAsyncIteration:
            self._seconds += time.perf_counter() - began
            raise
        except BaseException as error:
            self._seconds += time.perf_counter() - began
            self._fail(error)
            raise
        else:
            self._seconds += time.perf_counter() - began
        finally:
            current.detach(token)

    def moved(self, direction: str, size: int) -> None:
        """Add to the bytes that were read or written."""
        self._direction = direction
        self._bytes += size

    def fail_partly(self, errors: Sequence[Exception]) -> None:
        """End as failed if there are errors: with their type, or with ``_OTHER`` for several."""
        types = {error_type(error) for error in errors}
        if types:
            self._end("error", types.pop() if len(types) == 1 else "_OTHER", errors[0])

    def end(self) -> None:
        """End as successful, unless the call has ended already."""
        self._end("success")

    def _fail(self, error: BaseException) -> None:
        outcome = self._outcome(error)
        if outcome == "error":
            self._end(outcome, error_type(error), error)
        else:
            self._end(outcome)

    def _outcome(self, error: BaseException) -> str:
        operation = self._attributes[_OPERATION]
        outcome = "error"
        if isinstance(error, GeneratorExit) and METHODS[operation].kind != "awaitable":
            outcome = "success"  # the reader has left
        elif isinstance(error, (asyncio.CancelledError, GeneratorExit)) or (
            self._loop is None and isinstance(error, RuntimeError)
        ):
            # The sync API gives up a call that must wait, and calls again where it can.
            outcome = "cancelled"
        elif raised_by_source(self.source, error):
            outcome = "source_failed"
        elif isinstance(error, RejectedException):
            outcome = "rejected"
        elif isinstance(error, NotModifiedException):
            outcome = "not_modified"
        elif isinstance(error, (PreconditionFailedException, FileExistsError)):
            outcome = "precondition_failed"
        elif isinstance(error, FileNotFoundError) and operation not in {"put", "write_file"}:
            outcome = "not_found"
        elif (
            operation == "remove_empty_directory"
            and isinstance(error, Exception)
            and isinstance(translated(error), PathConflictException)
        ):
            outcome = "conflict"
        return outcome

    def _end(
        self, outcome: str, type_: str | None = None, error: BaseException | None = None
    ) -> None:
        if self._ended:
            return
        self._ended = True
        ended = {**self._attributes, _OUTCOME: outcome}
        span = self._span
        span.set_attribute(_OUTCOME, outcome)
        if self._direction is not None:
            span.set_attribute("storage.io.size", self._bytes)
            direction = {**self._attributes, "storage.io.direction": self._direction}
            self._instruments.io.add(self._bytes, direction, self._context)
        if type_ is not None:
            failed = {**self._attributes, "error.type": type_}
            self._instruments.errors.add(1, failed, self._context)
            ended["error.type"] = type_
        if type_ is not None and error is not None and span.is_recording():
            description, event = describe(error, messages=self._messages)
            span.set_attribute("error.type", type_)
            span.add_event("exception", event)
            span.set_status(trace.StatusCode.ERROR, description)
        span.end()
        self._instruments.operations.add(1, ended, self._context)
        self._instruments.duration.record(self._seconds, ended, self._context)

    def __del__(self) -> None:
        if self._ended:
            return
        # The garbage collector may call this while the SDK works, with its locks held.
        if self._loop is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(self.end)
        else:
            self.end()
