"""The check of the catalogue: its cross-validation, kept without any example's words.

Examples are kept by id, and by key, which tells later whether the words are still the ones that were judged.
"""

from __future__ import annotations

from typing import Any

from chatbot.exceptions import ClassifierError
from chatbot.inference.normalisation import normalise, text_key
from chatbot.inference.weights import Progress
from chatbot.intents.selectors import identified_examples, out_of_scope_examples
from chatbot.releases import encoders
from chatbot.training.cross_validation import CrossValidation, cross_validate
from chatbot.training.datasets import examples_digest


def cross_validate_catalogue(parameters: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Judge the catalogue by `parameters`: preset, folds, seed. Gives `dataset_digest` and `result`.

    Raises ClassifierError where the examples do not suffice, ModelFilesError where the encoder is missing.
    """
    found, out_of_scope = identified_examples(), out_of_scope_examples()
    if not found:
        raise ClassifierError("The catalogue has no examples yet, so there is nothing to judge.")
    examples = [(text, intent) for _, text, intent in found]
    progress("Loading the encoder", None)
    judged = cross_validate(
        parameters["preset"],
        examples,
        out_of_scope,
        encoders.load_encoder(),
        folds=parameters["folds"],
        seed=parameters["seed"],
        progress=progress,
    )
    progress("Looking for what to mend", None)
    return {
        "dataset_digest": examples_digest(examples, out_of_scope),
        "result": _without_words(judged, {(normalise(text), intent): pk for pk, text, intent in found}),
    }


def _without_words(judged: CrossValidation, ids: dict[tuple[str, str], int]) -> dict[str, Any]:
    rows = judged.rows

    def example(row: int) -> dict[str, Any]:
        text, intent = rows.texts[row], rows.intents[rows.labels[row]]
        return {"id": ids[text, intent], "key": text_key(text).hex(), "intent": intent}

    report = judged.report()
    for entry in report["confusions"]:
        entry["examples"] = [example(row) for row in entry.pop("rows")]
    for entry in report["mislabelled"]:
        del entry["text"], entry["intent"]
        entry["example"] = example(entry.pop("row"))
    for entry in report["shared_texts"]:
        del entry["texts"], entry["intents"]
        entry["examples"] = [example(row) for row in entry.pop("rows")]
    return report
