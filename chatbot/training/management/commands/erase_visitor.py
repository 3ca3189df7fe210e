"""`manage.py erase_visitor`: a person and everything of theirs, gone, with a receipt."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chatbot.conversations.forgetting import find_visitor
from chatbot.conversations.models import Visitor
from chatbot.exceptions import FrontdeskError, NotFound
from chatbot.training.erasure import Preview, carry_out, erasures_of, open_erasures, preview_erasure, request_erasure
from chatbot.training.models import Erasure

EXAMPLES = """\
Examples:
  python manage.py erase_visitor 5f3c0a52-8a0e-4c57-9d54-1f2b3c4d5e6f --dry-run
  python manage.py erase_visitor --external-identity customer-1834 --site shop
  python manage.py erase_visitor 5f3c0a52-8a0e-4c57-9d54-1f2b3c4d5e6f --yes
"""
INTERRUPTED = 130
STOPPED = "Stopped. What is gone is gone; the same command, or the sweeper, sees to the rest."


class Command(BaseCommand):
    help = (
        "Erases a customer: conversations and all that belongs to them, rows of datasets, log entries, streams, and "
        "the free pages and logs underneath. Datasets and the releases trained on them are marked. Ends with a receipt "
        "that names nobody. Interrupted, it is finished by calling it again."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=EXAMPLES, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("visitor", nargs="?", default="", metavar="VISITOR_ID", help="as the admin's list shows it")
        who.add_argument("--external-identity", default="", metavar="ID", help="what your own site calls the customer")
        parser.add_argument("--site", default="", metavar="KEY", help="whose identity it is, where several have it")
        parser.add_argument("--dry-run", action="store_true", help="show what would go, and delete nothing")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._erase(options)
        except FrontdeskError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError(STOPPED, returncode=INTERRUPTED) from None

    def _erase(self, options: dict[str, Any]) -> None:
        went_on = [] if options["dry_run"] else self._finish_interrupted()
        try:
            visitor = find_visitor(
                visitor_id=options["visitor"], external_id=options["external_identity"], site=options["site"]
            )
        except NotFound as error:
            if went_on and options["external_identity"]:
                self.stdout.write(f"{error} If it was this one whose erasure was interrupted, they are gone by now.")
                return
            self._say_gone(options["visitor"], error)
            return
        self._say(visitor, preview_erasure([visitor.pk]))
        if options["dry_run"]:
            self.stdout.write("Nothing was deleted.")
            return
        if not options["yes"] and not self._confirmed():
            raise CommandError("Nothing was deleted.")
        self._receipt(carry_out(request_erasure(visitor=visitor, requested_by=None)))

    def _finish_interrupted(self) -> list[Erasure]:
        interrupted = open_erasures()
        for erasure in interrupted:
            self.stdout.write(f"{erasure} was asked for and has not ended; it goes on.")
            self._receipt(carry_out(erasure))
        return interrupted

    def _say_gone(self, visitor_id: str, error: NotFound) -> None:
        """Raises CommandError unless a receipt says that there was such a visitor."""
        for receipt in erasures_of(visitor_id):
            if receipt.finished_at:
                self.stdout.write(f"This visitor was erased on {receipt.finished_at:%d %B %Y} ({receipt}).")
                return
        raise CommandError(str(error))

    def _say(self, visitor: Visitor, preview: Preview) -> None:
        self.stdout.write(f"Visitor {visitor.pk}:")
        for name, count in preview.counts.items():
            self.stdout.write(f"  {count:>6}  {name}")
        for dataset, rows in preview.rows.items():
            self.stdout.write(f"  {rows:>6}  rows of {dataset}")
        if preview.releases:
            self.stdout.write(f"Trained on such rows, and marked: {', '.join(preview.releases)}")

    def _confirmed(self) -> bool:
        try:
            return input("Erase all of it? This cannot be undone. Type “erase” to go on: ").strip() == "erase"
        except EOFError:
            return False

    def _receipt(self, erasure: Erasure) -> None:
        told = ", ".join(f"{name}: {count}" for name, count in erasure.counts.items()) or "nothing was left of it"
        self.stdout.write(f"{erasure} is done: {told}.")
        if erasure.datasets:
            self.stdout.write(f"Datasets without these rows now: {', '.join(erasure.datasets)}.")
        if erasure.releases:
            self.stdout.write(
                f"Releases that had learned from them: {', '.join(erasure.releases)}. Train anew to replace them."
            )
