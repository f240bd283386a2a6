"""Thumbnails of a photograph, beside Pillow with and without `draft()`, and libvips in the process.

The photograph is noise that is smooth below eight pixels. What a way takes of memory is measured in
a process for each; ours is the application's process and its worker together.
"""

from __future__ import annotations

import asyncio
import io
import json
import resource
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pyvips
from measuring import OURS, Row, Way, in_turns, inside, peak_of, print_rows, repeat
from PIL import Image
from sizes import Sizes

from jtc.storage import images

if TYPE_CHECKING:
    from collections.abc import Callable

PILLOW = "Pillow"
DRAFT = "Pillow with draft()"
VIPS = "pyvips in this process"
EACH = f"{OURS}, a decoding for each"
SIDES = (200, 800, 1600)


def photograph(path: Path, width: int, height: int) -> None:
    """Write a JPEG of a size."""
    small = Image.effect_noise((width // 8, height // 8), 80).resize((width, height))
    small.convert("RGB").save(path, "JPEG", quality=90)


def pillow(path: Path, sides: tuple[int, ...], *, draft: bool) -> None:
    """Make squares with Pillow, from one decoding."""
    with Image.open(path) as image:
        if draft:
            image.draft("RGB", (max(sides), max(sides)))
        for side in sorted(sides, reverse=True):
            image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=None)
            image.save(io.BytesIO(), "JPEG", quality=80)


def vips(path: Path, sides: tuple[int, ...]) -> None:
    """Make images with pyvips, a decoding for each: shrink-on-load makes the smaller ones fast."""
    for side in sides:
        image = pyvips.Image.thumbnail(str(path), side, height=side)
        image.jpegsave_buffer(Q=80, optimize_coding=True, keep=0)


async def ours(path: Path, sides: tuple[int, ...]) -> None:
    """Make images from one decoding."""
    recipes = {str(side): images.fit(side, side).jpeg() for side in sides}
    await images.process(path, recipes, placeholder=False)


async def ours_each(path: Path, sides: tuple[int, ...]) -> None:
    for side in sides:
        await ours(path, (side,))


def in_thread(work: Callable[[], object]) -> Way:
    """Return a way that works in a thread, as an async application does."""

    async def way() -> None:
        await asyncio.to_thread(work)

    return way


def ways(path: Path, sides: tuple[int, ...]) -> dict[str, Way]:
    """Return what is compared."""
    found: dict[str, Way] = {OURS: repeat(1, lambda _: ours(path, sides))}
    if len(sides) > 1:
        found[EACH] = repeat(1, lambda _: ours_each(path, sides))
    found[VIPS] = in_thread(lambda: vips(path, sides))
    found[PILLOW] = in_thread(lambda: pillow(path, sides, draft=False))
    found[DRAFT] = in_thread(lambda: pillow(path, sides, draft=True))
    return found


async def thumbnails(path: Path, sides: tuple[int, ...], sizes: Sizes) -> Row:
    name = f"24 MP JPEG to {', '.join(map(str, sides))} px"
    compared = ways(path, sides)
    row = await in_turns(name, compared, rounds=sizes.few, unit="ms")
    row.cpu.clear()  # most of ours is the worker's
    for who in list(compared)[: sizes.weighed_ways]:
        wanted = json.dumps(sides)
        if found := peak_of(str(Path(__file__)), "peak", who, str(path), wanted):
            row.memory[who] = found["whole"]
    return row


async def avif(path: Path, rounds: int) -> Row:
    """Compare the efforts of AVIF, and Pillow's default."""

    def recipe(effort: int) -> Way:
        made = images.fit(800, 800).avif(effort=effort)
        return repeat(1, lambda _: images.transform(path, made))

    def by_pillow() -> None:
        with Image.open(path) as image:
            image.draft("RGB", (800, 800))
            image.thumbnail((800, 800))
            image.save(io.BytesIO(), "AVIF", quality=50)

    compared = {
        OURS: recipe(2),
        f"{OURS}, libvips' default effort": recipe(4),
        DRAFT: in_thread(by_pillow),
    }
    row = await in_turns("AVIF of 800 px", compared, rounds=rounds, unit="ms")
    row.cpu.clear()
    return row


async def peak(who: str, path: Path, sides: tuple[int, ...]) -> None:
    """Print the memory that one way takes, worker included."""
    await ways(path, sides)[who]()
    images.configure()  # which ends the worker
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(json.dumps({"whole": inside("VmHWM") + worker}))


async def main(sizes: Sizes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photograph.jpg"
        photograph(path, *sizes.photograph)
        rows = [
            await thumbnails(path, SIDES[:1], sizes),
            await thumbnails(path, SIDES, sizes),
            await avif(path, sizes.fewest),
        ]
    print_rows(rows)


if __name__ == "__main__":
    if sys.argv[1] == "peak":
        asyncio.run(peak(sys.argv[2], Path(sys.argv[3]), tuple(json.loads(sys.argv[4]))))
    else:
        asyncio.run(main(Sizes.named(sys.argv[1])))
