"""Secrets that the SDK shows, in its DEBUG log and in its errors, and how they are kept out."""

from __future__ import annotations

import logging
import re
from typing import Any

from jtc.storage.driver_support.traceback_scrubbing import ScrubbedLocals

__all__ = ["forgotten_requests", "redact_sdk_logs"]

# The last one logs what AWS answers to who asks for temporary keys.
_LOGGERS = ("botocore.auth", "botocore.endpoint", "botocore.parsers")
_SECRET = re.compile(
    r"(?i)(x-amz-security-token(?:=|:|': b?')|x-amz-signature=|[ ,]signature=|^signature:\s+"
    r"|<(?:SecretAccessKey|SessionToken)>"
    r'|"(?:secretAccessKey|sessionToken|accessToken|refreshToken|idToken|token)":\s*")'
    r"[^\s&',<\"]+"
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


def forgotten_requests() -> ScrubbedLocals:
    """Return a block whose errors leave without signed requests: these hold session tokens."""
    return ScrubbedLocals(_forget_request)


def _forget_request(error: BaseException) -> None:
    library = type(error).__module__.partition(".")[0]
    theirs: Any = error
    if library == "aiohttp" and hasattr(theirs, "request_info"):
        theirs.request_info = theirs.request_info._replace(headers={})
        theirs.args = (theirs.request_info, ())
    elif library in ("aiobotocore", "botocore") and hasattr(theirs, "kwargs"):
        theirs.kwargs.pop("request", None)
        if hasattr(theirs, "request"):
            theirs.request = None
