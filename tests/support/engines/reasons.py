"""Reasons why a test fails that more than one engine has."""

from __future__ import annotations

__all__ = ["FILES_AND_DIRECTORIES", "IGNORES_IF_MATCH"]

FILES_AND_DIRECTORIES = (
    "PutObject of `a/b` beside `a`, or of `a` beside `a/b`, answers 500 InternalError"
)
IGNORES_IF_MATCH = "DeleteObject ignores If-Match"
