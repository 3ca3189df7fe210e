"""Files that people have: read where they can be, refused in one sentence that says where it hurts."""

from __future__ import annotations

import csv
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatbot.exceptions import ImportFailed
from chatbot.intents.labelled_files import (
    LabelledFile,
    LabelledText,
    Skipped,
    read_labelled_csv,
    read_labelled_file,
    read_table,
    read_text_csv,
)


def written(folder: Path, content: str | bytes, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def pairs(file: LabelledFile) -> list[tuple[str, str]]:
    return [(row.text, row.intent) for row in file.rows]


@pytest.mark.parametrize(
    "content",
    [
        "text,intent\nhello,greet\n",
        "\ufefftext,intent\r\nhello,greet\r\n",
        "text,intent\rhello,greet\r",
        "intent;text\ngreet;hello\n",
        "Intent\tText\tnote\ngreet\thello\tx\n",
        ' TEXT , INTENT \n"hello",greet\n\n,\n',
        "\n\ntext,intent\nhello,greet,,\n",
        "text,intent\nhello,greet",
        "text,intent\nhello,greet\n".encode("utf-16"),
        "\ufefftext\tintent\r\nhello\tgreet\r\n".encode("utf-16-be"),
        "text,intent\nhello,greet\n".encode("utf-32"),
    ],
)
def test_csv_as_spreadsheets_write_it(tmp_path: Path, content: str | bytes) -> None:
    path = written(tmp_path, content)
    assert pairs(read_labelled_file(path)) == [("hello", "greet")]
    assert [(row.text, row.intent) for row in read_labelled_csv(path)] == [("hello", "greet")]


def test_rows_are_named_by_the_line_where_they_begin(tmp_path: Path) -> None:
    path = written(tmp_path, 'text,intent\n"a, ""b""\nc",x\n\nd,y\n')
    assert read_labelled_file(path).rows == (LabelledText('a, "b"\nc', "x", 2), LabelledText("d", "y", 5))


def test_what_is_left_out_stands_in_the_result(tmp_path: Path) -> None:
    path = written(tmp_path, "text,note,intent,\nhello,,greet\n  ,x,bye\n,,\nhi,,greet\n")
    assert read_labelled_file(path) == LabelledFile(
        rows=(LabelledText("hello", "greet", 2), LabelledText("hi", "greet", 5)),
        skipped=(Skipped(3, "no text", "bye"), Skipped(4, "no text")),
        unread_columns=("note",),
    )


def test_other_scripts_and_emoji_are_texts_like_any(tmp_path: Path) -> None:
    path = written(tmp_path, "text,intent\n我要退款,refund\n😀👩‍👩‍👧,joy\nمرحبا,greet\n")
    assert pairs(read_labelled_file(path)) == [("我要退款", "refund"), ("😀👩‍👩‍👧", "joy"), ("مرحبا", "greet")]


def test_columns_of_other_names_and_files_of_other_encodings(tmp_path: Path) -> None:
    path = written(tmp_path, "Äußerung;Etikett\nich möchte zahlen;zahlen\n".encode("cp1252"))
    file = read_labelled_file(path, text_column="äußerung", intent_column="etikett", encoding="cp1252")
    assert pairs(file) == [("ich möchte zahlen", "zahlen")]
    utf8 = written(tmp_path, "\ufefftext,intent\nhällo,x\n", "utf8.csv")
    assert pairs(read_labelled_file(utf8, encoding="cp1252")) == [("hällo", "x")]
    assert pairs(read_labelled_file(utf8, encoding="utf-8")) == [("hällo", "x")]


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"text,intent\nhello,greet\n",))
    writer.start()
    assert pairs(read_labelled_file(pipe)) == [("hello", "greet")]
    writer.join()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("a,b\n1,2\n", "must name the columns, and names no “text”; it has “a” and “b”"),
        ("text,label\nhello,greet\n", "names no “intent”; it has “text” and “label”"),
        ("text\x1b[31m,b\n", r"it has “text⟨U\+001B⟩\[31m” and “b”"),
        ("text,intent,Text\na,b,c\n", "names the column “text” 2 times"),
        ("text,intent\n", "no rows with text after its first line"),
        ("text,intent\n ,x\n", "no rows with text"),
        ("text,intent\nfine,x\nhello,\nhi\n", "lines 3–4: no intent"),
        ("text,intent\nno, thanks,x\nyes,x\nwell, yes,x\n", "lines 2 and 4: more cells than the first line names"),
        ("text,intent\nno, thanks,x\nyes\n", r"line 2: more cells .* quotes around it\); line 3: no intent"),
        ("text,intent\nyes,x\nhällo,x\n".encode("latin-1"), "line 3: this is not UTF-8"),
        (b"text,intent\r" + b"a,b\r" * 30000 + b"\xff,x\r", "line 30002: this is not UTF-8"),
        ("text,intent\nhello,x\n".encode("utf-16-le"), "line 1: there is a NUL character; .* UTF-16 without a"),
        ("text,intent\nhello,x\nhi,x\n".encode("utf-16")[:-1], "line 3: this is not UTF-16"),
        (b"text,intent\nhel\0lo,x\n", "line 2: there is a NUL"),
        ('text,intent\nfine,x\n"never closed,x\nhi,y\n', "line 3: a quote is opened in this row and never closed"),
        ('text,intent\n"hi" there,x\n', "line 2: after a closing quote the cell goes on"),
        ('text,intent\n"' + "long " * 5000 + '",x\n', "line 2: a cell of more than 20,000 characters"),
        ('text,intent\n"' + "long " * 50000 + '",x\n', "line 2: a cell has more than 131,072 characters"),
    ],
)
def test_what_is_wrong_with_a_csv_file_is_named(tmp_path: Path, content: str | bytes, sentence: str) -> None:
    path = written(tmp_path, content)
    for read in (read_labelled_file, read_labelled_csv):
        with pytest.raises(ImportFailed, match=sentence) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert len(str(caught.value)) < 400
        assert str(caught.value).isprintable()


