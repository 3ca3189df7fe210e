"""`manage.py set_threshold RELEASE --reject-at-most PERCENT`: a classifier with another out-of-scope threshold."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chatbot.exceptions import FrontdeskError
from chatbot.releases.models import Release
from chatbot.releases.selectors import release_named
from chatbot.releases.thresholds import affordable_threshold, store_with_threshold, threshold_costs
from chatbot.training.promotions import ASKED_FOR, promote_candidate


class Command(BaseCommand):
    help = (
        "Makes a release out of a classifier release that differs in its out-of-scope threshold alone. Without "
        "--reject-at-most: shows what each threshold costs and saves. "
        "Example: python manage.py set_threshold classifier-0003 --reject-at-most 2 --promote"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("release", help="its name, such as classifier-0003")
        parser.add_argument(
            "--reject-at-most", type=float, metavar="PERCENT", help="in-scope texts that may be handed on unanswered"
        )
        parser.add_argument("--promote", action="store_true", help="make the new release current")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            release = release_named(options["release"])
        except FrontdeskError as error:
            raise CommandError(str(error)) from error
        if options["reject_at_most"] is None:
            if options["promote"]:
                raise CommandError("--promote needs --reject-at-most.")
            self._show(release)
            return
        try:
            threshold = affordable_threshold(release, options["reject_at_most"] / 100)
            made = store_with_threshold(release=release, threshold=threshold)
            if options["promote"]:
                reason = f"{release.name} with at most {options['reject_at_most']:g} % handed on."
                promote_candidate(release=made, reason=reason, override=ASKED_FOR)
        except FrontdeskError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{made.name} is {release.name} with the threshold {threshold:.3f}.")
        if not options["promote"]:
            self.stdout.write(f'Serve it with: python manage.py promote {made.name} --reason "…"')

    def _show(self, release: Release) -> None:
        costs = threshold_costs(release)
        if not costs:
            raise CommandError(f"{release.name} has no measured thresholds to choose from.")
        for cost in costs:
            fewer = "–" if cost.wrong_avoided is None else f"{cost.wrong_avoided:.1%}"
            caught = "" if cost.caught is None else f", {cost.caught:.1%} of out-of-scope texts caught"
            mark = "  ← in force" if cost.in_force else ""
            saved = f"{cost.rejected:.1%} more hand-offs, {fewer} fewer wrong answers{caught}"
            self.stdout.write(f"{cost.threshold:>10.3f}: {saved}{mark}")
