"""Names that nothing introduces, by Microsoft's Presidio: an extra that is not installed by default.

    pip install presidio-analyzer && python -m spacy download en_core_web_lg

It loads a language model of its own and is far slower than patterns.
"""

from __future__ import annotations

from collections.abc import Iterator

from chatbot.exceptions import DatasetError
from chatbot.inference.language import detect_language
from chatbot.training.redaction import Detector, Kind, Span

# What patterns cannot tell by themselves. Its other recognisers find what ours do, with more that is none.
_ENTITIES = {
    "PERSON": Kind.NAME,
    "US_SSN": Kind.IDENTITY,
    "US_DRIVER_LICENSE": Kind.IDENTITY,
    "MEDICAL_LICENSE": Kind.IDENTITY,
}
_SURE_ENOUGH = 0.6


def presidio_detector() -> Detector:
    """A detector for `Redactor`. Raises DatasetError where Presidio or its model is not installed."""
    try:
        from presidio_analyzer import AnalyzerEngine
    except ImportError as error:
        raise DatasetError(
            "REDACTION_PRESIDIO is on, but Presidio is not installed. Install it with: pip install presidio-analyzer"
        ) from error
    try:
        engine = AnalyzerEngine()
    except (OSError, ValueError, SystemExit) as error:  # spaCy ends the process where it cannot fetch its model
        raise DatasetError(f"Presidio cannot be started: {error}.") from error
    languages = set(engine.supported_languages)

    def detect(text: str) -> Iterator[Span]:
        language = detect_language(text)
        found = engine.analyze(
            text=text,
            language=language if language in languages else "en",
            entities=list(_ENTITIES),
            score_threshold=_SURE_ENOUGH,
        )
        for result in found:
            yield Span(result.start, result.end, _ENTITIES[result.entity_type])

    return detect