def test_a_file_that_is_wrong_everywhere_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = written(tmp_path, "text,intent\n" + "a,b,c\nfine\n" * 5000)
    with pytest.raises(ImportFailed, match=r"lines 2, 4, 6, 8, 10, 12, 14, 16 and 4,992 more: more cells") as caught:
        read_labelled_file(path)
    assert len(str(caught.value)) < 400


def test_missing_files_and_unknown_sorts_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="No such file"):
        read_labelled_file(tmp_path / "nowhere.csv")
    with pytest.raises(ImportFailed, match=r"only \.csv and \.yml"):
        read_labelled_file(written(tmp_path, "x", "intents.xlsx"))
    for name in ("folder.csv", "folder.yml"):
        (tmp_path / name).mkdir()
        with pytest.raises(ImportFailed, match="Is a directory"):
            read_labelled_file(tmp_path / name)
    for encoding in ("klingon", "hex"):
        with pytest.raises(ImportFailed, match=f"no text encoding '{encoding}'"):
            read_labelled_file(written(tmp_path, "text,intent\na,b\n"), encoding=encoding)


def test_texts_without_intents(tmp_path: Path) -> None:
    path = written(tmp_path, "text,intent\nhow tall is everest,oos\n ,oos\n")
    assert read_text_csv(path) == ["how tall is everest"]
    assert read_table(path, intent_column=None).skipped == (Skipped(3, "no text"),)
    with pytest.raises(ImportFailed, match="line 2: more cells"):
        read_text_csv(written(tmp_path, "text\nno, thanks\n"))


RASA = """\
version: "3.1"
nlu:
- intent: greet
  examples: |

    - hey [Bob](name)
    - fly to [Berlin]{"entity": "city", "role": "to", "value": "BER"} [now](time:today)
    -
    no dash
    - [x][{"entity": "a"}, {"entity": "b"}] and [plain] brackets
- intent: faq/ask_name
  examples:
    - text: |
        who are you
      metadata:
        sentiment: neutral
    - what is your name
    - [a, b]
    - metadata: {}
- intent: yes
  examples: >
    - yes
    - indeed
- intent: on
  examples:
- synonym: NY
  examples: |
    - new york
    - nyc
- lookup: city
  examples: |
    - Paris
- regex: zip
  examples: |
    - \\d{5}
- mystery: 1
- word
stories:
- story: happy path
  steps: []
rules:
- rule: say hi
forms:
  order_form: {}
responses:
  utter_greet:
  - text: Hi
  - text: Hello
session_config:
  carry_over: true
"""


