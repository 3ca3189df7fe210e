"""Labelling a file: every row once, in order, with its columns; and the same bytes however often it is interrupted."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from sklearn.metrics import accuracy_score, f1_score

from chatbot.exceptions import ExportFailed, ImportFailed
from chatbot.inference.predictions import Prediction, RankedIntent
from chatbot.inference.text_classifier import TextClassifier
from chatbot.releases.services import promote_release
from chatbot.training import labelling
from chatbot.training.drafts import partial_path, state_path
from chatbot.training.labelling import Labelling, label_file, survey_input
from tests.releases.shelf import ENCODER, store_classifier, trained_classifier
from tests.training.shop_examples import EXAMPLES, OUT_OF_SCOPE

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(labelling, "BATCH_ROWS", 4)
    return 4


def shop_classifier() -> TextClassifier:
    return TextClassifier(trained_classifier().classifier, ENCODER)


def write_rows(path: Path, rows: Sequence[Sequence[str]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, delimiter=delimiter).writerows(rows)
    return path


def read_rows(path: Path, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode(), newline=""), delimiter=delimiter))


def label(path: Path, output: Path, classifier: Any = None, **options: Any) -> Labelling:
    names = ("text_column", "label_column", "encoding")
    source = survey_input(path, **{name: options.pop(name) for name in names if name in options})
    options.setdefault("release", "classifier-0001")
    return label_file(source=source, output=output, classifier=classifier or shop_classifier(), **options)


class Interrupted(Exception):
    pass


class FailingClassifier:
    """Works for so many batches, and then ends as if the process had."""

    def __init__(self, batches: int) -> None:
        self._works = shop_classifier()
        self._left = batches
        self.intents = self._works.intents

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        if not self._left:
            raise Interrupted
        self._left -= 1
        return self._works.predict(texts)


class ConstantClassifier:
    """Always of one opinion, at no cost."""

    def __init__(self, *intents: str) -> None:
        self.intents = intents
        self.largest_batch = 0

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        self.largest_batch = max(self.largest_batch, len(texts))
        ranking = (RankedIntent(self.intents[0], 0.75), RankedIntent(self.intents[1], 0.25))
        return [Prediction(ranking, False, 0.0, 1.0) for _ in texts]


def test_rows_keep_their_columns_and_get_their_predictions(tmp_path: Path) -> None:
    rows = [
        ["id", "text", "note"],
        ["1", "cancel my order", 'a "b", c'],
        ["2", "track my\nparcel", "我 😀\r\n="],
        ["3"],
    ]
    path = write_rows(tmp_path / "in.csv", rows)
    done = label(path, tmp_path / "out.csv")
    header, *labelled = read_rows(tmp_path / "out.csv")
    assert header == ["id", "text", "note", "intent", "confidence", "out_of_scope", "runner_up", "runner_up_confidence"]
    assert [row[:3] for row in labelled] == [*rows[1:3], ["3", "", ""]]
    assert [row[3] for row in labelled] == ["cancel_order", "track_parcel", ""]
    assert labelled[2][3:] == [""] * 5
    expected = shop_classifier().predict(["cancel my order", "track my\nparcel"])
    for row, prediction in zip(labelled, expected, strict=False):
        best, second = prediction.ranking[:2]
        assert row[3:] == [
            best.intent,
            f"{best.confidence:.4f}",
            str(prediction.out_of_scope).lower(),
            second.intent,
            f"{second.confidence:.4f}",
        ]
    assert (done.rows, done.empty, done.measured) == (3, 1, None)
    assert done.intents == {"cancel_order": 1, "track_parcel": 1}
    assert not partial_path(tmp_path / "out.csv").exists()
    assert not state_path(tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("columns", "appended"),
    [
        (["text"], ["intent", "confidence", "out_of_scope", "runner_up", "runner_up_confidence"]),
        (["text", "Intent"], ["predicted_intent", "confidence", "out_of_scope", "runner_up", "runner_up_confidence"]),
        (
            ["text", "intent", "predicted_intent", "confidence", "predicted_confidence", "predicted_confidence_2"],
            ["predicted_intent_2", "predicted_confidence_3", "out_of_scope", "runner_up", "runner_up_confidence"],
        ),
    ],
)
def test_appended_columns_never_take_a_name_that_is_there(
    tmp_path: Path, columns: list[str], appended: list[str]
) -> None:
    path = write_rows(tmp_path / "in.csv", [columns, ["x"] * len(columns)])
    label(path, tmp_path / "out.csv")
    header = read_rows(tmp_path / "out.csv")[0]
    assert header == [*columns, *appended]
    assert len({name.lower() for name in header}) == len(header)


def test_a_spreadsheets_file_comes_back_as_one(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes('\ufeff"a,b,c";Text\r\nx;cancel my order, please\r\n'.encode())
    label(path, tmp_path / "out.csv")
    written = (tmp_path / "out.csv").read_bytes().decode()
    assert written.startswith("\ufeffa,b,c;Text;intent;confidence;")
    assert "\r\nx;cancel my order, please;cancel_order;" in written


def test_intents_that_a_spreadsheet_would_run_are_defused(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in.csv", [["text", "intent"], ["=1+1", "=cmd()"]])
    done = label(path, tmp_path / "out.csv", ConstantClassifier("=cmd()", "@sum"))
    assert read_rows(tmp_path / "out.csv")[1] == ["=1+1", "=cmd()", "'=cmd()", "0.7500", "false", "'@sum", "0.2500"]
    assert done.measured is not None
    assert done.measured["accuracy"] == 1.0


def test_measures_are_those_of_scikit_learn(tmp_path: Path) -> None:
    rows = [*EXAMPLES, ("cancel the parcel", "track_parcel"), ("undo refund", "refund"), ("sing", "cancel_order")]
    spelled = {"cancel_order": "Cancel_Order", "track_parcel": "track_parcel", "refund": "refund"}
    path = write_rows(
        tmp_path / "in.csv",
        [
            ["text", "label"],
            *([text, spelled[intent]] for text, intent in rows),
            *([text, "oos"] for text in OUT_OF_SCOPE),
            ["no label", ""],
            ["", "refund"],
        ],
    )
    done = label(path, tmp_path / "out.csv", label_column="label")
    predictions = shop_classifier().predict([text for text, _ in rows])
    truth, best = [intent for _, intent in rows], [prediction.best.intent for prediction in predictions]
    strange = shop_classifier().predict(OUT_OF_SCOPE)
    assert done.measured == {
        "measured_examples": len(rows),
        "unlabelled": 1,
        "unknown_intents": 0,
        "accuracy": round(accuracy_score(truth, best), 4),
        "macro_f1": round(f1_score(truth, best, average="macro"), 4),
        "in_scope_rejected": round(sum(prediction.out_of_scope for prediction in predictions) / len(rows), 4),
        "measured_out_of_scope": len(OUT_OF_SCOPE),
        "oos_recall": round(sum(prediction.out_of_scope for prediction in strange) / len(strange), 4),
    }
    assert 0 < done.measured["accuracy"] < 1


def test_labels_that_the_release_does_not_know_count_as_wrong(tmp_path: Path) -> None:
    rows = [["text", "intent"], ["cancel my order", "cancel_order"], ["track my parcel", "greet"]]
    path = write_rows(tmp_path / "in.csv", rows)
    measured = label(path, tmp_path / "out.csv").measured
    assert measured is not None
    assert (measured["accuracy"], measured["macro_f1"], measured["unknown_intents"]) == (0.5, 0.5, 1)
    assert (measured["oos_recall"], measured["measured_out_of_scope"]) == (None, 0)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    rows = [["id", "text", "intent"]]
    for number, (text, intent) in enumerate([*EXAMPLES, *((text, "oos") for text in OUT_OF_SCOPE)] * 2):
        rows.append([str(number), "" if number % 9 == 5 else f'{text}, "{number}"\nplease', intent])
    return write_rows(tmp_path / "in.csv", rows)


@pytest.fixture
def uninterrupted(many: Path, tmp_path: Path, small_batches: int) -> bytes:
    label(many, tmp_path / "whole.csv")
    return (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize("batches", [0, 1, 5])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, many: Path, uninterrupted: bytes, batches: int
) -> None:
    output = tmp_path / "out.csv"
    with pytest.raises(Interrupted):
        label(many, output, FailingClassifier(batches))
    assert not output.exists()
    with partial_path(output).open("ab") as stream:
        stream.write(b'half a row that was no longer noted,"')
    seen: list[tuple[int, int]] = []
    done = label(many, output, progress=lambda *told: seen.append(told))
    assert output.read_bytes() == uninterrupted
    assert done.resumed_at == batches * 4
    assert seen[0] == (batches * 4, done.rows)
    assert seen[-1] == (done.rows, done.rows)
    assert done.measured == label(many, tmp_path / "again.csv").measured


def test_every_batch_may_be_the_last(tmp_path: Path, many: Path, uninterrupted: bytes) -> None:
    output = tmp_path / "out.csv"
    interruptions = 0
    while not output.exists():
        try:
            label(many, output, FailingClassifier(1))
        except Interrupted:
            interruptions += 1
    assert interruptions > 5
    assert output.read_bytes() == uninterrupted


CHILD = """
import sys
from pathlib import Path
import tests.conftest
from chatbot.training import labelling
from tests.training.test_labelling import label
labelling.BATCH_ROWS = 4
def wait_to_be_killed(done, total):
    if done >= 12:
        print(done, flush=True)
        sys.stdin.read()
