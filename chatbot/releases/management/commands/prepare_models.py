"""`manage.py prepare_models`: the base weights, under `var/models` and in the registry."""

from __future__ import annotations

from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from chatbot.exceptions import FrontdeskError


class Command(BaseCommand):
    help = (
        "Prepares the encoder and the base generator under var/models and registers the generator as a release. Does "
        "nothing where nothing is missing. GENERATOR_MODEL and ENCODER_MODEL name other models, on disk or on the "
        "Hugging Face Hub. With ENGINE=openai the model server's model is registered instead of the base generator. "
        "Example: GENERATOR_MODEL=/models/Qwen2.5-0.5B-Instruct python manage.py prepare_models"
    )

    def handle(self, *args: Any, **options: Any) -> None:
        from chatbot.releases.preparation import models_are_prepared, prepare_base_models

        try:
            prepared = models_are_prepared()
        except DatabaseError:
            prepared = False
        if prepared:
            self.stdout.write("The base models are ready.")
            return
        console = Console(file=cast(IO[str], self.stdout), no_color=options["no_color"])
        bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console
        )
        try:
            with bar:
                task = bar.add_task("Looking at what is there", total=1.0)

                def show(message: str, share: float | None) -> None:
                    bar.update(task, description=message, completed=share or 0.0)

                prepare_base_models(show)
        except FrontdeskError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(
                f"The models could not be registered ({error}). In a new database run first: python manage.py migrate"
            ) from error
        self.stdout.write("The base models are ready.")
