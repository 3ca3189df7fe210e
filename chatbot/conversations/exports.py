"""Transcripts as files: CSV for a spreadsheet, one row a message; JSONL for a program, one conversation a line.

Both are written a few conversations at a time, so that an export of everything needs no more memory than a small one.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from auditlog.models import LogEntry
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.contenttypes.models import ContentType
from django.db.models import Prefetch

from chatbot.conversations.models import Conversation, Message, Survey, Turn
from chatbot.conversations.selectors import utc_text
from chatbot.conversations.transcript import TURN_RELATIONS, with_turns

CHUNK_CONVERSATIONS = 100
# Without it Excel reads UTF-8 as the local code page.
BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
COLUMNS = (
    "conversation",
    "seq",
    "role",
    "text",
    "created_at",
    "turn_status",
    "intent",
    "confidence",
    "action",
    "reason",
    "rating",
    "rating_reason",
    "classifier",
    "generator",
    "sources",
    "attachments",
)
# In the column of roles: what staff told each other, which no customer has seen.
INTERNAL_NOTE = "internal note"
# In the same column: what the customer made of the conversation, with the score where ratings stand.
SURVEY = "customer survey"
_FORMULA_STARTS = frozenset("=+-@")
# Separators that some programs take for the end of a line; JSON allows them bare inside strings.
_LINE_ENDS = str.maketrans({"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def csv_chunks(conversation_ids: Sequence[UUID]) -> Iterator[str]:
    """The conversations' messages as CSV, in the order of the ids. What a spreadsheet might run is defused."""
    yield BYTE_ORDER_MARK + _csv_line(COLUMNS)
    for conversations in _in_chunks(conversation_ids):
        yield "".join(_csv_line(row) for conversation in conversations for row in _rows(conversation))


def jsonl_chunks(conversation_ids: Sequence[UUID]) -> Iterator[str]:
    """The conversations as JSON, one a line, in the order of the ids. Text is exactly as it was written."""
    for conversations in _in_chunks(conversation_ids):
        yield "".join(_json_line(_document(conversation)) for conversation in conversations)


def record_export(*, actor: AbstractBaseUser, conversation_ids: Sequence[UUID], file_format: str) -> None:
    """Note in the audit log who took which conversations out of the system."""
    count = len(conversation_ids)
    LogEntry.objects.create(
        content_type=ContentType.objects.get_for_model(Conversation),
        object_pk="",
        object_repr=f"Export of {count} conversation{'' if count == 1 else 's'} as {file_format}",
        action=LogEntry.Action.ACCESS,
        changes={"export": ["", f"{count} as {file_format}"]},
        additional_data={"format": file_format, "conversations": [str(pk) for pk in conversation_ids]},
        actor=actor,
    )


