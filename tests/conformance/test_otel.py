"""The conformance kit over the OpenTelemetry layer, with an SDK that records everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.layers.otel_layer import OpenTelemetry
from jtc.storage.testing import DriverConformance

if TYPE_CHECKING:
    from pathlib import Path

    from jtc.storage.driver import StorageDriver


# Coverage doubles the time, and would measure no line that other tests do not measure.
pytestmark = pytest.mark.no_cover


def traced(driver: StorageDriver) -> OpenTelemetry:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    metering = MeterProvider([InMemoryMetricReader()])
    return OpenTelemetry(driver, paths=True, tracer_provider=provider, meter_provider=metering)


class TestTracedMemory(DriverConformance):
    def make_driver(self) -> OpenTelemetry:
        return traced(MemoryDriver())


class TestTracedLocal(DriverConformance):
    stands_alone = False  # on memory it does
    files_may_shadow_directories = False

    @pytest.fixture
    def driver(self, tmp_path: Path) -> OpenTelemetry:
        return traced(LocalDriver(tmp_path))
