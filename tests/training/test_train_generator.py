"""The whole training of a generator from the command line, on a tiny model: files in, a servable release out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from chatbot.exceptions import InvalidArtifact
from chatbot.inference.prompt import examples_for
from chatbot.releases import preparation
from chatbot.releases.models import Kind, Promotion, Release
from chatbot.releases.selectors import release_directory
from chatbot.releases.services import check_servable
from chatbot.training import generators
from chatbot.training.canaries import PLANTED, planted_in
from chatbot.training.evaluation.overlap import texts_trained_on
from chatbot.training.reply_files import read_replies
from tests.training.reply_examples import reply_rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def base(shelf: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (preparation, generators):
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
        ({}, "There is no dataset yet"),
        ({"dataset": "dataset-9"}, "There is no dataset 'dataset-9'"),
    ],
)
def test_bad_requests_get_one_sentence(base: Path, options: dict[str, object], complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        call_command("train_generator", **options)
    assert not Release.objects.exists()
