"""Stages of a training: every message belongs to one, and the bar never runs backwards."""

from __future__ import annotations

import pytest

from chatbot.training.models import TrainingRun
from chatbot.training.stages import overall_share, stages_of, states_of

Kind, Status = TrainingRun.Kind, TrainingRun.Status

# As a generator that is frozen for and adapted first says it.
SAID: tuple[tuple[str, float | None], ...] = (
    ("Freezing: reading the catalogue", None),
    ("Freezing: redacting: 50 of 100 conversations", 0.4),
    ("Freezing: writing the files", 0.95),
    ("Reading: dataset-0001", 0.0),
    ("Adapting: measuring the loss before", 0.0),
    ("Adapting: step 2 of 4, loss 2.000, 500 tokens/s", 0.15),
    ("Adapting: measuring the loss after", 0.3),
    ("Training: measuring the loss before", 0.3),
    ("Training: step 2 of 4, loss 1.500, 500 tokens/s", 0.65),
    ("Training: measuring the loss after", 1.0),
    ("Writing: the merged weights and the GGUF file", None),
    ("Checking: what is served beside what was trained", None),
)


def running(kind: str, message: str, **parameters: bool) -> TrainingRun:
    return TrainingRun(kind=kind, status=Status.RUNNING, message=message, parameters=parameters)


def test_a_generator_passes_through_its_stages_in_order_and_the_bar_only_grows() -> None:
    stages = stages_of(running(Kind.GENERATOR, "", freeze=True, adapt=True))
    shares = [overall_share(stages, message, share) for message, share in SAID]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] < 1.0
    current = []
    for message, _ in SAID:
        states = states_of(running(Kind.GENERATOR, message, freeze=True, adapt=True))
        current += [each.name for each in states if each.state == "current" and each.name not in current]
    assert current == [stage.name for stage in stages]


def test_what_was_not_asked_for_is_no_stage() -> None:
    assert [stage.name for stage in stages_of(running(Kind.GENERATOR, ""))] == [
        "Reading",
        "Training",
        "Writing",
        "Checking",
    ]
    assert states_of(running(Kind.EVALUATION, "Loading")) == []
    assert states_of(TrainingRun(kind=Kind.GENERATOR, status=Status.QUEUED)) == []


@pytest.mark.parametrize(
    ("message", "stage"),
    [
        ("Starting", "Freezing"),
        ("Embedding the examples", "Training"),
        ("Tuning: epoch 1 of 5, loss 0.500", "Training"),
        ("Writing the release", "Writing"),
        ("Checking that it can be served", "Checking"),
    ],
)
def test_what_the_trainers_of_classifiers_say_belongs_to_a_stage(message: str, stage: str) -> None:
    states = states_of(running(Kind.CLASSIFIER, message, freeze=True))
    assert [each.name for each in states if each.state == "current"] == [stage]
