"""`manage.py evaluate RELEASE`: a release beside the current one on held-out rows, and what the gate says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chatbot.exceptions import DatasetError, FrontdeskError
from chatbot.releases.selectors import release_named
from chatbot.training.evaluation.report_lines import report_lines
from chatbot.training.models import Dataset, Evaluation
from chatbot.training.selectors import dataset_named
from chatbot.training.terminal import training_progress

EXAMPLES = """\
Examples:
  python manage.py evaluate classifier-0003
  python manage.py evaluate classifier-0003 --against classifier-0001 --dataset dataset-0002
  python manage.py evaluate classifier-0003 --test test.csv --json
"""
INTERRUPTED = 130


class Command(BaseCommand):
    help = (
        "Judges a release beside the current one of its kind on the same held-out rows, through the code that serves "
        "them, and says whether the gate lets it be promoted. The rows come from the newest frozen dataset, from "
        "--dataset, or from --test: a .csv file (columns text,intent for a classifier, text,reply for a generator) or "
        "a .jsonl file of a dataset's rows. The result is kept, and shown on the dashboard."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=EXAMPLES, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("release", help="its name, such as classifier-0003")
        parser.add_argument("--against", metavar="RELEASE", help="compare with this one instead of the current one")
        parser.add_argument("--dataset", metavar="NAME", help="such as dataset-0002; the newest by default")
        parser.add_argument("--test", type=Path, metavar="F", help="rows of a file instead of a dataset")
        parser.add_argument(
            "--limit", type=int, metavar="N", help="judge on N rows at most, evenly spread; 120 of a generator"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        from chatbot.training.evaluations import dataset_rows, default_baseline, evaluate_release, read_rows

        if options["test"] and options["dataset"]:
            raise CommandError("--test and --dataset do not go together.")
        if options["limit"] is not None and options["limit"] < 1:
            raise CommandError("--limit is a number of rows, from 1.")
        try:
            candidate = release_named(options["release"])
            baseline = release_named(options["against"]) if options["against"] else default_baseline(candidate)
            dataset = None if options["test"] else _dataset(options["dataset"])
            held_out = (
                dataset_rows(candidate.kind, dataset)
                if dataset
                else read_rows(candidate.kind, options["test"], self.stderr.write)
            )
            with training_progress(bool(options["json"]) or options["verbosity"] == 0) as progress:
                evaluation = evaluate_release(
                    candidate=candidate,
                    baseline=baseline,
                    held_out=held_out,
                    dataset=dataset,
                    limit=options["limit"],
                    progress=progress,
                )
        except FrontdeskError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped. Nothing was kept.", returncode=INTERRUPTED) from None
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(evaluation), ensure_ascii=False))
            return
        for line in report_lines(evaluation.report, evaluation.gates):
            self.stdout.write(line)
        self.stdout.write(f"\nKept as evaluation {evaluation.pk}: /dashboard/evaluations/{evaluation.pk}/")


def _as_json(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "evaluation": evaluation.pk,
        "passed": evaluation.passed,
        "gates": evaluation.gates,
        **evaluation.report,
    }


def _dataset(name: str | None) -> Dataset:
    if name:
        return dataset_named(name)
    dataset = Dataset.objects.order_by("-id").first()
    if dataset is None:
        raise DatasetError("There is no frozen dataset yet. Freeze one, or name a file of rows with --test.")
    return dataset
