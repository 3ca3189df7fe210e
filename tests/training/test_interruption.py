"""Ctrl-C in the middle of a training: a real process, a word to whoever pressed it, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.inference.tiny_encoder import make_tiny_encoder

ROOT = Path(__file__).resolve().parents[2]
# Enough that a training is still far from its end when its first line of progress is read.
ROWS = 20_000


def test_an_interrupted_training_leaves_nothing_behind(tmp_path: Path) -> None:
    var, scratch = tmp_path / "var", tmp_path / "scratch"
    var.mkdir()
    scratch.mkdir()
    train = tmp_path / "train.csv"
    rows = "".join(f"cancel {row} now,cancel\nwhere is parcel {row},track\n" for row in range(ROWS // 2))
    train.write_text("text,intent\n" + rows)
    environment = {
        **os.environ,
        "VAR_DIR": str(var),
        "TMPDIR": str(scratch),
        "ENV_FILE": os.devnull,
        "ENCODER_MODEL": str(make_tiny_encoder(tmp_path / "tiny")),
    }
    command = [sys.executable, "manage.py", "train_classifier", "--train", str(train), "--preset", "full"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell gives what it runs in the background no Ctrl-C, and so would this test's own program.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as training:
        assert training.stderr is not None
        assert any("…" in line for line in iter(training.stderr.readline, ""))
        training.send_signal(signal.SIGINT)
        out, err = training.communicate(timeout=60)
    assert training.returncode == 130, err
    assert "Stopped. Nothing was registered or promoted." in err
    assert "Traceback" not in err
    assert out == ""
    assert not list(scratch.glob("frontdesk-classifier-*"))
    assert not list(var.glob("releases/*"))
