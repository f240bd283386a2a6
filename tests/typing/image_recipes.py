"""Uses of images that type checkers must accept, or refuse where a comment says so."""

from __future__ import annotations

import io
from pathlib import Path
from typing import assert_type

from jtc.storage import Disk, images


async def every_source_is_accepted(disk: Disk) -> None:
    recipe = images.cover(200, 200).webp(quality=80)
    for source in (b"", bytearray(), memoryview(b""), "a.jpg", Path("a.jpg"), io.BytesIO()):
        assert_type(await images.transform(source, recipe), images.Rendered)
    done = await images.process(images.open(disk, "a.jpg"), {"thumb": recipe})
    assert_type(done, images.Processed)
    assert_type(done.info.placeholder, str | None)
    assert_type(done.rendered["thumb"].content, bytes)
    await images.inspect(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def recipes_are_typed() -> None:
    assert_type(images.fit(800).blur().avif(effort=3), images.Recipe)
    assert_type(images.crop(5, 5, position=(0.5, 0.2)).extension, str)
    images.crop(5, 5, position="middle")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    images.cover(5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    images.convert().png(quality=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def a_processor_is_a_context_manager() -> None:
    with images.Processor(workers=1) as processor:
        assert_type(processor, images.Processor)
