"""Presidio, where it is installed: what is asked of it, and what is said where it is not."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from chatbot.exceptions import DatasetError
from chatbot.training.redaction import Redactor
from chatbot.training.redaction.presidio import presidio_detector


class AnalyzerEngine:
    """Answers as Presidio's does, and knows one person."""

    supported_languages = ("en",)

    def analyze(self, *, text: str, language: str, entities: list[str], score_threshold: float) -> list[Any]:
        assert language in self.supported_languages
        assert "PERSON" in entities
        start = text.find("Zebediah")
        found = SimpleNamespace(entity_type="PERSON", start=start, end=start + 8, score=0.85)
        return [found] if start >= 0 and found.score >= score_threshold else []


def test_its_persons_become_names(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("presidio_analyzer")
    module.AnalyzerEngine = AnalyzerEngine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "presidio_analyzer", module)
    redactor = Redactor(detector=presidio_detector())
    assert redactor.redact_text("so Zebediah said, mail z@x.example") == "so [name] said, mail [email]"
    assert redactor.redact_text("Guten Tag, wo bleibt Zebediah mit meinem Paket?") == (
        "Guten Tag, wo bleibt [name] mit meinem Paket?"
    )


def test_without_it_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(DatasetError, match="pip install presidio-analyzer"):
        presidio_detector()
