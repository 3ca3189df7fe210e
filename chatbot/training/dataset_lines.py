"""A dataset's report as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chatbot.training.redaction import Kind

_FILES = {
    "intents": "texts with their intent",
    "replies": "questions with their reply",
    "transcripts": "whole conversations",
}
_SUBJECTS = {"conversations": "Conversations", **{name: name.capitalize() for name in _FILES}}
# Intents with fewer rows than this are named: a classifier hardly learns them.
FEW_ROWS = 10


def dataset_lines(report: dict[str, Any]) -> Iterator[str]:
    """What is in it, what was left out, what was redacted. `report` is of `dataset_report`, or a manifest."""
    counts = report["counts"]
    yield f"{report.get('dataset', 'Preview')}: {counts['conversations']['looked_at']} conversations looked at"
    for name, what in _FILES.items():
        held_out = f", {counts[name]['held_out']} held out" if "held_out" in counts[name] else ""
        yield f"  {name:<12} {counts[name]['train']:>6} to train on{held_out} ({what})"
    few = [entry for entry in report["per_intent"] if entry["examples"] + entry["reviewed"] < FEW_ROWS]
    if few:
        named = ", ".join(entry["intent"] or "out of scope" for entry in few)
        yield f"Intents with fewer than {FEW_ROWS} rows to train on: {named}."
    for file, subject in _SUBJECTS.items():
        for reason, count in report["left_out"].get(file, {}).items():
            yield f"  {subject} left out: {count:>6}  {reason}"
    redacted = report["redacted"]
    if redacted:
        yield "Redacted: " + ", ".join(f"{redacted[kind]} × {kind}" for kind in Kind if kind in redacted) + "."
    yield f"Split {report['split_rule']}."
    if "digest" in report:
        yield f"Digest {report['digest']}"
