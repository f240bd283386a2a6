"""OpenTelemetry providers that keep what they receive, and disks with the layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jtc.storage import StorageManager

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jtc.storage import Disk


class Telemetry:
    """Providers of spans and metrics, and what they have received."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracing = TracerProvider()
        self.tracing.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.metering = MeterProvider([self.reader])

    @property
    def providers(self) -> dict[str, Any]:
        return {"tracer_provider": self.tracing, "meter_provider": self.metering}

    def disk(self, driver: Any, **options: Any) -> Disk:
        """Put the layer around a driver, on a disk called ``d``."""
        manager = StorageManager.isolated({})
        manager.set_driver(driver, "d")
        return manager.disk("d").with_layer("otel", **self.providers, **options)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def clear(self) -> None:
        self.exporter.clear()

    def points(self, metric: str) -> list[Point]:
        """Return a metric's values, one for each set of attributes."""
        data: Any = self.reader.get_metrics_data()
        return [
            Point(dict(point.attributes), point)
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for found in scope.metrics
            if found.name == metric
            for point in found.data.data_points
        ]

    def everything(self) -> str:
        """Return all spans and metrics as text."""
        spans = "".join(span.to_json() for span in self.spans)
        data = self.reader.get_metrics_data()
        return spans + (data.to_json() if data else "")


@dataclass(frozen=True)
class Point:
    """A metric's value for one set of attributes."""

    attributes: dict[str, Any]
    point: Any

    @property
    def operation(self) -> str:
        name: str = self.attributes["storage.operation.name"]
        return name


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    telemetry = Telemetry()
    yield telemetry
    telemetry.tracing.shutdown()
    telemetry.metering.shutdown()
