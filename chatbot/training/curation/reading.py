"""Fetches what a dataset is made of: conversations that may be trained on, their reviews, and the catalogue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Literal
from uuid import UUID

from django.conf import settings
from django.db.models import Prefetch, Q, QuerySet

from chatbot.conversations.models import Conversation, Message, Review, Turn
from chatbot.inference.prompt import GroundingPassage
from chatbot.intents.models import Example, Intent
from chatbot.knowledge.models import Article
from chatbot.training.curation.left_out import LeftOut
from chatbot.training.curation.reviewed import CatalogueExample, Judged, Reviewed, Said
from chatbot.training.redaction import Redactor, public_values
from chatbot.training.redaction.contacts import REGIONS
from chatbot.training.redaction.presidio import presidio_detector

CHUNK = 200
_SIDES: dict[str, Literal["user", "assistant"]] = {
    Message.Role.CUSTOMER: "user",
    Message.Role.BOT: "assistant",
    Message.Role.AGENT: "assistant",
}
Verdict = Review.Verdict


def shop_redactor() -> Redactor:
    """Redacts as the settings say, and leaves what the shop says of itself in its articles and approved answers.

    Raises DatasetError where Presidio is switched on and not installed.
    """
    regions = settings.REDACTION_REGIONS or REGIONS
    detector = presidio_detector() if settings.REDACTION_PRESIDIO else None
    articles = Article.objects.published().values_list("body", flat=True)
    answers = Intent.objects.exclude(approved_answer="").values_list("approved_answer", flat=True)
    public = public_values([*articles, *answers], Redactor(regions=regions))
    return Redactor(public=public, regions=regions, detector=detector)


def usable_conversations() -> QuerySet[Conversation]:
    """Those whose customers agreed and that no reviewer keeps out."""
    return Conversation.objects.filter(training_consent=True, excluded_from_training=False, last_seq__gt=0)


def unusable_conversations() -> Counter[str]:
    """How many others there are, and why."""
    silent, refused = Q(last_seq=0), Q(training_consent=False)
    reasons = {
        LeftOut.NOTHING_SAID: silent,
        LeftOut.NO_CONSENT: ~silent & refused,
        LeftOut.EXCLUDED: ~silent & ~refused & Q(excluded_from_training=True),
    }
    return Counter({reason: Conversation.objects.filter(which).count() for reason, which in reasons.items()})


def read_conversations(ids: Sequence[UUID]) -> Iterator[Reviewed]:
    """The conversations in the order of the ids; what was erased since the ids were read is left out."""
    turns = Turn.objects.select_related("intent", "review", "review__intent").order_by("number")
    titles = frozenset(Article.objects.values_list("title", flat=True))
    remaining = iter(ids)
    while chunk := list(islice(remaining, CHUNK)):
        found = (
            usable_conversations()
            .prefetch_related(Prefetch("messages", Message.objects.order_by("seq")), Prefetch("turns", turns))
            .in_bulk(chunk)
        )
        for pk in chunk:
            if pk in found:
                yield _reviewed(found[pk], titles)


def unreviewed_turns(conversations: QuerySet[Conversation]) -> int:
    """Turns of the conversations that nobody has judged."""
    answered = Turn.objects.filter(conversation__in=conversations, status__in=Turn.TERMINAL)
    return answered.filter(review=None).count()


def catalogue_examples() -> list[CatalogueExample]:
    """What classifiers are trained on without any conversation: examples of active intents, and those out of scope."""
    examples = (
        Example.objects.filter(Q(intent__is_active=True) | Q(intent=None)).select_related("intent").order_by("id")
    )
    return [
        CatalogueExample(row.pk, row.text, row.intent.slug if row.intent else "", row.created_at) for row in examples
    ]


def _reviewed(conversation: Conversation, titles: frozenset[str]) -> Reviewed:
    turns = {turn.pk: turn for turn in conversation.turns.all()}
    said: list[Said] = []
    places: dict[UUID, int] = {}
    replies: dict[UUID, Message] = {}
    for message in conversation.messages.all():
        # Files alone say nothing that can be learnt, and what they are called is nobody's business.
        if message.role not in _SIDES or not message.text:
            continue
        review = _review(turns.get(message.turn_id)) if message.turn_id else None
        verdict = review.verdict if review else ""
        text = review.edited_reply if review and verdict == Verdict.EDITED else message.text
        places[message.pk] = len(said)
        said.append(Said(_SIDES[message.role], text, is_rejected=verdict == Verdict.REJECTED))
        if message.turn_id:
            replies[message.turn_id] = message
    judged = [
        _judged(turn, review, replies.get(turn.pk), places[turn.message_id], titles)
        for turn in turns.values()
        if (review := _review(turn)) is not None and turn.message_id in places
    ]
    return Reviewed(
        id=str(conversation.pk),
        visitor=str(conversation.visitor_id),
        started_at=conversation.created_at,
        language=conversation.language,
        said=tuple(said),
        judged=tuple(judged),
    )


def _review(turn: Turn | None) -> Review | None:
    review: Review | None = getattr(turn, "review", None)
    return review if review is not None and review.is_judged else None


def _judged(turn: Turn, review: Review, reply: Message | None, question: int, titles: frozenset[str]) -> Judged:
    intent = None if review.out_of_scope else review.intent or turn.intent
    return Judged(
        turn=str(turn.pk),
        question=question,
        judged_at=review.reviewed_at,
        intent=intent.slug if intent else "",
        intent_unfit=_intent_unfit(review),
        reply=review.edited_reply if review.verdict == Verdict.EDITED else reply.text if reply else "",
        reply_unfit=_reply_unfit(turn, review, reply, intent),
        passages=tuple(_passage(source, titles) for source in turn.sources),
        guidance=intent.guidance if intent else "",
    )


def _intent_unfit(review: Review) -> LeftOut | None:
    if review.out_of_scope:
        return None
    if review.intent is None:
        return LeftOut.INTENT_OPEN
    return None if review.intent.is_active else LeftOut.INTENT_INACTIVE


def _reply_unfit(turn: Turn, review: Review, reply: Message | None, intent: Intent | None) -> LeftOut | None:
    """The model is trained on what it would be asked to write. Of imported turns nobody knows; they count as such."""
    if not review.verdict:
        return LeftOut.REPLY_OPEN
    if review.verdict == Verdict.REJECTED:
        return LeftOut.REPLY_REJECTED
    if review.verdict == Verdict.EDITED:
        writes = not turn.action if intent is None else intent.mode == Intent.Mode.GENERATE
    else:
        writes = turn.action in ("", Turn.Action.GENERATE)
        if writes and reply is not None and reply.stopped:
            return LeftOut.REPLY_STOPPED
    return None if writes else LeftOut.NOT_GENERATED


def _passage(source: dict[str, Any], titles: frozenset[str]) -> GroundingPassage:
    """As the prompt names it: by its article alone, where the source adds the section."""
    title = str(source.get("title", ""))
    article = title.partition(": ")[0]
    return GroundingPassage(article if article in titles else title, str(source.get("passage", "")))
