"""The program `jtc-storage`: its commands, which are imported when they are called."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_install_completion_arguments

from jtc.storage.cli._exits import (
    BROKEN_PIPE,
    FAILED,
    INTERRUPTED,
    USAGE,
    ClosedPipe,
    Failed,
    UsageError,
)
from jtc.storage.cli._terminal.output import PROGRAM, flush, set_up_streams, write, write_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["BUILT_IN", "main", "make_program", "run_program"]


class _BuiltIn(NamedTuple):
    """A command of this distribution.

    Attributes:
        module: Its module in `_commands`.
        text: What it does, in a line.
        section: The heading below which ``--help`` lists it.
    """

    module: str
    text: str
    section: str


_LOOK = "Look"
_CHANGE = "Change"
_LIBRARY = "Library"

BUILT_IN = {
    "ls": _BuiltIn("ls", "List files and directories.", _LOOK),
    "tree": _BuiltIn("tree", "Draw a directory and what is below it.", _LOOK),
    "cat": _BuiltIn("cat", "Write the contents of files to standard output.", _LOOK),
    "stat": _BuiltIn("stat", "Show the metadata of files.", _LOOK),
    "du": _BuiltIn("du", "Add up the bytes of directories.", _LOOK),
    "find": _BuiltIn("find", "List files by name, size and age.", _LOOK),
    "url": _BuiltIn("url", "Write the public or presigned URL of files.", _LOOK),
    "check": _BuiltIn("check", "Compare two directories.", _LOOK),
    "put": _BuiltIn("put", "Send files and directories of this machine to a disk.", _CHANGE),
    "get": _BuiltIn("get", "Fetch files and directories of a disk.", _CHANGE),
    "cp": _BuiltIn("cp", "Copy files and directories.", _CHANGE),
    "mv": _BuiltIn("mv", "Move files and directories.", _CHANGE),
    "rm": _BuiltIn("rm", "Delete files and directories of a disk.", _CHANGE),
    "sync": _BuiltIn("sync", "Make a directory like another one.", _CHANGE),
    "disks": _BuiltIn("disks", "List the disks that are configured.", _LIBRARY),
    "drivers": _BuiltIn("drivers", "List the drivers that are installed.", _LIBRARY),
    "layers": _BuiltIn("layers", "List the layers that are installed.", _LIBRARY),
    "commands": _BuiltIn("commands", "List all commands with their distributions.", _LIBRARY),
    "doctor": _BuiltIn("doctor", "Find what is wrong with the disks.", _LIBRARY),
    "bench": _BuiltIn("bench", "Measure how fast a disk is.", _LIBRARY),
}
"""The commands of this distribution by their names, in the order of ``--help``."""

_PLUGINS = "Of other distributions"


_PATIENCE = 20
"""The number of looks, 50 ms apart, after which a thread counts as hung."""


def main() -> None:
    """Run the command that the command line names, and end the process with its exit status."""
    status = run_program(sys.argv[1:])
    for _ in range(_PATIENCE):
        if not _has_hung_thread():
            sys.exit(status)
        time.sleep(0.05)
    os._exit(status)  # what was written is flushed


def _has_hung_thread() -> bool:
    """Return whether a call to a local disk has not ended: to a dead mount, it never does.

    Python would wait for its thread.
    """
    frames = sys._current_frames()  # noqa: SLF001 - documented, to find deadlocks
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        is_idle = frame is None or frame.f_code.co_name == "_worker"  # it waits for work
        if thread.name.startswith("jtc-storage-local") and not is_idle:
            return True
    return False


def run_program(arguments: Sequence[str]) -> int:
    """Run a command.

    Args:
        arguments: Those of the command line, without the program's name.

    Returns:
        The exit status.
    """
    set_up_streams()
    _show_warnings()
    try:
        status = _run(arguments)
        flush()
    except Failed as failed:
        status = failed.status
        if status != BROKEN_PIPE:
            status = _flushed(status)
    except KeyboardInterrupt:
        write_error("interrupted")
        status = INTERRUPTED
    return status


def _flushed(status: int) -> int:
    try:
        flush()
    except ClosedPipe:
        pass  # why it failed counts more
    except Failed:
        return status or FAILED
    return status


def _run(arguments: Sequence[str]) -> int:
    try:
        done = make_program().main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
    except UsageError as error:
        write_error(f"{error}")
        return USAGE
    except typer.Abort:
        write_error("interrupted")
        return INTERRUPTED
    except typer.TyperException as error:
        return _show_usage(error)
    except (Failed, KeyboardInterrupt):
        raise
    except SystemExit as end:  # of a completion, or of a command of another distribution
        return end.code if isinstance(end.code, int) else FAILED if end.code else 0
    except Exception as error:
        from jtc.storage.cli._running import status_of  # noqa: PLC0415 - slow

        return status_of(error) or FAILED
    return done if isinstance(done, int) else 0


def make_program() -> Any:
    """Return the program: the group of all commands."""
    app = typer.Typer(
        cls=_Commands, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
    )
    app.callback(epilog="\b\n" + _EPILOG)(_program)
    if os.environ.get("_JTC_STORAGE_COMPLETE"):  # a shell asks how a line may go on
        from jtc.storage.cli._completion.shell_scripts import read_question  # noqa: PLC0415 - then only

        read_question()
        get_install_completion_arguments()  # makes the shells known
    return _without_pydantic(get_command(app))


_EPILOG = """A path is disk:path, where that disk is configured, or a path of this machine.
Disks are configured as the library's: by the file that --config or
FILESYSTEM_CONFIG names, or else by the variables of their drivers.
"""


class _Commands(TyperGroup):
    """The commands, of which only the one that is called is imported."""

    _shows_names = False
    """The names are completed: nothing is imported."""

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        from jtc.storage.cli._installed import COMMANDS, installed  # noqa: PLC0415 - looks at each

        return [*BUILT_IN, *(name for name in installed(COMMANDS) if name not in BUILT_IN)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if self._shows_names:
            return TyperCommand(cmd_name)
        if cmd_name in BUILT_IN:
            return _built_in(cmd_name, self)
        from jtc.storage.cli._installed import COMMANDS, installed, load  # noqa: PLC0415 - as above

        if (found := installed(COMMANDS).get(cmd_name)) is not None:
            return _of_plugin(cmd_name, load(found))
        if not ctx.resilient_parsing and not cmd_name.startswith("-"):
            raise UsageError(_no_such_command(cmd_name, self.list_commands(ctx)))
        return None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        del ctx
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, (_, text, section) in BUILT_IN.items():
            sections.setdefault(section, []).append((name, text))
        from jtc.storage.cli._installed import COMMANDS, installed  # noqa: PLC0415 - as above

        for name, found in installed(COMMANDS).items():
            if name not in BUILT_IN:
                sections.setdefault(_PLUGINS, []).append((name, found.owners))
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        self._shows_names = True
        return super().shell_complete(ctx, incomplete)


class _Command(TyperCommand):
    """A command, whose usage has the names of its arguments without braces and types."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage after the command's name."""
        del ctx
        return [self.options_metavar or "", *(each.metavar for each in self._arguments())]

    def get_params(self, ctx: Any) -> list[Any]:
        """Return all parameters."""
        for argument in self._arguments():
            argument.display_type_rich = _nothing
        return super().get_params(ctx)

    def _arguments(self) -> list[Any]:
        return [each for each in self.params if each.param_type_name == "argument"]


