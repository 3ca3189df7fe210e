"""A tiny real sentence encoder, made on the spot: BERT with random weights and a WordPiece vocabulary.

Its embeddings mean nothing, but the folder is like any that sentence-transformers writes: tokenised, traced, pooled and
served all the same.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import BertWordPieceTokenizer

WIDTH = 32
MAX_LENGTH = 24
_LAYERS, _HEADS, _INNER, _POSITIONS = 2, 4, 64, 32
_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_CORPUS = "how can i cancel my order where is my parcel i want my money back the refund goes to your card ? 我 的 包 裹"


def make_tiny_encoder(folder: Path, *, pooling: str = "mean", seed: int = 3) -> Path:
    """Write a whole model folder. `pooling` is `mean` or `cls`."""
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    vocabulary = _write_tokenizer(folder)
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (random.standard_normal((rows, columns)) * 0.3).astype(np.float32)

    def dense(name: str, out: int, into: int) -> dict[str, np.ndarray]:
        return {f"{name}.weight": matrix(out, into), f"{name}.bias": matrix(1, out)[0]}

    def norm(name: str) -> dict[str, np.ndarray]:
        return {f"{name}.weight": np.ones(WIDTH, np.float32), f"{name}.bias": np.zeros(WIDTH, np.float32)}

    tensors = {
        "embeddings.word_embeddings.weight": matrix(vocabulary, WIDTH),
        "embeddings.position_embeddings.weight": matrix(_POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": matrix(2, WIDTH),
        **norm("embeddings.LayerNorm"),
        **dense("pooler.dense", WIDTH, WIDTH),
    }
    for layer in range(_LAYERS):
        prefix = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            tensors |= dense(f"{prefix}.attention.self.{part}", WIDTH, WIDTH)
        tensors |= dense(f"{prefix}.attention.output.dense", WIDTH, WIDTH)
        tensors |= norm(f"{prefix}.attention.output.LayerNorm")
        tensors |= dense(f"{prefix}.intermediate.dense", _INNER, WIDTH) | dense(f"{prefix}.output.dense", WIDTH, _INNER)
        tensors |= norm(f"{prefix}.output.LayerNorm")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    _write_descriptions(folder, vocabulary, pooling)
    return folder


def _write_tokenizer(folder: Path) -> int:
    characters = sorted(set(_CORPUS.lower()) - {" "})
    words = sorted(set(_CORPUS.lower().split()))
    tokens = dict.fromkeys([*_SPECIALS, *characters, *(f"##{character}" for character in characters), *words])
    tokenizer = BertWordPieceTokenizer({token: index for index, token in enumerate(tokens)}, lowercase=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    size: int = tokenizer.get_vocab_size()
    return size


def _write_descriptions(folder: Path, vocabulary: int, pooling: str) -> None:
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "intermediate_size": _INNER,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "max_position_embeddings": _POSITIONS,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    }
    kinds = ("Transformer", "Pooling", "Normalize")
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path) in enumerate(zip(kinds, ("", "1_Pooling", "2_Normalize"), strict=True))
    ]
    settings = {
        "word_embedding_dimension": WIDTH,
        "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean",
    }
    tokens = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")}
    files = {
        "config.json": config,
        "modules.json": modules,
        "1_Pooling/config.json": settings,
        "sentence_bert_config.json": {"max_seq_length": MAX_LENGTH, "do_lower_case": False},
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 32, **tokens},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
