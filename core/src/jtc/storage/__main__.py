"""``python -m jtc.storage``: the command line, which is a distribution of its own."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    try:
        from jtc.storage.cli import main
    except ModuleNotFoundError as error:
        if error.name != "jtc.storage.cli":
            raise
        sys.exit(
            "The command line is not installed. Install it with: pip install 'jtc-storage[cli]'"
        )
    main()
