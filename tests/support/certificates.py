"""Certificates of loopback, made by openssl."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

__all__ = ["LOOPBACK", "certificate", "loopback_certificate"]

LOOPBACK = "subjectAltName=IP:127.0.0.1"


def certificate(
    directory: Path, *, name: str = LOOPBACK, days: int = 365
) -> tuple[str, ssl.SSLContext]:
    """Make a certificate that signs itself, and return its file and a server's context.

    Args:
        directory: Where its files go.
        name: What it is for, as an extension.
        days: How long it is valid; fewer than 0: it has expired.
    """
    made, key = directory / "made.pem", directory / "key.pem"
    request, extensions = directory / "request.pem", directory / "extensions"
    extensions.write_text(name)
    commands = [
        [
            *("openssl", "req", "-new", "-nodes", "-newkey", "ec", "-subj", "/CN=loopback"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-keyout", str(key), "-out", str(request)),
        ],
        [
            *("openssl", "x509", "-req", "-in", str(request), "-signkey", str(key)),
            *("-days", str(days), "-extfile", str(extensions), "-out", str(made)),
        ],
    ]
    for command in commands:
        subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return str(made), context


def loopback_certificate(directory: Path) -> tuple[str, ssl.SSLContext]:
    """Make a certificate for loopback, and return its file and a server's context."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-newkey", "ec"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=loopback"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"),
            *("-out", str(certificate), "-keyout", str(key)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return str(certificate), context
