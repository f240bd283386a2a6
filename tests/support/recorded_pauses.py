"""Pauses between retries, recorded instead of waited for."""

from __future__ import annotations

import asyncio
import random

import pytest

__all__ = ["recorded_pauses"]


def recorded_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let pauses pass at once; return their lengths, each the longest of the random ones."""
    slept: list[float] = []
    really_sleep = asyncio.sleep

    async def sleep(delay: float, result: object = None) -> object:
        if delay > 0:
            slept.append(delay)
        return await really_sleep(0, result)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(random, "random", lambda: 1.0)
    monkeypatch.setattr(random, "uniform", lambda _, highest: highest)
    return slept
