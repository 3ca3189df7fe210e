"""What a worker serves: snapshots that outlive a promotion, and failures that change nothing."""

from __future__ import annotations

import gc
import hashlib
import json
import pickle
import re
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
from chatbot.releases.services import promote_release, register_release, rollback, store_release
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
        self.fails = b"bad" in (directory / "model.safetensors").read_bytes()

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[RecordedEngine]:
    """The engines loaded so far."""
    loaded: list[RecordedEngine] = []

    def load_engine(*, model_dir: Path, **_: Any) -> RecordedEngine:
        loaded.append(RecordedEngine(model_dir))
        return loaded[-1]

    def try_generator(name: str, engine: RecordedEngine) -> None:
        if engine.fails:
            raise ReleaseError(f"{name} failed its trial: it wrote nothing.")

    monkeypatch.setattr("chatbot.inference.engines.load_engine", load_engine)
    # What a trial is has tests of its own, with engines that really write.
    monkeypatch.setattr(runtime_module, "try_generator", try_generator)
    monkeypatch.setattr(runtime_module, "POLL_INTERVAL_S", 0.0)
    return loaded


def store_generator(shelf: Path, name: str) -> Release:
    folder = shelf / name
    with new_release_folder(folder, kind="generator", base="tiny") as draft:
        (draft / "model.safetensors").write_bytes(name.encode())
    return register_release(kind=Kind.GENERATOR, directory=folder, name=name)


@pytest.fixture
def served(shelf: Path, engines: list[RecordedEngine], settings: Settings) -> Any:
    settings.PREVIOUS_RELEASE_KEEP_S = 0.0
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
    assert served.notes().refused["classifier"].startswith("classifier-0002: ")
    assert "classifier.safetensors" in served.notes().refused["classifier"]
    weights.write_bytes(content)
    served._next_poll = time.monotonic()  # the retry interval is over
    assert follow(served)
    assert served.models().classifier_release.name == "classifier-0002"
    assert served.notes().refused == {}


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


# --- What fails its trial -------------------------------------------------------------------------


def test_a_generator_that_fails_its_trial_is_closed_and_never_served(
    served: Runtime, engines: list[RecordedEngine], shelf: Path
) -> None:
    promote_release(release=store_generator(shelf, "generator-bad"), reason="looks fine")
    assert not follow(served)
    assert served.models().generator_release.name == "generator-0001"
    assert engines[1].closed.is_set()
    assert not engines[0].closed.is_set()
    refused = served.notes().refused
    assert refused == {"generator": "generator-bad: generator-bad failed its trial: it wrote nothing."}


def test_what_is_wrong_with_one_kind_does_not_hold_up_the_other(served: Runtime, shelf: Path) -> None:
    promote_release(release=store_generator(shelf, "generator-bad"), reason="looks fine")
    promote_release(release=store_classifier(), reason="better")
    assert follow(served)
    assert served.models().classifier_release.name == "classifier-0002"
    assert served.models().generator_release.name == "generator-0001"


def test_what_was_refused_is_forgotten_once_something_else_is_promoted(served: Runtime, shelf: Path) -> None:
    promote_release(release=store_generator(shelf, "generator-bad"), reason="looks fine")
    follow(served)
    promote_release(release=store_generator(shelf, "generator-0002"), reason="really fine")
    served._next_poll = time.monotonic()  # the retry interval is over
    assert follow(served)
    assert served.notes().refused == {}