label(Path(sys.argv[1]), Path(sys.argv[2]), progress=wait_to_be_killed)
"""


def test_a_killed_process_loses_nothing(tmp_path: Path, many: Path, uninterrupted: bytes) -> None:
    output = tmp_path / "out.csv"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, many, output], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdin is not None
    with child:
        assert child.stdout.readline() == "12\n"
        with pytest.raises(ExportFailed, match="is being written by another process"):
            label(many, output)
        os.kill(child.pid, signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert label(many, output).resumed_at == 12
    assert output.read_bytes() == uninterrupted


def test_a_run_of_something_else_is_not_taken_up(tmp_path: Path, many: Path, uninterrupted: bytes) -> None:
    output = tmp_path / "out.csv"
    with pytest.raises(Interrupted):
        label(many, output, FailingClassifier(2), release_digest="ab")
    other = write_rows(tmp_path / "other.csv", [*read_rows(many), ["x", "one more", "refund"]])
    for path, options, sentence in [
        (many, {"release": "classifier-0002"}, r"another release \(classifier-0001, not classifier-0002\)"),
        (many, {"release_digest": "cd"}, "another content of the release"),
        (many, {"release_digest": "ab", "text_column": "id"}, r"another text column \(text, not id\)"),
        (many, {"release_digest": "ab", "encoding": "cp1252"}, "another encoding"),
        (other, {"release_digest": "ab"}, "another input file"),
    ]:
        with pytest.raises(ExportFailed, match=sentence):
            label(path, output, **options)
    done = label(many, output, release="classifier-0002", restart=True)
    assert done.resumed_at == 0
    assert output.read_bytes() == uninterrupted


def test_damaged_notes_and_foreign_files_are_left_alone(tmp_path: Path, many: Path, uninterrupted: bytes) -> None:
    output = tmp_path / "out.csv"
    partial_path(output).write_text("mine")
    with pytest.raises(ExportFailed, match="is in the way"):
        label(many, output)
    assert partial_path(output).read_text() == "mine"
    state_path(output).write_text("{")
    with pytest.raises(ExportFailed, match="is damaged"):
        label(many, output)
    label(many, output, restart=True)
    assert output.read_bytes() == uninterrupted


def test_a_note_left_behind_by_a_finished_run_is_no_hindrance(tmp_path: Path, many: Path, uninterrupted: bytes) -> None:
    output = tmp_path / "out.csv"
    with pytest.raises(Interrupted):
        label(many, output, FailingClassifier(2))
    partial_path(output).unlink()
    assert label(many, output).resumed_at == 0
    assert output.read_bytes() == uninterrupted


def test_a_finished_output_is_written_over_only_when_asked(tmp_path: Path, many: Path, uninterrupted: bytes) -> None:
    output = tmp_path / "out.csv"
    output.write_text("precious")
    with pytest.raises(ExportFailed, match="is there already"):
        label(many, output)
    with pytest.raises(Interrupted):
        label(many, output, FailingClassifier(1), overwrite=True)
    assert output.read_text() == "precious"
    label(many, output, overwrite=True)
    assert output.read_bytes() == uninterrupted


@pytest.mark.usefixtures("small_batches")
def test_an_input_that_changes_meanwhile_is_noticed(tmp_path: Path, many: Path) -> None:
    def change(done: int, total: int) -> None:
        if done == 8:
            with many.open("a") as stream:
                stream.write("x,late row,refund\n")

    with pytest.raises(ExportFailed, match="was changed while it was read"):
        label(many, tmp_path / "out.csv", progress=change)
    assert not (tmp_path / "out.csv").exists()


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "intent"])
        writer.writerows([f"{number} " + "long " * 200, "refund"] for number in range(30_000))
    classifier = ConstantClassifier("refund", "greet")
    tracemalloc.start()
    done = label(path, tmp_path / "out.csv", classifier)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (done.rows, classifier.largest_batch) == (30_000, labelling.BATCH_ROWS)
    assert path.stat().st_size > 30_000_000
    assert peak < 8_000_000


def test_outputs_that_cannot_be_are_refused(tmp_path: Path, many: Path) -> None:
    for output, sentence in [
        (many, "is the input itself"),
        (tmp_path, "is a directory"),
        (tmp_path / "nowhere" / "out.csv", "there is no directory"),
    ]:
        with pytest.raises(ExportFailed, match=sentence):
            label(many, output, overwrite=True)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty"),
        (b"text,intent\n", "no rows after its first line"),
        (b"message\nhello\n", "names no “text”"),
        (b"text,id\nno, thanks,1\nyes,2\nwell, yes,3\n", "lines 2 and 4: more cells"),
        (b"text,id\nfine,1\n\xff,2\n", "line 3: this is not UTF-8"),
        (b'text,id\nfine,1\n"open,2\n', "line 3: a quote is opened"),
    ],
)
def test_bad_input_is_refused_before_any_work(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(content)
    with pytest.raises(ImportFailed, match=sentence):
        label(path, tmp_path / "out.csv", FailingClassifier(0))
    assert list(tmp_path.iterdir()) == [path]


# --- The command --------------------------------------------------------------------------------


@pytest.fixture
def release(db: None, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from chatbot.releases import classifiers

    monkeypatch.setattr(classifiers, "load_encoder", lambda: ENCODER)
    stored = store_classifier()
    promote_release(release=stored, reason="test")
    return stored


def test_the_command_labels_with_the_current_release(
    tmp_path: Path, many: Path, release: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.csv"
    call_command("classify", input=many, output=output, json=True)
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert shown.err == ""
    assert result["release"] == release.name
    assert result["rows"] == len(read_rows(output)) - 1
    assert result["appended_columns"][0] == "predicted_intent"
    assert result["measured"]["accuracy"] > 0.9
    assert result["measured"]["measured_out_of_scope"] > 0
    again = tmp_path / "again.csv"
    call_command("classify", input=many, output=again, release=release.name, overwrite=True)
    report = capsys.readouterr().out
    assert again.read_bytes() == output.read_bytes()
    assert f"{result['rows']:,} rows labelled by {release.name}." in report
    assert f"  accuracy                   {result['measured']['accuracy']}" in report.splitlines()


def test_the_command_ends_with_one_sentence(tmp_path: Path, many: Path, release: Any) -> None:
    def fails(sentence: str, **options: Any) -> None:
        with pytest.raises(CommandError, match=sentence) as caught:
            call_command("classify", **{"input": many, "output": tmp_path / "out.csv", **options})
        assert "\n" not in str(caught.value)

    fails("no classifier release 'classifier-0009'. There are: classifier-0001", release="classifier-0009")
    fails("No such file", input=tmp_path / "nowhere.csv")
    fails("names no “label”", label_column="label")
    fails("Is a directory", input=tmp_path)
    (tmp_path / "out.csv").write_text("precious")
    fails("out.csv is there already")


@pytest.mark.django_db
def test_without_a_classifier_the_command_says_how_to_get_one(tmp_path: Path, many: Path) -> None:
    with pytest.raises(CommandError, match=r"no current classifier\. Train one with"):
        call_command("classify", input=many, output=tmp_path / "out.csv")


def test_progress_tells_what_is_left_where_nothing_can_be_redrawn(
    tmp_path: Path,
    many: Path,
    release: Any,
    small_batches: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from chatbot.training.management.commands import classify

    monkeypatch.setattr(classify, "MILESTONE_S", 0.0)
    call_command("classify", input=many, output=tmp_path / "out.csv")
    lines = capsys.readouterr().err.splitlines()
    total = len(read_rows(many)) - 1
    assert lines[0].startswith(f"  4 of {total} rows ({4 / total:.0%}), about ")
    assert lines[-1] == f"  {total} of {total} rows (100%), about 0 s left"
