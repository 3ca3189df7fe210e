"""`manage.py rollback KIND`: go back to the release that was current before."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chatbot.exceptions import FrontdeskError
from chatbot.releases.models import Kind
from chatbot.releases.services import rollback


class Command(BaseCommand):
    help = (
        "Promotes the newest older release of a kind that has been current before. "
        'Example: python manage.py rollback classifier --reason "refunds got worse"'
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind", choices=Kind.values)
        parser.add_argument("--reason", required=True, help="why; kept in the registry for good")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            promotion = rollback(kind=options["kind"], reason=options["reason"])
        except FrontdeskError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{promotion.release} is current (before: {promotion.previous}).")
