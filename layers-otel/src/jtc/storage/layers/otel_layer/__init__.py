"""The OpenTelemetry layer of jtc-storage: spans and metrics of any disk.

The names are made as those of the semantic conventions are
(https://opentelemetry.io/docs/specs/semconv/general/naming/); there is none yet for file storages.
"""

from __future__ import annotations

from jtc.storage.layers.otel_layer._layer import OpenTelemetry

__all__ = ["OpenTelemetry"]
