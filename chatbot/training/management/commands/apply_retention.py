"""`manage.py apply_retention`: delete now what is due by its age."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from chatbot.intents.wording import counted
from chatbot.training.retention import apply_retention, preview_retention


class Command(BaseCommand):
    help = (
        "Deletes conversations and visitors that are older than RETENTION_CONVERSATIONS_DAYS and "
        "RETENTION_VISITORS_DAYS say. The sweeper does the same once an hour. "
        "Example: python manage.py apply_retention --dry-run"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count what is due, and delete nothing")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        done = preview_retention() if dry_run else apply_retention()
        verb = "would be deleted" if dry_run else "deleted"
        for name, count, days in (
            ("conversation", done.conversations, settings.RETENTION_CONVERSATIONS_DAYS),
            ("visitor", done.visitors, settings.RETENTION_VISITORS_DAYS),
        ):
            rule = f"older than {counted(days, 'day')}" if days else "kept for good, as the settings have it"
            self.stdout.write(f"{counted(count, name)} {verb} ({rule})")
        if done.reduced:
            held = f"{counted(done.reduced, 'visitor')} reduced to an id: datasets hold rows of theirs"
            self.stdout.write(held if not dry_run else f"{held} (not done yet)")
        if done.streams_cleared:
            self.stdout.write("The broker's file was written anew without the words of old replies.")
