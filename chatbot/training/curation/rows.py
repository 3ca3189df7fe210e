"""A reviewed conversation as rows, redacted. Pure.

All of a conversation is redacted at once, so that a name which is told in its last message is known in the first; then
each row counts its placeholders anew, since a model sees the row alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chatbot.inference.prompt import Utterance
from chatbot.training.curation.left_out import LeftOut
from chatbot.training.curation.reviewed import CatalogueExample, Judged, Reviewed
from chatbot.training.dataset_rows import IntentRow, Origin, ReplyRow, TranscriptRow
from chatbot.training.redaction import PLACEHOLDER, Redactor

# As many earlier messages as a prompt is offered (`conversations.replies`).
HISTORY_MESSAGES = 8
_NUMBER = re.compile(r" \d+\]$")


@dataclass(slots=True)
class ConversationRows:
    """What one conversation gives. The times are those of its judgements, in the order of the rows."""

    id: str
    visitor: str
    started_at: datetime
    intents: list[tuple[IntentRow, datetime]] = field(default_factory=list)
    replies: list[tuple[ReplyRow, datetime]] = field(default_factory=list)
    transcript: TranscriptRow | None = None
    left_out_intents: Counter[str] = field(default_factory=Counter)
    left_out_replies: Counter[str] = field(default_factory=Counter)
    redacted: Counter[str] = field(default_factory=Counter)

    @property
    def is_judged(self) -> bool:
        """Whether anything in it can be learned from or measured on."""
        return bool(self.intents or self.replies)


def conversation_rows(conversation: Reviewed, redactor: Redactor, shop: str) -> ConversationRows:
    """Its rows. Of several judgements about one message the latest counts."""
    rows = ConversationRows(conversation.id, conversation.visitor, conversation.started_at)
    judged = _latest(conversation.judged)
    redacted = redactor.redact([*(said.text for said in conversation.said), *(each.reply for each in judged)])
    texts = redacted.texts[: len(conversation.said)]
    # Of what was said alone: a reply that is learned stands there already.
    rows.redacted = Counter(_NUMBER.sub("]", match)[1:-1] for text in texts for match in PLACEHOLDER.findall(text))
    replies = redacted.texts[len(conversation.said) :]
    for each, reply in zip(judged, replies, strict=True):
        origin = Origin(conversation=conversation.id, turn=each.turn)
        text = texts[each.question]
        if unfit := each.intent_unfit or _empty(text):
            rows.left_out_intents[unfit] += 1
        else:
            [alone] = counted_anew([text])
            row = IntentRow(
                id=f"turn-{each.turn}", text=alone, intent=each.intent, language=conversation.language, origin=origin
            )
            rows.intents.append((row, each.judged_at))
        if unfit := each.reply_unfit or _empty(text) or _empty(reply):
            rows.left_out_replies[unfit] += 1
        else:
            earlier = _history(conversation, texts, each.question)
            *said, text, reply = counted_anew([*(utterance.text for utterance in earlier), text, reply])
            history = tuple(Utterance(was.role, now) for was, now in zip(earlier, said, strict=True))
            reply_row = ReplyRow(
                id=f"turn-{each.turn}",
                text=text,
                reply=reply,
                passages=each.passages,
                history=history,
                guidance=each.guidance,
                shop=shop,
                intent=each.intent,
                language=conversation.language,
                origin=origin,
            )
            rows.replies.append((reply_row, each.judged_at))
    rows.transcript = _transcript(conversation, texts)
    return rows


def example_rows(examples: Iterable[CatalogueExample], redactor: Redactor) -> list[tuple[IntentRow, datetime]]:
    """The catalogue's examples as rows, those without text left out."""
    return [
        (
            IntentRow(
                id=f"example-{example.id}",
                text=redactor.redact_text(example.text),
                intent=example.intent,
                origin=Origin(example=example.id),
            ),
            example.created_at,
        )
        for example in examples
        if example.text.strip()
    ]


def counted_anew(texts: Sequence[str]) -> list[str]:
    """The texts with their placeholders numbered as if nothing had been said before: the first is `[email]`."""
    numbers: dict[str, str] = {}
    taken: Counter[str] = Counter()

    def renumbered(match: re.Match[str]) -> str:
        placeholder = match.group()
        if placeholder not in numbers:
            kind = _NUMBER.sub("]", placeholder)
            taken[kind] += 1
            numbers[placeholder] = kind if taken[kind] == 1 else f"{kind[:-1]} {taken[kind]}]"
        return numbers[placeholder]

    return [PLACEHOLDER.sub(renumbered, text) for text in texts]


def _latest(judged: Sequence[Judged]) -> list[Judged]:
    """One for each message, in order: a reply that was tried again has two turns, and both may have been reviewed."""
    latest: dict[int, Judged] = {}
    for each in sorted(judged, key=lambda each: (each.judged_at, each.turn)):
        latest[each.question] = each
    return [latest[question] for question in sorted(latest)]


def _history(conversation: Reviewed, texts: Sequence[str], question: int) -> list[Utterance]:
    """What was said just before, as it should have been said: rejected replies are no example, not even here."""
    before = list(zip(conversation.said, texts, strict=True))[:question]
    return [Utterance(said.role, text) for said, text in before if not said.is_rejected][-HISTORY_MESSAGES:]


def _transcript(conversation: Reviewed, texts: Sequence[str]) -> TranscriptRow | None:
    kept = [
        Utterance(said.role, text)
        for said, text in zip(conversation.said, texts, strict=True)
        if not said.is_rejected and text.strip()
    ]
    if len({utterance.role for utterance in kept}) < 2:
        return None
    return TranscriptRow(
        id=f"conversation-{conversation.id}",
        messages=tuple(kept),
        language=conversation.language,
        origin=Origin(conversation=conversation.id),
    )


def _empty(text: str) -> LeftOut | None:
    return None if text.strip() else LeftOut.NO_TEXT
