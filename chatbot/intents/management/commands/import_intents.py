"""`manage.py import_intents`: examples from a spreadsheet or from Rasa into the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chatbot.exceptions import FrontdeskError
from chatbot.intents.labelled_files import read_labelled_file
from chatbot.intents.services import import_examples

CONFLICTS_SHOWN = 20


class Command(BaseCommand):
    help = (
        "Imports intents and examples from a CSV file with the columns text and intent, or from Rasa's nlu.yml. Doing "
        "it twice adds nothing. Rows of the intent “oos” become out-of-scope examples. "
        "Example: python manage.py import_intents examples.csv --dry-run"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="F.csv|nlu.yml")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            outcome = import_examples(rows=read_labelled_file(options["file"]), dry_run=options["dry_run"])
        except FrontdeskError as error:
            raise CommandError(str(error)) from error
        would = "Would add" if options["dry_run"] else "Added"
        self.stdout.write(
            f"{would} {len(outcome.new_intents)} intents and {outcome.new_examples} examples; "
            f"{outcome.known_examples} were known already."
        )
        for conflict in outcome.conflicts[:CONFLICTS_SHOWN]:
            self.stderr.write(f"Left out: {conflict}")
        if len(outcome.conflicts) > CONFLICTS_SHOWN:
            self.stderr.write(f"… and {len(outcome.conflicts) - CONFLICTS_SHOWN} more like these.")
