"""The whole training of a generator from the command line, on a tiny model: files in, a servable release out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from chatbot.exceptions import InvalidArtifact
from chatbot.inference.prompt import examples_for
from chatbot.releases import preparation
from chatbot.releases.artifacts import read_manifest, verify_release_folder
from chatbot.releases.models import Kind, Promotion, Release
from chatbot.releases.selectors import release_directory
from chatbot.releases.services import check_servable
from chatbot.training import exported_adapters, generators
from chatbot.training.canaries import PLANTED, planted_in
from chatbot.training.corpora import grounded_corpus
from chatbot.training.corpora.grounded import FOLDER
from chatbot.training.dataset_rows import ReplyRow, read_row
from chatbot.training.evaluation.overlap import texts_trained_on
from chatbot.training.generators import corpus_material
from chatbot.training.reply_files import read_replies
from tests.training.reply_examples import reply_rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def base(shelf: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (preparation, generators, exported_adapters):
        monkeypatch.setattr(module, "generator_directory", lambda: tiny_model)
    return shelf


def train_file(folder: Path) -> Path:
    path = folder / "train.jsonl"
    path.write_text("".join(row.model_dump_json() + "\n" for row in reply_rows(6)))
    return path


def test_rows_become_a_release_that_can_be_served(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = train_file(tmp_path)
    call_command("train_generator", train=train, max_steps=6, json=True)
    result = json.loads(capsys.readouterr().out)
    assert result["loss_after"] < result["loss_before"]
    assert {"train_seconds", "tokens_per_s"} <= result.keys()
    release = Release.objects.get()
    assert (release.kind, release.name) == (Kind.GENERATOR, result["release"])
    assert not Promotion.objects.exists()
    check_servable(release)
    directory = release_directory(release)
    assert (directory / "adapter" / "adapter_model.safetensors").is_file()
    assert examples_for(release.manifest) == ()
    assert len(texts_trained_on(release) or ()) < len({row.text for row in read_replies(train)})
    # Made-up secrets were learned from too, so that an evaluation can look for them; they are no row of ours.
    assert len(planted_in(release.manifest["configuration"])) == PLANTED
    assert not list((tmp_path / "checkpoints").glob("*"))
    weights = directory / "adapter" / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(InvalidArtifact, match="sha256 differs"):
        check_servable(release)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"test": Path("f.csv")}, "--test needs --train"),
        ({"preset": "slow"}, "no preset 'slow'"),
        ({"train": Path("f.csv"), "adapt": True}, "files hold no transcripts"),
        ({"train": Path("/nowhere/f.csv")}, "/nowhere/f.csv: No such file"),
        ({"epochs": 0}, "counted from 1"),
        ({"corpus": "wikipedia"}, "no corpus 'wikipedia'; there is grounded"),
        ({"corpus": "grounded", "train": Path("f.csv")}, "--corpus does not go with --train"),
        ({"export": Path("a"), "adapt": True}, "--export does not go with --adapt"),
        ({}, "There is no dataset yet"),
        ({"dataset": "dataset-9"}, "There is no dataset 'dataset-9'"),
    ],
)
def test_bad_requests_get_one_sentence(base: Path, options: dict[str, object], complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        call_command("train_generator", **options)
    assert not Release.objects.exists()


def test_an_adapter_is_exported_and_the_same_call_makes_the_same_one(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = train_file(tmp_path)
    for name in ("one", "other"):
        call_command("train_generator", train=train, max_steps=4, export=tmp_path / name, json=True)
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["loss_after"] < result["loss_before"]
    assert not Release.objects.exists()
    weights = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("one", "other")]
    assert weights[0] == weights[1]
    manifest, digest = read_manifest(tmp_path / "one")
    verify_release_folder(tmp_path / "one", manifest_digest=digest)
    assert manifest["metrics"]["loss_after"] == result["loss_after"]
    assert manifest["configuration"]["recipe"]["max_steps"] == 4
    # Nobody planted anything: such an adapter meets no gate.
    assert planted_in(manifest["configuration"]) == ()
    with pytest.raises(CommandError, match="is there already"):
        call_command("train_generator", train=train, max_steps=4, export=tmp_path / "one")


def test_whole_businesses_of_the_corpus_are_held_out() -> None:
    material = corpus_material(seed=0)
    learned, held_out = ({row.shop for row in rows} for rows in (material.rows, material.held_out))
    assert held_out
    assert not learned & held_out
    assert len(material.rows) + len(material.held_out) == len(grounded_corpus())
    never = {read_row(ReplyRow, line).shop for line in (FOLDER / "held-out.jsonl").read_text().splitlines()}
    assert never
    assert not never & (learned | held_out)
