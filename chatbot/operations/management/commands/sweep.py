"""`manage.py sweep`: the sweeper's process."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from chatbot.conversations.shadow import nudge_shadow
from chatbot.conversations.sweeper import sweep_forever, sweep_once
from chatbot.conversations.triage import triage_due
from chatbot.training.housekeeping import keep_house, keep_house_once
from chatbot.training.runs import sweep_runs


class Command(BaseCommand):
    help = (
        "Puts turns and training runs that lost their worker back in the queue, reminds workers of what waits, fills "
        "the review queue, erases customers who are to be forgotten, and deletes what is old. "
        "Example: python manage.py sweep --once"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="one round instead of one every few seconds")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        if once:
            swept, triaged, runs = sweep_once(), triage_due(), sweep_runs()
            keep_house_once()
            self.stdout.write(
                f"turns: {swept.requeued} requeued, {swept.nudged} nudged, {triaged} triaged for review; "
                f"training runs: {runs} nudged"
            )
            return
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        # What may take minutes has a thread of its own: turns are looked after every few seconds, whatever happens.
        threading.Thread(target=keep_house, args=(stopped,), name="housekeeping", daemon=True).start()
        sweep_forever(stopped, also=[sweep_runs, nudge_shadow])
