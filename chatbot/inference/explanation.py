"""Why the classifier took a text for what it took it for: word by word, and by the examples nearest to it.

A word's weight is the mean of two differences in the log-odds of the best intent: what the text loses without the word,
and what the word alone brings to an empty text (in a long text the second alone, whose passes are short). They are the
two ends of the word's Shapley value (Shapley 1953; used so by Štrumbelj and Kononenko 2010): exact where words do not
interact. What the weights leave unexplained is given as `gap`, as integrated gradients give their convergence delta. It
takes forward passes alone, so it runs where the classifier is served, without torch; how well it agrees with integrated
gradients is measured by `tests/benchmarks/bench_explanation.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chatbot.inference.predictions import Prediction
from chatbot.inference.references import Neighbour, References
from chatbot.inference.text_classifier import TextClassifier

NEIGHBOURS = 5
# All passes together must end within half a second on one core, with two encoders: the passes without a stretch read at
# most so many characters in all. Where that leaves fewer stretches than a sentence has parts, they are left out.
_MOST_STRETCHES = 20
_CHARACTERS_IN_ALL = 2500
_FEWEST_STRETCHES = 5
# A blank-delimited word with the punctuation that touches it, or one character of a script that has no blanks.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")


@dataclass(frozen=True, slots=True)
class Stretch:
    """`text[start:end]`, mostly a word, and its weight for the intent (negative: against it), in log-odds."""

    start: int
    end: int
    weight: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A prediction, what each stretch of the text weighs in it, and the training examples nearest to it.

    `log_odds` are the best intent's for the text, `empty_log_odds` for an empty text: the weights and `gap` sum to the
    difference. `neighbours` is None where the release kept no examples.
    """

    prediction: Prediction
    stretches: tuple[Stretch, ...]
    log_odds: float
    empty_log_odds: float
    gap: float
    neighbours: tuple[Neighbour, ...] | None


def explain(classifier: TextClassifier, text: str, references: References | None = None) -> Explanation:
    """Explain the classifier's prediction for `text`. Up to some forty short forward passes."""
    affordable = _CHARACTERS_IN_ALL // max(1, len(text))
    is_long = affordable < _FEWEST_STRETCHES
    spans = _stretches(text, _MOST_STRETCHES if is_long else min(_MOST_STRETCHES, affordable))
    alone = [text[start:end] for start, end in spans]
    without = [] if is_long else [text[:start] + text[end:] for start, end in spans]
    features = classifier.features([text, "", *alone, *without])
    [prediction] = classifier.head.predict(features[:1])
    best = classifier.intents.index(prediction.best.intent)
    odds = _log_odds(classifier.head.logits(features) / classifier.head.temperature, best)
    full, empty = float(odds[0]), float(odds[1])
    brought = odds[2 : 2 + len(spans)] - empty
    weights = brought if is_long else (brought + full - odds[2 + len(spans) :]) / 2
    return Explanation(
        prediction=prediction,
        stretches=tuple(
            Stretch(start, end, float(weight)) for (start, end), weight in zip(spans, weights, strict=True)
        ),
        log_odds=full,
        empty_log_odds=empty,
        gap=full - empty - float(weights.sum()),
        neighbours=None
        if references is None
        else tuple(references.nearest(features[0], classifier.intents, NEIGHBOURS)),
    )


def _stretches(text: str, most: int) -> list[tuple[int, int]]:
    """The words' places; where there are more than `most`, neighbouring words share a stretch."""
    words = [match.span() for match in _WORD.finditer(text)]
    if not words:
        return []
    groups = np.array_split(np.arange(len(words)), min(most, len(words)))
    return [(words[group[0]][0], words[group[-1]][1]) for group in groups]


def _log_odds(logits: NDArray[np.float64], intent: int) -> NDArray[np.float64]:
    """The intent's logit less the log-sum-exp of the others: log p / (1 − p), without saturating."""
    others = np.delete(logits, intent, axis=1)
    highest = others.max(axis=1)
    odds: NDArray[np.float64] = logits[:, intent] - highest - np.log(np.exp(others - highest[:, None]).sum(axis=1))
    return odds