def _nothing(ctx: Any) -> None:
    """Return no type."""
    del ctx


def _built_in(name: str, group: _Commands) -> Any:
    module: Any = importlib.import_module(f"jtc.storage.cli._commands.{BUILT_IN[name].module}")
    examples = "".join(f"  {line}\n" for line in module.EXAMPLES)
    app = _new_app()
    app.command(name, cls=_Command, epilog=f"\b\nExamples:\n{examples}")(module.command)
    command = _without_pydantic(get_command(app))
    # The options of the program may stand behind the command's name, too.
    command.params += [each for each in group.params if each.name in {"config", "debug"}]
    return command


def _without_pydantic(command: Any) -> Any:
    """Have texts and defaults taken as they are: typer's conversion imports pydantic, in 0.1 s."""
    for parameter in command.get_params(typer.Context(command)):  # with --help
        parameter.get_runtime_param = partial(_Unconverted, parameter.get_runtime_param)
    return command


class _Unconverted:
    """Conversion of a parameter's values, of which texts and defaults need none.

    Args:
        others: Returns typer's conversion.
    """

    def __init__(self, others: Callable[[], Any]) -> None:
        self._others = others

    def coerce(self, value: Any, *, param: Any, ctx: Any) -> Any:
        """Return the value that the command's function takes."""
        if value == param.default or param.type_descriptor.annotation in {str, list[str]}:
            return value
        return self._others().coerce(value, param=param, ctx=ctx)


