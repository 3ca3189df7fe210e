"""A conversation as a reviewer reads it: every message, and how each reply came about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db.models import F, OuterRef, QuerySet, Subquery
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

from chatbot.conversations.confidence import Band, band_of
from chatbot.conversations.explanations import ShownExplanation, show
from chatbot.conversations.groundedness_report import GroundednessReport, read_groundedness
from chatbot.conversations.models import Conversation, Message, Note, PredictionExplanation, Review, Turn
from chatbot.intents.models import Intent

# One page of a transcript. A browser lays this many bubbles out at once without effort.
PAGE_SIZE = 300
# Messages on either side of a question that is reviewed.
CONTEXT = 8
TURN_RELATIONS = (
    "message",
    "intent",
    "classifier",
    "generator",
    "review",
    "review__intent",
    "review__reviewed_by",
    "explanation",
)

# In the order in which they happened.
_TIMINGS = (
    ("queued", "Waited in the queue", "s"),
    ("classify", "Understanding", "s"),
    ("retrieve", "Finding sources", "s"),
    ("first_token", "Time to first token", "s"),
    ("customer_wait", "Customer waited for the first words", "s"),
    ("generate", "Writing", "s"),
    ("cancel", "Stopped within", "s"),
    ("prompt_tokens", "Prompt", "tokens"),
    ("cached_prompt_tokens", "Prompt in the cache", "tokens"),
    ("completion_tokens", "Reply", "tokens"),
    ("tokens_per_second", "Speed after the first token", "tokens/s"),
)


@dataclass(frozen=True, slots=True)
class Confidence:
    """A calibrated probability and its band."""

    value: float
    band: Band

    @classmethod
    def of(cls, value: float | None) -> Confidence | None:
        return None if value is None else cls(value, band_of(value))


@dataclass(frozen=True, slots=True)
class Candidate:
    """An intent that the classifier considered."""

    name: str
    confidence: Confidence
    was_followed: bool


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that the model was given. `url` is empty where it leads anywhere but to our own pages."""

    title: str
    url: str
    passage: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Timing:
    """One measure of a turn: seconds, or a count with its unit."""

    label: str
    value: float
    unit: str


@dataclass(frozen=True)
class Explanation:
    """How a turn was answered, in a reviewer's terms. Parts that the turn has no record of are None or empty."""

    turn: Turn
    intent_names: Mapping[str, str]

    @cached_property
    def confidence(self) -> Confidence | None:
        return Confidence.of(self.turn.confidence)

    @cached_property
    def ranking(self) -> list[Candidate]:
        """Best first."""
        followed = self.turn.intent.slug if self.turn.intent else None
        return [
            Candidate(self.intent_names.get(slug, slug), Confidence(value, band_of(value)), slug == followed)
            for slug, value in self.turn.prediction.get("ranking", [])
        ]

    @property
    def out_of_scope_score(self) -> float | None:
        return self.turn.prediction.get("out_of_scope_score")

    @property
    def threshold(self) -> float | None:
        return self.turn.prediction.get("threshold")

    @cached_property
    def sources(self) -> list[Source]:
        return [
            Source(
                title=source.get("title", ""),
                url=_own_page(source.get("url", "")),
                passage=source.get("passage", ""),
                score=source.get("score"),
            )
            for source in self.turn.sources
        ]

    @cached_property
    def groundedness(self) -> GroundednessReport | None:
        """What the guard made of the model's sentences."""
        return read_groundedness(self.turn.groundedness)

    @cached_property
    def timings(self) -> list[Timing]:
        taken = self.turn.timings
        return [Timing(label, taken[name], unit) for name, label, unit in _TIMINGS if name in taken]

    @cached_property
    def prediction(self) -> ShownExplanation | None:
        """Why the classifier predicted so, if somebody has asked."""
        stored = getattr(self.turn, "explanation", None)
        return show(stored, self.turn.message.text) if stored else None

    @property
    def review(self) -> Review | None:
        return getattr(self.turn, "review", None)


@dataclass(frozen=True, slots=True)
class Entry:
    """A message, with how it came about (a reply) or with the turns that left it without one (a question)."""

    message: Message
    explanation: Explanation | None
    unanswered: list[Explanation]
    opens_day: date | None


