"""Release folders: whole or not there, and refused where a single byte is not as it was registered."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatbot.exceptions import InvalidArtifact
from chatbot.releases.artifacts import MANIFEST, new_release_folder, read_manifest, verify_release_folder

FILES = {"weights.safetensors": b"w" * 300, "description.json": b'{"a": 1}', "sub/tokens.txt": b"one\ntwo\n"}


def write(folder: Path) -> Path:
    with new_release_folder(folder, kind="classifier", base="b", seed=4, metrics={"accuracy": 0.5}) as draft:
        for name, content in FILES.items():
            (draft / name).parent.mkdir(exist_ok=True)
            (draft / name).write_bytes(content)
    return folder


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return write(tmp_path / "classifier-0001")


def verify(folder: Path, digest: str) -> None:
    verify_release_folder(folder, manifest_digest=digest, kind="classifier")


def test_a_whole_folder_is_accepted_and_described(release: Path) -> None:
    manifest, digest = read_manifest(release)
    assert set(manifest["files"]) == set(FILES)
    assert manifest["metrics"] == {"accuracy": 0.5}
    assert manifest["seed"] == 4
    verify(release, digest)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with new_release_folder(tmp_path / "classifier-0001", kind="classifier") as draft:
            (draft / "weights.safetensors").write_bytes(b"half")
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="disk"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_release_is_never_replaced(release: Path) -> None:
    before = read_manifest(release)
    with pytest.raises(FileExistsError):
        write(release)
    assert read_manifest(release) == before
    assert [path.name for path in release.parent.iterdir()] == [release.name]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bit_anywhere_is_found(release: Path, data: st.DataObject) -> None:
    _, digest = read_manifest(release)
    name = data.draw(st.sampled_from([*FILES, MANIFEST]))
    path = release / name
    original = path.read_bytes()
    place = data.draw(st.integers(0, len(original) - 1))
    damaged = bytearray(original)
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(bytes(damaged))
    try:
        with pytest.raises(InvalidArtifact) as caught:
            verify(release, digest)
        assert caught.value.path == path
        assert "manage.py" in str(caught.value)
    finally:
        path.write_bytes(original)


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
@pytest.mark.parametrize("change", [b"", b"longer than it was" * 99])
def test_cut_and_grown_files_are_named(release: Path, name: str, change: bytes) -> None:
    _, digest = read_manifest(release)
    (release / name).write_bytes(change)
    with pytest.raises(InvalidArtifact) as caught:
        verify(release, digest)
    assert caught.value.path == release / name


def test_missing_files_are_named(release: Path) -> None:
    _, digest = read_manifest(release)
    (release / "description.json").unlink()
    with pytest.raises(InvalidArtifact, match=r"description\.json: the file is missing"):
        verify(release, digest)


def test_files_that_nobody_registered_are_refused(release: Path) -> None:
    _, digest = read_manifest(release)
    (release / "extra.json").write_text("{}")
    with pytest.raises(InvalidArtifact, match=r"extra\.json: the file is not part"):
        verify(release, digest)


@pytest.mark.parametrize("name", ["model.pkl", "pytorch_model.bin", "weights.pt", "code.py", "lib.so", "noending"])
def test_what_can_run_code_is_refused_even_if_the_manifest_names_it(tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(InvalidArtifact, match="refused"),
        new_release_folder(tmp_path / "r", kind="classifier") as draft,
    ):
        (draft / name).write_bytes(pickle.dumps({"a": 1}))
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("target", ["description.json", "/etc/passwd", "/nowhere"])
def test_links_are_refused(release: Path, target: str) -> None:
    _, digest = read_manifest(release)
    (release / "weights.safetensors").unlink()
    os.symlink(target, release / "weights.safetensors")
    with pytest.raises(InvalidArtifact, match="links"):
        verify(release, digest)


@pytest.mark.parametrize("name", ["../outside.json", "/etc/hosts", "a/../../b.json", "a\\b.json", "./description.json"])
def test_names_that_lead_outside_are_refused(release: Path, name: str) -> None:
    manifest, _ = read_manifest(release)
    manifest["files"][name] = {"size": 1, "sha256": "00"}
    (release / MANIFEST).write_text(json.dumps(manifest))
    _, digest = read_manifest(release)
    with pytest.raises(InvalidArtifact, match="outside"):
        verify(release, digest)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"files": 3}', '{"files": {"a": {}}}', '{"files": {"a": {"sha256": 1, "size": 2}}}']
)
def test_malformed_manifests_are_refused(release: Path, content: str) -> None:
    (release / MANIFEST).write_text(content)
    with pytest.raises(InvalidArtifact, match="manifest"):
        read_manifest(release)
