"""The encoder: one interface, two back ends that agree."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from chatbot.exceptions import ModelFilesError
from chatbot.inference.encoder import (
    EXPORT_FOLDER,
    GRAPH_FILE,
    Encoder,
    encoder_digest,
    load_sentence_transformer,
    openvino_encoder_was_tried,
    prepare_openvino_encoder,
)
from chatbot.inference.weights import prepare_encoder
from tests.inference.tiny_encoder import MAX_LENGTH, WIDTH, make_tiny_encoder

TEXTS = [
    "How can I cancel my order?",
    "",
    "where",
    "我的 包裹 在 哪里 🙂",
    "a lone surrogate \ud800 and a NUL \0",
    "parcel " * 200,
    "[CLS] [SEP] <|im_end|>",
]
DEFAULT_ENCODER = Path(__file__).resolve().parents[2] / "var" / "models" / "all-minilm-l6-v2"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_tiny_encoder(tmp_path_factory.mktemp("encoders") / "tiny")
    assert prepare_openvino_encoder(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(exported: Path) -> Encoder:
    loaded = Encoder(exported)
    assert loaded.backend == "openvino"
    return loaded


def cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return np.asarray(np.sum(ours * theirs, axis=1))


def test_embeddings_are_unit_length_in_the_order_given(encoder: Encoder) -> None:
    together = encoder.encode(TEXTS, batch_size=3)
    assert together.shape == (len(TEXTS), WIDTH) == (len(TEXTS), encoder.dimension)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-3)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert cosines(together, alone).min() > 0.999


def test_nothing_gives_an_empty_matrix(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, WIDTH)


def test_both_back_ends_agree(encoder: Encoder, exported: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(exported, bare, ignore=shutil.ignore_patterns(EXPORT_FOLDER))
    torch_encoder = Encoder(bare)
    assert torch_encoder.backend == "torch"
    assert torch_encoder.digest == encoder.digest
    assert cosines(encoder.encode(TEXTS), torch_encoder.encode(TEXTS)).min() > 0.999


def test_text_beyond_the_longest_length_changes_nothing(encoder: Encoder) -> None:
    long = "order " * MAX_LENGTH
    first, second = encoder.encode([long, long + "refund refund refund"])
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_threads_share_one_encoder(encoder: Encoder) -> None:
    expected = encoder.encode(TEXTS)
    results: list[np.ndarray] = []

    def work() -> None:
        results.extend(encoder.encode(TEXTS) for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 20
    assert all(cosines(result, expected).min() > 0.999 for result in results)


def test_a_damaged_export_is_served_with_torch(
    exported: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(exported, broken)
    (broken / EXPORT_FOLDER / GRAPH_FILE).write_text("<net>")
    encoder = Encoder(broken)
    assert encoder.backend == "torch"
    assert "served with torch" in caplog.text
    assert encoder.encode(["order"]).shape == (1, WIDTH)


def test_an_export_of_other_weights_is_not_used(exported: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(exported, changed)
    assert openvino_encoder_was_tried(changed)
    make_tiny_encoder(changed, seed=99)
    assert not openvino_encoder_was_tried(changed)
    assert Encoder(changed).backend == "torch"


def test_what_cannot_be_exported_is_remembered(exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "no-tokenizer"
    shutil.copytree(exported, folder, ignore=shutil.ignore_patterns(EXPORT_FOLDER, "tokenizer.json"))
    assert not prepare_openvino_encoder(folder)
    assert openvino_encoder_was_tried(folder)
    started = time.monotonic()
    assert not prepare_openvino_encoder(folder)
    assert time.monotonic() - started < 1


def test_digest_follows_the_weights_and_not_the_export(exported: Path, tmp_path: Path) -> None:
    other = make_tiny_encoder(tmp_path / "other", seed=4)
    cls = make_tiny_encoder(tmp_path / "cls", pooling="cls")
    same = make_tiny_encoder(tmp_path / "same")
    assert encoder_digest(same) == encoder_digest(exported)
    assert len({encoder_digest(folder) for folder in (exported, other, cls)}) == 3


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFilesError, match=r"model\.safetensors.*prepare_models"):
        Encoder(tmp_path / "nowhere")


@pytest.mark.models
def test_default_encoder_equals_sentence_transformers_and_is_quick() -> None:
    folder = prepare_encoder(DEFAULT_ENCODER)
    assert prepare_openvino_encoder(folder)
    encoder = Encoder(folder)
    assert encoder.backend == "openvino"
    valid = [text for text in TEXTS if text.isprintable()]  # the original refuses lone surrogates
    theirs = load_sentence_transformer(folder).encode(valid, normalize_embeddings=True)
    assert cosines(encoder.encode(valid), theirs).min() > 0.999
    near, far = encoder.encode(["cancel my order", "I want to cancel the purchase", "the weather is nice"])[0:3:2]
    refund = encoder.encode(["cancel the order please"])[0]
    assert near @ refund > 0.8 > 0.3 > far @ refund
    # The fastest of many: what the encoder needs, whatever else this machine is doing.
    fastest = min(_seconds(encoder, f"How can I cancel order {number}?") for number in range(60))
    assert fastest < 0.012


def _seconds(encoder: Encoder, text: str) -> float:
    started = time.perf_counter()
    encoder.encode([text])
    return time.perf_counter() - started
