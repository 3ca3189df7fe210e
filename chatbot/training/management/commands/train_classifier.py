"""`manage.py train_classifier`: from labelled files, or from the catalogue into the registry."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chatbot.exceptions import FrontdeskError

EXAMPLES = """\
Examples:
  python manage.py train_classifier --promote
  python manage.py train_classifier --train train.csv --test test.csv --oos-test oos.csv --json
"""


class Command(BaseCommand):
    help = (
        "Trains an intent classifier. Without --train: on the catalogue's examples, registered as a release, and "
        "promoted if it is the first or with --promote. With --train: on a CSV file with the columns text and intent; "
        "prints what it measured and registers nothing."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=EXAMPLES, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--train", type=Path, metavar="F.csv", help="columns text, intent")
        parser.add_argument("--test", type=Path, metavar="F.csv", help="held-out rows to measure on")
        parser.add_argument("--oos-train", type=Path, metavar="F.csv", help="out-of-scope texts that fit the threshold")
        parser.add_argument("--oos-test", type=Path, metavar="F.csv", help="out-of-scope texts to measure on")
        parser.add_argument("--preset", default="fast", help="fast: a linear head on the frozen encoder, in seconds")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--promote", action="store_true", help="make the new release current")
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        self._check(options)
        started = time.perf_counter()
        try:
            result = self._from_files(options) if options["train"] else self._from_catalogue(options)
        except FrontdeskError as error:
            raise CommandError(str(error)) from error
        result["seconds"] = round(time.perf_counter() - started, 2)
        if options["json"]:
            self.stdout.write(json.dumps(result, ensure_ascii=False))
            return
        for title, content in result.items():
            if isinstance(content, dict):
                self.stdout.write(f"{title}:")
                for name, value in content.items():
                    self.stdout.write(f"  {name:<24} {'–' if value is None else value}")
            else:
                self.stdout.write(f"{title}: {content}")

    def _check(self, options: dict[str, Any]) -> None:
        if options["preset"] == "full":
            raise CommandError("The preset full (fine-tuning the encoder) is not available yet; use --preset fast.")
        if options["preset"] != "fast":
            raise CommandError(f"There is no preset {options['preset']!r}; use --preset fast.")
        if not options["train"]:
            for name in ("test", "oos_train", "oos_test"):
                if options[name]:
                    raise CommandError(f"--{name.replace('_', '-')} needs --train.")
        elif options["promote"]:
            raise CommandError("--promote needs the catalogue: a classifier trained from a file knows other intents.")
        elif options["oos_test"] and not options["test"]:
            raise CommandError("--oos-test needs --test: out-of-scope texts are told apart from in-scope ones.")

    def _progress(self, options: dict[str, Any]) -> Any:
        quiet = options["json"] or options["verbosity"] == 0
        return (lambda _message, _share: None) if quiet else (lambda message, _share: self.stderr.write(f"… {message}"))

    def _from_catalogue(self, options: dict[str, Any]) -> dict[str, Any]:
        from chatbot.releases.selectors import current_release
        from chatbot.training.services import train_catalogue_classifier

        release = train_catalogue_classifier(
            seed=options["seed"], promote=options["promote"], progress=self._progress(options)
        )
        current = current_release(release.kind)
        return {"release": release.name, "current": current.name if current else None, "metrics": release.metrics}

    def _from_files(self, options: dict[str, Any]) -> dict[str, Any]:
        from chatbot.intents.labelled_files import read_labelled_csv, read_text_csv
        from chatbot.releases.encoders import load_encoder
        from chatbot.training.evaluation import evaluate_classifier
        from chatbot.training.trainers.fast import train_fast

        # Everything is read first: a typo in a file name must not cost a training.
        train = [(row.text, row.intent) for row in read_labelled_csv(options["train"])]
        oos_train = read_text_csv(options["oos_train"]) if options["oos_train"] else []
        test = [(row.text, row.intent) for row in read_labelled_csv(options["test"])] if options["test"] else []
        oos_test = read_text_csv(options["oos_test"]) if options["oos_test"] else []
        encoder = load_encoder()
        trained = train_fast(train, oos_train, encoder, options["seed"], self._progress(options))
        result: dict[str, Any] = {"configuration": trained.configuration, "cross_validated": trained.metrics}
        if test:
            result["test"] = evaluate_classifier(trained.classifier, encoder, test, oos_test)
        return result
