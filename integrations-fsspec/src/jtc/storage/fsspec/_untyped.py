"""fsspec's base classes, without types: what a checker infers from their code is no contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any as AbstractBufferedFile
    from typing import Any as AsyncFileSystem
else:
    from fsspec.asyn import AsyncFileSystem
    from fsspec.spec import AbstractBufferedFile

__all__ = ["AbstractBufferedFile", "AsyncFileSystem"]