@dataclass(frozen=True, slots=True)
class Transcript:
    """A page of a conversation, oldest message first. `earlier_before`: the `seq` to page back from, if any."""

    entries: list[Entry]
    earlier_before: int | None
    is_latest: bool


def read_transcript(conversation: Conversation, before_seq: int | None = None) -> Transcript:
    """The newest page of the conversation, or the page before the message `before_seq`. Five queries at most."""
    messages = with_turns(conversation.messages.all())
    if before_seq is not None:
        messages = messages.filter(seq__lt=before_seq)
    page = list(messages.order_by("-seq")[:PAGE_SIZE])[::-1]
    if not page:
        return Transcript([], None, is_latest=before_seq is None)

    earlier_before = page[0].seq if page[0].seq > 1 else None
    return Transcript(_entries(page), earlier_before, is_latest=before_seq is None)


def read_around(turn: Turn) -> Transcript:
    """The turn's question and reply with what was said around them: what a reviewer needs to judge it."""
    question = turn.message.seq
    messages = with_turns(turn.conversation.messages.filter(seq__range=(question - CONTEXT, question + CONTEXT)))
    page = list(messages.order_by("seq"))
    earlier_before = page[0].seq if page[0].seq > 1 else None
    return Transcript(_entries(page), earlier_before, is_latest=page[-1].seq == turn.conversation.last_seq)


def _entries(page: list[Message]) -> list[Entry]:
    unanswered = _unanswered_turns(page)
    turns = [message.turn for message in page if message.turn is not None]
    names = _intent_names([*turns, *(turn for group in unanswered.values() for turn in group)])
    entries: list[Entry] = []
    shown: date | None = None
    for message in page:
        day = timezone.localtime(message.created_at).date()
        entries.append(
            Entry(
                message=message,
                explanation=Explanation(message.turn, names) if message.turn else None,
                unanswered=[Explanation(turn, names) for turn in unanswered[message.id]],
                opens_day=day if day != shown else None,
            )
        )
        shown = day
    return entries


def version_of(conversation_id: UUID) -> str:
    """A mark that changes whenever the transcript does: with messages, hands, notes, steps, explanations, reviews."""
    newest = Turn.objects.filter(conversation=OuterRef("pk")).order_by("-number")
    explained = PredictionExplanation.objects.filter(turn__conversation=OuterRef("pk")).order_by("-changed_at")
    reviewed = Review.objects.filter(turn__conversation=OuterRef("pk")).order_by("-reviewed_at")
    noted = Note.objects.filter(conversation=OuterRef("pk")).order_by("-created_at")
    marks = (
        Conversation.objects.filter(pk=conversation_id)
        .annotate(
            turn=Subquery(newest.values("number")[:1]),
            turn_status=Subquery(newest.values("status")[:1]),
            explained=Subquery(explained.values("changed_at")[:1]),
            reviewed=Subquery(reviewed.values("reviewed_at")[:1]),
            surveyed=F("survey__changed_at"),
            noted=Subquery(noted.values("created_at")[:1]),
        )
        .values_list(
            "last_seq", "status", "assignment", "noted", "surveyed", "turn", "turn_status", "explained", "reviewed"
        )
        .first()
    )
    return ".".join(str(mark) for mark in marks or ("gone",))


def with_turns(messages: QuerySet[Message]) -> QuerySet[Message]:
    """Messages with everything that explains them."""
    related = messages.select_related("author", "turn", *(f"turn__{relation}" for relation in TURN_RELATIONS))
    return related.prefetch_related("attachments")


def _unanswered_turns(messages: list[Message]) -> dict[UUID, list[Turn]]:
    first, last = messages[0], messages[-1]
    turns = Turn.objects.filter(
        conversation=first.conversation_id, message__seq__range=(first.seq, last.seq), reply=None
    ).select_related(*TURN_RELATIONS)
    by_question = defaultdict(list)
    for turn in turns.order_by("number"):
        by_question[turn.message_id].append(turn)
    return by_question


def _intent_names(turns: list[Turn]) -> dict[str, str]:
    slugs: set[Any] = {slug for turn in turns for slug, _ in turn.prediction.get("ranking", [])}
    return dict(Intent.objects.filter(slug__in=slugs).values_list("slug", "name")) if slugs else {}


def _own_page(url: str) -> str:
    return url if url.startswith("/") and url_has_allowed_host_and_scheme(url, allowed_hosts=None) else ""
