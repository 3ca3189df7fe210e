"""How often the first passage comes from an article that answers the customer's intent, by what the query is made of.

    python -m tests.benchmarks.bench_retrieval

Phrases are the demo shop's own training examples with their true intents, so this measures retrieval alone. `weight` is
how much the intent's canonical question counts beside the customer's words (1: half and half, as served).
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from chatbot.inference.encoder import Encoder
from chatbot.inference.weights import prepare_encoder
from chatbot.knowledge.chunking import chunk_markdown

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "chatbot" / "operations" / "demo"
PHRASES_EACH = 12
WEIGHTS = (0.0, 0.5, 1.0, 2.0)


def main() -> None:
    model = ROOT / "var" / "models" / "all-minilm-l6-v2"
    prepare_encoder(model)
    encoder = Encoder(model)
    slugs, passages = _passages(encoder)
    phrases, questions, right = _phrases()
    texts, canonical = encoder.encode(phrases), encoder.encode(questions)
    for weight in WEIGHTS:
        ranked = _ranked(texts + weight * canonical, passages)
        result: dict[str, object] = {"benchmark": "retrieval", "weight": weight, "phrases": len(phrases)}
        for depth in (1, 2):
            hits = [
                any(slugs[index] in articles for index in row[:depth])
                for row, articles in zip(ranked, right, strict=True)
            ]
            result[f"right_article_in_first_{depth}"] = round(float(np.mean(hits)), 3)
        print(json.dumps(result))


def _passages(encoder: Encoder) -> tuple[list[str], NDArray[np.float32]]:
    slugs: list[str] = []
    texts: list[str] = []
    for path in sorted((DEMO / "articles").glob("*.md")):
        _, front_matter, body = path.read_text(encoding="utf-8").split("---\n", 2)
        title = yaml.safe_load(front_matter)["title"]
        for passage in chunk_markdown(body):
            slugs.append(path.stem)
            texts.append(f"{title}\n{passage.heading}\n{passage.text}")
    return slugs, encoder.encode(texts)


def _phrases() -> tuple[list[str], list[str], list[set[str]]]:
    chance = random.Random(1)
    phrases: list[str] = []
    questions: list[str] = []
    right: list[set[str]] = []
    for intent in yaml.safe_load((DEMO / "intents.yaml").read_text(encoding="utf-8")):
        if intent["mode"] != "generate" or not intent.get("articles"):
            continue
        for phrase in chance.sample(intent["examples"], PHRASES_EACH):
            phrases.append(phrase)
            questions.append(intent["question"])
            right.append(set(intent["articles"]))
    return phrases, questions, right


def _ranked(queries: NDArray[np.float32], passages: NDArray[np.float32]) -> NDArray[np.int64]:
    unit = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    return np.argsort(-(unit @ passages.T), axis=1)


if __name__ == "__main__":
    main()