def _of_plugin(name: str, loaded: Any) -> Any:
    if isinstance(loaded, typer.Typer):
        command = get_command(loaded)
        command.name = name
        return command
    function: Callable[[list[str]], int | None] = loaded

    def call(context: typer.Context) -> int:
        return function(list(context.args)) or 0

    app = _new_app()
    settings = {
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "allow_interspersed_args": False,
    }
    app.command(name, add_help_option=False, context_settings=settings)(call)
    return get_command(app)


def _new_app() -> typer.Typer:
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def _set_variable(name: str, value: str | None) -> None:
    """Have an option count as the variable that the library reads."""
    if value is not None:
        os.environ[name] = value


def _show_version() -> None:
    from importlib.metadata import version  # noqa: PLC0415 - imported only where it is used

    write(f"{PROGRAM} {version('jtc-storage-cli')}")
    raise typer.Exit


def _show_completion(shell: str | None) -> None:
    if shell is not None:
        from jtc.storage.cli._completion.shell_scripts import script  # noqa: PLC0415 - imported where used

        write(script(shell).rstrip("\n"))
        raise typer.Exit


def _install_completion(shell: str | None) -> None:
    if shell is not None:
        from jtc.storage.cli._completion.shell_scripts import install  # noqa: PLC0415 - imported where used

        write(install(shell).rstrip("\n"))
        raise typer.Exit


_Config: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        show_default=False,
        expose_value=False,
        is_eager=True,
        callback=lambda value: _set_variable("FILESYSTEM_CONFIG", value),
        help="The TOML file that configures the disks, in place of FILESYSTEM_CONFIG.",
    ),
]
_Debug: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--debug",
        expose_value=False,
        is_eager=True,
        callback=lambda value: _set_variable("JTC_STORAGE_DEBUG", "1" if value else None),
        help="Show the traceback of an error, as JTC_STORAGE_DEBUG=1 does.",
    ),
]
_Version: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--version",
        expose_value=False,
        is_eager=True,
        callback=lambda value: _show_version() if value else None,
        help="Show the version, and end.",
    ),
]
_ShowCompletion: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="SHELL",
        show_default=False,
        expose_value=False,
        callback=_show_completion,
        help="Write the completion for bash, zsh or fish.",
    ),
]
_InstallCompletion: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="SHELL",
        show_default=False,
        expose_value=False,
        callback=_install_completion,
        help="Install the completion for bash, zsh or fish.",
    ),
]


def _program(
    config: _Config = None,
    debug: _Debug = False,
    version: _Version = False,
    show_completion: _ShowCompletion = None,
    install_completion: _InstallCompletion = None,
) -> None:
    """Files, directories and disks of jtc-storage."""


def _show_usage(error: typer.TyperException) -> int:
    """Write what is wrong with the command line, and how to get help."""
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if not message or type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{context.get_help()}\n" if context is not None else "")
        return USAGE
    path = context.command_path if context is not None else PROGRAM
    write_error(f"{_explained(error, context, message).rstrip('.')}. For help: {path} --help")
    return error.exit_code


def _explained(error: typer.TyperException, context: Any, message: str) -> str:
    """Return the message with what is right in place of what is wrong."""
    if context is None:
        return message
    option = getattr(error, "option_name", None)
    if option is not None and message.startswith("No such option"):
        from jtc.storage.cli._other_names import option_note  # noqa: PLC0415 - for a message

        note = option_note(context.info_name, option)
        return f"No such option: {option} ({note})" if note else message
    kind = getattr(getattr(error, "param", None), "param_type_name", "")
    is_missing = type(error).__name__ == "MissingParameter" and kind == "argument"
    if is_missing and isinstance(context.command, _Command):
        pieces = context.command.collect_usage_pieces(context)
        return f"An argument is missing: {context.command_path} {' '.join(pieces)}"
    if "unexpected extra argument" in message and context.info_name == "doctor":
        return f"{message.rstrip('.')}. A disk is named by --disk"
    return message


def _no_such_command(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - imported only for a message

    from jtc.storage.cli._other_names import COMMANDS  # noqa: PLC0415 - as above

    if name in COMMANDS:
        return f"There is no command {name!r}: {COMMANDS[name]}. All commands: {PROGRAM} --help"
    close = get_close_matches(name, known, 1, 0.5)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"There is no command {name!r}. {hint}All commands: {PROGRAM} --help"


def _show_warnings() -> None:
    """Have the library's warnings written as plain lines."""
    import logging  # noqa: PLC0415 - imported when the program runs

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            write_error(record.getMessage())

    logging.getLogger("jtc.storage").addHandler(Lines(logging.WARNING))
