"""How long a training will take and how much memory: from the last one of its kind, else from what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from chatbot.intents.selectors import catalogue_size
from chatbot.training.models import TrainingRun
from chatbot.training.selectors import usual_duration
from chatbot.training.trainers.full import FEW_SHOT, MANY
from chatbot.training.trainers.rows import FEW_EXAMPLES

# Of tuning the default encoder on two cores without bfloat16, a text and pass (docs/benchmarks.md: CLINC150 `full`
# takes a third of it with bfloat16). A stranger machine is told what the slow one takes.
_TUNING_S_PER_TEXT = 0.016
_FAST_S = 5.0
# The interpreter with its libraries; a weight of the default encoder while it is tuned takes 16 bytes.
_MEMORY_MIB = {"fast": 700, "full": 1600}


@dataclass(frozen=True, slots=True)
class Estimate:
    """`is_measured` says that a run like it has been made here before."""

    duration: timedelta
    memory_mib: int
    is_measured: bool


def estimate_classifier(preset: str) -> Estimate:
    """For the catalogue as it is now."""
    before = usual_duration(TrainingRun.Kind.CLASSIFIER, preset)
    return Estimate(before or _unmeasured(preset), _MEMORY_MIB[preset], before is not None)


def _unmeasured(preset: str) -> timedelta:
    if preset == "fast":
        return timedelta(seconds=_FAST_S)
    examples, intents = catalogue_size()
    recipe = FEW_SHOT if intents and examples / intents <= FEW_EXAMPLES else MANY
    passes = recipe.epochs + recipe.finishing_epochs
    return timedelta(seconds=_FAST_S + _TUNING_S_PER_TEXT * examples * passes)
