"""`manage.py seed_demo`: the demo shop."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from chatbot.exceptions import FrontdeskError
from chatbot.operations.seeding import seed_demo
from chatbot.operations.staff import create_first_accounts, sync_groups
from chatbot.operations.terminal import Terminal


class Command(BaseCommand):
    help = (
        "Adds the demo shop's intents, articles and reviewed conversations, and the staff accounts where there is no "
        "account; what is there already is left as it is. Example: python manage.py seed_demo"
    )

    def handle(self, *args: Any, **options: Any) -> None:
        terminal = Terminal(no_color=settings.NO_COLOR or options["no_color"])
        try:
            with terminal.step("Adding the demo shop", "Added the demo shop"):
                seeded = seed_demo()
                sync_groups()
                accounts = create_first_accounts()
        except FrontdeskError as error:
            raise CommandError(str(error)) from error
        terminal.say(
            f"New: {seeded.intents} intents, {seeded.examples} examples, {seeded.articles} articles, "
            f"{seeded.conversations} conversations"
        )
        if accounts:
            terminal.show_accounts(accounts, f"http://{settings.HOST}:{settings.PORT}")
