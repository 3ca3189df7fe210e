"""Export a sentence-transformers folder as one OpenVINO graph: token ids and mask in, unit-length embeddings out.

Run as `python -m chatbot.inference.encoder_export MODEL_DIR EXPORTS`, in a process of its own. Nothing is kept unless
the graph, loaded as it will be served, gives the same embeddings as the original: pooling, prompts or layers that it
cannot reproduce are found here, not by a customer.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from chatbot.inference.encoder import (
    EXPORT_FOLDER,
    GRAPH_FILE,
    SETTINGS_FILE,
    _OpenVINOBackend,
    encoder_digest,
    load_sentence_transformer,
)

# What rounding may cost (bfloat16 on CPUs that have it costs 2e-5); more means another computation.
_SMALLEST_COSINE = 0.999
_PROBES = [
    "How can I cancel my order?",
    "Hi",
    "",
    "我的包裹在哪里？ 🙂 Où est mon colis ?",
    "UPPER CASE, Ünïcödé and punctuation!!! " * 4,
    "a long complaint about a parcel that never came " * 60,
]


def export_encoder(model_dir: Path, exports: Path) -> None:
    """Write `openvino/` into `exports`. Raises RuntimeError where the graph differs from the original."""
    digest = encoder_digest(model_dir)
    if not (model_dir / "tokenizer.json").is_file():
        raise RuntimeError("the folder has no tokenizer.json")

    import openvino
    import torch

    model = load_sentence_transformer(model_dir)

    class Graph(torch.nn.Module):
        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            features = model({"input_ids": input_ids, "attention_mask": attention_mask})
            return torch.nn.functional.normalize(features["sentence_embedding"], dim=-1)

    # A batch of two with padding, so that no axis and no branch is taken for a constant.
    example = {
        "input_ids": torch.tensor([[1, 2, 3, 4], [1, 2, 0, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]),
    }
    graph = Graph()
    graph.add_module("model", model)
    with torch.no_grad():
        exported = openvino.convert_model(graph.eval(), example_input=example)

    settings = {
        "digest": digest,
        "dimension": int(model.get_embedding_dimension() or 0),
        "max_length": int(model.max_seq_length or 512),
    }
    draft = Path(tempfile.mkdtemp(prefix=".export-", dir=exports))
    try:
        (draft / EXPORT_FOLDER).mkdir()
        openvino.save_model(exported, str(draft / EXPORT_FOLDER / GRAPH_FILE), compress_to_fp16=False)
        (draft / EXPORT_FOLDER / SETTINGS_FILE).write_text(json.dumps(settings, indent=2))
        _compare(model_dir, draft, model, settings)
        final = exports / EXPORT_FOLDER
        shutil.rmtree(final, ignore_errors=True)
        os.rename(draft / EXPORT_FOLDER, final)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _compare(model_dir: Path, draft: Path, model: Any, settings: dict[str, Any]) -> None:
    served = _OpenVINOBackend(
        model_dir, draft, dimension=settings["dimension"], max_length=settings["max_length"], threads=None
    )
    theirs = model.encode(_PROBES, normalize_embeddings=True, show_progress_bar=False)
    for ours in (served.encode(_PROBES), np.concatenate([served.encode([probe]) for probe in _PROBES])):
        cosines = np.sum(ours * theirs, axis=1)
        if not cosines.min() >= _SMALLEST_COSINE:
            raise RuntimeError(f"its embeddings differ from the original's (cosine {cosines.min():.4f})")


def main() -> None:
    export_encoder(Path(sys.argv[1]), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
