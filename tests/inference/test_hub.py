"""Models of a hub: what is downloaded, what is left there, and what is said where it fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatbot.exceptions import ModelFilesError
from chatbot.inference.encoder import Encoder, encoder_digest
from chatbot.inference.hub import fetch_model, is_fetched, is_hub_name, model_folder
from tests.inference.model_hub import Hub, files_of, serving
from tests.inference.tiny_encoder import WIDTH, make_tiny_encoder


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    files = files_of(make_tiny_encoder(tmp_path / "published"))
    pickled = {"pytorch_model.bin": b"\x80\x04 a pickle", "onnx/model.onnx": b"the same again"}
    with serving({"owner/tiny": files | pickled, "owner/pickled": {"config.json": b"{}", **pickled}}) as server:
        yield server


def test_a_model_is_brought_once_and_serves(hub: Hub, tmp_path: Path) -> None:
    models = tmp_path / "models"
    told: list[str] = []
    folder = fetch_model("owner/tiny", models, lambda message, _share: told.append(message), endpoint=hub.url)
    assert folder == model_folder("owner/tiny", models) == models / "hub" / "owner--tiny"
    assert is_fetched(folder)
    assert told == ["Downloading owner/tiny"]
    assert Encoder(folder).encode(["my order"]).shape == (1, WIDTH)
    assert encoder_digest(folder) == encoder_digest(tmp_path / "published")
    assert not [path for path in folder.rglob("*") if path.suffix in {".bin", ".onnx"} or ".cache" in path.parts]
    hub.asked.clear()
    assert fetch_model("owner/tiny", models, endpoint=hub.url) == folder
    assert hub.asked == []


def test_an_interrupted_download_is_no_model_and_goes_on(hub: Hub, tmp_path: Path) -> None:
    folder = model_folder("owner/tiny", tmp_path)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert not is_fetched(folder)
    fetch_model("owner/tiny", tmp_path, endpoint=hub.url)
    assert (folder / "config.json").read_bytes() == hub.models["owner/tiny"]["config.json"]


def test_what_cannot_be_had_is_one_clear_sentence(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(ModelFilesError, match=r"owner/nobody: the hub has no model of this name.*HF_TOKEN"):
        fetch_model("owner/nobody", tmp_path, endpoint=hub.url)
    with pytest.raises(ModelFilesError, match=r"owner/pickled: it has no weights in safetensors"):
        fetch_model("owner/pickled", tmp_path, endpoint=hub.url)
    assert not model_folder("owner/pickled", tmp_path).exists()
    hub.server_close()
    with pytest.raises(ModelFilesError, match=r"owner/tiny: it could not be downloaded \((Connect|Read)Error\)"):
        fetch_model("owner/tiny", tmp_path, endpoint=hub.url)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("intfloat/multilingual-e5-small", True),
        ("/models/e5", False),
        ("./models/e5", False),
        ("../e5", False),
        ("a/b/c", False),
        ("e5", False),
        ("", False),
        ("owner/näme", False),
    ],
)
def test_names_of_the_hub_are_no_paths(named: str, expected: bool) -> None:
    assert is_hub_name(named) == expected


def test_a_folder_that_exists_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_folder("own/encoder", tmp_path / "models") == tmp_path / "models" / "hub" / "own--encoder"
    (tmp_path / "own" / "encoder").mkdir(parents=True)
    assert model_folder("own/encoder", tmp_path / "models") == Path("own/encoder")
