"""The conformance tests over the OpenTelemetry layer, with an SDK that records everything."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.layers.otel_layer import OpenTelemetry
from jtc.storage.testing import DriverConformance

# Coverage doubles the time, and would measure no line that other tests do not measure.
pytestmark = pytest.mark.no_cover


# For all tests: an SDK for each would take most of their time.
SPANS = TracerProvider()
SPANS.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
METRICS = MeterProvider([InMemoryMetricReader()])


class TestTracedMemory(DriverConformance):
    def make_driver(self) -> OpenTelemetry:
        return OpenTelemetry(
            MemoryDriver(), paths=True, tracer_provider=SPANS, meter_provider=METRICS
        )
