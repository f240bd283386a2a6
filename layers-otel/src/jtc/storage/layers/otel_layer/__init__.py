"""The OpenTelemetry layer of jtc-storage: spans and metrics of any disk.

Names of spans, attributes and metrics follow the semantic conventions
(https://opentelemetry.io/docs/specs/semconv/general/naming/), which have none for file storage yet.
"""

from __future__ import annotations

from jtc.storage.layers.otel_layer._layer import OpenTelemetry

__all__ = ["OpenTelemetry"]
