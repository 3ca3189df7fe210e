"""Warming: the engine has read what replies begin with before a customer asks, and never at a customer's cost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from chatbot.conversations.leases import Leases
from chatbot.conversations.warmup import Warmup, likely_prompts
from chatbot.inference.prompt import Prompt
from chatbot.intents.models import Intent
from chatbot.releases.runtime import ServedModels

# The models, and an engine with a tiny model.
from .test_replies import Customer, OneSnapshot, customer, engine, models  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_S = 20


@pytest.fixture
def leases() -> Leases:
    return Leases("worker", beat=lambda: None)


@pytest.fixture
def warmup(models: ServedModels, leases: Leases) -> Iterator[Warmup]:  # noqa: F811
    warmup = Warmup(OneSnapshot(models), leases)  # type: ignore[arg-type]
    yield warmup
    warmup.close()


@pytest.fixture
def submitted(models: ServedModels, monkeypatch: pytest.MonkeyPatch) -> list[Prompt]:  # noqa: F811
    """The prompts that the engine was given, in order; it still answers them."""
    prompts: list[Prompt] = []
    submit = models.engine.submit

    def listen(prompt: Prompt, sampling: Any) -> Any:
        prompts.append(prompt)
        return submit(prompt, sampling)

    monkeypatch.setattr(models.engine, "submit", listen)
    return prompts


def test_what_is_read_is_what_the_intents_own_question_is_answered_from(
    customer: Customer,  # noqa: F811
    warmup: Warmup,
    submitted: list[Prompt],
) -> None:
    warmup.begin()
    warmup.wait(PATIENCE_S)
    assert len(submitted) == 1, "the other intents are not written by the model"
    customer.ask("How can I cancel?")
    assert submitted[1].token_ids == submitted[0].token_ids


def test_nothing_is_read_while_a_turn_runs_and_all_of_it_afterwards(
    customer: Customer,  # noqa: F811
    leases: Leases,
    warmup: Warmup,
    submitted: list[Prompt],
) -> None:
    turn = customer.claim("cancel")
    with leases.hold(turn):
        warmup.begin()
        warmup.wait(0.2)
        assert submitted == []
    warmup.wait(PATIENCE_S)
    assert len(submitted) == 1


def test_a_turn_that_begins_stops_what_is_being_read_and_it_is_read_again(
    customer: Customer,  # noqa: F811
    leases: Leases,
    warmup: Warmup,
    submitted: list[Prompt],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turn, submit = customer.claim("cancel"), customer.models.engine.submit
    about_to, began, done = threading.Event(), threading.Event(), threading.Event()

    def submit_as_a_turn_begins(prompt: Prompt, sampling: Any) -> Any:
        if not submitted:
            about_to.set()
            assert began.wait(PATIENCE_S)
        generation = submit(prompt, sampling)
        done.set()
        return generation

    monkeypatch.setattr(customer.models.engine, "submit", submit_as_a_turn_begins)
    warmup.begin()
    assert about_to.wait(PATIENCE_S)
    with leases.hold(turn):
        began.set()
        assert done.wait(PATIENCE_S)
        warmup.wait(0.2)
        assert len(submitted) == 1
    warmup.wait(PATIENCE_S)
    assert len(submitted) == 2


def test_a_worker_that_was_closed_or_serves_other_models_reads_no_more(
    models: ServedModels,  # noqa: F811
    warmup: Warmup,
    submitted: list[Prompt],
) -> None:
    warmup.close()
    warmup.begin()
    warmup.wait(PATIENCE_S)
    assert submitted == []


def test_a_large_catalogue_is_not_read_whole(
    models: ServedModels,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chatbot.conversations.warmup.PROMPTS_AT_MOST", 2)
    for number in range(3):
        Intent.objects.create(slug=f"cancel-{number}", name=f"How to cancel {number}")
    assert len(list(likely_prompts(models))) == 2


def test_an_engine_that_is_gone_costs_a_line(
    models: ServedModels,  # noqa: F811
    warmup: Warmup,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from chatbot.exceptions import EngineClosed

    def submit(*_: Any) -> Any:
        raise EngineClosed("the engine was closed")

    monkeypatch.setattr(models.engine, "submit", submit)
    with caplog.at_level("INFO"):
        warmup.begin()
        warmup.wait(PATIENCE_S)
    assert "was not warmed further: the engine was closed" in caplog.text
