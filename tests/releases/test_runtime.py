"""What a worker serves: snapshots that outlive a promotion, and failures that change nothing."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError
from pytest_django import Settings

from chatbot.exceptions import ClassifierError, InvalidArtifact, ModelFilesError, ReleaseError
from chatbot.inference.prompt import Utterance
from chatbot.inference.sampling import SamplingParams
from chatbot.releases import runtime as runtime_module
from chatbot.releases.artifacts import new_release_folder
from chatbot.releases.models import Kind, Release
from chatbot.releases.remote import named_by_settings
from chatbot.releases.runtime import Runtime
from chatbot.releases.selectors import release_directory
from chatbot.releases.services import promote_release, register_release, store_release
from tests.inference.scripted_server import ScriptedServer, reply
from tests.releases.shelf import store_classifier

# Loading happens in a thread with a connection of its own, which sees only what is committed.
pytestmark = [pytest.mark.django_db(transaction=True)]
WAIT_S = 20


class RecordedEngine:
    """Stands where an engine stands; remembers whether it was closed."""

    name = "recorded"
    alive = True

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[RecordedEngine]:
    """The engines loaded so far."""
    loaded: list[RecordedEngine] = []

    def load_engine(*, model_dir: Path, **_: Any) -> RecordedEngine:
        loaded.append(RecordedEngine(model_dir))
        return loaded[-1]

    monkeypatch.setattr("chatbot.inference.engines.load_engine", load_engine)
    monkeypatch.setattr(runtime_module, "POLL_INTERVAL_S", 0.0)
    return loaded


def store_generator(shelf: Path, name: str) -> Release:
    folder = shelf / name
    with new_release_folder(folder, kind="generator", base="tiny") as draft:
        (draft / "model.safetensors").write_bytes(name.encode())
    return register_release(kind=Kind.GENERATOR, directory=folder, name=name)


@pytest.fixture
def served(shelf: Path, engines: list[RecordedEngine]) -> Any:
    promote_release(release=store_classifier(), reason="first")
    promote_release(release=store_generator(shelf, "generator-0001"), reason="first")
    runtime = Runtime.load()
    yield runtime
    runtime.close()


def follow(runtime: Runtime) -> bool:
    """Look for promotions and wait until they are served."""
    runtime.refresh()
    runtime.wait(WAIT_S)
    return runtime.refresh()


def test_load_serves_what_is_current(served: Runtime) -> None:
    models = served.models()
    assert models.classifier_release.name == "classifier-0001"
    assert models.generator_release.name == "generator-0001"
    assert models.classifier.predict(["cancel my order"])[0].best.intent == "cancel_order"
    assert not follow(served)


def test_a_new_classifier_is_swapped_in_and_the_engine_stays(served: Runtime, engines: list[RecordedEngine]) -> None:
    before = served.models()
    promote_release(release=store_classifier(), reason="better")
    assert follow(served)
    after = served.models()
    assert (before.classifier_release.name, after.classifier_release.name) == ("classifier-0001", "classifier-0002")
    assert after.engine is before.engine
    del before
    gc.collect()
    served.refresh()
    assert len(engines) == 1
    assert not engines[0].closed.is_set()


def test_the_old_engine_lives_until_the_last_turn_has_ended(
    served: Runtime, engines: list[RecordedEngine], shelf: Path
) -> None:
    turn = served.models()
    promote_release(release=store_generator(shelf, "generator-0002"), reason="better")
    assert follow(served)
    assert served.models().generator_release.name == "generator-0002"
    assert id(turn.engine) == id(engines[0])
    assert not engines[0].closed.is_set()
    del turn
    gc.collect()
    served.refresh()
    assert engines[0].closed.wait(WAIT_S)
    assert not engines[1].closed.is_set()


def test_a_servers_model_is_reached_over_its_settings(shelf: Path, settings: Settings) -> None:
    settings.ENGINE, settings.OPENAI_MODEL, settings.OPENAI_API_KEY = "openai", "shop-7b", "sk-1"
    promote_release(release=store_classifier(), reason="first")
    with ScriptedServer(reply("From afar.")).running() as server:
        settings.OPENAI_BASE_URL = server.base_url
        named = named_by_settings()
        far = store_release(kind=Kind.GENERATOR, write=lambda _: None, base="shop-7b", configuration=named)
        promote_release(release=far, reason="first")
        runtime = Runtime.load()
        engine = runtime.models().engine
        prompt = engine.prompts.build(system="", guidance="", passages=[], turns=[Utterance("user", "Hello?")])
        assert [chunk.text for chunk in engine.submit(prompt, SamplingParams())] == ["From afar."]
        assert (engine.name, runtime.models().generator_release.name) == ("openai", far.name)
        assert (server.exchanges[0].body["model"], server.exchanges[0].authorization) == ("shop-7b", "Bearer sk-1")
        runtime.close()


@pytest.mark.usefixtures("engines")
def test_models_on_disk_are_not_served_where_the_settings_name_a_server(shelf: Path, settings: Settings) -> None:
    promote_release(release=store_classifier(), reason="first")
    promote_release(release=store_generator(shelf, "generator-0001"), reason="first")
    settings.ENGINE, settings.OPENAI_MODEL, settings.OPENAI_BASE_URL = "openai", "shop-7b", "http://models/v1"
    with pytest.raises(ReleaseError, match=r"serves shop-7b on its server.*prepare_models"):
        Runtime.load()


def test_loading_does_not_hold_up_who_asks(served: Runtime, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_go_on, started = threading.Event(), threading.Event()

    def slow(*, model_dir: Path, **_: Any) -> RecordedEngine:
        started.set()
        assert may_go_on.wait(WAIT_S)
        return RecordedEngine(model_dir)

    monkeypatch.setattr("chatbot.inference.engines.load_engine", slow)
    promote_release(release=store_generator(shelf, "generator-0002"), reason="slow")
    served.refresh()
    assert started.wait(WAIT_S)
    assert not served.refresh()
    assert served.models().generator_release.name == "generator-0001"
    may_go_on.set()
    served.wait(WAIT_S)
    assert served.refresh()
    assert served.models().generator_release.name == "generator-0002"


@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_a_damaged_release_is_reported_once_and_the_old_one_serves_on(
    served: Runtime, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    release = store_classifier()
    promote_release(release=release, reason="better")
    weights = release_directory(release) / "classifier.safetensors"
    content = weights.read_bytes()
    if damage == "flip":
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        weights.unlink()
    for _ in range(5):
        assert not follow(served)
    assert served.models().classifier_release.name == "classifier-0001"
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    assert "classifier.safetensors" in errors[0].getMessage()
    weights.write_bytes(content)
    served._next_poll = time.monotonic()  # the retry interval is over
    assert follow(served)
    assert served.models().classifier_release.name == "classifier-0002"


def test_a_dead_database_changes_nothing(
    served: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise DatabaseError("server closed the connection")

    monkeypatch.setattr(runtime_module, "newest_promotions", fail)
    assert not served.refresh()
    assert "the database does not answer" in caplog.text
    assert served.models().classifier_release.name == "classifier-0001"


def test_refresh_asks_the_database_rarely(
    served: Runtime, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(runtime_module, "POLL_INTERVAL_S", 60.0)
    with django_assert_num_queries(1):
        for _ in range(10):
            served.refresh()


@pytest.mark.usefixtures("engines")
def test_what_is_missing_names_the_command_that_mends_it(shelf: Path) -> None:
    with pytest.raises(ModelFilesError, match=r"no current classifier.*train_classifier"):
        Runtime.load()
    promote_release(release=store_classifier(), reason="first")
    with pytest.raises(ModelFilesError, match=r"no current generator.*prepare_models"):
        Runtime.load()
    generator = store_generator(shelf, "generator-0001")
    promote_release(release=generator, reason="first")
    (release_directory(generator) / "model.safetensors").write_bytes(b"damaged!!!!!!!")
    with pytest.raises(InvalidArtifact, match=r"model\.safetensors.*prepare_models"):
        Runtime.load()


@pytest.mark.usefixtures("engines")
def test_a_classifier_of_another_encoder_is_refused(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    promote_release(release=store_classifier(), reason="first")
    promote_release(release=store_generator(shelf, "generator-0001"), reason="first")

    class OtherEncoder:
        digest = "other"

    monkeypatch.setattr(runtime_module, "load_encoder", OtherEncoder)
    with pytest.raises(ClassifierError, match=r"classifier-0001 was trained with another encoder.*train_classifier"):
        Runtime.load()


def test_close_closes_the_engine(served: Runtime, engines: list[RecordedEngine]) -> None:
    served.close()
    assert engines[0].closed.is_set()
    assert not served.refresh()
