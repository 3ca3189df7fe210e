"""Transcripts from elsewhere into the database, to be reviewed and trained on; nobody here is answering them.

The file is read twice: once to find whatever is wrong with it, before anything is written, and once to store it, some
conversations at a time, so that customers who write meanwhile need not wait. Interrupted, the same import goes on.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path

from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from chatbot.conversations.models import Conversation, Message, Review, Turn, Visitor
from chatbot.conversations.services import title_of
from chatbot.conversations.transcript_files import (
    BadLine,
    FoundConversation,
    NotKept,
    Said,
    read_lines,
    said_digest,
)
from chatbot.exceptions import ImportFailed
from chatbot.inference.language import detect_language
from chatbot.intents.models import Intent

AT_ONCE = 200
IMPORTED = "Imported: it was answered elsewhere."
LABELLED = "The label that the imported file gave it."
# What is said of how far it is: a message, and how much of all is done.
Report = Callable[[str, float], None]


@dataclass(slots=True)
class ImportOutcome:
    """What became of each line of the file, by number; with `dry_run`, what would."""

    dry_run: bool
    added: list[int] = field(default_factory=list)
    known: list[int] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    bad: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    messages: int = 0
    labels: int = 0
    undated: int = 0
    not_kept: NotKept = field(default_factory=NotKept)

    @property
    def lines(self) -> int:
        """All that were not blank; each of them is in one of the lists."""
        lists = (self.added, self.known, self.repeated, self.changed, *self.bad.values())
        return sum(map(len, lists))


def import_transcripts(
    *, path: Path, consent: bool, dry_run: bool = False, skip_bad: bool = False, report: Report | None = None
) -> ImportOutcome:
    """Add the file's conversations that are not there yet, closed and marked as imported.

    `consent` is whether the customers agreed to training. Lines that cannot be imported are in `bad`; unless
    `skip_bad`, nothing is written where there are any.

    Raises ImportFailed where it is no text file that can be read twice.
    """
    if path.exists() and not path.is_file():
        raise ImportFailed(f"{path} is not a file. It is read twice, so a pipe or a folder will not do.")
    told = report or (lambda _message, _share: None)
    outcome = ImportOutcome(dry_run)
    intents = Intent.objects.in_bulk(field_name="slug")
    lines = _check(path, intents, outcome, told)
    if outcome.bad and not skip_bad:
        return outcome
    found = _once_each(path, intents, outcome)
    done = 0
    while batch := list(islice(found, AT_ONCE)):
        _store(batch, intents, consent, outcome)
        done += len(batch)
        told(f"{'Comparing' if dry_run else 'Storing'}: {done:,} of {lines:,} conversations", 0.3 + 0.7 * done / lines)
    return outcome


def _check(path: Path, intents: dict[str, Intent], outcome: ImportOutcome, told: Report) -> int:
    """Note what is wrong. Returns how many lines can be imported."""
    size, read, good = max(1, path.stat().st_size) if path.exists() else 1, 0, 0
    for number, found in read_lines(path, outcome.not_kept):
        if isinstance(found, FoundConversation):
            read += sum(len(said.text) for said in found.said)
            problem = _unknown_label(found, intents)
        else:
            problem = str(found)
        if problem:
            outcome.bad[problem].append(number)
        else:
            good += 1
        if number % 1000 == 0:
            told(f"Checking: {number:,} lines", 0.3 * min(1.0, read / size))
    return good


def _once_each(path: Path, intents: dict[str, Intent], outcome: ImportOutcome) -> Iterator[FoundConversation]:
    """The conversations that can be imported, repeats left out."""
    first: dict[uuid.UUID, bytes] = {}
    for number, found in read_lines(path, NotKept()):
        if isinstance(found, BadLine) or _unknown_label(found, intents):
            continue
        if found.id not in first:
            first[found.id] = found.digest
            yield found
        elif first[found.id] == found.digest:
            outcome.repeated.append(number)
        else:
            outcome.changed.append(number)


def _unknown_label(found: FoundConversation, intents: dict[str, Intent]) -> str:
    unknown = sorted({said.label for said in found.said if said.label and said.label not in intents})
    return f"the catalogue has no intent {unknown[0]!r}" if unknown else ""


@transaction.atomic
def _store(
    batch: Sequence[FoundConversation], intents: dict[str, Intent], consent: bool, outcome: ImportOutcome
) -> None:
    there = _digests_of([found.id for found in batch])
    new = []
    for found in batch:
        if found.id not in there:
            new.append(found)
            outcome.added.append(found.line)
        elif there[found.id] == found.digest:
            outcome.known.append(found.line)
        else:
            outcome.changed.append(found.line)
    outcome.messages += sum(len(found.said) for found in new)
    outcome.labels += sum(said.label is not None for found in new for said in found.said)
    outcome.undated += sum(found.created_at is None for found in new)
    if outcome.dry_run or not new:
        return
    rows = _Rows(consent, timezone.now())
    for found in new:
        rows.lay_out(found, intents)
    rows.insert()


def _digests_of(ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, bytes]:
    said: dict[uuid.UUID, list[tuple[str, str]]] = {
        pk: [] for pk in Conversation.objects.filter(pk__in=ids).values_list("pk", flat=True)
    }
    rows = Message.objects.filter(conversation__in=list(said)).order_by("conversation", "seq")
    for pk, role, text in rows.values_list("conversation", "role", "text"):
        said[pk].append((role, text))
    return {pk: said_digest(iter(messages)) for pk, messages in said.items()}


class _Rows:
    """What is to be stored of some conversations, in the order that foreign keys ask for."""

    def __init__(self, consent: bool, now: datetime) -> None:
        self._consent, self._now = consent, now
        self._visitors: dict[uuid.UUID, Visitor] = {}
        self._conversations: list[Conversation] = []
        self._questions: list[Message] = []
        self._turns: list[Turn] = []
        self._replies: list[Message] = []
        self._reviews: list[Review] = []

    def lay_out(self, found: FoundConversation, intents: dict[str, Intent]) -> None:
        """A turn for each message of the customer, ended at no moment: no worker here had any part in it."""
        self._visitors.setdefault(found.visitor, Visitor(id=found.visitor))
        asked = [said.text for said in found.said if said.role == Message.Role.CUSTOMER]
        conversation = Conversation(
            id=found.id,
            visitor_id=found.visitor,
            status=Conversation.Status.CLOSED,
            title=title_of(asked[0]),
            language=detect_language(asked[-1]),
            last_seq=len(found.said),
            is_imported=True,
            training_consent=self._consent,
            created_at=found.created_at or self._now,
        )
        self._conversations.append(conversation)
        open_turn: Turn | None = None
        number = 0
        for seq, said in enumerate(found.said, start=1):
            message = Message(conversation=conversation, seq=seq, role=said.role, text=said.text)
            if said.role == Message.Role.CUSTOMER:
                number += 1
                open_turn = self._turn(message, number, said, intents)
                self._questions.append(message)
            else:
                message.turn, open_turn = open_turn, None
                self._replies.append(message)

    def insert(self) -> None:
        # One of the customer's other conversations may have brought them already.
        Visitor.objects.bulk_create(self._visitors.values(), ignore_conflicts=True)
        moments = [conversation.created_at for conversation in self._conversations]
        Conversation.objects.bulk_create(self._conversations)
        for conversation, moment in zip(self._conversations, moments, strict=True):
            # On insertion both take the time of it.
            conversation.created_at = conversation.updated_at = moment
        Conversation.objects.bulk_update(self._conversations, ["created_at", "updated_at"])
        Message.objects.bulk_create(self._questions)
        Turn.objects.bulk_create(self._turns)
        Message.objects.bulk_create(self._replies)
        Review.objects.bulk_create(self._reviews)
        ids = [conversation.pk for conversation in self._conversations]
        began = Subquery(Conversation.objects.filter(pk=OuterRef("conversation")).values("created_at"))
        for rows in (Message.objects, Turn.objects):
            rows.filter(conversation__in=ids).update(created_at=began)

    def _turn(self, message: Message, number: int, said: Said, intents: dict[str, Intent]) -> Turn:
        turn = Turn(
            conversation=message.conversation,
            message=message,
            number=number,
            status=Turn.Status.DONE,
            reason=IMPORTED,
            next_nudge_at=self._now,
            # The queue is ordered by what the bot was unsure of, and here it decided nothing.
            is_triaged=True,
        )
        self._turns.append(turn)
        if said.label is not None:
            intent = intents[said.label] if said.label else None
            self._reviews.append(Review(turn=turn, intent=intent, out_of_scope=intent is None, note=LABELLED))
        return turn
