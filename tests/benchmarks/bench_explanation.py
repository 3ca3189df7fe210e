"""Whether an explanation's word weights agree with integrated gradients, and what both take on one core.

    python -m tests.benchmarks.bench_explanation

A `fast` classifier of the demo shop explains phrases of its own training, and one text of 2,000 characters. Integrated
gradients (Sundararajan, Taly, Yan 2017) are captum's, over the word embeddings, with padding for a baseline; the
pieces' attributions are summed by stretch. Both explain the log-odds of the best intent. Prints JSON lines.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatbot.inference.encoder import Encoder, load_sentence_transformer
from chatbot.inference.explanation import Explanation, explain
from chatbot.inference.text_classifier import TextClassifier
from chatbot.inference.weights import prepare_encoder
from chatbot.training.trainers.fast import train_fast
from tests.benchmarks.bench_retrieval import DEMO, ROOT

PHRASES = 200
STEPS = 50


def main() -> None:
    import torch
    import yaml
    from scipy.stats import spearmanr

    torch.set_num_threads(1)
    model = ROOT / "var" / "models" / "all-minilm-l6-v2"
    prepare_encoder(model)
    encoder = Encoder(model, threads=1)
    catalogue = yaml.safe_load((DEMO / "intents.yaml").read_text(encoding="utf-8"))
    examples = [(text, intent["slug"]) for intent in catalogue for text in intent["examples"]]
    trained = train_fast(examples, [], encoder)
    classifier = TextClassifier(trained.classifier, encoder)
    gradients = _integrated_gradients(model, classifier)

    phrases = random.Random(0).sample([text for text, _ in examples if 4 <= len(text.split()) <= 20], PHRASES)
    correlations, same_top, in_top_two, gaps, deltas = [], [], [], [], []
    ours_ms, theirs_ms = [], []
    for phrase in phrases:
        explanation, taken = _timed(partial(explain, classifier, phrase))
        (theirs, delta), taken_by_gradients = _timed(partial(gradients, phrase, explanation))
        weights = np.array([stretch.weight for stretch in explanation.stretches])
        correlations.append(float(spearmanr(weights, theirs).statistic))
        same_top.append(weights.argmax() == theirs.argmax())
        in_top_two.append(weights.argmax() in np.argsort(-theirs)[:2])
        whole = abs(explanation.log_odds - explanation.empty_log_odds)
        gaps.append(abs(explanation.gap) / whole)
        deltas.append(abs(delta) / whole)
        ours_ms.append(1000 * taken)
        theirs_ms.append(1000 * taken_by_gradients)
    print(
        json.dumps(
            {
                "benchmark": "explanation",
                "phrases": len(phrases),
                "spearman_median": _rounded(np.nanmedian(correlations)),
                "same_top_word": _rounded(np.mean(same_top)),
                "top_word_in_first_two": _rounded(np.mean(in_top_two)),
                "gap_median": _rounded(np.median(gaps)),
                "convergence_delta_median": _rounded(np.median(deltas), 5),
                "ms_p50": _rounded(np.percentile(ours_ms, 50), 1),
                "ms_p95": _rounded(np.percentile(ours_ms, 95), 1),
                "integrated_gradients_ms_p50": _rounded(np.percentile(theirs_ms, 50), 1),
                "integrated_gradients_ms_p95": _rounded(np.percentile(theirs_ms, 95), 1),
            }
        )
    )
    long = " ".join(phrases)[:2000]
    explain(classifier, long)
    times = [1000 * _timed(partial(explain, classifier, long))[1] for _ in range(5)]
    print(json.dumps({"benchmark": "explanation", "characters": len(long), "ms_p50": _rounded(np.median(times), 1)}))


def _integrated_gradients(
    model: Path, classifier: TextClassifier
) -> Callable[[str, Explanation], tuple[NDArray[np.float64], float]]:
    """Attributions of each of an explanation's stretches, and the convergence delta."""
    import torch
    from captum.attr import LayerIntegratedGradients

    transformer = load_sentence_transformer(model)
    head = classifier.head
    weights, bias = torch.from_numpy(head.weights), torch.from_numpy(head.bias)

    def log_odds(ids: Any, mask: Any, intent: int) -> Any:
        embedded = transformer({"input_ids": ids, "attention_mask": mask})["sentence_embedding"]
        logits = (torch.nn.functional.normalize(embedded, dim=-1) @ weights.T + bias) / head.temperature
        others = torch.cat([logits[:, :intent], logits[:, intent + 1 :]], dim=1)
        return logits[:, intent] - torch.logsumexp(others, dim=1)

    words = next(module for module in transformer.modules() if isinstance(module, torch.nn.Embedding))
    method = LayerIntegratedGradients(log_odds, words)

    def attribute(text: str, explanation: Explanation) -> tuple[NDArray[np.float64], float]:
        encoded = transformer.tokenizer(
            text, return_offsets_mapping=True, return_special_tokens_mask=True, return_tensors="pt"
        )
        ids, mask = encoded["input_ids"], encoded["attention_mask"]
        special = encoded["special_tokens_mask"].bool()
        baseline = torch.where(special, ids, transformer.tokenizer.pad_token_id)
        attributions, delta = method.attribute(
            inputs=ids,
            baselines=baseline,
            additional_forward_args=(mask, classifier.intents.index(explanation.prediction.best.intent)),
            n_steps=STEPS,
            return_convergence_delta=True,
        )
        pieces = attributions.sum(dim=-1)[0].detach().numpy()
        totals = np.zeros(len(explanation.stretches))
        for (start, end), piece in zip(encoded["offset_mapping"][0].tolist(), pieces, strict=True):
            for number, stretch in enumerate(explanation.stretches):
                if start < end and stretch.start <= start < stretch.end:
                    totals[number] += piece
        return totals, float(delta[0])

    return attribute


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    result = call()
    return result, time.perf_counter() - started


def _rounded(value: Any, digits: int = 3) -> float:
    return round(float(value), digits)


if __name__ == "__main__":
    main()
