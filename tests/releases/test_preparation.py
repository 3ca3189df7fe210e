"""Base models become releases once, and a person's choice survives a restart."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from chatbot.exceptions import ReleaseError
from chatbot.inference.encoder import encoder_digest
from chatbot.inference.hub import fetch_model
from chatbot.releases import preparation
from chatbot.releases.encoders import encoder_directory
from chatbot.releases.models import Kind, Promotion, Release
from chatbot.releases.preparation import generator_directory, models_are_prepared, prepare_base_models
from chatbot.releases.selectors import current_release, release_directory
from chatbot.releases.services import check_servable, promote_release
from tests.inference.model_hub import files_of, serving
from tests.inference.tiny import write_source
from tests.inference.tiny_encoder import make_tiny_encoder

pytestmark = pytest.mark.django_db


@pytest.fixture
def sources(settings: Settings, tmp_path: Path) -> Path:
    """A `var/` without models, and the operator's own models beside it."""
    settings.VAR_DIR = tmp_path / "var"
    settings.MODELS_DIR = settings.VAR_DIR / "models"
    settings.RELEASES_DIR = settings.VAR_DIR / "releases"
    for folder in (settings.MODELS_DIR, settings.RELEASES_DIR):
        folder.mkdir(parents=True)
    encoder = make_tiny_encoder(tmp_path / "own" / "encoder")
    # As if OpenVINO had been tried and had failed: exporting needs torch, and has tests of its own.
    (encoder / "openvino").mkdir()
    (encoder / "openvino" / "encoder.json").write_text(
        json.dumps({"digest": encoder_digest(encoder), "failed": "here"})
    )
    settings.ENCODER_MODEL = str(encoder)
    settings.GENERATOR_MODEL = str(write_source(tmp_path / "own" / "first"))
    return tmp_path / "own"


def current_name() -> str:
    release = current_release(Kind.GENERATOR)
    assert release is not None
    return release.name


