"""The gallery example in a browser, on the local disk and on SeaweedFS."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from browser import MISSING, Browser, browser
from jtc.storage import FileInfo, StorageManager
from webm import webm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seaweedfs import SeaweedFS

GALLERY = Path(__file__).parents[2] / "docs" / "examples" / "gallery"

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"there is no {MISSING}: make tools installs it"),
    pytest.mark.xdist_group("gallery"),  # one browser for all of them
]


class Site(NamedTuple):
    url: str
    storage: str  # the prefix of the URLs to which a browser sends files
    manager: StorageManager

    async def paths(self) -> list[str]:
        """List the files of its storage."""
        async with self.manager:
            entries = [entry async for entry in self.manager.list("", recursive=True)]
        return [entry.path for entry in entries if isinstance(entry, FileInfo)]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module", params=["local", "s3"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Run the gallery on each storage, as a process of its own."""
    folder = tmp_path_factory.mktemp("gallery")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "FILESYSTEM_"))}
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if request.param == "s3":
            store: SeaweedFS = request.getfixturevalue("seaweedfs")
            store.client().create_bucket(Bucket="gallery")
            environ = {
                "FILESYSTEM_DISK": "s3",
                "AWS_BUCKET": "gallery",
                "AWS_URL": store.endpoint_url,
                "AWS_ACCESS_KEY_ID": store.access_key,
                "AWS_SECRET_ACCESS_KEY": store.secret_key,
            }
            cors = [sys.executable, str(GALLERY / "bucket_cors.py"), url]
            subprocess.run(cors, env=clean | environ, check=True)
            storage = f"{store.endpoint_url}/gallery"
            config = {"driver": "s3", **store.options, "bucket": "gallery"}
        else:
            environ = {"FILESYSTEM_ROOT": str(folder / "root")}
            storage = f"{url}/storage/incoming/"
            config = {"driver": "local", "root": str(folder / "root")}
        listener.set_inheritable(True)
        log = (folder / "log").open("w+")
        server = subprocess.Popen(
            [
                *(sys.executable, "-W", "error", "-m", "uvicorn", "app:app"),
                *("--app-dir", str(GALLERY), "--fd", str(listener.fileno())),
            ],
            env=clean | environ,
            cwd=folder,
            pass_fds=[listener.fileno()],
            stderr=log,
        )
    with closing(log):
        try:
            manager = StorageManager.isolated({"default": "a", "disks": {"a": config}})
            yield Site(url, storage, manager)
        finally:
            server.terminate()
            server.wait()
        log.seek(0)
        assert "Traceback" not in log.read()


@pytest.fixture
def page(chromium: Browser, site: Site) -> Iterator[Browser]:
    """Open the gallery; check afterwards that the browser logged no error."""
    chromium.get("about:blank")  # the page of another test asks its server, which is gone, no more
    for log in ("browser", "performance"):
        chromium.get_log(log)
    chromium.get(site.url)
    yield chromium
    complaints = [
        entry["message"]
        for entry in chromium.get_log("browser")
        # It logs each response with an error status.
        if "the server responded with a status of" not in entry["message"]
    ]
    assert complaints == []


def picture(page: Browser, folder: Path, name: str, kind: str = "png") -> Path:
    """Have the browser draw a picture, and save it under any file name."""
    path = folder / name
    path.write_bytes(drawn(page, 320, 240, 0, kind))
    return path


def drawn(page: Browser, width: int, height: int, number: int, kind: str) -> bytes:
    """Return noise in the colour of a number: two bits of each channel."""
    script = """
        const [width, height, number, kind] = arguments;
        const canvas = document.createElement("canvas");
        Object.assign(canvas, { width, height });
        const context = canvas.getContext("2d", { alpha: false });
        const image = context.createImageData(width, height);
        for (let at = 0; at < image.data.length; at += 4) {
          for (let channel = 0; channel < 3; channel++) {
            const level = (number >> (2 * channel)) & 3;
            image.data[at + channel] = 32 + 64 * level + 40 * (Math.random() - 0.5);
          }
          image.data[at + 3] = 255;
        }
        context.putImageData(image, 0, 0);
        return canvas.toDataURL(`image/${kind}`, 0.9).split(",")[1];
    """
    return base64.b64decode(page.execute_script(script, width, height, number, kind))


