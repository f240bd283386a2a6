"""Layers that store only what a scanner finds clean: `ClamAV`, and `Scan` for other scanners.

What is written is read to its end first, judged whole, and then stored: an infected file is never
in the storage, not for an instant. Direct uploads by presigned URLs and forms land in a staging
directory, which nothing reads through the layer, until `release` has stored them.
"""

from __future__ import annotations

from jtc.storage.layers.clamav_layer._clamd import Clamd
from jtc.storage.layers.clamav_layer._layer import ClamAV, Scan
from jtc.storage.layers.clamav_layer._release import discard, release, staged
from jtc.storage.layers.clamav_layer._scanner import Scanner, ScannerAbsentException

__all__ = [
    "ClamAV",
    "Clamd",
    "Scan",
    "Scanner",
    "ScannerAbsentException",
    "discard",
    "release",
    "staged",
]
