"""``manage.py attachments``: the commands of maintenance, for the project's registry."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand

from jtc.storage.attachments.__main__ import main

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

__all__ = ["Command"]


class Command(BaseCommand):
    """Runs ``python -m jtc.storage.attachments`` with the project's registry."""

    help = "Maintains the files of attachments: purge, verify, adopt, work, variants, move."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the arguments of the other command."""
        parser.add_argument("arguments", nargs=argparse.REMAINDER, help="such as: purge --help")

    def handle(self, *_: Any, **options: Any) -> None:
        """Run the command, and exit with its status where that is not 0."""
        application = ["--app", "jtc.storage.attachments.django:registry"]
        if status := main([*application, *options["arguments"]]):
            sys.exit(status)
