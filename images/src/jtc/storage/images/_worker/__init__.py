"""The worker process: the only place where images are decoded, and libvips is imported.

Its process imports this package by itself, neither `jtc.storage` nor the application.
"""

__all__: list[str] = []
