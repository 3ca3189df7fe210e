"""`manage.py freeze_dataset`: reviewed conversations and the catalogue become a dataset."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chatbot.exceptions import FrontdeskError
from chatbot.training.curation.options import CurationOptions
from chatbot.training.dataset_lines import dataset_lines
from chatbot.training.freezing import freeze_dataset, preview_dataset
from chatbot.training.terminal import training_progress

EXAMPLES = """\
Examples:
  python manage.py freeze_dataset --preview
  python manage.py freeze_dataset --note "First month of reviews"
  python manage.py freeze_dataset --held-out-share 0.3 --per-visitor 10 --seed 4 --json
"""
INTERRUPTED = 130


class Command(BaseCommand):
    help = (
        "Freezes what reviewers have judged and the catalogue's examples into a dataset: redacted, without repeats, "
        "split into rows to train on and rows to measure on. Only conversations whose customers agreed and that no "
        "reviewer keeps out. The same state, options and seed give the same digest."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=EXAMPLES, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        defaults = CurationOptions()
        parser.add_argument("--preview", action="store_true", help="say what would be in it, and write nothing")
        parser.add_argument("--note", default="", help="kept with the dataset; what it is for")
        parser.add_argument(
            "--held-out-share",
            type=float,
            default=defaults.held_out_share,
            metavar="SHARE",
            help=f"of the reviewed conversations, to measure on instead; {defaults.held_out_share} by default",
        )
        parser.add_argument(
            "--per-visitor",
            type=int,
            default=defaults.per_visitor,
            metavar="ROWS",
            help=f"the most rows of one customer in each file; {defaults.per_visitor} by default",
        )
        parser.add_argument("--seed", type=int, default=defaults.seed, help="draws which rows of a customer are kept")
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            wanted = CurationOptions(options["held_out_share"], options["per_visitor"], options["seed"])
            with training_progress(bool(options["json"]) or options["verbosity"] == 0) as progress:
                if options["preview"]:
                    report: dict[str, Any] = preview_dataset(options=wanted, progress=progress)
                else:
                    dataset = freeze_dataset(options=wanted, note=options["note"], progress=progress)
                    report = {"dataset": dataset.name, "digest": dataset.digest, **dataset.manifest}
        except FrontdeskError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped. Nothing was frozen.", returncode=INTERRUPTED) from None
        if options["json"]:
            self.stdout.write(json.dumps(report, ensure_ascii=False))
            return
        for line in dataset_lines(report):
            self.stdout.write(line)
