"""Has a worker's engine read what its first replies begin with, before a customer waits for it.

A prompt begins with the same system text, guidance and examples for every question of an intent, and mostly with the
same help article. Once the engine has read them its prefix cache has them, and the first token comes several times
sooner. Customers come first: nothing is read while a turn runs, and a turn that begins stops the reading.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection

from chatbot.conversations import replies
from chatbot.conversations.leases import Leases
from chatbot.exceptions import EngineError
from chatbot.inference.prompt import Prompt, Utterance
from chatbot.inference.sampling import SamplingParams
from chatbot.intents.selectors import catalogue_rules
from chatbot.knowledge.retrieval import retrieve
from chatbot.releases import remote

if TYPE_CHECKING:
    from chatbot.inference.engines import Engine, Generation
    from chatbot.releases.runtime import Runtime, ServedModels

logger = logging.getLogger(__name__)

# A catalogue has some dozens of intents; more prompts than this would push each other out of the cache.
PROMPTS_AT_MOST = 48
# One token is the least that can be asked for. Whoever has not read the prompt by then has other troubles.
SAMPLING = SamplingParams(max_tokens=1, deadline_s=10.0)
# Looks up now and then whether the models are still the served ones: waiting keeps an engine loaded.
IDLE_TIMEOUT_S = 1.0
CLOSE_TIMEOUT_S = 5.0


class Warmup:
    """Reads in a thread of its own, once after each `begin`."""

    def __init__(self, runtime: Runtime, leases: Leases) -> None:
        self._runtime = runtime
        self._leases = leases
        self._lock = threading.Lock()
        self._closed = False
        self._reading: Generation | None = None
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Read for the models that are served now. Returns at once; what is read for other models ends."""
        with self._lock:
            if self._closed:
                return
            self._thread = threading.Thread(target=self._run, name="warmup", daemon=True)
            self._thread.start()

    def step_aside(self) -> None:
        """A turn begins: stop what is being read for nobody. It is read again later, from where the cache ends."""
        reading = self._reading
        if reading is not None:
            reading.cancel()

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the reading to end."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def close(self) -> None:
        """Stop reading for good."""
        with self._lock:
            self._closed = True
        self.step_aside()
        self.wait(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        models = self._runtime.models()
        # What a server of several customers has in its cache is its own business, and it may charge for what it reads.
        if models.engine.name == remote.ENGINE:
            return
        began = time.monotonic()
        try:
            prompts = list(likely_prompts(models))
            for prompt in prompts:
                while self._is_wanted(models) and not self._read(prompt, models.engine):
                    continue
            logger.info("%d prompts are warm after %.1f s", len(prompts), time.monotonic() - began)
        except (EngineError, DatabaseError) as error:
            logger.info("the engine was not warmed further: %s", error)
        except Exception:  # replies come without it too, only later
            logger.exception("the engine was not warmed further")
        finally:
            connection.close()

    def _is_wanted(self, models: ServedModels) -> bool:
        is_latest = self._thread is threading.current_thread()
        return is_latest and not self._closed and models.engine is self._runtime.models().engine

    def _read(self, prompt: Prompt, engine: Engine) -> bool:
        """Whether the engine could read it to its end before a turn began."""
        if not self._leases.wait_idle(IDLE_TIMEOUT_S):
            return False
        with engine.submit(prompt, SAMPLING) as generation:
            self._reading = generation
            if self._closed or self._leases.active_turns():
                generation.cancel()
            for _ in generation:
                pass
            self._reading = None
        return generation.finish_reason != "cancelled"


def likely_prompts(models: ServedModels) -> Iterator[Prompt]:
    """What each intent that the model answers would be prompted with, were its own question asked."""
    generating = [rule for rule in catalogue_rules().values() if rule.mode == "generate"]
    for rule in generating[:PROMPTS_AT_MOST]:
        question = rule.question or rule.name
        query = replies.question_embedding(models.encoder, question)
        passages = retrieve(query, limit=settings.RETRIEVAL_PASSAGES, floor=settings.RETRIEVAL_FLOOR)
        if passages:
            yield replies.grounded_prompt(models, rule.guidance, passages, [Utterance("user", question)])
