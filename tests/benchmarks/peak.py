"""What one transfer makes a process grow by at its peak: a process of its own for each."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from measuring import inside
from peers import PEERS, LitestarLocal


async def far(who: str, method: str, place: str) -> None:
    """Move one file to or from a store far away: nothing else is done before."""
    from distance_peers import PEERS

    given = json.loads(place)
    disk, root = PEERS[who](given["store"], Path(given["root"])), Path(given["root"])
    if method == "upload":
        await disk.upload(root / "source", "peak")
    else:
        await disk.download("large", root / "peak")
    print(json.dumps({"whole": inside("VmHWM")}))
    (root / "peak").unlink(missing_ok=True)
    await disk.aclose()


async def main(where: str, who: str, method: str, place: str, size: int) -> None:
    if where == "distance":
        await far(who, method, place)
        return
    peer: Any = LitestarLocal if (where, who) == ("local", "litestar-storages") else PEERS[who]
    disk = peer.local(Path(place)) if where == "local" else peer.s3(json.loads(place))
    # Warm: what an import or a first connection takes is not the transfer's.
    await disk.put("warm", bytes(4096))
    await disk.get("warm")
    before = inside("VmRSS")
    if method == "upload":
        await disk.upload("peak", size)
    else:
        await disk.download("large")
    print(json.dumps({"grown": inside("VmHWM") - before, "whole": inside("VmHWM")}))
    await disk.delete("peak") if method == "upload" and hasattr(disk, "delete") else None
    await disk.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5], int(sys.argv[5])))
