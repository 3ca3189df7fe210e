"""What is said about a dataset: how much is in which file, for which intent, and what was left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from chatbot.training.curation.selection import Selection
from chatbot.training.dataset_rows import IntentRow, ReplyRow

# More of them are counted, not named.
_OVERRULED_NAMED = 100


def dataset_report(selection: Selection, *, looked_at: int, redacted: Counter[str]) -> dict[str, Any]:
    """The part of a manifest that people read, without any row's words.

    `per_intent` lists every intent, the empty one being out of scope, with its rows from the catalogue and from
    conversations; `overruled` pairs rows that were left out with those that say otherwise.
    """
    return {
        "counts": {
            "intents": {"train": len(selection.train_intents), "held_out": len(selection.held_out_intents)},
            "replies": {"train": len(selection.train_replies), "held_out": len(selection.held_out_replies)},
            "transcripts": {"train": len(selection.transcripts)},
            "conversations": {"looked_at": looked_at, "held_out": len(selection.held_out_conversations)},
        },
        "per_intent": rows_by_intent(
            selection.train_intents, selection.held_out_intents, selection.train_replies, selection.held_out_replies
        ),
        "left_out": {
            file: {str(reason): count for reason, count in sorted(reasons.items(), key=_commonest_first) if count}
            for file, reasons in sorted(selection.left_out.items())
        },
        "overruled": [list(pair) for pair in selection.overruled[:_OVERRULED_NAMED]],
        "redacted": dict(sorted(redacted.items(), key=_commonest_first)),
        "split_rule": selection.split_rule,
    }


def rows_by_intent(
    train_intents: Sequence[IntentRow],
    held_out_intents: Sequence[IntentRow],
    train_replies: Sequence[ReplyRow],
    held_out_replies: Sequence[ReplyRow],
) -> list[dict[str, Any]]:
    """Every intent with its rows from the catalogue and from conversations, to train on and held out."""
    examples = Counter(row.intent for row in train_intents if not row.origin.conversation)
    reviewed = Counter(row.intent for row in train_intents if row.origin.conversation)
    held_out = Counter(row.intent for row in held_out_intents)
    replies = Counter(row.intent for row in train_replies)
    held_out_reply_rows = Counter(row.intent for row in held_out_replies)
    return [
        {
            "intent": intent,
            "examples": examples[intent],
            "reviewed": reviewed[intent],
            "held_out": held_out[intent],
            "replies": replies[intent],
            "held_out_replies": held_out_reply_rows[intent],
        }
        for intent in sorted({*examples, *reviewed, *held_out, *replies, *held_out_reply_rows})
    ]


def _commonest_first(counted: tuple[str, int]) -> tuple[int, str]:
    return -counted[1], counted[0]
