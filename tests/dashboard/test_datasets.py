"""The pages of datasets: previewed, frozen and downloaded by those who may; what customers wrote stays text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse

from chatbot.releases.models import Kind, Release
from chatbot.training.curation.options import CurationOptions
from chatbot.training.dataset_files import open_dataset
from chatbot.training.execution import execute
from chatbot.training.freezes import request_freeze, request_preview
from chatbot.training.freezing import NOTHING, freeze_dataset
from chatbot.training.models import Dataset, TrainingRun
from tests.dashboard.conftest import SignIn
from tests.training.nudges import Broker
from tests.training.reviewed_shop import make_examples, reviewed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nudges")]

INDEX = "/dashboard/datasets/"
CHOSEN = {"held_out_percent": "50", "per_visitor": "3", "seed": "4"}
HOSTILE = "<script>alert(1)</script> \u202etxet reach me at jo@example.com"
Status = TrainingRun.Status


@pytest.fixture(autouse=True)
def datasets(tmp_path: Path, settings: LazySettings) -> Path:
    settings.VAR_DIR, settings.DATASETS_DIR = tmp_path, tmp_path / "datasets"
    return tmp_path / "datasets"


def read(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def address(run: TrainingRun, page: str = "") -> str:
    return f"{INDEX}runs/{run.pk}/{page}"


def taken(client: Client, url: str) -> str:
    response: Any = client.get(url)
    assert response.status_code == 200
    return b"".join(response.streaming_content).decode()


# --- Who may do what ------------------------------------------------------------------------------


def test_strangers_are_sent_to_the_login_and_staff_without_permission_refused(client: Client, sign_in: SignIn) -> None:
    make_examples()
    dataset = freeze_dataset()
    run, nobody = request_preview(options=CurationOptions(), requested_by=None), sign_in(None)
    page = f"{INDEX}{dataset.name}/"
    for url in (INDEX, page, f"{page}files/manifest.json", address(run), address(run, "progress/")):
        assert client.get(url)["Location"].startswith(reverse("admin:login"))
        assert nobody.get(url).status_code == 403
    assert nobody.post(address(run, "cancel/")).status_code == 403
    assert not TrainingRun.objects.get().cancel_requested


def test_support_reads_figures_and_neither_freezes_nor_sees_rows(sign_in: SignIn) -> None:
    make_examples()
    reviewed("a word that stands nowhere else: heliotrope")
    dataset, client = freeze_dataset(options=CurationOptions(held_out_share=0)), sign_in("support")
    page = read(client, INDEX)
    assert dataset.name in page
    assert "<form" not in page
    assert client.post(INDEX, {**CHOSEN, "do": "freeze"}).status_code == 403
    assert "heliotrope" not in read(client, f"{INDEX}{dataset.name}/")
    assert client.get(f"{INDEX}{dataset.name}/files/intents.train.jsonl").status_code == 403
    assert not TrainingRun.objects.exists()


# --- Previewing and freezing ----------------------------------------------------------------------


def test_without_anything_to_freeze_the_page_says_what_to_do(operator: Client) -> None:
    page = read(operator, INDEX)
    assert "There is nothing to freeze yet" in page
    assert "import_transcripts" in page
    assert "<form" not in page


def test_a_preview_says_what_and_why_and_freezes_with_the_same_choices(operator: Client, nudges: Broker) -> None:
    make_examples()
    reviewed("stop my order pls, I am jo@example.com", days_ago=2)
    reviewed("call it off please", days_ago=1)
    reviewed("never mind the whole thing", unreviewed=True)
    response = operator.post(INDEX, {**CHOSEN, "do": "preview"})
    run = TrainingRun.objects.get()
    assert response["Location"] == address(run)
    assert nudges.told == [run.pk]
    assert "data-progress-url" in read(operator, address(run))
    assert json.loads(read(operator, address(run, "progress/")))["is_open"]
    execute(run_id=run.pk)
    page = read(operator, address(run))
    assert "<mark>[email]</mark> <b>1</b>" in page
    assert "nobody has reviewed it" in page
    assert "The gate wants at least 30" in page
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="(\w+)"', page)) | {"do": "freeze", "note": "For May"}
    assert {name: hidden[name] for name in CHOSEN} == CHOSEN
    freeze_page = operator.post(INDEX, hidden)["Location"]
    freeze = TrainingRun.objects.get(kind=TrainingRun.Kind.FREEZE)
    assert not Dataset.objects.exists()
    execute(run_id=freeze.pk)
    dataset = Dataset.objects.get()
    assert operator.get(freeze_page)["Location"] == f"{INDEX}{dataset.name}/"
    assert (dataset.note, dataset.created_by) == ("For May", freeze.requested_by)
    assert dataset.manifest["lineage"]["options"] == {"held_out_share": 0.5, "per_visitor": 3, "seed": 4}
    assert dataset.digest[:12] in read(operator, INDEX)


def test_enter_in_a_field_previews(operator: Client) -> None:
    make_examples()
    operator.post(INDEX, CHOSEN)
    assert TrainingRun.objects.get().kind == TrainingRun.Kind.PREVIEW


@pytest.mark.parametrize(
    ("field", "value"), [("held_out_percent", "51"), ("per_visitor", "0"), ("seed", "-1"), ("seed", "x")]
)
def test_what_cannot_be_frozen_is_said_where_it_was_entered(operator: Client, field: str, value: str) -> None:
    make_examples()
    page = operator.post(INDEX, {**CHOSEN, field: value, "do": "freeze"}).content.decode()
    assert 'class="errorlist"' in page
    assert "<details open>" in page
    assert not TrainingRun.objects.exists()


def test_only_one_freeze_goes_on_at_a_time(operator: Client) -> None:
    make_examples()
    run = request_freeze(options=CurationOptions(), requested_by=None)
    page = operator.post(INDEX, {**CHOSEN, "do": "freeze"}, follow=True).content.decode()
    assert "only one is at a time" in page
    assert address(run) in page
    assert TrainingRun.objects.count() == 1


def test_a_freeze_that_failed_says_why_and_one_that_was_cancelled_that_nothing_was_kept(operator: Client) -> None:
    run = request_freeze(options=CurationOptions(), requested_by=None)
    execute(run_id=run.pk)
    page = read(operator, address(run))
    assert "Nothing was frozen" in page
    assert NOTHING in page
    run = request_freeze(options=CurationOptions(), requested_by=None)
    assert operator.post(address(run, "cancel/"))["Location"] == address(run)
    assert "Nothing was kept of it." in read(operator, address(run))


# --- A dataset ------------------------------------------------------------------------------------


def test_its_page_shows_rows_as_text_with_placeholders_marked(operator: Client) -> None:
    make_examples()
    reviewed(HOSTILE)
    dataset = freeze_dataset(options=CurationOptions(held_out_share=0), note="<b>bold</b>")
    page = read(operator, f"{INDEX}{dataset.name}/")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; ⟨U+202E⟩" in page
    assert "<mark>[email]</mark>" in page
    assert "jo@example.com" not in page
    assert "<b>bold" not in page + read(operator, INDEX)
    assert dataset.digest in page


def test_lineage_reaches_the_releases_also_those_before_an_erasure(operator: Client) -> None:
    make_examples()
    dataset = freeze_dataset()
    Dataset.objects.update(former_digests=["f" * 64], erased_rows=3)
    for number, digest in enumerate((dataset.digest, "f" * 64, "0" * 64), start=1):
        Release.objects.create(
            kind=Kind.CLASSIFIER, name=f"classifier-000{number}", path=f"releases/{number}", dataset_digest=digest
        )
    for page in (read(operator, INDEX), read(operator, f"{INDEX}{dataset.name}/")):
        assert "classifier-0001" in page
        assert "classifier-0002" in page
        assert "classifier-0003" not in page
    assert "3 rows" in read(operator, f"{INDEX}{dataset.name}/")


def test_a_download_is_the_file_and_stands_in_the_audit_log(operator: Client) -> None:
    make_examples()
    reviewed("I am jo@example.com \u2028 ’tis")
    dataset = freeze_dataset(options=CurationOptions(held_out_share=0))
    directory = open_dataset(dataset).directory
    for file in ("intents.train.jsonl", "manifest.json"):
        url = f"{INDEX}{dataset.name}/files/{file}"
        assert taken(operator, url).encode() == (directory / file).read_bytes()
        entry = LogEntry.objects.filter(action=LogEntry.Action.ACCESS).latest("id")
        assert entry.actor is not None
        assert (entry.object_repr, entry.actor.username) == (dataset.name, "operator-robin")
        assert entry.additional_data == {"file": file, "digest": dataset.digest}
    count = LogEntry.objects.filter(action=LogEntry.Action.ACCESS).count()
    assert operator.head(url).status_code == 200
    for file in (".lock", "..%2f..%2fdb.sqlite3", "passwords.txt"):
        assert operator.get(f"{INDEX}{dataset.name}/files/{file}").status_code == 404
    assert LogEntry.objects.filter(action=LogEntry.Action.ACCESS).count() == count


def test_a_damaged_dataset_is_told_and_not_handed_out(operator: Client) -> None:
    make_examples()
    dataset = freeze_dataset()
    (open_dataset(dataset).directory / "intents.train.jsonl").write_text("{}\n")
    page = read(operator, f"{INDEX}{dataset.name}/")
    assert "It is not as it was frozen" in page
    assert "Some of its rows" not in page
    assert operator.get(f"{INDEX}{dataset.name}/files/intents.train.jsonl")["Location"] == f"{INDEX}{dataset.name}/"
    assert not LogEntry.objects.filter(action=LogEntry.Action.ACCESS).exists()


def test_a_dataset_that_does_not_exist_is_not_found(operator: Client) -> None:
    assert operator.get(f"{INDEX}dataset-9999/").status_code == 404
    assert operator.get(f"{INDEX}runs/9999/").status_code == 404
