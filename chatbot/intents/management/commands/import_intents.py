"""`manage.py import_intents`: examples from a spreadsheet or from Rasa into the catalogue."""

from __future__ import annotations

import json
from argparse import RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chatbot.exceptions import FrontdeskError
from chatbot.intents.import_report import report_lines, report_object
from chatbot.intents.labelled_files import read_labelled_file
from chatbot.intents.services import import_examples


class Command(BaseCommand):
    help = """Import intents and examples from a CSV file, or from Rasa's nlu.yml (Rasa 2 and 3).

The first line of a CSV file names the columns; text and intent are read. Rows of the intents oos, out_of_scope,
out-of-scope and nlu_fallback become out-of-scope examples. Doing it twice changes nothing. A text that stands under
another intent already is reported and left alone. Of a Rasa file the examples of the intents are read, without their
entity marks; everything else in it is listed as skipped.

Examples:
  python manage.py import_intents examples.csv --dry-run
  python manage.py import_intents data/nlu.yml
  python manage.py import_intents export.csv --text-column utterance --intent-column label --encoding cp1252"""

    def create_parser(self, *args: Any, **kwargs: Any) -> Any:
        return super().create_parser(*args, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="F.csv|nlu.yml")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")
        parser.add_argument(
            "--move", action="store_true", help="move texts that stand under another intent to the file's"
        )
        parser.add_argument("--activate", action="store_true", help="make inactive intents of the file active again")
        parser.add_argument("--text-column", default="text", metavar="NAME", help="of a CSV file (default: text)")
        parser.add_argument("--intent-column", default="intent", metavar="NAME", help="of a CSV file (default: intent)")
        parser.add_argument(
            "--encoding", metavar="NAME", help="of a file that is neither UTF-8 nor UTF-16, such as cp1252 or gb18030"
        )
        parser.add_argument("--json", action="store_true", help="print the report as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        path, dry_run = options["file"], options["dry_run"]
        try:
            file = read_labelled_file(
                path,
                text_column=options["text_column"],
                intent_column=options["intent_column"],
                encoding=options["encoding"],
            )
            outcome = import_examples(
                rows=file.rows,
                dry_run=dry_run,
                move=options["move"],
                activate=options["activate"],
                source=str(path),
            )
        except FrontdeskError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(report_object(path, file, outcome, dry_run=dry_run), ensure_ascii=False))
            return
        # At once, so that a reader such as head cannot leave in the middle of it.
        self.stdout.write("\n".join(report_lines(path, file, outcome, dry_run=dry_run)))
