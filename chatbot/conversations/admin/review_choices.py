"""What a reviewer is offered at once: the intents that the turn itself suggests, and what is ticked beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatbot.conversations.admin.forms import ReviewForm
from chatbot.conversations.models import Message, Review, ReviewItem, Turn
from chatbot.conversations.review_reasons import ChosenAfterwards, Reason, revive
from chatbot.intents.models import Intent


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An intent that may have been meant. `why` is empty where its confidence alone speaks for it."""

    slug: str
    name: str
    confidence: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Choices:
    """Everything about a turn that its review starts from. `reasons` is empty where it does not wait in the queue."""

    turn: Turn
    reply: Message | None
    review: Review | None
    item: ReviewItem | None
    reasons: list[Reason]
    suggestions: list[Suggestion]
    names: dict[str, str]

    @property
    def words(self) -> list[str]:
        """The reasons, as the reviewer reads them."""
        return [reason.words(self.names) for reason in self.reasons]

    @property
    def slugs(self) -> list[str]:
        return [suggestion.slug for suggestion in self.suggestions]

    @property
    def initial(self) -> dict[str, Any]:
        """The review as it is; without one, what the customer or the bot chose, to be confirmed or corrected."""
        review = self.review
        if review is None:
            decision = _chosen(self.reasons) or _taken(self.turn)
            return {"decision": decision, "edited_reply": self.reply.text if self.reply else "", "seen_version": 0}
        decision = review.intent.slug if review.intent else ""
        return {
            "decision": ReviewForm.OUT_OF_SCOPE if review.out_of_scope else decision,
            "verdict": review.verdict,
            "edited_reply": review.edited_reply or (self.reply.text if self.reply else ""),
            "note": review.note,
            "seen_version": review.version,
        }


def choices_of(turn: Turn) -> Choices:
    """Two queries beside what came with the turn (`select_related`)."""
    review: Review | None = getattr(turn, "review", None)
    item: ReviewItem | None = getattr(turn, "review_item", None)
    reasons = revive(item.reasons) if item else []
    names = intent_names([item] if item else [], _ranked(turn), [_chosen(reasons)])
    return Choices(
        turn=turn,
        reply=getattr(turn, "reply", None),
        review=review,
        item=item,
        reasons=reasons,
        suggestions=_suggestions(turn, review, _chosen(reasons), names),
        names=names,
    )


def intent_names(items: Sequence[ReviewItem], *slugs: Sequence[str]) -> dict[str, str]:
    """The names of intents by slug, for the words of these items' reasons too."""
    wanted = {slug for group in slugs for slug in group}
    for item in items:
        wanted |= {str(value) for kept in item.reasons.values() for value in kept.values() if isinstance(value, str)}
    return dict(Intent.objects.filter(slug__in=wanted).values_list("slug", "name"))


def _suggestions(turn: Turn, review: Review | None, chosen: str, names: dict[str, str]) -> list[Suggestion]:
    """The customer's own choice first, then what the bot took it for, then the classifier's ranking."""
    confidences = dict(turn.prediction.get("ranking", []))
    why: dict[str, str] = {}
    if chosen:
        why[chosen] = "the customer chose it afterwards"
    if turn.intent is not None and not turn.is_miss:
        names[turn.intent.slug] = turn.intent.name
        why.setdefault(turn.intent.slug, "the bot took it for this")
    if review is not None and review.intent is not None:
        names[review.intent.slug] = review.intent.name
        why.setdefault(review.intent.slug, "as reviewed before")
    slugs = dict.fromkeys([*why, *confidences])
    return [Suggestion(slug, names[slug], confidences.get(slug), why.get(slug, "")) for slug in slugs if slug in names]


def _ranked(turn: Turn) -> list[str]:
    return [slug for slug, _ in turn.prediction.get("ranking", [])]


def _chosen(reasons: Sequence[Reason]) -> str:
    return next((reason.intent for reason in reasons if isinstance(reason, ChosenAfterwards)), "")


def _taken(turn: Turn) -> str:
    return turn.intent.slug if turn.intent is not None and not turn.is_miss else ""
