"""The transformers engine: Hugging Face's own continuous batching, on a GPU or, as the fallback, on a CPU.

Importing this module imports torch and transformers, which takes seconds; only workers that need it do.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, ContinuousBatchingConfig, GenerationConfig
from transformers.generation.continuous_batching import RequestStatus
from transformers.generation.continuous_batching.cb_logits_processors import ContinuousBatchingLogitsProcessor
from transformers.utils.logging import disable_progress_bar

from chatbot.exceptions import EngineError, ModelFilesError
from chatbot.inference.engines.base import TokenEngine
from chatbot.inference.prompt import EXAMPLES, Example, Prompt, Utterance
from chatbot.inference.sampling import SamplingParams
from chatbot.inference.tokens import ModelTokenizer

# Tokens per page of the key-value cache. Pages are shared between prompts that begin alike, so small ones share more;
# below this the bookkeeping shows.
_PAGE_TOKENS = 32
# Prompt tokens scheduled in one forward pass: bounds how long a prompt holds up the other streams.
_TOKENS_PER_STEP = {"cpu": 256, "cuda": 2048}
# How often the delivering thread looks up from an empty queue to see whether the model's thread still lives.
_PULSE_S = 0.25
_STOP_LIMIT_S = 10.0

logger = logging.getLogger(__name__)


def model_dtype(device: str) -> torch.dtype:
    """What to compute in: bfloat16 where the device has instructions for it, else float32."""
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


class TransformersEngine(TokenEngine):
    """Serves a folder in Hugging Face layout."""

    name = "transformers"

    def __init__(
        self,
        model_dir: Path,
        *,
        max_streams: int,
        kv_cache_mib: int,
        threads: int | None,
        examples: Sequence[Example] = EXAMPLES,
    ) -> None:
        """Returns once a first prompt was answered. Raises ModelFilesError, or EngineError where it was not."""
        super().__init__(ModelTokenizer(model_dir), max_streams=max_streams, examples=examples)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if threads and device == "cpu":
            torch.set_num_threads(threads)
        disable_progress_bar()
        logging.getLogger("ContinuousBatchingLogger").setLevel(logging.WARNING)
        try:
            self._model: Any = AutoModelForCausalLM.from_pretrained(
                model_dir,
                dtype=model_dtype(device),
                attn_implementation="sdpa",
                local_files_only=True,
            ).to(device)
        except Exception as error:  # transformers raises nearly everything for files that it cannot read
            raise ModelFilesError(f"transformers cannot load the model ({error})", path=model_dir) from error
        self._choice = _TokenChoice()
        self._manager = self._start_manager(device, kv_cache_mib)
        self._seen: dict[int, int] = {}
        self._pump = threading.Thread(target=self._deliver_outputs, name="engine-pump", daemon=True)
        self._pump.start()
        self._greet()
        self._count_cached_tokens()

    def _start_manager(self, device: str, kv_cache_mib: int) -> Any:
        config = self._model.config
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        token_bytes = 2 * config.num_hidden_layers * config.num_key_value_heads * head_dim * self._model.dtype.itemsize
        # One full conversation must fit, whatever the limit says.
        blocks = max(self.context_tokens // _PAGE_TOKENS + 1, kv_cache_mib * 2**20 // token_bytes // _PAGE_TOKENS)
        manager = self._model.init_continuous_batching(
            generation_config=GenerationConfig(
                do_sample=False, eos_token_id=sorted(self.tokenizer.end_ids), pad_token_id=min(self.tokenizer.end_ids)
            ),
            continuous_batching_config=ContinuousBatchingConfig(
                page_size=_PAGE_TOKENS,
                num_blocks=blocks,
                max_batch_tokens=max(_TOKENS_PER_STEP[device], self._max_streams),
                max_requests_per_batch=self._max_streams,
                # Per-request sampling looks at each request between steps, which neither of these allows.
                use_cuda_graph=False,
                use_async_batching=False,
            ),
        )
        # The library's own list knows no repetition penalty, and one temperature for all where it has any.
        processors = manager.logit_processor
        processors.logits_processor.append(self._choice)
        processors.tensors_required += 1
        processors.do_processing = True
        manager.start()
        return manager

    def _greet(self) -> None:
        prompt = self.prompts.build(system="", guidance="", passages=(), turns=[Utterance("user", "Hello")])
        try:
            for _ in self.submit(prompt, SamplingParams(max_tokens=4)):
                pass
        except EngineError as error:
            self.close()
            raise EngineError(f"transformers did not start: {error}") from error

    def _count_cached_tokens(self) -> None:
        """Have the library's prefix search tell what it found: its outputs do not."""
        cache = self._manager.batch_processor.cache
        search = cache.search_prefix_match

        def search_and_tell(request_id: str, prompt_ids: list[int]) -> int:
            found: int = search(request_id, prompt_ids)
            self._note_cached(int(request_id), found)
            return found

        cache.search_prefix_match = search_and_tell

    def _start(self, request: int, prompt: Prompt, sampling: SamplingParams) -> None:
        self._seen[request] = 0
        self._choice.add(str(request), sampling, self._model.device)
        accepted = self._manager.add_request(
            input_ids=list(prompt.token_ids),
            request_id=str(request),
            max_new_tokens=sampling.max_tokens,
            streaming=True,
        )
        if accepted is None:
            raise EngineError("the model's thread takes no more requests")

    def _stop(self, request: int) -> None:
        self._seen.pop(request, None)
        self._choice.drop(str(request))
        self._manager.cancel_request(str(request))

    def _deliver_outputs(self) -> None:
        cause: object = "no reason given"
        try:
            while (output := self._manager.get_result(timeout=_PULSE_S)) is not None or self._manager.is_running():
                if output is not None:
                    self._deliver_output(output)
            cause = self._manager.background_thread_status.fatal_error or cause
        except Exception as error:  # whatever it is, nobody may be left waiting
            logger.exception("The engine's delivering thread failed")
            cause = error
        if self.alive:
            ended = EngineError(f"the model's thread ended: {cause}")
            logger.error("%s", ended)
            self._end(ended)

    def _deliver_output(self, output: Any) -> None:
        request = int(output.request_id)
        if request not in self._seen:
            return  # cancelled a moment ago
        finished = output.is_finished()
        fresh = output.generated_tokens[self._seen[request] :]
        self._seen[request] += len(fresh)
        if finished:
            self._seen.pop(request, None)
            self._choice.drop(output.request_id)
        if output.status == RequestStatus.FAILED:
            self._fail(request, EngineError(f"the model failed: {output.error}"))
        else:
            self._deliver(request, fresh, last=finished)

    def in_model(self) -> int:
        processor = self._manager.batch_processor
        if processor is None:
            return 0
        return len(processor.scheduler.active_requests) + len(processor.scheduler.waiting_requests)

    def _kv_use(self) -> float:
        processor = self._manager.batch_processor
        if processor is None or not self.in_model():
            return 0.0
        return 1.0 - float(processor.cache.compute_free_capacity(relative=True))

    def _shut_down(self) -> None:
        self._manager.stop(block=True, timeout=_STOP_LIMIT_S, hard_stop=True)
        if self._pump is not threading.current_thread():
            self._pump.join(_STOP_LIMIT_S)


