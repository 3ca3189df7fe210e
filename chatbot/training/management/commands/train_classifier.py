"""`manage.py train_classifier`: from labelled files, or from the catalogue into the registry."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chatbot.exceptions import FrontdeskError
from chatbot.training.report_lines import report_lines
from chatbot.training.terminal import metrics_lines, threshold_lines, training_progress
from chatbot.training.trainers import PRESETS

if TYPE_CHECKING:
    from chatbot.training.trainers.trained import TrainedClassifier

EXAMPLES = """\
Examples:
  python manage.py train_classifier --promote
  python manage.py train_classifier --preset full
  python manage.py train_classifier --dataset dataset-0003
  python manage.py train_classifier --train train.csv --test test.csv --oos-test oos.csv --json
  python manage.py train_classifier --cross-validate 5
"""
# The keys of --json that scripts may rely on.
REPORTED = (
    "accuracy",
    "macro_f1",
    "ece",
    "oos_auroc",
    "oos_recall",
    "in_scope_accuracy_after_rejection",
)
INTERRUPTED = 130


class Command(BaseCommand):
    help = (
        "Trains an intent classifier. Without --train: on the catalogue's examples, registered as a release, and "
        "promoted if it is the first or with --promote. With --dataset: on a frozen dataset instead. "
        "With --train: on a CSV file with the columns text and intent; prints what it measured and registers nothing. "
        "With --cross-validate: judges every example by a classifier "
        "that has not seen it, and says which intents and examples to mend."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=EXAMPLES, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        presets = "; ".join(f"{name}: {what}" for name, what in PRESETS.items())
        parser.add_argument("--train", type=Path, metavar="F.csv", help="columns text, intent")
        parser.add_argument("--dataset", metavar="NAME", help="a frozen dataset in place of the catalogue as it is")
        parser.add_argument("--test", type=Path, metavar="F.csv", help="held-out rows to measure on")
        parser.add_argument("--oos-train", type=Path, metavar="F.csv", help="out-of-scope texts that fit the threshold")
        parser.add_argument("--oos-test", type=Path, metavar="F.csv", help="out-of-scope texts to measure on")
        parser.add_argument("--preset", default="fast", metavar="|".join(PRESETS), help=presets)
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument(
            "--reject-at-most",
            type=float,
            metavar="PERCENT",
            help="in-scope texts that the out-of-scope threshold may turn away; 5 by default",
        )
        parser.add_argument(
            "--cross-validate", type=int, metavar="FOLDS", help="report on the examples, register nothing; 5 is usual"
        )
        parser.add_argument("--promote", action="store_true", help="make the new release current")
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        self._check(options)
        try:
            if options["cross_validate"] is not None:
                result = self._cross_validate(options)
            else:
                result = self._from_files(options) if options["train"] else self._from_catalogue(options)
        except FrontdeskError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped. Nothing was registered or promoted.", returncode=INTERRUPTED) from None
        if options["json"]:
            self.stdout.write(json.dumps(result, ensure_ascii=False))
        elif options["cross_validate"] is not None:
            for line in report_lines(result):
                self.stdout.write(line)
        else:
            self._print(result)

    def _check(self, options: dict[str, Any]) -> None:
        if options["preset"] not in PRESETS:
            raise CommandError(f"There is no preset {options['preset']!r}; there are {' and '.join(PRESETS)}.")
        share = options["reject_at_most"]
        if share is not None and not 0 < share <= 50:
            raise CommandError("--reject-at-most is a percentage above 0 and up to 50.")
        if options["dataset"]:
            for name in ("train", "cross_validate"):
                if options[name] is not None:
                    raise CommandError(f"--dataset does not go with --{name.replace('_', '-')}.")
        if options["cross_validate"] is not None:
            for name in ("test", "oos_test", "promote"):
                if options[name]:
                    raise CommandError(f"--{name.replace('_', '-')} does not go with --cross-validate.")
        if not options["train"]:
            for name in ("test", "oos_train", "oos_test"):
                if options[name]:
                    raise CommandError(f"--{name.replace('_', '-')} needs --train.")
        elif options["promote"]:
            raise CommandError("--promote needs the catalogue: a classifier trained from a file knows other intents.")
        elif options["oos_test"] and not options["test"]:
            raise CommandError("--oos-test needs --test: out-of-scope texts are told apart from in-scope ones.")

    def _cross_validate(self, options: dict[str, Any]) -> dict[str, Any]:
        from chatbot.intents.selectors import out_of_scope_examples, training_examples
        from chatbot.releases.encoders import load_encoder
        from chatbot.training.cross_validation import cross_validate
        from chatbot.training.files import read_examples, read_texts

        if options["train"]:
            examples = read_examples(options["train"], self._note)
            out_of_scope = read_texts(options["oos_train"], self._note) if options["oos_train"] else []
        else:
            examples, out_of_scope = training_examples(), out_of_scope_examples()
        with training_progress(self._is_quiet(options)) as progress:
            judged = cross_validate(
                options["preset"],
                examples,
                out_of_scope,
                load_encoder(),
                folds=options["cross_validate"],
                seed=options["seed"],
                progress=progress,
            )
            progress("Looking for what to mend", None)
            return judged.report()

    def _from_catalogue(self, options: dict[str, Any]) -> dict[str, Any]:
        from chatbot.intents.selectors import training_examples
        from chatbot.releases.classifiers import load_classifier
        from chatbot.releases.selectors import current_release
        from chatbot.training.dataset_files import open_dataset
        from chatbot.training.evaluation.classification import classification_times
        from chatbot.training.selectors import dataset_named
        from chatbot.training.services import train_catalogue_classifier, train_dataset_classifier

        started = time.perf_counter()
        dataset = dataset_named(options["dataset"]) if options["dataset"] else None
        with training_progress(self._is_quiet(options)) as progress:
            wanted: dict[str, Any] = {
                "preset": options["preset"],
                "seed": options["seed"],
                "max_rejected": _share(options),
                "promote": options["promote"],
                "progress": progress,
            }
            if dataset:
                release = train_dataset_classifier(dataset=dataset, **wanted)
            else:
                release = train_catalogue_classifier(**wanted)
        seconds = round(time.perf_counter() - started, 2)
        current = current_release(release.kind)
        if dataset:
            texts = [row.text for row in open_dataset(dataset).intents("train")]
        else:
            texts = [text for text, _ in training_examples()]
        times = classification_times(load_classifier(release), texts)
        return {
            "release": release.name,
            "dataset": dataset.name if dataset else None,
            "dataset_digest": release.dataset_digest,
            "current": current.name if current else None,
            **_reported(release.metrics),
            "train_seconds": seconds,
            **times,
            "split": release.metrics["method"],
            "seed": options["seed"],
            "recipe": release.manifest["configuration"]["recipe"],
            "metrics": release.metrics,
        }

    def _from_files(self, options: dict[str, Any]) -> dict[str, Any]:
        from chatbot.inference.text_classifier import load_text_classifier
        from chatbot.releases.encoders import load_encoder
        from chatbot.training.evaluation.classification import classification_times, evaluate_classifier
        from chatbot.training.files import read_examples, read_texts
        from chatbot.training.trainers import train_classifier

        # Everything is read first: a typo in a file name must not cost a training.
        train = read_examples(options["train"], self._note)
        oos_train = read_texts(options["oos_train"], self._note) if options["oos_train"] else []
        test = read_examples(options["test"], self._note) if options["test"] else []
        oos_test = read_texts(options["oos_test"], self._note) if options["oos_test"] else []
        encoder = load_encoder()
        with tempfile.TemporaryDirectory(prefix="frontdesk-classifier-") as scratch:
            with training_progress(self._is_quiet(options)) as progress:
                started = time.perf_counter()
                trained = train_classifier(
                    options["preset"],
                    train,
                    oos_train,
                    encoder,
                    seed=options["seed"],
                    max_rejected=_share(options),
                    progress=progress,
                )
                seconds = round(time.perf_counter() - started, 2)
                progress("Loading it as workers do", None)
                trained.save(Path(scratch))
                served = load_text_classifier(Path(scratch), encoder, Path(scratch) / "exports")
                progress("Measuring", None)
                measured = evaluate_classifier(served, test, oos_test) if test else trained.metrics
                times = classification_times(served, [text for text, _ in test or train])
        return {
            **_reported(measured),
            "train_seconds": seconds,
            **times,
            "split": _split(options, train, test, oos_train, oos_test, trained),
            "seed": options["seed"],
            "recipe": trained.configuration["recipe"],
            "configuration": trained.configuration,
            "held_out": trained.metrics,
            "test": measured if test else None,
        }

    def _note(self, sentence: str) -> None:
        self.stderr.write(sentence)

    def _is_quiet(self, options: dict[str, Any]) -> bool:
        return bool(options["json"]) or options["verbosity"] == 0

    def _print(self, result: dict[str, Any]) -> None:
        held_out = result.get("metrics") or result.get("held_out") or {}
        for line in metrics_lines({name: value for name, value in result.items() if not isinstance(value, dict)}):
            self.stdout.write(line)
        for line in threshold_lines(held_out.get("thresholds", [])):
            self.stdout.write(line)
        if result.get("release") and result["release"] != result["current"]:
            self.stdout.write(
                f'\n{result["release"]} waits. Serve it with: python manage.py promote {result["release"]} --reason "…"'
            )


def _share(options: dict[str, Any]) -> float | None:
    return None if options["reject_at_most"] is None else options["reject_at_most"] / 100


def _reported(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: metrics.get(name) for name in REPORTED}


def _split(
    options: dict[str, Any],
    train: list[Any],
    test: list[Any],
    oos_train: list[str],
    oos_test: list[str],
    trained: TrainedClassifier,
) -> str:
    """Which rows were trained on and which measured, in a line."""
    files = [f"train {options['train'].name} ({len(train)})"]
    if oos_train:
        files.append(f"out-of-scope train {options['oos_train'].name} ({len(oos_train)})")
    if not test:
        return f"{', '.join(files)}; measured by {trained.metrics['method']}"
    files.append(f"test {options['test'].name} ({len(test)})")
    if oos_test:
        files.append(f"out-of-scope test {options['oos_test'].name} ({len(oos_test)})")
    return ", ".join(files)
