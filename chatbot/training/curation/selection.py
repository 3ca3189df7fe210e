"""Which rows of all come into which file: split, capped by customer, without repeats. Pure.

The split is by conversation and time. Held out are conversations of the newest stretch, every second one, beginning
with the second newest: what is measured is newer than most of what is trained on, and what a reviewer corrected a
minute ago can still be learned. Were the whole newest stretch held out, every correction would wait for newer ones.

Where the same or nearly the same text would be trained on and measured on, it is trained on. Nothing of a held-out
conversation is in a training file.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import TypeVar

from chatbot.training.curation.duplicates import NearTexts, plain
from chatbot.training.curation.left_out import LeftOut
from chatbot.training.curation.options import CurationOptions
from chatbot.training.curation.rows import ConversationRows
from chatbot.training.dataset_rows import IntentRow, ReplyRow, TranscriptRow

SPLIT_RULE = (
    "by conversation and time: of the newest {window} reviewed conversations, which began on or after {since}, every "
    "second one is held out, beginning with the second newest"
)
NOTHING_HELD_OUT = "nothing is held out"
_EXCHANGE = "\n"

Row = TypeVar("Row", IntentRow, ReplyRow)
Dated = tuple[Row, datetime]


@dataclass(slots=True)
class Selection:
    """The rows of each file, and what was left out of which and why."""

    train_intents: list[IntentRow] = field(default_factory=list)
    held_out_intents: list[IntentRow] = field(default_factory=list)
    train_replies: list[ReplyRow] = field(default_factory=list)
    held_out_replies: list[ReplyRow] = field(default_factory=list)
    transcripts: list[TranscriptRow] = field(default_factory=list)
    left_out: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    overruled: list[tuple[str, str]] = field(default_factory=list)
    split_rule: str = NOTHING_HELD_OUT
    held_out_conversations: frozenset[str] = frozenset()


def select(
    examples: Sequence[Dated[IntentRow]], conversations: Iterable[ConversationRows], options: CurationOptions
) -> Selection:
    """What goes where. The order in which the conversations come does not matter."""
    ordered = sorted(conversations, key=lambda each: (each.started_at, each.id))
    selection = Selection()
    for each in ordered:
        selection.left_out["intents"].update(each.left_out_intents)
        selection.left_out["replies"].update(each.left_out_replies)
    _split(selection, ordered, options)
    _select_intents(selection, examples, ordered, options)
    _select_replies(selection, ordered, options)
    _select_transcripts(selection, ordered, options)
    return selection


def _split(selection: Selection, ordered: Sequence[ConversationRows], options: CurationOptions) -> None:
    judged = [each for each in ordered if each.is_judged]
    window = judged[max(0, len(judged) - round(2 * options.held_out_share * len(judged))) :]
    held_out = frozenset(each.id for each in window[::-1][1::2])
    if held_out:
        selection.held_out_conversations = held_out
        since = f"{window[0].started_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        selection.split_rule = SPLIT_RULE.format(window=len(window), since=since)


# --- Intents --------------------------------------------------------------------------------------


def _select_intents(
    selection: Selection,
    examples: Sequence[Dated[IntentRow]],
    ordered: Sequence[ConversationRows],
    options: CurationOptions,
) -> None:
    left_out = selection.left_out["intents"]
    of_customers = _capped(ordered, lambda each: each.intents, left_out, options)
    standing = _not_overruled([*examples, *of_customers], selection)
    kept: dict[str, set[str]] = defaultdict(set)
    near = NearTexts()
    intents: list[str] = []

    def train(row: IntentRow) -> None:
        selection.train_intents.append(row)
        kept[plain(row.text)].add(row.intent)
        near.add(len(intents), row.text)
        intents.append(row.intent)

    for row, _ in standing:
        if row.origin.conversation in selection.held_out_conversations:
            continue
        if row.intent in kept.get(plain(row.text), ()):
            left_out[LeftOut.REPEAT] += 1
        # What people put into the catalogue is there on purpose, however alike.
        elif row.origin.conversation and any(intents[number] == row.intent for number in near.near(row.text)):
            left_out[LeftOut.NEAR_REPEAT] += 1
        else:
            train(row)
    measured = _Unlike(near)
    for row, _ in standing:
        if row.origin.conversation in selection.held_out_conversations:
            measured.take(row, row.text, selection.held_out_intents, left_out)


def _not_overruled(rows: Sequence[Dated[IntentRow]], selection: Selection) -> list[Dated[IntentRow]]:
    """Of equal texts under several intents those judged last, and by a review sooner than by the catalogue."""
    latest: dict[str, tuple[bool, datetime, IntentRow]] = {}
    for row, judged_at in rows:
        judgement = (bool(row.origin.conversation), judged_at, row)
        known = latest.get(plain(row.text))
        if known is None or judgement[:2] >= known[:2]:
            latest[plain(row.text)] = judgement
    standing = []
    for row, judged_at in rows:
        of = latest[plain(row.text)][2]
        if row.intent == of.intent:
            standing.append((row, judged_at))
        else:
            selection.left_out["intents"][LeftOut.OVERRULED] += 1
            selection.overruled.append((row.id, of.id))
    return standing


# --- Replies --------------------------------------------------------------------------------------


def _select_replies(selection: Selection, ordered: Sequence[ConversationRows], options: CurationOptions) -> None:
    left_out = selection.left_out["replies"]
    of_customers = _capped(ordered, lambda each: each.replies, left_out, options)
    exchanges, questions = NearTexts(), NearTexts()
    known: set[str] = set()
    for row, _ in of_customers:
        if row.origin.conversation in selection.held_out_conversations:
            continue
        exchange = row.text + _EXCHANGE + row.reply
        if plain(exchange) in known:
            left_out[LeftOut.REPEAT] += 1
        elif exchanges.near(exchange):
            left_out[LeftOut.NEAR_REPEAT] += 1
        else:
            number = len(selection.train_replies)
            selection.train_replies.append(row)
            known.add(plain(exchange))
            exchanges.add(number, exchange)
            questions.add(number, row.text)
    measured = _Unlike(questions)
    for row, _ in of_customers:
        if row.origin.conversation in selection.held_out_conversations:
            measured.take(row, row.text, selection.held_out_replies, left_out)


# --- Transcripts ----------------------------------------------------------------------------------


def _select_transcripts(selection: Selection, ordered: Sequence[ConversationRows], options: CurationOptions) -> None:
    left_out = selection.left_out["transcripts"]
    held_out = NearTexts()
    for number, row in enumerate(selection.held_out_replies):
        held_out.add(number, row.text + _EXCHANGE + row.reply)
    taken: Counter[str] = Counter()
    known: set[str] = set()
    by_draw = sorted(ordered, key=lambda each: _draw(each.id, options.seed))
    chosen: dict[str, TranscriptRow] = {}
    for each in by_draw:
        transcript = each.transcript
        if transcript is None:
            left_out[LeftOut.NOTHING_SAID] += 1
            continue
        said = [utterance.text for utterance in transcript.messages]
        whole = plain(_EXCHANGE.join(said))
        if each.id in selection.held_out_conversations:
            left_out[LeftOut.HELD_OUT] += 1
        elif whole in known:
            left_out[LeftOut.REPEAT] += 1
        elif any(held_out.near(one + _EXCHANGE + next_one) for one, next_one in pairwise(said)):
            left_out[LeftOut.LIKE_HELD_OUT] += 1
        elif taken[each.visitor] >= options.per_visitor:
            left_out[LeftOut.OVER_CAP] += 1
        else:
            known.add(whole)
            taken[each.visitor] += 1
            chosen[each.id] = transcript
    selection.transcripts = [chosen[each.id] for each in ordered if each.id in chosen]


# --- What they share ------------------------------------------------------------------------------


class _Unlike:
    """Takes rows to measure on that are unlike what is trained on, and each of them once."""

    def __init__(self, trained_on: NearTexts) -> None:
        self._trained_on = trained_on
        self._taken = NearTexts()
        self._count = 0

    def take(self, row: Row, text: str, into: list[Row], left_out: Counter[str]) -> None:
        if self._trained_on.near(text):
            left_out[LeftOut.IN_TRAINING] += 1
        elif self._taken.near(text):
            left_out[LeftOut.NEAR_REPEAT] += 1
        else:
            self._taken.add(self._count, text)
            self._count += 1
            into.append(row)


def _capped(
    ordered: Sequence[ConversationRows],
    rows_of: Callable[[ConversationRows], Sequence[Dated[Row]]],
    left_out: Counter[str],
    options: CurationOptions,
) -> list[Dated[Row]]:
    """All rows in order, of each customer no more than allowed. Which ones is drawn, not the newest or the loudest."""
    of_visitor: dict[str, list[str]] = defaultdict(list)
    for each in ordered:
        of_visitor[each.visitor] += (row.id for row, _ in rows_of(each))
    kept: set[str] = set()
    for ids in of_visitor.values():
        kept.update(sorted(ids, key=lambda pk: _draw(pk, options.seed))[: options.per_visitor])
        left_out[LeftOut.OVER_CAP] += max(0, len(ids) - options.per_visitor)
    return [dated for each in ordered for dated in rows_of(each) if dated[0].id in kept]


def _draw(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()
