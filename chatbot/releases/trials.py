"""What a release must do before customers meet it: a message classified, a prompt answered.

Checksums say that the files are the ones that were registered; only trying says that they can serve.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from chatbot.exceptions import ReleaseError
from chatbot.inference.prompt import GroundingPassage, Utterance
from chatbot.inference.sampling import SamplingParams

if TYPE_CHECKING:
    from chatbot.inference.engines import Engine
    from chatbot.inference.text_classifier import TextClassifier

# Two that no classifier should find the same, and one that holds nothing.
MESSAGES = ("Hello, can you help me?", "Where is the parcel that I ordered last week?", "")
PASSAGE = GroundingPassage("Opening hours", "The museum is open Tuesday to Sunday from 10:00 to 18:00.")
QUESTION = Utterance("user", "When is the museum open?")
# A loaded machine may be slow; a model that needs longer than this for a few tokens cannot serve.
_SAMPLING = SamplingParams(max_tokens=16, deadline_s=60.0)


def try_classifier(name: str, classifier: TextClassifier) -> None:
    """Have it classify. Raises ReleaseError where what it says cannot be believed."""
    predictions = classifier.predict(MESSAGES)
    for prediction in predictions:
        confidences = [ranked.confidence for ranked in prediction.ranking]
        # Written so that a NaN fails too.
        if not (math.isclose(sum(confidences), 1.0, abs_tol=1e-3) and min(confidences) >= 0.0):
            raise ReleaseError(f"{name} failed its trial: the confidences that it gives are no probabilities.")
        if not math.isfinite(prediction.out_of_scope_score):
            raise ReleaseError(f"{name} failed its trial: how strange a message is to it is no number.")
    first, second, _ = predictions
    if first.ranking == second.ranking and first.out_of_scope_score == second.out_of_scope_score:
        raise ReleaseError(f"{name} failed its trial: it says the same of different messages.")


def try_generator(name: str, engine: Engine) -> None:
    """Have it answer from a passage. Raises ReleaseError where nothing legible comes, EngineError where it breaks."""
    prompt = engine.prompts.build(system="", guidance="", passages=[PASSAGE], turns=[QUESTION])
    with engine.submit(prompt, _SAMPLING) as generation:
        text = "".join(chunk.text for chunk in generation)
    if generation.finish_reason not in ("stop", "length") or not text.strip():
        ended = generation.finish_reason or "nothing"
        raise ReleaseError(f"{name} failed its trial: asked a question, it wrote nothing (it ended with {ended}).")
