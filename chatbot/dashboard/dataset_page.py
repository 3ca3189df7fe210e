"""A dataset, or what one would hold, as its page lays it out. Knows no row's words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chatbot.intents.wording import counted
from chatbot.training.dataset_lines import FEW_ROWS
from chatbot.training.evaluation.gates import GateRules
from chatbot.training.redaction import Kind

SUBJECTS = {"conversations": "Conversations", "intents": "Texts", "replies": "Replies", "transcripts": "Transcripts"}
_WHAT = {
    "intents": ("Texts", "what a customer said and the intent it has"),
    "replies": ("Replies", "a question, its sources and the reply that it should get"),
    "transcripts": ("Transcripts", "whole conversations, for getting used to how people write"),
}
_INTENTS_NAMED = 6


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of row; `held_out` is None where nothing of it is measured on."""

    name: str
    what: str
    train: int
    held_out: int | None


@dataclass(frozen=True, slots=True)
class LeftOutRows:
    subject: str
    reason: str
    count: int


class DatasetPage:
    """Reads a `dataset_report`, such as a manifest is. `rules` are those that candidates are judged by."""

    def __init__(self, report: dict[str, Any], rules: GateRules) -> None:
        self.report = report
        self._rules = rules

    @property
    def parts(self) -> list[Part]:
        counts = self.report["counts"]
        return [
            Part(name, what, counts[key]["train"], counts[key].get("held_out")) for key, (name, what) in _WHAT.items()
        ]

    @property
    def left_out(self) -> list[LeftOutRows]:
        """What is missing and why, the commonest of each subject first."""
        reasons = self.report["left_out"]
        return [
            LeftOutRows(subject, reason, count)
            for key, subject in SUBJECTS.items()
            for reason, count in reasons.get(key, {}).items()
        ]

    @property
    def placeholders(self) -> list[tuple[str, int]]:
        """How many values of each type were taken out of conversations, in the order of the types."""
        redacted = self.report["redacted"]
        return [(kind.value, redacted[kind]) for kind in Kind if kind in redacted]

    @property
    def intents(self) -> list[dict[str, Any]]:
        """One row each, those with least to train on first."""
        rows = [{**entry, "train": entry["examples"] + entry["reviewed"]} for entry in self.report["per_intent"]]
        return sorted(rows, key=lambda row: (row["train"], row["intent"]))

    @cached_property
    def cautions(self) -> list[str]:
        """What stands in the way of a good release, each with what to do about it."""
        counts, wanted = self.report["counts"], self._rules.fewest_rows
        found = []
        short = [
            f"{counted(counts[key]['held_out'], *nouns)} for a {kind}"
            for key, nouns, kind in (
                ("intents", ("text", "texts"), "classifier"),
                ("replies", ("reply", "replies"), "generator"),
            )
            if counts[key]["train"] and counts[key]["held_out"] < wanted
        ]
        if short:
            found.append(
                f"Held out: {' and '.join(short)}. The gate wants at least {wanted} to judge on and holds a candidate "
                "back until there are. Hold out a larger share, or review more conversations."
            )
        few = [row["intent"] or "out of scope" for row in self.intents if row["train"] < FEW_ROWS]
        if few:
            more = f" and {len(few) - _INTENTS_NAMED} more" if len(few) > _INTENTS_NAMED else ""
            found.append(
                f"Fewer than {FEW_ROWS} texts to train on: {', '.join(few[:_INTENTS_NAMED])}{more}. Such intents are "
                "hardly learned; give them examples in the catalogue."
            )
        return found
