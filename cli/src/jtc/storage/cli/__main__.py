"""``python -m jtc.storage.cli``: the program `jtc-storage`."""

from jtc.storage.cli import main

if __name__ == "__main__":
    main()
