"""`manage.py classify`: what a classifier release says of every row of a CSV file."""

from __future__ import annotations

import json
import sys
import time
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from chatbot.exceptions import FrontdeskError
from chatbot.releases.models import Kind, Release
from chatbot.releases.selectors import current_release
from chatbot.training.labelling import Labelling, LabellingInput, label_file, refuse_output, survey_input

# Where nothing can be redrawn, a line every few seconds is enough.
MILESTONE_S = 5.0


class Command(BaseCommand):
    help = """Label a CSV file: its rows with all their columns, and the classifier's prediction appended.

Appended are intent, confidence, out_of_scope (true or false), runner_up and runner_up_confidence. Where the input has
a column of that name already, predicted_ is put before it: beside labels in a column intent stands predicted_intent.
Rows without text are kept, with these cells empty. Where there are labels (--label-column, by default intent),
accuracy and macro-F1 are printed, and of rows labelled oos or out_of_scope how many were recognised.

A run that was interrupted goes on where it stopped when the same command is given again.

Examples:
  python manage.py classify --input messages.csv --output predictions.csv
  python manage.py classify --input test.csv --output p.csv --release classifier-0003 --label-column label --json"""

    def create_parser(self, *args: Any, **kwargs: Any) -> Any:
        return super().create_parser(*args, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--input", type=Path, required=True, metavar="F.csv", help="the first line names columns")
        parser.add_argument("--output", type=Path, required=True, metavar="P.csv", help="the file to write")
        parser.add_argument("--release", metavar="NAME", help="such as classifier-0003 (default: the current one)")
        parser.add_argument("--text-column", default="text", metavar="NAME", help="default: text")
        parser.add_argument("--label-column", metavar="NAME", help="default: intent, where there is one")
        parser.add_argument(
            "--encoding", metavar="NAME", help="of a file that is neither UTF-8 nor UTF-16, such as cp1252 or gb18030"
        )
        parser.add_argument("--overwrite", action="store_true", help="write over a finished output")
        parser.add_argument("--restart", action="store_true", help="throw away what an interrupted run has done")
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.perf_counter()
        try:
            release = _release(options["release"])
            with self._status(options, f"Reading {options['input']}"):
                source = survey_input(
                    options["input"],
                    text_column=options["text_column"],
                    label_column=options["label_column"],
                    encoding=options["encoding"],
                )
            refuse_output(source, options["output"], overwrite=options["overwrite"])
            labelling = self._label(source, release, options)
        except FrontdeskError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped. The same command goes on from here.", returncode=130) from None
        result = {
            "input": str(options["input"]),
            "output": str(options["output"]),
            "release": release.name,
            "appended_columns": list(source.appended),
            **asdict(labelling),
            "seconds": round(time.perf_counter() - started, 2),
        }
        if options["json"]:
            self.stdout.write(json.dumps(result, ensure_ascii=False))
        else:
            self._tell(labelling, result)

    def _label(self, source: LabellingInput, release: Release, options: dict[str, Any]) -> Labelling:
        from chatbot.releases.classifiers import load_classifier

        with self._status(options, f"Loading {release.name}"):
            classifier = load_classifier(release)
        with self._progress(options) as progress:
            return label_file(
                source=source,
                output=options["output"],
                classifier=classifier,
                release=release.name,
                release_digest=release.manifest_digest,
                overwrite=options["overwrite"],
                restart=options["restart"],
                progress=progress,
            )

    def _tell(self, labelling: Labelling, result: dict[str, Any]) -> None:
        resumed = f", {labelling.resumed_at:,} of them by an earlier run" if labelling.resumed_at else ""
        self.stdout.write(f"{result['output']}: {labelling.rows:,} rows labelled by {result['release']}{resumed}.")
        self.stdout.write(f"  called out of scope        {labelling.out_of_scope:,}")
        self.stdout.write(f"  without text, no label     {labelling.empty:,}")
        self.stdout.write(f"  appended columns           {', '.join(result['appended_columns'])}")
        if labelling.measured:
            self.stdout.write("Against the labels:")
            for name, value in labelling.measured.items():
                self.stdout.write(f"  {name:<26} {'–' if value is None else value}")

    @contextmanager
    def _status(self, options: dict[str, Any], doing: str) -> Iterator[None]:
        if _is_quiet(options) or not sys.stderr.isatty():
            yield
            return
        with Console(stderr=True, no_color=options["no_color"]).status(f"{doing} …"):
            yield

    @contextmanager
    def _progress(self, options: dict[str, Any]) -> Iterator[Callable[[int, int], None] | None]:
        """On standard error, so that standard output holds the result alone."""
        if _is_quiet(options):
            yield None
        elif sys.stderr.isatty():
            columns = (
                SpinnerColumn(),
                TextColumn("Labelling"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            console = Console(stderr=True, no_color=options["no_color"])
            with Progress(*columns, console=console, transient=True) as bar:
                task = bar.add_task("", total=None)
                yield lambda done, total: bar.update(task, completed=done, total=total)
        else:
            yield self._milestones()

    def _milestones(self) -> Callable[[int, int], None]:
        started = next_line = time.monotonic()
        first: int | None = None

        def report(done: int, total: int) -> None:
            nonlocal first, next_line, started
            now = time.monotonic()
            if first is None:
                first, started, next_line = done, now, now + MILESTONE_S
            elif now >= next_line and done > first:
                next_line = now + MILESTONE_S
                left = (now - started) / (done - first) * (total - done)
                self.stderr.write(f"  {done:,} of {total:,} rows ({done / total:.0%}), about {_duration(left)} left")

        return report


def _release(name: str | None) -> Release:
    if name is None:
        current = current_release(Kind.CLASSIFIER)
        if current is None:
            raise CommandError(
                "There is no current classifier. Train one with: python manage.py train_classifier --promote"
            )
        return current
    classifiers = Release.objects.filter(kind=Kind.CLASSIFIER)
    release = classifiers.filter(name=name).first()
    if release is None:
        names = ", ".join(classifiers.values_list("name", flat=True)[:20]) or "none yet"
        raise CommandError(f"There is no classifier release {name!r}. There are: {names}.")
    return release


def _is_quiet(options: dict[str, Any]) -> bool:
    return bool(options["json"]) or options["verbosity"] == 0


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
