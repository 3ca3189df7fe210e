"""`manage.py train_generator`: from rows with replies into the registry."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chatbot.exceptions import FrontdeskError
from chatbot.training.terminal import metrics_lines, training_progress
from chatbot.training.trainers.generator_recipe import PRESET_WORDS, PRESETS

if TYPE_CHECKING:
    from chatbot.training.generators import ReplyMaterial

EXAMPLES = """\
Examples:
  python manage.py train_generator
  python manage.py train_generator --dataset dataset-0003 --adapt
  python manage.py train_generator --train replies.csv --max-steps 60 --json
  python manage.py train_generator --corpus grounded --preset thorough --export my-adapter
"""
CORPORA = ("grounded",)
INTERRUPTED = 130


class Command(BaseCommand):
    help = (
        "Tunes the base generator by LoRA on replies that people gave or approved, and registers the result as a "
        "release, which waits to be promoted. Without --train: on the newest frozen dataset, or that of --dataset."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=EXAMPLES, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        presets = "; ".join(f"{name}: {what}" for name, what in PRESET_WORDS.items())
        parser.add_argument("--train", type=Path, metavar="F.csv|F.jsonl", help="text,reply; ReplyRows; OpenAI chats")
        parser.add_argument("--test", type=Path, metavar="F", help="rows to measure on; a tenth of --train without it")
        parser.add_argument("--dataset", metavar="NAME", help="a frozen dataset")
        parser.add_argument("--corpus", metavar="|".join(CORPORA), help="grounded answers that come with Frontdesk")
        parser.add_argument("--export", type=Path, metavar="FOLDER", help="write the adapter there, register nothing")
        parser.add_argument("--adapt", action="store_true", help="first adapt to the dataset's transcripts")
        parser.add_argument("--preset", default="standard", metavar="|".join(PRESETS), help=presets)
        parser.add_argument("--epochs", type=int, metavar="N", help="passes over the rows")
        parser.add_argument("--max-steps", type=int, metavar="N", help="end after so many steps")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["preset"] not in PRESETS:
            raise CommandError(f"There is no preset {options['preset']!r}; there are {' and '.join(PRESETS)}.")
        if options["corpus"] not in (None, *CORPORA):
            raise CommandError(f"There is no corpus {options['corpus']!r}; there is {' and '.join(CORPORA)}.")
        if options["corpus"] and (options["train"] or options["dataset"] or options["adapt"]):
            raise CommandError("--corpus does not go with --train, --dataset or --adapt: it is all that is learned.")
        if options["export"] and options["adapt"]:
            raise CommandError("--export does not go with --adapt: what is exported has seen no transcripts.")
        if options["test"] and not options["train"]:
            raise CommandError("--test needs --train.")
        if options["train"] and (options["dataset"] or options["adapt"]):
            raise CommandError("--train does not go with --dataset or --adapt: files hold no transcripts.")
        given = {name: options[name] for name in ("epochs", "max_steps") if options[name] is not None}
        if any(value < 1 for value in given.values()):
            raise CommandError("--epochs and --max-steps are counted from 1.")
        try:
            result = self._train(replace(PRESETS[options["preset"]], **given), options)
        except FrontdeskError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped. Nothing was registered or promoted.", returncode=INTERRUPTED) from None
        if options["json"]:
            self.stdout.write(json.dumps(result, ensure_ascii=False))
            return
        for line in metrics_lines({name: value for name, value in result.items() if not isinstance(value, dict)}):
            self.stdout.write(line)
        if options["export"]:
            self.stdout.write(f"\nThe adapter is in {options['export']}.")
            return
        name = result["release"]
        self.stdout.write(f'\n{name} waits. Serve it with: python manage.py promote {name} --reason "…"')

    def _train(self, recipe: Any, options: dict[str, Any]) -> dict[str, Any]:
        from chatbot.training.exported_adapters import export_adapter
        from chatbot.training.generators import train_generator

        material, seed = self._material(options), options["seed"]
        with training_progress(bool(options["json"]) or options["verbosity"] == 0) as progress:
            if options["export"]:
                manifest = export_adapter(
                    material=material, recipe=recipe, directory=options["export"], seed=seed, progress=progress
                )
                return {**manifest["metrics"], "base": manifest["base"], "seed": seed}
            release = train_generator(material=material, recipe=recipe, seed=seed, progress=progress)
        return {**release.metrics, "release": release.name, "base": release.base, "seed": options["seed"]}

    def _material(self, options: dict[str, Any]) -> ReplyMaterial:
        from chatbot.training.evaluation.rows import rows_digest
        from chatbot.training.generators import ReplyMaterial, corpus_material, dataset_material
        from chatbot.training.models import Dataset
        from chatbot.training.reply_files import read_replies, split_replies
        from chatbot.training.selectors import dataset_named

        if options["corpus"]:
            return corpus_material(seed=options["seed"])
        if options["train"]:
            rows = read_replies(options["train"])
            test = read_replies(options["test"]) if options["test"] else []
            train, held_out = (rows, test) if test else split_replies(rows, seed=options["seed"])
            return ReplyMaterial(train, held_out, rows_digest(rows))
        dataset = dataset_named(options["dataset"]) if options["dataset"] else Dataset.objects.first()
        if dataset is None:
            raise CommandError("There is no dataset yet: python manage.py freeze_dataset, or use --train F.csv")
        return dataset_material(dataset, adapt=options["adapt"], seed=options["seed"])
