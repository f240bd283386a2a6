"""Secrets that the SDK writes to its own loggers at level DEBUG, and how they are kept out."""

from __future__ import annotations

import logging
import re

__all__ = ["redact_sdk_logs"]

_LOGGERS = ("botocore.auth", "botocore.endpoint")
_SECRET = re.compile(
    r"(?i)(x-amz-security-token(?:=|:|': b?')|x-amz-signature=|[ ,]signature=|^signature:\s+)"
    r"[^\s&',]+"
)


class _Redaction(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        redacted = _SECRET.sub(r"\1(redacted)", message)
        if redacted != message:
            record.msg, record.args = redacted, ()
        return True


_redaction = _Redaction()


def redact_sdk_logs() -> None:
    """Keep session tokens and signatures out of the SDK's log. Does nothing the second time."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_redaction)
