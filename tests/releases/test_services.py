"""Storing, promoting and rolling back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from chatbot.exceptions import InvalidArtifact, ReleaseError
from chatbot.releases.models import Kind, Promotion, Release
from chatbot.releases.selectors import classifier_fits_encoder, current_release, release_directory
from chatbot.releases.services import promote_release, register_release, rollback, store_release
from tests.releases.shelf import store_classifier, trained_classifier

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("shelf")]


def current_name() -> str:
    release = current_release(Kind.CLASSIFIER)
    assert release is not None
    return release.name


def test_stored_releases_are_numbered_and_described() -> None:
    first, second = store_classifier(), store_classifier()
    assert [first.name, second.name] == ["classifier-0001", "classifier-0002"]
    assert first.path == "releases/classifier-0001"
    assert first.metrics == trained_classifier().metrics
    assert first.manifest["dataset_digest"] == first.dataset_digest == "cd" * 32
    assert (release_directory(first) / "manifest.json").is_file()


def test_a_name_is_never_given_twice_even_if_its_row_is_gone(shelf: Path) -> None:
    store_classifier().delete()
    assert store_classifier().name == "classifier-0002"
    assert sorted(path.name for path in shelf.iterdir()) == ["classifier-0001", "classifier-0002"]


def test_a_write_that_fails_registers_nothing(shelf: Path) -> None:
    def write(_folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        store_release(kind=Kind.CLASSIFIER, write=write, base="words")
    assert not Release.objects.exists()
    assert list(shelf.iterdir()) == []


def test_only_folders_below_var_can_be_registered(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(ReleaseError, match="not below"):
        register_release(kind=Kind.CLASSIFIER, directory=tmp_path_factory.mktemp("elsewhere"))


def test_promotion_remembers_what_it_replaced_and_why() -> None:
    first, second = store_classifier(), store_classifier()
    promote_release(release=first, reason="the first")
    promotion = promote_release(release=second, reason="  better on refunds ")
    assert current_name() == second.name
    assert (promotion.previous, promotion.reason) == (first, "better on refunds")
    again = promote_release(release=second, reason="once more")
    assert again == promotion
    assert Promotion.objects.count() == 2


def test_promotion_needs_a_reason_and_sound_files() -> None:
    release = store_classifier()
    with pytest.raises(ReleaseError, match="reason"):
        promote_release(release=release, reason=" ")
    weights = release_directory(release) / "classifier.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InvalidArtifact, match=r"classifier\.safetensors"):
        promote_release(release=release, reason="it looks fine")
    assert not Promotion.objects.exists()


def test_a_classifier_for_another_encoder_is_not_promoted(monkeypatch: pytest.MonkeyPatch) -> None:
    from chatbot.releases import encoders

    release = store_classifier()
    monkeypatch.setattr(encoders, "current_encoder_digest", lambda: "another")
    with pytest.raises(ReleaseError, match="another encoder"):
        promote_release(release=release, reason="try it")


def test_whether_the_current_classifier_fits_the_encoder() -> None:
    assert not classifier_fits_encoder()
    promote_release(release=store_classifier(encoder_digest="of another encoder"), reason="a")
    assert not classifier_fits_encoder()
    promote_release(release=store_classifier(), reason="b")
    assert classifier_fits_encoder()


def test_rollback_goes_to_older_releases_that_were_current() -> None:
    first, never, third = store_classifier(), store_classifier(), store_classifier()
    promote_release(release=first, reason="a")
    promote_release(release=third, reason="b")
    promotion = rollback(kind=Kind.CLASSIFIER, reason="refunds got worse")
    assert (promotion.release, promotion.previous) == (first, third)
    assert never.promotions.count() == 0
    with pytest.raises(ReleaseError, match="oldest"):
        rollback(kind=Kind.CLASSIFIER, reason="further")
    with pytest.raises(ReleaseError, match=r"no current generator"):
        rollback(kind=Kind.GENERATOR, reason="what?")


def test_rollback_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = store_classifier(), store_classifier()
    promote_release(release=first, reason="first")
    promote_release(release=second, reason="second")
    call_command("rollback", "classifier", reason="worse")
    assert capsys.readouterr().out.strip() == "classifier-0001 is current (before: classifier-0002)."
    with pytest.raises(CommandError, match="oldest"):
        call_command("rollback", "classifier", reason="x")


def test_missing_folders_are_named() -> None:
    release = store_classifier()
    shutil.rmtree(release_directory(release))
    with pytest.raises(InvalidArtifact, match=r"classifier-0001/manifest\.json.*train_classifier"):
        promote_release(release=release, reason="x")
