"""Removal of secrets from the SDK's log and from errors."""

from __future__ import annotations

import logging
import traceback

import botocore.exceptions
import pytest

from jtc.storage.drivers.s3_driver._transport.redaction import redact_sdk_logs, scrub

SECRET = "planted-secret"


def shown(error: BaseException) -> str:
    """Return all that an error reporter may show."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join([*report.format(), repr(error), repr(error.args), repr(vars(error))])


def scrubbed(error: BaseException) -> str:
    scrub(error)
    return shown(error)


def test_scrub_removes_request_from_errors_of_the_sdk():
    error = botocore.exceptions.HTTPClientError(error="broken", request=SECRET)
    assert SECRET in shown(error)
    assert SECRET not in scrubbed(error)


def test_scrub_reaches_causes_and_leaves_other_errors_alone():
    error = ValueError("what")
    error.__cause__ = botocore.exceptions.HTTPClientError(error="broken", request=SECRET)
    assert SECRET not in scrubbed(error)
    assert error.args == ("what",)


@pytest.mark.parametrize(
    ("logger", "message"),
    [
        ("botocore.auth", "CanonicalRequest:\nx-amz-security-token:{}\n"),
        ("botocore.auth", "Signature:\n{}"),
        ("botocore.endpoint", "headers={{'X-Amz-Security-Token': b'{}', 'a': b'1'}}"),
        ("botocore.endpoint", "'headers': {{'x-amz-sso_bearer_token': '{}'}}"),
        ("botocore.endpoint", "'body': {{'WebIdentityToken': '{}'}}"),
        ("botocore.endpoint", "Authorization: AWS4-HMAC-SHA256 a, Signature={}"),
        ("botocore.parsers", "<SecretAccessKey>{}</SecretAccessKey>"),
        ("botocore.parsers", 'b\'{{"secretAccessKey":"{}"}}\''),
        ("aiobotocore.utils", 'not JSON: {{"SecretAccessKey" : "{}"'),
    ],
)
def test_redaction_hides_secrets_in_the_log_of_the_sdk(caplog, logger, message):
    caplog.set_level(logging.DEBUG)
    redact_sdk_logs()
    filters = list(logging.getLogger(logger).filters)
    redact_sdk_logs()
    assert logging.getLogger(logger).filters == filters
    logging.getLogger(logger).debug("%s", message.format(SECRET))
    logging.getLogger(logger).debug("%s is plain", logger)
    assert SECRET not in caplog.text
    assert "(redacted)" in caplog.text
    assert f"{logger} is plain" in caplog.text