class _TokenChoice(ContinuousBatchingLogitsProcessor):
    """Each request's own repetition penalty, temperature, nucleus and seed.

    The library takes the most probable id of what this returns. So a sampled id is drawn here, by the request's own
    generator, and made the most probable; a greedy request without a penalty costs nothing.
    """

    supported_kwargs: dict[str, type] = {}
    ignored_kwargs: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._requests: dict[str, tuple[SamplingParams, torch.Generator]] = {}
        self._batch: list[tuple[SamplingParams, torch.Generator, Sequence[int]] | None] = []

    def add(self, request_id: str, sampling: SamplingParams, device: torch.device) -> None:
        generator = torch.Generator(device)
        if sampling.seed is None:
            generator.seed()
        else:
            generator.manual_seed(sampling.seed)
        self._requests[request_id] = (sampling, generator)

    def drop(self, request_id: str) -> None:
        self._requests.pop(request_id, None)

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> torch.Tensor:
        self._batch = []
        for request in requests_with_new_token:
            state = request.state
            known = self._requests.get(state.request_id)
            self._batch.append(None if known is None else (*known, state.initial_tokens + state.generated_tokens))
        return torch.zeros(len(self._batch), dtype=torch.int32)

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:
        for row, entry in zip(scores, self._batch, strict=False):
            if entry is not None:
                _choose(row, *entry)
        return scores


def _choose(row: torch.Tensor, sampling: SamplingParams, generator: torch.Generator, seen: Sequence[int]) -> None:
    """Apply one request's sampling to its logits, in place."""
    if sampling.repetition_penalty != 1.0:
        ids = torch.tensor(sorted(set(seen)), device=row.device)
        known = row[ids]
        row[ids] = torch.where(known > 0, known / sampling.repetition_penalty, known * sampling.repetition_penalty)
    if sampling.greedy:
        return
    probabilities, ids = torch.softmax(row.float() / sampling.temperature, dim=-1).sort(descending=True)
    # Keeps the id that crosses the threshold, so that one is always left.
    probabilities[probabilities.cumsum(dim=-1) - probabilities >= sampling.top_p] = 0.0
    row[ids[torch.multinomial(probabilities, 1, generator=generator)]] = torch.inf