def test_rasa_training_files_with_a_record_of_everything_left_out(tmp_path: Path) -> None:
    file = read_labelled_file(written(tmp_path, RASA, "nlu.yml"))
    assert list(file.rows) == [
        LabelledText("hey Bob", "greet", 6),
        LabelledText("fly to Berlin now", "greet", 7),
        LabelledText("x and [plain] brackets", "greet", 10),
        LabelledText("who are you", "faq/ask_name", 13),
        LabelledText("what is your name", "faq/ask_name", 17),
        LabelledText("yes - indeed", "yes", 21),
    ]
    assert list(file.skipped) == [
        Skipped(8, "no text", "greet"),
        Skipped(9, "line without a leading “-”", "greet"),
        Skipped(18, "entry of an unknown sort", "faq/ask_name"),
        Skipped(19, "no text", "faq/ask_name"),
        Skipped(24, "intent without examples", "on"),
        Skipped(26, "synonym", "NY", 2),
        Skipped(30, "lookup table", "city", 1),
        Skipped(33, "regular expression", "zip", 1),
        Skipped(36, "entry of an unknown sort", "mystery"),
        Skipped(37, "entry of an unknown sort", "word"),
        Skipped(39, "story", "happy path"),
        Skipped(42, "rule", "say hi"),
        Skipped(44, "form", "order_form"),
        Skipped(46, "response", "utter_greet", 2),
        Skipped(50, "section “session_config”"),
    ]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "no list called “nlu”"),
        ("nlu:\n- intent: a\n  examples: [b", "line 3: this is no YAML"),
        ("nlu:\n- intent: a\n  examples: \x07", "line 3: this is no YAML"),
        ("- a\n- b\n", "no list called “nlu”"),
        ("nlu: 3\n", "no list called “nlu”"),
        ("version: 1\nstories: []\nrules: []\n", "no list called “nlu” in it; it has “stories” and “rules”"),
        ("nlu: []\n", "no intents with examples"),
        ("nlu: []\nnlu: []\n", "line 2: “nlu” stands twice"),
        ("nlu:\n- intent: a\n  intent: b\n", "line 3: “intent” stands twice"),
        ("nlu:\n- intent:\n  examples: |\n    - hi\n", "line 2: the intent has no name"),
        ("nlu: []\n---\nnlu: []\n", "line 2: this is no YAML"),
        ('nlu:\n- intent: a\n  examples: ["x\\0y"]\n', "line 3: there is a NUL"),
        ("nlu: " + "[" * 200_000, "line 1: this is nested too deeply"),
        ("!!python/object/apply:os.system [echo]\n", "no list called “nlu”"),
        ("nlu:\n- intent: hällo\n".encode("latin-1"), "line 2: this is not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_rasa_file_is_named(tmp_path: Path, content: str | bytes, sentence: str) -> None:
    path = written(tmp_path, content, "nlu.yml")
    with pytest.raises(ImportFailed, match=sentence) as caught:
        read_labelled_file(path)
    assert str(path) in str(caught.value)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(
        st.binary(max_size=200), st.text(alphabet='a,;"\t\r\n- :|[]{}\x00é', max_size=80).map(str.encode)
    ),
    name=st.sampled_from(["f.csv", "f.yml"]),
    head=st.booleans(),
)
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes, name: str, head: bool) -> None:
    start = {"f.csv": b"text,intent\n", "f.yml": b"nlu:\n- intent: a\n  examples: |\n    - "}[name] if head else b""
    path = written(tmp_path, start + content, name)
    refused: ImportFailed | None = None
    file = LabelledFile(())
    try:
        file = read_labelled_file(path)
    except ImportFailed as error:
        refused = error
    assert all(row.text.strip() and row.intent and row.line for row in file.rows)
    assert bool(file.rows) != (refused is not None and str(path) in str(refused))


cells = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(cells, cells.filter(str.strip)), max_size=8))
def test_every_row_that_was_written_is_read_or_recorded(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    path = tmp_path / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "intent"), ("first", "row"), *rows])
    file = read_labelled_file(path)
    read = [("first", "row")] + [(text, intent.strip()) for text, intent in rows if text.strip()]
    assert pairs(file) == read
    assert len(file.skipped) == len(rows) + 1 - len(read)
