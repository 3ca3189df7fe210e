"""Two classifiers on the same rows: what is measured, what is left out, and what the command prints and keeps."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings
from sklearn.metrics import f1_score

from chatbot.exceptions import EvaluationError
from chatbot.releases.classifiers import load_classifier
from chatbot.releases.services import promote_release
from chatbot.training.dataset_rows import IntentRow, Origin, ReplyRow
from chatbot.training.evaluation.classification import evaluate_classifier
from chatbot.training.evaluation.classifiers import Judged, judge, measures
from chatbot.training.evaluation.intervals import Resampling
from chatbot.training.evaluation.rows import held_out_rows, read_intent_rows, read_reply_rows
from chatbot.training.evaluations import evaluate_release
from chatbot.training.models import Evaluation
from tests.releases.shelf import ENCODER
from tests.training.evaluation.candidates import good, poor, unseen_rows, write_rows
from tests.training.shop_examples import EXAMPLES

pytestmark = pytest.mark.django_db


def silent(_message: str, _share: float | None) -> None: ...


def run(*arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command("evaluate", *arguments, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def rows_file(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "unseen.csv", unseen_rows())


def test_figures_are_those_of_the_classifier_judged_alone(rows_file: Path) -> None:
    release = good()
    held_out = read_intent_rows(rows_file, lambda _: None)
    classifier = load_classifier(release, ENCODER)
    judged = judge(classifier, held_out.rows, silent, "it")
    measured = {each.name: Resampling(held_out.groups).interval(each.of) for each in measures(judged)}
    in_scope = [(row.text, row.intent) for row in held_out.rows if row.intent]
    alone = evaluate_classifier(classifier, in_scope, [row.text for row in held_out.rows if not row.intent])
    for name in ("accuracy", "macro_f1", "ece", "in_scope_accuracy_after_rejection", "oos_auroc", "oos_recall"):
        interval = measured[name]
        assert interval is not None
        assert interval.value == pytest.approx(alone[name], abs=1e-4), name
        assert interval.low <= interval.value <= interval.high


def test_macro_f1_of_a_draw_is_scikit_learns() -> None:
    import numpy as np

    chance = np.random.default_rng(0)
    names = ("a", "b", "c", "d")
    labels = tuple(chance.choice(names[:3], 80))
    given = tuple(chance.choice(names, 80))
    zeros = np.zeros(80)
    judged = Judged(labels, given, zeros, np.array(labels) == np.array(given), zeros, zeros.astype(bool))
    (macro,) = (measure for measure in measures(judged) if measure.name == "macro_f1")
    for _ in range(10):
        rows = chance.integers(80, size=80)
        drawn, said = np.array(labels)[rows], np.array(given)[rows]
        expected = f1_score(drawn, said, labels=np.unique(drawn), average="macro", zero_division=0)
        assert macro.of(rows) == pytest.approx(expected)


def test_a_better_candidate_passes_and_a_worse_one_is_held_back(rows_file: Path) -> None:
    weak, strong = poor(), good()
    promote_release(release=weak, reason="first")
    better = json.loads(run(strong.name, test=rows_file, json=True))
    assert (better["candidate"], better["baseline"], better["passed"]) == (strong.name, weak.name, True)
    accuracy = better["figures"][0]
    assert accuracy["difference"]["low"] > 0
    assert better["changed"]["mended"] > 20 > better["changed"]["broken"]
    promote_release(release=strong, reason="better")
    worse = json.loads(run(weak.name, test=rows_file, json=True))
    failed = {gate["rule"] for gate in worse["gates"] if gate["outcome"] == "failed"}
    assert {"overall", "intents"} <= failed
    assert not worse["passed"]
    (refund,) = (entry for entry in worse["intents"] if entry["intent"] == "refund")
    assert refund["f1_change"] < -0.5
    assert worse["intents"][0] == refund
    assert {"intent": "refund", "given": "cancel_order"}.items() <= worse["confusions"][0].items()


def test_a_person_reads_why(rows_file: Path) -> None:
    weak, strong = poor(), good()
    promote_release(release=strong, reason="first")
    told = run(weak.name, test=rows_file)
    assert "FAIL  No worse overall: Worse by more than chance explains" in told
    assert f"{weak.name} beside {strong.name}" in told
    assert f"/dashboard/evaluations/{Evaluation.objects.get().pk}/" in told
    assert max(map(len, told.splitlines())) <= 100


def test_rows_that_either_was_trained_on_are_left_out_and_counted(tmp_path: Path) -> None:
    weak, strong = poor(), good()
    seen = EXAMPLES[:7]
    path = write_rows(tmp_path / "mixed.csv", [*unseen_rows(), *seen, unseen_rows()[0]])
    result = json.loads(run(strong.name, against=weak.name, test=path, json=True))
    rows = result["rows"]
    assert rows["seen"] == {"candidate": 7, "baseline": 0}
    assert rows["repeats"] == 1
    assert rows["judged"] == rows["given"] - 8 == len(unseen_rows())
    assert "7 rows that the candidate was trained on" in run(strong.name, against=weak.name, test=path)


def test_nothing_is_judged_where_all_rows_were_seen(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="trained on all of them"):
        run(good().name, test=write_rows(tmp_path / "seen.csv", EXAMPLES))
    assert not Evaluation.objects.exists()


def test_the_report_holds_no_words(rows_file: Path) -> None:
    run(good().name, test=rows_file, json=True)
    kept = json.dumps(Evaluation.objects.get().report)
    assert not [text for text, _ in unseen_rows() if text in kept]


def test_slices_and_intents_with_few_rows_are_named_as_such(tmp_path: Path) -> None:
    rows = [("undo order 12 " + "very " * 25, "cancel_order"), *unseen_rows()]
    result = json.loads(run(good().name, test=write_rows(tmp_path / "rows.csv", rows), json=True))
    lengths = {entry["name"]: entry for entry in result["slices"]["length"]}
    assert lengths["over 20 words"]["few"]
    assert lengths["over 20 words"]["rows"] == 1
    assert not lengths["5–10 words"]["few"]


def test_conversations_are_drawn_whole(shelf: Path) -> None:
    rows = [
        IntentRow(
            id=str(number),
            text=text,
            intent="" if intent == "oos" else intent,
            origin=Origin(conversation=str(number // 5)),
        )
        for number, (text, intent) in enumerate(unseen_rows())
    ]
    evaluation = evaluate_release(candidate=good(), baseline=None, held_out=held_out_rows("rows", rows))
    assert evaluation.report["rows"]["groups"] == len(rows) // 5


def test_what_cannot_be_compared_is_a_sentence(rows_file: Path, tmp_path: Path) -> None:
    release = good()
    with pytest.raises(CommandError, match="with itself"):
        run(release.name, against=release.name, test=rows_file)
    with pytest.raises(CommandError, match=r"no release 'nonsense'"):
        run("nonsense", test=rows_file)
    with pytest.raises(CommandError, match=r"no frozen dataset yet"):
        run(release.name)
    with pytest.raises(CommandError, match=r"no dataset 'dataset-0009'"):
        run(release.name, dataset="dataset-0009")
    with pytest.raises(CommandError, match="do not go together"):
        run(release.name, dataset="dataset-0009", test=rows_file)
    with pytest.raises(CommandError, match=r"nowhere\.csv"):
        run(release.name, test=tmp_path / "nowhere.csv")
    only_strange = write_rows(tmp_path / "strange.csv", [("write a poem", "oos")])
    with pytest.raises(CommandError, match="no held-out row with an intent"):
        run(release.name, test=only_strange)


def test_damaged_rules_stop_before_anything_is_judged(rows_file: Path, settings: Settings, tmp_path: Path) -> None:
    settings.GATE_RULES_FILE = str(tmp_path / "rules.json")
    with pytest.raises(CommandError, match=r"rules\.json"):
        run(good().name, test=rows_file)


def test_rows_are_read_from_lines_of_json_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(IntentRow(id="1", text="cancel it", intent="cancel_order").model_dump_json() + "\n")
    assert [row.intent for row in read_intent_rows(path, print).rows] == ["cancel_order"]
    path.write_text('{"id": "1"}\n')
    with pytest.raises(Exception, match=r"rows\.jsonl, line 1: text: Field required"):
        read_intent_rows(path, print)
    table = tmp_path / "replies.csv"
    table.write_text("text,reply\nwhere is it,On its way.\n,nothing\n")
    assert read_reply_rows(table).rows == (ReplyRow(id="line-2", text="where is it", reply="On its way."),)


def test_kinds_are_not_mixed() -> None:
    one, other = good(), good()
    other.kind = "generator"
    with pytest.raises(EvaluationError, match="different kinds"):
        evaluate_release(
            candidate=one, baseline=other, held_out=held_out_rows("rows", [IntentRow(id="1", text="a", intent="b")])
        )
