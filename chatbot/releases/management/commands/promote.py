"""`manage.py promote RELEASE`: make a release the one that workers serve."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chatbot.exceptions import FrontdeskError
from chatbot.releases.models import Release
from chatbot.releases.services import promote_release


class Command(BaseCommand):
    help = (
        "Makes a release current; running workers follow within seconds. "
        'Example: python manage.py promote classifier-0003 --reason "better on refunds"'
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("release", help="its name, such as classifier-0003")
        parser.add_argument("--reason", required=True, help="why; kept in the registry for good")

    def handle(self, *args: Any, **options: Any) -> None:
        release = Release.objects.filter(name=options["release"]).first()
        if release is None:
            names = ", ".join(Release.objects.values_list("name", flat=True)[:20]) or "none yet"
            raise CommandError(f"There is no release {options['release']!r}. There are: {names}.")
        try:
            promotion = promote_release(release=release, reason=options["reason"])
        except FrontdeskError as error:
            raise CommandError(str(error)) from error
        before = f" (before: {promotion.previous})" if promotion.previous else ""
        self.stdout.write(f"{promotion.release} is current{before}.")