def upload(page: Browser, *files: Path, private: bool = False) -> None:
    """Choose files, as a user does, and wait until all of them are through."""
    if page.one("#private").is_selected() != private:
        page.one("#private").click()
    page.execute_script("document.getElementById('status').textContent = ''")
    page.one("#files").send_keys("\n".join(map(str, files)))
    page.until(lambda: page.one("#status").text and not page.all(".transfer"))


def card(page: Browser, name: str) -> Any:
    """Return the card of a file, waiting for it."""

    def find() -> Any:
        # By the property: the text on the page may be cut off.
        script = """
            return [...document.querySelectorAll(".card")].find(
              (card) => card.querySelector(".name").textContent === arguments[0]);
        """
        return page.execute_script(script, name)

    return page.until(find)


def is_form(headers: dict[str, str]) -> bool:
    return headers.get("content-type", "").startswith("multipart/form-data")


def loaded(page: Browser, image: Any) -> bool:
    script = "return arguments[0].complete && arguments[0].naturalWidth"
    return page.until(lambda: page.execute_script(script, image)) == 320


async def test_a_picture_goes_to_the_storage_and_is_shown(
    page: Browser, site: Site, tmp_path: Path
) -> None:
    path = picture(page, tmp_path, "holiday 1.png")
    upload(page, path)
    assert page.one("#status").text == "“holiday 1.png” is there."
    shown = card(page, "holiday 1.png")
    assert loaded(page, shown.find_element("css selector", "img"))
    [stored] = [name for name in await site.paths() if name.endswith("/holiday 1.png")]
    assert stored.startswith("public/")
    assert await site.manager.get(stored) == path.read_bytes()
    # It was sent to the storage itself.
    sent = [url for url, headers in page.requests() if is_form(headers)]
    assert [url.startswith(site.storage) for url in sent] == [True]
    shown.find_element("css selector", ".view").click()
    assert loaded(page, page.one("#viewer[open] img"))
    page.one("#viewer button").click()
    shown.find_element("css selector", "[aria-label^=Delete]").click()
    page.until(lambda: not page.all(".card") or "holiday 1.png" not in page.one(".grid").text)
    assert stored not in await site.paths()


