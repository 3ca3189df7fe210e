"""What a turn keeps of a prediction, for reviewers and for training."""

from __future__ import annotations

from typing import Any

from chatbot.inference.predictions import Prediction

RANKING_KEPT = 5


def record_of(prediction: Prediction) -> dict[str, Any]:
    """For `Turn.prediction`: the head of the ranking, best first, and what decided whether it is out of scope."""
    return {
        "ranking": [[ranked.intent, round(ranked.confidence, 4)] for ranked in prediction.ranking[:RANKING_KEPT]],
        "out_of_scope_score": round(prediction.out_of_scope_score, 4),
        "threshold": round(prediction.threshold, 4),
    }
