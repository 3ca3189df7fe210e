"""Conversations with what reviewers made of them, apart from where they are stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from chatbot.inference.prompt import GroundingPassage
from chatbot.training.curation.left_out import LeftOut


@dataclass(frozen=True, slots=True)
class Said:
    """What one side said; a reply that a reviewer edited, as edited."""

    role: Literal["user", "assistant"]
    text: str
    is_rejected: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """What a review says of the message number `question` of its conversation and of the reply to it.

    `intent` is empty where none fits; `reply` is what should be said. Where one of the two is not for training,
    `intent_unfit` or `reply_unfit` says why.
    """

    turn: str
    question: int
    judged_at: datetime
    intent: str = ""
    intent_unfit: LeftOut | None = None
    reply: str = ""
    reply_unfit: LeftOut | None = None
    passages: tuple[GroundingPassage, ...] = ()
    guidance: str = ""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A conversation that may be trained on, oldest message first; without `judged` nobody has reviewed it."""

    id: str
    visitor: str
    started_at: datetime
    language: str
    said: tuple[Said, ...]
    judged: tuple[Judged, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class CatalogueExample:
    """A training phrase of the catalogue; `intent` is empty where it is out of scope."""

    id: int
    text: str
    intent: str
    created_at: datetime
