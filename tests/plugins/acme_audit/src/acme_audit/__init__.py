"""An audit trail with a legal hold, and a layer that compresses: extensions of jtc-storage."""

from __future__ import annotations

from acme_audit.deflate import Deflate
from acme_audit.trail import AuditTrail

__all__ = ["AuditTrail", "Deflate"]
