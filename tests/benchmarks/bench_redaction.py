"""How much of the personal data that is planted in messages redaction finds, and what else it takes out.

    python -m tests.benchmarks.bench_redaction [--json | --missed]

Figures of `tests/training/planted/`: `tuned` was looked at while the detectors were adjusted, `unseen` was not.
"""

from __future__ import annotations

import argparse
import json
import time

from chatbot.training.redaction import Redactor
from tests.training.planted import FILES, Recall, measure, read_messages


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--json", action="store_true", help="one JSON object a line and nothing else")
    arguments.add_argument("--missed", action="store_true", help="name what was missed or swallowed in tuned.txt")
    options = arguments.parse_args()
    redactor = Redactor()
    for name in FILES:
        messages = read_messages(name)
        recall = measure(messages, redactor)
        started = time.perf_counter()
        for message in messages:
            redactor.redact_text(message.text)
        figures = _figures(name, recall, len(messages), (time.perf_counter() - started) / len(messages))
        if options.json:
            print(json.dumps(figures))
        else:
            _print(figures, recall)
        if options.missed and name == "tuned":
            print("\n".join(recall.missed + recall.swallowed))


def _figures(name: str, recall: Recall, messages: int, seconds: float) -> dict[str, object]:
    return {
        "benchmark": f"redaction-{name}",
        "messages": messages,
        "planted": recall.planted.total(),
        "recall": round(recall.share_found, 4),
        "recall_under_its_name": round(recall.named.total() / recall.planted.total(), 4),
        "ordinary": recall.ordinary,
        "ordinary_swallowed": len(recall.swallowed),
        "letters_swallowed": round(recall.share_of_letters_swallowed, 4),
        "milliseconds_a_message": round(seconds * 1000, 2),
    }


def _print(figures: dict[str, object], recall: Recall) -> None:
    print("  ".join(f"{key} {value}" for key, value in figures.items()))
    for kind, planted in sorted(recall.planted.items()):
        print(f"  {kind:<18} {recall.found[kind]:>3} of {planted:>3} found, {recall.named[kind]:>3} under its name")


if __name__ == "__main__":
    main()
