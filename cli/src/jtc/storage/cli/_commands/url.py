"""The command `url`: public and presigned URLs."""

from typing import Annotated

import typer

from jtc.storage.cli._exits import UsageError
from jtc.storage.cli._options import Json, Places, duration
from jtc.storage.cli._places.locations import Location, locate
from jtc.storage.cli._running import for_each, run
from jtc.storage.cli._terminal.output import write, write_json

EXAMPLES = (
    "jtc-storage url media:logo.png",
    "jtc-storage url --expires 1h s3:reports/may.pdf",
    "jtc-storage url --upload --expires 15m --type image/png s3:inbox/1.png",
)

_UPLOAD_SECONDS = 3600.0


def command(
    paths: Places,
    *,
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            show_default=False,
            help="A presigned URL that is valid for so long: 15m, 1h, 7d.",
        ),
    ] = None,
    upload: Annotated[
        bool, typer.Option("--upload", help="A presigned PUT request, for 1h without --expires.")
    ] = False,
    type_: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            show_default=False,
            help="The content type of the response, or of the upload.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write the URL of files: the public one, or a presigned one."""
    seconds = None if expires is None else duration(expires, "--expires")
    locations = [locate(path) for path in paths]
    for location in locations:
        if location.is_local:
            raise UsageError(f"A file of this machine has no URL: {location.text!r}")
    if type_ is not None and seconds is None and not upload:
        raise UsageError("--type needs --expires or --upload: a public URL has no options")

    async def show(location: Location) -> None:
        if upload:
            await _show_upload(location, seconds or _UPLOAD_SECONDS, type_, json=json)
            return
        if seconds is None:
            url = location.disk.url(location.path)
        else:
            url = await location.disk.temporary_url(location.path, seconds, content_type=type_)
        if json:
            write_json({"path": location.text, "url": url})
        else:
            write(url)

    run(for_each(locations, show))


async def _show_upload(
    location: Location, seconds: float, type_: str | None, *, json: bool
) -> None:
    request = await location.disk.temporary_upload_url(location.path, seconds, content_type=type_)
    if json:
        write_json(
            {
                "path": location.text,
                "method": request.method,
                "url": request.url,
                "headers": dict(request.headers),
                "expires_at": request.expires_at,
            }
        )
        return
    write(f"{request.method} {request.url}")
    for name, value in request.headers.items():
        write(f"{name}: {value}")