def defused(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula.

    Programs differ in what they skip before a formula and in which widths of its first sign they accept, so blanks and
    invisible characters are passed over and look-alikes count.
    """
    if text[:1] in ("\t", "\r", "\n"):
        return "'" + text
    for character in text:
        if character.isspace() or unicodedata.category(character) in ("Cc", "Cf"):
            continue
        starts_formula = unicodedata.normalize("NFKC", character)[:1] in _FORMULA_STARTS
        return "'" + text if starts_formula else text
    return text


def _in_chunks(conversation_ids: Sequence[UUID]) -> Iterator[list[Conversation]]:
    remaining = iter(conversation_ids)
    turns = Turn.objects.select_related(*TURN_RELATIONS).order_by("number")
    while chunk := list(islice(remaining, CHUNK_CONVERSATIONS)):
        found = (
            Conversation.objects.filter(pk__in=chunk)
            .select_related("visitor", "survey")
            .prefetch_related(
                Prefetch("messages", with_turns(Message.objects.order_by("seq"))),
                Prefetch("turns", turns),
                "notes__author",
            )
            .in_bulk(chunk)
        )
        # One that was erased since the export began is left out.
        yield [found[pk] for pk in chunk if pk in found]


def _with_turns(conversation: Conversation) -> Iterator[tuple[Message, Turn | None]]:
    """Each message with the turn that explains it: a reply's own, a customer message's latest."""
    latest = {turn.message_id: turn for turn in conversation.turns.all()}
    for message in conversation.messages.all():
        yield message, latest.get(message.id) if message.role == Message.Role.CUSTOMER else message.turn


# --- CSV ----------------------------------------------------------------------------------------


def _csv_line(cells: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow(
        [defused(cell) if isinstance(cell, str) else cell for cell in cells]
    )
    return line.getvalue()


def _rows(conversation: Conversation) -> Iterator[list[Any]]:
    for note in conversation.notes.all():
        # Beside what was said, not among it, and never taken for a message.
        yield [
            str(conversation.id),
            "",
            INTERNAL_NOTE,
            note.text,
            utc_text(note.created_at),
            *[""] * (len(COLUMNS) - 5),
        ]
    for message, turn in _with_turns(conversation):
        yield [
            str(conversation.id),
            message.seq,
            message.role,
            message.text,
            utc_text(message.created_at),
            *(_turn_cells(turn) if turn else [""] * 5),
            message.rating,
            message.rating_reason,
            turn.classifier.name if turn and turn.classifier else "",
            turn.generator.name if turn and turn.generator else "",
            "\n".join(f"{source.get('title', '')} <{source.get('url', '')}>" for source in turn.sources)
            if turn
            else "",
            "\n".join(attachment.name for attachment in message.attachments.all()),
        ]
    survey = getattr(conversation, "survey", None)
    if survey is not None:
        when = utc_text(survey.changed_at)
        yield [str(conversation.id), "", SURVEY, survey.comment, when, *[""] * 5, survey.score, *[""] * 4]


def _turn_cells(turn: Turn) -> list[Any]:
    return [
        f"{turn.status}: {turn.error_code}" if turn.error_code else turn.status,
        turn.intent.slug if turn.intent else "",
        "" if turn.confidence is None else round(turn.confidence, 4),
        turn.action,
        turn.reason,
    ]


# --- JSONL --------------------------------------------------------------------------------------


def _json_line(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).translate(_LINE_ENDS) + "\n"


def _document(conversation: Conversation) -> dict[str, Any]:
    return {
        "conversation": str(conversation.id),
        "visitor": str(conversation.visitor_id),
        "external_id": conversation.visitor.external_id,
        "status": conversation.status,
        "language": conversation.language,
        "training_consent": conversation.training_consent,
        "excluded_from_training": conversation.excluded_from_training,
        "is_demo": conversation.is_demo,
        "is_imported": conversation.is_imported,
        "created_at": utc_text(conversation.created_at),
        "updated_at": utc_text(conversation.updated_at),
        "contact_email": conversation.contact_email,
        "survey": _survey(getattr(conversation, "survey", None)),
        "messages": [_message(message, turn) for message, turn in _with_turns(conversation)],
        "notes": [
            {
                "internal": True,
                "text": note.text,
                "author": str(note.author or ""),
                "created_at": utc_text(note.created_at),
            }
            for note in conversation.notes.all()
        ],
    }


def _survey(survey: Survey | None) -> dict[str, Any] | None:
    if survey is None:
        return None
    return {"score": survey.score, "comment": survey.comment, "changed_at": utc_text(survey.changed_at)}


def _message(message: Message, turn: Turn | None) -> dict[str, Any]:
    return {
        "id": str(message.id),
        "seq": message.seq,
        "role": message.role,
        "text": message.text,
        "created_at": utc_text(message.created_at),
        "stopped": message.stopped,
        "rating": message.rating or None,
        "rating_reason": message.rating_reason,
        "quick_replies": message.quick_replies,
        "attachments": [attachment.name for attachment in message.attachments.all()],
        "turn": _turn(turn) if turn else None,
    }


def _turn(turn: Turn) -> dict[str, Any]:
    review = getattr(turn, "review", None)
    return {
        "id": str(turn.id),
        "status": turn.status,
        "error_code": turn.error_code or None,
        "attempt": turn.attempt,
        "intent": turn.intent.slug if turn.intent else None,
        "confidence": turn.confidence,
        "out_of_scope": turn.out_of_scope,
        "prediction": turn.prediction,
        "action": turn.action or None,
        "reason": turn.reason,
        "sources": turn.sources,
        "classifier": turn.classifier.name if turn.classifier else None,
        "generator": turn.generator.name if turn.generator else None,
        "finish_reason": turn.finish_reason or None,
        "timings": turn.timings,
        "groundedness": turn.groundedness,
        "review": review
        and {
            "verdict": review.verdict or None,
            "intent": review.intent.slug if review.intent else None,
            "out_of_scope": review.out_of_scope,
            "edited_reply": review.edited_reply,
            "note": review.note,
        },
    }
