"""Run of a command beside a server, as the scripts of this directory do."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

__all__ = ["run_beside"]


def run_beside(variables: Mapping[str, str], command: Sequence[str]) -> int:
    """Run a command with variables that `from_env` reads, or show these until an interrupt.

    Returns:
        The command's exit status.
    """
    if command:
        return subprocess.run(command, env=os.environ | variables, check=False).returncode
    for name, value in variables.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    sys.stdout.flush()
    signal.pause()
    return 0
