"""The stages that a training passes through, told from what it says of itself, and how much of the whole each is.

A message begins with its phase, up to a colon; every phase belongs to one stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from chatbot.training.trainers.generator_recipe import ADAPTATION_SHARE

if TYPE_CHECKING:
    from chatbot.training.models import TrainingRun

State = Literal["done", "current", "waiting"]


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a training. `weight` is its usual part of the time, beside the weights of the others."""

    name: str
    weight: float


FREEZING = Stage("Freezing", 6)
READING = Stage("Reading", 6)
ADAPTING = Stage("Adapting", 70 * ADAPTATION_SHARE)
TRAINING = Stage("Training", 70 * (1 - ADAPTATION_SHARE))
WRITING = Stage("Writing", 6)
CHECKING = Stage("Checking", 8)
# What the trainers of classifiers and `services` say in other words. All else that they say is of the training itself.
_PHASES = {
    "Starting": READING,
    "Writing the release": WRITING,
    "Checking that it can be served": CHECKING,
}


@dataclass(frozen=True, slots=True)
class StageState:
    """Where a run stands with one of its stages."""

    name: str
    state: State


def stages_of(run: TrainingRun) -> tuple[Stage, ...]:
    """What the run passes through, in order; nothing where it makes no release."""
    if run.kind not in run.TRAININGS:
        return ()
    wanted = run.parameters
    freezing = (FREEZING,) if wanted.get("freeze") else ()
    if run.kind == run.Kind.CLASSIFIER:
        return (*freezing, TRAINING, WRITING, CHECKING)
    adapting = (ADAPTING,) if wanted.get("adapt") else ()
    return (*freezing, READING, *adapting, TRAINING, WRITING, CHECKING)


def states_of(run: TrainingRun) -> list[StageState]:
    """Each stage of a run that is under way; nothing before and after."""
    if run.status != run.Status.RUNNING:
        return []
    stages = stages_of(run)
    if not stages:
        return []
    at = _position(stages, run.message)
    return [
        StageState(stage.name, "done" if number < at else "current" if number == at else "waiting")
        for number, stage in enumerate(stages)
    ]


def overall_share(stages: tuple[Stage, ...], message: str, share: float | None) -> float:
    """How much of the whole is done, where `share` is of the stage that the message is of.

    The trainer of generators counts adapting and training together.
    """
    at = _position(stages, message)
    first, last = at, at + 1
    if share is not None and ADAPTING in stages and stages[at] in (ADAPTING, TRAINING):
        first = stages.index(ADAPTING)
        last = first + 2
    weights = [stage.weight for stage in stages]
    return (sum(weights[:first]) + (share or 0.0) * sum(weights[first:last])) / sum(weights)


def _position(stages: tuple[Stage, ...], message: str) -> int:
    phase = message.partition(":")[0]
    for number, stage in enumerate(stages):
        if phase == stage.name or _PHASES.get(phase) == stage:
            return number
    return 0 if phase == "Starting" else stages.index(TRAINING)
