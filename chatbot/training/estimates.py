"""About how long a training takes and how much memory: by what earlier ones took here, else by what was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from chatbot.intents.selectors import catalogue_size
from chatbot.training.models import Dataset, TrainingRun
from chatbot.training.selectors import approved_replies, duration, finished_runs, rows_in
from chatbot.training.trainers.full import FEW_SHOT, MANY
from chatbot.training.trainers.generator_recipe import GeneratorRecipe
from chatbot.training.trainers.rows import FEW_EXAMPLES

# Of tuning the default encoder on two cores without bfloat16, a text and pass (docs/benchmarks.md: CLINC150 `full`
# takes a third of it with bfloat16). A stranger machine is told what the slow one takes.
_TUNING_S_PER_TEXT = 0.016
_FAST_S = 5.0
# The interpreter with its libraries; a weight of the default encoder while it is tuned takes 16 bytes.
_MEMORY_MIB = {"fast": 700, "full": 1600}

# Of the default generator, its upper half tuned on one core (docs/log.md, “The generator's recipe”: 65,536 tokens of
# rows in 119 s).
_TOKENS_PER_S = 550.0
# Freezing, loading, merging, writing and checking it.
_AROUND_S = 60.0
# The default generator's peak on the demo shop's replies: its weights in float32, what a pass of 1,024 tokens keeps,
# and the interpreter with its libraries.
_GENERATOR_MEMORY_MIB = 2200
# A row's bytes hold little but its text. Counted on the demo shop's: 14,525 tokens in 63,803 bytes.
_TOKENS_PER_BYTE = 0.23
_TOKENS_PER_ROW = 190
# A look needs no backward pass.
_LOOK_COST = 0.4
# Seldom is more held out than a fifth.
_HELD_OUT_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Estimate:
    """`is_measured` says that a run like it has been made here before."""

    duration: timedelta
    memory_mib: int
    is_measured: bool


def estimate_classifier(preset: str) -> Estimate:
    """For the catalogue as it is now; what reviewers add to it is little beside it."""
    last = finished_runs(TrainingRun.Kind.CLASSIFIER, preset).first()
    before = duration(last) if last else None
    memory = last.result.get("peak_memory_mib") if last else None
    return Estimate(before or _unmeasured(preset), memory or _MEMORY_MIB[preset], before is not None)


def estimate_generator(recipe: GeneratorRecipe, dataset: Dataset | None, *, adapt: bool = False) -> Estimate:
    """For a dataset, or without one for what a freeze would hold now."""
    last = finished_runs(TrainingRun.Kind.GENERATOR).first()
    speed = (last.result.get("tokens_per_s") if last else None) or _TOKENS_PER_S
    tokens, held_out, transcripts = _tokens(dataset)
    trained = min(tokens * recipe.epochs, (recipe.max_steps or math.inf) * recipe.step_tokens)
    watched = min(held_out, recipe.most_watched * _TOKENS_PER_ROW)
    looked = 2 * held_out + recipe.looks * watched
    if adapt:
        trained += min(transcripts, (recipe.max_steps or math.inf) * recipe.step_tokens)
        looked *= 2
    seconds = _around(last) + (trained + _LOOK_COST * looked) / speed
    memory = (last.result.get("peak_memory_mib") if last else None) or _GENERATOR_MEMORY_MIB
    return Estimate(timedelta(seconds=seconds), memory, last is not None)


def _tokens(dataset: Dataset | None) -> tuple[float, float, float]:
    """About how many there are to learn from, held out, and in whole conversations."""
    if dataset is None:
        replies = approved_replies() * _TOKENS_PER_ROW
        return replies, replies * _HELD_OUT_SHARE, replies
    files = dataset.manifest["files"]
    names = ("replies.train.jsonl", "replies.held-out.jsonl", "transcripts.train.jsonl")
    tokens, held_out, transcripts = (files[name]["size"] * _TOKENS_PER_BYTE for name in names)
    # Without any, the trainer holds some out by itself.
    held_out = held_out if rows_in(dataset, names[1]) else tokens * _HELD_OUT_SHARE
    return tokens, held_out, transcripts


def _around(last: TrainingRun | None) -> float:
    """What the last training spent on all but its steps and looks, in seconds."""
    took = duration(last) if last else None
    if last is None or took is None or not last.result.get("tokens"):
        return _AROUND_S
    stepping = last.result["tokens"] / last.result["tokens_per_s"]
    return max(_FAST_S, took.total_seconds() - stepping)


def _unmeasured(preset: str) -> timedelta:
    if preset == "fast":
        return timedelta(seconds=_FAST_S)
    examples, intents = catalogue_size()
    recipe = FEW_SHOT if intents and examples / intents <= FEW_EXAMPLES else MANY
    passes = recipe.epochs + recipe.finishing_epochs
    return timedelta(seconds=_FAST_S + _TUNING_S_PER_TEXT * examples * passes)
