"""Questions to the user, on standard error, and never without a terminal."""

from __future__ import annotations

import signal
import sys
import threading

from jtc.storage.cli._exits import Failed, UsageError
from jtc.storage.cli._terminal.output import flush, is_terminal, write_error

__all__ = ["confirm"]


def confirm(question: str, *, yes: bool) -> None:
    """Ask whether to go on.

    Args:
        question: The question, without what may be answered.
        yes: The option ``--yes`` was passed: nothing is asked.

    Raises:
        UsageError: There is no terminal to ask on, and no ``--yes``.
        Failed: The answer is no.
    """
    if yes:
        return
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise UsageError(f"{question} Without a terminal, this needs --yes")
    flush()
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if _answer().strip().lower() not in {"y", "yes"}:
        write_error("nothing was done")
        raise Failed


def _answer() -> str:
    """Return a line of the user; Ctrl-C raises KeyboardInterrupt, within an event loop too."""
    if threading.current_thread() is not threading.main_thread():
        return sys.stdin.readline()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return sys.stdin.readline()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        raise
    finally:
        signal.signal(signal.SIGINT, before)
