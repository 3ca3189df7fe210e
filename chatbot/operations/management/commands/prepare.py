"""`manage.py prepare`: everything that must exist before the first customer, once."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from chatbot.exceptions import FrontdeskError
from chatbot.operations.preparation import collect_static_files, prepare_database, run_model_steps
from chatbot.operations.staff import sync_groups
from chatbot.operations.terminal import Terminal


class Command(BaseCommand):
    help = (
        "Migrates, seeds an empty database, prepares the base models, trains the first classifier and indexes the "
        "articles; skips what is there. Example: python manage.py prepare"
    )
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        terminal = Terminal(no_color=settings.NO_COLOR or options["no_color"])
        try:
            prepare_database(terminal)
            sync_groups()
            collect_static_files(terminal)
            run_model_steps(terminal)
        except FrontdeskError as error:
            raise CommandError(str(error)) from error
