"""A second opinion on whether a passage supports a sentence, so that the guard is not graded by its own rules.

It shares no code with `chatbot.inference.groundedness`: words are compared as they are written, numbers and addresses
are read by patterns of its own, and what the words don't tell the sentence encoder may. How much each of these counts
is fitted, by logistic regression, to sentences that a person labelled (`tests/inference/groundedness_pairs.yaml`); the
threshold is the one that nine in ten of the supported ones there pass. A number or address that is not in the passage
is never supported. Alone it lets much pass that is made up, for overlap does not see a swapped price; a sentence that
both it and the guard's judge find supported is made up one time in ten (`python -m tests.benchmarks.groundedness
--pairs`).

Features after Laban et al. 2022 (SummaC: the best of the source's windows of one and two sentences) and Lin 2004
(ROUGE-L, here its precision).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from sacrebleu.metrics.chrf import CHRF
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from chatbot.inference.encoder import Encoder

PAIRS = Path(__file__).resolve().parents[1] / "inference" / "groundedness_pairs.yaml"
# Of the supported sentences, those that may be missed.
_MISSED = 0.1

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[^a-z])|\n+|(?<=[。！？])")
_WORD = re.compile(r"[^\W_]+")
_ADDRESS = re.compile(
    r"[\w.+-]+@[\w.-]+\w|(?:https?://|www\.)\S+\w|\b[\w-]+(?:\.[\w-]+)*\.(?:example|com|org|net)\b(?:/[\w/-]*\w)?"
)
_FIGURE = re.compile(r"\d+(?:[.,:]\d+)*")
_DENIALS = re.compile(
    r"\b(?:not|no|never|cannot|neither|nor|without|nothing|nicht|kein\w*)\b|n't|[不没未]|\b(?:لا|لم|لن)\b", re.I
)
_SPELLED = {
    word: str(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()  # noqa: SIM905
    )
    if value > 1
} | {
    "twenty": "20",
    "thirty": "30",
    "forty": "40",
    "fifty": "50",
    "ninety": "90",
    "noon": "12",
    "once": "1",
    "twice": "2",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A sentence, the passage it should rest on, and what a person says. `tuned`: the guard's rules were made on it."""

    sentence: str
    title: str
    passage: str
    question: str
    supported: bool
    tuned: bool


@dataclass(frozen=True, slots=True)
class Opinion:
    """`figures` and `addresses` are those of the sentence that the passage lacks."""

    supported: bool
    probability: float
    figures: tuple[str, ...]
    addresses: tuple[str, ...]


def labelled_pairs() -> list[Pair]:
    """All of them, in the order of the file."""
    articles: list[dict[str, Any]] = yaml.safe_load(PAIRS.read_text(encoding="utf-8"))
    return [
        Pair(
            sentence,
            article["title"],
            article["passage"],
            rest[0]["asked"] if rest else "",
            supported,
            article.get("tuned", False),
        )
        for article in articles
        for sentence, supported, _, *rest in article["pairs"]
    ]


class SupportScorer:
    """Fitted to labelled pairs; `opinions` judges others."""

    def __init__(self, encoder: Encoder, pairs: Sequence[Pair]) -> None:
        self._encoder = encoder
        self._chrf = CHRF()
        labels = np.array([pair.supported for pair in pairs])
        features = self._features([(pair.sentence, pair.passage) for pair in pairs])
        self._model: Pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))
        self._model.fit(features, labels)
        self.threshold = float(np.quantile(self._model.predict_proba(features[labels])[:, 1], _MISSED))

    def opinions(self, sentences: Sequence[tuple[str, str]], known: Sequence[str] = ()) -> list[Opinion]:
        """What it thinks of each (sentence, passage). `known[i]` is other text whose figures may be repeated."""
        if not sentences:
            return []
        probabilities = self._model.predict_proba(self._features(sentences))[:, 1]
        beside = known or [""] * len(sentences)
        return [
            self._opinion(sentence, f"{passage}\n{other}", float(probability))
            for (sentence, passage), other, probability in zip(sentences, beside, probabilities, strict=True)
        ]

    def _opinion(self, sentence: str, source: str, probability: float) -> Opinion:
        figures = tuple(sorted(_figures(sentence) - _figures(source)))
        addresses = tuple(sorted(_addresses(sentence) - _addresses(source)))
        supported = probability > self.threshold and not figures and not addresses
        return Opinion(supported, probability, figures, addresses)

    def _features(self, sentences: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        windows = [_windows(passage) for _, passage in sentences]
        texts = list(
            dict.fromkeys([*(sentence for sentence, _ in sentences), *(one for all_of in windows for one in all_of)])
        )
        place = {text: index for index, text in enumerate(texts)}
        vectors = self._encoder.encode(texts)
        rows = []
        for (sentence, passage), candidates in zip(sentences, windows, strict=True):
            cosines = vectors[[place[one] for one in candidates]] @ vectors[place[sentence]]
            best = candidates[int(cosines.argmax())]
            rows.append(
                (
                    float(cosines.max()),
                    max(_in_order(sentence, one) for one in candidates),
                    _known_words(sentence, passage),
                    self._chrf.sentence_score(sentence, [best]).score / 100,
                    float(len(_DENIALS.findall(sentence)) % 2 != len(_DENIALS.findall(best)) % 2),
                    float(bool(_figures(sentence) - _figures(passage) or _addresses(sentence) - _addresses(passage))),
                )
            )
        return np.array(rows)


def _windows(passage: str) -> list[str]:
    sentences = [one.strip() for one in _SENTENCE.split(passage) if one.strip()] or [passage]
    return sentences + [f"{one} {other}" for one, other in pairwise(sentences)]


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _in_order(sentence: str, source: str) -> float:
    """ROUGE-L's precision: the share of the sentence's words that the source has in the same order."""
    mine, theirs = _words(sentence), _words(source)
    lengths = np.zeros(len(theirs) + 1, dtype=np.int64)
    for word in mine:
        diagonal = 0
        for index, other in enumerate(theirs, start=1):
            above = lengths[index]
            lengths[index] = diagonal + 1 if word == other else max(above, lengths[index - 1])
            diagonal = above
    return float(lengths[-1]) / max(len(mine), 1)


def _known_words(sentence: str, source: str) -> float:
    mine = {word for word in _words(sentence) if len(word) > 3}
    return len(mine & set(_words(source))) / len(mine) if mine else 1.0


def _addresses(text: str) -> set[str]:
    return {match[0].casefold().removeprefix("https://").removeprefix("www.") for match in _ADDRESS.finditer(text)}


def _figures(text: str) -> set[str]:
    """Numbers in digits, whatever the separators, with hours as on a clock of twelve and of twenty-four."""
    plain = _ADDRESS.sub(" ", "".join(str(int(one)) if one.isdecimal() else one for one in text))
    found = {_figure(one) for one in _FIGURE.findall(plain)}
    found |= {_SPELLED[word] for word in _words(plain) if word in _SPELLED}
    for hour, half in re.findall(r"\b(\d{1,2})(?::00)? ?([ap])\.?m", plain, re.I):
        found.add(str(int(hour) % 12 + (12 if half.lower() == "p" else 0)))
        found.add(hour)
    for hour in re.findall(r"\b([01]?\d|2[0-4]):00", plain):
        found |= {str(int(hour)), str(int(hour) % 12 or 12)}
    return found


def _figure(written: str) -> str:
    number = written.replace(",", ".")
    if re.fullmatch(r"\d{1,2}:00", number):
        return str(int(number[:-3]))
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+", number):
        return number.replace(".", "")
    return re.sub(r"\.0+$", "", number)
