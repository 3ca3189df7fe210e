"""`manage.py serve`: the whole stack in one terminal."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from chatbot.operations.serve import Serve
from chatbot.operations.terminal import Terminal


class Command(BaseCommand):
    help = (
        "Runs everything: broker, web, workers, sweeper. Prepares what is missing first; Ctrl-C ends all of it. "
        "Example: python manage.py serve --port 8001"
    )
    # The checks that need the database's tables run once those exist.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST, help="address to listen on (default: HOST, %(default)s)")
        parser.add_argument("--port", default=settings.PORT, type=int, help="default: PORT, %(default)s")

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        terminal = Terminal(no_color=settings.NO_COLOR or options["no_color"])
        sys.exit(Serve(host=host, port=port, terminal=terminal).run())
