"""The examples of the documentation, run as a reader would run them."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.seaweedfs import SeaweedFS

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
SMALL_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(64)


def run_tour(folder: Path, **environ: str) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "FILESYSTEM_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "storage_example.py")],
        cwd=folder,
        env=clean | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_the_tour_runs_on_the_local_disk_and_leaves_nothing_behind(tmp_path: Path) -> None:
    output = run_tour(tmp_path)
    assert "19. A driver that is not installed" in output
    assert not list(tmp_path.iterdir())


def test_the_tour_runs_on_s3_where_a_bucket_is_named(tmp_path: Path, seaweedfs: SeaweedFS) -> None:
    output = run_tour(
        tmp_path,
        AWS_BUCKET=seaweedfs.bucket,
        AWS_URL=seaweedfs.endpoint_url,
        AWS_ACCESS_KEY_ID=seaweedfs.access_key,
        AWS_SECRET_ACCESS_KEY=seaweedfs.secret_key,
    )
    assert f"The same on the disk 's3', at s3://{seaweedfs.bucket}/tour" in output
    assert output.count("15. The capabilities of this disk's driver") == 2
    assert "upload_forms" in output


@asynccontextmanager
async def upload_api(root: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Run the example under uvicorn, as a process of its own, on a free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.set_inheritable(True)
        port = listener.getsockname()[1]
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "uvicorn", "upload_api:app", "--log-level", "warning"),
            *("--fd", str(listener.fileno())),
            cwd=EXAMPLES,
            env=os.environ | {"FILESYSTEM_ROOT": str(root), "FILESYSTEM_DISK": "local"},
            pass_fds=[listener.fileno()],
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield client
    finally:
        server.terminate()
        await server.wait()


async def test_an_upload_goes_from_http_straight_to_the_disk(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    async with upload_api(tmp_path) as client:
        answers = [
            (await client.post("/upload", files={"file": ("a b.bin", content)})).json()
            for _ in range(2)
        ]
        first, second = (answer["path"] for answer in answers)
        assert first != second, "one client's file replaced another one's"
        assert "a b" not in first
        assert answers[0] == {
            "message": "File uploaded",
            "path": first,
            "url": f"/storage/{first}",
        }
        assert (tmp_path / first).read_bytes() == content
        for url in (answers[0]["url"], f"/files/{first}"):
            answer = await client.get(url)
            assert answer.content == content
            assert answer.headers["content-length"] == "3000000"


async def test_a_request_body_is_stored_as_it_comes(tmp_path: Path) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(100_000)

    async with upload_api(tmp_path) as client:
        answer = await client.put("/raw/body.bin", content=body())
        assert answer.json() == {"path": "raw/body.bin"}
        assert (tmp_path / "raw" / "body.bin").stat().st_size == 2_000_000


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [("a.png", b"<html>", 415), ("a.png", SMALL_PNG + bytes(1_000_000), 413)],
    ids=["a page that calls itself a picture", "too large"],
)
async def test_a_refused_upload_leaves_nothing_behind(
    tmp_path: Path, name: str, content: bytes, status: int
) -> None:
    async with upload_api(tmp_path) as client:
        answer = await client.post("/avatars", files={"file": (name, content)})
        assert answer.status_code == status
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]


async def test_errors_become_answers(tmp_path: Path) -> None:
    async with upload_api(tmp_path) as client:
        good = await client.post("/avatars", files={"file": ("me.gif", SMALL_PNG)})
        assert good.json()["path"].endswith(".png")
        assert (await client.get(good.json()["url"])).content == SMALL_PNG
        assert (await client.get("/files/missing.txt")).status_code == 404
        hostile = await client.post("/upload", files={"file": ("../../evil.txt", b"x")})
        assert "evil" not in hostile.json()["path"]
        assert not list(tmp_path.parent.glob("evil.txt"))