def test_models_named_as_on_the_hub_are_brought_and_then_used_like_folders(
    sources: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, generator = Path(settings.ENCODER_MODEL), Path(settings.GENERATOR_MODEL)
    settings.ENCODER_MODEL, settings.GENERATOR_MODEL = "owner/encoder", "owner/generator"
    with serving({"owner/encoder": files_of(encoder), "owner/generator": files_of(generator)}) as hub:
        monkeypatch.setattr(preparation, "fetch_model", partial(fetch_model, endpoint=hub.url))
        assert not models_are_prepared()
        prepare_base_models()
        assert models_are_prepared()
        hub.asked.clear()
        prepare_base_models()
        assert hub.asked == []
    assert encoder_directory() == settings.MODELS_DIR / "hub" / "owner--encoder"
    assert Release.objects.get().path.startswith("models/owner--generator-")


def test_the_base_generator_becomes_a_servable_release(sources: Path) -> None:
    assert not models_are_prepared()
    steps: list[str] = []
    prepare_base_models(lambda message, _share: steps.append(message))
    assert models_are_prepared()
    assert len(steps) > 2
    release = Release.objects.get()
    assert (release.name, current_name()) == ("generator-0001", "generator-0001")
    assert release_directory(release) == generator_directory()
    check_servable(release)


def test_preparing_again_does_nothing_and_says_so_at_once(sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare_base_models()
    before = {path: path.stat().st_mtime_ns for path in generator_directory().rglob("*")}
    started = time.monotonic()
    call_command("prepare_models")
    assert time.monotonic() - started < 1
    assert capsys.readouterr().out.splitlines() == ["The base models are ready."]
    prepare_base_models()
    assert {path: path.stat().st_mtime_ns for path in generator_directory().rglob("*")} == before
    assert Release.objects.count() == Promotion.objects.count() == 1


def test_another_model_in_the_setting_is_followed(sources: Path, settings: Settings) -> None:
    prepare_base_models()
    settings.GENERATOR_MODEL = str(write_source(sources / "second", seed=8))
    assert not models_are_prepared()
    prepare_base_models()
    assert current_name() == "generator-0002"
    settings.GENERATOR_MODEL = str(sources / "first")
    prepare_base_models()
    assert current_name() == "generator-0001"
    assert Release.objects.count() == 2


def test_what_a_person_promoted_survives_a_restart(sources: Path, settings: Settings) -> None:
    prepare_base_models()
    settings.GENERATOR_MODEL = str(write_source(sources / "second", seed=8))
    prepare_base_models()
    promote_release(release=Release.objects.get(name="generator-0001"), reason="the second one rambles")
    assert models_are_prepared()
    prepare_base_models()
    assert current_name() == "generator-0001"


@pytest.fixture
def model_server(sources: Path, settings: Settings) -> None:
    """The settings name a model of a server, and no weights of a generator are anywhere."""
    settings.ENGINE = "openai"
    settings.OPENAI_BASE_URL = "https://models.internal:8443/v1"
    settings.OPENAI_MODEL = "Qwen/Qwen2.5-7B-Instruct"
    settings.GENERATOR_MODEL = str(sources / "nowhere")


@pytest.mark.usefixtures("model_server")
def test_a_servers_model_becomes_a_release_without_weights() -> None:
    assert not models_are_prepared()
    for _ in range(2):
        prepare_base_models()
        assert models_are_prepared()
    release = Release.objects.get()
    assert (release.name, current_name()) == ("generator-0001", "generator-0001")
    assert release.base == "Qwen/Qwen2.5-7B-Instruct at models.internal:8443"
    assert [path.name for path in release_directory(release).iterdir()] == ["manifest.json"]
    assert release.manifest["files"] == {}
    check_servable(release)


@pytest.mark.usefixtures("model_server")
def test_another_server_or_model_is_followed(settings: Settings) -> None:
    prepare_base_models()
    settings.OPENAI_MODEL = "another"
    assert not models_are_prepared()
    prepare_base_models()
    settings.OPENAI_BASE_URL = "https://elsewhere/v1"
    prepare_base_models()
    assert Release.objects.count() == 3
    settings.OPENAI_MODEL = "Qwen/Qwen2.5-7B-Instruct"
    settings.OPENAI_BASE_URL = "https://models.internal:8443/another/path"
    prepare_base_models()
    assert (Release.objects.count(), current_name()) == (3, "generator-0001")


def test_to_a_server_and_back(sources: Path, settings: Settings) -> None:
    prepare_base_models()
    settings.ENGINE, settings.OPENAI_BASE_URL, settings.OPENAI_MODEL = "openai", "http://models/v1", "m"
    prepare_base_models()
    assert current_name() == "generator-0002"
    with pytest.raises(ReleaseError, match=r"generator-0001 is .*, but ENGINE=openai serves m on its server"):
        promote_release(release=Release.objects.get(name="generator-0001"), reason="the server rambles")
    settings.ENGINE = "auto"
    assert not models_are_prepared()
    prepare_base_models()
    assert current_name() == "generator-0001"
    with pytest.raises(ReleaseError, match="generator-0002 is m at models, but ENGINE=auto serves models on disk"):
        promote_release(release=Release.objects.get(name="generator-0002"), reason="it was better")


@pytest.mark.usefixtures("model_server")
def test_a_servers_release_whose_folder_is_lost_is_made_anew() -> None:
    prepare_base_models()
    (release_directory(Release.objects.get()) / "manifest.json").unlink()
    assert not models_are_prepared()
    prepare_base_models()
    assert current_name() == "generator-0002"


@pytest.mark.parametrize("name", ["GENERATOR_MODEL", "ENCODER_MODEL"])
def test_models_that_do_not_exist_are_named(sources: Path, settings: Settings, name: str) -> None:
    setattr(settings, name, str(sources / "nowhere"))
    with pytest.raises(CommandError, match=f"{sources}/nowhere.*set {name} to"):
        call_command("prepare_models")


def test_a_damaged_file_is_prepared_anew(sources: Path) -> None:
    prepare_base_models()
    weights = generator_directory() / "model.safetensors"
    content: Any = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(content[:-5])
    assert not models_are_prepared()
    prepare_base_models()
    assert models_are_prepared()
    assert weights.read_bytes() == content
