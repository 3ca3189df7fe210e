"""The OpenVINO engine: continuous batching on CPU from a Q8_0 GGUF file, in a child process.

This module imports neither OpenVINO nor torch; `openvino_host` explains why the pipeline has a process of its own.
"""

from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from chatbot.exceptions import EngineError, ModelFilesError
from chatbot.inference.engines.base import TokenEngine
from chatbot.inference.prompt import EXAMPLES, Example, Prompt, Utterance
from chatbot.inference.sampling import SamplingParams
from chatbot.inference.tokens import ModelTokenizer

GGUF_NAME = "model.Q8_0.gguf"
# Loading 135M takes 4 s on two free cores; a busy machine or a model of some billions takes many times that.
START_LIMIT_S = 180
# A step ends within this, after which a child that was hung up on is gone by itself.
_STOP_LIMIT_S = 5.0
_ROOT = Path(__file__).resolve().parents[3]

logger = logging.getLogger(__name__)


class OpenVINOEngine(TokenEngine):
    """Serves a folder's `model.Q8_0.gguf`.

    How much of a prompt the prefix cache held, the pipeline tells neither in its metrics nor with a request, so the
    replies' timings have no `cached_prompt_tokens`.
    """

    name = "openvino"

    def __init__(
        self,
        model_dir: Path,
        *,
        max_streams: int,
        kv_cache_mib: int,
        threads: int | None,
        examples: Sequence[Example] = EXAMPLES,
        lookup_tokens: int = 5,
        start_limit_s: int = START_LIMIT_S,
        step_limit_s: float | None = None,
    ) -> None:
        """Returns once the child has proved itself. Raises ModelFilesError, or EngineError where it could not.

        A step of the model that takes longer than `step_limit_s` ends the child, and so the engine. By default the
        child chooses: eight seconds, or more where its proof was slow.
        """
        super().__init__(ModelTokenizer(model_dir), max_streams=max_streams, examples=examples)
        gguf = model_dir / GGUF_NAME
        if not gguf.is_file():
            raise ModelFilesError("the file is missing", path=gguf)
        self._kv_share = 0.0
        self._held = 0
        self._outbox: SimpleQueue[bytes | None] = SimpleQueue()
        settings = {
            "gguf": str(gguf.resolve()),
            "max_streams": max_streams,
            "kv_cache_mib": kv_cache_mib,
            "context_tokens": self.context_tokens,
            "threads": threads,
            "lookup_tokens": lookup_tokens,
            "end_ids": sorted(self.tokenizer.end_ids),
            "vocab_size": self.tokenizer.vocab_size,
            "proof_ids": self.prompts.build(
                system="", guidance="", passages=(), turns=[Utterance("user", "Hello, can you help me?")]
            ).token_ids,
            "start_limit_s": start_limit_s,
            "step_limit_s": step_limit_s,
            **_kv_shape(model_dir),
        }
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.openvino_host", str(theirs.fileno()), json.dumps(settings)],
                cwd=_ROOT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._incoming = self._connection.makefile("rb")
        self._await_ready(start_limit_s)
        self._writer = threading.Thread(target=self._write, name="engine-writer", daemon=True)
        self._reader = threading.Thread(target=self._read, name="engine-reader", daemon=True)
        self._writer.start()
        self._reader.start()

    @property
    def pid(self) -> int:
        """The child that runs the model."""
        return self._process.pid

    def _await_ready(self, limit_s: float) -> None:
        began = time.monotonic()
        self._connection.settimeout(limit_s + 5)
        try:
            line = self._incoming.readline()
        except TimeoutError:
            line = b""
        self._connection.settimeout(None)
        if line:
            logger.info("OpenVINO engine ready in %.1f s", time.monotonic() - began)
            return
        self._connection.close()
        raise EngineError(f"OpenVINO did not start: {self._epitaph()}")

    def _start(self, request: int, prompt: Prompt, sampling: SamplingParams) -> None:
        self._send(
            {
                "add": request,
                "ids": prompt.token_ids,
                "max_tokens": sampling.max_tokens,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "repetition_penalty": sampling.repetition_penalty,
                "seed": sampling.seed,
            }
        )

    def _stop(self, request: int) -> None:
        self._send({"stop": request})

    def _send(self, frame: dict[str, Any]) -> None:
        # Through a queue, because a finaliser may call this in a thread that is in the middle of sending.
        self._outbox.put(json.dumps(frame, separators=(",", ":")).encode() + b"\n")

    def _write(self) -> None:
        try:
            for frame in iter(self._outbox.get, None):
                self._connection.sendall(frame)
        except OSError:
            pass  # the child is gone; the reader tells everyone

    def _read(self) -> None:
        try:
            for line in self._incoming:
                self._take(json.loads(line))
            cause = ""
        except OSError:
            cause = ""  # a connection cut in the middle of a frame is a dead child like any other
        except Exception as error:  # whatever it is, nobody may be left waiting
            logger.exception("The engine's reader failed")
            cause = f"its frames could not be read ({error})"
        if self.alive:
            ended = EngineError(f"the OpenVINO process ended: {cause or self._epitaph()}")
            logger.error("%s", ended)
            self._end(ended)

    def _take(self, frame: dict[str, Any]) -> None:
        self._kv_share, self._held = frame["kv"], frame["held"]
        for request, ids, outcome in frame["made"]:
            self._deliver(request, ids, last=outcome == "finished")
            if outcome not in (None, "finished"):
                self._fail(request, EngineError(f"OpenVINO gave the request up: {outcome}"))

    def in_model(self) -> int:
        return self._held

    def _kv_use(self) -> float:
        return self._kv_share if self._held else 0.0

    def _shut_down(self) -> None:
        self._outbox.put(None)
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # hung up already
        self._epitaph()
        for thread in (self._writer, self._reader):
            if thread is not threading.current_thread():
                thread.join(_STOP_LIMIT_S)
        self._connection.close()

    def _epitaph(self) -> str:
        """Wait for the child's end, forcing it where need be, and say how it went."""
        try:
            code = self._process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return f"it did not answer within {START_LIMIT_S} s"
        if code == -signal.SIGALRM:
            return "it was stuck"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _kv_shape(model_dir: Path) -> dict[str, int]:
    config = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))
    heads = int(config["num_attention_heads"])
    head_dim = int(config.get("head_dim") or int(config["hidden_size"]) // heads)
    per_token = 2 * int(config["num_hidden_layers"]) * int(config.get("num_key_value_heads") or heads)
    return {"kv_heads_per_token": per_token, "kv_values_per_token": per_token * head_dim}
