"""Files that people have: read where they can be, refused in one sentence that says where it hurts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatbot.exceptions import ImportFailed
from chatbot.intents.labelled_files import LabelledText, read_labelled_file, read_text_csv


def written(folder: Path, content: str | bytes, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        "text,intent\nhello,greet\n",
        "\ufefftext,intent\r\nhello,greet\r\n",
        "intent;text\ngreet;hello\n",
        "Intent\tText\tnote\ngreet\thello\tx\n",
        ' TEXT , INTENT \n"hello",greet\n\n,\n',
    ],
)
def test_csv_as_spreadsheets_write_it(tmp_path: Path, content: str) -> None:
    assert [(row.text, row.intent) for row in read_labelled_file(written(tmp_path, content))] == [("hello", "greet")]


def test_quotes_commas_and_lines_inside_a_cell(tmp_path: Path) -> None:
    path = written(tmp_path, 'text,intent\n"a, ""b""\nc",x\nd,y\n')
    assert read_labelled_file(path) == [LabelledText('a, "b"\nc', "x", 3), LabelledText("d", "y", 4)]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "must name the columns text and intent; it has nothing"),
        ("a,b\n1,2\n", "must name the columns text and intent; it has a, b"),
        ("text,intent\n", "no rows with text"),
        ("text,intent\nfine,x\nhello,\n", "line 3: the row has no intent"),
        ("text,intent\nhällo,x\n".encode("latin-1"), "line 2: the file is not UTF-8"),
        ("text,intent\nhello,x\n".encode("utf-16"), "UTF-16"),
        (b"text,intent\nhel\0lo,x\n", "NUL"),
        ('text,intent\n"never closed,x\n', "unexpected end of data"),
        ('text,intent\n"' + "long " * 5000 + '",x\n', "a cell is too long"),
    ],
)
def test_what_is_wrong_with_a_csv_file_is_named(tmp_path: Path, content: str | bytes, sentence: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ImportFailed, match=sentence) as caught:
        read_labelled_file(path)
    assert str(path) in str(caught.value)


def test_missing_files_and_unknown_sorts_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="No such file"):
        read_labelled_file(tmp_path / "nowhere.csv")
    with pytest.raises(ImportFailed, match=r"only \.csv and \.yml"):
        read_labelled_file(written(tmp_path, "x", "intents.xlsx"))


def test_texts_without_intents(tmp_path: Path) -> None:
    assert read_text_csv(written(tmp_path, "text,intent\nhow tall is everest,oos\n ,oos\n")) == ["how tall is everest"]


RASA = """
version: "3.1"
nlu:
- intent: greet
  examples: |
    - hey [Bob](name)
    - fly to [Berlin]{"entity": "city", "role": "to"} [now](time)
    -
- intent: faq/ask_name
  examples:
    - text: who are you
    - what is your name
- synonym: NY
  examples: |
    - new york
- lookup: city
  examples: |
    - Paris
"""


def test_rasa_training_files(tmp_path: Path) -> None:
    assert [(row.text, row.intent) for row in read_labelled_file(written(tmp_path, RASA, "nlu.yml"))] == [
        ("hey Bob", "greet"),
        ("fly to Berlin now", "greet"),
        ("who are you", "faq/ask_name"),
        ("what is your name", "faq/ask_name"),
    ]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a: [1", "line 1: this is no YAML"),
        ("- a\n- b\n", "no list called “nlu”"),
        ("nlu: 3\n", "no list called “nlu”"),
        ("nlu: []\n", "no intents with examples"),
        ("!!python/object/apply:os.system [echo]\n", "this is no YAML"),
    ],
)
def test_what_is_wrong_with_a_rasa_file_is_named(tmp_path: Path, content: str, sentence: str) -> None:
    with pytest.raises(ImportFailed, match=sentence):
        read_labelled_file(written(tmp_path, content, "nlu.yml"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), name=st.sampled_from(["f.csv", "f.yml"]), header=st.booleans())
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes, name: str, header: bool) -> None:
    path = written(tmp_path, (b"text,intent\n" if header else b"") + content, name)
    refused: ImportFailed | None = None
    rows: list[LabelledText] = []
    try:
        rows = read_labelled_file(path)
    except ImportFailed as error:
        refused = error
    assert all(row.text.strip() and row.intent for row in rows)
    assert bool(rows) != (refused is not None and str(path) in str(refused))
