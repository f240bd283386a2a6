"""Commands of maintenance: ``python -m jtc.storage.attachments --app myapp.db:registry purge``."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import importlib
import inspect
import json
import logging
import signal
import sys
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jtc.storage.attachments._names import no_such
from jtc.storage.attachments._owner import disk_names
from jtc.storage.attachments.adopt import adopt
from jtc.storage.attachments.moving import move
from jtc.storage.attachments.purge import purge
from jtc.storage.attachments.registry import Registry
from jtc.storage.attachments.sweeping import regenerate, sweep
from jtc.storage.attachments.verify import verify
from jtc.storage.attachments.worker import run_outbox, work
from jtc.storage.exceptions import StorageConfigException, StorageException

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["command", "main"]

_FOUND = 1
_WRONG = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Those of the command line, by default.

    Returns:
        The exit status: 0 where all is well, 1 where something was found, refused or failed, 2
        where the command or the application is wrong.
    """
    given = _parser("python -m jtc.storage.attachments").parse_args(arguments)
    logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stderr)
    return _run_given(given)


def command(arguments: list[str]) -> int:
    """Run a command for the program `jtc-storage`, which writes the library's warnings itself.

    Args:
        arguments: Those after ``jtc-storage attachments``.

    Returns:
        The exit status, as that of `main`.
    """
    return _run_given(_parser("jtc-storage attachments").parse_args(arguments))


def _run_given(given: argparse.Namespace) -> int:
    try:
        load = _application(given.app)
    except StorageConfigException as error:
        _print_error(error)
        return _WRONG
    try:
        return asyncio.run(_run(load, given))
    except StorageConfigException as error:
        _print_error(error)
        return _WRONG
    except StorageException as error:
        _print_error(error)
        return _FOUND


async def _run(load: Callable[[], Any], given: argparse.Namespace) -> int:
    registry = load()
    if inspect.isawaitable(registry):
        registry = await registry
    if not isinstance(registry, Registry):
        raise StorageConfigException(f"'--app' names {type(registry).__name__}, not a Registry")
    command: Callable[[Registry, argparse.Namespace], Awaitable[int]] = given.command
    try:
        return await command(registry, given)
    finally:
        await registry.aclose()
        await registry.storage.aclose()


async def _purge(registry: Registry, given: argparse.Namespace) -> int:
    most = None if given.max_delete < 0 else given.max_delete
    done = await purge(registry, max_delete=most, dry_run=given.dry_run)
    _print(given, done)
    return _FOUND if done.failed or done.unknown_count else 0


async def _verify(registry: Registry, given: argparse.Namespace) -> int:
    found = 0
    async for dangling in verify(registry, fields=given.field):
        found += 1
        values = {
            "field": dangling.field,
            "attachment": dangling.attachment.id,
            "disk": dangling.attachment.disk,
            "missing": list(dangling.missing),
            "problem": dangling.problem,
        }
        text = f"{dangling.field}: {dangling.attachment.disk}: {', '.join(dangling.missing)}"
        _write(json.dumps(values) if given.json else text)
    if not given.json:
        _write(f"dangling: {found}")
    return _FOUND if found else 0


async def _adopt(registry: Registry, given: argparse.Namespace) -> int:
    known = disk_names(registry)
    for name in given.disk or ():
        if name not in known:
            raise StorageConfigException(no_such("disk with attachments", name, known))
    before = await adopt(registry, disks=given.disk)
    if given.json:
        _write(json.dumps(before))
    else:
        for disk, database in before.items():
            _write(f"{disk}: {database or 'no owner'} before")
    return 0