async def test_every_picture_has_a_card_of_one_shape_and_fits_a_phone(
    page: Browser, tmp_path: Path
) -> None:
    (tmp_path / "tall.png").write_bytes(drawn(page, 100, 900, 0, "png"))
    wide = tmp_path / f"{'wide' * 50}.png"
    wide.write_bytes(drawn(page, 900, 100, 0, "png"))
    phone = {"width": 320, "height": 640, "deviceScaleFactor": 2, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        upload(page, tmp_path / "tall.png", wide)
        for name in ("tall.png", wide.name):
            box = card(page, name).find_element("css selector", ".view").rect
            assert abs(box["width"] / box["height"] - 4 / 3) < 0.02
        assert page.execute_script("return document.documentElement.scrollWidth") == 320
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


async def test_progress_is_shown_and_a_cancelled_upload_stores_nothing(
    page: Browser, site: Site, tmp_path: Path
) -> None:
    before = await site.paths()
    path = tmp_path / "slow.png"
    path.write_bytes(drawn(page, 320, 240, 0, "png") + os.urandom(4_000_000))
    page.set_network_conditions(latency=1, download_throughput=10**8, upload_throughput=400_000)
    try:
        page.one("#files").send_keys(str(path))
        seen: set[float] = set()

        def moving() -> bool:
            seen.add(float(page.one(".transfer progress").get_property("value")))
            return len([value for value in seen if 0 < value < 1]) >= 3

        page.until(moving)
        page.one(".transfer button").click()
        page.until(lambda: not page.all(".transfer"))
    finally:
        page.delete_network_conditions()
    assert page.one("#status").text == "“slow.png”: Cancelled."
    deadline = time.monotonic() + 30
    while await site.paths() != before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert await site.paths() == before


async def test_what_is_no_picture_is_refused_and_goes_away(
    page: Browser, site: Site, tmp_path: Path
) -> None:
    before = await site.paths()
    for name, content, said in (
        ("a.png", b"<script>alert(1)</script>", "The content is text/plain"),
        ("a.html", drawn(page, 320, 240, 0, "png"), "The name ends with none of"),
        ("photo\u202egnp.exe.png", b"", "A path must not contain U+202E"),
    ):
        (tmp_path / name).write_bytes(content)
        upload(page, tmp_path / name)
        assert said in page.one("#status").text
    assert await site.paths() == before


HOSTILE = [
    "<img src=x onerror=document.title='owned'>.png",
    "'\"><svg onload=document.title='owned'>.png",
    "&lt;b&gt; &amp;.png",
    "javascript:document.title='owned'.png",
    "..%2f..%2fetc%2fpasswd.png",
    "名前 100% #1?a=b;c&d+e.png",
    "{{7*7}} ${7*7}.png",
]


async def test_hostile_names_are_shown_as_names(page: Browser, site: Site, tmp_path: Path) -> None:
    upload(page, *(picture(page, tmp_path, name) for name in HOSTILE))
    for name in HOSTILE:
        shown = card(page, name)
        assert shown.find_element("css selector", ".name").get_property("childElementCount") == 0
        image = shown.find_element("css selector", "img")
        page.execute_script("arguments[0].scrollIntoView()", image)
        assert loaded(page, image)
        assert image.get_property("alt") == name
    assert len(page.all(".card img")) == len(page.all(".card"))
    assert not page.all("svg, .grid script, b")
    assert page.title == "Gallery"
    assert {name.rpartition("/")[2] for name in await site.paths()} >= set(HOSTILE)


async def test_a_private_file_is_had_by_its_link_until_that_expires(
    page: Browser, site: Site, tmp_path: Path
) -> None:
    upload(page, picture(page, tmp_path, "secret.png"), private=True)
    shown = card(page, "secret.png")
    assert not shown.find_elements("css selector", "img")
    page.execute_script("arguments[0].querySelector('button').click()", shown)
    page.until(lambda: shown.find_elements("css selector", "a"))
    url = shown.find_element("css selector", "a").get_property("href")
    until = time.monotonic() + 6
    assert "/private/" in url
    page.get(url)
    assert page.status() == 200
    assert page.execute_script("return document.images[0].naturalWidth") == 320
    page.get(url.partition("?")[0])
    assert page.status() in (403, 404)
    time.sleep(max(0.0, until - time.monotonic()))
    page.get(url)
    assert page.status() == 403
    page.get(site.url)
    page.get_log("browser")


@pytest.fixture(scope="module")
def numbers(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a video that shows the time by its colour, longer than a browser reads ahead."""
    pictures = [drawn(chromium, 640, 480, number, "webp") for number in range(32)]
    path = tmp_path_factory.mktemp("video") / "numbers.webm"
    path.write_bytes(webm(pictures * 8, 640, 480, 2000))
    return path


async def test_a_video_is_seeked_in_by_ranges(page: Browser, numbers: Path) -> None:
    upload(page, numbers)
    shown = card(page, "numbers.webm")
    video = shown.find_element("css selector", "video")
    page.execute_script("arguments[0].scrollIntoView()", video)
    page.until(lambda: page.execute_script("return arguments[0].readyState", video) >= 2)
    assert page.execute_script("return arguments[0].duration", video) == 2 * 32 * 8
    colour = """
        const [video, second, done] = arguments;
        video.addEventListener("seeked", () => {
          const canvas = document.createElement("canvas");
          Object.assign(canvas, { width: 1, height: 1 });
          const context = canvas.getContext("2d");
          context.drawImage(video, 0, 0, 1, 1);
          done([...context.getImageData(0, 0, 1, 1).data].slice(0, 3));
        }, { once: true });
        video.currentTime = second;
    """
    page.set_script_timeout(60)
    for wanted in (250, 125, 1, 180):
        levels = page.execute_async_script(colour, video, 2 * wanted + 1)
        bits = [round((level - 32) / 64) << (2 * at) for at, level in enumerate(levels)]
        assert sum(bits) == wanted % 32, levels
    asked = [headers["range"] for _, headers in page.requests() if "range" in headers]
    starts = [int(value.removeprefix("bytes=").partition("-")[0]) for value in asked]
    # It did not read everything before that, but requested a range.
    assert any(start > numbers.stat().st_size / 2 for start in starts), asked
