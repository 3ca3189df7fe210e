"""Keeps what the bot says to its sources: `judge` tells, `GroundednessGuard` acts while a reply streams."""

from __future__ import annotations

from chatbot.inference.groundedness.checks import Reason
from chatbot.inference.groundedness.guard import Checked, Fate, GroundednessGuard, Mode
from chatbot.inference.groundedness.judging import Verdict, judge
from chatbot.inference.groundedness.sentences import split_sentences
from chatbot.inference.groundedness.sources import Sources

__all__ = ["Checked", "Fate", "GroundednessGuard", "Mode", "Reason", "Sources", "Verdict", "judge", "split_sentences"]
