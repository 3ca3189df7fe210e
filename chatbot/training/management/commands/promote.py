"""`manage.py promote RELEASE`: make a release the one that workers serve, if its gate lets it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chatbot.exceptions import FrontdeskError, GateClosed
from chatbot.releases.selectors import release_named
from chatbot.training.promotions import promote_candidate

EXAMPLES = """\
Examples:
  python manage.py promote classifier-0003 --reason "better on refunds"
  python manage.py promote classifier-0003 --reason "better on refunds" --override "the intent that fell is retired"
"""


class Command(BaseCommand):
    help = (
        "Makes a release current; running workers follow within seconds. It must have been evaluated beside the "
        "current release and have passed its gate; --override says why it should be promoted all the same, and is kept."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=EXAMPLES, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("release", help="its name, such as classifier-0003")
        parser.add_argument("--reason", required=True, help="why; kept in the registry for good")
        parser.add_argument("--override", default="", metavar="REASON", help="why its gate is not to count")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            release = release_named(options["release"])
            promotion = promote_candidate(release=release, reason=options["reason"], override=options["override"])
        except GateClosed as closed:
            raise CommandError(
                f"{closed} Evaluate it with: python manage.py evaluate {release}; or say why it should be promoted all "
                'the same: --override "…"'
            ) from closed
        except FrontdeskError as error:
            raise CommandError(str(error)) from error
        before = f" (before: {promotion.previous})" if promotion.previous else ""
        self.stdout.write(f"{promotion.release} is current{before}.")