@pytest.mark.parametrize("plant", ["pickle", "traversal", "link"])
def test_a_tampered_release_is_refused_with_its_reason_and_the_worker_serves_on(
    served: Runtime, shelf: Path, plant: str
) -> None:
    release = store_classifier()
    promote_release(release=release, reason="better")
    directory = release_directory(release)
    if plant == "pickle":
        (directory / "weights.pkl").write_bytes(pickle.dumps({"a": 1}))
        said = r"weights\.pkl.*refused"
    elif plant == "traversal":
        manifest = json.loads((directory / "manifest.json").read_text())
        manifest["files"]["../../secret_key"] = {"size": 1, "sha256": "00"}
        (directory / "manifest.json").write_text(json.dumps(manifest))
        # Even where the registry was made to agree.
        digest = hashlib.sha256((directory / "manifest.json").read_bytes()).hexdigest()
        Release.objects.filter(pk=release.pk).update(manifest_digest=digest)
        said = "outside the folder"
    else:
        (directory / "classifier.json").unlink()
        (directory / "classifier.json").symlink_to("/etc/passwd")
        said = "links and special files are refused"
    assert not follow(served)
    assert served.models().classifier_release.name == "classifier-0001"
    assert served.models().classifier.predict(["cancel my order"])[0].best.intent == "cancel_order"
    assert re.search(said, served.notes().refused["classifier"])


# --- What was replaced ----------------------------------------------------------------------------


@pytest.fixture
def keeping(served: Runtime, settings: Settings) -> Runtime:
    """A runtime that keeps what is replaced."""
    settings.PREVIOUS_RELEASE_KEEP_S = 600.0
    return served


def test_a_rollback_is_a_swap_and_loads_nothing(keeping: Runtime, engines: list[RecordedEngine], shelf: Path) -> None:
    promote_release(release=store_generator(shelf, "generator-0002"), reason="better")
    promote_release(release=store_classifier(), reason="better")
    assert follow(keeping)
    assert keeping.notes().kept == {"classifier": "classifier-0001", "generator": "generator-0001"}
    first = keeping._kept["classifier"].classifier
    for kind in Kind:
        rollback(kind=kind, reason="worse")
    assert follow(keeping)
    models = keeping.models()
    assert (models.classifier_release.name, models.generator_release.name) == ("classifier-0001", "generator-0001")
    assert models.classifier is first
    assert id(models.engine) == id(engines[0])
    assert len(engines) == 2
    gc.collect()
    keeping.refresh()
    assert not any(engine.closed.is_set() for engine in engines)
    assert keeping.notes().kept == {"classifier": "classifier-0002", "generator": "generator-0002"}


def test_what_was_kept_is_let_go_when_its_time_is_over(
    keeping: Runtime, engines: list[RecordedEngine], shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    promote_release(release=store_generator(shelf, "generator-0002"), reason="better")
    follow(keeping)
    gc.collect()
    monkeypatch.setattr(time, "monotonic", lambda: now + 601.0)
    keeping.refresh()
    keeping.refresh()
    assert engines[0].closed.wait(WAIT_S)
    assert keeping.notes().kept == {}


def test_never_more_than_two_of_a_kind_are_loaded(keeping: Runtime, engines: list[RecordedEngine], shelf: Path) -> None:
    for number in range(2, 8):
        promote_release(release=store_generator(shelf, f"generator-{number:04d}"), reason="better")
        assert follow(keeping)
        gc.collect()
        keeping.refresh()
        for engine in engines[:-2]:
            assert engine.closed.wait(WAIT_S)
        assert not engines[-1].closed.is_set()
        assert not engines[-2].closed.is_set()


def test_a_kept_engine_that_died_is_loaded_anew(keeping: Runtime, engines: list[RecordedEngine], shelf: Path) -> None:
    promote_release(release=store_generator(shelf, "generator-0002"), reason="better")
    assert follow(keeping)
    engines[0].alive = False
    rollback(kind=Kind.GENERATOR, reason="worse")
    assert follow(keeping)
    assert id(keeping.models().engine) == id(engines[2])


def test_closing_closes_what_was_kept_too(keeping: Runtime, engines: list[RecordedEngine], shelf: Path) -> None:
    promote_release(release=store_generator(shelf, "generator-0002"), reason="better")
    assert follow(keeping)
    gc.collect()
    keeping.close()
    assert engines[0].closed.wait(WAIT_S)
    assert engines[1].closed.is_set()
