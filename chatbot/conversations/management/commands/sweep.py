"""`manage.py sweep`: the sweeper's process."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from chatbot.conversations.sweeper import sweep_forever, sweep_once


class Command(BaseCommand):
    help = (
        "Puts turns that lost their worker back in the queue and reminds workers of turns that wait. "
        "Example: python manage.py sweep --once"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="one round instead of one every few seconds")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        if once:
            swept = sweep_once()
            self.stdout.write(f"{swept.requeued} requeued, {swept.nudged} nudged")
            return
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        sweep_forever(stopped)
