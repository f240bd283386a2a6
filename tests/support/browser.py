"""A real browser for tests: Debian's Chromium without a window, and its ChromeDriver."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

__all__ = ["MISSING", "Browser", "browser"]

DEADLINE = 60.0
"""Seconds: a limit for what happens soon, on a busy machine."""

_WANTED = ("chromium", "chromedriver")
MISSING = ", ".join(name for name in _WANTED if shutil.which(name) is None)
"""The commands that are not installed."""

T = TypeVar("T")


class Browser(Chrome):
    """Chromium with methods for tests."""

    def one(self, selector: str) -> WebElement:
        """Return the first element, waiting for it."""
        return self.until(lambda: self.find_elements("css selector", selector))[0]

    def all(self, selector: str) -> list[WebElement]:
        """Return all elements that are there now."""
        return self.find_elements("css selector", selector)

    def until(self, condition: Callable[[], T]) -> T:
        """Wait until a condition returns something true, and return that."""
        waiting = WebDriverWait(self, DEADLINE, poll_frequency=0.05)
        return waiting.until(lambda _: condition())

    def status(self) -> int:
        """Return the HTTP status of the page."""
        script = "return performance.getEntriesByType('navigation')[0].responseStatus"
        return int(self.execute_script(script))

    def requests(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield the URLs and headers of the requests since the last call."""
        urls: dict[str, str] = {}
        headers: dict[str, dict[str, str]] = {}
        for line in self.get_log("performance"):
            message = json.loads(line["message"])["message"]
            event = message["params"]
            if message["method"] == "Network.requestWillBeSent":
                urls[event["requestId"]] = event["request"]["url"]
                headers.setdefault(event["requestId"], {}).update(event["request"]["headers"])
            elif message["method"] == "Network.requestWillBeSentExtraInfo":
                headers.setdefault(event["requestId"], {}).update(event["headers"])
        for number, url in urls.items():
            yield url, {name.lower(): text for name, text in headers[number].items()}


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Run Chromium on a new profile; end it with the context.

    Args:
        profile: An empty directory.
    """
    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (
        "headless=new",
        "no-sandbox",  # Chromium's own does not run for root, nor in most containers
        "disable-gpu",
        "disable-quic",
        "disable-dev-shm-usage",
        "no-first-run",
        # Without these it contacts hosts of its vendor.
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "no-proxy-server",
        "window-size=1280,1000",
        f"user-data-dir={profile}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = ChromeService(executable_path=shutil.which("chromedriver"))
    driver = Browser(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()
