"""Articles from a folder of Markdown files."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from chatbot.exceptions import ImportFailed
from chatbot.knowledge import services


class Command(BaseCommand):
    help = """Create or update a help article from every SLUG.md in a folder.

A file may begin with YAML between two lines of three dashes: title, summary, category, published.
Running workers index what has changed.

Example:  python manage.py import_articles chatbot/operations/demo/articles"""

    def create_parser(self, *args: Any, **kwargs: Any) -> Any:
        return super().create_parser(*args, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            result = services.import_articles(directory=folder)
        except ImportFailed as error:
            raise CommandError(str(error)) from error
        counts = f"{len(result.created)} created, {len(result.updated)} updated, {len(result.unchanged)} unchanged"
        self.stdout.write(f"Imported {folder}: {counts}.")
