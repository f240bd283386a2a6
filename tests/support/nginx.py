"""nginx in front of an application, with the configurations of docs/web.md."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

__all__ = ["NGINX", "documented", "write_configuration"]

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

_DOCUMENT = Path(__file__).parents[2] / "docs" / "web.md"
_ROOT, _CACHE, _UPSTREAM = "/srv/media", "/var/cache/nginx/storage", "127.0.0.1:8000"


def documented(language: str) -> list[str]:
    """Return the blocks of configuration that the document has for a server."""
    return re.findall(rf"```{language}\n(.*?)```", _DOCUMENT.read_text(), re.DOTALL)


def write_configuration(
    folder: Path, root: Path, upstream: str, ports: tuple[int, int], more: str = ""
) -> Path:
    """Write the configuration of one nginx with both of the documented servers.

    Args:
        folder: The directory for the configuration, the cache and nginx's temporary files.
        root: The root of the disk.
        upstream: The host and the port of the application.
        ports: Where the server with ``X-Accel-Redirect`` listens, and the one with a cache.
        more: Further servers.
    """
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    servers = ""
    for block, port in zip(documented("nginx"), ports, strict=True):
        assert block.count("listen 80;") == 1, block
        servers += block.replace("listen 80;", f"listen 127.0.0.1:{port};")
    for name, place in ((_ROOT, root), (_CACHE, folder / "cache"), (_UPSTREAM, upstream)):
        assert name in servers, name
        servers = servers.replace(name, str(place))
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\nevents {{}}\n"
        # As Debian's own configuration has it.
        f"http {{ access_log off; sendfile on; tcp_nopush on;\n{paths}{servers}{more} }}\n"
    )
    return configuration
