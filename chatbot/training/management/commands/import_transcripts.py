"""`manage.py import_transcripts`: conversations from elsewhere, to be reviewed and trained on."""

from __future__ import annotations

import json
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chatbot.conversations.importing import ImportOutcome, import_transcripts
from chatbot.exceptions import FrontdeskError
from chatbot.intents.wording import counted, lines_named, listed, quoted
from chatbot.training.terminal import training_progress

INTERRUPTED = 130
_NAMED = 10


class Command(BaseCommand):
    help = """Import conversations from a file of JSON lines in OpenAI's chat format, one conversation a line:

  {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}

A line may also have "id", "created_at" (ISO 8601, or seconds since 1970), and "customer", a name or number that is the
same for all conversations of one person. A message of the user may have "intent", the slug of an intent of the
catalogue, or null where none fits; such labels count as reviewed.

Imported conversations are closed. They can be reviewed and trained on, and count in no figure of the chat. Doing it
twice changes nothing: a line is known by its id, or else by what it says. If a line is wrong, nothing is imported.

Examples:
  python manage.py import_transcripts chats.jsonl --consent yes --dry-run
  python manage.py import_transcripts chats.jsonl --consent yes
  python manage.py import_transcripts chats.jsonl --consent no --skip-bad --json"""

    def create_parser(self, *args: Any, **kwargs: Any) -> Any:
        return super().create_parser(*args, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="F.jsonl")
        parser.add_argument(
            "--consent",
            choices=("yes", "no"),
            required=True,
            help="whether these customers agreed to training; of those who did not, nothing comes into a dataset",
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")
        parser.add_argument("--skip-bad", action="store_true", help="leave out lines that are wrong; import the others")
        parser.add_argument("--json", action="store_true", help="print the report as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        path, skip_bad = options["file"], options["skip_bad"]
        try:
            with training_progress(bool(options["json"]) or options["verbosity"] == 0) as progress:
                outcome = import_transcripts(
                    path=path,
                    consent=options["consent"] == "yes",
                    dry_run=options["dry_run"],
                    skip_bad=skip_bad,
                    report=progress,
                )
        except FrontdeskError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError(
                "Stopped. What was imported so far is kept; the same command goes on from there.",
                returncode=INTERRUPTED,
            ) from None
        if outcome.bad and not skip_bad:
            raise CommandError(f"{path}: {_problems(outcome)}. Nothing was imported; --skip-bad leaves such lines out.")
        if not outcome.lines:
            raise CommandError(f"{path}: there is no conversation in it.")
        if options["json"]:
            self.stdout.write(json.dumps(_object(path, outcome), ensure_ascii=False))
            return
        self.stdout.write("\n".join(_report(path, outcome)))


def _problems(outcome: ImportOutcome) -> str:
    told = [f"{lines_named(lines)}: {problem}" for problem, lines in list(outcome.bad.items())[:_NAMED]]
    more = len(outcome.bad) - len(told)
    return "; ".join([*told, counted(more, "more problem")] if more else told)


def _report(path: Path, outcome: ImportOutcome) -> Iterator[str]:
    yield f"{path}: {counted(outcome.lines, 'conversation')}."
    if outcome.dry_run:
        yield "This is a dry run: nothing was written. An import would do this:"
    yield f"Added: {counted(len(outcome.added), 'conversation')} with {counted(outcome.messages, 'message')}"
    if outcome.labels:
        yield f"  {counted(outcome.labels, 'message')} labelled with an intent, which counts as reviewed"
    if outcome.undated:
        yield f"  {counted(outcome.undated, 'conversation')} without created_at, dated now"
    skipped = {
        "imported before": outcome.known,
        "repeats of earlier lines": outcome.repeated,
        "another conversation under an id that is taken, which was left as it is": outcome.changed,
        **outcome.bad,
    }
    yield f"Left out: {counted(sum(map(len, skipped.values())), 'line')}"
    yield from (f"  {reason}: {len(lines):,} ({lines_named(lines)})" for reason, lines in skipped.items() if lines)
    if outcome.not_kept.system_messages:
        yield (
            f"Not kept: {counted(outcome.not_kept.system_messages, 'message')} of the roles system and developer, "
            "which instruct a model and were not said"
        )
    if fields := outcome.not_kept.fields:
        named = [f"{quoted(name)} ({count:,})" for name, count in fields.most_common(_NAMED)]
        more = [f"{len(fields) - _NAMED:,} more"] if len(fields) > _NAMED else []
        yield f"Fields that are not read: {listed([*named, *more])}"


def _object(path: Path, outcome: ImportOutcome) -> dict[str, Any]:
    return {
        "file": str(path),
        "dry_run": outcome.dry_run,
        "conversations": outcome.lines,
        "messages": outcome.messages,
        "labels": outcome.labels,
        "undated": outcome.undated,
        "added": outcome.added,
        "known": outcome.known,
        "repeated": outcome.repeated,
        "changed": outcome.changed,
        "bad": dict(outcome.bad),
        "system_messages": outcome.not_kept.system_messages,
        "unread_fields": dict(outcome.not_kept.fields),
    }
