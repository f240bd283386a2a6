"""Removal of secrets from the SDK's DEBUG log and from errors."""

from __future__ import annotations

import logging
import re

from jtc.storage.driver_support.traceback_scrubbing import scrub_error
from jtc.storage.http_support.redaction import remove_request

__all__ = ["redact_sdk_logs", "scrub"]

# What the chain of credentials sends and receives: signed requests, tokens, temporary keys.
_LOGGERS = (
    *("botocore.auth", "botocore.endpoint", "botocore.parsers"),
    *("botocore.utils", "aiobotocore.utils"),
)
_SECRET = re.compile(
    r"(?i)((?:x-amz-security-token|x-amz-sso_bearer_token)(?:=|:|': b?')"
    r"|x-amz-signature=|[ ,]signature=|^signature:\s+|<(?:SecretAccessKey|SessionToken)>"
    r"|['\"](?:secretAccessKey|sessionToken|accessToken|refreshToken|idToken|token|clientSecret"
    r"|webIdentityToken)['\"]\s*:\s*['\"])"
    r"[^\s&',<\"]+"
)


def _redact(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    redacted = _SECRET.sub(r"\1(redacted)", message)
    if redacted != message:
        record.msg, record.args = redacted, ()
    return True


def redact_sdk_logs() -> None:
    """Keep keys, tokens and signatures out of the SDK's log. Does nothing the second time."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_redact)


def scrub(error: BaseException) -> None:
    """Remove keys and signed requests from an error, in the ``except`` block that handles it.

    Args:
        error: The error; its causes and contexts are scrubbed too.
    """
    scrub_error(error, _remove_request)


def _remove_request(error: BaseException) -> None:
    remove_request(error)
    if type(error).__module__.partition(".")[0] in ("aiobotocore", "botocore"):
        attributes = vars(error)
        attributes.get("kwargs", {}).pop("request", None)
        if "request" in attributes:
            attributes["request"] = None