async def _work(registry: Registry, given: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # A thread other than the main one has no signals, nor has every system.
    with suppress(RuntimeError, NotImplementedError):
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
    if not given.once:
        await work(registry, interval=given.interval, stop=stop)
        return 0
    done = await run_outbox(registry, stop=stop)
    _print(given, done)
    return _FOUND if done.failed or done.refused else 0


async def _sweep(registry: Registry, given: argparse.Namespace) -> int:
    done = await sweep(registry, fields=given.field, dry_run=given.dry_run)
    _print(given, done)
    return _FOUND if done.failed else 0


async def _regenerate(registry: Registry, given: argparse.Namespace) -> int:
    done = await regenerate(registry, fields=given.field, lazy=given.lazy)
    _print(given, done)
    return _FOUND if done.failed else 0


async def _move(registry: Registry, given: argparse.Namespace) -> int:
    done = await move(registry, fields=given.field)
    _print(given, done)
    return _FOUND if done.failed or done.missing or done.waiting else 0


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description="Maintenance of attachments.")
    common: dict[str, dict[str, Any]] = {
        "--app": {
            "help": "the registry, or a function that returns it: myapp.db:registry; without it, "
            "'app' of [tool.jtc-storage.attachments] in pyproject.toml"
        },
        "--json": {"action": "store_true", "help": "print JSON"},
    }
    for option, settings in common.items():
        parser.add_argument(option, **settings)
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(
        name: str, function: Callable[..., Awaitable[int]], text: str, *, below: Any = commands
    ) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = below.add_parser(name, help=text, description=text)
        for option, settings in common.items():  # behind the command's name, too
            command.add_argument(option, **{**settings, "default": argparse.SUPPRESS})
        command.set_defaults(command=function)
        return command

    purging = add("purge", _purge, "delete the files that no row names")
    purging.add_argument("--dry-run", action="store_true", help="only count")
    purging.add_argument(
        "--max-delete", type=int, default=100, help="refuse to delete more; -1 is any number"
    )
    fields = [
        add("verify", _verify, "list the rows that name missing files"),
        add("move", _move, "move files to the disk that their field has now"),
    ]
    adopting = add("adopt", _adopt, "make this database the owner of the files")
    adopting.add_argument("--disk", action="append", help="only this disk; may be repeated")
    working = add("work", _work, "delete the files of dropped rows, again and again")
    working.add_argument("--once", action="store_true", help="do it once, and end")
    working.add_argument("--interval", type=float, default=60.0, help="seconds between two passes")
    variants = commands.add_parser("variants", help="variants after their recipes changed")
    below = variants.add_subparsers(required=True, metavar="command")
    sweeping = add("sweep", _sweep, "delete the files of former recipes", below=below)
    sweeping.add_argument("--dry-run", action="store_true", help="only count")
    making = add("regenerate", _regenerate, "make the variants of new recipes", below=below)
    making.add_argument("--lazy", action="store_true", help="also those that are not eager")
    for command in (*fields, sweeping, making):
        command.add_argument("--field", action="append", help="only this field; may be repeated")
    return parser


def _application(given: str | None) -> Callable[[], Any]:
    """Return a function that returns the registry, or an awaitable of it."""
    name = given or _named_in_pyproject()
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise StorageConfigException(
            f"'--app' is a module and a name: myapp.db:registry, not {name!r}"
        )
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise StorageConfigException(f"{name!r} cannot be imported: {error}") from error
    result: Any = found
    return result if callable(result) else lambda: result


def _named_in_pyproject() -> str:
    for directory in (Path.cwd(), *Path.cwd().parents):
        file = directory / "pyproject.toml"
        if not file.is_file():
            continue
        try:
            tool = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {})
        except ValueError as error:
            raise StorageConfigException(f"{file} is no TOML: {error}") from error
        app = tool.get("jtc-storage", {}).get("attachments", {}).get("app")
        if isinstance(app, str):
            return app
    raise StorageConfigException(
        "Name the registry: --app myapp.db:registry, or 'app' of [tool.jtc-storage.attachments] in "
        "pyproject.toml"
    )


def _print(given: argparse.Namespace, result: Any) -> None:
    values = dataclasses.asdict(result)
    if given.json:
        _write(json.dumps(values))
        return
    for name, value in values.items():
        if isinstance(value, (list, tuple)):
            for each in value:
                _write(f"{name}: {each}")
        elif isinstance(value, dict):
            for key, each in value.items():
                _write(f"{name}: {key}: {each}")
        else:
            _write(f"{name.replace('_', ' ')}: {value}")


def _print_error(error: Exception) -> None:
    sys.stderr.write(f"{error}\n")


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
